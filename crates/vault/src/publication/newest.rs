//! The newest leaves of the published log, for whoever looks at them.

use strongroom_ledger::bundle::entries;

use crate::Result;
use crate::publication::{BUNDLE, CHECKPOINT, Published, changed, of_log};

/// Some leaves of the log, and the checkpoint that they are in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewestLeaves {
    /// The newest checkpoint, as a signed note.
    pub checkpoint: String,
    /// Over how many leaves it is.
    pub size: u64,
    /// The leaves, each with its place in the log, the newest first.
    pub leaves: Vec<(u64, Vec<u8>)>,
}

impl Published {
    /// The newest leaves before a place of the log, `most` at most; `None` where nothing is published
    /// so far. It reads the bundles in which these are.
    ///
    /// # Errors
    /// [`Error::Log`](crate::Error::Log) where the files are not what was published;
    /// [`Error::StorageInDoubt`](crate::Error::StorageInDoubt); those of the database and the storage.
    pub fn newest(&self, below: u64, most: u64) -> Result<Option<NewestLeaves>> {
        if self.file(CHECKPOINT)?.is_none() {
            return Ok(None);
        }
        let (checkpoint, size) = self.checkpoint()?;
        let end = below.min(size);
        let begin = end.saturating_sub(most);
        let mut leaves = Vec::new();
        let mut number = begin / BUNDLE;
        while number * BUNDLE < end {
            let first = number * BUNDLE;
            let width = u16::try_from((size - first).min(BUNDLE)).unwrap_or_default();
            let bundle = self.tiles()?.bundle(number, width).map_err(of_log)?;
            let found = entries(&bundle, width)
                .map_err(|_| changed("a bundle has another number of leaves"))?;
            let numbered = (first..).zip(found);
            let wanted = numbered.filter(|(place, _)| (begin..end).contains(place));
            leaves.extend(wanted.map(|(place, entry)| (place, entry.to_vec())));
            number += 1;
        }
        leaves.reverse();
        Ok(Some(NewestLeaves {
            checkpoint,
            size,
            leaves,
        }))
    }
}
