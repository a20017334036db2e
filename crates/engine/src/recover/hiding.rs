//! What the records of a copy hide of what is recovered: they come with it, and whoever opens it
//! next takes what they name for removed on purpose.
//!
//! **Security:** whoever has the repository's key may have written them. So it is told, where there is
//! the password, and they can be left out. Whoever writes more of them than are looked at is told too,
//! and so is one that lies between more versions than are tried here: it is found later and comes as well,
//! and may hide what he likes.

use std::collections::{BTreeMap, BTreeSet};

use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::Key;
use strongroom_repo::record::{Record, Removal};

use crate::Result;
use crate::recover::ByKind;
use crate::recover::config::right_bytes;
use crate::recover::files::File;
use crate::recover::source::Source;

/// The most records that are read, and the most snapshots that are counted.
const MOST_READ: usize = 1000;
const MOST_COUNTED: usize = 1_000_000;

/// What a removal hides.
struct Hides {
    snapshots: Vec<Id>,
    by: String,
}

/// Notes of how many snapshots are hidden and by whom, and of how many records that was not looked
/// at.
///
/// # Errors
/// As [`Source::read`].
pub(super) fn notes(source: &Source<'_>, files: &ByKind, key: &Key) -> Result<Vec<String>> {
    let of_kind = |kind: FileType| {
        let found = files.iter().find(|(of, _)| *of == kind);
        let found = found.map(|(_, files)| files.as_slice());
        found.unwrap_or_default()
    };
    let snapshots = of_kind(FileType::Snapshots);
    let (mut removals, mut annulled) = (BTreeMap::new(), BTreeSet::new());
    let mut counted = 0_usize;
    let records = of_kind(FileType::Records);
    let mut unread = records.len().saturating_sub(MOST_READ);
    for file in records.iter().take(MOST_READ) {
        let (Some(id), Some(bytes)) = (file.name.id(), right_bytes(source, file)?) else {
            unread += usize::from(file.last().is_some());
            continue;
        };
        match Record::open(id, bytes, key) {
            Ok(Record::Removal(_)) if counted >= MOST_COUNTED => unread += 1,
            Ok(Record::Removal(removal)) => {
                let hides = Hides::of(&removal, snapshots);
                counted = counted.saturating_add(hides.snapshots.len());
                removals.insert(id, hides);
            }
            Ok(Record::Annulment(annulment)) => {
                annulled.insert(annulment.record);
            }
            Ok(Record::Holds(_)) | Err(_) => {}
        }
    }
    removals.retain(|id, hides| !annulled.contains(id) && !hides.snapshots.is_empty());
    let hidden: BTreeSet<_> = removals
        .values()
        .flat_map(|hides| &hides.snapshots)
        .collect();
    let by: BTreeSet<_> = removals.values().map(|hides| hides.by.as_str()).collect();
    let mut notes = Vec::new();
    if !hidden.is_empty() {
        let by: Vec<_> = by.into_iter().take(3).collect();
        notes.push(format!(
            "Records hide {} of the snapshots that come with them, by {}: if that was not you, recover \
             with --without-records",
            hidden.len(),
            by.join(", "),
        ));
    }
    if unread > 0 {
        notes.push(format!(
            "Of {} records {unread} were not looked at, and may hide snapshots: unless you know of \
             them, recover with --without-records",
            records.len()
        ));
    }
    Ok(notes)
}

impl Hides {
    fn of(removal: &Removal, snapshots: &[File]) -> Self {
        let named = removal.snapshots.iter().copied();
        let is_there = |id: &Id| {
            let name = FileName::new(FileType::Snapshots, *id);
            snapshots
                .binary_search_by_key(&name, |file| file.name)
                .is_ok()
        };
        Self {
            snapshots: named.filter(is_there).collect(),
            by: format!("{} at {}", removal.host, removal.at),
        }
    }
}
