//! The files that were once there and that no copy lists any more.
//!
//! What records name, the records of later runs need not name any more; so what was once found to
//! be gone is written down here, until it is back or a person says that it was removed on purpose.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use strongroom_model::{FileName, FileType, Id};

/// What is gone from all copies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoneFiles {
    /// Nobody has said why.
    #[serde(default)]
    pub lost: FileNames,
    /// A person has said that they were removed on purpose.
    #[serde(default)]
    pub accepted: FileNames,
}

/// Names of packs, index files and snapshots.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileNames {
    #[serde(default)]
    data: BTreeSet<Id>,
    #[serde(default)]
    index: BTreeSet<Id>,
    #[serde(default)]
    snapshots: BTreeSet<Id>,
}

impl GoneFiles {
    /// Notes that files are on no copy.
    pub fn lose(&mut self, files: &BTreeSet<FileName>) {
        for name in files {
            if !self.accepted.contains(*name) {
                self.lost.insert(*name);
            }
        }
    }

    /// Notes that a person knows of files that they are gone.
    pub fn accept(&mut self, files: &BTreeSet<FileName>) {
        for name in files {
            self.lost.remove(*name);
            self.accepted.insert(*name);
        }
    }

    /// Forgets those that are there again.
    pub fn find(&mut self, is_there: impl Fn(FileName) -> bool) {
        for names in [&mut self.lost, &mut self.accepted] {
            let back: Vec<_> = names.iter().filter(|name| is_there(*name)).collect();
            back.into_iter().for_each(|name| names.remove(name));
        }
    }
}

impl FileNames {
    /// Whether a file is named.
    pub fn contains(&self, name: FileName) -> bool {
        let ids = match name.kind() {
            FileType::Data => &self.data,
            FileType::Index => &self.index,
            FileType::Snapshots => &self.snapshots,
            FileType::Config | FileType::Keys | FileType::Locks | FileType::Records => {
                return false;
            }
        };
        name.id().is_some_and(|id| ids.contains(&id))
    }

    /// Names a file; those of other types are not kept here.
    pub fn insert(&mut self, name: FileName) {
        if let Some((ids, id)) = self.of(name) {
            ids.insert(id);
        }
    }

    /// How many files are named.
    pub(crate) fn count(&self) -> usize {
        self.data.len() + self.index.len() + self.snapshots.len()
    }

    /// All names.
    pub fn iter(&self) -> impl Iterator<Item = FileName> + '_ {
        let kinds = [
            (FileType::Data, &self.data),
            (FileType::Index, &self.index),
            (FileType::Snapshots, &self.snapshots),
        ];
        let named = |(kind, ids): (FileType, &'_ BTreeSet<Id>)| {
            ids.iter()
                .map(move |id| FileName::new(kind, *id))
                .collect::<Vec<_>>()
        };
        kinds.into_iter().flat_map(named)
    }

    fn remove(&mut self, name: FileName) {
        if let Some((ids, id)) = self.of(name) {
            ids.remove(&id);
        }
    }

    fn of(&mut self, name: FileName) -> Option<(&mut BTreeSet<Id>, Id)> {
        let ids = match name.kind() {
            FileType::Data => &mut self.data,
            FileType::Index => &mut self.index,
            FileType::Snapshots => &mut self.snapshots,
            FileType::Config | FileType::Keys | FileType::Locks | FileType::Records => {
                return None;
            }
        };
        Some((ids, name.id()?))
    }
}
