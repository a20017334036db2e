//! What must be on a copy before an index file or a snapshot may go there.

use strongroom_model::{FileName, FileType};
use strongroom_repo::index::IndexFile;
use strongroom_repo::{BlobId, BlobLocation, Index, pack};

use crate::Result;
use crate::sync::fetch::{Fetched, Reading, read_right};
use crate::sync::lane::Lane;
use crate::sync::run::Run;
use crate::verify::closure::{Closure, Unread, read_blob, unreadable};
use crate::verify::content::Content;

impl Run<'_> {
    /// Checks that a copy has all packs that an index file names, in their sizes.
    ///
    /// # Errors
    /// A text that names one that it lacks.
    pub(crate) fn check_packs(
        &self,
        file: &IndexFile,
        lane: &Lane,
    ) -> std::result::Result<(), String> {
        let lacks = |name: FileName, size_bytes| lane.size_of(name) != Some(size_bytes);
        let missing = file.packs.iter().find_map(|indexed| {
            let name = FileName::new(FileType::Data, indexed.id);
            lacks(name, pack::size_bytes(&indexed.blobs)).then_some(name)
        });
        match missing {
            Some(name) => Err(format!("it lacks {name}, or has it wrong")),
            None => Ok(()),
        }
    }

    /// The snapshots for which a copy lacks something, with what that is.
    ///
    /// Where nobody says what a snapshot needs, its trees are followed: looked up in the index of
    /// this very copy, and read from whichever copy is nearest.
    ///
    /// # Errors
    /// Where the user interrupts.
    pub(crate) fn find_incomplete<'f>(
        &self,
        lane: &Lane,
        snapshots: impl Iterator<Item = &'f Fetched>,
    ) -> Result<Vec<(FileName, String)>> {
        let mut incomplete = Vec::new();
        let mut unknown = Vec::new();
        for snapshot in snapshots {
            let needs = snapshot
                .name
                .id()
                .and_then(|id| self.options.needs.get(&id));
            match (needs, &snapshot.content) {
                (Some(needs), _) => {
                    let missing = needs.iter().find(|name| lane.size_of(**name).is_none());
                    let reason = missing.map(|name| format!("it lacks {name}"));
                    incomplete.extend(reason.map(|reason| (snapshot.name, reason)));
                }
                (None, Content::Snapshot(content)) => unknown.push((snapshot.name, content.tree)),
                (None, _) => {}
            }
        }
        if !unknown.is_empty() && lane.takes() {
            let index = self.index_of(lane)?;
            let read = |blob, location| self.read_blob(blob, location);
            let mut closure = Closure::new(&index, &read, self.cancel);
            for (name, root) in unknown {
                let missing = closure.missing(root)?;
                incomplete.extend(missing.map(|reason| (name, reason)));
            }
        }
        Ok(incomplete)
    }

    /// Where the blobs of one copy are, by its own index files and packs.
    fn index_of(&self, lane: &Lane) -> Result<Index> {
        let index = Index::new();
        for entry in lane.listing.index.iter() {
            self.cancel.check()?;
            let name = FileName::new(FileType::Index, entry.id);
            let Some(file) = lane.size_of(name).and_then(|_| self.read_index_file(name)) else {
                continue;
            };
            for indexed in &file.packs {
                let pack = FileName::new(FileType::Data, indexed.id);
                if lane.size_of(pack) == Some(pack::size_bytes(&indexed.blobs)) {
                    index.insert(indexed);
                }
            }
        }
        Ok(index)
    }

    fn read_index_file(&self, name: FileName) -> Option<IndexFile> {
        self.holders(name).into_iter().find_map(|lane| {
            let size_bytes = lane.size_of(name)?;
            let Reading::Right(bytes) = read_right(lane, name, size_bytes) else {
                return None;
            };
            IndexFile::open(self.repository.key(), bytes).ok()
        })
    }

    fn read_blob(
        &self,
        wanted: BlobId,
        location: BlobLocation,
    ) -> std::result::Result<Vec<u8>, Unread> {
        let pack = FileName::new(FileType::Data, location.pack);
        let mut reason = format!("the {wanted} cannot be read from any copy");
        for lane in self.holders(pack) {
            reason = match read_blob(self.repository, lane.copy.store.as_ref(), wanted, location) {
                Ok(bytes) => return Ok(bytes),
                Err(Unread::Wrong(reason)) => reason,
                Err(Unread::Failed(error)) => unreadable(wanted, &error),
            };
        }
        Err(Unread::Wrong(reason))
    }
}
