//! The locks of others: read, and told apart by whether their owners may live.
//!
//! | a lock of this host's name whose process is not found here | is |
//! |---|---|
//! | is noted as ours, from where process numbers were the same | dead at once |
//! | is anybody's: of a container, of a clone of this machine, of stock restic | dead when two renewals are missed |
//!
//! A lock that cannot be decrypted is
//! somebody's junk: it is named and passed over, else five bytes would stop all backups. One that is
//! dated far ahead would never grow old: it counts as if it had.

use jiff::SignedDuration;
use rustix::process::{Pid, test_kill_process};
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::Key;
use strongroom_repo::lock::Lock;
use strongroom_store::{Error as StoreError, Store};

use crate::session::{CopyFailure, CopyFailureKind, Environment, OwnLocks};

/// A lock that was not renewed for so long has missed two renewals.
pub(super) const MISSED_AFTER: SignedDuration = SignedDuration::from_mins(11);

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
    /// A lock that was not renewed for half an hour, or is of a time that is yet to come.
    Stale(Lock),
    /// Not a lock of this repository.
    Junk(String),
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
    // Of more than a listing may name, the first ones tell that there are too many.
    let listed = store.first_ids(FileType::Locks).map_err(of_store)?;
    if listed.len() > limit {
        let (location, count) = (store.location(), listed.len());
        return Err(CopyFailure {
            reason: format!("{location} holds {count} locks or more"),
            hint: Some(
                "when nothing is running anywhere, remove them: strongroom unlock --all".to_owned(),
            ),
            kind: CopyFailureKind::Other,
        });
    }
    let ours = own_locks.of_this_numbering();
    let mut reports = Vec::new();
    for id in listed {
        if environment.cancel.is_cancelled() {
            let location = store.location().to_owned();
            return Err(of_store(StoreError::Cancelled { location }));
        }
        let state = match store.read(FileName::new(FileType::Locks, id)) {
            Ok(bytes) => match Lock::open(key, bytes) {
                Ok(lock) => classify(lock, ours.contains(&id), environment),
                Err(reason) => LockState::Junk(reason),
            },
            // Its owner has just removed it.
            Err(StoreError::NotFound { .. }) => continue,
            Err(error) => return Err(of_store(error)),
        };
        reports.push(LockReport { id, state });
    }
    Ok(reports)
}

fn classify(lock: Lock, is_ours: bool, environment: &Environment) -> LockState {
    let now = (environment.clock)();
    if lock.hostname == environment.hostname && !is_alive(lock.pid) {
        let was_renewed = !lock.is_stale(now) && now.duration_since(lock.time) <= MISSED_AFTER;
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
