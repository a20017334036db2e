//! `strongroom-vault hide` and `unhide`: what a stolen token has put, out of sight and back.

use jiff::Timestamp;
use strongroom_vault::people::Who;
use strongroom_vault::vault::Hiding;
use strongroom_vault::{Error, Result};

use crate::command::{Which, print};

/// Take out of sight all that a token alone has put since a time
///
/// Nothing is removed; unhide takes it back. What it has said of snapshots since then takes the place
/// of no older receipt. Revoke the token too. The exit status is 1 where nothing was done and nothing
/// that the token has put since then is hidden.
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
/// The exit status is 1 where nothing was done, because nothing of it was hidden.
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
        match self
            .which
            .open()?
            .hide(Who::Folder, &self.token, since_ms)?
        {
            Hiding { found: false, .. } => Err(Error::NothingDone {
                reason: format!(
                    "Nothing that {} has put since {} is there to be hidden, and it has no locks: \
                     nothing is hidden",
                    self.token, self.since
                ),
            }),
            Hiding {
                objects: 0,
                others: 0,
                ..
            } => print(format_args!("0 objects: all of it is out of sight already")),
            Hiding {
                objects, others: 0, ..
            } => print(format_args!("{objects} objects are out of sight")),
            Hiding {
                objects, others, ..
            } => print(format_args!(
                "{objects} objects are out of sight; {others} others were dealt with: locks were \
                 dropped, what others have put as well is theirs alone, what was deleted stays \
                 deleted, receipts take no place of older ones, an unhide was taken back"
            )),
        }
    }
}

impl Unhide {
    pub(crate) fn run(&self) -> Result<()> {
        match self.which.open()?.unhide(Who::Folder, &self.token)? {
            Hiding { found: false, .. } => Err(Error::NothingDone {
                reason: format!("Nothing of {} was hidden", self.token),
            }),
            Hiding {
                objects, others: 0, ..
            } => print(format_args!("{objects} objects are seen again")),
            Hiding {
                objects, others, ..
            } => print(format_args!(
                "{objects} objects are seen again; {others} others were dealt with: undelete \
                 brings back again what was deleted, receipts may take the place of older ones, a \
                 hide was taken back"
            )),
        }
    }
}
