//! `strongroom sync`, also as the end of a backup.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::discriminant;

use serde::Serialize;
use strongroom_engine::locking::LockReport;
use strongroom_engine::progress::Progress;
use strongroom_engine::removals::{FinishedCopy, carry, finish_alone};
use strongroom_engine::session::Locks;
use strongroom_engine::snapshots::unread_behind;
use strongroom_engine::sync::{
    Decision, SyncOptions, SyncProblem, SyncReport, SyncedCopy, sync_session,
};
use strongroom_engine::{CopyState, Error as EngineError};
use strongroom_model::{FileName, FileType, Id};

use crate::context::{Context, Opened};
use crate::copies as stores;
use crate::error::Result;
use crate::exit::{Exit, MANUAL};
use crate::locking;
use crate::memory;
use crate::monitor::Monitor;
use crate::output::{BAD, DOUBTFUL, GOOD, Output, visible};
use crate::predecessors;
use crate::removed;
use crate::table::{Cell, Table};
use crate::vaults::{NewFiles, Vaults};
use crate::words::{count, size};

/// How many files with one kind of problem are named.
const NAMED: usize = 3;

/// How many files of each type are named that were accepted as removed: more, since whoever says so
/// has to see that it is what he removed.
const ACCEPTED_NAMED: usize = 10;

/// What to do where more was accepted as removed than anybody meant.
const ACCEPTED_TOO_MUCH: &str = "if that is more than you removed, somebody else did: \
                                 docs/when-something-is-wrong.md, \"It is gone from every copy\"";

/// Heal every copy from the others
///
/// Brings each copy what it lacks and replaces what is damaged there, from any other copy that has
/// it whole: first packs, then index files, then snapshots, so that no copy ever gets a snapshot
/// without what it needs. Every file is checked against its name on the way.
///
/// Junk does not spread: keys, index files and snapshots travel only if they decode or a receipt
/// names them. A copy that looks as if somebody had pruned it by itself is left alone and told;
/// --heal brings back what it lacks.
///
/// What this machine knows to have been there, by receipts and earlier syncs, and no copy lists any
/// more is named, and the exit status is 3, until it is back. After a forget on all copies that was
/// meant, say --accept-removed once: then what is gone by now is no longer missed. Before that it
/// tells how many snapshots, index files and packs these are, and names the first; --json names all.
/// What lies hidden among the snapshots of a locked bucket and cannot be read is noted with them. So is,
/// where another repository was on a copy before, that it was given up for this one; until then that is
/// an alarm, nothing is removed, and the exit status is 3.
///
/// What a forget or prune has removed is never brought back, whichever copy still has it. A copy that
/// was away gets the record of it, and what is named there is removed from it: from a locked bucket
/// when the last lock is over. What another machine has removed is hidden at once and told, and goes
/// from here on only 7 days later.
///
/// Copies in buckets whose locks end too soon get longer ones, as by `strongroom lock extend`.
///
/// A key that a vault holds for an operator to admit is not sent again, and its copy is not behind
/// where it lists another key. A vault that takes files and logs none of them is an alarm.
///
/// Examples:
///   strongroom sync
///   strongroom sync --heal
///   strongroom sync --accept-removed
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = MANUAL)]
pub(crate) struct Args {
    /// Bring back also what somebody seems to have removed from one copy on purpose
    #[arg(long)]
    heal: bool,
    /// Let this key file travel, although nothing here shows whose it is
    #[arg(long, value_name = "ID")]
    admit_key: Vec<Id>,
    /// Take note that what no copy lists any more was removed on purpose; removes nothing
    #[arg(long)]
    accept_removed: bool,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit> {
        let mut opened = context.open_to_extend()?;
        let wishes = Wishes {
            decision: if self.heal {
                Decision::Heal
            } else {
                Decision::Ask
            },
            admitted: self.admit_key.into_iter().collect(),
            accept_removed: self.accept_removed,
            ..Wishes::default()
        };
        let left_out = opened.left_out();
        let _sweep = stores::sweep(&opened);
        memory::try_keys(&mut opened, &context.output);
        let (mut report, finished) = {
            let monitor = Monitor::start(&context.output);
            let mut report = run(&mut opened, wishes, &monitor.progress)?;
            let finished = finish_removals(&opened, &mut report, None, &monitor.progress)?;
            (report, finished)
        };
        let new = NewFiles {
            brought: brought(&report),
            ..NewFiles::default()
        };
        context.ask_again(&mut opened, &new)?;
        let output = &context.output;
        output.result(&copies(&report).to_string())?;
        // Where it cannot be noted, what came of the sync is told all the same.
        let accepted = match self.accept_removed {
            true => add_unread(&opened, &mut report)
                .and_then(|()| accept(context, &mut opened, &mut report)),
            false => Ok(()),
        };
        warn_of(output, &report, &left_out);
        removed::tell(output, &finished)?;
        opened.vaults.tell_pending(output);
        let locks = locking::after_run(context, &opened);
        let mut summary = Summary::of(&report, &finished, &locks, &opened.vaults);
        summary.alarms = context.alarms(&opened.vaults);
        let is_complete = summary.complete;
        output.object(&summary)?;
        accepted?;
        if report.was_interrupted {
            let text = "The sync was interrupted; what it brought stays";
            output.warn(text, Some("the rest: strongroom sync"));
            return Ok(Exit::Interrupted);
        }
        Ok(Exit::of(is_complete))
    }
}

/// Finishes what records say was removed, on copies where something of it can go, or `on` these alone;
/// an interruption there is one of the sync.
pub(crate) fn finish_removals(
    opened: &Opened,
    report: &mut SyncReport,
    on: Option<&BTreeSet<String>>,
    progress: &Progress,
) -> Result<Vec<FinishedCopy>> {
    if report.was_interrupted {
        return Ok(Vec::new());
    }
    match finish_alone(&opened.session, on, &opened.environment, progress) {
        Err(EngineError::Interrupted) => {
            report.was_interrupted = true;
            Ok(Vec::new())
        }
        finished => {
            let mut finished = finished?;
            removed::note_tombstones(opened, &mut finished);
            Ok(finished)
        }
    }
}

/// The copies that got files which they cannot have had, by name: a vault behind one of them has
/// logged them.
pub(crate) fn brought(report: &SyncReport) -> BTreeSet<String> {
    let copies = report.copies.iter().filter(|copy| copy.news_brought > 0);
    copies.map(|copy| copy.name.clone()).collect()
}

/// What a sync shall do beyond bringing what is missing.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    pub(crate) decision: Decision,
    pub(crate) admitted: BTreeSet<Id>,
    /// Whether all that is lost is asked for, since it is to be taken note of.
    pub(crate) accept_removed: bool,
    /// For snapshots that were just made, what they need.
    pub(crate) needs: BTreeMap<Id, Vec<FileName>>,
    /// These snapshots, as they are stored.
    pub(crate) new_snapshots: BTreeMap<Id, Vec<u8>>,
}

/// Syncs all copies under locks, and brings the session and the memory up to date.
pub(crate) fn run(opened: &mut Opened, wishes: Wishes, progress: &Progress) -> Result<SyncReport> {
    let began = (opened.environment.clock)();
    let mut locks = Locks::acquire(&mut opened.session, &opened.environment, false)?;
    let mut known_keys = memory::known_keys(opened);
    let removed_keys = memory::removed_keys(opened, &wishes.admitted);
    known_keys.extend(wishes.admitted);
    let memory = opened.memory();
    memory::rotten(opened);
    memory::doubt(&mut opened.session, &memory);
    memory::before_sync(opened);
    let removed = memory.gone().accepted;
    let seen = opened.session.ready().map(|(copy, _)| {
        let seen = memory.seen(copy).without(&removed);
        (copy.name.clone(), seen)
    });
    // What was removed on purpose is to be taken note of in full.
    let mut known_files = match wishes.accept_removed {
        true => memory::records_of(opened, |records| records.files()),
        false => {
            let ready = opened.session.ready();
            let listings: Vec<_> = ready.map(|(_, ready)| &ready.listing).collect();
            memory::records_of(opened, |records| records.unlisted_files(&listings))
        }
    };
    // What a record hides is not lost.
    known_files.retain(|name| !opened.session.removals.names(*name));
    let copies = opened.session.ready().map(|(copy, _)| copy.clone());
    let clock = opened.environment.clock.clone();
    let before_heal = memory::before_heal(memory.clone(), copies.collect(), clock);
    let limits = &opened.config.limits;
    let options = SyncOptions {
        memory_bytes: limits.memory.bytes(),
        transfers: (limits.uploads_per_copy as usize).saturating_mul(opened.session.copies.len()),
        known_keys,
        removed_keys,
        pending_keys: opened.vaults.pending_keys(),
        seen: seen.collect(),
        known_files,
        needs: wishes.needs,
        new_snapshots: wishes.new_snapshots,
        decision: wishes.decision,
        before_heal: Some(before_heal),
    };
    let cancel = opened.environment.cancel.clone();
    let mut report = sync_session(&opened.session, &options, progress, &cancel);
    report.not_on = carry(&opened.session);
    locks.release();
    memory::written_anew(opened, &report);
    take_over(opened, &report);
    memory::synced(opened, &report);
    let now = (opened.environment.clock)();
    memory::sighted(&opened.session, &memory, began, now);
    Ok(report)
}

fn take_over(opened: &mut Opened, report: &SyncReport) {
    for copy in &report.copies {
        match &copy.failure {
            Some(failure) => opened.session.fail(&copy.name, failure.clone()),
            None => with_ready(opened, &copy.name, |ready| {
                ready.listing = copy.listing.clone();
                ready.doubts = copy.unmended.iter().copied().collect();
            }),
        }
        let is_config = |name: &FileName| *name == FileName::CONFIG;
        if copy.healed.iter().any(is_config) {
            with_ready(opened, &copy.name, |ready| ready.config_is_right = true);
        }
    }
}

fn with_ready(
    opened: &mut Opened,
    name: &str,
    change: impl FnOnce(&mut strongroom_engine::session::ReadyCopy),
) {
    let copy = opened
        .session
        .copies
        .iter_mut()
        .find(|copy| copy.copy.name == name);
    if let Some(CopyState::Ready(ready)) = copy.map(|copy| &mut copy.state) {
        change(ready);
    }
}

/// Warns of everything that is not as it should be.
pub(crate) fn warn_of(output: &Output, report: &SyncReport, left_out: &[String]) {
    for copy in &report.copies {
        if let Some(failure) = copy
            .failure
            .as_ref()
            .filter(|_| !left_out.contains(&copy.name))
        {
            output.warn(
                &format!("{}: {}", copy.name, failure.reason),
                failure.hint.as_deref(),
            );
        }
    }
    warn_of_problems(output, &report.problems);
    for junk in &report.junk {
        output.warn(
            &visible(&junk.to_string()),
            Some(&visible(&junk.advice.join("; "))),
        );
    }
    for diverged in &report.diverged {
        output.warn(&visible(&diverged.to_string()), Some(&diverged.hint()));
    }
    if !report.lost.is_empty() {
        output.warn(&report.lost.to_string(), Some(&report.lost.hint()));
    }
    removed::warn_without_record(output, &report.not_on);
}

/// A copy that keeps nothing of what it lists has a problem for each file: of each kind some are
/// named, and the rest is counted.
fn warn_of_problems(output: &Output, problems: &[SyncProblem]) {
    let mut of_kinds: Vec<Vec<&SyncProblem>> = Vec::new();
    for problem in problems {
        let is_same = |kind: &&mut Vec<&SyncProblem>| {
            kind.first()
                .is_some_and(|first| discriminant(&first.kind) == discriminant(&problem.kind))
        };
        match of_kinds.iter_mut().find(is_same) {
            Some(kind) => kind.push(problem),
            None => of_kinds.push(vec![problem]),
        }
    }
    for kind in of_kinds {
        for problem in kind.iter().take(NAMED) {
            let hint = visible(&problem.hint());
            output.warn(&visible(&problem.to_string()), Some(&hint));
        }
        let more = kind.len().saturating_sub(NAMED) as u64;
        if more > 0 {
            let files = count(more, "other file has", "other files have");
            let text = format!("{files} the same problem");
            output.warn(&text, Some("all of them: strongroom --json sync"));
        }
    }
}

/// Adds what lies hidden in locked buckets and cannot be read, which holds up a prune: whoever says that
/// what is gone was removed on purpose says it of that, too.
fn add_unread(opened: &Opened, report: &mut SyncReport) -> Result<()> {
    if report.was_interrupted || !report.lost.away.is_empty() {
        return Ok(());
    }
    let (session, cancel) = (&opened.session, &opened.environment.cancel);
    match unread_behind(session, &opened.memory(), cancel) {
        Ok(unread) => report.lost.files.extend(unread),
        Err(EngineError::Interrupted) => report.was_interrupted = true,
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Names what is lost, and which repositories were there before, and takes note that the first was
/// removed on purpose and the others given up: who interrupts in between has seen what that would have
/// been.
fn accept(context: &Context, opened: &mut Opened, report: &mut SyncReport) -> Result<()> {
    if report.was_interrupted {
        return Ok(());
    }
    let output = &context.output;
    predecessors::tell_accepting(output, opened);
    let given_up = predecessors::acceptable(opened);
    let is_certain = report.lost.is_certain();
    let lost = is_certain.then_some(&report.lost.files);
    if let Some(lost) = lost {
        let files = accepted(lost);
        let text = format!("to be noted as removed on purpose, and no longer missed then: {files}");
        output.warn(&text, Some(ACCEPTED_TOO_MUCH));
    }
    if !is_certain && given_up.is_empty() {
        return Ok(());
    }
    let files = lost.into_iter().flatten();
    output.object(&Accepting {
        message_type: "accepting",
        files: files.map(ToString::to_string).collect(),
        repositories: given_up.iter().copied().collect(),
    })?;
    if context.cancel.is_cancelled() {
        report.was_interrupted = true;
        return Ok(());
    }
    if !given_up.is_empty() {
        predecessors::accept(opened)?;
        context.forget_predecessors();
    }
    if is_certain {
        memory::accept_removed(opened, &report.lost)?;
        report.accepted = std::mem::take(&mut report.lost.files);
    }
    Ok(())
}

/// What is accepted as removed: of each type how many files, and the first of them.
fn accepted(files: &BTreeSet<FileName>) -> String {
    let kinds = [
        (FileType::Snapshots, "snapshot", "snapshots"),
        (FileType::Index, "index file", "index files"),
        (FileType::Data, "pack", "packs"),
    ];
    let told = kinds.into_iter().filter_map(|(kind, one, several)| {
        let of_kind = files.iter().filter(|name| name.kind() == kind);
        let ids: Vec<Id> = of_kind.filter_map(FileName::id).collect();
        let first: Vec<String> = ids.iter().take(ACCEPTED_NAMED).map(Id::short).collect();
        let more = match ids.len().saturating_sub(first.len()) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let number = count(ids.len() as u64, one, several);
        (!ids.is_empty()).then(|| format!("{number} ({}{more})", first.join(", ")))
    });
    told.collect::<Vec<_>>().join(", ")
}

fn copies(report: &SyncReport) -> Table {
    let mut table = Table::headed(&["copy", "", "brought", "size", "healed", "lacks"]);
    for copy in &report.copies {
        let lacks: u64 = copy.lacking.values().sum();
        table.row([
            copy.name.clone().into(),
            word(copy),
            count(copy.files_brought, "file", "files").into(),
            size(copy.bytes_brought).into(),
            count(copy.healed.len() as u64, "file", "files").into(),
            count(lacks, "file", "files").into(),
        ]);
    }
    table
}

fn word(copy: &SyncedCopy) -> Cell {
    match &copy.failure {
        Some(_) => Cell::styled("failed", BAD),
        None if copy.is_whole() => Cell::styled("whole", GOOD),
        None => Cell::styled("behind", DOUBTFUL),
    }
}

/// What is about to be taken note of as removed on purpose, or given up, as `--json` tells it.
#[derive(Serialize)]
struct Accepting {
    message_type: &'static str,
    files: Vec<String>,
    repositories: Vec<Id>,
}

/// What came of a sync, as `--json` tells it.
#[derive(Serialize)]
struct Summary {
    message_type: &'static str,
    complete: bool,
    copies: Vec<CopySummary>,
    problems: Vec<String>,
    junk: Vec<String>,
    diverged: Vec<String>,
    lost: Vec<String>,
    accepted: Vec<String>,
    removed: Vec<removed::Summary>,
    alarms: Vec<String>,
    pending_keys: BTreeMap<String, BTreeSet<Id>>,
    locks: Vec<locking::CopySummary>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_on: Vec<String>,
}

#[derive(Serialize)]
struct CopySummary {
    name: String,
    outcome: &'static str,
    files_brought: u64,
    bytes_brought: u64,
    healed: Vec<String>,
    unmended: Vec<String>,
    files_lacking: u64,
    reason: Option<String>,
    hint: Option<String>,
}

impl Summary {
    fn of(
        report: &SyncReport,
        finished: &[FinishedCopy],
        locks: &LockReport,
        vaults: &Vaults,
    ) -> Self {
        let is_finished = finished.iter().all(|copy| copy.failure.is_none());
        Self {
            message_type: "summary",
            complete: report.is_complete() && is_finished && locks.is_complete(),
            copies: report.copies.iter().map(CopySummary::of).collect(),
            problems: report.problems.iter().map(ToString::to_string).collect(),
            junk: report.junk.iter().map(ToString::to_string).collect(),
            diverged: report.diverged.iter().map(ToString::to_string).collect(),
            lost: report.lost.files.iter().map(ToString::to_string).collect(),
            accepted: report.accepted.iter().map(ToString::to_string).collect(),
            removed: finished.iter().map(removed::Summary::of).collect(),
            alarms: vaults.alarms(),
            pending_keys: vaults.pending_keys(),
            locks: locking::summaries(locks),
            not_on: report.not_on.iter().map(|(name, _)| name.clone()).collect(),
        }
    }
}

impl CopySummary {
    fn of(copy: &SyncedCopy) -> Self {
        let names = |names: &[FileName]| names.iter().map(ToString::to_string).collect();
        Self {
            name: copy.name.clone(),
            outcome: match &copy.failure {
                Some(_) => "failed",
                None if copy.is_whole() => "whole",
                None => "behind",
            },
            files_brought: copy.files_brought,
            bytes_brought: copy.bytes_brought,
            healed: names(&copy.healed),
            unmended: names(&copy.unmended),
            files_lacking: copy.lacking.values().sum(),
            reason: copy.failure.as_ref().map(|failure| failure.reason.clone()),
            hint: copy
                .failure
                .as_ref()
                .and_then(|failure| failure.hint.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use strongroom_engine::{CopyFailure, CopyFailureKind};

    use super::*;

    #[test]
    fn a_copy_that_lacks_a_record_and_did_not_take_it_leaves_a_sync_incomplete() {
        let failure = CopyFailure {
            reason: "it refuses".to_owned(),
            hint: None,
            kind: CopyFailureKind::Other,
        };
        let report = SyncReport {
            not_on: vec![("two".to_owned(), failure)],
            ..SyncReport::default()
        };
        let (locks, vaults) = (LockReport::default(), Vaults::default());
        let told = Summary::of(&report, &[], &locks, &vaults);
        assert!(!told.complete);
        assert_eq!(told.not_on, ["two"]);
        let told = Summary::of(&SyncReport::default(), &[], &locks, &vaults);
        assert!(told.complete && told.not_on.is_empty());
    }

    #[test]
    fn what_is_accepted_is_counted_by_its_type_and_the_first_are_named() {
        let name = |kind, text: &str| FileName::new(kind, Id::of(text.as_bytes()));
        let index = name(FileType::Index, "index");
        let few: BTreeSet<FileName> = [index, name(FileType::Snapshots, "snapshot")].into();
        let text = accepted(&few);
        let [snapshot, file] = ["snapshot", "index"].map(|text| Id::of(text.as_bytes()).short());
        assert_eq!(
            text,
            format!("1 snapshot ({snapshot}), 1 index file ({file})")
        );

        let packs = (0..25).map(|number| name(FileType::Data, &format!("pack {number}")));
        let many: BTreeSet<FileName> = packs.chain([index]).collect();
        let text = accepted(&many);
        assert!(
            text.starts_with(&format!("1 index file ({file}), 25 packs (")),
            "{text}"
        );
        assert!(text.ends_with(" and 15 more)"), "{text}");
        let first = many.iter().find(|name| name.kind() == FileType::Data);
        assert!(
            text.contains(&first.unwrap().id().unwrap().short()),
            "{text}"
        );
    }
}
