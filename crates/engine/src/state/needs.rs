//! What the newest snapshot of a source needs, with sizes, so that a status need not find it out.
//!
//! Receipts tell the same and carry a signature, but no sizes; and they are made by backups alone,
//! while this is also what a look into the trees has found.

use serde::{Deserialize, Serialize};
use strongroom_model::{FileName, FileType, Id};

use crate::backup::report::SnapshotNeeds;

/// What one snapshot needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedNeeds {
    /// The snapshot.
    pub(crate) snapshot: Id,
    /// The SHA-256 of the sorted ids of the index files by which it was found out; `None` where
    /// the backup itself told. While the index files are the same, looking again finds the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) index_set: Option<Id>,
    /// Packs with their sizes.
    packs: Vec<(Id, u64)>,
    /// Index files.
    index_files: Vec<Id>,
}

impl RecordedNeeds {
    pub(crate) fn new(snapshot: Id, index_set: Option<Id>, needs: &SnapshotNeeds) -> Self {
        Self {
            snapshot,
            index_set,
            packs: needs.packs.clone(),
            index_files: needs.index_files.clone(),
        }
    }

    /// Packs with their sizes.
    pub(crate) fn packs(&self) -> &[(Id, u64)] {
        &self.packs
    }

    /// All of these files.
    pub(crate) fn files(&self) -> impl Iterator<Item = FileName> + '_ {
        let packs = self.packs.iter();
        let packs = packs.map(|(id, _)| FileName::new(FileType::Data, *id));
        let index = self.index_files.iter();
        packs.chain(index.map(|id| FileName::new(FileType::Index, *id)))
    }

    pub(crate) fn into_needs(self) -> SnapshotNeeds {
        SnapshotNeeds {
            packs: self.packs,
            index_files: self.index_files,
        }
    }
}
