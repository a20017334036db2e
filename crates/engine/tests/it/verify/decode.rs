//! Faults of a bad writer, which are the same on every copy and have right names.

use strongroom_engine::verify::{Depth, ProblemKind, VerifyReport};
use strongroom_model::{FileType, Id};
use strongroom_repo::blob::{BlobEncoder, BlobId};
use strongroom_repo::index::IndexFile;
use strongroom_repo::pack::PackBuilder;

use crate::hand_made::{HandMade, indexed};

/// The only problem that decoding one copy shows, where the stored bytes show none.
fn only_decoding_shows(hand_made: &HandMade) -> VerifyReport {
    let places = hand_made.places(2);
    let stored = hand_made.verify(&places, Depth::Stored);
    assert!(stored.is_clean(), "{stored:?}");
    let opened = hand_made.verify(&places, Depth::Opened(&hand_made.repository));
    assert!(opened.is_clean(), "{opened:?}");
    let report = hand_made.verify(&places, Depth::Decoded(&hand_made.repository));
    assert!(!report.problems.is_empty());
    assert_eq!(report.problems.len() % 2, 0, "both copies: {report:?}");
    report
}

#[test]
fn an_index_that_says_something_else_than_the_pack_is_named() {
    let mut hand_made = HandMade::new();
    let (data, trees, tree) = hand_made.packs_of("x");
    let mut lie = indexed(&data);
    let length = lie.blobs[0].length;
    lie.blobs[0].offset = length;
    lie.blobs[1].offset = 0;
    let index = hand_made.add_index(&IndexFile {
        packs: vec![lie, indexed(&trees)],
    });
    hand_made.add_snapshot_of(tree);
    let pack = hand_made.add(FileType::Data, data.bytes);
    hand_made.add(FileType::Data, trees.bytes);
    let report = only_decoding_shows(&hand_made);
    for problem in &report.problems {
        assert_eq!(problem.name, index);
        assert_eq!(problem.kind, ProblemKind::IndexDisagrees { pack });
    }
}

#[test]
fn a_blob_that_is_not_what_its_name_says_is_named() {
    let mut hand_made = HandMade::new();
    let wrong = BlobId::data(Id::of(b"what it should be"));
    let mut builder = PackBuilder::with_capacity(100);
    let mut encoder = BlobEncoder::new(2).unwrap();
    let key = hand_made.repository.key();
    let (sealed, length) = encoder.encode(key, b"what it is").unwrap();
    builder.add(wrong, sealed, length).unwrap();
    let pack = builder.finish(key).unwrap();
    hand_made.add_index(&IndexFile {
        packs: vec![indexed(&pack)],
    });
    let name = hand_made.add(FileType::Data, pack.bytes);
    let report = only_decoding_shows(&hand_made);
    assert_eq!(report.problems.len(), 2);
    for problem in &report.problems {
        assert_eq!(problem.name, name);
        assert!(matches!(&problem.kind, ProblemKind::BadBlob { blob, .. } if *blob == wrong));
    }
}

#[test]
fn a_pack_that_an_index_names_and_that_does_not_decode_is_no_junk() {
    let mut hand_made = HandMade::new();
    let pack = hand_made.pack(BlobId::data, &[b"content".to_vec()]);
    let mut bytes = pack.bytes.clone();
    // Behind the sealed header there is only its length.
    let last = bytes.len() - 5;
    bytes[last] ^= 1;
    let mut named = indexed(&pack);
    named.id = Id::of(&bytes);
    hand_made.add_index(&IndexFile { packs: vec![named] });
    let name = hand_made.add(FileType::Data, bytes);
    let report = only_decoding_shows(&hand_made);
    assert_eq!(report.problems.len(), 2);
    for problem in &report.problems {
        assert_eq!(problem.name, name);
        let is_bad = matches!(problem.kind, ProblemKind::BadPack { .. });
        assert!(is_bad && problem.kind.is_in_right_bytes(), "{problem}");
    }
}

#[test]
fn a_tree_that_cannot_be_read_is_named_and_so_is_its_snapshot() {
    let mut hand_made = HandMade::new();
    let text = b"{\"nodes\":[{\"name\":1}]}".to_vec();
    let pack = hand_made.pack(BlobId::tree, std::slice::from_ref(&text));
    hand_made.add_index(&IndexFile {
        packs: vec![indexed(&pack)],
    });
    let snapshot = hand_made.add_snapshot_of(Id::of(&text));
    let name = hand_made.add(FileType::Data, pack.bytes);
    let report = only_decoding_shows(&hand_made);
    let names: Vec<_> = report.problems.iter().map(|problem| problem.name).collect();
    assert_eq!(names, [name, snapshot, name, snapshot]);
}

#[test]
fn a_snapshot_whose_blobs_no_index_names_is_incomplete() {
    let mut hand_made = HandMade::new();
    let (_, trees, tree) = hand_made.packs_of("x");
    hand_made.add_index(&IndexFile {
        packs: vec![indexed(&trees)],
    });
    hand_made.add(FileType::Data, trees.bytes);
    let snapshot = hand_made.add_snapshot_of(tree);
    let report = only_decoding_shows(&hand_made);
    for problem in &report.problems {
        assert_eq!(problem.name, snapshot);
        assert!(matches!(problem.kind, ProblemKind::Incomplete { .. }));
    }
}

#[test]
fn a_tree_that_no_snapshot_needs_may_have_lost_its_blobs() {
    let (mut hand_made, _) = HandMade::with_snapshots(0..1);
    let (_, trees, _) = hand_made.packs_of("forgotten");
    hand_made.add_index(&IndexFile {
        packs: vec![indexed(&trees)],
    });
    hand_made.add(FileType::Data, trees.bytes);
    let places = hand_made.places(1);
    let report = hand_made.verify(&places, Depth::Decoded(&hand_made.repository));
    assert!(report.is_clean(), "{report:?}");
}
