//! Restore: a snapshot becomes files again, from the best copy and per pack from any other.
//!
//! ```text
//! read set ─▶ trees, a few folders at a time ─▶ folders made ─▶ files gathered to windows ─▶
//!     their blobs in the order of the packs ─▶ written beside their names ─▶ put in place ─▶
//!     folders get their metadata when all in them is done ─▶ sync ─▶ read back
//! ```
//! Nothing that is wrong with one file, folder, pack or copy ends a restore: it is named, counted,
//! and the rest goes on. No file stands half under its name, whenever the process dies; what is
//! restored is made durable by one flush of the filesystem at the end, not file by file, since
//! until then the snapshot is there to be restored again.
//!
//! Memory is bounded by threads: for each one run of stored bytes and one blob.

mod files;
mod folder;
mod large;
mod links;
pub(crate) mod locking;
pub(crate) mod part;
pub mod report;
mod selection;
mod verify;
mod worker;

use std::path::Path;

use strongroom_model::Id;
use strongroom_repo::Snapshot;

use crate::backup::pool::{Pool, Taken};
use crate::filesystem::{FsError, TargetFolder};
use crate::parallel::readers;
use crate::progress::Progress;
use crate::read_set::{CACHE_BYTES, ReadSet};
use crate::restore::files::WindowLimits;
use crate::restore::folder::{FolderBatch, OpenFolder};
use crate::restore::large::ZeroChunk;
use crate::restore::links::Links;
use crate::restore::part::Part;
use crate::restore::report::{Counts, RestoreReport, Tally};
use crate::restore::selection::Selection;
use crate::restore::worker::{Task, Worker, tasks_per_thread};
use crate::session::{Cancel, Environment, Session, chain};
use crate::{Error, Result};

/// What is restored, and what it may take of the machine.
#[derive(Debug, Clone)]
pub struct RestoreOptions {
    /// Patterns of what is wanted, as in a `.gitignore`; a folder brings all that it holds, and
    /// `!` takes out again. Empty for everything.
    pub include: Vec<String>,
    /// Whether the target may hold something already; what has the same name is replaced, what has
    /// another name stays.
    pub overwrite: bool,
    /// Whether every file is read back afterwards and compared with the snapshot.
    pub verify: bool,
    /// The memory for stored bytes and blobs under way, in bytes; the index comes on top.
    pub memory_bytes: u64,
    /// Threads; 0 for one per core, and more where the best copy is behind a network.
    pub threads: usize,
}

impl Default for RestoreOptions {
    fn default() -> Self {
        Self {
            include: Vec::new(),
            overwrite: false,
            verify: false,
            memory_bytes: 256 << 20,
            threads: 0,
        }
    }
}

/// What a thread holds at most: a run of stored bytes, a blob in both forms, and some files.
const THREAD_BYTES: u64 = 24 << 20;

/// What all threads of a restore share.
#[derive(Debug)]
pub(crate) struct Restore<'a> {
    set: &'a ReadSet<'a>,
    selection: Selection,
    pool: Pool<FolderBatch, std::convert::Infallible, Task>,
    window: WindowLimits,
    links: Links,
    zeros: ZeroChunk,
    tally: &'a Tally,
    progress: &'a Progress,
    cancel: &'a Cancel,
    /// Where links find what they link to.
    root: TargetFolder,
    /// Whether files are read back and compared, and nothing is written.
    is_verify: bool,
}

/// Restores a snapshot into a folder, which is made where it is missing.
///
/// The session's copies that are locked by somebody are marked as failed; see [`RestoreReport`]
/// for everything else that went wrong.
///
/// # Errors
/// Before anything is written: [`Error::NoSnapshot`], [`Error::TargetNotEmpty`], a pattern that is
/// none, copies that cannot be used or are locked. Later: [`Error::NoCopy`] where all copies went
/// away, [`Error::Interrupted`].
pub fn restore(
    session: &mut Session,
    snapshot: Id,
    target: &Path,
    options: &RestoreOptions,
    environment: &Environment,
    progress: &Progress,
) -> Result<RestoreReport> {
    let selection = Selection::new(&options.include)?;
    progress.begin("reading the index", None, None);
    let mut locking = locking::acquire(session, environment)?;
    let outcome = run(
        session,
        snapshot,
        target,
        selection,
        options,
        environment,
        progress,
    );
    locking.release();
    let mut report = outcome?;
    report.notes.splice(0..0, locking.notes);
    Ok(report)
}

fn run(
    session: &Session,
    id: Id,
    target: &Path,
    selection: Selection,
    options: &RestoreOptions,
    environment: &Environment,
    progress: &Progress,
) -> Result<RestoreReport> {
    let set = ReadSet::load(session, id, &environment.cancel)?;
    let snapshot = set.snapshot(id)?;
    let pass = Pass {
        set: &set,
        id,
        snapshot: &snapshot,
        selection,
        threads: threads(options, set.is_local()),
        cancel: &environment.cancel,
        progress,
    };
    let root = open_target(target, options.overwrite)?;
    let tally = Tally::default();
    pass.write(&root, &tally)?;
    let restored = tally.counts();
    if options.verify {
        pass.start("reading back", true, &root, &tally)?;
    }
    Ok(tally.into_report(id, restored, &set, options.verify))
}

/// What passes over a snapshot: to write it, or to compare it with what lies there.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    set: &'a ReadSet<'a>,
    id: Id,
    snapshot: &'a Snapshot,
    selection: Selection,
    threads: usize,
    cancel: &'a Cancel,
    progress: &'a Progress,
}

impl<'a> Pass<'a> {
    /// Over some files of a snapshot, or over all of them.
    pub(crate) fn over(
        set: &'a ReadSet<'a>,
        (id, snapshot): (Id, &'a Snapshot),
        part: Option<Part>,
        options: &RestoreOptions,
        cancel: &'a Cancel,
        progress: &'a Progress,
    ) -> Self {
        Self {
            set,
            id,
            snapshot,
            selection: Selection::of_part(part),
            threads: threads(options, set.is_local()),
            cancel,
            progress,
        }
    }

    /// Restores into a folder that does not exist.
    ///
    /// # Errors
    /// As [`restore`].
    pub(crate) fn restore(&self, target: &Path) -> Result<RestoreReport> {
        let root = open_target(target, false)?;
        let tally = Tally::default();
        self.write(&root, &tally)?;
        let restored = tally.counts();
        Ok(tally.into_report(self.id, restored, self.set, false))
    }

    /// Compares the content of the files in a folder with the snapshot, whoever has restored them;
    /// nothing is written.
    ///
    /// # Errors
    /// As [`restore`].
    pub(crate) fn read_back(&self, target: &Path) -> Result<RestoreReport> {
        let root = open_target(target, true)?;
        let tally = Tally::default();
        self.start("reading back", true, &root, &tally)?;
        Ok(tally.into_report(self.id, Counts::default(), self.set, true))
    }

    fn write(&self, root: &TargetFolder, tally: &Tally) -> Result<()> {
        strongroom_store::raise_file_limit();
        self.start("restoring", false, root, tally)?;
        self.progress.begin("writing to disk", None, None);
        if let Err(error) = root.sync() {
            tally.error(b"", chain(&error));
        }
        Ok(())
    }

    fn start(
        &self,
        phase: &str,
        is_verify: bool,
        root: &TargetFolder,
        tally: &Tally,
    ) -> Result<()> {
        let summary = self.snapshot.summary.as_ref();
        let summary = summary.filter(|_| self.selection.is_everything());
        self.progress.begin(
            phase,
            summary.map(|summary| summary.total_files_processed),
            summary.map(|summary| summary.total_bytes_processed),
        );
        let is_local = self.set.is_local();
        let tasks = self.threads * tasks_per_thread(is_local);
        let shared = Restore {
            set: self.set,
            selection: self.selection.clone(),
            pool: Pool::new(tasks, Taken::Last),
            window: WindowLimits::of(is_local),
            links: Links::default(),
            zeros: ZeroChunk::default(),
            tally,
            progress: self.progress,
            cancel: self.cancel,
            root: root.clone(),
            is_verify,
        };
        shared.run(self.snapshot, self.threads)
    }
}

impl Restore<'_> {
    /// Walks the snapshot on some threads, and does what there is to do.
    fn run(&self, snapshot: &Snapshot, threads: usize) -> Result<()> {
        let root = OpenFolder::root(self.root.clone());
        let batch = FolderBatch::root(root, snapshot.tree);
        self.pool.add(std::iter::once(batch), std::iter::empty());
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads)
                .map(|_| scope.spawn(|| Worker::new(self).run()))
                .collect();
            let mut outcome = Ok(());
            for thread in threads {
                let ended = thread.join().unwrap_or(Err(Error::Interrupted));
                outcome = outcome.and(ended);
            }
            outcome
        })
    }
}

fn open_target(target: &Path, overwrite: bool) -> Result<TargetFolder> {
    let failed = |error: FsError| Error::Local {
        action: format!("restore into {}", target.display()),
        source: std::io::Error::other(error),
    };
    let root = TargetFolder::create(target).map_err(failed)?;
    if !overwrite && !root.is_empty().map_err(failed)? {
        return Err(Error::TargetNotEmpty {
            path: target.display().to_string(),
        });
    }
    Ok(root)
}

fn threads(options: &RestoreOptions, is_local: bool) -> usize {
    let wanted = match options.threads {
        0 => readers(is_local),
        threads => threads,
    };
    let memory_bytes = options.memory_bytes.saturating_sub(CACHE_BYTES as u64);
    let fitting = usize::try_from(memory_bytes / THREAD_BYTES).unwrap_or(usize::MAX);
    wanted.min(fitting).max(1)
}
