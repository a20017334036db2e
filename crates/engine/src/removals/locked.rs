//! Removing files where their versions are locked: all versions of a file, once no lock holds any of
//! them, else none. Until then it is seen by everybody else, stock restic included.

use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

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

    /// Whether a file has more versions than are looked at, so that it stays.
    pub(super) fn has_too_many(&self, name: FileName) -> bool {
        self.listed.too_many.contains(&name)
    }

    /// Removes all versions of a file, unless one of them is locked, or they are too many.
    ///
    /// Where the right to remove versions is missing it is hidden, so that nobody lists it.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) fn remove(&self, name: FileName) -> Result<Fate> {
        if self.has_too_many(name) {
            let place = self.store.location();
            tracing::warn!(place, %name, "A file has too many versions, and stays");
            return Ok(Fate::Waits(None));
        }
        if let Some(until) = self.waits_until(name)? {
            return Ok(Fate::Waits(Some(until)));
        }
        for version in self.versions_of(name) {
            match self.versions.remove_version(version) {
                Ok(()) => {}
                Err(Error::Denied { .. }) => {
                    self.store.remove(name)?;
                    return Ok(Fate::Hidden(self.bytes_of(name)));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Fate::Removed(self.bytes_of(name)))
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
fn shortest(locks: &dyn Locks) -> std::time::Duration {
    let least = locks.least();
    least.saturating_add(least / 2)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
        let name = FileName::new(FileType::Data, Id::of(file.as_bytes()));
        bucket.set_time(since_1970(made).as_secs());
        bucket.put(name, b"7 bytes");
        bucket.lock_until(name, None, day(until)).unwrap();
        bucket.set_time(since_1970(100).as_secs());
        name
    }

    fn listed(bucket: &FakeBucket) -> Locked<'_> {
        let locked = Locked::list(bucket, FileType::Data, |_| true);
        locked.unwrap().unwrap()
    }

    /// The files that are seen there.
    fn seen(bucket: &FakeBucket) -> HashSet<FileName> {
        let entries = bucket.list(FileType::Data).unwrap().into_iter();
        let names = entries.map(|entry| FileName::new(FileType::Data, entry.id));
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
        assert_eq!(locked.remove(over).unwrap(), Fate::Removed(14));
        let waits = |until| Fate::Waits(Some(day(until)));
        assert_eq!(locked.remove(extended).unwrap(), waits(108));
        // Of what was put lately nobody is asked.
        bucket.take_asked();
        assert_eq!(locked.remove(young).unwrap(), waits(110));
        assert_eq!(bucket.take_asked().looked, 0);
        let left = [over, extended, young].map(|name| bucket.count(name));
        assert_eq!(left, [0, 2, 1]);
        let seen = seen(&bucket);
        assert_eq!(seen, [extended, young].into(), "what is locked is seen");
        // What is gone already is gone.
        let none = FileName::new(FileType::Data, Id::of(b"none"));
        assert_eq!(locked.remove(none).unwrap(), Fate::Removed(0));
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
        assert!(locked.has_too_many(flooded));
        assert_eq!(locked.remove(flooded).unwrap(), Fate::Waits(None));
        assert_eq!(locked.remove(over).unwrap(), Fate::Removed(7));
        assert_eq!((bucket.count(flooded), bucket.count(over)), (1001, 0));
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
        assert_eq!(locked.remove(over).unwrap(), Fate::Hidden(7));
        assert!(matches!(locked.remove(young).unwrap(), Fate::Waits(_)));
        assert_eq!(seen(&bucket), [young].into());
        assert_eq!((bucket.count(over), bucket.count(young)), (1, 1));
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
