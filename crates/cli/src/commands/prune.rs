//! `strongroom prune`, also as the end of a forget.

use serde::Serialize;
use strongroom_engine::locking::LockReport;
use strongroom_engine::prune::{
    Amount, PruneOptions, PruneReport, PrunedCopy, PrunedOutcome, prune,
};
use strongroom_engine::receipts::Receipts;
use strongroom_engine::removals::FinishedCopy;
use strongroom_model::Id;

use crate::context::{Context, Opened};
use crate::copies as stores;
use crate::error::Result;
use crate::exit::{Exit, MANUAL};
use crate::monitor::Monitor;
use crate::output::{BAD, DOUBTFUL, GOOD, Output, visible};
use crate::table::{Cell, Table};
use crate::vaults::{NewFiles, Said};
use crate::words::{count, size};
use crate::{locking, memory, removed, vaults};

/// Remove from every copy what no snapshot needs
///
/// Decides once for all copies, from the snapshots that any of them lists: packs of which nothing is
/// needed go, and of those that are needed in part the ones with most waste are written anew, until
/// no more than --max-unused of what is stored is waste. A removal record says first what goes, on
/// this machine and on every copy. Then each copy lets go of it in its own way: a folder at once, a
/// vault by tombstones that can be taken back, a locked bucket when its locks are over. A copy that
/// was away does so when it is back.
///
/// Vaults get new receipts of the snapshots that stay and whose data lies in other packs by then.
///
/// It removes no snapshot; `strongroom forget` does. Nothing is removed while anything is missing
/// that a snapshot needs, or cannot be read so that nobody knows what is needed. While it runs nobody
/// else may be at work on any copy: every copy is under its exclusive lock.
///
/// The exit status is 1 where nothing may be removed, with the reasons; 3 where a copy was left out
/// or could not do its part, and is named; 11 where somebody is at work on a copy.
///
/// Examples:
///   strongroom prune --dry-run
///   strongroom prune
///   strongroom prune --max-unused 0     # no waste at all, and the most work
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = MANUAL)]
pub(crate) struct Args {
    /// Say what would go and how much that frees; change nothing
    #[arg(long)]
    dry_run: bool,
    /// How much of what is stored may stay as waste in packs that are needed in part
    #[arg(long, value_name = "PERCENT", default_value = "5", value_parser = percent)]
    max_unused: f64,
    /// Write small packs anew as large ones
    #[arg(long)]
    repack_small: bool,
    /// Compress what is not compressed, as in a repository that once was of version 1
    #[arg(long)]
    repack_uncompressed: bool,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit> {
        let mut opened = context.open()?;
        let options = PruneOptions {
            limits: opened.config.limits.clone(),
            max_unused_percent: self.max_unused,
            repack_small: self.repack_small,
            repack_uncompressed: self.repack_uncompressed,
            dry_run: self.dry_run,
        };
        let pruned = run(context, &mut opened, &options)?;
        tell(context, &pruned)
    }
}

/// What came of a prune, and of the locks of what it wrote anew.
#[derive(Debug)]
pub(crate) struct Pruned {
    report: PruneReport,
    locks: LockReport,
    /// What vaults say of snapshots that lie in other packs by now.
    said: Vec<Said>,
}

impl Pruned {
    fn is_complete(&self) -> bool {
        let is_refuted = self.said.iter().any(Said::is_refutation);
        self.report.is_complete() && self.locks.is_complete() && !is_refuted
    }
}

/// Prunes all copies under locks of its own, remembers what they hold then, and sees to the locks of
/// what was written anew, without which a snapshot that needs it is not immutable any more.
pub(crate) fn run(
    context: &Context,
    opened: &mut Opened,
    options: &PruneOptions,
) -> Result<Pruned> {
    opened.session.check_removal()?;
    if !options.dry_run {
        opened.check_seal()?;
    }
    let _sweep = (!options.dry_run).then(|| stores::sweep(opened));
    let memory = opened.memory();
    let client = memory::signer(&opened.state);
    let receipts = client.as_ref().map(|client| Receipts::new(&memory, client));
    memory::doubt(&mut opened.session, &memory);
    let mut report = {
        let monitor = Monitor::start(&context.output);
        prune(
            &mut opened.session,
            &memory,
            receipts,
            options,
            &opened.environment,
            &monitor.progress,
        )?
    };
    let mut said = Vec::new();
    if !options.dry_run {
        let copies = report.copies.iter_mut();
        removed::note_tombstones(opened, copies.filter_map(PrunedCopy::finished_mut));
        memory::pruned(opened);
        let new = new_files(opened, &report);
        context.ask_again(opened, &new)?;
        // Vaults go by receipts: without new ones they would keep what has gone from other packs.
        let renewal = &report.renewal;
        if renewal.issued > 0 && renewal.unknown.is_empty() {
            said = vaults::deliver(opened);
        } else if renewal.issued > 0 {
            // Some old ones name what is gone: what vaults say of these is no news.
            vaults::deliver_left(opened);
        }
    }
    let locks = match options.dry_run || report.was_interrupted {
        true => LockReport::default(),
        false => locking::after_run(context, opened),
    };
    Ok(Pruned {
        report,
        locks,
        said,
    })
}

/// Tells what came of a prune.
pub(crate) fn tell(context: &Context, pruned: &Pruned) -> Result<Exit> {
    let (output, report) = (&context.output, &pruned.report);
    output.result(&amounts(report).to_string())?;
    output.result(&copies(report).to_string())?;
    let copies = report.copies.iter();
    removed::tell_kept(output, copies.filter_map(PrunedCopy::finished))?;
    for record in &report.records {
        output.say(&format!("Removal record {}", record.short()));
    }
    warn_of(output, report);
    pruned.said.iter().for_each(|said| said.tell(output));
    output.object(&Summary::of(report, pruned.is_complete()))?;
    if report.was_interrupted {
        let text = "The prune was interrupted while it removed files; what goes is on record";
        output.warn(text, Some("the rest: strongroom prune"));
        return Ok(Exit::Interrupted);
    }
    Ok(Exit::of(pruned.is_complete()))
}

/// The copies that have something which this run has made.
fn new_files(opened: &Opened, report: &PruneReport) -> NewFiles {
    let has_new = report.index_written.files > 0 || !report.records.is_empty();
    let ready = opened.session.ready().filter(|_| has_new);
    NewFiles {
        made: ready.map(|(copy, _)| copy.name.clone()).collect(),
        ..NewFiles::default()
    }
}

fn warn_of(output: &Output, report: &PruneReport) {
    for (pack, reason) in &report.wrong {
        let text = format!("Pack {pack} is not what an index file says: {reason}");
        let hint = "what is needed was kept in another pack; see what is wrong: strongroom verify --decode";
        output.warn(&visible(&text), Some(hint));
    }
    // Of those that were away from the beginning it was told then.
    let copies = report.copies.iter();
    for copy in copies.filter(|copy| !report.away.contains(&copy.name)) {
        removed::warn(output, &finished(copy));
    }
    removed::warn_without_record(output, &report.not_on);
}

/// What goes, kind by kind.
fn amounts(report: &PruneReport) -> Table {
    let mut table = Table::new().right(&[1, 2]);
    let mut row = |title: &str, amount: Amount, one: &str, several: &str| {
        if amount != Amount::default() {
            let number = count(amount.files, one, several);
            table.row([title.into(), number.into(), size(amount.bytes).into()]);
        }
    };
    row("unused", report.unused, "pack", "packs");
    row("in no index", report.unindexed, "pack", "packs");
    row("not whole anywhere", report.absent, "pack", "packs");
    row("repacked", report.repacked, "pack", "packs");
    row("index", report.index, "file", "files");
    let frees = match report.dry_run {
        true => "would free",
        false => "frees",
    };
    let text = size(report.frees_bytes());
    table.row([frees.into(), "".into(), text.into()]);
    let waste = size(report.waste_left_bytes);
    table.row(["waste that stays".into(), "".into(), waste.into()]);
    table
}

fn copies(report: &PruneReport) -> Table {
    let titles = match report.dry_run {
        true => ["copy", "", "would remove", "size"].to_vec(),
        false => [&["copy", ""][..], &removed::TITLES[..]].concat(),
    };
    let mut table = Table::headed(&titles);
    for copy in &report.copies {
        let cells = match &copy.outcome {
            PrunedOutcome::Failed(_) => Vec::new(),
            PrunedOutcome::Would(_) | PrunedOutcome::Pruned(_) => removed::cells(&finished(copy)),
        };
        let (word, style) = match outcome(copy) {
            "failed" => ("failed", BAD),
            "incomplete" => ("incomplete", DOUBTFUL),
            "would" => ("", GOOD),
            word => (word, GOOD),
        };
        let first = [Cell::from(copy.name.clone()), Cell::styled(word, style)];
        table.row(first.into_iter().chain(cells));
    }
    table
}

/// What became of a copy, in a word.
fn outcome(copy: &PrunedCopy) -> &'static str {
    match &copy.outcome {
        PrunedOutcome::Failed(_) => "failed",
        PrunedOutcome::Would(_) => "would",
        PrunedOutcome::Pruned(finished) if finished.failure.is_some() => "incomplete",
        PrunedOutcome::Pruned(finished) if finished.waiting > 0 => "waits",
        PrunedOutcome::Pruned(_) => "done",
    }
}

/// What was removed from a copy, or would be.
fn finished(copy: &PrunedCopy) -> FinishedCopy {
    let nothing = FinishedCopy {
        name: copy.name.clone(),
        ..FinishedCopy::default()
    };
    match &copy.outcome {
        PrunedOutcome::Would(amount) => FinishedCopy {
            removed: amount.files,
            freed_bytes: amount.bytes,
            ..nothing
        },
        PrunedOutcome::Pruned(finished) => finished.clone(),
        PrunedOutcome::Failed(failure) => FinishedCopy {
            failure: Some(failure.clone()),
            ..nothing
        },
    }
}

/// How much a person means by a number with or without a percent sign.
fn percent(text: &str) -> std::result::Result<f64, String> {
    let number: f64 = text
        .trim_end_matches('%')
        .parse()
        .map_err(|_| "write a number from 0 to 100".to_owned())?;
    match (0.0..=100.0).contains(&number) {
        true => Ok(number),
        false => Err("write a number from 0 to 100".to_owned()),
    }
}

/// What came of a prune, as `--json` tells it.
#[derive(Serialize)]
struct Summary {
    message_type: &'static str,
    dry_run: bool,
    complete: bool,
    snapshots: u64,
    unused_packs: Files,
    unindexed_packs: Files,
    absent_packs: Files,
    repacked_packs: Files,
    index_files: Files,
    packs_written: Files,
    index_files_written: Files,
    frees_bytes: u64,
    waste_left_bytes: u64,
    wrong_packs: Vec<Id>,
    records: Vec<Id>,
    copies: Vec<CopySummary>,
}

#[derive(Serialize)]
struct Files {
    files: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct CopySummary {
    outcome: &'static str,
    has_record: bool,
    #[serde(flatten)]
    removed: removed::Summary,
}

impl Summary {
    fn of(report: &PruneReport, complete: bool) -> Self {
        let copies = report.copies.iter();
        let copies = copies.map(|copy| CopySummary::of(copy, report));
        Self {
            message_type: "summary",
            dry_run: report.dry_run,
            complete,
            snapshots: report.snapshots,
            unused_packs: report.unused.into(),
            unindexed_packs: report.unindexed.into(),
            absent_packs: report.absent.into(),
            repacked_packs: report.repacked.into(),
            index_files: report.index.into(),
            packs_written: report.packs_written.into(),
            index_files_written: report.index_written.into(),
            frees_bytes: report.frees_bytes(),
            waste_left_bytes: report.waste_left_bytes,
            wrong_packs: report.wrong.keys().copied().collect(),
            records: report.records.clone(),
            copies: copies.collect(),
        }
    }
}

impl From<Amount> for Files {
    fn from(Amount { files, bytes }: Amount) -> Self {
        Self { files, bytes }
    }
}

impl CopySummary {
    fn of(copy: &PrunedCopy, report: &PruneReport) -> Self {
        let outcome = outcome(copy);
        let is_without = report.not_on.iter().any(|(name, _)| *name == copy.name);
        Self {
            outcome,
            has_record: !report.records.is_empty() && !is_without && outcome != "failed",
            removed: removed::Summary::of(&finished(copy)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_a_number_from_0_to_100() {
        assert_eq!(percent("5"), Ok(5.0));
        assert_eq!(percent("12.5%"), Ok(12.5));
        for wrong in ["", "%", "x", "-1", "101", "NaN", "inf"] {
            assert!(percent(wrong).is_err(), "{wrong}");
        }
    }
}
