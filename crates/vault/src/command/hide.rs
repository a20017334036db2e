//! `strongroom-vault hide` and `unhide`: what a stolen token has put, out of sight and back.

use jiff::Timestamp;
use strongroom_vault::{Error, Result};

use crate::command::{Which, print};

/// Take out of sight all that a token alone has put since a time
///
/// Nothing is removed; unhide takes it back. Revoke the token too. The exit status is 1 where there
/// was nothing to hide.
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
///
/// The exit status is 1 where nothing was.
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
        match objects {
            0 => Err(Error::NothingDone {
                reason: format!(
                    "{} alone has put no object since {} that could be seen: nothing is hidden",
                    self.token, self.since
                ),
            }),
            _ => print(format_args!("{objects} objects are out of sight")),
        }
    }
}

impl Unhide {
    pub(crate) fn run(&self) -> Result<()> {
        let objects = self.which.open()?.unhide(&self.token)?;
        match objects {
            0 => Err(Error::NothingDone {
                reason: format!("Nothing of {} was hidden", self.token),
            }),
            _ => print(format_args!("{objects} objects are seen again")),
        }
    }
}
