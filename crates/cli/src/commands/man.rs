//! `strongroom man`: for who makes packages.
//!
//! What can go wrong: two programs and one folder. A page is named for its command, with a hyphen
//! for each space, so that the pages of `strongroom vault` would have the names of those that the
//! server `strongroom-vault` writes, and no package could hold both.

use std::path::PathBuf;

use clap::CommandFactory;

use crate::cli::Cli;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::Exit;

/// Write the man pages into a folder
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub(crate) struct Args {
    /// The folder, which must exist
    folder: PathBuf,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit> {
        let writing = format!("write man pages to {}", self.folder.display());
        clap_mangen::generate_to(command(), &self.folder).map_err(Error::local(writing))?;
        context.output.say(&format!(
            "See man -l {}/strongroom.1",
            self.folder.display()
        ));
        Ok(Exit::Done)
    }
}

/// The definitions, but that the pages of `strongroom vault` get names that no page of the server
/// `strongroom-vault` has; in the pages it is called as it is typed.
fn command() -> clap::Command {
    Cli::command().mut_subcommand("vault", |vault| {
        vault.name("client-vault").bin_name("strongroom vault")
    })
}
