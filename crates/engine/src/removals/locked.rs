//! Removing files where their versions are locked: all versions of a file, once no lock holds any of
//! them, else none. Until then it is seen by everybody else, stock restic included.
//!
//! What can go wrong: whoever may lock makes the lock of a snapshot or index file longer and longer,
//! so that nothing behind it ever goes. So one that is locked for longer than any lock of ours was
//! when its removal was decided, by more than the week in which another machine may take that back, or
//! has versions without number, is hidden behind a marker: then nobody needs what it names. It goes
//! later, with whatever else of its type goes there.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::{Duration, SystemTime};

use strongroom_model::{FileName, FileType};
use strongroom_store::{
    Error, FileVersion, Locks, Result, ShownLock, Store, VersionContent, Versions,
};

use crate::removals::OTHERS_WAIT;

/// The versions of the files of one type on a locked place.
pub(super) struct Locked<'a> {
    store: &'a dyn Store,
    locks: &'a dyn Locks,
    versions: &'a dyn Versions,
    listed: Listed,
    /// The time by the clock of the place, by which locks end.
    now: SystemTime,
}

/// The versions of the files in question, as far as they may be kept in memory: whoever may write
/// makes as many as he likes.
#[derive(Default)]
struct Listed {
    of_files: HashMap<FileName, Vec<FileVersion>>,
    /// How many versions these are.
    count: usize,
    /// The files of which not all are kept; of these none is.
    too_many: HashSet<FileName>,
}

/// The most versions that are kept of a file.
const MOST_OF_A_FILE: usize = 1000;

/// The most versions that are kept of all files together: some 400 MB.
const MOST: usize = 2_000_000;

/// How much later than any lock that was made when the removal was decided one of ours may end: as long
/// as another machine may take it back, it lets no lock of what it names run out, and clocks differ.
const SLACK: Duration = Duration::from_secs(OTHERS_WAIT.as_secs().unsigned_abs() + 86_400);

/// Of how many files that were hidden before it is looked in a run whether they may go.
const MOST_HIDDEN: usize = 100;

impl Listed {
    fn keep(&mut self, version: FileVersion) {
        let name = version.name;
        if self.too_many.contains(&name) {
            return;
        }
        let versions = self.of_files.entry(name).or_default();
        if versions.len() < MOST_OF_A_FILE && self.count < MOST {
            versions.push(version);
            self.count += 1;
            return;
        }
        self.count = self.count.saturating_sub(versions.len());
        self.of_files.remove(&name);
        self.too_many.insert(name);
    }
}

/// What became of a file that was to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is gone, and so many bytes are free.
    Removed(u64),
    /// It is hidden, and the place keeps so many bytes of it all the same.
    Hidden(u64),
    /// It stays until then; `None` where nobody knows.
    Waits(Option<SystemTime>),
    /// The same, but that somebody keeps it there: it is hidden now, and holds up nothing.
    Kept(Option<SystemTime>),
}

/// What holds a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// Nothing any more.
    Nothing,
    /// A lock as we make them, or a longer one: it ends then.
    Lock(SystemTime),
    /// Somebody who keeps it there: a lock that is none of ours, or versions without number.
    Somebody(Option<SystemTime>),
}

impl<'a> Locked<'a> {
    /// Lists the versions of a type; `None` where the place locks nothing.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) fn list(
        store: &'a dyn Store,
        kind: FileType,
        is_wanted: impl Fn(FileName) -> bool,
    ) -> Result<Option<Self>> {
        let (Some(locks), Some(versions)) = (store.locks(), store.versions()) else {
            return Ok(None);
        };
        let mut listed = Listed::default();
        versions.each_version(kind, &mut |version| {
            if is_wanted(version.name) {
                listed.keep(version);
            }
            Ok(())
        })?;
        Ok(Some(Self {
            store,
            locks,
            versions,
            listed,
            now: locks.now()?,
        }))
    }

    /// What holds a file of which it was decided then that it goes.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) fn hold(&self, name: FileName, decided: Option<SystemTime>) -> Result<Hold> {
        if self.listed.too_many.contains(&name) {
            return Ok(Hold::Somebody(None));
        }
        let longest = shortest(self.locks).saturating_add(SLACK);
        let latest = decided.and_then(|at| at.checked_add(longest));
        Ok(match self.waits_until(name)? {
            None => Hold::Nothing,
            Some(until) if latest.is_some_and(|latest| until > latest) => {
                Hold::Somebody(Some(until))
            }
            Some(until) => Hold::Lock(until),
        })
    }

    /// Removes all versions of a file of which it was decided then that it goes, unless something
    /// holds one of them. Before it goes `is_spare` is asked whether nobody needs it.
    ///
    /// Where the right to remove versions is missing it is hidden, so that nobody lists it.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) fn remove(
        &self,
        name: FileName,
        decided: Option<SystemTime>,
        is_spare: impl FnOnce() -> bool,
    ) -> Result<Fate> {
        match self.hold(name, decided)? {
            Hold::Nothing => {}
            Hold::Lock(until) => return Ok(Fate::Waits(Some(until))),
            Hold::Somebody(until) => return self.hide(name, until, is_spare),
        }
        if !is_spare() {
            return Ok(Fate::Waits(None));
        }
        match self.remove_versions(name) {
            Err(Error::Denied { .. }) => {
                self.store.remove(name)?;
                Ok(Fate::Hidden(self.bytes_of(name)))
            }
            freed => freed.map(Fate::Removed),
        }
    }

    /// Removes what was hidden since somebody kept it, where nothing holds it any more; returns how
    /// many bytes of each file are free. These are what was listed and is not among the given ones.
    /// Before any goes `is_spare` is asked whether nobody needs it: anybody may have hidden it.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) fn remove_hidden(
        &self,
        seen: &BTreeSet<FileName>,
        is_spare: impl Fn() -> bool,
    ) -> Result<Vec<u64>> {
        let is_left = |name: &FileName| {
            let mut versions = self.versions_of(*name).iter();
            let has_bytes = versions.any(|one| matches!(one.content, VersionContent::Bytes { .. }));
            has_bytes && !seen.contains(name)
        };
        let hidden = self.listed.of_files.keys().copied();
        let mut freed = Vec::new();
        for name in hidden.filter(is_left).take(MOST_HIDDEN) {
            if self.waits_until(name)?.is_none() && is_spare() {
                freed.push(self.remove_versions(name)?);
            }
        }
        Ok(freed)
    }

    /// Hides a file that somebody keeps there, where others wait for it; nothing waits for packs.
    fn hide(
        &self,
        name: FileName,
        until: Option<SystemTime>,
        is_spare: impl FnOnce() -> bool,
    ) -> Result<Fate> {
        let place = self.store.location();
        tracing::warn!(place, %name, "Somebody keeps a file there that was to go");
        if name.kind() == FileType::Data || !is_spare() {
            return Ok(Fate::Waits(until));
        }
        match self.store.remove(name) {
            Ok(()) => Ok(Fate::Kept(until)),
            // Who lists it must find what it names.
            Err(Error::Denied { .. }) => Ok(Fate::Waits(until)),
            Err(error) => Err(error),
        }
    }

    /// Removes all versions of a file, and returns how many bytes they had.
    fn remove_versions(&self, name: FileName) -> Result<u64> {
        for version in self.versions_of(name) {
            self.versions.remove_version(version)?;
        }
        Ok(self.bytes_of(name))
    }

    /// Until when a file stays: until the first lock of a version that is found and not over, of
    /// which there may be later ones; `None` where there is none.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) fn waits_until(&self, name: FileName) -> Result<Option<SystemTime>> {
        for version in self.versions_of(name) {
            if matches!(version.content, VersionContent::Bytes { .. })
                && let Some(until) = self.locked_until(version)?
            {
                return Ok(Some(until));
            }
        }
        Ok(None)
    }

    fn versions_of(&self, name: FileName) -> &[FileVersion] {
        self.listed.of_files.get(&name).map_or(&[], Vec::as_slice)
    }

    fn bytes_of(&self, name: FileName) -> u64 {
        let versions = self.versions_of(name).iter();
        let sizes = versions.filter_map(|version| match version.content {
            VersionContent::Bytes { size_bytes, .. } => Some(size_bytes),
            VersionContent::Marker => None,
        });
        sizes.fold(0, u64::saturating_add)
    }

    /// Until when a version is locked; `None` where no lock is shown that is not over.
    fn locked_until(&self, version: &FileVersion) -> Result<Option<SystemTime>> {
        // It was locked for as long when it was put, so that nobody need be asked before.
        let first = version.made.checked_add(shortest(self.locks));
        if let Some(first) = first.filter(|first| *first > self.now) {
            return Ok(Some(first));
        }
        match self.locks.lock_of(version.name, Some(&version.version)) {
            Ok(ShownLock::Compliance { until } | ShownLock::Governance { until }) => {
                Ok(Some(until).filter(|until| *until > self.now))
            }
            // Of one that cannot be read no lock is told: its place says no where there is one.
            Ok(ShownLock::NotShown) | Err(Error::NotFound { .. } | Error::NotLocked { .. }) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// For how long a file is locked when it is put.
fn shortest(locks: &dyn Locks) -> Duration {
    let least = locks.least();
    least.saturating_add(least / 2)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use strongroom_model::Id;
    use strongroom_testkit::{FakeBucket, MemoryStore, Rights};

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    /// When a day of the tests begins, counted from 1970.
    fn since_1970(day: u32) -> Duration {
        DAY * 20_000 + DAY * day
    }

    fn day(number: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + since_1970(number)
    }

    /// A bucket that locks for ten days, and so for fifteen at first; it is day 100 there.
    fn bucket() -> FakeBucket {
        let bucket = FakeBucket::locking("bucket", DAY * 10);
        bucket.set_time(since_1970(100).as_secs());
        bucket
    }

    /// Puts a version of a file there that was made on a day, and is locked until another.
    fn put(bucket: &FakeBucket, file: &str, made: u32, until: u32) -> FileName {
        put_of(bucket, FileType::Data, file, made, until)
    }

    fn put_of(bucket: &FakeBucket, kind: FileType, file: &str, made: u32, until: u32) -> FileName {
        let name = FileName::new(kind, Id::of(file.as_bytes()));
        bucket.set_time(since_1970(made).as_secs());
        bucket.put(name, b"7 bytes");
        bucket.lock_until(name, None, day(until)).unwrap();
        bucket.set_time(since_1970(100).as_secs());
        name
    }

    fn listed(bucket: &FakeBucket) -> Locked<'_> {
        listed_of(bucket, FileType::Data)
    }

    fn listed_of(bucket: &FakeBucket, kind: FileType) -> Locked<'_> {
        let locked = Locked::list(bucket, kind, |_| true);
        locked.unwrap().unwrap()
    }

    /// What comes of removing a file that nobody needs.
    fn removed(locked: &Locked<'_>, name: FileName, decided: Option<SystemTime>) -> Fate {
        locked.remove(name, decided, || true).unwrap()
    }

    /// The files that are seen there.
    fn seen(bucket: &FakeBucket, kind: FileType) -> HashSet<FileName> {
        let entries = bucket.list(kind).unwrap().into_iter();
        let names = entries.map(|entry| FileName::new(kind, entry.id));
        names.collect()
    }

    #[test]
    fn a_file_goes_with_all_its_versions_and_only_when_no_lock_holds_one() {
        let bucket = bucket();
        let over = put(&bucket, "over", 10, 25);
        put(&bucket, "over", 60, 99);
        let extended = put(&bucket, "extended", 10, 25);
        put(&bucket, "extended", 20, 108);
        let young = put(&bucket, "young", 95, 110);
        let locked = listed(&bucket);
        assert_eq!(removed(&locked, over, None), Fate::Removed(14));
        let waits = |until| Fate::Waits(Some(day(until)));
        assert_eq!(removed(&locked, extended, None), waits(108));
        // Of what was put lately nobody is asked.
        bucket.take_asked();
        assert_eq!(removed(&locked, young, None), waits(110));
        assert_eq!(bucket.take_asked().looked, 0);
        let left = [over, extended, young].map(|name| bucket.count(name));
        assert_eq!(left, [0, 2, 1]);
        let seen = seen(&bucket, FileType::Data);
        assert_eq!(seen, [extended, young].into(), "what is locked is seen");
        // What is gone already is gone.
        let none = FileName::new(FileType::Data, Id::of(b"none"));
        assert_eq!(removed(&locked, none, None), Fate::Removed(0));
    }

    #[test]
    fn a_file_with_too_many_versions_stays_and_takes_no_room() {
        let bucket = bucket();
        let over = put(&bucket, "over", 10, 25);
        let mut flooded = over;
        for made in 0..1001 {
            flooded = put(&bucket, "flooded", made, 25);
        }
        let locked = listed(&bucket);
        assert_eq!(locked.listed.count, 1);
        assert_eq!(locked.hold(flooded, None).unwrap(), Hold::Somebody(None));
        assert_eq!(removed(&locked, flooded, None), Fate::Waits(None));
        assert_eq!(removed(&locked, over, None), Fate::Removed(7));
        assert_eq!((bucket.count(flooded), bucket.count(over)), (1001, 0));
    }

    #[test]
    fn what_somebody_keeps_locked_is_hidden_and_goes_later() {
        let bucket = bucket();
        let kind = FileType::Snapshots;
        let put_one = |file, made, until| put_of(&bucket, kind, file, made, until);
        let ours = put_one("ours", 60, 110);
        let longer = put_one("longer", 60, 400);
        // Another version each month has the same end.
        let again = put_one("again", 60, 75);
        put_one("again", 99, 99);
        let mut flooded = again;
        for made in 0..1001 {
            flooded = put_one("flooded", made % 50, 25);
        }
        let decided = Some(day(80));
        let locked = listed_of(&bucket, kind);
        let until = Some(day(110));
        // Another machine made it longer, which could still take the removal back.
        let waits = Fate::Waits(until);
        assert_eq!(removed(&locked, ours, Some(day(88))), waits);
        let all = [ours, longer, again, flooded];
        assert_eq!(seen(&bucket, kind), all.into());
        let remove = |name| removed(&locked, name, decided);
        assert_eq!(remove(longer), Fate::Kept(Some(day(400))));
        assert_eq!(remove(again), Fate::Kept(Some(day(114))));
        assert_eq!(remove(flooded), Fate::Kept(None));
        assert_eq!(seen(&bucket, kind), [ours].into());
        // Nothing waits for a pack.
        let pack = put(&bucket, "pack", 60, 400);
        let packs = listed(&bucket);
        let waits = Fate::Waits(Some(day(400)));
        assert_eq!(removed(&packs, pack, decided), waits);

        // Once nothing holds it, it goes with the others of its type.
        let over = put_one("over", 10, 25);
        let locked = listed_of(&bucket, kind);
        let freed = |is_spare: bool| locked.remove_hidden(&[ours].into(), || is_spare).unwrap();
        assert!(freed(false).is_empty());
        assert_eq!(bucket.count(over), 1, "it is needed");
        assert_eq!(freed(true), [7]);
        assert_eq!(bucket.count(over), 0);
        assert_ne!(bucket.count(longer), 0);
    }

    #[test]
    fn where_versions_may_not_be_removed_what_no_lock_holds_is_hidden() {
        let bucket = bucket();
        bucket.allow(Rights {
            remove_versions: false,
            ..Rights::default()
        });
        let over = put(&bucket, "over", 10, 25);
        let young = put(&bucket, "young", 95, 110);
        let locked = listed(&bucket);
        assert_eq!(removed(&locked, over, None), Fate::Hidden(7));
        assert!(matches!(removed(&locked, young, None), Fate::Waits(_)));
        assert_eq!(seen(&bucket, FileType::Data), [young].into());
        assert_eq!((bucket.count(over), bucket.count(young)), (1, 1));
    }

    #[test]
    fn what_is_needed_stays_and_that_is_asked_of_nothing_that_a_lock_holds() {
        let bucket = bucket();
        let kind = FileType::Index;
        let over = put_of(&bucket, kind, "over", 10, 25);
        let kept = put_of(&bucket, kind, "kept", 60, 400);
        let young = put_of(&bucket, kind, "young", 95, 110);
        let locked = listed_of(&bucket, kind);
        let decided = Some(day(97));
        let asked = Cell::new(0);
        let needed = |name| {
            let is_spare = || {
                asked.set(asked.get() + 1);
                false
            };
            locked.remove(name, decided, is_spare).unwrap()
        };
        assert_eq!(needed(young), Fate::Waits(Some(day(110))));
        assert_eq!(asked.get(), 0);
        assert_eq!(needed(over), Fate::Waits(None));
        assert_eq!(needed(kept), Fate::Waits(Some(day(400))));
        assert_eq!(asked.get(), 2);
        assert_eq!(seen(&bucket, kind), [over, kept, young].into());
        assert_eq!(bucket.count(over), 1);
    }

    #[test]
    fn a_place_that_locks_nothing_lists_no_versions() {
        let plain = MemoryStore::new("plain");
        let versioned = FakeBucket::new("versioned");
        for store in [&plain as &dyn Store, &versioned] {
            let locked = Locked::list(store, FileType::Data, |_| true).unwrap();
            assert!(locked.is_none());
        }
    }
}
