//! Somebody hides or overwrites the keys of every copy, so that nothing opens while locks run out.

use std::fs;
use std::sync::Arc;

use jiff::Timestamp;
use strongroom_engine::locking::{LockReport, LockingOptions, extend};
use strongroom_engine::session::{Environment, open_behind, open_remembering};
use strongroom_engine::{CopyStore, Error, Result, Session};
use strongroom_model::{FileName, FileType};
use strongroom_repo::Error as RepoError;
use strongroom_store::{LocalStore, Locks, Store};
use strongroom_testkit::{FakeBucket, Rights};

use super::{DAY, Scene, the_copy};
use crate::fixture::{PASSWORD, environment};
use crate::predecessors::another;
use crate::prune::state;

/// More versions than are tried of a file by whoever looks at the newest ones alone.
const MANY: usize = 20;

/// Hides a file on every copy.
fn hide(scene: &Scene, name: FileName) {
    for copy in &scene.fixture.copies {
        copy.store.remove(name).unwrap();
    }
}

/// Puts other bytes above a file on every copy.
fn overwrite(scene: &Scene, name: FileName) {
    for copy in ["one", "two"] {
        let path = scene.fixture.copy_path(copy).join(name.to_string());
        fs::remove_file(&path).unwrap();
        fs::write(&path, "junk").unwrap();
    }
    for _ in 0..MANY {
        scene.locked.put(name, b"junk");
    }
}

/// Hides all that a bucket shows.
fn hide_all(bucket: &FakeBucket) {
    for name in bucket.names() {
        bucket.hide(name);
    }
}

fn key(scene: &Scene) -> FileName {
    let key = scene.fixture.ids("one", FileType::Keys)[0];
    FileName::new(FileType::Keys, key)
}

fn open(scene: &Scene, password: &str) -> Result<Session> {
    let (fixture, state) = (&scene.fixture, state(&scene.fixture));
    let now = (fixture.environment.clock)();
    let (copies, looking) = (&fixture.copies, &fixture.looking);
    open_behind(copies, password.as_bytes(), looking, &state, now)
}

/// As whoever writes opens it.
fn open_to_write(scene: &Scene) -> Result<Session> {
    let (fixture, state) = (&scene.fixture, state(&scene.fixture));
    let now = (fixture.environment.clock)();
    let (copies, looking) = (&fixture.copies, &fixture.looking);
    open_remembering(copies, PASSWORD.as_bytes(), looking, &state, now)
}

/// Extends all that is due by the clock of the bucket, as `strongroom lock extend` does.
fn extend_all(scene: &Scene, session: &Session) -> LockReport {
    let now = Timestamp::try_from(scene.locked.now().unwrap()).unwrap();
    let environment = Environment {
        clock: Arc::new(move || now),
        ..environment("testhost")
    };
    let options = LockingOptions {
        all: true,
        ..LockingOptions::default()
    };
    let (memory, progress) = (scene.memory(session), &scene.fixture.progress);
    extend(session, &memory, None, &options, &environment, progress).unwrap()
}

/// Hits some files of every copy, and asserts that everything is extended all the same.
fn assert_extended_behind(attack: fn(&Scene, FileName), hits: &[FileType], is_recorded: bool) {
    let what = format!("{hits:?}, recorded: {is_recorded}");
    let scene = Scene::new();
    scene.extend();
    let files = scene.files();
    // Whoever comes later is told from whoever was there before by when his versions were made.
    scene.locked.advance(DAY);
    let names = files.iter().map(|(name, _)| *name);
    let hit: Vec<_> = names.filter(|name| hits.contains(&name.kind())).collect();
    assert_eq!(hit.len(), hits.len());
    hit.into_iter().for_each(|name| attack(&scene, name));
    if !is_recorded {
        scene.lose_record();
    }
    scene.locked.advance(DAY * 9);
    // What writes needs a key that others see.
    assert!(open_to_write(&scene).is_err(), "{what}");
    let session = open(&scene, PASSWORD).unwrap();
    assert_eq!(session.opened_behind.as_deref(), Some("offsite"), "{what}");
    let told = the_copy(extend_all(&scene, &session));
    assert!(told.is_complete(), "{what}: {told:?}");
    assert_eq!(told.extended, files.len() as u64, "{what}");
    scene.assert_locked(&files);
}

#[test]
fn where_nothing_in_sight_opens_what_lies_hidden_does_and_everything_is_extended() {
    use FileType::{Config, Keys};

    let attacks: [fn(&Scene, FileName); 2] = [hide, overwrite];
    for attack in attacks {
        for hits in [&[Keys][..], &[Config], &[Keys, Config]] {
            for is_recorded in [true, false] {
                assert_extended_behind(attack, hits, is_recorded);
            }
        }
    }
}

#[test]
fn where_everything_is_hidden_everywhere_what_the_record_names_is_extended() {
    let scene = Scene::new();
    scene.extend();
    let files = scene.files();
    hide_all(&scene.locked);
    for copy in ["one", "two"] {
        fs::remove_dir_all(scene.fixture.copy_path(copy)).unwrap();
    }
    scene.locked.advance(DAY * 10);
    assert!(open_to_write(&scene).is_err());
    let session = open(&scene, PASSWORD).unwrap();
    assert_eq!(session.opened_behind.as_deref(), Some("offsite"));
    assert_eq!(session.ready().count(), 0);
    let report = extend_all(&scene, &session);
    let [copy] = report.copies.as_slice() else {
        panic!("{report:?}");
    };
    assert!(copy.failure.is_some() && !report.is_complete());
    assert_eq!(copy.extended, files.len() as u64);
    scene.assert_locked(&files);
}

#[test]
fn a_key_in_sight_that_opens_comes_before_any_that_lies_hidden() {
    let scene = Scene::new();
    scene.locked.remove(key(&scene)).unwrap();
    let session = open(&scene, PASSWORD).unwrap();
    assert_eq!(session.opened_behind, None);
    assert_eq!(session.ready().count(), 3);
}

#[test]
fn no_hidden_key_of_another_repository_comes_before_our_own() {
    // Where the files of the other place are not locked, ours come first; where they are, the key that
    // opened last does.
    for is_locked in [false, true] {
        let mut scene = Scene::new();
        let session = open_to_write(&scene).unwrap();
        let (ours, id) = (session.repository.key_id(), session.id());
        // What any sync notes, by which the repository of these copies is known.
        let memory = scene.memory(&session);
        for copy in &scene.fixture.copies {
            memory.update_evidence(copy, |_| {}).unwrap();
        }
        let his = match is_locked {
            false => FakeBucket::new("his"),
            true => FakeBucket::locking("his", DAY * 30),
        };
        another().save(&his).unwrap();
        hide_all(&his);
        let his = CopyStore {
            name: "his".to_owned(),
            store: Arc::new(his),
            is_local: false,
        };
        hide(&scene, key(&scene));
        scene.fixture.copies.insert(0, his);
        if !is_locked {
            scene.lose_record();
        }
        let session = open(&scene, PASSWORD).unwrap();
        assert_eq!((session.id(), session.repository.key_id()), (id, ours));
        assert_eq!(session.opened_behind.as_deref(), Some("offsite"));
    }
}

#[test]
fn where_another_repository_was_put_in_the_stead_of_ours_it_is_ours_that_is_extended() {
    let scene = Scene::new();
    scene.extend();
    let session = open_to_write(&scene).unwrap();
    let (ours, id) = (session.repository.key_id(), session.id());
    // What any sync notes, by which the repository of these copies is known.
    let memory = scene.memory(&session);
    for copy in &scene.fixture.copies {
        memory.update_evidence(copy, |_| {}).unwrap();
    }
    let files = scene.files();
    scene.locked.advance(DAY);
    let his = another();
    hide_all(&scene.locked);
    let key = FileName::new(FileType::Keys, his.repository.key_id());
    scene.locked.put(key, &his.key_file);
    let config = his.repository.config_bytes();
    scene.locked.put(FileName::CONFIG, config);
    for copy in ["one", "two"] {
        let path = scene.fixture.copy_path(copy);
        fs::remove_dir_all(&path).unwrap();
        his.save(&LocalStore::new(&path)).unwrap();
    }
    scene.locked.advance(DAY * 9);
    // Whoever writes goes on, in his.
    let writing = open_to_write(&scene).unwrap();
    assert_eq!(writing.id(), his.repository.config().id);
    let [told] = writing.predecessors.as_slice() else {
        panic!("{writing:?}");
    };
    assert_eq!(told.repository, id);
    assert_eq!(told.behind.as_deref(), Some("offsite"));
    let session = open(&scene, PASSWORD).unwrap();
    assert_eq!((session.id(), session.repository.key_id()), (id, ours));
    assert_eq!(session.opened_behind.as_deref(), Some("offsite"));
    assert_eq!(session.predecessors, writing.predecessors);
    let report = extend_all(&scene, &session);
    let [copy] = report.copies.as_slice() else {
        panic!("{report:?}");
    };
    assert!(!report.is_complete());
    assert_eq!(copy.extended, files.len() as u64);
    scene.assert_locked(&files);
}

#[test]
fn where_nothing_that_is_hidden_opens_either_it_is_told_what_is_in_sight() {
    let scene = Scene::new();
    let wrong = |opened: Result<Session>| match opened {
        Err(Error::Repo(RepoError::WrongPassword { keys, .. })) => keys,
        other => panic!("{other:?}"),
    };
    assert_eq!(wrong(open(&scene, "wrong")), 1);
    hide(&scene, key(&scene));
    assert_eq!(wrong(open(&scene, "wrong")), 0);
    // Nor does what may not be seen.
    for rights in [
        Rights {
            list_versions: false,
            ..Rights::default()
        },
        Rights {
            read_versions: false,
            ..Rights::default()
        },
    ] {
        scene.locked.allow(rights);
        assert_eq!(wrong(open(&scene, PASSWORD)), 0);
    }
}
