//! A store that writes index files, snapshots and records only while our lock on the copy stands.
//!
//! A process can sleep longer than a lock lives: the lid of a laptop is closed, another host takes
//! the lock for dead, prunes, and then the lid opens. What this run listed may be gone by then, so
//! that an index file or snapshot written now would refer to nothing. So the lock is looked at
//! right before each of them; packs refer to nothing and are written freely. A record of a removal
//! was decided upon what was listed, too; and nothing of what it names is removed without our lock.

use std::io::BufRead;
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use strongroom_model::{FileEntry, FileName, FileType, Id};
use strongroom_store::{
    Attacks, Error, FileVersion, Holder, Locks, Result, SharedBytes, ShowVersion, Store, VersionId,
    Versions,
};

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
        let refers = matches!(
            name.kind(),
            FileType::Index | FileType::Snapshots | FileType::Records
        );
        match refers {
            true => self.check_lock(&format!("write {name}")),
            false => Ok(()),
        }
    }

    /// Fails where a file may not be removed. While this process slept, somebody may have taken the
    /// removal back, so that packs are needed again whose index files were gone from here. Packs are
    /// many, so that the lock is asked for only where it is old enough to be taken for dead.
    fn check_removal(&self, name: FileName) -> Result<()> {
        let is_looked_at = match name.kind() {
            FileType::Index | FileType::Snapshots => true,
            FileType::Data => !self.held.is_young(&self.copy),
            _ => false,
        };
        match is_looked_at {
            true => self.check_lock(&format!("remove {name}")),
            false => Ok(()),
        }
    }

    /// What the place offers that keeps versions.
    fn inner_versions(&self) -> Result<&dyn Versions> {
        self.inner.versions().ok_or_else(|| Error::Denied {
            location: self.inner.location().to_owned(),
            action: "show versions of files".to_owned(),
            reason: "it keeps none".to_owned(),
        })
    }

    /// Fails where our lock does not stand; `action` is what is refused then, as a verb phrase.
    fn check_lock(&self, action: &str) -> Result<()> {
        match self.held.standing(&self.copy) {
            Standing::Sound => Ok(()),
            Standing::Unclear(error) => Err(error),
            Standing::Lost(reason) => Err(Error::LockLost {
                location: self.inner.location().to_owned(),
                action: action.to_owned(),
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
        self.inner.versions().map(|_| self as &dyn Versions)
    }

    fn attacks(&self) -> Option<&dyn Attacks> {
        self.inner.attacks()
    }

    fn holder(&self) -> Holder {
        self.inner.holder()
    }

    fn identity(&self) -> Result<Option<Id>> {
        self.inner.identity()
    }

    fn time(&self) -> Option<SystemTime> {
        self.inner.time()
    }

    fn create(&self) -> Result<()> {
        self.inner.create()
    }

    fn list(&self, kind: FileType) -> Result<Vec<FileEntry>> {
        self.inner.list(kind)
    }

    fn first_ids(&self, kind: FileType) -> Result<Vec<Id>> {
        self.inner.first_ids(kind)
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

    fn read_range_into(
        &self,
        name: FileName,
        range: Range<u64>,
        memory: Vec<u8>,
    ) -> Result<Vec<u8>> {
        self.inner.read_range_into(name, range, memory)
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

    fn end_old_uploads(&self, older_than: SystemTime) -> Result<u64> {
        self.inner.end_old_uploads(older_than)
    }

    fn remove(&self, name: FileName) -> Result<()> {
        self.check_removal(name)?;
        self.inner.remove(name)
    }
}

impl Versions for GuardedStore {
    fn each_version(&self, kind: FileType, show: &mut ShowVersion<'_>) -> Result<()> {
        self.inner_versions()?.each_version(kind, show)
    }

    fn each_version_of(&self, name: FileName, show: &mut ShowVersion<'_>) -> Result<()> {
        self.inner_versions()?.each_version_of(name, show)
    }

    fn list_versions(&self, kind: FileType) -> Result<Vec<FileVersion>> {
        self.inner_versions()?.list_versions(kind)
    }

    fn versions_of(&self, name: FileName) -> Result<Vec<FileVersion>> {
        self.inner_versions()?.versions_of(name)
    }

    fn open_version(
        &self,
        name: FileName,
        version: &VersionId,
    ) -> Result<Box<dyn BufRead + Send + '_>> {
        self.inner_versions()?.open_version(name, version)
    }

    fn remove_marker(&self, marker: &FileVersion) -> Result<()> {
        self.inner_versions()?.remove_marker(marker)
    }

    fn remove_version(&self, version: &FileVersion) -> Result<()> {
        self.check_removal(version.name)?;
        self.inner_versions()?.remove_version(version)
    }
}
