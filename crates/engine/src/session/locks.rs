//! Our locks on the copies, and what becomes of those of others.
//!
//! See [`strongroom_repo::lock`] for the race that a lock must win. A lock is renewed by a thread
//! of ours every five minutes: first the new one is written, then the old one removed.
//! Dead locks of our own host are removed, and only those:
//!
//! | a lock of this host's name whose process is not found here | is |
//! |---|---|
//! | is noted as ours, from where process numbers were the same | dead at once |
//! | is anybody's: of a container, of a clone of this machine, of stock restic | dead when two renewals are missed |
//!
//! A lock that cannot be decrypted is
//! somebody's junk: it is named and passed over, else five bytes would stop all backups.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{JoinHandle, ScopedJoinHandle};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use rustix::process::{Pid, getgid, getpid, getuid, test_kill_process};
use std::sync::Arc;
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::lock::{Lock, RENEW_EVERY, STALE_AFTER};
use strongroom_repo::{Key, Repository};
use strongroom_store::{Error as StoreError, Store};

use crate::session::guarded::GuardedStore;
use crate::session::places::{LockedPlace, Places};
use crate::session::{
    CopyFailure, CopyFailureKind, CopyStore, Environment, Looking, OwnLocks, Session, chain,
};
use crate::{Listing, Result};

/// The most locks of a copy that are read when it is locked: each is a request of its own.
const LOCKS_LIMIT: usize = 1000;

/// A lock that was not renewed for so long has missed two renewals.
const MISSED_AFTER: SignedDuration = SignedDuration::from_mins(11);

/// What to do about somebody else's lock.
pub(crate) const LOCKED_HINT: &str = "wait for the other process; if it was killed on this host, \
    its lock dies in 11 minutes; if elsewhere, `strongroom unlock` removes it after 30, and \
    `strongroom unlock --all` at once";

/// A lock file on a copy.
#[derive(Debug, Clone)]
pub struct LockReport {
    /// The file.
    pub id: Id,
    /// What it is.
    pub state: LockState,
}

/// What a lock file is.
#[derive(Debug, Clone)]
pub enum LockState {
    /// A lock whose owner may live.
    Held(Lock),
    /// A lock of a process of this host that has ended.
    Dead(Lock),
    /// A lock that was not renewed for half an hour.
    Stale(Lock),
    /// Not a lock of this repository.
    Junk(String),
}

/// The locks that this run holds; call [`Locks::release`] at its end, whatever happened.
#[derive(Debug)]
pub struct Locks {
    held: Arc<Held>,
    renewer: Option<(Sender<()>, JoinHandle<()>)>,
}

/// The locks of this run, shared with the thread that renews them and the stores they guard.
#[derive(Debug)]
pub(super) struct Held {
    repository: Repository,
    own_locks: OwnLocks,
    exclusive: bool,
    environment: Environment,
    copies: Mutex<HashMap<String, HeldLock>>,
    /// Set when the run is over and its locks were given back.
    is_released: AtomicBool,
}

/// A lock that is yet to be written.
#[derive(Debug)]
struct SealedLock {
    id: Id,
    bytes: Vec<u8>,
    /// What it says, by our own clock.
    sealed: Timestamp,
}

/// How old a lock may be when it is written; the next one is due five minutes later.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(1);

/// A lock file of ours.
#[derive(Debug, Clone)]
struct HeldLock {
    store: Arc<dyn Store>,
    id: Id,
    /// When it was written, by our own clock.
    written: Timestamp,
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
        let held = Arc::new(Held {
            repository: session.repository.clone(),
            own_locks: session.own_locks.clone(),
            exclusive,
            environment: environment.clone(),
            copies: Mutex::default(),
            is_released: AtomicBool::new(false),
        });
        let looking = &session.looking;
        let copies: Vec<CopyStore> = session.ready().map(|(copy, _)| copy.clone()).collect();
        let sealed: Result<Vec<_>> = copies.iter().map(|_| Ok(held.seal()?)).collect();
        let sealed = sealed?;
        // All in one write, since each waits for the disk.
        held.own_locks
            .note(&sealed.iter().map(|lock| lock.id).collect::<Vec<_>>());
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let held = &held;
            let lock = |copy, sealed| scope.spawn(move || held.acquire_on(copy, sealed, looking));
            let threads: Vec<_> = copies
                .iter()
                .zip(sealed)
                .map(|(copy, sealed)| (copy, lock(copy, sealed)))
                .collect();
            let join = |(copy, thread): (_, ScopedJoinHandle<'_, _>)| {
                let outcome = thread.join().unwrap_or_else(|_| Err(died()));
                (copy, outcome)
            };
            threads.into_iter().map(join).collect()
        });
        let mut places = Vec::new();
        for (copy, outcome) in outcomes {
            match outcome {
                Ok((listing, place)) => {
                    places.push(place);
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
            renewer: None,
        };
        environment.cancel.check()?;
        if session.ready().next().is_none() {
            locks.release();
            return Err(session.no_copy());
        }
        locks.renewer = Some(spawn_renewer(Arc::clone(&locks.held)));
        Ok(locks)
    }

    /// Removes all locks of this run; what cannot be removed is left to our next run.
    pub fn release(&mut self) {
        if let Some((stop, thread)) = self.renewer.take() {
            drop(stop);
            if thread.join().is_err() {
                tracing::error!("The thread that renews locks died");
            }
        }
        self.held.is_released.store(true, Ordering::Release);
        let held = std::mem::take(&mut *self.held.copies.lock());
        // All at once, so that one that hangs does not keep the others under lock.
        let removed: Vec<Id> = std::thread::scope(|scope| {
            let remove = |(name, HeldLock { store, id, .. })| {
                scope.spawn(
                    move || match store.remove(FileName::new(FileType::Locks, id)) {
                        Ok(()) => Some(id),
                        Err(error) => {
                            let error = chain(&error);
                            tracing::warn!(copy = name, error, "A lock stays behind");
                            None
                        }
                    },
                )
            };
            let threads: Vec<_> = held.into_iter().map(remove).collect();
            let ended = threads.into_iter().map(ScopedJoinHandle::join);
            ended.filter_map(|ended| ended.ok().flatten()).collect()
        });
        self.held.own_locks.strike_out(&removed);
    }
}

impl SealedLock {
    fn write(self, store: &Arc<dyn Store>) -> strongroom_store::Result<HeldLock> {
        store.save(FileName::new(FileType::Locks, self.id), &self.bytes)?;
        Ok(HeldLock {
            store: Arc::clone(store),
            id: self.id,
            written: self.sealed,
        })
    }
}

impl Drop for Locks {
    fn drop(&mut self) {
        self.release();
    }
}

/// Reads the locks of a copy, of which there may be `limit`.
///
/// # Errors
/// Fails where the copy cannot be listed, holds more, or the user interrupts.
pub fn read_locks(
    store: &dyn Store,
    key: &Key,
    own_locks: &OwnLocks,
    environment: &Environment,
    limit: usize,
) -> std::result::Result<Vec<LockReport>, CopyFailure> {
    let of_store = |error| CopyFailure::of_store(&error);
    let listed = store.list(FileType::Locks).map_err(of_store)?;
    if listed.len() > limit {
        return Err(CopyFailure {
            reason: format!("{} holds {} locks", store.location(), listed.len()),
            hint: Some(
                "when nothing is running anywhere, remove them: strongroom unlock --all".to_owned(),
            ),
            kind: CopyFailureKind::Other,
        });
    }
    let ours = own_locks.of_this_numbering();
    let mut reports = Vec::new();
    for entry in listed {
        if environment.cancel.is_cancelled() {
            let location = store.location().to_owned();
            return Err(of_store(StoreError::Cancelled { location }));
        }
        let state = match store.read(FileName::new(FileType::Locks, entry.id)) {
            Ok(bytes) => match Lock::open(key, bytes) {
                Ok(lock) => classify(lock, ours.contains(&entry.id), environment),
                Err(reason) => LockState::Junk(reason),
            },
            // Its owner has just removed it.
            Err(StoreError::NotFound { .. }) => continue,
            Err(error) => return Err(of_store(error)),
        };
        let id = entry.id;
        reports.push(LockReport { id, state });
    }
    Ok(reports)
}

impl Held {
    /// Whether our lock on a copy stands: it is there, and nobody may take it for dead.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn check(&self, copy: &str) -> std::result::Result<(), String> {
        if self.is_released.load(Ordering::Acquire) {
            return Ok(());
        }
        let held = self.copies.lock().get(copy).cloned();
        let lock = held.ok_or("our lock on it is gone")?;
        let age = (self.environment.clock)().duration_since(lock.written);
        if age > STALE_AFTER {
            return Err("our lock on it was not renewed for half an hour: \
                        somebody may have removed files meanwhile"
                .to_owned());
        }
        match lock.store.size(FileName::new(FileType::Locks, lock.id)) {
            Ok(_) => Ok(()),
            // It was renewed just now.
            Err(_)
                if self
                    .copies
                    .lock()
                    .get(copy)
                    .is_some_and(|now| now.id != lock.id) =>
            {
                Ok(())
            }
            Err(error) => Err(format!("our lock on it is gone: {}", chain(&error))),
        }
    }

    fn acquire_on(
        self: &Arc<Self>,
        copy: &CopyStore,
        mut lock: SealedLock,
        looking: &Looking,
    ) -> std::result::Result<(Listing, LockedPlace), CopyFailure> {
        let store = copy.store.as_ref();
        let held = Arc::clone(self);
        let first_look = looking.at(copy, move |copy| held.look_for_conflicts(copy, None));
        let waited = (self.environment.clock)().duration_since(lock.sealed);
        if first_look.is_err() || waited > LONGEST_WAIT {
            self.own_locks.strike_out(&[lock.id]);
            first_look?;
            lock = self
                .seal_one()
                .map_err(|error| CopyFailure::of_repo(&error))?;
        }
        let lock = lock
            .write(&copy.store)
            .map_err(|error| CopyFailure::of_store(&error))?;
        let id = lock.id;
        self.copies.lock().insert(copy.name.clone(), lock);
        let held = Arc::clone(self);
        let second_look = looking.at(copy, move |copy| {
            let listed = held.look_for_conflicts(copy, Some(id))?;
            let listing = Listing::read(copy.store.as_ref())
                .map_err(|error| CopyFailure::of_store(&error))?;
            let place = LockedPlace {
                copy: copy.name.clone(),
                lock: id,
                listed,
            };
            Ok((listing, place))
        });
        if second_look.is_err() {
            self.copies.lock().remove(&copy.name);
            match store.remove(FileName::new(FileType::Locks, id)) {
                Ok(()) => self.own_locks.strike_out(&[id]),
                Err(error) => {
                    let error = chain(&error);
                    tracing::warn!(copy = copy.name, error, "A lock stays behind");
                }
            }
        }
        second_look
    }

    /// Returns the locks that are there.
    fn look_for_conflicts(
        &self,
        copy: &CopyStore,
        own: Option<Id>,
    ) -> std::result::Result<BTreeSet<Id>, CopyFailure> {
        let store = copy.store.as_ref();
        let key = self.repository.key();
        let reports = read_locks(store, key, &self.own_locks, &self.environment, LOCKS_LIMIT)?;
        let listed = reports.iter().map(|report| report.id).collect();
        for report in reports.into_iter().filter(|report| Some(report.id) != own) {
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
                    tracing::warn!(copy = copy.name, lock = %report.id, reason, "A lock is junk");
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

    /// Makes a lock, yet to be noted.
    fn seal(&self) -> strongroom_repo::Result<SealedLock> {
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
        Ok(SealedLock { id, bytes, sealed })
    }

    /// Makes a lock and notes it.
    fn seal_one(&self) -> strongroom_repo::Result<SealedLock> {
        let lock = self.seal()?;
        self.own_locks.note(&[lock.id]);
        Ok(lock)
    }

    /// Renews the locks of all copies at once, so that one that hangs costs no other its lock.
    fn renew(&self) {
        let names: Vec<String> = self.copies.lock().keys().cloned().collect();
        std::thread::scope(|scope| {
            for name in &names {
                scope.spawn(|| self.renew_on(name));
            }
        });
    }

    /// Renews one lock, unless it is dead: then what is written from now on must be refused.
    fn renew_on(&self, copy: &str) {
        if let Err(reason) = self.check(copy) {
            tracing::warn!(copy, reason, "A lock is lost");
            self.copies.lock().remove(copy);
            return;
        }
        let Some(old) = self.copies.lock().get(copy).cloned() else {
            return;
        };
        let new = self.seal_one().map_err(|error| chain(&error));
        match new.and_then(|new| new.write(&old.store).map_err(|error| chain(&error))) {
            Ok(new) => {
                self.copies.lock().insert(copy.to_owned(), new);
                match old.store.remove(FileName::new(FileType::Locks, old.id)) {
                    Ok(()) => self.own_locks.strike_out(&[old.id]),
                    Err(error) => {
                        tracing::warn!(copy, error = chain(&error), "An old lock stays");
                    }
                }
            }
            Err(error) => {
                tracing::warn!(copy, error, "A lock was not renewed");
            }
        }
    }
}

fn died() -> CopyFailure {
    CopyFailure {
        reason: "the thread that was to lock it died".to_owned(),
        hint: None,
        kind: CopyFailureKind::Other,
    }
}

fn spawn_renewer(held: Arc<Held>) -> (Sender<()>, JoinHandle<()>) {
    let (stop, stopped) = channel();
    let every = Duration::try_from(RENEW_EVERY).unwrap_or(Duration::from_secs(300));
    let thread = std::thread::spawn(move || {
        while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
            held.renew();
        }
    });
    (stop, thread)
}

fn classify(lock: Lock, is_ours: bool, environment: &Environment) -> LockState {
    let now = (environment.clock)();
    if lock.hostname == environment.hostname && !is_alive(lock.pid) {
        let was_renewed = now.duration_since(lock.time) <= MISSED_AFTER;
        if is_ours || !was_renewed {
            return LockState::Dead(lock);
        }
    }
    if lock.is_stale(now) {
        return LockState::Stale(lock);
    }
    LockState::Held(lock)
}

/// Whether a process of this host lives; one that we may not signal does.
fn is_alive(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return false;
    };
    !matches!(test_kill_process(pid), Err(rustix::io::Errno::SRCH))
}
