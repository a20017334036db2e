//! The lead: the healthy copy whose index a run reads.
//!
//! An index is a claim. Each pack that it names is looked up in the lead's listing, and what is
//! missing there, has another size or is in doubt is taken for not stored: its blobs will be stored
//! again. The other way round, a pack that no index of the lead names (a run was killed before it could write
//! one) says itself what is in it, and is used.
//!
//! A listing is a claim too, and a copy may belong to an attacker. What he can do without the key:
//!
//! | he | then |
//! |---|---|
//! | lists packs that nobody made | they do not help him to lead: only packs that an index names count |
//! | hides index files, or shows some that nobody else has | they are read from all copies; packs that the lead's own do not name get a new index file |
//! | hides snapshots | another copy that has as many packs leads |
//! | lists packs and gives none | the sync that ends the backup cannot fetch them; from then on they are in doubt, and the next backup stores again what is in them |
//! | gives a pack of ours under another name | a pack without an index is hashed, unless another copy has it under that name |
//! | lists a million names | who fails too often while the index is read is not asked on |

mod choice;
mod problems;

use std::collections::{BTreeMap, HashSet};

use parking_lot::Mutex;
use strongroom_model::{FileEntry, FileName, FileType, Id};
use strongroom_repo::blob::PackedBlob;
use strongroom_repo::index::{IndexFile, IndexedPack, PackNumber};
use strongroom_repo::{Error as RepoError, Index, Repository, pack};
use strongroom_store::Store;

use crate::parallel::for_each;
use crate::session::{Cancel, CopyFailure, CopyStore, ReadyCopy, Session, chain};
use crate::verify::stream;
use crate::{Error, Listing, Result};

pub(crate) use choice::Patience;
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
    /// One that cannot be read is marked as failed, and the next is chosen.
    ///
    /// # Errors
    /// Where the session has no usable copy left, or the user interrupts.
    pub fn load(session: &mut Session, cancel: &Cancel) -> Result<Self> {
        loop {
            let (copy, ready) =
                choice::choose(session, cancel)?.ok_or_else(|| session.no_copy())?;
            match Self::load_from(session, copy, ready, cancel) {
                Err(Error::Store(error)) => {
                    cancel.check()?;
                    let name = copy.name.clone();
                    session.fail(&name, CopyFailure::of_store(&error));
                }
                outcome => return outcome,
            }
        }
    }

    /// Reads the index of one copy.
    ///
    /// # Errors
    /// [`Error::Store`] where the copy cannot be read at all; [`Error::Interrupted`].
    fn load_from(
        session: &Session,
        copy: &CopyStore,
        ready: &ReadyCopy,
        cancel: &Cancel,
    ) -> Result<Self> {
        let others = session.ready().filter(|(other, _)| other.name != copy.name);
        let loader = Loader {
            repository: &session.repository,
            store: copy.store.as_ref(),
            ready,
            others: others.collect(),
            index: Index::new(),
            found: Mutex::default(),
            problems: LeadProblems::default(),
            patience: Patience::default(),
        };
        let own: Vec<_> = ready.listing.index.iter().map(|entry| entry.id).collect();
        let unsound = Mutex::new(Vec::new());
        for_each(&own, READERS, |id| {
            cancel.check()?;
            if !loader.read_own_index_file(*id)? {
                unsound.lock().push(*id);
            }
            Ok(())
        })?;
        let mut foreign = choice::index_files(session);
        foreign.retain(|id| !ready.listing.index.contains(*id));
        foreign.append(&mut unsound.into_inner());
        for_each(&foreign, READERS, |id| {
            cancel.check()?;
            loader.read_foreign_index_file(*id);
            Ok(())
        })?;
        let orphans: Vec<_> = {
            let found = loader.found.lock();
            let listed = ready.listing.data.iter();
            let is_orphan = |entry: &FileEntry| {
                let name = FileName::new(FileType::Data, entry.id);
                !found.named.contains(&entry.id) && !ready.doubts.contains(&name)
            };
            listed.filter(is_orphan).collect()
        };
        for_each(&orphans, READERS, |entry| {
            cancel.check()?;
            loader.read_orphan(*entry)
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
    ready: &'a ReadyCopy,
    others: Vec<(&'a CopyStore, &'a ReadyCopy)>,
    index: Index,
    found: Mutex<Found>,
    problems: LeadProblems,
    patience: Patience,
}

#[derive(Default)]
struct Found {
    index_file_of: BTreeMap<PackNumber, Id>,
    /// Every pack that an index file names, trusted or not.
    named: HashSet<Id>,
    unindexed: Vec<IndexedPack>,
}

impl Loader<'_> {
    /// Reads an index file of the lead; false where it is not sound there.
    fn read_own_index_file(&self, id: Id) -> Result<bool> {
        if self.patience.is_over(self.store) {
            return Ok(false);
        }
        let name = FileName::new(FileType::Index, id);
        let cannot = |reason: String| {
            let location = self.store.location();
            format!("{name} in {location} cannot be used: {reason}")
        };
        let file = match self.store.read(name) {
            Ok(bytes) if Some(Id::of(&bytes)) != name.id() => {
                let text = cannot(WRONG_CONTENT.to_owned());
                self.problems.note_damage(name, text);
                self.patience.note_failure(self.store);
                return Ok(false);
            }
            Ok(bytes) => IndexFile::open(self.repository.key(), bytes),
            Err(error) if is_of_the_place(&error) => return Err(error.into()),
            Err(error) => Err(chain(&error)),
        };
        match file {
            Ok(file) => {
                self.insert(Some(id), &file);
                Ok(true)
            }
            Err(reason) => {
                self.problems.note(name, cannot(reason));
                self.patience.note_failure(self.store);
                Ok(false)
            }
        }
    }

    /// Reads an index file that is not sound on the lead from another copy.
    fn read_foreign_index_file(&self, id: Id) {
        let file = choice::read_index_file(
            self.repository.key(),
            FileName::new(FileType::Index, id),
            self.others.iter().copied(),
            &self.patience,
        );
        if let Some(file) = file {
            self.insert(None, &file);
        }
    }

    /// Takes what an index file says of packs that the lead has; `own` is the file where the lead
    /// has it. A snapshot must not need an index file that one other copy may never give: a pack
    /// that only such a one names counts as without an index, and gets a new one.
    fn insert(&self, own: Option<Id>, content: &IndexFile) {
        for indexed in &content.packs {
            let expected = pack::size_bytes(&indexed.blobs);
            let name = FileName::new(FileType::Data, indexed.id);
            let place = self.store.location();
            match self.ready.listing.data.size_bytes(indexed.id) {
                Some(_) if self.ready.holds(name, Some(expected)) => {
                    let number = self.index.insert(indexed);
                    let mut found = self.found.lock();
                    match own {
                        Some(file) => {
                            found.index_file_of.insert(number, file);
                        }
                        None if found.named.contains(&indexed.id) => {}
                        None => found.unindexed.push(indexed.clone()),
                    }
                }
                Some(size) if size == expected => {
                    let text = format!("{name} in {place} is in doubt: it was not read right");
                    self.problems.note(name, text);
                }
                Some(size) => {
                    let text = format!("{name} in {place} has {size} bytes instead of {expected}");
                    self.problems.note_damage(name, text);
                }
                None if own.is_some() => {
                    let text = format!("{name} is missing in {place}");
                    self.problems.note(name, text);
                }
                None => {}
            }
            self.found.lock().named.insert(indexed.id);
        }
    }

    /// Uses a pack that no index file names: its header says what is in it. That header does not
    /// speak for the name, under which somebody may have put another pack of ours. Another copy
    /// that has the pack under this name does, and so do its bytes.
    fn read_orphan(&self, entry: FileEntry) -> Result<()> {
        let name = FileName::new(FileType::Data, entry.id);
        if self.patience.is_over(self.store) {
            return Ok(());
        }
        let size = Some(entry.size_bytes);
        let is_known = self.others.iter().any(|(_, ready)| ready.holds(name, size));
        match self.read_header(entry, is_known) {
            Ok(Ok(blobs)) => {
                let id = entry.id;
                let pack = IndexedPack { id, blobs };
                self.index.insert(&pack);
                self.found.lock().unindexed.push(pack);
            }
            Ok(Err(text)) => {
                self.problems.note_damage(name, text);
                self.patience.note_failure(self.store);
            }
            Err(RepoError::Store(error)) if is_of_the_place(&error) => return Err(error.into()),
            Err(error) => {
                self.problems.note(name, chain(&error));
                self.patience.note_failure(self.store);
            }
        }
        Ok(())
    }

    fn read_header(
        &self,
        entry: FileEntry,
        is_known: bool,
    ) -> strongroom_repo::Result<std::result::Result<Vec<PackedBlob>, String>> {
        if !is_known {
            let name = FileName::new(FileType::Data, entry.id);
            if stream::hash(self.store, name)? != entry.id {
                let place = self.store.location();
                return Ok(Err(format!("{name} in {place}: {WRONG_CONTENT}")));
            }
        }
        let key = self.repository.key();
        pack::read_header(self.store, key, entry.id, entry.size_bytes).map(Ok)
    }
}

/// Whether an error is about the whole copy and not about one file of it.
pub(crate) fn is_of_the_place(error: &strongroom_store::Error) -> bool {
    use strongroom_store::Error as E;
    matches!(
        error,
        E::Unreachable { .. }
            | E::Denied { .. }
            | E::LockLost { .. }
            | E::Cancelled { .. }
            | E::Address { .. }
    )
}
