//! Removing locks by hand.
//!
//! A lock is all that keeps a stock `restic prune` and a backup apart, so that only those go whose
//! owner cannot live: a dead process of this host, by the rules in the session, or one that has not
//! renewed for half an hour, or whose lock is of a time that is yet to come.
//! Everything else goes only when a person says that nothing is running anywhere.

use strongroom_model::{FileName, FileType, Id};

use crate::Result;
use crate::session::{CopyFailure, Environment, LockState, Session, read_locks};

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
    /// The locks that were found.
    pub locks: Vec<FoundLock>,
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
/// # Errors
/// Where the user interrupts.
pub fn unlock(session: &Session, environment: &Environment, which: Which) -> Result<UnlockReport> {
    let mut report = UnlockReport::default();
    for (copy, _) in session.ready() {
        environment.cancel.check()?;
        let store = copy.store.as_ref();
        let key = session.repository.key();
        let locks = match read_locks(store, key, &session.own_locks, environment, usize::MAX) {
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
            if is_dead || which == Which::All {
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
