//! Roots and proofs, made from tiles.
//!
//! A tree's leaves are never needed for them: every node over a complete subtree is in a tile or
//! a few hashes above one. A proof for a tree of n leaves reads at most two tiles of each level.
//!
//! **Architecture invariant:** what a source gives is not checked here. A proof made from wrong
//! tiles does not verify; whether tiles are right is for [`crate::audit()`] to say.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::hash::root_over;
use crate::tile::{TILE_HEIGHT, TILE_WIDTH, width_in_tree};
use crate::{Error, Hash, Result};

/// Where tiles of hashes come from: files, a database, a server.
pub trait TileSource {
    /// The hashes of a tile: exactly `width`, of which 256 make a full tile.
    ///
    /// A partial tile that was removed when its full one came is the beginning of that one.
    ///
    /// # Errors
    /// Fails where the tile is not there or cannot be read.
    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash>>;
}

impl<S: TileSource + ?Sized> TileSource for &S {
    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash>> {
        (**self).tile(level, index, width)
    }
}

/// The root of the first `size` leaves, from the tiles of a tree of `tree_size` leaves.
///
/// # Errors
/// Fails where the tree is smaller, or a tile cannot be had.
pub fn root(source: impl TileSource, tree_size: u64, size: u64) -> Result<Hash> {
    let tree = Tree::new(&source, tree_size);
    tree.has(size)?;
    match size {
        0 => Ok(Hash::empty()),
        _ => tree.root_of(0, size),
    }
}

/// The proof that leaf `index` is in the tree of `size` leaves, for [`crate::verify_inclusion`].
///
/// # Errors
/// Fails where there is no such leaf, or a tile cannot be had.
pub fn inclusion_proof(source: impl TileSource, index: u64, size: u64) -> Result<Vec<Hash>> {
    if index >= size {
        let what = format!("leaf {index}");
        return Err(Error::OutOfRange { what, size });
    }
    let tree = Tree::new(&source, size);
    let mut proof = Vec::new();
    // RFC 9162, 2.1.3.1: down from the root to the leaf; what is left aside is the proof.
    let (mut begin, mut end) = (0, size);
    while end - begin > 1 {
        let middle = begin + split(end - begin);
        if index < middle {
            proof.push(tree.root_of(middle, end)?);
            end = middle;
        } else {
            proof.push(tree.root_of(begin, middle)?);
            begin = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The proof that the tree of `size` leaves begins with that of `old_size`, for
/// [`crate::verify_consistency`]; empty where `old_size` is 0 or `size`.
///
/// # Errors
/// Fails where `old_size` is the larger one, or a tile cannot be had.
pub fn consistency_proof(source: impl TileSource, old_size: u64, size: u64) -> Result<Vec<Hash>> {
    let tree = Tree::new(&source, size);
    tree.has(old_size)?;
    let mut proof = Vec::new();
    if old_size == 0 {
        return Ok(proof);
    }
    // RFC 9162, 2.1.4.1: down to where the old tree ends.
    let (mut begin, mut end) = (0, size);
    while old_size != end {
        let middle = begin + split(end - begin);
        if old_size <= middle {
            proof.push(tree.root_of(middle, end)?);
            end = middle;
        } else {
            proof.push(tree.root_of(begin, middle)?);
            begin = middle;
        }
    }
    // Where it is the left edge of the new one, its root is known.
    if begin > 0 {
        proof.push(tree.root_of(begin, end)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Where RFC 6962 splits a tree of `size` leaves, at least 2: the largest power of two below it.
fn split(size: u64) -> u64 {
    let below = size.saturating_sub(1).max(1);
    1 << below.ilog2()
}

/// A tree of tiles, each of which is read once.
struct Tree<'a, S> {
    source: &'a S,
    size: u64,
    read: RefCell<BTreeMap<(u8, u64), Vec<Hash>>>,
}

impl<'a, S: TileSource> Tree<'a, S> {
    fn new(source: &'a S, size: u64) -> Self {
        Self {
            source,
            size,
            read: RefCell::default(),
        }
    }

    fn has(&self, size: u64) -> Result<()> {
        if size <= self.size {
            return Ok(());
        }
        Err(Error::OutOfRange {
            what: format!("first {size} leaves"),
            size: self.size,
        })
    }

    /// The root over the leaves from `begin` to `end`, at least one, as they stand in a tree:
    /// `begin` is a multiple of the power of two at which the rest splits.
    fn root_of(&self, begin: u64, end: u64) -> Result<Hash> {
        let size = end - begin;
        if size.is_power_of_two() {
            return self.node(begin, size.ilog2());
        }
        let middle = begin + split(size);
        let left = self.root_of(begin, middle)?;
        Ok(Hash::node(&left, &self.root_of(middle, end)?))
    }

    /// The node over the 2^`height` leaves from `begin` on.
    fn node(&self, begin: u64, height: u32) -> Result<Hash> {
        let level = (height / TILE_HEIGHT) as u8;
        let first = begin >> (height - height % TILE_HEIGHT);
        let index = first / u64::from(TILE_WIDTH);
        let offset = (first % u64::from(TILE_WIDTH)) as usize;
        let count = 1usize << (height % TILE_HEIGHT);
        let mut read = self.read.borrow_mut();
        let tile = match read.entry((level, index)) {
            std::collections::btree_map::Entry::Occupied(tile) => tile.into_mut(),
            std::collections::btree_map::Entry::Vacant(place) => {
                let width = width_in_tree(level, index, self.size);
                let tile = self.source.tile(level, index, width)?;
                if tile.len() != usize::from(width) {
                    return Err(Error::malformed("tile", "it has another number of hashes"));
                }
                place.insert(tile)
            }
        };
        tile.get(offset..offset + count)
            .and_then(root_over)
            .ok_or(Error::malformed("tile", "it has another number of hashes"))
    }
}
