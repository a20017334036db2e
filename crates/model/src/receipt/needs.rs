//! The files that a snapshot needs, and the difference between two such sets.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::file::{FileName, FileType};
use crate::id::Id;

/// All files without which a snapshot cannot be restored, but for the snapshot itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The packs that hold its blobs.
    pub packs: BTreeSet<Id>,
    /// The index files that name those packs.
    pub index: BTreeSet<Id>,
    /// The key files, any of which opens the repository.
    pub keys: BTreeSet<Id>,
    /// The SHA-256 of `config`, which has no hash name.
    pub config: Id,
}

/// The difference between what two snapshots need.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeedsChange {
    /// Packs that the parent did not need.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub packs_added: BTreeSet<Id>,
    /// Packs that only the parent needed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub packs_dropped: BTreeSet<Id>,
    /// Index files that the parent did not need.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub index_added: BTreeSet<Id>,
    /// Index files that only the parent needed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub index_dropped: BTreeSet<Id>,
    /// All key files: they are few.
    pub keys: BTreeSet<Id>,
    /// The SHA-256 of `config`.
    pub config: Id,
}

impl Needs {
    /// Every needed file by name, in the order in which a copy may receive them.
    pub fn files(&self) -> impl Iterator<Item = FileName> {
        let named = |ids: &BTreeSet<Id>, kind: FileType| {
            let names: Vec<FileName> = ids.iter().map(|id| FileName::new(kind, *id)).collect();
            names
        };
        named(&self.keys, FileType::Keys)
            .into_iter()
            .chain([FileName::CONFIG])
            .chain(named(&self.packs, FileType::Data))
            .chain(named(&self.index, FileType::Index))
    }

    /// Goes on to what the next snapshot needs.
    ///
    /// # Errors
    /// Says in one line why the difference does not belong to this set, which is then unchanged.
    pub(super) fn apply(&mut self, change: &NeedsChange) -> Result<(), String> {
        let packs = applied(
            &self.packs,
            &change.packs_added,
            &change.packs_dropped,
            "pack",
        )?;
        let index = applied(
            &self.index,
            &change.index_added,
            &change.index_dropped,
            "index",
        )?;
        *self = Self {
            packs,
            index,
            keys: change.keys.clone(),
            config: change.config,
        };
        Ok(())
    }
}

impl NeedsChange {
    /// The difference that leads from one set to another; for a first snapshot, from
    /// [`Needs::default`].
    pub fn between(from: &Needs, to: &Needs) -> Self {
        let only = |a: &BTreeSet<Id>, b: &BTreeSet<Id>| a.difference(b).copied().collect();
        Self {
            packs_added: only(&to.packs, &from.packs),
            packs_dropped: only(&from.packs, &to.packs),
            index_added: only(&to.index, &from.index),
            index_dropped: only(&from.index, &to.index),
            keys: to.keys.clone(),
            config: to.config,
        }
    }
}

fn applied(
    set: &BTreeSet<Id>,
    added: &BTreeSet<Id>,
    dropped: &BTreeSet<Id>,
    what: &str,
) -> Result<BTreeSet<Id>, String> {
    if let Some(id) = added.intersection(set).next() {
        return Err(format!("it adds {what} {} a second time", id.short()));
    }
    if let Some(id) = dropped.difference(set).next() {
        return Err(format!(
            "it drops {what} {}, which was not needed",
            id.short()
        ));
    }
    Ok(set.difference(dropped).chain(added).copied().collect())
}
