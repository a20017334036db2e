//! `strongroom-vault operators`: the link by which the first operator comes.

use std::io::{self, BufRead, Read, Write};

use strongroom_model::Secret;
use strongroom_vault::people::{Recovering, Who};
use strongroom_vault::{Error, Result, opening};

use crate::command::{Which, print, time};

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

/// Bring a new first link where all operators are gone, by the code on paper
///
/// The code is read from standard input. Everybody is told, and any operator can stop it; after seven
/// days the same command prints a link, and all who counted until then are suspended. A seal stays.
#[derive(Debug, clap::Args)]
pub(crate) struct Recover {
    #[command(flatten)]
    which: Which,
}

/// The longest line that is read as a code.
const LONGEST_CODE: u64 = 256;

impl Recover {
    pub(crate) fn run(&self) -> Result<()> {
        let config = self.which.config()?;
        let people = opening::people(&config, self.which.open()?)?;
        eprint("The code on paper: ")?;
        let mut line = String::new();
        io::stdin()
            .lock()
            .take(LONGEST_CODE)
            .read_line(&mut line)
            .map_err(Error::local("read the code"))?;
        match people.recover(&Secret::new(line.trim())) {
            Ok(Recovering::Waits { due_ms }) => print(format_args!(
                "Everybody is told. From {} on, by vault time, this command prints a link, unless an \
                 operator stops it",
                time(due_ms)
            )),
            Ok(Recovering::Link(link)) => {
                let origin = people.origin().unwrap_or_default();
                print(format_args!("{origin}/-/join/{}", link.reveal()))
            }
            Err(Error::NotSignedIn) => Err(Error::Refused {
                reason: "that is not the code on paper, or it was used before".to_owned(),
            }),
            Err(error) => Err(error),
        }
    }
}

fn eprint(text: &str) -> Result<()> {
    let mut err = io::stderr().lock();
    let told = err.write_all(text.as_bytes()).and_then(|()| err.flush());
    told.map_err(Error::local("write to standard error"))
}
