//! What is stored, by the index files of all copies, and what of it some copy really has.
//!
//! An index is a claim. What it says of a pack counts only where a copy lists that pack in the size
//! that its blobs make, and without a doubt. All blobs are in one table of at most 64 bytes each, in
//! which those that are needed get a mark; what an index file says beyond that is read again when it
//! is wanted, file by file, so that memory does not hold it twice.
//!
//! What can go wrong: a blob lies in two packs; see [`duplicates`](super::duplicates). Two index
//! files say that different blobs are in a pack: one of them is wrong, and nobody knows which, so
//! that nothing is pruned.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::blob::{BlobId, BlobKind};
use strongroom_repo::index::{IndexFile, IndexedPack, PackNumber};
use strongroom_repo::{Index, pack};

use crate::lead::READERS;
use crate::parallel::for_each;
use crate::progress::Progress;
use crate::prune::obstacles::{Obstacles, UNREADABLE_HINT};
use crate::prune::reading;
use crate::session::{Cancel, Session};
use crate::{Error, Result};

/// How many index files are read again at a time: all that they say is in memory then.
const AGAIN_AT_A_TIME: usize = 4;

/// What is stored.
#[derive(Debug)]
pub(super) struct Packs {
    /// Where each blob lies, and whether it is needed.
    pub(super) index: Index,
    /// The packs that some copy has in their right size.
    pub(super) all: BTreeMap<PackNumber, Pack>,
    /// What each index file names.
    pub(super) files: BTreeMap<Id, NamedPacks>,
    /// Packs that index files name and that no copy has in their right size, with that size.
    pub(super) absent: BTreeMap<Id, u64>,
    /// What should be in these.
    absent_blobs: Index,
}

/// A pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pack {
    pub(super) id: Id,
    pub(super) size_bytes: u64,
    /// The bytes of its blobs, as they are stored.
    pub(super) blob_bytes: u64,
    pub(super) blobs: u64,
    pub(super) kind: PackKind,
    /// Whether any of its blobs is not compressed.
    pub(super) has_uncompressed: bool,
}

/// What is in a pack. Old versions of restic mixed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PackKind {
    Data,
    Trees,
    Mixed,
}

/// What an index file names.
#[derive(Debug, Default, Clone)]
pub(super) struct NamedPacks {
    pub(super) size_bytes: u64,
    pub(super) blobs: usize,
    pub(super) packs: BTreeSet<PackNumber>,
    /// Whether it names packs that no copy has, too.
    pub(super) names_absent: bool,
}

/// How much of a pack is needed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) blobs: u64,
    pub(super) bytes: u64,
}

#[derive(Default)]
struct Found {
    all: BTreeMap<PackNumber, Pack>,
    files: BTreeMap<Id, NamedPacks>,
    absent: BTreeMap<Id, u64>,
    /// The hash of what was said first to be in each pack.
    told: BTreeMap<PackNumber, Id>,
}

impl Packs {
    /// Reads the index files of all copies; those that no copy gives right are obstacles.
    ///
    /// # Errors
    /// Where the user interrupts.
    pub(super) fn load(
        session: &Session,
        obstacles: &Obstacles,
        progress: &Progress,
        cancel: &Cancel,
    ) -> Result<Self> {
        let files: BTreeMap<Id, u64> = session
            .ready()
            .flat_map(|(_, ready)| ready.listing.index.iter())
            .map(|entry| (entry.id, entry.size_bytes))
            .collect();
        let files: Vec<_> = files.into_iter().collect();
        progress.begin("reading the index", Some(files.len() as u64), None);
        let (index, absent_blobs) = (Index::new(), Index::new());
        let found = Mutex::new(Found::default());
        for_each(&files, READERS, |(id, size_bytes)| {
            cancel.check()?;
            match reading::index_file(session, *id)? {
                Err(reason) => obstacles.note(reason),
                Ok(file) => {
                    let mut named = NamedPacks {
                        size_bytes: *size_bytes,
                        ..NamedPacks::default()
                    };
                    for pack in &file.packs {
                        named.blobs += pack.blobs.len();
                        let expected = pack::size_bytes(&pack.blobs);
                        if is_held(session, pack.id, expected) {
                            let number = index.insert(pack);
                            named.packs.insert(number);
                            let told = told(pack);
                            let mut found = found.lock();
                            if *found.told.entry(number).or_insert(told) != told {
                                obstacles.note(told_differently(*id, pack.id));
                            }
                            let known = found.all.entry(number);
                            known.or_insert_with(|| Pack::of(pack, expected));
                        } else {
                            named.names_absent = true;
                            absent_blobs.insert(pack);
                            found.lock().absent.insert(pack.id, expected);
                        }
                    }
                    found.lock().files.insert(*id, named);
                }
            }
            progress.add_files(1);
            Ok(())
        })?;
        let Found {
            all,
            files,
            mut absent,
            told: _,
        } = found.into_inner();
        // Of one that two index files tell differently, the one that fits counts.
        absent.retain(|id, _| index.pack_number(*id).is_none());
        Ok(Self {
            index,
            all,
            files,
            absent,
            absent_blobs,
        })
    }

    /// Whether any blob is said to lie in several packs.
    pub(super) fn has_duplicates(&self) -> bool {
        let named: u64 = self.all.values().map(|pack| pack.blobs).sum();
        named != self.index.len() as u64
    }

    /// How much of each pack is needed; packs of which nothing is are not there.
    pub(super) fn usage(&self) -> BTreeMap<PackNumber, Usage> {
        let mut usage: BTreeMap<PackNumber, Usage> = BTreeMap::new();
        self.index.for_each(|blob, pack, is_marked| {
            if is_marked {
                let of_pack = usage.entry(pack).or_default();
                of_pack.blobs += 1;
                of_pack.bytes += u64::from(blob.length);
            }
        });
        usage
    }

    /// Says why a needed blob is nowhere.
    pub(super) fn why_missing(&self, session: &Session, blob: BlobId) -> String {
        let Some(at) = self.absent_blobs.get(blob) else {
            return format!("the {blob} is named by no index file");
        };
        let name = FileName::new(FileType::Data, at.pack);
        let expected = self.absent.get(&at.pack).copied();
        let on = session.ready().filter_map(|(copy, ready)| {
            let size_bytes = ready.listing.data.size_bytes(at.pack)?;
            let copy = &copy.name;
            Some(match expected {
                Some(expected) if expected != size_bytes => {
                    format!("{size_bytes} bytes on {copy} instead of {expected}")
                }
                _ => format!("in doubt on {copy}"),
            })
        });
        let on: Vec<String> = on.collect();
        match on.as_slice() {
            [] => format!("{name} is needed, and is on no copy that can be read"),
            on => format!("{name} is needed, and is nowhere whole: {}", on.join(", ")),
        }
    }

    /// Shows the packs that an index file names and that are there, each with its number.
    pub(super) fn each_pack_of(
        &self,
        session: &Session,
        file: Id,
        cancel: &Cancel,
        mut show: impl FnMut(PackNumber, &IndexedPack),
    ) -> Result<()> {
        cancel.check()?;
        for pack in &self.read_again(session, file)?.packs {
            if let Some(number) = self.number_of(session, pack) {
                show(number, pack);
            }
        }
        Ok(())
    }

    /// Reads an index file that was read before.
    ///
    /// # Errors
    /// [`crate::Error::NotPruned`] where no copy gives it any more.
    pub(super) fn read_again(&self, session: &Session, file: Id) -> Result<IndexFile> {
        let read = reading::index_file(session, file)?;
        read.map_err(|reason| Error::NotPruned {
            reasons: vec![reason],
            hint: UNREADABLE_HINT.to_owned(),
        })
    }

    /// Reads index files again, a few at a time, and hands on what they say, each file by itself.
    ///
    /// # Errors
    /// As [`Packs::read_again`]; those of `work`; where the user interrupts.
    pub(super) fn each_again(
        &self,
        session: &Session,
        files: &BTreeSet<Id>,
        cancel: &Cancel,
        mut work: impl FnMut(IndexFile) -> Result<()>,
    ) -> Result<()> {
        let files: Vec<Id> = files.iter().copied().collect();
        for some in files.chunks(AGAIN_AT_A_TIME) {
            cancel.check()?;
            let read = Mutex::new(Vec::new());
            for_each(some, AGAIN_AT_A_TIME, |file| {
                let parsed = self.read_again(session, *file)?;
                read.lock().push(parsed);
                Ok(())
            })?;
            read.into_inner().into_iter().try_for_each(&mut work)?;
        }
        Ok(())
    }

    /// The number of a pack as an index file tells of it; `None` where no copy has it so.
    pub(super) fn number_of(&self, session: &Session, indexed: &IndexedPack) -> Option<PackNumber> {
        let number = self.index.pack_number(indexed.id)?;
        let expected = self.all.get(&number)?.size_bytes;
        let is_so = pack::size_bytes(&indexed.blobs) == expected;
        (is_so && is_held(session, indexed.id, expected)).then_some(number)
    }
}

impl Pack {
    fn of(indexed: &IndexedPack, size_bytes: u64) -> Self {
        let has = |kind: BlobKind| indexed.blobs.iter().any(|blob| blob.blob.kind == kind);
        let kind = match (has(BlobKind::Data), has(BlobKind::Tree)) {
            (true, true) => PackKind::Mixed,
            (false, true) => PackKind::Trees,
            (_, false) => PackKind::Data,
        };
        let lengths = indexed.blobs.iter().map(|blob| u64::from(blob.length));
        let mut blobs = indexed.blobs.iter();
        Self {
            id: indexed.id,
            size_bytes,
            blob_bytes: lengths.sum(),
            blobs: indexed.blobs.len() as u64,
            kind,
            has_uncompressed: blobs.any(|blob| blob.uncompressed_length.is_none()),
        }
    }
}

/// The hash of what an index file says of a pack, in whatever order.
fn told(pack: &IndexedPack) -> Id {
    let mut blobs: Vec<_> = pack
        .blobs
        .iter()
        .map(|packed| {
            (
                packed.offset,
                packed.length,
                packed.blob,
                packed.uncompressed_length,
            )
        })
        .collect();
    blobs.sort_unstable();
    let mut bytes = Vec::with_capacity(blobs.len() * 45);
    for (offset, length, blob, uncompressed_length) in blobs {
        bytes.extend_from_slice(&offset.to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&uncompressed_length.unwrap_or(0).to_le_bytes());
        bytes.push(u8::from(blob.kind == BlobKind::Tree));
        bytes.extend_from_slice(blob.id.as_bytes());
    }
    Id::of(&bytes)
}

fn told_differently(file: Id, pack: Id) -> String {
    let (file, pack) = (
        FileName::new(FileType::Index, file),
        FileName::new(FileType::Data, pack),
    );
    format!("{file} and another index file say that different blobs are in {pack}")
}

/// Whether some copy lists a pack in this size, without a doubt.
fn is_held(session: &Session, pack: Id, size_bytes: u64) -> bool {
    let name = FileName::new(FileType::Data, pack);
    let mut ready = session.ready();
    ready.any(|(_, ready)| ready.holds(name, Some(size_bytes)))
}
