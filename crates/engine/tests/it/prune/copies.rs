//! Copies that are away, slow or full: the others are pruned, and they finish later.

use strongroom_engine::prune::{PruneOptions, PrunedOutcome};
use strongroom_engine::removals::finish_alone;
use strongroom_engine::restore::RestoreOptions;
use strongroom_engine::session::Locks;
use strongroom_engine::sync::{SyncOptions, sync_session};
use strongroom_model::FileType;
use strongroom_store::{LocalStore, Store};
use strongroom_testkit::FaultyStore;

use crate::fixture::PASSWORD;
use crate::prune::{
    ALL, assert_identical, half_needed, open, open_copies, prune_session, stored_bytes, try_prune,
};
use crate::restore::{Target, restore_from};

#[test]
fn a_copy_that_was_away_gets_what_is_new_and_finishes_what_is_on_record() {
    let (mut fixture, _) = half_needed();
    let before = stored_bytes(&fixture, "three");
    let three = fixture.wrap("three", FaultyStore::new);
    three.set_unreachable(true);
    let report = try_prune(&fixture).unwrap();
    assert!(!report.is_complete());
    assert!(
        matches!(&report.copies[2].outcome, PrunedOutcome::Failed(_)),
        "{report:?}"
    );
    assert_eq!(report.away, ["three"]);
    assert_identical(&fixture, &["one", "two"]);
    assert_eq!(stored_bytes(&fixture, "three"), before);
    fixture.check_all();

    three.heal();
    // It is brought what stays, and nothing that went comes back to the others.
    let mut session = open(&fixture);
    let mut locks = Locks::acquire(&mut session, &fixture.environment, false).unwrap();
    let options = SyncOptions::default();
    let cancel = fixture.environment.cancel.clone();
    let synced = sync_session(&session, &options, &fixture.progress, &cancel);
    locks.release();
    assert!(synced.is_complete(), "{synced:?}");
    assert!(stored_bytes(&fixture, "one") < before);
    assert_identical(&fixture, &["one", "two"]);
    fixture.check_all();

    let report = try_prune(&fixture).unwrap();
    assert!(
        report.is_complete() && report.records.is_empty(),
        "{report:?}"
    );
    assert_identical(&fixture, &ALL);
    fixture.check_all();
    fixture.assert_restic_restores("three");
}

#[test]
fn a_copy_that_was_away_keeps_all_it_has_while_the_others_are_away() {
    let (mut fixture, _) = half_needed();
    let before = fixture.ids("three", FileType::Data);
    let three = fixture.wrap("three", FaultyStore::new);
    three.set_unreachable(true);
    assert!(!try_prune(&fixture).unwrap().is_complete());
    assert_ne!(fixture.ids("one", FileType::Data), before);

    // The record of this very machine knew of its snapshot, and that it would stay.
    three.heal();
    let session = open_copies(&fixture, &fixture.copies[2..], PASSWORD);
    let (environment, progress) = (&fixture.environment, &fixture.progress);
    let finished = finish_alone(&session, None, environment, progress).unwrap();
    let [told] = finished.as_slice() else {
        panic!("{finished:?}");
    };
    assert_eq!(told.removed, 0, "{told:?}");
    let failure = told.failure.as_ref().unwrap();
    assert!(failure.reason.contains("would not be whole"), "{failure:?}");
    assert_eq!(fixture.ids("three", FileType::Data), before);
    fixture.check(&["three"]);
    fixture.assert_restic_restores("three");

    // Nor is it kept from whoever restores from there.
    let target = Target::new(&fixture);
    let snapshot = fixture.ids("three", FileType::Snapshots)[0];
    let mut session = open_copies(&fixture, &fixture.copies[2..], PASSWORD);
    let (path, options) = (target.path(), RestoreOptions::default());
    let report = restore_from(&fixture, &mut session, snapshot, &path, &options).unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.damaged, []);
    target.assert_same();
}

#[test]
fn what_is_hidden_on_one_copy_and_gone_from_the_others_is_no_damage_there() {
    let (mut fixture, _) = half_needed();
    let three = fixture.wrap("three", FaultyStore::new);
    three.set_unreachable(true);
    try_prune(&fixture).unwrap();
    three.heal();
    let kept = fixture.ids("one", FileType::Data);
    let there = fixture.ids("three", FileType::Data);
    assert!(there.iter().any(|pack| !kept.contains(pack)), "{there:?}");
    // Of what came in its stead nothing is left.
    for copy in ["one", "two"] {
        for folder in ["data", "index"] {
            std::fs::remove_dir_all(fixture.copy_path(copy).join(folder)).unwrap();
            std::fs::create_dir(fixture.copy_path(copy).join(folder)).unwrap();
        }
    }
    let target = Target::new(&fixture);
    let snapshot = fixture.ids("one", FileType::Snapshots)[0];
    let mut session = open(&fixture);
    let (path, options) = (target.path(), RestoreOptions::default());
    let report = restore_from(&fixture, &mut session, snapshot, &path, &options).unwrap();
    assert!(report.is_complete(), "{report:?}");
    // Those that were not removed on purpose are missed.
    let mut damaged = report.damaged.iter();
    assert!(
        damaged.all(|found| kept.contains(&found.pack)),
        "{report:?}"
    );
    target.assert_same();
}

#[test]
fn a_copy_that_was_away_is_brought_what_it_lacks_before_the_next_prune_finishes_there() {
    let (mut fixture, _) = half_needed();
    let one = fixture.wrap("one", FaultyStore::new);
    one.set_unreachable(true);
    assert!(!try_prune(&fixture).unwrap().is_complete());
    one.heal();
    let report = try_prune(&fixture).unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_identical(&fixture, &ALL);
    fixture.check_all();
    fixture.assert_restic_restores("one");
}

#[test]
fn a_copy_that_is_full_keeps_all_it_has() {
    let (mut fixture, _) = half_needed();
    let before = fixture.ids("two", FileType::Data);
    let two = fixture.wrap("two", FaultyStore::new);
    // For its lock there is room, and for no pack.
    two.set_room(Some(2000));
    let report = try_prune(&fixture).unwrap();
    assert!(!report.is_complete(), "{report:?}");
    assert_eq!(fixture.ids("two", FileType::Data), before);
    assert_identical(&fixture, &["one", "three"]);
    fixture.check_all();
    two.heal();
    assert!(try_prune(&fixture).unwrap().is_complete());
    assert_identical(&fixture, &ALL);
    fixture.check_all();
}

#[test]
fn where_one_copy_has_what_the_others_lack_nothing_of_it_is_lost() {
    let (fixture, _) = half_needed();
    // A copy that is new has nothing but its key yet.
    let three = fixture.copy_path("three");
    for folder in ["data", "index", "snapshots"] {
        std::fs::remove_dir_all(three.join(folder)).unwrap();
        std::fs::create_dir(three.join(folder)).unwrap();
    }
    let options = PruneOptions::default();
    let report = prune_session(&fixture, &mut open(&fixture), &options).unwrap();
    assert!(report.is_complete(), "{report:?}");
    let store = LocalStore::new(&three);
    assert!(!store.list(FileType::Snapshots).unwrap().is_empty());
    assert_identical(&fixture, &ALL);
    fixture.check_all();
}
