//! Whether snapshots of a copy need what is to be removed there.
//!
//! A removal is decided upon the snapshots that are listed then, and upon what the copies have that
//! are at hand. A copy that was away may hold other snapshots, and so may one on which a stock restic
//! has backed up meanwhile; and it lacks what a prune wrote anew, until a sync brings it. So before
//! index files and packs of a copy go, its snapshots are looked into.

use std::collections::BTreeSet;
use std::sync::Arc;

use strongroom_model::{FileName, FileType, Id};

use crate::Result;
use crate::progress::Progress;
use crate::session::{Cancel, CopyStore, ReadyCopy, Session};
use crate::sync::fetch::{Fetched, Reading, read_right};
use crate::sync::lane::Lane;
use crate::sync::run::Run;
use crate::sync::{SyncCopy, SyncOptions, copies_of};
use crate::verify::content;

/// The first of some snapshots of a copy for which that lacks something, but for what a record hides
/// there, and what that is; `None` where it has all that they need. Trees are read from whichever
/// copy of the session is nearest.
///
/// One that does not decode needs nothing.
///
/// # Errors
/// Where the user interrupts.
pub(crate) fn first_incomplete(
    session: &Session,
    (copy, ready): (&CopyStore, &ReadyCopy),
    snapshots: &BTreeSet<Id>,
    cancel: &Cancel,
) -> Result<Option<(Id, String)>> {
    let mut copies = vec![SyncCopy {
        copy: copy.clone(),
        listing: ready.listing.clone(),
        config_is_right: ready.config_is_right,
        doubts: ready.doubts.clone(),
    }];
    let others = copies_of(session).into_iter();
    copies.extend(others.filter(|other| other.copy.name != copy.name));
    let (options, progress) = (SyncOptions::default(), Progress::default());
    let run = Run::new(&session.repository, copies, &options, &progress, cancel);
    let Some(lane) = run.lanes.first() else {
        return Ok(None);
    };
    // Nothing is built on what is in doubt.
    lane.state.lock().unsound.extend(&lane.doubts);
    let mut fetched = Vec::new();
    for id in snapshots {
        cancel.check()?;
        match read(session, lane, *id) {
            Ok(found) => fetched.extend(found),
            Err(reason) => return Ok(Some((*id, reason))),
        }
    }
    let incomplete = run.find_incomplete(lane, fetched.iter())?;
    let first = incomplete.into_iter().next();
    Ok(first.and_then(|(name, reason)| Some((name.id()?, reason))))
}

/// Reads a snapshot; `None` where it is none.
fn read(session: &Session, lane: &Lane, id: Id) -> std::result::Result<Option<Fetched>, String> {
    let name = FileName::new(FileType::Snapshots, id);
    let Some(size_bytes) = lane.size_of(name) else {
        return Ok(None);
    };
    let bytes = match read_right(lane, name, size_bytes) {
        Reading::Right(bytes) => bytes,
        // Nobody restores it from here, and whoever has it right has it on another copy.
        Reading::Wrong | Reading::Gone => return Ok(None),
        Reading::BrokeOff(reason) | Reading::Refused(reason) => return Err(reason),
        Reading::Nothing | Reading::NotAsked => return Err("it cannot be read".to_owned()),
    };
    let Ok(content) = content::decode(name.kind(), &bytes, session.repository.key()) else {
        return Ok(None);
    };
    Ok(Some(Fetched {
        name,
        bytes: Arc::new(bytes),
        content,
        lacking: Vec::new(),
        wrong: Vec::new(),
    }))
}
