//! Our locks on the copies, and what becomes of those of others.
//!
//! See [`strongroom_repo::lock`] for the race that a lock must win. A lock is renewed by a thread
//! of ours every five minutes: first the new one is written, then the old one removed.
//! Dead locks of our own host are removed, and only those. A lock that cannot be decrypted is
//! somebody's junk: it is named and passed over, else five bytes would stop all backups.

use std::collections::HashMap;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::{Pid, getgid, getpid, getuid, test_kill_process};
use std::sync::Arc;
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::lock::{Lock, RENEW_EVERY};
use strongroom_repo::{Key, Repository};
use strongroom_store::Store;

use crate::session::{CopyFailure, CopyFailureKind, CopyStore, Environment, Session, chain};
use crate::{Listing, Result};

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

#[derive(Debug)]
struct Held {
    repository: Repository,
    exclusive: bool,
    hostname: String,
    username: String,
    copies: Mutex<HashMap<String, HeldLock>>,
}

/// A lock file of ours and where it lies.
type HeldLock = (Arc<dyn Store>, Id);

impl Locks {
    /// Locks every copy of the session that can be used, all at once, and lists each anew: a prune
    /// that ended between the first listing and the lock may have removed what was listed.
    ///
    /// A copy on which somebody holds a conflicting lock, or which cannot be locked, is marked as
    /// failed in the session.
    ///
    /// # Errors
    /// Where no copy is left.
    pub fn acquire(
        session: &mut Session,
        environment: &Environment,
        exclusive: bool,
    ) -> Result<Self> {
        let held = Arc::new(Held {
            repository: session.repository.clone(),
            exclusive,
            hostname: environment.hostname.clone(),
            username: environment.username.clone(),
            copies: Mutex::default(),
        });
        let copies: Vec<CopyStore> = session.ready().map(|(copy, _)| copy.clone()).collect();
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = copies
                .iter()
                .map(|copy| scope.spawn(|| (copy.name.clone(), held.acquire_on(copy, environment))))
                .collect();
            threads
                .into_iter()
                .filter_map(|thread| thread.join().ok())
                .collect()
        });
        for (name, outcome) in outcomes {
            match outcome {
                Ok(listing) => session.relist(&name, listing),
                Err(failure) => session.fail(&name, failure),
            }
        }
        let mut locks = Self {
            held,
            renewer: None,
        };
        if session.ready().next().is_none() {
            locks.release();
            return Err(session.no_copy());
        }
        locks.renewer = Some(spawn_renewer(Arc::clone(&locks.held), environment.clone()));
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
        for (name, (store, id)) in self.held.copies.lock().drain() {
            if let Err(error) = store.remove(FileName::new(FileType::Locks, id)) {
                tracing::warn!(copy = name, error = chain(&error), "A lock stays behind");
            }
        }
    }
}

impl Drop for Locks {
    fn drop(&mut self) {
        self.release();
    }
}

/// Reads all locks of a copy.
///
/// # Errors
/// Fails where the copy cannot be listed.
pub fn read_locks(
    store: &dyn Store,
    key: &Key,
    environment: &Environment,
) -> strongroom_store::Result<Vec<LockReport>> {
    let mut reports = Vec::new();
    for entry in store.list(FileType::Locks)? {
        let state = match store.read(FileName::new(FileType::Locks, entry.id)) {
            Ok(bytes) => match Lock::open(key, bytes) {
                Ok(lock) => classify(lock, environment),
                Err(reason) => LockState::Junk(reason),
            },
            // Its owner has just removed it.
            Err(strongroom_store::Error::NotFound { .. }) => continue,
            Err(error) => return Err(error),
        };
        let id = entry.id;
        reports.push(LockReport { id, state });
    }
    Ok(reports)
}

impl Held {
    fn acquire_on(
        &self,
        copy: &CopyStore,
        environment: &Environment,
    ) -> std::result::Result<Listing, CopyFailure> {
        let store = copy.store.as_ref();
        self.look_for_conflicts(copy, environment, None)?;
        let id = self
            .write(store, environment)
            .map_err(|error| CopyFailure::of_repo(&error))?;
        self.copies
            .lock()
            .insert(copy.name.clone(), (Arc::clone(&copy.store), id));
        let second_look = self
            .look_for_conflicts(copy, environment, Some(id))
            .and_then(|()| Listing::read(store).map_err(|error| CopyFailure::of_store(&error)));
        if second_look.is_err() {
            self.copies.lock().remove(&copy.name);
            if let Err(error) = store.remove(FileName::new(FileType::Locks, id)) {
                tracing::warn!(
                    copy = copy.name,
                    error = chain(&error),
                    "A lock stays behind"
                );
            }
        }
        second_look
    }

    fn look_for_conflicts(
        &self,
        copy: &CopyStore,
        environment: &Environment,
        own: Option<Id>,
    ) -> std::result::Result<(), CopyFailure> {
        let store = copy.store.as_ref();
        let reports = read_locks(store, self.repository.key(), environment)
            .map_err(|error| CopyFailure::of_store(&error))?;
        for report in reports.into_iter().filter(|report| Some(report.id) != own) {
            match report.state {
                LockState::Dead(lock) => {
                    tracing::info!(copy = copy.name, %lock, "Removing a dead lock of this host");
                    if let Err(error) = store.remove(FileName::new(FileType::Locks, report.id)) {
                        tracing::warn!(
                            copy = copy.name,
                            error = chain(&error),
                            "A dead lock stays"
                        );
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
                        hint: Some(
                            "wait for the other process; if it is dead, `strongroom unlock` \
                             removes its lock"
                                .to_owned(),
                        ),
                        kind: CopyFailureKind::Locked,
                    });
                }
                LockState::Held(_) | LockState::Stale(_) => {}
            }
        }
        Ok(())
    }

    fn write(&self, store: &dyn Store, environment: &Environment) -> strongroom_repo::Result<Id> {
        let lock = Lock {
            time: (environment.clock)(),
            exclusive: self.exclusive,
            hostname: self.hostname.clone(),
            username: self.username.clone(),
            pid: getpid().as_raw_nonzero().get().unsigned_abs(),
            uid: getuid().as_raw(),
            gid: getgid().as_raw(),
        };
        let (id, bytes) = lock.seal(self.repository.key(), self.repository.config().version)?;
        store.save(FileName::new(FileType::Locks, id), &bytes)?;
        Ok(id)
    }

    fn renew(&self, environment: &Environment) {
        let copies = self.copies.lock().clone();
        for (name, (store, old)) in copies {
            match self.write(store.as_ref(), environment) {
                Ok(new) => {
                    self.copies
                        .lock()
                        .insert(name.clone(), (Arc::clone(&store), new));
                    if let Err(error) = store.remove(FileName::new(FileType::Locks, old)) {
                        tracing::warn!(copy = name, error = chain(&error), "An old lock stays");
                    }
                }
                Err(error) => {
                    tracing::warn!(copy = name, error = chain(&error), "A lock was not renewed");
                }
            }
        }
    }
}

fn spawn_renewer(held: Arc<Held>, environment: Environment) -> (Sender<()>, JoinHandle<()>) {
    let (stop, stopped) = channel();
    let every = Duration::try_from(RENEW_EVERY).unwrap_or(Duration::from_secs(300));
    let thread = std::thread::spawn(move || {
        while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
            held.renew(&environment);
        }
    });
    (stop, thread)
}

fn classify(lock: Lock, environment: &Environment) -> LockState {
    if lock.hostname == environment.hostname && !is_alive(lock.pid) {
        return LockState::Dead(lock);
    }
    if lock.is_stale((environment.clock)()) {
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
