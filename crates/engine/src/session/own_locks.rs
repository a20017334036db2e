//! Which locks are ours: noted in the state folder, so that after a kill the next run knows them.
//!
//! A lock says a host's name and a process's number, and neither tells enough: containers have
//! numbers of their own under the name of their host, and cloned machines share a name. So a
//! process is taken for dead only by who noted its lock in the very place where it ran.
//!
//! What can go wrong: a kill between two steps. A lock is noted before it is written and struck
//! out after it was removed, so that at worst a lock is noted that does not exist.

use std::fs;

use strongroom_model::Id;

use crate::session::chain;
use crate::state::{OwnLock, RepositoryState};

/// The notes, where there is a state folder.
#[derive(Debug, Clone, Default)]
pub struct OwnLocks {
    kept: Option<Kept>,
}

#[derive(Debug, Clone)]
struct Kept {
    memory: RepositoryState,
    /// The start of this machine and the namespace that its process numbers belong to.
    numbering: String,
}

impl OwnLocks {
    /// Notes locks in the state of a repository; nothing is noted where the system does not say
    /// what its process numbers belong to.
    pub(crate) fn kept_in(memory: RepositoryState) -> Self {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        let namespace = fs::read_link("/proc/self/ns/pid").ok();
        let kept = boot.zip(namespace).map(|(boot, namespace)| Kept {
            memory,
            numbering: format!("{} {}", boot.trim(), namespace.display()),
        });
        Self { kept }
    }

    /// Notes locks that are about to be written.
    pub(super) fn note(&self, ids: &[Id]) {
        self.change(|kept, locks| {
            locks.extend(ids.iter().map(|id| OwnLock {
                lock: *id,
                numbering: kept.numbering.clone(),
            }));
        });
    }

    /// Strikes out locks that are no more.
    pub(super) fn strike_out(&self, ids: &[Id]) {
        if ids.is_empty() {
            return;
        }
        self.change(|_, locks| locks.retain(|own| !ids.contains(&own.lock)));
    }

    /// The locks that were written where the process numbers were the same as they are here.
    pub(super) fn of_this_numbering(&self) -> Vec<Id> {
        let kept = self.kept.iter();
        kept.flat_map(|kept| {
            let locks = kept.memory.own_locks().into_iter();
            let here = locks.filter(|own| own.numbering == kept.numbering);
            here.map(|own| own.lock).collect::<Vec<_>>()
        })
        .collect()
    }

    /// A note that cannot be written costs only that after a kill the lock stands a little longer.
    fn change(&self, change: impl FnOnce(&Kept, &mut Vec<OwnLock>)) {
        let Some(kept) = &self.kept else {
            return;
        };
        let changed = kept.memory.update_own_locks(|locks| change(kept, locks));
        if let Err(error) = changed {
            tracing::debug!(error = chain(&error), "A lock of ours is not noted");
        }
    }
}
