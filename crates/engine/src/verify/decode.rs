//! Looking into packs with the key: what a bad writer would have done wrong.

use std::sync::atomic::{AtomicBool, Ordering};

use strongroom_model::Id;
use strongroom_repo::blob::{self, BlobId, BlobKind, PackedBlob};
use strongroom_repo::index::IndexFile;
use strongroom_repo::{Index, Repository, Tree, pack};

use crate::Result;
use crate::session::{Cancel, Look, chain};
use crate::verify::closure::{Closure, ReadBlob, absent, first_absent, unreadable};

/// Decodes the packs of one copy.
pub(crate) struct Decoder<'a> {
    repository: &'a Repository,
    look: &'a Look,
    cancel: &'a Cancel,
    index: Index,
    /// Whether some tree names a blob that no index does. Such a tree may be garbage.
    has_gaps: AtomicBool,
}

/// What a pack holds.
pub(crate) struct CheckedPack {
    /// Of what its header says.
    pub(crate) fingerprint: Id,
    /// Blobs that are not what they should be, and why.
    pub(crate) bad_blobs: Vec<(BlobId, String)>,
}

impl<'a> Decoder<'a> {
    /// Knows no index file yet.
    pub(crate) fn new(repository: &'a Repository, look: &'a Look, cancel: &'a Cancel) -> Self {
        Self {
            repository,
            look,
            cancel,
            index: Index::new(),
            has_gaps: AtomicBool::new(false),
        }
    }

    /// Adds what an index file says of packs that are there. All of them are to be added before
    /// the first pack is checked.
    pub(crate) fn add(&self, file: &IndexFile) {
        for pack in &file.packs {
            if self.look.listing.data.contains(pack.id) {
                self.index.insert(pack);
            }
        }
    }

    /// Decodes every blob of a pack.
    ///
    /// # Errors
    /// A text that says why it is no pack of this repository.
    pub(crate) fn check_pack(&self, bytes: &[u8]) -> std::result::Result<CheckedPack, String> {
        let key = self.repository.key();
        let blobs = pack::header_of(key, bytes)?;
        let mut bad_blobs = Vec::new();
        for packed in &blobs {
            let start = packed.offset as usize;
            let end = start.saturating_add(packed.length as usize);
            let mut sealed = bytes.get(start..end).unwrap_or_default().to_vec();
            let checked = blob::decode(key, packed.blob, packed.uncompressed_length, &mut sealed)
                .map_err(|error| chain(&error))
                .and_then(|plain| self.check_blob(packed.blob, &plain));
            if let Err(reason) = checked {
                bad_blobs.push((packed.blob, reason));
            }
        }
        Ok(CheckedPack {
            fingerprint: fingerprint(&blobs),
            bad_blobs,
        })
    }

    fn check_blob(&self, blob: BlobId, plain: &[u8]) -> std::result::Result<(), String> {
        if blob.kind == BlobKind::Data {
            return Ok(());
        }
        let tree = Tree::decode(plain).map_err(|error| unreadable(blob, &error))?;
        if first_absent(&tree, &self.index).is_some() {
            self.has_gaps.store(true, Ordering::Relaxed);
        }
        match tree.refused.first() {
            Some(refused) => Err(format!("the {blob}: {refused}")),
            None => Ok(()),
        }
    }

    /// The snapshots that need what is not there, with what that is.
    ///
    /// Where every pack was read and found sound, and every tree in them has all that it names, the
    /// roots are all that is left to look at; otherwise the trees are followed from each snapshot.
    ///
    /// # Errors
    /// As [`Closure::missing`].
    pub(crate) fn incomplete(
        &self,
        snapshots: &[(Id, Id)],
        all_sound: bool,
        read_tree: &ReadBlob<'_>,
    ) -> Result<Vec<(Id, String)>> {
        let mut closure = Closure::new(&self.index, read_tree, self.cancel);
        let must_follow = !all_sound || self.has_gaps.load(Ordering::Relaxed);
        let mut incomplete = Vec::new();
        for (snapshot, root) in snapshots {
            let missing = match must_follow {
                true => closure.missing(*root)?,
                false => {
                    let root = BlobId::tree(*root);
                    self.index.pack_of(root).is_none().then(|| absent(root))
                }
            };
            incomplete.extend(missing.map(|reason| (*snapshot, reason)));
        }
        Ok(incomplete)
    }
}

/// The same for two descriptions of a pack that say the same, in whatever order.
pub(crate) fn fingerprint(blobs: &[PackedBlob]) -> Id {
    let mut sorted: Vec<_> = blobs.iter().collect();
    sorted.sort_unstable_by_key(|packed| (packed.offset, packed.blob));
    let mut text = Vec::with_capacity(sorted.len() * 48);
    for packed in sorted {
        text.extend_from_slice(packed.blob.id.as_bytes());
        text.extend_from_slice(&packed.offset.to_le_bytes());
        text.extend_from_slice(&packed.length.to_le_bytes());
        text.extend_from_slice(&packed.uncompressed_length.unwrap_or(0).to_le_bytes());
        text.push(u8::from(packed.blob.kind == BlobKind::Tree));
    }
    Id::of(&text)
}
