//! Somebody has the key, production's credentials or the state folder, and wants locks to run out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use strongroom_engine::locking::LockingOptions;
use strongroom_engine::session::{CopyState, Environment};
use strongroom_engine::state::{LockDates, StateFolder};
use strongroom_engine::status::gather;
use strongroom_model::{Config, FileName, FileType, Id};
use strongroom_repo::blob::BlobKind;
use strongroom_repo::config::RepoConfig;
use strongroom_repo::index::{IndexFile, IndexedPack};
use strongroom_repo::pack::size_bytes;
use strongroom_repo::record::{Record, Removal, RemovedBy};
use strongroom_store::{Locks, SavedLock, Store, Versions};
use strongroom_testkit::Asked;

use super::{DAY, Scene, pack, the_copy};
use crate::fixture::environment;

/// Removes a snapshot from every copy.
fn remove_a_snapshot(scene: &Scene, files: &[(FileName, Vec<u8>)]) -> FileName {
    let is_snapshot = |(name, _): &&(FileName, Vec<u8>)| name.kind() == FileType::Snapshots;
    let snapshot = files.iter().find(is_snapshot).unwrap().0;
    for copy in &scene.fixture.copies {
        copy.store.remove(snapshot).unwrap();
    }
    snapshot
}

#[test]
fn every_pack_that_claims_a_needed_blob_is_locked_and_not_the_first_alone() {
    let scene = Scene::new();
    scene.extend();
    let key = &scene.fixture.key;
    let of_index = |(name, _): &(FileName, Vec<u8>)| name.kind() == FileType::Index;
    let (real, bytes) = scene.files().into_iter().find(of_index).unwrap();
    let packs = IndexFile::open(key, bytes).unwrap().packs;
    let is_of_data = |pack: &IndexedPack| pack.blobs[0].blob.kind == BlobKind::Data;
    let mut claimed = packs.into_iter().find(is_of_data).unwrap();
    let right = FileName::new(FileType::Data, claimed.id);
    // A pack of junk that has the very size, and an index file that comes first.
    let junk = vec![7; usize::try_from(size_bytes(&claimed.blobs)).unwrap()];
    claimed.id = Id::of(&junk);
    let fake = FileName::new(FileType::Data, claimed.id);
    let nowhere = IndexedPack {
        id: Id::of(b"nowhere"),
        blobs: claimed.blobs.clone(),
    };
    let index = IndexFile {
        packs: vec![claimed, nowhere],
    };
    let (id, sealed) = std::iter::repeat_with(|| index.seal(key, 2).unwrap())
        .find(|(id, _)| Some(*id) < real.id())
        .unwrap();
    for copy in &scene.fixture.copies {
        copy.store.save(fake, &junk).unwrap();
        let name = FileName::new(FileType::Index, id);
        copy.store.save(name, &sealed).unwrap();
    }
    // Nothing but the trees tells what the snapshot needs.
    scene.lose_record();
    scene.locked.advance(DAY * 10);
    let told = scene.extend();
    assert!(told.is_complete(), "{told:?}");
    assert_eq!(scene.ending_within(45), 0);
    let bytes = scene.locked.read(right).unwrap();
    assert!(scene.locked.until(right, &bytes).is_some());
    // One that is nowhere is missed by nobody.
    assert_eq!(told.missing, 0);
}

#[test]
fn of_a_copy_that_has_failed_what_is_due_in_its_record_is_extended_all_the_same() {
    let scene = Scene::new();
    scene.extend();
    let files = scene.files();
    // It opens with our key, and names another repository.
    let config = RepoConfig::generate().unwrap();
    let config = config.seal(&scene.fixture.key).unwrap();
    scene.locked.put(FileName::CONFIG, &config);
    let session = scene.fixture.open();
    let CopyState::Failed(failure) = &session.copies[2].state else {
        panic!("it can be used");
    };
    let hint = failure.hint.as_deref().unwrap();
    assert!(
        hint.ends_with("recover --copy offsite --in-place"),
        "{hint}"
    );
    scene.locked.advance(DAY * 10);
    let told = scene.run_at(scene.locked.now().unwrap());
    let [copy] = told.copies.as_slice() else {
        panic!("{told:?}");
    };
    assert!(copy.failure.is_some() && !told.is_complete());
    assert_eq!(copy.extended, files.len() as u64);
    assert_eq!(copy.recorded, files.len() as u64);
    scene.assert_locked(&files);
}

#[test]
fn where_the_record_is_lost_too_snapshots_that_are_hidden_everywhere_are_found_and_told() {
    let scene = Scene::new();
    scene.extend();
    let files = scene.files();
    let snapshot = remove_a_snapshot(&scene, &files);
    scene.lose_record();
    scene.locked.advance(DAY * 10);
    for is_first in [true, false] {
        let report = scene.run(&LockingOptions {
            all: true,
            ..LockingOptions::default()
        });
        assert!(!report.is_complete());
        let [gap] = report.gaps.as_slice() else {
            panic!("{report:?}");
        };
        assert!(gap.contains(&snapshot.to_string()), "{gap}");
        assert_eq!(report.copies[0].extended > 0, is_first);
    }
    // What it needs is not known: nothing that is listed is left to expire.
    scene.assert_locked(&files);
}

#[test]
fn a_record_from_which_hidden_snapshots_were_taken_lets_no_lock_run_out() {
    let scene = Scene::new();
    scene.extend();
    let files = scene.files();
    let snapshot = remove_a_snapshot(&scene, &files);
    // All the rest stays in it, so that it does not look as if it were lost.
    let session = scene.fixture.open();
    let memory = scene.memory(&session);
    let forge = |dates: &mut LockDates| {
        dates.forget(&[snapshot].into());
        true
    };
    let copy = &session.copies[2].copy;
    memory.update_lock_dates(copy, forge).unwrap();
    scene.locked.advance(DAY * 10);
    let report = scene.run(&LockingOptions::default());
    let [gap] = report.gaps.as_slice() else {
        panic!("{report:?}");
    };
    assert!(gap.contains(&snapshot.to_string()), "{gap}");
    scene.assert_locked(&files);
}

#[test]
fn where_the_record_is_lost_what_somebody_else_removed_stays_locked_while_it_may_be_taken_back() {
    let scene = Scene::new();
    scene.extend();
    let files = scene.files();
    let of = |kind: FileType| -> BTreeSet<Id> {
        let of_kind = files.iter().filter(|(name, _)| name.kind() == kind);
        of_kind.filter_map(|(name, _)| name.id()).collect()
    };
    // Of the packs all but one: what the snapshot needs is not known by what the removal names.
    let mut data = of(FileType::Data);
    data.pop_first();
    assert!(!data.is_empty());
    let forged = Record::Removal(Removal {
        at: Timestamp::UNIX_EPOCH,
        host: "elsewhere".to_owned(),
        by: RemovedBy::Prune,
        snapshots: of(FileType::Snapshots),
        index: of(FileType::Index),
        data,
        stays: BTreeSet::new(),
    });
    let (record, bytes) = forged.seal(&scene.fixture.key).unwrap();
    for copy in &scene.fixture.copies {
        let name = FileName::new(FileType::Records, record);
        copy.store.save(name, &bytes).unwrap();
    }
    scene.lose_record();
    scene.locked.advance(DAY * 10);
    let told = the_copy(scene.run(&LockingOptions {
        all: true,
        ..LockingOptions::default()
    }));
    assert_eq!((told.failed, told.missing), (0, 0), "{told:?}");
    scene.assert_locked(&files);
}

#[test]
fn a_hidden_name_that_is_no_snapshot_alarms_nobody() {
    let scene = Scene::new();
    scene.extend();
    let junk = FileName::new(FileType::Snapshots, Id::of(b"junk"));
    scene.locked.put(junk, b"junk");
    scene.locked.hide(junk);
    scene.lose_record();
    scene.locked.advance(DAY * 10);
    // Nothing that it finds is a gap.
    assert!(scene.extend().is_complete());
    assert_eq!(scene.locked.until(junk, b"junk"), None);
    assert_eq!(scene.ending_within(45), 0);
}

#[test]
fn versions_without_number_keep_nobody_beyond_the_end_of_a_run() {
    let scene = Scene::new();
    // Of so many their versions are listed all at once.
    scene.add_snapshots(70);
    scene.extend();
    scene.lose_record();
    let files = scene.files().len() as u64;
    let none = LockingOptions {
        longest: Some(Duration::ZERO),
        ..LockingOptions::default()
    };
    scene.locked.take_asked();
    let report = scene.run(&none);
    assert_eq!(report.copies[0].left, files, "{report:?}");
    // What is hidden is looked for, and nothing else.
    assert_eq!(scene.locked.take_asked().listed, 1);
}

#[test]
fn a_hidden_name_at_which_there_was_no_time_to_look_is_told_as_that() {
    let scene = Scene::new();
    scene.extend();
    let junk = FileName::new(FileType::Snapshots, Id::of(b"junk"));
    scene.locked.put(junk, b"junk");
    scene.locked.hide(junk);
    scene.lose_record();
    let report = scene.run(&LockingOptions {
        longest: Some(Duration::ZERO),
        ..LockingOptions::default()
    });
    let [gap] = report.gaps.as_slice() else {
        panic!("{report:?}");
    };
    assert!(gap.contains("1 name lies hidden"), "{gap}");
    assert!(gap.contains("no time to look"), "{gap}");
}

#[test]
fn versions_without_number_take_no_more_than_half_of_the_time_from_what_is_due() {
    let scene = Scene::new();
    scene.extend();
    scene.locked.advance(DAY * 10);
    scene.locked.list_without_end(FileType::Snapshots);
    let report = scene.run(&LockingOptions {
        longest: Some(Duration::from_secs(6)),
        ..LockingOptions::default()
    });
    let [gap] = report.gaps.as_slice() else {
        panic!("{report:?}");
    };
    assert!(gap.contains("not all could be looked at"), "{gap}");
    let files = scene.files().len() as u64;
    let copy = &report.copies[0];
    assert_eq!((copy.extended, copy.left), (files, 0), "{copy:?}");
    assert_eq!(scene.ending_within(45), 0);
}

#[test]
fn a_record_that_promises_more_than_any_lock_is_not_believed() {
    let scene = Scene::new();
    scene.extend();
    let session = scene.fixture.open();
    let memory = scene.memory(&session);
    let copy = &session.copies[2].copy;
    let far = SystemTime::UNIX_EPOCH + DAY * 1_000_000;
    let forge = |dates: &mut LockDates| {
        let names: Vec<_> = dates.iter().map(|(name, _)| name).collect();
        let forged = names.into_iter().map(|name| SavedLock {
            name,
            version: dates.get(name).unwrap().0,
            until: far,
        });
        let forged: Vec<_> = forged.collect();
        dates.note(forged);
        true
    };
    memory.update_lock_dates(copy, forge).unwrap();
    assert!(memory.lock_dates(copy).earliest() > Some(far - DAY));
    scene.locked.advance(DAY * 10);
    let files = scene.files().len() as u64;
    assert_eq!(scene.extend().extended, files);
    assert_eq!(scene.ending_within(45), 0);
    // One that was really locked for so long is looked at once, and then as all others are.
    let (name, bytes) = pack(&scene);
    let version = memory.lock_dates(copy).get(name).unwrap().0;
    scene.locked.lock_until(name, Some(&version), far).unwrap();
    memory.update_lock_dates(copy, forge).unwrap();
    scene.extend();
    assert!(memory.lock_dates(copy).until(name).unwrap() < far - DAY);
    assert_eq!(scene.locked.until(name, &bytes), Some(far));
    scene.locked.take_asked();
    scene.extend();
    assert_eq!(scene.locked.take_asked(), Asked::default());
}

#[test]
fn without_a_record_no_file_is_known_to_be_locked() {
    let scene = Scene::new();
    scene.extend();
    let mut text = format!(
        "[[source]]\nname = \"main\"\npath = {:?}\n",
        scene.fixture.source()
    );
    for (copy, store) in [
        ("one", scene.fixture.copy_path("one").display().to_string()),
        ("two", scene.fixture.copy_path("two").display().to_string()),
        ("offsite", "s3:https://s3.example.com/bucket".to_owned()),
    ] {
        text.push_str(&format!(
            "[[copy]]\nname = \"{copy}\"\nstore = {store:?}\nmedium = \"disk\"\nsite = \"s\"\n\
             domain = \"d\"\n"
        ));
    }
    text.push_str("lock = \"30d\"\n");
    let config = Config::parse(&text, &|_| None).unwrap();
    let now = Timestamp::try_from(scene.locked.now().unwrap()).unwrap();
    let environment = Environment {
        clock: Arc::new(move || now),
        ..environment("testhost")
    };
    let unlocked = || {
        let session = scene.fixture.open();
        let state = StateFolder::new(scene.fixture.folder.path().join("state"));
        let copies = &scene.fixture.copies;
        let vaults = BTreeMap::new();
        let status = gather(
            &config,
            copies,
            Some(&session),
            &state,
            &environment,
            &vaults,
        );
        let facts = status.unwrap().facts;
        facts
            .copies
            .get("offsite")
            .unwrap()
            .locked
            .unwrap()
            .unlocked
    };
    assert_eq!(unlocked(), 0);
    scene.lose_record();
    // `config`, a key, an index file, a snapshot, and its packs.
    assert!(unlocked() > 4);
}

#[test]
fn a_version_that_somebody_has_written_into_the_record_is_not_locked_alone() {
    let scene = Scene::new();
    scene.extend();
    let (name, bytes) = pack(&scene);
    scene.locked.put(name, &vec![0; bytes.len()]);
    let junk = scene.locked.versions_of(name).unwrap().remove(0).version;
    // The right bytes lie above it, without a lock.
    scene.locked.put(name, &bytes);
    assert_eq!(scene.locked.until(name, &bytes), None);
    let session = scene.fixture.open();
    let memory = scene.memory(&session);
    let copy = &session.copies[2].copy;
    let forge = |dates: &mut LockDates| {
        let until = dates.until(name).unwrap();
        let version = junk.clone();
        dates.note([SavedLock {
            name,
            version,
            until,
        }]);
        true
    };
    memory.update_lock_dates(copy, forge).unwrap();
    scene.locked.advance(DAY * 10);
    assert!(scene.extend().is_complete());
    let end = scene.locked.now().unwrap() + DAY * 45;
    assert!(scene.locked.until(name, &bytes) >= Some(end));
    assert_ne!(memory.lock_dates(copy).get(name).unwrap().0, junk);
}

#[test]
fn a_note_that_a_snapshot_needs_next_to_nothing_lets_no_lock_run_out() {
    let scene = Scene::new();
    scene.extend();
    let files = scene.files();
    let names = || files.iter().map(|(name, _)| *name);
    let is_snapshot = |name: &FileName| name.kind() == FileType::Snapshots;
    let snapshot = names().find(is_snapshot).unwrap();
    let packs = names().filter(|name| name.kind() == FileType::Data);
    assert!(packs.count() > 1);
    let (pack, bytes) = pack(&scene);
    let session = scene.fixture.open();
    let state = scene.fixture.folder.path().join("state");
    let notes = state.join(session.id().to_string()).join("needs");
    fs::create_dir_all(&notes).unwrap();
    // As the backup itself would have noted it.
    let note = format!(
        r#"{{"version":1,"snapshot":"{}","packs":[["{}",{}]],"index_files":[]}}"#,
        snapshot.id().unwrap(),
        pack.id().unwrap(),
        bytes.len()
    );
    fs::write(notes.join("forged.json"), note).unwrap();
    scene.locked.advance(DAY * 10);
    let told = scene.extend();
    assert!(told.is_complete(), "{told:?}");
    assert_eq!(told.extended, files.len() as u64);
    assert_eq!(scene.ending_within(45), 0);
}

#[test]
fn junk_names_that_the_place_does_not_lock_keep_nothing_needed_from_being_locked() {
    let scene = Scene::new();
    scene.extend();
    let files = scene.files();
    // Keys come before all packs.
    for number in 0..150_u32 {
        let kind = match number % 2 {
            0 => FileType::Keys,
            _ => FileType::Index,
        };
        let junk = number.to_le_bytes();
        let name = FileName::new(kind, Id::of(&junk));
        scene.locked.put(name, &junk);
        scene.locked.refuse(name, true);
    }
    scene.lose_record();
    scene.locked.advance(DAY * 10);
    let told = scene.extend();
    assert_eq!((told.failed, told.strangers, told.left), (150, 150, 0));
    assert_eq!(told.extended, files.len() as u64);
    assert!(!told.is_complete());
    scene.assert_locked(&files);
    // What snapshots need is known to be locked all the same.
    let session = scene.fixture.open();
    let memory = scene.memory(&session);
    let copy = &session.copies[2].copy;
    let is_snapshot = |(name, _): &&(FileName, Vec<u8>)| name.kind() == FileType::Snapshots;
    let (snapshot, _) = files.iter().find(is_snapshot).unwrap();
    assert!(memory.lock_dates(copy).covers(snapshot.id().unwrap()));
    assert!(memory.evidence(copy).lock.is_some());
}
