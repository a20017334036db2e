//! Where blobs lie beside what the index of the best copy says.
//!
//! **Security:** a copy may belong to an attacker, who can show index files that were right once and
//! list the packs that they name, which are gone. If a few places of a blob were kept, whoever
//! names them, he could fill all of them. So each copy has a table of its own, for places that it
//! names itself and lists whole: nobody takes room in the table of another.

use strongroom_model::Id;
use strongroom_repo::Index;
use strongroom_repo::blob::{BlobId, BlobLocation};
use strongroom_repo::index::IndexedPack;

/// Places of blobs: for each blob at most one for each copy, and one more.
#[derive(Debug)]
pub(super) struct Rest {
    by_copy: Vec<Index>,
    /// One place that fits in none of these, or that no copy stands for; names all packs.
    others: Index,
}

impl Rest {
    /// Nothing yet, for so many copies.
    pub(super) fn new(copies: usize) -> Self {
        Self {
            by_copy: (0..copies).map(|_| Index::new()).collect(),
            others: Index::new(),
        }
    }

    /// Adds a pack for which these copies stand, best first. Each blob of it goes into the first of
    /// their tables that has no other place for it.
    pub(super) fn insert(&self, mut pack: IndexedPack, copies: &[usize]) {
        let id = pack.id;
        for table in copies.iter().filter_map(|copy| self.by_copy.get(*copy)) {
            if pack.blobs.is_empty() {
                break;
            }
            table.insert(&pack);
            // Another thread may have been faster.
            let is_there = |blob: BlobId| table.get(blob).is_some_and(|at| at.pack == id);
            pack.blobs.retain(|packed| !is_there(packed.blob));
        }
        self.others.insert(&pack);
    }

    /// The places of a blob, those first for which a copy stands.
    pub(super) fn places(&self, blob: BlobId) -> impl Iterator<Item = BlobLocation> {
        let tables = self.by_copy.iter().chain([&self.others]);
        tables.filter_map(move |table| table.get(blob))
    }

    /// Whether a pack was added.
    pub(super) fn names(&self, pack: Id) -> bool {
        self.others.pack_number(pack).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use strongroom_repo::blob::PackedBlob;

    fn pack(name: u8) -> IndexedPack {
        IndexedPack {
            id: Id::from_bytes([name; 32]),
            blobs: vec![PackedBlob {
                blob: blob(),
                offset: 0,
                length: 40,
                uncompressed_length: None,
            }],
        }
    }

    fn blob() -> BlobId {
        BlobId::data(Id::of(b"blob"))
    }

    fn places(rest: &Rest) -> Vec<u8> {
        let found = rest.places(blob());
        found.map(|at| at.pack.as_bytes()[0]).collect()
    }

    #[test]
    fn no_copy_takes_the_room_of_another() {
        let rest = Rest::new(3);
        for name in 10..60 {
            rest.insert(pack(name), &[0]);
        }
        rest.insert(pack(1), &[0, 1, 2]);
        rest.insert(pack(2), &[1, 2]);
        assert_eq!(places(&rest), [10, 1, 2, 11]);
        assert!((10..60).all(|name| rest.names(pack(name).id)));
    }

    #[test]
    fn what_no_copy_stands_for_comes_last() {
        let rest = Rest::new(2);
        rest.insert(pack(1), &[]);
        rest.insert(pack(2), &[1]);
        rest.insert(pack(2), &[1]);
        assert_eq!(places(&rest), [2, 1]);
    }
}
