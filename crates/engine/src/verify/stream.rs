//! Hashing a stored file as it streams by: no copy of it in memory unless it is asked for.
//!
//! Where the bytes of a sound file are at hand, a sibling's are compared with them instead of
//! hashed: equal bytes have equal hashes, and comparing costs a tenth of hashing.
//!
//! The store may read on a thread of its own and leave it behind where a disk hangs, so that what
//! is hashed belongs to both, and a buffer whose copy hung is lost to us.

use std::sync::Arc;

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use strongroom_model::{FileName, Id};
use strongroom_store::{Result, Store};

/// Buffers that threads hand on to each other, so that memory is faulted in once.
#[derive(Debug, Default)]
pub(crate) struct Buffers(Mutex<Vec<Buffer>>);

/// What one thread reads into.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    /// The file that was read last: all of it, or its last bytes.
    kept: Vec<u8>,
}

/// What came of reading a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hashed {
    /// The SHA-256 of all its bytes.
    pub(crate) id: Id,
    /// How many there were.
    pub(crate) size_bytes: u64,
    /// Whether the buffer now holds all of them.
    pub(crate) is_kept: bool,
}

/// What came of comparing a file with what a buffer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compared {
    /// Every byte is the same, and there are no more.
    Same,
    /// It differs, behind so many bytes that were counted.
    Differs {
        /// What `count` has heard of.
        counted_bytes: u64,
    },
}

/// A file of which a part was read.
#[derive(Debug)]
struct Partial {
    hasher: Sha256,
    size_bytes: u64,
    keep_bytes: u64,
    is_kept: bool,
    kept: Vec<u8>,
}

/// A file of which a part was compared.
#[derive(Debug)]
struct Comparison {
    expected: Vec<u8>,
    same_bytes: usize,
    differs: bool,
}

impl Buffers {
    /// Lends a buffer to `work`.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Buffer) -> T) -> T {
        let mut buffer = self.0.lock().pop().unwrap_or_default();
        let result = work(&mut buffer);
        self.0.lock().push(buffer);
        result
    }
}

impl Buffer {
    /// Reads a file to its end; calls `count` with the bytes of each step.
    ///
    /// A file of at most `keep_bytes` stays in the buffer as a whole, of any other its last bytes
    /// do.
    pub(crate) fn read(
        &mut self,
        store: &dyn Store,
        name: FileName,
        keep_bytes: u64,
        mut count: impl FnMut(u64) + Send + 'static,
    ) -> Result<Hashed> {
        self.kept.clear();
        let partial = Arc::new(Mutex::new(Partial {
            hasher: Sha256::new(),
            size_bytes: 0,
            keep_bytes,
            is_kept: keep_bytes > 0,
            kept: std::mem::take(&mut self.kept),
        }));
        let filled = Arc::clone(&partial);
        let sink = move |bytes: &[u8]| {
            filled.lock().add(bytes);
            count(bytes.len() as u64);
        };
        store.read_through(name, Box::new(sink))?;
        let mut partial = partial.lock();
        self.kept = std::mem::take(&mut partial.kept);
        Ok(Hashed {
            id: Id::from_bytes(partial.hasher.finalize_reset().into()),
            size_bytes: partial.size_bytes,
            is_kept: partial.is_kept,
        })
    }

    /// Reads a file to its end and compares it with what was kept, which stays as it is; calls
    /// `count` with the bytes of each step that is the same.
    ///
    /// # Errors
    /// As [`Store::read_through`]; what was kept is then lost.
    pub(crate) fn compare(
        &mut self,
        store: &dyn Store,
        name: FileName,
        mut count: impl FnMut(u64) + Send + 'static,
    ) -> Result<Compared> {
        let comparison = Arc::new(Mutex::new(Comparison {
            expected: std::mem::take(&mut self.kept),
            same_bytes: 0,
            differs: false,
        }));
        let compared = Arc::clone(&comparison);
        let sink = move |bytes: &[u8]| {
            if compared.lock().goes_on_with(bytes) {
                count(bytes.len() as u64);
            }
        };
        store.read_through(name, Box::new(sink))?;
        let mut comparison = comparison.lock();
        self.kept = std::mem::take(&mut comparison.expected);
        if comparison.differs || comparison.same_bytes < self.kept.len() {
            return Ok(Compared::Differs {
                counted_bytes: comparison.same_bytes as u64,
            });
        }
        Ok(Compared::Same)
    }

    /// The bytes that were kept.
    pub(crate) fn kept(&self) -> &[u8] {
        &self.kept
    }
}

impl Partial {
    fn add(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.size_bytes += bytes.len() as u64;
        self.is_kept &= self.size_bytes <= self.keep_bytes;
        if self.is_kept {
            self.kept.extend_from_slice(bytes);
        } else {
            self.keep_tail(bytes);
        }
    }

    /// Keeps only the last bytes that were read: enough for the trailer of a pack.
    fn keep_tail(&mut self, bytes: &[u8]) {
        const TAIL_BYTES: usize = 4;
        let from = bytes.len().saturating_sub(TAIL_BYTES);
        self.kept
            .extend_from_slice(bytes.get(from..).unwrap_or_default());
        let surplus = self.kept.len().saturating_sub(TAIL_BYTES);
        self.kept.drain(..surplus);
    }
}

impl Comparison {
    /// Whether these bytes are the next ones, and nothing has differed before.
    fn goes_on_with(&mut self, bytes: &[u8]) -> bool {
        let end = self.same_bytes + bytes.len();
        self.differs |= self.expected.get(self.same_bytes..end) != Some(bytes);
        if !self.differs {
            self.same_bytes = end;
        }
        !self.differs
    }
}
