//! Locks of files that are made longer in time: at the end of a backup, a sync and a prune, and by a
//! command of its own.
//!
//! **Architecture invariant:** nothing here can fail what it comes after; what could not be extended
//! is named and makes the exit status 3.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::Serialize;
use strongroom_engine::CopyStore;
use strongroom_engine::locking::{
    CopyLocks, LockReport, LockingOptions, NotExtended, Window, extend, short,
};
use strongroom_engine::progress::Progress;
use strongroom_engine::receipts::Receipts;
use strongroom_engine::session::{CopyFailure, CopyFailureKind, chain};
use strongroom_engine::state::RepositoryState;

use crate::context::{Context, Opened};
use crate::error::Result;
use crate::memory;
use crate::monitor::Monitor;
use crate::output::{Output, visible};
use crate::words::{count, moment, period};

/// How long it may take at the end of another run; the next one goes on.
const AFTER_A_RUN: Duration = Duration::from_secs(10 * 60);

/// How many files of a copy are named; with `--json` more are.
const NAMED: usize = 20;

/// What mends an alarm, and takes all the time that it needs.
const MEND: &str = "strongroom lock extend";

/// Makes the locks longer that are due.
pub(crate) fn run(
    opened: &Opened,
    options: &LockingOptions,
    progress: &Progress,
) -> Result<LockReport> {
    let memory = opened.memory();
    let client = memory::signer(&opened.state);
    let receipts = client.as_ref().map(|client| Receipts::new(&memory, client));
    let (session, environment) = (&opened.session, &opened.environment);
    let report = extend(session, &memory, receipts, options, environment, progress)?;
    Ok(report)
}

/// Does it at the end of a run that did something else, tells of it, and returns what came of it;
/// nothing where no copy has locks.
pub(crate) fn after_run(context: &Context, opened: &Opened) -> LockReport {
    let mut copies = opened.session.copies.iter();
    if copies.all(|one| one.copy.store.locks().is_none()) {
        return LockReport::default();
    }
    let options = LockingOptions {
        longest: Some(AFTER_A_RUN),
        ..LockingOptions::default()
    };
    let outcome = {
        let monitor = Monitor::start(&context.output);
        run(opened, &options, &monitor.progress)
    };
    let report = outcome.unwrap_or_else(|error| LockReport {
        failure: Some(CopyFailure {
            reason: chain(&error),
            hint: error.hint(),
            kind: CopyFailureKind::Other,
        }),
        ..LockReport::default()
    });
    tell(&context.output, opened, &report);
    report
}

/// Warns of everything that is not as it should be, and raises alarms.
pub(crate) fn tell(output: &Output, opened: &Opened, report: &LockReport) {
    for (text, hint) in of_all(report) {
        output.warn(&visible(&text), hint.as_deref().map(visible).as_deref());
    }
    for problem in &report.problems {
        output.warn(&visible(problem), None);
    }
    for copy in &report.copies {
        // Of a copy that could not be used it was told why.
        let is_told = opened.left_out().contains(&copy.name);
        if let Some(failure) = copy.failure.as_ref().filter(|_| !is_told) {
            let (name, reason) = (&copy.name, &failure.reason);
            let text = format!("{name}: its locks were not extended: {reason}");
            output.warn(&visible(&text), failure.hint.as_deref());
        }
        tell_files(output, copy);
    }
    for copy in report.alarms() {
        output.alarm(&alarm(copy), &[MEND]);
    }
}

/// What is wrong with more than one copy, each with the next step where there is one.
fn of_all(report: &LockReport) -> Vec<(String, Option<String>)> {
    let failure = report.failure.iter().map(|failure| {
        let text = format!("No lock was extended: {}", failure.reason);
        (text, failure.hint.clone())
    });
    let gaps = report.gaps.iter().map(|gap| {
        let text = format!("What is to stay locked is not known in full: {gap}");
        (text, Some("strongroom verify --decode".to_owned()))
    });
    let late = report.lacks_time.then(|| {
        let text = "There was no time to read what all snapshots need: every pack stays locked";
        (text.to_owned(), Some(MEND.to_owned()))
    });
    failure.chain(gaps).chain(late).collect()
}

fn tell_files(output: &Output, copy: &CopyLocks) {
    let name = &copy.name;
    for file in copy.not_extended.iter().take(NAMED) {
        let (file, reason, hint) = (file.name, &file.reason, &file.hint);
        let text = format!("{name}: the lock of {file} is not extended: {reason}");
        output.warn(&visible(&text), hint.as_deref().map(visible).as_deref());
    }
    let named = copy.not_extended.len().min(NAMED) as u64;
    if copy.failed > named {
        let more = count(copy.failed - named, "other lock is", "other locks are");
        let text = format!("{name}: {more} not extended");
        output.warn(&text, Some("more of them: strongroom --json lock extend"));
    }
    if copy.strangers > 0 {
        let these = count(copy.strangers, "of these is", "of these are");
        let text = format!("{name}: {these} known by a listing alone, and may be anybody's");
        output.warn(&text, Some("see what it is: strongroom verify"));
    }
    if copy.left > 0 {
        let left = count(copy.left, "lock waits", "locks wait");
        let text = format!("{name}: {left} for the next run");
        output.warn(&text, Some("all of them now: strongroom lock extend"));
    }
    if copy.extended > 0 {
        let extended = count(copy.extended, "lock", "locks");
        output.say(&format!("{name}: {extended} extended"));
    }
}

/// Raises an alarm for each of some copies of which less is left than must be, as far as was recorded
/// and by our own clock: for runs that do not extend locks. No place is asked.
pub(crate) fn tell_alarms(
    output: &Output,
    copies: &[CopyStore],
    memory: &RepositoryState,
    now: Timestamp,
) {
    let Ok(now) = SystemTime::try_from(now) else {
        return;
    };
    for copy in copies {
        let Some(locks) = copy.store.locks() else {
            continue;
        };
        let least = locks.least();
        let window = Window { now, least };
        let dates = memory.lock_dates(copy);
        if short(&dates, window).is_some_and(|files| files > 0) {
            output.alarm(&alarm(&CopyLocks::of(&copy.name, &dates, window)), &[MEND]);
        }
    }
}

/// The same, of an open repository.
pub(crate) fn tell_alarms_of(output: &Output, opened: &Opened) {
    let copies = opened.session.copies.iter();
    let copies: Vec<_> = copies.map(|one| one.copy.clone()).collect();
    let now = (opened.environment.clock)();
    tell_alarms(output, &copies, &opened.memory(), now);
}

/// Raises an alarm where only what lies hidden on a copy has opened the repository.
pub(crate) fn tell_hidden_keys(output: &Output, copy: &str) {
    let text = format!(
        "the keys are hidden or overwritten on every copy, or config is: what lies hidden on {copy} \
         has opened the repository, and nothing but locks may be extended by it"
    );
    let back = format!("strongroom recover --copy {copy} --in-place");
    output.alarm(&text, &[back.as_str(), "strongroom sync"]);
}

fn alarm(copy: &CopyLocks) -> String {
    let (name, least) = (&copy.name, period(copy.least.as_secs()));
    let files = count(copy.short, "file", "files");
    format!("{name}: less than {least} is left of the locks of {files}")
}

/// The day on which the first lock of a copy ends.
pub(crate) fn first_end(copy: &CopyLocks) -> Option<Timestamp> {
    moment(copy.until?)
}

/// What came of a copy, as `--json` tells it.
#[derive(Debug, Serialize)]
pub(crate) struct CopySummary {
    name: String,
    recorded: u64,
    found: u64,
    due: u64,
    extended: u64,
    left: u64,
    missing: u64,
    failed: u64,
    strangers: u64,
    not_extended: Vec<FileSummary>,
    short: u64,
    until: Option<Timestamp>,
    reason: Option<String>,
    hint: Option<String>,
}

#[derive(Debug, Serialize)]
struct FileSummary {
    file: String,
    reason: String,
    hint: Option<String>,
}

/// What came of all copies that have locks.
pub(crate) fn summaries(report: &LockReport) -> Vec<CopySummary> {
    report.copies.iter().map(CopySummary::of).collect()
}

impl CopySummary {
    fn of(copy: &CopyLocks) -> Self {
        let failure = copy.failure.as_ref();
        Self {
            name: copy.name.clone(),
            recorded: copy.recorded,
            found: copy.found,
            due: copy.due,
            extended: copy.extended,
            left: copy.left,
            missing: copy.missing,
            failed: copy.failed,
            strangers: copy.strangers,
            not_extended: copy.not_extended.iter().map(FileSummary::of).collect(),
            short: copy.short,
            until: first_end(copy),
            reason: failure.map(|failure| failure.reason.clone()),
            hint: failure.and_then(|failure| failure.hint.clone()),
        }
    }
}

impl FileSummary {
    fn of(file: &NotExtended) -> Self {
        Self {
            file: file.name.to_string(),
            reason: file.reason.clone(),
            hint: file.hint.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_nothing_was_extended_is_told_as_that_and_not_as_a_gap() {
        let report = LockReport {
            failure: Some(CopyFailure {
                reason: "the state folder is gone".to_owned(),
                hint: Some("mount it".to_owned()),
                kind: CopyFailureKind::Other,
            }),
            gaps: vec!["snapshot 12345678 cannot be read".to_owned()],
            lacks_time: true,
            ..LockReport::default()
        };
        let all = of_all(&report);
        let texts: Vec<&str> = all.iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "No lock was extended: the state folder is gone",
                "What is to stay locked is not known in full: snapshot 12345678 cannot be read",
                "There was no time to read what all snapshots need: every pack stays locked",
            ]
        );
        assert_eq!(all[0].1.as_deref(), Some("mount it"));
    }
}
