//! `strongroom-vault operators`: the link by which the first operator comes.

use strongroom_vault::people::Who;
use strongroom_vault::{Error, Result, opening};

use crate::command::{Which, print};

/// The people who rule the vault
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Link(Link),
}

/// Print the link by which the first operator comes, once, and which ends the one before
///
/// To be opened in the browser in which he will work, under the address in public_url. From the
/// moment on at which he has said his name, nobody administers the vault by having its folder.
#[derive(Debug, clap::Args)]
pub(crate) struct Link {
    #[command(flatten)]
    which: Which,
}

impl Command {
    pub(crate) fn run(self) -> Result<()> {
        match self {
            Self::Link(args) => args.run(),
        }
    }
}

impl Link {
    fn run(&self) -> Result<()> {
        let config = self.which.config()?;
        let url = config.public_url.clone().ok_or_else(|| Error::Refused {
            reason:
                "passkeys are bound to an address, and none is configured: write public_url in \
                     vault.toml, and restart the vault"
                    .to_owned(),
        })?;
        let people = opening::people(&config, self.which.open()?)?;
        let link = people.first_link()?;
        print(format_args!("{}/-/join/{}", url.origin(), link.reveal()))
    }
}

/// Seal the vault, so that nothing is destroyed, loosened or newly trusted
///
/// Uploads and restores go on. Opening the seal takes the approval of operators, and a day. Once there
/// are operators they seal, on any page or by a seal code.
#[derive(Debug, clap::Args)]
pub(crate) struct Seal {
    #[command(flatten)]
    which: Which,
}

impl Seal {
    pub(crate) fn run(&self) -> Result<()> {
        let vault = self.which.open()?;
        let people = opening::people(&self.which.config()?, vault)?;
        people.seal(Who::Folder)?;
        print("The vault is sealed")
    }
}
