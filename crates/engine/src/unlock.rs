//! Removing locks by hand.
//!
//! A lock is all that keeps a stock `restic prune` and a backup apart, so that only those go whose
//! owner cannot live: a dead process of this host, by the rules in the session, or one that has not
//! renewed for half an hour, or whose lock is of a time that is yet to come.
//! Everything else goes only when a person says that nothing is running anywhere.
//!
//! What can go wrong: somebody puts lock files without number, so that no backup can be made, and
//! reading them would take days. So where all are to go none is read: they are removed as they are
//! listed, several at a time and on every copy at once, until none is left.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::ScopedJoinHandle;

use parking_lot::Mutex;
use strongroom_model::{FileName, FileType, Id};

use crate::parallel::for_each;
use crate::session::{
    Cancel, CopyFailure, CopyStore, Environment, LockState, Session, chain, read_locks,
};
use crate::{Error, Result};

/// The most lock files of a copy that are read to tell the dead from the others: each is a request
/// of its own.
const MOST_READ: usize = 10_000;

/// How many lock files of a copy are removed at a time.
const REMOVERS: usize = 16;

/// How many lock files of a copy may stay before the others are not tried any more.
const MOST_STUCK: usize = 100;

/// Which locks to remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Those whose owner is dead.
    Dead,
    /// All, junk too.
    All,
}

/// What came of an unlock.
#[derive(Debug, Clone, Default)]
pub struct UnlockReport {
    /// The locks that were found, where they were read.
    pub locks: Vec<FoundLock>,
    /// On copies, by name, how many lock files were removed unread, since all were to go; those that
    /// had none are not in it.
    pub removed_unread: BTreeMap<String, u64>,
    /// Copies, by name, on which something went wrong.
    pub failures: Vec<(String, CopyFailure)>,
}

/// A lock and what became of it.
#[derive(Debug, Clone)]
pub struct FoundLock {
    /// The copy that holds it.
    pub copy: String,
    /// The file.
    pub id: Id,
    /// Whose it is, or why it is none, for people to read.
    pub text: String,
    /// Whether it was removed.
    pub is_removed: bool,
}

/// Removes locks on every copy of a session that can be used.
///
/// Where all are to go this ends when none is left: whoever goes on putting some there is outlasted,
/// or the user interrupts.
///
/// # Errors
/// Where the user interrupts.
pub fn unlock(session: &Session, environment: &Environment, which: Which) -> Result<UnlockReport> {
    match which {
        Which::Dead => remove_dead(session, environment),
        Which::All => remove_all(session, &environment.cancel),
    }
}

fn remove_dead(session: &Session, environment: &Environment) -> Result<UnlockReport> {
    let mut report = UnlockReport::default();
    for (copy, _) in session.ready() {
        environment.cancel.check()?;
        let store = copy.store.as_ref();
        let key = session.repository.key();
        let locks = match read_locks(store, key, &session.own_locks, environment, MOST_READ) {
            Ok(locks) => locks,
            Err(failure) => {
                environment.cancel.check()?;
                report.failures.push((copy.name.clone(), failure));
                continue;
            }
        };
        for lock in locks {
            environment.cancel.check()?;
            let (is_dead, text) = match &lock.state {
                LockState::Held(lock) => (false, lock.to_string()),
                LockState::Dead(lock) => (true, format!("{lock}, which has ended")),
                LockState::Stale(lock) if lock.time > (environment.clock)() => {
                    (true, format!("{lock}, a time that is yet to come"))
                }
                LockState::Stale(lock) => (true, format!("{lock}, not renewed since")),
                LockState::Junk(reason) => (false, format!("not a lock: {reason}")),
            };
            let mut is_removed = false;
            if is_dead {
                match store.remove(FileName::new(FileType::Locks, lock.id)) {
                    Ok(()) => is_removed = true,
                    Err(error) => {
                        let failure = CopyFailure::of_store(&error);
                        report.failures.push((copy.name.clone(), failure));
                    }
                }
            }
            report.locks.push(FoundLock {
                copy: copy.name.clone(),
                id: lock.id,
                text,
                is_removed,
            });
        }
    }
    Ok(report)
}

fn remove_all(session: &Session, cancel: &Cancel) -> Result<UnlockReport> {
    let copies: Vec<&CopyStore> = session.ready().map(|(copy, _)| copy).collect();
    let outcomes: Vec<(u64, Option<CopyFailure>)> = std::thread::scope(|scope| {
        let begin = |copy| scope.spawn(move || Removing::default().finish(copy, cancel));
        let threads: Vec<_> = copies.iter().copied().map(begin).collect();
        let ended = threads.into_iter().map(ScopedJoinHandle::join);
        let died = || CopyFailure::other("the thread that was to unlock it died".to_owned());
        ended
            .map(|ended| ended.unwrap_or_else(|_| (0, Some(died()))))
            .collect()
    });
    cancel.check()?;
    let mut report = UnlockReport::default();
    for (copy, (removed, failure)) in copies.into_iter().zip(outcomes) {
        if removed > 0 {
            report.removed_unread.insert(copy.name.clone(), removed);
        }
        if let Some(failure) = failure {
            report.failures.push((copy.name.clone(), failure));
        }
    }
    Ok(report)
}

/// What became of the lock files of a copy that are all to go.
#[derive(Debug, Default)]
struct Removing {
    removed: u64,
    /// Those that could not be removed.
    stuck: BTreeSet<Id>,
    /// Why the first of them could not, or what ended it.
    failure: Option<CopyFailure>,
}

impl Removing {
    /// Removes lock files until none is left; returns how many, and what kept the others.
    fn finish(mut self, copy: &CopyStore, cancel: &Cancel) -> (u64, Option<CopyFailure>) {
        let store = copy.store.as_ref();
        let mut tried = BTreeSet::new();
        while !cancel.is_cancelled() && self.stuck.len() < MOST_STUCK {
            let mut listed = match store.first_ids(FileType::Locks) {
                Ok(listed) => listed,
                Err(error) => {
                    self.failure
                        .get_or_insert_with(|| CopyFailure::of_store(&error));
                    break;
                }
            };
            listed.retain(|id| !self.stuck.contains(id));
            if listed.is_empty() {
                break;
            }
            if listed.iter().all(|id| tried.contains(id)) {
                self.failure.get_or_insert_with(still_listed);
                break;
            }
            self.remove(copy, &listed, cancel);
            tried = listed.into_iter().collect();
        }
        (self.removed, self.failure)
    }

    /// Removes these, several at a time.
    fn remove(&mut self, copy: &CopyStore, ids: &[Id], cancel: &Cancel) {
        let here = Mutex::new(self);
        let outcome = for_each(ids, REMOVERS, |id| {
            cancel.check()?;
            let gone = copy.store.remove(FileName::new(FileType::Locks, *id));
            let mut here = here.lock();
            match gone {
                Ok(()) => here.removed += 1,
                Err(error) => {
                    here.stuck.insert(*id);
                    here.failure
                        .get_or_insert_with(|| CopyFailure::of_store(&error));
                }
            }
            match here.stuck.len() < MOST_STUCK {
                true => Ok(()),
                false => Err(Error::Interrupted),
            }
        });
        if let Err(error) = outcome {
            let (copy, reason) = (&copy.name, chain(&error));
            tracing::debug!(copy, reason, "Not all lock files were tried");
        }
    }
}

fn still_listed() -> CopyFailure {
    CopyFailure {
        hint: Some(
            "if they come back and are none of yours, whoever writes them has the credentials of \
             this copy: change these first, then strongroom unlock --all"
                .to_owned(),
        ),
        ..CopyFailure::other("it lists lock files again that were removed just now".to_owned())
    }
}
