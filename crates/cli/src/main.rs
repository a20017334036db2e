//! The strongroom program: arguments in, exit status out.
//!
//! What is data goes to standard output, what is talk to standard error. The exit status has one
//! meaning each (see [`exit::Exit`]), and partial success is never 0.

mod cli;
mod commands;
mod config_file;
mod context;
mod copies;
mod error;
mod exit;
mod interrupt;
mod locking;
mod logging;
mod memory;
mod monitor;
mod output;
mod password;
mod predecessors;
mod program;
mod removed;
mod scorecard;
mod state_folder;
mod table;
mod vaults;
mod words;

use clap::Parser;

use crate::cli::Cli;
use crate::context::Context;

fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    let context = Context::new(cli.global);
    logging::start(&context);
    interrupt::listen(&context);
    let outcome = cli.command.run(&context);
    let interrupted = context.cancel.is_cancelled();
    let exit = match outcome {
        Ok(exit) => exit.after(interrupted),
        Err(error) => context.output.failure(&error.after(interrupted)),
    };
    context.after_alarms(exit).into()
}
