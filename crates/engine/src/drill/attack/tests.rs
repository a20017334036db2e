//! Drills of stores that answer as they are told, kept and sent.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use strongroom_model::attack::{Attempt, Left, Mark, Remnant, RemnantKind, Said, Verdict};
use strongroom_store::{Attacks, LocalStore, PatientStore, Result as StoreResult, Store};
use strongroom_testkit::{FakeBucket, FaultyStore};

use super::*;
use crate::backup::report::SnapshotNeeds;
use crate::drill::attack::sample::FILES_OF_A_TYPE;
use crate::receipts::ClientKey;
use crate::state::{RepositoryState, StateFolder};

struct World {
    folder: tempfile::TempDir,
    state: RepositoryState,
    client: ClientKey,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = StateFolder::new(folder.path().join("state"));
        Self {
            client: state.client_key().unwrap(),
            state: state.repository(strongroom_model::Id::of(b"repository")),
            folder,
        }
    }

    /// A repository in a folder, with faults in front.
    fn copy(&self, name: &str) -> (CopyStore, Arc<FaultyStore<LocalStore>>) {
        let store = LocalStore::new(self.folder.path().join(name));
        store.create().unwrap();
        store.save(FileName::CONFIG, b"config").unwrap();
        let store = Arc::new(FaultyStore::new(store));
        let copy = CopyStore {
            name: name.to_owned(),
            store: store.clone(),
            is_local: true,
        };
        (copy, store)
    }

    fn keep(&self, at: i64, copies: &[&CopyStore], drills: &[CopyDrill]) -> Option<Kept> {
        let at = Timestamp::from_second(at).unwrap();
        keep(&self.state, &self.client, "h", at, copies, drills).unwrap()
    }
}

fn drill(copies: &[&CopyStore]) -> Vec<CopyDrill> {
    let at = Timestamp::from_second(1_800_000_000).unwrap();
    attack(copies, &BTreeSet::new(), None, at, &Cancel::default()).unwrap()
}

fn verdict(drill: &CopyDrill) -> Verdict {
    drill.outcome.as_ref().unwrap().judged.verdict
}

#[test]
fn a_folder_is_told_to_be_destroyable_and_that_becomes_evidence() {
    let world = World::new();
    let (copy, _) = world.copy("one");
    let mut drills = drill(&[&copy]);
    assert_eq!(verdict(&drills[0]), Verdict::Destroyable);
    let credential = Some(Id::of(b"credential"));
    if let Ok(done) = &mut drills[0].outcome {
        done.credential = credential;
    }
    let done = drills[0].outcome.as_ref().unwrap();
    let root = "destroyable by whoever is root here";
    assert!(done.judged.reason.starts_with(root));

    let kept = world.keep(1_800_000_000, &[&copy], &drills).unwrap();
    let evidence = world.state.evidence(&copy).attack.unwrap();
    assert_eq!(evidence.verdict, Verdict::Destroyable);
    assert_eq!(evidence.receipt, Some(kept.receipt));
    assert_eq!(evidence.credential, credential);
    // What is kept was signed by the client's key.
    let signed = world.state.drills(10).pop().unwrap();
    let client = &world.client;
    let verified = signed
        .verify_by(client.id(), |message, signature| {
            client.holds(&client.id(), message, signature)
        })
        .unwrap();
    assert_eq!(verified.id(), kept.receipt);
    assert_eq!(verified.claim().copies[0].copy, "one");
}

#[test]
fn a_copy_is_attacked_by_one_drill_of_a_machine_at_a_time() {
    let world = World::new();
    let (one, _) = world.copy("one");
    let (two, _) = world.copy("two");
    let at = Timestamp::from_second(1_800_000_000).unwrap();
    let cancel = Cancel::default();
    let drill = |copies: &[&CopyStore]| {
        let memory = Some(&world.state);
        attack(copies, &BTreeSet::new(), memory, at, &cancel)
    };
    let begun = world.state.begin_drill(&two).unwrap().unwrap();
    let refused = drill(&[&one, &two]);
    assert!(
        matches!(&refused, Err(Error::BeingDrilled { copy }) if copy == "two"),
        "{refused:?}"
    );
    // Who was refused keeps nobody from the others.
    assert_eq!(drill(&[&one]).unwrap().len(), 1);
    drop(begun);
    assert_eq!(drill(&[&one, &two]).unwrap().len(), 2);
}

#[test]
fn a_later_drill_stays_and_one_of_next_year_gives_way() {
    let world = World::new();
    let (copy, _) = world.copy("one");
    let drills = drill(&[&copy]);
    let at = || world.state.evidence(&copy).attack.unwrap().at.as_second();
    world.keep(1_830_000_000, &[&copy], &drills);
    world.keep(1_800_000_060, &[&copy], &drills);
    assert_eq!(at(), 1_800_000_060);
    world.keep(1_800_000_000, &[&copy], &drills);
    assert_eq!(at(), 1_800_000_060);
}

#[test]
fn an_answer_is_bound_to_the_place_that_was_attacked() {
    let world = World::new();
    let (copy, _) = world.copy("one");
    let drills = drill(&[&copy]);
    world.keep(1_800_000_000, &[&copy], &drills);
    let mut evidence = world.state.evidence(&copy);
    let place = || copy.store.identity().unwrap();
    assert!(evidence.is_at(place()));
    // Another has written its config, or it is another disk.
    copy.store.replace(FileName::CONFIG, b"config").unwrap();
    assert!(evidence.move_to(place()));
    assert_eq!(evidence.attack, None);
    // A later drill is bound to what is there now.
    world.keep(1_800_100_000, &[&copy], &drill(&[&copy]));
    assert!(world.state.evidence(&copy).is_at(place()));
    // Where nothing told the place, nothing was shown of the one that is known.
    let mut untold = drill(&[&copy]);
    if let Ok(done) = &mut untold[0].outcome {
        done.identity = None;
    }
    world.keep(1_800_200_000, &[&copy], &untold);
    let at = world.state.evidence(&copy).attack.unwrap().at;
    assert_eq!(at.as_second(), 1_800_100_000);
}

#[test]
fn a_folder_that_may_hang_is_attacked_through_its_patience() {
    let world = World::new();
    let (copy, _) = world.copy("one");
    let inner = LocalStore::new(world.folder.path().join("one"));
    let pulse = inner.pulse();
    let limit = strongroom_store::patient::HANG_LIMIT;
    let patient = CopyStore {
        store: Arc::new(PatientStore::new(Arc::new(inner), pulse, limit)),
        ..copy
    };
    assert_eq!(verdict(&drill(&[&patient])[0]), Verdict::Destroyable);
}

#[test]
fn a_copy_that_cannot_be_asked_keeps_what_was_shown_of_it_before() {
    let world = World::new();
    let ((one, _), (two, faults)) = (world.copy("one"), world.copy("two"));
    let first = drill(&[&one, &two]);
    world.keep(1_800_000_000, &[&one, &two], &first);
    let before = world.state.evidence(&two).attack;
    faults.set_unreachable(true);
    let second = drill(&[&one, &two]);
    assert!(second[1].outcome.is_err(), "{second:?}");
    world.keep(1_800_100_000, &[&one, &two], &second);
    assert_eq!(world.state.evidence(&two).attack, before);
    let one = world.state.evidence(&one).attack.unwrap();
    assert_eq!(one.at.as_second(), 1_800_100_000);
}

#[test]
fn where_no_repository_is_nothing_is_attacked_and_nothing_kept() {
    let world = World::new();
    let copy = CopyStore {
        name: "none".to_owned(),
        store: Arc::new(LocalStore::new(world.folder.path().join("none"))),
        is_local: true,
    };
    let drills = drill(&[&copy]);
    let failure = drills[0].outcome.as_ref().unwrap_err();
    assert_eq!(failure.kind, CopyFailureKind::NoRepository);
    assert_eq!(world.keep(1_800_000_000, &[&copy], &drills), None);
}

/// A place whose answer a test has written.
#[derive(Debug)]
struct Told(Attacked);

impl Attacks for Told {
    fn attack(&self, _: &[FileName], _: &Remnants) -> StoreResult<Attacked> {
        Ok(self.0.clone())
    }
}

#[test]
fn an_answer_that_is_not_certain_is_signed_and_is_no_evidence() {
    let world = World::new();
    let (copy, _) = world.copy("one");
    let mut attacked = Attacked::new(PlaceKind::Vault);
    attacked.keeps = true;
    let away = Said::Failed("503".to_owned());
    attacked.tried = vec![Tried::new(Attempt::Delete, away, Left::Whole)];
    let told = Told(attacked);
    let done = judged(told.attack(&[], &Remnants::default()).unwrap(), true);
    assert!(!done.judged.is_certain);
    let drills = [CopyDrill {
        name: copy.name.clone(),
        store: "rest:https://vault.example/".to_owned(),
        outcome: Ok(done),
        remnants: Vec::new(),
    }];
    assert!(world.keep(1_800_000_000, &[&copy], &drills).is_some());
    assert_eq!(world.state.evidence(&copy).attack, None);
}

#[test]
fn what_a_drill_leaves_is_written_down_before_it_is_made_and_kept_until_it_is_gone() {
    let world = World::new();
    let ((copy, _), (other, _)) = (world.copy("one"), world.copy("two"));
    let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
    let probe = |name: &str| Remnant::new(RemnantKind::ProbeBucket, name);
    let left = |copy: &CopyStore| {
        let left = world.state.remnants(copy).left.into_iter();
        left.map(|one| (one.remnant.name, one.since))
            .collect::<Vec<_>>()
    };
    let named = |name: &str, second: i64| (name.to_owned(), at(second));
    let memory = Some(&world.state);

    // Killed behind this.
    let first = remnants::begin(memory, &copy, at(0));
    first.make(probe("a"));
    first.make(probe("b"));
    assert_eq!(left(&copy), [named("a", 0), named("b", 0)]);

    // Two at once, of which each knows what it has done itself.
    let second = remnants::begin(memory, &copy, at(60));
    let third = remnants::begin(memory, &copy, at(90));
    third.make(probe("d"));
    second.strike(&probe("a"));
    second.make(probe("c"));
    let told = remnants::remember(memory, &copy, &second, at(60));
    let expected = [named("b", 0), named("c", 60), named("d", 90)];
    assert_eq!(left(&copy), expected);
    assert_eq!(told, world.state.remnants(&copy).left);
    assert_eq!(left(&other), []);

    // Where nobody knows of which repository it is, it is told all the same.
    let fourth = remnants::begin(None, &copy, at(120));
    fourth.make(probe("e"));
    let told = remnants::remember(None, &copy, &fourth, at(120));
    assert_eq!((told.len(), told[0].since), (1, at(120)));
}

#[test]
fn a_drill_tells_what_earlier_ones_have_left_until_it_is_gone() {
    let world = World::new();
    let (copy, _) = world.copy("one");
    let path = world.folder.path().join("one/strongroom/drill/old");
    std::fs::create_dir_all(&path).unwrap();
    let at = Timestamp::from_second(1_800_000_000).unwrap();
    let remnant = Remnant::new(RemnantKind::Canary, path.display().to_string());
    remnants::begin(Some(&world.state), &copy, at).make(remnant.clone());
    let again = || {
        let (cancel, believed) = (Cancel::default(), BTreeSet::new());
        attack(&[&copy], &believed, Some(&world.state), at, &cancel).unwrap()
    };
    let drills = again();
    let told: Vec<_> = drills[0].remnants.iter().map(|one| &one.remnant).collect();
    assert_eq!(told, [&remnant]);
    std::fs::remove_dir(&path).unwrap();
    assert_eq!(again()[0].remnants, []);
    assert_eq!(world.state.remnants(&copy), NotedRemnants::default());
}

#[test]
fn statements_are_sent_in_their_order_and_once() {
    let world = World::new();
    let (copy, _) = world.copy("one");
    let mut receipts = Vec::new();
    for number in 0..3 {
        let drills = drill(&[&copy]);
        let kept = world.keep(1_800_000_000 + number, &[&copy], &drills);
        receipts.push(kept.unwrap().receipt);
    }
    let came = RefCell::new(Vec::new());
    let is_away = AtomicBool::new(true);
    let send = |drill: &strongroom_model::attack::SignedDrill| {
        if is_away.load(Ordering::Relaxed) && came.borrow().len() == 1 {
            return Err(StoreError::Unreachable {
                location: "https://vault/".to_owned(),
                reason: "away".to_owned(),
            });
        }
        came.borrow_mut().push(drill.id());
        Ok(())
    };
    let cancel = Cancel::default();
    let delivery = deliver(&world.state, &copy, send, &cancel).unwrap();
    assert_eq!((delivery.taken, delivery.left), (1, 2));
    assert!(delivery.failure.unwrap().reason.contains("away"));
    is_away.store(false, Ordering::Relaxed);
    let delivery = deliver(&world.state, &copy, send, &cancel).unwrap();
    assert_eq!((delivery.taken, delivery.left), (2, 0));
    assert_eq!(*came.borrow(), receipts);
    let delivery = deliver(&world.state, &copy, send, &cancel).unwrap();
    assert_eq!(delivery.taken, 0);
}

#[test]
fn files_of_every_type_that_stays_are_looked_at_records_among_them() {
    let store = FakeBucket::locking("offsite", Duration::from_secs(30 * 86_400));
    store.put(FileName::CONFIG, b"config");
    let mut expected = vec![FileName::CONFIG];
    for kind in FileType::STORED {
        let bytes = format!("{kind:?}").into_bytes();
        let name = FileName::new(kind, strongroom_model::Id::of(&bytes));
        store.put(name, &bytes);
        expected.push(name);
    }
    let lock = FileName::new(FileType::Locks, strongroom_model::Id::of(b"lock"));
    store.put(lock, b"lock");
    let sample = Sample::draw(&store, &[], &draws().unwrap());
    assert_eq!(sample.unwrap().files, expected);
}

#[test]
fn each_file_may_be_looked_at_and_nobody_knows_which_are() {
    let store = FakeBucket::locking("offsite", Duration::from_secs(30 * 86_400));
    let mut all = BTreeSet::new();
    for number in 0..100_u8 {
        let name = FileName::new(FileType::Data, Id::of(&[number]));
        store.put(name, &[number]);
        all.insert(name);
    }
    let mut drawn = BTreeSet::new();
    for draw in 0..100 {
        let sample = Sample::draw(&store, &[], &[draw; FILES_OF_A_TYPE]).unwrap();
        let packs: BTreeSet<FileName> = sample.files.into_iter().skip(1).collect();
        assert_eq!(packs.len(), FILES_OF_A_TYPE);
        drawn.extend(packs);
    }
    assert_eq!(drawn, all);
    assert_ne!(draws().unwrap(), draws().unwrap());
}

/// A bucket with a snapshot, a pack and an index file among as much junk as anybody puts there, what of
/// them is noted, and what it needs.
fn among_junk() -> (FakeBucket, FileName, RecordedNeeds, [FileName; 2]) {
    let store = FakeBucket::locking("offsite", Duration::from_secs(30 * 86_400));
    let save = |kind, bytes: &[u8]| {
        let name = FileName::new(kind, Id::of(bytes));
        store.save(name, bytes).unwrap();
        name
    };
    let snapshot = save(FileType::Snapshots, b"snapshot");
    let (pack, index) = (
        save(FileType::Data, b"pack"),
        save(FileType::Index, b"index"),
    );
    for number in 0..1000_u32 {
        save(FileType::Data, &number.to_le_bytes());
        save(FileType::Index, &number.to_le_bytes());
    }
    let needs = SnapshotNeeds {
        packs: vec![(pack.id().unwrap(), 4)],
        index_files: vec![index.id().unwrap()],
    };
    let note = RecordedNeeds::new(snapshot.id().unwrap(), None, &needs);
    (store, snapshot, note, [pack, index])
}

#[test]
fn junk_without_number_hides_no_file_that_is_needed() {
    let (store, snapshot, note, needed) = among_junk();
    let notes = [note];
    let draw = || Sample::draw(&store, &notes, &draws().unwrap()).unwrap();
    let sample = draw();
    assert_eq!(sample.needed, needed);
    assert!(needed.iter().all(|name| sample.files.contains(name)));
    // Of what a snapshot needs that is gone nothing need be left.
    store.hide(snapshot);
    assert!(draw().needed.is_empty());
}

#[test]
fn of_what_was_removed_on_purpose_and_lies_there_until_its_lock_is_over_none_need_be_left() {
    let world = World::new();
    let (store, snapshot, note, [pack, index]) = among_junk();
    let lock = world.state.lock().unwrap();
    let noting = world.state.record_needs(&lock, "source", "host", &note);
    noting.unwrap();
    drop(lock);
    store.advance(Duration::from_secs(16 * 86_400));
    let seen = || {
        let notes = noted(&world.state);
        let sample = Sample::draw(&store, &notes, &draws().unwrap()).unwrap();
        sample.short(&store).unwrap()
    };
    assert!(seen().is_some());
    for removed in [snapshot, pack, index] {
        let change = |is_gone: bool| {
            world.state.update_gone(|gone| match is_gone {
                true => gone.accept(&[removed].into()),
                false => gone.find(|name| name == removed),
            })
        };
        change(true).unwrap();
        assert_eq!(seen(), None, "{removed}");
        change(false).unwrap();
        assert!(seen().is_some());
    }
}

#[test]
fn a_lock_that_nobody_has_extended_is_seen_before_it_is_over() {
    let (store, _, note, [pack, _]) = among_junk();
    let sample = Sample::draw(&store, &[note], &draws().unwrap()).unwrap();
    let day = Duration::from_secs(86_400);
    // Of 45 days 30 must be left.
    store.advance(day * 15);
    assert_eq!(sample.short(&store).unwrap(), None);
    store.advance(day);
    let seen = sample.short(&store).unwrap().unwrap();
    assert!(seen.starts_with(&pack.to_string()), "{seen}");
    let mut tried = [Tried::new(Attempt::LookAtFiles, Said::Done, Left::Whole)];
    note_short(&mut tried, seen);
    assert_eq!(tried[0].mark(), Mark::Fell);
}
