//! A store in memory: the contract of `Store` with nothing else in the way.

use std::collections::BTreeMap;
use std::io::{BufRead, Cursor};
use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_model::{FileEntry, FileName, FileType, Id};
use strongroom_store::{Error, Result, Store, read_limit_bytes};

/// A repository in memory.
///
/// It panics where a caller saves bytes under a name that is not their hash: no engine may ever do
/// that. Damage is put in with [`MemoryStore::put`].
#[derive(Debug)]
pub struct MemoryStore {
    location: String,
    files: Mutex<BTreeMap<FileName, Arc<[u8]>>>,
    identity: Mutex<Option<Id>>,
}

impl MemoryStore {
    /// An empty store that calls itself `memory:<name>`.
    pub fn new(name: &str) -> Self {
        Self {
            location: format!("memory:{name}"),
            files: Mutex::default(),
            identity: Mutex::default(),
        }
    }

    /// An empty store that says it is at `location`, such as that of a server.
    pub fn at(location: &str) -> Self {
        Self {
            location: location.to_owned(),
            files: Mutex::default(),
            identity: Mutex::default(),
        }
    }

    /// Lets it be told as this place, as if another disk were put in its stead. As that of a folder,
    /// it is told otherwise when its `config` is replaced.
    pub fn set_identity(&self, place: Option<Id>) {
        *self.identity.lock() = place;
    }

    /// Puts any bytes under a name, past all checks.
    pub fn put(&self, name: FileName, bytes: &[u8]) {
        self.files.lock().insert(name, bytes.into());
    }

    /// The bytes under a name, as they are at this moment.
    pub fn get(&self, name: FileName) -> Option<Arc<[u8]>> {
        self.files.lock().get(&name).cloned()
    }

    /// All names, sorted by type and id.
    pub fn names(&self) -> Vec<FileName> {
        self.files.lock().keys().copied().collect()
    }

    /// Changes the bytes of a file in place; the file must exist.
    pub fn damage(&self, name: FileName, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.get(name).expect("the file to damage exists").to_vec();
        change(&mut bytes);
        self.put(name, &bytes);
    }

    fn slice(&self, name: FileName, range: Option<Range<u64>>) -> Result<Cursor<Slice>> {
        let bytes = self.get(name).ok_or_else(|| Error::NotFound {
            name,
            location: self.location.clone(),
        })?;
        let range = range.unwrap_or(0..bytes.len() as u64);
        if range.start.max(range.end) > bytes.len() as u64 {
            return Err(Error::ShortFile {
                name,
                location: self.location.clone(),
            });
        }
        let range = range.start as usize..range.end.max(range.start) as usize;
        Ok(Cursor::new(Slice { bytes, range }))
    }

    fn read_whole(&self, name: FileName, range: Option<Range<u64>>) -> Result<Vec<u8>> {
        let slice = self.slice(name, range)?.into_inner();
        let limit_bytes = read_limit_bytes(name.kind());
        if slice.as_ref().len() as u64 > limit_bytes {
            return Err(Error::TooLarge {
                name,
                location: self.location.clone(),
                limit_bytes,
            });
        }
        Ok(slice.as_ref().to_vec())
    }
}

/// A part of a file that stays as it was when it was opened.
struct Slice {
    bytes: Arc<[u8]>,
    range: Range<usize>,
}

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[self.range.clone()]
    }
}

/// Panics where a name is not the hash of the bytes.
fn check_hash(name: FileName, bytes: &[u8]) {
    if let Some(id) = name.id() {
        assert_eq!(id, Id::of(bytes), "{name} is not the hash of what is saved");
    }
}

impl Store for MemoryStore {
    fn location(&self) -> &str {
        &self.location
    }

    fn identity(&self) -> Result<Option<Id>> {
        Ok(*self.identity.lock())
    }

    fn create(&self) -> Result<()> {
        Ok(())
    }

    fn list(&self, kind: FileType) -> Result<Vec<FileEntry>> {
        let files = self.files.lock();
        let of_kind = files.iter().filter(|(name, _)| name.kind() == kind);
        let entry = |(name, bytes): (&FileName, &Arc<[u8]>)| FileEntry {
            id: name.id().unwrap_or_default(),
            size_bytes: bytes.len() as u64,
        };
        Ok(of_kind.map(entry).collect())
    }

    fn size(&self, name: FileName) -> Result<u64> {
        Ok(self.slice(name, None)?.get_ref().as_ref().len() as u64)
    }

    fn open(
        &self,
        name: FileName,
        range: Option<Range<u64>>,
    ) -> Result<Box<dyn BufRead + Send + '_>> {
        Ok(Box::new(self.slice(name, range)?))
    }

    fn read(&self, name: FileName) -> Result<Vec<u8>> {
        self.read_whole(name, None)
    }

    fn read_range(&self, name: FileName, range: Range<u64>) -> Result<Vec<u8>> {
        self.read_whole(name, Some(range))
    }

    fn save(&self, name: FileName, bytes: &[u8]) -> Result<()> {
        check_hash(name, bytes);
        let mut files = self.files.lock();
        match files.get(&name) {
            Some(stored) if **stored == *bytes => Ok(()),
            Some(_) => Err(Error::Exists {
                name,
                location: self.location.clone(),
            }),
            None => {
                files.insert(name, bytes.into());
                Ok(())
            }
        }
    }

    fn replace(&self, name: FileName, bytes: &[u8]) -> Result<()> {
        check_hash(name, bytes);
        self.put(name, bytes);
        if name == FileName::CONFIG {
            let mut identity = self.identity.lock();
            *identity = identity.map(|before| Id::of(before.as_bytes()));
        }
        Ok(())
    }

    fn remove(&self, name: FileName) -> Result<()> {
        self.files.lock().remove(&name);
        Ok(())
    }
}
