//! A copy whose calls never return: every operation ends, names it, and goes on with the others.
//!
//! The gates are never opened, so that what hangs does so until the test's process ends, as on a
//! dead network mount.

use std::sync::Arc;
use std::time::{Duration, Instant};

use strongroom_engine::backup::report::{BackupReport, CopyOutcome};
use strongroom_engine::restore::RestoreOptions;
use strongroom_engine::session::{CopyFailure, Locks};
use strongroom_engine::sync::{SyncOptions, SyncReport, sync_session};
use strongroom_engine::verify::{Depth, ProblemKind, VerifyOptions, VerifyReport, verify};
use strongroom_engine::{CopyState, Session};
use strongroom_model::{FileName, FileType};
use strongroom_store::{LocalStore, PatientStore, Pulse, Store};
use strongroom_testkit::contract::noise;
use strongroom_testkit::tree::TreeSpec;
use strongroom_testkit::{Fault, FaultyStore, Gate, Op, Rule};

use crate::fixture::{Fixture, outcome};
use crate::restore::{Target, restore_only};

/// How long a copy is waited for, whose calls that do not hang may fail as well.
const LIMIT: Duration = Duration::from_millis(60);

/// How long a copy is waited for, whose calls that do not hang must succeed on any disk.
const LONG_LIMIT: Duration = Duration::from_secs(4);

/// How long copies are waited for where all of them are, and two must answer meanwhile: half of what
/// any disk needs, for they only read a few files, of at most 3 MiB.
const SHORT_LIMIT: Duration = Duration::from_secs(2);

fn hang(ops: &[Op]) -> Rule {
    Rule::on(ops, Fault::Wait(Gate::closed()))
}

/// A fixture with something to back up.
fn fixture() -> Fixture {
    let fixture = Fixture::new();
    TreeSpec::small(21).build(&fixture.source().join("tree"));
    fixture
}

/// Makes a copy hang where the rule says.
fn hang_at(fixture: &mut Fixture, copy: &str, rule: Rule) {
    hang_after(fixture, copy, rule, LIMIT);
}

fn hang_after(fixture: &mut Fixture, copy: &str, rule: Rule, limit: Duration) {
    fixture.wrap(copy, |store| {
        let faulty = FaultyStore::new(store).with(rule);
        PatientStore::new(Arc::new(faulty), Pulse::default(), limit)
    });
}

fn assert_hung(failure: &CopyFailure) {
    let CopyFailure { reason, hint, .. } = failure;
    assert!(reason.contains("has not answered for 60 ms"), "{reason}");
    assert!(hint.as_ref().unwrap().contains("findmnt"), "{hint:?}");
}

/// Asserts that the others have everything, and the copy that hung is named.
fn assert_two_hung(fixture: &Fixture, report: &BackupReport) {
    let CopyOutcome::Failed(failure) = outcome(report, "two") else {
        panic!("{report:?}");
    };
    assert_hung(failure);
    assert!(!report.is_complete());
    assert_eq!(outcome(report, "one"), &CopyOutcome::Whole);
    assert_eq!(outcome(report, "three"), &CopyOutcome::Whole);
    assert!(fixture.ids("two", FileType::Snapshots).is_empty());
    fixture.check(&["one", "three"]);
}

#[test]
fn a_backup_goes_on_without_a_copy_that_hangs_whatever_it_hangs_at() {
    let places = [
        hang(&[Op::Identity]),
        hang(&[Op::List]),
        hang(&[Op::List]).of(FileType::Locks),
        hang(&[Op::Read]).of(FileType::Config),
        hang(&[Op::Save]).of(FileType::Locks),
        hang(&[Op::Save]).of(FileType::Data),
        hang(&[Op::Save]).of(FileType::Index),
        hang(&[Op::Save]).of(FileType::Snapshots),
    ];
    for rule in places {
        let mut fixture = fixture();
        hang_at(&mut fixture, "two", rule);
        let report = fixture.backup();
        assert_two_hung(&fixture, &report);
    }
}

#[test]
fn a_backup_that_reads_from_a_copy_that_hangs_reads_from_another() {
    for kind in [FileType::Index, FileType::Snapshots, FileType::Data] {
        for ops in [Op::READS, [Op::Read; 3]] {
            let mut fixture = fixture();
            fixture.backup();
            std::fs::write(fixture.source().join("new"), "new").unwrap();
            hang_at(&mut fixture, "one", hang(&ops).of(kind));
            let report = fixture.backup();
            assert_eq!(outcome(&report, "two"), &CopyOutcome::Whole);
            assert_eq!(outcome(&report, "three"), &CopyOutcome::Whole);
            fixture.check(&["two", "three"]);
        }
    }
}

#[test]
fn a_lock_that_cannot_be_removed_stays_behind_and_the_others_go() {
    let mut fixture = fixture();
    let rule = hang(&[Op::Remove]).of(FileType::Locks);
    hang_after(&mut fixture, "two", rule, LONG_LIMIT);
    let report = fixture.backup();
    assert!(report.is_complete(), "{report:?}");
    assert!(fixture.ids("one", FileType::Locks).is_empty());
    assert_eq!(fixture.ids("two", FileType::Locks).len(), 1);
    assert!(fixture.ids("three", FileType::Locks).is_empty());
}

#[test]
fn where_all_copies_hang_the_run_ends_and_says_so() {
    let mut fixture = fixture();
    for copy in ["one", "two", "three"] {
        hang_at(&mut fixture, copy, hang(&[Op::Save]).of(FileType::Data));
    }
    let error = fixture.backup_of(&fixture.folder_source()).unwrap_err();
    let text = error.to_string();
    assert_eq!(text.matches("has not answered").count(), 3, "{text}");
}

#[test]
fn a_restore_takes_what_hangs_on_one_copy_from_another() {
    for kind in [FileType::Snapshots, FileType::Index, FileType::Data] {
        let mut fixture = fixture();
        fixture.backup();
        hang_at(&mut fixture, "one", hang(&Op::READS).of(kind));
        let target = Target::new(&fixture);
        let options = RestoreOptions {
            verify: true,
            ..RestoreOptions::default()
        };
        let report = restore_only(&fixture, &target, &options).unwrap();
        assert_eq!(report.error_count, 0, "{report:?}");
        target.assert_same();
        let note = |note: &String| note.contains("one cannot be reached: it has not answered");
        assert!(report.notes.iter().any(note), "{report:?}");
    }
}

#[test]
fn a_verify_names_a_copy_that_hangs_and_reads_the_others() {
    for depth in ["stored", "decoded"] {
        for rule in [
            hang(&[Op::Identity]),
            hang(&[Op::List]),
            hang(&[Op::Open]).of(FileType::Index),
            hang(&[Op::Open]).of(FileType::Data),
        ] {
            let mut fixture = fixture();
            fixture.backup();
            let repository = fixture.open().repository;
            hang_at(&mut fixture, "two", rule);
            let depth = match depth {
                "stored" => Depth::Stored,
                _ => Depth::Decoded(&repository),
            };
            let report = verified(&fixture, depth);
            let [one, two, three] = &report.copies[..] else {
                panic!("{report:?}");
            };
            assert!(one.covered && three.covered && !two.covered, "{report:?}");
            assert_hung(two.failure.as_ref().unwrap());
            assert_eq!(report.problems, []);
        }
    }
}

/// Every copy of a fixture is waited for, as the program does it, and this one hangs as it is read.
fn hang_among_patient(fixture: &mut Fixture, hanging: &[&str], fault: &Fault) {
    for copy in ["one", "two", "three"] {
        fixture.wrap(copy, |store| {
            let mut faulty = FaultyStore::new(store);
            if hanging.contains(&copy) {
                let rule = Rule::on(&[Op::Open], fault.clone());
                faulty = faulty.with(rule.of(FileType::Data));
            }
            PatientStore::new(Arc::new(faulty), Pulse::default(), SHORT_LIMIT)
        });
    }
}

#[test]
fn a_verify_of_folders_names_the_one_that_hangs_wherever_it_hangs() {
    let mut fixture = fixture();
    fixture.backup();
    // Larger than a step, so that some hang in the middle.
    std::fs::write(fixture.source().join("large"), noise(7, 3 << 20)).unwrap();
    fixture.backup();
    let repository = fixture.open().repository;
    let sound = verified(&fixture, Depth::Stored).copies;
    let gate = Gate::closed();
    let faults = [
        Fault::Wait(gate.clone()),
        Fault::Stall(100, gate.clone()),
        Fault::Stall(200_000, gate.clone()),
        Fault::StallAtClose(gate),
    ];
    let copies = fixture.copies.clone();
    let depths = [Depth::Stored, Depth::Decoded(&repository)];
    // Each waits for its limit; so not every copy hangs in every way.
    let cases: [(&[&str], &[usize]); 4] = [
        (&["one"], &[0, 1, 2, 3]),
        (&["two"], &[1, 3]),
        (&["three"], &[0, 2, 3]),
        (&["one", "three"], &[3]),
    ];
    for (hanging, ways) in cases {
        for &way in ways {
            let (fault, depth) = (&faults[way], depths[way % 2]);
            fixture.copies.clone_from(&copies);
            hang_among_patient(&mut fixture, hanging, fault);
            let report = verified(&fixture, depth);
            assert_eq!(report.problems, [], "{hanging:?} {fault:?}");
            for (copy, sound) in report.copies.iter().zip(&sound) {
                let hangs = hanging.contains(&copy.name.as_str());
                assert_eq!(copy.covered, !hangs, "{hanging:?} {fault:?}: {copy:?}");
                match &copy.failure {
                    Some(failure) => {
                        assert!(hangs, "{hanging:?} {fault:?}: {failure:?}");
                        assert!(
                            failure.reason.contains("has not answered for"),
                            "{failure:?}"
                        );
                    }
                    None => assert_eq!(
                        (copy.files_read, copy.bytes_read),
                        (sound.files_read, sound.bytes_read),
                        "{hanging:?} {fault:?}"
                    ),
                }
            }
        }
    }
}

#[test]
fn a_verify_of_folders_tells_damage_beside_one_that_hangs() {
    let mut fixture = fixture();
    fixture.backup();
    let [id, ..] = fixture.ids("one", FileType::Data)[..] else {
        panic!("there is a pack");
    };
    let name = FileName::new(FileType::Data, id);
    let one = LocalStore::new(fixture.copy_path("one"));
    let mut bytes = one.read(name).unwrap();
    bytes[9] ^= 1;
    one.replace(name, &bytes).unwrap();
    hang_among_patient(&mut fixture, &["two"], &Fault::Stall(100, Gate::closed()));
    let report = verified(&fixture, Depth::Stored);
    let problems: Vec<_> = report
        .problems
        .iter()
        .map(|p| (p.copy.as_str(), p.name))
        .collect();
    assert_eq!(problems, [("one", name)]);
    assert_eq!(report.problems[0].kind, ProblemKind::WrongContent);
    assert!(report.copies[1].failure.is_some(), "{report:?}");
    assert!(report.copies[2].covered, "{report:?}");
}

#[test]
fn folders_that_hang_together_are_waited_for_once_by_a_verify() {
    let mut fixture = fixture();
    fixture.backup();
    for copy in ["two", "three"] {
        let rule = hang(&[Op::List]).of(FileType::Locks);
        hang_after(&mut fixture, copy, rule, LONG_LIMIT);
    }
    let begin = Instant::now();
    let report = verified(&fixture, Depth::Stored);
    let took = begin.elapsed();
    for copy in &report.copies[1..] {
        assert!(copy.failure.is_some(), "{report:?}");
    }
    assert!(report.copies[0].covered, "{report:?}");
    assert!(took < LONG_LIMIT * 3 / 2, "{took:?}");
}

fn verified(fixture: &Fixture, depth: Depth<'_>) -> VerifyReport {
    let options = VerifyOptions::default();
    let cancel = &fixture.environment.cancel;
    verify(&fixture.copies, depth, &options, &fixture.progress, cancel).unwrap()
}

#[test]
fn a_sync_brings_the_others_what_they_lack_while_one_hangs() {
    for rule in [
        hang(&[Op::ReadRange]).of(FileType::Data),
        hang(&[Op::Save]).of(FileType::Locks),
        hang(&[Op::ReadRange]).of(FileType::Snapshots),
    ] {
        let mut fixture = fixture();
        fixture.backup();
        let third = LocalStore::new(fixture.copy_path("three"));
        for kind in [FileType::Data, FileType::Index, FileType::Snapshots] {
            for id in fixture.ids("three", kind) {
                third.remove(FileName::new(kind, id)).unwrap();
            }
        }
        hang_at(&mut fixture, "one", rule);
        let report = synced(&fixture);
        assert_hung(report.copies[0].failure.as_ref().unwrap());
        assert!(!report.is_complete());
        assert_eq!(report.copies[2].failure, None);
        fixture.check(&["two", "three"]);
    }
}

#[test]
fn a_sync_that_writes_to_a_copy_that_hangs_names_it() {
    for kind in [FileType::Data, FileType::Index, FileType::Snapshots] {
        let mut fixture = fixture();
        fixture.backup();
        let second = LocalStore::new(fixture.copy_path("two"));
        let id = fixture.ids("two", kind)[0];
        second.remove(FileName::new(kind, id)).unwrap();
        hang_at(&mut fixture, "two", hang(&Op::WRITES).of(kind));
        let report = synced(&fixture);
        assert_hung(report.copies[1].failure.as_ref().unwrap());
        assert!(!report.is_complete());
    }
}

fn synced(fixture: &Fixture) -> SyncReport {
    let mut session = fixture.open();
    let environment = &fixture.environment;
    let mut locks = Locks::acquire(&mut session, environment, false).unwrap();
    let options = SyncOptions::default();
    let progress = &fixture.progress;
    let report = sync_session(&session, &options, progress, &environment.cancel);
    locks.release();
    report
}

#[test]
fn whoever_only_looks_sees_which_copy_hangs() {
    let mut fixture = fixture();
    fixture.backup();
    hang_at(
        &mut fixture,
        "two",
        hang(&[Op::List]).of(FileType::Snapshots),
    );
    let session: Session = fixture.open();
    assert_eq!(session.ready().count(), 2);
    let CopyState::Failed(failure) = &session.copies[1].state else {
        panic!("{session:?}");
    };
    assert_hung(failure);
}

#[test]
fn a_repository_whose_first_copy_hangs_is_opened_from_another() {
    let mut fixture = fixture();
    hang_at(&mut fixture, "one", hang(&[Op::Read]).of(FileType::Keys));
    let report = fixture.backup();
    assert!(matches!(outcome(&report, "one"), CopyOutcome::Failed(_)));
    assert_eq!(outcome(&report, "two"), &CopyOutcome::Whole);
}
