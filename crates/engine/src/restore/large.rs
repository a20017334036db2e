//! Large files: cut into pieces of neighbouring blobs, which several threads write at once.
//!
//! Each piece holds the file. Who finishes the last one gives the file its name.
//!
//! A long hole is one chunk of zeros over and over: what repeats it is neither read nor written.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use strongroom_model::Id;
use strongroom_repo::chunker::MAX_CHUNK_BYTES;

use crate::Result;
use crate::filesystem::TargetFile;
use crate::read_set::BlobRead;
use crate::restore::files::{Failure, FileJob, Place};
use crate::restore::worker::{Task, Worker};
use crate::session::chain;

/// How many bytes of a file one piece has, unless a blob alone is larger.
const PIECE_BYTES: u64 = 8 << 20;

/// A file that is written in pieces.
#[derive(Debug)]
struct LargeFile {
    job: FileJob,
    target: TargetFile,
    written_bytes: AtomicU64,
    failure: Mutex<Option<String>>,
}

/// The chunk of zeros of which long holes consist, of the length that was met last.
#[derive(Debug, Default)]
pub(super) struct ZeroChunk(Mutex<Option<(u64, Id)>>);

/// A part of a large file.
#[derive(Debug)]
pub(crate) struct Piece {
    file: Arc<LargeFile>,
    /// Which of the file's blobs.
    blobs: Range<usize>,
    /// Where the first one belongs.
    offset_bytes: u64,
}

impl Worker<'_, '_> {
    /// Cuts a file into pieces and hands them on.
    pub(super) fn begin_large(&mut self, job: FileJob) -> Result<()> {
        let target = match job.create() {
            Ok(target) => target,
            Err(error) => {
                self.failed(job, Failure::of_place(&error));
                return Ok(());
            }
        };
        let file = Arc::new(LargeFile {
            job,
            target,
            written_bytes: AtomicU64::new(0),
            failure: Mutex::default(),
        });
        let (mut first, mut start, mut end) = (0, 0, 0_u64);
        let mut before = None;
        for (number, blob) in file.job.blobs().enumerate() {
            let length = self.shared.set.length_bytes(blob)?;
            let is_repeated = before.replace(blob) == Some(blob);
            if is_repeated && self.shared.zeros.is(blob.id, length) {
                self.hand_on_piece(&file, first..number, start)?;
                file.written_bytes.fetch_add(length, Ordering::Relaxed);
                self.shared.progress.add_bytes(length);
                end = end.saturating_add(length);
                (first, start) = (number + 1, end);
                continue;
            }
            if number > first && end.saturating_add(length) - start > PIECE_BYTES {
                self.hand_on_piece(&file, first..number, start)?;
                (first, start) = (number, end);
            }
            end = end.saturating_add(length);
        }
        let count = file.job.blobs().len();
        self.hand_on_piece(&file, first..count, start)?;
        self.let_go(file);
        Ok(())
    }

    /// Writes a piece, and ends the file where it is the last.
    pub(super) fn write_piece(&mut self, piece: Piece) -> Result<()> {
        let Piece {
            file,
            blobs: range,
            offset_bytes,
        } = piece;
        if file.failure.lock().is_none() {
            let blobs: Vec<_> = file
                .job
                .blobs()
                .skip(range.start)
                .take(range.len())
                .collect();
            let mut places = Vec::with_capacity(blobs.len());
            let mut offset = offset_bytes;
            for blob in &blobs {
                let length = self.shared.set.length_bytes(*blob)?;
                places.push(Place { offset, length });
                offset += length;
            }
            let shared = self.shared;
            shared.set.read_many(&blobs, &mut |position, blob| {
                shared.cancel.check()?;
                if let Some(place) = places.get(position)
                    && let Err(reason) = file.write(*place, blob)
                {
                    file.failure.lock().get_or_insert(reason);
                }
                shared
                    .progress
                    .add_bytes(blob.map_or(0, |blob| blob.len() as u64));
                Ok(())
            })?;
        }
        self.let_go(file);
        Ok(())
    }

    fn hand_on_piece(
        &mut self,
        file: &Arc<LargeFile>,
        blobs: Range<usize>,
        offset_bytes: u64,
    ) -> Result<()> {
        if blobs.is_empty() {
            return Ok(());
        }
        let piece = Piece {
            file: Arc::clone(file),
            blobs,
            offset_bytes,
        };
        self.hand_on(Task::Piece(piece))
    }

    fn let_go(&mut self, file: Arc<LargeFile>) {
        let Some(file) = Arc::into_inner(file) else {
            return;
        };
        match file.failure.into_inner() {
            None => self.finish_file(file.job, file.target, file.written_bytes.into_inner()),
            Some(reason) => {
                drop(file.target);
                self.failed(file.job, Failure::lost(reason));
            }
        }
    }
}

impl ZeroChunk {
    /// Whether a blob of this length is nothing but zeros, as far as one of this length was cut.
    fn is(&self, id: Id, length: u64) -> bool {
        let Some(bytes) = usize::try_from(length)
            .ok()
            .filter(|l| *l <= MAX_CHUNK_BYTES)
        else {
            return false;
        };
        let mut known = self.0.lock();
        match *known {
            Some((known_length, zeros)) if known_length == length => zeros == id,
            _ => known.insert((length, Id::of(&vec![0; bytes]))).1 == id,
        }
    }
}

impl LargeFile {
    fn write(&self, place: Place, blob: BlobRead<'_>) -> std::result::Result<(), String> {
        let bytes = place.check(blob)?;
        let written = self.target.write_at(place.offset, bytes);
        written.map_err(|error| chain(&error))?;
        self.written_bytes
            .fetch_add(place.length, Ordering::Relaxed);
        Ok(())
    }
}
