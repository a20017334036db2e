//! Reading the index of the best copy, and what only others know when something is missed.
//!
//! An index file has the name of its bytes, so one that is damaged on the best copy is taken from
//! another. Of a blob in two packs the place in a pack that some copy has whole is kept; other
//! places are looked up where that one fails everywhere, since a backup stores again what it could
//! not count on.
//!
//! What can go wrong: a copy lists index files and packs without end, gives none, and takes its
//! time; all who miss a blob wait meanwhile. So [`Members`](super::members::Members) keeps count of
//! what each gives wrong, and one that does not answer is not asked again.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::blob::PackedBlob;
use strongroom_repo::index::{IndexFile, IndexedPack};
use strongroom_repo::{Error as RepoError, pack};
use strongroom_store::Error as StoreError;

use crate::parallel::for_each;
use crate::read_set::ReadSet;
use crate::read_set::members::is_of_the_file;
use crate::read_set::rest::Rest;
use crate::session::chain;
use crate::{Error, Result};

/// How many requests a copy answers at a time.
const READERS: usize = 8;

/// The bytes of a file with the number of the copy that gave them, or what each copy said.
type FileRead = std::result::Result<(usize, Vec<u8>), String>;

impl ReadSet<'_> {
    pub(super) fn load_best_index(&self) -> Result<()> {
        let listing = &self.members.lead().ready.listing;
        let files: Vec<_> = listing.index.iter().map(|entry| entry.id).collect();
        self.load_index_files(&files, &|_, pack| {
            self.index.insert(&pack);
        })
    }

    /// What only other copies name, packs that no index file names, and other places of blobs.
    /// Read once; whoever asks meanwhile waits.
    pub(super) fn rest(&self) -> Result<Arc<Rest>> {
        let mut rest = self.rest.lock();
        if let Some(rest) = &*rest {
            return Ok(Arc::clone(rest));
        }
        let found = Arc::new(Rest::new(self.members.iter().count()));
        let mut files = BTreeSet::new();
        let mut packs = BTreeSet::new();
        for member in self.members.iter() {
            files.extend(member.ids(FileType::Index));
            packs.extend(member.ids(FileType::Data));
        }
        let files: Vec<_> = files.into_iter().collect();
        self.load_index_files(&files, &|file, mut pack| {
            let id = pack.id;
            let is_known =
                |blob: &PackedBlob| self.index.get(blob.blob).is_some_and(|at| at.pack == id);
            let copies = self.who_stands_for(file, &pack);
            pack.blobs.retain(|blob| !is_known(blob));
            found.insert(pack, &copies);
        })?;
        let known = |id: &Id| self.index.pack_number(*id).is_some() || found.names(*id);
        let packs: Vec<_> = packs.into_iter().filter(|id| !known(id)).collect();
        for_each(&packs, READERS, |id| self.load_header(*id, &found))?;
        *rest = Some(Arc::clone(&found));
        Ok(found)
    }

    /// Reads a file whose name is the hash of its bytes from the first copy that has it whole.
    ///
    /// `None` where no copy lists it, or none that does is asked any more.
    pub(super) fn read_file(&self, name: FileName) -> Result<Option<FileRead>> {
        let mut reasons = Vec::new();
        for (number, member) in self.members.iter().enumerate() {
            let listed = name.id().filter(|_| member.size_of(name).is_some());
            let Some(id) = listed else { continue };
            if !self.members.is_asked(number, name.kind()) {
                continue;
            }
            self.cancel.check()?;
            match member.copy.store.read(name) {
                Ok(bytes) if Id::of(&bytes) == id => {
                    self.members.note_answer(number);
                    for reason in reasons {
                        self.problems.note(reason);
                    }
                    return Ok(Some(Ok((number, bytes))));
                }
                Ok(_) => {
                    self.note_wrong(number, name.kind());
                    reasons.push(format!(
                        "{name} in {} does not have the content of its name",
                        member.copy.store.location()
                    ));
                }
                Err(error) => {
                    self.note_error(number, name.kind(), &error)?;
                    reasons.push(chain(&error));
                }
            }
        }
        Ok((!reasons.is_empty()).then(|| Err(reasons.join("; "))))
    }

    /// Hands on what index files say, each pack with the file that names it.
    fn load_index_files(
        &self,
        files: &[Id],
        take: &(dyn Fn(Id, IndexedPack) + Sync),
    ) -> Result<()> {
        let doubtful = Mutex::new(Vec::new());
        for_each(files, READERS, |id| {
            let name = FileName::new(FileType::Index, *id);
            let read = match self.read_file(name)? {
                Some(Ok((number, bytes))) => {
                    let file = IndexFile::open(self.repository.key(), bytes);
                    match &file {
                        Ok(_) => self.members.note_right(number, FileType::Index),
                        Err(_) => self.note_wrong(number, FileType::Index),
                    }
                    file
                }
                Some(Err(reason)) => Err(reason),
                None => return Ok(()),
            };
            match read {
                Ok(file) => {
                    for pack in file.packs {
                        match self.is_somewhere_whole(&pack) {
                            true => take(*id, pack),
                            false => doubtful.lock().push((*id, pack)),
                        }
                    }
                }
                Err(reason) => {
                    self.problems
                        .note(format!("{name} cannot be used: {reason}"));
                }
            }
            Ok(())
        })?;
        // Last, since what is known already keeps its place.
        for (file, pack) in doubtful.into_inner() {
            take(file, pack);
        }
        Ok(())
    }

    /// Whether some copy lists the pack with the size that its blobs make.
    fn is_somewhere_whole(&self, pack: &IndexedPack) -> bool {
        let expected = pack::size_bytes(&pack.blobs);
        let name = FileName::new(FileType::Data, pack.id);
        let mut members = self.members.iter();
        members.any(|member| member.has(name, expected))
    }

    /// The copies that list the index file and, whole, the pack that it names.
    fn who_stands_for(&self, file: Id, pack: &IndexedPack) -> Vec<usize> {
        let expected = pack::size_bytes(&pack.blobs);
        let name = FileName::new(FileType::Data, pack.id);
        let file = FileName::new(FileType::Index, file);
        let members = self.members.iter().enumerate();
        let named = members.filter(|(_, member)| member.size_of(file).is_some());
        let stand = named.filter(|(_, member)| member.has(name, expected));
        stand.map(|(number, _)| number).collect()
    }

    /// Asks a pack that no index file names what is in it.
    ///
    /// Its header does not speak for its name, under which a copy may show any pack of ours again
    /// and again: one that brings no blob which is not known counts as wrong.
    fn load_header(&self, id: Id, rest: &Rest) -> Result<()> {
        for (number, member) in self.members.iter().enumerate() {
            let Some(size_bytes) = member.size_of(FileName::new(FileType::Data, id)) else {
                continue;
            };
            if !self.members.is_asked(number, FileType::Data) {
                continue;
            }
            self.cancel.check()?;
            let store = member.copy.store.as_ref();
            match pack::read_header(store, self.repository.key(), id, size_bytes) {
                Ok(blobs) => {
                    self.members.note_answer(number);
                    let is_new = |packed: &PackedBlob| {
                        self.index.get(packed.blob).is_none()
                            && rest.places(packed.blob).next().is_none()
                    };
                    match blobs.iter().any(is_new) {
                        true => self.members.note_right(number, FileType::Data),
                        false => self.note_wrong(number, FileType::Data),
                    }
                    rest.insert(IndexedPack { id, blobs }, &[number]);
                    return Ok(());
                }
                Err(error) => {
                    if let RepoError::Store(error) = &error {
                        self.note_error(number, FileType::Data, error)?;
                    } else {
                        self.note_wrong(number, FileType::Data);
                    }
                    self.problems.note(chain(&error));
                }
            }
        }
        Ok(())
    }

    /// Notes an error of a copy that was asked for a file.
    ///
    /// # Errors
    /// [`Error::Interrupted`] where that is what it says.
    fn note_error(&self, number: usize, kind: FileType, error: &StoreError) -> Result<()> {
        match error {
            StoreError::Cancelled { .. } => return Err(Error::Interrupted),
            error if is_of_the_file(error) => self.note_wrong(number, kind),
            error => self.members.note_no_answer(number, error),
        }
        Ok(())
    }

    /// Notes that a copy does not give what it lists.
    fn note_wrong(&self, number: usize, kind: FileType) {
        if let Some(problem) = self.members.note_wrong(number, kind) {
            self.problems.note(problem);
        }
    }
}
