//! Backup: read once, store everywhere.
//!
//! ```text
//! lock and list every copy ─▶ lead and parent ─▶ walk ─▶ read ─▶ cut ─▶ hash ─▶ known? ─▶
//!     compress ─▶ encrypt ─▶ pack ─▶ every copy at once ─▶ index files ─▶ snapshots ─▶ sync
//! ```
//! The order of writing is the safety: a pack refers to nothing, an index file goes to a copy only
//! after the packs that it names, a snapshot only where every file that it needs is known to be.
//! So a run may be killed anywhere, and a copy may fail anywhere, and what is left is sound.

mod archive;
mod command;
mod content;
mod estimate;
mod files;
mod filter;
mod folder;
mod needs;
mod own_copies;
pub(crate) mod packer;
mod parent;
pub(crate) mod pool;
pub mod report;
mod roots;
mod snapshot;
mod walk;
mod worker;

use std::sync::Arc;

use strongroom_model::config::{Limits, Source, SourceKind};
use strongroom_model::{FileName, FileType};
use strongroom_repo::chunker::Gear;

use crate::backup::archive::{Archive, ArchiveParts, Archived};
use crate::backup::estimate::Estimate;
use crate::backup::filter::Filter;
use crate::backup::folder::FolderState;
use crate::backup::own_copies::OwnCopies;
use crate::backup::packer::{LEAST_PACKS, Packer};
use crate::backup::parent::Parent;
use crate::backup::report::{BackupReport, CopyOutcome, CopyReport, SourceReport};
use crate::backup::snapshot::SnapshotWriter;
use crate::backup::worker::Worker;
use crate::blobs::{BlobReader, Blocks};
use crate::fanout::{Destination, Fanout, Outcome};
use crate::filesystem::Names;
use crate::lead::Lead;
use crate::parallel::cores;
use crate::progress::Progress;
use crate::session::{Cancel, CopyFailure, CopyState, Environment, Locks, Session};
use crate::state::RepositoryState;
use crate::{Error, Result};

/// What a backup may take of the machine, and what it shall leave undone.
#[derive(Debug, Clone, Default)]
pub struct BackupOptions {
    /// Memory, threads, uploads, the size of packs.
    pub limits: Limits,
    /// Whether nothing is written anywhere.
    pub dry_run: bool,
    /// Whether somebody looks on and wants to know how long a first backup will take: its sources
    /// are then counted beside the work.
    pub estimate: bool,
}

/// Backs up sources to every copy of the session that can be used.
///
/// Copies that fail or fall behind are in the report; [`crate::sync`] brings them what they lack.
/// The session's listings are brought up to date.
///
/// # Errors
/// Before anything is written: a path that does not exist, copies that cannot be used or are
/// locked. Later: all copies failed, or the user interrupted.
pub fn backup(
    session: &mut Session,
    sources: &[Source],
    options: &BackupOptions,
    environment: &Environment,
    progress: &Progress,
) -> Result<BackupReport> {
    let own_copies = OwnCopies::find(session);
    for source in sources {
        roots::check(source.name.as_str(), source.paths())?;
        own_copies.check(source, &Filter::new(source)?)?;
    }
    let mut locks = match options.dry_run {
        true => None,
        false => Some(Locks::acquire(session, environment, false)?),
    };
    strongroom_store::raise_file_limit();
    let outcome = run(
        session,
        sources,
        &own_copies,
        options,
        environment,
        progress,
    );
    if let Some(locks) = &mut locks {
        locks.release();
    }
    outcome
}

fn run(
    session: &mut Session,
    sources: &[Source],
    own_copies: &OwnCopies,
    options: &BackupOptions,
    environment: &Environment,
    progress: &Progress,
) -> Result<BackupReport> {
    progress.begin("reading the index", None, None);
    let lead = Lead::load(session, &environment.cancel)?;
    let fanout =
        (!options.dry_run).then(|| start_fanout(session, &options.limits, &environment.cancel));
    let repository = session.repository.clone();
    let pack_bytes = pack_bytes(&options.limits);
    let packer = Packer::new(
        &repository,
        &lead.index,
        fanout.as_ref(),
        pack_bytes,
        packs_in_memory(&options.limits),
    );
    let gear = Gear::new(repository.key())?;
    let names = Names::default();
    let blocks = Blocks::new(lead.copy.is_local);
    let memory = session.keeper.as_ref().map(|keeper| &keeper.state);
    let parts = ArchiveParts {
        repository: &repository,
        index: &lead.index,
        packer: &packer,
        gear: &gear,
        lead_problems: &lead.problems,
        old_trees: BlobReader {
            repository: &repository,
            index: &lead.index,
            store: &lead.copy.store,
            blocks: Some((&blocks, &lead.listing.data)),
        },
        names: &names,
        own_copies,
        own_key: memory.and_then(RepositoryState::own_key),
        progress,
        cancel: &environment.cancel,
        threads: match options.limits.workers {
            0 => cores(),
            workers => workers as usize,
        },
    };
    let mut saved = Vec::new();
    for source in sources {
        let one = save_source(source, parts, &lead, environment, options.estimate)?;
        saved.push(one);
    }
    progress.begin("finishing", None, None);
    for pack in &lead.unindexed {
        packer.adopt(pack.clone())?;
    }
    packer.flush()?;
    let writer = SnapshotWriter {
        repository: &repository,
        lead: &lead,
        written: packer.written(),
        environment,
    };
    let mut report = BackupReport {
        lead: lead.copy.name.clone(),
        lead_problems: lead.problems.list(),
        packs_written: writer.written.packs.len() as u64,
        bytes_written: writer.written.packs.iter().map(|(_, size)| size).sum(),
        ..BackupReport::default()
    };
    for saved in saved {
        report.sources.push(writer.write(saved, fanout.as_ref())?);
    }
    if let Some(fanout) = fanout {
        for outcome in fanout.finish() {
            take_over(session, outcome);
        }
        environment.cancel.check()?;
        if session.ready().next().is_none() {
            return Err(session.no_copy());
        }
    }
    report.copies = judge(session, &report.sources);
    Ok(report)
}

/// A source that was saved, or why it was not.
struct Saved<'a> {
    source: &'a Source,
    parent: Option<Parent>,
    started: jiff::Timestamp,
    outcome: std::result::Result<Archived, String>,
}

fn save_source<'a>(
    source: &'a Source,
    parts: ArchiveParts<'_>,
    lead: &Lead,
    environment: &Environment,
    estimate: bool,
) -> Result<Saved<'a>> {
    let started = (environment.clock)();
    let parent = parent::find(source, parts.repository, lead, environment)?;
    let expected = parent.as_ref().and_then(Parent::expected);
    let phase = format!("saving {}", source.name);
    parts.progress.begin(
        phase.clone(),
        expected.map(|(files, _)| files),
        expected.map(|(_, bytes)| bytes),
    );
    let is_unknown = expected.is_none() && !source.paths().is_empty();
    let _estimate = (estimate && is_unknown)
        .then(|| Estimate::start(source, &phase, parts.progress, &environment.cancel))
        .transpose()?;
    let archive = Archive::new(parts, Filter::new(source)?);
    let outcome = match &source.kind {
        SourceKind::Folder { paths, .. } => {
            let old_tree = parent.as_ref().map(|parent| parent.snapshot.tree);
            roots::add(&archive, paths, old_tree).and_then(|()| archive.run())
        }
        SourceKind::Command { command, file_name } => {
            let mut running = match command::start(source.name.as_str(), command) {
                Ok(running) => running,
                Err(error) => return Ok(failed(source, parent, started, &error)),
            };
            let saved = archive.run_stream(|worker: &mut Worker<'_, '_>| {
                let root = Arc::new(FolderState::root(None));
                worker.save_output(&mut running, file_name, started, root)
            });
            match saved {
                Ok(saved) => running.finish().map(|()| saved),
                Err(error) => {
                    running.kill();
                    Err(error)
                }
            }
        }
    };
    match outcome {
        Ok(archived) if archived.is_nothing(source.paths().is_empty()) => {
            let error = Error::Source {
                source_name: source.name.to_string(),
                reason: match archived.errors.told.first() {
                    Some(error) => error.to_string(),
                    None if source.paths().is_empty() => "the command printed nothing".to_owned(),
                    None => "there is nothing in it; is it mounted?".to_owned(),
                },
            };
            Ok(failed(source, parent, started, &error))
        }
        Ok(archived) => Ok(Saved {
            source,
            parent,
            started,
            outcome: Ok(archived),
        }),
        Err(error @ (Error::Source { .. } | Error::Local { .. })) => {
            Ok(failed(source, parent, started, &error))
        }
        Err(error) => Err(error),
    }
}

fn failed<'a>(
    source: &'a Source,
    parent: Option<Parent>,
    started: jiff::Timestamp,
    error: &Error,
) -> Saved<'a> {
    let reason = match error {
        Error::Source { reason, .. } => reason.clone(),
        other => crate::session::chain(other),
    };
    Saved {
        source,
        parent,
        started,
        outcome: Err(reason),
    }
}

/// Starts to write to every copy of the session that can be used.
pub(crate) fn start_fanout(session: &Session, limits: &Limits, cancel: &Cancel) -> Fanout {
    let destinations: Vec<_> = session
        .ready()
        .map(|(copy, ready)| Destination {
            copy: copy.clone(),
            listing: ready.listing.clone(),
            doubts: ready.doubts.clone(),
        })
        .collect();
    let packs = packs_in_memory(limits);
    let in_queues = (packs - LEAST_PACKS) / destinations.len().max(1);
    Fanout::start(
        destinations,
        limits.uploads_per_copy as usize,
        in_queues.max(1),
        packs,
        cancel.clone(),
    )
}

/// The size at which a pack is full.
pub(crate) fn pack_bytes(limits: &Limits) -> usize {
    usize::try_from(limits.pack_size.bytes()).unwrap_or(16 << 20)
}

/// How many packs may be in memory, whatever they wait for.
pub(crate) fn packs_in_memory(limits: &Limits) -> usize {
    let packs = limits.memory.bytes() / limits.pack_size.bytes().max(1);
    usize::try_from(packs)
        .unwrap_or(usize::MAX)
        .max(LEAST_PACKS)
}

/// Brings what was written to a copy into the session.
pub(crate) fn take_over(session: &mut Session, outcome: Outcome) {
    let copy = session
        .copies
        .iter_mut()
        .find(|copy| copy.copy.name == outcome.copy.name);
    if let Some(copy) = copy {
        match outcome.failure {
            Some(failure) => copy.state = CopyState::Failed(failure),
            None => {
                if let CopyState::Ready(ready) = &mut copy.state {
                    ready.listing = outcome.listing;
                }
            }
        }
    }
}

/// Takes back the snapshots that no copy could take, for each lacks something that they need: what
/// does not exist must not be reported, nor signed for. The packs stay, and the next run uses them.
pub fn take_back(session: &Session, sources: &mut [SourceReport]) {
    for source in sources {
        let is_stored = |id| {
            let mut copies = session.ready();
            copies.any(|(_, ready)| ready.listing.snapshots.contains(id))
        };
        if source.snapshot.is_some_and(|id| !is_stored(id)) {
            source.snapshot = None;
            source.failure = Some(
                "no copy has everything that its snapshot needs; what arrived stays, and the next \
                 backup uses it"
                    .to_owned(),
            );
        }
    }
}

/// Says of each copy whether it has all that the new snapshots need.
pub fn judge(session: &Session, sources: &[SourceReport]) -> Vec<CopyReport> {
    let judge_one = |state: &CopyState| match state {
        CopyState::Failed(failure) => CopyOutcome::Failed(CopyFailure::clone(failure)),
        CopyState::Ready(ready) => {
            let missing: u64 = sources.iter().map(|source| source.missing_in(ready)).sum();
            let config = u64::from(!ready.config_is_right);
            // Without the key nobody opens it alone.
            let key = FileName::new(FileType::Keys, session.repository.key_id());
            let key = u64::from(!ready.holds(key, None));
            match missing + config + key {
                0 => CopyOutcome::Whole,
                files => CopyOutcome::Behind { files },
            }
        }
    };
    session
        .copies
        .iter()
        .map(|copy| CopyReport {
            name: copy.copy.name.clone(),
            location: copy.copy.store.location().to_owned(),
            outcome: judge_one(&copy.state),
        })
        .collect()
}
