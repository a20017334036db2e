//! Removing files where their versions are locked: all versions of a file, once no lock holds any of
//! them, else none. Until then it is seen by everybody else, stock restic included.
//!
//! What can go wrong: whoever may lock makes the lock of a snapshot or index file longer and longer,
//! so that nothing behind it ever goes. So one that is locked for longer than any lock of ours was
//! when its removal was decided, or has versions without number, is hidden behind a marker: then
//! nobody needs what it names. It goes later, with whatever else of its type goes there.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::{Duration, SystemTime};

use strongroom_model::{FileName, FileType};
use strongroom_store::{
    Error, FileVersion, Locks, Result, ShownLock, Store, VersionContent, Versions,
};

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

/// How much later than any lock that was made when the removal was decided one of ours may end: clocks
/// differ, and another machine may not have known of it yet.
const SLACK: Duration = Duration::from_secs(86_400);

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
    /// holds one of them.
    ///
    /// Where the right to remove versions is missing it is hidden, so that nobody lists it.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) fn remove(&self, name: FileName, decided: Option<SystemTime>) -> Result<Fate> {
        match self.hold(name, decided)? {
            Hold::Nothing => {}
            Hold::Lock(until) => return Ok(Fate::Waits(Some(until))),
            Hold::Somebody(until) => return self.hide(name, until),
        }
        match self.remove_versions(name) {
            Err(Error::Denied { .. }) => {
                self.store.remove(name)?;
                Ok(Fate::Removed(0))
            }
            freed => freed.map(Fate::Removed),
        }
    }

    /// Removes what was hidden since somebody kept it, where nothing holds it any more; returns how
    /// many bytes of each file are free. These are what was listed and is not among the given ones.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) fn remove_hidden(&self, seen: &BTreeSet<FileName>) -> Result<Vec<u64>> {
        let is_left = |name: &FileName| {
            let mut versions = self.versions_of(*name).iter();
            let has_bytes = versions.any(|one| matches!(one.content, VersionContent::Bytes { .. }));
            has_bytes && !seen.contains(name)
        };
        let hidden = self.listed.of_files.keys().copied();
        let mut freed = Vec::new();
        for name in hidden.filter(is_left).take(MOST_HIDDEN) {
            if self.waits_until(name)?.is_none() {
                freed.push(self.remove_versions(name)?);
            }
        }
        Ok(freed)
    }

    /// Hides a file that somebody keeps there, where others wait for it; nothing waits for packs.
    fn hide(&self, name: FileName, until: Option<SystemTime>) -> Result<Fate> {
        let place = self.store.location();
        tracing::warn!(place, %name, "Somebody keeps a file there that was to go");
        if name.kind() == FileType::Data {
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
        let mut freed_bytes = 0_u64;
        for version in self.versions_of(name) {
            if let VersionContent::Bytes { size_bytes, .. } = version.content {
                freed_bytes = freed_bytes.saturating_add(size_bytes);
            }
            self.versions.remove_version(version)?;
        }
        Ok(freed_bytes)
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
    use std::io::BufRead;
    use std::ops::Range;

    use parking_lot::Mutex;
    use strongroom_model::{FileEntry, Id};
    use strongroom_store::{BucketCheck, SavedLock, SeenVersion, ShowVersion, VersionId};
    use strongroom_testkit::MemoryStore;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    /// When a day of the tests begins.
    fn day(number: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + DAY * 20_000 + DAY * number
    }

    /// A bucket that locks for ten days, and so for fifteen at first; it is day 100 there.
    #[derive(Debug)]
    struct Bucket {
        inner: MemoryStore,
        /// Each with the end of its lock.
        versions: Mutex<Vec<(FileVersion, SystemTime)>>,
        /// Of which versions it was asked how they are locked.
        asked: Mutex<Vec<VersionId>>,
        hidden: Mutex<Vec<FileName>>,
        may_remove_versions: bool,
    }

    impl Bucket {
        fn new() -> Self {
            Self {
                inner: MemoryStore::new("bucket"),
                versions: Mutex::default(),
                asked: Mutex::default(),
                hidden: Mutex::default(),
                may_remove_versions: true,
            }
        }

        /// Puts a version of a file there that was made on a day, and is locked until another.
        fn put(&self, file: &str, made: u32, until: u32) -> FileName {
            self.put_of(FileType::Data, file, made, until)
        }

        fn put_of(&self, kind: FileType, file: &str, made: u32, until: u32) -> FileName {
            let name = FileName::new(kind, Id::of(file.as_bytes()));
            let version = FileVersion {
                name,
                version: VersionId::new(format!("{file} of day {made}")),
                made: day(made),
                is_newest: true,
                content: VersionContent::Bytes {
                    size_bytes: 7,
                    tag: None,
                },
            };
            self.versions.lock().push((version, day(until)));
            name
        }

        fn listed(&self) -> Locked<'_> {
            self.listed_of(FileType::Data)
        }

        fn listed_of(&self, kind: FileType) -> Locked<'_> {
            let locked = Locked::list(self, kind, |_| true);
            locked.unwrap().unwrap()
        }
    }

    fn denied() -> Error {
        Error::Denied {
            location: "bucket".to_owned(),
            action: "remove a version".to_owned(),
            reason: "AccessDenied".to_owned(),
        }
    }

    impl Versions for Bucket {
        fn each_version(&self, kind: FileType, show: &mut ShowVersion<'_>) -> Result<()> {
            let versions = self.versions.lock().clone();
            let of_kind = versions.into_iter().map(|(version, _)| version);
            let mut of_kind = of_kind.filter(|version| version.name.kind() == kind);
            of_kind.try_for_each(show)
        }

        fn each_version_of(&self, name: FileName, show: &mut ShowVersion<'_>) -> Result<()> {
            let versions = self.versions.lock().clone();
            let of_file = versions.into_iter().map(|(version, _)| version);
            let mut of_file = of_file.filter(|version| version.name == name);
            of_file.try_for_each(show)
        }

        fn open_version(
            &self,
            name: FileName,
            _version: &VersionId,
        ) -> Result<Box<dyn BufRead + Send + '_>> {
            self.inner.open(name, None)
        }

        fn remove_marker(&self, _marker: &FileVersion) -> Result<()> {
            Err(denied())
        }

        fn remove_version(&self, version: &FileVersion) -> Result<()> {
            let mut versions = self.versions.lock();
            let is_locked = |(one, until): &(FileVersion, SystemTime)| {
                one.version == version.version && *until > day(100)
            };
            if !self.may_remove_versions || versions.iter().any(is_locked) {
                return Err(denied());
            }
            versions.retain(|(one, _)| one.version != version.version);
            Ok(())
        }
    }

    impl Locks for Bucket {
        fn least(&self) -> Duration {
            DAY * 10
        }

        fn date(&self) -> Result<SystemTime> {
            Ok(day(115))
        }

        fn now(&self) -> Result<SystemTime> {
            Ok(day(100))
        }

        fn seen(&self, _name: FileName) -> Result<SeenVersion> {
            Err(denied())
        }

        fn lock_of(&self, name: FileName, version: Option<&VersionId>) -> Result<ShownLock> {
            self.asked.lock().extend(version.cloned());
            let versions = self.versions.lock();
            let mut found = versions.iter();
            let found = found.find(|(one, _)| Some(&one.version) == version);
            match found {
                Some((_, until)) => Ok(ShownLock::Compliance { until: *until }),
                None => Err(Error::NotFound {
                    name,
                    location: "bucket".to_owned(),
                }),
            }
        }

        fn lock_until(
            &self,
            _name: FileName,
            _version: Option<&VersionId>,
            _until: SystemTime,
        ) -> Result<SystemTime> {
            Err(denied())
        }

        fn take_saved(&self) -> Vec<SavedLock> {
            Vec::new()
        }

        fn check(&self) -> Result<BucketCheck> {
            Err(denied())
        }
    }

    impl Store for Bucket {
        fn location(&self) -> &str {
            self.inner.location()
        }

        fn locks(&self) -> Option<&dyn Locks> {
            Some(self)
        }

        fn versions(&self) -> Option<&dyn Versions> {
            Some(self)
        }

        fn create(&self) -> Result<()> {
            self.inner.create()
        }

        fn list(&self, kind: FileType) -> Result<Vec<FileEntry>> {
            self.inner.list(kind)
        }

        fn size(&self, name: FileName) -> Result<u64> {
            self.inner.size(name)
        }

        fn open(
            &self,
            name: FileName,
            range: Option<Range<u64>>,
        ) -> Result<Box<dyn BufRead + Send + '_>> {
            self.inner.open(name, range)
        }

        fn read(&self, name: FileName) -> Result<Vec<u8>> {
            self.inner.read(name)
        }

        fn read_range(&self, name: FileName, range: Range<u64>) -> Result<Vec<u8>> {
            self.inner.read_range(name, range)
        }

        fn save(&self, name: FileName, bytes: &[u8]) -> Result<()> {
            self.inner.save(name, bytes)
        }

        fn replace(&self, name: FileName, bytes: &[u8]) -> Result<()> {
            self.inner.replace(name, bytes)
        }

        fn remove(&self, name: FileName) -> Result<()> {
            self.hidden.lock().push(name);
            Ok(())
        }
    }

    #[test]
    fn a_file_goes_with_all_its_versions_and_only_when_no_lock_holds_one() {
        let bucket = Bucket::new();
        let over = bucket.put("over", 10, 25);
        bucket.put("over", 60, 99);
        let extended = bucket.put("extended", 10, 25);
        bucket.put("extended", 20, 108);
        let young = bucket.put("young", 95, 110);
        let locked = bucket.listed();
        assert_eq!(locked.remove(over, None).unwrap(), Fate::Removed(14));
        let waits = |until| Fate::Waits(Some(day(until)));
        assert_eq!(locked.remove(extended, None).unwrap(), waits(108));
        // Of what was put lately nobody is asked.
        bucket.asked.lock().clear();
        assert_eq!(locked.remove(young, None).unwrap(), waits(110));
        assert_eq!(*bucket.asked.lock(), []);
        assert_eq!(bucket.versions.lock().len(), 3);
        assert_eq!(*bucket.hidden.lock(), [], "what is locked is still seen");
        // What is gone already is gone.
        let none = FileName::new(FileType::Data, Id::of(b"none"));
        assert_eq!(locked.remove(none, None).unwrap(), Fate::Removed(0));
    }

    #[test]
    fn a_file_with_too_many_versions_stays_and_takes_no_room() {
        let bucket = Bucket::new();
        let over = bucket.put("over", 10, 25);
        let mut flooded = over;
        for made in 0..1001 {
            flooded = bucket.put("flooded", made, 25);
        }
        let locked = bucket.listed();
        assert_eq!(locked.listed.count, 1);
        assert_eq!(locked.hold(flooded, None).unwrap(), Hold::Somebody(None));
        assert_eq!(locked.remove(flooded, None).unwrap(), Fate::Waits(None));
        assert_eq!(locked.remove(over, None).unwrap(), Fate::Removed(7));
        assert_eq!(bucket.versions.lock().len(), 1001);
    }

    #[test]
    fn what_somebody_keeps_locked_is_hidden_and_goes_later() {
        let bucket = Bucket::new();
        let kind = FileType::Snapshots;
        let ours = bucket.put_of(kind, "ours", 60, 110);
        let longer = bucket.put_of(kind, "longer", 60, 400);
        // Another version each month has the same end.
        let again = bucket.put_of(kind, "again", 60, 75);
        bucket.put_of(kind, "again", 99, 99);
        let mut flooded = again;
        for made in 0..1001 {
            flooded = bucket.put_of(kind, "flooded", made % 50, 25);
        }
        let decided = Some(day(80));
        let locked = bucket.listed_of(kind);
        let until = Some(day(110));
        assert_eq!(
            locked.remove(ours, Some(day(95))).unwrap(),
            Fate::Waits(until)
        );
        assert_eq!(*bucket.hidden.lock(), []);
        let remove = |name| locked.remove(name, decided).unwrap();
        assert_eq!(remove(longer), Fate::Kept(Some(day(400))));
        assert_eq!(remove(again), Fate::Kept(Some(day(114))));
        assert_eq!(remove(flooded), Fate::Kept(None));
        assert_eq!(*bucket.hidden.lock(), [longer, again, flooded]);
        // Nothing waits for a pack.
        let pack = bucket.put("pack", 60, 400);
        let packs = bucket.listed();
        let waits = Fate::Waits(Some(day(400)));
        assert_eq!(packs.remove(pack, decided).unwrap(), waits);

        // Once nothing holds it, it goes with the others of its type.
        let over = bucket.put_of(kind, "over", 10, 25);
        let locked = bucket.listed_of(kind);
        let freed = locked.remove_hidden(&[ours].into()).unwrap();
        assert_eq!(freed, [7]);
        let left = bucket.versions.lock();
        assert!(!left.iter().any(|(version, _)| version.name == over));
        assert!(left.iter().any(|(version, _)| version.name == longer));
    }

    #[test]
    fn where_versions_may_not_be_removed_what_no_lock_holds_is_hidden() {
        let bucket = Bucket {
            may_remove_versions: false,
            ..Bucket::new()
        };
        let over = bucket.put("over", 10, 25);
        let young = bucket.put("young", 95, 110);
        let locked = bucket.listed();
        assert_eq!(locked.remove(over, None).unwrap(), Fate::Removed(0));
        assert!(matches!(
            locked.remove(young, None).unwrap(),
            Fate::Waits(_)
        ));
        assert_eq!(*bucket.hidden.lock(), [over]);
        assert_eq!(bucket.versions.lock().len(), 2);
    }

    #[test]
    fn a_place_that_locks_nothing_lists_no_versions() {
        let store = MemoryStore::new("plain");
        let locked = Locked::list(&store, FileType::Data, |_| true).unwrap();
        assert!(locked.is_none());
    }
}
