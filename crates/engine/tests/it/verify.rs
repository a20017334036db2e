//! What a verify finds, and what it does not mistake for damage.

mod damage;
mod decode;
mod rows;
mod trouble;

use std::collections::{BTreeMap, BTreeSet};

use strongroom_engine::verify::{Depth, ProblemKind, Share, VerifyOptions};
use strongroom_model::{FileName, FileType, Id};
use strongroom_testkit::{Fault, Gate, Op, Rule};

use crate::hand_made::{HandMade, copies, faults, junk, lose, memory, name_of, rot, verify_with};

#[test]
fn whole_copies_are_clean_and_every_byte_is_read_once() {
    let (hand_made, _) = HandMade::with_snapshots(0..5);
    let places = hand_made.places(3);
    let hashed = hand_made
        .files
        .iter()
        .filter(|(name, _)| **name != FileName::CONFIG);
    let bytes: u64 = hashed.map(|(_, bytes)| bytes.len() as u64).sum();
    for depth in [
        Depth::Stored,
        Depth::Opened(&hand_made.repository),
        Depth::Decoded(&hand_made.repository),
    ] {
        for place in &places {
            place.clear();
        }
        let report = hand_made.verify(&places, depth);
        assert!(report.is_clean(), "{report:?}");
        for (copy, place) in report.copies.iter().zip(&places) {
            assert!(copy.covered);
            assert_eq!(copy.bytes_read, bytes);
            assert_eq!(copy.bytes_listed, bytes);
            assert_eq!(copy.files_read, hand_made.files.len() as u64 - 1);
            for kind in FileType::SYNCED {
                assert_eq!(
                    place.tally(&Op::READS, kind).calls,
                    hand_made
                        .files
                        .keys()
                        .filter(|name| name.kind() == kind)
                        .count() as u64
                );
                assert_eq!(place.tally(&[Op::List], kind).calls, 1);
            }
            assert_eq!(place.written(), []);
        }
    }
}

#[test]
fn slices_together_read_every_pack_and_one_alone_says_that_it_does_not() {
    let (hand_made, made) = HandMade::with_snapshots(0..10);
    let places = hand_made.places(1);
    rot(&places[0], made[4].data);
    let mut read = 0;
    let mut found = 0;
    for number in 1..=3 {
        places[0].clear();
        let options = VerifyOptions {
            share: Share::Slice { number, of: 3 },
            ..VerifyOptions::default()
        };
        let report = verify_with(&places, Depth::Stored, &options);
        assert!(!report.copies[0].covered);
        read += places[0].tally(&Op::READS, FileType::Data).calls;
        found += report.problems.len();
    }
    assert_eq!((read, found), (20, 1));
}

#[test]
fn what_differs_in_size_is_read_whatever_the_share() {
    let (hand_made, made) = HandMade::with_snapshots(0..3);
    let places = hand_made.places(2);
    memory(&places[1]).damage(made[1].data, |bytes| bytes.truncate(100));
    let options = VerifyOptions {
        share: Share::Random {
            percent: 0.0,
            seed: 1,
        },
        ..VerifyOptions::default()
    };
    let report = verify_with(&places, Depth::Stored, &options);
    assert_eq!(report.problems.len(), 1);
    assert_eq!(report.problems[0].name, made[1].data);
    // With the key, a single copy shows it too.
    let opened = Depth::Opened(&hand_made.repository);
    let report = verify_with(&places[1..], opened, &options);
    assert_eq!(report.problems.len(), 1);
    assert!(matches!(
        report.problems[0].kind,
        ProblemKind::Truncated { .. }
    ));
}

#[test]
fn a_key_that_waits_for_an_operator_is_neither_missing_nor_unproven() {
    let (mut hand_made, _) = HandMade::with_snapshots(0..1);
    let key = hand_made.add_key(b"another password");
    let places = hand_made.places(3);
    lose(&places[1], key);
    let pending_keys = BTreeMap::from([("two".to_owned(), [key.id().unwrap()].into())]);
    for depth in [Depth::Stored, Depth::Opened(&hand_made.repository)] {
        let problems = verify_with(&places, depth, &VerifyOptions::default()).problems;
        assert!(problems.iter().any(|problem| problem.name == key));
        let options = VerifyOptions {
            pending_keys: pending_keys.clone(),
            ..VerifyOptions::default()
        };
        assert_eq!(verify_with(&places, depth, &options).problems, []);
    }
    // Of a copy that does not say so, it is missing all the same.
    lose(&places[2], key);
    let options = VerifyOptions {
        pending_keys,
        ..VerifyOptions::default()
    };
    let problems = verify_with(&places, Depth::Stored, &options).problems;
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].copy, "three");
}

#[test]
fn a_copy_whose_keys_all_wait_for_an_operator_lacks_them() {
    let (hand_made, _) = HandMade::with_snapshots(0..1);
    let places = hand_made.places(3);
    let is_key = |name: &&FileName| name.kind() == FileType::Keys;
    let key = *hand_made.files.keys().find(is_key).unwrap();
    lose(&places[1], key);
    let options = VerifyOptions {
        pending_keys: BTreeMap::from([("two".to_owned(), [key.id().unwrap()].into())]),
        ..VerifyOptions::default()
    };
    let problems = verify_with(&places, Depth::Stored, &options).problems;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!((problems[0].copy.as_str(), problems[0].name), ("two", key));
}

#[test]
fn a_key_that_nobody_else_lists_opens_no_copy_whose_right_key_waits() {
    let (mut hand_made, _) = HandMade::with_snapshots(0..1);
    let is_key = |name: &&FileName| name.kind() == FileType::Keys;
    let key = *hand_made.files.keys().find(is_key).unwrap();
    let places = hand_made.places(3);
    let odd = hand_made.add_key(b"his own password");
    lose(&places[1], key);
    memory(&places[1]).put(odd, &hand_made.files[&odd]);
    let options = VerifyOptions {
        pending_keys: BTreeMap::from([("two".to_owned(), [key.id().unwrap()].into())]),
        ..VerifyOptions::default()
    };
    let is_lack = |depth| {
        let problems = verify_with(&places, depth, &options).problems;
        let mut on_two = problems.iter().filter(|problem| problem.copy == "two");
        on_two.any(|problem| {
            problem.name == key && matches!(problem.kind, ProblemKind::Missing { .. })
        })
    };
    for depth in [Depth::Stored, Depth::Opened(&hand_made.repository)] {
        assert!(is_lack(depth));
    }
    // Beside one that another copy lists as well it is none.
    memory(&places[0]).put(odd, &hand_made.files[&odd]);
    for depth in [Depth::Stored, Depth::Opened(&hand_made.repository)] {
        assert!(!is_lack(depth));
    }
}

#[test]
fn junk_under_a_right_name_is_named_with_the_key() {
    let (mut hand_made, _) = HandMade::with_snapshots(0..2);
    let spare_key = hand_made.add_key(b"another password");
    let places = hand_made.places(3);
    lose(&places[1], spare_key);
    let mut expected = BTreeSet::new();
    for (name, bytes) in junk() {
        memory(&places[0]).put(name, &bytes);
        // Without decoding, a pack that looks like one passes.
        if name.kind() != FileType::Data || bytes.len() == 5 {
            expected.insert(name);
        }
    }
    let foreign = strongroom_repo::Key::generate().unwrap();
    let sealed = foreign.seal(b"{\"exclusive\":true}").unwrap();
    for bytes in [&b"5byte"[..], &sealed] {
        let lock = name_of(FileType::Locks, bytes);
        memory(&places[0]).put(lock, bytes);
        expected.insert(lock);
    }
    let options = VerifyOptions {
        known_keys: [spare_key.id().unwrap()].into(),
        ..VerifyOptions::default()
    };
    let report = verify_with(&places, Depth::Opened(&hand_made.repository), &options);
    let named: BTreeSet<_> = report
        .problems
        .iter()
        .filter(|problem| !matches!(problem.kind, ProblemKind::Missing { .. }))
        .map(|problem| {
            assert_eq!(problem.copy, "one");
            problem.name
        })
        .collect();
    assert_eq!(named, expected);
    let missing: Vec<_> = report
        .problems
        .iter()
        .filter(|problem| matches!(problem.kind, ProblemKind::Missing { .. }))
        .collect();
    // The spare key, and the foreign pack that nothing betrays.
    assert!(missing.iter().any(|problem| problem.name == spare_key));
    assert!(
        missing
            .iter()
            .all(|problem| { problem.name == spare_key || problem.name.kind() == FileType::Data })
    );
    assert!(report.doubts().is_empty(), "junk is not healed");

    let report = hand_made.verify(&places, Depth::Decoded(&hand_made.repository));
    let packs = report
        .problems
        .iter()
        .filter(|problem| problem.name.kind() == FileType::Data && problem.copy == "one");
    assert_eq!(packs.count(), 3, "{:?}", report.problems);
}

#[test]
fn without_the_key_five_bytes_of_junk_are_named_all_the_same() {
    let (hand_made, _) = HandMade::with_snapshots(0..1);
    let places = hand_made.places(1);
    for (name, bytes) in junk().into_iter().filter(|(_, bytes)| bytes.len() == 5) {
        memory(&places[0]).put(name, &bytes);
    }
    let report = hand_made.verify(&places, Depth::Stored);
    assert_eq!(report.problems.len(), 4, "{:?}", report.problems);
}

#[test]
fn a_copy_that_goes_away_is_failed_and_the_others_are_read() {
    let (hand_made, _) = HandMade::with_snapshots(0..5);
    let places = hand_made.places(3);
    faults(&places[1]).add(
        Rule::on(&[Op::Open, Op::Size], Fault::Unreachable)
            .of(FileType::Data)
            .after(3),
    );
    faults(&places[2]).set_unreachable(true);
    let report = hand_made.verify(&places, Depth::Stored);
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    assert!(report.copies[0].covered && report.copies[0].failure.is_none());
    assert!(!report.copies[1].covered && report.copies[1].failure.is_some());
    assert!(!report.copies[2].covered && report.copies[2].failure.is_some());
    assert!(!report.is_clean());
}

#[test]
fn a_copy_that_cannot_be_listed_again_is_not_good() {
    let (hand_made, made) = HandMade::with_snapshots(0..2);
    let places = hand_made.places(3);
    lose(&places[1], made[0].data);
    rot(&places[1], FileName::CONFIG);
    let gone = Rule::on(&[Op::List], Fault::Unreachable).of(FileType::Data);
    faults(&places[1]).add(gone.after(1));
    let report = hand_made.verify(&places, Depth::Stored);
    let [one, two, three] = &report.copies[..] else {
        panic!("{report:?}");
    };
    assert!(two.failure.is_some() && !two.covered, "{report:?}");
    assert!(!report.is_clean());
    assert!(one.covered && three.covered, "{report:?}");
    // What was seen before stays told.
    let [problem] = &report.problems[..] else {
        panic!("{:?}", report.problems);
    };
    assert_eq!(problem.name, FileName::CONFIG);
}

#[test]
fn an_unreadable_file_is_a_problem_and_the_rest_is_read() {
    let (hand_made, made) = HandMade::with_snapshots(0..3);
    let places = hand_made.places(1);
    faults(&places[0]).add(Rule::on(&[Op::Open], Fault::ShortRead(9)).named(made[1].trees));
    let report = hand_made.verify(&places, Depth::Stored);
    assert_eq!(report.problems.len(), 1);
    assert!(matches!(
        report.problems[0].kind,
        ProblemKind::Unreadable { .. }
    ));
    assert!(!report.copies[0].covered);
}

#[test]
fn what_others_remove_and_add_meanwhile_is_not_missing() {
    let (mut hand_made, made) = HandMade::with_snapshots(0..2);
    let places = hand_made.places(2);
    let added = hand_made.add_snapshot("while it is verified");
    let gate = Gate::closed();
    let wait = Fault::Wait(gate.clone());
    faults(&places[0]).add(Rule::on(&[Op::Open], wait).of(FileType::Keys));
    let verifying = || hand_made.verify(&places, Depth::Stored);
    let report = gate.meanwhile(verifying, || {
        for place in &places {
            lose(place, made[0].snapshot);
            lose(place, made[0].data);
            lose(place, made[0].index);
        }
        for name in [added.data, added.trees, added.index, added.snapshot] {
            memory(&places[1]).put(name, &hand_made.files[&name]);
        }
    });
    assert!(report.is_clean(), "{report:?}");
}

#[test]
fn what_others_add_while_a_copy_is_listed_is_no_damage() {
    for kind in FileType::SYNCED {
        let (mut hand_made, _) = HandMade::with_snapshots(0..1);
        let places = hand_made.places(1);
        let added = hand_made.add_snapshot("while it is listed");
        let gate = Gate::closed();
        let wait = Fault::Wait(gate.clone());
        faults(&places[0]).add(Rule::on(&[Op::List], wait).of(kind));
        let verifying = || hand_made.verify(&places, Depth::Decoded(&hand_made.repository));
        let report = gate.meanwhile(verifying, || {
            for name in [added.data, added.trees, added.index, added.snapshot] {
                memory(&places[0]).put(name, &hand_made.files[&name]);
            }
        });
        assert!(report.is_clean(), "{kind}: {report:?}");
    }
}

#[test]
fn config_is_compared_with_the_other_copies_or_with_its_digest() {
    let (hand_made, _) = HandMade::with_snapshots(0..1);
    let places = hand_made.places(3);
    rot(&places[1], FileName::CONFIG);
    let report = hand_made.verify(&places, Depth::Stored);
    assert_eq!(report.problems.len(), 1);
    assert_eq!(report.problems[0].copy, "two");
    // One against one: nobody knows who is right, so both are named.
    let report = hand_made.verify(&places[..2], Depth::Stored);
    assert_eq!(report.problems.len(), 2);
    let options = VerifyOptions {
        config: Some(Id::of(hand_made.repository.config_bytes())),
        ..VerifyOptions::default()
    };
    let report = verify_with(&places[..2], Depth::Stored, &options);
    assert_eq!(report.problems.len(), 1);
    let report = hand_made.verify(&places[1..2], Depth::Opened(&hand_made.repository));
    assert!(matches!(
        report.problems[0].kind,
        ProblemKind::ConfigDiffers { .. }
    ));
}

#[test]
fn what_is_noted_as_removed_is_neither_missed_nor_read_without_the_password_too() {
    let (hand_made, made) = HandMade::with_snapshots(0..2);
    let places = hand_made.places(3);
    let files = [made[0].snapshot, made[0].index, made[0].trees, made[0].data];
    for name in files {
        lose(&places[0], name);
        lose(&places[1], name);
    }
    rot(&places[2], made[0].data);
    let report = hand_made.verify(&places, Depth::Stored);
    let missing = report.problems.iter();
    let missing = missing.filter(|problem| matches!(problem.kind, ProblemKind::Missing { .. }));
    assert_eq!(missing.count(), 8);
    let mut options = VerifyOptions::default();
    for name in files {
        options.removed.insert(name);
    }
    let report = verify_with(&places, Depth::Stored, &options);
    assert!(report.is_clean(), "{report:?}");
    // What else is there is compared as ever.
    lose(&places[0], made[1].data);
    let report = verify_with(&places, Depth::Stored, &options);
    assert_eq!(report.problems.len(), 1, "{report:?}");
}

#[test]
fn a_pack_that_only_an_index_tells_of_is_missing() {
    let (hand_made, made) = HandMade::with_snapshots(0..2);
    let places = hand_made.places(2);
    for place in &places {
        lose(place, made[1].data);
    }
    assert!(hand_made.verify(&places, Depth::Stored).is_clean());
    let report = hand_made.verify(&places, Depth::Opened(&hand_made.repository));
    assert_eq!(report.problems.len(), 2);
    for problem in report.problems {
        assert_eq!(problem.name, made[1].data);
        assert_eq!(problem.kind, ProblemKind::Missing { elsewhere: vec![] });
    }
}

#[test]
fn what_one_copy_lacks_and_the_other_has_damaged_is_told_of_both() {
    let (hand_made, made) = HandMade::with_snapshots(0..2);
    let places = hand_made.places(2);
    rot(&places[0], made[0].data);
    lose(&places[1], made[0].data);
    let report = hand_made.verify(&places, Depth::Stored);
    let [one, two] = &report.problems[..] else {
        panic!("{:?}", report.problems);
    };
    assert!(
        report
            .problems
            .iter()
            .all(|problem| problem.name == made[0].data)
    );
    assert_eq!((one.copy.as_str(), two.copy.as_str()), ("one", "two"));
    assert_eq!(one.kind, ProblemKind::WrongContent);
    assert_eq!(two.kind, ProblemKind::Missing { elsewhere: vec![] });
}

#[test]
fn an_empty_place_is_no_repository() {
    let (hand_made, _) = HandMade::with_snapshots(0..1);
    let mut places = hand_made.places(2);
    places[1] = HandMade {
        files: Default::default(),
        ..hand_made
    }
    .place("two");
    let (progress, cancel) = Default::default();
    let options = VerifyOptions::default();
    let report = strongroom_engine::verify::verify(
        &copies(&places),
        Depth::Stored,
        &options,
        &progress,
        &cancel,
    )
    .unwrap();
    assert!(report.problems.is_empty());
    let failure = report.copies[1].failure.clone().unwrap();
    assert_eq!(
        failure.kind,
        strongroom_engine::CopyFailureKind::NoRepository
    );
}

#[test]
fn a_file_that_is_listed_and_never_found_is_a_problem() {
    let (hand_made, made) = HandMade::with_snapshots(0..1);
    let places = hand_made.places(2);
    faults(&places[0]).add(Rule::on(&[Op::Open], Fault::NotFound).named(made[0].data));
    let report = hand_made.verify(&places, Depth::Stored);
    assert_eq!(report.problems.len(), 1);
    assert!(matches!(
        report.problems[0].kind,
        ProblemKind::Unreadable { .. }
    ));
    assert!(!report.copies[0].covered);
}
