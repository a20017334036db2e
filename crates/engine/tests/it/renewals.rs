//! Our locks while a run goes on: each is renewed for itself, whatever the other copies do.
//!
//! Renewals are due every few milliseconds, and time is what a test says it is.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use strongroom_engine::session::{LockTimes, Locks, Session};
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::lock::Lock;
use strongroom_store::{Error, LocalStore, Store};
use strongroom_testkit::{Fault, FaultyStore, Gate, Op, RecordingStore, Rule, TestClock};

use crate::fixture::Fixture;

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(40);

const OFTEN: Duration = Duration::from_millis(20);

fn session(fixture: &Fixture) -> Session {
    let mut session = fixture.open();
    session.lock_times = LockTimes {
        renew_every: OFTEN,
        try_again: OFTEN,
        longest_end: OFTEN,
        ..LockTimes::default()
    };
    session
}

#[track_caller]
fn wait_until(mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "it does not happen");
        std::thread::yield_now();
    }
}

fn lock_ids(fixture: &Fixture, copy: &str) -> Vec<Id> {
    fixture.ids(copy, FileType::Locks)
}

#[track_caller]
fn wait_for_renewal(fixture: &Fixture, copy: &str) {
    let before = lock_ids(fixture, copy);
    wait_until(|| {
        let now = lock_ids(fixture, copy);
        !now.is_empty() && now.iter().all(|id| !before.contains(id))
    });
}

/// The times that the locks of a copy say.
fn lock_times(fixture: &Fixture, copy: &str) -> Vec<Timestamp> {
    let store = LocalStore::new(fixture.copy_path(copy));
    let ids = lock_ids(fixture, copy).into_iter();
    // One may be gone by now.
    let read = ids.filter_map(|id| store.read(FileName::new(FileType::Locks, id)).ok());
    read.map(|bytes| Lock::open(&fixture.key, bytes).unwrap().time)
        .collect()
}

/// Writes an index file to a copy of a session, as it may be done under a lock.
fn save_index(session: &Session, copy: &str, text: &str) -> Result<(), Error> {
    let name = FileName::new(FileType::Index, Id::of(text.as_bytes()));
    let (copy, _) = session
        .ready()
        .find(|(ready, _)| ready.name == copy)
        .unwrap();
    copy.store.save(name, text.as_bytes())
}

#[test]
fn a_copy_that_is_slow_to_be_locked_does_not_age_the_locks_of_the_others() {
    let mut fixture = Fixture::new();
    let clock = Arc::new(TestClock::at("2026-06-01T12:00:00Z"));
    fixture.environment.clock = {
        let clock = Arc::clone(&clock);
        Arc::new(move || clock.now())
    };
    let gate = Gate::closed();
    let rule = Rule::on(&[Op::List], Fault::Wait(gate.clone())).of(FileType::Locks);
    fixture.wrap("two", |store| FaultyStore::new(store).with(rule));
    let mut session = session(&fixture);
    let acquiring = || Locks::acquire(&mut session, &fixture.environment, false);
    let acquired = gate.meanwhile(acquiring, || {
        for _ in 0..4 {
            for copy in ["one", "three"] {
                wait_until(|| lock_times(&fixture, copy) == [clock.now()]);
            }
            clock.advance(Duration::from_secs(20 * 60));
        }
    });
    let mut locks = acquired.unwrap();
    assert_eq!(session.ready().count(), 3);
    for copy in ["one", "two", "three"] {
        wait_until(|| lock_times(&fixture, copy) == [clock.now()]);
        save_index(&session, copy, "index").unwrap();
    }
    locks.release();
    for copy in ["one", "two", "three"] {
        wait_until(|| lock_ids(&fixture, copy).is_empty());
    }
}

#[test]
fn a_renewal_waits_for_no_other_copy_and_the_end_of_a_run_not_for_long() {
    let mut fixture = Fixture::new();
    let gate = Gate::closed();
    // The first lock is written, its renewal hangs.
    let rule = Rule::on(&[Op::Save], Fault::Wait(gate.clone())).of(FileType::Locks);
    let recording = fixture.wrap("two", |store| {
        RecordingStore::new(FaultyStore::new(store).with(rule.after(1)))
    });
    let mut session = session(&fixture);
    let mut locks = Locks::acquire(&mut session, &fixture.environment, false).unwrap();
    gate.wait_for_waiting(1);
    for _ in 0..3 {
        for copy in ["one", "three"] {
            wait_for_renewal(&fixture, copy);
        }
    }
    let (done, ended) = channel();
    std::thread::spawn(move || {
        locks.release();
        done.send(())
    });
    ended.recv_timeout(PATIENCE).unwrap();
    for copy in ["one", "two", "three"] {
        assert_eq!(lock_ids(&fixture, copy), [], "{copy}");
    }
    // What is written late goes again.
    gate.open();
    wait_until(|| recording.written().len() == 2);
    wait_until(|| lock_ids(&fixture, "two").is_empty());
}

#[test]
fn an_outage_that_ends_in_time_loses_no_copy() {
    let mut fixture = Fixture::new();
    let recording = fixture.wrap("two", |store| RecordingStore::new(FaultyStore::new(store)));
    let faulty = recording.inner();
    let mut session = session(&fixture);
    let mut locks = Locks::acquire(&mut session, &fixture.environment, false).unwrap();
    let failed = || {
        let mut records = recording.records();
        records.retain(|one| one.op == Op::Size && !one.succeeded);
        records.len()
    };
    faulty.set_unreachable(true);
    wait_until(|| failed() > 3);
    let refused = save_index(&session, "two", "meanwhile").unwrap_err();
    assert!(matches!(refused, Error::Unreachable { .. }), "{refused}");
    faulty.set_unreachable(false);
    wait_for_renewal(&fixture, "two");
    save_index(&session, "two", "afterwards").unwrap();
    locks.release();
    wait_until(|| lock_ids(&fixture, "two").is_empty());
}

#[test]
fn a_renewal_whose_answer_was_lost_leaves_no_second_lock() {
    let mut fixture = Fixture::new();
    let rule = Rule::on(&[Op::Save], Fault::AnswerLost).of(FileType::Locks);
    let recording = fixture.wrap("two", |store| {
        RecordingStore::new(FaultyStore::new(store).with(rule.after(1).times(2)))
    });
    let mut session = session(&fixture);
    let mut locks = Locks::acquire(&mut session, &fixture.environment, false).unwrap();
    wait_until(|| recording.written().len() >= 2);
    // The one that was answered, and the next one while it takes the place of that.
    wait_until(|| lock_ids(&fixture, "two").len() == 1);
    save_index(&session, "two", "index").unwrap();
    locks.release();
    wait_until(|| lock_ids(&fixture, "two").is_empty());
}

#[test]
fn a_lock_that_somebody_removed_is_not_written_again() {
    let mut fixture = Fixture::new();
    let recording = fixture.wrap("two", RecordingStore::new);
    let mut session = session(&fixture);
    let mut locks = Locks::acquire(&mut session, &fixture.environment, false).unwrap();
    let store = LocalStore::new(fixture.copy_path("two"));
    wait_until(|| {
        for id in lock_ids(&fixture, "two") {
            store.remove(FileName::new(FileType::Locks, id)).unwrap();
        }
        let saved = save_index(&session, "two", "index");
        // Not only just now, as while it is renewed.
        matches!(saved, Err(Error::LockLost { reason, .. }) if reason == "our lock on it is gone")
    });
    let written = recording.tally(&[Op::Save], FileType::Locks).calls;
    for copy in ["one", "three"] {
        wait_for_renewal(&fixture, copy);
    }
    assert_eq!(recording.tally(&[Op::Save], FileType::Locks).calls, written);
    locks.release();
}

#[test]
fn a_pack_goes_without_a_look_at_a_young_lock_and_never_where_an_old_one_is_gone() {
    let mut fixture = Fixture::new();
    let clock = Arc::new(TestClock::at("2026-06-01T12:00:00Z"));
    fixture.environment.clock = {
        let clock = Arc::clone(&clock);
        Arc::new(move || clock.now())
    };
    let recording = fixture.wrap("two", RecordingStore::new);
    // Nothing is renewed as long as this runs.
    let mut session = fixture.open();
    let mut locks = Locks::acquire(&mut session, &fixture.environment, true).unwrap();
    let looks = || recording.tally(&[Op::Size], FileType::Locks).calls;
    let before = looks();
    let behind = LocalStore::new(fixture.copy_path("two"));
    let remove = |text: &str| {
        let name = FileName::new(FileType::Data, Id::of(text.as_bytes()));
        behind.save(name, text.as_bytes()).unwrap();
        let mut ready = session.ready();
        let (copy, _) = ready.find(|(copy, _)| copy.name == "two").unwrap();
        copy.store.remove(name)
    };
    remove("young").unwrap();
    assert_eq!(looks(), before);
    // As long as the lid was closed.
    clock.advance(Duration::from_secs(12 * 60));
    remove("old").unwrap();
    assert_eq!(looks(), before + 1);
    for id in lock_ids(&fixture, "two") {
        behind.remove(FileName::new(FileType::Locks, id)).unwrap();
    }
    let refused = remove("gone").unwrap_err();
    assert!(matches!(refused, Error::LockLost { .. }), "{refused}");
    locks.release();
}
