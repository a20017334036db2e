//! `strongroom backup`.

mod closing;
mod report;

use std::collections::{BTreeMap, BTreeSet};

use strongroom_engine::backup::report::BackupReport;
use strongroom_engine::backup::{BackupOptions, backup, judge, take_back};
use strongroom_engine::locking::LockReport;
use strongroom_engine::session::chain;
use strongroom_engine::sync::SyncReport;
use strongroom_engine::{Listing, Session};
use strongroom_model::{Config, FileName, FileType, Id, Source};

use crate::commands::sync;
use crate::context::Context;
use crate::copies;
use crate::error::{Error, Result};
use crate::exit::{Exit, MANUAL};
use crate::monitor::Monitor;
use crate::vaults::NewFiles;
use crate::{locking, memory, removed, vaults};

/// Read the sources once and write them to every copy
///
/// Backs up all sources of strongroom.toml, or those that are named.
/// The data is read, compressed and encrypted once; every copy gets the same bytes at once. A copy
/// that is slow, full or away is left behind, named, and waited for by nobody; what it lacks comes
/// from the others later.
///
/// A copy to which that sync brings anything, as one that was away, also lets go of what was forgotten
/// and pruned meanwhile.
///
/// Copies that a vault holds get the receipts of the backup, so that the vault can say by itself
/// whether it has everything; its answer is shown. A vault whose log does not go on from what this
/// machine remembers is an alarm: the backup is made all the same, and the exit status is 1.
///
/// Copies in buckets whose locks end too soon get longer ones, as by `strongroom lock extend`.
///
/// Files that could not be read are listed at the end and in the snapshot, which is made from what
/// could be read. The exit status is 0 only where everything was read and every copy is whole for
/// it, and 3 where something is missing. Where there is no snapshot at all, it is 1.
///
/// Examples:
///   strongroom backup
///   strongroom backup repos
///   strongroom backup --dry-run
///   strongroom --json --quiet backup | tail -1
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = MANUAL)]
pub(crate) struct Args {
    /// Which sources; all where none is named
    #[arg(value_name = "SOURCE")]
    sources: Vec<String>,
    /// Read and count, and write nothing anywhere
    #[arg(long)]
    dry_run: bool,
    /// Leave copies that fell behind as they are, for a later sync
    #[arg(long)]
    no_sync: bool,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit> {
        let began = (context.environment().clock)();
        let mut opened = context.open_to_extend()?;
        let left_out = opened.left_out();
        let sources = chosen(&opened.config, &self.sources)?;
        let sources: Vec<Source> = sources.into_iter().cloned().collect();
        let _sweep = (!self.dry_run).then(|| copies::sweep(&opened));
        if !self.dry_run {
            memory::try_keys(&mut opened, &context.output);
        }
        let options = BackupOptions {
            limits: opened.config.limits.clone(),
            dry_run: self.dry_run,
            estimate: context.output.shows_bars(),
        };
        let (report, synced, finished) = {
            let monitor = Monitor::start(&context.output);
            let mut report = backup(
                &mut opened.session,
                &sources,
                &options,
                &opened.environment,
                &monitor.progress,
            )?;
            if !self.dry_run {
                memory::damage_on_lead(&opened, &report);
            }
            let mut synced = None;
            if !self.dry_run && !self.no_sync {
                let wishes = sync::Wishes {
                    needs: needs(&report),
                    new_snapshots: new_snapshots(&report),
                    ..sync::Wishes::default()
                };
                synced = Some(sync::run(&mut opened, wishes, &monitor.progress));
                report.copies = judge(&opened.session, &report.sources);
            }
            if let Some(Ok(synced)) = &synced {
                let needs = needs(&report);
                closing::count_unmended(&mut report, synced, &needs);
                closing::note_healed(&mut report, synced);
            }
            if !self.dry_run {
                take_back(&opened.session, &mut report.sources);
            }
            let finished = match &mut synced {
                Some(Ok(synced)) => closing::let_go(&opened, synced, &monitor.progress)?,
                _ => Vec::new(),
            };
            (report, synced, finished)
        };
        if !self.dry_run {
            let new = new_files(&opened.session, &report, synced.as_ref());
            context.ask_again(&mut opened, &new)?;
            if self.no_sync {
                let now = (opened.environment.clock)();
                memory::sighted(&opened.session, &opened.memory(), began, now);
            }
        }
        let mut said = Vec::new();
        if report.has_snapshot() {
            memory::backed_up(&opened, &report);
            said = vaults::deliver(&opened);
        }
        let locks = match self.dry_run {
            true => {
                locking::tell_alarms_of(&context.output, &opened);
                LockReport::default()
            }
            false => locking::after_run(context, &opened),
        };
        match &synced {
            Some(Ok(synced)) => {
                sync::warn_of(&context.output, synced, &left_out);
                removed::tell(&context.output, &finished)?;
                closing::tell_healed(&context.output, &report, synced);
                if synced.was_interrupted {
                    let text =
                        "The sync that ends the backup was interrupted; what it brought stays";
                    let hint = "the rest: strongroom sync, or the next backup";
                    context.output.warn(text, Some(hint));
                }
            }
            Some(Err(error)) => {
                let text = format!("The sync that ends the backup failed: {}", chain(error));
                context.output.warn(&text, error.hint().as_deref());
            }
            None => {}
        }
        let is_refuted = said.iter().any(vaults::Said::is_refutation);
        let complete = match self.dry_run {
            true => report::is_read(&report),
            false => {
                let has_let_go = finished.iter().all(|copy| copy.failure.is_none());
                let is_good = closing::is_good(synced.as_ref()) && has_let_go && !is_refuted;
                report.is_complete() && is_good && locks.is_complete()
            }
        };
        let telling = report::Telling {
            left_out: &left_out,
            said: &said,
            alarms: context.alarms(&opened.vaults),
            pending_keys: opened.vaults.pending_keys(),
            locks: locking::summaries(&locks),
            removed: &finished,
            dry_run: self.dry_run,
            complete,
        };
        report::tell(&context.output, &report, &telling)?;
        if !self.dry_run {
            opened.vaults.tell_pending(&context.output);
        }
        let has_failed = report.sources.iter().all(|source| source.failure.is_some());
        Ok(match &synced {
            Some(Err(error)) if error.exit() == Exit::Interrupted => Exit::Interrupted,
            _ if has_failed => Exit::Failed,
            _ => Exit::of(complete && (opened.has_all_copies() || !self.dry_run)),
        })
    }
}

/// For each new snapshot all files that it needs.
fn needs(report: &BackupReport) -> BTreeMap<Id, Vec<FileName>> {
    let snapshots = report.sources.iter().filter_map(|source| {
        let packs = source
            .needs
            .packs
            .iter()
            .map(|(id, _)| FileName::new(FileType::Data, *id));
        let index = source
            .needs
            .index_files
            .iter()
            .map(|id| FileName::new(FileType::Index, *id));
        Some((source.snapshot?, packs.chain(index).collect()))
    });
    snapshots.collect()
}

/// The copies that have a snapshot of this run, or got files by the sync that ends it.
fn new_files(
    session: &Session,
    report: &BackupReport,
    synced: Option<&Result<SyncReport>>,
) -> NewFiles {
    let snapshots: Vec<Id> = report.sources.iter().filter_map(|s| s.snapshot).collect();
    let has_one = |listing: &Listing| {
        let mut snapshots = snapshots.iter();
        snapshots.any(|id| listing.snapshots.contains(*id))
    };
    let ready = session.ready().filter(|(_, ready)| has_one(&ready.listing));
    NewFiles {
        made: ready.map(|(copy, _)| copy.name.clone()).collect(),
        brought: match synced {
            Some(Ok(synced)) => sync::brought(synced),
            _ => BTreeSet::new(),
        },
    }
}

/// The new snapshots, as they are stored.
fn new_snapshots(report: &BackupReport) -> BTreeMap<Id, Vec<u8>> {
    let sources = report.sources.iter();
    let made = sources.filter_map(|source| Some((source.snapshot?, source.snapshot_file.clone())));
    made.collect()
}

/// The sources by their names, each once and in the order of the configuration; all where no name
/// is given.
pub(crate) fn chosen<'c>(config: &'c Config, names: &[String]) -> Result<Vec<&'c Source>> {
    let all = &config.sources;
    for name in names {
        if !all.iter().any(|source| source.name.as_str() == name) {
            return Err(Error::NoSource {
                name: name.clone(),
                known: all.iter().map(|source| source.name.to_string()).collect(),
            });
        }
    }
    let wanted = |source: &&Source| {
        names.is_empty() || names.iter().any(|name| source.name.as_str() == name)
    };
    Ok(all.iter().filter(wanted).collect())
}
