//! `strongroom vault`: what the vault behind a copy says, and the administration of a vault.
//!
//! The first four commands ask with the credentials of a copy and go by the configuration. All
//! others need no configuration: they ask a vault at a URL, with the token of its administration.

mod accept_log;
mod admin;
mod clock;
mod key;
mod log;
mod repository;
mod snapshots;
mod status;
mod token;

use std::collections::BTreeSet;

use clap::Subcommand;
use strongroom_engine::state::StateFolder;
use strongroom_model::vault::VaultInfo;

use crate::context::Context;
use crate::copies;
use crate::error::{Error, Result};
use crate::exit::{Exit, MANUAL};
use crate::state_folder;
use crate::vaults::{Copies, Met, VaultCopy, Vaults};

/// Ask a vault, and administer one
///
/// A vault is a server that holds a copy for others and on which deletion is a request; its program
/// is strongroom-vault. What it says of a copy needs no more than that copy's credentials. To
/// administer it, be on its machine, and name its token for that, which lies in its folder.
///
/// Examples:
///   strongroom vault status offsite
///   strongroom vault log offsite
///   strongroom vault token create --at https://127.0.0.1:8000 --fingerprint 5A:0C:… \
///       --admin-token-file /var/lib/strongroom-vault/keys/admin.token \
///       --repository acme/repos --right append
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = MANUAL)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Status(status::Args),
    Log(log::Args),
    AcceptLog(accept_log::Args),
    Snapshots(snapshots::Args),
    Token(token::Args),
    Repository(repository::Args),
    Key(key::Args),
    Clock(clock::Args),
    Doctor(admin::Doctor),
}

/// Which copy a command is about.
#[derive(Debug, clap::Args)]
struct Which {
    /// The copy, as strongroom.toml names it
    #[arg(value_name = "COPY")]
    copy: String,
}

/// A copy at an address that a vault can have, and what is remembered.
struct Chosen {
    copies: Copies,
    state: StateFolder,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit> {
        match self.command {
            Command::Status(args) => args.run(context),
            Command::Log(args) => args.run(context),
            Command::AcceptLog(args) => args.run(context),
            Command::Snapshots(args) => args.run(context),
            Command::Token(args) => args.run(context),
            Command::Repository(args) => args.run(context),
            Command::Key(args) => args.run(context),
            Command::Clock(args) => args.run(context),
            Command::Doctor(args) => args.run(context),
        }
    }
}

impl Which {
    /// Finds the copy in the configuration; nothing is asked yet.
    fn choose(&self, context: &Context) -> Result<Chosen> {
        let config = context.config()?;
        copies::named(&config, &self.copy)?;
        let mut copies = context.copies(&config)?;
        copies.vaults.retain(|vault| vault.copy == self.copy);
        if copies.vaults.is_empty() {
            return Err(self.not_a_vault("its address is none that a vault can have"));
        }
        Ok(Chosen {
            copies,
            state: state_folder::choose()?,
        })
    }

    /// Meets the vault of the copy, and tells how its log stands.
    fn meet(&self, context: &Context) -> Result<Vaults> {
        let chosen = self.choose(context)?;
        let (copies, state) = (&chosen.copies, &chosen.state);
        let (vaults, ()) = context.meet(copies, state, || (), |()| BTreeSet::new())?;
        context.cancel.check()?;
        Ok(vaults)
    }

    /// The vault, which must answer.
    fn present<'a>(&self, vaults: &'a Vaults) -> Result<(&'a Met, &'a VaultInfo)> {
        let met = vaults.of(&self.copy);
        let info = met.and_then(|met| Some((met, met.info.as_deref()?)));
        info.ok_or_else(|| self.not_a_vault("no vault answers there"))
    }

    fn not_a_vault(&self, reason: &str) -> Error {
        Error::NotAVault {
            copy: self.copy.clone(),
            reason: reason.to_owned(),
        }
    }
}

impl Chosen {
    fn vault(&self, which: &Which) -> Result<&VaultCopy> {
        let vault = self.copies.vaults.first();
        vault.ok_or_else(|| which.not_a_vault("its address is none that a vault can have"))
    }
}
