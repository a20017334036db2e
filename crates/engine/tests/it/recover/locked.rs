//! Recovery in place is under restic's exclusive lock, where there is the password.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use strongroom_engine::Error;
use strongroom_engine::recover::{Destination, RecoverOptions, RecoverReport};
use strongroom_engine::session::Locks;
use strongroom_engine::state::StateFolder;
use strongroom_model::{FileName, FileType};
use strongroom_repo::lock::Lock;
use strongroom_store::Store;
use strongroom_testkit::{Op, RecordingStore};

use super::{Scene, with_password, without_password};
use crate::locks::dead_pid;

/// Puts a lock of somebody else there, that was renewed so long ago.
fn hold(scene: &Scene, minutes_ago: i64) -> FileName {
    put_lock(scene, "elsewhere", 4711, minutes_ago)
}

fn put_lock(scene: &Scene, hostname: &str, pid: u32, minutes_ago: i64) -> FileName {
    let now: Timestamp = (scene.fixture.environment.clock)();
    let ago = SignedDuration::from_mins(minutes_ago);
    let lock = Lock {
        time: now.saturating_sub(ago).unwrap(),
        exclusive: false,
        hostname: hostname.to_owned(),
        username: "somebody".to_owned(),
        pid,
        uid: 0,
        gid: 0,
    };
    let (id, bytes) = lock.seal(&scene.fixture.key, 2).unwrap();
    let name = FileName::new(FileType::Locks, id);
    scene.place.save(name, &bytes).unwrap();
    name
}

fn hide_a_pack(scene: &Scene) -> FileName {
    let pack = scene.names(FileType::Data)[0];
    scene.place.hide(pack);
    pack
}

fn is_told(report: &RecoverReport, part: &str) -> bool {
    report.notes.iter().any(|note| note.contains(part))
}

#[test]
fn with_the_password_it_is_locked_meanwhile_and_without_it_that_is_told() {
    let mut scene = Scene::new();
    let recorded = Arc::new(RecordingStore::new(Arc::clone(&scene.place)));
    scene.copy.store = recorded.clone();
    let written = || recorded.tally(&Op::WRITES, FileType::Locks).calls;
    hide_a_pack(&scene);
    let report = scene.recover(&Destination::InPlace, &without_password());
    assert!(report.is_complete(), "{report:?}");
    assert!(is_told(&report, "No restic lock is held"), "{report:?}");
    assert_eq!(written(), 0);

    let pack = hide_a_pack(&scene);
    let report = scene.recover(&Destination::InPlace, &with_password());
    assert!(report.is_complete(), "{report:?}");
    assert!(!is_told(&report, "No restic lock is held"), "{report:?}");
    assert!(scene.place.size(pack).is_ok());
    // There was one, and there is none any more.
    assert!(written() > 0);
    assert_eq!(scene.place.list(FileType::Locks).unwrap(), []);
    // Into a folder none is needed.
    let report = scene.recover_to("folder", &without_password());
    assert!(!is_told(&report, "No restic lock is held"), "{report:?}");
}

#[test]
fn where_somebody_is_at_work_there_nothing_is_done_and_what_is_stale_holds_up_nothing() {
    let scene = Scene::new();
    let pack = hide_a_pack(&scene);
    let held = hold(&scene, 1);
    let refused = scene.try_recover(&Destination::InPlace, &with_password());
    assert!(matches!(refused, Err(Error::Locked { .. })), "{refused:?}");
    assert!(scene.place.size(pack).is_err());
    scene.place.remove(held).unwrap();

    let stale = hold(&scene, 45);
    let report = scene.recover(&Destination::InPlace, &with_password());
    assert!(is_told(&report, "was not renewed"), "{report:?}");
    assert!(scene.place.size(pack).is_ok());
    assert!(scene.place.size(stale).is_err());

    // One of a time that is yet to come would never grow old.
    let pack = hide_a_pack(&scene);
    let ahead = hold(&scene, -25 * 60);
    scene.recover(&Destination::InPlace, &with_password());
    assert!(scene.place.size(pack).is_ok());
    assert!(scene.place.size(ahead).is_err());

    // Whoever has the key may hold one for ever: without the password nobody waits for it.
    let pack = hide_a_pack(&scene);
    hold(&scene, 1);
    let report = scene.recover(&Destination::InPlace, &without_password());
    assert!(report.is_complete(), "{report:?}");
    assert!(scene.place.size(pack).is_ok());
}

#[test]
fn the_lock_of_a_recovery_that_was_killed_is_dead_with_it_where_it_was_noted() {
    let scene = Scene::new();
    let environment = &scene.fixture.environment;
    let state = StateFolder::new(scene.path("state"));
    // What this place calls itself in the notes.
    let mut session = scene.fixture.open();
    let folder = state.path().join(session.id().to_string());
    let record = folder.join("own-locks.json");
    session.note_locks_in(state.repository(session.id()));
    let locks = Locks::acquire(&mut session, environment, false).unwrap();
    let noted = std::fs::read_to_string(&record).unwrap();
    drop(locks);
    let noted: serde_json::Value = serde_json::from_str(&noted).unwrap();
    // As a run that was killed a moment ago would leave it.
    let pack = hide_a_pack(&scene);
    let lock = put_lock(&scene, &environment.hostname, dead_pid(), 0);
    let lock = lock.id().unwrap();
    let locks = serde_json::json!([{"lock": lock, "numbering": noted["locks"][0]["numbering"]}]);
    let noted = serde_json::json!({"version": 1, "locks": locks}).to_string();
    std::fs::write(&record, noted).unwrap();

    let refused = scene.try_recover(&Destination::InPlace, &with_password());
    let error = refused.unwrap_err();
    let hint = error.hint().unwrap();
    assert!(hint.contains("dies in 11 minutes"), "{error}: {hint}");
    assert!(scene.place.size(pack).is_err());

    let remembering = RecoverOptions {
        state: Some(state),
        ..with_password()
    };
    let report = scene.recover(&Destination::InPlace, &remembering);
    assert!(report.is_complete(), "{report:?}");
    assert!(scene.place.size(pack).is_ok());
    assert_eq!(scene.place.list(FileType::Locks).unwrap(), []);
    let noted = std::fs::read_to_string(&record).unwrap();
    assert!(!noted.contains("lock\":"), "{noted}");
}
