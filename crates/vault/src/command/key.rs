//! `strongroom-vault key`: keys that came after the init, and wait.

use strongroom_model::{FileName, FileType, Id, RepositoryPath};
use strongroom_vault::people::Who;
use strongroom_vault::{Error, Result};

use crate::command::{Which, print};

/// The keys that wait to be let in
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    List(List),
    Admit(Admit),
}

/// List the keys that wait
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[command(flatten)]
    which: Which,
    /// The repository
    repository: RepositoryPath,
}

/// Let a key in
#[derive(Debug, clap::Args)]
pub(crate) struct Admit {
    #[command(flatten)]
    which: Which,
    /// The repository
    repository: RepositoryPath,
    /// The key, as key list shows it
    key: Id,
}

impl Command {
    pub(crate) fn run(self) -> Result<()> {
        match self {
            Self::List(args) => {
                for key in args.which.open()?.pending_keys(&args.repository)? {
                    print(key.id().unwrap_or_default())?;
                }
                Ok(())
            }
            Self::Admit(args) => {
                let name = FileName::new(FileType::Keys, args.key);
                match args
                    .which
                    .open()?
                    .admit_key(Who::Folder, &args.repository, name)?
                {
                    true => print(format_args!("{name} is let in")),
                    false => Err(Error::Unknown {
                        what: "waiting key",
                        name: args.key.to_string(),
                    }),
                }
            }
        }
    }
}
