//! Purging: the one place where bytes go for ever.
//!
//! In two transactions, with the removal between them: *purging* and the leaf first, and last that
//! it is gone. One process purges at a time, under its lease. Who dies in between leaves a purge
//! that the next run ends, or a POST of the same file.
//!
//! What can go wrong: a process that sleeps between the two, and goes on after others have ended
//! its purge and the file has come anew. What it removes then has the generation of the old body,
//! which no body ever has again, and its second transaction finds another generation, or none.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::{Condvar, Mutex};
use strongroom_model::{FileName, RepositoryPath};

use crate::Result;
use crate::database::lease::Lease;
use crate::records::clock;
use crate::records::leaves::{self, Act};
use crate::records::needs;
use crate::records::objects::{self, Key};
use crate::records::repositories::{self, Repository};
use crate::rules::life::{Object, State};
use crate::rules::purge::{Hold, may_go};
use crate::vault::foresight::busy;
use crate::vault::jobs::{self, Held, Job};
use crate::vault::{Vault, no_answer, told};

/// How long a POST waits for a purge.
const WAIT: Duration = Duration::from_secs(5);

/// How often it looks whether another process has ended it.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What a run of the purge did with one repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// How many objects are gone.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many that are due were looked at and stay, because a receipt names them.
    pub held_back: u64,
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

/// Tells those who wait that this process has ended a purge.
#[derive(Debug, Default)]
pub(super) struct Purges {
    lock: Mutex<()>,
    ended: Condvar,
}

impl Vault {
    /// Why nothing of a repository is purged now.
    pub fn purge_hold(&self, repository: &Repository) -> Option<Hold> {
        if self.is_clock_doubted() {
            return Some(Hold::Clock);
        }
        repository.purge_held_ms.map(|_| Hold::ManyTombstones)
    }

    /// Removes a bounded share of what is due in each repository; nothing where another process
    /// does so.
    ///
    /// # Errors
    /// Those of database and storage; what was begun is ended by the next run.
    pub fn purge(&self) -> Result<Vec<(Repository, Purged)>> {
        let outcomes = self.run_job(Job::Purge, |held| {
            let mut outcomes = Vec::new();
            for repository in self.repositories()? {
                let purged = self.purge_in(&repository, held)?;
                outcomes.push((repository, purged));
            }
            Ok(outcomes)
        })?;
        Ok(outcomes.unwrap_or_default())
    }

    fn purge_in(&self, repository: &Repository, held: &Held<'_>) -> Result<Purged> {
        held.keep()?;
        let mut purged = Purged {
            held: self.purge_hold(repository),
            ..Purged::default()
        };
        if purged.held.is_none() {
            let due = self.due(repository)?;
            purged.held_back = due.held_back;
            self.begin_purges(repository, due.names, held.lease())?;
        }
        // What was begun is ended whatever holds by now: nobody sees it any more.
        let begun = self.read(|transaction| objects::purging(transaction, repository.id))?;
        for (name, object) in begun {
            held.keep()?;
            self.finish_purge(repository, name, &object)?;
            purged.objects += 1;
            purged.bytes = purged.bytes.saturating_add(object.bytes);
            let total = &self.shared.purged;
            total.objects.fetch_add(1, Ordering::Relaxed);
            total.bytes.fetch_add(object.bytes, Ordering::Relaxed);
        }
        Ok(purged)
    }

    /// Begins the purge of what may go; decided anew on what the database holds by now.
    fn begin_purges(
        &self,
        repository: &Repository,
        due: Vec<FileName>,
        lease: Lease,
    ) -> Result<()> {
        if due.is_empty() {
            return Ok(());
        }
        let now = self.now();
        let path = repository.path.clone();
        self.shared.commits.commit(move |transaction| {
            lease.require(transaction)?;
            // The row itself decides, and not what this process makes of it.
            let clock = clock::read(transaction)?.ok_or_else(no_answer)?;
            let Some(repository) = repositories::get(transaction, &path)? else {
                return Ok(());
            };
            if clock.is_doubted || repository.purge_held_ms.is_some() {
                return Ok(());
            }
            for name in &due {
                let key = Key::new(repository.id, *name);
                let Some(object) = objects::get(transaction, &key)? else {
                    continue;
                };
                let is_named = needs::is_held(transaction, &key)?;
                if !may_go(repository.keeping, &object, is_named, clock.vault_ms) {
                    continue;
                }
                let file = told(&path, *name, object.bytes, None);
                leaves::append(transaction, now, &Act::Purge(file))?;
                objects::begin_purge(transaction, &key)?;
            }
            Ok(())
        })
    }

    /// Removes the bytes of an object whose purge has begun, and its row; whoever else does the
    /// same does no harm.
    fn finish_purge(&self, repository: &Repository, name: FileName, object: &Object) -> Result<()> {
        let body = self.body_key(&repository.path, name, object.generation);
        self.shared.bodies.remove(&body)?;
        let (id, object) = (repository.id, object.clone());
        let bytes = i64::try_from(object.bytes).unwrap_or(i64::MAX);
        self.shared.commits.commit(move |transaction| {
            if objects::end_purge(transaction, &Key::new(id, name), &object)? {
                repositories::add(transaction, id, -1, -bytes)?;
            }
            Ok(())
        })?;
        let _lock = self.shared.purges.lock.lock();
        self.shared.purges.ended.notify_all();
        Ok(())
    }

    /// Removes what uploads left in storage that were begun before `older_than` and never ended;
    /// returns how many. Nothing where another process purges.
    ///
    /// # Errors
    /// Those of database and storage.
    pub fn sweep(&self, older_than: SystemTime) -> Result<u64> {
        let swept = self.run_job(Job::Purge, |_| Ok(self.shared.bodies.sweep(older_than)?))?;
        Ok(swept.unwrap_or_default())
    }

    /// Waits while a file is being purged, and ends the purge where nobody holds the lease any
    /// more.
    ///
    /// # Errors
    /// [`Error::Busy`](crate::Error::Busy) where it takes long; those of database and storage.
    pub(super) fn await_purge(&self, path: &RepositoryPath, name: FileName) -> Result<()> {
        let repository = &self.repository(path)?;
        let key = Key::new(repository.id, name);
        let deadline = Instant::now() + WAIT;
        loop {
            let purging = self.read(|transaction| {
                let object = objects::get(transaction, &key)?;
                let Some(object) = object.filter(|object| object.state == State::Purging) else {
                    return Ok(None);
                };
                let is_held = jobs::holder(transaction, Job::Purge)?.is_some();
                Ok(Some((object, is_held)))
            })?;
            match purging {
                None => return Ok(()),
                Some((object, false)) => self.finish_purge(repository, name, &object)?,
                Some(_) if Instant::now() >= deadline => return Err(busy(path, name)),
                Some(_) => {
                    let purges = &self.shared.purges;
                    purges.ended.wait_for(&mut purges.lock.lock(), LOOK_EVERY);
                }
            }
        }
    }
}
