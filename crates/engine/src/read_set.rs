//! Reading blobs from whichever copy still has them whole.
//!
//! All copies hold the same packs, byte for byte. So one index serves them all, read from the best
//! copy, and what fails there is asked for at the same place of another one. Only when no copy has
//! it there are index files looked at that the best copy lacks, packs that no index names, other places
//! of the same blob, and what of these lies there still although it was removed on purpose.
//!
//! What can go wrong on the way is remembered and not tried first again: a damaged pack of one
//! copy, a copy that went away. Neither is an error as long as another copy has the bytes.

mod cache;
mod loading;
mod members;
mod problems;
mod rest;

use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::blob::{self, BlobId, BlobLocation};
use strongroom_repo::{Error as RepoError, Index, Repository, Snapshot, Tree};

use crate::session::{Cancel, Session, chain};
use crate::{Error, Result};

use cache::BlobCache;
pub(crate) use cache::CACHE_BYTES;
pub use members::Damage;
use members::Members;
use problems::Problems;
use rest::Rest;

/// Several copies of one repository, read as one by several threads.
#[derive(Debug)]
pub struct ReadSet<'a> {
    repository: &'a Repository,
    cancel: &'a Cancel,
    members: Members<'a>,
    /// What the index files of the best copy name.
    index: Index,
    /// What only other copies name, and other places; read when it is missed.
    rest: Mutex<Option<Arc<Rest>>>,
    problems: Problems,
    cache: BlobCache,
    /// Memory of runs that were read, for those to come; each thread has one of them at a time.
    spare: Mutex<Vec<Vec<u8>>>,
}

/// What of a pack that is not asked for is fetched with its neighbours, to save a request: where
/// requests are cheap, and where they cost a round trip.
const LOCAL_GAP_BYTES: u64 = 16 << 10;
const REMOTE_GAP_BYTES: u64 = 512 << 10;

/// The most that one request fetches, unless a blob alone is larger.
const RUN_BYTES: u64 = 4 << 20;

/// What came of reading one of many blobs.
pub type BlobRead<'r> = std::result::Result<&'r [u8], &'r Error>;

/// Takes blobs with the position at which each was asked for.
pub type BlobSink<'s> = dyn FnMut(usize, BlobRead<'_>) -> Result<()> + 's;

/// A blob that somebody wants.
struct Wish {
    /// Which one of those that were asked for.
    position: usize,
    blob: BlobId,
    at: BlobLocation,
}

impl<'a> ReadSet<'a> {
    /// Orders the copies of a session for reading a snapshot, and reads the index of the best: one
    /// that has the snapshot, rather local than remote, and then with the most packs.
    ///
    /// # Errors
    /// Where no copy can be used, or the user interrupts.
    pub fn load(session: &'a Session, snapshot: Id, cancel: &'a Cancel) -> Result<Self> {
        let set = Self {
            repository: &session.repository,
            cancel,
            members: Members::of(session, snapshot)?,
            index: Index::new(),
            rest: Mutex::default(),
            problems: Problems::default(),
            cache: BlobCache::default(),
            spare: Mutex::default(),
        };
        set.load_best_index()?;
        Ok(set)
    }

    /// The name of the copy that is read first.
    pub fn lead(&self) -> &str {
        &self.members.lead().copy.name
    }

    /// Whether the copy that is read first is on this machine.
    pub fn is_local(&self) -> bool {
        self.members.lead().copy.is_local
    }

    /// Reads a snapshot.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`] where no copy lists it, [`Error::Repo`] where none has it whole.
    pub fn snapshot(&self, id: Id) -> Result<Snapshot> {
        let name = FileName::new(FileType::Snapshots, id);
        let damaged = |reason| {
            Error::Repo(RepoError::Damaged {
                what: name.to_string(),
                reason,
            })
        };
        let bytes = self.read_file(name)?.ok_or_else(|| Error::NoSnapshot {
            wanted: id.to_string(),
        })?;
        let (_, bytes) = bytes.map_err(damaged)?;
        Snapshot::open(self.repository.key(), bytes).map_err(damaged)
    }

    /// Where a blob lies; `None` where no copy knows it.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub fn locate(&self, blob: BlobId) -> Result<Option<BlobLocation>> {
        match self.index.get(blob) {
            None => Ok(self.rest()?.places(blob).next()),
            known => Ok(known),
        }
    }

    /// How many bytes a blob has; 0 where no copy knows it, so that it cannot be read either.
    ///
    /// # Errors
    /// As [`ReadSet::locate`].
    pub fn length_bytes(&self, blob: BlobId) -> Result<u64> {
        Ok(self.locate(blob)?.map_or(0, |at| at.plain_bytes()))
    }

    /// Reads a blob from the first copy that can give it.
    ///
    /// # Errors
    /// What the best copy said, where none can; [`Error::NoCopy`] where all are away;
    /// [`Error::Interrupted`].
    pub fn read(&self, blob: BlobId) -> Result<Vec<u8>> {
        let known = self.index.get(blob);
        let mut first_error = None;
        if let Some(at) = known {
            match self.read_at(blob, &at) {
                Err(failed) if !is_final(&failed) => first_error = Some(failed),
                read => return read,
            }
        }
        for at in self.rest()?.places(blob).filter(|at| Some(*at) != known) {
            match self.read_at(blob, &at) {
                Err(failed) if !is_final(&failed) => {
                    first_error.get_or_insert(failed);
                }
                read => return read,
            }
        }
        Err(first_error.unwrap_or_else(|| {
            Error::Repo(RepoError::UnknownBlob {
                kind: blob.kind.name(),
                id: blob.id,
            })
        }))
    }

    /// Reads and decodes a tree.
    ///
    /// # Errors
    /// As [`ReadSet::read`], and where it is not a tree.
    pub fn tree(&self, id: Id) -> Result<Tree> {
        decode_tree(id, &self.read(BlobId::tree(id))?)
    }

    /// Reads many blobs with few requests. Each is handed to `each` with its position in `blobs`,
    /// in the order in which they are stored, one at a time: memory holds [`RUN_BYTES`] of stored
    /// bytes and one blob.
    ///
    /// # Errors
    /// Those of `each`, [`Error::NoCopy`] and [`Error::Interrupted`]. What is wrong with one blob
    /// goes to `each`.
    pub fn read_many(&self, blobs: &[BlobId], each: &mut BlobSink<'_>) -> Result<()> {
        let mut wishes = Vec::with_capacity(blobs.len());
        for (position, blob) in blobs.iter().enumerate() {
            if let Some(plain) = self.cache.get(*blob) {
                each(position, Ok(&plain))?;
                continue;
            }
            match self.locate(*blob)? {
                Some(at) => wishes.push(Wish {
                    position,
                    blob: *blob,
                    at,
                }),
                None => self.hand_over(*blob, self.read(*blob), [position], each)?,
            }
        }
        wishes.sort_unstable_by_key(|wish| (wish.at.pack, wish.at.offset));
        let gap_bytes = match self.is_local() {
            true => LOCAL_GAP_BYTES,
            false => REMOTE_GAP_BYTES,
        };
        let mut rest = wishes.as_slice();
        while !rest.is_empty() {
            let (run, after) = rest.split_at(run_length(rest, gap_bytes));
            self.read_run(run, each)?;
            rest = after;
        }
        Ok(())
    }

    /// What is damaged on which copy, as far as it was seen.
    pub fn damage(&self) -> Vec<Damage> {
        self.members.damage()
    }

    /// What else went wrong without hurting the result: index files that could not be read,
    /// copies that went away.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = self.problems.told();
        problems.extend(self.members.failures());
        problems
    }

    /// Reads neighbours in one pack, one by one where that fails.
    fn read_run(&self, run: &[Wish], each: &mut BlobSink<'_>) -> Result<()> {
        self.cancel.check()?;
        let Some(first) = run.first() else {
            return Ok(());
        };
        let end = run.iter().map(|wish| wish.at.range().end).max();
        let range = first.at.range().start..end.unwrap_or_default();
        let mut fetched = self.fetch_run(first.at.pack, range.clone());
        // Blobs are decrypted where they lie, so that none can be read there that begins before this.
        let mut sealed_from = range.start;
        for same in run.chunk_by(|left, right| left.blob == right.blob) {
            let Some(wish) = same.first() else { continue };
            let positions = same.iter().map(|wish| wish.position);
            let mut read = None;
            if let Some((member, bytes)) = &mut fetched
                && wish.at.range().start >= sealed_from
            {
                sealed_from = wish.at.range().end;
                let sealed = slice(bytes, &wish.at.range(), range.start);
                let length = wish.at.uncompressed_length;
                match blob::decode(self.repository.key(), wish.blob, length, sealed) {
                    Ok(plain) => read = Some(plain),
                    Err(error) => {
                        self.members
                            .note_damage(*member, wish.at.pack, chain(&error));
                    }
                }
            }
            let read = read.map_or_else(|| self.read(wish.blob), Ok);
            self.hand_over(wish.blob, read, positions, each)?;
        }
        if let Some((_, memory)) = fetched
            && memory.len() as u64 <= RUN_BYTES
        {
            self.spare.lock().push(memory);
        }
        Ok(())
    }

    /// Gives a blob, or why there is none, to all who asked for it.
    fn hand_over(
        &self,
        blob: BlobId,
        read: Result<Vec<u8>>,
        positions: impl IntoIterator<Item = usize>,
        each: &mut BlobSink<'_>,
    ) -> Result<()> {
        let read = match read {
            Err(error) if is_final(&error) => return Err(error),
            read => read.map(Arc::new),
        };
        if let Ok(plain) = &read {
            self.cache.put(blob, plain);
        }
        for position in positions {
            each(position, read.as_ref().map(|plain| plain.as_slice()))?;
        }
        Ok(())
    }

    /// Fetches bytes of a pack from the best copy of it; `None` where that fails, which is noted.
    fn fetch_run(&self, pack: Id, range: Range<u64>) -> Option<(usize, Vec<u8>)> {
        let member = self.members.best_for(pack)?;
        let memory = self.spare.lock().pop().unwrap_or_default();
        let bytes = self.members.fetch(member, pack, range, memory).ok()?;
        Some((member, bytes))
    }

    /// Reads a blob at its place from the first copy that has it whole there.
    fn read_at(&self, blob: BlobId, at: &BlobLocation) -> Result<Vec<u8>> {
        let order = self.members.order_for(at.pack);
        if order.is_empty() {
            return Err(self.members.all_away());
        }
        let mut first_error = None;
        for member in order {
            self.cancel.check()?;
            let read = self.members.fetch(member, at.pack, at.range(), Vec::new());
            let error = match read {
                Err(strongroom_store::Error::Cancelled { .. }) => return Err(Error::Interrupted),
                Err(error) => Error::Store(error),
                Ok(mut sealed) => {
                    let key = self.repository.key();
                    match blob::decode(key, blob, at.uncompressed_length, &mut sealed) {
                        Ok(plain) => return Ok(plain),
                        Err(error) => {
                            self.members.note_damage(member, at.pack, chain(&error));
                            Error::Repo(error)
                        }
                    }
                }
            };
            first_error.get_or_insert(error);
        }
        Err(first_error.unwrap_or(Error::Interrupted))
    }
}

/// Decodes a tree that was read as a blob.
///
/// # Errors
/// [`Error::Repo`] where it is not a tree.
pub fn decode_tree(id: Id, text: &[u8]) -> Result<Tree> {
    Tree::decode(text).map_err(|error| {
        Error::Repo(RepoError::Damaged {
            what: format!("The tree {id}"),
            reason: error.to_string(),
        })
    })
}

/// Whether an error is not about one blob but ends all reading.
fn is_final(error: &Error) -> bool {
    matches!(error, Error::Interrupted | Error::NoCopy { .. })
}

/// How many of the first wishes, sorted by place, are fetched together.
fn run_length(wishes: &[Wish], gap_bytes: u64) -> usize {
    let Some(first) = wishes.first() else {
        return 0;
    };
    let start = first.at.range().start;
    let mut end = first.at.range().end;
    let follows = |wish: &&Wish| {
        let range = wish.at.range();
        let joins = wish.at.pack == first.at.pack
            && range.start <= end.saturating_add(gap_bytes)
            && range.end.max(end) - start <= RUN_BYTES;
        if joins {
            end = end.max(range.end);
        }
        joins
    };
    let rest = wishes.get(1..).unwrap_or_default();
    // Wishes for the same place belong together whatever its size.
    let same = rest.iter().take_while(|wish| wish.at == first.at).count();
    let more = rest.get(same..).unwrap_or_default();
    1 + same + more.iter().take_while(follows).count()
}

/// The bytes of a range of the file from which `bytes` were read, beginning at `start`.
fn slice<'b>(bytes: &'b mut [u8], range: &Range<u64>, start: u64) -> &'b mut [u8] {
    let from = usize::try_from(range.start.saturating_sub(start)).unwrap_or(usize::MAX);
    let to = usize::try_from(range.end.saturating_sub(start)).unwrap_or(usize::MAX);
    bytes.get_mut(from..to).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(pack: u8, offset: u32, length: u32) -> Wish {
        let blob = BlobId::data(Id::of(&offset.to_le_bytes()));
        let at = BlobLocation {
            pack: Id::from_bytes([pack; 32]),
            offset,
            length,
            uncompressed_length: None,
        };
        Wish {
            position: 0,
            blob,
            at,
        }
    }

    #[test]
    fn neighbours_are_fetched_together_up_to_a_limit() {
        assert_eq!(run_length(&[], 0), 0);
        let wishes = [
            wish(1, 0, 10),
            wish(1, 0, 10),
            wish(1, 10, 10),
            wish(1, 25, 10),
            wish(2, 35, 1),
        ];
        assert_eq!(run_length(&wishes, 0), 3);
        assert_eq!(run_length(&wishes, 5), 4);
        let run = u32::try_from(RUN_BYTES).unwrap();
        let large = [
            wish(1, 0, run + 1),
            wish(1, 0, run + 1),
            wish(1, run + 1, 1),
        ];
        assert_eq!(run_length(&large, 0), 2);
    }

    #[test]
    fn a_slice_of_what_was_fetched_is_found_and_never_panics() {
        let mut bytes = *b"abcdef";
        assert_eq!(slice(&mut bytes, &(12..14), 10), b"cd");
        assert_eq!(slice(&mut bytes, &(12..18), 10), b"");
        assert_eq!(slice(&mut bytes, &(0..4), 10), b"");
    }
}
