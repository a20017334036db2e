//! Hashing a stored file as it streams by: no copy of it in memory unless it is asked for.

use std::io::Read;

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use strongroom_model::{FileName, Id};
use strongroom_store::{Error, Result, Store, read_limit_bytes};

/// Fits the second-level cache, so that hashing reads what was just copied there.
const CHUNK_BYTES: usize = 128 << 10;

/// Buffers that threads hand on to each other, so that memory is faulted in once.
#[derive(Debug, Default)]
pub(crate) struct Buffers(Mutex<Vec<Buffer>>);

/// What one thread reads into.
#[derive(Debug)]
pub(crate) struct Buffer {
    chunk: Vec<u8>,
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

impl Buffers {
    /// Lends a buffer to `work`.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Buffer) -> T) -> T {
        let spare = self.0.lock().pop();
        let mut buffer = spare.unwrap_or_else(|| Buffer {
            chunk: vec![0; CHUNK_BYTES],
            kept: Vec::new(),
        });
        let result = work(&mut buffer);
        self.0.lock().push(buffer);
        result
    }
}

impl Buffer {
    /// Reads a file to its end; calls `count` with the bytes of each step.
    ///
    /// With `keep` all of it stays in the buffer, unless it is larger than any sound file of its
    /// type; otherwise its last bytes do.
    pub(crate) fn read(
        &mut self,
        store: &dyn Store,
        name: FileName,
        keep: bool,
        count: impl Fn(u64),
    ) -> Result<Hashed> {
        let mut stream = store.open(name, None)?;
        let mut hasher = Sha256::new();
        let mut size_bytes = 0;
        let mut is_kept = keep;
        self.kept.clear();
        loop {
            let step = match stream.read(&mut self.chunk) {
                Ok(0) => break,
                Ok(step) => step,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    return Err(Error::Io {
                        location: store.location().to_owned(),
                        action: format!("read {name}"),
                        source,
                    });
                }
            };
            let bytes = self.chunk.get(..step).unwrap_or_default();
            hasher.update(bytes);
            size_bytes += step as u64;
            is_kept &= size_bytes <= read_limit_bytes(name.kind());
            if is_kept {
                self.kept.extend_from_slice(bytes);
            } else {
                self.keep_tail(step);
            }
            count(step as u64);
        }
        Ok(Hashed {
            id: Id::from_bytes(hasher.finalize().into()),
            size_bytes,
            is_kept,
        })
    }

    /// The bytes that were kept.
    pub(crate) fn kept(&self) -> &[u8] {
        &self.kept
    }

    /// Keeps only the last bytes that were read: enough for the trailer of a pack.
    fn keep_tail(&mut self, step: usize) {
        const TAIL_BYTES: usize = 4;
        let from = step.saturating_sub(TAIL_BYTES);
        let bytes = self.chunk.get(from..step).unwrap_or_default();
        self.kept.extend_from_slice(bytes);
        let surplus = self.kept.len().saturating_sub(TAIL_BYTES);
        self.kept.drain(..surplus);
    }
}
