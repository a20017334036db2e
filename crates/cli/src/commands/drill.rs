//! `strongroom drill`.

pub(crate) mod attack;
mod remnants;
pub(crate) mod restore;

use clap::Subcommand;

use crate::context::Context;
use crate::error::Result;
use crate::exit::{Exit, MANUAL};

/// Rehearse what must work on the day it is needed
///
/// What was rehearsed is kept with the evidence of each copy, and status counts it for as long as
/// drill_every of the plan says.
#[derive(Debug, clap::Args)]
#[command(after_long_help = MANUAL)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Attack(attack::Args),
    Restore(restore::Args),
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit> {
        match self.command {
            Command::Attack(args) => args.run(context),
            Command::Restore(args) => args.run(context),
        }
    }
}
