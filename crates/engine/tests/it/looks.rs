//! Copies that make the first look at them last for ever, or cost requests without end.
//!
//! What hangs here hangs until the test's process ends: no store gives it up before the look does.

use std::time::Duration;

use strongroom_engine::backup::report::CopyOutcome;
use strongroom_engine::session::{Locks, OwnLocks, read_locks};
use strongroom_engine::unlock::{Which, unlock};
use strongroom_engine::verify::{Depth, VerifyOptions, verify};
use strongroom_engine::{CopyFailure, Error};
use strongroom_model::{FileType, Id};
use strongroom_testkit::{Fault, FaultyStore, Gate, Op, RecordingStore, Rule};

use crate::fixture::{Fixture, outcome};

/// Long enough for the sound copies on a busy machine.
const LONGEST: Duration = Duration::from_secs(3);

/// A fixture with something to back up, in which a copy never answers what the rule says.
fn hanging(copy: &str, op: Op, kind: FileType) -> Fixture {
    let mut fixture = Fixture::new();
    std::fs::write(fixture.source().join("file"), "text").unwrap();
    let rule = Rule::on(&[op], Fault::Wait(Gate::closed())).of(kind);
    fixture.wrap(copy, |store| FaultyStore::new(store).with(rule));
    fixture
}

#[track_caller]
fn assert_backup_goes_on_without_two(fixture: &Fixture) -> CopyFailure {
    let report = fixture.backup();
    assert_eq!(outcome(&report, "one"), &CopyOutcome::Whole);
    assert_eq!(outcome(&report, "three"), &CopyOutcome::Whole);
    assert!(!report.is_complete());
    match outcome(&report, "two") {
        CopyOutcome::Failed(failure) => failure.clone(),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn assert_backup_goes_on_in_time(mut fixture: Fixture) {
    fixture.looking.longest = LONGEST;
    let failure = assert_backup_goes_on_without_two(&fixture);
    let reason = &failure.reason;
    assert!(reason.contains("took longer than 3 s to list"), "{reason}");
    assert!(failure.hint.unwrap().contains("strongroom.toml"));
}

#[test]
fn a_backup_goes_on_without_a_copy_whose_listing_never_ends() {
    assert_backup_goes_on_in_time(hanging("two", Op::List, FileType::Keys));
}

#[test]
fn a_backup_goes_on_without_a_copy_whose_config_never_comes() {
    assert_backup_goes_on_in_time(hanging("two", Op::Read, FileType::Config));
}

#[test]
fn a_backup_goes_on_without_a_copy_whose_locks_never_come() {
    let fixture = hanging("two", Op::Read, FileType::Locks);
    add_junk_locks(&fixture, 1);
    assert_backup_goes_on_in_time(fixture);
}

#[test]
fn a_repository_is_opened_with_the_second_copy_where_the_first_never_ends() {
    let mut fixture = hanging("one", Op::List, FileType::Keys);
    fixture.looking.longest = LONGEST;
    assert_eq!(fixture.open().ready().count(), 2);
}

#[test]
fn one_interruption_ends_the_wait_for_a_copy_that_never_ends() {
    let fixture = hanging("one", Op::List, FileType::Data);
    let options = VerifyOptions::default();
    let cancel = fixture.looking.cancel.clone();
    cancel.cancel();
    let error = fixture.backup_of(&fixture.folder_source()).unwrap_err();
    assert!(matches!(error, Error::Interrupted), "{error:?}");
    let (copies, progress) = (&fixture.copies, &fixture.progress);
    let error = verify(copies, Depth::Stored, &options, progress, &cancel).unwrap_err();
    assert!(matches!(error, Error::Interrupted), "{error:?}");
}

#[test]
fn one_interruption_ends_the_wait_for_locks_and_leaves_none() {
    let fixture = hanging("two", Op::Read, FileType::Locks);
    add_junk_locks(&fixture, 1);
    let mut session = fixture.open();
    session.looking.cancel.cancel();
    fixture.environment.cancel.cancel();
    let error = Locks::acquire(&mut session, &fixture.environment, false).unwrap_err();
    assert!(matches!(error, Error::Interrupted), "{error:?}");
    assert_eq!(fixture.ids("one", FileType::Locks), []);
    assert_eq!(fixture.ids("two", FileType::Locks).len(), 1);
}

#[test]
fn an_interruption_ends_the_reading_of_locks_between_two() {
    let fixture = hanging("two", Op::Read, FileType::Locks);
    add_junk_locks(&fixture, 2);
    fixture.environment.cancel.cancel();
    let store = fixture.copies[1].store.as_ref();
    // The first read would hang.
    assert!(
        read_locks(
            store,
            &fixture.key,
            &OwnLocks::default(),
            &fixture.environment,
            2
        )
        .is_err()
    );
}

#[test]
fn a_copy_full_of_junk_locks_is_left_out_until_they_are_removed() {
    let fixture = Fixture::new();
    std::fs::write(fixture.source().join("file"), "text").unwrap();
    add_junk_locks(&fixture, 1001);
    let failure = assert_backup_goes_on_without_two(&fixture);
    assert!(failure.reason.contains("holds 1001 locks"), "{failure:?}");
    let hint = failure.hint.unwrap();
    assert!(hint.contains("strongroom unlock --all"), "{hint}");
    let report = unlock(&fixture.open(), &fixture.environment, Which::All).unwrap();
    assert_eq!(report.removed_unread, [("two".to_owned(), 1001)].into());
    assert_eq!(report.failures, []);
    assert_eq!(fixture.ids("two", FileType::Locks), []);
    let report = fixture.backup();
    assert!(!matches!(outcome(&report, "two"), CopyOutcome::Failed(_)));
}

#[test]
fn more_lock_files_than_a_listing_may_name_go_unread_and_several_at_a_time() {
    let mut fixture = Fixture::new();
    let count = 100_001;
    add_junk_locks(&fixture, count);
    let recorded = fixture.wrap("two", RecordingStore::new);
    let gate = Gate::closed();
    let rule = Rule::on(&[Op::Remove], Fault::Wait(gate.clone())).of(FileType::Locks);
    fixture.wrap("two", |store| FaultyStore::new(store).with(rule));
    let session = fixture.open();
    let report = unlock(&session, &fixture.environment, Which::Dead).unwrap();
    let [(copy, failure)] = report.failures.as_slice() else {
        panic!("{report:?}");
    };
    assert_eq!(copy, "two");
    let hint = failure.hint.as_ref().unwrap();
    assert!(hint.contains("strongroom unlock --all"), "{hint}");

    let report = std::thread::scope(|scope| {
        let unlocking = scope.spawn(|| unlock(&session, &fixture.environment, Which::All));
        gate.wait_for_waiting(2);
        gate.open();
        unlocking.join().unwrap().unwrap()
    });
    assert_eq!(report.failures, []);
    let removed = [("two".to_owned(), u64::from(count))];
    assert_eq!(report.removed_unread, removed.into());
    assert_eq!(recorded.tally(&Op::READS, FileType::Locks).calls, 0);
    assert_eq!(fixture.ids("two", FileType::Locks), []);
}

#[test]
fn lock_files_that_cannot_be_removed_are_told_and_hold_up_no_other_copy() {
    let mut fixture = Fixture::new();
    add_junk(&fixture, "one", "locks", 3);
    add_junk_locks(&fixture, 300);
    let rule = Rule::on(&[Op::Remove], Fault::Denied).of(FileType::Locks);
    fixture.wrap("two", |store| FaultyStore::new(store).with(rule));
    let report = unlock(&fixture.open(), &fixture.environment, Which::All).unwrap();
    assert_eq!(report.removed_unread, [("one".to_owned(), 3)].into());
    let failed: Vec<&String> = report.failures.iter().map(|(copy, _)| copy).collect();
    assert_eq!(failed, ["two"]);
    assert_eq!(fixture.ids("two", FileType::Locks).len(), 300);
}

#[test]
fn a_lead_that_lists_snapshots_without_end_is_not_asked_for_all() {
    let mut fixture = Fixture::new();
    std::fs::write(fixture.source().join("file"), "text").unwrap();
    fixture.backup();
    add_junk(&fixture, "one", "snapshots", 500);
    let store = fixture.wrap("one", RecordingStore::new);
    fixture.backup();
    let asked = store.tally(&[Op::Read], FileType::Snapshots).calls;
    assert!((1..50).contains(&asked), "{asked}");
}

/// Puts locks that nobody wrote on the second copy.
fn add_junk_locks(fixture: &Fixture, count: u32) {
    add_junk(fixture, "two", "locks", count);
}

fn add_junk(fixture: &Fixture, copy: &str, folder: &str, count: u32) {
    let folder = fixture.copy_path(copy).join(folder);
    for number in 0..count {
        let name = Id::of(&number.to_le_bytes()).to_string();
        std::fs::write(folder.join(name), "junk").unwrap();
    }
}
