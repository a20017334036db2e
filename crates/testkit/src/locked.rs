//! A place in memory that keeps versions and locks them, as a bucket with Object Lock does. Its clock
//! stands until a test moves it, and what is asked of its locks is counted.

use std::collections::BTreeSet;
use std::io::{BufRead, Cursor};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use strongroom_model::{FileEntry, FileName, FileType, Id};
use strongroom_store::{
    BucketCheck, Error, FileVersion, Locks, Result, SavedLock, SeenVersion, ShowVersion, ShownLock,
    Store, VersionContent, VersionId, Versions,
};

/// A repository whose files are locked.
#[derive(Debug)]
pub struct LockedStore {
    location: String,
    inner: Mutex<Inner>,
}

/// How often something was asked of the locks and versions of a place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Locks that were made longer, or tried to be.
    pub locked: usize,
    /// Locks that were looked at.
    pub looked: usize,
    /// Listings of versions, of a type or a file.
    pub listed: usize,
    /// Versions that were opened.
    pub opened: usize,
}

#[derive(Debug)]
struct Inner {
    /// The oldest first.
    versions: Vec<Kept>,
    /// How many there ever were, by which they are called.
    made: u64,
    now: SystemTime,
    least: Duration,
    saved: Vec<SavedLock>,
    refused: BTreeSet<FileName>,
    may_list: bool,
    asked: Asked,
}

/// A version, or a marker where there are no bytes.
#[derive(Clone, Debug)]
struct Kept {
    name: FileName,
    version: VersionId,
    made: SystemTime,
    bytes: Option<Arc<[u8]>>,
    until: Option<SystemTime>,
}

impl LockedStore {
    /// An empty one, in which `least` is to be left of every lock, in the year 2026.
    pub fn new(name: &str, least: Duration) -> Self {
        Self {
            location: format!("locked:{name}"),
            inner: Mutex::new(Inner {
                versions: Vec::new(),
                made: 0,
                now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_780_000_000),
                least,
                saved: Vec::new(),
                refused: BTreeSet::new(),
                may_list: true,
                asked: Asked::default(),
            }),
        }
    }

    /// Moves its clock forward.
    pub fn advance(&self, by: Duration) {
        self.inner.lock().now += by;
    }

    /// Changes what is to be left of every lock.
    pub fn set_least(&self, least: Duration) {
        self.inner.lock().least = least;
    }

    /// Refuses to lock a file, or does no more.
    pub fn refuse(&self, name: FileName, is_refused: bool) {
        let mut inner = self.inner.lock();
        match is_refused {
            true => inner.refused.insert(name),
            false => inner.refused.remove(&name),
        };
    }

    /// Lets versions be listed, or refuses that.
    pub fn let_list(&self, may_list: bool) {
        self.inner.lock().may_list = may_list;
    }

    /// Puts any bytes under a name without a lock, as somebody with other credentials may.
    pub fn put(&self, name: FileName, bytes: &[u8]) {
        self.inner.lock().push(name, Some(bytes.into()), None);
    }

    /// Puts another bucket of the same name in its stead: with the same files, none of them locked.
    pub fn replace_bucket(&self) {
        let mut inner = self.inner.lock();
        for kept in std::mem::take(&mut inner.versions) {
            inner.push(kept.name, kept.bytes, None);
        }
    }

    /// How often what was asked since this was asked last.
    pub fn take_asked(&self) -> Asked {
        std::mem::take(&mut self.inner.lock().asked)
    }

    /// Until when the newest version with these bytes is locked.
    pub fn until(&self, name: FileName, bytes: &[u8]) -> Option<SystemTime> {
        let inner = self.inner.lock();
        let mut versions = inner.versions.iter().rev();
        let is_it = |kept: &&Kept| kept.name == name && kept.bytes.as_deref() == Some(bytes);
        versions.find(is_it)?.until
    }

    fn absent(&self, name: FileName) -> Error {
        Error::NotFound {
            name,
            location: self.location.clone(),
        }
    }

    fn denied(&self, action: &str) -> Error {
        Error::Denied {
            location: self.location.clone(),
            action: action.to_owned(),
            reason: "403 AccessDenied".to_owned(),
        }
    }

    /// Shows the versions of some files; nobody holds the place meanwhile.
    fn show(&self, is_it: impl Fn(FileName) -> bool, show: &mut ShowVersion<'_>) -> Result<()> {
        let found = {
            let mut inner = self.inner.lock();
            inner.asked.listed += 1;
            if !inner.may_list {
                return Err(self.denied("list versions"));
            }
            inner.listed(is_it)
        };
        found.into_iter().try_for_each(show)
    }

    fn bytes(&self, name: FileName) -> Result<Arc<[u8]>> {
        let seen = self.inner.lock().seen(name);
        seen.and_then(|kept| kept.bytes)
            .ok_or_else(|| self.absent(name))
    }

    fn part(&self, name: FileName, range: Option<Range<u64>>) -> Result<Vec<u8>> {
        let bytes = self.bytes(name)?;
        let range = range.unwrap_or(0..bytes.len() as u64);
        if range.start.max(range.end) > bytes.len() as u64 {
            return Err(Error::ShortFile {
                name,
                location: self.location.clone(),
            });
        }
        Ok(bytes[range.start as usize..range.end.max(range.start) as usize].to_vec())
    }
}

impl Inner {
    /// What is seen under a name; a marker where it is hidden.
    fn seen(&self, name: FileName) -> Option<Kept> {
        let mut versions = self.versions.iter().rev();
        versions.find(|kept| kept.name == name).cloned()
    }

    fn push(&mut self, name: FileName, bytes: Option<Arc<[u8]>>, until: Option<SystemTime>) {
        // Names as long as those of most places.
        let version = VersionId::new(format!("{:032}", self.made));
        self.made += 1;
        self.versions.push(Kept {
            name,
            version,
            made: self.now,
            bytes,
            until,
        });
    }

    /// All versions and markers of the files that are wanted, the newest first.
    fn listed(&self, is_wanted: impl Fn(FileName) -> bool) -> Vec<FileVersion> {
        let mut hidden = BTreeSet::new();
        let newest_first = self.versions.iter().rev();
        let wanted = newest_first.filter(|kept| is_wanted(kept.name));
        let version = |kept: &Kept| FileVersion {
            name: kept.name,
            version: kept.version.clone(),
            made: kept.made,
            is_newest: hidden.insert(kept.name),
            content: match &kept.bytes {
                None => VersionContent::Marker,
                Some(bytes) => VersionContent::Bytes {
                    size_bytes: bytes.len() as u64,
                    tag: Some(Id::of(bytes).short()),
                },
            },
        };
        wanted.map(version).collect()
    }

    fn date(&self) -> SystemTime {
        self.now + self.least + self.least / 2
    }

    /// Stores a file, locked where it stays.
    fn store(&mut self, name: FileName, bytes: &[u8]) {
        let until = (name.kind() != FileType::Locks).then(|| self.date());
        self.push(name, Some(bytes.into()), until);
        self.note(name);
    }

    /// Remembers what a save has put or found.
    fn note(&mut self, name: FileName) {
        if let Some(kept) = self.seen(name)
            && let Some(until) = kept.until
        {
            self.saved.push(SavedLock {
                name,
                version: kept.version,
                until,
            });
        }
    }

    fn version(&mut self, name: FileName, version: Option<&VersionId>) -> Option<&mut Kept> {
        let mut versions = self.versions.iter_mut().rev();
        let found = versions.find(|kept| match version {
            Some(version) => kept.name == name && kept.version == *version,
            None => kept.name == name,
        });
        found.filter(|kept| kept.bytes.is_some())
    }
}

impl Store for LockedStore {
    fn location(&self) -> &str {
        &self.location
    }

    fn locks(&self) -> Option<&dyn Locks> {
        Some(self)
    }

    fn versions(&self) -> Option<&dyn Versions> {
        Some(self)
    }

    /// The first version of `config`; that it is asked for is not counted.
    fn identity(&self) -> Result<Option<Id>> {
        let inner = self.inner.lock();
        let mut versions = inner.versions.iter();
        let first = versions.find(|kept| kept.name == FileName::CONFIG && kept.bytes.is_some());
        let told = first.filter(|_| inner.may_list);
        Ok(told.map(|first| Id::of(first.version.as_str().as_bytes())))
    }

    fn create(&self) -> Result<()> {
        Ok(())
    }

    fn list(&self, kind: FileType) -> Result<Vec<FileEntry>> {
        let inner = self.inner.lock();
        let names = inner.versions.iter().map(|kept| kept.name);
        let names: BTreeSet<_> = names.filter(|name| name.kind() == kind).collect();
        let entry = |name: FileName| {
            Some(FileEntry {
                id: name.id().unwrap_or_default(),
                size_bytes: inner.seen(name)?.bytes?.len() as u64,
            })
        };
        Ok(names.into_iter().filter_map(entry).collect())
    }

    fn size(&self, name: FileName) -> Result<u64> {
        Ok(self.bytes(name)?.len() as u64)
    }

    fn open(
        &self,
        name: FileName,
        range: Option<Range<u64>>,
    ) -> Result<Box<dyn BufRead + Send + '_>> {
        Ok(Box::new(Cursor::new(self.part(name, range)?)))
    }

    fn read(&self, name: FileName) -> Result<Vec<u8>> {
        self.part(name, None)
    }

    fn read_range(&self, name: FileName, range: Range<u64>) -> Result<Vec<u8>> {
        self.part(name, Some(range))
    }

    fn save(&self, name: FileName, bytes: &[u8]) -> Result<()> {
        let mut inner = self.inner.lock();
        match inner.seen(name).and_then(|kept| kept.bytes) {
            Some(stored) if *stored == *bytes => inner.note(name),
            Some(_) => {
                return Err(Error::Exists {
                    name,
                    location: self.location.clone(),
                });
            }
            None => inner.store(name, bytes),
        }
        Ok(())
    }

    fn replace(&self, name: FileName, bytes: &[u8]) -> Result<()> {
        self.inner.lock().store(name, bytes);
        Ok(())
    }

    fn remove(&self, name: FileName) -> Result<()> {
        let mut inner = self.inner.lock();
        match name.kind() {
            FileType::Locks => inner.versions.retain(|kept| kept.name != name),
            _ => inner.push(name, None, None),
        }
        Ok(())
    }
}

impl Locks for LockedStore {
    fn least(&self) -> Duration {
        self.inner.lock().least
    }

    fn date(&self) -> Result<SystemTime> {
        Ok(self.inner.lock().date())
    }

    fn now(&self) -> Result<SystemTime> {
        Ok(self.inner.lock().now)
    }

    fn seen(&self, name: FileName) -> Result<SeenVersion> {
        let lock = self.lock_of(name, None)?;
        let seen = self.inner.lock().seen(name);
        let seen = seen.ok_or_else(|| self.absent(name))?;
        Ok(SeenVersion {
            version: seen.version,
            size_bytes: self.size(name)?,
            lock,
        })
    }

    fn lock_of(&self, name: FileName, version: Option<&VersionId>) -> Result<ShownLock> {
        let mut inner = self.inner.lock();
        inner.asked.looked += 1;
        let kept = inner.version(name, version);
        let until = kept.ok_or_else(|| self.absent(name))?.until;
        Ok(match until {
            Some(until) => ShownLock::Compliance { until },
            None => ShownLock::NotShown,
        })
    }

    fn lock_until(
        &self,
        name: FileName,
        version: Option<&VersionId>,
        until: SystemTime,
    ) -> Result<SystemTime> {
        let mut inner = self.inner.lock();
        inner.asked.locked += 1;
        if inner.refused.contains(&name) {
            return Err(Error::NotLocked {
                name,
                location: self.location.clone(),
                reason: "it refuses".to_owned(),
            });
        }
        let kept = inner.version(name, version);
        let kept = kept.ok_or_else(|| self.absent(name))?;
        let later = kept.until.max(Some(until));
        kept.until = later;
        Ok(later.unwrap_or(until))
    }

    fn take_saved(&self) -> Vec<SavedLock> {
        std::mem::take(&mut self.inner.lock().saved)
    }

    fn check(&self) -> Result<BucketCheck> {
        Ok(BucketCheck::default())
    }
}

impl Versions for LockedStore {
    fn each_version(&self, kind: FileType, show: &mut ShowVersion<'_>) -> Result<()> {
        self.show(|name| name.kind() == kind, show)
    }

    fn each_version_of(&self, name: FileName, show: &mut ShowVersion<'_>) -> Result<()> {
        self.show(|other| other == name, show)
    }

    fn open_version(
        &self,
        name: FileName,
        version: &VersionId,
    ) -> Result<Box<dyn BufRead + Send + '_>> {
        let mut inner = self.inner.lock();
        inner.asked.opened += 1;
        let kept = inner.version(name, Some(version));
        let bytes = kept.and_then(|kept| kept.bytes.clone());
        let bytes = bytes.ok_or_else(|| self.absent(name))?;
        Ok(Box::new(Cursor::new(bytes.to_vec())))
    }

    fn remove_marker(&self, marker: &FileVersion) -> Result<()> {
        let is_it = |kept: &Kept| kept.bytes.is_none() && kept.version == marker.version;
        self.inner.lock().versions.retain(|kept| !is_it(kept));
        Ok(())
    }

    fn remove_version(&self, version: &FileVersion) -> Result<()> {
        let mut inner = self.inner.lock();
        let now = inner.now;
        let is_it = |kept: &Kept| kept.name == version.name && kept.version == version.version;
        let mut versions = inner.versions.iter();
        if versions.any(|kept| is_it(kept) && kept.until > Some(now)) {
            return Err(self.denied("remove a version that is locked"));
        }
        inner.versions.retain(|kept| !is_it(kept));
        Ok(())
    }
}
