//! The state folder: what this machine remembers between runs.
//!
//! It holds the key under which receipts are signed, the receipts, and the evidence of each copy.
//! **Nothing in it is needed**: where it is missing, wiped, damaged or read-only, every command
//! still works, and what it would have told is found out anew or called unproven. One file of it
//! stops something where it is damaged: the list of what is held, without which nothing is removed.
//!
//! What can go wrong: a crash at any moment (so: temporary file, fsync, rename, fsync of the
//! folder), files that rot (set aside as `….damaged`, with a warning), a newer version's files
//! (neither believed nor overwritten), a key that others can read (refused), and two runs at once:
//!
//! | at once | read | write |
//! |---|---|---|
//! | **read** | yes | yes: a rename shows the old file or the new one, whole |
//! | **write** | | one after the other: each holds the lock from reading to renaming |
//!
//! Whoever reads takes no lock, and nobody holds it longer than one small write takes, so that a
//! process that hangs can spoil a note of another, and never its backup.

mod arrivals;
pub(crate) mod disk;
mod gone;
mod lock_dates;
mod needs;
mod passed_over;
mod predecessors;
mod read;
pub mod record;
mod records;
mod repository;
mod seen;
mod sightings;
mod trust;
mod vaults;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use strongroom_model::Id;
use zeroize::Zeroizing;

use crate::receipts::ClientKey;
use crate::session::CopyStore;
use crate::state::disk::{Lock, SecretFile};
use crate::{Error, Result};

pub use arrivals::Arrivals;
pub use gone::{FileNames, GoneFiles};
pub use lock_dates::LockDates;
pub use needs::RecordedNeeds;
pub(crate) use passed_over::PassedOver;
pub use predecessors::Predecessor;
pub use read::ReadFiles;
pub use record::OwnLock;
pub(crate) use records::{RecordNotes, Room};
pub use repository::RepositoryState;
pub use seen::SeenFiles;
pub use sightings::Sightings;
pub use trust::Trust;
pub use vaults::{VaultAlarm, VaultMemory, Withheld};

/// The folder, by its path.
#[derive(Debug, Clone)]
pub struct StateFolder {
    path: PathBuf,
}

/// The seed of the Ed25519 key that signs receipts and records: 32 bytes, nothing else.
const CLIENT_KEY: &str = "client.key";

impl StateFolder {
    /// Names the folder; it is made, for its owner alone, when there is something to remember.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is remembered of one repository.
    pub fn repository(&self, id: Id) -> RepositoryState {
        RepositoryState::new(&self.path, &id.to_string())
    }

    /// What is remembered of the vault with this root of its address.
    pub fn vault(&self, root: &str) -> VaultMemory {
        VaultMemory::new(&self.path, root)
    }

    /// The repository to which these copies belonged when they were last seen, for a run that
    /// cannot open it; `None` where no copy is remembered. One that was given up for another, or that
    /// may have been put in the stead of another, is none of those that have a say.
    pub fn remembered(&self, copies: &[CopyStore]) -> Option<RepositoryState> {
        let mut counts = BTreeMap::new();
        let mut known = BTreeMap::new();
        for (id, state) in self.repositories() {
            let count = copies.iter().filter(|copy| state.remembers(copy)).count();
            if count > 0 {
                counts.insert(id, count);
                known.insert(id, state);
            }
        }
        if known.len() > 1 {
            let passed = predecessors::passed_over(&known);
            // Where each is passed over for another one, nothing tells them apart.
            if passed.len() < known.len() {
                counts.retain(|id, _| !passed.contains(id));
            }
        }
        let best = counts.into_iter().max_by_key(|(id, count)| (*count, *id));
        known.remove(&best?.0)
    }

    /// All repositories of which anything is remembered.
    fn repositories(&self) -> impl Iterator<Item = (Id, RepositoryState)> {
        let entries = std::fs::read_dir(&self.path);
        let entries = entries.into_iter().flatten().flatten();
        entries.filter_map(|entry| {
            let id: Id = entry.file_name().to_str()?.parse().ok()?;
            Some((id, self.repository(id)))
        })
    }

    /// The key that signs this client's receipts; made where there is none yet.
    ///
    /// # Errors
    /// [`Error::OpenToOthers`] where others can read it; where it cannot be read or made.
    pub fn client_key(&self) -> Result<ClientKey> {
        if let Some(key) = self.find_client_key()? {
            return Ok(key);
        }
        let lock = Lock::take(&self.path)?;
        // Another process may have made one while this one waited.
        match self.read_client_key()? {
            SecretFile::Missing => {}
            SecretFile::Damaged => disk::set_aside(&lock, &self.client_key_path())?,
            SecretFile::Read(seed) => return Ok(ClientKey::from_seed(&seed)),
        }
        let key = ClientKey::generate()?;
        disk::write(&lock, &self.client_key_path(), key.seed().as_slice())?;
        Ok(key)
    }

    /// The key that signs this client's receipts, where there is one.
    ///
    /// # Errors
    /// As [`StateFolder::client_key`].
    pub fn find_client_key(&self) -> Result<Option<ClientKey>> {
        match self.read_client_key()? {
            SecretFile::Read(seed) => Ok(Some(ClientKey::from_seed(&seed))),
            SecretFile::Missing | SecretFile::Damaged => Ok(None),
        }
    }

    fn read_client_key(&self) -> Result<SecretFile> {
        let path = self.client_key_path();
        disk::read_secret(&path)
    }

    fn client_key_path(&self) -> PathBuf {
        self.path.join(CLIENT_KEY)
    }
}

/// The seed of a key, wiped when it is dropped.
pub(crate) type Seed = Zeroizing<[u8; 32]>;

/// Wraps a failure of the state folder that names its file.
fn local(action: &str, path: &Path) -> impl FnOnce(std::io::Error) -> Error + use<> {
    Error::local(format!("{action} {}", path.display()))
}

#[cfg(test)]
mod tests;
