//! Somebody puts a repository of his own in the stead of ours, sealed by the same password.

use std::collections::BTreeSet;
use std::fs;

use jiff::Timestamp;
use strongroom_engine::backup::{BackupOptions, backup};
use strongroom_engine::prune::PruneOptions;
use strongroom_engine::removals::finish_alone;
use strongroom_engine::session::CopyState;
use strongroom_engine::{Error, Result, Session, keys, retain};
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::key::ScryptCost;
use strongroom_repo::repository::{Maker, NewRepository};
use strongroom_repo::{RepoConfig, Repository};
use strongroom_store::{LocalStore, Store};

use crate::fixture::{Fixture, PASSWORD};
use crate::prune::{ALL, open, open_copies, prune_session, state};

/// A repository with a backup, of which this machine has seen all copies; and its id.
fn seen() -> (Fixture, Id) {
    let fixture = Fixture::new();
    fs::write(fixture.source().join("file"), "content").unwrap();
    assert!(fixture.backup().is_complete());
    let session = open(&fixture);
    note(&fixture, &session);
    (fixture, session.id())
}

/// Notes what runs note of the copies that they have listed.
fn note(fixture: &Fixture, session: &Session) {
    let memory = state(fixture).repository(session.id());
    let now = (fixture.environment.clock)();
    retain::note(session, &memory, now, now).unwrap();
    for (copy, _) in session.ready() {
        memory.update_evidence(copy, |_| {}).unwrap();
    }
}

/// Another repository under the same password.
pub(crate) fn another() -> NewRepository {
    let maker = Maker {
        now: Timestamp::UNIX_EPOCH,
        username: "user",
        hostname: "host",
    };
    Repository::generate(PASSWORD.as_bytes(), ScryptCost::LEAST, &maker).unwrap()
}

/// Hides what lies on a copy; returns the empty place.
fn hide(fixture: &Fixture, copy: &str) -> LocalStore {
    let path = fixture.copy_path(copy);
    fs::rename(&path, fixture.copy_path(&format!("{copy} hidden"))).unwrap();
    LocalStore::new(path)
}

/// Hides what lies on some copies, and puts another repository there.
fn replace(fixture: &Fixture, copies: &[&str]) {
    let his = another();
    for copy in copies {
        his.save(&hide(fixture, copy)).unwrap();
    }
}

/// The same on all copies, with one that has this id.
fn replace_under(fixture: &Fixture, id: Id) {
    let his = another();
    let config = RepoConfig {
        id,
        ..RepoConfig::generate().unwrap()
    };
    let config = config.seal(his.repository.key()).unwrap();
    let key = FileName::new(FileType::Keys, his.repository.key_id());
    for copy in ALL {
        let store = hide(fixture, copy);
        store.create().unwrap();
        store.save(key, &his.key_file).unwrap();
        store.save(FileName::CONFIG, &config).unwrap();
    }
}

/// Brings back what was hidden.
fn bring_back(fixture: &Fixture, copies: &[&str]) {
    for copy in copies {
        let path = fixture.copy_path(copy);
        fs::remove_dir_all(&path).unwrap();
        fs::rename(fixture.copy_path(&format!("{copy} hidden")), &path).unwrap();
    }
}

fn back_up(fixture: &Fixture, session: &mut Session) -> Id {
    let (sources, options) = (fixture.folder_source(), BackupOptions::default());
    let (environment, progress) = (&fixture.environment, &fixture.progress);
    let report = backup(session, &sources, &options, environment, progress).unwrap();
    assert!(report.is_complete());
    report.sources[0].snapshot.unwrap()
}

fn forget(fixture: &Fixture, session: &mut Session, snapshot: Id) -> Result<()> {
    let memory = state(fixture).repository(session.id());
    let (environment, progress) = (&fixture.environment, &fixture.progress);
    let going = BTreeSet::from([snapshot]);
    retain::forget(session, &memory, &going, environment, progress).map(drop)
}

fn is_refused(outcome: &Result<()>) -> bool {
    matches!(outcome, Err(Error::NothingRemoved { .. }))
}

#[test]
fn on_every_copy_it_is_told_and_nothing_is_removed_until_it_is_accepted() {
    let (fixture, ours) = seen();
    replace(&fixture, &ALL);
    let prune = |session: &mut Session, dry_run: bool| {
        let options = PruneOptions {
            dry_run,
            ..PruneOptions::default()
        };
        prune_session(&fixture, session, &options).map(drop)
    };
    // As often as it is opened, whatever is noted of it meanwhile.
    for _ in 0..2 {
        let mut session = open(&fixture);
        note(&fixture, &session);
        let his = session.id();
        assert_ne!(his, ours);
        let [told] = session.predecessors.as_slice() else {
            panic!("{session:?}");
        };
        assert_eq!((told.repository, told.successor), (ours, his));
        assert_eq!(told.copies, ALL);
        assert!(told.last_seen.is_some() && told.behind.is_none());
        let snapshot = back_up(&fixture, &mut session);
        for dry_run in [true, false] {
            assert!(is_refused(&prune(&mut session, dry_run)));
        }
        assert!(is_refused(&forget(&fixture, &mut session, snapshot)));
        let key = session.repository.key_id().to_string();
        assert!(is_refused(&keys::remove(&session, &key).map(drop)));
        assert!(fixture.ids("one", FileType::Snapshots).contains(&snapshot));
    }
    let session = open(&fixture);
    let given_up = BTreeSet::from([ours]);
    let now = (fixture.environment.clock)();
    let accepted = state(&fixture).accept_predecessors(session.id(), &given_up, now);
    accepted.unwrap();
    let mut session = open(&fixture);
    assert_eq!(session.predecessors, []);
    prune(&mut session, false).unwrap();
    // What was given up is there again: that is as much of an alarm.
    bring_back(&fixture, &ALL);
    let session = open(&fixture);
    assert_eq!(session.id(), ours);
    assert_eq!(session.predecessors.len(), 1);
}

#[test]
fn on_one_copy_ours_opens_and_nothing_was_there_before_it() {
    let (fixture, ours) = seen();
    replace(&fixture, &["one"]);
    // By itself it is his that opens, as in a drill of this copy.
    let alone = open_copies(&fixture, &fixture.copies[..1], PASSWORD);
    note(&fixture, &alone);
    let [told] = alone.predecessors.as_slice() else {
        panic!("{alone:?}");
    };
    assert_eq!(
        (told.repository, &told.copies),
        (ours, &vec!["one".to_owned()])
    );
    let session = open(&fixture);
    assert_eq!(session.id(), ours);
    assert_eq!(session.predecessors, []);
    assert!(matches!(session.copies[0].state, CopyState::Failed(_)));
}

#[test]
fn what_comes_back_is_no_alarm_though_his_was_there_before_it() {
    let (fixture, ours) = seen();
    replace(&fixture, &ALL);
    for _ in 0..2 {
        let session = open(&fixture);
        note(&fixture, &session);
        assert_eq!(session.predecessors.len(), 1);
    }
    bring_back(&fixture, &ALL);
    let mut session = open(&fixture);
    assert_eq!(session.id(), ours);
    assert_eq!(session.predecessors, []);
    prune_session(&fixture, &mut session, &PruneOptions::default()).unwrap();
    // Another time it is told again.
    replace(&fixture, &ALL);
    assert_eq!(open(&fixture).predecessors.len(), 1);
}

#[test]
fn what_a_record_removes_waits_too() {
    let (fixture, _) = seen();
    replace(&fixture, &ALL);
    let snapshot = back_up(&fixture, &mut open(&fixture));
    // As somebody decided who did not see the alarm, while a copy was away.
    let mut two = open_copies(&fixture, &fixture.copies[..2], PASSWORD);
    assert_eq!(two.predecessors.len(), 1);
    two.predecessors.clear();
    forget(&fixture, &mut two, snapshot).unwrap();
    let is_there = |copy: &str| fixture.ids(copy, FileType::Snapshots).contains(&snapshot);
    assert!(!is_there("one") && is_there("three"));
    let mut session = open(&fixture);
    let finish = |session: &Session| {
        let (environment, progress) = (&fixture.environment, &fixture.progress);
        finish_alone(session, None, environment, progress).unwrap()
    };
    let finished = finish(&session);
    let [copy] = finished.as_slice() else {
        panic!("{finished:?}");
    };
    assert_eq!((copy.name.as_str(), copy.removed), ("three", 0));
    assert_eq!(copy.waiting, 1);
    assert!(is_there("three"));
    session.predecessors.clear();
    finish(&session);
    assert!(!is_there("three"));
}

#[test]
fn one_that_has_our_id_as_well_is_told_by_its_key() {
    let (fixture, ours) = seen();
    let key = open(&fixture).repository.key_id();
    replace_under(&fixture, ours);
    for _ in 0..2 {
        let mut session = open(&fixture);
        note(&fixture, &session);
        assert_eq!(session.id(), ours);
        assert_ne!(session.repository.key_id(), key);
        let [told] = session.predecessors.as_slice() else {
            panic!("{session:?}");
        };
        assert_eq!((told.repository, told.successor), (ours, ours));
        assert_eq!(told.copies, ALL);
        let pruned = prune_session(&fixture, &mut session, &PruneOptions::default());
        assert!(is_refused(&pruned.map(drop)));
    }
    // Where one copy is back, ours is asked for first.
    bring_back(&fixture, &["three"]);
    let session = open(&fixture);
    assert_eq!(session.repository.key_id(), key);
    assert_eq!(session.predecessors, []);
    assert_eq!(session.ready().count(), 1);
}

#[test]
fn where_the_state_folder_is_lost_nobody_is_alarmed() {
    let (fixture, ours) = seen();
    replace(&fixture, &ALL);
    fs::remove_dir_all(state(&fixture).path()).unwrap();
    let session = open(&fixture);
    assert_ne!(session.id(), ours);
    assert_eq!(session.predecessors, []);
}
