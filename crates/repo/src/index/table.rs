//! The table in memory.

use hashbrown::HashTable;
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use strongroom_model::Id;

use crate::blob::{BlobId, BlobKind, BlobLocation, PackedBlob};
use crate::index::IndexedPack;

/// The index of one run, shared by its threads.
#[derive(Debug)]
pub struct Index {
    shards: [Mutex<Shard>; SHARDS],
    packs: RwLock<Packs>,
}

/// A pack's number within one run: small enough for a bit set of what a snapshot needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PackNumber(u32);

/// The answer to "is this blob stored?".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It lies in this pack, which may still be open.
    Stored(PackNumber),
    /// Another thread is about to add it to a pack.
    Promised,
    /// Nobody has it: the caller now owes it, and calls [`Index::settle`] or [`Index::withdraw`].
    Yours,
}

const SHARDS: usize = 64;
const BLOCK_ENTRIES: usize = 64;

/// The pack of an entry that is promised and not yet settled.
const PROMISED: u32 = u32::MAX;
/// Set in a length for a tree. Lengths stay below: a pack ends before 2 GiB.
const TREE_BIT: u32 = 1 << 31;
/// The most encrypted bytes of a blob for which there is room.
pub(super) const MAX_LENGTH_BYTES: u32 = TREE_BIT - 1;

/// One blob: 48 bytes.
#[derive(Clone, Copy, Debug)]
struct Entry {
    id: Id,
    pack: u32,
    offset: u32,
    length_and_kind: u32,
    /// 0 for a blob that is not compressed.
    uncompressed_length: u32,
}

const _: () = assert!(size_of::<Entry>() == 48);

#[derive(Debug, Default)]
struct Shard {
    slots: HashTable<u32>,
    // In blocks, so that growing never needs twice the memory.
    blocks: Vec<Vec<Entry>>,
    /// A bit for each entry; empty where nobody marks any.
    marks: Vec<u64>,
}

#[derive(Debug, Default)]
struct Packs {
    ids: Vec<Option<Id>>,
    numbers: HashMap<Id, u32>,
    /// Open packs that were merged: from, into.
    merged: Vec<(u32, u32)>,
}

impl Default for Index {
    fn default() -> Self {
        Self::new()
    }
}

impl Index {
    /// An empty index.
    pub fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            packs: RwLock::default(),
        }
    }

    /// Adds a pack that is stored. What is known already keeps its place.
    pub fn insert(&self, pack: &IndexedPack) -> PackNumber {
        let number = self.number_of(pack.id);
        for blob in &pack.blobs {
            let mut shard = self.shard(blob.blob.id).lock();
            if shard.find(blob.blob).is_none() {
                shard.push(Entry::of(blob, number));
            }
        }
        number
    }

    /// Where a blob lies; `None` where it is unknown, promised, or its pack still open.
    pub fn get(&self, blob: BlobId) -> Option<BlobLocation> {
        let entry = {
            let shard = self.shard(blob.id).lock();
            *shard.entry(shard.find(blob)?)?
        };
        let pack = self.pack_id(PackNumber(entry.pack))?;
        Some(BlobLocation {
            pack,
            offset: entry.offset,
            length: entry.length_and_kind & !TREE_BIT,
            uncompressed_length: (entry.uncompressed_length > 0)
                .then_some(entry.uncompressed_length),
        })
    }

    /// The pack of a blob that is stored or in an open pack.
    pub fn pack_of(&self, blob: BlobId) -> Option<PackNumber> {
        let shard = self.shard(blob.id).lock();
        let entry = shard.entry(shard.find(blob)?)?;
        (entry.pack != PROMISED).then_some(PackNumber(entry.pack))
    }

    /// Asks for a blob, and promises to store it where nobody has it.
    pub fn claim(&self, blob: BlobId) -> Claim {
        let mut shard = self.shard(blob.id).lock();
        if let Some(entry) = shard.find(blob).and_then(|number| shard.entry(number)) {
            return match entry.pack {
                PROMISED => Claim::Promised,
                pack => Claim::Stored(PackNumber(pack)),
            };
        }
        shard.push(Entry {
            id: blob.id,
            pack: PROMISED,
            offset: 0,
            length_and_kind: kind_bit(blob.kind),
            uncompressed_length: 0,
        });
        Claim::Yours
    }

    /// Keeps a promise: the blob lies in a pack that is open or done.
    pub fn settle(&self, packed: &PackedBlob, pack: PackNumber) {
        let mut shard = self.shard(packed.blob.id).lock();
        if let Some(number) = shard.find(packed.blob)
            && let Some(entry) = shard.entry_mut(number)
        {
            *entry = Entry::of(packed, pack);
        }
    }

    /// Gives up a promise; the next who brings the blob may store it.
    pub fn withdraw(&self, blob: BlobId) {
        let mut shard = self.shard(blob.id).lock();
        shard.forget(blob);
    }

    /// Numbers a pack that is about to be filled and has no name yet.
    pub fn open_pack(&self) -> PackNumber {
        let mut packs = self.packs.write();
        packs.ids.push(None);
        PackNumber(to_number(packs.ids.len() - 1))
    }

    /// Names a pack that was opened.
    pub fn name_pack(&self, number: PackNumber, id: Id) {
        let mut packs = self.packs.write();
        if let Some(slot) = packs.ids.get_mut(number.0 as usize) {
            *slot = Some(id);
        }
        // Merges form chains: a pack that was merged into a merged one follows it.
        let mut names = vec![number.0];
        while let Some(into) = names.pop() {
            let merged: Vec<_> = packs.merged.extract_if(.., |(_, to)| *to == into).collect();
            for (from, _) in merged {
                if let Some(slot) = packs.ids.get_mut(from as usize) {
                    *slot = Some(id);
                }
                names.push(from);
            }
        }
        packs.numbers.insert(id, number.0);
    }

    /// Says that an open pack was merged into another one, which is still open: once that one has
    /// its name, both numbers have it.
    pub fn same_pack(&self, merged: PackNumber, into: PackNumber) {
        self.packs.write().merged.push((merged.0, into.0));
    }

    /// The name of a pack; `None` while it is open.
    pub fn pack_id(&self, number: PackNumber) -> Option<Id> {
        *self.packs.read().ids.get(number.0 as usize)?
    }

    /// The number of a named pack.
    pub fn pack_number(&self, id: Id) -> Option<PackNumber> {
        self.packs.read().numbers.get(&id).copied().map(PackNumber)
    }

    /// The numbers of all packs, open ones too.
    pub fn pack_numbers(&self) -> impl Iterator<Item = PackNumber> + use<> {
        (0..to_number(self.packs.read().ids.len())).map(PackNumber)
    }

    /// Marks a blob, as one that is needed; tells whether nobody had marked it before, and `None`
    /// where it is unknown.
    pub fn mark(&self, blob: BlobId) -> Option<bool> {
        let mut shard = self.shard(blob.id).lock();
        let number = shard.find(blob)?;
        Some(shard.mark(number))
    }

    /// Whether a blob was marked.
    pub fn is_marked(&self, blob: BlobId) -> bool {
        let shard = self.shard(blob.id).lock();
        let found = shard.find(blob);
        found.is_some_and(|number| shard.is_marked(number))
    }

    /// Shows every blob that lies in a pack, with that pack, and whether it was marked; in no
    /// particular order. `see` must not ask the index.
    pub fn for_each(&self, mut see: impl FnMut(PackedBlob, PackNumber, bool)) {
        for shard in &self.shards {
            let shard = shard.lock();
            for &number in &shard.slots {
                let entry = shard.entry(number);
                if let Some(entry) = entry.filter(|entry| entry.pack != PROMISED) {
                    let pack = PackNumber(entry.pack);
                    see(entry.packed(), pack, shard.is_marked(number));
                }
            }
        }
    }

    /// How many blobs are known.
    pub fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.lock().slots.len())
            .sum()
    }

    /// Whether no blob is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The memory that the blobs take, packs not counted.
    pub fn memory_bytes(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.lock().memory_bytes())
            .sum()
    }

    fn number_of(&self, id: Id) -> PackNumber {
        let mut packs = self.packs.write();
        if let Some(&number) = packs.numbers.get(&id) {
            return PackNumber(number);
        }
        let number = to_number(packs.ids.len());
        packs.ids.push(Some(id));
        packs.numbers.insert(id, number);
        PackNumber(number)
    }

    fn shard(&self, id: Id) -> &Mutex<Shard> {
        let [.., last] = id.as_bytes();
        let [first, ..] = &self.shards;
        self.shards
            .get(usize::from(*last) % SHARDS)
            .unwrap_or(first)
    }
}

impl PackNumber {
    /// The number, from 0 upwards without gaps.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl Entry {
    fn of(packed: &PackedBlob, pack: PackNumber) -> Self {
        Self {
            id: packed.blob.id,
            pack: pack.0,
            offset: packed.offset,
            length_and_kind: packed.length & !TREE_BIT | kind_bit(packed.blob.kind),
            uncompressed_length: packed.uncompressed_length.unwrap_or(0),
        }
    }

    fn packed(&self) -> PackedBlob {
        let kind = match self.length_and_kind & TREE_BIT {
            0 => BlobKind::Data,
            _ => BlobKind::Tree,
        };
        PackedBlob {
            blob: BlobId { kind, id: self.id },
            offset: self.offset,
            length: self.length_and_kind & !TREE_BIT,
            uncompressed_length: (self.uncompressed_length > 0).then_some(self.uncompressed_length),
        }
    }

    fn is(&self, blob: BlobId) -> bool {
        self.id == blob.id && self.length_and_kind & TREE_BIT == kind_bit(blob.kind)
    }
}

impl Shard {
    fn find(&self, blob: BlobId) -> Option<u32> {
        self.slots
            .find(hash(blob.id), |&number| {
                self.entry(number).is_some_and(|entry| entry.is(blob))
            })
            .copied()
    }

    fn entry(&self, number: u32) -> Option<&Entry> {
        let number = number as usize;
        self.blocks
            .get(number / BLOCK_ENTRIES)?
            .get(number % BLOCK_ENTRIES)
    }

    fn entry_mut(&mut self, number: u32) -> Option<&mut Entry> {
        let number = number as usize;
        self.blocks
            .get_mut(number / BLOCK_ENTRIES)?
            .get_mut(number % BLOCK_ENTRIES)
    }

    fn push(&mut self, entry: Entry) {
        match self.blocks.last_mut() {
            Some(block) if block.len() < BLOCK_ENTRIES => block.push(entry),
            _ => {
                let mut block = Vec::with_capacity(BLOCK_ENTRIES);
                block.push(entry);
                self.blocks.push(block);
            }
        }
        let full = self.blocks.len().saturating_sub(1) * BLOCK_ENTRIES;
        let number = to_number(full + self.blocks.last().map_or(0, Vec::len) - 1);
        let blocks = &self.blocks;
        let id_of = |number: &u32| {
            let number = *number as usize;
            let block = blocks.get(number / BLOCK_ENTRIES);
            block
                .and_then(|block| block.get(number % BLOCK_ENTRIES))
                .map_or(0, |e| hash(e.id))
        };
        self.slots.insert_unique(hash(entry.id), number, id_of);
    }

    /// Takes the slot away; the entry stays unused, which is rare enough.
    fn forget(&mut self, blob: BlobId) {
        let Self { slots, blocks, .. } = self;
        let found = slots.find_entry(hash(blob.id), |&number| {
            let number = number as usize;
            let block = blocks.get(number / BLOCK_ENTRIES);
            block
                .and_then(|block| block.get(number % BLOCK_ENTRIES))
                .is_some_and(|e| e.is(blob))
        });
        if let Ok(found) = found {
            found.remove();
        }
    }

    /// Sets the bit of an entry; tells whether it was not set.
    fn mark(&mut self, number: u32) -> bool {
        let (word, bit) = mark_of(number);
        if self.marks.len() <= word {
            self.marks.resize(word + 1, 0);
        }
        let Some(marks) = self.marks.get_mut(word) else {
            return false;
        };
        let is_new = *marks & bit == 0;
        *marks |= bit;
        is_new
    }

    fn is_marked(&self, number: u32) -> bool {
        let (word, bit) = mark_of(number);
        self.marks.get(word).is_some_and(|marks| marks & bit != 0)
    }

    fn memory_bytes(&self) -> usize {
        self.slots.allocation_size()
            + self.marks.capacity() * size_of::<u64>()
            + self.blocks.capacity() * size_of::<Vec<Entry>>()
            + self.blocks.len() * BLOCK_ENTRIES * size_of::<Entry>()
    }
}

/// Where the bit of an entry is.
fn mark_of(number: u32) -> (usize, u64) {
    let number = number as usize;
    let bits = u64::BITS as usize;
    (number / bits, 1 << (number % bits))
}

fn kind_bit(kind: BlobKind) -> u32 {
    match kind {
        BlobKind::Data => 0,
        BlobKind::Tree => TREE_BIT,
    }
}

/// Ids are digests, so any eight of their bytes are a hash. An attacker who finds blobs that
/// collide in 64 bits only slows his own backup.
fn hash(id: Id) -> u64 {
    id.as_bytes()
        .first_chunk()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

fn to_number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(PROMISED - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(text: &str, kind: BlobKind) -> PackedBlob {
        let id = Id::of(text.as_bytes());
        PackedBlob {
            blob: BlobId { kind, id },
            offset: 5,
            length: 77,
            uncompressed_length: Some(100),
        }
    }

    #[test]
    fn exactly_one_of_many_is_told_to_store_a_blob() {
        let index = Index::new();
        let blob = packed("a", BlobKind::Data);
        let answers = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| index.claim(blob.blob)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect::<Vec<_>>()
        });
        assert_eq!(
            answers
                .iter()
                .filter(|answer| **answer == Claim::Yours)
                .count(),
            1
        );
        assert_eq!(index.claim(blob.blob), Claim::Promised);
        assert_eq!(index.get(blob.blob), None);
        let number = index.open_pack();
        index.settle(&blob, number);
        assert_eq!(index.claim(blob.blob), Claim::Stored(number));
        assert_eq!(index.get(blob.blob), None);
        index.name_pack(number, Id::of(b"pack"));
        assert_eq!(index.get(blob.blob).unwrap().pack, Id::of(b"pack"));
        assert_eq!(index.get(blob.blob).unwrap().range(), 5..82);
    }

    #[test]
    fn a_withdrawn_promise_can_be_claimed_again() {
        let index = Index::new();
        let blob = packed("a", BlobKind::Tree).blob;
        assert_eq!(index.claim(blob), Claim::Yours);
        index.withdraw(blob);
        assert_eq!(index.claim(blob), Claim::Yours);
    }

    #[test]
    fn a_mark_is_set_once_and_outlasts_a_move() {
        let index = Index::new();
        let of_pack = |name: &str, blobs: &[PackedBlob]| {
            index.insert(&IndexedPack {
                id: Id::of(name.as_bytes()),
                blobs: blobs.to_vec(),
            })
        };
        let blobs: Vec<_> = (0..500)
            .map(|number| packed(&number.to_string(), BlobKind::Data))
            .collect();
        of_pack("pack", &blobs);
        let (marked, rest) = blobs.split_at(200);
        for blob in marked {
            assert_eq!(index.mark(blob.blob), Some(true));
            assert_eq!(index.mark(blob.blob), Some(false));
        }
        assert_eq!(index.mark(packed("0", BlobKind::Tree).blob), None);
        let moved = index.open_pack();
        index.settle(&marked[0], moved);
        assert!(marked.iter().all(|blob| index.is_marked(blob.blob)));
        assert!(!rest.iter().any(|blob| index.is_marked(blob.blob)));

        let mut seen = (0, 0);
        index.for_each(|blob, pack, is_marked| {
            assert!(blobs.contains(&blob));
            assert_eq!(pack == moved, blob == marked[0]);
            seen.0 += 1;
            seen.1 += u32::from(is_marked);
        });
        assert_eq!(seen, (500, 200));
    }

    #[test]
    fn data_and_tree_of_one_id_are_two_blobs() {
        let index = Index::new();
        let pack = IndexedPack {
            id: Id::of(b"pack"),
            blobs: vec![packed("a", BlobKind::Data)],
        };
        index.insert(&pack);
        assert!(index.get(packed("a", BlobKind::Data).blob).is_some());
        assert!(index.get(packed("a", BlobKind::Tree).blob).is_none());
    }

    #[test]
    fn a_blob_costs_at_most_64_bytes() {
        let index = Index::new();
        for count in 1..=300_000_u32 {
            index.insert(&IndexedPack {
                id: Id::of(b"pack"),
                blobs: vec![packed(&count.to_string(), BlobKind::Data)],
            });
            if count >= 50_000 && count % 10_000 == 0 {
                let per_blob = index.memory_bytes() as f64 / f64::from(count);
                assert!(per_blob <= 64.0, "{per_blob} at {count}");
            }
        }
        assert_eq!(index.len(), 300_000);
    }
}
