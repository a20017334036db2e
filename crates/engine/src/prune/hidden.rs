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
//!
//! Others lie in a bucket that locks, behind a marker, and nothing says that they were removed. A
//! machine that remembers them prunes nothing; one that is new, or has lost its state folder, would
//! finish the work of whoever hid them, and let all locks run out. It can look behind the marker. Where
//! not all that one of them needs is there, its index file may be hidden too, and nobody sees which packs
//! it needs: then nothing is pruned until it is in sight again. Nor is anything while what may be one was
//! not looked at, or cannot be read and nobody has said that it was removed.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use parking_lot::Mutex;
use strongroom_model::{FileName, FileType, Id};

use crate::lead::READERS;
use crate::parallel::for_each;
use crate::prune::obstacles::Obstacles;
use crate::session::{Cancel, CopyStore, Session};
use crate::snapshots::Behind;
use crate::state::RepositoryState;
use crate::{Result, snapshots};

/// What to do where a record may still be taken back.
pub(super) const WAITING_HINT: &str = "see which: strongroom removals; if it was none of you: \
    strongroom forget --annul RECORD; if it was, this once: strongroom removals --accept RECORD, or \
    prune again when it is 7 days old here; where that machine removes more often, none is ever so \
    old: strongroom removals --trust MACHINE";

/// What to do where not all is there that a snapshot needs which somebody has hidden.
pub(super) const BEHIND_HINT: &str = "a snapshot needs it that is hidden in a bucket, and nothing \
    says that it was removed: bring back what is hidden there, strongroom recover --copy NAME \
    --in-place, and what was meant to go: strongroom forget SNAPSHOT";

/// What to do where nobody knows what somebody has hidden among the snapshots of a bucket.
pub(super) const UNSEEN_HINT: &str = "see who hides what there; where there is more than one run \
    looks at, prune again: it goes on from there; what cannot be read, as in an archive: let it be \
    read, or, if it was removed on purpose: strongroom sync --accept-removed";

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

/// The root trees of the snapshots that lie hidden on a copy which locks, where neither a record nor a
/// person says that they were removed; what may be one and was not looked at, or cannot be read, is an
/// obstacle. One that does not decrypt is nobody's.
///
/// # Errors
/// Where the user interrupts.
pub(super) fn behind_markers(
    session: &Session,
    state: &RepositoryState,
    obstacles: &Obstacles,
    cancel: &Cancel,
) -> Result<BTreeSet<Id>> {
    let mut roots = BTreeSet::new();
    for (copy, behind) in snapshots::look_behind(session, state, cancel)? {
        let copy = copy.name.as_str();
        let Behind {
            roots: found,
            unread,
            is_cut,
            problems,
        } = behind;
        for problem in problems {
            obstacles.note(format!("{copy}: {problem}"));
        }
        if is_cut {
            obstacles.note(format!(
                "{copy}: more names are hidden among its snapshots than are looked at in one run, \
                 and any of them may be one"
            ));
        }
        if let Some(first) = unread.first() {
            let more = match unread.len() {
                1 => String::new(),
                count => format!(", and so are {} others", count - 1),
            };
            obstacles.note(format!(
                "{copy}: {first} is hidden there{more}, and cannot be read: it may be a snapshot"
            ));
        }
        if !found.is_empty() {
            let count = found.len();
            tracing::warn!(
                copy,
                count,
                "Snapshots are hidden there, and nothing says that they were removed: what they need \
                 stays. Into sight again: strongroom recover --copy {copy} --in-place"
            );
        }
        roots.extend(found);
    }
    Ok(roots)
}
