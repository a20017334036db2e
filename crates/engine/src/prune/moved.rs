//! Where everything is by now that was in packs which go, so that receipts can say it anew.
//!
//! What a snapshot needs is told by receipts pack by pack, and its trees are not read for this: of a
//! pack that goes, every pack counts in which anything of it lies that anybody needs. So a receipt may
//! come to name more than its snapshot needs, and never less.

use std::collections::{BTreeMap, BTreeSet};

use strongroom_model::{FileName, FileType, Id, Needs};

use crate::Result;
use crate::prune::packs::Packs;
use crate::prune::plan::Plan;
use crate::prune::repack::Written;
use crate::session::{Cancel, Session};

/// Where everything is after a prune.
#[derive(Debug, Clone, Default)]
pub struct Moved {
    /// Of each pack that goes, the packs in which that of it is now which is needed.
    packs: BTreeMap<Id, BTreeSet<Id>>,
    /// Of each pack that stays an index file that names it, by pack.
    index: Vec<(Id, Id)>,
}

impl Moved {
    /// What has moved, once all is repacked that the plan says; to be asked before the old index files
    /// go.
    ///
    /// # Errors
    /// [`Error::NotPruned`](crate::Error::NotPruned) where an index file cannot be read any more;
    /// where the user interrupts.
    pub(super) fn of(
        session: &Session,
        packs: &Packs,
        plan: &Plan,
        written: &Written,
        cancel: &Cancel,
    ) -> Result<Self> {
        let mut moved: BTreeMap<Id, BTreeSet<Id>> = BTreeMap::new();
        packs.each_again(session, &plan.index, cancel, |file| {
            for pack in file.packs {
                if !plan.names(FileName::new(FileType::Data, pack.id)) {
                    continue;
                }
                let blobs = pack.blobs.iter().map(|packed| packed.blob);
                let needed = blobs.filter(|blob| packs.index.is_marked(*blob));
                let now = needed.filter_map(|blob| Some(packs.index.get(blob)?.pack));
                moved.entry(pack.id).or_default().extend(now);
            }
            Ok(())
        })?;
        let kept = packs
            .files
            .iter()
            .filter(|(file, _)| !plan.index.contains(*file));
        let kept = kept.flat_map(|(file, named)| {
            let numbers = named.packs.iter();
            numbers.filter_map(move |number| Some((packs.all.get(number)?.id, *file)))
        });
        let mut index: Vec<(Id, Id)> = kept.chain(written.indexed.iter().copied()).collect();
        index.sort_unstable();
        index.dedup_by_key(|(pack, _)| *pack);
        Ok(Self {
            packs: moved,
            index,
        })
    }

    /// What a snapshot needs by now that needed this before; `None` where it cannot be told, since it
    /// needed what is in no index any more.
    pub fn needs_now(&self, before: &Needs) -> Option<Needs> {
        let mut packs = BTreeSet::new();
        for pack in &before.packs {
            match self.packs.get(pack) {
                Some(now) => packs.extend(now),
                None => drop(packs.insert(*pack)),
            }
        }
        let index = packs.iter().map(|pack| self.index_file_of(*pack));
        let index = index.collect::<Option<BTreeSet<Id>>>()?;
        Some(Needs {
            packs,
            index,
            keys: before.keys.clone(),
            config: before.config,
        })
    }

    fn index_file_of(&self, pack: Id) -> Option<Id> {
        let place = self.index.binary_search_by_key(&pack, |(pack, _)| *pack);
        let (_, file) = self.index.get(place.ok()?)?;
        Some(*file)
    }

    /// As if these packs had moved, and these index files named those that stay.
    #[cfg(test)]
    pub(crate) fn told(packs: BTreeMap<Id, BTreeSet<Id>>, index: BTreeMap<Id, Id>) -> Self {
        Self {
            packs,
            index: index.into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> Id {
        Id::of(text.as_bytes())
    }

    fn ids(texts: &[&str]) -> BTreeSet<Id> {
        texts.iter().map(|text| id(text)).collect()
    }

    fn needs(packs: &[&str], index: &[&str]) -> Needs {
        Needs {
            packs: ids(packs),
            index: ids(index),
            keys: ids(&["key"]),
            config: id("config"),
        }
    }

    #[test]
    fn what_has_moved_is_named_where_it_is_with_the_index_files_of_that() {
        let packs = BTreeMap::from([
            (id("half"), ids(&["new", "newer"])),
            (id("twice"), ids(&["stays"])),
            (id("waste"), ids(&[])),
        ]);
        let index = BTreeMap::from([
            (id("stays"), id("old index")),
            (id("new"), id("new index")),
            (id("newer"), id("new index")),
        ]);
        let moved = Moved::told(packs, index);
        let now = |packs: &[&str]| moved.needs_now(&needs(packs, &["gone index"]));
        assert_eq!(
            now(&["half", "stays"]),
            Some(needs(
                &["new", "newer", "stays"],
                &["new index", "old index"]
            ))
        );
        assert_eq!(now(&["twice"]), Some(needs(&["stays"], &["old index"])));
        assert_eq!(now(&["waste"]), Some(needs(&[], &[])));
        // What an earlier prune has moved, of which nothing tells here.
        assert_eq!(now(&["stays", "long gone"]), None);
    }
}
