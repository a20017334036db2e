//! The locks of a run, each renewed by a thread of its own.
//!
//! What happens to the lock of a copy:
//! ```text
//! noted ──▶ written ──▶ renewed: a new one noted and written, the old one removed ──▶ given back
//!                          │  ▲
//!        not to be looked  ▼  │ a minute later
//!        at, or to write  waits ──▶ lost, when it is half an hour old, or is there no more
//! ```
//! What can go wrong: a renewal is still writing when its lock is given back. Whoever gives back
//! takes the entry away; the renewal finds none and removes what it wrote.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use rustix::process::{getgid, getpid, getuid};
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::Repository;
use strongroom_repo::lock::{Lock, STALE_AFTER};
use strongroom_store::{Error as StoreError, Store};

use crate::session::locks::reading::{MISSED_AFTER, read_others};
use crate::session::locks::{
    JUNK_HINT, LOCKED_HINT, LOCKS_LIMIT, LONGEST_WAIT, LockState, LockTimes, Locked,
};
use crate::session::{
    CopyFailure, CopyFailureKind, CopyStore, Environment, Looking, OwnLocks, Session, chain,
};
use crate::{Listing, Result};

/// The locks of this run, shared with the threads that renew them and the stores they guard.
#[derive(Debug)]
pub(in crate::session) struct Held {
    repository: Repository,
    own_locks: OwnLocks,
    /// What the session has told of junk.
    told_junk: Arc<Mutex<BTreeSet<(String, Id)>>>,
    exclusive: bool,
    environment: Environment,
    pub(super) times: LockTimes,
    copies: Mutex<HashMap<String, HeldCopy>>,
    /// Every lock of this run, with the copy that it was made for.
    made: Mutex<HashMap<Id, String>>,
    /// Set when the run is over and its locks were given back.
    is_released: AtomicBool,
}

/// Whether our lock on a copy stands.
#[derive(Debug)]
pub(in crate::session) enum Standing {
    /// It is there, and nobody may take it for dead.
    Sound,
    /// It cannot be looked at just now. Nothing may be written that refers to other files, but it
    /// may well be there.
    Unclear(StoreError),
    /// It is gone, for this reason.
    Lost(String),
}

/// A lock that is yet to be written.
#[derive(Debug)]
pub(super) struct SealedLock {
    id: Id,
    bytes: Vec<u8>,
    /// What it says, by our own clock.
    sealed: Timestamp,
}

/// Our lock on a copy, and what keeps it renewed.
#[derive(Debug)]
struct HeldCopy {
    lock: HeldLock,
    /// The thread that renews it ends when this is dropped.
    _renewer: Sender<()>,
}

/// A lock file of ours.
#[derive(Debug, Clone)]
struct HeldLock {
    store: Arc<dyn Store>,
    id: Id,
    /// When it was written, by our own clock.
    written: Timestamp,
    /// Others of ours that may be there and go with this one: older ones that could not be removed,
    /// newer ones whose writing failed.
    in_doubt: Vec<Id>,
}

/// What came of removing locks of ours.
#[derive(Debug, Default)]
struct Removed {
    gone: Vec<Id>,
    /// To be tried again; not what the place never lets us remove.
    left: Vec<Id>,
}

impl Held {
    pub(super) fn new(session: &Session, environment: &Environment, exclusive: bool) -> Self {
        Self {
            repository: session.repository.clone(),
            own_locks: session.own_locks.clone(),
            told_junk: Arc::clone(&session.told_junk),
            exclusive,
            environment: environment.clone(),
            times: session.lock_times.clone(),
            copies: Mutex::default(),
            made: Mutex::default(),
            is_released: AtomicBool::new(false),
        }
    }

    /// Whether our lock on a copy stands.
    pub(in crate::session) fn standing(&self, copy: &str) -> Standing {
        if self.is_released.load(Ordering::Acquire) {
            return Standing::Sound;
        }
        let Some(lock) = self.lock_on(copy) else {
            return Standing::Lost("our lock on it is gone".to_owned());
        };
        let age = (self.environment.clock)().duration_since(lock.written);
        if age > STALE_AFTER {
            return Standing::Lost(
                "our lock on it was not renewed for half an hour: \
                 somebody may have removed files meanwhile"
                    .to_owned(),
            );
        }
        match lock.store.size(FileName::new(FileType::Locks, lock.id)) {
            Ok(_) => Standing::Sound,
            // It was renewed just now.
            Err(_) if self.lock_on(copy).is_some_and(|now| now.id != lock.id) => Standing::Sound,
            Err(error @ StoreError::NotFound { .. }) => {
                Standing::Lost(format!("our lock on it is gone: {}", chain(&error)))
            }
            Err(error) => Standing::Unclear(error),
        }
    }

    /// Whether our lock on a copy is so young that nobody takes it for dead; nobody is asked for that.
    pub(in crate::session) fn is_young(&self, copy: &str) -> bool {
        let now = (self.environment.clock)();
        let lock = self.lock_on(copy);
        lock.is_some_and(|lock| now.duration_since(lock.written) < MISSED_AFTER)
    }

    /// Makes a lock for each copy, and notes them all in one write, since each waits for the disk.
    pub(super) fn seal_all(&self, copies: &[CopyStore]) -> Result<Vec<SealedLock>> {
        let sealed: Result<Vec<_>> = copies
            .iter()
            .map(|copy| Ok(self.seal(&copy.name)?))
            .collect();
        let sealed = sealed?;
        self.own_locks
            .note(&sealed.iter().map(|lock| lock.id).collect::<Vec<_>>());
        Ok(sealed)
    }

    /// All locks that were made for a copy.
    pub(super) fn made_for(&self, copy: &str) -> BTreeSet<Id> {
        let made = self.made.lock();
        let of_copy = made.iter().filter(|(_, name)| *name == copy);
        of_copy.map(|(id, _)| *id).collect()
    }

    /// Locks a copy, and lists it. Its lock is renewed as long as `alive` is not dropped.
    pub(super) fn acquire_on(
        self: &Arc<Self>,
        copy: &CopyStore,
        mut lock: SealedLock,
        looking: &Looking,
        alive: Sender<()>,
    ) -> std::result::Result<Locked, CopyFailure> {
        let mut left = looking.longest;
        let held = Arc::clone(self);
        let look = move |copy: &CopyStore| held.look_for_conflicts(copy);
        let first_look = looking.within(&mut left, copy, look);
        let waited = (self.environment.clock)().duration_since(lock.sealed);
        if first_look.is_err() || waited > LONGEST_WAIT {
            self.own_locks.strike_out(&[lock.id]);
            first_look?;
            lock = self
                .seal_one(&copy.name)
                .map_err(|error| CopyFailure::of_repo(&error))?;
        }
        let lock = lock
            .write(&copy.store)
            .map_err(|error| CopyFailure::of_store(&error))?;
        self.keep(copy, lock, alive)?;
        let held = Arc::clone(self);
        let look = move |copy: &CopyStore| {
            // Nothing is listed before, also where each answer is waited for: whoever was at work until
            // then, and is gone when his lock is looked for, has removed what was listed, or written
            // what was not. And who is in the way is told, however long a listing takes.
            let listed = held.look_for_conflicts(copy)?;
            let listing = match held.exclusive {
                true => Listing::of_copy_alone(copy),
                false => Listing::of_copy(copy),
            };
            let listing = listing.map_err(|error| CopyFailure::of_store(&error))?;
            Ok((listing, listed))
        };
        let second_look = looking.within(&mut left, copy, look);
        if second_look.is_err() {
            self.give_back(&copy.name);
        }
        second_look
    }

    /// Removes all locks, all at once, so that one that hangs does not keep the others under lock.
    pub(super) fn release(&self) {
        let held = {
            let mut copies = self.copies.lock();
            self.is_released.store(true, Ordering::Release);
            std::mem::take(&mut *copies)
        };
        // From here on no thread begins to renew.
        let locks: Vec<_> = held.into_iter().map(|(name, of)| (name, of.lock)).collect();
        let removed: Vec<Id> = std::thread::scope(|scope| {
            let threads: Vec<_> = locks
                .iter()
                .map(|(name, lock)| scope.spawn(move || remove(name, lock)))
                .collect();
            let ended = threads.into_iter().map(ScopedJoinHandle::join);
            ended
                .flat_map(|removed| removed.unwrap_or_default().gone)
                .collect()
        });
        self.own_locks.strike_out(&removed);
    }

    /// Takes note of a lock that was written, and renews it from now on.
    fn keep(
        self: &Arc<Self>,
        copy: &CopyStore,
        lock: HeldLock,
        alive: Sender<()>,
    ) -> std::result::Result<(), CopyFailure> {
        let (renewer, stopped) = channel();
        let entry = HeldCopy {
            lock,
            _renewer: renewer,
        };
        self.copies.lock().insert(copy.name.clone(), entry);
        let (held, name) = (Arc::clone(self), copy.name.clone());
        let started = std::thread::Builder::new().spawn(move || {
            held.renew_until(&name, &stopped);
            drop(alive);
        });
        if let Err(error) = started {
            self.give_back(&copy.name);
            let reason = format!("cannot start a thread: {error}");
            return Err(CopyFailure::other(reason));
        }
        Ok(())
    }

    fn renew_until(&self, copy: &str, stopped: &Receiver<()>) {
        let mut wait = self.times.renew_every;
        while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
            match self.renew(copy) {
                Some(next) => wait = next,
                None => return,
            }
        }
    }

    /// Renews a lock, and says when it is due again; never where it is lost: then what is written
    /// from now on must be refused.
    fn renew(&self, copy: &str) -> Option<Duration> {
        let again = Some(self.times.try_again);
        let old = self.lock_on(copy)?;
        match self.standing(copy) {
            Standing::Sound => {}
            Standing::Unclear(error) => {
                let error = chain(&error);
                tracing::warn!(copy, error, "A lock cannot be looked at");
                return again;
            }
            Standing::Lost(reason) => {
                tracing::warn!(copy, reason, "A lock is lost");
                self.give_back(copy);
                return None;
            }
        }
        let sealed = match self.seal_one(copy) {
            Ok(sealed) => sealed,
            Err(error) => {
                tracing::warn!(copy, error = chain(&error), "A lock was not renewed");
                return again;
            }
        };
        let id = sealed.id;
        let written = sealed.write(&old.store);
        let is_written = written.is_ok();
        let gone = {
            let mut copies = self.copies.lock();
            match (copies.get_mut(copy), written) {
                (Some(held), Ok(new)) => Some(std::mem::replace(&mut held.lock, new)),
                (Some(held), Err(error)) => {
                    tracing::warn!(copy, error = chain(&error), "A lock was not renewed");
                    held.lock.in_doubt.push(id);
                    None
                }
                // It was given back meanwhile.
                (None, _) => Some(HeldLock { id, ..old }),
            }
        };
        if let Some(gone) = gone {
            self.discard(copy, &gone);
        }
        match is_written {
            true => Some(self.times.renew_every),
            false => again,
        }
    }

    /// Removes the lock of a copy, and renews it no more.
    fn give_back(&self, copy: &str) {
        let held = self.copies.lock().remove(copy);
        if let Some(held) = held {
            self.discard(copy, &held.lock);
        }
    }

    /// Removes a lock that is none any more; what is left of it goes with the one that is.
    fn discard(&self, copy: &str, lock: &HeldLock) {
        let Removed { gone, left } = remove(copy, lock);
        self.own_locks.strike_out(&gone);
        if let Some(held) = self.copies.lock().get_mut(copy) {
            held.lock.in_doubt.extend(left);
        }
    }

    fn lock_on(&self, copy: &str) -> Option<HeldLock> {
        let copies = self.copies.lock();
        copies.get(copy).map(|held| held.lock.clone())
    }

    /// Returns the locks that are there; fails where one of somebody else is in the way.
    fn look_for_conflicts(
        &self,
        copy: &CopyStore,
    ) -> std::result::Result<BTreeSet<Id>, CopyFailure> {
        let store = copy.store.as_ref();
        let (key, limit) = (self.repository.key(), LOCKS_LIMIT);
        // Asked of each behind the listing: it may have been renewed meanwhile. And two copies may be
        // one place under two addresses.
        let is_own = |id: Id| self.made.lock().contains_key(&id);
        let (listed, reports) = read_others(
            store,
            key,
            &self.own_locks,
            &self.environment,
            limit,
            is_own,
        )?;
        for report in reports {
            match report.state {
                LockState::Dead(lock) => {
                    tracing::info!(copy = copy.name, %lock, "Removing a dead lock of this host");
                    match store.remove(FileName::new(FileType::Locks, report.id)) {
                        Ok(()) => self.own_locks.strike_out(&[report.id]),
                        Err(error) => {
                            let error = chain(&error);
                            tracing::warn!(copy = copy.name, error, "A dead lock stays");
                        }
                    }
                }
                LockState::Junk(reason) => {
                    let (copy, lock, hint) = (&copy.name, report.id, JUNK_HINT);
                    if self.told_junk.lock().insert((copy.clone(), lock)) {
                        tracing::warn!(copy, %lock, reason, hint, "A lock is junk");
                    }
                }
                LockState::Held(lock) | LockState::Stale(lock)
                    if self.exclusive || lock.exclusive =>
                {
                    return Err(CopyFailure {
                        reason: lock.to_string(),
                        hint: Some(LOCKED_HINT.to_owned()),
                        kind: CopyFailureKind::Locked,
                    });
                }
                LockState::Held(_) | LockState::Stale(_) => {}
            }
        }
        Ok(listed)
    }

    /// Makes a lock for a copy, yet to be noted.
    fn seal(&self, copy: &str) -> strongroom_repo::Result<SealedLock> {
        let sealed = (self.environment.clock)();
        let lock = Lock {
            time: sealed,
            exclusive: self.exclusive,
            hostname: self.environment.hostname.clone(),
            username: self.environment.username.clone(),
            pid: getpid().as_raw_nonzero().get().unsigned_abs(),
            uid: getuid().as_raw(),
            gid: getgid().as_raw(),
        };
        let (id, bytes) = lock.seal(self.repository.key(), self.repository.config().version)?;
        self.made.lock().insert(id, copy.to_owned());
        Ok(SealedLock { id, bytes, sealed })
    }

    /// Makes a lock and notes it.
    fn seal_one(&self, copy: &str) -> strongroom_repo::Result<SealedLock> {
        let lock = self.seal(copy)?;
        self.own_locks.note(&[lock.id]);
        Ok(lock)
    }
}

impl SealedLock {
    fn write(self, store: &Arc<dyn Store>) -> strongroom_store::Result<HeldLock> {
        store.save(FileName::new(FileType::Locks, self.id), &self.bytes)?;
        Ok(HeldLock {
            store: Arc::clone(store),
            id: self.id,
            written: self.sealed,
            in_doubt: Vec::new(),
        })
    }
}

/// Removes a lock of ours with those that may be beside it; what cannot be removed in this run is
/// left to our next.
fn remove(copy: &str, lock: &HeldLock) -> Removed {
    let mut removed = Removed::default();
    for id in lock.in_doubt.iter().chain([&lock.id]) {
        match lock.store.remove(FileName::new(FileType::Locks, *id)) {
            Ok(()) => removed.gone.push(*id),
            Err(error) => {
                tracing::warn!(copy, error = chain(&error), "A lock stays behind");
                if !matches!(error, StoreError::Denied { .. }) {
                    removed.left.push(*id);
                }
            }
        }
    }
    removed
}
