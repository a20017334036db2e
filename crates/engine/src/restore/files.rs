//! Files of few blobs: gathered over several folders, then written in the order in which their
//! blobs are stored, so that one request brings the content of many.

use std::sync::Arc;

use strongroom_repo::Node;
use strongroom_repo::blob::BlobId;

use crate::Result;
use crate::filesystem::{FsError, TargetFile};
use crate::read_set::BlobRead;
use crate::restore::folder::OpenFolder;
use crate::restore::links::Ending;
use crate::restore::report::Tally;
use crate::restore::worker::{Task, Worker};
use crate::session::chain;

/// A file that is to be restored.
#[derive(Debug)]
pub(super) struct FileJob {
    pub(super) folder: Arc<OpenFolder>,
    pub(super) node: Node,
}

/// Files that wait to be written together.
#[derive(Debug, Default)]
pub(super) struct Window {
    files: Vec<FileJob>,
    folders: usize,
    bytes: u64,
}

/// When a window is full.
#[derive(Debug, Clone, Copy)]
pub(super) struct WindowLimits {
    files: usize,
    /// Folders are open files.
    folders: usize,
    bytes: u64,
}

/// Files with more blobs are written in pieces by several threads.
pub(super) const BLOBS_OF_SMALL_FILES: usize = 8;

/// Where a blob belongs in a file, as the index has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// A file of a window while its blobs come.
struct Part {
    job: FileJob,
    target: Option<TargetFile>,
    blobs_left: usize,
    size_bytes: u64,
    failure: Option<Failure>,
}

/// Why a file was not restored.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) reason: String,
    /// How that leaves the other names of the file.
    pub(super) ending: Ending,
}

impl WindowLimits {
    /// The limits for reading from a copy on this machine, or behind a network.
    pub(super) fn of(is_local: bool) -> Self {
        match is_local {
            true => Self {
                files: 256,
                folders: 32,
                bytes: 16 << 20,
            },
            false => Self {
                files: 4096,
                folders: 64,
                bytes: 64 << 20,
            },
        }
    }
}

impl FileJob {
    /// The path in the snapshot.
    pub(super) fn path(&self) -> Vec<u8> {
        self.folder.path_of(&self.node.name)
    }

    pub(super) fn blobs(&self) -> impl ExactSizeIterator<Item = BlobId> {
        let content = self.node.content.as_deref().unwrap_or_default();
        content.iter().map(|id| BlobId::data(*id))
    }

    pub(super) fn create(&self) -> std::result::Result<TargetFile, FsError> {
        self.folder.target()?.create_file(&self.node.name)
    }
}

impl Worker<'_, '_> {
    /// Restores a file, at once or when there are more.
    pub(super) fn begin_file(&mut self, job: FileJob) -> Result<()> {
        let blobs = job.blobs().len();
        match blobs {
            0 => match job.create() {
                Ok(target) => self.finish_file(job, target, 0),
                Err(error) => self.failed(job, Failure::of_place(&error)),
            },
            1..=BLOBS_OF_SMALL_FILES => {
                self.window.push(job);
                if self.window.is_full(&self.shared.window) {
                    let files = self.window.take();
                    self.hand_on(Task::Files(files))?;
                }
            }
            _ => self.begin_large(job)?,
        }
        Ok(())
    }

    /// Writes files together.
    pub(super) fn write_files(&mut self, files: Vec<FileJob>) -> Result<()> {
        let mut blobs = Vec::with_capacity(files.len());
        // For each blob its file and where it belongs in it.
        let mut places = Vec::with_capacity(files.len());
        let mut parts: Vec<Option<Part>> = Vec::with_capacity(files.len());
        for job in files {
            let mut offset = 0;
            for blob in job.blobs() {
                let length = self.shared.set.length_bytes(blob)?;
                blobs.push(blob);
                places.push((parts.len(), Place { offset, length }));
                offset += length;
            }
            parts.push(Some(Part::new(job)));
        }
        let shared = self.shared;
        shared.set.read_many(&blobs, &mut |position, blob| {
            shared.cancel.check()?;
            let Some((part, place)) = places.get(position) else {
                return Ok(());
            };
            let Some(slot) = parts.get_mut(*part) else {
                return Ok(());
            };
            shared.progress.add_bytes(place.length);
            if let Some(part) = slot {
                part.add(*place, blob);
                if part.blobs_left == 0
                    && let Some(part) = slot.take()
                {
                    self.finish_part(part);
                }
            }
            Ok(())
        })
    }

    fn finish_part(&mut self, part: Part) {
        match (part.failure, part.target) {
            (None, Some(target)) => self.finish_file(part.job, target, part.size_bytes),
            (failure, target) => {
                drop(target);
                let failure = failure.unwrap_or_else(|| Failure::lost(String::new()));
                self.failed(part.job, failure);
            }
        }
    }

    /// Gives a file that is written its metadata and its name.
    pub(super) fn finish_file(&mut self, job: FileJob, target: TargetFile, size_bytes: u64) {
        match target.finish(size_bytes, &job.node, &mut self.problems) {
            Ok(()) => {
                Tally::add(&self.shared.tally.files, 1);
                Tally::add(&self.shared.tally.bytes, size_bytes);
                self.shared.progress.add_files(1);
                self.done(job, Ending::Made);
            }
            Err(error) => self.failed(job, Failure::of_place(&error)),
        }
    }
}

impl Failure {
    /// Nothing can be made under the file's name; but a disk that is full is so for all names.
    pub(super) fn of_place(error: &FsError) -> Self {
        let ending = match error.is_full() {
            true => Ending::Lost,
            false => Ending::NoPlace,
        };
        let reason = chain(error);
        Self { reason, ending }
    }

    /// What the file holds cannot be read, or not be written.
    pub(super) const fn lost(reason: String) -> Self {
        let ending = Ending::Lost;
        Self { reason, ending }
    }
}

impl Window {
    fn push(&mut self, job: FileJob) {
        let is_new = |last: &FileJob| !Arc::ptr_eq(&last.folder, &job.folder);
        self.folders += usize::from(self.files.last().is_none_or(is_new));
        self.bytes = self.bytes.saturating_add(job.node.size);
        self.files.push(job);
    }

    /// All files that wait.
    pub(super) fn take(&mut self) -> Vec<FileJob> {
        std::mem::take(self).files
    }

    fn is_full(&self, limits: &WindowLimits) -> bool {
        self.files.len() >= limits.files
            || self.folders >= limits.folders
            || self.bytes >= limits.bytes
    }
}

impl Part {
    fn new(job: FileJob) -> Self {
        let blobs_left = job.blobs().len();
        Self {
            blobs_left,
            job,
            target: None,
            size_bytes: 0,
            failure: None,
        }
    }

    /// Writes a blob; after the first failure, nothing more.
    fn add(&mut self, place: Place, blob: BlobRead<'_>) {
        self.blobs_left -= 1;
        if self.failure.is_none()
            && let Err(failure) = self.write(place, blob)
        {
            self.failure = Some(failure);
            // Its unfinished file goes at once.
            self.target = None;
        }
    }

    fn write(&mut self, place: Place, blob: BlobRead<'_>) -> std::result::Result<(), Failure> {
        let bytes = place.check(blob).map_err(Failure::lost)?;
        let target = match &mut self.target {
            Some(target) => target,
            none => {
                let created = self.job.create();
                none.insert(created.map_err(|error| Failure::of_place(&error))?)
            }
        };
        self.size_bytes += place.length;
        let written = target.write_at(place.offset, bytes);
        written.map_err(|error| Failure::lost(chain(&error)))
    }
}

impl Place {
    /// The bytes of a blob, if they fill its place.
    pub(super) fn check<'b>(&self, blob: BlobRead<'b>) -> std::result::Result<&'b [u8], String> {
        let bytes = blob.map_err(|error| chain(error))?;
        // The places of the blobs behind it depend on it.
        match bytes.len() as u64 == self.length {
            true => Ok(bytes),
            false => Err("The index has a wrong length for one of its blobs".to_owned()),
        }
    }
}
