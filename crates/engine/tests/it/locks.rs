//! restic's locks: honoured, renewed by whom they belong to, and removed only where they are dead.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use strongroom_engine::backup::report::CopyOutcome;
use strongroom_engine::session::Locks;
use strongroom_engine::state::StateFolder;
use strongroom_engine::{CopyFailureKind, CopyState, Error};
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::lock::Lock;
use strongroom_store::{LocalStore, Store};
use strongroom_testkit::gate::Gate;
use strongroom_testkit::tree::TreeSpec;
use strongroom_testkit::{Fault, FaultyStore, MemoryStore, Op, RecordingStore, Rule, TestClock};

use crate::fixture::{Fixture, outcome};

/// A process that lives as long as the test does.
fn own_pid() -> u32 {
    std::process::id()
}

/// A process that has ended.
pub(crate) fn dead_pid() -> u32 {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    child.id()
}

fn put_lock(fixture: &Fixture, copy: &str, hostname: &str, pid: u32, exclusive: bool) -> Id {
    let lock = Lock {
        time: (fixture.environment.clock)(),
        exclusive,
        hostname: hostname.to_owned(),
        username: "somebody".to_owned(),
        pid,
        uid: 0,
        gid: 0,
    };
    put(fixture, copy, &lock)
}

/// An exclusive lock on the first copy, of a process of this host.
fn put_lock_of(fixture: &Fixture, time: Timestamp, pid: u32) -> Id {
    let lock = Lock {
        time,
        exclusive: true,
        hostname: "testhost".to_owned(),
        username: "somebody".to_owned(),
        pid,
        uid: 0,
        gid: 0,
    };
    put(fixture, "one", &lock)
}

/// What `Locks` says of the first copy, and which locks are there afterwards.
fn locked(fixture: &Fixture, state: &StateFolder) -> (bool, Vec<Id>) {
    let mut session = fixture.open();
    session.note_locks_in(state.repository(session.id()));
    let locks = Locks::acquire(&mut session, &fixture.environment, false).unwrap();
    let is_ready = session.ready().any(|(copy, _)| copy.name == "one");
    drop(locks);
    (is_ready, fixture.ids("one", FileType::Locks))
}

fn put(fixture: &Fixture, copy: &str, lock: &Lock) -> Id {
    let (id, bytes) = lock.seal(&fixture.key, 2).unwrap();
    put_bytes(fixture, copy, id, &bytes)
}

fn put_bytes(fixture: &Fixture, copy: &str, id: Id, bytes: &[u8]) -> Id {
    let store = LocalStore::new(fixture.copy_path(copy));
    store
        .save(FileName::new(FileType::Locks, id), bytes)
        .unwrap();
    id
}

/// An exclusive lock of a process elsewhere, yet to be written.
fn sealed_elsewhere(fixture: &Fixture) -> (FileName, Vec<u8>) {
    let lock = Lock {
        time: (fixture.environment.clock)(),
        exclusive: true,
        hostname: "elsewhere".to_owned(),
        username: "somebody".to_owned(),
        pid: 1,
        uid: 0,
        gid: 0,
    };
    let (id, bytes) = lock.seal(&fixture.key, 2).unwrap();
    (FileName::new(FileType::Locks, id), bytes)
}

/// A server in memory that has the `config` and the keys of a place.
fn server_like(place: &dyn Store) -> MemoryStore {
    let server = MemoryStore::at("rest:http://nas:8000/");
    let keys = place.list(FileType::Keys).unwrap().into_iter();
    let keys = keys.map(|entry| FileName::new(FileType::Keys, entry.id));
    for name in keys.chain([FileName::CONFIG]) {
        server.put(name, &place.read(name).unwrap());
    }
    server
}

fn fixture() -> Fixture {
    let fixture = Fixture::new();
    TreeSpec::small(1).build(&fixture.source().join("tree"));
    fixture
}

#[test]
fn a_copy_under_an_exclusive_lock_is_left_alone() {
    let fixture = fixture();
    put_lock(&fixture, "two", "elsewhere", 1, true);
    let report = fixture.backup();
    let CopyOutcome::Failed(failure) = outcome(&report, "two") else {
        panic!("{report:?}");
    };
    assert!(
        failure
            .reason
            .contains("an exclusive lock of process 1 on elsewhere")
    );
    assert!(fixture.ids("two", FileType::Data).is_empty());
    assert_eq!(outcome(&report, "one"), &CopyOutcome::Whole);
}

#[test]
fn where_all_copies_are_locked_the_error_says_so() {
    let fixture = fixture();
    for copy in ["one", "two", "three"] {
        put_lock(&fixture, copy, "testhost", own_pid(), true);
    }
    let error = fixture.backup_of(&fixture.folder_source()).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }), "{error}");
    assert_eq!(fixture.ids("one", FileType::Locks).len(), 1);
}

#[test]
fn a_server_is_listed_only_when_nobody_else_is_at_work_there() {
    let mut fixture = fixture();
    let server = fixture.wrap("two", |store| RecordingStore::new(server_like(&*store)));
    let gate = Gate::closed();
    fixture.wrap("two", |store| {
        let waits = Rule::on(&[Op::Save], Fault::Wait(gate.clone())).of(FileType::Locks);
        FaultyStore::new(store).with(waits)
    });
    let mut session = fixture.open();
    server.clear();
    let acquiring = || Locks::acquire(&mut session, &fixture.environment, false);
    // Somebody who looked before our lock was written begins to prune there.
    let acquired = gate.meanwhile(acquiring, || {
        let (theirs, bytes) = sealed_elsewhere(&fixture);
        server.inner().put(theirs, &bytes);
    });
    let locks = acquired.unwrap();
    let two = session.copies.iter().find(|copy| copy.copy.name == "two");
    let CopyState::Failed(failure) = &two.unwrap().state else {
        panic!("{session:?}");
    };
    assert_eq!(failure.kind, CopyFailureKind::Locked, "{failure:?}");
    for kind in FileType::SYNCED {
        assert_eq!(server.tally(&[Op::List], kind).calls, 0, "{kind:?}");
    }
    assert_eq!(session.ready().count(), 2);
    drop(locks);
}

#[test]
fn a_lock_that_is_renewed_while_it_is_read_is_seen_all_the_same() {
    let mut fixture = fixture();
    let place = LocalStore::new(fixture.copy_path("two"));
    let (old, old_bytes) = sealed_elsewhere(&fixture);
    let (new, new_bytes) = sealed_elsewhere(&fixture);
    let (writing, reading) = (Gate::closed(), Gate::closed());
    fixture.wrap("two", |store| {
        let writes = Rule::on(&[Op::Save], Fault::Wait(writing.clone())).of(FileType::Locks);
        let reads = Rule::on(&[Op::Read], Fault::Wait(reading.clone())).named(old);
        FaultyStore::new(store).with(writes).with(reads)
    });
    let renew = || {
        place.save(new, &new_bytes).unwrap();
        place.remove(old).unwrap();
    };
    let backup = || reading.meanwhile(|| fixture.backup(), renew);
    // Between our two looks, so that the first one finds nobody.
    let report = writing.meanwhile(backup, || place.save(old, &old_bytes).unwrap());
    let CopyOutcome::Failed(failure) = outcome(&report, "two") else {
        panic!("{report:?}");
    };
    assert_eq!(failure.kind, CopyFailureKind::Locked, "{failure:?}");
    assert_eq!(fixture.ids("two", FileType::Locks), [new.id().unwrap()]);
    assert!(fixture.ids("two", FileType::Data).is_empty());
    assert_eq!(outcome(&report, "one"), &CopyOutcome::Whole);
}

#[test]
fn locks_that_are_listed_and_never_given_are_asked_for_once_and_stop_nobody() {
    let mut fixture = fixture();
    let (theirs, bytes) = sealed_elsewhere(&fixture);
    let place = LocalStore::new(fixture.copy_path("two"));
    place.save(theirs, &bytes).unwrap();
    let recorded = fixture.wrap("two", |store| {
        let gone = Rule::on(&[Op::Read], Fault::NotFound).named(theirs);
        RecordingStore::new(FaultyStore::new(store).with(gone))
    });
    assert!(fixture.backup().is_complete());
    // Twice it is looked for, and what this run has written itself is not read.
    assert_eq!(recorded.tally(&Op::READS, FileType::Locks).calls, 2);
    assert_eq!(recorded.tally(&[Op::List], FileType::Locks).calls, 4);
}

#[test]
fn others_may_be_at_work_beside_us() {
    let fixture = fixture();
    let theirs = put_lock(&fixture, "one", "elsewhere", 1, false);
    assert!(fixture.backup().is_complete());
    assert_eq!(fixture.ids("one", FileType::Locks), [theirs]);
}

#[test]
fn dead_locks_of_our_own_host_are_removed_and_only_those() {
    let fixture = fixture();
    let missed = (fixture.environment.clock)() - SignedDuration::from_mins(12);
    put_lock_of(&fixture, missed, dead_pid());
    let elsewhere = put_lock(&fixture, "one", "elsewhere", dead_pid(), false);
    let mut old = Lock {
        time: Timestamp::UNIX_EPOCH,
        exclusive: false,
        hostname: "elsewhere".to_owned(),
        username: "somebody".to_owned(),
        pid: 5,
        uid: 0,
        gid: 0,
    };
    let stale = put(&fixture, "one", &old);
    old.hostname = "testhost".to_owned();
    old.pid = own_pid();
    let alive = put(&fixture, "one", &old);
    assert!(fixture.backup().is_complete());
    let mut kept = [elsewhere, stale, alive];
    kept.sort_unstable();
    assert_eq!(fixture.ids("one", FileType::Locks), kept);
}

#[test]
fn a_process_that_is_not_found_here_may_live_elsewhere_until_it_has_missed_two_renewals() {
    // As in another container under the same hostname, or on a clone of this machine.
    // One from days ahead was never renewed.
    for (minutes, lives) in [(0, true), (10, true), (12, false), (-3000, false)] {
        let fixture = fixture();
        let state = StateFolder::new(fixture.folder.path().join("state"));
        let written = (fixture.environment.clock)() - SignedDuration::from_mins(minutes);
        let lock = put_lock_of(&fixture, written, dead_pid());
        let (is_ready, left) = locked(&fixture, &state);
        assert_eq!(is_ready, !lives, "{minutes} min");
        assert_eq!(left.contains(&lock), lives, "{minutes} min");
    }
}

#[test]
fn our_own_lock_is_noted_before_it_is_written_and_dead_with_its_process() {
    let fixture = fixture();
    let state = StateFolder::new(fixture.folder.path().join("state"));
    let mut session = fixture.open();
    let folder = state.path().join(session.id().to_string());
    let record = folder.join("own-locks.json");
    let noted = || std::fs::read_to_string(&record).unwrap();
    session.note_locks_in(state.repository(session.id()));
    let locks = Locks::acquire(&mut session, &fixture.environment, false).unwrap();
    for copy in ["one", "two", "three"] {
        for id in fixture.ids(copy, FileType::Locks) {
            assert!(noted().contains(&id.to_string()), "{copy}");
        }
    }
    let numbering = noted();
    drop(locks);
    assert!(!noted().contains("lock\":"), "{}", noted());
    // As a run of ours that was killed a moment ago would leave it.
    let now = (fixture.environment.clock)();
    let lock = put_lock_of(&fixture, now, dead_pid());
    let here: serde_json::Value = serde_json::from_str(&numbering).unwrap();
    let note_as_of = |numbering: &serde_json::Value| {
        let locks = serde_json::json!([{"lock": lock, "numbering": numbering}]);
        let noted = serde_json::json!({"version": 1, "locks": locks}).to_string();
        std::fs::write(&record, noted).unwrap();
    };
    // Noted elsewhere, as in a state folder that two containers share or that was cloned.
    note_as_of(&"another start".into());
    assert_eq!(locked(&fixture, &state), (false, vec![lock]));
    note_as_of(&here["locks"][0]["numbering"]);
    assert_eq!(locked(&fixture, &state), (true, vec![]));
    // A process that lives keeps its lock, whoever noted it.
    let lock = put_lock_of(&fixture, now, own_pid());
    assert_eq!(locked(&fixture, &state), (false, vec![lock]));
}

#[test]
fn junk_locks_stop_nobody() {
    let fixture = fixture();
    let small = put_bytes(&fixture, "one", Id::of(b"junk!"), b"junk!");
    let foreign = strongroom_repo::Key::generate().unwrap();
    let sealed = foreign.seal(b"{\"exclusive\":true}").unwrap();
    let sealed = put_bytes(&fixture, "one", Id::of(&sealed), &sealed);
    assert!(fixture.backup().is_complete());
    let mut kept = [small, sealed];
    kept.sort_unstable();
    assert_eq!(fixture.ids("one", FileType::Locks), kept);
}

#[test]
fn a_copy_on_which_our_lock_was_lost_gets_no_snapshot() {
    let mut fixture = fixture();
    let gate = Gate::closed();
    fixture.wrap("two", |store| {
        let wait = Rule::on(&Op::WRITES, Fault::Wait(gate.clone())).of(FileType::Data);
        FaultyStore::new(store).with(wait.times(1))
    });
    let backup = || fixture.backup();
    let report = gate.meanwhile(backup, || {
        // As `restic unlock --remove-all` would.
        let store = LocalStore::new(fixture.copy_path("two"));
        for id in fixture.ids("two", FileType::Locks) {
            store.remove(FileName::new(FileType::Locks, id)).unwrap();
        }
    });
    let CopyOutcome::Failed(failure) = outcome(&report, "two") else {
        panic!("{report:?}");
    };
    assert!(
        failure.reason.contains("our lock on it is gone"),
        "{failure:?}"
    );
    assert!(fixture.ids("two", FileType::Index).is_empty());
    assert!(fixture.ids("two", FileType::Snapshots).is_empty());
    assert_eq!(outcome(&report, "one"), &CopyOutcome::Whole);
}

#[test]
fn a_copy_whose_lock_slept_too_long_gets_no_snapshot() {
    let mut fixture = fixture();
    let clock = Arc::new(TestClock::at("2026-06-01T12:00:00Z"));
    fixture.environment.clock = {
        let clock = Arc::clone(&clock);
        Arc::new(move || clock.now())
    };
    let gate = Gate::closed();
    fixture.wrap("two", |store| {
        let wait = Rule::on(&Op::WRITES, Fault::Wait(gate.clone())).of(FileType::Data);
        FaultyStore::new(store).with(wait.times(1))
    });
    let backup = || fixture.backup();
    let report = gate.meanwhile(backup, || {
        while fixture.ids("one", FileType::Snapshots).is_empty() {
            std::thread::yield_now();
        }
        clock.advance(Duration::from_secs(7200));
    });
    assert!(
        matches!(outcome(&report, "two"), CopyOutcome::Failed(_)),
        "{report:?}"
    );
    assert!(fixture.ids("two", FileType::Snapshots).is_empty());
}
