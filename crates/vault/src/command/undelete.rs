//! `strongroom-vault undelete`: deletions taken back.

use jiff::Timestamp;
use strongroom_model::RepositoryPath;
use strongroom_vault::Result;

use crate::command::{Which, print};

/// Take back deletions of a repository
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
    /// The repository
    repository: RepositoryPath,
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
        let in_ms = |time: Timestamp| time.as_millisecond();
        let objects = self.which.open()?.undelete(
            &self.repository,
            self.token.as_deref(),
            self.since.map(in_ms),
            self.until.map(in_ms),
        )?;
        print(format_args!("{objects} deletions taken back"))
    }
}
