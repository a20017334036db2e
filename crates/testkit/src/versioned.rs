//! A store in memory that keeps versions, as a bucket with Object Lock does: what is removed or
//! overwritten there is hidden behind a marker or another version, and no version can be removed.

use std::collections::BTreeMap;
use std::io::{BufRead, Cursor};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::{Condvar, Mutex};
use strongroom_model::{FileEntry, FileName, FileType, Id};
use strongroom_store::{
    Error, FileVersion, Result, ShowVersion, Store, VersionContent, VersionId, Versions,
    read_limit_bytes,
};

/// How long is waited for as many readers as a test expects.
const PATIENCE: Duration = Duration::from_secs(60);

/// A repository in memory whose every version stays. Its clock stands still until it is set.
#[derive(Debug)]
pub struct VersionedStore {
    location: String,
    state: Mutex<State>,
    opened: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Of each file its versions, the oldest first.
    files: BTreeMap<FileName, Vec<Kept>>,
    now_s: u64,
    made: u64,
    rights: Rights,
    reads: u64,
    /// How many readers have to come before any of them gets its bytes, and how many have.
    awaited: usize,
    came: usize,
}

/// What an account may do there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// List versions.
    pub list_versions: bool,
    /// Read versions.
    pub read_versions: bool,
    /// Remove markers.
    pub remove_markers: bool,
}

/// A version; without bytes it is a marker.
#[derive(Clone, Debug)]
struct Kept {
    id: String,
    made_s: u64,
    bytes: Option<Arc<[u8]>>,
    /// Whether a key encrypts it that nobody here has.
    is_sealed: bool,
}

impl Default for Rights {
    fn default() -> Self {
        Self {
            list_versions: true,
            read_versions: true,
            remove_markers: true,
        }
    }
}

impl VersionedStore {
    /// An empty store that calls itself `versioned:<name>`, at the beginning of 1970.
    pub fn new(name: &str) -> Self {
        Self {
            location: format!("versioned:{name}"),
            state: Mutex::default(),
            opened: Condvar::new(),
        }
    }

    /// Sets its clock, in seconds since 1970.
    pub fn set_time(&self, now_s: u64) {
        self.state.lock().now_s = now_s;
    }

    /// Sets what may be done.
    pub fn allow(&self, rights: Rights) {
        self.state.lock().rights = rights;
    }

    /// Puts any bytes above a file, past all checks.
    pub fn overwrite(&self, name: FileName, bytes: &[u8]) {
        self.state.lock().push(name, Some(bytes.into()), false);
    }

    /// Puts any bytes above a file, which can be listed and not be read.
    pub fn overwrite_sealed(&self, name: FileName, bytes: &[u8]) {
        self.state.lock().push(name, Some(bytes.into()), true);
    }

    /// Hides a file behind a marker, and one that is hidden behind another one.
    pub fn hide(&self, name: FileName) {
        self.state.lock().push(name, None, false);
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

    /// How many versions were opened so far.
    pub fn reads(&self) -> u64 {
        self.state.lock().reads
    }

    /// Lets the first readers wait for each other until there are so many at a time.
    ///
    /// # Panics
    /// The readers do, where they stay too few for a minute.
    pub fn await_readers(&self, count: usize) {
        let mut state = self.state.lock();
        (state.awaited, state.came) = (count, 0);
    }

    /// What is seen under a name.
    fn seen(&self, name: FileName) -> Result<Arc<[u8]>> {
        let state = self.state.lock();
        let newest = state.files.get(&name).and_then(|kept| kept.last());
        newest
            .and_then(|newest| newest.bytes.clone())
            .ok_or_else(|| self.absent(name))
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

    /// Shows versions, the newest of each file first; nobody holds the state meanwhile.
    fn show(&self, found: Vec<FileVersion>, show: &mut ShowVersion<'_>) -> Result<()> {
        if !self.state.lock().rights.list_versions {
            return Err(self.denied("list the versions"));
        }
        found.into_iter().try_for_each(show)
    }

    fn slice(&self, name: FileName, range: Option<Range<u64>>) -> Result<Vec<u8>> {
        let bytes = self.seen(name)?;
        let range = range.unwrap_or(0..bytes.len() as u64);
        let end = range.end.max(range.start) as usize;
        let slice = bytes.get(range.start as usize..end);
        let slice = slice.ok_or_else(|| Error::ShortFile {
            name,
            location: self.location.clone(),
        })?;
        match slice.len() as u64 > read_limit_bytes(name.kind()) {
            false => Ok(slice.to_vec()),
            true => Err(Error::TooLarge {
                name,
                location: self.location.clone(),
                limit_bytes: read_limit_bytes(name.kind()),
            }),
        }
    }
}

impl State {
    fn push(&mut self, name: FileName, bytes: Option<Arc<[u8]>>, is_sealed: bool) {
        self.made += 1;
        let kept = Kept {
            id: format!("v{}", self.made),
            made_s: self.now_s,
            bytes,
            is_sealed,
        };
        self.files.entry(name).or_default().push(kept);
    }

    /// The versions of a file, the newest first.
    fn versions(&self, name: FileName) -> Vec<FileVersion> {
        let kept = self.files.get(&name).map(Vec::as_slice);
        let kept = kept.unwrap_or_default();
        let told = |(place, one): (usize, &Kept)| FileVersion {
            name,
            version: VersionId::new(one.id.as_str()),
            made: SystemTime::UNIX_EPOCH + Duration::from_secs(one.made_s),
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
}

impl Versions for VersionedStore {
    fn each_version(&self, kind: FileType, show: &mut ShowVersion<'_>) -> Result<()> {
        let found = {
            let state = self.state.lock();
            let names = state.files.keys().filter(|name| name.kind() == kind);
            names.flat_map(|name| state.versions(*name)).collect()
        };
        self.show(found, show)
    }

    fn each_version_of(&self, name: FileName, show: &mut ShowVersion<'_>) -> Result<()> {
        let found = self.state.lock().versions(name);
        self.show(found, show)
    }

    fn open_version(
        &self,
        name: FileName,
        version: &VersionId,
    ) -> Result<Box<dyn BufRead + Send + '_>> {
        let mut state = self.state.lock();
        state.reads += 1;
        state.came += 1;
        self.opened.notify_all();
        while state.came < state.awaited {
            let timed_out = self.opened.wait_for(&mut state, PATIENCE).timed_out();
            assert!(!timed_out, "only {} readers at a time", state.came);
        }
        if !state.rights.read_versions {
            return Err(self.denied("read a version"));
        }
        let kept = state.files.get(&name).into_iter().flatten();
        let mut kept = kept.filter(|one| one.id == version.as_str());
        match kept.next() {
            Some(one) if one.is_sealed => Err(self.denied("read a version")),
            Some(one) => {
                let bytes = one.bytes.as_ref().ok_or_else(|| self.absent(name))?;
                Ok(Box::new(Cursor::new(bytes.to_vec())))
            }
            None => Err(self.absent(name)),
        }
    }

    fn remove_marker(&self, marker: &FileVersion) -> Result<()> {
        let mut state = self.state.lock();
        if !state.rights.remove_markers || marker.content != VersionContent::Marker {
            return Err(self.denied("remove a marker"));
        }
        if let Some(kept) = state.files.get_mut(&marker.name) {
            kept.retain(|one| one.id != marker.version.as_str());
        }
        Ok(())
    }

    fn remove_version(&self, version: &FileVersion) -> Result<()> {
        match version.content {
            VersionContent::Marker => self.remove_marker(version),
            VersionContent::Bytes { .. } => Err(self.denied("remove a version that is locked")),
        }
    }
}

impl Store for VersionedStore {
    fn location(&self) -> &str {
        &self.location
    }

    fn versions(&self) -> Option<&dyn Versions> {
        Some(self)
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
        Ok(self.seen(name)?.len() as u64)
    }

    fn open(
        &self,
        name: FileName,
        range: Option<Range<u64>>,
    ) -> Result<Box<dyn BufRead + Send + '_>> {
        Ok(Box::new(Cursor::new(self.slice(name, range)?)))
    }

    fn read(&self, name: FileName) -> Result<Vec<u8>> {
        self.slice(name, None)
    }

    fn read_range(&self, name: FileName, range: Range<u64>) -> Result<Vec<u8>> {
        self.slice(name, Some(range))
    }

    fn save(&self, name: FileName, bytes: &[u8]) -> Result<()> {
        match self.seen(name) {
            Ok(seen) if *seen == *bytes => Ok(()),
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
        self.overwrite(name, bytes);
        Ok(())
    }

    fn remove(&self, name: FileName) -> Result<()> {
        self.hide(name);
        Ok(())
    }
}
