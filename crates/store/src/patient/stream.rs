//! A stream out of a place that may hang: its own thread reads ahead, and may be left behind.
//!
//! What can go wrong: the place hangs in the middle (the wait ends as for any call), the stream
//! breaks (the error takes the place of the block in which it did, and is told again to whoever asks
//! for more all the same: it must never look like an end), whoever reads stops early (the
//! thread ends with the block that it reads). A block belongs to one side at a time, so that no
//! byte is copied between them.

use std::io::{self, BufRead, Read};
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use parking_lot::Mutex;
use strongroom_model::FileName;

use super::{PatientStore, Worker};
use crate::{Error, Result};

/// How much is handed over at a time. Handing over costs some ten microseconds, hashing a block
/// two hundred; with larger ones small files wait for memory.
const BLOCK_BYTES: usize = 256 << 10;

/// How many blocks wait for who reads them: none. One is read while the one before is used.
const WAITING: usize = 0;

/// Bytes of a file.
#[derive(Debug)]
pub(super) struct Block {
    bytes: Vec<u8>,
    filled: usize,
}

/// Blocks that nobody needs now, so that memory is faulted in once.
pub(super) type Spare = Arc<Mutex<Vec<Block>>>;

/// A stream that is read ahead.
#[derive(Debug)]
pub(super) struct Ahead<'s> {
    store: &'s PatientStore,
    /// Whose thread reads; nothing when it has reached the end and was given back.
    worker: Option<Worker>,
    blocks: Receiver<Result<Block>>,
    name: FileName,
    /// What it has ended with, where that was no end of the file.
    failure: Option<Error>,
    current: Option<Block>,
    position: usize,
}

impl Block {
    fn new() -> Self {
        Self {
            bytes: vec![0; BLOCK_BYTES],
            filled: 0,
        }
    }

    /// Reads until it is full or the stream ends.
    fn fill(&mut self, stream: &mut dyn BufRead) -> io::Result<()> {
        self.filled = 0;
        while let Some(room) = self
            .bytes
            .get_mut(self.filled..)
            .filter(|room| !room.is_empty())
        {
            match stream.read(room) {
                Ok(0) => break,
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether the stream has ended in it.
    const fn is_last(&self) -> bool {
        self.filled < self.bytes.len()
    }

    fn from(&self, position: usize) -> &[u8] {
        self.bytes.get(position..self.filled).unwrap_or_default()
    }
}

impl<'s> Ahead<'s> {
    /// Opens a file and waits for its first block.
    pub(super) fn open(
        store: &'s PatientStore,
        name: FileName,
        range: Option<Range<u64>>,
    ) -> Result<Self> {
        let worker = store.worker()?;
        let (filled, blocks) = sync_channel(WAITING);
        let inner = Arc::clone(&store.inner);
        let spare = Arc::clone(&store.spare);
        worker.run(Box::new(move || {
            match inner.open(name, range) {
                Ok(stream) => pump(stream, inner.location(), name, &filled, &spare),
                // Where nobody waits any more, nobody wants to know.
                Err(error) => drop(filled.send(Err(error))),
            }
        }));
        let mut stream = Self {
            store,
            worker: Some(worker),
            blocks,
            name,
            failure: None,
            current: None,
            position: 0,
        };
        stream.advance()?;
        Ok(stream)
    }

    /// Goes on to the next block.
    fn advance(&mut self) -> Result<()> {
        self.store.spare.lock().extend(self.current.take());
        if let Some(failure) = &self.failure {
            return Err(self.again(failure));
        }
        let block = match self.next_block() {
            Ok(block) => block,
            Err(error) => {
                self.failure = Some(self.again(&error));
                return Err(error);
            }
        };
        if block.is_last() {
            self.give_back();
        }
        self.current = Some(block);
        self.position = 0;
        Ok(())
    }

    /// Waits for the next block.
    fn next_block(&mut self) -> Result<Block> {
        let waited = self.store.wait(&self.blocks);
        match waited {
            Ok(block) => {
                self.store.note_answer(Some(self.name.kind()), &block);
                block.inspect_err(|_| self.give_back())
            }
            Err(hung) => {
                self.worker = None;
                Err(hung)
            }
        }
    }

    /// The same failure once more: of the place, where it was one of the place, else of the file.
    fn again(&self, failure: &Error) -> Error {
        let (action, source) = match failure {
            Error::Unreachable { location, reason } => {
                return Error::Unreachable {
                    location: location.clone(),
                    reason: reason.clone(),
                };
            }
            Error::Io { action, source, .. } => {
                let source = match source.raw_os_error() {
                    Some(code) => io::Error::from_raw_os_error(code),
                    None => io::Error::new(source.kind(), source.to_string()),
                };
                (action.clone(), source)
            }
            other => (
                format!("read {}", self.name),
                io::Error::other(other.to_string()),
            ),
        };
        Error::Io {
            location: self.store.inner.location().to_owned(),
            action,
            source,
        }
    }

    /// The thread has nothing more to do here, and is there for the next call.
    fn give_back(&mut self) {
        if let Some(worker) = self.worker.take() {
            self.store.idle.lock().push(worker);
        }
    }
}

impl Drop for Ahead<'_> {
    fn drop(&mut self) {
        // A thread that is still reading ends by itself: who got it now would wait for it.
        self.store.spare.lock().extend(self.current.take());
    }
}

impl Read for Ahead<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Ahead<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let is_spent = |block: &Block| block.from(self.position).is_empty() && !block.is_last();
        if self.current.as_ref().is_none_or(is_spent) {
            self.advance().map_err(io::Error::other)?;
        }
        let block = self.current.as_ref();
        Ok(block.map_or(&[], |block| block.from(self.position)))
    }

    fn consume(&mut self, count: usize) {
        self.position += count;
    }
}

/// Reads a stream to its end, a block ahead of who takes them.
fn pump(
    mut stream: Box<dyn BufRead + Send + '_>,
    location: &str,
    name: FileName,
    filled: &SyncSender<Result<Block>>,
    spare: &Mutex<Vec<Block>>,
) {
    loop {
        let block = spare.lock().pop();
        let mut block = block.unwrap_or_else(Block::new);
        let read = block.fill(stream.as_mut());
        let goes_on = read.is_ok() && !block.is_last();
        let block = read
            .map(|()| block)
            .map_err(|error| Error::of_stream(location, name, error));
        if filled.send(block).is_err() || !goes_on {
            return;
        }
    }
}
