//! Snapshots that somebody else's record hides and that may be seen again: what they need stays.
//!
//! This machine finishes such a record 7 days after it saw it first, and until then a person may
//! take it back. Whoever has the repository's key can write one that names every snapshot; were it
//! the last word, the next prune would find that nothing is needed, and name all of it in a record
//! of our own.
//!
//! What can go wrong: one of them cannot be read, or not all that it needs is there. That is in
//! nobody's way, for it counts as removed; and where it lies all packs stay until the record is due.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;
use strongroom_model::{FileType, Id};

use crate::Result;
use crate::lead::READERS;
use crate::parallel::for_each;
use crate::session::{Cancel, CopyStore, Session};
use crate::snapshots;

/// The root trees of the snapshots that a record hides and some copy still has, where any record
/// may still be taken back.
///
/// # Errors
/// Where the user interrupts.
pub(super) fn roots(session: &Session, cancel: &Cancel) -> Result<BTreeSet<Id>> {
    if session.removals.are_all_due() {
        return Ok(BTreeSet::new());
    }
    let mut holders: BTreeMap<Id, Vec<&CopyStore>> = BTreeMap::new();
    for (copy, ready) in session.ready() {
        let names = ready.removed.iter().map(|file| file.name);
        let hidden = names.filter(|name| name.kind() == FileType::Snapshots);
        for id in hidden.filter_map(|name| name.id()) {
            holders.entry(id).or_default().push(copy);
        }
    }
    let holders: Vec<_> = holders.into_iter().collect();
    let roots = Mutex::new(BTreeSet::new());
    for_each(&holders, READERS, |(id, copies)| {
        cancel.check()?;
        match snapshots::read(session, *id, copies) {
            Ok(snapshot) => {
                roots.lock().insert(snapshot.tree);
            }
            Err(reason) => tracing::debug!(reason, "A hidden snapshot cannot be read"),
        }
        Ok(())
    })?;
    Ok(roots.into_inner())
}
