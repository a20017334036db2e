//! The drill that tries to destroy every copy, with the very credential that backups use.
//!
//! Each store carries the attempts out on canaries of its own; here they are begun, judged, signed,
//! kept and sent. Nothing of a repository is read or written but the files whose locks are looked
//! at, and no restic lock is taken: canaries are in no listing.
//!
//! What can go wrong: a copy that cannot be asked (so: it has failed, by name, and what was proven
//! of it before stays and grows old), two drills at once, which sweep each other's canaries (so: of one
//! machine the second is refused), a drill that is killed, or that may make what it may not remove
//! (so: what is made is noted first, and the next drill tries again), and a state folder that cannot
//! be written (so: the answer is told, and not kept).
//!
//! Life of a drill: begun on all copies at once → each is judged → what is certain becomes evidence
//! → all of it is signed by the client's key and kept in `drills/` → sent to the vaults among the
//! copies, whose logs tell of it from then on; what could not be sent is sent by the next drill.

mod delivery;
mod record;
mod remnants;
mod sample;

use std::collections::BTreeSet;

use jiff::Timestamp;
use strongroom_model::attack::{Attempt, Judged, Left, NotedRemnant, PlaceKind, Tried, judge};
use strongroom_model::{FileName, FileType, Id};
use strongroom_store::{Attacked, Error as StoreError, Remnants};

use crate::Error;
use crate::drill::attack::sample::{Sample, draws};
use crate::session::{Cancel, CopyFailure, CopyFailureKind, CopyStore, chain};
use crate::state::{RecordedNeeds, RepositoryState};

pub use delivery::{DrillDelivery, deliver};
pub use record::{Kept, keep};
pub use remnants::NotedRemnants;

/// What came of the drill of one copy.
#[derive(Debug, Clone)]
pub struct CopyDrill {
    /// The copy.
    pub name: String,
    /// Its address, without secrets.
    pub store: String,
    /// What was seen, or why nothing could be tried.
    pub outcome: Result<Drilled, CopyFailure>,
    /// What this drill and earlier ones have left behind there.
    pub remnants: Vec<NotedRemnant>,
}

/// What was seen of a copy.
#[derive(Debug, Clone)]
pub struct Drilled {
    /// What kind of place it is.
    pub place: PlaceKind,
    /// What tells it from another in its stead, where anything does.
    pub identity: Option<Id>,
    /// Whose credential it was, as far as that could be told.
    pub principal: Option<String>,
    /// What tells it from others, where whoever asked for the drill knows.
    pub credential: Option<Id>,
    /// Every attempt.
    pub tried: Vec<Tried>,
    /// The answer.
    pub judged: Judged,
    /// What else was seen, for people.
    pub notes: Vec<String>,
}

/// Attacks copies, all at once, from `at` on. `believed` names those whose vaults have shown in this
/// contact that their logs go on; `memory` keeps what stays behind, and tells of files that are needed,
/// where it is known of which repository they are.
///
/// # Errors
/// [`Error::BeingDrilled`]; nothing was tried then.
pub fn attack(
    copies: &[&CopyStore],
    believed: &BTreeSet<String>,
    memory: Option<&RepositoryState>,
    at: Timestamp,
    cancel: &Cancel,
) -> crate::Result<Vec<CopyDrill>> {
    let mut alone = Vec::new();
    for copy in copies {
        match memory.map(|memory| memory.begin_drill(copy)) {
            None => {}
            Some(Ok(Some(begun))) => alone.push(begun),
            Some(Ok(None)) => {
                let copy = copy.name.clone();
                return Err(Error::BeingDrilled { copy });
            }
            // That nothing can be kept there is told when the answers are to be.
            Some(Err(error)) => {
                let reason = chain(&error);
                tracing::info!(reason, "Nothing keeps other drills from a copy");
            }
        }
    }
    let notes = memory.map(noted).unwrap_or_default();
    let notes = notes.as_slice();
    let drills = std::thread::scope(|scope| {
        let threads: Vec<_> = copies
            .iter()
            .map(|copy| {
                let is_believed = believed.contains(&copy.name);
                let remnants = remnants::begin(memory, copy, at);
                let noted = remnants.clone();
                let attack = move || attack_one(copy, notes, is_believed, &noted, cancel);
                let thread = scope.spawn(attack);
                (copy, remnants, thread)
            })
            .collect();
        let drills = threads.into_iter().map(|(copy, remnants, thread)| {
            let outcome = thread.join();
            CopyDrill {
                name: copy.name.clone(),
                store: copy.store.location().to_owned(),
                outcome: outcome
                    .unwrap_or_else(|_| Err(failed("the thread that attacked it died"))),
                remnants: remnants::remember(memory, copy, &remnants, at),
            }
        });
        drills.collect()
    });
    drop(alone);
    Ok(drills)
}

/// What was noted as needed by snapshots, but for notes of what was removed on purpose, also by another
/// machine: that lies in a bucket until its lock is over, which nobody makes longer.
fn noted(memory: &RepositoryState) -> Vec<RecordedNeeds> {
    let gone = memory.gone().accepted;
    let mut notes = memory.all_needs();
    notes.retain(|note| {
        let snapshot = FileName::new(FileType::Snapshots, note.snapshot);
        let mut named = note.files().chain([snapshot]);
        !named.any(|name| gone.contains(name))
    });
    notes
}

fn attack_one(
    copy: &CopyStore,
    notes: &[RecordedNeeds],
    is_believed: bool,
    remnants: &Remnants,
    cancel: &Cancel,
) -> Result<Drilled, CopyFailure> {
    let store = copy.store.as_ref();
    let of_store = |error: &StoreError| match error {
        StoreError::NotFound { name, .. } if *name == FileName::CONFIG => CopyFailure {
            reason: "there is no repository".to_owned(),
            hint: Some("strongroom init makes one".to_owned()),
            kind: CopyFailureKind::NoRepository,
        },
        error => CopyFailure::of_store(error),
    };
    let attacks = store
        .attacks()
        .ok_or_else(|| failed("its kind of place cannot be attacked"))?;
    // Where it is no repository that is attacked, the answer would say nothing of one.
    store
        .size(FileName::CONFIG)
        .map_err(|error| of_store(&error))?;
    let draws = draws().ok_or_else(|| failed("the system gives no random bytes"))?;
    let sample = Sample::draw(store, notes, &draws).map_err(|error| of_store(&error))?;
    if cancel.is_cancelled() {
        return Err(failed("the drill was interrupted"));
    }
    let identity = store.identity().map_err(|error| of_store(&error))?;
    let attacked = attacks.attack(&sample.files, remnants);
    let mut attacked = attacked.map_err(|error| of_store(&error))?;
    if let Some(seen) = sample.short(store).map_err(|error| of_store(&error))? {
        note_short(&mut attacked.tried, seen);
    }
    if store.identity().map_err(|error| of_store(&error))? != identity {
        return Err(failed("another place was put in its stead meanwhile"));
    }
    Ok(Drilled {
        identity,
        ..judged(attacked, is_believed)
    })
}

/// Judges what was seen.
fn judged(attacked: Attacked, is_believed: bool) -> Drilled {
    let Attacked {
        place,
        principal,
        until,
        keeps,
        tried,
        notes,
    } = attacked;
    let until = until.and_then(|until| Timestamp::try_from(until).ok());
    Drilled {
        judged: judge(place, &tried, until, is_believed && keeps),
        place,
        identity: None,
        principal,
        credential: None,
        tried,
        notes,
    }
}

/// Says of the look at real files that less is left of a lock than must be, where nothing worse was
/// seen.
fn note_short(tried: &mut [Tried], seen: String) {
    let looked = tried.iter_mut();
    let mut looked = looked.filter(|one| one.attempt == Attempt::LookAtFiles);
    if let Some(looked) = looked.find(|one| one.left == Left::Whole) {
        looked.left = Left::Weaker(seen);
    }
}

fn failed(reason: &str) -> CopyFailure {
    CopyFailure {
        reason: reason.to_owned(),
        hint: None,
        kind: CopyFailureKind::Other,
    }
}

#[cfg(test)]
mod tests;
