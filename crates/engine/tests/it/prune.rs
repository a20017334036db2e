//! What no snapshot needs goes from every copy, and nothing else does.

mod anew;
mod claims;
mod copies;
mod faults;
mod hidden;
mod once;
mod order;
mod refusals;

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use strongroom_engine::prune::{PruneOptions, PruneReport, PrunedOutcome, prune};
use strongroom_engine::receipts::Receipts;
use strongroom_engine::removals::annul;
use strongroom_engine::session::{self, CopyStore, Session};
use strongroom_engine::state::StateFolder;
use strongroom_engine::{Error, Result};
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::record::{Record, Removal, RemovedBy};
use strongroom_store::{LocalStore, Store};
use strongroom_testkit::contract::noise;
use strongroom_testkit::programs::restic_versions;
use strongroom_testkit::tree::compare;

use crate::fixture::{Fixture, PASSWORD, run_restic};
use crate::golden::{golden, open_at_once};

pub(crate) const ALL: [&str; 3] = ["one", "two", "three"];

/// The bytes of one of the files that do not compress.
const FILE_BYTES: usize = 700_000;

pub(crate) fn state(fixture: &Fixture) -> StateFolder {
    StateFolder::new(fixture.folder.path().join("state"))
}

pub(crate) fn open_copies(fixture: &Fixture, copies: &[CopyStore], password: &str) -> Session {
    let now = (fixture.environment.clock)();
    let (looking, state) = (&fixture.looking, state(fixture));
    session::open_remembering(copies, password.as_bytes(), looking, &state, now).unwrap()
}

pub(crate) fn open(fixture: &Fixture) -> Session {
    open_copies(fixture, &fixture.copies, PASSWORD)
}

pub(crate) fn prune_session(
    fixture: &Fixture,
    session: &mut Session,
    options: &PruneOptions,
) -> Result<PruneReport> {
    let memory = state(fixture).repository(session.id());
    let client = state(fixture).find_client_key().unwrap();
    let receipts = client.as_ref().map(|client| Receipts::new(&memory, client));
    let (environment, progress) = (&fixture.environment, &fixture.progress);
    prune(session, &memory, receipts, options, environment, progress)
}

pub(crate) fn try_prune(fixture: &Fixture) -> Result<PruneReport> {
    prune_session(fixture, &mut open(fixture), &PruneOptions::default())
}

/// Writes files that do not compress.
pub(crate) fn write_files(fixture: &Fixture, numbers: Range<u64>) {
    for number in numbers {
        let bytes = noise(number, FILE_BYTES);
        fs::write(fixture.source().join(format!("noise-{number}")), bytes).unwrap();
    }
}

pub(crate) fn remove_files(fixture: &Fixture, numbers: Range<u64>) {
    for number in numbers {
        fs::remove_file(fixture.source().join(format!("noise-{number}"))).unwrap();
    }
}

/// Removes a snapshot from every copy, as somebody else's forget does.
pub(crate) fn forget(fixture: &Fixture, snapshot: Id) {
    for copy in ALL {
        let store = LocalStore::new(fixture.copy_path(copy));
        let name = FileName::new(FileType::Snapshots, snapshot);
        store.remove(name).unwrap();
    }
}

/// Of two snapshots the first is forgotten: half of the files are needed, and lie in packs with the
/// others.
pub(crate) fn half_needed() -> (Fixture, Id) {
    let fixture = Fixture::new();
    write_files(&fixture, 0..12);
    let first = fixture.backup().sources[0].snapshot.unwrap();
    remove_files(&fixture, 0..6);
    fixture.backup();
    forget(&fixture, first);
    (fixture, first)
}

pub(crate) fn stored_bytes(fixture: &Fixture, copy: &str) -> u64 {
    let store = LocalStore::new(fixture.copy_path(copy));
    let packs = store.list(FileType::Data).unwrap();
    packs.iter().map(|entry| entry.size_bytes).sum()
}

/// Asserts that these copies hold the same files of the repository, byte for byte.
pub(crate) fn assert_identical(fixture: &Fixture, copies: &[&str]) {
    let stores: Vec<_> = copies
        .iter()
        .map(|copy| LocalStore::new(fixture.copy_path(copy)))
        .collect();
    let (first, others) = stores.split_first().unwrap();
    for kind in FileType::SYNCED {
        let mut listed = first.list(kind).unwrap();
        listed.sort_unstable();
        for other in others {
            let mut there = other.list(kind).unwrap();
            there.sort_unstable();
            assert_eq!(listed, there, "{kind:?} in {}", other.location());
            for entry in &listed {
                let name = FileName::new(kind, entry.id);
                assert!(
                    first.read(name).unwrap() == other.read(name).unwrap(),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn what_no_snapshot_needs_goes_and_the_rest_restores_from_every_copy() {
    let (fixture, _) = half_needed();
    let before = stored_bytes(&fixture, "one");
    let mut session = open(&fixture);
    let dry = PruneOptions {
        dry_run: true,
        ..PruneOptions::default()
    };
    let planned = prune_session(&fixture, &mut session, &dry).unwrap();
    assert_eq!(stored_bytes(&fixture, "one"), before);
    assert!(fixture.ids("one", FileType::Locks).is_empty());
    assert!(
        planned.repacked.files > 0 && planned.index.files > 0,
        "{planned:?}"
    );
    assert!(planned.records.is_empty());

    let report = try_prune(&fixture).unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.repacked, planned.repacked);
    assert_eq!((report.snapshots, report.records.len()), (1, 1));
    let freed = before - stored_bytes(&fixture, "one");
    assert!(freed > 6 * FILE_BYTES as u64, "{freed}");
    // Index files count in what is freed.
    let told = report.frees_bytes();
    assert!(told.abs_diff(freed) < 100_000, "{told} and {freed}");
    for copy in &report.copies {
        let PrunedOutcome::Pruned(finished) = &copy.outcome else {
            panic!("{copy:?}");
        };
        let goes = report.goes();
        assert_eq!(
            (finished.removed, finished.freed_bytes),
            (goes.files, goes.bytes)
        );
        assert!(fixture.ids(&copy.name, FileType::Locks).is_empty());
    }
    assert_identical(&fixture, &ALL);
    fixture.check_all();
    ALL.iter()
        .for_each(|copy| fixture.assert_restic_restores(copy));

    let again = try_prune(&fixture).unwrap();
    assert!(again.is_complete() && again.records.is_empty(), "{again:?}");
    assert_eq!(again.goes().files, 0);
    // A backup goes on from there, and stores nothing twice.
    let report = fixture.backup();
    assert!(report.is_complete(), "{report:?}");
    fixture.check(&["two"]);
}

#[test]
fn all_goes_where_no_snapshot_is_left_and_the_repository_can_still_be_used() {
    let (fixture, _) = half_needed();
    let [last] = fixture.ids("one", FileType::Snapshots)[..] else {
        panic!("one is left");
    };
    forget(&fixture, last);
    let report = try_prune(&fixture).unwrap();
    assert!(report.is_complete(), "{report:?}");
    for copy in ALL {
        assert!(fixture.ids(copy, FileType::Data).is_empty());
        assert!(fixture.ids(copy, FileType::Index).is_empty());
        assert_eq!(fixture.ids(copy, FileType::Keys).len(), 1);
    }
    fixture.backup();
    fixture.check_all();
    fixture.assert_restic_restores("three");
}

#[test]
fn waste_within_bounds_stays_and_no_waste_is_what_one_asks_for() {
    let fixture = Fixture::new();
    write_files(&fixture, 0..20);
    let first = fixture.backup().sources[0].snapshot.unwrap();
    remove_files(&fixture, 0..1);
    fixture.backup();
    forget(&fixture, first);
    let prune = |max_unused_percent| {
        let options = PruneOptions {
            max_unused_percent,
            ..PruneOptions::default()
        };
        prune_session(&fixture, &mut open(&fixture), &options).unwrap()
    };
    let lax = prune(25.0);
    assert!(lax.waste_left_bytes >= FILE_BYTES as u64, "{lax:?}");
    let strict = prune(0.0);
    assert_eq!(strict.waste_left_bytes, 0);
    assert!(strict.repacked.files > 0, "{strict:?}");
    assert_identical(&fixture, &ALL);
    fixture.check_all();
    fixture.assert_restic_restores("two");
}

#[test]
fn what_a_killed_run_left_goes_and_small_index_files_are_joined() {
    let fixture = Fixture::new();
    for number in 0..20 {
        write_files(&fixture, number..number + 1);
        fixture.backup();
    }
    assert!(fixture.ids("one", FileType::Index).len() >= 20);
    // A pack without an index, on one copy alone.
    let bytes = noise(99, 1000);
    let garbage = FileName::new(FileType::Data, Id::of(&bytes));
    LocalStore::new(fixture.copy_path("two"))
        .save(garbage, &bytes)
        .unwrap();
    let report = try_prune(&fixture).unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!((report.unindexed.files, report.unindexed.bytes), (1, 1000));
    assert_eq!((report.unused.files, report.snapshots), (0, 20));
    assert!(fixture.ids("one", FileType::Index).len() <= 2);
    assert_identical(&fixture, &ALL);
    fixture.check_all();
    fixture.assert_restic_restores("one");
}

#[test]
fn what_a_snapshot_needs_that_somebody_else_hides_is_there_when_that_is_taken_back() {
    let (fixture, _) = half_needed();
    let now = (fixture.environment.clock)();
    let forged = Record::Removal(Removal {
        at: now,
        host: "elsewhere".to_owned(),
        by: RemovedBy::Forget,
        snapshots: fixture
            .ids("one", FileType::Snapshots)
            .into_iter()
            .collect(),
        index: BTreeSet::new(),
        data: BTreeSet::new(),
        stays: BTreeSet::new(),
    });
    let (record, bytes) = forged.seal(&fixture.key).unwrap();
    let name = FileName::new(FileType::Records, record);
    let store = LocalStore::new(fixture.copy_path("one"));
    store.save(name, &bytes).unwrap();
    let report = try_prune(&fixture).unwrap();
    assert_eq!(report.snapshots, 0, "{report:?}");
    for copy in ALL {
        assert_eq!(fixture.ids(copy, FileType::Snapshots).len(), 1);
    }
    fixture.check_all();

    let mut session = open(&fixture);
    let memory = state(&fixture).repository(session.id());
    annul(&mut session, &memory, record, now, "testhost").unwrap();
    let report = try_prune(&fixture).unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.snapshots, 1);
    assert_identical(&fixture, &ALL);
    fixture.check_all();
    fixture.assert_restic_restores("two");
}

/// Puts a record of another machine on a copy that names all files of these types.
fn forge(fixture: &Fixture, kinds: &[FileType]) -> Id {
    let of = |kind: FileType| -> BTreeSet<Id> {
        let ids = fixture.ids("one", kind).into_iter();
        ids.filter(|_| kinds.contains(&kind)).collect()
    };
    let forged = Record::Removal(Removal {
        at: (fixture.environment.clock)(),
        host: "elsewhere".to_owned(),
        by: RemovedBy::Prune,
        snapshots: of(FileType::Snapshots),
        index: of(FileType::Index),
        data: of(FileType::Data),
        stays: BTreeSet::new(),
    });
    let (record, bytes) = forged.seal(&fixture.key).unwrap();
    let store = LocalStore::new(fixture.copy_path("one"));
    let name = FileName::new(FileType::Records, record);
    store.save(name, &bytes).unwrap();
    record
}

#[test]
fn a_prune_takes_no_part_in_what_somebody_else_removes_and_may_take_back() {
    use FileType::{Data, Index, Snapshots};
    for kinds in [
        &[Snapshots, Index, Data][..],
        &[Snapshots, Index],
        &[Snapshots, Data],
        &[Data],
    ] {
        let (fixture, _) = half_needed();
        let record = forge(&fixture, kinds);
        let error = try_prune(&fixture).unwrap_err();
        assert!(matches!(error, Error::NotPruned { .. }), "{error}");
        assert!(error.to_string().contains(&record.to_string()), "{error}");
        // The one record is theirs: there is none of our own.
        let session = open(&fixture);
        assert_eq!(session.removals.records().count(), 1);
        fixture.check_all();

        let (mut session, now) = (open(&fixture), (fixture.environment.clock)());
        let memory = state(&fixture).repository(session.id());
        annul(&mut session, &memory, record, now, "testhost").unwrap();
        let report = try_prune(&fixture).unwrap();
        assert!(report.is_complete(), "{report:?}");
        assert_eq!(report.snapshots, 1);
        assert_identical(&fixture, &ALL);
        fixture.check_all();
        fixture.assert_restic_restores("two");
    }
}

#[test]
fn nothing_is_pruned_while_a_snapshot_is_gone_whose_removal_may_be_taken_back() {
    let (fixture, _) = half_needed();
    let snapshot = fixture.ids("one", FileType::Snapshots)[0];
    let name = FileName::new(FileType::Snapshots, snapshot);
    let kept = LocalStore::new(fixture.copy_path("one"))
        .read(name)
        .unwrap();
    let record = forge(&fixture, &[FileType::Snapshots]);
    forget(&fixture, snapshot);
    let before = fixture.ids("one", FileType::Data);
    let error = try_prune(&fixture).unwrap_err();
    assert!(matches!(error, Error::NotPruned { .. }), "{error}");
    assert!(error.to_string().contains(&snapshot.short()), "{error}");
    // Where that machine removes each day, there is always one that is not due.
    let hint = error.hint().unwrap();
    for next in ["removals --accept RECORD", "removals --trust MACHINE"] {
        assert!(hint.contains(next), "{hint}");
    }
    assert_eq!(fixture.ids("one", FileType::Data), before);

    for copy in ALL {
        let store = LocalStore::new(fixture.copy_path(copy));
        store.save(name, &kept).unwrap();
    }
    let (mut session, now) = (open(&fixture), (fixture.environment.clock)());
    let memory = state(&fixture).repository(session.id());
    annul(&mut session, &memory, record, now, "testhost").unwrap();
    assert!(try_prune(&fixture).unwrap().is_complete());
    fixture.check_all();
    fixture.assert_restic_restores("two");
}

/// What a restic restores of a snapshot.
fn restored(repository: &Path, snapshot: &str) -> tempfile::TempDir {
    let target = tempfile::tempdir().unwrap();
    let to = target.path().to_str().unwrap();
    let restore = ["restore", snapshot, "--target", to];
    let newest = restic_versions().pop().unwrap();
    run_restic(&newest, repository, "golden", &restore);
    target
}

#[test]
fn repositories_of_restic_and_rustic_are_pruned_and_restore_as_before() {
    for name in [
        "restic-0.14-v1",
        "restic-0.14-v2",
        "restic-0.18-v2",
        "rustic-0.11-v2",
    ] {
        let fixture = Fixture::new();
        let repository = fixture.folder.path().join("golden");
        golden(name, &repository);
        open_at_once(&repository);
        let store = Arc::new(LocalStore::new(&repository));
        let copies = [CopyStore {
            name: "golden".to_owned(),
            store: store.clone(),
            is_local: true,
        }];
        let mut snapshots = store.list(FileType::Snapshots).unwrap();
        snapshots.sort_unstable();
        let kept = snapshots.pop().unwrap().id;
        for gone in &snapshots {
            store
                .remove(FileName::new(FileType::Snapshots, gone.id))
                .unwrap();
        }
        let before = restored(&repository, &kept.to_string());
        for compress in [false, true] {
            let options = PruneOptions {
                max_unused_percent: 0.0,
                repack_uncompressed: compress,
                repack_small: compress,
                ..PruneOptions::default()
            };
            let mut session = open_copies(&fixture, &copies, "golden");
            let report = prune_session(&fixture, &mut session, &options).unwrap();
            assert!(report.is_complete(), "{name}: {report:?}");
            assert_eq!(report.waste_left_bytes, 0, "{name}");
            for restic in restic_versions() {
                let check = ["check", "--read-data"];
                run_restic(&restic, &repository, "golden", &check);
            }
            let after = restored(&repository, &kept.to_string());
            // Not of the folders themselves, which were just made.
            for entry in fs::read_dir(before.path()).unwrap() {
                let path = entry.unwrap().path();
                let again = after.path().join(path.file_name().unwrap());
                assert_eq!(compare(&path, &again), [], "{name}");
            }
        }
    }
}
