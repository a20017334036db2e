//! What an init finds on a copy before it does anything.

use std::collections::BTreeMap;

use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::key::{KeyFile, MAX_KEY_FILE_BYTES, MAX_KEYS_TRIED};
use strongroom_repo::repository::read_config;

use crate::Listing;
use crate::session::{CopyFailure, CopyFailureKind, CopyStore, Looking};

/// A copy and what was found there.
pub(super) struct Look {
    pub(super) copy: CopyStore,
    pub(super) found: Result<Found, CopyFailure>,
}

/// What lies on a copy that could be read.
pub(super) struct Found {
    pub(super) config: Option<Vec<u8>>,
    /// The key files that are what their names say and parse.
    pub(super) keys: BTreeMap<Id, Vec<u8>>,
}

impl Look {
    /// The bytes of its `config`.
    pub(super) fn config(&self) -> Option<&[u8]> {
        self.found.as_ref().ok()?.config.as_deref()
    }
}

impl Found {
    /// Whether it can be opened as it is.
    pub(super) fn is_whole(&self) -> bool {
        self.config.is_some() && !self.keys.is_empty()
    }
}

/// Looks at all copies at once.
pub(super) fn look_at_all(copies: &[CopyStore], looking: &Looking) -> Vec<Look> {
    let looks = copies.iter().zip(looking.at_each(copies, look_at));
    looks
        .map(|(copy, found)| Look {
            copy: copy.clone(),
            found,
        })
        .collect()
}

fn look_at(copy: &CopyStore) -> Result<Found, CopyFailure> {
    let store = copy.store.as_ref();
    let config = match read_config(store) {
        Ok(config) => Some(config),
        Err(strongroom_repo::Error::NoRepository { .. }) => None,
        Err(error) => return Err(CopyFailure::of_repo(&error)),
    };
    let listing = Listing::read(store).map_err(|error| CopyFailure::of_store(&error))?;
    let has_files =
        !listing.data.is_empty() || !listing.index.is_empty() || !listing.snapshots.is_empty();
    if config.is_none() && has_files {
        return Err(failure("it holds a repository that has lost its config"));
    }
    let mut keys = BTreeMap::new();
    let small = |entry: &strongroom_model::FileEntry| entry.size_bytes <= MAX_KEY_FILE_BYTES;
    for entry in listing.keys.iter().filter(small).take(MAX_KEYS_TRIED) {
        let bytes = store
            .read(FileName::new(FileType::Keys, entry.id))
            .map_err(|error| CopyFailure::of_store(&error))?;
        if Id::of(&bytes) == entry.id && KeyFile::parse(&bytes).is_ok() {
            keys.insert(entry.id, bytes);
        } else {
            tracing::warn!(key = %entry.id, location = store.location(), "A key file is damaged");
        }
    }
    Ok(Found { config, keys })
}

fn failure(reason: &str) -> CopyFailure {
    CopyFailure {
        reason: reason.to_owned(),
        hint: Some("bring it back from another copy: strongroom sync".to_owned()),
        kind: CopyFailureKind::Other,
    }
}
