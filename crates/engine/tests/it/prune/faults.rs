//! Whatever fails, and whenever: what is left is sound on every copy, and the next prune ends it.

use std::process::Command;
use std::sync::Arc;

use strongroom_model::FileType;
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

/// A kind of change that a prune makes on each copy. In this order they are made.
#[derive(Debug)]
struct Step {
    ops: &'static [Op],
    kind: FileType,
}

const PACK: Step = Step {
    ops: &Op::WRITES,
    kind: FileType::Data,
};
const INDEX: Step = Step {
    ops: &Op::WRITES,
    kind: FileType::Index,
};
const RECORD: Step = Step {
    ops: &Op::WRITES,
    kind: FileType::Records,
};
const INDEX_GOES: Step = Step {
    ops: &[Op::Remove],
    kind: FileType::Index,
};
const PACK_GOES: Step = Step {
    ops: &[Op::Remove],
    kind: FileType::Data,
};

impl Step {
    /// A fault on the first change of this kind.
    fn fails(&self, fault: Fault) -> Rule {
        Rule::on(self.ops, fault).of(self.kind)
    }
}

/// Asserts that some place has gone away, as with a step at which it should.
fn assert_struck(places: &[Arc<FaultyStore<Arc<dyn Store>>>], what: &str) {
    let mut listed = places.iter().map(|place| place.list(FileType::Keys));
    assert!(listed.any(|listed| listed.is_err()), "{what} never was");
}

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

/// Prunes while one copy fails, and asserts that all is well when it is back.
fn assert_outlives(sound: &Fixture, rule: Rule, is_step: bool) {
    let what = format!("{rule:?}");
    let mut fixture = copied(sound);
    let two: Arc<FaultyStore<Arc<dyn Store>>> = fixture.wrap("two", FaultyStore::new);
    two.add(rule);
    // Whether it fails as a whole is no matter here.
    let outcome = try_prune(&fixture);
    if let Ok(report) = outcome {
        assert!(report.copies.iter().any(|copy| copy.name == "two"));
    }
    if is_step {
        assert_struck(&[Arc::clone(&two)], &what);
    }
    two.heal();
    assert_ends_well(&fixture, sound, &what);
}

/// Lets a prune die, and asserts that all is well then.
fn assert_survives(sound: &Fixture, rule: &Rule, is_step: bool) {
    let mut fixture = copied(sound);
    let places = ALL.map(|copy| fixture.wrap(copy, FaultyStore::new));
    places.iter().for_each(|place| place.add(rule.clone()));
    let what = format!("{rule:?}: {:?}", try_prune(&fixture));
    if is_step {
        assert_struck(&places, &what);
    }
    places.iter().for_each(|place| place.heal());
    assert_ends_well(&fixture, sound, &what);
}

#[test]
fn one_copy_that_fails_at_any_call_is_left_sound() {
    let (sound, _) = half_needed();
    // It goes away with the first change of each kind, and stays away.
    for step in [PACK, INDEX, RECORD, INDEX_GOES, PACK_GOES] {
        assert_outlives(&sound, step.fails(Fault::Crash), true);
    }
    if !is_thorough() {
        return;
    }
    for skipped in [0, 8, 14, 20, 26, 32, 40, 50] {
        let rule = Rule::on(&CALLS, Fault::Unreachable).after(skipped);
        assert_outlives(&sound, rule, false);
    }
}

#[test]
fn a_prune_that_dies_with_any_change_leaves_every_copy_sound() {
    let (sound, _) = half_needed();
    // Where it dies behind one kind of change is mostly where it dies before the next.
    for (step, fault) in [
        (PACK, Fault::CrashAfter),
        (INDEX, Fault::Crash),
        (RECORD, Fault::Crash),
        (INDEX_GOES, Fault::Crash),
        (INDEX_GOES, Fault::CrashAfter),
        (PACK_GOES, Fault::CrashAfter),
    ] {
        assert_survives(&sound, &step.fails(fault), true);
    }
    if !is_thorough() {
        return;
    }
    for changes in [0, 1, 2, 3, 4, 5, 7] {
        for fault in [Fault::Crash, Fault::CrashAfter] {
            let rule = Rule::on(&CHANGES, fault).after(changes);
            assert_survives(&sound, &rule, false);
        }
    }
}
