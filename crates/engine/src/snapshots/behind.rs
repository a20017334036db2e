//! What lies hidden among the snapshots of copies that lock, where neither a record nor a person says
//! that it was removed.
//!
//! Whoever may write hides snapshots, and puts names there without number that are none. So names are
//! looked at in turns: so many in a run, and what is no snapshot is remembered, so that the next run looks
//! at the others. What could be one and cannot be read, as in an archive or where another key encrypts it,
//! counts as one until a person says that it was removed. What a record names that may still be taken
//! back counts as if none did: who wrote it may have hidden that besides.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use parking_lot::Mutex;
use strongroom_model::{FileName, FileType, Id};
use strongroom_store::{Error as StoreError, VersionContent, Versions};

use crate::parallel::for_each;
use crate::session::{Cancel, CopyStore, Session, chain};
use crate::snapshots::{Hidden, READERS, read_hidden};
use crate::state::{PassedOver, RepositoryState};
use crate::{Error, Result};

/// How many hidden versions of a copy are looked at in one run.
const MOST_HIDDEN: usize = 100_000;

/// What lies hidden on one copy.
#[derive(Debug, Default)]
pub(crate) struct Behind {
    /// The root trees of the snapshots that lie there.
    pub(crate) roots: BTreeSet<Id>,
    /// Names of what may be a snapshot and cannot be read.
    pub(crate) unread: BTreeSet<FileName>,
    /// Whether there is more than was looked at; the next run goes on.
    pub(crate) is_cut: bool,
    /// Why it is not known what lies there, for people to read.
    pub(crate) problems: Vec<String>,
}

/// What is to be looked at on one copy.
#[derive(Default)]
struct Turn {
    /// For each name its versions, as they are remembered.
    unknown: BTreeMap<FileName, Vec<Id>>,
    /// How many versions these are.
    count: usize,
    /// Versions that were looked at before and still lie there.
    passed: BTreeSet<Id>,
    is_cut: bool,
}

/// Looks at what lies hidden on each copy that locks, as far as its versions may be listed.
///
/// # Errors
/// Where the user interrupts; what was looked at until then is remembered.
pub(crate) fn look_behind<'s>(
    session: &'s Session,
    state: &RepositoryState,
    cancel: &Cancel,
) -> Result<Vec<(&'s CopyStore, Behind)>> {
    let (accepted, removals) = (state.gone().accepted, &session.removals);
    // Whoever asks what waits reads these.
    let waiting = session.ready().flat_map(|(_, ready)| &ready.removed);
    let waiting: HashSet<FileName> = waiting.map(|file| file.name).collect();
    let is_known = |name: FileName| {
        let is_listed = session.ready().any(|(_, ready)| ready.listing.holds(name));
        let is_removed = accepted.contains(name) || removals.names(name);
        let is_in_sight = is_listed || waiting.contains(&name);
        is_in_sight || is_removed && !removals.may_come_back(name)
    };
    let mut found = Vec::new();
    for (copy, _) in session.ready() {
        let (Some(_), Some(versions)) = (copy.store.locks(), copy.store.versions()) else {
            continue;
        };
        let passed = state.passed_over(copy);
        let behind = match next_turn(copy, versions, &passed, is_known, cancel) {
            Ok(turn) => {
                let (behind, passed_now) = look_at(session, versions, turn, cancel);
                if passed_now != passed {
                    remember(state, copy, passed_now);
                }
                behind?
            }
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            // Without that right nobody can look.
            Err(Error::Store(StoreError::Denied { .. })) => continue,
            Err(error) => Behind {
                problems: vec![chain(&error)],
                ..Behind::default()
            },
        };
        found.push((copy, behind));
    }
    Ok(found)
}

/// The names of what lies hidden on copies that lock and cannot be read, which may be snapshots: a person
/// may say that they were removed on purpose.
///
/// # Errors
/// Where the user interrupts.
pub fn unread_behind(
    session: &Session,
    state: &RepositoryState,
    cancel: &Cancel,
) -> Result<BTreeSet<FileName>> {
    let found = look_behind(session, state, cancel)?.into_iter();
    Ok(found.flat_map(|(_, behind)| behind.unread).collect())
}

/// Lists what is to be looked at next on a copy.
fn next_turn(
    copy: &CopyStore,
    versions: &dyn Versions,
    passed: &PassedOver,
    is_known: impl Fn(FileName) -> bool,
    cancel: &Cancel,
) -> Result<Turn> {
    let mut turn = Turn::default();
    versions.each_version(FileType::Snapshots, &mut |version| {
        if cancel.is_cancelled() {
            let location = copy.store.location().to_owned();
            return Err(StoreError::Cancelled { location });
        }
        if version.content == VersionContent::Marker || is_known(version.name) {
            return Ok(());
        }
        let mark = PassedOver::mark(version.name, &version.version);
        if passed.contains(mark) {
            turn.passed.insert(mark);
        } else if turn.count < MOST_HIDDEN {
            turn.count += 1;
            turn.unknown.entry(version.name).or_default().push(mark);
        } else {
            turn.is_cut = true;
        }
        Ok(())
    })?;
    Ok(turn)
}

/// Looks at it; tells also what by now is known to be no snapshot.
fn look_at(
    session: &Session,
    versions: &dyn Versions,
    turn: Turn,
    cancel: &Cancel,
) -> (Result<Behind>, PassedOver) {
    let unknown: Vec<(FileName, Vec<Id>)> = turn.unknown.into_iter().collect();
    let passed = Mutex::new(turn.passed);
    let behind = Mutex::new(Behind {
        is_cut: turn.is_cut,
        ..Behind::default()
    });
    let outcome = for_each(&unknown, READERS, |(name, marks)| {
        cancel.check()?;
        match read_hidden(session, versions, *name) {
            Ok(Hidden::Snapshot(snapshot)) => {
                behind.lock().roots.insert(snapshot.tree);
            }
            Ok(Hidden::Unread) => {
                behind.lock().unread.insert(*name);
            }
            Ok(Hidden::Nobodys) => passed.lock().extend(marks),
            Err(error) => match Error::from(error) {
                Error::Interrupted => return Err(Error::Interrupted),
                error => behind.lock().problems.push(chain(&error)),
            },
        }
        Ok(())
    });
    let passed = PassedOver::of(passed.into_inner());
    (outcome.map(|()| behind.into_inner()), passed)
}

fn remember(state: &RepositoryState, copy: &CopyStore, passed: PassedOver) {
    if let Err(error) = state.update_passed_over(copy, |before| *before = passed) {
        let (copy, reason) = (copy.name.as_str(), chain(&error));
        tracing::warn!(copy, reason, "It is not noted what is no snapshot there");
    }
}
