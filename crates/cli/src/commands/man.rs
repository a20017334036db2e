//! `strongroom man`: for who makes packages.

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
        clap_mangen::generate_to(Cli::command(), &self.folder).map_err(Error::local(writing))?;
        context.output.say(&format!(
            "See man -l {}/strongroom.1",
            self.folder.display()
        ));
        Ok(Exit::Done)
    }
}
