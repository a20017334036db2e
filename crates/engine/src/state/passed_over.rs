//! Versions that lie hidden among the snapshots of a copy and that are none of the repository's.
//!
//! Whoever may write puts names there without number, and locks keep them for years. A prune looks at so
//! many in one run; what was read and is no snapshot is remembered, so that the next run goes on behind
//! it. A version keeps its bytes, so that it need not be read again; what comes later under the same name
//! is another version.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use strongroom_model::{FileName, Id};
use strongroom_store::VersionId;

/// How many are remembered of a copy; the rest is looked at again.
const MOST: usize = 1_000_000;

/// What was looked at and is no snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PassedOver {
    /// For each version what tells it from others: [`PassedOver::mark`].
    #[serde(default)]
    versions: BTreeSet<Id>,
}

impl PassedOver {
    /// These versions, and no more than are remembered.
    pub(crate) fn of(marks: impl IntoIterator<Item = Id>) -> Self {
        Self {
            versions: marks.into_iter().take(MOST).collect(),
        }
    }

    /// What tells a version of a file from all others.
    pub(crate) fn mark(name: FileName, version: &VersionId) -> Id {
        Id::of(format!("{name}\0{}", version.as_str()).as_bytes())
    }

    /// Whether a version is one of them.
    pub(crate) fn contains(&self, mark: Id) -> bool {
        self.versions.contains(&mark)
    }
}

#[cfg(test)]
mod tests {
    use strongroom_model::FileType;

    use super::*;

    #[test]
    fn a_later_version_of_a_name_is_another_and_no_more_are_remembered_than_fit() {
        let name = FileName::new(FileType::Snapshots, Id::of(b"name"));
        let mark = |version: &str| PassedOver::mark(name, &VersionId::new(version));
        let passed = PassedOver::of([mark("1")]);
        assert!(passed.contains(mark("1")) && !passed.contains(mark("2")));
        let many = (0..=MOST as u64).map(|number| Id::of(&number.to_le_bytes()));
        assert_eq!(PassedOver::of(many).versions.len(), MOST);
    }
}
