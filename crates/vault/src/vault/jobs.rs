//! Jobs that are done by one process at a time, of all that share a database.
//!
//! [`Vault::run_job`] does a job under its lease, or finds that another process does it:
//!
//! ```text
//! vault.run_job(Job::Scrub, |held| {
//!     for step in steps {
//!         // Before each step, none of which takes 20 s.
//!         held.keep()?;
//!         let lease = held.lease();
//!         commits.commit(move |transaction| {
//!             lease.require(transaction)?;
//!             // What must happen once.
//!             Ok(())
//!         })?;
//!     }
//!     Ok(())
//! })?;
//! ```
//!
//! What can go wrong: a process sleeps in the middle of a job, and another takes it over. Whatever
//! the first one does then must be harmless: in the database [`Lease::require`] sees to it, outside
//! of it bytes are written under names that say what they are, and removed under names that are
//! never used again.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use parking_lot::Mutex;

use crate::database::Transaction;
use crate::database::lease::{self, Holder, LENGTH_MS, Lease, RENEW_MS};
use crate::records::coming;
use crate::vault::Vault;
use crate::{Error, Result};

/// A job that is done by one process at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// Moves the vault's clock.
    Clock,
    /// Publishes the log.
    Log,
    /// Removes what is due.
    Purge,
    /// Reads what is stored, to find what is rotten.
    Scrub,
    /// Asks witnesses to cosign the log.
    Witness,
    /// Reads the log's files, to find what was changed.
    LookBack,
    /// Lets go of moments that nobody needs.
    Moments,
    /// Sends what is to be told.
    Notices,
}

impl Job {
    /// All jobs, in order.
    const ALL: [Self; 8] = [
        Self::Clock,
        Self::Log,
        Self::Purge,
        Self::Scrub,
        Self::Witness,
        Self::LookBack,
        Self::Moments,
        Self::Notices,
    ];

    /// The name of its lease.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Log => "log",
            Self::Purge => "purge",
            Self::Scrub => "scrub",
            Self::Witness => "witness",
            Self::LookBack => "look-back",
            Self::Moments => "moments",
            Self::Notices => "notices",
        }
    }

    /// Whether it is done again so soon that its lease is kept meanwhile.
    const fn is_constant(self) -> bool {
        matches!(
            self,
            Self::Clock | Self::Log | Self::Witness | Self::LookBack | Self::Notices
        )
    }
}

/// Who holds the lease of a job.
///
/// # Errors
/// Those of the database.
pub(super) fn holder(transaction: &mut dyn Transaction, job: Job) -> Result<Option<Holder>> {
    let now_ms = transaction.lease_ms()?;
    lease::holder(transaction, job.name(), now_ms, LENGTH_MS)
}

/// What this process knows of its leases.
#[derive(Debug)]
pub(super) struct Leases {
    holder: Holder,
    /// When it last took or renewed each, by its boot clock; `None` where it does not hold it.
    /// Locked while the job is done here.
    renewed_ms: [Mutex<Option<i64>>; Job::ALL.len()],
    /// The process stops.
    is_ending: AtomicBool,
}

impl Leases {
    pub(super) fn new(holder: Holder) -> Self {
        Self {
            holder,
            renewed_ms: Default::default(),
            is_ending: AtomicBool::new(false),
        }
    }

    fn renewed_ms(&self, job: Job) -> &Mutex<Option<i64>> {
        let [
            clock,
            log,
            purge,
            scrub,
            witness,
            look_back,
            moments,
            notices,
        ] = &self.renewed_ms;
        match job {
            Job::Clock => clock,
            Job::Log => log,
            Job::Purge => purge,
            Job::Scrub => scrub,
            Job::Witness => witness,
            Job::LookBack => look_back,
            Job::Moments => moments,
            Job::Notices => notices,
        }
    }

    pub(super) const fn lease(&self, job: Job) -> Lease {
        Lease {
            name: job.name(),
            holder: self.holder,
        }
    }
}

/// The lease of a job that is being done.
#[derive(Debug)]
pub struct Held<'v> {
    vault: &'v Vault,
    job: Job,
    renewed_ms: AtomicI64,
}

impl Held<'_> {
    /// Renews the lease where it is time to; to be called before each step, and at least every
    /// 20 s.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] where it has run out, and the job must stop; those of the database.
    pub fn keep(&self) -> Result<()> {
        let now_ms = self.vault.boottime_ms();
        if !is_due(self.renewed_ms.load(Ordering::Relaxed), now_ms) {
            return Ok(());
        }
        let lease = self.lease();
        let is_renewed = self.vault.shared.commits.commit(move |transaction| {
            let now_ms = transaction.lease_ms()?;
            lease.renew(transaction, now_ms, now_ms.saturating_add(LENGTH_MS))
        })?;
        if !is_renewed {
            let job = self.job.name();
            return Err(Error::LeaseLost { job });
        }
        self.renewed_ms.store(now_ms, Ordering::Relaxed);
        Ok(())
    }

    /// Whether the job goes on with its next step; a process that stops must not wait for all of a
    /// long one. To be asked where it can end without harm.
    pub fn goes_on(&self) -> bool {
        !self.vault.is_ending()
    }

    /// The lease, for the transactions of the job: each begins with [`Lease::require`].
    pub fn lease(&self) -> Lease {
        self.vault.shared.leases.lease(self.job)
    }
}

impl Vault {
    /// Does a job under its lease; `None` where another process does it, or took it over
    /// meanwhile.
    ///
    /// # Errors
    /// Those of the work and of the database; another process may then try.
    pub fn run_job<T>(
        &self,
        job: Job,
        work: impl FnOnce(&Held<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        let Some(mut renewed_ms) = self.shared.leases.renewed_ms(job).try_lock() else {
            return Ok(None);
        };
        let Some(since_ms) = self.take(job, *renewed_ms)? else {
            *renewed_ms = None;
            return Ok(None);
        };
        let held = Held {
            vault: self,
            job,
            renewed_ms: AtomicI64::new(since_ms),
        };
        let outcome = work(&held);
        *renewed_ms = None;
        match outcome {
            Ok(done) if job.is_constant() => {
                *renewed_ms = Some(held.renewed_ms.into_inner());
                Ok(Some(done))
            }
            Ok(done) => {
                self.release(&[job])?;
                Ok(Some(done))
            }
            Err(Error::LeaseLost { .. }) => {
                tracing::info!(job = job.name(), "Another process has taken over");
                Ok(None)
            }
            Err(error) => {
                // Where even this fails, the lease ends by itself.
                let _ = self.release(&[job]);
                Err(error)
            }
        }
    }

    /// Has long jobs end at their next step, and none of them begin any more; for a process that
    /// stops. Short ones, as publishing, go on.
    pub fn end_jobs(&self) {
        self.shared.leases.is_ending.store(true, Ordering::Relaxed);
    }

    /// Whether the process stops, and long work is to end at its next step.
    pub(super) fn is_ending(&self) -> bool {
        self.shared.leases.is_ending.load(Ordering::Relaxed)
    }

    /// Gives back all leases, so that no other process has to wait for their end.
    ///
    /// # Errors
    /// Those of the database; the leases then end by themselves.
    pub fn release_leases(&self) -> Result<()> {
        for job in Job::ALL {
            // One that is still under way finds out when it renews its lease.
            if let Some(mut renewed_ms) = self.shared.leases.renewed_ms(job).try_lock() {
                *renewed_ms = None;
            }
        }
        self.release(&Job::ALL)
    }

    /// Ends the leases of all processes that were there before, and leaves the receipts that they were
    /// taking; only for who knows that none of them lives.
    ///
    /// # Errors
    /// Those of the database.
    pub fn end_leases_of_the_dead(&self) -> Result<()> {
        self.shared.drift.lock().forget_others();
        self.shared.commits.commit(|transaction| {
            coming::leave_all(transaction)?;
            lease::end_all(transaction)
        })
    }

    /// Takes the lease of a job, or finds that it is held since a moment ago; returns when it was
    /// taken or renewed last, and `None` where another process holds it.
    fn take(&self, job: Job, renewed_ms: Option<i64>) -> Result<Option<i64>> {
        let now_ms = self.boottime_ms();
        if renewed_ms.is_some_and(|renewed_ms| !is_due(renewed_ms, now_ms)) {
            return Ok(renewed_ms);
        }
        let lease = self.shared.leases.lease(job);
        // Most often it is another's: to see that nothing needs to be written.
        let holder = self.read(|transaction| holder(transaction, job))?;
        if holder.is_some_and(|holder| holder != lease.holder) {
            return Ok(None);
        }
        let is_taken = self.shared.commits.commit(move |transaction| {
            let now_ms = transaction.lease_ms()?;
            lease.acquire(transaction, now_ms, now_ms.saturating_add(LENGTH_MS))
        })?;
        Ok(is_taken.then_some(now_ms))
    }

    fn release(&self, jobs: &[Job]) -> Result<()> {
        let leases: Vec<_> = jobs
            .iter()
            .map(|job| self.shared.leases.lease(*job))
            .collect();
        self.shared.commits.commit(move |transaction| {
            leases
                .iter()
                .try_for_each(|lease| lease.release(transaction))
        })
    }

    fn boottime_ms(&self) -> i64 {
        self.shared.read_clocks.read().boottime_ms
    }
}

/// Whether a lease that was renewed at a time of the boot clock has to be renewed now.
fn is_due(renewed_ms: i64, now_ms: i64) -> bool {
    !(0..RENEW_MS).contains(&now_ms.saturating_sub(renewed_ms))
}
