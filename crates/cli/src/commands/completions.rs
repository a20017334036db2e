//! `strongroom completions`.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;

/// Write completions for a shell to standard output
///
/// Examples:
///   strongroom completions bash > /etc/bash_completion.d/strongroom
///   strongroom completions fish > ~/.config/fish/completions/strongroom.fish
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Which shell
    shell: Shell,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "strongroom", &mut script);
        context.output.write(&script)?;
        Ok(Exit::Done)
    }
}
