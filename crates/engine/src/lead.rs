//! The lead: the healthy copy whose index a run reads.
//!
//! An index is a claim. Each pack that it names is looked up in the lead's listing, and what is
//! missing there or has another size is taken for not stored: its blobs will be stored again.
//! The other way round, a pack that no index names (a run was killed before it could write one)
//! says itself what is in it, and is used.

mod problems;

use std::collections::{BTreeMap, HashSet};

use parking_lot::Mutex;
use strongroom_model::{FileEntry, FileName, FileType, Id};
use strongroom_repo::index::{IndexFile, IndexedPack, PackNumber};
use strongroom_repo::{Index, Repository, pack};
use strongroom_store::Store;

use crate::parallel::for_each;
use crate::session::{Cancel, CopyFailure, CopyStore, ReadyCopy, Session, chain};
use crate::{Error, Listing, Result};

pub use problems::{LeadProblem, LeadProblems, ProblemState};

/// The lead of a run with its index.
#[derive(Debug)]
pub struct Lead {
    /// The copy.
    pub copy: CopyStore,
    /// What lies there.
    pub listing: Listing,
    /// Where its blobs are.
    pub index: Index,
    /// For each pack that an index file names, one of the files that do.
    pub index_file_of: BTreeMap<PackNumber, Id>,
    /// Packs that no index file names, with what they say of themselves.
    pub unindexed: Vec<IndexedPack>,
    /// What is wrong on the lead.
    pub problems: LeadProblems,
}

/// How many requests the lead answers at a time.
pub(crate) const READERS: usize = 8;

/// What is said of a file whose bytes are not what they were.
pub(crate) const WRONG_CONTENT: &str = "its content does not have its name";

impl Lead {
    /// Chooses the lead of a session and reads its index.
    ///
    /// Among the copies that can be used, the one with the most packs; among equals a local one.
    /// One that cannot be read is marked as failed, and the next is chosen.
    ///
    /// # Errors
    /// Where the session has no usable copy left, or the user interrupts.
    pub fn load(session: &mut Session, cancel: &Cancel) -> Result<Self> {
        loop {
            let (copy, ready) = choose(session).ok_or_else(|| session.no_copy())?;
            let (copy, ready) = (copy.clone(), ready.clone());
            match Self::load_from(&session.repository, &copy, &ready, cancel) {
                Err(Error::Store(error)) => {
                    cancel.check()?;
                    session.fail(&copy.name, CopyFailure::of_store(&error));
                }
                outcome => return outcome,
            }
        }
    }

    /// Reads the index of one copy.
    ///
    /// # Errors
    /// [`Error::Store`] where the copy cannot be read at all; [`Error::Interrupted`].
    pub fn load_from(
        repository: &Repository,
        copy: &CopyStore,
        ready: &ReadyCopy,
        cancel: &Cancel,
    ) -> Result<Self> {
        let loader = Loader {
            repository,
            store: copy.store.as_ref(),
            listing: &ready.listing,
            index: Index::new(),
            found: Mutex::default(),
            problems: LeadProblems::default(),
        };
        let entries: Vec<_> = ready.listing.index.iter().collect();
        for_each(&entries, READERS, |entry| {
            cancel.check()?;
            loader.read_index_file(*entry)
        })?;
        let orphans: Vec<_> = {
            let found = loader.found.lock();
            let listed = ready.listing.data.iter();
            listed
                .filter(|entry| !found.named.contains(&entry.id))
                .collect()
        };
        for_each(&orphans, READERS, |entry| {
            cancel.check()?;
            loader.read_pack_header(*entry)
        })?;
        let found = loader.found.into_inner();
        Ok(Self {
            copy: copy.clone(),
            listing: ready.listing.clone(),
            index: loader.index,
            index_file_of: found.index_file_of,
            unindexed: found.unindexed,
            problems: loader.problems,
        })
    }
}

struct Loader<'a> {
    repository: &'a Repository,
    store: &'a dyn Store,
    listing: &'a Listing,
    index: Index,
    found: Mutex<Found>,
    problems: LeadProblems,
}

#[derive(Default)]
struct Found {
    index_file_of: BTreeMap<PackNumber, Id>,
    /// Every pack that an index file names, trusted or not.
    named: HashSet<Id>,
    unindexed: Vec<IndexedPack>,
}

impl Loader<'_> {
    fn read_index_file(&self, entry: FileEntry) -> Result<()> {
        let name = FileName::new(FileType::Index, entry.id);
        let cannot = |reason: String| {
            let location = self.store.location();
            format!("{name} in {location} cannot be used: {reason}")
        };
        let file = match self.store.read(name) {
            Ok(bytes) if Id::of(&bytes) != entry.id => {
                let text = cannot(WRONG_CONTENT.to_owned());
                self.problems.note_damage(name, text);
                return Ok(());
            }
            Ok(bytes) => IndexFile::open(self.repository.key(), bytes),
            Err(error) if is_of_the_place(&error) => return Err(error.into()),
            Err(error) => Err(chain(&error)),
        };
        match file {
            Ok(file) => self.insert(entry.id, &file),
            Err(reason) => self.problems.note(name, cannot(reason)),
        }
        Ok(())
    }

    fn insert(&self, file: Id, content: &IndexFile) {
        for indexed in &content.packs {
            let expected = pack::size_bytes(&indexed.blobs);
            let name = FileName::new(FileType::Data, indexed.id);
            let place = self.store.location();
            match self.listing.data.size_bytes(indexed.id) {
                Some(size) if size == expected => {
                    let number = self.index.insert(indexed);
                    self.found.lock().index_file_of.insert(number, file);
                }
                Some(size) => {
                    let text = format!("{name} in {place} has {size} bytes instead of {expected}");
                    self.problems.note_damage(name, text);
                }
                None => {
                    let text = format!("{name} is missing in {place}");
                    self.problems.note(name, text);
                }
            }
            self.found.lock().named.insert(indexed.id);
        }
    }

    fn read_pack_header(&self, entry: FileEntry) -> Result<()> {
        let key = self.repository.key();
        match pack::read_header(self.store, key, entry.id, entry.size_bytes) {
            Ok(blobs) => {
                let id = entry.id;
                let pack = IndexedPack { id, blobs };
                self.index.insert(&pack);
                self.found.lock().unindexed.push(pack);
            }
            Err(strongroom_repo::Error::Store(error)) if is_of_the_place(&error) => {
                return Err(error.into());
            }
            Err(error) => {
                let name = FileName::new(FileType::Data, entry.id);
                self.problems.note(name, chain(&error));
            }
        }
        Ok(())
    }
}

/// Whether an error is about the whole copy and not about one file of it.
pub(crate) fn is_of_the_place(error: &strongroom_store::Error) -> bool {
    use strongroom_store::Error as E;
    matches!(
        error,
        E::Unreachable { .. } | E::Denied { .. } | E::Cancelled { .. } | E::Address { .. }
    )
}

/// The copy with the most packs; among equals a local one, then the first.
fn choose(session: &Session) -> Option<(&CopyStore, &ReadyCopy)> {
    let mut best: Option<(&CopyStore, &ReadyCopy)> = None;
    let rank = |(copy, ready): (&CopyStore, &ReadyCopy)| (ready.listing.data.len(), copy.is_local);
    for candidate in session.ready() {
        if best.is_none_or(|best| rank(candidate) > rank(best)) {
            best = Some(candidate);
        }
    }
    best
}
