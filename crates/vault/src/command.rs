//! The commands of the vault's program.

mod clock;
mod doctor;
mod hide;
mod init;
mod key;
mod log;
mod man;
mod notify;
mod operators;
mod repository;
mod serve;
mod token;
mod undelete;
mod upkeep;
mod witness;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Subcommand;
use strongroom_model::{Period, RepositoryPath};
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
    #[command(subcommand)]
    Operators(operators::Command),
    Seal(operators::Seal),
    RecoverOperators(operators::Recover),
    Undelete(undelete::Args),
    Hide(hide::Hide),
    Unhide(hide::Unhide),
    #[command(subcommand)]
    Clock(clock::Command),
    #[command(subcommand)]
    Log(log::Command),
    #[command(subcommand)]
    Witness(witness::Command),
    #[command(subcommand)]
    Notify(notify::Command),
    Doctor(doctor::Args),
    Man(man::Args),
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
            Self::Operators(command) => command.run(),
            Self::Seal(args) => args.run(),
            Self::RecoverOperators(args) => args.run(),
            Self::Undelete(args) => args.run(),
            Self::Hide(args) => args.run(),
            Self::Unhide(args) => args.run(),
            Self::Clock(command) => command.run(),
            Self::Log(command) => command.run(),
            Self::Witness(command) => command.run(),
            Self::Notify(command) => command.run(),
            Self::Doctor(args) => args.run(),
            Self::Man(args) => args.run(),
        }
    }
}

/// Where a vault lies that was set up as the unit of systemd has it.
const CONFIG: &str = "/var/lib/strongroom-vault/vault.toml";

/// Which vault a command is about.
#[derive(Debug, clap::Args)]
struct Which {
    /// The configuration, as init has made it
    #[arg(long, value_name = "PATH", env = "STRONGROOM_VAULT_CONFIG", default_value = CONFIG)]
    config: PathBuf,
}

impl Which {
    fn config(&self) -> Result<VaultConfig> {
        // Of a folder that this user may not enter it is not known whether it is there.
        let looked = self.config.try_exists();
        let is_there = looked.map_err(Error::of_vault(format!(
            "look at {}",
            self.config.display()
        )))?;
        if !is_there {
            let path = self.config.clone();
            return Err(Error::NoConfig { path });
        }
        VaultConfig::open(&self.config, &|name| std::env::var(name).ok())
    }

    /// Whether what is told to be typed means another vault, unless --config is typed as well.
    fn is_another(&self) -> bool {
        let meant = std::env::var_os("STRONGROOM_VAULT_CONFIG");
        self.config != meant.map_or_else(|| PathBuf::from(CONFIG), PathBuf::from)
    }

    fn open(&self) -> Result<Vault> {
        opening::open(&self.config()?)
    }
}

/// Has a refusal told in the log, as every act is; a process that ends tells it at once.
fn refused<T>(vault: &Vault, done: Result<T>, repository: Option<&RepositoryPath>) -> Result<T> {
    done.inspect_err(|error| {
        vault.note_refusal(error, false, None, repository);
        // That it is refused is told to whoever asked, also where the log cannot be written.
        let _ = vault.tell_refusals(true);
    })
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
        is_of_vault: false,
        source: error.into(),
    })?;
    print(text)
}

/// A length of time as people say it, in the largest unit that it is a whole number of.
fn spoken(ms: i64) -> String {
    Period::of_milliseconds(ms).spoken()
}

/// A time of a vault, as people read it.
fn time(ms: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(ms);
    time.map_or_else(|_| "?".to_owned(), |time| time.to_string())
}
