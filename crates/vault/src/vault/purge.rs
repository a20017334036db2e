//! Purging: the one place where bytes go for ever.
//!
//! In two transactions, with the removal between them: *purging* and the leaf first, and last that
//! it is gone. Who dies in between leaves a purge that the next run ends. To be called by one
//! process of those that share a database, the one that holds the lease.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use strongroom_model::FileName;

use crate::Result;
use crate::records::leaves::{self, Act};
use crate::records::objects::{self, Key};
use crate::records::repositories::{self, Repository};
use crate::rules::life::Object;
use crate::rules::purge::Hold;
use crate::vault::{Vault, told};

/// How many objects of a repository one run removes.
const SHARE: u64 = 1_000;

/// What a run of the purge did with one repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// How many objects are gone.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Why nothing was begun.
    pub held: Option<Hold>,
}

/// What this process has purged.
#[derive(Debug, Default)]
pub(super) struct Total {
    objects: AtomicU64,
    bytes: AtomicU64,
}

impl Total {
    /// Objects, and their bytes.
    pub(super) fn get(&self) -> (u64, u64) {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (of(&self.objects), of(&self.bytes))
    }
}

impl Vault {
    /// Why nothing of a repository is purged now.
    pub fn purge_hold(&self, repository: &Repository) -> Option<Hold> {
        if self.is_clock_doubted() {
            return Some(Hold::Clock);
        }
        repository.purge_held_ms.map(|_| Hold::ManyTombstones)
    }

    /// Removes a bounded share of what is due in each repository.
    ///
    /// # Errors
    /// Those of database and storage; what was begun is ended by the next run.
    pub fn purge(&self) -> Result<Vec<(Repository, Purged)>> {
        let mut outcomes = Vec::new();
        for repository in self.repositories()? {
            let purged = self.purge_in(&repository)?;
            outcomes.push((repository, purged));
        }
        Ok(outcomes)
    }

    /// Removes what is left of uploads that were begun before `older_than` and never ended; returns
    /// how many files.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn sweep(&self, older_than: SystemTime) -> Result<u64> {
        Ok(self.shared.bodies.sweep(older_than)?)
    }

    fn purge_in(&self, repository: &Repository) -> Result<Purged> {
        let mut purged = Purged {
            held: self.purge_hold(repository),
            ..Purged::default()
        };
        if purged.held.is_none() {
            self.begin_purges(repository)?;
        }
        // What was begun is ended whatever holds by now: nobody sees it any more.
        let begun = self.read(|transaction| objects::purging(transaction, repository.id))?;
        for (name, object) in begun {
            let body = self.body_key(&repository.path, name, object.generation);
            self.shared.bodies.remove(&body)?;
            self.end_purge(repository, name, &object)?;
            purged.objects += 1;
            purged.bytes = purged.bytes.saturating_add(object.bytes);
            let total = &self.shared.purged;
            total.objects.fetch_add(1, Ordering::Relaxed);
            total.bytes.fetch_add(object.bytes, Ordering::Relaxed);
        }
        Ok(purged)
    }

    fn begin_purges(&self, repository: &Repository) -> Result<()> {
        let now = self.now();
        let path = repository.path.clone();
        self.shared.commits.commit(move |transaction| {
            let Some(repository) = repositories::get(transaction, &path)? else {
                return Ok(());
            };
            if repository.purge_held_ms.is_some() {
                return Ok(());
            }
            let keeping = repository.keeping;
            let tombstoned_ms = now.vault_ms.saturating_sub(keeping.grace_ms);
            let arrived_ms = now.vault_ms.saturating_sub(keeping.retention_ms);
            let id = repository.id;
            let found = objects::tombstones(transaction, id, tombstoned_ms, arrived_ms, SHARE)?;
            for (name, object) in found {
                let due_ms = repository.keeping.due_ms(&object);
                if due_ms.is_none_or(|due_ms| due_ms > now.vault_ms) {
                    continue;
                }
                let file = told(&path, name, object.bytes, None);
                leaves::append(transaction, now, &Act::Purge(file))?;
                objects::begin_purge(transaction, &Key::new(repository.id, name))?;
            }
            Ok(())
        })
    }

    fn end_purge(&self, repository: &Repository, name: FileName, object: &Object) -> Result<()> {
        let (id, object) = (repository.id, object.clone());
        let bytes = i64::try_from(object.bytes).unwrap_or(i64::MAX);
        self.shared.commits.commit(move |transaction| {
            if objects::end_purge(transaction, &Key::new(id, name), &object)? {
                repositories::add(transaction, id, -1, -bytes)?;
            }
            Ok(())
        })
    }
}
