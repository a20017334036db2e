//! Purging waits for somebody where very much was deleted in a day, or much of what is vital.

use std::collections::VecDeque;

use strongroom_model::{FileName, FileType};
use strongroom_vault::Error;
use strongroom_vault::people::Who;
use strongroom_vault::records::objects::View;
use strongroom_vault::rules::clock::{DAY_MS, HOUR_MS, MINUTE_MS};
use strongroom_vault::rules::notices::{Kind, Level};
use strongroom_vault::rules::purge::Hold;
use strongroom_vault::rules::right::Right;
use strongroom_vault::vault::Principal;

use super::scene::{Scene, repository};

/// A vault, and who may ask it for deletions.
fn begun() -> (Scene, Principal) {
    let scene = Scene::new();
    let maintain = scene.token(Right::Maintain);
    (scene, maintain)
}

/// A repository with many packs of 1,000 bytes each.
fn many_packs(scene: &Scene, who: &Principal, count: u8) -> Vec<FileName> {
    scene.init(who);
    scene.put_packs(who, count, 1_000)
}

fn hold(scene: &Scene) -> Option<Hold> {
    scene.vault.observe().unwrap().repositories[0].held
}

fn remove(scene: &Scene, who: &Principal, packs: &[FileName]) {
    for pack in packs {
        scene.vault.remove(who, &repository(), *pack).unwrap();
    }
}

#[test]
fn many_small_objects_do_not_make_a_few_large_ones_few() {
    let (scene, maintain) = begun();
    let packs = many_packs(&scene, &maintain, 40);
    for number in 0..1_000_u32 {
        let junk = number.to_le_bytes();
        scene.put(&maintain, FileType::Data, &junk).unwrap();
    }
    remove(&scene, &maintain, &packs[..2]);
    assert_eq!(hold(&scene), None);
    remove(&scene, &maintain, &packs[2..4]);
    assert_eq!(hold(&scene), Some(Hold::ManyTombstones));
}

#[test]
fn what_came_on_the_day_of_a_deletion_does_not_make_it_look_small() {
    let (scene, maintain) = begun();
    let packs = many_packs(&scene, &maintain, 40);
    // The vault serves for two days, in which it notes what is there.
    pass_hours(&scene, 48);
    for number in 0..200_u8 {
        let junk = vec![number; 1_001];
        scene.put(&maintain, FileType::Data, &junk).unwrap();
    }
    remove(&scene, &maintain, &packs[..2]);
    assert_eq!(hold(&scene), None);
    remove(&scene, &maintain, &packs[2..3]);
    assert_eq!(hold(&scene), Some(Hold::ManyTombstones));
}

#[test]
fn a_day_has_no_midnight_at_which_the_count_begins_anew() {
    let (scene, maintain) = begun();
    let packs = many_packs(&scene, &maintain, 60);
    let left_ms = DAY_MS - scene.vault.now().vault_ms.rem_euclid(DAY_MS);
    scene.pass(left_ms - MINUTE_MS);
    remove(&scene, &maintain, &packs[..3]);
    scene.pass(2 * MINUTE_MS);
    assert_eq!(hold(&scene), None);
    remove(&scene, &maintain, &packs[3..6]);
    assert_eq!(hold(&scene), Some(Hold::ManyTombstones));
    // A day later the count begins anew by itself.
    scene.agree().unwrap();
    scene.pass(DAY_MS);
    remove(&scene, &maintain, &packs[6..8]);
    assert_eq!(hold(&scene), None);
}

#[test]
pub(crate) fn what_was_swapped_after_the_look_is_not_agreed_to() {
    let (scene, maintain) = begun();
    let packs = many_packs(&scene, &maintain, 40);
    let junk: Vec<FileName> = (0..5_u8)
        .map(|number| scene.put(&maintain, FileType::Data, &[number]).unwrap())
        .collect();
    remove(&scene, &maintain, &junk);
    assert_eq!(hold(&scene), Some(Hold::ManyTombstones));
    let looked_at = scene.tombstones();
    // As many others, by the time that somebody has typed it.
    for number in 0..5_u8 {
        scene.put(&maintain, FileType::Data, &[number]).unwrap();
    }
    remove(&scene, &maintain, &packs[..5]);
    assert_eq!(scene.tombstones().count, looked_at.count);
    let refused = scene
        .vault
        .agree_to_purge(Who::Folder, &repository(), looked_at);
    assert!(
        matches!(refused, Err(Error::OtherTombstones { .. })),
        "{refused:?}"
    );
    assert_eq!(hold(&scene), Some(Hold::ManyTombstones));
    assert!(scene.agree().unwrap());
    assert_eq!(hold(&scene), None);
}

#[test]
pub(crate) fn after_a_yes_what_is_deleted_on_the_same_day_holds_again() {
    let (scene, maintain) = begun();
    let packs = many_packs(&scene, &maintain, 60);
    remove(&scene, &maintain, &packs[..4]);
    assert_eq!(hold(&scene), Some(Hold::ManyTombstones));
    assert!(scene.agree().unwrap());
    assert_eq!(hold(&scene), None);
    // One is little, but the day is above the bound, and nobody has seen this one.
    remove(&scene, &maintain, &packs[4..5]);
    assert_eq!(hold(&scene), Some(Hold::ManyTombstones));
    assert_eq!(scene.acts("purge-held").len(), 2);
    let told = scene.vault.notices(None).unwrap();
    let held: Vec<_> = told.iter().map(|row| row.notice.kind).collect();
    assert_eq!(held, [Kind::PurgeHeld; 2]);
    assert_eq!(told[0].notice.level, Level::Critical);
    assert!(told[0].notice.subject.contains("acme/repos"), "{told:?}");
}

/// Some packs of a megabyte each, and a few snapshots.
fn packs_and_snapshots(scene: &Scene, who: &Principal) -> (FileName, Vec<FileName>) {
    let key = scene.init(who);
    for number in 0..100_u32 {
        let mut pack = vec![7; 100_000];
        pack[..4].copy_from_slice(&number.to_le_bytes());
        let name = FileName::new(FileType::Data, strongroom_model::Id::of(&pack));
        let length = Some(pack.len() as u64);
        let put = scene.vault.begin_put(who, &repository(), name, length);
        let mut put = put.unwrap();
        put.write(&pack).unwrap();
        put.finish().unwrap();
    }
    let snapshot = |number: u8| scene.put(who, FileType::Snapshots, &[number; 20]).unwrap();
    (key, (0..4).map(snapshot).collect())
}

#[test]
fn the_vital_few_are_not_few() {
    // The only key.
    let (scene, maintain) = begun();
    let (key, snapshots) = packs_and_snapshots(&scene, &maintain);
    remove(&scene, &maintain, &snapshots[..1]);
    assert_eq!(hold(&scene), None);
    remove(&scene, &maintain, &[key]);
    assert_eq!(hold(&scene), Some(Hold::ManyTombstones));
    assert_eq!(scene.acts("purge-held").len(), 1);

    // More than half of the snapshots, with junk put in their place.
    let (scene, maintain) = begun();
    let (_, snapshots) = packs_and_snapshots(&scene, &maintain);
    pass_hours(&scene, 25);
    for number in 100..200_u8 {
        scene
            .put(&maintain, FileType::Snapshots, &[number; 20])
            .unwrap();
    }
    remove(&scene, &maintain, &snapshots[..2]);
    assert_eq!(hold(&scene), None);
    remove(&scene, &maintain, &snapshots[2..3]);
    assert_eq!(hold(&scene), Some(Hold::ManyTombstones));

    // Index files that a prune writes anew; and those that nothing comes for.
    let (scene, maintain) = begun();
    packs_and_snapshots(&scene, &maintain);
    let put = |number: u8| {
        let index = [number; 30];
        scene.put(&maintain, FileType::Index, &index).unwrap()
    };
    let old: Vec<_> = (0..4).map(put).collect();
    pass_hours(&scene, 25);
    let new = put(10);
    remove(&scene, &maintain, &old);
    assert_eq!(hold(&scene), None);
    remove(&scene, &maintain, &[new]);
    assert_eq!(hold(&scene), Some(Hold::ManyTombstones));
}

/// Lets hours pass in which the vault serves, so that each is noted.
fn pass_hours(scene: &Scene, hours: u32) {
    for _ in 0..hours {
        scene.vault.purge().unwrap();
        scene.pass(HOUR_MS);
    }
}

/// Many packs of a few bytes, so that some deletions are next to nothing of all objects.
fn many_objects(scene: &Scene, who: &Principal) {
    scene.init(who);
    for number in 0..1_000_u32 {
        let mut pack = [7; 40];
        pack[..4].copy_from_slice(&number.to_le_bytes());
        scene.put(who, FileType::Data, &pack).unwrap();
    }
}

fn put_snapshot(scene: &Scene, who: &Principal, number: u32) -> FileName {
    let mut snapshot = [9; 20];
    snapshot[..4].copy_from_slice(&number.to_le_bytes());
    scene.put(who, FileType::Snapshots, &snapshot).unwrap()
}

#[test]
fn a_weekly_prune_is_no_mass_deletion() {
    let (scene, maintain) = begun();
    many_objects(&scene, &maintain);
    // Each backup has an index file of its own, half of them older than a day; a prune merges all
    // into one.
    let mut indexes = Vec::new();
    for backup in 0..8_u8 {
        let index = [backup; 30];
        indexes.push(scene.put(&maintain, FileType::Index, &index).unwrap());
        put_snapshot(&scene, &maintain, backup.into());
        pass_hours(&scene, 6);
    }
    let merged = scene.put(&maintain, FileType::Index, &[99; 240]).unwrap();
    remove(&scene, &maintain, &indexes);
    assert_eq!(hold(&scene), None);
    assert_eq!(scene.list(&maintain, View::Now, FileType::Index), [merged]);
    // What nothing comes for is another matter.
    remove(&scene, &maintain, &[merged]);
    assert_eq!(hold(&scene), Some(Hold::ManyTombstones));
}

#[test]
fn steady_snapshots_are_not_held() {
    let (scene, maintain) = begun();
    many_objects(&scene, &maintain);
    let daily: Vec<_> = (0..7)
        .map(|number| put_snapshot(&scene, &maintain, number))
        .collect();
    pass_hours(&scene, 25);
    // One an hour, of which the last 24 are kept.
    let mut hourly = VecDeque::new();
    for hour in 100..172 {
        hourly.push_back(put_snapshot(&scene, &maintain, hour));
        if hourly.len() > 24 {
            remove(&scene, &maintain, &[hourly.pop_front().unwrap()]);
        }
        assert_eq!(hold(&scene), None, "hour {hour}");
        pass_hours(&scene, 1);
    }
    // Who takes those that are left every day takes more than comes and goes.
    for number in 1_000..1_100 {
        put_snapshot(&scene, &maintain, number);
    }
    remove(&scene, &maintain, &daily);
    assert_eq!(hold(&scene), Some(Hold::ManyTombstones));
}

#[test]
fn junk_that_comes_and_goes_and_deletions_taken_back_are_no_steady_churn() {
    let (scene, maintain) = begun();
    many_objects(&scene, &maintain);
    let old: Vec<_> = (0..10)
        .map(|number| put_snapshot(&scene, &maintain, number))
        .collect();
    pass_hours(&scene, 3);
    // In the hour that a later day is compared with, but behind its note.
    scene.vault.purge().unwrap();
    let junk: Vec<_> = (100..130)
        .map(|number| put_snapshot(&scene, &maintain, number))
        .collect();
    pass_hours(&scene, 2);
    remove(&scene, &maintain, &junk[..20]);
    assert_eq!(hold(&scene), None);
    pass_hours(&scene, 46);
    // Ten were noted then, and none of those went: half of ten has to be left.
    remove(&scene, &maintain, &old);
    remove(&scene, &maintain, &junk[20..25]);
    assert_eq!(hold(&scene), None);
    remove(&scene, &maintain, &junk[25..26]);
    assert_eq!(hold(&scene), Some(Hold::ManyTombstones));

    let (scene, maintain) = begun();
    many_objects(&scene, &maintain);
    let old: Vec<_> = (0..10)
        .map(|number| put_snapshot(&scene, &maintain, number))
        .collect();
    pass_hours(&scene, 25);
    remove(&scene, &maintain, &old[..9]);
    assert_eq!(hold(&scene), Some(Hold::ManyTombstones));
    let undone = scene
        .vault
        .undelete(Who::Folder, &repository(), None, None, None);
    assert_eq!(undone.unwrap(), 9);
    assert!(scene.agree().unwrap());
    pass_hours(&scene, 25);
    remove(&scene, &maintain, &old[..5]);
    assert_eq!(hold(&scene), None);
    remove(&scene, &maintain, &old[5..6]);
    assert_eq!(hold(&scene), Some(Hold::ManyTombstones));
}

#[test]
fn many_snapshots_of_a_day_go_at_once_every_day() {
    let (scene, maintain) = begun();
    many_objects(&scene, &maintain);
    for number in 0..7 {
        put_snapshot(&scene, &maintain, number);
    }
    pass_hours(&scene, 25);
    for day in 1..4 {
        let mut of_day = Vec::new();
        for hour in 0..24 {
            of_day.push(put_snapshot(&scene, &maintain, day * 100 + hour));
            pass_hours(&scene, 1);
        }
        remove(&scene, &maintain, &of_day);
        assert_eq!(hold(&scene), None, "day {day}");
    }
}

#[test]
fn the_only_snapshot_is_replaced_by_the_next_one() {
    let (scene, maintain) = begun();
    many_objects(&scene, &maintain);
    let mut last = put_snapshot(&scene, &maintain, 0);
    for day in 1..4 {
        pass_hours(&scene, 25);
        let next = put_snapshot(&scene, &maintain, day);
        remove(&scene, &maintain, &[last]);
        assert_eq!(hold(&scene), None, "day {day}");
        last = next;
    }
    remove(&scene, &maintain, &[last]);
    assert_eq!(hold(&scene), Some(Hold::ManyTombstones));
}

#[test]
fn a_wrong_count_of_what_is_vital_ends_no_deletion_and_does_not_last() {
    let (scene, maintain) = begun();
    many_objects(&scene, &maintain);
    let indexes: Vec<_> = (0..3_u8)
        .map(|number| {
            scene
                .put(&maintain, FileType::Index, &[number; 30])
                .unwrap()
        })
        .collect();
    scene.execute("UPDATE vital SET objects = -1");
    pass_hours(&scene, 25);
    remove(&scene, &maintain, &indexes[..1]);
    // What is not known to be there is not left.
    assert_eq!(hold(&scene), Some(Hold::ManyTombstones));
    assert!(!scene.vault.tallies_agree().unwrap());
    scene.vault.begin_serving(None).unwrap();
    assert!(scene.vault.tallies_agree().unwrap());
    // Too many, also of what there is none of; and none at all.
    scene.execute("UPDATE vital SET objects = objects + 5");
    let none = "INSERT INTO vital (repository, kind, objects) VALUES (1, 4, 5)";
    scene.execute(none);
    scene.vault.begin_serving(None).unwrap();
    assert!(scene.vault.tallies_agree().unwrap());
    scene.execute("DELETE FROM vital");
    scene.vault.begin_serving(None).unwrap();
    assert!(scene.vault.tallies_agree().unwrap());
}

#[test]
pub(crate) fn a_tombstone_whose_leaf_was_not_noted_is_found_by_the_end_of_its_life() {
    let (scene, maintain) = begun();
    let packs = many_packs(&scene, &maintain, 40);
    scene.pass(MINUTE_MS);
    let since_ms = scene.vault.now().recorded_ms;
    remove(&scene, &maintain, &packs[..2]);
    let looked_at = scene.tombstones();
    // As a process of an older version makes it.
    scene.execute("UPDATE object SET tombstone = NULL");
    assert_eq!(scene.tombstones(), looked_at);
    let undone = scene.vault.undelete(
        Who::Folder,
        &repository(),
        Some(&maintain.name),
        Some(since_ms),
        None,
    );
    assert_eq!(undone.unwrap(), 2);
}

#[test]
pub(crate) fn rejected_keys_count_as_deletions() {
    let (scene, maintain) = begun();
    scene.init(&maintain);
    let waiting = scene.put(&maintain, FileType::Keys, &super::scene::key_file(9));
    assert_eq!(hold(&scene), None);
    remove(&scene, &maintain, &[waiting.unwrap()]);
    assert_eq!(hold(&scene), Some(Hold::ManyTombstones));
}
