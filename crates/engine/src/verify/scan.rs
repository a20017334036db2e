//! What is to be read of one copy, and what came of it.

use std::collections::{BTreeSet, HashSet};

use strongroom_model::{FileEntry, FileName, FileType, Id};

use crate::Listing;
use crate::session::{CopyFailure, CopyStore, Look};
use crate::verify::{Depth, ProblemKind, Share};

/// A copy about to be read.
pub(crate) struct Scan<'a> {
    pub(crate) look: Look,
    pub(crate) depth: Depth<'a>,
    /// The packs that are read.
    pub(crate) packs: Vec<FileEntry>,
}

/// What came of reading a copy.
pub(crate) struct Scanned {
    pub(crate) copy: CopyStore,
    pub(crate) listing: Listing,
    pub(crate) config: Option<Vec<u8>>,
    pub(crate) files_read: u64,
    pub(crate) bytes_read: u64,
    /// The files whose content has their name.
    pub(crate) sound: Vec<FileName>,
    pub(crate) covered: bool,
    pub(crate) failure: Option<CopyFailure>,
    /// Why its locks could not be listed, which keeps nothing else from being read.
    pub(crate) locks_failure: Option<CopyFailure>,
    pub(crate) problems: Vec<(FileName, ProblemKind)>,
    /// Files that were listed and not there any more.
    pub(crate) vanished: HashSet<FileName>,
    /// Packs that are not there, with an index file that names them.
    pub(crate) absent_packs: Vec<(Id, Id)>,
}

impl<'a> Scan<'a> {
    /// Chooses what is read: the share of the packs, and all whose size is in doubt.
    pub(crate) fn new(
        look: Look,
        depth: Depth<'a>,
        share: Share,
        odd: &BTreeSet<FileName>,
    ) -> Self {
        let mut packs = share.of(&look.listing.data);
        if packs.len() < look.listing.data.len() {
            let is_odd = |entry: &FileEntry| odd.contains(&FileName::new(FileType::Data, entry.id));
            packs.extend(look.listing.data.iter().filter(is_odd));
            packs.sort_unstable();
            packs.dedup();
        }
        Self { look, depth, packs }
    }

    /// How many files and bytes will be read, locks not counted.
    pub(crate) fn expected(&self) -> (u64, u64) {
        let listing = &self.look.listing;
        let small = [&listing.keys, &listing.index, &listing.snapshots];
        let small = small.into_iter().flat_map(|files| files.iter());
        small
            .chain(self.packs.iter().copied())
            .fold((0, 0), |(files, bytes), entry| {
                (files + 1, bytes.saturating_add(entry.size_bytes))
            })
    }
}

impl Scanned {
    /// A copy of which nothing could be read.
    pub(crate) fn failed(copy: &CopyStore, failure: &CopyFailure) -> Self {
        Self {
            copy: copy.clone(),
            listing: Listing::default(),
            config: None,
            files_read: 0,
            bytes_read: 0,
            sound: Vec::new(),
            covered: false,
            failure: Some(failure.clone()),
            locks_failure: None,
            problems: Vec::new(),
            vanished: HashSet::new(),
            absent_packs: Vec::new(),
        }
    }
}

/// Names the damage of a file whose content does not have its name.
pub(crate) fn damage(found_bytes: u64, expected_bytes: Option<u64>) -> ProblemKind {
    match expected_bytes {
        _ if found_bytes == 0 => ProblemKind::Empty,
        Some(expected_bytes) if found_bytes < expected_bytes => ProblemKind::Truncated {
            found_bytes,
            expected_bytes,
        },
        Some(expected_bytes) if found_bytes > expected_bytes => ProblemKind::WrongSize {
            found_bytes,
            expected_bytes,
        },
        _ => ProblemKind::WrongContent,
    }
}
