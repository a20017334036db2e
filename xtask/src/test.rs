//! `cargo xtask test`: the whole truth about the tests in one command.
//!
//! The programs come first: a test that needs restic must fail without it, never skip, and the
//! person who runs this on a fresh machine should not have to know what to install.

use anyhow::Result;
use clap::Args as ClapArgs;

use crate::run::{cargo, cores, run as run_command};
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

/// What nextest calls a run that goes on for longer, of whose tests each may take a day.
const THOROUGH: &str = "thorough";

/// What nextest hears of how many tests it runs at once.
const THREADS: &str = "NEXTEST_TEST_THREADS";

/// Many tests wait for clocks, disks and servers of theirs: half as many again as there are cores.
const fn tests_at_once(cores: usize) -> usize {
    cores + cores.div_ceil(2)
}

/// Installs what the tests need and runs them. Documentation has no examples that could be run:
/// `tidy` sees to it.
pub(crate) fn run(arguments: &Args) -> Result<()> {
    let programs = setup::run()?;
    // Examples hold no tests, and lint sees that they build.
    let mut nextest = cargo(["nextest", "run", "--workspace", "--tests"]);
    if arguments.thorough {
        nextest.args(["--profile", THOROUGH]);
    }
    nextest.args(&arguments.nextest);
    if std::env::var_os(THREADS).is_none() {
        nextest.env(THREADS, tests_at_once(cores()).to_string());
    }
    nextest.envs(programs.variables());
    if arguments.thorough {
        nextest.env("STRONGROOM_THOROUGH", "1");
    }
    run_command(&mut nextest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_goes_on_for_longer_has_limits_of_its_own() {
        let profiles = include_str!("../../.config/nextest.toml");
        assert!(profiles.contains(&format!("[profile.{THOROUGH}]")));
    }
}
