//! Locks of files made longer in time: as long as a snapshot that is kept needs a file, its lock must
//! not end.
//!
//! ```text
//! what saves have seen ─▶ record ─▶ due? ─no─▶ nothing is asked
//!                           ▲        └─yes─▶ lock the version that is recorded, look at it ─┐
//!                           │                                                               │
//!  in no record ─▶ list its versions ─▶ the newest right one ─▶ look at its lock ─▶ due? ───┤
//!                           └───────────────────────────────────────────────────────────────┘
//! ```
//! What nothing needs is left to expire: where everything was looked at, the record forgets it.
//!
//! What can go wrong: the record is lost (so: each file is looked at once), files are hidden or
//! overwritten (so: locks are those of versions, and the right one is found behind whatever is in
//! front of it), a run has no time for all (so: what ends first comes first, the next run goes on, and
//! where it is not even known in time what is needed, all that is listed is extended), the place refuses (so: that is named, and told as an alarm long before the first lock ends),
//! somebody puts names there that the place does not lock (so: what nothing vouches for comes last,
//! and has limits of its own), another bucket takes the stead of the one that was asked (so: the
//! record is not believed, that is told, and each file is looked at), the keys are hidden on every copy
//! (so: what lies hidden opens, [`open_behind`](crate::session::open_behind), and the key that opened is
//! kept whether or not any copy lists it), what a snapshot needs cannot be
//! told (so: then nothing is let go of), somebody has written into the state folder that one needs less
//! than it does (so: no pack is let go of before the trees were read), and a copy has failed for its
//! `config` or its listing (so: what is due in its record is extended all the same, and nothing of the
//! record is forgotten).

mod finder;
mod needed;
mod pass;
mod report;
mod shared;
mod window;

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

use strongroom_model::{FileName, FileType, Id};
use strongroom_store::Locks;

use crate::locking::needed::{Needed, Sources};
use crate::locking::pass::Pass;
use crate::progress::Progress;
use crate::receipts::Receipts;
use crate::session::{
    Cancel, CopyFailure, CopyState, CopyStore, Environment, Session, SessionCopy,
};
use crate::state::{LockDates, RepositoryState};
use crate::{Error, Result};

pub use report::{CopyLocks, LockReport, NotExtended};
pub use window::Window;

/// What an extension of locks shall do.
#[derive(Debug, Clone, Default)]
pub struct LockingOptions {
    /// The copy whose locks are to be extended; all where none is named.
    pub only: Option<String>,
    /// Whether no lock is changed. What is found out is recorded all the same.
    pub dry_run: bool,
    /// Whether it is found out of every snapshot what it needs, also where nothing seems due.
    pub all: bool,
    /// How long it may take; what is left then waits for the next run.
    pub longest: Option<Duration>,
}

/// A copy that has locks and can be used.
struct Locked<'a> {
    copy: &'a CopyStore,
    locks: &'a dyn Locks,
    window: Window,
    dates: LockDates,
    /// What tells its place, where anything does.
    place: Option<Id>,
    /// Why nothing but what its record names can be extended.
    failure: Option<CopyFailure>,
}

/// Makes the locks longer that are due, of everything that the snapshots which are kept need.
///
/// Nothing is held: who extends what is gone a moment later has done no harm. Copies without locks
/// are not in the report.
///
/// # Errors
/// Only where nothing could be begun; a failure of a copy is in the report, and so is an
/// interruption.
pub fn extend(
    session: &Session,
    memory: &RepositoryState,
    receipts: Option<Receipts<'_>>,
    options: &LockingOptions,
    environment: &Environment,
    progress: &Progress,
) -> Result<LockReport> {
    let began = Instant::now();
    let until = options
        .longest
        .and_then(|longest| began.checked_add(longest));
    // However many names somebody hides, and however long trees take, the last quarter of the time is
    // left for the locks themselves.
    let half = options
        .longest
        .and_then(|longest| began.checked_add(longest / 2));
    let last_quarter = options
        .longest
        .and_then(|longest| began.checked_add(longest / 4 * 3));
    let mut report = LockReport::default();
    let mut locked = Vec::new();
    for found in &session.copies {
        let copy = &found.copy;
        let Some(locks) = copy.store.locks() else {
            continue;
        };
        let dates = take_saved(found, locks, memory, &mut report);
        if options.only.as_ref().is_some_and(|only| *only != copy.name) {
            continue;
        }
        let least = locks.least();
        // By our own clock, where the place's is not known.
        let now = SystemTime::try_from((environment.clock)());
        let now = now.unwrap_or(SystemTime::UNIX_EPOCH);
        let (place, failure) = match &found.state {
            CopyState::Ready(ready) => (ready.listing.place, None),
            CopyState::Failed(failure) => (dates.place(), Some(failure.clone())),
        };
        let is_due = has_due(&dates, Window { now, least });
        let failed = match failure {
            // Whoever puts a wrong `config`, or names without end, stops no lock: versions are known.
            Some(failure) if !is_due => failure,
            failure => match locks.now() {
                Err(error) => failure.unwrap_or_else(|| CopyFailure::of_store(&error)),
                Ok(now) => {
                    locked.push(Locked {
                        copy,
                        locks,
                        window: Window { now, least },
                        dates,
                        place,
                        failure,
                    });
                    continue;
                }
            },
        };
        let mut told = CopyLocks::of(&copy.name, &dates, Window { now, least });
        told.failure = Some(failed);
        report.copies.push(told);
    }
    if !locked.is_empty() {
        let search = Search {
            session,
            memory,
            receipts,
            hidden_until: half,
            trees_until: last_quarter,
            cancel: &environment.cancel,
        };
        let needed = search.find_needed(&locked, options);
        let (needed, followed) = match needed {
            Ok(needed) => needed,
            Err(Error::Interrupted) => {
                report.was_interrupted = true;
                return Ok(report);
            }
            Err(error) => return Err(error),
        };
        report.gaps.clone_from(&needed.gaps);
        report.lacks_time = needed.lacks_time;
        let recorded = Needed::recorded();
        for locked in locked {
            let pass = Pass {
                session,
                memory,
                copy: locked.copy,
                locks: locked.locks,
                window: locked.window,
                place: locked.place,
                needed: match &locked.failure {
                    None => &needed,
                    Some(_) => &recorded,
                },
                failure: locked.failure,
                followed: &followed,
                is_dry: options.dry_run,
                until,
                environment,
                progress,
            };
            let (told, problem) = pass.run(&locked.dates);
            report.was_interrupted |= told.was_interrupted;
            report.problems.extend(problem);
            report.copies.push(told);
        }
    }
    let place = |name: &str| session.copies.iter().position(|one| one.copy.name == name);
    report.copies.sort_by_key(|copy| place(&copy.name));
    Ok(report)
}

/// Which snapshots were asked for what they need.
#[derive(Debug)]
pub(super) struct Followed {
    /// These.
    pub(super) snapshots: BTreeSet<Id>,
    /// Whether they are all that there are.
    pub(super) are_all: bool,
}

/// What tells what is to be kept.
struct Search<'a> {
    session: &'a Session,
    memory: &'a RepositoryState,
    receipts: Option<Receipts<'a>>,
    /// When the time is over in which it is looked for what is hidden.
    hidden_until: Option<Instant>,
    /// When the time is over in which it is read what snapshots need.
    trees_until: Option<Instant>,
    cancel: &'a Cancel,
}

impl Search<'_> {
    /// What is to be kept: all of it where something is due, else what no copy's record covers yet.
    fn find_needed(
        &self,
        locked: &[Locked<'_>],
        options: &LockingOptions,
    ) -> Result<(Needed, Followed)> {
        let (session, memory) = (self.session, self.memory);
        let usable = || locked.iter().filter(|locked| locked.failure.is_none());
        let is_due = |locked: &Locked<'_>| has_due(&locked.dates, locked.window);
        let are_all = options.all || usable().any(is_due);
        let mut snapshots = snapshots(session);
        if usable().next().is_none() {
            snapshots.clear();
        }
        let mut needed = Needed::listed(session);
        let listed = snapshots.len();
        if !are_all {
            let is_covered = |id: &Id| usable().all(|locked| locked.dates.covers(*id));
            // An earlier run has found out what they need.
            needed.vouch(
                FileType::Snapshots,
                snapshots.iter().copied().filter(is_covered),
            );
            snapshots.retain(|id| !is_covered(id));
        }
        // What a record hides is missed by nobody.
        let recorded = usable().flat_map(|locked| locked.dates.iter());
        let recorded = recorded.map(|(name, _)| name);
        let recorded = recorded.filter(|name| !session.removals.names(*name));
        needed.add_recorded(recorded, memory);
        for locked in usable() {
            // A record that somebody has rewritten misses nothing: before anything is let go of, the
            // place is asked what is hidden there.
            if are_all || locked.dates.is_empty() {
                let (copy, dates) = (locked.copy, &locked.dates);
                let until = self.hidden_until;
                needed.add_hidden(session, copy, dates, memory, until, self.cancel)?;
            }
        }
        if !snapshots.is_empty() {
            let sources = Sources {
                session,
                memory,
                receipts: self.receipts,
                until: self.trees_until,
                cancel: self.cancel,
            };
            needed.add_packs(&snapshots, snapshots.len() == listed, &sources)?;
        }
        Ok((needed, Followed { snapshots, are_all }))
    }
}

/// Whether any lock that is recorded is due, or ends later than is believed.
fn has_due(dates: &LockDates, window: Window) -> bool {
    let mut ends = dates.iter();
    ends.any(|(_, until)| window.is_due(until) || !window.is_believed(until))
}

/// The snapshots that any copy lists.
fn snapshots(session: &Session) -> BTreeSet<Id> {
    let listed = session.ready().map(|(_, ready)| &ready.listing.snapshots);
    let entries = listed.flat_map(|files| files.iter());
    entries.map(|entry| entry.id).collect()
}

/// Records what the saves of this run have seen, also on a copy that has failed since. What another
/// place has shown is not believed, and that is told.
fn take_saved(
    found: &SessionCopy,
    locks: &dyn Locks,
    memory: &RepositoryState,
    report: &mut LockReport,
) -> LockDates {
    let copy = &found.copy;
    let bind = |dates: &mut LockDates| match &found.state {
        CopyState::Ready(ready) => dates.move_to(ready.listing.place),
        // Nothing was told of where it is.
        CopyState::Failed(_) => false,
    };
    let saved = locks.take_saved();
    let mut dates = memory.lock_dates(copy);
    let before = dates.place();
    if bind(&mut dates) {
        report.problems.push(report::elsewhere(copy, dates.place()));
    }
    if saved.is_empty() && dates.place() == before {
        return dates;
    }
    let noted = memory.update_lock_dates(copy, |dates| {
        bind(dates);
        dates.note(saved);
        true
    });
    noted.unwrap_or_else(|error| {
        report.problems.push(report::not_recorded(copy, &error));
        dates
    })
}

/// How much of the locks of a copy is left, as far as it was recorded: of how many files less than
/// must be, at this time; `None` where nothing is recorded.
pub fn short(dates: &LockDates, window: Window) -> Option<u64> {
    let is_short = |(_, until): &(FileName, SystemTime)| window.is_short(*until);
    (!dates.is_empty()).then(|| dates.iter().filter(is_short).count() as u64)
}
