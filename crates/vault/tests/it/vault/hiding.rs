//! Hiding what a stolen token has put: all of it, nothing else, and no view of the past changes.

use std::fs;

use strongroom_model::{FileName, FileType};
use strongroom_vault::Error;
use strongroom_vault::records::objects::View;
use strongroom_vault::rules::clock::MINUTE_MS;
use strongroom_vault::rules::right::Right;

use super::scene::{Scene, key_file, repository};

#[test]
fn what_two_thieves_have_put_is_gone_when_both_are_hidden() {
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
        assert_eq!(scene.vault.hide(&first.name, 0).unwrap(), 0);
        assert_eq!(scene.list(&honest, View::Now, FileType::Index), [junk]);
        assert_eq!(scene.vault.hide(&second.name, 0).unwrap(), 1);
        assert_eq!(scene.list(&honest, View::Now, FileType::Index), []);
    }
}

#[test]
fn what_was_put_before_the_time_stays_though_it_was_deleted_and_taken_back_since() {
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
    scene.vault.undelete_one(&repository(), pack).unwrap();
    scene.put_as(&stolen, old, b"an old index").unwrap();
    assert_eq!(scene.vault.hide(&stolen.name, since_ms).unwrap(), 1);
    assert_eq!(scene.list(&stolen, View::Now, FileType::Data), [pack]);
    assert_eq!(scene.list(&stolen, View::Now, FileType::Index), []);
}

#[test]
fn a_key_that_waited_is_in_no_view_and_one_that_counted_stays_in_those_of_its_time() {
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
    scene.vault.hide(&stolen.name, 0).unwrap();
    scene.vault.hide(&honest.name, 0).unwrap();
    assert_eq!(keys(), [key]);
    scene.vault.unhide(&stolen.name).unwrap();
    scene.vault.unhide(&honest.name).unwrap();
    assert_eq!(keys(), [key]);
    assert!(scene.vault.admit_key(&repository(), waiting).unwrap());
    assert_eq!(keys(), [key]);
}

#[test]
fn a_config_that_was_hidden_is_not_said_to_be_there() {
    let scene = Scene::new();
    let (one, other) = (scene.token(Right::Append), scene.token(Right::Append));
    scene.init(&one);
    scene.vault.hide(&one.name, 0).unwrap();
    let again = scene.put_as(&one, FileName::CONFIG, b"the config");
    assert!(matches!(again, Err(Error::Hidden { .. })), "{again:?}");
    scene
        .put_as(&other, FileName::CONFIG, b"the config")
        .unwrap();
    let config = scene.read(&other, View::Now, FileName::CONFIG).unwrap();
    assert_eq!(config, b"the config");
}

#[test]
fn a_config_that_has_no_body_gets_one_at_the_next_start() {
    let scene = Scene::new();
    let append = scene.token(Right::Append);
    scene.init(&append);
    let body = scene.folder.path().join("repositories/acme/repos/config");
    fs::remove_file(&body).unwrap();
    scene.vault.begin_serving(None).unwrap();
    assert_eq!(fs::read(&body).unwrap(), b"the config");
}

#[test]
fn a_lock_is_kept_alive_by_its_own_token_alone() {
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
    scene.vault.hide(&other.name, 0).unwrap();
    assert_eq!(scene.list(&one, View::Now, FileType::Locks), []);
}
