//! `cargo xtask test`: the whole truth about the tests in one command.
//!
//! The programs come first: a test that needs restic must fail without it, never skip, and the
//! person who runs this on a fresh machine should not have to know what to install.

use anyhow::Result;
use clap::Args as ClapArgs;

use crate::run::{cargo, run as run_command};
use crate::setup;

/// What `test` takes.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Runs the seeded loops for longer (kill -9, proptest, damage)
    #[arg(long)]
    thorough: bool,
    /// Passed on to nextest: names of tests, `-p CRATE`, `-E EXPRESSION` …
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    nextest: Vec<String>,
}

/// Installs what the tests need and runs them; documentation tests too, unless some were picked.
pub(crate) fn run(arguments: &Args) -> Result<()> {
    let programs = setup::run()?;
    let mut nextest = cargo(["nextest", "run", "--workspace"]);
    nextest.args(&arguments.nextest);
    let mut commands = vec![nextest];
    if arguments.nextest.is_empty() {
        commands.push(cargo(["test", "--workspace", "--doc"]));
    }
    for command in &mut commands {
        command.envs(programs.variables());
        if arguments.thorough {
            command.env("STRONGROOM_THOROUGH", "1");
        }
        run_command(command)?;
    }
    Ok(())
}
