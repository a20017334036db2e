//! Which snapshots need what was not recovered: told where the files that are there lie on this
//! machine and can be decrypted, so that it costs no request.

use std::collections::BTreeSet;

use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::index::IndexFile;
use strongroom_repo::{Index, Repository, Snapshot, pack};
use strongroom_store::Store;

use crate::listing::Files;
use crate::recover::report::IncompleteSnapshot;
use crate::session::{Cancel, Password};
use crate::verify::closure::{Closure, read_blob};
use crate::{Error, Result};

/// The snapshots in a store that lack something, each with the first thing that it lacks. Where that
/// cannot be found out to the end, it is noted.
///
/// # Errors
/// Where the user interrupts.
pub(super) fn incomplete(
    store: &dyn Store,
    password: &Password,
    key_id: Option<Id>,
    cancel: &Cancel,
    notes: &mut Vec<String>,
) -> Result<Vec<IncompleteSnapshot>> {
    let mut found = Vec::new();
    match find(store, password, key_id, cancel, &mut found) {
        Err(Error::Interrupted) => Err(Error::Interrupted),
        Err(error) => {
            notes.push(format!(
                "Which snapshots need what is lost cannot be told: {error}"
            ));
            Ok(found)
        }
        Ok(()) => Ok(found),
    }
}

fn find(
    store: &dyn Store,
    password: &Password,
    key_id: Option<Id>,
    cancel: &Cancel,
    found: &mut Vec<IncompleteSnapshot>,
) -> Result<()> {
    let repository = match key_id {
        // Others may lie before it, without number.
        Some(key_id) => Repository::open_by(store, password, key_id)?,
        None => Repository::open(store, password, &mut BTreeSet::new())?,
    };
    let packs = Files::new(store.list(FileType::Data)?);
    let index = Index::new();
    for entry in store.list(FileType::Index)? {
        cancel.check()?;
        let bytes = store.read(FileName::new(FileType::Index, entry.id))?;
        let Ok(file) = IndexFile::open(repository.key(), bytes) else {
            continue;
        };
        let is_there = |indexed: &&strongroom_repo::index::IndexedPack| {
            packs.size_bytes(indexed.id) == Some(pack::size_bytes(&indexed.blobs))
        };
        for indexed in file.packs.iter().filter(is_there) {
            index.insert(indexed);
        }
    }
    let read = |blob, location| read_blob(&repository, store, blob, location);
    let mut closure = Closure::new(&index, &read, cancel);
    for entry in store.list(FileType::Snapshots)? {
        let bytes = store.read(FileName::new(FileType::Snapshots, entry.id))?;
        let Ok(snapshot) = Snapshot::open(repository.key(), bytes) else {
            continue;
        };
        let missing = closure.missing(snapshot.tree)?;
        found.extend(missing.map(|reason| IncompleteSnapshot {
            snapshot: entry.id,
            reason,
        }));
    }
    Ok(())
}
