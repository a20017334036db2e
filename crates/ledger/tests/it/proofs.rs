//! Proofs hold for every tree, and nothing but what they prove.

use proptest::prelude::*;
use strongroom_ledger::{
    Error, Hash, consistency_proof, inclusion_proof, tree, verify_consistency, verify_inclusion,
};

use crate::scene::{Files, leaves, naive_root};

/// Beyond two levels of tiles.
const LARGEST: u64 = 66_000;

/// A source that knows nothing, for what must be refused before anything is read.
fn nothing() -> Files {
    Files::default()
}

#[test]
fn every_proof_of_small_trees_holds() {
    for size in 1..=40 {
        let (files, edge) = Files::of(size);
        let all = leaves(size);
        let root = naive_root(&all);
        assert_eq!(edge.root(), root);
        for (index, leaf) in (0..).zip(&all) {
            let proof = inclusion_proof(&files, index, size).unwrap();
            verify_inclusion(leaf, index, size, &proof, &root).unwrap();
        }
        for old in 0..=size {
            let proof = consistency_proof(&files, old, size).unwrap();
            let old_root = naive_root(&all[..old as usize]);
            assert_eq!(tree::root(&files, size, old).unwrap(), old_root);
            verify_consistency(old, size, &proof, &old_root, &root).unwrap();
        }
    }
}

#[test]
fn proofs_reach_over_three_levels_of_tiles() {
    let (files, edge) = Files::of(LARGEST);
    let all = leaves(LARGEST);
    let root = naive_root(&all);
    assert_eq!(edge.root(), root);
    for index in [0, 255, 256, 65_535, 65_536, LARGEST - 1] {
        let proof = inclusion_proof(&files, index, LARGEST).unwrap();
        verify_inclusion(&all[index as usize], index, LARGEST, &proof, &root).unwrap();
    }
    for old in [1, 255, 256, 257, 40_000, 65_535, 65_536, 65_537, LARGEST] {
        let proof = consistency_proof(&files, old, LARGEST).unwrap();
        let old_root = naive_root(&all[..old as usize]);
        verify_consistency(old, LARGEST, &proof, &old_root, &root).unwrap();
    }
}

#[test]
fn nothing_is_made_up_for_what_a_log_does_not_have() {
    for (index, size) in [(0, 0), (1, 1), (u64::MAX, 5), (u64::MAX, u64::MAX)] {
        let made = inclusion_proof(nothing(), index, size);
        assert!(matches!(made, Err(Error::OutOfRange { .. })));
    }
    assert!(consistency_proof(nothing(), 6, 5).is_err());
    assert!(tree::root(nothing(), 5, 6).is_err());
    assert!(tree::root(nothing(), u64::MAX, u64::MAX).is_err());
    assert!(inclusion_proof(nothing(), 1 << 62, u64::MAX).is_err());
    assert!(consistency_proof(nothing(), 1 << 62, u64::MAX).is_err());
}

#[test]
fn trees_that_are_empty_or_the_same_take_an_empty_proof_only() {
    let (empty, one, two) = (Hash::empty(), Hash::leaf(b"1"), Hash::leaf(b"2"));
    let check = verify_consistency;
    assert!(check(0, 0, &[], &empty, &empty).is_ok());
    assert!(check(0, 9, &[], &empty, &one).is_ok());
    assert!(check(4, 4, &[], &one, &one).is_ok());
    assert!(check(0, 0, &[], &one, &one).is_err());
    assert!(check(0, 0, &[], &empty, &one).is_err());
    assert!(check(0, 9, &[], &one, &one).is_err());
    assert!(check(0, 9, &[two], &empty, &one).is_err());
    assert!(check(4, 4, &[], &one, &two).is_err());
    assert!(check(4, 4, &[two], &one, &one).is_err());
    assert!(check(5, 4, &[], &one, &one).is_err());
    assert!(check(1, 2, &[], &one, &one).is_err());
}

#[test]
fn a_leaf_is_not_in_a_tree_of_another_height() {
    let (files, edge) = Files::of(4);
    let (leaf, root) = (leaves(4)[3], edge.root());
    let proof = inclusion_proof(&files, 3, 4).unwrap();
    for size in [5, 8, 16, 1 << 40, u64::MAX] {
        assert!(verify_inclusion(&leaf, 3, size, &proof, &root).is_err());
        assert!(verify_inclusion(&leaf, 0, size, &[], &leaf).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_consistency_proof_holds_and_no_other_sizes_roots_or_hashes_do(
        size in 2..600u64,
        old in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        bit in 0..256usize,
    ) {
        let old = 1 + old.index(size as usize - 1) as u64;
        let all = leaves(size);
        let (files, _) = Files::of(size);
        let (old_root, root) = (naive_root(&all[..old as usize]), naive_root(&all));
        let proof = consistency_proof(&files, old, size).unwrap();
        let holds = |old, size, proof: &[Hash], old_root: &Hash, root: &Hash| {
            verify_consistency(old, size, proof, old_root, root).is_ok()
        };
        prop_assert!(holds(old, size, &proof, &old_root, &root));
        prop_assert!(!holds(old, size, &proof, &root, &old_root));
        prop_assert!(!holds(old, size, &proof, &flipped(&old_root, bit), &root));
        prop_assert!(!holds(old, size, &proof, &old_root, &flipped(&root, bit)));
        prop_assert!(!holds(size, old, &proof, &old_root, &root));
        prop_assert!(!holds(old, size, &proof[1..], &old_root, &root));
        prop_assert!(!holds(old, size, &proof[..proof.len() - 1], &old_root, &root));
        prop_assert!(!holds(old, size, &[&proof[..], &[root]].concat(), &old_root, &root));
        prop_assert!(!holds(old, size, &[&[old_root], &proof[..]].concat(), &old_root, &root));
        let mut other = proof.clone();
        let place = place.index(other.len());
        other[place] = flipped(&other[place], bit);
        prop_assert!(!holds(old, size, &other, &old_root, &root));
        // A proof may fit other sizes by its shape; the roots of such are others, of course.
        for wrong in [old - 1, old + 1].into_iter().filter(|wrong| *wrong < size) {
            let wrong_root = naive_root(&all[..wrong as usize]);
            prop_assert!(!holds(wrong, size, &proof, &wrong_root, &root));
        }
    }

    #[test]
    fn an_inclusion_proof_holds_for_its_leaf_alone(
        size in 2..600u64,
        index in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        bit in 0..256usize,
    ) {
        let index = index.index(size as usize) as u64;
        let all = leaves(size);
        let (files, _) = Files::of(size);
        let (leaf, root) = (all[index as usize], naive_root(&all));
        let proof = inclusion_proof(&files, index, size).unwrap();
        let holds = |leaf: &Hash, index, size, proof: &[Hash], root: &Hash| {
            verify_inclusion(leaf, index, size, proof, root).is_ok()
        };
        prop_assert!(holds(&leaf, index, size, &proof, &root));
        prop_assert!(!holds(&flipped(&leaf, bit), index, size, &proof, &root));
        prop_assert!(!holds(&leaf, index, size, &proof, &flipped(&root, bit)));
        prop_assert!(!holds(&leaf, index ^ 1, size, &proof, &root));
        prop_assert!(!holds(&leaf, size, size, &proof, &root));
        prop_assert!(!holds(&leaf, index, index, &proof, &root));
        prop_assert!(!holds(&leaf, index, size, &proof[1..], &root));
        prop_assert!(!holds(&leaf, index, size, &[&proof[..], &[root]].concat(), &root));
        let mut other = proof.clone();
        let place = place.index(other.len());
        other[place] = flipped(&other[place], bit);
        prop_assert!(!holds(&leaf, index, size, &other, &root));
    }

    #[test]
    fn whatever_is_to_be_verified_nothing_panics(
        a in any::<u64>(),
        b in any::<u64>(),
        shifts in (0..64u32, 0..64u32),
        length in 0..80usize,
    ) {
        let (a, b) = (a >> shifts.0, b >> shifts.1);
        let proof = vec![Hash::leaf(b"x"); length];
        let root = Hash::leaf(b"root");
        prop_assert!(verify_inclusion(&proof.first().copied().unwrap_or(root), a, b, &proof, &Hash::empty()).is_err());
        let _ = verify_consistency(a, b, &proof, &root, &root);
        let _ = inclusion_proof(nothing(), a, b);
        let _ = consistency_proof(nothing(), a, b);
        let _ = tree::root(nothing(), a, b);
    }
}

fn flipped(hash: &Hash, bit: usize) -> Hash {
    let mut bytes = *hash.as_bytes();
    bytes[bit / 8] ^= 1 << (bit % 8);
    Hash::from_bytes(bytes)
}
