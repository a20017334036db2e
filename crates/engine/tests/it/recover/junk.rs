//! Recovery where somebody has put names and key files of his own beside what was there.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use jiff::Timestamp;
use strongroom_engine::recover::{Destination, RecoverError, RecoverOptions, RecoverReport};
use strongroom_engine::{CopyStore, Error};
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::key::{KeyFile, ScryptCost};
use strongroom_repo::record::{Annulment, Record, Removal, RemovedBy};
use strongroom_repo::{Key, Repository};
use strongroom_store::{LocalStore, Store};
use strongroom_testkit::{Fault, FaultyStore, MemoryStore, Op, Rule};

use super::{ATTACK_S, Scene, recorded_copy, with_password, without_password};
use crate::fixture::PASSWORD;

#[test]
fn junk_among_the_keys_holds_up_nothing_and_is_given_up_and_named() {
    let scene = Scene::new();
    let place = &scene.place;
    // One with junk above and below it, and one that is nothing but junk.
    let rare = FileName::new(FileType::Keys, Id::of(b"rare"));
    let junk = FileName::new(FileType::Keys, Id::of(b"junk"));
    place.put(rare, b"below");
    place.set_time(ATTACK_S + 1);
    place.replace(rare, b"rare").unwrap();
    for number in 0..2_500_u64 {
        place.set_time(ATTACK_S + 2 + number);
        place.put(junk, &number.to_le_bytes());
        if number < 20 {
            place.put(rare, &number.to_le_bytes());
        }
    }
    let (other, recorded) = recorded_copy();
    place.take_asked();
    let report = scene.recover(&other, &without_password());
    let reads = place.take_asked().opened;
    assert!((2_048..2_300).contains(&reads), "{reads}");
    assert_eq!(report.not_recovered_count, 1, "{report:?}");
    let told = &report.not_recovered[0];
    assert_eq!(told.name, junk.to_string());
    assert!(told.reason.contains("--as-of"), "{}", told.reason);
    let written = recorded.written();
    assert_eq!(written.last(), Some(&rare));
    let kinds: Vec<_> = written.iter().map(FileName::kind).collect();
    assert!(kinds.contains(&FileType::Snapshots), "{kinds:?}");
}

#[test]
fn of_more_key_files_than_are_tried_the_one_that_opens_is_named() {
    let scene = Scene::new();
    let ours = scene.names(FileType::Keys)[0];
    for number in 0..25 {
        let host = format!("host {number}");
        let key = Key::generate().unwrap();
        let cost = ScryptCost::LEAST;
        let sealed = KeyFile::seal(&key, b"other", cost, Timestamp::UNIX_EPOCH, "user", &host);
        let bytes = sealed.unwrap().to_bytes().unwrap();
        let name = FileName::new(FileType::Keys, Id::of(&bytes));
        scene.place.save(name, &bytes).unwrap();
    }
    let report = scene.recover_to("with", &with_password());
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.key_hint, ours.id());
    let opens = format!("the password opens {ours}");
    let is_told = |note: &String| note.contains("26 key files") && note.contains(&opens);
    assert!(report.notes.iter().any(is_told), "{:?}", report.notes);
    let store = LocalStore::new(scene.path("with"));
    let opened = Repository::open_by(&store, PASSWORD.as_bytes(), ours.id().unwrap());
    assert_eq!(opened.unwrap().key_id(), ours.id().unwrap());
    let opened = Repository::open_by(&store, b"other", ours.id().unwrap());
    assert!(opened.is_err());
    let report = scene.recover_to("without", &without_password());
    assert_eq!(report.key_hint, None);
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.contains("STRONGROOM_PASSWORD"))
    );
}

#[test]
fn what_records_hide_is_told_and_they_can_be_left_out() {
    let scene = Scene::new();
    let local = LocalStore::new(scene.path("for the key"));
    scene.recover_to("for the key", &without_password());
    let opened = Repository::open(&local, PASSWORD.as_bytes(), &mut BTreeSet::new()).unwrap();
    let snapshot = scene.names(FileType::Snapshots)[0].id().unwrap();
    let removal = Record::Removal(Removal {
        at: Timestamp::UNIX_EPOCH,
        host: "intruder".to_owned(),
        by: RemovedBy::Forget,
        snapshots: [snapshot, Id::of(b"none")].into(),
        index: BTreeSet::new(),
        data: BTreeSet::new(),
        stays: BTreeSet::new(),
    });
    let (id, bytes) = removal.seal(opened.key()).unwrap();
    let record = FileName::new(FileType::Records, id);
    scene.place.save(record, &bytes).unwrap();
    let is_told = |report: &RecoverReport| {
        let mut notes = report.notes.iter();
        notes.any(|note| note.contains("hide 1 of the snapshots") && note.contains("intruder"))
    };
    let report = scene.recover_to("with", &with_password());
    assert!(is_told(&report), "{:?}", report.notes);
    assert!(LocalStore::new(scene.path("with")).read(record).is_ok());

    let left_out = RecoverOptions {
        without_records: true,
        ..with_password()
    };
    let report = scene.recover_to("left out", &left_out);
    assert!(report.is_complete() && !is_told(&report), "{report:?}");
    assert!(
        LocalStore::new(scene.path("left out"))
            .read(record)
            .is_err()
    );

    // What was taken back hides nothing.
    let annulment = Record::Annulment(Annulment {
        at: Timestamp::UNIX_EPOCH,
        host: "ours".to_owned(),
        record: id,
    });
    let (id, bytes) = annulment.seal(opened.key()).unwrap();
    let annulment = FileName::new(FileType::Records, id);
    scene.place.save(annulment, &bytes).unwrap();
    let report = scene.recover_to("annulled", &with_password());
    assert!(!is_told(&report), "{:?}", report.notes);
}

#[test]
fn more_records_than_are_looked_at_are_told() {
    let scene = Scene::new();
    for number in 0..1_001_u32 {
        let bytes = number.to_le_bytes();
        let name = FileName::new(FileType::Records, Id::of(&bytes));
        scene.place.save(name, &bytes).unwrap();
    }
    let report = scene.recover_to("with", &with_password());
    let is_told = |note: &String| note.contains("Of 1001 records 1 were not looked at");
    assert!(report.notes.iter().any(is_told), "{:?}", report.notes);
    let left_out = RecoverOptions {
        without_records: true,
        ..with_password()
    };
    let report = scene.recover_to("left out", &left_out);
    assert!(!report.notes.iter().any(is_told), "{:?}", report.notes);
}

#[test]
fn a_record_between_more_versions_than_are_tried_at_first_comes_and_is_told_as_not_looked_at() {
    let scene = Scene::new();
    let bytes = b"a record";
    let record = FileName::new(FileType::Records, Id::of(bytes));
    let versions = [&b"below"[..], bytes, b"1", b"2", b"3", b"4", b"5"];
    for (second, bytes) in (1..).zip(versions) {
        scene.place.set_time(ATTACK_S + second);
        scene.place.put(record, bytes);
    }
    let report = scene.recover_to("with", &with_password());
    let is_told = |note: &String| note.contains("Of 1 records 1 were not looked at");
    assert!(report.notes.iter().any(is_told), "{:?}", report.notes);
    assert!(LocalStore::new(scene.path("with")).read(record).is_ok());
}

#[test]
fn a_folder_with_a_link_in_it_is_refused() {
    let scene = Scene::new();
    let (into, elsewhere) = (scene.path("into"), scene.path("elsewhere"));
    for path in [&into, &elsewhere] {
        fs::create_dir(path).unwrap();
    }
    symlink(&elsewhere, into.join("data")).unwrap();
    let refused = scene.refusal(&Destination::Folder(into));
    let RecoverError::NotEmpty { found, .. } = &refused else {
        panic!("{refused:?}");
    };
    assert_eq!(found, "data, a link");
    assert_eq!(fs::read_dir(elsewhere).unwrap().count(), 0);
}

#[test]
fn where_what_somebody_has_put_there_fills_the_place_it_is_said_how_to_leave_it_out() {
    let scene = Scene::new();
    let full = Rule::on(&[Op::Save], Fault::Full).of(FileType::Data);
    let other = CopyStore {
        name: "other".to_owned(),
        store: Arc::new(FaultyStore::new(MemoryStore::new("other")).with(full)),
        is_local: false,
    };
    let error = scene.try_recover(&Destination::Copy(other), &without_password());
    let Err(Error::Recover(told)) = error else {
        panic!("{error:?}");
    };
    assert!(matches!(*told, RecoverError::NoRoom { .. }), "{told:?}");
    let hint = told.hint().unwrap();
    assert!(hint.contains("--as-of"), "{hint}");
}
