//! What a backup tells: for people, and as the summary of `--json`.

use serde::Serialize;
use strongroom_engine::backup::report::{
    BackupReport, CopyOutcome, CopyReport, SourceError, SourceReport, Stats,
};
use strongroom_engine::lead::ProblemState;
use strongroom_model::Id;

use crate::commands::backup::closing::HEALED;
use crate::error::Result;
use crate::output::{BAD, DOUBTFUL, GOOD, Output, visible};
use crate::table::{Cell, Table};
use crate::words::{count, size};

/// How many unreadable files of a source are named; all of them are with `--json`.
const NAMED: usize = 20;

/// Whether every source was read without an error.
pub(crate) fn is_read(report: &BackupReport) -> bool {
    report.error_count() == 0 && report.sources.iter().all(|source| source.failure.is_none())
}

/// Tells all of it, but for why copies were `left_out` from the beginning, which was told.
pub(crate) fn tell(
    output: &Output,
    report: &BackupReport,
    left_out: &[String],
    dry_run: bool,
    complete: bool,
) -> Result<()> {
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
    output.result(&sources(report, dry_run).to_string())?;
    if !dry_run {
        output.result(&format!("\n{}", copies(report)))?;
        for copy in &report.copies {
            if let CopyOutcome::Failed(failure) = &copy.outcome
                && !left_out.contains(&copy.name)
            {
                let text = format!("{}: {}", copy.name, failure.reason);
                output.warn(&text, failure.hint.as_deref());
            }
        }
    }
    output.object(&Summary::of(report, dry_run, complete))
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
    if let Some(more) = source
        .errors
        .len()
        .checked_sub(NAMED)
        .filter(|more| *more > 0)
    {
        let text = format!(
            "{}: {} not named here",
            source.name,
            count(more as u64, "error", "errors")
        );
        output.warn(&text, Some("--json names all of them"));
    }
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
        let errors = match source.errors.len() {
            0 => "0".into(),
            errors => Cell::styled(errors.to_string(), BAD),
        };
        table.row([
            source.name.clone().into(),
            snapshot,
            crate::words::grouped(stats.files_processed).into(),
            size(stats.bytes_processed).into(),
            size(stats.bytes_read).into(),
            size(stats.data_added_packed_bytes).into(),
            errors,
        ]);
    }
    table
}

fn copies(report: &BackupReport) -> Table {
    let mut table = Table::headed(&["copy", "for these snapshots", "place"]);
    for copy in &report.copies {
        let outcome = match &copy.outcome {
            CopyOutcome::Whole => Cell::styled("whole", GOOD),
            CopyOutcome::Behind { files } => Cell::styled(
                format!("behind by {}", count(*files, "file", "files")),
                DOUBTFUL,
            ),
            CopyOutcome::Failed(_) => Cell::styled("failed", BAD),
        };
        table.row([
            copy.name.clone().into(),
            outcome,
            copy.location.clone().into(),
        ]);
    }
    table
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
}

impl<'a> Summary<'a> {
    fn of(report: &'a BackupReport, dry_run: bool, complete: bool) -> Self {
        Self {
            message_type: "summary",
            dry_run,
            complete,
            sources: report.sources.iter().map(SourceSummary::of).collect(),
            copies: match dry_run {
                true => Vec::new(),
                false => report.copies.iter().map(CopySummary::of).collect(),
            },
            lead: &report.lead,
            packs_written: report.packs_written,
            bytes_written: report.bytes_written,
            error_count: report.error_count(),
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
    fn of(copy: &'a CopyReport) -> Self {
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
        }
    }
}
