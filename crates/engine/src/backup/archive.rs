//! One source on its way into the repository: what all threads share, and how a tree is closed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::blob::BlobId;
use strongroom_repo::chunker::Gear;
use strongroom_repo::{Index, Repository, Tree};

use crate::backup::content::{LargeFile, MAX_FILE_BYTES};
use crate::backup::files::{FileBatch, Inode};
use crate::backup::filter::Filter;
use crate::backup::folder::FolderState;
use crate::backup::needs::Needs;
use crate::backup::own_copies::OwnCopies;
use crate::backup::packer::Packer;
use crate::backup::pool::{Job, Pool, Taken};
use crate::backup::report::{MAX_ERRORS_TOLD, SourceError, SourceErrorKind, Stats};
use crate::backup::walk::FolderJob;
use crate::backup::worker::Worker;
use crate::blobs::BlobReader;
use crate::filesystem::{FsError, Names, Stat};
use crate::lead::LeadProblems;
use crate::progress::Progress;
use crate::session::{Cancel, chain};
use crate::{Error, Result};

/// How many pieces of large files may wait for a thread, for each thread.
const PIECES_PER_THREAD: usize = 2;

/// After how many trees of the parent that could not be read no more are asked for.
const MAX_OLD_TREE_FAILURES: u32 = 5;

/// A piece of a large file.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) bytes: Vec<u8>,
    pub(crate) number: usize,
    pub(crate) file: Arc<LargeFile>,
}

/// What all threads that save one source share.
#[derive(Debug)]
pub(crate) struct Archive<'a> {
    pub(crate) repository: &'a Repository,
    pub(crate) index: &'a Index,
    pub(crate) packer: &'a Packer<'a>,
    pub(crate) gear: &'a Gear,
    /// Where old trees are read.
    pub(crate) old_trees: BlobReader<'a>,
    pub(crate) lead_problems: &'a LeadProblems,
    pub(crate) filter: Filter,
    pub(crate) names: &'a Names,
    pub(crate) own_copies: &'a OwnCopies,
    /// What is never saved: see [`Worker::is_own_key`].
    pub(crate) own_key: Option<Id>,
    pub(crate) progress: &'a Progress,
    pub(crate) cancel: &'a Cancel,
    pub(crate) pool: Pool<FolderJob, FileBatch, Piece>,
    /// What became of inodes with several names: each is read once, and once more whenever the
    /// system says anything else of it than before.
    pub(crate) inodes: Mutex<HashMap<Stat, Inode>>,
    /// How much more of the source may be holes.
    pub(crate) hole_bytes_left: AtomicU64,
    threads: usize,
    old_tree_failures: AtomicU32,
    errors: Mutex<Errors>,
    root: Mutex<Option<Id>>,
}

/// What came of saving one source.
#[derive(Debug)]
pub(crate) struct Archived {
    pub(crate) root: Id,
    pub(crate) stats: Stats,
    pub(crate) needs: Needs,
    pub(crate) errors: Errors,
}

impl Archived {
    /// Whether nothing worth a snapshot was saved. A command that prints nothing has failed in its
    /// own way; folders without a single file are worth something only where nothing went wrong.
    pub(crate) fn is_nothing(&self, is_command: bool) -> bool {
        let stats = &self.stats;
        let nothing_saved = stats.files_processed + stats.others == 0;
        let had_errors = !self.errors.told.is_empty();
        is_command && stats.bytes_read == 0
            || nothing_saved && (had_errors || stats.subfolders == 0)
    }
}

/// What could not be saved as it was.
#[derive(Debug, Default)]
pub(crate) struct Errors {
    pub(crate) told: Vec<SourceError>,
    pub(crate) not_told: u64,
}

/// What an archive is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ArchiveParts<'a> {
    pub(crate) repository: &'a Repository,
    pub(crate) index: &'a Index,
    pub(crate) packer: &'a Packer<'a>,
    pub(crate) gear: &'a Gear,
    pub(crate) old_trees: BlobReader<'a>,
    pub(crate) lead_problems: &'a LeadProblems,
    pub(crate) names: &'a Names,
    pub(crate) own_copies: &'a OwnCopies,
    pub(crate) own_key: Option<Id>,
    pub(crate) progress: &'a Progress,
    pub(crate) cancel: &'a Cancel,
    pub(crate) threads: usize,
}

impl<'a> Archive<'a> {
    /// Starts saving a source of which `filter` leaves something out.
    pub(crate) fn new(parts: ArchiveParts<'a>, filter: Filter) -> Self {
        Self {
            repository: parts.repository,
            index: parts.index,
            packer: parts.packer,
            gear: parts.gear,
            old_trees: parts.old_trees,
            lead_problems: parts.lead_problems,
            filter,
            names: parts.names,
            own_copies: parts.own_copies,
            own_key: parts.own_key,
            progress: parts.progress,
            cancel: parts.cancel,
            threads: parts.threads,
            old_tree_failures: AtomicU32::new(0),
            pool: Pool::new(parts.threads * PIECES_PER_THREAD, Taken::First),
            inodes: Mutex::default(),
            hole_bytes_left: AtomicU64::new(MAX_FILE_BYTES),
            errors: Mutex::default(),
            root: Mutex::default(),
        }
    }

    /// Does all that waits in the pool on its threads, and returns the root tree.
    ///
    /// # Errors
    /// Where no copy takes what is stored, or the user interrupts.
    pub(crate) fn run(self) -> Result<Archived> {
        self.run_stream(|_| Ok(()))
    }

    /// As [`Archive::run`], while one more thread reads a stream and hands on its pieces.
    ///
    /// # Errors
    /// As [`Archive::run`], and those of `read`.
    pub(crate) fn run_stream(
        self,
        read: impl FnOnce(&mut Worker<'_, 'a>) -> Result<()> + Send,
    ) -> Result<Archived> {
        let work = || -> Result<Worker<'_, 'a>> {
            let mut worker = Worker::new(&self)?;
            self.pool.run(self.cancel, |job| match job {
                Job::Folder(folder) => worker.save_folder(folder),
                Job::Files(batch) => worker.save_files(batch),
                Job::Piece(piece) => worker.save_piece(piece),
            })?;
            Ok(worker)
        };
        let mut stats = Stats::default();
        let mut needs = Needs::default();
        std::thread::scope(|scope| -> Result<()> {
            let mut reader = Worker::new(&self)?;
            // The pool does not end while this thread may still bring pieces.
            let claim = self.pool.claim();
            let workers: Vec<_> = (0..self.threads.max(1))
                .map(|_| scope.spawn(work))
                .collect();
            let mut outcome = read(&mut reader);
            claim.release(outcome.is_err());
            stats.add(&reader.stats);
            needs.merge(reader.needs);
            for worker in workers {
                match worker.join() {
                    Ok(Ok(worker)) => {
                        stats.add(&worker.stats);
                        needs.merge(worker.needs);
                    }
                    Ok(Err(error)) => outcome = outcome.and(Err(error)),
                    Err(_) => outcome = outcome.and(Err(Error::Interrupted)),
                }
            }
            outcome
        })?;
        let root = self.root.into_inner().ok_or(Error::Interrupted)?;
        Ok(Archived {
            root,
            stats,
            needs,
            errors: self.errors.into_inner(),
        })
    }

    /// Notes a file or folder that could not be saved as it was.
    pub(crate) fn fs_error(&self, error: &FsError) {
        let kind = match error {
            FsError::Replaced { .. } => SourceErrorKind::ChangedWhileRead,
            _ if error.is_vanished() => SourceErrorKind::Vanished,
            _ => SourceErrorKind::Unreadable,
        };
        self.note(error.path(), kind, chain(error));
    }

    /// Notes trouble of a given kind.
    pub(crate) fn note(
        &self,
        path: impl AsRef<std::path::Path>,
        kind: SourceErrorKind,
        message: String,
    ) {
        self.progress.add_error();
        let mut errors = self.errors.lock();
        if errors.told.len() == MAX_ERRORS_TOLD {
            errors.not_told += 1;
            return;
        }
        errors.told.push(SourceError {
            path: path.as_ref().display().to_string(),
            kind,
            message,
        });
    }

    /// Reads a tree of the parent snapshot; one that cannot be read is as good as none.
    ///
    /// A damaged one is forgotten by the index, so that it is stored again where it is needed. A
    /// lead that has gone away is not asked for ever.
    pub(crate) fn old_tree(&self, id: Option<Id>) -> Option<Tree> {
        let id = id?;
        if self.old_tree_failures.load(Ordering::Relaxed) >= MAX_OLD_TREE_FAILURES {
            return None;
        }
        match self.old_trees.tree(id) {
            Ok(tree) => Some(tree),
            Err(error) => {
                match &error {
                    Error::Repo(strongroom_repo::Error::Damaged { .. }) => {
                        self.note_damaged_tree(BlobId::tree(id), &error);
                        self.index.withdraw(BlobId::tree(id));
                    }
                    _ => {
                        self.old_tree_failures.fetch_add(1, Ordering::Relaxed);
                    }
                }
                let error = chain(&error);
                tracing::warn!(tree = %id, error, "A tree of the parent snapshot is passed over");
                None
            }
        }
    }

    fn note_damaged_tree(&self, tree: BlobId, error: &Error) {
        if let Some(at) = self.index.get(tree) {
            let pack = FileName::new(FileType::Data, at.pack);
            let location = self.old_trees.store.location();
            let text = format!("{pack} in {location}: {}", chain(error));
            self.lead_problems.note_damage(pack, text);
        }
    }

    /// Notes the tree of a folder that has none above it.
    pub(crate) fn set_root(&self, folder: &FolderState, tree: Id) {
        debug_assert!(folder.above.is_none());
        *self.root.lock() = Some(tree);
    }
}
