//! The content of a file: read once, cut, and handed on piece by piece.
//!
//! **Security:** whoever owns a file decides how long it is. One that grows is read as far as it
//! was long when it was opened, or a writer could keep a backup for ever. One that is mostly holes
//! costs its owner nothing, whatever length it claims: holes are not read but counted in chunks of
//! zeros, and of these too a source may have only so many.
//!
//! A filesystem is asked for a hole only behind zeros that were really read. Some have told of
//! holes where new data was not written to disk yet: data must never rest on that word alone.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{SeekFrom, seek};
use rustix::io::{Errno, pread, read};
use strongroom_model::Id;
use strongroom_repo::Node;
use strongroom_repo::blob::BlobKind;
use strongroom_repo::chunker::{Chunker, Gear, MIN_CHUNK_BYTES};

use crate::Result;
use crate::backup::archive::Piece;
use crate::backup::folder::Slot;
use crate::backup::worker::Worker;
use crate::filesystem::Stat;

/// How much is read at a time: it stays in the cache until it is scanned.
pub(crate) const READ_BYTES: usize = 256 << 10;

/// The length of the largest file that is read, 16 TiB, and of all holes of a source together.
///
/// ext4 has no larger files either, and the list of the chunks of one would hardly fit into a tree.
pub(crate) const MAX_FILE_BYTES: u64 = 16 << 40;

/// How much is read of a file that says to be empty: those of procfs do, and have content.
const EMPTY_FILE_BYTES: u64 = READ_BYTES as u64;

/// How long a stream may be silent before somebody looks whether the user wants to stop.
const SILENCE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// How many buffers of a large file are kept for its next pieces.
const SPARE_BUFFERS: usize = 4;

static ZEROS: [u8; READ_BYTES] = [0; READ_BYTES];

// What one read brings is no more than one chunk.
const _: () = assert!(READ_BYTES < MIN_CHUNK_BYTES);

/// A file without its content, and where its node goes.
#[derive(Debug)]
pub(crate) struct FileNode {
    pub(crate) slot: Slot,
    pub(crate) node: Node,
    /// Where it has several names: those who wait for its content.
    pub(crate) inode: Option<Stat>,
}

/// A file with more than one piece.
#[derive(Debug)]
pub(crate) struct LargeFile {
    state: Mutex<LargeState>,
    spare: Mutex<Vec<Vec<u8>>>,
}

#[derive(Debug)]
struct LargeState {
    /// The id of each piece, as they come in.
    pieces: Vec<Option<Id>>,
    /// Set when the last byte was read.
    done: Option<FileNode>,
    open: usize,
}

/// The longest chunk of zeros: what every hole is cut into, whatever comes before or after it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ZeroChunk {
    length_bytes: u64,
    id: Id,
}

/// What was read of a file so far.
struct Content<'a> {
    chunker: Chunker<'a>,
    /// The beginning of the chunk whose end was not found yet.
    chunk: Vec<u8>,
    large: Option<Arc<LargeFile>>,
    size_bytes: u64,
}

impl LargeFile {
    fn new() -> Self {
        Self {
            state: Mutex::new(LargeState {
                pieces: Vec::new(),
                done: None,
                open: 0,
            }),
            spare: Mutex::default(),
        }
    }

    fn next_piece(&self) -> usize {
        let mut state = self.state.lock();
        state.pieces.push(None);
        state.open += 1;
        state.pieces.len() - 1
    }

    /// Adds pieces that are stored already.
    fn add_stored(&self, id: Id, count: usize) {
        let pieces = std::iter::repeat_n(Some(id), count);
        self.state.lock().pieces.extend(pieces);
    }

    /// Notes the id of a piece; returns the file where it was the last.
    pub(crate) fn put(&self, number: usize, id: Id) -> Option<FileNode> {
        let mut state = self.state.lock();
        if let Some(piece) = state.pieces.get_mut(number) {
            *piece = Some(id);
        }
        state.open -= 1;
        state.take_if_done()
    }

    /// Says that all was read; returns the file where every piece is stored already.
    fn end(&self, done: FileNode) -> Option<FileNode> {
        let mut state = self.state.lock();
        state.done = Some(done);
        state.take_if_done()
    }

    /// Keeps a buffer for a later piece.
    pub(crate) fn recycle(&self, mut buffer: Vec<u8>) {
        let mut spare = self.spare.lock();
        if spare.len() < SPARE_BUFFERS {
            buffer.clear();
            spare.push(buffer);
        }
    }

    fn buffer(&self) -> Vec<u8> {
        self.spare.lock().pop().unwrap_or_default()
    }
}

impl LargeState {
    fn take_if_done(&mut self) -> Option<FileNode> {
        if self.open > 0 {
            return None;
        }
        let mut done = self.done.take()?;
        let pieces = std::mem::take(&mut self.pieces);
        done.node.content = Some(pieces.into_iter().flatten().collect());
        Some(done)
    }
}

impl<'a> Content<'a> {
    fn new(gear: &'a Gear) -> Self {
        Self {
            chunker: Chunker::new(gear),
            chunk: Vec::new(),
            large: None,
            size_bytes: 0,
        }
    }

    fn large(&mut self) -> Arc<LargeFile> {
        let large = self.large.get_or_insert_with(|| Arc::new(LargeFile::new()));
        Arc::clone(large)
    }
}

impl Worker<'_, '_> {
    /// Reads and stores a file as far as it was long when it was opened; tells whether there is
    /// more.
    ///
    /// The outer error ends the backup; the inner one is that the file could not be read.
    ///
    /// # Errors
    /// As [`Worker::save_blob`].
    pub(crate) fn save_content(
        &mut self,
        input: impl AsFd,
        size_bytes: u64,
        file: FileNode,
    ) -> Result<io::Result<bool>> {
        if size_bytes > MAX_FILE_BYTES {
            return Ok(Err(io::Error::other(
                "it claims to have more than 16 TiB; leave it out with exclude",
            )));
        }
        let size_bytes = match size_bytes {
            0 => EMPTY_FILE_BYTES,
            size_bytes => size_bytes,
        };
        let mut block = std::mem::take(&mut self.block);
        let read = self.read_file(input.as_fd(), &mut block, size_bytes, file);
        self.block = block;
        read
    }

    /// Reads a stream to its end and stores it as the content of a file.
    ///
    /// The outer error ends the backup; the inner one is that the stream could not be read.
    ///
    /// # Errors
    /// As [`Worker::save_blob`].
    pub(crate) fn save_stream(
        &mut self,
        input: impl AsFd,
        file: FileNode,
    ) -> Result<io::Result<()>> {
        let mut block = std::mem::take(&mut self.block);
        let read = self.read_stream(input.as_fd(), &mut block, file);
        self.block = block;
        read
    }

    fn read_file(
        &mut self,
        input: BorrowedFd<'_>,
        block: &mut [u8],
        size_bytes: u64,
        file: FileNode,
    ) -> Result<io::Result<bool>> {
        let mut content = Content::new(self.archive.gear);
        loop {
            self.archive.cancel.check()?;
            let left = size_bytes.saturating_sub(content.size_bytes);
            // One byte more than there should be: where it does not come, the file ends here.
            let asked = usize::try_from(left + 1).map_or(READ_BYTES, |all| all.min(READ_BYTES));
            let room = block.get_mut(..asked).unwrap_or_default();
            let count = match pread(input, room, content.size_bytes) {
                Ok(count) => count,
                Err(Errno::INTR) => continue,
                Err(error) => return Ok(Err(error.into())),
            };
            let has_more = count as u64 > left;
            let kept = usize::try_from(left).map_or(count, |left| left.min(count));
            let bytes = block.get(..kept).unwrap_or_default();
            self.count_read(bytes.len());
            let is_whole = kept as u64 == left && count < asked;
            if has_more || is_whole || count == 0 {
                self.end_content(content, bytes, file)?;
                return Ok(Ok(has_more));
            }
            self.add(&mut content, bytes)?;
            if bytes == ZEROS {
                let hole = hole_length(input, content.size_bytes, size_bytes);
                if let Err(error) = self.add_zeros(&mut content, hole)? {
                    return Ok(Err(error));
                }
            }
        }
    }

    fn read_stream(
        &mut self,
        input: BorrowedFd<'_>,
        block: &mut [u8],
        file: FileNode,
    ) -> Result<io::Result<()>> {
        let mut content = Content::new(self.archive.gear);
        loop {
            self.archive.cancel.check()?;
            if !is_readable(input) {
                continue;
            }
            let bytes = match read(input, &mut *block) {
                Ok(0) => break self.end_content(content, &[], file).map(Ok),
                Ok(count) => block.get(..count).unwrap_or_default(),
                Err(Errno::INTR) => continue,
                Err(error) => return Ok(Err(error.into())),
            };
            self.count_read(bytes.len());
            self.add(&mut content, bytes)?;
        }
    }

    fn count_read(&mut self, bytes: usize) {
        self.stats.bytes_read += bytes as u64;
        self.archive.progress.add_bytes(bytes as u64);
    }

    /// Adds what was read, and hands on every chunk whose end is in it.
    fn add(&mut self, content: &mut Content<'_>, mut bytes: &[u8]) -> Result<()> {
        content.size_bytes += bytes.len() as u64;
        while let Some(cut) = content.chunker.feed(bytes) {
            let (head, tail) = bytes.split_at(cut);
            self.end_chunk(content, head)?;
            bytes = tail;
        }
        content.chunk.extend_from_slice(bytes);
        Ok(())
    }

    /// Adds a hole as if its zeros had been read; the inner error is that there are too many.
    fn add_zeros(&mut self, content: &mut Content<'_>, length: u64) -> Result<io::Result<()>> {
        let mut left = length;
        while left > 0 {
            self.archive.cancel.check()?;
            // Where a chunk begins, whole ones of zeros need not be looked at.
            if content.chunk.is_empty() {
                let zeros = self.zero_chunk()?;
                let count = left / zeros.length_bytes;
                let skipped = count * zeros.length_bytes;
                if !take(&self.archive.hole_bytes_left, skipped) {
                    return Ok(Err(io::Error::other(
                        "holes make up more than 16 TiB of this source; leave it out with exclude",
                    )));
                }
                if count > 0 {
                    let count = usize::try_from(count).unwrap_or(usize::MAX);
                    content.large().add_stored(zeros.id, count);
                    content.size_bytes += skipped;
                    left -= skipped;
                    continue;
                }
            }
            let some = usize::try_from(left).map_or(READ_BYTES, |left| left.min(READ_BYTES));
            let (zeros, _) = ZEROS.split_at(some);
            let added = content.chunker.feed(zeros);
            let (zeros, _) = zeros.split_at(added.unwrap_or(some));
            match added {
                Some(_) => self.end_chunk(content, zeros)?,
                None => content.chunk.extend_from_slice(zeros),
            }
            content.size_bytes += zeros.len() as u64;
            left -= zeros.len() as u64;
        }
        self.archive.progress.add_bytes(length);
        Ok(Ok(()))
    }

    /// What a long hole is cut into; stored when it is first asked for.
    fn zero_chunk(&mut self) -> Result<ZeroChunk> {
        if let Some(zeros) = self.zeros {
            return Ok(zeros);
        }
        let mut chunker = Chunker::new(self.archive.gear);
        let mut length = 0;
        let last = loop {
            match chunker.feed(&ZEROS) {
                Some(cut) => break cut,
                None => length += READ_BYTES,
            }
        };
        length += last;
        let zeros = ZeroChunk {
            length_bytes: length as u64,
            id: self.save_blob(BlobKind::Data, &vec![0; length])?,
        };
        self.zeros = Some(zeros);
        Ok(zeros)
    }

    /// Stores what is left when all was read; `last` was not added yet.
    fn end_content(
        &mut self,
        mut content: Content<'_>,
        last: &[u8],
        mut file: FileNode,
    ) -> Result<()> {
        // Most files are one read: they need not be looked through, nor copied.
        let ids = if content.size_bytes == 0 {
            content.size_bytes = last.len() as u64;
            self.save_small(last)?
        } else {
            self.add(&mut content, last)?;
            match &content.large {
                None => self.save_small(&content.chunk)?,
                Some(_) if content.chunk.is_empty() => Box::default(),
                Some(_) => {
                    self.end_chunk(&mut content, &[])?;
                    Box::default()
                }
            }
        };
        file.node.size = content.size_bytes;
        file.node.content = Some(ids);
        let done = match &content.large {
            Some(large) => large.end(file),
            None => Some(file),
        };
        match done {
            Some(done) => self.finish_file(done),
            None => Ok(()),
        }
    }

    /// Stores a file that is one blob, or none where it is empty.
    fn save_small(&mut self, bytes: &[u8]) -> Result<Box<[Id]>> {
        if bytes.is_empty() {
            return Ok(Box::default());
        }
        Ok(Box::new([self.save_blob(BlobKind::Data, bytes)?]))
    }

    /// Hands a chunk to whoever is free, or does a waiting one where too many wait.
    fn end_chunk(&mut self, content: &mut Content<'_>, last: &[u8]) -> Result<()> {
        let file = content.large();
        content.chunk.extend_from_slice(last);
        let piece = Piece {
            bytes: std::mem::replace(&mut content.chunk, file.buffer()),
            number: file.next_piece(),
            file,
        };
        match self.archive.pool.add_piece(piece) {
            Some(piece) => self.save_piece(piece),
            None => Ok(()),
        }
    }
}

/// How long the hole is that begins at `offset` of a file; 0 where there is none, or nobody knows.
fn hole_length(file: BorrowedFd<'_>, offset: u64, size_bytes: u64) -> u64 {
    let next_data = match seek(file, SeekFrom::Data(offset)) {
        Ok(next) => next,
        // Nothing but a hole comes.
        Err(Errno::NXIO) => size_bytes,
        Err(_) => offset,
    };
    next_data.min(size_bytes).saturating_sub(offset)
}

/// Takes so much of a budget, if it is still there.
fn take(budget: &AtomicU64, amount: u64) -> bool {
    let less = |left: u64| left.checked_sub(amount);
    budget
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
        .is_ok()
}

/// Waits for a stream to have bytes or to end, but not for long.
fn is_readable(input: BorrowedFd<'_>) -> bool {
    let mut wanted = [PollFd::new(&input, PollFlags::IN)];
    // An error here is one that the read will tell.
    poll(&mut wanted, Some(&SILENCE)) != Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holes_of_all_files_of_a_source_have_one_budget() {
        let budget = AtomicU64::new(MAX_FILE_BYTES);
        assert!(take(&budget, MAX_FILE_BYTES - 1));
        assert!(!take(&budget, 2));
        assert!(take(&budget, 1) && take(&budget, 0));
        assert!(!take(&budget, 1));
    }

    #[test]
    fn a_hole_ends_with_data_or_with_the_file_or_is_none() {
        let file = tempfile::tempfile().unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, b"data", 5 << 20).unwrap();
        file.set_len(9 << 20).unwrap();
        let hole = |offset| hole_length(file.as_fd(), offset, 9 << 20);
        assert_eq!(hole(1 << 20), 4 << 20);
        assert_eq!(hole(5 << 20), 0);
        assert_eq!(hole(8 << 20), 1 << 20);
        assert_eq!(hole_length(file.as_fd(), 1 << 20, 2 << 20), 1 << 20);
        assert_eq!(hole(10 << 20), 0);
    }
}
