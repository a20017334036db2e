//! The command line as a whole: the options of all commands, and which commands there are.
//!
//! Help, man pages and completions are made from these definitions alone.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands::{
    backup, blast_radius, completions, drill, dump, forget, hold, init, key, lock, log, ls, man,
    prune, recover, release, removals, restore, snapshots, status, sync, trial, unlock, vault,
    verify,
};
use crate::context::Context;
use crate::error::Result;
use crate::exit::{Exit, MANUAL};

/// Backups that outlive an attacker who already holds your admin console
///
/// Reads your data once and leaves three whole, byte-identical restic repositories; tells how far
/// that is from 3-2-1; heals any copy from any other; restores, as stock restic does too.
///
/// Everything is configured in strongroom.toml, which is looked for in this order: --config,
/// STRONGROOM_CONFIG, the working folder, the user's configuration folder, /etc/strongroom.
#[derive(Debug, Parser)]
#[command(name = "strongroom", version, after_long_help = MANUAL, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The options of all commands.
#[derive(Debug, Args)]
pub(crate) struct GlobalArgs {
    /// The configuration
    #[arg(long, global = true, value_name = "PATH", env = "STRONGROOM_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Write one JSON object a line to standard output, and a summary last
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Tell errors and warnings only
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Tell more; twice or three times for still more
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Do not use colours; NO_COLOR is honoured as well
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true)]
pub(crate) enum Command {
    Init(init::Args),
    Backup(backup::Args),
    Status(status::Args),
    Verify(verify::Args),
    Sync(sync::Args),
    Restore(restore::Args),
    Recover(recover::Args),
    Snapshots(snapshots::Args),
    Ls(ls::Args),
    Dump(dump::Args),
    Forget(forget::Args),
    Prune(prune::Args),
    Hold(hold::Args),
    Release(release::Args),
    Removals(removals::Args),
    Drill(drill::Args),
    BlastRadius(blast_radius::Args),
    Key(key::Args),
    Lock(lock::Args),
    Unlock(unlock::Args),
    Log(log::Args),
    Vault(vault::Args),
    Try(trial::Args),
    Completions(completions::Args),
    Man(man::Args),
}

impl Command {
    /// Does it.
    pub(crate) fn run(self, context: &Context) -> Result<Exit> {
        match self {
            Self::Init(args) => args.run(context),
            Self::Backup(args) => args.run(context),
            Self::Status(args) => args.run(context),
            Self::Verify(args) => args.run(context),
            Self::Sync(args) => args.run(context),
            Self::Restore(args) => args.run(context),
            Self::Recover(args) => args.run(context),
            Self::Snapshots(args) => args.run(context),
            Self::Ls(args) => args.run(context),
            Self::Dump(args) => args.run(context),
            Self::Forget(args) => args.run(context),
            Self::Prune(args) => args.run(context),
            Self::Hold(args) => args.run(context),
            Self::Release(args) => args.run(context),
            Self::Removals(args) => args.run(context),
            Self::Drill(args) => args.run(context),
            Self::BlastRadius(args) => args.run(context),
            Self::Key(args) => args.run(context),
            Self::Lock(args) => args.run(context),
            Self::Unlock(args) => args.run(context),
            Self::Log(args) => args.run(context),
            Self::Vault(args) => args.run(context),
            Self::Try(args) => args.run(context),
            Self::Completions(args) => args.run(context),
            Self::Man(args) => args.run(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definitions_are_sound() {
        Cli::command().debug_assert();
    }
}
