//! What goes, what is written anew, and what stays although part of it is waste.
//!
//! As restic decides it: packs of which nothing is needed go. Of those that are needed in part the
//! ones with most waste are repacked, until what is left of it is within bounds; packs of trees
//! always, since they are read as a whole, and such as mix trees with data. What is repacked goes.
//!
//! An index file that names anything that goes, or that no copy has, is written anew without it,
//! and small ones are joined to it: a backup a day leaves one a day.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use strongroom_model::{FileEntry, FileName, FileType, Id};
use strongroom_repo::index::{MAX_BLOBS_PER_INDEX_FILE, PackNumber};

use crate::prune::PruneOptions;
use crate::prune::packs::{NamedPacks, Pack, PackKind, Packs, Usage};
use crate::session::Session;

/// What is to be done.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Packs of which nothing is needed, with their sizes.
    pub(super) unused: BTreeMap<Id, u64>,
    /// Packs whose needed blobs are written anew, with their sizes.
    pub(super) repacked: BTreeMap<Id, u64>,
    /// Packs that no index file names, with the size that a copy lists.
    pub(super) unindexed: BTreeMap<Id, u64>,
    /// Packs that nothing needs and no copy has as index files tell of them, with that size.
    pub(super) absent: BTreeMap<Id, u64>,
    /// The packs to be repacked.
    pub(super) to_repack: BTreeSet<PackNumber>,
    /// Index files that are written anew, and go.
    pub(super) index: BTreeSet<Id>,
    /// How many bytes of the packs that are repacked are needed.
    pub(super) moved_bytes: u64,
    /// How many bytes of waste stay in packs that are not repacked.
    pub(super) waste_left_bytes: u64,
}

/// How many index files are small before they are joined where nothing else is to be done.
const MANY_SMALL_FILES: usize = 16;

/// How many packs are small before it is worth while to repack them.
const MANY_SMALL_PACKS: usize = 10;

/// A pack, and how much of it is needed.
#[derive(Debug, Clone, Copy)]
struct Used<'a> {
    number: PackNumber,
    pack: &'a Pack,
    usage: Usage,
}

/// What decides about packs.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    max_unused_percent: f64,
    /// Packs below this size are small; 0 for none.
    small_bytes: u64,
    repack_uncompressed: bool,
}

/// The packs that go.
#[derive(Debug, Default, PartialEq, Eq)]
struct Decision {
    unused: BTreeSet<PackNumber>,
    repack: BTreeSet<PackNumber>,
    waste_left_bytes: u64,
}

impl Plan {
    /// Decides what goes.
    pub(super) fn make(session: &Session, packs: &Packs, options: &PruneOptions) -> Self {
        let usage = packs.usage();
        let used: Vec<_> = packs
            .all
            .iter()
            .map(|(number, pack)| Used {
                number: *number,
                pack,
                usage: usage.get(number).copied().unwrap_or_default(),
            })
            .collect();
        let small_bytes = match options.repack_small {
            true => options.limits.pack_size.bytes() / 5 * 4,
            false => 0,
        };
        let can_compress = session.repository.config().version >= 2;
        let decision = decide(
            &used,
            Bounds {
                max_unused_percent: options.max_unused_percent,
                small_bytes,
                repack_uncompressed: options.repack_uncompressed && can_compress,
            },
        );
        let goes = |number: &PackNumber| {
            decision.unused.contains(number) || decision.repack.contains(number)
        };
        let sizes = |numbers: &BTreeSet<PackNumber>| -> BTreeMap<Id, u64> {
            let of_numbers = numbers.iter().filter_map(|number| packs.all.get(number));
            of_numbers.map(|pack| (pack.id, pack.size_bytes)).collect()
        };
        let moved = decision
            .repack
            .iter()
            .filter_map(|number| usage.get(number));
        Self {
            unused: sizes(&decision.unused),
            repacked: sizes(&decision.repack),
            unindexed: unindexed(session, packs),
            absent: packs.absent.clone(),
            index: to_rewrite(&packs.files, goes),
            moved_bytes: moved.map(|usage| usage.bytes).sum(),
            waste_left_bytes: decision.waste_left_bytes,
            to_repack: decision.repack,
        }
    }

    /// Whether there is nothing to do.
    pub(super) fn is_nothing(&self) -> bool {
        self.index.is_empty() && self.data().next().is_none()
    }

    /// The packs that go.
    pub(super) fn data(&self) -> impl Iterator<Item = Id> + '_ {
        let kinds = [&self.unused, &self.repacked, &self.unindexed, &self.absent];
        kinds.into_iter().flat_map(|packs| packs.keys().copied())
    }

    /// Whether a file goes.
    pub(super) fn names(&self, name: FileName) -> bool {
        let Some(id) = name.id() else {
            return false;
        };
        match name.kind() {
            FileType::Index => self.index.contains(&id),
            FileType::Data => {
                let kinds = [&self.unused, &self.repacked, &self.unindexed, &self.absent];
                kinds.into_iter().any(|packs| packs.contains_key(&id))
            }
            _ => false,
        }
    }
}

/// The packs that some copy lists and no index file names.
fn unindexed(session: &Session, packs: &Packs) -> BTreeMap<Id, u64> {
    let is_named =
        |id: &Id| packs.index.pack_number(*id).is_some() || packs.absent.contains_key(id);
    let listed = session
        .ready()
        .flat_map(|(_, ready)| ready.listing.data.iter());
    listed
        .filter(|entry: &FileEntry| !is_named(&entry.id))
        .map(|entry| (entry.id, entry.size_bytes))
        .collect()
}

/// Decides which packs go, and which of these are repacked.
fn decide(packs: &[Used<'_>], bounds: Bounds) -> Decision {
    let mut decision = Decision::default();
    let mut candidates = Vec::new();
    let mut small = Vec::new();
    let mut needed_bytes = 0_u64;
    for used in packs {
        needed_bytes = needed_bytes.saturating_add(used.usage.bytes);
        if used.usage.blobs == 0 {
            decision.unused.insert(used.number);
        } else if used.waste_bytes() > 0 || used.must_go(bounds) {
            decision.waste_left_bytes += used.waste_bytes();
            candidates.push(*used);
        } else if used.pack.size_bytes < bounds.small_bytes {
            small.push(used.number);
        }
    }
    // The most wasteful first, of those that need not go anyway; which of equals is not left to
    // chance.
    candidates.sort_by_key(|used| {
        let waste = Reverse(used.waste_in_millionths());
        (!used.must_go(bounds), waste, used.pack.id)
    });
    let most_bytes = most_waste_bytes(needed_bytes, bounds.max_unused_percent);
    for used in candidates {
        let is_small = used.pack.size_bytes < bounds.small_bytes;
        if used.must_go(bounds) || is_small || decision.waste_left_bytes > most_bytes {
            decision.repack.insert(used.number);
            decision.waste_left_bytes -= used.waste_bytes();
        }
    }
    if small.len() >= MANY_SMALL_PACKS {
        decision.repack.extend(small);
    }
    decision
}

impl Used<'_> {
    fn waste_bytes(&self) -> u64 {
        self.pack.blob_bytes.saturating_sub(self.usage.bytes)
    }

    /// How much of it is waste.
    fn waste_in_millionths(&self) -> u128 {
        let whole = u128::from(self.pack.blob_bytes).max(1);
        u128::from(self.waste_bytes()) * 1_000_000 / whole
    }

    /// Whether it is repacked however little of it is waste.
    fn must_go(&self, bounds: Bounds) -> bool {
        match self.pack.kind {
            PackKind::Mixed => true,
            PackKind::Trees if self.waste_bytes() > 0 => true,
            _ => bounds.repack_uncompressed && self.pack.has_uncompressed,
        }
    }
}

/// How much waste may stay beside what is needed, so that it is no more than this part of both.
fn most_waste_bytes(needed_bytes: u64, max_unused_percent: f64) -> u64 {
    if max_unused_percent >= 100.0 {
        return u64::MAX;
    }
    let percent = max_unused_percent.max(0.0);
    // What is beyond 52 bits of a size is no matter here.
    (needed_bytes as f64 * percent / (100.0 - percent)) as u64
}

/// The index files that are written anew.
fn to_rewrite(
    files: &BTreeMap<Id, NamedPacks>,
    goes: impl Fn(&PackNumber) -> bool,
) -> BTreeSet<Id> {
    let is_wrong = |file: &NamedPacks| file.names_absent || file.packs.iter().any(&goes);
    let is_small = |file: &NamedPacks| file.blobs < MAX_BLOBS_PER_INDEX_FILE / 2;
    let of = |is_so: &dyn Fn(&NamedPacks) -> bool| -> BTreeSet<Id> {
        let so = files.iter().filter(|(_, file)| is_so(file));
        so.map(|(id, _)| *id).collect()
    };
    let mut rewritten = of(&is_wrong);
    let small = of(&is_small);
    if !rewritten.is_empty() || small.len() >= MANY_SMALL_FILES {
        rewritten.extend(small);
    }
    rewritten
}

#[cfg(test)]
mod tests {
    use strongroom_repo::Index;

    use super::*;

    const BOUNDS: Bounds = Bounds {
        max_unused_percent: 5.0,
        small_bytes: 0,
        repack_uncompressed: false,
    };

    /// Packs of a hundred bytes in ten blobs, of which so many are needed.
    fn packs(needed: &[(u64, PackKind)]) -> Vec<Pack> {
        let of = |(number, (_, kind)): (usize, &(u64, PackKind))| Pack {
            id: Id::from_bytes([u8::try_from(number).unwrap(); 32]),
            size_bytes: 100,
            blob_bytes: 100,
            blobs: 10,
            kind: *kind,
            has_uncompressed: number == 0,
        };
        needed.iter().enumerate().map(of).collect()
    }

    /// The positions of packs that go unused, and of those that are repacked; and the waste left.
    fn decided(needed: &[(u64, PackKind)], bounds: Bounds) -> (Vec<usize>, Vec<usize>, u64) {
        let index = Index::new();
        let packs = packs(needed);
        let numbers: Vec<_> = packs.iter().map(|_| index.open_pack()).collect();
        let used: Vec<_> = packs
            .iter()
            .zip(&numbers)
            .zip(needed)
            .map(|((pack, number), (blobs, _))| Used {
                number: *number,
                pack,
                usage: Usage {
                    blobs: *blobs,
                    bytes: blobs * 10,
                },
            })
            .collect();
        let Decision {
            unused,
            repack,
            waste_left_bytes,
        } = decide(&used, bounds);
        let places = |chosen: &BTreeSet<PackNumber>| {
            let all = numbers.iter().enumerate();
            let chosen = all.filter(|(_, number)| chosen.contains(*number));
            chosen.map(|(place, _)| place).collect::<Vec<_>>()
        };
        (places(&unused), places(&repack), waste_left_bytes)
    }

    #[test]
    fn the_most_wasteful_packs_are_repacked_until_what_is_left_is_within_bounds() {
        use PackKind::Data;
        let needed = [
            (10, Data),
            (0, Data),
            (9, Data),
            (2, Data),
            (8, Data),
            (10, Data),
        ];
        // 390 bytes are needed: 20 of waste may stay.
        assert_eq!(decided(&needed, BOUNDS), (vec![1], vec![3, 4], 10));
        let none = Bounds {
            max_unused_percent: 0.0,
            ..BOUNDS
        };
        assert_eq!(decided(&needed, none), (vec![1], vec![2, 3, 4], 0));
        let all = Bounds {
            max_unused_percent: 100.0,
            ..BOUNDS
        };
        assert_eq!(decided(&needed, all), (vec![1], vec![], 110));
    }

    #[test]
    fn packs_of_trees_keep_no_waste_and_mixed_ones_are_taken_apart() {
        let kinds = [
            (10, PackKind::Trees),
            (9, PackKind::Trees),
            (10, PackKind::Mixed),
            (9, PackKind::Data),
        ];
        let lax = Bounds {
            max_unused_percent: 50.0,
            ..BOUNDS
        };
        assert_eq!(decided(&kinds, lax), (vec![], vec![1, 2], 10));
    }

    #[test]
    fn small_packs_and_such_as_are_not_compressed_are_repacked_where_that_is_asked_for() {
        let whole = [(10, PackKind::Data); 10];
        assert_eq!(decided(&whole, BOUNDS), (vec![], vec![], 0));
        let small = Bounds {
            small_bytes: 101,
            ..BOUNDS
        };
        assert_eq!(decided(&whole, small).1.len(), 10);
        // Too few to be worth while.
        assert_eq!(decided(&whole[1..], small).1, Vec::<usize>::new());
        let compressed = Bounds {
            repack_uncompressed: true,
            ..BOUNDS
        };
        assert_eq!(decided(&whole, compressed).1, [0]);
    }

    #[test]
    fn index_files_that_name_what_goes_take_small_ones_with_them() {
        let index = Index::new();
        let (goes, stays) = (index.open_pack(), index.open_pack());
        let file = |packs: &[PackNumber], blobs| NamedPacks {
            blobs,
            packs: packs.iter().copied().collect(),
            ..NamedPacks::default()
        };
        let id = |text: &str| Id::of(text.as_bytes());
        let full = MAX_BLOBS_PER_INDEX_FILE;
        let mut files = BTreeMap::from([
            (id("full"), file(&[stays], full)),
            (id("small"), file(&[stays], 7)),
        ]);
        let rewritten = |files: &BTreeMap<Id, NamedPacks>| to_rewrite(files, |one| *one == goes);
        assert_eq!(rewritten(&files), BTreeSet::new());
        files.insert(id("wrong"), file(&[stays, goes], full));
        assert_eq!(
            rewritten(&files),
            BTreeSet::from([id("wrong"), id("small")])
        );
        files.remove(&id("wrong"));
        for number in 0..MANY_SMALL_FILES {
            files.insert(id(&number.to_string()), file(&[stays], 1));
        }
        assert_eq!(rewritten(&files).len(), MANY_SMALL_FILES + 1);
    }
}
