//! What a person types: `cargo xtask setup`, `test`, `lint`, `tidy`, `bench`, `golden`, `fuzz`.
//!
//! One program instead of shell scripts, so that the same checks run on any machine and can be
//! tested. It links no crate of ours: it must still build when one of them does not.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool for people: its output is the terminal"
)]

mod bench;
mod fuzz;
mod golden;
mod lint;
mod run;
mod setup;
mod test;
mod tidy;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Builds, tests and measures Strongroom.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Installs the real programs that the tests need, or names what is missing
    Setup,
    /// Runs setup, then all the tests
    Test(test::Args),
    /// Checks formatting, clippy, the house rules, licences, bans and sources
    Lint,
    /// Checks the house rules that no other tool knows
    Tidy,
    /// Measures against restic and borg and writes docs/benchmarks.md
    Bench(bench::Args),
    /// Writes a new golden repository with a real restic or rustic
    Golden(golden::Args),
    /// Searches for inputs that break a parser
    Fuzz(fuzz::Args),
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Setup => setup::run().map(drop),
        Command::Test(arguments) => test::run(&arguments),
        Command::Lint => lint::run(),
        Command::Tidy => tidy::run(),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Golden(arguments) => golden::run(&arguments),
        Command::Fuzz(arguments) => fuzz::run(&arguments),
    }
}
