//! How much a snapshot holds, and its parts: looked at before anything is written.

use std::collections::BTreeMap;

use serde::Serialize;
use strongroom_model::Id;
use strongroom_repo::blob::BlobId;
use strongroom_repo::node::NodeKind;

use crate::read_set::{ReadSet, decode_tree};
use crate::restore::part::{rank, slice_of};
use crate::session::Cancel;
use crate::{Error, Result};

/// How many folders are looked into together, since their trees often lie side by side.
const FOLDERS_AT_ONCE: usize = 4096;

/// The most names that a snapshot may have, of folders too: one whose trees name one tree many times
/// would have no end.
const MOST_NAMES: u64 = 100_000_000;

/// The most bytes of paths of folders that wait to be looked into.
const MOST_WAITING_BYTES: u64 = 1 << 30;

/// The longest path of a folder, many times what a system takes at once: the restore goes from folder
/// to folder and would follow a longer one, so that nothing below may be left uncounted.
const LONGEST_PATH: usize = 64 << 10;

/// The most files of a part that can be named to another program.
const MOST_NAMED: usize = 500;
const MOST_NAMED_BYTES: usize = 256 << 10;

/// Regular files, and how much is in them, as the summary of a snapshot counts them. The parts of a
/// snapshot add up to the whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// How many there are; a further name of one file is one more.
    pub files: u64,
    /// Bytes of files.
    pub bytes: u64,
}

/// What a snapshot holds, part by part.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) whole: Totals,
    /// How many names there are that are no folders: files, links, devices and the like.
    pub(super) names: u64,
    /// The first is number 1.
    pub(super) parts: Vec<CountedPart>,
}

/// One of several parts.
#[derive(Debug, Clone, Default)]
pub(super) struct CountedPart {
    pub(super) totals: Totals,
    /// Some of its names that are no folders, drawn by their rank.
    named: BTreeMap<u64, Vec<u8>>,
}

impl Totals {
    fn add(&mut self, bytes: u64) {
        self.files = self.files.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

impl Counted {
    /// The part of this number, or the first behind it that is not empty; its number comes with it.
    pub(super) fn due(&self, number: u32) -> Option<(u32, &CountedPart)> {
        let all = || (1_u32..).zip(&self.parts);
        let behind = all().filter(|(other, _)| *other >= number);
        let before = all().filter(|(other, _)| *other < number);
        let mut in_order = behind.chain(before);
        in_order.find(|(_, part)| !part.named.is_empty())
    }
}

impl CountedPart {
    /// Names of it that can be given to another program, as paths without a slash before them.
    pub(super) fn named(&self) -> Vec<Vec<u8>> {
        let mut bytes = 0_usize;
        let fitting = self.named.values().take_while(|path| {
            bytes = bytes.saturating_add(path.len());
            bytes <= MOST_NAMED_BYTES
        });
        fitting.cloned().collect()
    }

    /// Adds a name, with its bytes where it is a regular file.
    fn add(&mut self, rank: u64, path: Vec<u8>, bytes: Option<u64>) {
        if let Some(bytes) = bytes {
            self.totals.add(bytes);
        }
        self.named.insert(rank, path);
        if self.named.len() > MOST_NAMED {
            self.named.pop_last();
        }
    }
}

/// Into how many equal parts files are divided, so that one of them is this share at most.
pub(super) fn parts_of(share: u8) -> u32 {
    100_u32.div_ceil(u32::from(share.clamp(1, 100)))
}

/// What may still be counted.
struct Budget {
    names: u64,
    waiting_bytes: u64,
}

impl Budget {
    const fn new() -> Self {
        Self {
            names: MOST_NAMES,
            waiting_bytes: MOST_WAITING_BYTES,
        }
    }

    fn name(&mut self) -> Result<()> {
        take(&mut self.names, 1)
    }

    fn wait(&mut self, path: &[u8]) -> Result<()> {
        if path.len() > LONGEST_PATH {
            return Err(Error::TooManyNames { most: MOST_NAMES });
        }
        take(&mut self.waiting_bytes, cost(path))
    }

    const fn go_on(&mut self, path: &[u8]) {
        self.waiting_bytes = self.waiting_bytes.saturating_add(cost(path));
    }
}

/// What a folder that waits takes of the memory, about.
const fn cost(path: &[u8]) -> u64 {
    (path.len() as u64).saturating_add(64)
}

fn take(left: &mut u64, much: u64) -> Result<()> {
    let most = MOST_NAMES;
    *left = left.checked_sub(much).ok_or(Error::TooManyNames { most })?;
    Ok(())
}

/// Counts what lies below a tree, in so many parts. Folders that cannot be read count as empty: the
/// restore names them.
///
/// # Errors
/// [`Error::TooManyNames`]; [`Error::NoCopy`] where the copy went away, [`Error::Interrupted`].
pub(super) fn count(
    set: &ReadSet<'_>,
    tree: Id,
    (seed, of): (&Id, u32),
    cancel: &Cancel,
) -> Result<Counted> {
    let mut counted = Counted {
        whole: Totals::default(),
        names: 0,
        parts: vec![CountedPart::default(); usize::try_from(of.max(1)).unwrap_or(1)],
    };
    let mut left: Vec<(Vec<u8>, Id)> = vec![(Vec::new(), tree)];
    let mut budget = Budget::new();
    while !left.is_empty() {
        cancel.check()?;
        let batch = left.split_off(left.len().saturating_sub(FOLDERS_AT_ONCE));
        // They wait no more; the root never did.
        for (path, _) in batch.iter().filter(|(path, _)| !path.is_empty()) {
            budget.go_on(path);
        }
        let trees: Vec<BlobId> = batch.iter().map(|(_, tree)| BlobId::tree(*tree)).collect();
        set.read_many(&trees, &mut |position, text| {
            cancel.check()?;
            let (Some((folder, id)), Ok(text)) = (batch.get(position), text) else {
                return Ok(());
            };
            let Ok(tree) = decode_tree(*id, text) else {
                return Ok(());
            };
            for node in tree.nodes {
                let mut path = folder.clone();
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(&node.name);
                budget.name()?;
                if let Some(inner) = node.subtree.filter(|_| node.kind == NodeKind::Dir) {
                    budget.wait(&path)?;
                    left.push((path, inner));
                    continue;
                }
                let bytes = (node.kind == NodeKind::File).then_some(node.size);
                let rank = rank(seed, &path);
                counted.names = counted.names.saturating_add(1);
                if let Some(bytes) = bytes {
                    counted.whole.add(bytes);
                }
                let place = usize::try_from(slice_of(rank, of)).unwrap_or(1);
                if let Some(part) = counted.parts.get_mut(place.saturating_sub(1)) {
                    part.add(rank, path, bytes);
                }
            }
            Ok(())
        })?;
    }
    Ok(counted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(files: &[u64]) -> Counted {
        let parts = files.iter().map(|files| {
            let mut part = CountedPart::default();
            for number in 0..*files {
                part.add(number, vec![b'a'; 1024], Some(7));
            }
            part
        });
        Counted {
            whole: Totals::default(),
            names: files.iter().sum(),
            parts: parts.collect(),
        }
    }

    #[test]
    fn a_share_is_made_of_equal_parts_and_never_more_than_was_asked_for() {
        let parts = [100, 60, 50, 34, 33, 30, 10, 3, 1, 0, 255].map(parts_of);
        assert_eq!(parts, [1, 2, 2, 3, 4, 4, 10, 34, 100, 100, 1]);
    }

    #[test]
    fn a_snapshot_without_end_is_not_counted_to_its_end() {
        let mut budget = Budget::new();
        let path = [b'a'; 1000];
        let folders = (0..MOST_WAITING_BYTES).take_while(|_| budget.wait(&path).is_ok());
        let folders = folders.count() as u64;
        assert_eq!(folders, MOST_WAITING_BYTES / 1064);
        budget.go_on(&path);
        assert!(budget.wait(&path).is_ok() && budget.wait(&path).is_err());
        budget = Budget::new();
        assert!(budget.wait(&vec![b'a'; LONGEST_PATH]).is_ok());
        assert!(budget.wait(&vec![b'a'; LONGEST_PATH + 1]).is_err());
        budget.names = 1;
        budget.name().unwrap();
        let ended = budget.name();
        assert!(
            matches!(ended, Err(Error::TooManyNames { .. })),
            "{ended:?}"
        );
    }

    #[test]
    fn a_part_without_files_is_passed_over() {
        let due = |files: &[u64], number| {
            let counted = counted(files);
            counted.due(number).map(|(number, _)| number)
        };
        assert_eq!(due(&[1, 2, 3], 2), Some(2));
        assert_eq!(due(&[1, 0, 3], 2), Some(3));
        assert_eq!(due(&[1, 2, 0], 3), Some(1));
        assert_eq!(due(&[0, 0, 0], 3), None);
        assert_eq!(due(&[4], 9), Some(1));
    }

    #[test]
    fn a_link_is_no_file_and_is_restored_in_its_turn_all_the_same() {
        let mut counted = counted(&[1, 0]);
        counted.parts[1].add(3, b"link".to_vec(), None);
        let (number, part) = counted.due(2).unwrap();
        assert_eq!((number, part.totals), (2, Totals::default()));
        assert_eq!(part.named(), [b"link".to_vec()]);
    }

    #[test]
    fn as_many_files_are_named_as_another_program_takes() {
        let counted = counted(&[3, 2000]);
        assert_eq!(counted.parts[0].named().len(), 3);
        assert_eq!(counted.parts[1].totals.files, 2000);
        assert_eq!(counted.parts[1].totals.bytes, 14_000);
        assert_eq!(counted.parts[1].named().len(), MOST_NAMED_BYTES / 1024);
        assert_eq!(counted.parts[1].named.len(), MOST_NAMED);
    }
}
