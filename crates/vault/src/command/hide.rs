//! `strongroom-vault hide` and `unhide`: what a stolen token has put, out of sight and back.

use jiff::Timestamp;
use strongroom_vault::Result;

use crate::command::{Which, print};

/// Take out of sight all that a token alone has put since a time
///
/// Nothing is removed; unhide takes it back. Revoke the token too.
#[derive(Debug, clap::Args)]
pub(crate) struct Hide {
    #[command(flatten)]
    which: Which,
    /// The name of the token
    #[arg(long, value_name = "NAME")]
    token: String,
    /// From then on, as 2026-11-20T10:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Timestamp,
}

/// Show again all of a token that was hidden
#[derive(Debug, clap::Args)]
pub(crate) struct Unhide {
    #[command(flatten)]
    which: Which,
    /// The name of the token
    #[arg(long, value_name = "NAME")]
    token: String,
}

impl Hide {
    pub(crate) fn run(&self) -> Result<()> {
        let since_ms = self.since.as_millisecond();
        let objects = self.which.open()?.hide(&self.token, since_ms)?;
        print(format_args!("{objects} objects are out of sight"))
    }
}

impl Unhide {
    pub(crate) fn run(&self) -> Result<()> {
        let objects = self.which.open()?.unhide(&self.token)?;
        print(format_args!("{objects} objects are seen again"))
    }
}
