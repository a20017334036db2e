//! What records say was removed stays so, wherever it still lies; and what they may not say.

mod at_work;
mod clocks;
mod expired;
mod kept;
mod of_others;
mod order;
mod state_first;
mod trust;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use strongroom_engine::backup::{BackupOptions, backup};
use strongroom_engine::drill::restore::Alone;
use strongroom_engine::progress::Progress;
use strongroom_engine::removals::{
    FinishedCopy, Published, Telling, annul, carry, finish, publish,
};
use strongroom_engine::session::{self, Cancel, Locks, Session};
use strongroom_engine::state::{RepositoryState, SeenFiles, StateFolder};
use strongroom_engine::sync::{SyncOptions, SyncReport, sync_session};
use strongroom_engine::{CopyStore, Error, holds};
use strongroom_model::holds::Hold;
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::record::{Record, Removal, RemovedBy};
use strongroom_store::Store;
use strongroom_testkit::{FakeBucket, Fault, FaultyStore, Op, Rule};

use crate::fixture::{Fixture, PASSWORD};

const KINDS: [FileType; 3] = [FileType::Snapshots, FileType::Index, FileType::Data];

/// A repository of two snapshots on three copies, and the state folder of the machine at work.
struct World {
    fixture: Fixture,
    state: StateFolder,
    now: Timestamp,
    /// All that the first snapshot alone needs, and what the second needs.
    first: BTreeSet<FileName>,
    second: BTreeSet<FileName>,
}

impl World {
    fn new() -> Self {
        Self::of(Fixture::new())
    }

    /// With both snapshots on the copies of a fixture, of which the first is a folder.
    fn of(fixture: Fixture) -> Self {
        let file = fixture.source().join("file");
        std::fs::write(&file, "first ".repeat(50_000)).unwrap();
        assert!(fixture.backup().is_complete());
        let first = files(&fixture, "one");
        std::fs::write(&file, "second ".repeat(50_000)).unwrap();
        assert!(fixture.backup().is_complete());
        let all = files(&fixture, "one");
        let state = StateFolder::new(fixture.folder.path().join("state"));
        Self {
            second: all.difference(&first).copied().collect(),
            first,
            state,
            now: "2026-06-01T12:00:00Z".parse().unwrap(),
            fixture,
        }
    }

    /// A session of this machine with these copies.
    fn open(&self, copies: &[&str]) -> Session {
        self.open_at(copies, &self.state, self.now)
    }

    fn open_at(&self, copies: &[&str], state: &StateFolder, now: Timestamp) -> Session {
        let copies: Vec<CopyStore> = copies.iter().map(|name| self.copy(name)).collect();
        let (password, looking) = (PASSWORD.as_bytes(), &self.fixture.looking);
        session::open_remembering(&copies, password, looking, state, now).unwrap()
    }

    fn copy(&self, name: &str) -> CopyStore {
        let mut copies = self.fixture.copies.iter();
        copies.find(|copy| copy.name == name).unwrap().clone()
    }

    /// One more copy: a bucket with all that lies on the first one.
    fn add_offsite(&mut self, bucket: FakeBucket) -> Arc<FakeBucket> {
        let (bucket, one) = (Arc::new(bucket), self.copy("one").store);
        for kind in FileType::STORED.into_iter().chain([FileType::Config]) {
            for entry in one.list(kind).unwrap() {
                let name = FileName::new(kind, entry.id);
                bucket.save(name, &one.read(name).unwrap()).unwrap();
            }
        }
        self.fixture.copies.push(CopyStore {
            name: "offsite".to_owned(),
            store: bucket.clone(),
            is_local: false,
        });
        bucket
    }

    fn memory(&self, session: &Session) -> RepositoryState {
        self.state.repository(session.id())
    }

    /// The removal of the first snapshot, with what it alone needs.
    fn removal(&self) -> Removal {
        let of = |kind| ids(&self.first, kind);
        Removal {
            at: self.now,
            host: "testhost".to_owned(),
            by: RemovedBy::Prune,
            snapshots: of(FileType::Snapshots),
            index: of(FileType::Index),
            data: of(FileType::Data),
            stays: ids(&self.second, FileType::Snapshots),
        }
    }

    /// Publishes the removal on these copies.
    fn publish(&self, copies: &[&str]) -> Published {
        let mut session = self.open(copies);
        let memory = self.memory(&session);
        let published = publish(&mut session, &memory, self.removal()).unwrap();
        assert_eq!(published.not_on, []);
        published
    }

    /// What a forger who has the key puts on a copy.
    fn forge(&self, copy: &str, record: &Record) -> Id {
        let (id, bytes) = record.seal(&self.fixture.key).unwrap();
        let name = FileName::new(FileType::Records, id);
        self.copy(copy).store.save(name, &bytes).unwrap();
        id
    }

    fn sync(&self, session: &Session) -> SyncReport {
        let (progress, cancel) = (Progress::default(), Cancel::default());
        let all: BTreeSet<FileName> = self.first.union(&self.second).copied().collect();
        let seen = SeenFiles {
            index: ids(&all, FileType::Index),
            snapshots: ids(&all, FileType::Snapshots),
        };
        let copies = session.ready().map(|(copy, _)| copy.name.clone());
        let options = SyncOptions {
            seen: copies.map(|name| (name, seen.clone())).collect(),
            ..SyncOptions::default()
        };
        let report = sync_session(session, &options, &progress, &cancel);
        assert_eq!(carry(session), []);
        report
    }

    /// Finishes under exclusive locks.
    fn finish(&self, session: &mut Session) -> Vec<FinishedCopy> {
        let mut locks = Locks::acquire(session, &self.fixture.environment, true).unwrap();
        let (progress, cancel) = (Progress::default(), Cancel::default());
        let finished = finish(session, &session.removals, &progress, &cancel);
        locks.release();
        finished
    }

    /// Which of the removed files lie on a copy.
    fn left(&self, copy: &str) -> usize {
        let there = files(&self.fixture, copy);
        self.first.intersection(&there).count()
    }

    #[track_caller]
    fn assert_second_is_whole(&self, copy: &str) {
        let there = files(&self.fixture, copy);
        assert!(self.second.is_subset(&there), "{copy}");
    }
}

/// How many snapshots each copy lists.
fn listed_snapshots(session: &Session) -> Vec<usize> {
    let listings = session.ready().map(|(_, ready)| &ready.listing);
    listings.map(|listing| listing.snapshots.len()).collect()
}

fn files(fixture: &Fixture, copy: &str) -> BTreeSet<FileName> {
    let of_kind = |kind| {
        let ids = fixture.ids(copy, kind).into_iter();
        ids.map(move |id| FileName::new(kind, id))
    };
    KINDS.into_iter().flat_map(of_kind).collect()
}

fn ids(names: &BTreeSet<FileName>, kind: FileType) -> BTreeSet<Id> {
    let of_kind = names.iter().filter(|name| name.kind() == kind);
    of_kind.filter_map(FileName::id).collect()
}

#[test]
fn what_is_named_is_in_no_listing_and_goes_from_every_copy() {
    let world = World::new();
    let all = ["one", "two", "three"];
    let mut session = world.open(&all);
    let memory = world.memory(&session);
    let published = publish(&mut session, &memory, world.removal()).unwrap();
    assert_eq!(published.not_on, []);
    for (copy, ready) in session.ready() {
        assert!(!world.first.iter().any(|name| ready.listing.holds(*name)));
        assert_eq!(ready.removed.len(), world.first.len());
        let records = world.fixture.ids(&copy.name, FileType::Records);
        assert_eq!(records, [published.record]);
    }
    for finished in world.finish(&mut session) {
        assert_eq!(finished.removed as usize, world.first.len());
        assert!(finished.freed_bytes > 0, "{finished:?}");
        assert_eq!((finished.waiting, finished.failure), (0, None));
    }
    for copy in all {
        assert_eq!(world.left(copy), 0);
        world.assert_second_is_whole(copy);
    }
    world.fixture.check_all();
    assert!(world.finish(&mut world.open(&all)).is_empty());
    // Nobody misses it, with or without the password.
    let gone = memory.gone();
    assert!(world.first.iter().all(|name| gone.accepted.contains(*name)));
}

#[test]
fn a_copy_that_was_away_brings_nothing_back_and_finishes_the_removal() {
    let world = World::new();
    let published = world.publish(&["one", "two"]);
    world.finish(&mut world.open(&["one", "two"]));
    assert_eq!((world.left("one"), world.left("two")), (0, 0));

    let mut session = world.open(&["one", "two", "three"]);
    let report = world.sync(&session);
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.brought(), (0, 0));
    assert_eq!((world.left("one"), world.left("two")), (0, 0));
    let records = world.fixture.ids("three", FileType::Records);
    assert_eq!(records, [published.record], "the record was carried");
    let finished = world.finish(&mut session);
    assert_eq!(finished.len(), 1);
    assert_eq!(finished[0].name, "three");
    assert_eq!(finished[0].failure, None);
    assert_eq!(world.left("three"), 0);
    world.assert_second_is_whole("three");
    world.fixture.check_all();
}

#[test]
fn a_recorded_removal_is_no_prune_of_one_copy_that_somebody_has_to_decide_about() {
    let world = World::new();
    world.publish(&["one"]);
    world.finish(&mut world.open(&["one"]));
    // It lacks what the others have, and has an index file that none of them has.
    std::fs::write(world.fixture.source().join("more"), "more").unwrap();
    let (sources, options) = (world.fixture.folder_source(), BackupOptions::default());
    let (environment, progress) = (&world.fixture.environment, &world.fixture.progress);
    let mut session = world.open(&["one"]);
    let report = backup(&mut session, &sources, &options, environment, progress).unwrap();
    assert!(report.is_complete(), "{report:?}");

    let mut session = world.open(&["one", "two", "three"]);
    let report = world.sync(&session);
    assert_eq!(report.diverged, []);
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(world.left("one"), 0);
    assert_eq!(listed_snapshots(&world.open(&["three"])), [2]);
    world.finish(&mut session);
    assert_eq!((world.left("two"), world.left("three")), (0, 0));
    world.fixture.check_all();
}

#[test]
fn what_died_behind_the_record_is_finished_by_the_next_run() {
    let world = World::new();
    world.publish(&["one", "two", "three"]);
    // Killed: nothing of it was removed.
    let mut session = world.open(&["one", "two", "three"]);
    assert_eq!(session.removals.tellings(), []);
    assert_eq!(world.finish(&mut session).len(), 3);
    for copy in ["one", "two", "three"] {
        assert_eq!(world.left(copy), 0);
    }
    world.fixture.check_all();
}

#[test]
fn each_type_goes_only_when_nothing_is_left_that_refers_to_it() {
    let mut world = World::new();
    let faulty = world.fixture.wrap("one", FaultyStore::new);
    faulty.add(Rule::on(&[Op::Remove], Fault::Unreachable).of(FileType::Index));
    world.publish(&["one"]);
    let finished = world.finish(&mut world.open(&["one"]));
    assert!(finished[0].failure.is_some(), "{finished:?}");
    assert!(finished[0].waiting > 0, "{finished:?}");
    let there = files(&world.fixture, "one");
    let left = |kind| {
        ids(&there, kind)
            .intersection(&ids(&world.first, kind))
            .count()
    };
    assert_eq!(left(FileType::Snapshots), 0);
    assert_eq!(
        left(FileType::Data),
        ids(&world.first, FileType::Data).len()
    );
    world.fixture.check(&["one"]);
    faulty.heal();
    world.finish(&mut world.open(&["one"]));
    assert_eq!(world.left("one"), 0);
    world.fixture.check(&["one"]);
}

#[test]
fn a_removal_of_what_is_held_does_not_count_wherever_it_is_held() {
    let world = World::new();
    let mut session = world.open(&["one", "two"]);
    let memory = world.memory(&session);
    let held = *world.removal().snapshots.first().unwrap();
    let hold = Hold {
        since: world.now,
        why: "audit".to_owned(),
    };
    holds::hold(&mut session, &memory, held, hold).unwrap();
    let refused = publish(&mut session, &memory, world.removal()).unwrap_err();
    assert!(matches!(refused, Error::Held { id, .. } if id == held));
    world.forge("one", &Record::Removal(world.removal()));
    // Another machine, which has the list from the copies alone, long after.
    let other = StateFolder::new(world.fixture.folder.path().join("other state"));
    let later = world.now + SignedDuration::from_hours(7 * 24);
    world.open_at(&["one", "two"], &other, world.now);
    let mut session = world.open_at(&["one", "two"], &other, later);
    let told = session.removals.tellings();
    assert!(
        matches!(told, [Telling::Held { snapshot, .. }] if *snapshot == held),
        "{told:?}"
    );
    assert_eq!(listed_snapshots(&session), [2, 2]);
    assert_eq!(world.finish(&mut session), []);
    let list = holds::load(&session, &other.repository(session.id())).unwrap();
    assert_eq!(list.held(held).unwrap().why, "audit");

    let mut session = world.open(&["one", "two"]);
    let mut release = || holds::release(&mut session, &memory, held, world.now).unwrap();
    assert!(release().is_some());
    assert_eq!(release(), None);
    let list = holds::load(&session, &memory).unwrap();
    assert_eq!(list.held(held), None);
}

#[test]
fn a_list_of_holds_that_cannot_be_read_stops_all_removing_and_nothing_else() {
    let world = World::new();
    world.publish(&["one", "two"]);
    let mut session = world.open(&["one", "two"]);
    let path = world.state.path().join(session.id().to_string());
    std::fs::write(path.join("holds.json"), "junk").unwrap();
    let mut reopened = world.open(&["one", "two"]);
    let told = reopened.removals.tellings();
    assert!(matches!(told, [Telling::Stopped(_)]), "{told:?}");
    // A command that can be typed.
    let hint = told[0].hint();
    assert!(
        hint.contains("mv ") && hint.contains("holds.json"),
        "{hint}"
    );
    for finished in world.finish(&mut reopened) {
        assert_eq!(finished.removed, 0);
        assert!(finished.failure.is_some(), "{finished:?}");
    }
    let memory = world.memory(&session);
    let unreadable = holds::load(&session, &memory).unwrap_err();
    assert!(matches!(unreadable, Error::HoldsUnreadable { .. }));
    assert!(publish(&mut session, &memory, world.removal()).is_err());
    assert!(world.sync(&reopened).is_complete());
    assert_eq!(world.left("one"), world.first.len());
}

#[test]
fn an_annulled_removal_comes_back_from_a_copy_that_still_has_it() {
    let world = World::new();
    let published = world.publish(&["one", "two"]);
    world.finish(&mut world.open(&["one", "two"]));
    let mut session = world.open(&["one", "two", "three"]);
    let memory = world.memory(&session);
    let short = published.record.short();
    let wanted = session.removals.resolve(&short).unwrap();
    let (now, host) = (world.now, "testhost");
    annul(&mut session, &memory, wanted, now, host).unwrap();
    let unknown = annul(&mut session, &memory, Id::of(b"none"), now, host);
    assert!(matches!(unknown, Err(Error::NoRecord { .. })));
    let report = world.sync(&session);
    assert!(report.is_complete(), "{report:?}");
    for copy in ["one", "two", "three"] {
        assert_eq!(world.left(copy), world.first.len());
        assert_eq!(world.fixture.ids(copy, FileType::Records).len(), 2);
    }
    world.fixture.check_all();
    let gone = memory.gone();
    assert!(!world.first.iter().any(|name| gone.accepted.contains(*name)));
    // Also for who comes next.
    assert_eq!(world.open(&["one"]).removals.records().count(), 0);
}

#[test]
fn a_snapshot_that_the_removal_did_not_know_keeps_what_it_needs() {
    let world = World::new();
    // Only packs and index files are named, and a snapshot that needs them was not known.
    let removal = Removal {
        snapshots: BTreeSet::new(),
        ..world.removal()
    };
    let mut session = world.open(&["one"]);
    let memory = world.memory(&session);
    publish(&mut session, &memory, removal).unwrap();
    let finished = world.finish(&mut session);
    assert_eq!(finished[0].removed, 0);
    let failure = finished[0].failure.as_ref().unwrap();
    let stranger = world.removal().snapshots.first().unwrap().short();
    assert!(failure.reason.contains(&stranger), "{failure:?}");
    assert_eq!(world.left("one"), world.first.len());
    world.fixture.check(&["one"]);
}

#[test]
fn where_what_stays_is_in_doubt_nothing_goes_but_snapshots() {
    let world = World::new();
    world.publish(&["one"]);
    let mut session = world.open(&["one"]);
    let is_pack = |name: &&FileName| name.kind() == FileType::Data;
    let doubted = world.second.iter().filter(is_pack).copied().collect();
    session.doubt("one", doubted);
    let finished = world.finish(&mut session);
    assert_eq!(finished[0].removed, 1, "{finished:?}");
    assert!(finished[0].failure.is_some(), "{finished:?}");
    assert_eq!(world.left("one"), world.first.len() - 1);
    // Once it was read right.
    session.doubt("one", BTreeSet::new());
    world.finish(&mut session);
    assert_eq!(world.left("one"), 0);
}

#[test]
fn junk_among_the_records_is_told_and_hides_and_stops_nothing() {
    let world = World::new();
    let junk = b"no record at all".to_vec();
    let name = FileName::new(FileType::Records, Id::of(&junk));
    world.copy("one").store.save(name, &junk).unwrap();
    let torn = world.fixture.copy_path("two").join("strongroom");
    std::fs::create_dir_all(&torn).unwrap();
    std::fs::write(torn.join(Id::of(b"other bytes").to_string()), "torn").unwrap();
    let lost = *world.first.first().unwrap();
    world.copy("two").store.remove(lost).unwrap();
    for _ in 0..2 {
        let session = world.open(&["one", "two"]);
        let told = session.removals.tellings();
        let files = vec![Id::of(&junk)];
        assert!(told.contains(&Telling::Junk { files }), "{told:?}");
        let is_unread = |told: &Telling| matches!(told, Telling::Unread { .. });
        assert!(told.iter().any(is_unread), "{told:?}");
        assert!(world.sync(&session).is_complete());
        assert_eq!(world.left("two"), world.first.len(), "it heals");
        let records = world.fixture.ids("two", FileType::Records);
        assert_eq!(records.len(), 1, "junk stays where it is");
    }
    let mut session = world.open(&["one", "two"]);
    let memory = world.memory(&session);
    publish(&mut session, &memory, world.removal()).unwrap();
    world.finish(&mut session);
    assert_eq!(world.left("one"), 0);
}

#[test]
fn a_copy_that_takes_no_records_does_without() {
    let mut world = World::new();
    let faulty = world.fixture.wrap("two", FaultyStore::new);
    faulty.add(Rule::on(&[Op::List, Op::Save], Fault::Denied).of(FileType::Records));
    let mut session = world.open(&["one", "two"]);
    let memory = world.memory(&session);
    let published = publish(&mut session, &memory, world.removal()).unwrap();
    let names: Vec<_> = published.not_on.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["two"]);
    // It is a folder, and has a place for them.
    assert!(!published.is_complete());
    let lacking = carry(&world.open(&["one", "two"]));
    let lacking: Vec<_> = lacking.iter().map(|(name, _)| name).collect();
    assert_eq!(lacking, ["two"]);
    world.finish(&mut session);
    assert_eq!((world.left("one"), world.left("two")), (0, 0));
    // What it does not list may take back what somebody else has decided.
    let is_unread = |told: &Telling| matches!(told, Telling::Unread { .. });
    assert!(session.removals.tellings().iter().any(is_unread));
    // Nothing comes back from it either, when it is the only one beside the state folder.
    let session = world.open(&["two"]);
    assert_eq!(session.removals.records().count(), 1);
}

#[test]
fn a_copy_that_refuses_to_remove_keeps_its_files_and_nobody_sees_them() {
    let mut world = World::new();
    let faulty = world.fixture.wrap("two", FaultyStore::new);
    faulty.add(Rule::on(&[Op::Remove], Fault::Denied).of(FileType::Snapshots));
    world.publish(&["one", "two"]);
    let finished = world.finish(&mut world.open(&["one", "two"]));
    let two = finished.iter().find(|copy| copy.name == "two").unwrap();
    assert_eq!((two.removed, &two.failure), (0, &None));
    assert_eq!(two.waiting as usize, world.first.len());
    assert_eq!(world.left("two"), world.first.len());
    let session = world.open(&["one", "two"]);
    assert!(world.sync(&session).is_complete());
    assert_eq!(world.left("one"), 0);
}

#[test]
fn a_lock_that_is_lost_while_files_are_removed_is_a_failure() {
    let world = World::new();
    world.publish(&["one", "two"]);
    let mut session = world.open(&["one", "two"]);
    let mut locks = Locks::acquire(&mut session, &world.fixture.environment, true).unwrap();
    // As another host does that takes it for dead.
    for id in world.fixture.ids("two", FileType::Locks) {
        let name = FileName::new(FileType::Locks, id);
        world.copy("two").store.remove(name).unwrap();
    }
    let (progress, cancel) = (Progress::default(), Cancel::default());
    let finished = finish(&session, &session.removals, &progress, &cancel);
    locks.release();
    let of = |name: &str| finished.iter().find(|copy| copy.name == name).unwrap();
    assert_eq!(of("one").failure, None);
    let two = of("two");
    assert_eq!((two.removed, world.left("two")), (0, world.first.len()));
    let reason = two.failure.as_ref().map(|failure| failure.reason.as_str());
    let reason = reason.unwrap_or_default();
    assert!(reason.contains("our lock on it is gone"), "{reason}");
}
