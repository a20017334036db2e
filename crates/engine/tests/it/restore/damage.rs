//! What is wrong with the copies, and what is restored all the same.

use std::collections::BTreeSet;
use std::path::PathBuf;

use strongroom_engine::Error;
use strongroom_engine::restore::RestoreOptions;
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::blob::BlobKind;
use strongroom_repo::pack;
use strongroom_store::LocalStore;
use strongroom_testkit::tree::{TreeSpec, compare};
use strongroom_testkit::{Fault, FaultyStore, Op, Rule};

use crate::damage::{DAMAGES, Damage};
use crate::fixture::Fixture;
use crate::restore::{Target, assert_no_temporary_files, restore_only};

fn fixture() -> Fixture {
    let fixture = Fixture::new();
    TreeSpec {
        big_files_bytes: vec![3 << 20, 12 << 20],
        ..TreeSpec::small(30)
    }
    .build(&fixture.source().join("tree"));
    assert!(fixture.backup().is_complete());
    fixture
}

/// The packs of a copy that hold blobs of a kind.
pub(crate) fn packs(fixture: &Fixture, kind: BlobKind) -> Vec<Id> {
    let store = LocalStore::new(fixture.copy_path("three"));
    let mut ids = fixture.ids("three", FileType::Data);
    ids.retain(|id| {
        let size = strongroom_store::Store::size(&store, FileName::new(FileType::Data, *id));
        let blobs = pack::read_header(&store, &fixture.key, *id, size.unwrap()).unwrap();
        blobs[0].blob.kind == kind
    });
    ids
}

fn path(fixture: &Fixture, copy: &str, kind: FileType, id: Id) -> PathBuf {
    let hex = id.to_string();
    let folder = fixture.copy_path(copy).join(kind.folder());
    match kind {
        FileType::Data => folder.join(&hex[..2]).join(hex),
        _ => folder.join(hex),
    }
}

#[test]
fn a_pack_that_is_damaged_on_one_copy_comes_from_another() {
    for kind in [BlobKind::Data, BlobKind::Tree] {
        for damage in DAMAGES {
            let fixture = fixture();
            let damaged = packs(&fixture, kind);
            for id in &damaged {
                damage.strike(&path(&fixture, "one", FileType::Data, *id));
            }
            let target = Target::new(&fixture);
            let report = restore_only(&fixture, &target, &RestoreOptions::default()).unwrap();
            assert!(report.is_complete(), "{kind:?} {damage:?} {report:?}");
            target.assert_same();
            let named: BTreeSet<_> = report.damaged.iter().map(|one| one.pack).collect();
            assert!(named.iter().all(|pack| damaged.contains(pack)));
            assert!(report.damaged.iter().all(|one| one.copy == "one"));
            // What follows the end of a pack is found by a verify and harms no restore.
            let is_seen = !matches!(damage, Damage::Append);
            assert_eq!(!named.is_empty(), is_seen, "{kind:?} {damage:?} {report:?}");
        }
    }
}

#[test]
fn a_blob_that_no_copy_has_whole_costs_only_the_files_that_need_it() {
    for damage in DAMAGES {
        let fixture = fixture();
        let damaged = packs(&fixture, BlobKind::Data)[0];
        for copy in ["one", "two", "three"] {
            damage.strike(&path(&fixture, copy, FileType::Data, damaged));
        }
        let target = Target::new(&fixture);
        let options = RestoreOptions {
            verify: true,
            ..RestoreOptions::default()
        };
        let report = restore_only(&fixture, &target, &options).unwrap();
        assert_no_temporary_files(&target.path());
        if matches!(damage, Damage::Append) {
            assert!(report.is_complete(), "{report:?}");
            continue;
        }
        assert!(!report.is_complete());
        assert!(report.error_count > 0);
        let mut missing: Vec<_> = compare(&fixture.source(), &target.source())
            .into_iter()
            .map(|one| {
                assert_eq!(one.what, "missing", "{damage:?} {one:?}");
                fixture.source().join(one.path).to_str().unwrap().to_owned()
            })
            .collect();
        missing.sort();
        let named: Vec<_> = report.errors.iter().map(|one| one.path.clone()).collect();
        assert_eq!(named, missing, "{damage:?}");
        assert_eq!(report.error_count, missing.len() as u64);
        assert!(report.damaged.iter().all(|one| one.pack == damaged));
    }
}

#[test]
fn a_tree_that_no_copy_has_whole_costs_only_its_folder() {
    let fixture = fixture();
    let trees = packs(&fixture, BlobKind::Tree);
    for copy in ["one", "two", "three"] {
        Damage::Flip.strike(&path(&fixture, copy, FileType::Data, trees[0]));
    }
    let target = Target::new(&fixture);
    let report = restore_only(&fixture, &target, &RestoreOptions::default()).unwrap();
    assert_eq!(report.error_count, 1, "{report:?}");
    assert!(report.errors[0].message.contains("What this folder holds"));
    assert_eq!(report.damaged.len(), 3);
    // The folder is there, and all that lies beside it.
    let source = fixture.source();
    let lost = PathBuf::from(&report.errors[0].path);
    let lost = lost.strip_prefix(&source).unwrap();
    for difference in compare(&source, &target.source()) {
        assert!(difference.path.starts_with(lost) && difference.path != lost);
    }
}

#[test]
fn a_damaged_snapshot_or_index_comes_from_another_copy() {
    for kind in [FileType::Snapshots, FileType::Index] {
        for damage in DAMAGES {
            let fixture = fixture();
            for id in fixture.ids("one", kind) {
                damage.strike(&path(&fixture, "one", kind, id));
            }
            let target = Target::new(&fixture);
            let report = restore_only(&fixture, &target, &RestoreOptions::default()).unwrap();
            assert!(report.is_complete(), "{kind:?} {damage:?} {report:?}");
            target.assert_same();
            let is_listed = !matches!(damage, Damage::Delete);
            assert_eq!(
                !report.notes.is_empty(),
                is_listed,
                "{kind:?} {damage:?} {report:?}"
            );
        }
    }
}

#[test]
fn without_any_index_the_packs_say_themselves_what_is_in_them() {
    for damage in DAMAGES {
        let fixture = fixture();
        for copy in ["one", "two", "three"] {
            for id in fixture.ids(copy, FileType::Index) {
                damage.strike(&path(&fixture, copy, FileType::Index, id));
            }
        }
        let target = Target::new(&fixture);
        let report = restore_only(&fixture, &target, &RestoreOptions::default()).unwrap();
        assert!(report.is_complete(), "{damage:?} {report:?}");
        target.assert_same();
    }
}

#[test]
fn a_copy_that_does_not_answer_for_a_moment_costs_nothing() {
    for copies in [1, 3] {
        let mut fixture = fixture();
        fixture.copies.truncate(copies);
        let faulty = fixture.wrap("one", FaultyStore::new);
        for nth in 1..8 {
            faulty.heal();
            let rule = Rule::on(&[Op::ReadRange], Fault::Unreachable);
            faulty.add(rule.of(FileType::Data).nth(nth));
            let target = Target::new(&fixture);
            let report = restore_only(&fixture, &target, &RestoreOptions::default()).unwrap();
            assert!(report.is_complete(), "{nth} {report:?}");
            target.assert_same();
            assert_eq!(report.notes.len(), 1, "{report:?}");
            assert!(report.damaged.is_empty());
        }
    }
}

#[test]
fn a_copy_that_gives_wrong_bytes_now_and_then_is_read_around() {
    let mut fixture = fixture();
    let faulty = fixture.wrap("one", FaultyStore::new);
    for fault in [Fault::FlipBit(1000), Fault::ShortRead(10), Fault::NotFound] {
        faulty.heal();
        let rule = Rule::on(&[Op::ReadRange], fault);
        faulty.add(rule.of(FileType::Data).after(2).times(4));
        let target = Target::new(&fixture);
        let report = restore_only(&fixture, &target, &RestoreOptions::default()).unwrap();
        assert!(report.is_complete(), "{report:?}");
        target.assert_same();
        assert!(!report.damaged.is_empty());
    }
}

#[test]
fn a_restore_whose_copies_all_go_away_ends_with_their_names() {
    let mut fixture = fixture();
    fixture.copies.truncate(1);
    let faulty = fixture.wrap("one", FaultyStore::new);
    let rule = Rule::on(&[Op::ReadRange], Fault::Unreachable);
    faulty.add(rule.of(FileType::Data).after(6));
    let target = Target::new(&fixture);
    let error = restore_only(&fixture, &target, &RestoreOptions::default()).unwrap_err();
    let Error::NoCopy { reasons } = error else {
        panic!("{error}")
    };
    assert!(reasons[0].starts_with("one: "), "{reasons:?}");
    assert_no_temporary_files(&target.path());
}

#[test]
fn a_copy_that_takes_no_locks_is_read_without_one() {
    let mut fixture = fixture();
    for copy in ["one", "two", "three"] {
        let faulty = fixture.wrap(copy, FaultyStore::new);
        faulty.add(Rule::on(&Op::WRITES, Fault::Denied).of(FileType::Locks));
    }
    let target = Target::new(&fixture);
    let report = restore_only(&fixture, &target, &RestoreOptions::default()).unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.notes.len(), 3);
    assert!(report.notes[0].starts_with("one is read without a lock"));
    target.assert_same();
}
