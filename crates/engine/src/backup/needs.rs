//! What a snapshot needs: a bit for each pack.

use strongroom_repo::Index;
use strongroom_repo::blob::BlobId;
use strongroom_repo::index::PackNumber;

/// The packs that a snapshot needs, gathered by one thread and merged at the end.
#[derive(Debug, Default, Clone)]
pub(crate) struct Needs {
    words: Vec<u64>,
    /// Blobs that another thread had promised when they were asked for: their packs are known only
    /// at the end.
    promised: Vec<BlobId>,
}

impl Needs {
    /// Notes that a pack is needed.
    pub(crate) fn insert(&mut self, pack: PackNumber) {
        let (word, bit) = (pack.get() as usize / 64, pack.get() % 64);
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        if let Some(word) = self.words.get_mut(word) {
            *word |= 1 << bit;
        }
    }

    /// Notes that a blob is needed which is not in a pack yet.
    pub(crate) fn insert_promised(&mut self, blob: BlobId) {
        self.promised.push(blob);
    }

    /// Adds what another thread has gathered.
    pub(crate) fn merge(&mut self, other: Self) {
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (word, other) in self.words.iter_mut().zip(other.words) {
            *word |= other;
        }
        self.promised.extend(other.promised);
    }

    /// The numbers of all packs, once every promise is kept.
    pub(crate) fn resolve(mut self, index: &Index) -> Vec<PackNumber> {
        for blob in std::mem::take(&mut self.promised) {
            if let Some(pack) = index.pack_of(blob) {
                self.insert(pack);
            }
        }
        index
            .pack_numbers()
            .filter(|pack| {
                let word = self.words.get(pack.get() as usize / 64).copied();
                word.unwrap_or(0) >> (pack.get() % 64) & 1 == 1
            })
            .collect()
    }
}
