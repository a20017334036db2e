//! Finishing: removing on each copy what records name and it still has.
//!
//! Snapshots go before index files and these before packs, each type on a copy only when nothing is
//! left to be listed there of the one before that was to go by then ([`Removals::held_up`]): whatever
//! ends this, what is left refers to nothing that is gone. Copies do not wait for each other.
//!
//! What can go wrong: a copy was away while a prune wrote anew what its snapshots need. What goes there
//! may be the last that is left of it, as where the others are lost by now. So before the first index
//! file or pack goes from a copy, every snapshot on it is looked into, whoever knew of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use std::thread::ScopedJoinHandle;
use std::time::SystemTime;

use jiff::Timestamp;
use parking_lot::Mutex;
use strongroom_model::{FileName, FileType, Id};
use strongroom_store::{Error as StoreError, Store, VersionContent};

use crate::parallel::for_each;
use crate::progress::Progress;
use crate::removals::locked::{Fate, Locked};
use crate::removals::{KINDS, Removals, Stop};
use crate::session::{Cancel, CopyFailure, CopyStore, ReadyCopy, RemovedFile, Session, chain};
use crate::sync::incomplete::first_incomplete;

/// What became of what records name on one copy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FinishedCopy {
    /// The copy.
    pub name: String,
    /// How many files were removed.
    pub removed: u64,
    /// How many bytes that has freed.
    pub freed_bytes: u64,
    /// How many bytes of what was removed the place keeps all the same, where nobody lists them.
    pub kept_bytes: u64,
    /// Until when it keeps them at least; `None` where nothing says that it lets go of them ever.
    pub kept_until: Option<SystemTime>,
    /// How many files stay for now, since a lock holds them, since somebody may still take the
    /// removal back, or since the place removes nothing for us.
    pub waiting: u64,
    /// How many bytes these have.
    pub waiting_bytes: u64,
    /// When the last of them may go, as far as is known.
    pub waits_until: Option<SystemTime>,
    /// Who is at work there, so that nothing could be removed, and what has waited for that since
    /// when: whoever never ends keeps it there for ever.
    pub in_use: Option<CopyFailure>,
    /// What kept it from being finished.
    pub failure: Option<CopyFailure>,
}

/// How many files of a copy are removed at a time.
const REMOVERS: usize = 16;

/// How many records are named where what they name stays.
const RECORDS_NAMED: usize = 3;

/// Removes what records name that count, on every copy that can be used: a folder at once, a vault by
/// tombstone, a locked bucket where no lock holds the file any more. Copies without any are not in
/// what is returned.
///
/// The caller holds exclusive locks: somebody else at work may just refer to what is there. What a
/// machine did not decide itself waits 7 days, and where a snapshot of that lies, so do all index
/// files and packs. Where a snapshot on a copy would not be whole without what is hidden, its index
/// files and packs stay.
pub fn finish(
    session: &Session,
    removals: &Removals,
    progress: &Progress,
    cancel: &Cancel,
) -> Vec<FinishedCopy> {
    finish_part(session, session, removals, progress, cancel)
}

/// The same, on the copies of a part of a session: trees are read from any of the whole.
pub(super) fn finish_part(
    whole: &Session,
    part: &Session,
    removals: &Removals,
    progress: &Progress,
    cancel: &Cancel,
) -> Vec<FinishedCopy> {
    finish_each((whole, part), removals, false, progress, cancel)
}

/// As [`finish()`], for who has seen under the same locks that every copy which can be used has all
/// that its snapshots need beside what goes.
pub(crate) fn finish_seen(
    session: &Session,
    removals: &Removals,
    progress: &Progress,
    cancel: &Cancel,
) -> Vec<FinishedCopy> {
    finish_each((session, session), removals, true, progress, cancel)
}

fn finish_each(
    (whole, part): (&Session, &Session),
    removals: &Removals,
    is_seen: bool,
    progress: &Progress,
    cancel: &Cancel,
) -> Vec<FinishedCopy> {
    let is_left = |(_, ready): &(&CopyStore, &ReadyCopy)| {
        let mut removed = ready.removed.iter();
        removed.any(|file| removals.names(file.name))
    };
    let copies: Vec<_> = part.ready().filter(is_left).collect();
    let all = copies.iter().flat_map(|(_, ready)| &ready.removed);
    let (files, bytes) = all.fold((0_u64, 0_u64), |(files, bytes), file| {
        (files + 1, bytes.saturating_add(file.size_bytes))
    });
    progress.begin("remove", Some(files), Some(bytes));
    std::thread::scope(|scope| {
        let begin = |(copy, ready)| {
            let work = Work::new(whole, removals, (copy, ready), progress, cancel);
            if is_seen {
                let _ = work.spare.set(true);
            }
            scope.spawn(move || work.finish())
        };
        let threads: Vec<_> = copies.iter().copied().map(begin).collect();
        let ended = threads.into_iter().map(ScopedJoinHandle::join);
        let finished = ended.zip(&copies).map(|(finished, (copy, _))| {
            finished.unwrap_or_else(|_| FinishedCopy {
                name: copy.name.clone(),
                failure: Some(CopyFailure::other(
                    "the thread that was to remove files there died".to_owned(),
                )),
                ..FinishedCopy::default()
            })
        });
        finished.collect()
    })
}

/// One copy, to be finished.
struct Work<'a> {
    /// Trees are read from any of its copies.
    session: &'a Session,
    removals: &'a Removals,
    copy: &'a CopyStore,
    ready: &'a ReadyCopy,
    progress: &'a Progress,
    cancel: &'a Cancel,
    done: Mutex<FinishedCopy>,
    /// What somebody keeps there, and until when.
    kept: Mutex<Vec<(FileName, Option<SystemTime>)>>,
    /// Whether no snapshot on the copy needs an index file or a pack that goes, once that was asked.
    spare: OnceLock<bool>,
    /// How files go there where the place locks nothing.
    unlocked: Unlocked<'a>,
}

impl<'a> Work<'a> {
    fn new(
        session: &'a Session,
        removals: &'a Removals,
        (copy, ready): (&'a CopyStore, &'a ReadyCopy),
        progress: &'a Progress,
        cancel: &'a Cancel,
    ) -> Self {
        Self {
            session,
            removals,
            copy,
            ready,
            progress,
            cancel,
            done: Mutex::new(FinishedCopy {
                name: copy.name.clone(),
                ..FinishedCopy::default()
            }),
            kept: Mutex::default(),
            spare: OnceLock::new(),
            unlocked: Unlocked::new(copy.store.as_ref()),
        }
    }

    fn finish(self) -> FinishedCopy {
        let mut of_kinds: BTreeMap<FileType, Vec<RemovedFile>> = BTreeMap::new();
        let until = self.removals.waits_until(&self.ready.removed);
        let named = self.ready.removed.iter();
        for file in named.filter(|file| self.removals.names(file.name)) {
            if self.removals.may_go(file.name) {
                of_kinds.entry(file.name.kind()).or_default().push(*file);
            } else {
                let until = until.get(&file.name).copied();
                let until = until.and_then(|until| SystemTime::try_from(until).ok());
                self.wait(file, until);
            }
        }
        let mut is_free = match self.removals.stop() {
            None => true,
            Some(Stop { reason, .. }) => {
                self.fail(CopyFailure::other(format!("nothing is removed: {reason}")));
                false
            }
        };
        let keeps_packs = self.removals.has_waiting_snapshots(self.ready);
        let mut left = BTreeSet::new();
        for kind in KINDS {
            let files = of_kinds.remove(&kind).unwrap_or_default();
            if files.is_empty() {
                continue;
            }
            is_free &= kind == FileType::Snapshots || !keeps_packs;
            if !is_free {
                files.iter().for_each(|file| self.wait(file, None));
                continue;
            }
            let names: BTreeSet<FileName> = files.iter().map(|file| file.name).collect();
            let held_up = self.removals.held_up(names.iter().copied(), &left);
            let (waiting, going): (Vec<_>, Vec<_>) = files
                .into_iter()
                .partition(|file| held_up.contains(&file.name));
            waiting.iter().for_each(|file| self.wait(file, None));
            left.extend(held_up);
            if going.is_empty() {
                continue;
            }
            match self.remove_all(kind, &going, &names) {
                Some(more) => left.extend(more),
                None => is_free = false,
            }
        }
        if let Some(failure) = self.told_of_kept() {
            self.fail(failure);
        }
        self.done.into_inner()
    }

    /// Removes files of a type, of which these names are seen there; tells which are left, and nothing
    /// where it came to no end.
    fn remove_all(
        &self,
        kind: FileType,
        files: &[RemovedFile],
        names: &BTreeSet<FileName>,
    ) -> Option<BTreeSet<FileName>> {
        let store = self.copy.store.as_ref();
        let is_wanted = |name: FileName| {
            // What was hidden before goes with the others.
            names.contains(&name) || kind != FileType::Data && self.removals.may_go(name)
        };
        let locked = match Locked::list(store, kind, is_wanted) {
            Ok(locked) => locked,
            Err(error) => {
                files.iter().for_each(|file| self.wait(file, None));
                // Where versions may not be listed, nobody can tell what is locked.
                if !is_refusal(&error) {
                    self.fail(CopyFailure::of_store(&error));
                }
                return None;
            }
        };
        let decided = self.removals.decided(names);
        let is_over = Mutex::new(false);
        let left = Mutex::new(BTreeSet::new());
        let outcome = for_each(files, REMOVERS, |file| {
            if *is_over.lock() || self.cancel.is_cancelled() {
                left.lock().insert(file.name);
                self.wait(file, None);
                return Ok(());
            }
            // Asked only where something can go: behind locks much waits for months.
            let is_spare = || kind == FileType::Snapshots || self.is_spare();
            let fate = match &locked {
                Some(locked) => {
                    let decided = decided.get(&file.name).copied();
                    locked.remove(file.name, decided, is_spare)
                }
                None if is_spare() => self.unlocked.remove(file),
                None => Ok(Fate::Waits(None)),
            };
            match fate {
                Ok(Fate::Removed(freed_bytes)) => self.count(file, (freed_bytes, 0)),
                Ok(Fate::Hidden(kept_bytes)) => self.count(file, (0, kept_bytes)),
                Ok(Fate::Waits(until)) => {
                    left.lock().insert(file.name);
                    self.wait(file, until);
                }
                Ok(Fate::Kept(until)) => {
                    self.kept.lock().push((file.name, until));
                    self.wait(file, until);
                }
                Err(error) => {
                    left.lock().insert(file.name);
                    // Whoever refuses one, or does not answer, is not asked for all the others.
                    *is_over.lock() = true;
                    self.wait(file, None);
                    match is_refusal(&error) {
                        true => {
                            let reason = error.to_string();
                            tracing::info!(copy = self.copy.name, reason, "A copy keeps its files");
                        }
                        false => self.fail(CopyFailure::of_store(&error)),
                    }
                }
            }
            Ok(())
        });
        let is_over = is_over.into_inner();
        if let Some(locked) = locked.filter(|_| !is_over) {
            self.remove_hidden(kind, &locked, names);
        }
        (outcome.is_ok() && !is_over).then(|| left.into_inner())
    }

    /// Removes what was hidden before, by whomever, where nothing holds it any more.
    fn remove_hidden(&self, kind: FileType, locked: &Locked<'_>, seen: &BTreeSet<FileName>) {
        let is_spare = || kind == FileType::Snapshots || self.is_spare();
        match locked.remove_hidden(seen, is_spare) {
            Ok(freed) => {
                let mut done = self.done.lock();
                done.removed += freed.len() as u64;
                let bytes = freed.into_iter().fold(0, u64::saturating_add);
                done.freed_bytes = done.freed_bytes.saturating_add(bytes);
            }
            // Nobody lists it: that can wait.
            Err(error) => {
                let (copy, reason) = (&self.copy.name, chain(&error));
                tracing::info!(copy, reason, "What was hidden stays");
            }
        }
    }

    /// What is told of files that somebody keeps there, of which the first is named.
    fn told_of_kept(&self) -> Option<CopyFailure> {
        let kept = self.kept.lock();
        let (name, until) = kept.iter().min()?;
        let others = match kept.len() {
            1 => String::new(),
            count => format!(" and {} others", count - 1),
        };
        let why = match until.and_then(|until| Timestamp::try_from(until).ok()) {
            Some(until) => format!(
                "locked until {until:.0}, longer than any lock of ours was when that was decided"
            ),
            None => "with more versions than any client makes".to_owned(),
        };
        Some(CopyFailure {
            hint: Some(
                "see who may put and lock files there, unless lock in strongroom.toml was longer \
                 before; what is hidden goes with a later removal, once nothing holds it"
                    .to_owned(),
            ),
            ..CopyFailure::other(format!(
                "somebody keeps {name}{others}, {why}: hidden now, and what else was to go goes on"
            ))
        })
    }

    /// Whether no snapshot on the copy needs an index file or a pack that goes; looked into once.
    fn is_spare(&self) -> bool {
        *self.spare.get_or_init(|| self.is_needed_by_nobody())
    }

    /// Looks into every snapshot on the copy: it must be whole there without what goes. That a removal
    /// knew of one says nothing of what this copy has of it.
    fn is_needed_by_nobody(&self) -> bool {
        let listed = self.ready.listing.snapshots.iter();
        let snapshots: BTreeSet<Id> = listed.map(|entry| entry.id).collect();
        if snapshots.is_empty() {
            return true;
        }
        let of_copy = (self.copy, self.ready);
        match first_incomplete(self.session, of_copy, &snapshots, self.cancel) {
            Ok(None) => true,
            Ok(Some((snapshot, reason))) => {
                self.fail(CopyFailure {
                    hint: Some(format!(
                        "strongroom sync brings what it may lack; if it needs what was removed: \
                         strongroom hold {0}, and strongroom forget --annul {1}; if it is \
                         nobody's: strongroom forget {0}",
                        snapshot.short(),
                        self.records_that_go()
                    )),
                    ..CopyFailure::other(format!(
                        "packs and index files stay: snapshot {} would not be whole there without \
                         them: {reason}",
                        snapshot.short()
                    ))
                });
                false
            }
            Err(error) => {
                // An interruption is one of the whole run.
                if !self.cancel.is_cancelled() {
                    self.fail(CopyFailure::other(chain(&error)));
                }
                false
            }
        }
    }

    /// The records that name index files or packs that are to go, by their ids.
    fn records_that_go(&self) -> String {
        let named = self.ready.removed.iter().map(|file| file.name);
        let going: BTreeSet<FileName> = named.filter(|name| self.removals.may_go(*name)).collect();
        let records = self.removals.records().filter(|(_, removal)| {
            let mut named = removal.files();
            named.any(|name| name.kind() != FileType::Snapshots && going.contains(&name))
        });
        let ids: Vec<String> = records
            .take(RECORDS_NAMED)
            .map(|(id, _)| id.to_string())
            .collect();
        ids.join(" ")
    }

    fn count(&self, file: &RemovedFile, (freed_bytes, kept_bytes): (u64, u64)) {
        self.progress.add_files(1);
        self.progress.add_bytes(file.size_bytes);
        let mut done = self.done.lock();
        done.removed += 1;
        done.freed_bytes = done.freed_bytes.saturating_add(freed_bytes);
        done.kept_bytes = done.kept_bytes.saturating_add(kept_bytes);
    }

    fn wait(&self, file: &RemovedFile, until: Option<SystemTime>) {
        let mut done = self.done.lock();
        done.waiting += 1;
        done.waiting_bytes = done.waiting_bytes.saturating_add(file.size_bytes);
        done.waits_until = done.waits_until.max(until);
    }

    fn fail(&self, failure: CopyFailure) {
        self.progress.add_error();
        self.done.lock().failure.get_or_insert(failure);
    }
}

/// A place where nothing is locked.
struct Unlocked<'a> {
    store: &'a dyn Store,
    /// Whether it only hides what is removed there, once that was seen of one file.
    hides: OnceLock<bool>,
}

impl<'a> Unlocked<'a> {
    const fn new(store: &'a dyn Store) -> Self {
        Self {
            store,
            hides: OnceLock::new(),
        }
    }

    fn remove(&self, file: &RemovedFile) -> strongroom_store::Result<Fate> {
        self.store.remove(file.name)?;
        Ok(match self.hides.get_or_init(|| self.is_left(file.name)) {
            true => Fate::Hidden(file.size_bytes),
            false => Fate::Removed(file.size_bytes),
        })
    }

    /// Whether bytes of a removed file are there still, or nobody can tell: what was not seen to be free
    /// is not called so.
    fn is_left(&self, name: FileName) -> bool {
        let Some(versions) = self.store.versions() else {
            return false;
        };
        let mut is_left = false;
        let listed = versions.each_version_of(name, &mut |version| {
            is_left |= matches!(version.content, VersionContent::Bytes { .. });
            Ok(())
        });
        is_left || listed.is_err()
    }
}

/// What a place says, or we of it, where it does not know who asks: the status of a REST server, and
/// S3's codes of errors.
const DOES_NOT_KNOW_US: [&str; 6] = [
    "401 ",
    "there are no credentials",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "SignatureDoesNotMatch",
];

/// Whether a place says that we may not: it keeps what is removed, and that is no failure. One that
/// does not know us, as by a token that is over or revoked, says nothing of what it keeps.
fn is_refusal(error: &StoreError) -> bool {
    match error {
        StoreError::Denied { reason, .. } => {
            !DOES_NOT_KNOW_US.iter().any(|said| reason.contains(said))
        }
        StoreError::Vault { status, .. } => *status != 401,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use strongroom_testkit::{FakeBucket, MemoryStore};

    use super::*;

    #[test]
    fn what_a_place_only_hides_is_not_called_free() {
        let bytes = b"a pack";
        let file = RemovedFile {
            name: FileName::new(FileType::Data, Id::of(bytes)),
            size_bytes: bytes.len() as u64,
        };
        let (plain, versioned) = (MemoryStore::new("plain"), FakeBucket::new("kept"));
        let removed = |store: &dyn Store| {
            store.save(file.name, bytes).unwrap();
            Unlocked::new(store).remove(&file).unwrap()
        };
        assert_eq!(removed(&plain), Fate::Removed(6));
        assert_eq!(removed(&versioned), Fate::Hidden(6));
        assert_eq!(versioned.count(file.name), 1);
    }

    #[test]
    fn a_place_that_does_not_know_us_keeps_nothing_on_purpose() {
        let denied = |reason: &str| StoreError::Denied {
            location: "rest:https://nas:8000/".to_owned(),
            action: "remove data/3f".to_owned(),
            reason: reason.to_owned(),
        };
        let vault = |status| StoreError::Vault {
            location: "rest:https://nas:8000/".to_owned(),
            action: "remove data/3f".to_owned(),
            status,
            reason: "no".to_owned(),
            hint: None,
        };
        assert!(is_refusal(&denied("403 Forbidden")));
        assert!(is_refusal(&vault(403)));
        assert!(is_refusal(&denied("403 AccessDenied")));
        assert!(!is_refusal(&denied("401 Unauthorized")));
        assert!(!is_refusal(&denied("403 InvalidAccessKeyId")));
        assert!(!is_refusal(&vault(401)));
    }
}
