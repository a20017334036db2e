//! The vault's program: arguments in, exit status out.
//!
//! What is data goes to standard output, the log to standard error. 0 is done, 1 failed, 2 usage.

mod command;

use std::error::Error as _;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use crate::command::Command;

/// Holds copies for others, and keeps its promises about deletion
#[derive(Debug, Parser)]
#[command(name = "strongroom-vault", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    match Cli::parse().command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&error);
            ExitCode::FAILURE
        }
    }
}

/// Tells an error, what it comes from, and the next step; where nobody listens, nobody hears it.
fn tell(error: &strongroom_vault::Error) {
    let mut out = io::stderr().lock();
    let _ = write!(out, "error: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(out, ": {cause}");
        source = cause.source();
    }
    let _ = writeln!(out);
    if let Some(hint) = error.hint() {
        let _ = writeln!(out, "hint: {hint}");
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
