//! `strongroom-vault man`: for who makes packages.

use std::path::PathBuf;

use clap::CommandFactory;
use strongroom_vault::{Error, Result};

use crate::Cli;

/// Write the man pages into a folder
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub(crate) struct Args {
    /// The folder, which must exist
    folder: PathBuf,
}

impl Args {
    pub(crate) fn run(self) -> Result<()> {
        let folder = self.folder.display();
        let failed = Error::local(format!("write man pages to {folder}"));
        clap_mangen::generate_to(Cli::command(), &self.folder).map_err(failed)?;
        super::print(format_args!("See man -l {folder}/strongroom-vault.1"))
    }
}
