//! `strongroom-vault repository`: what is kept here, and for how long.

use strongroom_model::{ByteSize, Period, RepositoryPath};
use strongroom_vault::Result;
use strongroom_vault::vault::Longer;
use strongroom_vault::wire::RepositoryInfo;

use crate::command::{Which, print, print_json};

/// The repositories of the vault
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    List(List),
    Set(Set),
    AgreeToPurge(Agree),
}

/// List the repositories
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[command(flatten)]
    which: Which,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Keep things longer, or bound what a repository may hold
///
/// Retention and grace are only ever raised here.
#[derive(Debug, clap::Args)]
pub(crate) struct Set {
    #[command(flatten)]
    which: Which,
    /// The repository
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
}

/// Agree to many deletions of one day, so that purging goes on
#[derive(Debug, clap::Args)]
pub(crate) struct Agree {
    #[command(flatten)]
    which: Which,
    /// The repository
    repository: RepositoryPath,
}

impl Command {
    pub(crate) fn run(self) -> Result<()> {
        match self {
            Self::List(args) => args.run(),
            Self::Set(args) => args.run(),
            Self::AgreeToPurge(args) => {
                args.which.open()?.agree_to_purge(&args.repository)?;
                print(format_args!("Purging of {} goes on", args.repository))
            }
        }
    }
}

impl List {
    fn run(&self) -> Result<()> {
        for overview in self.which.open()?.overviews()? {
            if self.json {
                print_json(&RepositoryInfo::of(&overview))?;
                continue;
            }
            let days = |ms: i64| ms as f64 / 86_400_000.0;
            let repository = &overview.repository;
            let keeping = repository.keeping;
            let held = match repository.purge_held_ms {
                Some(_) => "; purging is held: many deletions in a day",
                None => "",
            };
            print(format_args!(
                "{}  {} objects, {} bytes; kept {:.1} d after arrival and {:.1} d after deletion{held}",
                repository.path,
                repository.objects,
                repository.bytes,
                days(keeping.retention_ms),
                days(keeping.grace_ms),
            ))?;
        }
        Ok(())
    }
}

impl Set {
    fn run(&self) -> Result<()> {
        let vault = self.which.open()?;
        vault.add_repository(&self.repository)?;
        let in_ms =
            |period: Period| i64::try_from(period.duration().as_millis()).unwrap_or(i64::MAX);
        let longer = Longer {
            retention_ms: self.retention.map(in_ms),
            grace_ms: self.grace.map(in_ms),
        };
        vault.keep_longer(&self.repository, longer)?;
        if let Some(quota) = self.quota {
            vault.set_quota(&self.repository, Some(quota.bytes()))?;
        }
        print(format_args!("{} is set", self.repository))
    }
}
