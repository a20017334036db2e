//! Reading the index of the best copy, and what only others know when something is missed.
//!
//! An index file has the name of its bytes, so one that is damaged on the best copy is taken from
//! another. Of a blob in two packs the place in a pack that some copy has whole is kept; the other
//! place is looked up where that one fails everywhere, since a backup stores again what it could
//! not count on.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::blob::PackedBlob;
use strongroom_repo::index::{IndexFile, IndexedPack};
use strongroom_repo::{Index, pack};

use crate::Result;
use crate::parallel::for_each;
use crate::read_set::ReadSet;
use crate::session::chain;

/// How many requests a copy answers at a time.
const READERS: usize = 8;

impl ReadSet<'_> {
    pub(super) fn load_best_index(&self) -> Result<()> {
        let listing = &self.members.lead().ready.listing;
        let files: Vec<_> = listing.index.iter().map(|entry| entry.id).collect();
        self.load_index_files(&files, &self.index, None)
    }

    /// What only other copies name, packs that no index file names, and second places of blobs.
    /// Read once; whoever asks meanwhile waits.
    pub(super) fn rest(&self) -> Result<Arc<Index>> {
        let mut rest = self.rest.lock();
        if let Some(rest) = &*rest {
            return Ok(Arc::clone(rest));
        }
        let index = Arc::new(Index::new());
        let mut files = BTreeSet::new();
        let mut packs = BTreeSet::new();
        for member in self.members.iter() {
            let listing = &member.ready.listing;
            files.extend(listing.index.iter().map(|entry| entry.id));
            packs.extend(listing.data.iter().map(|entry| entry.id));
        }
        let files: Vec<_> = files.into_iter().collect();
        self.load_index_files(&files, &index, Some(&self.index))?;
        let known =
            |id: &Id| self.index.pack_number(*id).is_some() || index.pack_number(*id).is_some();
        let packs: Vec<_> = packs.into_iter().filter(|id| !known(id)).collect();
        for_each(&packs, READERS, |id| {
            self.cancel.check()?;
            self.load_header(*id, &index);
            Ok(())
        })?;
        *rest = Some(Arc::clone(&index));
        Ok(index)
    }

    /// Reads a file whose name is the hash of its bytes from the first copy that has it whole.
    ///
    /// `None` where no copy lists it; else the bytes, or what each copy said.
    pub(super) fn read_file(
        &self,
        name: FileName,
    ) -> Result<Option<std::result::Result<Vec<u8>, String>>> {
        let mut reasons = Vec::new();
        for member in self.members.iter() {
            let files = member.ready.listing.of(name.kind());
            let listed = name.id().zip(files).filter(|(id, of)| of.contains(*id));
            let Some((id, _)) = listed else { continue };
            self.cancel.check()?;
            match member.copy.store.read(name) {
                Ok(bytes) if Id::of(&bytes) == id => {
                    self.problems.lock().append(&mut reasons);
                    return Ok(Some(Ok(bytes)));
                }
                Ok(_) => reasons.push(format!(
                    "{name} in {} does not have the content of its name",
                    member.copy.store.location()
                )),
                Err(error) => reasons.push(chain(&error)),
            }
        }
        Ok((!reasons.is_empty()).then(|| Err(reasons.join("; "))))
    }

    /// Adds what index files say, but for the places that are `known`.
    fn load_index_files(&self, files: &[Id], index: &Index, known: Option<&Index>) -> Result<()> {
        let doubtful = Mutex::new(Vec::new());
        for_each(files, READERS, |id| {
            let name = FileName::new(FileType::Index, *id);
            let file = match self.read_file(name)? {
                Some(Ok(bytes)) => IndexFile::open(self.repository.key(), bytes),
                Some(Err(reason)) => Err(reason),
                None => return Ok(()),
            };
            match file {
                Ok(file) => {
                    for mut pack in file.packs {
                        let is_whole = self.is_somewhere_whole(&pack);
                        if let Some(known) = known {
                            let id = pack.id;
                            let is_known = |blob: &PackedBlob| {
                                known.get(blob.blob).is_some_and(|at| at.pack == id)
                            };
                            pack.blobs.retain(|blob| !is_known(blob));
                        }
                        if is_whole {
                            index.insert(&pack);
                        } else {
                            doubtful.lock().push(pack);
                        }
                    }
                }
                Err(reason) => self.problem(format!("{name} cannot be used: {reason}")),
            }
            Ok(())
        })?;
        // Last, since what is known already keeps its place.
        for pack in doubtful.into_inner() {
            index.insert(&pack);
        }
        Ok(())
    }

    /// Whether some copy lists the pack with the size that its blobs make.
    fn is_somewhere_whole(&self, pack: &IndexedPack) -> bool {
        let expected = Some(pack::size_bytes(&pack.blobs));
        let name = FileName::new(FileType::Data, pack.id);
        let mut members = self.members.iter();
        members.any(|member| member.ready.holds(name, expected))
    }

    /// Asks a pack that no index file names what is in it.
    fn load_header(&self, id: Id, index: &Index) {
        for member in self.members.iter() {
            let Some(size_bytes) = member.ready.listing.data.size_bytes(id) else {
                continue;
            };
            let store = member.copy.store.as_ref();
            match pack::read_header(store, self.repository.key(), id, size_bytes) {
                Ok(blobs) => {
                    index.insert(&IndexedPack { id, blobs });
                    return;
                }
                Err(error) => self.problem(chain(&error)),
            }
        }
    }

    fn problem(&self, text: String) {
        tracing::warn!(problem = text, "Something is wrong with a copy");
        self.problems.lock().push(text);
    }
}
