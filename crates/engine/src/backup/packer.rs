//! Where new blobs become packs, and packs become index files.
//!
//! Several packs of data are open at once and each blob goes to one of them at random, so that the
//! order and sizes of blobs in a pack say less about a file. A blob's place is settled in the
//! index as soon as it is in a pack, though the pack gets its name only when it is full.

use parking_lot::Mutex;
use rand::{RngExt, rngs::StdRng};
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::blob::{BlobId, BlobKind};
use strongroom_repo::index::{IndexFile, IndexedPack, MAX_BLOBS_PER_INDEX_FILE, PackNumber};
use strongroom_repo::pack::{self, PackBuilder};
use strongroom_repo::{Index, Repository};

use crate::Result;
use crate::fanout::{Fanout, Permit, Upload};

/// How many packs of data are open at once, where memory allows: as many as restic 0.18 has. Each of
/// them lies in memory until it is full.
const OPEN_DATA_PACKS: usize = 2;

/// Other packs that must fit into memory: one of trees, one that is full, one on its way.
const OTHER_PACKS: usize = 3;

/// The least number of packs that must fit into memory.
pub(crate) const LEAST_PACKS: usize = OTHER_PACKS + 1;

/// The packs that grow, and the index files that name those which are done.
#[derive(Debug)]
pub(crate) struct Packer<'a> {
    repository: &'a Repository,
    index: &'a Index,
    /// `None` for a dry run.
    fanout: Option<&'a Fanout>,
    pack_bytes: usize,
    data: Vec<Mutex<Option<OpenPack>>>,
    trees: Mutex<Option<OpenPack>>,
    unindexed: Mutex<IndexFile>,
    written: Mutex<Written>,
}

/// What was written in this run.
#[derive(Debug, Default, Clone)]
pub(crate) struct Written {
    /// Which index file names each pack.
    pub(crate) indexed_packs: Vec<(PackNumber, Id)>,
    /// The packs with their sizes.
    pub(crate) packs: Vec<(Id, u64)>,
}

#[derive(Debug)]
struct OpenPack {
    builder: PackBuilder,
    number: PackNumber,
    permit: Option<Permit>,
}

impl<'a> Packer<'a> {
    /// Starts without any open pack. `pack_bytes` is the size at which a pack is full, `packs` how
    /// many may be in memory, at least [`LEAST_PACKS`].
    pub(crate) fn new(
        repository: &'a Repository,
        index: &'a Index,
        fanout: Option<&'a Fanout>,
        pack_bytes: usize,
        packs: usize,
    ) -> Self {
        let open = packs.saturating_sub(OTHER_PACKS).clamp(1, OPEN_DATA_PACKS);
        Self {
            repository,
            index,
            fanout,
            pack_bytes,
            data: (0..open).map(|_| Mutex::default()).collect(),
            trees: Mutex::default(),
            unindexed: Mutex::default(),
            written: Mutex::default(),
        }
    }

    /// Appends an encrypted blob to a pack and settles its place.
    ///
    /// # Errors
    /// Where a full pack cannot be handed to any copy.
    pub(crate) fn add(
        &self,
        blob: BlobId,
        sealed: &[u8],
        uncompressed_length: Option<u32>,
        random: &mut StdRng,
    ) -> Result<PackNumber> {
        let drawn = random.random_range(0..self.data.len().max(1));
        let slot = match (blob.kind, self.data.get(drawn)) {
            (BlobKind::Data, Some(slot)) => slot,
            _ => &self.trees,
        };
        let mut open = slot.lock();
        let mut pack = match open.take() {
            Some(pack) => pack,
            None => self.open()?,
        };
        let packed = pack.builder.add(blob, sealed, uncompressed_length)?;
        let number = pack.number;
        self.index.settle(&packed, number);
        if !pack.builder.is_full(self.pack_bytes) {
            *open = Some(pack);
            return Ok(number);
        }
        drop(open);
        self.finish(pack)?;
        Ok(number)
    }

    /// Adds packs that lie on the lead without an index of theirs to the next index file.
    ///
    /// # Errors
    /// Where a full index file cannot be handed to any copy.
    pub(crate) fn adopt(&self, pack: IndexedPack) -> Result<()> {
        self.index_pack(pack)
    }

    /// Finishes all open packs, small ones merged, and the last index file.
    ///
    /// # Errors
    /// Where no copy takes them.
    pub(crate) fn flush(&self) -> Result<()> {
        let mut open: Vec<_> = self
            .data
            .iter()
            .filter_map(|slot| slot.lock().take())
            .collect();
        open.sort_by_key(|pack| pack.builder.len());
        while !open.is_empty() {
            let small_pack = open.remove(0);
            match open.first_mut() {
                Some(next) if self.fit(&small_pack, next) => self.merge(&small_pack, next)?,
                _ => self.finish(small_pack)?,
            }
        }
        let tree = self.trees.lock().take();
        if let Some(pack) = tree {
            self.finish(pack)?;
        }
        let rest = std::mem::take(&mut *self.unindexed.lock());
        self.write_index(rest)
    }

    /// What was written so far.
    pub(crate) fn written(&self) -> Written {
        self.written.lock().clone()
    }

    fn open(&self) -> Result<OpenPack> {
        let permit = self.fanout.map(Fanout::permit).transpose()?;
        let spare = self.fanout.and_then(Fanout::spare_buffer);
        let builder = match spare {
            Some(buffer) => PackBuilder::reusing(buffer),
            None => PackBuilder::with_capacity(self.pack_bytes + self.pack_bytes / 16),
        };
        Ok(OpenPack {
            builder,
            number: self.index.open_pack(),
            permit,
        })
    }

    /// Whether two open packs make one that is not too large.
    fn fit(&self, from: &OpenPack, into: &OpenPack) -> bool {
        into.builder.len() + from.builder.len() <= self.pack_bytes
            && into
                .builder
                .header_has_room_for(from.builder.blobs().count())
    }

    /// Moves the blobs of one open pack into another, whose name both numbers then have.
    fn merge(&self, from: &OpenPack, into: &mut OpenPack) -> Result<()> {
        for (blob, sealed) in from.builder.blobs() {
            let packed = into
                .builder
                .add(blob.blob, sealed, blob.uncompressed_length)?;
            self.index.settle(&packed, into.number);
        }
        self.index.same_pack(from.number, into.number);
        Ok(())
    }

    fn finish(&self, pack: OpenPack) -> Result<()> {
        let finished = pack.builder.finish(self.repository.key())?;
        self.index.name_pack(pack.number, finished.id);
        let size_bytes = finished.bytes.len() as u64;
        self.written.lock().packs.push((finished.id, size_bytes));
        if let Some(fanout) = self.fanout {
            fanout.push(Upload {
                name: FileName::new(FileType::Data, finished.id),
                bytes: finished.bytes,
                permit: pack.permit,
                after: Vec::new(),
            })?;
        }
        self.index_pack(IndexedPack {
            id: finished.id,
            blobs: finished.blobs,
        })
    }

    fn index_pack(&self, pack: IndexedPack) -> Result<()> {
        let full = {
            let mut unindexed = self.unindexed.lock();
            unindexed.packs.push(pack);
            let blobs: usize = unindexed.packs.iter().map(|pack| pack.blobs.len()).sum();
            (blobs >= MAX_BLOBS_PER_INDEX_FILE).then(|| std::mem::take(&mut *unindexed))
        };
        full.map_or(Ok(()), |file| self.write_index(file))
    }

    fn write_index(&self, file: IndexFile) -> Result<()> {
        if file.packs.is_empty() {
            return Ok(());
        }
        let (id, bytes) = file.seal(self.repository.key(), self.repository.config().version)?;
        {
            let mut written = self.written.lock();
            for pack in &file.packs {
                if let Some(number) = self.index.pack_number(pack.id) {
                    written.indexed_packs.push((number, id));
                }
            }
        }
        let packs = file.packs.iter().map(|pack| {
            let name = FileName::new(FileType::Data, pack.id);
            (name, pack::size_bytes(&pack.blobs))
        });
        if let Some(fanout) = self.fanout {
            fanout.push_barrier(Upload {
                name: FileName::new(FileType::Index, id),
                bytes,
                permit: None,
                after: packs.collect(),
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng;
    use strongroom_repo::blob::BlobEncoder;
    use strongroom_repo::index::Claim;
    use strongroom_repo::key::ScryptCost;
    use strongroom_repo::repository::Maker;

    use super::*;

    const BLOBS: usize = 300;

    /// The packs that small blobs go to, one after the other; none of the packs gets full.
    fn packs_of(kind: BlobKind, packs_in_memory: usize, seed: u64) -> Vec<PackNumber> {
        let maker = Maker {
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
            username: "tester",
            hostname: "testhost",
        };
        let new = Repository::generate(b"password", ScryptCost::LEAST, &maker).unwrap();
        let repository = new.repository;
        let index = Index::new();
        let packer = Packer::new(&repository, &index, None, 1 << 20, packs_in_memory);
        let mut random = StdRng::seed_from_u64(seed);
        let mut encoder = BlobEncoder::new(2).unwrap();
        let mut packs = Vec::new();
        for number in 0..BLOBS {
            let plain = format!("blob {number}");
            let id = Id::of(plain.as_bytes());
            let blob = BlobId { kind, id };
            assert_eq!(index.claim(blob), Claim::Yours);
            let (sealed, length) = encoder.encode(repository.key(), plain.as_bytes()).unwrap();
            packs.push(packer.add(blob, sealed, length, &mut random).unwrap());
        }
        packs
    }

    #[test]
    fn neighbours_go_to_one_of_several_open_packs_at_random() {
        let in_memory = OPEN_DATA_PACKS + OTHER_PACKS;
        let packs = packs_of(BlobKind::Data, in_memory, 1);
        let used: BTreeSet<_> = packs.iter().collect();
        assert_eq!(used.len(), OPEN_DATA_PACKS);
        // By turns it would be none, one pack after the other all, and by chance half.
        let together = packs.windows(2).filter(|pair| pair[0] == pair[1]).count();
        assert!((110..190).contains(&together), "{together} of {BLOBS}");
        assert_ne!(packs, packs_of(BlobKind::Data, in_memory, 2));

        // Trees are read one after the other, and lie together.
        let trees: BTreeSet<_> = packs_of(BlobKind::Tree, in_memory, 1).into_iter().collect();
        assert_eq!(trees.len(), 1);
        let narrow: BTreeSet<_> = packs_of(BlobKind::Data, LEAST_PACKS, 1)
            .into_iter()
            .collect();
        assert_eq!(narrow.len(), 1);
    }
}
