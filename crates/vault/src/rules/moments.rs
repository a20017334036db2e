//! Which moments are needed still: those at which something was done that can yet be seen, or
//! undone, by its time.
//!
//! A moment is a recorded time and the leaf from which on it holds. A time T is turned into a number
//! of leaves: the first leaf of the first moment behind T. All that is made of such a number `n` is
//! to compare it with the leaves that objects speak of: a life has begun where `began < n`. So two
//! numbers are the same to everybody where no object speaks of a leaf between them, and a moment is
//! needed by nobody where no object speaks of any leaf of its own: without it the times before it
//! are turned into the first leaf of the next moment instead.
//!
//! What can go wrong: a moment goes that is the last one. More leaves may come that have its time,
//! and these would be taken for earlier ones. So the last of those that are looked at always stays.

/// How many leaves marks are about at most: a bit each, 8 MiB in all.
pub const MOST_LEAVES: u64 = 1 << 26;

/// The bits of a word.
const BITS: u64 = 64;

/// Of which leaves objects speak, among those of a range.
#[derive(Clone, Debug)]
pub struct Marks {
    first: u64,
    before: u64,
    words: Vec<u64>,
}

impl Marks {
    /// Of none of the leaves from `first` on and before `before`, and of no more of them than
    /// [`MOST_LEAVES`].
    pub fn new(first: u64, before: u64) -> Self {
        let before = before.min(first.saturating_add(MOST_LEAVES));
        let words = before.saturating_sub(first).div_ceil(BITS);
        Self {
            first,
            before,
            words: vec![0; usize::try_from(words).unwrap_or_default()],
        }
    }

    /// Before which leaf the range ends.
    pub const fn before(&self) -> u64 {
        self.before
    }

    /// Notes that an object speaks of a leaf; one of another range is none of these.
    pub fn mark(&mut self, leaf: u64) {
        if let Some((place, bit)) = self.place(leaf)
            && let Some(word) = self.words.get_mut(place)
        {
            *word |= 1_u64 << bit;
        }
    }

    /// Those of some moments, given by their first leaves in order, that nobody needs. Never the
    /// last one, nor one whose leaves are not all in the range.
    pub fn unneeded(&self, first_leaves: &[u64]) -> Vec<u64> {
        let periods = first_leaves.iter().zip(first_leaves.iter().skip(1));
        let unneeded = periods.filter(|(first, next)| !self.may_speak_of(**first, **next));
        unneeded.map(|(first, _)| *first).collect()
    }

    /// Whether an object speaks of a leaf from `from` on and before `before`, or that is not known.
    fn may_speak_of(&self, from: u64, before: u64) -> bool {
        if from < self.first || before > self.before {
            return true;
        }
        let mut at = from;
        while at < before {
            let Some((place, bit)) = self.place(at) else {
                return true;
            };
            let looked_at = (before - at).min(BITS - bit);
            let word = self.words.get(place).copied().unwrap_or(u64::MAX);
            if (word >> bit) & (u64::MAX >> (BITS - looked_at)) != 0 {
                return true;
            }
            at += looked_at;
        }
        false
    }

    /// The word of a leaf, and its bit there.
    fn place(&self, leaf: u64) -> Option<(usize, u64)> {
        if leaf >= self.before {
            return None;
        }
        let offset = leaf.checked_sub(self.first)?;
        Some((usize::try_from(offset / BITS).ok()?, offset % BITS))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_moment_is_needed_where_a_leaf_of_its_own_is_spoken_of(
            first in 0..200_u64,
            length in 0..400_u64,
            spoken in prop::collection::btree_set(0..700_u64, 0..40),
            moments in prop::collection::btree_set(0..700_u64, 0..60),
        ) {
            let mut marks = Marks::new(first, first + length);
            for leaf in &spoken {
                marks.mark(*leaf);
            }
            let moments: Vec<u64> = moments.into_iter().collect();
            let unneeded: BTreeSet<u64> = marks.unneeded(&moments).into_iter().collect();
            for (at, moment) in moments.iter().enumerate() {
                let expected = moments.get(at + 1).is_some_and(|next| {
                    *moment >= first
                        && *next <= first + length
                        && spoken.range(*moment..*next).next().is_none()
                });
                prop_assert_eq!(unneeded.contains(moment), expected, "{}", moment);
            }
        }
    }

    #[test]
    fn a_range_is_no_larger_than_its_bound() {
        let marks = Marks::new(5, u64::MAX);
        assert_eq!(marks.before(), 5 + MOST_LEAVES);
        assert_eq!(Marks::new(9, 3).unneeded(&[3, 4]), [] as [u64; 0]);
    }
}
