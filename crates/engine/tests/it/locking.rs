//! Locks made longer: what is due and nothing else, with as few requests as that takes.

mod attacked;
mod hidden_keys;

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use strongroom_engine::locking::{CopyLocks, LockReport, LockingOptions, extend};
use strongroom_engine::retain;
use strongroom_engine::session::Environment;
use strongroom_engine::state::{RepositoryState, StateFolder};
use strongroom_engine::{CopyStore, Session};
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::Snapshot;
use strongroom_repo::record::{Record, Removal, RemovedBy};
use strongroom_store::{LocalStore, Locks, SavedLock, Store, VersionId};
use strongroom_testkit::{Asked, FakeBucket, Op, RecordingStore, Rights};

use crate::fixture::{Fixture, environment};
use crate::prune::open;

const DAY: Duration = Duration::from_secs(86_400);

/// Two copies in folders, and one that is locked for thirty days.
struct Scene {
    fixture: Fixture,
    locked: Arc<FakeBucket>,
}

impl Scene {
    /// With one backup.
    fn new() -> Self {
        let mut fixture = Fixture::new();
        let locked = Arc::new(FakeBucket::locking("offsite", DAY * 30));
        let one = LocalStore::new(fixture.copy_path("one"));
        for kind in [FileType::Config, FileType::Keys] {
            for entry in one.list(kind).unwrap() {
                let name = FileName::new(kind, entry.id);
                locked.save(name, &one.read(name).unwrap()).unwrap();
            }
        }
        fixture.copies.pop();
        fixture.copies.push(CopyStore {
            name: "offsite".to_owned(),
            store: locked.clone(),
            is_local: false,
        });
        let scene = Self { fixture, locked };
        scene.backup("first");
        scene
    }

    fn backup(&self, name: &str) {
        fs::write(self.fixture.source().join(name), name.repeat(1000)).unwrap();
        assert!(self.fixture.backup().is_complete());
    }

    /// Asserts that files are locked for as long as those that are locked now.
    #[track_caller]
    fn assert_locked(&self, files: &[(FileName, Vec<u8>)]) {
        let end = self.locked.now().unwrap() + DAY * 45;
        for (name, bytes) in files {
            assert!(self.locked.until(*name, bytes) >= Some(end), "{name}");
        }
    }

    fn memory(&self, session: &Session) -> RepositoryState {
        let state = StateFolder::new(self.fixture.folder.path().join("state"));
        state.repository(session.id())
    }

    /// Lets versions be listed, or refuses that.
    fn let_list(&self, list_versions: bool) {
        self.locked.allow(Rights {
            list_versions,
            ..Rights::default()
        });
    }

    fn lose_record(&self) {
        fs::remove_dir_all(self.fixture.folder.path().join("state")).unwrap();
    }

    fn run(&self, options: &LockingOptions) -> LockReport {
        let session = self.fixture.open();
        let memory = self.memory(&session);
        let (environment, progress) = (&self.fixture.environment, &self.fixture.progress);
        extend(&session, &memory, None, options, environment, progress).unwrap()
    }

    /// The same, at a time by our own clock.
    fn run_at(&self, now: SystemTime) -> LockReport {
        let session = self.fixture.open();
        let memory = self.memory(&session);
        let now = Timestamp::try_from(now).unwrap();
        let environment = Environment {
            clock: Arc::new(move || now),
            ..environment("testhost")
        };
        let (options, progress) = (LockingOptions::default(), &self.fixture.progress);
        extend(&session, &memory, None, &options, &environment, progress).unwrap()
    }

    /// Extends what is due, as at the end of a backup; returns what came of the locked copy.
    fn extend(&self) -> CopyLocks {
        the_copy(self.run(&LockingOptions::default()))
    }

    /// All files of the locked copy that are seen, with their bytes.
    fn files(&self) -> Vec<(FileName, Vec<u8>)> {
        let mut files = Vec::new();
        for kind in FileType::SYNCED.into_iter().chain([FileType::Config]) {
            for entry in self.locked.list(kind).unwrap() {
                let name = FileName::new(kind, entry.id);
                files.push((name, self.locked.read(name).unwrap()));
            }
        }
        files
    }

    /// Seals the snapshot so many times anew, and saves that on every copy.
    fn add_snapshots(&self, count: usize) {
        let is_snapshot = |(name, _): &(FileName, Vec<u8>)| name.kind() == FileType::Snapshots;
        let (_, bytes) = self.files().into_iter().find(is_snapshot).unwrap();
        let snapshot = Snapshot::open(&self.fixture.key, bytes).unwrap();
        for _ in 0..count {
            let (id, bytes) = snapshot.seal(&self.fixture.key, 2).unwrap();
            let name = FileName::new(FileType::Snapshots, id);
            for copy in &self.fixture.copies {
                copy.store.save(name, &bytes).unwrap();
            }
        }
    }

    /// Of how many files the lock ends within so many days.
    fn ending_within(&self, days: u32) -> usize {
        let end = self.locked.now().unwrap() + DAY * days;
        let files = self.files();
        let ends = files
            .iter()
            .map(|(name, bytes)| self.locked.until(*name, bytes));
        ends.filter(|until| until.unwrap() < end).count()
    }
}

fn the_copy(report: LockReport) -> CopyLocks {
    assert_eq!(report.gaps, [""; 0]);
    assert_eq!(report.problems, [""; 0]);
    let [copy] = <[CopyLocks; 1]>::try_from(report.copies).unwrap();
    assert_eq!(copy.name, "offsite");
    copy
}

fn pack(scene: &Scene) -> (FileName, Vec<u8>) {
    let files = scene.files().into_iter();
    let mut packs = files.filter(|(name, _)| name.kind() == FileType::Data);
    packs.next().unwrap()
}

#[test]
fn what_a_backup_puts_enters_the_record_without_a_request() {
    let scene = Scene::new();
    scene.locked.take_asked();
    let told = scene.extend();
    let files = scene.files().len() as u64;
    assert!(files > 4);
    assert_eq!((told.recorded, told.found, told.due), (files, 0, 0));
    assert!(told.is_complete());
    assert_eq!(scene.locked.take_asked(), Asked::default());
}

#[test]
fn a_second_run_asks_for_nothing_and_reads_nothing() {
    let mut scene = Scene::new();
    let recorder = scene.fixture.wrap("one", RecordingStore::new);
    scene.extend();
    // Nothing but the trees told what the snapshot needs.
    assert!(recorder.tally(&Op::READS, FileType::Index).calls > 0);
    recorder.clear();
    scene.locked.take_asked();
    scene.extend();
    assert_eq!(scene.locked.take_asked(), Asked::default());
    for kind in [FileType::Index, FileType::Snapshots, FileType::Data] {
        assert_eq!(recorder.tally(&Op::READS, kind).calls, 0, "{kind}");
    }
    // What comes later is no more than itself.
    scene.backup("second");
    scene.locked.take_asked();
    scene.extend();
    assert_eq!(scene.locked.take_asked(), Asked::default());
}

#[test]
fn trees_are_read_only_as_long_as_there_is_time_and_all_packs_are_kept_meanwhile() {
    let mut scene = Scene::new();
    let recorder = scene.fixture.wrap("one", RecordingStore::new);
    scene.extend();
    scene.lose_record();
    recorder.clear();
    let report = scene.run(&LockingOptions {
        longest: Some(Duration::ZERO),
        ..LockingOptions::default()
    });
    assert!(report.lacks_time, "{report:?}");
    // It was not looked at what the snapshot needs, and nothing of it is left out.
    for kind in [FileType::Index, FileType::Snapshots, FileType::Data] {
        assert_eq!(recorder.tally(&Op::READS, kind).calls, 0, "{kind}");
    }
    assert_eq!(report.copies[0].left, scene.files().len() as u64);
    // The next run, which has time, finds out all of it.
    let report = scene.run(&LockingOptions::default());
    assert!(!report.lacks_time && report.is_complete(), "{report:?}");
    assert!(recorder.tally(&Op::READS, FileType::Index).calls > 0);
    assert_eq!(report.copies[0].left, 0);
}

#[test]
fn what_is_due_is_extended_once() {
    let scene = Scene::new();
    scene.extend();
    // Of 45 days 37 and a half must be left.
    scene.locked.advance(DAY * 7);
    assert_eq!(scene.extend().due, 0);
    scene.locked.advance(DAY);
    assert_eq!(scene.ending_within(38), scene.files().len());
    scene.locked.take_asked();
    let told = scene.extend();
    let files = scene.files().len();
    assert_eq!((told.due, told.extended), (files as u64, files as u64));
    let asked = scene.locked.take_asked();
    assert_eq!((asked.locked, asked.looked, asked.opened), (files, 0, 0));
    // That the versions are the right ones is seen in a listing, and what is hidden in one more.
    assert_eq!(asked.listed, files + 1);
    assert_eq!(scene.ending_within(45), 0);
    assert_eq!(scene.extend().due, 0);
}

#[test]
fn forty_eight_locks_are_made_longer_at_a_time_and_no_more() {
    let scene = Scene::new();
    // What nothing vouches for would come after all others; a snapshot is vouched for that decrypts.
    scene.add_snapshots(60);
    scene.extend();
    scene.locked.advance(DAY * 10);
    scene.locked.await_at_once(48);
    let told = scene.extend();
    assert!(told.is_complete(), "{told:?}");
    assert_eq!(told.extended, scene.files().len() as u64);
    assert_eq!(scene.locked.most_at_once(), 48);
}

#[test]
fn a_lock_that_is_raised_makes_all_due() {
    let scene = Scene::new();
    scene.extend();
    scene.locked.set_least(DAY * 90);
    let told = scene.extend();
    assert_eq!(told.extended, scene.files().len() as u64);
    assert_eq!(told.least, DAY * 90);
    assert_eq!(scene.ending_within(135), 0);
}

#[test]
fn a_record_that_is_lost_is_read_anew_by_one_look_at_each_file() {
    let scene = Scene::new();
    scene.extend();
    scene.lose_record();
    scene.locked.take_asked();
    let told = scene.extend();
    let files = scene.files().len();
    assert_eq!((told.found, told.due), (files as u64, 0));
    let asked = scene.locked.take_asked();
    assert_eq!((asked.looked, asked.locked, asked.opened), (files, 0, 0));
    // Whose account may list no versions, takes what is seen.
    scene.lose_record();
    scene.let_list(false);
    scene.locked.advance(DAY * 10);
    let told = scene.extend();
    assert_eq!((told.found, told.extended), (files as u64, files as u64));
    assert_eq!(scene.ending_within(45), 0);
}

#[test]
fn the_right_version_is_locked_behind_whatever_hides_it() {
    for is_recorded in [true, false] {
        let scene = Scene::new();
        scene.extend();
        let files = scene.files();
        let (name, bytes) = pack(&scene);
        // Junk of the same size, then a marker.
        let junk = vec![0; bytes.len()];
        scene.locked.put(name, &junk);
        scene.locked.remove(name).unwrap();
        let config = files.iter().find(|(name, _)| *name == FileName::CONFIG);
        let (_, config) = config.unwrap();
        scene.locked.put(FileName::CONFIG, b"junk");
        if !is_recorded {
            scene.lose_record();
        }
        scene.locked.advance(DAY * 10);
        // The session does not use its config, and lists the copy all the same.
        let told = scene.extend();
        assert_eq!(told.extended, files.len() as u64, "{told:?}");
        assert_eq!(scene.locked.until(name, &junk), None);
        let far = scene.locked.until(FileName::CONFIG, config);
        assert_eq!(scene.locked.until(name, &bytes), far);
        assert!(far > scene.locked.until(FileName::CONFIG, b"junk"));
    }
}

#[test]
fn a_version_of_the_record_that_is_gone_is_looked_for_again() {
    let scene = Scene::new();
    let session = scene.fixture.open();
    let (name, bytes) = pack(&scene);
    scene.extend();
    let unknown = SavedLock {
        name,
        version: VersionId::new("unknown"),
        until: SystemTime::UNIX_EPOCH,
    };
    let memory = scene.memory(&session);
    let copy = &session.copies[2].copy;
    memory
        .update_lock_dates(copy, |dates| {
            dates.note([unknown]);
            true
        })
        .unwrap();
    let told = scene.extend();
    assert_eq!((told.due, told.found), (1, 1), "{told:?}");
    assert!(told.is_complete());
    let (version, until) = memory.lock_dates(copy).get(name).unwrap();
    assert_ne!(version.as_str(), "unknown");
    assert!(Some(until) <= scene.locked.until(name, &bytes));
}

#[test]
fn what_cannot_be_extended_is_named_and_an_alarm_when_too_little_is_left() {
    let scene = Scene::new();
    scene.extend();
    let (name, _) = pack(&scene);
    scene.locked.refuse(name, true);
    scene.locked.advance(DAY * 10);
    let told = scene.extend();
    assert_eq!((told.failed, told.short), (1, 0));
    assert_eq!(told.not_extended[0].name, name);
    assert!(!told.is_complete());
    assert_eq!(told.extended, scene.files().len() as u64 - 1);
    scene.locked.advance(DAY * 6);
    let report = scene.run(&LockingOptions::default());
    assert_eq!(report.alarms().count(), 1);
    let told = the_copy(report);
    assert_eq!((told.failed, told.short), (1, 1));
    scene.locked.refuse(name, false);
    let told = scene.extend();
    assert_eq!((told.extended, told.short), (1, 0));
    assert!(told.is_complete());
}

#[test]
fn what_nothing_needs_is_left_to_expire() {
    let scene = Scene::new();
    let junk = FileName::new(FileType::Data, Id::of(b"junk"));
    scene.locked.save(junk, b"junk").unwrap();
    scene.extend();
    let before = scene.locked.until(junk, b"junk");
    scene.locked.advance(DAY * 10);
    let told = scene.extend();
    let files = scene.files().len() as u64;
    assert_eq!((told.extended, told.recorded), (files - 1, files - 1));
    assert_eq!(scene.locked.until(junk, b"junk"), before);
    assert!(before.is_some());
    // It does not make everything be looked at again and again.
    scene.locked.advance(DAY * 5);
    scene.locked.take_asked();
    assert_eq!(scene.extend().short, 0);
    assert_eq!(scene.locked.take_asked(), Asked::default());
}

#[test]
fn nothing_is_let_go_of_while_a_snapshot_is_in_no_listing_and_nobody_said_that_it_was_meant() {
    let scene = Scene::new();
    scene.extend();
    let files = scene.files();
    let is_snapshot = |name: &FileName| name.kind() == FileType::Snapshots;
    let names = files.iter().map(|(name, _)| *name);
    let snapshot = names.clone().find(is_snapshot).unwrap();
    for copy in ["one", "two"] {
        let store = LocalStore::new(scene.fixture.copy_path(copy));
        store.remove(snapshot).unwrap();
    }
    scene.locked.remove(snapshot).unwrap();
    scene.locked.advance(DAY * 10);
    let report = scene.run(&LockingOptions::default());
    assert_eq!(report.gaps.len(), 1, "{:?}", report.gaps);
    assert!(report.gaps[0].contains(&snapshot.to_string()));
    assert!(!report.is_complete());
    assert_eq!(report.copies[0].extended, files.len() as u64);
    // It stays so as long as that is not told.
    scene.locked.advance(DAY * 10);
    assert_eq!(
        scene.run(&LockingOptions::default()).copies[0].extended,
        files.len() as u64
    );
    let session = scene.fixture.open();
    let memory = scene.memory(&session);
    memory
        .update_gone(|gone| gone.accept(&[snapshot].into()))
        .unwrap();
    scene.locked.advance(DAY * 10);
    let told = scene.extend();
    let packs = names.filter(|name| name.kind() == FileType::Data).count();
    // The snapshot and its packs are let go of; an index file is kept as long as a copy lists it.
    let kept = files.len() - packs - 1;
    assert_eq!((told.extended, told.recorded), (kept as u64, kept as u64));
}

#[test]
fn what_was_removed_here_is_left_to_expire_while_another_removal_may_be_taken_back() {
    for is_forgotten in [true, false] {
        let scene = Scene::new();
        scene.backup("second");
        scene.extend();
        let files = scene.files().into_iter();
        let mut snapshots = files.filter(|(name, _)| name.kind() == FileType::Snapshots);
        let (gone, bytes) = snapshots.next().unwrap();
        let (other, _) = snapshots.next().unwrap();
        let (environment, progress) = (&scene.fixture.environment, &scene.fixture.progress);
        let run = |options: &LockingOptions| {
            let session = open(&scene.fixture);
            let memory = scene.memory(&session);
            let report = extend(&session, &memory, None, options, environment, progress);
            let told = the_copy(report.unwrap());
            (told, memory.lock_dates(&session.copies[2].copy))
        };
        let mut session = open(&scene.fixture);
        let memory = scene.memory(&session);
        let going = BTreeSet::from([gone.id().unwrap()]);
        retain::forget(&mut session, &memory, &going, environment, progress).unwrap();
        if is_forgotten {
            // It is in the record no more, and lies there until its lock is over.
            let all = LockingOptions {
                all: true,
                ..LockingOptions::default()
            };
            assert_eq!(run(&all).1.until(gone), None);
        }
        let theirs = Record::Removal(Removal {
            at: Timestamp::UNIX_EPOCH,
            host: "elsewhere".to_owned(),
            by: RemovedBy::Forget,
            snapshots: BTreeSet::from([other.id().unwrap()]),
            index: BTreeSet::new(),
            data: BTreeSet::new(),
            stays: BTreeSet::new(),
        });
        let (record, sealed) = theirs.seal(&scene.fixture.key).unwrap();
        for copy in &scene.fixture.copies {
            let name = FileName::new(FileType::Records, record);
            copy.store.save(name, &sealed).unwrap();
        }
        let before = scene.locked.until(gone, &bytes);
        assert!(before.is_some());
        scene.locked.advance(DAY * 10);
        let (told, _) = run(&LockingOptions::default());
        assert!(told.extended > 0, "{told:?}");
        // Longer than any lock of ours it would look as if somebody kept it.
        assert_eq!(scene.locked.until(gone, &bytes), before);
    }
}

#[test]
fn what_there_is_no_time_for_is_told_and_done_by_the_next_run() {
    let scene = Scene::new();
    scene.extend();
    scene.locked.advance(DAY * 10);
    let files = scene.files().len() as u64;
    let none = LockingOptions {
        longest: Some(Duration::ZERO),
        ..LockingOptions::default()
    };
    let told = the_copy(scene.run(&none));
    assert_eq!((told.due, told.extended, told.left), (files, 0, files));
    // Too little is left of none of them yet.
    assert!(told.is_complete());
    assert_eq!(scene.extend().extended, files);
}

#[test]
fn a_dry_run_counts_and_locks_nothing() {
    let scene = Scene::new();
    scene.extend();
    scene.locked.advance(DAY * 10);
    let files = scene.files().len() as u64;
    let dry = LockingOptions {
        dry_run: true,
        all: true,
        ..LockingOptions::default()
    };
    for _ in 0..2 {
        scene.locked.take_asked();
        let told = the_copy(scene.run(&dry));
        assert_eq!((told.due, told.extended), (files, 0));
        assert_eq!(scene.locked.take_asked().locked, 0);
    }
    scene.lose_record();
    assert_eq!(the_copy(scene.run(&dry)).due, files);
    assert_eq!(scene.extend().extended, files);
}

#[test]
fn a_copy_that_is_not_named_is_left_alone() {
    let scene = Scene::new();
    scene.locked.advance(DAY * 10);
    let other = LockingOptions {
        only: Some("one".to_owned()),
        ..LockingOptions::default()
    };
    assert!(scene.run(&other).copies.is_empty());
    // What was saved is recorded all the same.
    scene.locked.take_asked();
    let told = scene.extend();
    assert_eq!(told.found, 0);
    assert_eq!(told.extended, told.recorded);
}

#[test]
fn what_lies_in_another_bucket_of_the_same_name_is_locked_when_it_was_seen_to_be() {
    let scene = Scene::new();
    scene.extend();
    scene.locked.replace_bucket();
    let files = scene.files().len() as u64;
    let report = scene.run(&LockingOptions::default());
    let [told] = report.problems.as_slice() else {
        panic!("{report:?}");
    };
    assert!(told.starts_with("offsite: it is another bucket"), "{told}");
    let copy = &report.copies[0];
    assert_eq!((copy.found, copy.extended), (files, files));
    assert_eq!(scene.ending_within(45), 0);
    // That is told once, and known from then on.
    scene.locked.take_asked();
    assert_eq!(scene.extend().recorded, files);
    assert_eq!(scene.locked.take_asked(), Asked::default());
    // What the first one claimed is claimed of that one alone, until somebody looks at this one.
    let session = scene.fixture.open();
    let copy = &session.copies[2].copy;
    let mut evidence = scene.memory(&session).evidence(copy);
    assert!(evidence.lock.is_some());
    assert!(evidence.move_to(copy.store.identity().unwrap()));
    assert_eq!(evidence.lock, None);
}

#[test]
fn a_right_to_list_versions_that_is_granted_makes_no_other_bucket_of_it() {
    let scene = Scene::new();
    scene.let_list(false);
    scene.extend();
    scene.let_list(true);
    scene.locked.take_asked();
    scene.extend();
    assert_eq!(scene.locked.take_asked(), Asked::default());
    // Where it is taken away, nothing tells whether it is the same one.
    scene.let_list(false);
    let report = scene.run(&LockingOptions::default());
    let [told] = report.problems.as_slice() else {
        panic!("{report:?}");
    };
    assert!(told.contains("nothing tells any more"), "{told}");
    assert_eq!(report.copies[0].found, scene.files().len() as u64);
    scene.locked.take_asked();
    scene.extend();
    assert_eq!(scene.locked.take_asked(), Asked::default());
}
