//! Hiding what a stolen token has put: all of it, nothing else, and no view of the past changes.

use strongroom_model::{FileName, FileType};
use strongroom_vault::people::Who;
use strongroom_vault::records::objects::View;
use strongroom_vault::rules::clock::{HOUR_MS, MINUTE_MS};
use strongroom_vault::rules::purge::Hold;
use strongroom_vault::rules::right::Right;
use strongroom_vault::vault::{Hiding, Principal};
use strongroom_vault::{Error, Result};

use super::scene::{Scene, key_file, repository};

/// How many objects it was, what else was changed, and whether there was anything to act on.
fn told(hiding: Result<Hiding>) -> (u64, u64, bool) {
    let hiding = hiding.unwrap();
    (hiding.objects, hiding.others, hiding.found)
}

#[test]
pub(crate) fn what_two_thieves_have_put_is_gone_when_both_are_hidden() {
    for is_first_first in [true, false] {
        let scene = Scene::new();
        let (one, other) = (scene.token(Right::Append), scene.token(Right::Append));
        let honest = scene.token(Right::Append);
        scene.init(&honest);
        let junk = scene.put(&one, FileType::Index, b"junk!").unwrap();
        scene.put(&other, FileType::Index, b"junk!").unwrap();
        let (first, second) = match is_first_first {
            true => (&one, &other),
            false => (&other, &one),
        };
        let hide = |who: &Principal| told(scene.vault.hide(Who::Folder, &who.name, 0));
        assert_eq!(hide(first), (0, 1, true));
        assert_eq!(scene.list(&honest, View::Now, FileType::Index), [junk]);
        assert_eq!(hide(second), (1, 0, true));
        assert_eq!(scene.list(&honest, View::Now, FileType::Index), []);
        // Once more it is nothing for the first one, who has no part in anything now.
        assert_eq!(hide(first), (0, 0, false));
        assert_eq!(hide(second), (0, 0, true));
    }
}

#[test]
pub(crate) fn what_was_put_before_the_time_stays_though_it_was_deleted_and_taken_back_since() {
    let scene = Scene::new();
    let (stolen, maintain) = (scene.token(Right::Append), scene.token(Right::Maintain));
    scene.init(&stolen);
    let pack = scene.put(&stolen, FileType::Data, b"a pack").unwrap();
    let old = scene
        .put(&stolen, FileType::Index, b"an old index")
        .unwrap();
    scene.pass(MINUTE_MS);
    let since_ms = scene.vault.now().recorded_ms;
    scene.vault.remove(&maintain, &repository(), pack).unwrap();
    scene.vault.remove(&maintain, &repository(), old).unwrap();
    // One is taken back; the other is put again by the thief, to bring back what was pruned.
    scene
        .vault
        .undelete_one(Who::Folder, &repository(), pack)
        .unwrap();
    scene.put_as(&stolen, old, b"an old index").unwrap();
    assert_eq!(
        scene
            .vault
            .hide(Who::Folder, &stolen.name, since_ms)
            .unwrap()
            .objects,
        1
    );
    assert_eq!(scene.list(&stolen, View::Now, FileType::Data), [pack]);
    assert_eq!(scene.list(&stolen, View::Now, FileType::Index), []);
}

#[test]
pub(crate) fn what_was_deleted_and_put_again_by_a_thief_is_still_its_owners() {
    let scene = Scene::new();
    let (honest, stolen) = (scene.token(Right::Append), scene.token(Right::Maintain));
    scene.init(&honest);
    let pack = scene.put(&honest, FileType::Data, b"a pack").unwrap();
    scene.pass(MINUTE_MS);
    let since_ms = scene.vault.now().recorded_ms;
    for _ in 0..2 {
        scene.vault.remove(&stolen, &repository(), pack).unwrap();
        scene.put_as(&stolen, pack, b"a pack").unwrap();
    }
    let junk = scene.put(&stolen, FileType::Data, b"junk").unwrap();
    // A token that was revoked because it was old stands for what it put.
    scene.vault.revoke_token(Who::Folder, &honest.name).unwrap();
    assert_eq!(
        scene
            .vault
            .hide(Who::Folder, &stolen.name, since_ms)
            .unwrap()
            .objects,
        1
    );
    let reader = scene.token(Right::Read);
    assert_eq!(scene.list(&reader, View::Now, FileType::Data), [pack]);
    // And it goes with its owner, where that was the thief after all.
    assert_eq!(
        scene
            .vault
            .unhide(Who::Folder, &stolen.name)
            .unwrap()
            .objects,
        1
    );
    assert_eq!(
        scene
            .vault
            .hide(Who::Folder, &honest.name, since_ms)
            .unwrap()
            .objects,
        0
    );
    assert!(
        scene
            .list(&reader, View::Now, FileType::Data)
            .contains(&junk)
    );
    assert!(scene.vault.tallies_agree().unwrap());
}

#[test]
pub(crate) fn what_a_hidden_token_put_stays_deleted_though_deletions_are_taken_back() {
    let scene = Scene::new();
    let (honest, stolen) = (scene.token(Right::Append), scene.token(Right::Append));
    let maintain = scene.token(Right::Maintain);
    scene.init(&honest);
    let pack = scene.put(&honest, FileType::Data, b"a pack").unwrap();
    let junk = scene.put(&stolen, FileType::Data, b"junk").unwrap();
    let both = scene.put(&stolen, FileType::Data, b"both").unwrap();
    scene.put_as(&honest, both, b"both").unwrap();
    for name in [pack, junk, both] {
        scene.vault.remove(&maintain, &repository(), name).unwrap();
    }
    let hide = || told(scene.vault.hide(Who::Folder, &stolen.name, 0));
    assert_eq!(hide(), (0, 2, true));
    assert_eq!(hide(), (0, 0, true));
    let data = || scene.list(&honest, View::Now, FileType::Data);
    let undelete = || {
        scene
            .vault
            .undelete(Who::Folder, &repository(), None, None, None)
    };
    assert_eq!(undelete().unwrap(), 2);
    let mut expected = vec![pack, both];
    expected.sort();
    assert_eq!(data(), expected);
    let one = scene.vault.undelete_one(Who::Folder, &repository(), junk);
    assert!(matches!(one, Err(Error::Hidden { .. })), "{one:?}");
    // Nor does a thief who puts it make it the hidden one's again.
    let other = scene.token(Right::Append);
    scene.put_as(&other, junk, b"junk").unwrap();
    assert_eq!(
        scene
            .vault
            .hide(Who::Folder, &other.name, 0)
            .unwrap()
            .objects,
        1
    );
    assert_eq!(data(), expected);
    scene.vault.unhide(Who::Folder, &other.name).unwrap();
    scene.vault.remove(&maintain, &repository(), junk).unwrap();
    assert_eq!(undelete().unwrap(), 1);
    assert!(scene.vault.tallies_agree().unwrap());
}

#[test]
pub(crate) fn what_is_hidden_goes_when_its_deletion_was_asked_for_and_its_time_has_come() {
    let scene = Scene::new();
    let (honest, stolen) = (scene.token(Right::Append), scene.token(Right::Append));
    let maintain = scene.token(Right::Maintain);
    let key = scene.init(&honest);
    for number in 0..60_u8 {
        let pack = [number; 1_000];
        scene.put(&honest, FileType::Data, &pack).unwrap();
    }
    let junk = scene.put(&stolen, FileType::Data, b"junk").unwrap();
    let kept = scene.put(&stolen, FileType::Data, b"kept").unwrap();
    let waiting = scene.put(&stolen, FileType::Keys, &key_file(66)).unwrap();
    let leaves = scene.acts("pending")[0]["n"].as_u64().unwrap() + 1;
    scene.vault.hide(Who::Folder, &stolen.name, 0).unwrap();
    scene.vault.remove(&maintain, &repository(), junk).unwrap();
    scene
        .vault
        .remove(&maintain, &repository(), waiting)
        .unwrap();
    assert!(scene.vault.tallies_agree().unwrap());
    // As of its time it is seen still, and no undelete brings it back.
    let then = View::AsOf(leaves);
    assert_eq!(scene.read(&honest, then, junk).unwrap(), b"junk");
    assert_eq!(scene.list(&honest, then, FileType::Keys), [key]);
    let undelete = || {
        scene
            .vault
            .undelete(Who::Folder, &repository(), None, None, None)
    };
    assert_eq!(undelete().unwrap(), 0);
    let one = scene.vault.undelete_one(Who::Folder, &repository(), junk);
    assert!(matches!(one, Err(Error::Hidden { .. })), "{one:?}");
    scene.pass(3 * HOUR_MS - MINUTE_MS);
    let purged = || scene.vault.purge().unwrap()[0].1.objects;
    assert_eq!(purged(), 0);
    scene.pass(2 * MINUTE_MS);
    assert_eq!(purged(), 2);
    assert_eq!(scene.lies(junk), None);
    assert_eq!(scene.lies(kept).unwrap(), b"kept");
    assert!(scene.vault.tallies_agree().unwrap());
    // What was not asked to be deleted is shown again.
    assert_eq!(
        scene
            .vault
            .unhide(Who::Folder, &stolen.name)
            .unwrap()
            .objects,
        1
    );
    assert_eq!(scene.read(&honest, View::Now, kept).unwrap(), b"kept");
}

#[test]
fn deletions_of_what_is_hidden_are_taken_back_once_it_is_shown_again_and_hold_the_purge() {
    let scene = Scene::new();
    let (honest, stolen) = (scene.token(Right::Append), scene.token(Right::Append));
    let maintain = scene.token(Right::Maintain);
    scene.init(&honest);
    let junk = scene.put_packs(&stolen, 10, 50);
    scene.vault.hide(Who::Folder, &stolen.name, 0).unwrap();
    for name in &junk {
        scene.vault.remove(&maintain, &repository(), *name).unwrap();
    }
    let held = || scene.vault.observe().unwrap().repositories[0].held;
    assert_eq!(held(), Some(Hold::ManyTombstones));
    let unhide = || told(scene.vault.unhide(Who::Folder, &stolen.name));
    assert_eq!(unhide(), (0, 10, true));
    assert_eq!(unhide(), (0, 0, false));
    let undone = scene
        .vault
        .undelete(Who::Folder, &repository(), None, None, None);
    assert_eq!(undone.unwrap(), 10);
    assert_eq!(scene.list(&honest, View::Now, FileType::Data).len(), 10);
    assert!(scene.vault.tallies_agree().unwrap());
}

#[test]
fn what_is_shown_again_can_be_taken_back_again() {
    let scene = Scene::new();
    let (append, maintain) = (scene.token(Right::Append), scene.token(Right::Maintain));
    scene.init(&append);
    let pack = scene.put(&append, FileType::Data, b"a pack").unwrap();
    scene.vault.remove(&maintain, &repository(), pack).unwrap();
    scene.vault.hide(Who::Folder, &append.name, 0).unwrap();
    let undelete = || {
        scene
            .vault
            .undelete(Who::Folder, &repository(), None, None, None)
    };
    assert_eq!(undelete().unwrap(), 0);
    scene.vault.unhide(Who::Folder, &append.name).unwrap();
    assert_eq!(undelete().unwrap(), 1);
    assert_eq!(scene.list(&append, View::Now, FileType::Data), [pack]);
}

#[test]
pub(crate) fn a_key_that_waited_is_in_no_view_and_one_that_counted_stays_in_those_of_its_time() {
    let scene = Scene::new();
    let (honest, stolen) = (scene.token(Right::Append), scene.token(Right::Append));
    let key = scene.init(&honest);
    let waiting = scene.put(&stolen, FileType::Keys, &key_file(66)).unwrap();
    scene.pass(MINUTE_MS);
    let between_ms = scene.vault.now().recorded_ms;
    scene.pass(MINUTE_MS);
    let keys = || {
        let view = scene.vault.as_of(between_ms).unwrap();
        assert!(scene.read(&honest, view, waiting).is_err());
        assert_eq!(scene.read(&honest, view, key).unwrap(), key_file(1));
        scene.list(&honest, view, FileType::Keys)
    };
    assert_eq!(keys(), [key]);
    scene.vault.hide(Who::Folder, &stolen.name, 0).unwrap();
    scene.vault.hide(Who::Folder, &honest.name, 0).unwrap();
    assert_eq!(keys(), [key]);
    scene.vault.unhide(Who::Folder, &stolen.name).unwrap();
    scene.vault.unhide(Who::Folder, &honest.name).unwrap();
    assert_eq!(keys(), [key]);
    assert!(
        scene
            .vault
            .admit_key(Who::Folder, &repository(), waiting)
            .unwrap()
    );
    assert_eq!(keys(), [key]);
}

#[test]
pub(crate) fn keys_are_what_they_were_before_they_were_hidden() {
    let scene = Scene::new();
    let append = scene.token(Right::Append);
    let maintain = scene.token(Right::Maintain);
    let first = scene.init(&append);
    let key = |number| {
        scene
            .put(&append, FileType::Keys, &key_file(number))
            .unwrap()
    };
    let [admitted, waiting, again] = [2, 3, 4].map(key);
    for name in [admitted, again] {
        assert!(
            scene
                .vault
                .admit_key(Who::Folder, &repository(), name)
                .unwrap()
        );
    }
    // One that was admitted, removed and put again waits.
    scene.vault.remove(&maintain, &repository(), again).unwrap();
    scene.put_as(&append, again, &key_file(4)).unwrap();
    let sorted = |mut names: Vec<FileName>| {
        names.sort();
        names
    };
    for _ in 0..2 {
        scene.vault.hide(Who::Folder, &append.name, 0).unwrap();
        let reader = scene.token(Right::Read);
        assert_eq!(scene.list(&reader, View::Now, FileType::Keys), []);
        scene.vault.unhide(Who::Folder, &append.name).unwrap();
        assert_eq!(
            sorted(scene.list(&reader, View::Now, FileType::Keys)),
            sorted(vec![first, admitted])
        );
        assert_eq!(
            sorted(scene.vault.pending_keys(&repository()).unwrap()),
            sorted(vec![waiting, again])
        );
        assert!(scene.vault.tallies_agree().unwrap());
    }
}

#[test]
pub(crate) fn a_config_that_was_hidden_is_not_said_to_be_there() {
    let scene = Scene::new();
    let (one, other) = (scene.token(Right::Append), scene.token(Right::Append));
    scene.init(&one);
    scene.vault.hide(Who::Folder, &one.name, 0).unwrap();
    let again = scene.put_as(&one, FileName::CONFIG, b"the config");
    assert!(matches!(again, Err(Error::Hidden { .. })), "{again:?}");
    scene
        .put_as(&other, FileName::CONFIG, b"the config")
        .unwrap();
    let config = scene.read(&other, View::Now, FileName::CONFIG).unwrap();
    assert_eq!(config, b"the config");
}

#[test]
pub(crate) fn a_config_that_has_no_body_gets_one_at_the_next_start() {
    let scene = Scene::new();
    let append = scene.token(Right::Append);
    scene.init(&append);
    scene.lose(FileName::CONFIG);
    scene.vault.begin_serving(None).unwrap();
    assert_eq!(scene.lies(FileName::CONFIG).unwrap(), b"the config");
}

#[test]
pub(crate) fn a_lock_is_kept_alive_by_its_own_token_alone() {
    let scene = Scene::new();
    let (one, other) = (scene.token(Right::Append), scene.token(Right::Append));
    scene.init(&one);
    let lock = scene.put(&one, FileType::Locks, &[1; 100]).unwrap();
    scene.pass(29 * MINUTE_MS);
    scene.put(&other, FileType::Locks, &[1; 100]).unwrap();
    scene.pass(2 * MINUTE_MS);
    assert_eq!(scene.list(&one, View::Now, FileType::Locks), []);
    // From now on it is the other's, and goes with him.
    scene.put(&other, FileType::Locks, &[1; 100]).unwrap();
    let refused = scene.vault.remove(&one, &repository(), lock);
    assert!(
        matches!(refused, Err(Error::Forbidden { .. })),
        "{refused:?}"
    );
    let hide = || told(scene.vault.hide(Who::Folder, &other.name, 0));
    assert_eq!(hide(), (0, 1, true));
    assert_eq!(scene.list(&one, View::Now, FileType::Locks), []);
    assert_eq!(hide(), (0, 0, false));
}

#[test]
fn what_is_hidden_already_is_found_from_the_time_on_that_is_asked_for() {
    let scene = Scene::new();
    let (honest, stolen) = (scene.token(Right::Append), scene.token(Right::Append));
    scene.init(&honest);
    scene.put(&stolen, FileType::Data, b"junk").unwrap();
    let hide = |since_ms| told(scene.vault.hide(Who::Folder, &stolen.name, since_ms));
    assert_eq!(hide(0), (1, 0, true));
    assert_eq!(hide(0), (0, 0, true));
    scene.pass(MINUTE_MS);
    let late_ms = scene.vault.now().recorded_ms;
    assert_eq!(hide(late_ms), (0, 0, false));
}
