//! `strongroom-vault token`: made, listed, bounded, ended; and what one has put, which goes in its
//! time and not before.

use strongroom_model::{ByteSize, Period, RepositoryPath};
use strongroom_vault::Result;
use strongroom_vault::people::Who;
use strongroom_vault::rules::right::Right;
use strongroom_vault::vault::{NewToken, TokenDay};
use strongroom_vault::wire::{NewTokenInfo, TokenInfo};

use crate::command::{Which, print, print_json, refused, time};

/// What stands for a bound that there is none of.
const UNBOUNDED: &str = "unbounded";

/// The tokens that machines ask with
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Create(Create),
    List(List),
    Set(Set),
    Revoke(Revoke),
    Purge(Purge),
    ForgetClientKey(Forget),
}

/// Make a token, which is shown once
#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    #[command(flatten)]
    which: Which,
    /// For this repository, or those in this folder
    #[arg(long, value_name = "PATH")]
    repository: RepositoryPath,
    /// append, read, maintain or report
    #[arg(long, value_name = "RIGHT")]
    right: Right,
    /// Until then, as 90d
    #[arg(long, value_name = "PERIOD")]
    expires: Option<Period>,
    /// The most that it may put in a day, as 500GiB
    #[arg(long, value_name = "SIZE")]
    daily_size: Option<ByteSize>,
    /// The most objects that it may put and delete in a day; 1000000 where nothing is said
    #[arg(long, value_name = "NUMBER")]
    daily_objects: Option<u64>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// List the tokens, without their secrets
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[command(flatten)]
    which: Which,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Set how much a token may do in a day
///
/// What it has used up of the day stays counted, and where that is less than it may from now on, it
/// goes on at once.
#[derive(Debug, clap::Args)]
#[group(id = "what", required = true, multiple = true, args = ["daily_size", "daily_objects"])]
pub(crate) struct Set {
    #[command(flatten)]
    which: Which,
    /// The name, as token list shows it
    name: String,
    /// The most that it may put in a day, as 500GiB
    #[arg(long, value_name = "SIZE")]
    daily_size: Option<ByteSize>,
    /// The most objects that it may put and delete in a day
    #[arg(long, value_name = "NUMBER")]
    daily_objects: Option<u64>,
}

/// End a token; what it has put stays
#[derive(Debug, clap::Args)]
pub(crate) struct Revoke {
    #[command(flatten)]
    which: Which,
    /// The name, as token list shows it
    name: String,
}

/// Purge before its time what a token has put; refused
///
/// It needs the approval of several people, which this version cannot ask for. What a stolen token
/// has put is taken out of sight by hide; a DELETE by a maintain token lets it go in its time.
#[derive(Debug, clap::Args)]
pub(crate) struct Purge {
    #[command(flatten)]
    which: Which,
    /// The name, as token list shows it
    name: String,
}

/// Let the key go that a token's client signs its receipts with, so that another may be bound
///
/// For a client that was set up anew. The next receipt binds its key.
#[derive(Debug, clap::Args)]
pub(crate) struct Forget {
    #[command(flatten)]
    which: Which,
    /// The name, as token list shows it
    name: String,
}

impl Command {
    pub(crate) fn run(self) -> Result<()> {
        match self {
            Self::Create(args) => args.run(),
            Self::List(args) => args.run(),
            Self::Set(args) => args.run(),
            Self::Revoke(args) => {
                args.which.open()?.revoke_token(Who::Folder, &args.name)?;
                print(format_args!("{} does not count any more", args.name))
            }
            Self::Purge(args) => {
                let vault = args.which.open()?;
                refused(&vault, vault.purge_early(&args.name), None)
            }
            Self::ForgetClientKey(args) => {
                match args
                    .which
                    .open()?
                    .forget_client_key(Who::Folder, &args.name)?
                {
                    true => print(format_args!("{} is bound to no key any more", args.name)),
                    false => print(format_args!("{} was bound to none", args.name)),
                }
            }
        }
    }
}

impl Create {
    fn run(self) -> Result<()> {
        let text = self.which.open()?.create_token(
            Who::Folder,
            &NewToken {
                right: self.right,
                prefix: self.repository.clone(),
                expires_in_ms: self.expires.map(Period::milliseconds),
                daily_bytes: self.daily_size.map(ByteSize::bytes),
                daily_objects: self.daily_objects,
            },
        )?;
        if self.json {
            return print_json(&NewTokenInfo {
                name: text.name.clone(),
                token: text.reveal().to_owned(),
                right: self.right.word(),
                repository: self.repository,
            });
        }
        print(text.reveal())
    }
}

impl Set {
    fn run(&self) -> Result<()> {
        let day = TokenDay {
            daily_bytes: self.daily_size.map(ByteSize::bytes),
            daily_objects: self.daily_objects,
        };
        let day = self
            .which
            .open()?
            .set_token_day(Who::Folder, &self.name, day)?;
        let (objects, bytes) = (objects(day.daily_objects), bytes(day.daily_bytes));
        print(format_args!(
            "A day of {}: objects {objects}, size {bytes}",
            self.name
        ))
    }
}

impl List {
    fn run(&self) -> Result<()> {
        let vault = self.which.open()?;
        // The clock by which tokens end, which may lag behind the wall.
        let now_ms = vault.now().vault_ms;
        let tokens = vault.tokens_with_clients()?;
        if !self.json {
            print(format_args!(
                "{:12}  {:8}  {:24}  {:20}  {:>11}  {:>9}  state",
                "name", "right", "repository", "last used", "objects/day", "size/day"
            ))?;
        }
        for (token, client) in tokens {
            if self.json {
                print_json(&TokenInfo::of(&token, client, now_ms)?)?;
                continue;
            }
            let used = token.used_ms.map(time);
            let revoked = token.revoked_ms.map(time);
            let expires = token.expires_ms.map(time);
            let state = match (revoked, expires) {
                (Some(revoked), _) => format!("revoked {revoked}"),
                (None, Some(expires)) if !token.counts_at(now_ms) => format!("expired {expires}"),
                (None, Some(expires)) => format!("until {expires}"),
                (None, None) => "counts".to_owned(),
            };
            print(format_args!(
                "{:12}  {:8}  {:24}  {:20}  {:>11}  {:>9}  {state}",
                token.name,
                token.right.word(),
                token.prefix.as_str(),
                used.as_deref().unwrap_or("never"),
                objects(token.daily_objects),
                bytes(token.daily_bytes),
            ))?;
        }
        Ok(())
    }
}

/// How many objects a token may put and delete in a day.
fn objects(bound: Option<u64>) -> String {
    bound.map_or_else(|| UNBOUNDED.to_owned(), |objects| objects.to_string())
}

/// How many bytes it may put.
fn bytes(bound: Option<u64>) -> String {
    let spoken = |bytes| ByteSize::from_bytes(bytes).to_string();
    bound.map_or_else(|| UNBOUNDED.to_owned(), spoken)
}
