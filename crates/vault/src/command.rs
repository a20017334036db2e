//! The commands of the vault's program.

mod init;
mod serve;

use clap::Subcommand;
use strongroom_vault::Result;

/// The commands.
#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true)]
pub(crate) enum Command {
    Init(init::Args),
    Serve(serve::Args),
}

impl Command {
    /// Does it.
    pub(crate) fn run(self) -> Result<()> {
        match self {
            Self::Init(args) => args.run(),
            Self::Serve(args) => args.run(),
        }
    }
}
