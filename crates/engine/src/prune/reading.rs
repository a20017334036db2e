//! Reading from whichever copy has a file right, those on this machine first.
//!
//! What can go wrong: a copy lists what it does not give, or gives other bytes; then the next is
//! asked. Where none gives it, that is said, and nothing is pruned.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::Repository;
use strongroom_repo::blob::{self, BlobId, BlobLocation};
use strongroom_repo::index::IndexFile;
use strongroom_store::Error as StoreError;

use crate::blobs::Blocks;
use crate::lead::{WRONG_CONTENT, is_of_the_place};
use crate::session::{CopyStore, ReadyCopy, Session, chain};
use crate::{Error, Result};

/// What was read, or why no copy gives it.
pub(super) type Read<T> = std::result::Result<T, String>;

/// Reads an index file.
///
/// # Errors
/// [`Error::Interrupted`].
pub(super) fn index_file(session: &Session, id: Id) -> Result<Read<IndexFile>> {
    let name = FileName::new(FileType::Index, id);
    let mut reasons = Vec::new();
    for (copy, _) in near_first(session, |ready| ready.listing.index.contains(id)) {
        match copy.store.read(name) {
            // Others have the same bytes.
            Ok(bytes) if Id::of(&bytes) == id => {
                let opened = IndexFile::open(session.repository.key(), bytes);
                return Ok(opened.map_err(|reason| format!("{name} cannot be used: {reason}")));
            }
            Ok(_) => reasons.push(format!("{}: {WRONG_CONTENT}", copy.name)),
            Err(StoreError::Cancelled { .. }) => return Err(Error::Interrupted),
            Err(error) => reasons.push(format!("{}: {}", copy.name, chain(&error))),
        }
    }
    let reasons = reasons.join("; ");
    Ok(Err(format!("{name} cannot be read: {reasons}")))
}

/// The copies of a session, to read blobs from.
#[derive(Debug)]
pub(super) struct Blobs<'a> {
    repository: &'a Repository,
    members: Vec<Member<'a>>,
}

#[derive(Debug)]
struct Member<'a> {
    copy: &'a CopyStore,
    ready: &'a ReadyCopy,
    blocks: Blocks,
    /// Whether it did not answer, and is not asked again.
    is_away: AtomicBool,
}

impl<'a> Blobs<'a> {
    /// Nothing is read yet.
    pub(super) fn of(session: &'a Session) -> Self {
        let members = near_first(session, |_| true).into_iter();
        let members = members.map(|(copy, ready)| Member {
            copy,
            ready,
            blocks: Blocks::new(copy.is_local),
            is_away: AtomicBool::new(false),
        });
        Self {
            repository: &session.repository,
            members: members.collect(),
        }
    }

    /// Reads a blob in a pack of this size, checked against its name; what lies beside it is likely
    /// to be asked for next.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub(super) fn read(
        &self,
        blob: BlobId,
        at: &BlobLocation,
        pack_bytes: u64,
    ) -> Result<Read<Vec<u8>>> {
        let with_neighbours = |member: &Member<'_>| {
            let store = member.copy.store.as_ref();
            member
                .blocks
                .read_range(store, at.pack, pack_bytes, at.range())
        };
        let decode = |mut sealed: Vec<u8>| self.open(blob, at.uncompressed_length, &mut sealed);
        let pack = (at.pack, pack_bytes);
        let read = self.first(pack, with_neighbours, decode)?;
        Ok(read.map_err(|reasons| format!("the {blob} cannot be read: {reasons}")))
    }

    /// Reads the encrypted bytes of a blob, checked against its name, and with them its plain text.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub(super) fn read_sealed(
        &self,
        blob: BlobId,
        at: &BlobLocation,
        pack_bytes: u64,
    ) -> Result<Read<(Vec<u8>, Vec<u8>)>> {
        let name = FileName::new(FileType::Data, at.pack);
        let alone = |member: &Member<'_>| member.copy.store.read_range(name, at.range());
        let decode = |sealed: Vec<u8>| -> Read<(Vec<u8>, Vec<u8>)> {
            let plain = self.open(blob, at.uncompressed_length, &mut sealed.clone())?;
            Ok((sealed, plain))
        };
        let pack = (at.pack, pack_bytes);
        let read = self.first(pack, alone, decode)?;
        Ok(read.map_err(|reasons| format!("the {blob} cannot be read: {reasons}")))
    }

    /// Fetches bytes of a pack of this size, as they are; `None` where no copy gives them.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub(super) fn fetch(
        &self,
        pack: Id,
        pack_bytes: u64,
        range: &Range<u64>,
    ) -> Result<Option<Vec<u8>>> {
        let name = FileName::new(FileType::Data, pack);
        let read = |member: &Member<'_>| member.copy.store.read_range(name, range.clone());
        Ok(self.first((pack, pack_bytes), read, Ok)?.ok())
    }

    /// Decrypts a blob where it lies, and checks that it is the one that it should be.
    pub(super) fn open(
        &self,
        blob: BlobId,
        uncompressed_length: Option<u32>,
        sealed: &mut [u8],
    ) -> Read<Vec<u8>> {
        let opened = blob::decode(self.repository.key(), blob, uncompressed_length, sealed);
        opened.map_err(|error| chain(&error))
    }

    /// What the first copy gives that has a pack of this id and size.
    fn first<T>(
        &self,
        (pack, pack_bytes): (Id, u64),
        read: impl Fn(&Member<'a>) -> strongroom_store::Result<Vec<u8>>,
        take: impl Fn(Vec<u8>) -> Read<T>,
    ) -> Result<Read<T>> {
        let name = FileName::new(FileType::Data, pack);
        let mut reasons = Vec::new();
        for member in &self.members {
            let has = member.ready.holds(name, Some(pack_bytes));
            if !has || member.is_away.load(Ordering::Relaxed) {
                continue;
            }
            let taken = match read(member) {
                Ok(bytes) => take(bytes),
                Err(StoreError::Cancelled { .. }) => return Err(Error::Interrupted),
                Err(error) => {
                    if is_of_the_place(&error) {
                        member.is_away.store(true, Ordering::Relaxed);
                    }
                    Err(chain(&error))
                }
            };
            match taken {
                Ok(taken) => return Ok(Ok(taken)),
                Err(reason) => {
                    let copy = &member.copy.name;
                    tracing::warn!(copy, %pack, reason, "A pack cannot be read right");
                    reasons.push(format!("{copy}: {reason}"));
                }
            }
        }
        if reasons.is_empty() {
            reasons.push(format!("no copy that answers has {name}"));
        }
        Ok(Err(reasons.join("; ")))
    }
}

/// The copies that can be used and of which something holds, those on this machine first.
fn near_first(
    session: &Session,
    is_so: impl Fn(&ReadyCopy) -> bool,
) -> Vec<(&CopyStore, &ReadyCopy)> {
    let mut copies: Vec<_> = session.ready().filter(|(_, ready)| is_so(ready)).collect();
    copies.sort_by_key(|(copy, _)| !copy.is_local);
    copies
}
