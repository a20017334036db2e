//! Blocks of the packs of a copy, kept for the neighbours of what was asked for.
//!
//! A backup reads the parent's trees one after the other. From a server each would cost a round
//! trip, and from a disk a handful of system calls and two changes of threads, though most lie
//! side by side in a few packs.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_model::{FileName, FileType, Id};
use strongroom_store::{Result, Store};

/// How much is fetched at once from a server, and how much from a disk.
const FAR_BYTES: u64 = 512 << 10;
const NEAR_BYTES: u64 = 64 << 10;

/// How many blocks are kept: 32 MiB of a server's, 4 MiB of a disk's.
const BLOCKS: usize = 64;

/// The blocks that were fetched last.
#[derive(Debug)]
pub struct Blocks {
    block_bytes: u64,
    kept: Mutex<VecDeque<Block>>,
}

#[derive(Debug, Clone)]
struct Block {
    pack: Id,
    number: u64,
    bytes: Arc<Vec<u8>>,
}

impl Blocks {
    /// For a copy on this machine, or for one elsewhere.
    pub(crate) fn new(is_local: bool) -> Self {
        Self {
            block_bytes: if is_local { NEAR_BYTES } else { FAR_BYTES },
            kept: Mutex::default(),
        }
    }

    /// Reads a range of a pack of `pack_bytes` bytes.
    ///
    /// # Errors
    /// As [`Store::read_range`].
    pub(crate) fn read_range(
        &self,
        store: &dyn Store,
        pack: Id,
        pack_bytes: u64,
        range: Range<u64>,
    ) -> Result<Vec<u8>> {
        let name = FileName::new(FileType::Data, pack);
        let block_bytes = self.block_bytes;
        if range.end.saturating_sub(range.start) > block_bytes {
            // It fills blocks of its own.
            return store.read_range(name, range);
        }
        let mut found = Vec::new();
        for number in range.start / block_bytes..range.end.div_ceil(block_bytes) {
            let start = number * block_bytes;
            let block = match self.find(pack, number) {
                Some(block) => block,
                None => {
                    let end = (start + block_bytes).min(pack_bytes.max(range.end));
                    let bytes = Arc::new(store.read_range(name, start..end)?);
                    self.keep(pack, number, Arc::clone(&bytes));
                    bytes
                }
            };
            let from = range.start.saturating_sub(start) as usize;
            let to = (range.end - start).min(block.len() as u64) as usize;
            found.extend_from_slice(block.get(from..to).unwrap_or_default());
        }
        Ok(found)
    }

    fn find(&self, pack: Id, number: u64) -> Option<Arc<Vec<u8>>> {
        let mut kept = self.kept.lock();
        let is_it = |block: &Block| block.pack == pack && block.number == number;
        let position = kept.iter().position(is_it)?;
        let block = kept.remove(position)?;
        kept.push_front(block.clone());
        Some(block.bytes)
    }

    fn keep(&self, pack: Id, number: u64, bytes: Arc<Vec<u8>>) {
        let mut kept = self.kept.lock();
        kept.truncate(BLOCKS - 1);
        kept.push_front(Block {
            pack,
            number,
            bytes,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use strongroom_testkit::contract::noise;
    use strongroom_testkit::{MemoryStore, Op, RecordingStore};

    #[test]
    fn neighbours_cost_no_further_request() {
        let store = RecordingStore::new(MemoryStore::new("far"));
        let bytes = noise(1, 2_000_000);
        let pack = Id::of(&bytes);
        store
            .save(FileName::new(FileType::Data, pack), &bytes)
            .unwrap();
        let blocks = Blocks::new(false);
        let read = |range: Range<u64>| {
            let size = bytes.len() as u64;
            let found = blocks
                .read_range(&store, pack, size, range.clone())
                .unwrap();
            assert_eq!(found, bytes[range.start as usize..range.end as usize]);
        };
        for start in (0..500_000).step_by(1000) {
            read(start..start + 700);
        }
        assert_eq!(store.tally(&Op::READS, FileType::Data).calls, 1);
        read(500_000..900_000);
        read(1_990_000..2_000_000);
        assert_eq!(store.tally(&Op::READS, FileType::Data).calls, 3);
        read(500_000..1_200_000);
        assert_eq!(store.tally(&Op::READS, FileType::Data).calls, 4);
    }
}
