//! `strongroom vault clock`.

use clap::Subcommand;
use serde_json::json;

use crate::commands::vault::admin::At;
use crate::context::Context;
use crate::error::Result;
use crate::exit::{Exit, MANUAL};

/// The clock of a vault
#[derive(Debug, clap::Args)]
#[command(after_long_help = MANUAL)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Confirm(Confirm),
}

/// Confirm that the machine's clock is right, so that purging goes on
///
/// After the clock has jumped, nothing is purged until somebody has looked at it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = MANUAL)]
struct Confirm {
    #[command(flatten)]
    at: At,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<Exit> {
        let Command::Confirm(Confirm { at }) = self.command;
        let done = "The clock is confirmed";
        at.act(
            context,
            "v1/clock/confirm",
            &json!({}),
            "believe its clock",
            done,
        )
    }
}
