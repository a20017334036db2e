//! `strongroom-vault clock`: what time it is for the vault.

use jiff::Timestamp;
use strongroom_model::Period;
use strongroom_vault::people::Who;
use strongroom_vault::rules::clock::{MINUTE_MS, VaultClock};
use strongroom_vault::vault::Seen;
use strongroom_vault::{Result, Vault};

use crate::command::{Which, print, refused, time};

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
///
/// What is recorded from then on has the time of the wall clock, and that never runs back. So where
/// it is more than a day from what was recorded last, it has to be said what it shows.
///
/// While the vault is off its own time stands still, and catches that up by an hour a day; where
/// that takes too long, --catch-up has it catch up at once, no more than it was off. How long that
/// was the vault knows from the machine's clock alone, where the machine was off too. So more than a
/// day, all within a day, is caught up only with --wall, the time by another clock; and what becomes
/// due by it is purged a day later.
#[derive(Debug, clap::Args)]
pub(crate) struct Confirm {
    #[command(flatten)]
    which: Which,
    /// What the wall clock shows, to the minute, as 2026-11-28T10:00:00Z
    #[arg(long, value_name = "TIME")]
    wall: Option<Timestamp>,
    /// How much of the time off vault time catches up at once, as 12h
    #[arg(long, value_name = "PERIOD")]
    catch_up: Option<Period>,
}

impl Command {
    pub(crate) fn run(self) -> Result<()> {
        match self {
            Self::Show(args) => {
                let vault = args.which.open()?;
                let shown = show(&vault).map(drop);
                // Where no server runs, it was this process that moved the clock.
                vault.release_leases()?;
                shown
            }
            Self::Confirm(args) => {
                let vault = args.which.open()?;
                let done = args.confirm(&vault);
                vault.release_leases()?;
                done
            }
        }
    }
}

impl Confirm {
    fn confirm(&self, vault: &Vault) -> Result<()> {
        let before = show(vault)?;
        let seen = Seen {
            wall_ms: self.wall.map(Timestamp::as_millisecond),
            catch_up_ms: self.catch_up.map(Period::milliseconds),
        };
        refused(vault, vault.confirm_clock(Who::Folder, seen), None)?;
        let after = vault.now();
        print(match before.is_doubted {
            true => format!(
                "The wall clock is believed; recorded time is {}",
                time(after.recorded_ms)
            ),
            false => "The clock was not doubted".to_owned(),
        })?;
        match self.catch_up {
            Some(_) => print(format_args!("Vault time is {}", time(after.vault_ms))),
            None => Ok(()),
        }
    }
}

/// Shows the clocks as they stand now; returns the clock as the database has it, which another
/// process may have looked at some seconds ago.
fn show(vault: &Vault) -> Result<VaultClock> {
    let clock = vault.clock()?;
    let now = vault.now();
    print(format_args!("wall clock     {}", time(clock.last.wall_ms)))?;
    print(format_args!("recorded time  {}", time(now.recorded_ms)))?;
    print(format_args!("vault time     {}", time(now.vault_ms)))?;
    let may_min = clock.may_catch_up_ms() / MINUTE_MS;
    if may_min > 0 {
        // No command that only has to be typed: whoever set the clock may have set this.
        print(format_args!(
            "The clocks say that it was off, and it catches that up by an hour a day: {may_min} \
             minutes are left. Where you know that it was off, it can be sooner: \
             strongroom-vault clock confirm --help"
        ))?;
    }
    if let Some(until_ms) = clock.leap_holds_until_ms() {
        print(format_args!(
            "An operator has had it catch up more than a day: what became due by that alone is not \
             purged before {}, by vault time",
            time(until_ms)
        ))?;
    }
    if clock.is_doubted {
        print(
            "It is doubted, and nothing is purged: look at the machine's clock; then: \
             strongroom-vault clock confirm",
        )?;
    }
    Ok(clock)
}
