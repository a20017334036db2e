//! A part of the files of a snapshot, as a rehearsal takes one.
//!
//! Which part a file belongs to follows from its path and a seed alone, so that it stays there in
//! every later snapshot, and that all parts together are everything, whatever came meanwhile.

use std::collections::BTreeSet;

use strongroom_model::Id;

/// Which files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// One of several parts that are about equal.
    Slice {
        /// What divides, beside the paths.
        seed: Id,
        /// Which part, counted from 1.
        number: u32,
        /// How many parts there are.
        of: u32,
    },
    /// Files by their paths in the snapshot, without a slash before them.
    Named(BTreeSet<Vec<u8>>),
}

impl Part {
    /// Whether a file belongs to it, by its path without a slash before it.
    pub(crate) fn holds(&self, path: &[u8]) -> bool {
        match self {
            Self::Slice { seed, number, of } => slice_of(rank(seed, path), *of) == *number,
            Self::Named(paths) => paths.contains(path),
        }
    }
}

/// A number that follows from a seed and a path, and looks as if it was drawn at random.
pub(crate) fn rank(seed: &Id, path: &[u8]) -> u64 {
    let mut text = seed.as_bytes().to_vec();
    text.extend_from_slice(path);
    let digest = Id::of(&text);
    let first = digest.as_bytes().iter().take(8);
    first.fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

/// The part of several that a rank belongs to, counted from 1.
pub(crate) fn slice_of(rank: u64, of: u32) -> u32 {
    let number = rank.checked_rem(of.into()).unwrap_or_default();
    u32::try_from(number).unwrap_or_default().saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_in_exactly_one_part_and_the_parts_are_about_equal() {
        let seed = Id::of(b"seed");
        let of = 5;
        let parts: Vec<Part> = (1..=of)
            .map(|number| Part::Slice { seed, number, of })
            .collect();
        let mut counts = [0; 5];
        for number in 0..1000 {
            let path = format!("srv/git/{number}").into_bytes();
            let held: Vec<usize> = (0..5).filter(|part| parts[*part].holds(&path)).collect();
            assert_eq!(held.len(), 1, "{number}");
            counts[held[0]] += 1;
        }
        let is_fair = |count: &usize| (140..260).contains(count);
        assert!(counts.iter().all(is_fair), "{counts:?}");
    }

    #[test]
    fn another_seed_divides_otherwise_and_one_part_is_everything() {
        let path = |number: u32| format!("a/{number}").into_bytes();
        let taken = |seed: &[u8]| -> Vec<bool> {
            let seed = Id::of(seed);
            let (number, of) = (1, 2);
            let part = Part::Slice { seed, number, of };
            (0..64).map(|number| part.holds(&path(number))).collect()
        };
        assert_ne!(taken(b"one"), taken(b"two"));
        let seed = Id::of(b"one");
        let (number, of) = (1, 1);
        let all = Part::Slice { seed, number, of };
        assert!((0..64).all(|number| all.holds(&path(number))));
        assert_eq!(slice_of(7, 0), 1);
    }

    #[test]
    fn named_files_are_these_and_no_others() {
        let part = Part::Named([b"srv/a".to_vec()].into());
        assert!(part.holds(b"srv/a"));
        assert!(!part.holds(b"srv/a/b") && !part.holds(b"srv"));
    }
}
