//! The commands of the vault's program.

mod clock;
mod doctor;
mod hide;
mod init;
mod key;
mod log;
mod repository;
mod serve;
mod token;
mod undelete;
mod upkeep;
mod witness;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Subcommand;
use strongroom_vault::config::VaultConfig;
use strongroom_vault::{Error, Result, Vault, opening};

/// The commands.
#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true)]
pub(crate) enum Command {
    Init(init::Args),
    Serve(serve::Args),
    #[command(subcommand)]
    Token(token::Command),
    #[command(subcommand)]
    Repository(repository::Command),
    #[command(subcommand)]
    Key(key::Command),
    Undelete(undelete::Args),
    Hide(hide::Hide),
    Unhide(hide::Unhide),
    #[command(subcommand)]
    Clock(clock::Command),
    #[command(subcommand)]
    Log(log::Command),
    #[command(subcommand)]
    Witness(witness::Command),
    Doctor(doctor::Args),
}

impl Command {
    /// Does it.
    pub(crate) fn run(self) -> Result<()> {
        match self {
            Self::Init(args) => args.run(),
            Self::Serve(args) => args.run(),
            Self::Token(command) => command.run(),
            Self::Repository(command) => command.run(),
            Self::Key(command) => command.run(),
            Self::Undelete(args) => args.run(),
            Self::Hide(args) => args.run(),
            Self::Unhide(args) => args.run(),
            Self::Clock(command) => command.run(),
            Self::Log(command) => command.run(),
            Self::Witness(command) => command.run(),
            Self::Doctor(args) => args.run(),
        }
    }
}

/// Which vault a command is about.
#[derive(Debug, clap::Args)]
struct Which {
    /// The configuration, as init has made it
    #[arg(long, value_name = "PATH")]
    config: PathBuf,
}

impl Which {
    fn config(&self) -> Result<VaultConfig> {
        VaultConfig::open(&self.config, &|name| std::env::var(name).ok())
    }

    fn open(&self) -> Result<Vault> {
        opening::open(&self.config()?)
    }
}

/// Prints a line of data.
fn print(line: impl std::fmt::Display) -> Result<()> {
    let told = writeln!(io::stdout().lock(), "{line}");
    told.map_err(Error::local("write to standard output"))
}

/// Prints a line of JSON, as the API tells it.
fn print_json(line: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string(line).map_err(|error| Error::Local {
        action: "write JSON".to_owned(),
        source: error.into(),
    })?;
    print(text)
}

/// A time of a vault, as people read it.
fn time(ms: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(ms);
    time.map_or_else(|_| "?".to_owned(), |time| time.to_string())
}
