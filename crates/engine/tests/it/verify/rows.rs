//! Copies whose packs are compared with each other: no damage hides behind another copy's.
//!
//! Every pack takes its turn, so that a damaged copy is the first of its row, in the middle, and
//! the last.

use std::collections::BTreeSet;

use strongroom_engine::progress::Progress;
use strongroom_engine::verify::{Depth, ProblemKind, VerifyOptions, VerifyReport, verify};
use strongroom_engine::{Cancel, CopyStore};
use strongroom_model::{FileName, FileType};
use strongroom_repo::BlobId;
use strongroom_testkit::contract::noise;
use strongroom_testkit::{Fault, Op, Rule};

use crate::hand_made::{HandMade, NAMES, Place, copies, faults, memory, verify_with};

/// What is done to the bytes of a pack on the copy of a number.
type Damage = fn(&mut Vec<u8>, usize);

/// Packs of several sizes, in three copies.
fn scene() -> (HandMade, Vec<FileName>) {
    let (hand_made, _) = HandMade::with_snapshots(0..4);
    let is_pack = |name: &FileName| name.kind() == FileType::Data;
    let packs = hand_made.files.keys().copied().filter(is_pack).collect();
    (hand_made, packs)
}

/// Every choice of at least one of the three copies.
fn choices() -> impl Iterator<Item = Vec<usize>> {
    (1..8_usize).map(|bits| (0..3).filter(|copy| bits >> copy & 1 == 1).collect())
}

fn assert_named(report: &VerifyReport, wrong: &[usize], name: FileName, is_right: &str) {
    let named: BTreeSet<_> = report
        .problems
        .iter()
        .map(|problem| (problem.copy.as_str(), problem.name))
        .collect();
    let expected: BTreeSet<_> = wrong.iter().map(|copy| (NAMES[*copy], name)).collect();
    assert_eq!(named, expected, "{is_right}");
    for (number, copy) in report.copies.iter().enumerate() {
        assert_eq!(
            copy.sound.contains(&name),
            !wrong.contains(&number),
            "{is_right}: {}",
            copy.name
        );
    }
}

#[test]
fn damage_is_named_on_whichever_copies_have_it_and_on_no_other() {
    let (hand_made, packs) = scene();
    assert_damage_is_named(&hand_made, &packs);
}

#[test]
fn no_damage_hides_in_a_pack_that_is_hashed_beside_its_reading() {
    let (mut hand_made, _) = HandMade::with_snapshots(0..1);
    // Nearly all there is: more than a core's share, and several blocks of it.
    let large = hand_made.pack(BlobId::data, &[noise(1, 3 << 20)]);
    let pack = hand_made.add(FileType::Data, large.bytes);
    assert!(
        hand_made
            .verify(&hand_made.places(3), Depth::Stored)
            .is_clean()
    );
    assert_damage_is_named(&hand_made, &[pack]);
    assert_faults_are_named(&hand_made, &[pack], 2_000_000);
}

fn assert_damage_is_named(hand_made: &HandMade, packs: &[FileName]) {
    let damages: [(&str, Damage); 4] = [
        ("the same bit on each", |bytes, _| bytes[9] ^= 1),
        ("another bit on each", |bytes, copy| bytes[9] ^= 2 << copy),
        ("only the last byte", |bytes, _| {
            if let Some(last) = bytes.last_mut() {
                *last ^= 1;
            }
        }),
        ("cut off", |bytes, copy| bytes.truncate(30 + copy)),
    ];
    for pack in packs {
        for wrong in choices() {
            for (what, damage) in damages {
                let places = hand_made.places(3);
                for copy in &wrong {
                    memory(&places[*copy]).damage(*pack, |bytes| damage(bytes, *copy));
                }
                let report = hand_made.verify(&places, Depth::Stored);
                assert_named(&report, &wrong, *pack, what);
            }
        }
    }
}

#[test]
fn what_cannot_be_read_on_one_copy_leaves_the_others_as_they_are() {
    let (hand_made, packs) = scene();
    assert_faults_are_named(&hand_made, &packs, 9);
}

/// Files that do not come at all, or break off behind so many bytes.
fn assert_faults_are_named(hand_made: &HandMade, packs: &[FileName], behind: u64) {
    // A server that answers still, and breaks off the one file each time, or does not come to its
    // first byte, has that file wrong.
    let faults_of = || {
        [
            Fault::Unreachable,
            Fault::Io(std::io::ErrorKind::Other),
            Fault::ShortRead(behind),
            Fault::Lost(behind),
        ]
    };
    for pack in packs {
        for wrong in choices() {
            for fault in faults_of() {
                let places = hand_made.places(3);
                for copy in &wrong {
                    let rule = Rule::on(&[Op::Open], fault.clone()).named(*pack);
                    faults(&places[*copy]).add(rule);
                }
                let report = hand_made.verify(&places, Depth::Stored);
                assert_named(&report, &wrong, *pack, &format!("{fault:?}"));
            }
        }
    }
}

#[test]
fn two_reads_that_differ_are_told_although_the_second_is_right() {
    let (hand_made, packs) = scene();
    let mut told = 0;
    for pack in &packs {
        for number in 0..3 {
            let places = hand_made.places(3);
            let once = Rule::on(&[Op::Open], Fault::FlipBit(5)).named(*pack);
            faults(&places[number]).add(once.nth(1));
            let report = hand_made.verify(&places, Depth::Stored);
            let [problem] = &report.problems[..] else {
                panic!("{:?}", report.problems);
            };
            assert_eq!(
                (problem.copy.as_str(), problem.name),
                (NAMES[number], *pack)
            );
            told += usize::from(matches!(problem.kind, ProblemKind::Unreadable { .. }));
            assert!(!report.copies[number].sound.contains(pack), "{problem}");
        }
    }
    assert_eq!(told, packs.len() * 3, "also of the first of a row");
}

#[test]
fn a_copy_that_goes_away_in_a_row_takes_no_other_with_it() {
    let (hand_made, _) = scene();
    for gone in 0..3 {
        let places = hand_made.places(3);
        let away = Rule::on(&[Op::Open, Op::Size], Fault::Unreachable).of(FileType::Data);
        faults(&places[gone]).add(away.after(3));
        let report = hand_made.verify(&places, Depth::Stored);
        assert_eq!(report.problems, []);
        for (number, copy) in report.copies.iter().enumerate() {
            assert_eq!(copy.failure.is_some(), number == gone);
            assert_eq!(copy.covered, number != gone);
        }
    }
}

#[test]
fn copies_here_and_elsewhere_are_told_apart() {
    let (hand_made, packs) = scene();
    for elsewhere in choices() {
        for (number, pack) in packs.iter().enumerate() {
            let places: Vec<Place> = hand_made.places(3);
            let wrong = number % 3;
            memory(&places[wrong]).damage(*pack, |bytes| bytes[9] ^= 1);
            let is_local = |copy: &CopyStore| {
                let at = NAMES.iter().position(|name| *name == copy.name);
                at.is_none_or(|at| !elsewhere.contains(&at))
            };
            let mut copies = copies(&places);
            for copy in &mut copies {
                copy.is_local = is_local(copy);
            }
            let (progress, cancel) = (Progress::default(), Cancel::default());
            let options = VerifyOptions::default();
            let report = verify(&copies, Depth::Stored, &options, &progress, &cancel).unwrap();
            assert_named(&report, &[wrong], *pack, &format!("{elsewhere:?}"));
            assert!(report.copies.iter().all(|copy| copy.covered));
        }
    }
}

#[test]
fn what_is_decoded_is_compared_as_well() {
    let (hand_made, packs) = scene();
    let depth = Depth::Decoded(&hand_made.repository);
    for pack in &packs {
        for wrong in choices().filter(|wrong| wrong.len() < 3) {
            let places = hand_made.places(3);
            for copy in &wrong {
                memory(&places[*copy]).damage(*pack, |bytes| bytes[9] ^= 1);
            }
            let report = verify_with(&places, depth, &VerifyOptions::default());
            let named = report
                .problems
                .iter()
                .filter(|problem| problem.name == *pack);
            assert_eq!(named.count(), wrong.len());
        }
    }
}
