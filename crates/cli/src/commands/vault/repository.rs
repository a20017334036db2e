//! `strongroom vault repository`.

use clap::Subcommand;
use jiff::Timestamp;
use serde_json::{Value, json};
use strongroom_model::{ByteSize, Period, RepositoryPath};

use crate::commands::vault::admin::{At, Column, Shown, message, objects, one_of, spoken};
use crate::commands::vault::token::without_nulls;
use crate::context::Context;
use crate::error::Result;
use crate::exit::{Exit, MANUAL};

/// The repositories of a vault
#[derive(Debug, clap::Args)]
#[command(after_long_help = MANUAL)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Set(Set),
    Undelete(Undelete),
    AgreeToPurge(AgreeToPurge),
}

/// List the repositories
#[derive(Debug, clap::Args)]
#[command(after_long_help = MANUAL)]
struct List {
    #[command(flatten)]
    at: At,
}

/// Keep things longer, or bound what a repository may hold
///
/// Retention and grace are only ever raised here.
#[derive(Debug, clap::Args)]
#[command(after_long_help = MANUAL)]
#[group(id = "what", required = true, multiple = true, args = ["retention", "grace", "quota", "no_quota"])]
struct Set {
    #[command(flatten)]
    at: At,
    /// The repository
    #[arg(value_name = "PATH")]
    repository: RepositoryPath,
    /// How long everything that arrives is kept, as 60d
    #[arg(long, value_name = "PERIOD")]
    retention: Option<Period>,
    /// How long what was asked to be deleted is kept
    #[arg(long, value_name = "PERIOD")]
    grace: Option<Period>,
    /// The most that it may hold, as 2TiB
    #[arg(long, value_name = "SIZE")]
    quota: Option<ByteSize>,
    /// It may hold as much as there is room for
    #[arg(long, conflicts_with = "quota")]
    no_quota: bool,
}

/// Bring back what was asked to be deleted
///
/// Without any of the options, all of it that is still kept.
#[derive(Debug, clap::Args)]
#[command(after_long_help = MANUAL)]
struct Undelete {
    #[command(flatten)]
    at: At,
    /// The repository
    #[arg(value_name = "PATH")]
    repository: RepositoryPath,
    /// Only what this token asked for
    #[arg(long, value_name = "NAME")]
    token: Option<String>,
    /// Only what was asked for since then, as 2026-11-20T10:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Only what was asked for until then
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// Only this file, as snapshots/3f1c…
    #[arg(long, value_name = "FILE")]
    file: Option<String>,
}

/// Agree to many deletions of one day, so that purging goes on
///
/// To how many is said, and which leaf the newest one is of, as repository list shows both: where
/// others were asked for meanwhile, nothing is agreed to.
#[derive(Debug, clap::Args)]
#[command(after_long_help = MANUAL)]
struct AgreeToPurge {
    #[command(flatten)]
    at: At,
    /// The repository
    #[arg(value_name = "PATH")]
    repository: RepositoryPath,
    /// How many tombstones were looked at
    #[arg(long, value_name = "NUMBER")]
    tombstones: u64,
    /// The leaf of the newest of them; nothing where there are none
    #[arg(long, value_name = "LEAF")]
    newest_tombstone: Option<u64>,
}

const COLUMNS: [Column; 10] = [
    ("repository", &["repository"], Shown::AsItIs),
    ("objects", &["objects"], Shown::AsItIs),
    ("size", &["bytes"], Shown::Size),
    ("kept", &["retention_s"], Shown::Period),
    ("deleted kept", &["grace_s"], Shown::Period),
    ("tombstones", &["tombstones"], Shown::AsItIs),
    ("newest tombstone", &["newest_tombstone"], Shown::AsItIs),
    ("quota", &["quota_bytes"], Shown::Size),
    ("pending keys", &["pending_keys"], Shown::AsItIs),
    ("purging held", &["purge_held"], Shown::AsItIs),
];

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<Exit> {
        match self.command {
            Command::List(List { at }) => at.list(
                context,
                "v1/repositories",
                "list its repositories",
                ("repository", "repositories"),
                &COLUMNS,
            ),
            Command::Set(args) => args.run(context),
            Command::Undelete(args) => args.run(context),
            Command::AgreeToPurge(args) => {
                let AgreeToPurge {
                    at,
                    repository,
                    tombstones,
                    newest_tombstone,
                } = args;
                let path = path(&repository, "agree-to-purge");
                let body = without_nulls(json!({
                    "tombstones": tombstones,
                    "newest_tombstone": newest_tombstone,
                }));
                let said = |answer: &Value| {
                    Ok(match answer.get("agreed") == Some(&Value::Bool(false)) {
                        true => format!("Purging of {repository} was not held"),
                        false => format!("Purging of {repository} goes on"),
                    })
                };
                at.act_and_say(context, &path, &body, "go on purging", said)
            }
        }
    }
}

impl Set {
    fn run(self, context: &Context) -> Result<Exit> {
        let Self { at, repository, .. } = &self;
        let admin = at.admin(context)?;
        if self.retention.is_some() || self.grace.is_some() {
            let body = without_nulls(json!({
                "retention": self.retention.map(|period| period.to_string()),
                "grace": self.grace.map(|period| period.to_string()),
            }));
            admin.post(
                &path(repository, "keeping"),
                &body,
                "set how long things are kept",
            )?;
        }
        if self.quota.is_some() || self.no_quota {
            let body = json!({ "bytes": self.quota.map(ByteSize::bytes) });
            admin.post(&path(repository, "quota"), &body, "set a quota")?;
        }
        let all = admin.get("v1/repositories", "list its repositories")?;
        let now = one_of(
            &all,
            "repositories",
            ("repository", &repository.to_string()),
        );
        let said = |fields, shown| spoken(&now, fields, shown);
        context.output.result(&format!(
            "{repository} is set: kept {} after arrival and {} after deletion; {}\n",
            said(&["retention_s"], Shown::Period),
            said(&["grace_s"], Shown::Period),
            match now.get("quota_bytes").is_some_and(Value::is_u64) {
                true => format!("at most {}", said(&["quota_bytes"], Shown::Size)),
                false => "no quota".to_owned(),
            }
        ))?;
        context.output.object(&message("summary", &now))?;
        Ok(Exit::Done)
    }
}

impl Undelete {
    fn run(self, context: &Context) -> Result<Exit> {
        let body = without_nulls(json!({
            "token": self.token,
            "since": self.since,
            "until": self.until,
            "file": self.file,
        }));
        let repository = &self.repository;
        let said = |answer: &Value| match objects(answer) {
            Some(objects) => Ok(format!("{objects} of {repository} are there again")),
            None => Err(format!(
                "There was nothing to bring back of {repository}: see repository list, and that the \
                 times are in UTC"
            )),
        };
        let path = path(repository, "undelete");
        let action = "bring back what was deleted";
        self.at.act_and_say(context, &path, &body, action, said)
    }
}

/// Where something is done with a repository.
pub(super) fn path(repository: &RepositoryPath, what: &str) -> String {
    format!("v1/repositories/{repository}/{what}")
}
