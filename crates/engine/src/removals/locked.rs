//! Removing files where their versions are locked: all versions of a file, once no lock holds any of
//! them, else none. Until then it is seen by everybody else, stock restic included.

use std::collections::HashMap;
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
    of_files: HashMap<FileName, Vec<FileVersion>>,
    /// The time, by the clock of the place or by ours, whichever is later.
    now: SystemTime,
}

/// What became of a file that was to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is gone, and so many bytes are free.
    Removed(u64),
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
        let mut of_files: HashMap<FileName, Vec<FileVersion>> = HashMap::new();
        for version in versions.list_versions(kind)? {
            if is_wanted(version.name) {
                of_files.entry(version.name).or_default().push(version);
            }
        }
        let date = locks.date()?;
        Ok(Some(Self {
            store,
            locks,
            versions,
            of_files,
            now: date.checked_sub(shortest(locks)).unwrap_or(date),
        }))
    }

    /// Removes all versions of a file, unless one of them is locked.
    ///
    /// Where the right to remove versions is missing it is hidden, so that nobody lists it.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) fn remove(&self, name: FileName) -> Result<Fate> {
        if let Some(until) = self.waits_until(name)? {
            return Ok(Fate::Waits(Some(until)));
        }
        let mut freed_bytes = 0_u64;
        for version in self.versions_of(name) {
            if let VersionContent::Bytes { size_bytes, .. } = version.content {
                freed_bytes = freed_bytes.saturating_add(size_bytes);
            }
            match self.versions.remove_version(version) {
                Ok(()) => {}
                Err(Error::Denied { .. }) => {
                    self.store.remove(name)?;
                    return Ok(Fate::Removed(0));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Fate::Removed(freed_bytes))
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
        self.of_files.get(&name).map_or(&[], Vec::as_slice)
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
            Ok(ShownLock::NotShown) | Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// For how long a file is locked when it is put.
fn shortest(locks: &dyn Locks) -> std::time::Duration {
    let least = locks.least();
    least.saturating_add(least / 2)
}
