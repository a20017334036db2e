//! What a new receipt changes, found by merging two lists that are in the same order.
//!
//! A client tells the difference to the receipt before, its parent. The vault keeps the receipts
//! of one client and source in one row, a *lineage*, in the order in which they came, and of each
//! file from which position to which it is needed. So the difference to the parent becomes one to
//! the *tip*, the receipt that came last: the same where the parent is the tip, and something else
//! where a client began anew, or two runs built on one parent.
//!
//! No more is in memory than the receipt and what it changes.
//!
//! What can go wrong: a difference that does not belong to its parent; it is refused whole, as
//! [`Chain`](strongroom_model::receipt::Chain) does.

use std::collections::BTreeSet;
use std::iter::Peekable;

use strongroom_model::receipt::NeedsChange;
use strongroom_model::{FileName, FileType, Id};

/// The difference between what a new receipt needs and what the tip does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// What the tip does not need.
    pub added: Vec<FileName>,
    /// What only the tip needs.
    pub dropped: Vec<FileName>,
}

impl Difference {
    /// How many files it names.
    pub fn files(&self) -> u64 {
        (self.added.len() + self.dropped.len()) as u64
    }

    /// Its files from a place on, counted over all of them, at most `most`: first those that are
    /// dropped. Empty behind the last one.
    #[must_use]
    pub fn part(&self, from: usize, most: usize) -> Self {
        let until = from.saturating_add(most);
        let cut = |names: &[FileName], before: usize| {
            let place = |at: usize| at.saturating_sub(before).min(names.len());
            let some = names.get(place(from)..place(until));
            some.unwrap_or_default().to_vec()
        };
        Self {
            added: cut(&self.added, self.dropped.len()),
            dropped: cut(&self.dropped, 0),
        }
    }
}

/// A merge on its way.
pub struct Merge<'r> {
    said: Peekable<Box<dyn Iterator<Item = (FileName, Said)> + 'r>>,
    found: Difference,
}

/// What a receipt says of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Added,
    Dropped,
    /// Both, which cannot be.
    Both,
    /// A key: those are named in full.
    Needed,
}

impl<'r> Merge<'r> {
    /// A receipt that tells this difference to its parent.
    pub fn new(change: &'r NeedsChange) -> Self {
        let keys = change
            .keys
            .iter()
            .map(|id| (FileName::new(FileType::Keys, *id), Said::Needed));
        let said: Box<dyn Iterator<Item = _>> = Box::new(keys.chain(changes(change)));
        Self {
            said: said.peekable(),
            found: Difference::default(),
        }
    }

    /// The next file that the lineage knows, and whether parent and tip need it. Names ascend.
    ///
    /// # Errors
    /// Says in one line why the difference does not belong to the parent.
    pub fn row(&mut self, name: FileName, at_parent: bool, at_tip: bool) -> Result<(), String> {
        while let Some((before, said)) = self.said.next_if(|(said, _)| *said < name) {
            self.settle(before, Some(said), false, false)?;
        }
        let said = self.said.next_if(|(said, _)| *said == name);
        self.settle(name, said.map(|(_, said)| said), at_parent, at_tip)
    }

    /// Ends the merge behind the last file.
    ///
    /// # Errors
    /// As [`Merge::row`].
    pub fn finish(mut self) -> Result<Difference, String> {
        while let Some((name, said)) = self.said.next() {
            self.settle(name, Some(said), false, false)?;
        }
        Ok(self.found)
    }

    fn settle(
        &mut self,
        name: FileName,
        said: Option<Said>,
        at_parent: bool,
        at_tip: bool,
    ) -> Result<(), String> {
        let short = || name.id().unwrap_or_default().short();
        let what = match name.kind() {
            FileType::Index => "index",
            _ => "pack",
        };
        let is_needed = match said {
            _ if name.kind() == FileType::Keys => said.is_some(),
            None => at_parent,
            Some(Said::Both) => {
                return Err(format!("it adds and drops {what} {}", short()));
            }
            Some(Said::Added) if at_parent => {
                return Err(format!("it adds {what} {} a second time", short()));
            }
            Some(Said::Dropped) if !at_parent => {
                return Err(format!("it drops {what} {}, which was not needed", short()));
            }
            Some(Said::Added | Said::Needed) => true,
            Some(Said::Dropped) => false,
        };
        match (is_needed, at_tip) {
            (true, false) => self.found.added.push(name),
            (false, true) => self.found.dropped.push(name),
            (true, true) | (false, false) => {}
        }
        Ok(())
    }
}

/// The packs and index files of which a receipt says something, in order.
pub fn names(change: &NeedsChange) -> impl Iterator<Item = FileName> {
    changes(change).map(|(name, _)| name)
}

fn changes(change: &NeedsChange) -> impl Iterator<Item = (FileName, Said)> {
    let packs = said_of(FileType::Data, &change.packs_added, &change.packs_dropped);
    packs.chain(said_of(
        FileType::Index,
        &change.index_added,
        &change.index_dropped,
    ))
}

fn said_of<'r>(
    kind: FileType,
    added: &'r BTreeSet<Id>,
    dropped: &'r BTreeSet<Id>,
) -> impl Iterator<Item = (FileName, Said)> + 'r {
    added.union(dropped).map(move |id| {
        let said = match (added.contains(id), dropped.contains(id)) {
            (true, true) => Said::Both,
            (true, false) => Said::Added,
            (false, _) => Said::Dropped,
        };
        (FileName::new(kind, *id), said)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use strongroom_model::Needs;

    use super::*;

    fn ids(numbers: &BTreeSet<u8>) -> BTreeSet<Id> {
        numbers.iter().map(|number| Id::of(&[*number])).collect()
    }

    fn needs() -> impl Strategy<Value = Needs> {
        let some = || prop::collection::btree_set(0..12_u8, 0..8);
        (some(), some(), some()).prop_map(|(packs, index, keys)| Needs {
            packs: ids(&packs),
            index: ids(&index),
            keys: ids(&keys),
            config: Id::default(),
        })
    }

    /// All files but `config`, in order.
    fn files(needs: &Needs) -> BTreeSet<FileName> {
        needs.files().filter(|name| name.id().is_some()).collect()
    }

    fn merge(change: &NeedsChange, parent: &Needs, tip: &Needs) -> Result<Difference, String> {
        let (parent, tip) = (files(parent), files(tip));
        let mut merge = Merge::new(change);
        for name in parent.union(&tip) {
            merge.row(*name, parent.contains(name), tip.contains(name))?;
        }
        merge.finish()
    }

    proptest! {
        #[test]
        fn the_difference_leads_from_the_tip_to_what_the_receipt_needs(
            parent in needs(), tip in needs(), new in needs(),
        ) {
            let change = NeedsChange::between(&parent, &new);
            let found = merge(&change, &parent, &tip).unwrap();
            let mut at = files(&tip);
            for name in &found.dropped {
                prop_assert!(at.remove(name));
            }
            for name in &found.added {
                prop_assert!(at.insert(*name));
            }
            prop_assert_eq!(at, files(&new));
        }

        #[test]
        fn what_does_not_belong_to_the_parent_is_refused(
            parent in needs(), tip in needs(), other in needs(), new in needs(),
        ) {
            let change = NeedsChange::between(&other, &new);
            let belongs = change.packs_added.is_disjoint(&parent.packs)
                && change.packs_dropped.is_subset(&parent.packs)
                && change.index_added.is_disjoint(&parent.index)
                && change.index_dropped.is_subset(&parent.index);
            prop_assert_eq!(merge(&change, &parent, &tip).is_ok(), belongs);
        }
    }

    #[test]
    fn the_parts_of_a_difference_are_all_of_it() {
        let name = |number: u8| FileName::new(FileType::Data, Id::of(&[number]));
        for (added, dropped) in [(0, 0), (1, 0), (0, 7), (10, 5), (3, 9), (4, 8)] {
            let all = Difference {
                added: (0..added).map(name).collect(),
                dropped: (100..100 + dropped).map(name).collect(),
            };
            let mut found = Difference::default();
            for from in (0..all.files() as usize).step_by(4) {
                let part = all.part(from, 4);
                assert!((1..=4).contains(&part.files()));
                found.added.extend(part.added);
                found.dropped.extend(part.dropped);
            }
            assert_eq!(found, all);
            assert_eq!(all.part(all.files() as usize, 4), Difference::default());
        }
    }

    #[test]
    fn to_add_and_drop_one_file_is_refused() {
        let both = BTreeSet::from([Id::of(b"x")]);
        let change = NeedsChange {
            packs_added: both.clone(),
            packs_dropped: both,
            ..NeedsChange::default()
        };
        let refused = merge(&change, &Needs::default(), &Needs::default());
        assert!(refused.unwrap_err().contains("adds and drops"));
    }
}
