//! restic's exclusive lock on a copy that is recovered in place: others may be using it.
//!
//! | at once | with the lock | without it |
//! |---|---|---|
//! | a backup | waits or does without this copy | harmless: what is brought into sight is right by its name |
//! | a prune | waits or ends | it hides what no snapshot needs that it sees, and may not see yet what comes into sight. No version goes that is locked: run again, recover brings that back too |
//! | another recovery | ends | harmless: both put the same bytes |
//!
//! A lock is sealed by the repository's key, so that without the password there is none; and whoever
//! has attacked the copy can fill its folder of locks. Nothing is destroyed by doing without, so that
//! is told and done. Only a lock that somebody holds ends it, and one that was not renewed for half an
//! hour is removed: whoever held it may have perished with the machine.

use std::collections::BTreeSet;

use strongroom_model::{FileName, FileType};
use strongroom_repo::Repository;

use crate::listing::Listing;
use crate::session::{
    CopyState, CopyStore, Environment, LockState, Locks, Looking, OwnLocks, ReadyCopy, Session,
    SessionCopy, chain, read_locks,
};
use crate::state::RepositoryState;
use crate::{Error, Result};

/// How many locks are looked at.
const MOST_LOCKS: usize = 1000;

/// Locks a copy, where its key is known; `None`, with a note, where it is done without. Where there is
/// a `memory`, a lock of a run that was killed on this machine is dead with it.
///
/// # Errors
/// [`Error::Locked`] where somebody holds a lock; [`Error::Interrupted`].
pub(super) fn lock(
    copy: &CopyStore,
    repository: Option<Repository>,
    memory: Option<RepositoryState>,
    environment: &Environment,
    notes: &mut Vec<String>,
) -> Result<Option<Locks>> {
    let Some(repository) = repository else {
        let reason = "without the password, and a right config, there is none";
        notes.push(done_without(&copy.name, reason));
        return Ok(None);
    };
    remove_stale(copy, &repository, environment, notes);
    let ready = ReadyCopy {
        listing: Listing::default(),
        removed: Vec::new(),
        config_is_right: true,
        doubts: BTreeSet::new(),
    };
    let found = SessionCopy {
        copy: copy.clone(),
        state: CopyState::Ready(Box::new(ready)),
    };
    let looking = Looking::until(&environment.cancel);
    let mut session = Session::new(repository, vec![found], looking);
    if let Some(memory) = memory {
        session.note_locks_in(memory);
    }
    match Locks::acquire(&mut session, environment, true) {
        Ok(locks) => Ok(Some(locks)),
        Err(error @ (Error::Locked { .. } | Error::Interrupted)) => Err(error),
        Err(error) => {
            environment.cancel.check()?;
            notes.push(done_without(&copy.name, &chain(&error)));
            Ok(None)
        }
    }
}

/// Removes locks that were not renewed for half an hour, as `strongroom unlock` does, which needs a
/// `config` that can be seen.
fn remove_stale(
    copy: &CopyStore,
    repository: &Repository,
    environment: &Environment,
    notes: &mut Vec<String>,
) {
    let (store, key, own) = (copy.store.as_ref(), repository.key(), OwnLocks::default());
    // What cannot be read now cannot be a moment later either, and is told then.
    let reports = read_locks(store, key, &own, environment, MOST_LOCKS).unwrap_or_default();
    for report in reports {
        if let LockState::Stale(lock) = report.state
            && store
                .remove(FileName::new(FileType::Locks, report.id))
                .is_ok()
        {
            notes.push(format!(
                "A lock on {} was not renewed for half an hour, or is of a time yet to come, and is \
                 removed: {lock}",
                copy.name
            ));
        }
    }
}

fn done_without(copy: &str, reason: &str) -> String {
    format!(
        "No restic lock is held on {copy}: {reason}. If somebody pruned it meanwhile, run this again \
         afterwards"
    )
}
