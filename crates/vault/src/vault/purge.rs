//! Purging: the one place where bytes go for ever.
//!
//! In two transactions, with the removal between them: *purging* and the leaf first, and last that
//! it is gone. One process purges at a time, under its lease. Who dies in between leaves a purge
//! that the next run ends, or a POST of the same file.
//!
//! What can go wrong: a process that sleeps between the two, and goes on after others have ended
//! its purge and the file has come anew. What it removes then has the generation of the old body,
//! which no body ever has again, and its second transaction finds another generation, or none.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::{Condvar, Mutex};
use strongroom_access::{Refusal, Seal};
use strongroom_model::{FileName, RepositoryPath};

use crate::database::Transaction;
use crate::database::lease::Lease;
use crate::records::clock;
use crate::records::hours;
use crate::records::leaves::{self, Act};
use crate::records::needs;
use crate::records::objects::{self, Key};
use crate::records::people::seals;
use crate::records::purging;
use crate::records::repositories::{self, Repository};
use crate::records::tally;
use crate::rules::clock::DAY_MS;
use crate::rules::life::{Object, State};
use crate::rules::purge::{Hold, hour_of, may_go};
use crate::vault::foresight::busy;
use crate::vault::jobs::{self, Held, Job};
use crate::vault::{Vault, no_answer, told};
use crate::{Error, Result};

/// How long a POST waits for a purge.
const WAIT: Duration = Duration::from_secs(5);

/// How often it looks whether another process has ended it.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How many purges are begun in one transaction, in which nobody else writes.
const BEGUN_AT_ONCE: usize = 100;

/// After so many failures one after the other a repository is left to the next run: a storage that
/// is away as a whole may take long to say so.
const MOST_FAILURES_IN_A_ROW: u64 = 17;

/// What a run of the purge did with one repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// How many objects are gone.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many that are due were looked at and stay, because a receipt names them.
    pub held_back: u64,
    /// How many could not be removed: nobody sees them any more, and the next run tries again.
    pub failed: u64,
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
    /// How many runs there were.
    runs: AtomicU64,
    /// The repository that was the last to have its turn.
    last: Mutex<Option<i64>>,
}

impl Purges {
    /// In an order that is another one at each run, so that whatever cannot be ended does not
    /// stand before the rest for ever.
    fn in_turn<T>(&self, mut begun: Vec<T>) -> Vec<T> {
        let runs = self.runs.fetch_add(1, Ordering::Relaxed);
        let step = runs.wrapping_mul(MOST_FAILURES_IN_A_ROW);
        if let Some(place) = step.checked_rem(begun.len() as u64) {
            begun.rotate_left(usize::try_from(place).unwrap_or_default());
        }
        begun
    }

    /// Begins behind the repository that was the last to have its turn: one in which a run ends each
    /// time, because something there takes longer than the lease lasts, must not keep the same others
    /// from theirs.
    fn begin_behind_last(&self, repositories: &mut [Repository]) {
        let last = *self.last.lock();
        let mut ids = repositories.iter().map(|repository| repository.id);
        if let Some(place) = ids.position(|id| Some(id) == last) {
            repositories.rotate_left(place + 1);
        }
    }
}

/// For so long nothing goes once a seal was opened: whoever has asked for much to be deleted just before
/// it was closed had its grace go on under it, and operators look first.
const AFTER_SEAL_MS: i64 = 3 * DAY_MS;

/// Whether a seal keeps everything from being purged.
fn is_held_by(seal: Seal, now_ms: i64) -> bool {
    match seal {
        Seal::Sealed { .. } => true,
        // None was ever closed.
        Seal::Open { since_ms: 0 } => false,
        Seal::Open { since_ms } => now_ms.saturating_sub(since_ms) < AFTER_SEAL_MS,
    }
}

impl Vault {
    /// Why nothing of a repository is purged now.
    ///
    /// # Errors
    /// Those of the database.
    pub fn purge_hold(&self, repository: &Repository) -> Result<Option<Hold>> {
        if is_held_by(self.seal()?, self.now().vault_ms) {
            return Ok(Some(Hold::Sealed));
        }
        if self.is_clock_doubted() {
            return Ok(Some(Hold::Clock));
        }
        Ok(repository.purge_held_ms.map(|_| Hold::ManyTombstones))
    }

    /// Whether the vault is sealed.
    ///
    /// # Errors
    /// Those of the database.
    pub fn seal(&self) -> Result<Seal> {
        self.read(|transaction| seals::get(transaction))
    }

    /// Removes a bounded share of what is due in each repository; nothing where another process
    /// does so, or while it is not known that the storage is that of the vault. What cannot be removed
    /// keeps nothing else from being removed, in no repository.
    ///
    /// # Errors
    /// The first one of the database, after all other repositories had their share; what was begun
    /// is ended by the next run.
    pub fn purge(&self) -> Result<Vec<(Repository, Purged)>> {
        let outcomes = self.run_job(Job::Purge, |held| {
            self.note_hour(held.lease())?;
            let (mut outcomes, mut first_error) = (Vec::new(), None);
            let mut repositories = self.repositories()?;
            self.shared.purges.begin_behind_last(&mut repositories);
            for repository in repositories {
                if !held.goes_on() || self.is_storage_doubted() {
                    break;
                }
                *self.shared.purges.last.lock() = Some(repository.id);
                match self.purge_in(&repository, held) {
                    Ok(purged) => outcomes.push((repository, purged)),
                    Err(error @ Error::LeaseLost { .. }) => return Err(error),
                    Err(error) => first_error = first_error.or(Some(error)),
                }
            }
            first_error.map_or(Ok(outcomes), Err)
        })?;
        Ok(outcomes.unwrap_or_default())
    }

    /// Notes once an hour what is live in each repository, so that the deletions of a day can be
    /// compared with what was there before it.
    fn note_hour(&self, lease: Lease) -> Result<()> {
        let hour = hour_of(self.now().vault_ms);
        let missing = |transaction: &mut dyn Transaction| {
            let noted: HashSet<i64> = hours::noted(transaction, hour)?.into_iter().collect();
            let mut all = repositories::list(transaction)?;
            all.retain(|repository| !noted.contains(&repository.id));
            Ok(all)
        };
        for some in self.read(missing)?.chunks(BEGUN_AT_ONCE) {
            let some = some.to_vec();
            self.shared.commits.commit(move |transaction| {
                lease.require(transaction)?;
                for repository in &some {
                    let Some(repository) = repositories::get(transaction, &repository.path)? else {
                        continue;
                    };
                    let live = tally::live(transaction, &repository)?;
                    hours::note(transaction, repository.id, hour, live)?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    fn purge_in(&self, repository: &Repository, held: &Held<'_>) -> Result<Purged> {
        held.keep()?;
        let mut purged = Purged {
            held: self.purge_hold(repository)?,
            ..Purged::default()
        };
        // Under the seal not even what was begun: its bytes are still there.
        if purged.held == Some(Hold::Sealed) {
            return Ok(purged);
        }
        // What was begun is ended whatever else holds by now: nobody sees it any more.
        let waiting = self.finish_purges(repository, held, &mut purged)?;
        // No more than a share ever waits for a storage that does not let go of it.
        let share = self.shared.settings.purge_share;
        let room = share.saturating_sub(purged.objects.saturating_add(waiting));
        if purged.held.is_none() && room > 0 && held.goes_on() {
            self.replace_receipts(repository, held)?;
            let due = self.due(repository, room)?;
            purged.held_back = due.held_back;
            for names in due.names.chunks(BEGUN_AT_ONCE) {
                if !held.goes_on() {
                    break;
                }
                held.keep()?;
                self.begin_purges(repository, names.to_vec(), held.lease())?;
            }
            if !due.names.is_empty() {
                purged.failed = 0;
                self.finish_purges(repository, held, &mut purged)?;
            }
        }
        Ok(purged)
    }

    /// Ends purges that have begun, a share at most; goes on behind those that cannot be ended.
    /// Returns how many wait still.
    fn finish_purges(
        &self,
        repository: &Repository,
        held: &Held<'_>,
        purged: &mut Purged,
    ) -> Result<u64> {
        let (id, share) = (repository.id, self.shared.settings.purge_share);
        let begun = self.read(|transaction| purging::begun(transaction, id, share))?;
        let (mut waiting, mut in_a_row) = (begun.len() as u64, 0);
        for (name, object) in self.shared.purges.in_turn(begun) {
            if !held.goes_on() || in_a_row >= MOST_FAILURES_IN_A_ROW {
                break;
            }
            held.keep()?;
            match self.finish_purge(repository, name, &object) {
                Ok(()) => {
                    in_a_row = 0;
                    waiting -= 1;
                    purged.objects += 1;
                    purged.bytes = purged.bytes.saturating_add(object.bytes);
                    let total = &self.shared.purged;
                    total.objects.fetch_add(1, Ordering::Relaxed);
                    total.bytes.fetch_add(object.bytes, Ordering::Relaxed);
                }
                Err(Error::Storage(error)) => {
                    in_a_row += 1;
                    purged.failed += 1;
                    if purged.failed == 1 {
                        let error = &error as &dyn std::error::Error;
                        let path = repository.path.to_string();
                        let file = name.to_string();
                        tracing::error!(
                            error,
                            repository = path,
                            file,
                            "What is due cannot be removed from storage"
                        );
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(waiting)
    }

    /// Begins the purge of what may go; decided anew on what the database holds by now.
    fn begin_purges(
        &self,
        repository: &Repository,
        due: Vec<FileName>,
        lease: Lease,
    ) -> Result<()> {
        let now = self.now();
        let path = repository.path.clone();
        self.shared.commits.commit(move |transaction| {
            lease.require(transaction)?;
            // The row itself decides, and not what this process makes of it.
            let clock = clock::read(transaction)?.ok_or_else(no_answer)?;
            let Some(repository) = repositories::get(transaction, &path)? else {
                return Ok(());
            };
            let is_sealed = is_held_by(seals::get(transaction)?, now.vault_ms);
            if is_sealed || clock.is_doubted || repository.purge_held_ms.is_some() {
                return Ok(());
            }
            for name in &due {
                let key = Key::new(repository.id, *name);
                let Some(object) = objects::get(transaction, &key)? else {
                    continue;
                };
                let is_named = needs::is_held(transaction, &key)?;
                if !may_go(repository.keeping, &object, is_named, clock.purge_ms()) {
                    continue;
                }
                let file = told(&path, *name, object.bytes, None);
                leaves::append(transaction, now, &Act::Purge(file))?;
                purging::begin(transaction, &key)?;
            }
            Ok(())
        })
    }

    /// Removes the bytes of an object whose purge has begun, and its row; whoever else does the
    /// same does no harm.
    fn finish_purge(&self, repository: &Repository, name: FileName, object: &Object) -> Result<()> {
        // Somebody may have sealed since the run began.
        if self.seal()?.is_closed() {
            return Err(Refusal::Sealed.into());
        }
        let body = self.body_key(&repository.path, name, object.generation);
        self.shared.bodies.remove(&body)?;
        let (id, object) = (repository.id, object.clone());
        let bytes = i64::try_from(object.bytes).unwrap_or(i64::MAX);
        self.shared.commits.commit(move |transaction| {
            if purging::end(transaction, &Key::new(id, name), &object)? {
                repositories::add(transaction, id, -1, -bytes)?;
            }
            Ok(())
        })?;
        let _lock = self.shared.purges.lock.lock();
        self.shared.purges.ended.notify_all();
        Ok(())
    }

    /// Removes what uploads left in storage that were begun before `older_than` and never ended;
    /// returns how many. Nothing where another process purges, or while it is not known that the
    /// storage is that of the vault.
    ///
    /// # Errors
    /// Those of database and storage.
    pub fn sweep(&self, older_than: SystemTime) -> Result<u64> {
        if self.is_storage_doubted() {
            return Ok(0);
        }
        let swept = self.run_job(Job::Purge, |_| Ok(self.shared.bodies.sweep(older_than)?))?;
        Ok(swept.unwrap_or_default())
    }

    /// Waits while a file is being purged, and ends the purge where nobody holds the lease any
    /// more.
    ///
    /// # Errors
    /// [`Error::Busy`] where it takes long; those of database and storage.
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
