//! Snapshots let go of, with a clock that the test turns, on real folders; [`poison`] is for those
//! who try to have real ones forgotten.

mod poison;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use strongroom_engine::backup::{BackupOptions, backup};
use strongroom_engine::holds;
use strongroom_engine::progress::Progress;
use strongroom_engine::retain::{self, Forgotten, Hosts, Plan, Question, Told};
use strongroom_engine::session::{self, Cancel, CopyStore, Environment, Locks, Looking, Session};
use strongroom_engine::snapshots::Snapshots;
use strongroom_engine::state::{RepositoryState, StateFolder};
use strongroom_engine::sync::{SyncOptions, sync_session};
use strongroom_engine::{CopyFailure, CopyFailureKind, CopyState, Error};
use strongroom_model::holds::Hold;
use strongroom_model::retention::{Fate, Suspicion};
use strongroom_model::{FileName, FileType, Id, Keep, Name};
use strongroom_repo::record::{Record, Removal, RemovedBy};
use strongroom_repo::{Key, Snapshot};
use strongroom_store::Store;

use crate::fixture::{Fixture, PASSWORD, environment};

const DAY: i64 = 86_400;
const HOUR: i64 = 3_600;

/// The first second of day 0, which is a Monday: 2026-01-05.
const MONDAY: i64 = 1_767_571_200;

const COPIES: [&str; 3] = ["one", "two", "three"];

fn at(day: i64, second: i64) -> Timestamp {
    Timestamp::from_second(MONDAY + day * DAY + second).unwrap()
}

fn daily(number: u32) -> Keep {
    Keep {
        daily: NonZeroU32::new(number),
        ..Keep::default()
    }
}

/// The host `testhost` with its state folder, its clock and what it knows of some copies.
struct Host {
    copies: Vec<CopyStore>,
    state: StateFolder,
    clock: Arc<Mutex<Timestamp>>,
    environment: Environment,
    keeps: BTreeMap<Name, Keep>,
    vaults: BTreeMap<String, Told>,
}

impl Host {
    fn new(copies: &[CopyStore], state: StateFolder, keep: Keep) -> Self {
        let clock = Arc::new(Mutex::new(at(0, 0)));
        let shown = Arc::clone(&clock);
        Self {
            copies: copies.to_vec(),
            state,
            clock,
            environment: Environment {
                clock: Arc::new(move || *shown.lock()),
                ..environment("testhost")
            },
            keeps: [("main".parse().unwrap(), keep)].into(),
            vaults: BTreeMap::new(),
        }
    }

    fn set(&self, now: Timestamp) {
        *self.clock.lock() = now;
    }

    fn now(&self) -> Timestamp {
        *self.clock.lock()
    }

    fn open(&self) -> Session {
        let looking = Looking::default();
        let password = PASSWORD.as_bytes();
        session::open_remembering(&self.copies, password, &looking, &self.state, self.now())
            .unwrap()
    }

    fn memory(&self, session: &Session) -> RepositoryState {
        self.state.repository(session.id())
    }

    /// Takes note of what the copies list, as every run does that lists them.
    fn note(&self, session: &Session) {
        let now = self.now();
        retain::note(session, &self.memory(session), now, now).unwrap();
    }

    fn plan(&self, session: &Session) -> Plan {
        let snapshots = Snapshots::load(session, &Cancel::default()).unwrap();
        let memory = self.memory(session);
        let holds = holds::load(session, &memory).unwrap();
        let question = Question {
            snapshots: &snapshots,
            holds: &holds,
            keeps: &self.keeps,
            hosts: &Hosts::These(["testhost".to_owned()].into()),
            vaults: &self.vaults,
        };
        retain::plan(session, &memory, &question, self.now()).unwrap()
    }

    fn remove(&self, session: &mut Session, going: &BTreeSet<Id>) -> Forgotten {
        let memory = self.memory(session);
        let progress = Progress::default();
        retain::forget(session, &memory, going, &self.environment, &progress).unwrap()
    }

    /// What `strongroom forget` does.
    fn forget(&self) -> Forgotten {
        let mut session = self.open();
        self.note(&session);
        let plan = self.plan(&session);
        plan.remember(&self.memory(&session), self.now()).unwrap();
        self.remove(&mut session, &plan.going())
    }

    fn fate(&self, snapshot: Id) -> Fate {
        let plan = self.plan(&self.open());
        let found = plan.decided.iter().find(|one| one.id == snapshot);
        found.unwrap().fate.clone()
    }
}

/// A fixture whose host backs up and forgets.
struct World {
    fixture: Fixture,
    host: Host,
}

impl World {
    fn new(keep: Keep) -> Self {
        let fixture = Fixture::new();
        std::fs::write(fixture.source().join("file"), "first").unwrap();
        let state = StateFolder::new(fixture.folder.path().join("state"));
        let host = Host::new(&fixture.copies, state, keep);
        Self { fixture, host }
    }

    fn backup(&self) -> Id {
        let text = self.host.now().to_string();
        std::fs::write(self.fixture.source().join("file"), text).unwrap();
        let mut session = self.host.open();
        let sources = self.fixture.folder_source();
        let options = BackupOptions::default();
        let environment = &self.host.environment;
        let report = backup(
            &mut session,
            &sources,
            &options,
            environment,
            &self.fixture.progress,
        );
        let snapshot = report.unwrap().sources[0].snapshot.unwrap();
        self.host.note(&session);
        snapshot
    }

    /// A backup at 02:00 of each of some days, and a forget at 04:00.
    fn nightly(&self, days: std::ops::Range<i64>) -> Vec<Id> {
        let nights = days.map(|day| {
            self.host.set(at(day, 2 * HOUR));
            let made = self.backup();
            self.host.set(at(day, 4 * HOUR));
            self.host.forget();
            made
        });
        nights.collect()
    }

    #[track_caller]
    fn assert_left(&self, copy: &str, expected: &[Id]) {
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        let left = self.fixture.ids(copy, FileType::Snapshots);
        assert_eq!(left, expected, "{copy}");
    }
}

/// A snapshot like another one, but for what is changed.
fn forged(key: &Key, like: &Snapshot, change: impl FnOnce(&mut Snapshot)) -> (FileName, Vec<u8>) {
    let mut snapshot = like.clone();
    change(&mut snapshot);
    let (id, bytes) = snapshot.seal(key, 2).unwrap();
    (FileName::new(FileType::Snapshots, id), bytes)
}

#[test]
fn of_thirty_days_and_more_seven_days_and_today_are_left_on_every_copy() {
    let world = World::new(daily(7));
    let mut made = world.nightly(0..28);
    // Nothing goes before something came after the first four weeks.
    world.assert_left("one", &made);
    made.extend(world.nightly(28..34));
    for copy in COPIES {
        world.assert_left(copy, &made[made.len() - 8..]);
    }
    // What is decided twice is decided once.
    assert_eq!(world.host.forget().record, None);
    world.fixture.check_all();
    world.fixture.assert_restic_restores("three");
}

#[test]
fn without_a_keep_and_of_other_hosts_everything_stays() {
    let mut world = World::new(daily(1));
    let keeps = std::mem::take(&mut world.host.keeps);
    let mut made = world.nightly(0..30);
    world.assert_left("one", &made);
    world.host.keeps = keeps;
    world.host.environment.hostname = "other".to_owned();
    // The plan asks for the snapshots of `testhost`; these are of another host.
    world.host.set(at(30, 2 * HOUR));
    made.push(world.backup());
    let session = world.host.open();
    let plan = world.host.plan(&session);
    assert_eq!(plan.of_others, 1);
    assert_eq!(plan.decided.len(), 30);
    assert!(!plan.going().contains(&made[30]));
    assert!(!plan.going().is_empty());
}

#[test]
fn somebody_who_names_a_snapshot_has_it_removed_unless_it_is_held() {
    let world = World::new(daily(7));
    let made = world.nightly(0..3);
    let mut session = world.host.open();
    let memory = world.host.memory(&session);
    let hold = Hold {
        since: world.host.now(),
        why: "audit".to_owned(),
    };
    holds::hold(&mut session, &memory, made[0], hold).unwrap();
    let all = holds::load(&session, &memory).unwrap();
    let named: BTreeSet<Id> = [made[0], made[1]].into();
    let refused = holds::check_none(&named, &all).unwrap_err();
    assert!(matches!(refused, Error::Held { id, .. } if id == made[0]));
    assert!(refused.to_string().ends_with("is held: audit"), "{refused}");
    assert!(refused.hint().unwrap().contains("strongroom release"));
    // Held since it was decided: the others go.
    let forgotten = world.host.remove(&mut session, &named);
    assert_eq!(forgotten.held, [made[0]].into());
    assert_eq!(forgotten.snapshots, [made[1]].into());
    for copy in COPIES {
        world.assert_left(copy, &[made[0], made[2]]);
    }
    let names: Vec<_> = forgotten.copies.iter().map(|copy| &copy.name).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    // What is gone is no longer there to be removed.
    let again = world.host.remove(&mut session, &[made[1]].into());
    assert_eq!(again.record, None);
    assert_eq!(world.host.fate(made[0]), Fate::Held);
}

#[test]
fn a_snapshot_that_does_not_fit_is_suspicious_stays_and_goes_by_name() {
    let world = World::new(daily(1));
    let made = world.nightly(0..30);
    let session = world.host.open();
    let snapshots = Snapshots::load(&session, &Cancel::default()).unwrap();
    let like = &snapshots.resolve(&made[29].to_string()).unwrap().snapshot;
    let ahead = SignedDuration::from_hours(24 * 365);
    let (name, bytes) = forged(&world.fixture.key, like, |fake| fake.time += ahead);
    let fake = name.id().unwrap();
    world.fixture.copies[1].store.save(name, &bytes).unwrap();
    world.host.set(at(31, 0));
    let forgotten = world.host.forget();
    assert!(!forgotten.snapshots.contains(&fake));
    let Fate::Suspicious { why } = world.host.fate(fake) else {
        panic!("{:?}", world.host.fate(fake));
    };
    let is_so = matches!(why[..], [Suspicion::ClaimedLater { .. }]);
    assert!(is_so, "{why:?}");
    let mut session = world.host.open();
    let forgotten = world.host.remove(&mut session, &[fake].into());
    assert_eq!(forgotten.snapshots, [fake].into());
    let left = world.fixture.ids("two", FileType::Snapshots);
    assert!(!left.contains(&fake));
}

#[test]
fn nothing_goes_by_the_plan_while_a_vault_does_not_say_when_its_snapshots_came() {
    let mut world = World::new(daily(1));
    let keeps = std::mem::take(&mut world.host.keeps);
    let made = world.nightly(0..30);
    world.host.keeps = keeps;
    let failure = CopyFailure {
        reason: "it does not answer".to_owned(),
        hint: None,
        kind: CopyFailureKind::Other,
    };
    let withheld = Told::Withheld(failure.clone());
    world.host.vaults.insert("two".to_owned(), withheld);
    let plan = world.host.plan(&world.host.open());
    assert_eq!(plan.unasked, [("two".to_owned(), failure)]);
    assert!(plan.decided.iter().any(|one| one.fate.goes()));
    assert_eq!(world.host.forget().record, None);
    world.assert_left("one", &made);
    // It says so again, and what it says counts from when it was listed on.
    world.host.vaults.clear();
    let forgotten = world.host.forget();
    assert_eq!(forgotten.snapshots.len(), 28);
    world.assert_left("two", &made[28..]);
}

#[test]
fn what_came_after_the_decision_stays() {
    let mut world = World::new(daily(1));
    let keeps = std::mem::take(&mut world.host.keeps);
    let mut made = world.nightly(0..30);
    world.host.keeps = keeps;
    let mut session = world.host.open();
    let going = world.host.plan(&session).going();
    made.push(world.backup());
    let forgotten = world.host.remove(&mut session, &going);
    assert_eq!(forgotten.snapshots, going);
    world.assert_left("three", &made[28..]);
}

#[test]
fn a_copy_that_was_away_gives_nothing_back_and_removes_it_later() {
    let mut world = World::new(daily(1));
    let keeps = std::mem::take(&mut world.host.keeps);
    let mut made = world.nightly(0..30);
    world.host.keeps = keeps;
    let here = world.fixture.copy_path("three");
    let away = world.fixture.copy_path("away");
    std::fs::rename(&here, &away).unwrap();
    let forgotten = world.host.forget();
    assert_eq!(forgotten.snapshots.len(), 28);
    std::fs::rename(&away, &here).unwrap();
    assert_eq!(world.fixture.ids("three", FileType::Snapshots).len(), 30);
    // What is named by the record is seen on no copy, and comes to none.
    let session = world.host.open();
    for (_, ready) in session.ready() {
        assert_eq!(ready.listing.snapshots.len(), 2);
    }
    let cancel = Cancel::default();
    let options = SyncOptions::default();
    let report = sync_session(&session, &options, &world.fixture.progress, &cancel);
    assert!(report.is_complete(), "{report:?}");
    world.assert_left("one", &made[28..]);
    // The next forget finishes it.
    made.extend(world.nightly(30..32));
    for copy in COPIES {
        world.assert_left(copy, &made[30..]);
    }
    world.fixture.check_all();
}

#[test]
fn where_nothing_is_to_go_by_now_nobody_is_kept_out_or_waited_for() {
    let world = World::new(daily(7));
    let made = world.nightly(0..2);
    // What another machine has removed waits for a week.
    let removal = Removal {
        at: world.host.now(),
        host: "other".to_owned(),
        by: RemovedBy::Forget,
        snapshots: [made[0]].into(),
        index: BTreeSet::new(),
        data: BTreeSet::new(),
        stays: [made[1]].into(),
    };
    let (record, bytes) = Record::Removal(removal).seal(&world.fixture.key).unwrap();
    let name = FileName::new(FileType::Records, record);
    world.fixture.copies[0].store.save(name, &bytes).unwrap();
    let mut at_work = world.host.open();
    let mut locks = Locks::acquire(&mut at_work, &world.host.environment, false).unwrap();
    let forgotten = world.host.forget();
    assert_eq!(forgotten.record, None);
    assert_eq!(forgotten.copies.len(), 3, "{forgotten:?}");
    for copy in &forgotten.copies {
        assert_eq!((copy.removed, copy.waiting), (0, 1), "{copy:?}");
        assert_eq!(copy.failure, None);
    }
    locks.release();
    COPIES
        .iter()
        .for_each(|copy| world.assert_left(copy, &made));
}

#[test]
fn a_folder_that_is_away_holds_up_no_decision() {
    let world = World::new(daily(1));
    world.nightly(0..3);
    std::fs::remove_dir_all(world.fixture.copy_path("two")).unwrap();
    let session = world.host.open();
    let failed = session.copies.iter();
    let failed = failed.filter(|copy| matches!(copy.state, CopyState::Failed(_)));
    assert_eq!(failed.count(), 1);
    assert!(world.host.plan(&session).unasked.is_empty());
}

#[test]
fn whoever_lost_his_state_folder_loses_no_snapshot_by_it() {
    let world = World::new(daily(1));
    let made = world.nightly(0..3);
    std::fs::remove_dir_all(world.host.state.path()).unwrap();
    world.host.set(at(60, 0));
    assert_eq!(world.host.forget().record, None);
    world.assert_left("one", &made);
    let Fate::Suspicious { why } = world.host.fate(made[0]) else {
        panic!("{:?}", world.host.fate(made[0]));
    };
    let is_so = matches!(why[..], [Suspicion::ClaimedEarlier { .. }]);
    assert!(is_so, "{why:?}");
}
