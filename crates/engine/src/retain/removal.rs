//! The removal of snapshots: one record, then every copy in its own way.
//!
//! What can go wrong: somebody has held one of them since the decision, or another run has removed
//! it. So all is listed, and the holds are read, once more under exclusive locks. What is killed
//! behind the record is finished by whoever comes next.

use std::collections::BTreeSet;

use strongroom_model::Id;
use strongroom_repo::record::{Removal, RemovedBy};

use crate::progress::Progress;
use crate::removals::{self, FinishedCopy};
use crate::session::{CopyFailure, Environment, Locks, Session};
use crate::state::RepositoryState;
use crate::{Result, holds};

/// What came of a removal.
#[derive(Debug, Default)]
pub struct Forgotten {
    /// The record that names what went; `None` where nothing did.
    pub record: Option<Id>,
    /// What went.
    pub snapshots: BTreeSet<Id>,
    /// What was to go and is held by now.
    pub held: BTreeSet<Id>,
    /// The copies that could not take the record, by name, and why.
    pub not_on: Vec<(String, CopyFailure)>,
    /// What each copy has removed.
    pub copies: Vec<FinishedCopy>,
}

/// Removes snapshots from all copies of a session, under exclusive locks of its own, and finishes
/// what earlier records name and a copy still has; where none is to go, as a sync does, on those copies
/// alone on which something can go. What none of them lists any more, and what is held by now, is left
/// out.
///
/// # Errors
/// As [`Session::check_removal`]. Where snapshots are to go: [`Error::Locked`](crate::Error::Locked), and
/// where no copy is left; where the holds cannot be read, or the record cannot be written into the state
/// folder: then nothing was removed. Where the user interrupts.
pub fn forget(
    session: &mut Session,
    state: &RepositoryState,
    going: &BTreeSet<Id>,
    environment: &Environment,
    progress: &Progress,
) -> Result<Forgotten> {
    session.check_removal()?;
    if going.is_empty() {
        // What waits behind locks for months keeps nobody out meanwhile.
        let copies = removals::finish_alone(session, None, environment, progress)?;
        return Ok(Forgotten {
            copies,
            ..Forgotten::default()
        });
    }
    let mut locks = Locks::acquire_exclusively(session, environment)?;
    let forgotten = forget_locked(session, state, going, environment, progress);
    locks.release();
    forgotten
}

fn forget_locked(
    session: &mut Session,
    state: &RepositoryState,
    going: &BTreeSet<Id>,
    environment: &Environment,
    progress: &Progress,
) -> Result<Forgotten> {
    let holds = holds::load(session, state)?;
    let listings = session.ready().map(|(_, ready)| &ready.listing.snapshots);
    let listed = listings.flat_map(|files| files.iter().map(|entry| entry.id));
    let mut stays: BTreeSet<Id> = listed.collect();
    let (mut snapshots, mut held) = (BTreeSet::new(), BTreeSet::new());
    for id in going {
        match (stays.contains(id), holds.held(*id)) {
            (false, _) => {}
            (true, Some(_)) => {
                held.insert(*id);
            }
            (true, None) => {
                stays.remove(id);
                snapshots.insert(*id);
            }
        }
    }
    environment.cancel.check()?;
    let mut forgotten = Forgotten {
        held,
        ..Forgotten::default()
    };
    if !snapshots.is_empty() {
        let removal = Removal {
            at: (environment.clock)(),
            host: environment.hostname.clone(),
            by: RemovedBy::Forget,
            snapshots: snapshots.clone(),
            index: BTreeSet::new(),
            data: BTreeSet::new(),
            stays,
        };
        let published = removals::publish(session, state, removal)?;
        forgotten.record = Some(published.record);
        forgotten.not_on = published.not_on;
    }
    forgotten.copies = removals::finish(session, &session.removals, progress, &environment.cancel);
    for (copy, _) in session.ready() {
        // Where it cannot be written, it takes up space there and nothing else.
        let struck = state.update_sightings(copy, |sightings| sightings.forget(&snapshots));
        if let Err(error) = struck {
            tracing::debug!(copy = copy.name, %error, "Old sightings stay");
        }
    }
    forgotten.snapshots = snapshots;
    Ok(forgotten)
}
