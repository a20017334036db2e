//! Which snapshot of a source is rehearsed: the newest whose time can be believed.
//!
//! Whoever may put snapshots chooses the time that they claim. One of the year 2099 would be the
//! newest for ever, and rehearsed each time in the stead of what is real. So what claims to be made
//! later than now is passed over, and what claims to be made later than when this machine saw it, or
//! knows that it came; and that is told.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use strongroom_model::Id;

use crate::session::CopyStore;
use crate::snapshots::{FoundSnapshot, Snapshots};
use crate::state::RepositoryState;
use crate::{Error, Result};

/// How far the clock of a host may be ahead before it proves something.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(10);

/// How many that are passed over are named.
const NAMED: usize = 10;

/// A snapshot to rehearse.
#[derive(Debug)]
pub(super) struct Choice<'s> {
    pub(super) found: &'s FoundSnapshot,
    /// What was passed over, for people.
    pub(super) notes: Vec<String>,
}

/// Chooses among all snapshots of a source; `came` tells of some by when they were there.
///
/// # Errors
/// [`Error::NoSnapshot`].
pub(super) fn choose<'s>(
    snapshots: &'s Snapshots,
    source: &str,
    came: &BTreeMap<Id, Timestamp>,
    now: Timestamp,
) -> Result<Choice<'s>> {
    let mut notes = Vec::new();
    let mut passed = 0_usize;
    let newest_first = snapshots.all.iter().rev();
    for found in newest_first.filter(|one| one.snapshot.source() == Some(source)) {
        let claimed = found.time();
        let is_after = |then: Timestamp| claimed.duration_since(then) > CLOCK_TOLERANCE;
        let reason = match came.get(&found.id) {
            _ if is_after(now) => "which is later than now".to_owned(),
            Some(came) if is_after(*came) => format!("and was there on {came:.0} already"),
            _ => {
                if passed > notes.len() {
                    let more = passed.saturating_sub(notes.len());
                    notes.push(format!("{more} more were passed over for the same"));
                }
                return Ok(Choice { found, notes });
            }
        };
        passed = passed.saturating_add(1);
        if notes.len() < NAMED {
            let id = found.id.short();
            notes.push(format!(
                "snapshot {id} claims to be of {claimed:.0}, {reason}: it was passed over"
            ));
        }
    }
    let latest = format!("latest:{source}");
    Err(Error::NoSnapshot {
        wanted: match passed {
            0 => latest,
            _ => format!(
                "{latest} whose time can be believed: {passed} claim to be of later than now, or \
                 than when they came"
            ),
        },
    })
}

/// By when snapshots of a copy were there, as far as the state folder knows.
pub(super) fn came(memory: &RepositoryState, copy: &CopyStore) -> BTreeMap<Id, Timestamp> {
    let mut came = BTreeMap::new();
    match memory.sightings(copy) {
        Ok(sightings) => came.extend(sightings.first_seen()),
        Err(error) => tracing::debug!(%error, "Nothing is known of when snapshots were seen"),
    }
    match memory.arrivals() {
        Ok(arrivals) => {
            for (id, arrival) in arrivals.by_id() {
                let first = came.entry(id).or_insert(arrival.at);
                *first = arrival.at.min(*first);
            }
        }
        Err(error) => tracing::debug!(%error, "Nothing is known of when snapshots came"),
    }
    came
}
