//! Which copy leads.
//!
//! The one that holds the most of what index files name, wherever these lie; among equals one
//! without doubts, then the one with the most snapshots that another copy has too, then one on this
//! machine, then the first. Where all copies list the same packs, as they do after every whole
//! backup, that needs no index.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use parking_lot::Mutex;
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::index::IndexFile;
use strongroom_repo::{Key, pack};
use strongroom_store::Store;

use crate::Result;
use crate::lead::{READERS, is_of_the_place};
use crate::parallel::for_each;
use crate::session::{Cancel, CopyStore, ReadyCopy, Session};

/// How many files a copy may fail to give before it is not asked for more: it lists what it has
/// not got.
const MAX_FAILURES: usize = 16;

/// The copy that leads; `None` where none can be used.
///
/// # Errors
/// Where the user interrupts.
pub(super) fn choose<'s>(
    session: &'s Session,
    cancel: &Cancel,
) -> Result<Option<(&'s CopyStore, &'s ReadyCopy)>> {
    let copies: Vec<_> = session.ready().collect();
    let packs = match agree(&copies) {
        true => BTreeSet::new(),
        false => named_packs(session, cancel)?,
    };
    let held = |ready: &ReadyCopy| {
        let is_held =
            |(id, size): &&(Id, u64)| ready.holds(FileName::new(FileType::Data, *id), Some(*size));
        packs.iter().filter(is_held).count()
    };
    let snapshots = |copy: &CopyStore, ready: &ReadyCopy| {
        let others = || copies.iter().filter(|(other, _)| other.name != copy.name);
        let listed = ready.listing.snapshots.iter();
        let is_shared = |id| others().any(|(_, other)| other.listing.snapshots.contains(id));
        listed.filter(|entry| is_shared(entry.id)).count()
    };
    let rank = |(copy, ready): &&(&CopyStore, &ReadyCopy)| {
        let is_sound = ready.doubts.is_empty();
        Reverse((held(ready), is_sound, snapshots(copy, ready), copy.is_local))
    };
    // The first of equals.
    Ok(copies.iter().min_by_key(rank).copied())
}

/// The index files that any copy lists.
pub(super) fn index_files(session: &Session) -> Vec<Id> {
    let listed = session
        .ready()
        .flat_map(|(_, ready)| ready.listing.index.iter());
    let ids: BTreeSet<_> = listed.map(|entry| entry.id).collect();
    ids.into_iter().collect()
}

/// Reads an index file from the first of some copies that has it sound.
pub(super) fn read_index_file<'a>(
    key: &Key,
    name: FileName,
    copies: impl Iterator<Item = (&'a CopyStore, &'a ReadyCopy)>,
    patience: &Patience,
) -> Option<IndexFile> {
    for (copy, ready) in copies {
        let store = copy.store.as_ref();
        if !ready.holds(name, None) || patience.is_over(store) {
            continue;
        }
        match store.read(name) {
            Ok(bytes) if name.id() == Some(Id::of(&bytes)) => {
                // Others have the same bytes.
                return IndexFile::open(key, bytes).ok();
            }
            Err(error) if is_of_the_place(&error) => patience.end(store),
            Ok(_) | Err(_) => patience.note_failure(store),
        }
    }
    None
}

/// Whether all copies list the same packs, without a doubt.
fn agree(copies: &[(&CopyStore, &ReadyCopy)]) -> bool {
    let is_pack = |name: &FileName| name.kind() == FileType::Data;
    let without_doubt = |ready: &ReadyCopy| !ready.doubts.iter().any(is_pack);
    let Some(((_, first), others)) = copies.split_first() else {
        return true;
    };
    without_doubt(first)
        && others
            .iter()
            .all(|(_, other)| without_doubt(other) && other.listing.data == first.listing.data)
}

/// The packs that index files name, with their sizes.
fn named_packs(session: &Session, cancel: &Cancel) -> Result<BTreeSet<(Id, u64)>> {
    let mut copies: Vec<_> = session.ready().collect();
    copies.sort_by_key(|(copy, _)| !copy.is_local);
    let patience = Patience::default();
    let packs = Mutex::new(BTreeSet::new());
    for_each(&index_files(session), READERS, |id| {
        cancel.check()?;
        let name = FileName::new(FileType::Index, *id);
        let key = session.repository.key();
        if let Some(file) = read_index_file(key, name, copies.iter().copied(), &patience) {
            let named = file.packs.iter();
            let named = named.map(|pack| (pack.id, pack::size_bytes(&pack.blobs)));
            packs.lock().extend(named);
        }
        Ok(())
    })?;
    Ok(packs.into_inner())
}

/// How often each copy has failed.
#[derive(Debug, Default)]
pub(crate) struct Patience(Mutex<Vec<(String, usize)>>);

impl Patience {
    /// Whether a copy has failed too often.
    pub(crate) fn is_over(&self, store: &dyn Store) -> bool {
        let failures = self.0.lock();
        let mut of_store = failures.iter();
        of_store.any(|(place, count)| place == store.location() && *count >= MAX_FAILURES)
    }

    /// Counts a failure.
    pub(crate) fn note_failure(&self, store: &dyn Store) {
        self.add(store, 1);
    }

    /// Asks a copy for nothing more.
    fn end(&self, store: &dyn Store) {
        self.add(store, MAX_FAILURES);
    }

    fn add(&self, store: &dyn Store, failures: usize) {
        let mut all = self.0.lock();
        match all.iter_mut().find(|(place, _)| place == store.location()) {
            Some((_, count)) => *count += failures,
            None => all.push((store.location().to_owned(), failures)),
        }
    }
}
