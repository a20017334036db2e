//! How many files each of many snapshots lacks, in one pass over all that is missing.

use std::collections::BTreeSet;

use strongroom_model::FileName;

/// How many names of missing files are told of one snapshot.
pub const NAMES_TOLD: usize = 10;

/// What is missing of some receipts of one lineage, given by their positions.
#[derive(Debug)]
pub struct Missing {
    /// In ascending order.
    positions: Vec<u64>,
    /// At each place, by how many more files are missing than at the place before.
    steps: Vec<i64>,
    names: Vec<Vec<FileName>>,
    /// The places that have not yet as many names as are told.
    wanting: BTreeSet<usize>,
}

impl Missing {
    /// Nothing is missing yet. The positions ascend.
    pub fn new(positions: Vec<u64>) -> Self {
        let count = positions.len();
        Self {
            positions,
            steps: vec![0; count + 1],
            names: vec![Vec::new(); count],
            wanting: (0..count).collect(),
        }
    }

    /// A file is missing that is needed from one position on, until before another.
    pub fn lack(&mut self, began: u64, ended: u64, name: FileName) {
        let first = self.positions.partition_point(|at| *at < began);
        let end = self.positions.partition_point(|at| *at < ended);
        if first >= end {
            return;
        }
        if let Some(step) = self.steps.get_mut(first) {
            *step += 1;
        }
        if let Some(step) = self.steps.get_mut(end) {
            *step -= 1;
        }
        let wanting: Vec<usize> = self.wanting.range(first..end).copied().collect();
        for place in wanting {
            let Some(names) = self.names.get_mut(place) else {
                continue;
            };
            names.push(name);
            if names.len() >= NAMES_TOLD {
                self.wanting.remove(&place);
            }
        }
    }

    /// For each position, in order, how many files are missing, and the first of them.
    pub fn finish(self) -> Vec<(u64, Vec<FileName>)> {
        let mut count = 0_i64;
        let counts = self.steps.into_iter().map(|step| {
            count += step;
            u64::try_from(count).unwrap_or_default()
        });
        counts.zip(self.names).collect()
    }
}

/// A key that is stored and that receipts name, from one position on until before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// The key.
    pub name: FileName,
    /// The first position.
    pub began: u64,
    /// The position behind the last one.
    pub ended: u64,
    /// Whether it opens anything: else it waits for an operator.
    pub is_live: bool,
}

/// The keys that are missing to a receipt though they are stored: all that wait for an operator,
/// where none of those that it names is live. A second key that waits is missing to nobody; but
/// where all wait, nothing opens.
pub fn waiting_keys(keys: &[StoredKey], position: u64) -> Vec<FileName> {
    let named = || {
        let is_named = |key: &&StoredKey| key.began <= position && position < key.ended;
        keys.iter().filter(is_named)
    };
    match named().any(|key| key.is_live) {
        true => Vec::new(),
        false => named().map(|key| key.name).collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use strongroom_model::{FileType, Id};

    use super::*;

    #[test]
    fn a_key_that_waits_is_missing_only_where_no_other_one_opens() {
        let key = |number, began, ended, is_live| StoredKey {
            name: name(number),
            began,
            ended,
            is_live,
        };
        let keys = [key(1, 0, 5, true), key(2, 3, 9, false), key(3, 7, 9, false)];
        assert_eq!(waiting_keys(&keys, 4), []);
        assert_eq!(waiting_keys(&keys, 5), [name(2)]);
        assert_eq!(waiting_keys(&keys, 8), [name(2), name(3)]);
        assert_eq!(waiting_keys(&keys, 9), []);
    }

    fn name(number: usize) -> FileName {
        FileName::new(FileType::Data, Id::of(&number.to_le_bytes()))
    }

    proptest! {
        #[test]
        fn counts_and_names_are_those_of_a_plain_look(
            positions in prop::collection::btree_set(0..60_u64, 0..20),
            lacks in prop::collection::vec((0..60_u64, 0..60_u64), 0..60),
        ) {
            let positions: Vec<u64> = positions.into_iter().collect();
            let mut missing = Missing::new(positions.clone());
            for (number, (began, ended)) in lacks.iter().enumerate() {
                missing.lack(*began, *ended, name(number));
            }
            let found = missing.finish();
            prop_assert_eq!(found.len(), positions.len());
            for (at, (count, names)) in positions.iter().zip(found) {
                let plain: Vec<FileName> = lacks
                    .iter()
                    .enumerate()
                    .filter(|(_, (began, ended))| began <= at && at < ended)
                    .map(|(number, _)| name(number))
                    .collect();
                prop_assert_eq!(count, plain.len() as u64);
                prop_assert_eq!(&names[..], &plain[..plain.len().min(NAMES_TOLD)]);
            }
        }
    }
}
