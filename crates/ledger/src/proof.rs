//! Checking proofs, as in RFC 9162, sections 2.1.3.2 and 2.1.4.2.
//!
//! Everything here comes from whoever is being checked. So every function is total: for whatever
//! sizes and hashes, it returns, does no more work than there are hashes, and nothing overflows.

use crate::{Error, Hash, Result};

/// Checks that a leaf stands at `index` in the tree of `size` leaves that has this root.
///
/// # Errors
/// Fails where the proof does not show it.
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<()> {
    match root_of_inclusion(leaf, index, size, proof) {
        Some(found) if found == *root => Ok(()),
        _ => Err(Error::NotIncluded { leaf: index, size }),
    }
}

fn root_of_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    let mut place = Place {
        index,
        last: size - 1,
    };
    let mut root = *leaf;
    for sibling in proof {
        root = if place.climb()? == Side::Right {
            Hash::node(sibling, &root)
        } else {
            Hash::node(&root, sibling)
        };
    }
    place.is_top().then_some(root)
}

/// Checks that a tree of `new_size` leaves begins with all leaves of one of `old_size`, unchanged
/// and in their order.
///
/// From an empty tree everything goes on, with an empty proof; and a tree from itself.
///
/// # Errors
/// Fails where the proof does not show it.
pub fn verify_consistency(
    old_size: u64,
    new_size: u64,
    proof: &[Hash],
    old_root: &Hash,
    new_root: &Hash,
) -> Result<()> {
    let is_consistent = if old_size == 0 || old_size == new_size {
        proof.is_empty()
            && match (old_size, new_size) {
                (0, 0) => *old_root == Hash::empty() && old_root == new_root,
                (0, _) => *old_root == Hash::empty(),
                _ => old_root == new_root,
            }
    } else {
        roots_of_consistency(old_size, new_size, proof, old_root) == Some((*old_root, *new_root))
    };
    match is_consistent {
        true => Ok(()),
        false => Err(Error::NotConsistent { old_size, new_size }),
    }
}

/// What the proof makes of the two roots, for `old_size` neither 0 nor `new_size`.
fn roots_of_consistency(
    old_size: u64,
    new_size: u64,
    proof: &[Hash],
    old_root: &Hash,
) -> Option<(Hash, Hash)> {
    if old_size > new_size {
        return None;
    }
    let mut place = Place {
        index: old_size - 1,
        last: new_size - 1,
    };
    place.skip(place.index.trailing_ones());
    // Where the old tree is one complete subtree of the new one, its root is left out of the proof.
    let (start, rest) = match old_size.is_power_of_two() {
        true => (*old_root, proof),
        false => proof.split_first().map(|(first, rest)| (*first, rest))?,
    };
    let (mut old, mut new) = (start, start);
    for sibling in rest {
        if place.climb()? == Side::Right {
            old = Hash::node(sibling, &old);
            new = Hash::node(sibling, &new);
        } else {
            new = Hash::node(&new, sibling);
        }
    }
    place.is_top().then_some((old, new))
}

/// A node on its way up: its number within its level, and that of the level's last node.
struct Place {
    index: u64,
    last: u64,
}

/// On which side of its sibling a node stands.
#[derive(PartialEq)]
enum Side {
    Left,
    Right,
}

impl Place {
    /// Goes up to the parent of this node and its sibling; `None` at the top, which has none.
    ///
    /// The last node of a level without a sibling there is its own parent, until it has one.
    fn climb(&mut self) -> Option<Side> {
        if self.last == 0 {
            return None;
        }
        let is_right = self.index & 1 == 1 || self.index == self.last;
        if is_right && self.index & 1 == 0 {
            // Not zero here: the last node of a level that has several.
            self.skip(self.index.trailing_zeros());
        }
        self.skip(1);
        Some(if is_right { Side::Right } else { Side::Left })
    }

    fn skip(&mut self, levels: u32) {
        self.index = self.index.checked_shr(levels).unwrap_or(0);
        self.last = self.last.checked_shr(levels).unwrap_or(0);
    }

    const fn is_top(&self) -> bool {
        self.last == 0
    }
}
