//! Somebody puts more key files beside the owner's than anybody tries, under names that come first.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use strongroom_engine::session::{self, CopyState, FlawProblem, open_remembering};
use strongroom_engine::state::StateFolder;
use strongroom_engine::{CopyStore, Error};
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::key::{KeyFile, MAX_KEYS_TRIED, ScryptCost};
use strongroom_repo::repository::{Maker, NewRepository};
use strongroom_repo::{Error as RepoError, Key, Repository};
use strongroom_store::Store;
use strongroom_testkit::{FakeBucket, Fault, FaultyStore, Op, Rights, Rule};

use crate::fixture::{Fixture, PASSWORD};

/// Key files that the password does not open, more than are tried, all with names before this one.
fn junk_before(ours: Id) -> Vec<(FileName, Vec<u8>)> {
    let mut junk = Vec::new();
    let key = Key::generate().unwrap();
    while junk.len() <= MAX_KEYS_TRIED {
        let (time, cost) = (Timestamp::UNIX_EPOCH, ScryptCost::LEAST);
        let file = KeyFile::seal(&key, b"other", cost, time, "user", "host").unwrap();
        let bytes = file.to_bytes().unwrap();
        let id = Id::of(&bytes);
        if id < ours {
            junk.push((FileName::new(FileType::Keys, id), bytes));
        }
    }
    junk
}

/// Another repository that the same password opens, by a key with a name before this one.
fn another_before(ours: Id) -> NewRepository {
    let maker = Maker {
        now: Timestamp::UNIX_EPOCH,
        username: "user",
        hostname: "host",
    };
    loop {
        let (password, cost) = (PASSWORD.as_bytes(), ScryptCost::LEAST);
        let another = Repository::generate(password, cost, &maker).unwrap();
        if another.repository.key_id() < ours {
            return another;
        }
    }
}

fn put(copies: &[CopyStore], files: &[(FileName, Vec<u8>)]) {
    for copy in copies {
        for (name, bytes) in files {
            copy.store.save(*name, bytes).unwrap();
        }
    }
}

#[test]
fn the_key_that_opened_last_is_tried_first_whatever_lies_beside_it() {
    let fixture = Fixture::new();
    fixture.backup();
    let state = StateFolder::new(fixture.folder.path().join("state"));
    let remembering = |password: &str| {
        let (copies, looking) = (&fixture.copies, &fixture.looking);
        let now = (fixture.environment.clock)();
        open_remembering(copies, password.as_bytes(), looking, &state, now)
    };
    let session = remembering(PASSWORD).unwrap();
    let ours = session.repository.key_id();
    // What any sync notes, by which the repository of these copies is known.
    let memory = state.repository(session.id());
    for copy in &fixture.copies {
        memory.update_evidence(copy, |_| {}).unwrap();
    }
    put(&fixture.copies, &junk_before(ours));
    let (copies, looking) = (&fixture.copies, &fixture.looking);
    let locked_out = session::open(copies, PASSWORD.as_bytes(), looking);
    let is_wrong = |keys: &usize| *keys == MAX_KEYS_TRIED;
    assert!(
        matches!(
            &locked_out,
            Err(Error::Repo(RepoError::WrongPassword { keys, .. })) if is_wrong(keys)
        ),
        "{locked_out:?}"
    );
    assert_eq!(remembering(PASSWORD).unwrap().repository.key_id(), ours);
    // What opens no more is no hindrance: another key does.
    assert!(remembering("wrong").is_err());
    let other = remembering("other");
    assert!(
        !matches!(&other, Err(Error::Repo(RepoError::WrongPassword { .. }))),
        "{other:?}"
    );
}

#[test]
fn no_copy_opens_as_another_repository_while_one_opens_by_the_key_that_opened_last() {
    let fixture = Fixture::new();
    fixture.backup();
    let state = StateFolder::new(fixture.folder.path().join("state"));
    let remembering = || {
        let (copies, looking) = (&fixture.copies, &fixture.looking);
        let now = (fixture.environment.clock)();
        open_remembering(copies, PASSWORD.as_bytes(), looking, &state, now).unwrap()
    };
    let session = remembering();
    let (ours, id) = (session.repository.key_id(), session.id());
    let memory = state.repository(id);
    for copy in &fixture.copies {
        memory.update_evidence(copy, |_| {}).unwrap();
    }
    // Beside our key on the copy that is asked first.
    let first = &fixture.copies[0].store;
    first.remove(FileName::CONFIG).unwrap();
    another_before(ours).save(&**first).unwrap();
    let session = remembering();
    assert_eq!((session.id(), session.repository.key_id()), (id, ours));
    let flaws = session.flaws();
    let flaws: Vec<_> = flaws
        .iter()
        .map(|f| (f.copy.as_str(), &f.problem))
        .collect();
    assert_eq!(flaws, [("one", &FlawProblem::Config)]);
    // In its stead.
    first.remove(FileName::new(FileType::Keys, ours)).unwrap();
    let session = remembering();
    assert_eq!((session.id(), session.repository.key_id()), (id, ours));
    let CopyState::Failed(failure) = &session.copies[0].state else {
        panic!("{session:?}");
    };
    assert!(failure.reason.contains("another repository"), "{failure:?}");
    assert_eq!(session.ready().count(), 2);
}

#[test]
fn where_versions_tell_it_those_are_tried_that_arrived_first() {
    let fixture = Fixture::new();
    let place = FakeBucket::new("bucket");
    place.set_time(1_000);
    let one = &fixture.copies[0].store;
    for kind in [FileType::Keys, FileType::Config] {
        for entry in one.list(kind).unwrap() {
            let name = FileName::new(kind, entry.id);
            place.save(name, &one.read(name).unwrap()).unwrap();
        }
    }
    let ours = fixture.ids("one", FileType::Keys)[0];
    place.set_time(2_000);
    for (name, bytes) in junk_before(ours) {
        place.save(name, &bytes).unwrap();
    }
    let open = || Repository::open(&place, PASSWORD.as_bytes(), &mut BTreeSet::new());
    assert_eq!(open().unwrap().key_id(), ours);
    // Who may not list versions tries them by their names.
    place.allow(Rights {
        list_versions: false,
        ..Rights::default()
    });
    let told = open();
    assert!(
        matches!(told, Err(RepoError::WrongPassword { .. })),
        "{told:?}"
    );
}

#[test]
fn a_key_that_the_place_does_not_give_keeps_no_other_from_opening() {
    let fixture = Fixture::new();
    let ours = fixture.ids("one", FileType::Keys)[0];
    let one = &fixture.copies[0].store;
    let (junk, bytes) = junk_before(ours).swap_remove(0);
    one.save(junk, &bytes).unwrap();
    // As one that somebody has put into an archive.
    let refused = Rule::on(&Op::READS, Fault::Denied).named(junk);
    let place = FaultyStore::new(Arc::clone(one)).with(refused);
    let open = |password: &str| Repository::open(&place, password.as_bytes(), &mut BTreeSet::new());
    assert_eq!(open(PASSWORD).unwrap().key_id(), ours);
    // What was not given may be the one that the password opens.
    let told = open("wrong");
    assert!(matches!(told, Err(RepoError::Store(_))), "{told:?}");
}
