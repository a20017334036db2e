//! `strongroom lock`.

mod extend;

use clap::Subcommand;

use crate::context::Context;
use crate::error::Result;
use crate::exit::{Exit, MANUAL};

/// Keep files locked for as long as they are needed
///
/// A copy in a bucket with lock = "30d" locks every file that it is given until a date; nobody can
/// remove it before, whatever credentials he has. Locks are those of stored files, and have nothing
/// to do with the locks of runs, which `strongroom unlock` removes.
#[derive(Debug, clap::Args)]
#[command(after_long_help = MANUAL)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Extend(extend::Args),
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit> {
        match self.command {
            Command::Extend(args) => args.run(context),
        }
    }
}
