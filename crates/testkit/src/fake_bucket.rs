//! A bucket in memory that keeps versions, as one with Object Lock does, and locks them where that is
//! asked for: what is removed or overwritten there is hidden behind a marker or another version.
//!
//! Its clock stands until a test moves it, and what is asked of its versions and locks is counted.

mod locks;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, Cursor};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::{Condvar, Mutex};
use strongroom_model::{FileEntry, FileName, FileType, Id};
use strongroom_store::{
    Error, FileVersion, Locks, Result, SavedLock, ShowVersion, Store, VersionContent, VersionId,
    Versions, read_limit_bytes,
};

/// How long is waited for as many requests as a test expects.
const PATIENCE: Duration = Duration::from_secs(60);

/// A repository in such a bucket.
#[derive(Debug)]
pub struct FakeBucket {
    location: String,
    state: Mutex<State>,
    began: Condvar,
}

/// What an account may do there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// List versions.
    pub list_versions: bool,
    /// Read versions.
    pub read_versions: bool,
    /// Remove versions that no lock holds, and markers.
    pub remove_versions: bool,
}

/// How often something was asked of its locks and versions.
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
struct State {
    /// Of each file its versions, the oldest first.
    files: BTreeMap<FileName, Vec<Kept>>,
    /// How many there ever were, by which they are called.
    made: u64,
    now: SystemTime,
    rights: Rights,
    /// What is to be left of every lock, where files are locked.
    least: Option<Duration>,
    saved: Vec<SavedLock>,
    /// What cannot be locked.
    refused: BTreeSet<FileName>,
    /// Of which type the versions are listed without end.
    endless: Option<FileType>,
    asked: Asked,
    at_once: AtOnce,
}

/// A version, or a marker where there are no bytes.
#[derive(Clone, Debug)]
struct Kept {
    version: VersionId,
    made: SystemTime,
    bytes: Option<Arc<[u8]>>,
    /// Whether a key encrypts it that nobody here has.
    is_sealed: bool,
    until: Option<SystemTime>,
}

/// How many versions are opened and locked at a time.
#[derive(Debug, Default)]
struct AtOnce {
    now: usize,
    most: usize,
    /// How many there have to be before any of them comes to its end.
    awaited: usize,
}

/// A request until its end.
struct UnderWay<'a>(&'a FakeBucket);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.state.lock().at_once.now -= 1;
    }
}

impl Default for Rights {
    fn default() -> Self {
        Self {
            list_versions: true,
            read_versions: true,
            remove_versions: true,
        }
    }
}

impl FakeBucket {
    /// An empty one that calls itself `fake:<name>`, in the year 2026; nothing is locked there.
    pub fn new(name: &str) -> Self {
        Self::with(name, None)
    }

    /// An empty one that locks what is put there, so that `least` is to be left of every lock.
    pub fn locking(name: &str, least: Duration) -> Self {
        Self::with(name, Some(least))
    }

    fn with(name: &str, least: Option<Duration>) -> Self {
        Self {
            location: format!("fake:{name}"),
            state: Mutex::new(State {
                files: BTreeMap::new(),
                made: 0,
                now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_780_000_000),
                rights: Rights::default(),
                least,
                saved: Vec::new(),
                refused: BTreeSet::new(),
                endless: None,
                asked: Asked::default(),
                at_once: AtOnce::default(),
            }),
            began: Condvar::new(),
        }
    }

    /// Sets its clock, in seconds since 1970.
    pub fn set_time(&self, now_s: u64) {
        self.state.lock().now = SystemTime::UNIX_EPOCH + Duration::from_secs(now_s);
    }

    /// Moves its clock forward.
    pub fn advance(&self, by: Duration) {
        self.state.lock().now += by;
    }

    /// Sets what may be done.
    pub fn allow(&self, rights: Rights) {
        self.state.lock().rights = rights;
    }

    /// Changes what is to be left of every lock.
    pub fn set_least(&self, least: Duration) {
        self.state.lock().least = Some(least);
    }

    /// Refuses to lock a file, or does no more.
    pub fn refuse(&self, name: FileName, is_refused: bool) {
        let mut state = self.state.lock();
        match is_refused {
            true => state.refused.insert(name),
            false => state.refused.remove(&name),
        };
    }

    /// Lists the versions of a type again and again from now on, until whoever asked has had enough, as
    /// where somebody has put names without number there.
    pub fn list_without_end(&self, kind: FileType) {
        self.state.lock().endless = Some(kind);
    }

    /// Puts any bytes above a file, past all checks and without a lock.
    pub fn put(&self, name: FileName, bytes: &[u8]) {
        self.state.lock().push(name, Some(bytes.into()));
    }

    /// Puts any bytes above a file, which can be listed and not be read.
    pub fn put_sealed(&self, name: FileName, bytes: &[u8]) {
        let mut state = self.state.lock();
        state.push(name, Some(bytes.into())).is_sealed = true;
    }

    /// Hides a file behind a marker, and one that is hidden behind another one.
    pub fn hide(&self, name: FileName) {
        self.state.lock().push(name, None);
    }

    /// Puts another bucket of the same name in its stead: with the same files, none of them locked.
    pub fn replace_bucket(&self) {
        let mut state = self.state.lock();
        for (name, versions) in std::mem::take(&mut state.files) {
            for kept in versions {
                state.push(name, kept.bytes);
            }
        }
    }

    /// All names of which there is a version, also hidden ones.
    pub fn names(&self) -> Vec<FileName> {
        self.state.lock().files.keys().copied().collect()
    }

    /// How many versions a file has, markers not counted.
    pub fn count(&self, name: FileName) -> usize {
        let state = self.state.lock();
        let kept = state.files.get(&name).into_iter().flatten();
        kept.filter(|one| one.bytes.is_some()).count()
    }

    /// Until when the newest version with these bytes is locked.
    pub fn until(&self, name: FileName, bytes: &[u8]) -> Option<SystemTime> {
        let state = self.state.lock();
        let mut newest_first = state.files.get(&name)?.iter().rev();
        newest_first
            .find(|kept| kept.bytes.as_deref() == Some(bytes))?
            .until
    }

    /// How often what was asked since this was asked last.
    pub fn take_asked(&self) -> Asked {
        std::mem::take(&mut self.state.lock().asked)
    }

    /// Lets those who open or lock a version wait for each other until there are so many at a time.
    ///
    /// # Panics
    /// They do, where they stay too few for a minute.
    pub fn await_at_once(&self, count: usize) {
        let mut state = self.state.lock();
        (state.at_once.awaited, state.at_once.most) = (count, 0);
    }

    /// How many versions were opened or locked at a time at most, since that was awaited.
    pub fn most_at_once(&self) -> usize {
        self.state.lock().at_once.most
    }

    /// Begins a request, with as many others as are awaited.
    fn begin(&self) -> UnderWay<'_> {
        let mut state = self.state.lock();
        state.at_once.now += 1;
        state.at_once.most = state.at_once.most.max(state.at_once.now);
        self.began.notify_all();
        let too_few = |state: &mut State| state.at_once.most < state.at_once.awaited;
        let waited = self.began.wait_while_for(&mut state, too_few, PATIENCE);
        assert!(!waited.timed_out(), "only {} at a time", state.at_once.most);
        UnderWay(self)
    }

    fn absent(&self, name: FileName) -> Error {
        let location = self.location.clone();
        Error::NotFound { name, location }
    }

    fn denied(&self, action: &str) -> Error {
        Error::Denied {
            location: self.location.clone(),
            action: action.to_owned(),
            reason: "403 AccessDenied".to_owned(),
        }
    }

    /// What is seen under a name.
    fn bytes(&self, name: FileName) -> Result<Arc<[u8]>> {
        let state = self.state.lock();
        let newest = state.files.get(&name).and_then(|kept| kept.last());
        newest
            .and_then(|newest| newest.bytes.clone())
            .ok_or_else(|| self.absent(name))
    }

    /// Shows the versions that are found; nobody holds the state meanwhile.
    fn show(
        &self,
        find: impl FnOnce(&State) -> Vec<FileVersion>,
        show: &mut ShowVersion<'_>,
    ) -> Result<()> {
        let found = {
            let mut state = self.state.lock();
            state.asked.listed += 1;
            if !state.rights.list_versions {
                return Err(self.denied("list the versions"));
            }
            find(&state)
        };
        found.into_iter().try_for_each(show)
    }

    fn part(&self, name: FileName, range: Option<Range<u64>>) -> Result<Vec<u8>> {
        let bytes = self.bytes(name)?;
        let range = range.unwrap_or(0..bytes.len() as u64);
        let location = self.location.clone();
        if range.start.max(range.end) > bytes.len() as u64 {
            return Err(Error::ShortFile { name, location });
        }
        let part = &bytes[range.start as usize..range.end.max(range.start) as usize];
        let limit_bytes = read_limit_bytes(name.kind());
        match part.len() as u64 > limit_bytes {
            false => Ok(part.to_vec()),
            true => Err(Error::TooLarge {
                name,
                location,
                limit_bytes,
            }),
        }
    }
}

impl State {
    fn push(&mut self, name: FileName, bytes: Option<Arc<[u8]>>) -> &mut Kept {
        // Names as long as those of most places.
        let version = VersionId::new(format!("{:032}", self.made));
        self.made += 1;
        let kept = Kept {
            version,
            made: self.now,
            bytes,
            is_sealed: false,
            until: None,
        };
        let versions = self.files.entry(name).or_default();
        versions.push(kept);
        versions.last_mut().unwrap()
    }

    /// Stores a file, locked where it stays.
    fn store(&mut self, name: FileName, bytes: &[u8]) {
        let is_passing = name.kind() == FileType::Locks;
        let until = self.date().filter(|_| !is_passing);
        self.push(name, Some(bytes.into())).until = until;
        self.note(name);
    }

    /// Remembers what a save has put or found.
    fn note(&mut self, name: FileName) {
        let newest = self.files.get(&name).and_then(|kept| kept.last());
        if let Some(Kept { version, until, .. }) = newest
            && let Some(until) = *until
        {
            let version = version.clone();
            self.saved.push(SavedLock {
                name,
                version,
                until,
            });
        }
    }

    /// Until when is locked what is put now.
    fn date(&self) -> Option<SystemTime> {
        self.least.map(|least| self.now + least + least / 2)
    }

    /// A version with bytes; the newest, where none is named.
    fn version(&mut self, name: FileName, version: Option<&VersionId>) -> Option<&mut Kept> {
        let mut newest_first = self.files.get_mut(&name)?.iter_mut().rev();
        newest_first
            .find(|kept| version.is_none_or(|version| kept.version == *version))
            .filter(|kept| kept.bytes.is_some())
    }

    /// The versions of a file, the newest first.
    fn versions(&self, name: FileName) -> Vec<FileVersion> {
        let kept = self.files.get(&name).map(Vec::as_slice).unwrap_or_default();
        let told = |(place, one): (usize, &Kept)| FileVersion {
            name,
            version: one.version.clone(),
            made: one.made,
            is_newest: place + 1 == kept.len(),
            content: match &one.bytes {
                None => VersionContent::Marker,
                Some(bytes) => VersionContent::Bytes {
                    size_bytes: bytes.len() as u64,
                    // As good as a sum: equal for equal bytes.
                    tag: Id::of(bytes).to_string().get(..32).map(str::to_owned),
                },
            },
        };
        kept.iter().enumerate().rev().map(told).collect()
    }

    /// The versions of all files of a type.
    fn versions_of(&self, kind: FileType) -> Vec<FileVersion> {
        let names = self.files.keys().filter(|name| name.kind() == kind);
        names.flat_map(|name| self.versions(*name)).collect()
    }

    /// Removes what is so of the versions of a file.
    fn remove(&mut self, name: FileName, is_it: impl Fn(&Kept) -> bool) {
        let Some(kept) = self.files.get_mut(&name) else {
            return;
        };
        kept.retain(|one| !is_it(one));
        if kept.is_empty() {
            self.files.remove(&name);
        }
    }
}

impl Versions for FakeBucket {
    fn each_version(&self, kind: FileType, show: &mut ShowVersion<'_>) -> Result<()> {
        let is_endless = self.state.lock().endless == Some(kind);
        loop {
            self.show(|state| state.versions_of(kind), show)?;
            if !is_endless {
                return Ok(());
            }
        }
    }

    fn each_version_of(&self, name: FileName, show: &mut ShowVersion<'_>) -> Result<()> {
        self.show(|state| state.versions(name), show)
    }

    fn open_version(
        &self,
        name: FileName,
        version: &VersionId,
    ) -> Result<Box<dyn BufRead + Send + '_>> {
        let _under_way = self.begin();
        let mut state = self.state.lock();
        state.asked.opened += 1;
        let may_read = state.rights.read_versions;
        let kept = state.version(name, Some(version));
        let kept = kept.ok_or_else(|| self.absent(name))?;
        match &kept.bytes {
            Some(bytes) if may_read && !kept.is_sealed => Ok(Box::new(Cursor::new(bytes.to_vec()))),
            _ => Err(self.denied("read a version")),
        }
    }

    fn remove_marker(&self, marker: &FileVersion) -> Result<()> {
        match marker.content {
            VersionContent::Marker => self.remove_version(marker),
            VersionContent::Bytes { .. } => Err(self.denied("remove a marker")),
        }
    }

    fn remove_version(&self, version: &FileVersion) -> Result<()> {
        let mut state = self.state.lock();
        let now = state.now;
        let kept = state.version(version.name, Some(&version.version));
        let is_locked = kept.is_some_and(|kept| kept.until > Some(now));
        if is_locked || !state.rights.remove_versions {
            return Err(self.denied("remove a version"));
        }
        state.remove(version.name, |kept| kept.version == version.version);
        Ok(())
    }
}

impl Store for FakeBucket {
    fn location(&self) -> &str {
        &self.location
    }

    fn locks(&self) -> Option<&dyn Locks> {
        let is_locking = self.state.lock().least.is_some();
        is_locking.then_some(self as &dyn Locks)
    }

    fn versions(&self) -> Option<&dyn Versions> {
        Some(self)
    }

    /// The first version of `config`; that it is asked for is not counted.
    fn identity(&self) -> Result<Option<Id>> {
        let state = self.state.lock();
        let mut versions = state.files.get(&FileName::CONFIG).into_iter().flatten();
        let first = versions.find(|kept| kept.bytes.is_some());
        let told = first.filter(|_| state.rights.list_versions);
        Ok(told.map(|first| Id::of(first.version.as_str().as_bytes())))
    }

    fn time(&self) -> Option<SystemTime> {
        Some(self.state.lock().now)
    }

    fn create(&self) -> Result<()> {
        Ok(())
    }

    fn list(&self, kind: FileType) -> Result<Vec<FileEntry>> {
        let state = self.state.lock();
        let of_kind = state.files.iter().filter(|(name, _)| name.kind() == kind);
        let seen = of_kind.filter_map(|(name, kept)| {
            let bytes = kept.last()?.bytes.as_ref()?;
            Some(FileEntry {
                id: name.id().unwrap_or_default(),
                size_bytes: bytes.len() as u64,
            })
        });
        Ok(seen.collect())
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
        match self.bytes(name) {
            Ok(seen) if *seen == *bytes => {
                self.state.lock().note(name);
                Ok(())
            }
            Ok(_) => Err(Error::Exists {
                name,
                location: self.location.clone(),
            }),
            Err(_) => self.replace(name, bytes),
        }
    }

    fn replace(&self, name: FileName, bytes: &[u8]) -> Result<()> {
        if let Some(id) = name.id() {
            assert_eq!(id, Id::of(bytes), "{name} is not the hash of what is saved");
        }
        self.state.lock().store(name, bytes);
        Ok(())
    }

    /// The locks of runs go with all their versions; of anything else these stay.
    fn remove(&self, name: FileName) -> Result<()> {
        match name.kind() {
            FileType::Locks => self.state.lock().remove(name, |_| true),
            _ => self.hide(name),
        }
        Ok(())
    }
}
