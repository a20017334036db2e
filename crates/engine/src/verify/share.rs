//! Which part of the packs is read.
//!
//! Keys, index files, snapshots and `config` are always read whole: they are few, and everything
//! else hangs on them.

use strongroom_model::{FileEntry, Id};

use crate::Files;

/// Which packs are read.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Share {
    /// All of them.
    #[default]
    All,
    /// One of several slices, which together are all packs, wherever and whenever they are read.
    Slice {
        /// Which slice, from 1.
        number: u32,
        /// How many slices there are; 0 counts as 1.
        of: u32,
    },
    /// So many percent of the packs, rounded up, chosen by a seed: the same ones on every copy that
    /// holds the same packs.
    Random {
        /// From 0 to 100.
        percent: f64,
        /// Any number; another one chooses other packs.
        seed: u64,
    },
}

impl Share {
    /// The packs of a listing that belong to the share.
    pub(crate) fn of(self, packs: &Files) -> Vec<FileEntry> {
        match self {
            Self::All => packs.iter().collect(),
            Self::Slice { number, of } => {
                let of = u64::from(of.max(1));
                let slice = |id: Id| leading(id) % of + 1 == u64::from(number);
                packs.iter().filter(|pack| slice(pack.id)).collect()
            }
            Self::Random { percent, seed } => random(packs, percent, seed),
        }
    }
}

/// The packs whose ids, hashed with the seed, are the smallest.
fn random(packs: &Files, percent: f64, seed: u64) -> Vec<FileEntry> {
    let draw = |id: &Id| {
        let mut text = seed.to_le_bytes().to_vec();
        text.extend_from_slice(id.as_bytes());
        Id::of(&text)
    };
    let mut drawn: Vec<_> = packs.iter().map(|pack| (draw(&pack.id), pack)).collect();
    drawn.sort_unstable();
    let count = (drawn.len() as f64 * percent.clamp(0.0, 100.0) / 100.0).ceil();
    drawn.truncate(count as usize);
    drawn.into_iter().map(|(_, pack)| pack).collect()
}

/// The first bytes of a digest as a number.
fn leading(id: Id) -> u64 {
    let bytes = id.as_bytes().first_chunk();
    bytes.map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packs(count: u32) -> Files {
        let entry = |number: u32| FileEntry {
            id: Id::of(&number.to_le_bytes()),
            size_bytes: 1,
        };
        Files::new((0..count).map(entry).collect())
    }

    proptest! {
        #[test]
        fn every_pack_is_in_exactly_one_slice(count in 0_u32..300, of in 1_u32..20) {
            let all = packs(count);
            let mut read: Vec<_> = (1..=of)
                .flat_map(|number| Share::Slice { number, of }.of(&all))
                .collect();
            read.sort_unstable();
            prop_assert_eq!(read, all.iter().collect::<Vec<_>>());
        }

        #[test]
        fn a_random_share_has_its_size_and_is_the_same_for_a_seed(
            count in 0_u32..300, percent in 0.0..=100.0_f64, seed: u64,
        ) {
            let all = packs(count);
            let share = Share::Random { percent, seed };
            let wanted = (f64::from(count) * percent / 100.0).ceil() as usize;
            prop_assert_eq!(share.of(&all).len(), wanted);
            prop_assert_eq!(share.of(&all), share.of(&all));
        }
    }
}
