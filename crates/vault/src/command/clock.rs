//! `strongroom-vault clock`: what time it is for the vault.

use strongroom_vault::Result;

use crate::command::{Which, print, time};

/// The vault's clock
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Show(Show),
    Confirm(Confirm),
}

/// Show vault time, and whether the clock is doubted
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    #[command(flatten)]
    which: Which,
}

/// Say that the wall clock is right again, so that purging goes on
#[derive(Debug, clap::Args)]
pub(crate) struct Confirm {
    #[command(flatten)]
    which: Which,
}

impl Command {
    pub(crate) fn run(self) -> Result<()> {
        match self {
            Self::Show(args) => {
                let vault = args.which.open()?;
                let now = vault.now();
                print(format_args!(
                    "vault time {}, recorded time {}{}",
                    time(now.vault_ms),
                    time(now.recorded_ms),
                    match vault.is_clock_doubted() {
                        true => "; doubted: look at the clock, then strongroom-vault clock confirm",
                        false => "",
                    }
                ))
            }
            Self::Confirm(args) => {
                let vault = args.which.open()?;
                vault.confirm_clock()?;
                // Where no server runs, it was this process that moved the clock.
                vault.release_leases()?;
                print("The clock is believed")
            }
        }
    }
}
