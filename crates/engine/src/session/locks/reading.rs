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
//!
//! What can go wrong: a lock is renewed between the moment in which it is listed and that in which it is
//! read. Then it is not there any more, and its owner goes on under another that is in no listing yet.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use rustix::process::{Pid, test_kill_process};
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::Key;
use strongroom_repo::lock::Lock;
use strongroom_store::{Error as StoreError, Store};

use crate::session::{CopyFailure, CopyFailureKind, Environment, OwnLocks};

/// A lock that was not renewed for so long has missed two renewals.
pub(super) const MISSED_AFTER: SignedDuration = SignedDuration::from_mins(11);

/// How often the locks of a copy are listed until none is gone that was listed: who renews his does so
/// every five minutes.
const MOST_LISTINGS: usize = 8;

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
    let (_, reports) = read_others(store, key, own_locks, environment, limit, |_| false)?;
    Ok(reports)
}

/// The same, but for those that this run has made; all that are listed are returned as well.
///
/// Where one is gone when its turn comes, all are listed again: whoever renews a lock has written the
/// new one before he removes the old one.
///
/// # Errors
/// As [`read_locks`]; where ever more of them are gone.
pub(super) fn read_others(
    store: &dyn Store,
    key: &Key,
    own_locks: &OwnLocks,
    environment: &Environment,
    limit: usize,
    is_made_here: impl Fn(Id) -> bool,
) -> std::result::Result<(BTreeSet<Id>, Vec<LockReport>), CopyFailure> {
    let of_store = |error| CopyFailure::of_store(&error);
    let ours = own_locks.of_this_numbering();
    let mut read: BTreeMap<Id, LockState> = BTreeMap::new();
    let mut gone: BTreeSet<Id> = BTreeSet::new();
    for _ in 0..MOST_LISTINGS {
        // Of more than a listing may name, the first ones tell that there are too many.
        let listed = store.first_ids(FileType::Locks).map_err(of_store)?;
        if listed.len() > limit {
            let (location, count) = (store.location(), listed.len());
            return Err(CopyFailure {
                reason: format!("{location} holds {count} locks or more"),
                hint: Some(
                    "when nothing is running anywhere, remove them: strongroom unlock --all"
                        .to_owned(),
                ),
                kind: CopyFailureKind::Other,
            });
        }
        let listed: BTreeSet<Id> = listed.into_iter().collect();
        let gone_before = gone.len();
        for id in &listed {
            if read.contains_key(id) || gone.contains(id) || is_made_here(*id) {
                continue;
            }
            if environment.cancel.is_cancelled() {
                let location = store.location().to_owned();
                return Err(of_store(StoreError::Cancelled { location }));
            }
            match store.read(FileName::new(FileType::Locks, *id)) {
                Ok(bytes) => {
                    let state = match Lock::open(key, bytes) {
                        Ok(lock) => classify(lock, ours.contains(id), environment),
                        Err(reason) => LockState::Junk(reason),
                    };
                    read.insert(*id, state);
                }
                // Its owner has just removed it. No name comes back, so that each is asked for once.
                Err(StoreError::NotFound { .. }) => {
                    gone.insert(*id);
                }
                Err(error) => return Err(of_store(error)),
            }
        }
        if gone.len() == gone_before {
            let there = read.into_iter().filter(|(id, _)| listed.contains(id));
            let reports = there.map(|(id, state)| LockReport { id, state }).collect();
            return Ok((listed, reports));
        }
    }
    let location = store.location();
    Err(CopyFailure {
        hint: Some("see who writes lock files there and removes them at once".to_owned()),
        ..CopyFailure::other(format!(
            "{location} lists ever more lock files that are gone when they are read"
        ))
    })
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
