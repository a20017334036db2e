//! Places in trouble: what is told of a file, what of its whole copy, and who waits for whom.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use strongroom_engine::progress::Progress;
use strongroom_engine::verify::{Depth, ProblemKind, Share, VerifyOptions, VerifyReport, verify};
use strongroom_engine::{Cancel, CopyStore, Error};
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::Node;
use strongroom_repo::blob::BlobId;
use strongroom_repo::index::IndexFile;
use strongroom_repo::node::NodeKind;
use strongroom_store::{PatientStore, Pulse, Store};
use strongroom_testkit::{Fault, FaultyStore, Gate, MemoryStore, Op, RecordingStore, Rule};

use crate::hand_made::{HandMade, Place, copies, faults, indexed, lose, rot, tree_of, verify_with};

/// More packs than may break off in a row.
const MANY: u32 = 20;

fn verified(copies: &[CopyStore], depth: Depth<'_>) -> VerifyReport {
    let (progress, cancel) = (Progress::default(), Cancel::default());
    let options = VerifyOptions::default();
    verify(copies, depth, &options, &progress, &cancel).unwrap()
}

/// Follows the trees of all snapshots and reads no pack.
fn follow(hand_made: &HandMade, places: &[Place]) -> VerifyReport {
    let options = VerifyOptions {
        share: Share::Random {
            percent: 0.0,
            seed: 1,
        },
        ..VerifyOptions::default()
    };
    verify_with(places, Depth::Decoded(&hand_made.repository), &options)
}

/// How many files are read at once of so many folders.
fn readers(folders: u32) -> u32 {
    let cores =
        thread::available_parallelism().map_or(2, |cores| u32::try_from(cores.get()).unwrap());
    cores.max(folders)
}

/// Asserts that of all copies the second one has failed, and that nothing is wrong with any file.
#[track_caller]
fn assert_only_two_failed(report: &VerifyReport) {
    assert_eq!(report.problems, []);
    assert!(!report.is_clean());
    for copy in &report.copies {
        let is_two = copy.name == "two";
        assert_eq!(copy.failure.is_some(), is_two, "{copy:?}");
        assert!(!(is_two && copy.covered), "{copy:?}");
    }
}

#[test]
fn a_copy_whose_bodies_all_break_has_failed_soon() {
    let (hand_made, _) = HandMade::with_snapshots(0..MANY);
    let places = hand_made.places(3);
    let breaks = Rule::on(&[Op::Open], Fault::Lost(9)).of(FileType::Data);
    faults(&places[1]).add(breaks);
    let report = hand_made.verify(&places, Depth::Opened(&hand_made.repository));
    assert_only_two_failed(&report);
    assert!(report.copies[0].covered && report.copies[2].covered);
    let calls = places[1].tally(&Op::READS, FileType::Data).calls;
    assert!(calls < 16 + u64::from(readers(3)), "{calls}");
}

#[test]
fn a_copy_that_goes_away_within_a_file_has_failed() {
    let (hand_made, _) = HandMade::with_snapshots(0..2);
    let places = hand_made.places(3);
    let breaks = Rule::on(&[Op::Open], Fault::Lost(9)).of(FileType::Data);
    faults(&places[1]).add(breaks);
    faults(&places[1]).add(Rule::on(&[Op::Size], Fault::Unreachable).of(FileType::Data));
    let report = hand_made.verify(&places, Depth::Stored);
    assert_only_two_failed(&report);
    assert!(report.copies[0].covered && report.copies[2].covered);
}

#[test]
fn one_file_that_never_comes_hides_nothing_behind_it() {
    let (hand_made, made) = HandMade::with_snapshots(0..MANY);
    let places = hand_made.places(1);
    faults(&places[0]).add(Rule::on(&[Op::Open], Fault::Unreachable).named(made[3].data));
    rot(&places[0], made[7].trees);
    let mut copies = copies(&places);
    for is_local in [true, false] {
        copies[0].is_local = is_local;
        let report = verified(&copies, Depth::Opened(&hand_made.repository));
        let named: BTreeSet<_> = report.problems.iter().map(|problem| problem.name).collect();
        assert_eq!(named, [made[3].data, made[7].trees].into());
        assert_eq!(report.copies[0].failure, None);
        assert_eq!(report.copies[0].sound.len(), hand_made.files.len() - 3);
    }
}

#[test]
fn a_file_that_is_removed_while_it_breaks_off_is_looked_for_again() {
    let (hand_made, made) = HandMade::with_snapshots(0..2);
    let places = hand_made.places(1);
    let name = made[0].data;
    faults(&places[0]).add(Rule::on(&[Op::Open], Fault::Lost(9)).named(name));
    faults(&places[0]).add(Rule::on(&[Op::Size], Fault::NotFound).named(name));
    let report = hand_made.verify(&places, Depth::Stored);
    assert_eq!(report.copies[0].failure, None);
    let [problem] = &report.problems[..] else {
        panic!("{:?}", report.problems);
    };
    assert!(problem.to_string().contains("not found when it is read"));
}

#[test]
fn a_server_that_refuses_from_some_file_on_has_failed() {
    let (hand_made, _) = HandMade::with_snapshots(0..MANY);
    let places = hand_made.places(3);
    let refuses = Rule::on(&[Op::Open], Fault::Denied).of(FileType::Data);
    faults(&places[1]).add(refuses.after(3));
    let mut copies = copies(&places);
    copies[1].is_local = false;
    let report = verified(&copies, Depth::Opened(&hand_made.repository));
    assert_only_two_failed(&report);
    let reason = &report.copies[1].failure.as_ref().unwrap().reason;
    assert!(reason.contains("refuses"), "{reason}");
}

#[test]
fn snapshots_are_not_incomplete_because_their_copy_goes_away() {
    let (hand_made, _) = HandMade::with_snapshots(0..3);
    let places = hand_made.places(3);
    let away = Rule::on(&[Op::ReadRange, Op::Size], Fault::Unreachable);
    faults(&places[1]).add(away.of(FileType::Data));
    assert_only_two_failed(&follow(&hand_made, &places));
}

#[test]
fn snapshots_are_not_incomplete_because_no_body_comes() {
    let (hand_made, _) = HandMade::with_snapshots(0..MANY);
    let places = hand_made.places(3);
    faults(&places[1]).add(Rule::on(&[Op::ReadRange], Fault::Unreachable));
    assert_only_two_failed(&follow(&hand_made, &places));
    let calls = places[1].tally(&[Op::ReadRange], FileType::Data).calls;
    assert_eq!(calls, 16);
}

#[test]
fn snapshots_are_not_incomplete_because_no_tree_comes_of_the_one_pack_that_has_them() {
    let mut hand_made = HandMade::new();
    let roots: Vec<_> = (0..MANY)
        .map(|number| {
            let mut file = Node::new(number.to_string().as_bytes(), NodeKind::File);
            file.content = Some(Box::default());
            tree_of(file)
        })
        .collect();
    let pack = hand_made.pack(BlobId::tree, &roots);
    hand_made.add_index(&IndexFile {
        packs: vec![indexed(&pack)],
    });
    hand_made.add(FileType::Data, pack.bytes);
    for root in &roots {
        hand_made.add_snapshot_of(Id::of(root));
    }
    let places = hand_made.places(3);
    faults(&places[1]).add(Rule::on(&[Op::ReadRange], Fault::Unreachable));
    assert_only_two_failed(&follow(&hand_made, &places));
    let calls = places[1].tally(&[Op::ReadRange], FileType::Data).calls;
    assert_eq!(calls, 16);
}

#[test]
fn a_copy_that_hides_its_packs_while_it_is_verified_was_not_read_in_full() {
    let (hand_made, made) = HandMade::with_snapshots(0..2);
    let places = hand_made.places(2);
    // It gives none of them, and does not list them the second time.
    faults(&places[1]).add(Rule::on(&[Op::Open], Fault::NotFound).of(FileType::Data));
    let gate = Gate::closed();
    let waits = Fault::Wait(gate.clone());
    faults(&places[0]).add(Rule::on(&[Op::Open], waits).of(FileType::Keys));
    let verifying = || hand_made.verify(&places, Depth::Stored);
    let report = gate.meanwhile(verifying, || {
        for made in &made {
            lose(&places[1], made.data);
            lose(&places[1], made.trees);
        }
    });
    assert!(report.copies[0].covered, "{report:?}");
    let two = &report.copies[1];
    assert!(!two.covered && two.failure.is_none(), "{two:?}");
    assert_eq!(report.problems.len(), 2 * made.len());
    let elsewhere = vec!["one".to_owned()];
    let missing = ProblemKind::Missing { elsewhere };
    for problem in &report.problems {
        assert_eq!((problem.copy.as_str(), &problem.kind), ("two", &missing));
        assert!(!two.sound.contains(&problem.name));
    }
}

#[test]
fn a_tree_that_never_comes_is_told_of_its_snapshot_and_its_pack() {
    let (hand_made, made) = HandMade::with_snapshots(0..3);
    let places = hand_made.places(1);
    let trees = made[1].trees;
    faults(&places[0]).add(Rule::on(&[Op::ReadRange], Fault::Unreachable).named(trees));
    let report = follow(&hand_made, &places);
    assert_eq!(report.copies[0].failure, None);
    assert_eq!(report.problems.len(), 2, "{:?}", report.problems);
    for problem in &report.problems {
        match &problem.kind {
            ProblemKind::Unreadable { .. } => assert_eq!(problem.name, trees),
            ProblemKind::Incomplete { .. } => assert_eq!(problem.name, made[1].snapshot),
            _ => panic!("{problem}"),
        }
    }
}

#[test]
fn a_server_on_this_machine_keeps_no_folder_waiting() {
    let (hand_made, made) = HandMade::with_snapshots(0..readers(2) + 1);
    let mut places = hand_made.places(2);
    let server = MemoryStore::at("rest:http://127.0.0.1:8000/");
    for (name, bytes) in &hand_made.files {
        server.put(*name, bytes);
    }
    places.push(Arc::new(RecordingStore::new(FaultyStore::new(server))));
    let (held, last) = (Gate::closed(), Gate::closed());
    let stalls = Fault::Stall(0, held.clone());
    faults(&places[2]).add(Rule::on(&[Op::Open], stalls).of(FileType::Data));
    let packs = 2 * made.len() as u64;
    let waits = Rule::on(&[Op::Open], Fault::Wait(last.clone())).of(FileType::Data);
    faults(&places[0]).add(waits.after(packs - 1));
    let copies = copies(&places);
    // Of its own, so that the test can fail without it.
    let verified = thread::spawn(move || verified(&copies, Depth::Stored));
    // The folders are at their last pack, and the server has given none.
    last.wait_for_waiting(1);
    held.open();
    last.open();
    let report = verified.join().unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert!(report.copies.iter().all(|copy| copy.covered));
}

#[test]
fn no_copy_is_read_twice_because_another_has_failed() {
    let (hand_made, made) = HandMade::with_snapshots(0..4);
    for gone in 0..3 {
        let places = hand_made.places(3);
        let away = Rule::on(&[Op::Open, Op::Size], Fault::Unreachable).of(FileType::Data);
        faults(&places[gone]).add(away);
        hand_made.verify(&places, Depth::Opened(&hand_made.repository));
        for (number, place) in places
            .iter()
            .enumerate()
            .filter(|(number, _)| *number != gone)
        {
            let calls = place.tally(&Op::READS, FileType::Data).calls;
            assert_eq!(calls, 2 * made.len() as u64, "copy {number}, {gone} gone");
        }
    }
}

#[test]
fn an_interruption_is_no_verdict_on_the_last_file() {
    let mut hand_made = HandMade::new();
    let pack = hand_made.pack(BlobId::data, &[b"content".to_vec()]);
    hand_made.add_index(&IndexFile {
        packs: vec![indexed(&pack)],
    });
    hand_made.add(FileType::Data, pack.bytes);
    let places = hand_made.places(1);
    let gate = Gate::closed();
    let waits = Rule::on(&[Op::Open], Fault::Wait(gate.clone())).of(FileType::Data);
    faults(&places[0]).add(waits);
    let (progress, cancel) = (Progress::default(), Cancel::default());
    let (copies, options) = (copies(&places), VerifyOptions::default());
    let depth = Depth::Opened(&hand_made.repository);
    let verifying = || verify(&copies, depth, &options, &progress, &cancel);
    let outcome = gate.meanwhile(verifying, || {
        cancel.cancel();
        faults(&places[0]).set_unreachable(true);
    });
    assert!(matches!(outcome, Err(Error::Interrupted)), "{outcome:?}");
}

#[test]
fn a_copy_whose_locks_cannot_be_listed_is_read_all_the_same() {
    let (hand_made, made) = HandMade::with_snapshots(0..2);
    let places = hand_made.places(2);
    faults(&places[1]).add(Rule::on(&[Op::List], Fault::Denied).of(FileType::Locks));
    rot(&places[1], made[1].data);
    let report = hand_made.verify(&places, Depth::Opened(&hand_made.repository));
    let named: Vec<FileName> = report.problems.iter().map(|problem| problem.name).collect();
    assert_eq!(named, [made[1].data]);
    assert_eq!(report.copies[0].failure, None);
    let two = &report.copies[1];
    assert!(
        two.failure.as_ref().unwrap().reason.contains("List"),
        "{two:?}"
    );
    assert_eq!(two.files_read, report.copies[0].files_read);
}

#[test]
fn folders_that_hang_are_waited_for_together() {
    const LIMIT: Duration = Duration::from_secs(4);
    let (hand_made, _) = HandMade::with_snapshots(0..1);
    let places = hand_made.places(3);
    let mut copies = copies(&places);
    for (copy, place) in copies.iter_mut().zip(&places).skip(1) {
        let hangs = Fault::Wait(Gate::closed());
        faults(place).add(Rule::on(&[Op::List], hangs).of(FileType::Locks));
        let store = Arc::clone(place) as Arc<dyn Store>;
        copy.store = Arc::new(PatientStore::new(store, Pulse::default(), LIMIT));
    }
    let began = Instant::now();
    let report = verified(&copies, Depth::Stored);
    assert!(began.elapsed() < LIMIT * 3 / 2, "{:?}", began.elapsed());
    assert!(report.copies[0].covered, "{report:?}");
    for copy in &report.copies[1..] {
        assert!(copy.failure.is_some(), "{copy:?}");
    }
}
