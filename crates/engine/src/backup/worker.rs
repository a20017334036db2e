//! One thread of a backup: hashes, asks the index, compresses, encrypts, packs, closes trees.

use std::sync::Arc;

use rand::{SeedableRng, rngs::StdRng};
use strongroom_model::Id;
use strongroom_repo::blob::{BlobEncoder, BlobId, BlobKind, MAX_BLOB_BYTES};
use strongroom_repo::index::Claim;
use strongroom_repo::tree::TreeEncoder;
use strongroom_repo::{Error as RepoError, Node};

use crate::Result;
use crate::backup::archive::{Archive, Piece};
use crate::backup::content::{READ_BYTES, ZeroChunk};
use crate::backup::folder::{FolderState, Slot};
use crate::backup::needs::Needs;
use crate::backup::report::{SourceErrorKind, Stats};

/// A thread with its own encoder, counters and buffers.
#[derive(Debug)]
pub(crate) struct Worker<'w, 'a> {
    pub(crate) archive: &'w Archive<'a>,
    pub(crate) stats: Stats,
    pub(crate) needs: Needs,
    /// What was read last of the file that is being read.
    pub(crate) block: Vec<u8>,
    /// What holes are cut into, once it was needed.
    pub(crate) zeros: Option<ZeroChunk>,
    encoder: BlobEncoder,
    random: StdRng,
}

impl<'w, 'a> Worker<'w, 'a> {
    pub(crate) fn new(archive: &'w Archive<'a>) -> Result<Self> {
        let seed = getrandom::u64().map_err(|_| RepoError::NoRandomness)?;
        Ok(Self {
            archive,
            stats: Stats::default(),
            needs: Needs::default(),
            block: vec![0; READ_BYTES],
            zeros: None,
            encoder: BlobEncoder::new(archive.repository.config().version)?,
            random: StdRng::seed_from_u64(seed),
        })
    }

    /// Stores a blob unless it is stored already; returns its id.
    ///
    /// # Errors
    /// Where no copy takes the pack that it fills.
    pub(crate) fn save_blob(&mut self, kind: BlobKind, plain: &[u8]) -> Result<Id> {
        let blob = BlobId {
            kind,
            id: Id::of(plain),
        };
        match self.archive.index.claim(blob) {
            Claim::Stored(pack) => self.needs.insert(pack),
            Claim::Promised => self.needs.insert_promised(blob),
            Claim::Yours => self.store_blob(blob, plain)?,
        }
        Ok(blob.id)
    }

    fn store_blob(&mut self, blob: BlobId, plain: &[u8]) -> Result<()> {
        let key = self.archive.repository.key();
        let (sealed, uncompressed_length) = self.encoder.encode(key, plain)?;
        let sealed_bytes = sealed.len() as u64;
        let packer = self.archive.packer;
        let pack = packer.add(blob, sealed, uncompressed_length, &mut self.random)?;
        self.needs.insert(pack);
        match blob.kind {
            BlobKind::Data => self.stats.data_blobs += 1,
            BlobKind::Tree => self.stats.tree_blobs += 1,
        }
        self.stats.data_added_bytes += plain.len() as u64;
        self.stats.data_added_packed_bytes += sealed_bytes;
        Ok(())
    }

    /// Stores a piece of a large file, and closes what it was the last of.
    ///
    /// # Errors
    /// As [`Self::save_blob`].
    pub(crate) fn save_piece(&mut self, piece: Piece) -> Result<()> {
        let id = self.save_blob(BlobKind::Data, &piece.bytes)?;
        piece.file.recycle(piece.bytes);
        match piece.file.put(piece.number, id) {
            Some(done) => self.finish_file(done),
            None => Ok(()),
        }
    }

    /// Fills a slot, and closes every folder that this completes.
    ///
    /// # Errors
    /// As [`Self::save_blob`].
    pub(crate) fn fill(&mut self, slot: &Slot, node: Option<Node>, changed: bool) -> Result<()> {
        if slot.fill(node, changed) {
            self.close(Arc::clone(&slot.folder))?;
        }
        Ok(())
    }

    /// Gives back the lister's claim on a folder, and closes it where that was the last.
    ///
    /// # Errors
    /// As [`Self::save_blob`].
    pub(crate) fn release(&mut self, folder: Arc<FolderState>) -> Result<()> {
        if folder.release() {
            self.close(folder)?;
        }
        Ok(())
    }

    /// Stores the trees of a complete folder and of all above it that become complete by it.
    fn close(&mut self, mut folder: Arc<FolderState>) -> Result<()> {
        loop {
            let tree = match self.store_tree(&folder)? {
                Some(tree) => tree,
                None => {
                    let message = "it has too many entries for one tree".to_owned();
                    let unreadable = SourceErrorKind::Unreadable;
                    self.archive.note(folder.path.told(), unreadable, message);
                    match folder.above.clone() {
                        Some(slot) if slot.fill(None, true) => {
                            folder = slot.folder;
                            continue;
                        }
                        _ => return Ok(()),
                    }
                }
            };
            let Some(slot) = folder.above.clone() else {
                self.archive.set_root(&folder, tree);
                return Ok(());
            };
            let (node, is_old) = folder.finish_node(tree);
            let changed = !is_old;
            match (folder.old_tree, changed) {
                (None, _) => self.stats.dirs_new += 1,
                (Some(_), true) => self.stats.dirs_changed += 1,
                (Some(_), false) => self.stats.dirs_unmodified += 1,
            }
            if !slot.fill(node, changed) {
                return Ok(());
            }
            folder = slot.folder;
        }
    }

    /// Stores the tree of a complete folder; `None` where no blob could hold it.
    fn store_tree(&mut self, folder: &FolderState) -> Result<Option<Id>> {
        let entries = folder.take();
        if !entries.changed
            && let Some(old) = folder.old_tree
            && let Some(pack) = self.archive.index.pack_of(BlobId::tree(old))
        {
            self.needs.insert(pack);
            return Ok(Some(old));
        }
        let mut encoder = TreeEncoder::new();
        for node in entries.nodes.iter().flatten() {
            encoder
                .push(node)
                .map_err(|error| RepoError::Invalid(error.to_string()))?;
            if encoder.len_bytes() >= MAX_BLOB_BYTES {
                return Ok(None);
            }
        }
        Ok(Some(self.save_blob(BlobKind::Tree, &encoder.finish())?))
    }
}
