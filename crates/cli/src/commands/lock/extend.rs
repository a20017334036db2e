//! `strongroom lock extend`.

use serde::Serialize;
use strongroom_engine::locking::{CopyLocks, LockReport, LockingOptions};

use crate::context::Context;
use crate::copies;
use crate::error::Result;
use crate::exit::{Exit, MANUAL};
use crate::locking::{self, CopySummary};
use crate::monitor::Monitor;
use crate::output::{BAD, DOUBTFUL, GOOD};
use crate::table::{Cell, Table};
use crate::words::grouped;

/// Make the locks longer that end too soon
///
/// Every file is locked for half as long again as `lock` says, by the clock of the server. Where
/// less than a quarter more than `lock` is left, the lock is made longer again: of config, keys,
/// index files, all snapshots and every pack that they need, of each the newest version that is
/// right, also where somebody has hidden or overwritten it. What nothing needs is left to expire.
///
/// Backups, syncs and prunes do the same at their end, for ten minutes at most. Until when which
/// version is locked is recorded in the state folder, so that little is asked; where the record is
/// lost, each file is looked at once.
///
/// Where the keys are hidden or overwritten on every copy, or config is, so that nothing opens any
/// more, what lies hidden in a bucket that keeps versions does, for this command alone. So it does where
/// another repository was put in their stead, as far as this machine knows. That is an alarm, and the
/// exit status is 3.
///
/// A lock that cannot be extended is named, and the exit status is 3. So it is where less than
/// `lock` is left of any file: that is an alarm, here and in every command.
///
/// Examples:
///   strongroom lock extend
///   strongroom lock extend --copy offsite --dry-run
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = MANUAL)]
pub(crate) struct Args {
    /// The copy whose locks are to be extended; all where none is named
    #[arg(long, value_name = "NAME")]
    copy: Option<String>,
    /// Look at what is due, and change no lock
    #[arg(long)]
    dry_run: bool,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit> {
        let opened = context.open_behind()?;
        if let Some(name) = &self.copy {
            copies::named(&opened.config, name)?;
        }
        let options = LockingOptions {
            only: self.copy,
            dry_run: self.dry_run,
            all: true,
            longest: None,
        };
        let report = {
            let monitor = Monitor::start(&context.output);
            locking::run(&opened, &options, &monitor.progress)?
        };
        let output = &context.output;
        if report.copies.is_empty() {
            let hint = "for one in a bucket write lock = \"30d\" in strongroom.toml, then: \
                        strongroom init";
            output.warn("No copy has locks", Some(hint));
        } else {
            output.result(&table(&report, options.dry_run).to_string())?;
        }
        locking::tell(output, &opened, &report);
        let opened_behind = opened.session.opened_behind.as_deref();
        let is_replaced = !opened.session.predecessors.is_empty();
        let is_complete = report.is_complete() && opened_behind.is_none() && !is_replaced;
        output.object(&Summary {
            message_type: "summary",
            dry_run: options.dry_run,
            complete: is_complete,
            opened_behind,
            copies: locking::summaries(&report),
            gaps: &report.gaps,
            problems: &report.problems,
        })?;
        if report.was_interrupted {
            let text = "The extension of locks was interrupted; what was done stays";
            output.warn(text, Some("the rest: strongroom lock extend"));
            return Ok(Exit::Interrupted);
        }
        Ok(Exit::of(is_complete))
    }
}

fn table(report: &LockReport, dry_run: bool) -> Table {
    let done = if dry_run { "due" } else { "extended" };
    let titles = ["copy", "", "files", done, "failed", "left", "first ends"];
    let mut table = Table::headed(&titles).right(&[2, 3, 4, 5]);
    for copy in &report.copies {
        let done = if dry_run { copy.due } else { copy.extended };
        let end = locking::first_end(copy);
        let end = end.map(|end| end.strftime("%Y-%m-%d").to_string());
        table.row([
            copy.name.clone().into(),
            word(copy),
            grouped(copy.recorded).into(),
            grouped(done).into(),
            grouped(copy.failed).into(),
            grouped(copy.left).into(),
            end.unwrap_or_else(|| "-".to_owned()).into(),
        ]);
    }
    table
}

fn word(copy: &CopyLocks) -> Cell {
    match copy.is_complete() {
        _ if copy.failure.is_some() => Cell::styled("failed", BAD),
        true => Cell::styled("locked", GOOD),
        false => Cell::styled("incomplete", DOUBTFUL),
    }
}

/// What came of it, as `--json` tells it.
#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    dry_run: bool,
    complete: bool,
    opened_behind: Option<&'a str>,
    copies: Vec<CopySummary>,
    gaps: &'a [String],
    problems: &'a [String],
}
