//! Which files a copy once held.
//!
//! A listing alone cannot tell "was never here" from "was here and is gone". The ids of index files
//! and snapshots, which are few, are remembered so that sync can.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use strongroom_model::{FileName, FileType, Id};

use crate::state::FileNames;

/// What was once seen on a copy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenFiles {
    /// Index files.
    #[serde(default)]
    pub index: BTreeSet<Id>,
    /// Snapshots.
    #[serde(default)]
    pub snapshots: BTreeSet<Id>,
}

impl SeenFiles {
    /// All but those that a person has said were removed on purpose: nobody misses them, whoever puts
    /// them back on one copy.
    #[must_use]
    pub fn without(mut self, accepted: &FileNames) -> Self {
        for (kind, ids) in [
            (FileType::Index, &mut self.index),
            (FileType::Snapshots, &mut self.snapshots),
        ] {
            ids.retain(|id| !accepted.contains(FileName::new(kind, *id)));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_accepted_as_removed_is_left_out_under_its_own_type_alone() {
        let id = |text: &str| Id::of(text.as_bytes());
        let all = || [id("one"), id("other")].into();
        let seen = SeenFiles {
            index: all(),
            snapshots: all(),
        };
        let mut accepted = FileNames::default();
        accepted.insert(FileName::new(FileType::Index, id("one")));
        accepted.insert(FileName::new(FileType::Data, id("other")));
        let left = SeenFiles {
            index: [id("other")].into(),
            snapshots: all(),
        };
        assert_eq!(seen.without(&accepted), left);
    }
}
