//! `strongroom restore`.

use std::path::PathBuf;

use serde::Serialize;
use strongroom_engine::restore::report::{Counts, RestoreReport};
use strongroom_engine::restore::{RestoreOptions, restore};
use strongroom_model::{FileName, FileType};

use crate::commands::snapshots::{load, resolve};
use crate::context::{Context, Opened};
use crate::error::Result;
use crate::exit::{Exit, MANUAL};
use crate::memory;
use crate::monitor::Monitor;
use crate::output::{Output, visible};
use crate::words::{count, size};

/// How many errors are named; all that were kept are with `--json`.
const NAMED: usize = 20;

/// Restore a snapshot into a folder
///
/// Reads from the best copy, and per pack from any other where one fails. Files are written beside
/// their names and put in place whole, with modes, owners, times, links and extended attributes.
///
/// The target must be empty, or not exist. With --overwrite, what has the same name is replaced,
/// and everything else in the target stays.
///
/// SNAPSHOT is latest, latest:SOURCE, an id, or at least two of its first digits. Where a newer one
/// is known here than any copy shows, latest is refused, and the error names the id to say instead.
///
/// The exit status is 3 where something could not be restored whole; it is named.
///
/// Examples:
///   strongroom restore latest /tmp/back
///   strongroom restore latest:repos /srv/new --include /srv/git/shop.git --verify
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = MANUAL)]
pub(crate) struct Args {
    /// Which snapshot
    snapshot: String,
    /// Where to
    target: PathBuf,
    /// Only what fits this pattern, as in a .gitignore; may be given several times
    #[arg(long, value_name = "PATTERN")]
    include: Vec<String>,
    /// Read every file back afterwards and compare it with the snapshot
    #[arg(long)]
    verify: bool,
    /// Restore into a folder that holds something
    #[arg(long)]
    overwrite: bool,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit> {
        let mut opened = context.open()?;
        let snapshots = load(context, &opened.session)?;
        let usage = "strongroom restore ID TARGET";
        let id = resolve(&opened, &snapshots, &self.snapshot, usage)?.id;
        let limits = &opened.config.limits;
        let options = RestoreOptions {
            include: self.include,
            overwrite: self.overwrite,
            verify: self.verify,
            memory_bytes: limits.memory.bytes(),
            threads: limits.workers as usize,
        };
        let report = {
            let monitor = Monitor::start(&context.output);
            restore(
                &mut opened.session,
                id,
                &self.target,
                &options,
                &opened.environment,
                &monitor.progress,
            )?
        };
        remember_damage(&opened, &report);
        tell(&context.output, &report)?;
        Ok(Exit::of(report.is_complete()))
    }
}

/// Keeps what was found damaged, so that the scorecard tells and the next sync heals it.
pub(crate) fn remember_damage(opened: &Opened, report: &RestoreReport) {
    let now = (opened.environment.clock)();
    for damage in &report.damaged {
        let file = FileName::new(FileType::Data, damage.pack);
        memory::damaged(opened, &damage.copy, &file, &damage.reason, now);
    }
}

fn tell(output: &Output, report: &RestoreReport) -> Result<()> {
    let id = report.snapshot.short();
    output.result(&format!(
        "Restored {} of snapshot {id} from {}\n",
        counted(&report.restored),
        report.lead
    ))?;
    if let Some(verified) = &report.verified {
        output.result(&format!(
            "Read back and found right: {}\n",
            counted(verified)
        ))?;
    }
    for error in report.errors.iter().take(NAMED) {
        output.warn(
            &visible(&format!("{}: {}", error.path, error.message)),
            None,
        );
    }
    let more = report.error_count.saturating_sub(NAMED as u64);
    if more > 0 {
        output.warn(
            &format!("{} not named here", count(more, "error", "errors")),
            None,
        );
    }
    for warning in &report.warnings {
        let files = count(warning.count, "file", "files");
        let text = format!("{}: {files}, first {}", warning.message, warning.first_path);
        output.warn(&visible(&text), warning.hint.as_deref());
    }
    if report.sockets_skipped > 0 {
        let sockets = count(report.sockets_skipped, "socket", "sockets");
        output.say(&format!("{sockets} left out: nobody restores them"));
    }
    for damage in &report.damaged {
        let pack = FileName::new(FileType::Data, damage.pack);
        let text = format!("{}: {pack}: {}", damage.copy, damage.reason);
        output.warn(
            &visible(&text),
            Some("heal it from the other copies: strongroom sync"),
        );
    }
    for note in &report.notes {
        output.warn(&visible(note), None);
    }
    output.object(&Summary {
        message_type: "summary",
        complete: report.is_complete(),
        report,
    })
}

fn counted(counts: &Counts) -> String {
    let others = counts.hard_links + counts.others;
    format!(
        "{}, {}, {}, {}",
        count(counts.files, "file", "files"),
        count(counts.folders, "folder", "folders"),
        count(others, "link or device", "links and devices"),
        size(counts.bytes),
    )
}

#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    complete: bool,
    #[serde(flatten)]
    report: &'a RestoreReport,
}
