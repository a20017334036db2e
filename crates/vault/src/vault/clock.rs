//! The vault's clock in this process: read from the system, kept in the database.
//!
//! The process that holds the lease moves the row; the others read it.

use std::fmt;
use std::sync::Arc;

use crate::Result;
use crate::database::commits::Commits;
use crate::database::lease::Holder;
use crate::database::{Database, Transaction};
use crate::records::clock as row;
use crate::records::leaves::{self, Act, Moment};
use crate::rules::clock::{Drift, Jump, ProcessClock, Reading, Shown, VaultClock};
use crate::vault::jobs::{self, Job};
use crate::vault::{Vault, no_answer};

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
    let mut found = None;
    database.read(&mut |transaction| {
        let is_moved = jobs::holder(transaction, Job::Clock)?.is_some();
        found = row::read(transaction)?.map(|row| (row, is_moved));
        Ok(())
    })?;
    Ok(found)
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
    }
    leaves::note_time(transaction, moment_of(&clock))?;
    Ok(clock)
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
    /// right what one that died may have left undone.
    ///
    /// # Errors
    /// Those of database and storage.
    pub fn begin_serving(&self) -> Result<()> {
        self.tick()?;
        self.mend_configs()?;
        let now = self.now();
        self.shared.commits.commit(move |transaction| {
            let version = env!("CARGO_PKG_VERSION");
            leaves::append(transaction, now, &Act::Start { version })?;
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

    /// Believes the wall clock again, after an operator has looked at it: that of the process that
    /// moves the clock, or else of this one.
    ///
    /// # Errors
    /// Those of the database.
    pub fn confirm_clock(&self) -> Result<()> {
        self.tick()?;
        let row = self.shared.commits.commit(|transaction| {
            let clock = row::read(transaction)?.ok_or_else(no_answer)?;
            if !clock.is_doubted {
                return Ok(clock);
            }
            let clock = clock.confirm();
            row::write(transaction, &clock)?;
            leaves::append(transaction, moment_of(&clock), &Act::ClockConfirmed)?;
            Ok(clock)
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
