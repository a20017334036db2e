//! What people have said of single snapshots: which are held, and which are their own although
//! their day is crowded.
//!
//! The list lies in the state folder; each change of it is a record on every copy besides. Where
//! this machine has no list, the holds of the copies count, and where it has one, they are joined to
//! it: never a release, and never what was admitted, for whoever has the repository's key can write
//! a record.

use std::collections::BTreeSet;

use jiff::Timestamp;
use strongroom_model::holds::Hold;
use strongroom_model::{Holds, Id};
use strongroom_repo::record::Record;

use crate::removals::{Published, Stop, write};
use crate::session::Session;
use crate::state::RepositoryState;
use crate::{Error, Result};

/// What was said, on this machine, and what the copies hold besides.
///
/// # Errors
/// [`Error::HoldsUnreadable`] where the list of this machine cannot be read or is of a newer version,
/// and [`Error::NothingRemoved`] where a record of a copy is: then nothing may be removed.
pub fn load(session: &Session, state: &RepositoryState) -> Result<Holds> {
    let mut holds = state.holds()?.unwrap_or_default();
    session.removals.join_holds(&mut holds);
    match session.removals.stop() {
        None => Ok(holds),
        Some(Stop { reason, hint }) => Err(Error::NothingRemoved { reason, hint }),
    }
}

/// Fails where one of some snapshots is held.
///
/// # Errors
/// [`Error::Held`].
pub fn check_none(snapshots: &BTreeSet<Id>, holds: &Holds) -> Result<()> {
    let held = snapshots
        .iter()
        .find_map(|id| Some((*id, holds.held(*id)?)));
    match held {
        None => Ok(()),
        Some((id, hold)) => Err(Error::Held {
            id,
            why: hold.why.clone(),
        }),
    }
}

/// Holds a snapshot: nothing removes it but after [`release`]. A removal that names it does not count
/// any more.
///
/// # Errors
/// [`Error::HoldsUnreadable`]; where the state folder cannot be written.
pub fn hold(
    session: &mut Session,
    state: &RepositoryState,
    snapshot: Id,
    hold: Hold,
) -> Result<Published> {
    change(session, state, |holds| holds.hold(snapshot, hold))
}

/// Holds a snapshot no longer, whoever held it; `None` where nobody did.
///
/// # Errors
/// As [`hold`].
pub fn release(
    session: &mut Session,
    state: &RepositoryState,
    snapshot: Id,
    at: Timestamp,
) -> Result<Option<Published>> {
    let mut holds = state.holds()?.unwrap_or_default();
    session.removals.join_holds(&mut holds);
    if holds.held(snapshot).is_none() {
        return Ok(None);
    }
    let published = change(session, state, |holds| {
        holds.release(snapshot, at);
    })?;
    Ok(Some(published))
}

/// Notes that snapshots are no intruder's, though more came on their day than is usual.
///
/// # Errors
/// As [`hold`].
pub fn admit(
    session: &mut Session,
    state: &RepositoryState,
    snapshots: &BTreeSet<Id>,
    at: Timestamp,
) -> Result<Published> {
    change(session, state, |holds| {
        for snapshot in snapshots {
            holds.admit(*snapshot, at);
        }
    })
}

/// Changes the list of this machine, with what the copies hold in it, and tells every copy.
fn change(
    session: &mut Session,
    state: &RepositoryState,
    change: impl FnOnce(&mut Holds),
) -> Result<Published> {
    let holds = state.update_holds(|holds| {
        session.removals.join_holds(holds);
        change(holds);
    })?;
    write(session, state, Record::Holds(holds))
}
