//! What a backup tells: for people, and as the summary of `--json`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use strongroom_engine::backup::report::{
    BackupReport, CopyOutcome, CopyReport, SourceError, SourceReport, Stats,
};
use strongroom_engine::lead::ProblemState;
use strongroom_engine::removals::FinishedCopy;
use strongroom_model::Id;

use crate::commands::backup::closing::HEALED;
use crate::error::Result;
use crate::locking;
use crate::output::{BAD, DOUBTFUL, GOOD, Output, visible};
use crate::removed;
use crate::table::{Cell, Table};
use crate::vaults::Said;
use crate::words::{count, grouped, size};

/// How many unreadable files of a source are named; with `--json` far more are.
const NAMED: usize = 20;

/// Whether every source was read without an error.
pub(crate) fn is_read(report: &BackupReport) -> bool {
    report.error_count() == 0 && report.sources.iter().all(|source| source.failure.is_none())
}

/// What there is to tell beside the report.
#[derive(Debug)]
pub(crate) struct Telling<'a> {
    /// Copies that could not be used from the beginning, which was told.
    pub(crate) left_out: &'a [String],
    /// What vaults say of the new snapshots.
    pub(crate) said: &'a [Said],
    /// What is wrong with the logs of vaults.
    pub(crate) alarms: Vec<String>,
    /// By copy, keys that wait for an operator.
    pub(crate) pending_keys: BTreeMap<String, BTreeSet<Id>>,
    /// What came of the locks of copies that have any.
    pub(crate) locks: Vec<locking::CopySummary>,
    /// What became of removed files on copies that were away.
    pub(crate) removed: &'a [FinishedCopy],
    /// Whether nothing was written.
    pub(crate) dry_run: bool,
    /// Whether everything was done.
    pub(crate) complete: bool,
}

/// Tells all of it.
pub(crate) fn tell(output: &Output, report: &BackupReport, telling: &Telling<'_>) -> Result<()> {
    for problem in &report.lead_problems {
        let hint = match problem.state {
            ProblemState::Told => "its blobs are stored anew; heal it: strongroom sync",
            ProblemState::Damaged => "heal it from the other copies: strongroom sync",
            ProblemState::Healed => HEALED,
        };
        output.warn(&visible(&problem.to_string()), Some(hint));
    }
    for source in &report.sources {
        warn_of_source(output, source);
    }
    output.result(&sources(report, telling.dry_run).to_string())?;
    if !telling.dry_run {
        output.result(&format!("\n{}", copies(report, telling.said)))?;
        for copy in &report.copies {
            if let CopyOutcome::Failed(failure) = &copy.outcome
                && !telling.left_out.contains(&copy.name)
            {
                let text = format!("{}: {}", copy.name, failure.reason);
                output.warn(&text, failure.hint.as_deref());
            }
        }
    }
    for said in telling.said {
        said.tell(output);
    }
    output.object(&Summary::of(report, telling))
}

fn warn_of_source(output: &Output, source: &SourceReport) {
    if let Some(reason) = &source.failure {
        output.warn(
            &format!("{} has no snapshot: {}", source.name, visible(reason)),
            None,
        );
    }
    for error in source.errors.iter().take(NAMED) {
        output.warn(&visible(&error.to_string()), None);
    }
    if let Some((text, hint)) = not_named(source) {
        output.warn(&text, Some(&hint));
    }
}

/// How many errors of a source are not named, and where more of them are.
fn not_named(source: &SourceReport) -> Option<(String, String)> {
    let more = source.error_count().checked_sub(NAMED as u64)?;
    if more == 0 {
        return None;
    }
    let errors = count(more, "error", "errors");
    let hint = match source.errors_not_told {
        0 => "--json names all of them".to_owned(),
        _ => format!(
            "--json names the first {}",
            grouped(source.errors.len() as u64)
        ),
    };
    Some((format!("{}: {errors} not named here", source.name), hint))
}

fn sources(report: &BackupReport, dry_run: bool) -> Table {
    let mut table = Table::headed(&[
        "source", "snapshot", "files", "size", "read", "added", "errors",
    ])
    .right(&[2, 3, 4, 5, 6]);
    for source in &report.sources {
        let stats = &source.stats;
        let snapshot = match (&source.snapshot, &source.failure) {
            (Some(id), _) => Cell::styled(id.short(), GOOD),
            (None, Some(_)) => Cell::styled("none", BAD),
            (None, None) if dry_run => "dry run".into(),
            (None, None) => "none".into(),
        };
        let errors = match source.error_count() {
            0 => "0".into(),
            errors => Cell::styled(grouped(errors), BAD),
        };
        table.row([
            source.name.clone().into(),
            snapshot,
            grouped(stats.files_processed).into(),
            size(stats.bytes_processed).into(),
            size(stats.bytes_read).into(),
            size(stats.data_added_packed_bytes).into(),
            errors,
        ]);
    }
    table
}

/// A column tells what vaults say themselves, where there are any.
fn copies(report: &BackupReport, said: &[Said]) -> Table {
    let mut titles = vec!["copy", "for these snapshots", "place"];
    if !said.is_empty() {
        titles.insert(2, "as its vault says");
    }
    let mut table = Table::headed(&titles);
    for copy in &report.copies {
        let outcome = match &copy.outcome {
            CopyOutcome::Whole => Cell::styled("whole", GOOD),
            CopyOutcome::Behind { files } => Cell::styled(
                format!("behind by {}", count(*files, "file", "files")),
                DOUBTFUL,
            ),
            CopyOutcome::Failed(_) => Cell::styled("failed", BAD),
        };
        let mut row = vec![
            copy.name.clone().into(),
            outcome,
            copy.location.clone().into(),
        ];
        if !said.is_empty() {
            let word = match said_of(said, &copy.name) {
                None => "".into(),
                Some(said) if said.is_refutation() => Cell::styled(said.word(), BAD),
                Some(said) => said.word().into(),
            };
            row.insert(2, word);
        }
        table.row(row);
    }
    table
}

fn said_of<'a>(said: &'a [Said], copy: &str) -> Option<&'a Said> {
    said.iter().find(|said| said.copy == copy)
}

#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    dry_run: bool,
    complete: bool,
    sources: Vec<SourceSummary<'a>>,
    copies: Vec<CopySummary<'a>>,
    lead: &'a str,
    packs_written: u64,
    bytes_written: u64,
    error_count: u64,
    alarms: &'a [String],
    pending_keys: &'a BTreeMap<String, BTreeSet<Id>>,
    locks: &'a [locking::CopySummary],
    removed: Vec<removed::Summary>,
}

#[derive(Serialize)]
struct SourceSummary<'a> {
    name: &'a str,
    snapshot: Option<Id>,
    parent: Option<Id>,
    failure: Option<&'a str>,
    #[serde(flatten)]
    stats: Stats,
    errors: &'a [SourceError],
}

/// What came of a copy.
#[derive(Serialize)]
struct CopySummary<'a> {
    name: &'a str,
    outcome: &'static str,
    files_behind: u64,
    reason: Option<&'a str>,
    hint: Option<&'a str>,
    by_vault: Option<SaidSummary<'a>>,
}

/// What the vault of a copy says of the new snapshots.
#[derive(Serialize)]
struct SaidSummary<'a> {
    whole: Option<bool>,
    missing: u64,
    receipts_left: usize,
    reason: Option<&'a str>,
}

impl<'a> Summary<'a> {
    fn of(report: &'a BackupReport, telling: &'a Telling<'_>) -> Self {
        let copies = report.copies.iter();
        Self {
            message_type: "summary",
            dry_run: telling.dry_run,
            complete: telling.complete,
            sources: report.sources.iter().map(SourceSummary::of).collect(),
            copies: match telling.dry_run {
                true => Vec::new(),
                false => copies
                    .map(|copy| CopySummary::of(copy, telling.said))
                    .collect(),
            },
            lead: &report.lead,
            packs_written: report.packs_written,
            bytes_written: report.bytes_written,
            error_count: report.error_count(),
            alarms: &telling.alarms,
            pending_keys: &telling.pending_keys,
            locks: &telling.locks,
            removed: telling.removed.iter().map(removed::Summary::of).collect(),
        }
    }
}

impl<'a> SourceSummary<'a> {
    fn of(source: &'a SourceReport) -> Self {
        Self {
            name: &source.name,
            snapshot: source.snapshot,
            parent: source.parent,
            failure: source.failure.as_deref(),
            stats: source.stats,
            errors: &source.errors,
        }
    }
}

impl<'a> CopySummary<'a> {
    fn of(copy: &'a CopyReport, said: &'a [Said]) -> Self {
        let (outcome, files_behind, failure) = match &copy.outcome {
            CopyOutcome::Whole => ("whole", 0, None),
            CopyOutcome::Behind { files } => ("behind", *files, None),
            CopyOutcome::Failed(failure) => ("failed", 0, Some(failure)),
        };
        Self {
            name: &copy.name,
            outcome,
            files_behind,
            reason: failure.map(|failure| failure.reason.as_str()),
            hint: failure.and_then(|failure| failure.hint.as_deref()),
            by_vault: said_of(said, &copy.name).map(|said| SaidSummary {
                whole: said.whole,
                missing: said.missing,
                receipts_left: said.left,
                reason: said.reason.as_deref(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use strongroom_engine::backup::report::SourceErrorKind;

    use super::*;

    fn source(told: usize, not_told: u64) -> SourceReport {
        let error = SourceError {
            path: "/srv/file".to_owned(),
            kind: SourceErrorKind::Unreadable,
            message: "Permission denied".to_owned(),
        };
        SourceReport {
            name: "main".to_owned(),
            errors: vec![error; told],
            errors_not_told: not_told,
            ..SourceReport::default()
        }
    }

    #[test]
    fn all_errors_are_counted_and_no_more_are_promised_than_are_told() {
        assert_eq!(not_named(&source(0, 0)), None);
        assert_eq!(not_named(&source(NAMED, 0)), None);
        let (text, hint) = not_named(&source(NAMED + 1, 0)).unwrap();
        assert_eq!(text, "main: 1 error not named here");
        assert_eq!(hint, "--json names all of them");
        let many = source(10_000, 2_500);
        let (text, hint) = not_named(&many).unwrap();
        let (all, unnamed, told) = (grouped(12_500), grouped(12_480), grouped(10_000));
        assert_eq!(text, format!("main: {unnamed} errors not named here"));
        assert_eq!(hint, format!("--json names the first {told}"));
        let report = BackupReport {
            sources: vec![many],
            ..BackupReport::default()
        };
        let table = sources(&report, false).to_string();
        assert!(table.contains(&all), "{table}");
    }
}
