//! The vault's clock in this process: read from the system, kept in the database.
//!
//! The process that holds the lease moves the row; the others read it.

use std::fmt;
use std::sync::Arc;

use strongroom_access::Act as Permitted;

use crate::database::commits::Commits;
use crate::database::lease::Holder;
use crate::database::{Database, Transaction};
use crate::people::{Who, allow};
use crate::records::clock as row;
use crate::records::leaves::{self, Act, By, Configured, Moment};
use crate::records::vital;
use crate::rules::clock::{
    Drift, JUMP_MS, Jump, ProcessClock, Reading, SECOND_MS, Shown, VaultClock,
};
use crate::vault::jobs::{self, Job};
use crate::vault::notices as tell;
use crate::vault::{Vault, no_answer};
use crate::{Error, Result};

/// Reads the system's clocks.
#[derive(Clone)]
pub struct ReadClocks(Arc<dyn Fn() -> Reading + Send + Sync>);

impl ReadClocks {
    /// Reads clocks by `read`.
    pub fn new(read: impl Fn() -> Reading + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// The same clocks, as one run of a process reads them.
    pub(super) fn of_run(self, holder: Holder) -> Self {
        Self::new(move || {
            let reading = self.read();
            Reading {
                boot: format!("{} {holder}", reading.boot),
                ..reading
            }
        })
    }

    pub(super) fn read(&self) -> Reading {
        (self.0)()
    }
}

impl fmt::Debug for ReadClocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadClocks")
    }
}

/// What an operator has seen, and wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// What the wall clock shows, to the minute.
    pub wall_ms: Option<i64>,
    /// By how much vault time shall catch up at once.
    pub catch_up_ms: Option<i64>,
}

/// Reads the clock at the start of a process; begins that of a new vault.
pub(super) fn open(
    database: &dyn Database,
    commits: &Commits,
    clocks: &ReadClocks,
    origin: &str,
) -> Result<(ProcessClock, Drift)> {
    let begin = |row: VaultClock, is_moved: bool| {
        let at = clocks.read();
        let mut drift = Drift::new(at.clone());
        drift.look(&row, &at, is_moved);
        (ProcessClock::new(row, at, is_moved), drift)
    };
    if let Some((row, is_moved)) = look(database)? {
        return Ok(begin(row, is_moved));
    }
    let reading = clocks.read();
    let origin = origin.to_owned();
    let row = commits.commit(move |transaction| {
        if let Some(before) = row::read(transaction)? {
            return Ok(before);
        }
        let clock = VaultClock::begin(reading.clone());
        row::write(transaction, &clock)?;
        let origin = origin.clone();
        leaves::append(transaction, moment_of(&clock), &Act::Made { origin })?;
        Ok(clock)
    })?;
    Ok(begin(row, false))
}

/// The row, and whether a process lives that moves it; `None` in a new database.
fn look(database: &dyn Database) -> Result<Option<(VaultClock, bool)>> {
    database.look(|transaction| {
        let is_moved = jobs::holder(transaction, Job::Clock)?.is_some();
        Ok(row::read(transaction)?.map(|row| (row, is_moved)))
    })
}

/// The clock one step on; a jump is told in the log.
fn advance(
    transaction: &mut dyn Transaction,
    before: &VaultClock,
    drift: &Drift,
    reading: &Reading,
) -> Result<VaultClock> {
    let (clock, jump) = drift.step(before, reading.clone());
    // A clock that is doubted already jumps no further.
    if let Some(Jump::Wall(by_ms) | Jump::Off(by_ms)) = jump.filter(|_| !before.is_doubted) {
        leaves::append(transaction, moment_of(&clock), &Act::ClockJump { by_ms })?;
        tell::clock_jump(transaction, moment_of(&clock), by_ms)?;
    }
    leaves::note_time(transaction, moment_of(&clock))?;
    Ok(clock)
}

/// Fails where an operator has not seen what the wall clock shows, and should have.
///
/// **Security:** recorded time never runs back. Whoever believes a wrong clock once dates all that
/// Believes the clock, and has vault time catch up, in a transaction that may; returns the row as it is
/// then.
pub(crate) fn confirm_clock_in(
    transaction: &mut dyn Transaction,
    seen: Seen,
    by: Option<By>,
) -> Result<VaultClock> {
    let mut clock = row::read(transaction)?.ok_or_else(no_answer)?;
    check_wall(&clock, seen)?;
    if clock.is_doubted {
        clock = clock.confirm();
        leaves::append(
            transaction,
            moment_of(&clock),
            &Act::ClockConfirmed { by: by.clone() },
        )?;
    }
    if let Some(by_ms) = seen.catch_up_ms {
        let may_ms = clock.may_catch_up_ms();
        if by_ms > may_ms {
            return Err(Error::CatchUp {
                wanted_s: by_ms / SECOND_MS,
                may_s: may_ms / SECOND_MS,
            });
        }
        // **Security:** after a reboot only the wall clock tells how long the vault was off,
        // and whoever rules that clock would so be given all of the grace.
        if clock.is_long_leap(by_ms) && seen.wall_ms.is_none() {
            return Err(Error::CatchUpUnseen {
                wanted_s: by_ms / SECOND_MS,
            });
        }
        clock = clock.catch_up(by_ms);
        leaves::append(
            transaction,
            moment_of(&clock),
            &Act::ClockCaughtUp { by_ms, by },
        )?;
    }
    row::write(transaction, &clock)?;
    Ok(clock)
}

/// comes by it, and the as-of view with it.
fn check_wall(clock: &VaultClock, seen: Seen) -> Result<()> {
    let is_right = match seen.wall_ms {
        Some(wall_ms) => {
            let apart_ms = wall_ms.saturating_sub(clock.last.wall_ms);
            apart_ms.saturating_abs() <= JUMP_MS
        }
        None => !(clock.is_doubted && clock.is_leap()),
    };
    match is_right {
        true => Ok(()),
        false => Err(Error::WallClock {
            wall: leaves::timestamp(clock.last.wall_ms)?,
            recorded: leaves::timestamp(clock.recorded_ms)?,
        }),
    }
}

const fn moment_of(clock: &VaultClock) -> Moment {
    Moment {
        recorded_ms: clock.recorded_ms,
        vault_ms: clock.vault_ms,
    }
}

impl Vault {
    /// What time it is here; of two processes one may be some seconds behind the other.
    pub fn now(&self) -> Moment {
        let shown = self.shown();
        Moment {
            recorded_ms: shown.recorded_ms,
            vault_ms: shown.vault_ms,
        }
    }

    /// The boot clock, in milliseconds: for pauses and ages within one process.
    pub(crate) fn boot_ms(&self) -> i64 {
        self.shared.read_clocks.read().boottime_ms
    }

    /// The wall clock as the system has it, for what follows that: codes of TOTP.
    pub(crate) fn wall_ms(&self) -> i64 {
        self.shared.read_clocks.read().wall_ms
    }

    /// Whether a jump of the clocks was seen that nobody has confirmed.
    pub fn is_clock_doubted(&self) -> bool {
        self.shown().is_doubted
    }

    /// The clock as it stands now.
    pub fn shown(&self) -> Shown {
        let reading = self.shared.read_clocks.read();
        self.shared.clock.lock().now(&reading)
    }

    /// Tells the log that a process begins to serve, after a first look at the clocks, and puts
    /// right what one that died may have left undone, or one of an older version uncounted.
    ///
    /// # Errors
    /// Those of database and storage.
    pub fn begin_serving(&self, configured: Option<&Configured>) -> Result<()> {
        self.mend_configs()?;
        self.tell_start(configured)
    }

    /// As [`Self::begin_serving`], without what needs the storage.
    ///
    /// # Errors
    /// Those of the database.
    pub fn tell_start(&self, configured: Option<&Configured>) -> Result<()> {
        self.tick()?;
        let (now, configured) = (self.now(), configured.cloned());
        self.shared.commits.commit(move |transaction| {
            let act = Act::Start {
                version: env!("CARGO_PKG_VERSION"),
                configured: configured.clone(),
            };
            leaves::append(transaction, now, &act)?;
            let wrong = vital::mend(transaction)?;
            if wrong > 0 {
                tracing::warn!(
                    wrong,
                    "Counts of keys, index files or snapshots were wrong; they were counted anew"
                );
            }
            Ok(())
        })
    }

    /// Moves the clock on, or looks how far another process has moved it; to be called every few
    /// seconds.
    ///
    /// # Errors
    /// Those of the database.
    pub fn tick(&self) -> Result<()> {
        let moved = self.run_job(Job::Clock, |held| {
            let lease = held.lease();
            let drift = self.shared.drift.lock().clone();
            let reading = self.shared.read_clocks.read();
            self.shared.commits.commit(move |transaction| {
                lease.require(transaction)?;
                let before = row::read(transaction)?.ok_or_else(no_answer)?;
                let clock = advance(transaction, &before, &drift, &reading)?;
                row::write(transaction, &clock)?;
                Ok(clock)
            })
        })?;
        let (row, is_moved) = match moved {
            Some(row) => (row, true),
            None => look(&*self.shared.database)?.ok_or_else(no_answer)?,
        };
        self.look_at(row, is_moved);
        Ok(())
    }

    /// The clock as the database has it, after a look at the clocks of this machine where no other
    /// process moves it.
    ///
    /// # Errors
    /// Those of the database.
    pub fn clock(&self) -> Result<VaultClock> {
        self.tick()?;
        let (row, _) = look(&*self.shared.database)?.ok_or_else(no_answer)?;
        Ok(row)
    }

    /// Believes the wall clock again, after an operator has looked at it: that of the process that
    /// moves the clock, or else of this one. Has vault time catch up, where he says by how much.
    ///
    /// # Errors
    /// [`Error::WallClock`] where the wall clock is far from what is recorded, and he does not say
    /// that he has seen what it shows; [`Error::CatchUp`] where the vault was not off for so long;
    /// [`Error::CatchUpUnseen`] where it is more than a day, and he does not say what time it is;
    /// those of the database.
    pub fn confirm_clock(&self, who: Who, seen: Seen) -> Result<()> {
        self.tick()?;
        let row = self.shared.commits.commit(move |transaction| {
            let clock = row::read(transaction)?.ok_or_else(no_answer)?;
            let confirm = match seen.catch_up_ms {
                Some(by_ms) => Permitted::CatchUp { by_ms },
                None => Permitted::ConfirmClock { leaf: 0 },
            };
            let _permit = allow(transaction, moment_of(&clock), who, confirm)?;
            confirm_clock_in(transaction, seen, None)
        })?;
        self.look_at(row, true);
        Ok(())
    }

    /// What this process knows of the row from now on. The clocks are read after the row was.
    fn look_at(&self, row: VaultClock, is_moved: bool) {
        let at = self.shared.read_clocks.read();
        self.shared.drift.lock().look(&row, &at, is_moved);
        self.shared.clock.lock().look(row, at, is_moved);
    }
}
