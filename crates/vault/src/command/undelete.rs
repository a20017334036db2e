//! `strongroom-vault undelete`: deletions taken back.

use jiff::Timestamp;
use strongroom_model::{FileName, FileType, RepositoryPath};
use strongroom_vault::people::Who;
use strongroom_vault::{Error, Result};

use crate::command::{Which, print};

/// Take back deletions of a repository: all that are kept, some, or that of one file
///
/// The exit status is 1 where there was none to take back.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
    /// The repository
    repository: RepositoryPath,
    /// This file alone, as data/3f1c…
    #[arg(value_name = "FILE", value_parser = parse_file, conflicts_with_all = ["token", "since", "until"])]
    file: Option<FileName>,
    /// Only what this token asked to be deleted
    #[arg(long, value_name = "NAME")]
    token: Option<String>,
    /// Only from then on, as 2026-11-20T10:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Only until then
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
}

impl Args {
    pub(crate) fn run(&self) -> Result<()> {
        if let Some(file) = self.file {
            let vault = self.which.open()?;
            return match vault.undelete_one(Who::Folder, &self.repository, file)? {
                true => print(format_args!("The deletion of {file} is taken back")),
                false => Err(Error::Unknown {
                    what: "deleted file",
                    name: file.to_string(),
                }),
            };
        }
        let in_ms = |time: Timestamp| time.as_millisecond();
        let objects = self.which.open()?.undelete(
            Who::Folder,
            &self.repository,
            self.token.as_deref(),
            self.since.map(in_ms),
            self.until.map(in_ms),
        )?;
        match objects {
            0 => Err(Error::NothingDone {
                reason: format!(
                    "There was no such deletion to take back in {}",
                    self.repository
                ),
            }),
            _ => print(format_args!("{objects} deletions taken back")),
        }
    }
}

/// The name of a file with a hash name.
fn parse_file(text: &str) -> std::result::Result<FileName, String> {
    let name = text.split_once('/').and_then(|(folder, id)| {
        let mut kinds = FileType::STORED.into_iter();
        let kind = kinds.find(|kind| kind.folder() == folder)?;
        Some(FileName::new(kind, id.parse().ok()?))
    });
    name.ok_or_else(|| "write its type and its whole id, as data/3f1c…".to_owned())
}
