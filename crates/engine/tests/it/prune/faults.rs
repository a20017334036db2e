//! Whatever fails, and whenever: what is left is sound on every copy, and the next prune ends it.

use std::process::Command;
use std::sync::Arc;

use strongroom_store::Store;
use strongroom_testkit::programs::restic_versions;
use strongroom_testkit::tree::compare;
use strongroom_testkit::{Fault, FaultyStore, Op, Rule};

use crate::fixture::{Fixture, PASSWORD, is_thorough, run_restic};
use crate::prune::{ALL, assert_identical, half_needed, try_prune};

const CALLS: [Op; 9] = [
    Op::Identity,
    Op::List,
    Op::Size,
    Op::Open,
    Op::Read,
    Op::ReadRange,
    Op::Save,
    Op::Replace,
    Op::Remove,
];

/// What changes something, which is where a death matters.
const CHANGES: [Op; 3] = [Op::Save, Op::Replace, Op::Remove];

/// A place for experiments, to which a sound one is copied again and again.
fn copied(from: &Fixture) -> Fixture {
    let fixture = Fixture::new();
    let to = fixture.folder.path();
    for name in ALL {
        std::fs::remove_dir_all(to.join(name)).unwrap();
        let status = Command::new("cp")
            .arg("-a")
            .arg(from.folder.path().join(name))
            .arg(to)
            .status();
        assert!(status.unwrap().success());
    }
    fixture
}

/// Asserts that a copy is sound as it lies there, whatever locks are left.
fn assert_sound(fixture: &Fixture, copy: &str) {
    let newest = restic_versions().pop().unwrap();
    let check = ["check", "--read-data", "--no-lock"];
    run_restic(&newest, &fixture.copy_path(copy), PASSWORD, &check);
}

/// The locks of a process that has not died, for it is this one.
fn remove_locks(fixture: &Fixture) {
    for copy in ALL {
        let locks = fixture.copy_path(copy).join("locks");
        std::fs::remove_dir_all(&locks).unwrap();
        std::fs::create_dir(&locks).unwrap();
    }
}

/// Asserts that every copy is sound, and that the next prune leaves what the sound one holds.
fn assert_ends_well(fixture: &Fixture, sound: &Fixture, what: &str) {
    for copy in ALL {
        assert_sound(fixture, copy);
    }
    remove_locks(fixture);
    let report = try_prune(fixture).unwrap();
    assert!(report.is_complete(), "{what}: {report:?}");
    assert_identical(fixture, &ALL);
    assert_sound(fixture, "one");
    let target = tempfile::tempdir().unwrap();
    let to = target.path().to_str().unwrap();
    let restore = ["restore", "latest", "--no-lock", "--target", to];
    let newest = restic_versions().pop().unwrap();
    run_restic(&newest, &fixture.copy_path("two"), PASSWORD, &restore);
    let source = sound.source();
    let restored = target.path().join(source.strip_prefix("/").unwrap());
    assert_eq!(compare(&source, &restored), [], "{what}");
}

#[test]
fn one_copy_that_fails_at_any_call_is_left_sound() {
    let (sound, _) = half_needed();
    let all = match is_thorough() {
        true => &[0, 8, 14, 20, 26, 32, 40, 50][..],
        false => &[0, 14, 26, 40],
    };
    for &skipped in all {
        let mut fixture = copied(&sound);
        let two: Arc<FaultyStore<Arc<dyn Store>>> = fixture.wrap("two", FaultyStore::new);
        two.add(Rule::on(&CALLS, Fault::Unreachable).after(skipped));
        // Whether it fails as a whole is no matter here.
        let outcome = try_prune(&fixture);
        if let Ok(report) = outcome {
            assert!(report.copies.iter().any(|copy| copy.name == "two"));
        }
        two.heal();
        assert_ends_well(&fixture, &sound, &format!("after {skipped} calls"));
    }
}

#[test]
fn a_prune_that_dies_with_any_change_leaves_every_copy_sound() {
    let (sound, _) = half_needed();
    for changes in [0, 1, 2, 3, 4, 5, 7] {
        let both = [Fault::Crash, Fault::CrashAfter];
        // Short of time, the one or the other by turns.
        let some = match is_thorough() {
            true => &both[..],
            false => &both[changes as usize % 2..][..1],
        };
        for fault in some {
            let mut fixture = copied(&sound);
            let places = ALL.map(|copy| fixture.wrap(copy, FaultyStore::new));
            for place in &places {
                place.add(Rule::on(&CHANGES, fault.clone()).after(changes));
            }
            let what = format!(
                "{fault:?} after {changes} changes: {:?}",
                try_prune(&fixture)
            );
            places.iter().for_each(|place| place.heal());
            assert_ends_well(&fixture, &sound, &what);
        }
    }
}
