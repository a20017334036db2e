//! What has to wait for files of the types before that are left on a copy.
//!
//! What is left there is seen by a stock restic, and so must be what it refers to. But where snapshots
//! are forgotten each day, locks hold some of them at any time: were all index files and packs kept
//! beside them, none would ever go. Whoever pruned has looked at each snapshot that was listed then, be
//! it forgotten since or not, and what came later refers to nothing that was hidden. So files wait for
//! those alone that were removed no later than it was decided that they go.
//!
//! What can go wrong: clocks of several machines differ. So of what is left the earliest time counts
//! that is told or was seen, and of what waits the latest.

use std::collections::BTreeSet;

use jiff::Timestamp;
use strongroom_model::FileName;

use crate::removals::{Known, Removals};

impl Removals {
    /// Those of some files that wait for what is left of the types before.
    pub(super) fn held_up(
        &self,
        files: impl IntoIterator<Item = FileName>,
        left: &BTreeSet<FileName>,
    ) -> BTreeSet<FileName> {
        if left.is_empty() {
            return BTreeSet::new();
        }
        let mut waiting: BTreeSet<FileName> = files.into_iter().collect();
        let is_left = |known: &&Known| known.removal.files().any(|name| left.contains(&name));
        let Some(first) = self.due().filter(is_left).map(Known::earliest).min() else {
            return waiting;
        };
        for known in self.due().filter(|known| known.latest() < first) {
            for name in known.removal.files() {
                waiting.remove(&name);
            }
        }
        waiting
    }
}

impl Known {
    /// When it was decided at the earliest: others could say any time.
    fn earliest(&self) -> Timestamp {
        let seen = self.seen.unwrap_or(self.removal.at);
        seen.min(self.removal.at)
    }

    /// When it was decided at the latest.
    fn latest(&self) -> Timestamp {
        let seen = self.seen.unwrap_or(self.removal.at);
        seen.max(self.removal.at)
    }
}
