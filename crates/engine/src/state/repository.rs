//! What is remembered of one repository and its copies.
//!
//! A copy is known by its name and its address: the evidence of one disk must not vouch for
//! another that was later given the same name.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use strongroom_model::attack::SignedDrill;
use strongroom_model::evidence::RestoreDrill;
use strongroom_model::{CopyEvidence, FileName, Id};

use crate::drill::attack::NotedRemnants;
use crate::receipts::{ClientKey, DeliveredReceipts};
use crate::session::{CopyStore, chain};
use crate::state::disk::{self, Alone, Lock};
use crate::state::record::{self, OpenedKey, OwnLock, OwnLocks, RemovedKeys, ScratchFolders};
use crate::state::{
    Arrivals, GoneFiles, LockDates, PassedOver, ReadFiles, RecordedNeeds, SeenFiles, Sightings,
    StateFolder,
};
use crate::{Error, Result};

/// The part of the state folder that belongs to one repository.
#[derive(Debug, Clone)]
pub struct RepositoryState {
    root: PathBuf,
    folder: PathBuf,
}

/// How many locks are remembered: far more than any run holds.
const MAX_OWN_LOCKS: usize = 1000;

/// How many folders are remembered in which drills restored.
const MAX_SCRATCH_FOLDERS: usize = 16;

/// How many statements of drills are kept: those of eight years, where there is one a week.
const MAX_DRILLS: usize = 400;

impl RepositoryState {
    pub(super) fn new(root: &Path, name: &str) -> Self {
        Self {
            root: root.to_owned(),
            folder: root.join(name),
        }
    }

    /// What was shown of a copy; nothing, where that cannot be read.
    pub fn evidence(&self, copy: &CopyStore) -> CopyEvidence {
        let path = self.of_copy(copy, "evidence");
        believe(self.load(&path, CopyEvidence::from_json))
    }

    /// Changes what was shown of a copy, whatever other processes do meanwhile; returns what it is
    /// now.
    ///
    /// # Errors
    /// Where the file cannot be written, or a newer version of the program wrote it. A backup goes
    /// on without.
    pub fn update_evidence(
        &self,
        copy: &CopyStore,
        change: impl FnOnce(&mut CopyEvidence),
    ) -> Result<CopyEvidence> {
        let path = self.of_copy(copy, "evidence");
        let lock = self.lock()?;
        let mut evidence = self
            .load_locked(&lock, &path, CopyEvidence::from_json)?
            .unwrap_or_default();
        change(&mut evidence);
        disk::write(&lock, &path, &evidence.to_json()?)?;
        Ok(evidence)
    }

    /// Which index files and snapshots a copy once held.
    pub fn seen(&self, copy: &CopyStore) -> SeenFiles {
        believe(self.load(&self.of_copy(copy, "seen"), record::decode))
    }

    /// Changes which index files and snapshots a copy once held.
    ///
    /// # Errors
    /// As [`RepositoryState::update_evidence`].
    pub fn update_seen(&self, copy: &CopyStore, change: impl FnOnce(&mut SeenFiles)) -> Result<()> {
        self.update(&self.of_copy(copy, "seen"), change)
    }

    /// What lies hidden among the snapshots of a copy and is none; nothing, where that cannot be read.
    pub(crate) fn passed_over(&self, copy: &CopyStore) -> PassedOver {
        believe(self.load(&self.of_copy(copy, "passed-over"), record::decode))
    }

    /// Changes what lies hidden among the snapshots of a copy and is none.
    pub(crate) fn update_passed_over(
        &self,
        copy: &CopyStore,
        change: impl FnOnce(&mut PassedOver),
    ) -> Result<()> {
        self.update(&self.of_copy(copy, "passed-over"), change)
    }

    /// When the snapshots of a copy were listed for the first time; none, where that is damaged or
    /// missing.
    ///
    /// # Errors
    /// Where it cannot be read, or a newer version of the program wrote it: who lets snapshots go by
    /// it stops there.
    pub fn sightings(&self, copy: &CopyStore) -> Result<Sightings> {
        self.load(&self.of_copy(copy, "sightings"), record::decode)
    }

    /// Changes when the snapshots of a copy were listed for the first time.
    ///
    /// # Errors
    /// As [`RepositoryState::update_evidence`].
    pub fn update_sightings(
        &self,
        copy: &CopyStore,
        change: impl FnOnce(&mut Sightings),
    ) -> Result<()> {
        self.update(&self.of_copy(copy, "sightings"), change)
    }

    /// When the snapshots came that were decided upon; none, where that is damaged or missing.
    ///
    /// # Errors
    /// As [`RepositoryState::sightings`].
    pub fn arrivals(&self) -> Result<Arrivals> {
        self.load(&self.arrivals_path(), record::decode)
    }

    /// Changes when the snapshots came that were decided upon.
    ///
    /// # Errors
    /// As [`RepositoryState::update_evidence`].
    pub fn update_arrivals(&self, change: impl FnOnce(&mut Arrivals)) -> Result<()> {
        self.update(&self.arrivals_path(), change)
    }

    /// Which files are gone from all copies.
    pub fn gone(&self) -> GoneFiles {
        believe(self.load(&self.gone_path(), record::decode))
    }

    /// Changes which files count as gone, and which of these as removed on purpose.
    ///
    /// # Errors
    /// As [`RepositoryState::update_evidence`].
    pub fn update_gone(&self, change: impl FnOnce(&mut GoneFiles)) -> Result<()> {
        self.update(&self.gone_path(), change)
    }

    /// Which files of a copy were read; `None` where that is not known.
    pub fn read_files(&self, copy: &CopyStore) -> Option<ReadFiles> {
        let path = self.of_copy(copy, "read");
        believe(self.load(&path, |bytes| record::decode(bytes).map(Some)))
    }

    /// Changes which files of a copy were read.
    ///
    /// # Errors
    /// As [`RepositoryState::update_evidence`].
    pub fn update_read_files(
        &self,
        copy: &CopyStore,
        change: impl FnOnce(&mut ReadFiles),
    ) -> Result<()> {
        self.update(&self.of_copy(copy, "read"), change)
    }

    /// Until when the files of a copy are locked, as far as its place has shown it.
    pub fn lock_dates(&self, copy: &CopyStore) -> LockDates {
        believe(self.load(&self.lock_dates_path(copy), LockDates::decode))
    }

    /// Changes until when the files of a copy are locked; `change` says whether it made a difference.
    /// Returns what is known now.
    ///
    /// # Errors
    /// As [`RepositoryState::update_evidence`].
    pub fn update_lock_dates(
        &self,
        copy: &CopyStore,
        change: impl FnOnce(&mut LockDates) -> bool,
    ) -> Result<LockDates> {
        let path = self.lock_dates_path(copy);
        let lock = self.lock()?;
        let found = self.load_locked(&lock, &path, LockDates::decode)?;
        let mut dates = found.unwrap_or_default();
        if change(&mut dates) {
            disk::write(&lock, &path, &dates.encode()?)?;
        }
        Ok(dates)
    }

    /// Which receipts the vault of a copy is known to have.
    pub(crate) fn delivered(&self, copy: &CopyStore) -> DeliveredReceipts {
        believe(self.load(&self.of_copy(copy, "delivered"), record::decode))
    }

    /// Changes which receipts the vault of a copy is known to have.
    pub(crate) fn update_delivered(
        &self,
        copy: &CopyStore,
        change: impl FnOnce(&mut DeliveredReceipts),
    ) -> Result<()> {
        self.update(&self.of_copy(copy, "delivered"), change)
    }

    /// The keys that were removed on purpose on this machine.
    pub fn removed_keys(&self) -> BTreeSet<Id> {
        let removed: RemovedKeys = believe(self.load(&self.removed_keys_path(), record::decode));
        removed.keys
    }

    /// Changes which keys count as removed on purpose.
    ///
    /// # Errors
    /// As [`RepositoryState::update_evidence`].
    pub fn update_removed_keys(&self, change: impl FnOnce(&mut BTreeSet<Id>)) -> Result<()> {
        let of_keys = |removed: &mut RemovedKeys| change(&mut removed.keys);
        self.update(&self.removed_keys_path(), of_keys)
    }

    /// The key that opened the repository on this machine last.
    pub(crate) fn opened_key(&self) -> Option<Id> {
        self.opened().key
    }

    /// The same, with what tells the key in it from any other.
    pub(super) fn opened(&self) -> OpenedKey {
        believe(self.load(&self.opened_key_path(), record::decode))
    }

    /// Changes which key opened the repository on this machine last.
    pub(super) fn update_opened(&self, change: impl FnOnce(&mut OpenedKey)) -> Result<()> {
        self.update(&self.opened_key_path(), change)
    }

    /// The locks that this machine wrote and is not known to have removed.
    pub(crate) fn own_locks(&self) -> Vec<OwnLock> {
        let own: OwnLocks = believe(self.load(&self.own_locks_path(), record::decode));
        own.locks
    }

    /// Changes which locks count as our own; of too many the oldest are forgotten.
    pub(crate) fn update_own_locks(&self, change: impl FnOnce(&mut Vec<OwnLock>)) -> Result<()> {
        self.update(&self.own_locks_path(), |own: &mut OwnLocks| {
            change(&mut own.locks);
            let surplus = own.locks.len().saturating_sub(MAX_OWN_LOCKS);
            own.locks.drain(..surplus);
        })
    }

    /// The folders in which drills have restored, and something of them may be left.
    pub(crate) fn scratch_folders(&self) -> BTreeSet<PathBuf> {
        let scratch: ScratchFolders =
            believe(self.load(&self.scratch_folders_path(), record::decode));
        scratch.folders
    }

    /// Changes in which folders something of drills may be left; of too many one is forgotten.
    pub(crate) fn update_scratch_folders(
        &self,
        change: impl FnOnce(&mut BTreeSet<PathBuf>),
    ) -> Result<()> {
        let path = self.scratch_folders_path();
        self.update(&path, |scratch: &mut ScratchFolders| {
            change(&mut scratch.folders);
            while scratch.folders.len() > MAX_SCRATCH_FOLDERS {
                scratch.folders.pop_first();
            }
        })
    }

    /// Keeps other drills of this machine from a copy, until what is returned is dropped; `None` where
    /// one is at it.
    pub(crate) fn begin_drill(&self, copy: &CopyStore) -> Result<Option<Alone>> {
        Alone::take(&self.of_copy_as(copy, "drill"))
    }

    /// Keeps the signed statement of a drill; of very many the oldest go.
    pub(crate) fn keep_drill(&self, at: Timestamp, drill: &SignedDrill) -> Result<()> {
        let lock = self.lock()?;
        let name = format!("{:012}-{}.json", at.as_second().max(0), drill.id());
        let folder = self.drills_folder();
        disk::write(&lock, &folder.join(name), &drill.to_json()?)?;
        let names = self.drill_names();
        let surplus = names.len().saturating_sub(MAX_DRILLS);
        for name in names.iter().take(surplus) {
            disk::remove(&lock, &folder.join(name))?;
        }
        Ok(())
    }

    /// The signed statements of drills, the newest first, as many as are asked for.
    pub(crate) fn drills(&self, most: usize) -> Vec<SignedDrill> {
        let folder = self.drills_folder();
        let names = self.drill_names();
        let newest = names.iter().rev().take(most);
        let read = newest.filter_map(|name| disk::read(&folder.join(name)).ok().flatten());
        read.filter_map(|bytes| SignedDrill::from_json(&bytes).ok())
            .collect()
    }

    /// Their names, the oldest first.
    fn drill_names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.drills_folder());
        let names = entries.into_iter().flatten().flatten();
        let names = names.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| name.ends_with(".json")).collect();
        names.sort_unstable();
        names
    }

    /// Which statements of drills the vault of a copy is known to have.
    pub(crate) fn delivered_drills(&self, copy: &CopyStore) -> DeliveredReceipts {
        believe(self.load(&self.of_copy(copy, "delivered-drills"), record::decode))
    }

    /// Changes which statements of drills the vault of a copy is known to have.
    pub(crate) fn update_delivered_drills(
        &self,
        copy: &CopyStore,
        change: impl FnOnce(&mut DeliveredReceipts),
    ) -> Result<()> {
        self.update(&self.of_copy(copy, "delivered-drills"), change)
    }

    /// What drills have left behind on a copy.
    pub fn remnants(&self, copy: &CopyStore) -> NotedRemnants {
        believe(self.load(&self.of_copy(copy, "remnants"), record::decode))
    }

    /// Changes what drills have left behind on a copy.
    pub(crate) fn update_remnants(
        &self,
        copy: &CopyStore,
        change: impl FnOnce(&mut NotedRemnants),
    ) -> Result<()> {
        self.update(&self.of_copy(copy, "remnants"), change)
    }

    /// The rehearsed restore that an earlier version noted for the repository as a whole; by now each
    /// copy's evidence has its own.
    pub fn restore_drill(&self) -> Option<RestoreDrill> {
        self.read_record(&self.folder.join("restore-drill.json"))
    }

    /// The key by which this machine is known; made where there is none yet.
    pub(crate) fn client_key(&self) -> Result<ClientKey> {
        StateFolder::new(&self.root).client_key()
    }

    /// The SHA-256 of what is in the file of that key, where there is one.
    pub(crate) fn own_key(&self) -> Option<Id> {
        let key = StateFolder::new(&self.root).find_client_key();
        let key = key.inspect_err(|error| {
            let reason = chain(error);
            tracing::warn!(
                reason,
                "The key of this machine cannot be read, nor left out"
            );
        });
        let key = key.ok().flatten()?;
        Some(Id::of(key.seed().as_slice()))
    }

    pub(super) fn remembers(&self, copy: &CopyStore) -> bool {
        let mut kinds = ["evidence", "seen"].into_iter();
        kinds.any(|what| self.of_copy(copy, what).exists())
    }

    /// What the newest snapshot of a source and host needs.
    pub(crate) fn needs(&self, source: &str, host: &str) -> Option<RecordedNeeds> {
        self.read_record(&self.of_source("needs", source, host))
    }

    /// What the newest snapshots of all sources and hosts need.
    pub(crate) fn all_needs(&self) -> Vec<RecordedNeeds> {
        let notes = self.needs_paths().into_iter();
        notes.filter_map(|path| self.read_record(&path)).collect()
    }

    /// Forgets what the newest snapshots need where a file of it `went`: who asks next finds it out
    /// anew.
    ///
    /// # Errors
    /// As [`RepositoryState::update_evidence`].
    pub(crate) fn drop_needs(&self, went: impl Fn(FileName) -> bool) -> Result<()> {
        let lock = self.lock()?;
        for path in self.needs_paths() {
            let noted: Option<RecordedNeeds> = self.read_record(&path);
            let is_old = |noted: &RecordedNeeds| noted.files().any(&went);
            if noted.as_ref().is_some_and(is_old) {
                disk::remove(&lock, &path)?;
            }
        }
        Ok(())
    }

    fn needs_paths(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.subfolder("needs"));
        let paths = entries.into_iter().flatten().flatten();
        let paths = paths.map(|entry| entry.path());
        let is_note = |path: &PathBuf| path.extension().is_some_and(|end| end == "json");
        paths.filter(is_note).collect()
    }

    /// Remembers what the newest snapshot of a source and host needs.
    pub(crate) fn record_needs(
        &self,
        lock: &Lock,
        source: &str,
        host: &str,
        needs: &RecordedNeeds,
    ) -> Result<()> {
        self.write_record(lock, &self.of_source("needs", source, host), needs)
    }

    /// The right to write; to be held for as short as can be.
    pub(crate) fn lock(&self) -> Result<Lock> {
        Lock::take(&self.root)
    }

    /// Reads a record that is written anew as a whole; one that makes no sense counts as none.
    pub(crate) fn read_record<T: DeserializeOwned>(&self, path: &Path) -> Option<T> {
        let bytes = disk::read(path).and_then(|bytes| match bytes {
            Some(bytes) => Ok(Some(record::decode(&bytes)?)),
            None => Ok(None),
        });
        believe(bytes)
    }

    /// Writes what [`RepositoryState::read_record`] reads.
    pub(crate) fn write_record<T: Serialize>(
        &self,
        lock: &Lock,
        path: &Path,
        record: &T,
    ) -> Result<()> {
        disk::write(lock, path, &record::encode(record)?)
    }

    /// The file of a source and host: their hash, for a host's name can be anything.
    pub(crate) fn of_source(&self, what: &str, source: &str, host: &str) -> PathBuf {
        let id = Id::of(format!("{source}\0{host}").as_bytes());
        self.folder.join(what).join(format!("{id}.json"))
    }

    /// A folder within this repository's.
    pub(crate) fn subfolder(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn drills_folder(&self) -> PathBuf {
        self.subfolder("drills")
    }

    fn own_locks_path(&self) -> PathBuf {
        self.folder.join("own-locks.json")
    }

    fn arrivals_path(&self) -> PathBuf {
        self.folder.join("arrivals.json")
    }

    fn gone_path(&self) -> PathBuf {
        self.folder.join("gone-files.json")
    }

    fn scratch_folders_path(&self) -> PathBuf {
        self.folder.join("scratch-folders.json")
    }

    fn opened_key_path(&self) -> PathBuf {
        self.folder.join("opened-key.json")
    }

    fn removed_keys_path(&self) -> PathBuf {
        self.folder.join("removed-keys.json")
    }

    fn lock_dates_path(&self, copy: &CopyStore) -> PathBuf {
        self.of_copy_as(copy, "locks")
    }

    pub(super) fn of_copy(&self, copy: &CopyStore, what: &str) -> PathBuf {
        self.of_copy_as(copy, &format!("{what}.json"))
    }

    /// A file of a copy: what its name ends with tells what is in it.
    fn of_copy_as(&self, copy: &CopyStore, end: &str) -> PathBuf {
        let place = format!("{}\0{}", copy.name, copy.store.location());
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let name: String = copy.name.chars().filter(|c| plain(*c)).collect();
        let id = Id::of(place.as_bytes()).short();
        self.folder
            .join("copies")
            .join(format!("{name}-{id}.{end}"))
    }

    /// Changes a record, and writes it where that made a difference.
    pub(super) fn update<T>(&self, path: &Path, change: impl FnOnce(&mut T)) -> Result<()>
    where
        T: Clone + Default + PartialEq + DeserializeOwned + Serialize,
    {
        let lock = self.lock()?;
        let found: Option<T> = self.load_locked(&lock, path, record::decode)?;
        let before = found.unwrap_or_default();
        let mut after = before.clone();
        change(&mut after);
        if after == before {
            return Ok(());
        }
        disk::write(&lock, path, &record::encode(&after)?)
    }

    /// Reads a file; what is missing or damaged is the default.
    fn load<T: Default>(
        &self,
        path: &Path,
        decode: impl Fn(&[u8]) -> strongroom_model::Result<T>,
    ) -> Result<T> {
        let Some(bytes) = disk::read(path)? else {
            return Ok(T::default());
        };
        match decode(&bytes) {
            Ok(value) => Ok(value),
            Err(strongroom_model::Error::Malformed { .. }) => {
                // Another process may just have put it right.
                let lock = self.lock()?;
                Ok(self.load_locked(&lock, path, decode)?.unwrap_or_default())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Reads a file that is about to be changed, and sets it aside where it is damaged.
    fn load_locked<T>(
        &self,
        lock: &Lock,
        path: &Path,
        decode: impl Fn(&[u8]) -> strongroom_model::Result<T>,
    ) -> Result<Option<T>> {
        let Some(bytes) = disk::read(path)? else {
            return Ok(None);
        };
        match decode(&bytes) {
            Ok(value) => Ok(Some(value)),
            Err(strongroom_model::Error::Malformed { .. }) => {
                disk::set_aside(lock, path)?;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Takes what cannot be read for nothing, and says so.
fn believe<T: Default>(loaded: Result<T>) -> T {
    loaded.unwrap_or_else(|error: Error| {
        tracing::warn!(reason = chain(&error), "The state folder cannot be read");
        T::default()
    })
}
