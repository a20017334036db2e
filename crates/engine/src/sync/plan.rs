//! What is to be done, from listings alone.

use std::collections::BTreeSet;

use strongroom_model::{FileEntry, FileName, FileType};

use crate::Listing;

/// A copy, as far as the plan needs it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Side<'a> {
    pub(crate) listing: &'a Listing,
    /// Files that are said to be wrong there.
    pub(crate) suspects: &'a BTreeSet<FileName>,
    /// Whether it gives and takes; otherwise it only helps out with what others are to have.
    pub(crate) takes_part: bool,
}

/// A file with which something is to be done. Copies are numbered as the sides are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) name: FileName,
    /// The most bytes that any copy has of it.
    pub(crate) size_bytes: u64,
    /// Where it is, right or wrong, with its size there.
    pub(crate) holders: Vec<(usize, u64)>,
    /// Holders whose file may be wrong: it is suspected, or the holders disagree about its size.
    pub(crate) doubtful: Vec<usize>,
    /// Where it is not.
    pub(crate) lacking: Vec<usize>,
}

/// Lists the files of a type that some side lacks, or that may be wrong somewhere.
pub(crate) fn plan(kind: FileType, sides: &[Side<'_>]) -> Vec<Item> {
    let mut all = Vec::new();
    for (number, side) in sides.iter().enumerate() {
        let files = side.listing.of(kind).into_iter();
        all.extend(
            files
                .flat_map(|files| files.iter())
                .map(|entry| (entry, number)),
        );
    }
    all.sort_unstable();
    let of_files = all.chunk_by(|(one, _), (other, _)| one.id == other.id);
    of_files
        .filter_map(|of_file| item(kind, of_file, sides))
        .collect()
}

fn item(kind: FileType, of_file: &[(FileEntry, usize)], sides: &[Side<'_>]) -> Option<Item> {
    let (largest, _) = of_file.last()?;
    let name = FileName::new(kind, largest.id);
    let takes_part = |number: usize| sides.get(number).is_some_and(|side| side.takes_part);
    if !of_file.iter().any(|(_, number)| takes_part(*number)) {
        return None;
    }
    let sizes_differ = of_file
        .iter()
        .any(|(entry, _)| entry.size_bytes != largest.size_bytes);
    let is_suspect = |number: usize| {
        sides
            .get(number)
            .is_some_and(|side| side.suspects.contains(&name))
    };
    let holders: Vec<_> = of_file
        .iter()
        .map(|(entry, number)| (*number, entry.size_bytes))
        .collect();
    let doubtful: Vec<_> = holders
        .iter()
        .map(|(number, _)| *number)
        .filter(|number| takes_part(*number) && (sizes_differ || is_suspect(*number)))
        .collect();
    let lacking: Vec<_> = (0..sides.len())
        .filter(|number| takes_part(*number))
        .filter(|number| !holders.iter().any(|(holder, _)| holder == number))
        .collect();
    (!doubtful.is_empty() || !lacking.is_empty()).then_some(Item {
        name,
        size_bytes: largest.size_bytes,
        holders,
        doubtful,
        lacking,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Files;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use strongroom_model::Id;

    fn listing(files: &BTreeMap<u8, u64>) -> Listing {
        let entry = |(number, size_bytes): (&u8, &u64)| FileEntry {
            id: Id::of(&[*number]),
            size_bytes: *size_bytes,
        };
        Listing {
            data: Files::new(files.iter().map(entry).collect()),
            ..Listing::default()
        }
    }

    proptest! {
        #[test]
        fn the_plan_is_exactly_what_a_look_at_each_file_tells(
            copies in prop::collection::vec(
                (prop::collection::btree_map(0_u8..12, 1_u64..3, 0..12), any::<bool>()), 1..4,
            ),
        ) {
            let listings: Vec<_> = copies.iter().map(|(files, _)| listing(files)).collect();
            let none = BTreeSet::new();
            let sides: Vec<_> = listings
                .iter()
                .zip(&copies)
                .map(|(listing, (_, takes_part))| Side {
                    listing,
                    suspects: &none,
                    takes_part: *takes_part,
                })
                .collect();
            let planned: BTreeMap<_, _> = plan(FileType::Data, &sides)
                .into_iter()
                .map(|item| (item.name, item))
                .collect();
            for file in 0..12 {
                let name = FileName::new(FileType::Data, Id::of(&[file]));
                let wanted = copies.iter().any(|(files, part)| *part && files.contains_key(&file));
                let sizes: BTreeSet<_> =
                    copies.iter().filter_map(|(files, _)| files.get(&file)).collect();
                let lacking: Vec<_> = (0..copies.len())
                    .filter(|n| wanted && copies[*n].1 && !copies[*n].0.contains_key(&file))
                    .collect();
                let doubtful: Vec<_> = (0..copies.len())
                    .filter(|n| wanted && copies[*n].1 && copies[*n].0.contains_key(&file))
                    .filter(|_| sizes.len() > 1)
                    .collect();
                match planned.get(&name) {
                    None => prop_assert!(lacking.is_empty() && doubtful.is_empty()),
                    Some(item) => {
                        let mut found = item.doubtful.clone();
                        found.sort_unstable();
                        prop_assert_eq!(&item.lacking, &lacking);
                        prop_assert_eq!(&found, &doubtful);
                    }
                }
            }
        }
    }
}
