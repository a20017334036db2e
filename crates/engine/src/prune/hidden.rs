//! Snapshots that somebody else's record hides and that may be seen again: what they need stays.
//!
//! This machine finishes such a record 7 days after it saw it first, and until then a person may
//! take it back, or accept it. Whoever has the repository's key can write one that names every
//! snapshot; were it the last word, the next prune would find that nothing is needed, and name all of
//! it in a record of our own.
//!
//! What can go wrong: one of them cannot be read, not all that it needs is there, or the record names
//! packs or index files besides, so that nobody sees here what lies in them. Then nobody knows what
//! has to be there when it is taken back, and nothing is pruned until it is, or until it is due.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use parking_lot::Mutex;
use strongroom_model::{FileName, FileType, Id};

use crate::Result;
use crate::lead::READERS;
use crate::parallel::for_each;
use crate::prune::obstacles::Obstacles;
use crate::session::{Cancel, CopyStore, Session};
use crate::snapshots;

/// What to do where a record may still be taken back.
pub(super) const WAITING_HINT: &str = "see which: strongroom removals; if it was none of you: \
    strongroom forget --annul RECORD; if it was: strongroom removals --accept RECORD, or prune again \
    when it is 7 days old here";

/// The root trees of the snapshots that a record hides which may still be taken back; what cannot be
/// told of these is an obstacle.
///
/// # Errors
/// Where the user interrupts.
pub(super) fn roots(
    session: &Session,
    obstacles: &Obstacles,
    cancel: &Cancel,
) -> Result<BTreeSet<Id>> {
    let removals = &session.removals;
    if removals.are_all_due() {
        return Ok(BTreeSet::new());
    }
    let mut holders: BTreeMap<Id, Vec<&CopyStore>> = BTreeMap::new();
    let mut left: HashSet<FileName> = HashSet::new();
    for (copy, ready) in session.ready() {
        let names = ready.removed.iter().map(|file| file.name);
        left.extend(names.clone());
        let hidden = names.filter(|name| name.kind() == FileType::Snapshots);
        for id in hidden.filter_map(|name| name.id()) {
            holders.entry(id).or_default().push(copy);
        }
    }
    let mut hidden: BTreeMap<Id, Id> = BTreeMap::new();
    for (record, removal, is_due) in removals.unfinished() {
        // Of what waits only for records that are unread nothing may be left.
        if is_due && !removal.files().any(|name| left.contains(&name)) {
            continue;
        }
        let mut others = 0_usize;
        for name in removal.files().filter(|name| !removals.may_go(*name)) {
            match (name.kind(), name.id()) {
                (FileType::Snapshots, Some(id)) => {
                    hidden.insert(id, record);
                }
                _ => others += 1,
            }
        }
        if others > 0 {
            obstacles.note(format!(
                "record {record}, which this machine did not write and which may still be taken \
                 back, names {others} index files and packs"
            ));
        }
    }
    let hidden: Vec<_> = hidden.into_iter().collect();
    let roots = Mutex::new(BTreeSet::new());
    for_each(&hidden, READERS, |(id, record)| {
        cancel.check()?;
        let copies = holders.get(id).map(Vec::as_slice).unwrap_or_default();
        match snapshots::read(session, *id, copies) {
            Ok(snapshot) => {
                roots.lock().insert(snapshot.tree);
            }
            Err(reason) => {
                tracing::debug!(reason, "A hidden snapshot cannot be read");
                obstacles.note(format!(
                    "record {record}, which this machine did not write and which may still be \
                     taken back, names snapshot {}, which no copy gives",
                    id.short()
                ));
            }
        }
        Ok(())
    })?;
    Ok(roots.into_inner())
}
