//! Records that this machine did not write: what they hide, whom that is told, and what they never
//! remove.

use super::*;

#[test]
fn a_removal_that_somebody_else_wrote_is_told_hides_and_removes_nothing_for_a_week() {
    let world = World::new();
    let real = world.removal();
    let forged = Record::Removal(Removal {
        host: "evil".to_owned(),
        snapshots: real.snapshots.union(&real.stays).copied().collect(),
        stays: BTreeSet::new(),
        ..real
    });
    let record = world.forge("one", &forged);
    let mut session = world.open(&["one", "two"]);
    assert_eq!(listed_snapshots(&session), [0, 0]);
    let [
        Telling::Foreign {
            record: told,
            snapshots: 2,
            ..
        },
    ] = session.removals.tellings()
    else {
        panic!("{:?}", session.removals.tellings());
    };
    assert_eq!(*told, record);
    for finished in world.finish(&mut session) {
        assert_eq!(finished.removed, 0, "{finished:?}");
        assert!(finished.waiting > 0 && finished.waits_until.is_some());
    }
    // Whoever sees it takes it back, and nothing was lost.
    let memory = world.memory(&session);
    annul(&mut session, &memory, record, world.now, "testhost").unwrap();
    assert_eq!(listed_snapshots(&session), [2, 2]);
    assert_eq!(world.left("one"), world.first.len());

    let other = Record::Removal(world.removal());
    world.forge("two", &other);
    world.open(&["one", "two"]);
    let later = world.now + SignedDuration::from_hours(7 * 24);
    let mut session = world.open_at(&["one", "two"], &world.state, later);
    assert_eq!(session.removals.tellings(), []);
    world.finish(&mut session);
    assert_eq!((world.left("one"), world.left("two")), (0, 0));
    world.fixture.check(&["one", "two"]);
}

#[test]
fn what_somebody_else_says_of_snapshots_that_stay_lets_go_of_nothing_that_they_need() {
    let world = World::new();
    let all: BTreeSet<FileName> = world.first.union(&world.second).copied().collect();
    world.forge(
        "one",
        &Record::Removal(Removal {
            snapshots: BTreeSet::new(),
            index: ids(&all, FileType::Index),
            data: ids(&all, FileType::Data),
            stays: ids(&all, FileType::Snapshots),
            ..world.removal()
        }),
    );
    world.open(&["one", "two"]);
    let later = world.now + SignedDuration::from_hours(8 * 24);
    let mut session = world.open_at(&["one", "two"], &world.state, later);
    let finished = world.finish(&mut session);
    assert_eq!(finished.len(), 2);
    for finished in finished {
        assert_eq!(finished.removed, 0, "{finished:?}");
        let failure = finished.failure.unwrap();
        assert!(failure.reason.contains("would not be whole"), "{failure:?}");
    }
    for copy in ["one", "two"] {
        assert_eq!(world.left(copy), world.first.len());
        world.assert_second_is_whole(copy);
    }
    world.fixture.check(&["one", "two"]);
}

#[test]
fn what_somebody_else_hides_is_an_alarm_until_it_is_due_and_told_as_long_as_it_lies_there() {
    let mut world = World::new();
    world.forge("one", &Record::Removal(world.removal()));
    let session = world.open(&["one", "two"]);
    let is_due = |told: &[Telling]| match told {
        [Telling::Foreign { is_due, .. }] => *is_due,
        _ => panic!("{told:?}"),
    };
    assert!(!is_due(&session.removals.alarms(&session)));
    assert!(!is_due(&session.removals.told_of(&session)));
    let snapshot = FileName::new(
        FileType::Snapshots,
        *world.removal().snapshots.first().unwrap(),
    );
    assert!(session.removals.hidden_by(snapshot).is_some());
    let accepted = |session: &Session| world.memory(session).gone().accepted;
    assert!(!accepted(&session).contains(snapshot), "it is only hidden");

    let later = world.now + SignedDuration::from_hours(7 * 24);
    let session = world.open_at(&["one", "two"], &world.state, later);
    assert_eq!(session.removals.alarms(&session), []);
    assert!(is_due(&session.removals.told_of(&session)));
    assert_eq!(session.removals.hidden_by(snapshot), None);
    assert!(accepted(&session).contains(snapshot));
    drop(session);
    world.now = later;
    world.finish(&mut world.open(&["one", "two"]));
    let session = world.open(&["one", "two"]);
    assert_eq!(session.removals.told_of(&session), []);
}

#[test]
fn a_copy_alone_tells_of_every_record_that_this_machine_is_not_known_to_have_written() {
    let world = World::new();
    world.publish(&["one", "two"]);
    let copy = world.copy("two");
    let open = |state| {
        let looking = &world.fixture.looking;
        Alone::open(&copy, PASSWORD.as_bytes(), looking, state).unwrap()
    };
    let stranger = open(None);
    let told = stranger.removals().tellings();
    assert!(matches!(told, [Telling::Foreign { .. }]), "{told:?}");
    let ours = open(Some((&world.state, world.now)));
    assert_eq!(ours.removals().tellings(), []);
    // What it hides, it hides for both.
    for alone in [stranger, ours] {
        let snapshots = alone.snapshots(&Cancel::default()).unwrap();
        assert_eq!(snapshots.all.len(), 1);
    }
}

#[test]
fn a_record_that_one_copy_lists_in_a_wrong_size_is_read_from_the_next() {
    let world = World::new();
    let published = world.publish(&["one", "two"]);
    let folder = world.fixture.copy_path("one").join("strongroom");
    let path = folder.join(published.record.to_string());
    // Torn, and larger than any record.
    for (number, size_bytes) in [9, 65 << 20].into_iter().enumerate() {
        std::fs::remove_file(&path).unwrap();
        let file = std::fs::File::create(&path).unwrap();
        file.set_len(size_bytes).unwrap();
        let other = world.fixture.folder.path().join(number.to_string());
        let other = StateFolder::new(other);
        let session = world.open_at(&["one", "two"], &other, world.now);
        assert_eq!(session.removals.records().count(), 1);
        let told = session.removals.tellings();
        assert!(matches!(told, [Telling::Foreign { .. }]), "{told:?}");
    }
}

#[test]
fn a_removal_of_others_that_did_not_count_has_a_whole_week_once_it_does() {
    let world = World::new();
    let copies = ["one", "two"];
    let mut session = world.open(&copies);
    let memory = world.memory(&session);
    let held = *world.removal().snapshots.first().unwrap();
    let hold = Hold {
        since: world.now,
        why: "audit".to_owned(),
    };
    holds::hold(&mut session, &memory, held, hold).unwrap();
    world.forge("one", &Record::Removal(world.removal()));
    world.open(&copies);
    let later = world.now + SignedDuration::from_hours(30 * 24);
    let mut session = world.open_at(&copies, &world.state, later);
    let told = session.removals.tellings();
    assert!(matches!(told, [Telling::Held { .. }]), "{told:?}");

    // In that very run, and in those after it.
    holds::release(&mut session, &memory, held, later).unwrap();
    assert_eq!(session.removals.alarms(&session).len(), 1);
    for finished in world.finish(&mut session) {
        assert_eq!(finished.removed, 0, "{finished:?}");
    }
    drop(session);
    let left_after = |hours: i64| {
        let at = later + SignedDuration::from_hours(hours);
        let mut session = world.open_at(&copies, &world.state, at);
        world.finish(&mut session);
        (world.left("one"), world.left("two"))
    };
    let all = world.first.len();
    assert_eq!(left_after(1), (all, all));
    assert_eq!(left_after(7 * 24), (all, all));
    assert_eq!(left_after(7 * 24 + 1), (0, 0));
    world.fixture.check(&copies);
}

#[test]
fn what_somebody_else_hides_is_no_less_an_alarm_where_it_is_hidden_in_a_locked_bucket_besides() {
    let mut world = World::new();
    let month = std::time::Duration::from_secs(30 * 86_400);
    let offsite = world.add_offsite(FakeBucket::locking("offsite", month));
    offsite.set_time(u64::try_from(world.now.as_second()).unwrap());
    let snapshot = *world.removal().snapshots.first().unwrap();
    let name = FileName::new(FileType::Snapshots, snapshot);
    world.forge(
        "one",
        &Record::Removal(Removal {
            index: BTreeSet::new(),
            data: BTreeSet::new(),
            ..world.removal()
        }),
    );
    world.copy("one").store.remove(name).unwrap();
    offsite.hide(name);
    let session = world.open(&["one", "offsite"]);
    let alarms = session.removals.alarms(&session);
    assert!(
        matches!(alarms.as_slice(), [Telling::Foreign { is_due: false, .. }]),
        "{alarms:?}"
    );
    // Where nothing of it can be had any more there is nothing to hurry for.
    let session = world.open(&["one"]);
    assert_eq!(session.removals.alarms(&session), []);
    assert_eq!(session.removals.tellings().len(), 1);
}
