//! What came of a backup: for people, for `--json`, for the receipt.

use jiff::Timestamp;
use serde::Serialize;
use strongroom_model::Id;

use crate::lead::{LeadProblem, ProblemState};
use crate::session::CopyFailure;

/// How many errors of a source are kept; all are counted.
pub const MAX_ERRORS_TOLD: usize = 10_000;

/// What came of a backup of one or several sources.
#[derive(Debug, Clone, Default)]
pub struct BackupReport {
    /// For each source, in order.
    pub sources: Vec<SourceReport>,
    /// For each copy, in the order of the configuration.
    pub copies: Vec<CopyReport>,
    /// What was wrong on the lead when the run began.
    pub lead_problems: Vec<LeadProblem>,
    /// The copy whose index was read.
    pub lead: String,
    /// Packs that were written, and their bytes.
    pub packs_written: u64,
    /// Bytes of these packs.
    pub bytes_written: u64,
}

/// What came of one source.
#[derive(Debug, Clone, Default)]
pub struct SourceReport {
    /// Its name.
    pub name: String,
    /// The snapshot; `None` where none was made.
    pub snapshot: Option<Id>,
    /// When the snapshot began, as it says itself.
    pub time: Option<Timestamp>,
    /// The root tree; known for a dry run too.
    pub tree: Option<Id>,
    /// The snapshot that it was compared with.
    pub parent: Option<Id>,
    /// Why no snapshot was made.
    pub failure: Option<String>,
    /// What was counted.
    pub stats: Stats,
    /// What could not be saved, or changed meanwhile; the first [`MAX_ERRORS_TOLD`] of it.
    pub errors: Vec<SourceError>,
    /// How many more errors there were.
    pub errors_not_told: u64,
    /// What the snapshot needs on every copy.
    pub needs: SnapshotNeeds,
    /// The snapshot as it is stored: where every copy lacked something else when it was made, none
    /// has it, and the sync that ends the backup brings it.
    pub snapshot_file: Vec<u8>,
}

/// The files that a snapshot needs, but for the keys and `config`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SnapshotNeeds {
    /// Packs with their sizes.
    pub packs: Vec<(Id, u64)>,
    /// Index files, which together name all of these packs.
    pub index_files: Vec<Id>,
}

/// What was counted for one source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Files that the parent did not have.
    pub files_new: u64,
    /// Files that differ from the parent's.
    pub files_changed: u64,
    /// Files as in the parent.
    pub files_unmodified: u64,
    /// Folders that the parent did not have.
    pub dirs_new: u64,
    /// Folders that differ from the parent's.
    pub dirs_changed: u64,
    /// Folders as in the parent.
    pub dirs_unmodified: u64,
    /// New blobs of data.
    pub data_blobs: u64,
    /// New trees.
    pub tree_blobs: u64,
    /// Bytes of new blobs before compression.
    pub data_added_bytes: u64,
    /// Bytes of new blobs as stored.
    pub data_added_packed_bytes: u64,
    /// Files that were looked at.
    pub files_processed: u64,
    /// Bytes of these files.
    pub bytes_processed: u64,
    /// Bytes that were really read.
    pub bytes_read: u64,
    /// Files that were really read.
    pub files_read: u64,
    /// Folders below the paths of the source, readable or not.
    pub subfolders: u64,
    /// Links, devices and fifos that were saved.
    pub others: u64,
}

/// Something that could not be saved as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceError {
    /// Which file or folder.
    pub path: String,
    /// What kind of trouble.
    pub kind: SourceErrorKind,
    /// What the system said.
    pub message: String,
}

/// Kinds of trouble with a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceErrorKind {
    /// It could not be read.
    Unreadable,
    /// It was there a moment ago.
    Vanished,
    /// It changed while it was read; what was read is saved.
    ChangedWhileRead,
}

/// What came of one copy.
#[derive(Debug, Clone)]
pub struct CopyReport {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub location: String,
    /// Whether it has all that the new snapshots need.
    pub outcome: CopyOutcome,
}

/// Whether a copy is whole for the snapshots of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyOutcome {
    /// It has the snapshots and every file that they need.
    Whole,
    /// It lacks this many files.
    Behind {
        /// How many.
        files: u64,
    },
    /// It could not be used, or a write failed.
    Failed(CopyFailure),
}

impl BackupReport {
    /// How many errors the sources had, failed sources not counted.
    pub fn error_count(&self) -> u64 {
        self.sources.iter().map(SourceReport::error_count).sum()
    }

    /// Whether all sources have snapshots without errors, whole on every copy, and nothing that
    /// was found damaged stays so.
    pub fn is_complete(&self) -> bool {
        let is_damaged = |problem: &LeadProblem| problem.state == ProblemState::Damaged;
        self.error_count() == 0
            && !self.lead_problems.iter().any(is_damaged)
            && self.sources.iter().all(|source| source.failure.is_none())
            && self
                .copies
                .iter()
                .all(|copy| copy.outcome == CopyOutcome::Whole)
    }

    /// Whether at least one snapshot was made.
    pub fn has_snapshot(&self) -> bool {
        self.sources.iter().any(|source| source.snapshot.is_some())
    }
}

impl SourceReport {
    /// How many errors the source had.
    pub fn error_count(&self) -> u64 {
        self.errors.len() as u64 + self.errors_not_told
    }
}

impl Stats {
    /// Adds what another thread counted.
    pub(crate) fn add(&mut self, other: &Self) {
        self.files_new += other.files_new;
        self.files_changed += other.files_changed;
        self.files_unmodified += other.files_unmodified;
        self.dirs_new += other.dirs_new;
        self.dirs_changed += other.dirs_changed;
        self.dirs_unmodified += other.dirs_unmodified;
        self.data_blobs += other.data_blobs;
        self.tree_blobs += other.tree_blobs;
        self.data_added_bytes += other.data_added_bytes;
        self.data_added_packed_bytes += other.data_added_packed_bytes;
        self.files_processed += other.files_processed;
        self.bytes_processed += other.bytes_processed;
        self.bytes_read += other.bytes_read;
        self.files_read += other.files_read;
        self.subfolders += other.subfolders;
        self.others += other.others;
    }
}

impl std::fmt::Display for SourceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { path, message, .. } = self;
        match self.kind {
            SourceErrorKind::Unreadable => write!(f, "{path}: cannot be read: {message}"),
            SourceErrorKind::Vanished => write!(f, "{path}: vanished"),
            SourceErrorKind::ChangedWhileRead => write!(f, "{path}: changed while it was read"),
        }
    }
}
