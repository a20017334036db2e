//! Reading blobs back: from a copy, through its index, checked.

mod blocks;

use std::sync::Arc;

use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::blob::{self, BlobId};
use strongroom_repo::{Error as RepoError, Index, Repository, Tree};
use strongroom_store::Store;

use crate::{Files, Result};

pub use blocks::Blocks;

/// Reads blobs of one copy.
#[derive(Debug, Clone, Copy)]
pub struct BlobReader<'a> {
    /// The repository.
    pub repository: &'a Repository,
    /// Where the blobs are.
    pub index: &'a Index,
    /// The copy.
    pub store: &'a Arc<dyn Store>,
    /// What was fetched of it, and the sizes of its packs, where neighbours are asked for too.
    pub blocks: Option<(&'a Blocks, &'a Files)>,
}

impl BlobReader<'_> {
    /// Reads a blob.
    ///
    /// # Errors
    /// Where no index names it, the store fails, or it is damaged.
    pub fn read(&self, blob: BlobId) -> Result<Vec<u8>> {
        let location = self.index.get(blob).ok_or(RepoError::UnknownBlob {
            kind: blob.kind.name(),
            id: blob.id,
        })?;
        let name = FileName::new(FileType::Data, location.pack);
        let mut sealed = match self.blocks {
            None => self.store.read_range(name, location.range())?,
            Some((blocks, packs)) => {
                let pack = location.pack;
                let pack_bytes = packs.size_bytes(pack).unwrap_or(0);
                blocks.read_range(self.store.as_ref(), pack, pack_bytes, location.range())?
            }
        };
        let length = location.uncompressed_length;
        Ok(blob::decode(
            self.repository.key(),
            blob,
            length,
            &mut sealed,
        )?)
    }

    /// Reads and decodes a tree.
    ///
    /// # Errors
    /// As [`BlobReader::read`], and where it is not a tree.
    pub fn tree(&self, id: Id) -> Result<Tree> {
        let text = self.read(BlobId::tree(id))?;
        let tree = Tree::decode(&text).map_err(|error| RepoError::Damaged {
            what: format!("The tree {id}"),
            reason: error.to_string(),
        })?;
        Ok(tree)
    }
}
