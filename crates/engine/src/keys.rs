//! The passwords of a repository: one key file for each, the same on every copy.
//!
//! Removing a key does not revoke it: the master key stays the same, so that an old version of the
//! repository together with the old password still opens everything. Whoever removes one must be
//! told so.

use std::collections::BTreeMap;

use jiff::Timestamp;
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::key::{KeyFile, MAX_KEY_FILE_BYTES, ScryptCost};
use strongroom_store::Store;

use crate::session::{CopyFailure, CopyFailureKind, CopyState, Environment, Session, chain};
use crate::{Error, Result};

/// The keys of a repository.
#[derive(Debug, Clone, Default)]
pub struct KeyList {
    /// The oldest first, and last those that do not say when they were made.
    pub keys: Vec<KeyInfo>,
    /// Files that are not keys, or are damaged, for people to read.
    pub problems: Vec<String>,
}

/// A key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyInfo {
    /// Its id.
    pub id: Id,
    /// When it was made, by the clock of the host that made it, where that is said.
    pub created: Option<Timestamp>,
    /// The user that made it, where that is said.
    pub username: Option<String>,
    /// The host that made it, where that is said.
    pub hostname: Option<String>,
    /// Whether this run opened the repository with it.
    pub is_in_use: bool,
    /// The copies that hold it, in the order of the configuration.
    pub copies: Vec<String>,
}

/// What came of adding or removing a key.
#[derive(Debug, Clone)]
pub struct KeyReport {
    /// The key.
    pub id: Id,
    /// For each copy, in the order of the configuration, its name, and why it was not changed.
    pub copies: Vec<(String, Option<CopyFailure>)>,
}

impl KeyReport {
    /// Whether every copy was changed.
    pub fn is_complete(&self) -> bool {
        self.copies.iter().all(|(_, failure)| failure.is_none())
    }
}

/// Lists the keys of all copies.
pub fn list(session: &Session) -> KeyList {
    let mut list = KeyList::default();
    let mut found: BTreeMap<Id, KeyInfo> = BTreeMap::new();
    for (copy, ready) in session.ready() {
        for entry in ready.listing.keys.iter() {
            if entry.size_bytes > MAX_KEY_FILE_BYTES {
                let text = format!("keys/{} on {} is too large for a key", entry.id, copy.name);
                list.problems.push(text);
                continue;
            }
            match read(copy.store.as_ref(), entry.id) {
                Ok(file) => found
                    .entry(entry.id)
                    .or_insert_with(|| KeyInfo {
                        id: entry.id,
                        created: file.created,
                        username: file.username,
                        hostname: file.hostname,
                        is_in_use: entry.id == session.repository.key_id(),
                        copies: Vec::new(),
                    })
                    .copies
                    .push(copy.name.clone()),
                Err(reason) => {
                    let text = format!("keys/{} on {}: {reason}", entry.id, copy.name);
                    list.problems.push(text);
                }
            }
        }
    }
    list.keys = found.into_values().collect();
    list.keys
        .sort_by_key(|key| (key.created.is_none(), key.created, key.id));
    list
}

/// Puts the repository under one more password, on every copy.
///
/// # Errors
/// An empty password; [`Error::NoCopy`] where no copy could take the key.
pub fn add(
    session: &Session,
    password: &[u8],
    cost: ScryptCost,
    environment: &Environment,
) -> Result<KeyReport> {
    let file = KeyFile::seal(
        session.repository.key(),
        password,
        cost,
        (environment.clock)(),
        &environment.username,
        &environment.hostname,
    )?
    .to_bytes()?;
    let id = Id::of(&file);
    let name = FileName::new(FileType::Keys, id);
    change(session, id, |store, _| {
        store
            .save(name, &file)
            .map_err(|error| CopyFailure::of_store(&error))
    })
}

/// Removes a key, named by its id or the first digits of it, from every copy.
///
/// # Errors
/// [`Error::NoKey`]; [`Error::KeyInUse`], which also protects the last one; [`Error::NoCopy`]
/// where no copy could remove it; as [`Session::check_removal`].
pub fn remove(session: &Session, wanted: &str) -> Result<KeyReport> {
    session.check_removal()?;
    let no_key = || Error::NoKey {
        wanted: wanted.to_owned(),
    };
    let mut fits: Vec<Id> = session
        .ready()
        .flat_map(|(_, ready)| ready.listing.keys.iter())
        .map(|entry| entry.id)
        .filter(|id| id.begins_with(wanted))
        .collect();
    fits.sort_unstable();
    fits.dedup();
    let id = match fits.as_slice() {
        [id] => *id,
        [] => return Err(no_key()),
        several => {
            let ids: Vec<_> = several.iter().map(Id::short).collect();
            return Err(Error::NoKey {
                wanted: format!("{wanted}: it fits {}", ids.join(", ")),
            });
        }
    };
    let in_use = session.repository.key_id();
    if id == in_use {
        return Err(Error::KeyInUse { id });
    }
    change(session, id, |store, keys| {
        if !keys.contains(in_use) {
            return Err(CopyFailure {
                reason: "it lacks the key in use and would be left without any".to_owned(),
                hint: Some("strongroom sync".to_owned()),
                kind: CopyFailureKind::Other,
            });
        }
        store
            .remove(FileName::new(FileType::Keys, id))
            .map_err(|error| CopyFailure::of_store(&error))
    })
}

fn change(
    session: &Session,
    id: Id,
    act: impl Fn(&dyn Store, &crate::Files) -> std::result::Result<(), CopyFailure>,
) -> Result<KeyReport> {
    let copies: Vec<_> = session
        .copies
        .iter()
        .map(|copy| {
            let failure = match &copy.state {
                CopyState::Failed(failure) => Some(failure.clone()),
                CopyState::Ready(ready) => act(copy.copy.store.as_ref(), &ready.listing.keys).err(),
            };
            (copy.copy.name.clone(), failure)
        })
        .collect();
    let reasons: Vec<_> = copies
        .iter()
        .filter_map(|(name, failure)| Some(format!("{name}: {}", failure.as_ref()?.reason)))
        .collect();
    if reasons.len() == copies.len() {
        return Err(Error::NoCopy { reasons });
    }
    Ok(KeyReport { id, copies })
}

fn read(store: &dyn Store, id: Id) -> std::result::Result<KeyFile, String> {
    let bytes = store
        .read(FileName::new(FileType::Keys, id))
        .map_err(|error| chain(&error))?;
    if Id::of(&bytes) != id {
        return Err("its content does not have its name".to_owned());
    }
    KeyFile::parse(&bytes)
}

#[cfg(test)]
mod tests;
