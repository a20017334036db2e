//! One copy: what is due, what is not known, and many requests at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime};

use jiff::Timestamp;
use parking_lot::Mutex;
use strongroom_model::evidence::ClaimedLock;
use strongroom_model::{CopyEvidence, FileName, FileType, Id};
use strongroom_store::{Error as StoreError, Locks, SavedLock, ShownLock, VersionId, Versions};

use crate::locking::finder::{Finder, Found, Listed};
use crate::locking::needed::{Needed, NeededFile};
use crate::locking::report::{CopyLocks, not_recorded};
use crate::locking::shared::{Done, Shared};
use crate::locking::{Followed, Window};
use crate::parallel::for_each;
use crate::progress::Progress;
use crate::session::{CopyFailure, CopyStore, Environment, Session, chain};
use crate::state::{LockDates, RepositoryState};
use crate::{Error, Result};

/// How many requests are under way at a time: they are small, and wait for the place.
const IN_FLIGHT: usize = 48;

/// Up to how many files are asked for one by one; for more the versions of all are listed, a
/// thousand at a time.
const FEW: usize = 64;

/// Of up to how many files that are extended it is looked in one run whether the version is right:
/// half a kilobyte of memory each.
const MOST_CHECKED: usize = 200_000;

/// How many bytes what is known of versions takes at a time.
const MOST_LISTED_BYTES: usize = 512 << 20;

/// What is called so while it goes on.
const PHASE: &str = "extending locks";

/// A look at the locks of one copy.
pub(super) struct Pass<'a> {
    pub(super) session: &'a Session,
    pub(super) memory: &'a RepositoryState,
    pub(super) copy: &'a CopyStore,
    pub(super) locks: &'a dyn Locks,
    pub(super) window: Window,
    pub(super) place: Option<Id>,
    pub(super) needed: &'a Needed,
    /// Why nothing but what is recorded can be extended.
    pub(super) failure: Option<CopyFailure>,
    pub(super) followed: &'a Followed,
    pub(super) is_dry: bool,
    /// When its time is over.
    pub(super) until: Option<Instant>,
    pub(super) environment: &'a Environment,
    pub(super) progress: &'a Progress,
}

/// A lock that is due.
struct Due {
    until: SystemTime,
    name: FileName,
    version: VersionId,
}

/// A file that is in no record, with its versions where they were listed.
struct Unknown {
    file: NeededFile,
    versions: Mutex<Option<Listed>>,
}

impl Pass<'_> {
    /// Does it, and records what came of it; returns that, and why it could not be recorded.
    pub(super) fn run(&self, dates: &LockDates) -> (CopyLocks, Option<String>) {
        let shared = Shared::of(self.needed);
        let outcome = self.locks.date().map_err(Error::from).and_then(|next| {
            let (due, unknown) = self.sort(dates);
            let known = (due.len() + unknown.len()) as u64;
            self.progress.begin(PHASE, Some(known), None);
            shared.done.lock().told.due = due.len() as u64;
            let comes_later = |name: FileName| self.needed.comes_later(name);
            let (later_due, due): (Vec<_>, Vec<_>) =
                due.into_iter().partition(|due| comes_later(due.name));
            let (later, unknown): (Vec<_>, Vec<_>) =
                unknown.into_iter().partition(|file| comes_later(file.name));
            self.keep(&due, unknown, next, &shared)?;
            self.keep(&later_due, self.by_turns(later), next, &shared)
        });
        let mut done = shared.done.into_inner();
        match outcome {
            Ok(()) => {}
            Err(Error::Interrupted) => done.told.was_interrupted = true,
            Err(Error::Store(error)) => done.told.failure = Some(CopyFailure::of_store(&error)),
            Err(error) => done.told.failure = Some(CopyFailure::other(chain(&error))),
        }
        if let Some(failure) = &self.failure {
            done.told.failure = Some(failure.clone());
            // Nobody knows what this place is, so that what it does not have is no news.
            let gone = std::mem::take(&mut done.gone);
            done.told.failed += gone.len() as u64;
        }
        self.record(done, dates)
    }

    /// What is due, those first that end first; and what is in no record.
    fn sort(&self, dates: &LockDates) -> (Vec<Due>, Vec<NeededFile>) {
        let (mut due, mut unknown) = (Vec::new(), Vec::new());
        for file in self.needed.files() {
            match dates.until(file.name) {
                None => unknown.push(*file),
                Some(until) if !self.window.is_believed(until) => unknown.push(*file),
                Some(until) if self.window.is_due(until) => due.extend(due_of(dates, file.name)),
                Some(_) => {}
            }
        }
        if !self.needed.are_all() {
            // Where it is not known what is needed, only what was removed for good is let go of.
            let is_wanted = |until| self.window.is_due(until) || !self.window.is_believed(until);
            let is_left = |name| !self.needed.contains(name) && !self.session.removals.may_go(name);
            let others = dates
                .iter()
                .filter(|(name, until)| is_wanted(*until) && is_left(*name));
            due.extend(others.filter_map(|(name, _)| due_of(dates, name)));
        }
        due.sort_by_key(|due| (due.until, due.name));
        (due, unknown)
    }

    /// Extends what is due, and finds what is in no record, or is not any more.
    fn keep(
        &self,
        due: &[Due],
        mut unknown: Vec<NeededFile>,
        next: SystemTime,
        shared: &Shared<'_>,
    ) -> Result<()> {
        self.extend_due(due, next, shared)?;
        let gone = shared.gone_of(due.iter().map(|due| due.name));
        let of_gone = self.needed.files().iter();
        unknown.extend(of_gone.filter(|file| gone.contains(&file.name)));
        self.find_unknown(&unknown, next, shared)?;
        self.check_recorded(due, &gone, next, shared)
    }

    /// The same files, from another one on each day: where not all have their turn in a run, the last
    /// ones are not always the same.
    fn by_turns(&self, mut files: Vec<NeededFile>) -> Vec<NeededFile> {
        // 2^64 by the golden ratio: its multiples spread evenly.
        const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
        let first = (self.day().wrapping_mul(SPREAD) >> 32) % (files.len().max(1) as u64);
        files.rotate_left(usize::try_from(first).unwrap_or_default());
        files
    }

    fn extend_due(&self, due: &[Due], next: SystemTime, shared: &Shared<'_>) -> Result<()> {
        if self.is_dry {
            return Ok(());
        }
        self.each(due, shared, |due| {
            match self.locks.lock_until(due.name, Some(&due.version), next) {
                Ok(until) => self.note(due.name, due.version.clone(), until, true, shared),
                Err(StoreError::NotFound { .. }) => {
                    shared.done.lock().gone.insert(due.name);
                }
                Err(error) => shared.failed(due.name, error)?,
            }
            Ok(())
        })
    }

    /// Finds the right versions of files that are in no record, or whose recorded versions are gone.
    fn find_unknown(
        &self,
        unknown: &[NeededFile],
        next: SystemTime,
        shared: &Shared<'_>,
    ) -> Result<()> {
        if unknown.is_empty() {
            return Ok(());
        }
        let mut versions = self.copy.store.versions();
        let Some(listed) = self.list(unknown, &mut versions)? else {
            shared.done.lock().told.left += unknown.len() as u64;
            return Ok(());
        };
        let finder = self.finder(versions);
        self.each(&listed, shared, |unknown| {
            let given = unknown.versions.lock().take();
            let name = unknown.file.name;
            match finder.find(&unknown.file, given) {
                Ok(Found::Right(version, lock)) => {
                    shared.done.lock().told.found += 1;
                    self.see(name, version, lock, next, shared)?;
                }
                Ok(Found::Missing) if self.needed.is_claim(name) => {}
                Ok(Found::Missing) => shared.done.lock().told.missing += 1,
                Ok(Found::Late) => shared.done.lock().told.left += 1,
                Ok(Found::Wrong { count, tried }) => shared.wrong(name, count, tried),
                Err(error) => shared.failed(name, error)?,
            }
            Ok(())
        })
    }

    /// Looks whether the versions that were extended are the right ones: whoever had the state folder
    /// has written what he likes. Where one is not, the right one is locked too, and recorded.
    fn check_recorded(
        &self,
        due: &[Due],
        gone: &BTreeSet<FileName>,
        next: SystemTime,
        shared: &Shared<'_>,
    ) -> Result<()> {
        if due.is_empty() || self.is_dry || self.failure.is_some() || self.is_late() {
            return Ok(());
        }
        let parts = due.len().div_ceil(MOST_CHECKED);
        let checked = due.iter().filter(|due| self.is_in_turn(due.name, parts));
        let recorded: BTreeMap<FileName, &VersionId> = checked
            .filter(|due| !gone.contains(&due.name))
            .map(|due| (due.name, &due.version))
            .collect();
        let files = self.needed.files().iter().copied();
        let files: Vec<_> = files
            .filter(|file| recorded.contains_key(&file.name))
            .collect();
        let mut versions = self.copy.store.versions();
        let Some(listed) = self.list(&files, &mut versions)? else {
            shared.done.lock().told.left += files.len() as u64;
            return Ok(());
        };
        let finder = self.finder(versions);
        for_each(&listed, IN_FLIGHT, |one| {
            self.environment.cancel.check()?;
            let name = one.file.name;
            let Some(version) = recorded.get(&name) else {
                return Ok(());
            };
            if self.is_late() || shared.is_over.load(Ordering::Relaxed) {
                return Ok(());
            }
            let given = one.versions.lock().take();
            match finder.find_instead(&one.file, given, version) {
                Ok(Some(Found::Right(version, lock))) => {
                    self.see(name, version, lock, next, shared)?;
                }
                Ok(Some(Found::Wrong { count, tried })) => shared.wrong(name, count, tried),
                Ok(_) => {}
                Err(error) => shared.failed(name, error)?,
            }
            Ok(())
        })
    }

    /// Whether it is the turn of a file, where not all can be checked in one run.
    fn is_in_turn(&self, name: FileName, parts: usize) -> bool {
        let first = name.id().and_then(|id| id.as_bytes().first().copied());
        let parts = (parts as u64).max(1);
        first.is_none_or(|first| (u64::from(first) + self.day()).is_multiple_of(parts))
    }

    /// Which day it is at the place.
    fn day(&self) -> u64 {
        let since = self.window.now.duration_since(SystemTime::UNIX_EPOCH);
        since.unwrap_or_default().as_secs() / 86_400
    }

    fn finder<'v>(&'v self, versions: Option<&'v dyn Versions>) -> Finder<'v> {
        Finder {
            locks: self.locks,
            versions,
            config: self.session.repository.config_bytes(),
            cancel: &self.environment.cancel,
            until: self.until,
        }
    }

    fn is_late(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }

    /// Takes note of a lock that was found, and makes it longer where it is due.
    fn see(
        &self,
        name: FileName,
        version: VersionId,
        lock: ShownLock,
        next: SystemTime,
        shared: &Shared<'_>,
    ) -> Result<()> {
        if let ShownLock::Compliance { until } = lock {
            if !self.window.is_due(until) {
                self.note(name, version, until, false, shared);
                return Ok(());
            }
            if self.is_dry {
                self.note(name, version, until, false, shared);
                shared.done.lock().told.due += 1;
                return Ok(());
            }
        }
        shared.done.lock().told.due += 1;
        if self.is_dry {
            return Ok(());
        }
        match self.locks.lock_until(name, Some(&version), next) {
            Ok(until) => self.note(name, version, until, true, shared),
            Err(error) => shared.failed(name, error)?,
        }
        Ok(())
    }

    /// Takes note of a lock that was seen; one that ends later than any that is made now as one of
    /// these, so that it is looked at again as they are.
    fn note(
        &self,
        name: FileName,
        version: VersionId,
        until: SystemTime,
        is_extended: bool,
        shared: &Shared<'_>,
    ) {
        let until = until.min(self.window.furthest());
        let mut done = shared.done.lock();
        done.told.extended += u64::from(is_extended);
        done.seen.push(SavedLock {
            name,
            version,
            until,
        });
    }

    /// The versions of files: of all of a type with few requests where there are many, else none. Of
    /// each a few are kept, whatever their number, and of those of which all are too much for memory
    /// none. Where they may not be listed, it is done without. Whoever may write makes any number of
    /// them, and markers for nothing: `None` where the time is over before all were listed.
    fn list(
        &self,
        unknown: &[NeededFile],
        versions: &mut Option<&dyn Versions>,
    ) -> Result<Option<Vec<Unknown>>> {
        let mut of_kinds: BTreeMap<FileType, BTreeMap<FileName, Listed>> = BTreeMap::new();
        for file in unknown {
            let of_kind = of_kinds.entry(file.name.kind()).or_default();
            of_kind.insert(file.name, Listed::of(*file));
        }
        let mut listed: BTreeMap<FileName, Listed> = BTreeMap::new();
        let mut left_bytes = MOST_LISTED_BYTES;
        let many = of_kinds.into_iter().filter(|(_, files)| files.len() > FEW);
        for (kind, mut files) in many {
            self.environment.cancel.check()?;
            let Some(lister) = versions else { break };
            let mut is_late = self.is_late();
            if is_late {
                return Ok(None);
            }
            let before = left_bytes;
            let found = lister.each_version(kind, &mut |version| {
                is_late = self.is_late();
                if is_late || self.environment.cancel.is_cancelled() {
                    let location = self.copy.store.location().to_owned();
                    return Err(StoreError::Cancelled { location });
                }
                if let Some(listed) = files.get_mut(&version.name) {
                    let held = listed.held_bytes();
                    listed.take(&version);
                    let more = listed.held_bytes().saturating_sub(held);
                    left_bytes = left_bytes.saturating_sub(more);
                }
                if left_bytes == 0 {
                    files.clear();
                }
                Ok(())
            });
            match found {
                Err(StoreError::Cancelled { .. }) if is_late => return Ok(None),
                Err(StoreError::Denied { .. }) => {
                    *versions = None;
                    break;
                }
                found => found?,
            }
            if left_bytes == 0 {
                let copy = self.copy.name.as_str();
                tracing::warn!(
                    copy,
                    %kind,
                    "More versions lie there than there is memory for: see who puts them there; its \
                     files are asked one by one, which takes longer"
                );
                left_bytes = before;
            }
            listed.append(&mut files);
        }
        let with_versions = |file: &NeededFile| Unknown {
            file: *file,
            versions: Mutex::new(listed.remove(&file.name)),
        };
        Ok(Some(unknown.iter().map(with_versions).collect()))
    }

    /// Does something for each of them, many at a time, until the time is over or the place refuses.
    fn each<T: Sync>(
        &self,
        items: &[T],
        shared: &Shared<'_>,
        work: impl Fn(&T) -> Result<()> + Sync,
    ) -> Result<()> {
        for_each(items, IN_FLIGHT, |item| {
            self.environment.cancel.check()?;
            if self.is_late() || shared.is_over.load(Ordering::Relaxed) {
                shared.done.lock().told.left += 1;
                return Ok(());
            }
            work(item)?;
            self.progress.add_files(1);
            Ok(())
        })
    }

    /// Records what was seen; where it is known in full what is needed, the rest is forgotten.
    fn record(&self, done: Done, before: &LockDates) -> (CopyLocks, Option<String>) {
        let Done { told, seen, gone } = done;
        // What nothing vouches for is needed by nobody whose needs are known.
        let is_known = told.failed == told.strangers
            && told.left == 0
            && told.missing == 0
            && told.failure.is_none()
            && !told.was_interrupted
            && !self.is_dry;
        let is_clean = is_known && self.needed.are_all();
        let snapshots = &self.followed.snapshots;
        let is_news = is_clean && snapshots.iter().any(|id| !before.covers(*id));
        let is_lost =
            !is_known && !self.is_dry && self.failure.is_none() && !before.covered().is_empty();
        let is_told = self.followed.are_all && self.needed.are_all() && !self.is_dry;
        let is_kept = is_news || is_lost || is_told;
        let mut updated = None;
        let mut problem = None;
        if is_kept || !seen.is_empty() || !gone.is_empty() {
            let change = |dates: &mut LockDates| {
                dates.move_to(self.place);
                dates.forget(&gone);
                // Of these the end that is noted now counts, though it is the earlier one.
                let is_doubted = |name: &FileName| {
                    let until = dates.until(*name);
                    until.is_some_and(|until| !self.window.is_believed(until))
                };
                let names = seen.iter().map(|seen| seen.name);
                let doubted = names.filter(is_doubted).collect();
                dates.forget(&doubted);
                dates.note(seen);
                if is_told {
                    dates.retain(|name| self.needed.contains(name));
                }
                if is_clean && is_told {
                    dates.cover(snapshots.clone());
                } else if is_clean {
                    dates.cover(dates.covered().union(snapshots).copied().collect());
                } else if is_lost {
                    // What was left out is asked for again by the next run.
                    dates.cover(BTreeSet::new());
                }
                true
            };
            match self.memory.update_lock_dates(self.copy, change) {
                Ok(dates) => updated = Some(dates),
                Err(error) => problem = Some(not_recorded(self.copy, &error)),
            }
        }
        let dates = updated.as_ref().unwrap_or(before);
        let told = CopyLocks {
            failed: told.failed,
            strangers: told.strangers,
            not_extended: told.not_extended,
            found: told.found,
            due: told.due,
            extended: told.extended,
            left: told.left,
            missing: told.missing,
            failure: told.failure,
            was_interrupted: told.was_interrupted,
            ..CopyLocks::of(&self.copy.name, dates, self.window)
        };
        if let Err(error) = self.claim(&told, is_clean) {
            problem.get_or_insert(not_recorded(self.copy, &error));
        }
        (told, problem)
    }

    /// Notes as evidence what the place claims, where all that is needed was seen, or that it does not
    /// claim it any more.
    fn claim(&self, told: &CopyLocks, is_clean: bool) -> Result<()> {
        if self.failure.is_some() {
            // It says nothing of the place that was asked before.
            return Ok(());
        }
        let now = (self.environment.clock)();
        let until = told.until.and_then(|until| Timestamp::try_from(until).ok());
        let before = self.memory.evidence(self.copy).lock;
        let after = match until {
            Some(until) if is_clean => Some(ClaimedLock::again(before, now, until, told.recorded)),
            _ if told.failed > told.strangers => None,
            _ => return Ok(()),
        };
        let is_same = match (before, after) {
            // That nothing was asked is no news.
            (Some(before), Some(after)) => {
                before.until == after.until && before.files == after.files && told.due == 0
            }
            (before, after) => before == after,
        };
        if is_same {
            return Ok(());
        }
        let change = |evidence: &mut CopyEvidence| {
            evidence.adopt(self.place);
            // What another place claims is none of what was shown of this one.
            if !evidence.is_elsewhere(self.place) {
                evidence.lock = after;
            }
        };
        self.memory.update_evidence(self.copy, change).map(drop)
    }
}

/// What is recorded of a file whose lock is due.
fn due_of(dates: &LockDates, name: FileName) -> Option<Due> {
    let (version, until) = dates.get(name)?;
    Some(Due {
        until,
        name,
        version,
    })
}
