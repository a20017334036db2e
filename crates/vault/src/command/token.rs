//! `strongroom-vault token`: made, listed, ended.

use strongroom_model::{ByteSize, Period, RepositoryPath};
use strongroom_vault::Result;
use strongroom_vault::rules::right::Right;
use strongroom_vault::vault::NewToken;

use crate::command::{Which, print, time};

/// The tokens that machines ask with
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Create(Create),
    List(List),
    Revoke(Revoke),
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
    /// The most objects that it may put in a day
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

/// End a token; what it has put stays
#[derive(Debug, clap::Args)]
pub(crate) struct Revoke {
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
            Self::Revoke(args) => {
                args.which.open()?.revoke_token(&args.name)?;
                print(format_args!("{} does not count any more", args.name))
            }
        }
    }
}

impl Create {
    fn run(self) -> Result<()> {
        let in_ms = |period: Period| i64::try_from(period.duration().as_millis()).ok();
        let text = self.which.open()?.create_token(&NewToken {
            right: self.right,
            prefix: self.repository.clone(),
            expires_in_ms: self.expires.and_then(in_ms),
            daily_bytes: self.daily_size.map(ByteSize::bytes),
            daily_objects: self.daily_objects,
        })?;
        if self.json {
            return print(serde_json::json!({
                "name": text.name,
                "token": text.reveal(),
                "right": self.right.word(),
                "repository": self.repository,
            }));
        }
        print(text.reveal())
    }
}

impl List {
    fn run(&self) -> Result<()> {
        let tokens = self.which.open()?.tokens()?;
        if !self.json {
            print(format_args!(
                "{:12}  {:8}  {:24}  {:20}  state",
                "name", "right", "repository", "last used"
            ))?;
        }
        for token in tokens {
            let used = token.used_ms.map(time);
            let revoked = token.revoked_ms.map(time);
            let expires = token.expires_ms.map(time);
            if self.json {
                print(serde_json::json!({
                    "name": token.name,
                    "right": token.right.word(),
                    "repository": token.prefix,
                    "made": time(token.made_ms),
                    "used": used,
                    "expires": expires,
                    "revoked": revoked,
                }))?;
                continue;
            }
            let state = match (revoked, expires) {
                (Some(revoked), _) => format!("revoked {revoked}"),
                (None, Some(expires)) => format!("until {expires}"),
                (None, None) => "counts".to_owned(),
            };
            print(format_args!(
                "{:12}  {:8}  {:24}  {:20}  {state}",
                token.name,
                token.right.word(),
                token.prefix.as_str(),
                used.as_deref().unwrap_or("never"),
            ))?;
        }
        Ok(())
    }
}
