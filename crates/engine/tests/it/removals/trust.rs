//! Whom this machine lets remove: what another one has signed and somebody accepts here, what is only
//! said in its name, and what strangers cannot hold up.

use strongroom_engine::removals::{UndecidedState, change_trust};
use strongroom_engine::state::Trust;
use strongroom_repo::record::Annulment;
use strongroom_repo::unpacked;

use super::*;

/// The copies that are at hand.
const TWO: [&str; 2] = ["one", "two"];

/// Another machine that shares the repository.
fn other(world: &World) -> StateFolder {
    StateFolder::new(world.fixture.folder.path().join("other state"))
}

/// What another machine removes, on record and not yet carried out.
fn removed_by(world: &World, other: &StateFolder) -> Id {
    let mut session = world.open_at(&TWO, other, world.now);
    let memory = other.repository(session.id());
    let published = publish(&mut session, &memory, world.removal()).unwrap();
    published.record
}

/// Says on this machine whose removals count.
fn trust(world: &World, machine: Id) {
    let mut session = world.open(&TWO);
    let memory = world.memory(&session);
    let since = world.now;
    let trusting = |trust: &mut Trust| {
        trust.machines.insert(machine, since);
    };
    change_trust(&mut session, &memory, trusting).unwrap();
}

#[track_caller]
fn assert_finishes(world: &World, files: usize) {
    let finished = world.finish(&mut world.open(&TWO));
    assert_eq!(finished.len(), 2);
    for copy in finished {
        assert_eq!(copy.removed as usize, files, "{copy:?}");
    }
}

#[test]
fn what_a_trusted_machine_removes_is_no_alarm_and_goes_at_once() {
    let world = World::new();
    let other = other(&world);
    let record = removed_by(&world, &other);
    let machine = other.client_key().unwrap().id();
    let session = world.open(&TWO);
    assert_eq!(session.removals.alarms(&session).len(), 1);
    let undecided = session.removals.undecided(&session);
    let [one] = undecided.as_slice() else {
        panic!("{undecided:?}");
    };
    assert_eq!((one.record, one.state), (record, UndecidedState::Waits));
    assert_eq!((one.signer, one.snapshots), (Some(machine), 1));
    assert_eq!(one.left as usize, world.first.len());
    assert!(one.left_bytes > 0 && one.due_from > one.seen, "{one:?}");

    trust(&world, machine);
    let session = world.open(&TWO);
    assert_eq!(session.removals.alarms(&session), []);
    assert_eq!(session.removals.told_of(&session), []);
    assert_eq!(session.removals.undecided(&session), []);
    assert_eq!(listed_snapshots(&session), [1, 1]);
    drop(session);
    assert_finishes(&world, world.first.len());
    world.fixture.check(&TWO);
    // Another machine has heard of no trust, and no copy tells of it.
    let third = StateFolder::new(world.fixture.folder.path().join("third state"));
    let session = world.open_at(&TWO, &third, world.now);
    assert_eq!(session.removals.tellings().len(), 1);
}

#[test]
fn a_removal_is_accepted_by_itself_whoever_wrote_it() {
    let world = World::new();
    let record = world.forge("one", &Record::Removal(world.removal()));
    let mut session = world.open(&TWO);
    assert_eq!(session.removals.undecided(&session)[0].signer, None);
    let memory = world.memory(&session);
    let now = world.now;
    let accepting = |trust: &mut Trust| {
        trust.removals.insert(record, now);
    };
    change_trust(&mut session, &memory, accepting).unwrap();
    assert_eq!(session.removals.alarms(&session), []);
    drop(session);
    assert_finishes(&world, world.first.len());
    world.fixture.check(&TWO);
    // The next one by the same hand is another matter.
    let rest = Removal {
        snapshots: ids(&world.second, FileType::Snapshots),
        index: BTreeSet::new(),
        data: BTreeSet::new(),
        stays: BTreeSet::new(),
        ..world.removal()
    };
    world.forge("one", &Record::Removal(rest));
    let session = world.open(&TWO);
    assert_eq!(session.removals.alarms(&session).len(), 1);
}

#[test]
fn no_snapshot_holds_the_key_by_which_a_machine_is_trusted() {
    let world = World::new();
    let machine = world.state.client_key().unwrap().id();
    let source = world.fixture.source();
    // As in a copy of its filesystem, and in a snapshot that was made without a state folder.
    let key = world.state.path().join("client.key");
    std::fs::copy(key, source.join("copied")).unwrap();
    std::fs::write(source.join("as long"), [7; 32]).unwrap();
    assert!(world.fixture.backup().is_complete());
    let listed = || world.fixture.restic("one", &["ls", "latest"]);
    assert!(listed().contains("/copied"));
    for _ in 0..2 {
        let (sources, options) = (world.fixture.folder_source(), BackupOptions::default());
        let (environment, progress) = (&world.fixture.environment, &world.fixture.progress);
        let mut session = world.open(&TWO);
        let report = backup(&mut session, &sources, &options, environment, progress).unwrap();
        assert!(report.is_complete(), "{report:?}");
        assert_eq!(report.sources[0].stats.files_processed, 2);
        let listed = listed();
        assert!(!listed.contains("/copied"), "{listed}");
        assert!(listed.contains("/as long") && listed.contains("/file"));
    }
    assert_eq!(world.state.client_key().unwrap().id(), machine);
}

#[test]
fn what_a_trusted_machine_took_back_does_not_come_again_as_its_word() {
    let world = World::new();
    let other = other(&world);
    let record = removed_by(&world, &other);
    let mut session = world.open_at(&TWO, &other, world.now);
    let memory = other.repository(session.id());
    annul(&mut session, &memory, record, world.now, "testhost").unwrap();
    drop(session);
    trust(&world, other.client_key().unwrap().id());
    assert_eq!(listed_snapshots(&world.open(&TWO)), [2, 2]);

    // The same text, sealed again by whoever has the key: bare, and with the old signature behind it.
    let removal = Record::Removal(world.removal());
    world.forge("one", &removal);
    let store = world.copy("one").store;
    let signed = store
        .read(FileName::new(FileType::Records, record))
        .unwrap();
    let (_, mut again) = removal.seal(&world.fixture.key).unwrap();
    again.extend_from_slice(&signed[signed.len() - (32 + 64 + 16)..]);
    let name = FileName::new(FileType::Records, Id::of(&again));
    store.save(name, &again).unwrap();
    let session = world.open(&TWO);
    assert_eq!(session.removals.alarms(&session).len(), 2);
    for one in session.removals.undecided(&session) {
        assert_eq!((one.signer, one.state), (None, UndecidedState::Waits));
    }
    drop(session);
    assert_finishes(&world, 0);
    assert_eq!(world.left("one"), world.first.len());
}

#[test]
fn an_annulment_by_a_stranger_is_told_and_holds_nothing_up_that_was_accepted() {
    let world = World::new();
    let published = world.publish(&TWO);
    let annulment = |host: &str| {
        Record::Annulment(Annulment {
            at: world.now,
            host: host.to_owned(),
            record: published.record,
        })
    };
    world.forge("one", &annulment("evil"));
    let mut session = world.open(&TWO);
    assert_eq!(listed_snapshots(&session), [2, 2]);
    let told = session.removals.told_of(&session);
    let [told @ Telling::TakenBack { record, .. }] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert_eq!(*record, published.record);
    assert!(told.hint().contains("removals --accept"), "{}", told.hint());
    // It keeps files, so that nobody has to hurry.
    assert_eq!(session.removals.alarms(&session), []);

    let memory = world.memory(&session);
    let now = world.now;
    let accepting = |trust: &mut Trust| {
        trust.removals.insert(published.record, now);
    };
    change_trust(&mut session, &memory, accepting).unwrap();
    assert_eq!(listed_snapshots(&session), [1, 1]);
    drop(session);
    world.forge("two", &annulment("evil again"));
    assert_finishes(&world, world.first.len());
    world.fixture.check(&TWO);

    // Whoever accepted it may think better of it.
    let mut session = world.open(&TWO);
    annul(&mut session, &memory, published.record, now, "testhost").unwrap();
    assert!(memory.trust().removals.is_empty());
    assert_eq!(session.removals.records().count(), 0);
    assert_eq!(session.removals.undecided(&session), []);
}

#[test]
fn strangers_that_are_ignored_keep_nobody_from_removing() {
    let world = World::new();
    let sealed = unpacked::seal(&world.fixture.key, 2, br#"{"version":9}"#).unwrap();
    let name = FileName::new(FileType::Records, sealed.0);
    world.copy("one").store.save(name, &sealed.1).unwrap();
    let all: BTreeSet<FileName> = world.first.union(&world.second).copied().collect();
    let everything = Removal {
        snapshots: ids(&all, FileType::Snapshots),
        index: ids(&all, FileType::Index),
        data: ids(&all, FileType::Data),
        stays: BTreeSet::new(),
        ..world.removal()
    };
    world.forge("two", &Record::Removal(everything));
    let mut session = world.open(&TWO);
    let memory = world.memory(&session);
    let stopped = publish(&mut session, &memory, world.removal()).unwrap_err();
    assert!(matches!(stopped, Error::NothingRemoved { .. }), "{stopped}");
    let hint = stopped.hint().unwrap_or_default();
    assert!(hint.contains("--strangers ignore"), "{hint}");

    let ignoring = |trust: &mut Trust| trust.ignores_strangers = true;
    change_trust(&mut session, &memory, ignoring).unwrap();
    assert_eq!(session.removals.tellings(), []);
    assert_eq!(listed_snapshots(&session), [2, 2]);
    let states = session.removals.undecided(&session);
    let states: Vec<_> = states.iter().map(|one| one.state).collect();
    assert_eq!(states, [UndecidedState::Ignored]);
    publish(&mut session, &memory, world.removal()).unwrap();
    drop(session);
    assert_finishes(&world, world.first.len());
    world.assert_second_is_whole("two");
    world.fixture.check(&TWO);
}

#[test]
fn strangers_that_are_heard_again_wait_for_a_week_however_long_they_were_ignored() {
    let world = World::new();
    let mut session = world.open(&TWO);
    let memory = world.memory(&session);
    let ignoring = |trust: &mut Trust| trust.ignores_strangers = true;
    change_trust(&mut session, &memory, ignoring).unwrap();
    world.forge("one", &Record::Removal(world.removal()));
    world.open(&TWO);
    let later = world.now + SignedDuration::from_hours(30 * 24);
    let mut session = world.open_at(&TWO, &world.state, later);
    assert_eq!(session.removals.tellings(), []);
    let hearing = |trust: &mut Trust| trust.ignores_strangers = false;
    change_trust(&mut session, &memory, hearing).unwrap();
    assert_eq!(session.removals.alarms(&session).len(), 1);
    for finished in world.finish(&mut session) {
        assert_eq!(finished.removed, 0, "{finished:?}");
    }
    assert_eq!(world.left("one"), world.first.len());
    let session = world.open_at(&TWO, &world.state, later);
    assert_eq!(session.removals.alarms(&session).len(), 1);
}

#[test]
fn files_without_end_among_the_records_hold_up_nothing_of_our_own() {
    let world = World::new();
    let folder = world.fixture.copy_path("one").join("strongroom");
    std::fs::create_dir_all(&folder).unwrap();
    for number in 0..10_001 {
        let junk = format!("junk {number}");
        let name = Id::of(junk.as_bytes()).to_string();
        std::fs::write(folder.join(name), junk).unwrap();
    }
    let mut session = world.open(&TWO);
    let told = session.removals.tellings();
    assert!(told.contains(&Telling::TooMany { left_out: 1 }), "{told:?}");
    let memory = world.memory(&session);
    publish(&mut session, &memory, world.removal()).unwrap();
    drop(session);
    assert_finishes(&world, world.first.len());
    world.fixture.check(&TWO);
}
