//! A stored file as it streams by: hashed, or compared with what another copy gives.
//!
//! Nothing of it stays in memory unless that is asked for.

use std::io::{BufRead, ErrorKind};

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use strongroom_model::{FileName, Id};
use strongroom_store::patient::Place;
use strongroom_store::{Error, Result, Store};

/// How many bytes of a file stay where not all do: enough for the trailer of a pack.
const TAIL_BYTES: usize = 4;

/// How much memory for whole files is kept for the next one: as much as packs usually take. One
/// large file, which anybody may list, must not hold its memory until the end.
const LENT_AGAIN_BYTES: usize = 32 << 20;

/// Memory for whole files that threads hand on to each other, so that it is faulted in once.
#[derive(Debug, Default)]
pub(crate) struct Buffers(Mutex<Vec<Vec<u8>>>);

/// A file that is being read.
pub(crate) struct Stream<'s> {
    location: &'s str,
    name: FileName,
    inner: Box<dyn BufRead + Send + 's>,
}

/// The hash of what has come of a file, and what is kept of it.
pub(crate) struct Hashing<'b> {
    hasher: Sha256,
    size_bytes: u64,
    keep_bytes: u64,
    kept: &'b mut Vec<u8>,
}

/// What came of reading a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hashed {
    /// The SHA-256 of all its bytes.
    pub(crate) id: Id,
    /// How many there were.
    pub(crate) size_bytes: u64,
    /// Whether all of them were kept.
    pub(crate) is_kept: bool,
}

impl Hashed {
    /// Whether that is what a file of this name must have.
    pub(crate) fn is_of(&self, name: FileName) -> bool {
        name.id() == Some(self.id)
    }
}

impl Buffers {
    /// Lends memory to `work`.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let mut buffer = self.0.lock().pop().unwrap_or_default();
        let result = work(&mut buffer);
        if buffer.capacity() <= LENT_AGAIN_BYTES {
            self.0.lock().push(buffer);
        }
        result
    }
}

impl<'s> Stream<'s> {
    /// Opens a whole file.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub(crate) fn open(store: &'s dyn Store, name: FileName) -> Result<Self> {
        Ok(Self {
            location: store.location(),
            name,
            inner: store.open(name, None)?,
        })
    }

    /// Opens a whole file where several places are read by turns.
    ///
    /// # Errors
    /// As [`Place::open`].
    pub(crate) fn by_turns(place: Place<'s>, name: FileName) -> Result<Self> {
        Ok(Self {
            location: place.location(),
            name,
            inner: Box::new(place.open(name)?),
        })
    }

    /// As [`Store::location`].
    pub(crate) const fn location(&self) -> &'s str {
        self.location
    }

    /// The next bytes, until they are [consumed](Stream::consume); none at the end.
    ///
    /// # Errors
    /// Where the file cannot be read on.
    pub(crate) fn step(&mut self) -> Result<&[u8]> {
        loop {
            match self.inner.fill_buf() {
                Ok(_) => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::of_stream(self.location, self.name, error)),
            }
        }
        // They lie ready: this reads nothing.
        let failed = |error| Error::of_stream(self.location, self.name, error);
        self.inner.fill_buf().map_err(failed)
    }

    /// Goes on behind so many of the next bytes.
    pub(crate) fn consume(&mut self, count: usize) {
        self.inner.consume(count);
    }

    /// Whether the next bytes are these, which are then consumed.
    ///
    /// # Errors
    /// As [`Stream::step`].
    pub(crate) fn goes_on_with(&mut self, mut expected: &[u8]) -> Result<bool> {
        while !expected.is_empty() {
            let step = self.step()?;
            let count = step.len().min(expected.len());
            let (now, later) = expected.split_at(count);
            if count == 0 || step.get(..count) != Some(now) {
                return Ok(false);
            }
            self.consume(count);
            expected = later;
        }
        Ok(true)
    }

    /// Whether there are no more bytes.
    ///
    /// # Errors
    /// As [`Stream::step`].
    pub(crate) fn has_ended(&mut self) -> Result<bool> {
        Ok(self.step()?.is_empty())
    }
}

impl<'b> Hashing<'b> {
    /// Keeps a file of at most `keep_bytes` as a whole in `kept`, and of any other its last bytes.
    pub(crate) fn new(keep_bytes: u64, kept: &'b mut Vec<u8>) -> Self {
        kept.clear();
        // At once, so that it never lies in memory twice while it grows. Where that much cannot be
        // promised, it grows all the same.
        let _ = kept.try_reserve_exact(usize::try_from(keep_bytes).unwrap_or_default());
        Self {
            hasher: Sha256::new(),
            size_bytes: 0,
            keep_bytes,
            kept,
        }
    }

    /// Adds the next bytes of the file; tells how many there were by now.
    pub(crate) fn add(&mut self, bytes: &[u8]) -> u64 {
        self.hasher.update(bytes);
        self.size_bytes += bytes.len() as u64;
        if self.is_kept() {
            self.kept.extend_from_slice(bytes);
        } else {
            let from = bytes.len().saturating_sub(TAIL_BYTES);
            self.kept
                .extend_from_slice(bytes.get(from..).unwrap_or_default());
            let surplus = self.kept.len().saturating_sub(TAIL_BYTES);
            self.kept.drain(..surplus);
        }
        self.size_bytes
    }

    /// What it was.
    pub(crate) fn finish(self) -> Hashed {
        Hashed {
            is_kept: self.is_kept(),
            size_bytes: self.size_bytes,
            id: Id::from_bytes(self.hasher.finalize().into()),
        }
    }

    const fn is_kept(&self) -> bool {
        self.size_bytes <= self.keep_bytes
    }
}

/// Hashes a file.
///
/// # Errors
/// As [`Stream::open`] and [`Stream::step`].
pub(crate) fn hash(store: &dyn Store, name: FileName) -> Result<Id> {
    let mut stream = Stream::open(store, name)?;
    let mut kept = Vec::new();
    let mut hashing = Hashing::new(0, &mut kept);
    loop {
        let step = stream.step()?;
        if step.is_empty() {
            return Ok(hashing.finish().id);
        }
        let count = step.len();
        hashing.add(step);
        stream.consume(count);
    }
}

#[cfg(test)]
mod tests {
    use strongroom_model::FileType;
    use strongroom_store::LocalStore;

    use super::*;

    /// Larger than a step, so that what differs may lie behind the first one.
    fn long() -> Vec<u8> {
        (0..600_000_u32)
            .map(|number| (number % 251) as u8)
            .collect()
    }

    #[test]
    fn a_file_goes_on_with_its_own_bytes_and_with_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::new(folder.path().join("repository"));
        store.create().unwrap();
        let bytes = long();
        let name = FileName::new(FileType::Data, Id::of(&bytes));
        store.save(name, &bytes).unwrap();
        let goes_on = |expected: &[u8]| {
            let mut stream = Stream::open(&store, name).unwrap();
            let same = stream.goes_on_with(expected).unwrap();
            (same, stream.has_ended().unwrap())
        };
        assert_eq!(goes_on(&bytes), (true, true));
        assert_eq!(goes_on(&bytes[..599_999]), (true, false), "there is more");
        let mut more = bytes.clone();
        more.push(0);
        assert!(!goes_on(&more).0, "it ends before");
        let mut other = bytes.clone();
        other[599_999] ^= 1;
        assert!(!goes_on(&other).0, "the last byte differs");
    }

    #[test]
    fn large_memory_is_not_lent_again() {
        let buffers = Buffers::default();
        buffers.with(|buffer| buffer.reserve_exact(64 << 20));
        buffers.with(|buffer| {
            assert_eq!(buffer.capacity(), 0);
            buffer.reserve_exact(1 << 20);
        });
        let again = buffers.with(|buffer| buffer.capacity());
        assert!(again >= 1 << 20, "{again}");
    }

    #[test]
    fn what_is_kept_never_grows_on_its_way() {
        let bytes = long();
        let mut kept = Vec::new();
        let mut hashing = Hashing::new(600_000, &mut kept);
        for step in bytes.chunks(131_072) {
            hashing.add(step);
        }
        assert!(hashing.finish().is_kept);
        assert!(kept.capacity() < 700_000, "{}", kept.capacity());
    }

    #[test]
    fn what_is_kept_is_all_or_the_end() {
        let bytes = long();
        let expected = [(0, TAIL_BYTES), (599_999, TAIL_BYTES), (600_000, 600_000)];
        for (keep_bytes, kept_bytes) in expected {
            let mut kept = vec![7; 9];
            let mut hashing = Hashing::new(keep_bytes, &mut kept);
            for step in bytes.chunks(131_072) {
                hashing.add(step);
            }
            let hashed = hashing.finish();
            assert_eq!(hashed.id, Id::of(&bytes));
            assert_eq!(hashed.size_bytes, 600_000);
            assert_eq!(hashed.is_kept, keep_bytes == 600_000);
            assert!(kept == bytes[bytes.len() - kept_bytes..], "{keep_bytes}");
        }
    }
}
