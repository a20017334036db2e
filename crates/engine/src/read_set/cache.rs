//! The blobs that were read last, for files that hold the same: copies of one file often lie
//! side by side, and what is decoded once need not be decoded again.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_repo::blob::{BlobId, BlobKind};

/// The memory that a cache takes at most.
pub(crate) const CACHE_BYTES: usize = 40 << 20;

/// What an entry costs beside its bytes, roughly.
const ENTRY_BYTES: usize = 160;

/// Blobs of data, the last ones that were read. Who comes first goes first.
#[derive(Debug, Default)]
pub(super) struct BlobCache(Mutex<Cached>);

#[derive(Default)]
struct Cached {
    blobs: HashMap<BlobId, Arc<Vec<u8>>>,
    order: VecDeque<BlobId>,
    bytes: usize,
}

impl BlobCache {
    pub(super) fn get(&self, blob: BlobId) -> Option<Arc<Vec<u8>>> {
        self.0.lock().blobs.get(&blob).map(Arc::clone)
    }

    /// Keeps a blob, and lets go of older ones.
    pub(super) fn put(&self, blob: BlobId, plain: &Arc<Vec<u8>>) {
        let cost = plain.len() + ENTRY_BYTES;
        if blob.kind != BlobKind::Data || cost > CACHE_BYTES {
            return;
        }
        // Freed after the lock.
        let mut gone = Vec::new();
        let mut cached = self.0.lock();
        if cached.blobs.insert(blob, Arc::clone(plain)).is_some() {
            return;
        }
        cached.order.push_back(blob);
        cached.bytes += cost;
        while cached.bytes > CACHE_BYTES
            && let Some(oldest) = cached.order.pop_front()
        {
            if let Some(plain) = cached.blobs.remove(&oldest) {
                cached.bytes -= plain.len() + ENTRY_BYTES;
                gone.push(plain);
            }
        }
    }
}

impl std::fmt::Debug for Cached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} blobs, {} bytes", self.order.len(), self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use strongroom_model::Id;

    #[test]
    fn memory_is_bounded_and_the_oldest_go_first() {
        let cache = BlobCache::default();
        let id = |number: u8| BlobId::data(Id::of(&[number]));
        for number in 0..50 {
            cache.put(id(number), &Arc::new(vec![number; 1 << 20]));
        }
        assert!(cache.0.lock().bytes <= CACHE_BYTES);
        assert_eq!(cache.get(id(0)), None);
        assert_eq!(cache.get(id(49)).unwrap().len(), 1 << 20);
        cache.put(id(50), &Arc::new(vec![0; CACHE_BYTES]));
        assert_eq!(cache.get(id(50)), None);
        let tree = BlobId::tree(Id::of(b"tree"));
        cache.put(tree, &Arc::new(vec![0]));
        assert_eq!(cache.get(tree), None);
    }
}
