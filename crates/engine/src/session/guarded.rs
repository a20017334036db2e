//! A store that writes index files and snapshots only while our lock on the copy stands.
//!
//! A process can sleep longer than a lock lives: the lid of a laptop is closed, another host takes
//! the lock for dead, prunes, and then the lid opens. What this run listed may be gone by then, so
//! that an index file or snapshot written now would refer to nothing. So the lock is looked at
//! right before each of them; packs refer to nothing and are written freely.

use std::io::BufRead;
use std::ops::Range;
use std::sync::Arc;

use strongroom_model::{FileEntry, FileName, FileType, Id};
use strongroom_store::{Error, Holder, Locks, Result, SharedBytes, Store, Versions};

use crate::session::locks::{Held, Standing};

/// A store of a copy that is locked.
#[derive(Debug)]
pub(super) struct GuardedStore {
    inner: Arc<dyn Store>,
    copy: String,
    held: Arc<Held>,
}

impl GuardedStore {
    pub(super) fn new(inner: Arc<dyn Store>, copy: &str, held: Arc<Held>) -> Self {
        Self {
            inner,
            copy: copy.to_owned(),
            held,
        }
    }

    fn check(&self, name: FileName) -> Result<()> {
        if !matches!(name.kind(), FileType::Index | FileType::Snapshots) {
            return Ok(());
        }
        match self.held.standing(&self.copy) {
            Standing::Sound => Ok(()),
            Standing::Unclear(error) => Err(error),
            Standing::Lost(reason) => Err(Error::Denied {
                location: self.inner.location().to_owned(),
                action: format!("let us write {name}"),
                reason,
            }),
        }
    }
}

impl Store for GuardedStore {
    fn location(&self) -> &str {
        self.inner.location()
    }

    fn locks(&self) -> Option<&dyn Locks> {
        self.inner.locks()
    }

    fn versions(&self) -> Option<&dyn Versions> {
        self.inner.versions()
    }

    fn holder(&self) -> Holder {
        self.inner.holder()
    }

    fn identity(&self) -> Result<Option<Id>> {
        self.inner.identity()
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
        self.check(name)?;
        self.inner.save(name, bytes)
    }

    fn save_shared(&self, name: FileName, bytes: SharedBytes) -> Result<()> {
        self.check(name)?;
        self.inner.save_shared(name, bytes)
    }

    fn replace(&self, name: FileName, bytes: &[u8]) -> Result<()> {
        self.check(name)?;
        self.inner.replace(name, bytes)
    }

    fn replace_shared(&self, name: FileName, bytes: SharedBytes) -> Result<()> {
        self.check(name)?;
        self.inner.replace_shared(name, bytes)
    }

    fn remove(&self, name: FileName) -> Result<()> {
        self.inner.remove(name)
    }
}
