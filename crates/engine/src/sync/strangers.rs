//! Whether snapshots that somebody did not know of need what he wants removed.
//!
//! A removal is decided upon the snapshots that are listed then. A copy that was away may hold
//! others, and so may one on which a stock restic has backed up meanwhile, for which files are there
//! until they are gone. So before index files and packs of a copy go, its strangers are looked into.

use std::collections::BTreeSet;
use std::sync::Arc;

use strongroom_model::{FileName, FileType, Id};

use crate::Result;
use crate::progress::Progress;
use crate::session::{Cancel, CopyStore, ReadyCopy, Session};
use crate::sync::fetch::{Fetched, Reading, read_right};
use crate::sync::lane::Lane;
use crate::sync::run::Run;
use crate::sync::{SyncCopy, SyncOptions};
use crate::verify::content;

/// The first of some snapshots of a copy for which that lacks something, but for what a record hides
/// there, and what that is; `None` where it has all that they need.
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
    let of_copy = SyncCopy {
        copy: copy.clone(),
        listing: ready.listing.clone(),
        config_is_right: ready.config_is_right,
        doubts: ready.doubts.clone(),
    };
    let (options, progress) = (SyncOptions::default(), Progress::default());
    let run = Run::new(
        &session.repository,
        vec![of_copy],
        &options,
        &progress,
        cancel,
    );
    let Some(lane) = run.lanes.first() else {
        return Ok(None);
    };
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
