//! The vault's clock in this process: read from the system, kept in the database.

use std::fmt;
use std::sync::Arc;

use crate::Result;
use crate::database::commits::Commits;
use crate::records::clock as row;
use crate::records::leaves::{self, Act, Moment};
use crate::rules::clock::{Jump, Reading, VaultClock};
use crate::vault::Vault;

/// Reads the system's clocks.
#[derive(Clone)]
pub struct ReadClocks(Arc<dyn Fn() -> Reading + Send + Sync>);

impl ReadClocks {
    /// Reads clocks by `read`.
    pub fn new(read: impl Fn() -> Reading + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
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
pub(super) fn open(commits: &Commits, clocks: &ReadClocks, origin: &str) -> Result<VaultClock> {
    let reading = clocks.read();
    let origin = origin.to_owned();
    commits.commit(move |transaction| {
        if let Some(before) = row::read(transaction)? {
            return Ok(before);
        }
        let clock = VaultClock::begin(reading.clone());
        row::write(transaction, &clock)?;
        let origin = origin.clone();
        leaves::append(transaction, moment_of(&clock), &Act::Made { origin })?;
        Ok(clock)
    })
}

/// The clock one step on; a jump is told in the log.
fn advance(
    transaction: &mut dyn crate::database::Transaction,
    before: &VaultClock,
    reading: &Reading,
) -> Result<VaultClock> {
    let (clock, jump) = before.step(reading.clone());
    // A clock that is doubted already jumps no further.
    if let Some(Jump::Wall(by_ms) | Jump::Off(by_ms)) = jump.filter(|_| !before.is_doubted) {
        leaves::append(transaction, moment_of(&clock), &Act::ClockJump { by_ms })?;
    }
    Ok(clock)
}

const fn moment_of(clock: &VaultClock) -> Moment {
    Moment {
        recorded_ms: clock.recorded_ms,
        vault_ms: clock.vault_ms,
    }
}

impl Vault {
    /// What time it is here.
    pub fn now(&self) -> Moment {
        let reading = self.shared.read_clocks.read();
        let (clock, _) = self.shared.clock.lock().step(reading);
        moment_of(&clock)
    }

    /// The boot clock, in milliseconds: for pauses and ages within one process.
    pub(crate) fn boot_ms(&self) -> i64 {
        self.shared.read_clocks.read().boottime_ms
    }

    /// Whether a jump of the clocks was seen that nobody has confirmed.
    pub fn is_clock_doubted(&self) -> bool {
        let reading = self.shared.read_clocks.read();
        self.shared.clock.lock().step(reading).0.is_doubted
    }

    /// Tells the log that a process begins to serve, after a first look at the clocks.
    ///
    /// # Errors
    /// Those of the database.
    pub fn begin_serving(&self) -> Result<()> {
        self.tick()?;
        let now = self.now();
        self.shared.commits.commit(move |transaction| {
            let version = env!("CARGO_PKG_VERSION");
            leaves::append(transaction, now, &Act::Start { version })?;
            Ok(())
        })
    }

    /// Moves the clock on; to be called every few seconds by one process of those that share a
    /// database. The others take over what it wrote.
    ///
    /// # Errors
    /// Those of the database.
    pub fn tick(&self) -> Result<()> {
        let reading = self.shared.read_clocks.read();
        let clock = self.shared.commits.commit(move |transaction| {
            let Some(before) = row::read(transaction)? else {
                return Ok(VaultClock::begin(reading.clone()));
            };
            let clock = advance(transaction, &before, &reading)?;
            row::write(transaction, &clock)?;
            Ok(clock)
        })?;
        *self.shared.clock.lock() = clock;
        Ok(())
    }

    /// Believes the wall clock again, after an operator has looked at it.
    ///
    /// # Errors
    /// Those of the database.
    pub fn confirm_clock(&self) -> Result<()> {
        self.tick()?;
        let clock = self.shared.commits.commit(|transaction| {
            let clock = row::read(transaction)?.ok_or_else(super::no_answer)?;
            if !clock.is_doubted {
                return Ok(clock);
            }
            let clock = clock.confirm();
            row::write(transaction, &clock)?;
            leaves::append(transaction, moment_of(&clock), &Act::ClockConfirmed)?;
            Ok(clock)
        })?;
        *self.shared.clock.lock() = clock;
        Ok(())
    }
}
