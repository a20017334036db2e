//! Our locks on the copies, and what becomes of those of others.
//!
//! See [`strongroom_repo::lock`] for the race that a lock must win. A lock is renewed every five
//! minutes: first the new one is written, then the old one removed. Dead locks of our own host are
//! removed, and only those; [`reading`] tells which these are.
//!
//! A copy may be slow, hang, or belong to an attacker who answers just in time. So no copy waits
//! for another: each has a thread that renews its lock, from the moment when that was written, and
//! a thread that is still at it at the end of a run is left behind.

mod held;
mod reading;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use jiff::SignedDuration;
use strongroom_model::Id;
use strongroom_repo::lock::RENEW_EVERY;

use crate::removals::gather;
use crate::session::guarded::GuardedStore;
use crate::session::places::{LockedPlace, Places};
use crate::session::{
    CopyFailure, CopyFailureKind, CopyState, CopyStore, Environment, Looking, Session,
};
use crate::{Error, Listing, Result};

pub(super) use held::{Held, Standing};
pub use reading::{LockReport, LockState, read_locks};

/// The most locks of a copy that are read when it is locked: each is a request of its own.
const LOCKS_LIMIT: usize = 1000;

/// What to do about somebody else's lock.
pub(crate) const LOCKED_HINT: &str = "wait for the other process; if it was killed on this host, \
    its lock dies in 11 minutes; if elsewhere, `strongroom unlock` removes it after 30, and \
    `strongroom unlock --all` at once; if it comes back and is none of yours, whoever writes it has \
    the credentials of this copy: change these first";

/// What to do about a file among the locks that is none; `locks/` is never synced.
const JUNK_HINT: &str = "it holds up none of our runs, but restic's own; where nothing is running \
    anywhere: strongroom unlock --all";

/// How old a lock may be when it is written; the next one is due five minutes later.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(1);

/// How long the two looks of a copy may take together while it is locked.
///
/// A lock is at most one minute old when it is written, which takes two where the place hangs, for
/// nothing else is being written there yet; it counts as dead after 11 minutes at the earliest. With
/// six for the looks, every lock of a run is at most nine minutes old when the run begins, even one
/// that could not be renewed once meanwhile. And a copy that takes its time holds up the others for
/// no longer. In six minutes the names of a million packs, 16 TB, come at 2 Mbit/s, and whoever tells
/// them has just told them once.
const LONGEST_LOOKS: Duration = Duration::from_secs(6 * 60);

/// How soon a renewal that failed is tried again: often enough that a short outage costs nothing.
const TRY_AGAIN: Duration = Duration::from_secs(60);

/// How long a renewal that is under way is waited for at the end. It removes its lock by itself as
/// long as the process lives; after that our next run does, since the lock is noted.
const LONGEST_END: Duration = Duration::from_secs(2);

/// When locks are renewed, and how long copies are waited for.
#[derive(Debug, Clone)]
pub struct LockTimes {
    /// How often a lock is renewed.
    pub renew_every: Duration,
    /// How soon a renewal that failed is tried again.
    pub try_again: Duration,
    /// How long both looks of a copy that is locked may take together.
    pub longest_looks: Duration,
    /// How long a renewal that is under way is waited for at the end.
    pub longest_end: Duration,
}

/// The locks that this run holds; call [`Locks::release`] at its end, whatever happened.
#[derive(Debug)]
pub struct Locks {
    held: Arc<Held>,
    /// Ends when the last thread that renews a lock has.
    renewers: Option<Receiver<()>>,
}

impl Locks {
    /// Locks every copy of the session that can be used, all at once, and lists each anew: a prune
    /// that ended between the first listing and the lock may have removed what was listed.
    ///
    /// A copy on which somebody holds a conflicting lock, or which cannot be locked, is marked as
    /// failed in the session.
    ///
    /// # Errors
    /// Where no copy is left, and where the user interrupts.
    pub fn acquire(
        session: &mut Session,
        environment: &Environment,
        exclusive: bool,
    ) -> Result<Self> {
        Self::acquire_how(session, environment, exclusive, Order::AllAtOnce)
    }

    /// Locks every copy of the session that can be used exclusively, one after the other in the order
    /// of their names, and lists each anew: of two that do so at once, one gets all.
    ///
    /// A copy that cannot be locked is marked as failed in the session; but where somebody else is at
    /// work on one of them, nothing is locked at all, for what he writes there may need what is to
    /// be removed.
    ///
    /// # Errors
    /// [`Error::Locked`] where somebody else holds a lock; where no copy is left, and where the user
    /// interrupts.
    pub fn acquire_exclusively(session: &mut Session, environment: &Environment) -> Result<Self> {
        let before: BTreeSet<String> = session.ready().map(|(copy, _)| copy.name.clone()).collect();
        let locks = Self::acquire_how(session, environment, true, Order::ByName);
        let in_the_way = session.copies.iter().find_map(|copy| match &copy.state {
            CopyState::Failed(failure)
                if failure.kind == CopyFailureKind::Locked && before.contains(&copy.copy.name) =>
            {
                Some(Error::Locked {
                    copy: copy.copy.name.clone(),
                    lock: failure.reason.clone(),
                })
            }
            _ => None,
        });
        match (locks, in_the_way) {
            (Ok(mut locks), Some(error)) => {
                locks.release();
                Err(error)
            }
            (locks, _) => locks,
        }
    }

    fn acquire_how(
        session: &mut Session,
        environment: &Environment,
        exclusive: bool,
        order: Order,
    ) -> Result<Self> {
        let held = Arc::new(Held::new(session, environment, exclusive));
        let looking = Looking {
            longest: session
                .looking
                .longest
                .min(session.lock_times.longest_looks),
            cancel: session.looking.cancel.clone(),
        };
        let mut copies: Vec<CopyStore> = session.ready().map(|(copy, _)| copy.clone()).collect();
        let (alive, renewers) = channel();
        let outcomes: Vec<_> = match order {
            Order::AllAtOnce => acquire_at_once(&held, &copies, &looking, &alive)?,
            Order::ByName => {
                copies.sort_by(|one, other| one.name.cmp(&other.name));
                acquire_by_name(&held, &copies, &looking, &alive)?
            }
        };
        // Only those who renew hold it now.
        drop(alive);
        let mut places = Vec::new();
        for (copy, outcome) in outcomes {
            match outcome {
                Ok((listing, listed)) => {
                    places.push(LockedPlace {
                        copy: copy.name.clone(),
                        locks: held.made_for(&copy.name),
                        listed,
                    });
                    let store = Arc::clone(&copy.store);
                    let guarded = GuardedStore::new(store, &copy.name, Arc::clone(&held));
                    session.lock(&copy.name, listing, Arc::new(guarded));
                }
                Err(failure) => session.fail(&copy.name, failure),
            }
        }
        session.places = Places::of(places);
        let mut locks = Self {
            held,
            renewers: Some(renewers),
        };
        environment.cancel.check()?;
        // What somebody removed meanwhile is hidden too.
        gather(session);
        if session.ready().next().is_none() {
            locks.release();
            return Err(session.no_copy());
        }
        Ok(locks)
    }

    /// Removes all locks of this run; what cannot be removed is left to our next run.
    pub fn release(&mut self) {
        let Some(renewers) = self.renewers.take() else {
            return;
        };
        self.held.release();
        // Nobody sends anything.
        let longest = self.held.times.longest_end;
        if renewers.recv_timeout(longest) == Err(RecvTimeoutError::Timeout) {
            tracing::info!("A renewal of a lock is still under way; it removes its lock by itself");
        }
    }
}

impl Drop for Locks {
    fn drop(&mut self) {
        self.release();
    }
}

impl Default for LockTimes {
    fn default() -> Self {
        Self {
            renew_every: Duration::try_from(RENEW_EVERY).unwrap_or(Duration::from_secs(300)),
            try_again: TRY_AGAIN,
            longest_looks: LONGEST_LOOKS,
            longest_end: LONGEST_END,
        }
    }
}

/// In which order copies are locked.
#[derive(Debug, Clone, Copy)]
enum Order {
    /// Whoever shares them with others waits for nobody.
    AllAtOnce,
    /// Whoever wants them alone takes one after the other, as all who do.
    ByName,
}

/// What was found of a copy that is locked: what lies there, and all its locks.
type Locked = (Listing, BTreeSet<Id>);

/// A copy, and what came of locking it.
type Outcome<'c> = (&'c CopyStore, std::result::Result<Locked, CopyFailure>);

fn acquire_at_once<'c>(
    held: &Arc<Held>,
    copies: &'c [CopyStore],
    looking: &Looking,
    alive: &Sender<()>,
) -> Result<Vec<Outcome<'c>>> {
    let sealed = held.seal_all(copies)?;
    Ok(std::thread::scope(|scope| {
        let lock = |copy: &'c CopyStore, sealed| {
            let alive = alive.clone();
            scope.spawn(move || held.acquire_on(copy, sealed, looking, alive))
        };
        let threads: Vec<_> = copies
            .iter()
            .zip(sealed)
            .map(|(copy, sealed)| (copy, lock(copy, sealed)))
            .collect();
        let join = |(copy, thread): (&'c CopyStore, ScopedJoinHandle<'_, _>)| {
            let outcome = thread.join().unwrap_or_else(|_| Err(died()));
            (copy, outcome)
        };
        threads.into_iter().map(join).collect()
    }))
}

/// Ends with the first copy on which somebody else is at work.
fn acquire_by_name<'c>(
    held: &Arc<Held>,
    copies: &'c [CopyStore],
    looking: &Looking,
    alive: &Sender<()>,
) -> Result<Vec<Outcome<'c>>> {
    let mut outcomes = Vec::new();
    for copy in copies {
        let sealed = held.seal_all(std::slice::from_ref(copy));
        if sealed.is_err() {
            held.release();
        }
        for sealed in sealed? {
            let outcome = held.acquire_on(copy, sealed, looking, alive.clone());
            outcomes.push((copy, outcome));
        }
        let is_in_the_way = |failure: &CopyFailure| failure.kind == CopyFailureKind::Locked;
        if let Some((_, Err(failure))) = outcomes.last()
            && is_in_the_way(failure)
        {
            break;
        }
    }
    Ok(outcomes)
}

fn died() -> CopyFailure {
    CopyFailure::other("the thread that was to lock it died".to_owned())
}

#[cfg(test)]
mod tests {
    use strongroom_repo::lock::STALE_AFTER;
    use strongroom_store::patient::HANG_LIMIT;

    use super::*;

    #[test]
    fn no_lock_is_taken_for_dead_before_the_run_begins_and_an_outage_can_be_outlasted() {
        let times = LockTimes::default();
        let missed = Duration::try_from(reading::MISSED_AFTER).unwrap();
        let oldest = Duration::try_from(LONGEST_WAIT).unwrap() + HANG_LIMIT + times.longest_looks;
        assert!(oldest + times.try_again < missed);
        let stale = Duration::try_from(STALE_AFTER).unwrap();
        assert!(times.renew_every + 10 * times.try_again < stale);
    }
}
