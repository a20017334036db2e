//! Prune: what no snapshot needs goes from every copy.
//!
//! ```text
//! lock every copy alone, by name, and list it anew ─▶ read the index of all ─▶ mark what snapshots
//!     need ─▶ plan ─▶ repack, to every copy at once ─▶ bring what a slow copy missed ─▶
//!     sign anew what has moved ─▶ anything new? ─▶ removal record ─▶ anything new? ─▶ remove
//! ```
//! It is decided once, from the union of what all copies list, and each copy lets go in its own way
//! ([`removals`]). The order is the safety: nothing is removed before all that stays is where it
//! belongs, and what is to go is on record before the first file of it goes. So a run may be killed
//! anywhere; what it left is finished by whoever comes next, or is garbage for the next prune.
//!
//! What can go wrong, and then nothing is removed:
//!
//! | what | why it must not go on |
//! |---|---|
//! | a snapshot, a tree or an index file that no copy gives right | nobody knows what it needs |
//! | a needed blob that is right in none of several packs which are said to hold it | the others may be all that is left of it |
//! | two index files that say different things of a pack | one is wrong, and nobody knows which |
//! | a needed pack that no copy which can be read has in its right size | a copy that is away may have it; or it is lost, and what is left of it would go |
//! | a snapshot or an index file that this machine knows of and no copy shows | what it needs or names looks like waste |
//! | a copy that somebody pruned by itself | a person has to say first whether that was meant |
//! | a record of another machine that may still be taken back, and names packs, index files, or a snapshot that no copy gives whole | what has to be there then looks like waste |
//! | a snapshot that lies hidden in a bucket that locks, and not all that it needs is there | who hid it may have hidden its index file too, so that its packs look like waste |
//! | what lies hidden in such a bucket and may be a snapshot, but cannot be read, or is more than one run looks at | what it needs looks like waste |
//! | another repository that was on a copy before this one, which nobody has said is given up | what is left of it there looks like waste |
//! | something new on a copy, although all are under our lock | what it needs may be what goes; a record that was written by then is annulled |
//!
//! Snapshots alone that somebody else's record hides, and that may still be seen again, are no reason
//! to stop: what they need stays. So does what is needed by those that lie behind a marker in a bucket
//! that locks, of which nothing says that they were removed.
//!
//! **Architecture invariant:** prune removes packs and index files, and never a snapshot, a key or
//! `config`; and it does so only through a removal record.

mod duplicates;
mod even;
mod hidden;
mod known;
mod moved;
mod newcomers;
mod obstacles;
mod packs;
mod plan;
mod reading;
mod repack;
pub mod report;
mod used;

use std::collections::BTreeSet;

use strongroom_model::Id;
use strongroom_model::config::Limits;
use strongroom_repo::record::{Removal, RemovedBy};

use crate::parallel::both;
use crate::progress::Progress;
use crate::prune::even::Staying;
use crate::prune::obstacles::Obstacles;
use crate::prune::packs::Packs;
use crate::prune::plan::Plan;
use crate::receipts::{Receipts, Renewal};
use crate::session::{Cancel, Environment, Locks, Session, chain};
use crate::snapshots::Snapshots;
use crate::state::RepositoryState;
use crate::{Error, Result, holds, removals};

pub use moved::Moved;
pub use report::{Amount, PruneReport, PrunedCopy, PrunedOutcome};

/// What a prune may take of the machine, and how much waste it leaves.
#[derive(Debug, Clone)]
pub struct PruneOptions {
    /// Memory, threads, uploads, the size of packs.
    pub limits: Limits,
    /// How much of what is stored may be waste in packs that are partly needed, of 100; 100 for
    /// all.
    pub max_unused_percent: f64,
    /// Whether small packs become large ones, although all of them is needed.
    pub repack_small: bool,
    /// Whether blobs are compressed that are not, as in a repository that once was of version 1.
    pub repack_uncompressed: bool,
    /// Whether nothing is written or removed anywhere.
    pub dry_run: bool,
}

/// How many ids of one kind a removal record has at most: with those that stay far below what a
/// record may have.
const IDS_PER_RECORD: usize = 800_000;

impl Default for PruneOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            max_unused_percent: 5.0,
            repack_small: false,
            repack_uncompressed: false,
            dry_run: false,
        }
    }
}

/// Removes from every copy of the session what no snapshot needs, under exclusive locks of its own.
///
/// A dry run takes no locks and only reads. Copies that cannot be used, or that fail, are in the
/// report; they finish what the record names when they are back. `receipts` are what this client has
/// signed, where it has a key: what they name is missed, too, and they are signed anew where it has
/// moved.
///
/// # Errors
/// [`Error::Locked`] where somebody else is at work on a copy; [`Error::NotPruned`] and
/// [`Error::WrittenMeanwhile`], with nothing removed; [`Error::NoCopy`]; as
/// [`Session::check_removal`]; where the state folder cannot take the record; where the user interrupts
/// before anything is removed. Records that were written by then are annulled.
pub fn prune(
    session: &mut Session,
    state: &RepositoryState,
    receipts: Option<Receipts<'_>>,
    options: &PruneOptions,
    environment: &Environment,
    progress: &Progress,
) -> Result<PruneReport> {
    session.check_removal()?;
    if options.dry_run {
        return prune_locked(session, state, receipts, options, environment, progress);
    }
    let away = report::away(session);
    let mut locks = Locks::acquire_exclusively(session, environment)?;
    strongroom_store::raise_file_limit();
    let outcome = prune_locked(session, state, receipts, options, environment, progress);
    locks.release();
    Ok(PruneReport { away, ..outcome? })
}

/// As [`prune`], for whoever holds exclusive locks on all copies that can be used, and has listed
/// them since.
fn prune_locked(
    session: &mut Session,
    state: &RepositoryState,
    receipts: Option<Receipts<'_>>,
    options: &PruneOptions,
    environment: &Environment,
    progress: &Progress,
) -> Result<PruneReport> {
    let cancel = &environment.cancel;
    // Where nobody can tell what is held, nothing goes.
    holds::load(session, state)?;
    known::check(session, state, receipts, cancel)?;
    let waiting = Obstacles::default();
    let hidden = hidden::roots(session, &waiting, cancel)?;
    waiting.check(hidden::WAITING_HINT)?;
    progress.begin("reading the snapshots", None, None);
    let obstacles = Obstacles::default();
    let (snapshots, packs) = both(
        || Snapshots::load(session, cancel),
        || Packs::load(session, &obstacles, progress, cancel),
    );
    let (snapshots, packs) = (snapshots?, packs?);
    snapshots
        .problems
        .iter()
        .for_each(|problem| obstacles.note(problem.clone()));
    let unseen = Obstacles::default();
    let behind = hidden::behind_markers(session, state, &unseen, cancel)?;
    obstacles.check(obstacles::UNREADABLE_HINT)?;
    unseen.check(hidden::UNSEEN_HINT)?;
    let roots = snapshots.all.iter().map(|one| one.snapshot.tree);
    used::mark(session, &packs, roots, &obstacles, progress, cancel)?;
    obstacles.check(obstacles::MISSING_HINT)?;
    if !hidden.is_empty() {
        let roots = hidden.into_iter();
        used::mark(session, &packs, roots, &obstacles, progress, cancel)?;
        obstacles.check(hidden::WAITING_HINT)?;
    }
    if !behind.is_empty() {
        let roots = behind.into_iter();
        used::mark(session, &packs, roots, &obstacles, progress, cancel)?;
        obstacles.check(hidden::BEHIND_HINT)?;
    }
    let duplicates::Chosen { plan, wrong } =
        duplicates::choose(session, &packs, options, &obstacles, progress, cancel)?;
    obstacles.check(obstacles::MISSING_HINT)?;
    let stays: BTreeSet<Id> = snapshots.all.iter().map(|one| one.id).collect();
    let mut report = PruneReport {
        wrong,
        ..PruneReport::planned(session, &plan, &packs, stays.len())
    };
    if options.dry_run {
        report.would_remove(session, &plan);
        return Ok(report);
    }
    if !plan.is_nothing() || is_anything_left(session) {
        let written = repack::run(session, &packs, &plan, options, environment, progress)?;
        report.note_written(session, &written);
        let staying = Staying::of(&packs, &plan, &written, &stays);
        even::bring(session, &staying, &plan, options, progress, cancel)?;
        if let Some(receipts) = receipts {
            let moved = Moved::of(session, &packs, &plan, &written, cancel)?;
            report.renewal = renewed(session, receipts, &moved);
        }
        let records = match plan.is_nothing() {
            true => Vec::new(),
            false => records(&plan, &stays, environment),
        };
        if let Err(error) = put_on_record(session, state, records, cancel, &mut report) {
            return Err(taken_back(
                session,
                state,
                &report.records,
                environment,
                error,
            ));
        }
    }
    forget_old_needs(session, state);
    let finished = removals::finish_seen(session, &session.removals, progress, cancel);
    report.note_finished(session, finished);
    report.was_interrupted = cancel.is_cancelled();
    Ok(report)
}

/// Signs anew what snapshots need where that has moved. It is done before anything is on record: whoever
/// finishes that does not know where everything is, and vaults would keep what the old receipts name.
fn renewed(session: &Session, receipts: Receipts<'_>, moved: &Moved) -> Renewal {
    receipts.renew(session, moved).unwrap_or_else(|error| {
        let reason = chain(&error);
        tracing::warn!(reason, "Receipts still name what the prune has moved");
        Renewal::default()
    })
}

/// Puts on record what goes, and looks right before anything is removed whether anything is new.
fn put_on_record(
    session: &mut Session,
    state: &RepositoryState,
    records: Vec<Removal>,
    cancel: &Cancel,
    report: &mut PruneReport,
) -> Result<()> {
    for removal in records {
        newcomers::look(session)?;
        cancel.check()?;
        let published = removals::publish(session, state, removal)?;
        report.records.push(published.record);
        report.not_on.extend(published.not_on);
    }
    newcomers::look(session)
}

/// Annuls the records of a prune that gives up before anything was removed: whoever comes next would
/// finish them. Returns why it gave up, with what became of them.
fn taken_back(
    session: &mut Session,
    state: &RepositoryState,
    records: &[Id],
    environment: &Environment,
    error: Error,
) -> Error {
    let (mut gone, mut left) = (Vec::new(), None);
    for record in records {
        let now = (environment.clock)();
        match removals::annul(session, state, *record, now, &environment.hostname) {
            Ok(published) => {
                for (copy, failure) in published.not_on {
                    let reason = failure.reason;
                    tracing::warn!(
                        copy,
                        reason,
                        "A copy was not told that a record is annulled"
                    );
                }
                gone.push(*record);
            }
            Err(error) => {
                left = Some(*record);
                let (record, reason) = (record.short(), chain(&error));
                tracing::warn!(record, reason, "A removal record cannot be annulled");
            }
        }
    }
    match error {
        Error::WrittenMeanwhile { copy, file, .. } => Error::WrittenMeanwhile {
            copy,
            file,
            record: left,
            annulled: gone,
        },
        error => error,
    }
}

/// Lets nothing be noted of snapshots that needed what goes: where only those notes tell, as without
/// the password, what was only moved would be missed.
fn forget_old_needs(session: &Session, state: &RepositoryState) {
    if let Err(error) = state.drop_needs(|name| session.removals.names(name)) {
        let reason = chain(&error);
        tracing::warn!(reason, "What snapshots needed before is still noted");
    }
}

/// Whether any copy still has what earlier records name.
fn is_anything_left(session: &Session) -> bool {
    let mut ready = session.ready();
    ready.any(|(_, ready)| !ready.removed.is_empty())
}

/// What goes, as records: one, but for repositories with more packs than it may name.
fn records(plan: &Plan, stays: &BTreeSet<Id>, environment: &Environment) -> Vec<Removal> {
    let data: Vec<Id> = plan.data().collect();
    let mut parts: Vec<BTreeSet<Id>> = data
        .chunks(IDS_PER_RECORD)
        .map(|ids| ids.iter().copied().collect())
        .collect();
    if parts.is_empty() {
        parts.push(BTreeSet::new());
    }
    let mut index = plan.index.clone();
    let record = |data| Removal {
        at: (environment.clock)(),
        host: environment.hostname.clone(),
        by: RemovedBy::Prune,
        snapshots: BTreeSet::new(),
        // All in the first: what no index file names is garbage, whoever finds it.
        index: std::mem::take(&mut index),
        data,
        stays: stays.clone(),
    };
    parts.into_iter().map(record).collect()
}
