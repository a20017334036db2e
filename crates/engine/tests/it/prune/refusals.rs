//! Nothing is removed where it is not known what is needed, or where not all of that is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use strongroom_engine::Error;
use strongroom_engine::prune::PruneOptions;
use strongroom_engine::removals;
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::index::IndexFile;
use strongroom_repo::lock::Lock;
use strongroom_store::{LocalStore, Store};
use strongroom_testkit::gate::Gate;
use strongroom_testkit::{Fault, FaultyStore, Op, Rule};

use crate::fixture::Fixture;
use crate::prune::{ALL, half_needed, open, prune_session, state, try_prune};

/// All files of all copies, with their sizes.
fn files(fixture: &Fixture) -> BTreeMap<(&'static str, FileName), u64> {
    let mut files = BTreeMap::new();
    for copy in ALL {
        let store = LocalStore::new(fixture.copy_path(copy));
        for kind in FileType::SYNCED {
            for entry in store.list(kind).unwrap() {
                let name = FileName::new(kind, entry.id);
                files.insert((copy, name), entry.size_bytes);
            }
        }
    }
    files
}

fn path(fixture: &Fixture, copy: &str, name: FileName) -> PathBuf {
    let id = name.id().unwrap().to_string();
    let folder = fixture.copy_path(copy).join(name.kind().folder());
    match name.kind() {
        FileType::Data => folder.join(&id[..2]).join(&id),
        _ => folder.join(&id),
    }
}

fn overwrite(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Asserts that nothing is pruned, for a reason with these words, and that nothing changes.
#[track_caller]
fn assert_refused(fixture: &Fixture, words: &[&str]) {
    let before = files(fixture);
    let error = try_prune(fixture).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::NotPruned { .. }), "{text}");
    assert!(error.hint().is_some());
    for word in words {
        assert!(text.contains(word), "{word} in {text}");
    }
    assert_eq!(files(fixture), before);
    for copy in ALL {
        assert!(fixture.ids(copy, FileType::Locks).is_empty());
    }
}

/// The pack that holds files of both snapshots, so that it is needed in part.
fn needed_pack(fixture: &Fixture) -> FileName {
    let mut session = open(fixture);
    let options = PruneOptions {
        dry_run: true,
        ..PruneOptions::default()
    };
    let report = prune_session(fixture, &mut session, &options).unwrap();
    assert!(report.repacked.files > 0, "{report:?}");
    let store = LocalStore::new(fixture.copy_path("one"));
    let packs = store.list(FileType::Data).unwrap();
    let largest = packs.iter().max_by_key(|entry| entry.size_bytes).unwrap();
    FileName::new(FileType::Data, largest.id)
}

#[test]
fn a_needed_pack_that_is_nowhere_whole_ends_it() {
    let (fixture, _) = half_needed();
    let pack = needed_pack(&fixture);
    for copy in ALL {
        let path = path(&fixture, copy, pack);
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        // Too short on one copy, and nowhere else.
        if copy == "two" {
            fs::write(&path, &bytes[..100]).unwrap();
        }
    }
    assert_refused(
        &fixture,
        &[&pack.to_string(), "100 bytes on two instead of"],
    );
    fs::remove_file(path(&fixture, "two", pack)).unwrap();
    assert_refused(
        &fixture,
        &[&pack.to_string(), "on no copy that can be read"],
    );
}

#[test]
fn a_needed_pack_that_one_copy_has_is_enough() {
    let (fixture, _) = half_needed();
    let pack = needed_pack(&fixture);
    fs::remove_file(path(&fixture, "one", pack)).unwrap();
    overwrite(&path(&fixture, "three", pack), b"short");
    let report = try_prune(&fixture).unwrap();
    assert!(report.is_complete(), "{report:?}");
    crate::prune::assert_identical(&fixture, &ALL);
    fixture.check_all();
    fixture.assert_restic_restores("one");
}

#[test]
fn junk_among_index_files_or_snapshots_ends_it() {
    for kind in [FileType::Index, FileType::Snapshots] {
        let (fixture, _) = half_needed();
        let junk = b"neither of the two, however long it may be".to_vec();
        let name = FileName::new(kind, Id::of(&junk));
        let store = LocalStore::new(fixture.copy_path("two"));
        store.save(name, &junk).unwrap();
        assert_refused(&fixture, &[&name.to_string()]);
        store.remove(name).unwrap();
        assert!(try_prune(&fixture).unwrap().is_complete());
    }
}

#[test]
fn a_tree_that_no_copy_gives_right_ends_it() {
    let (fixture, _) = half_needed();
    let store = LocalStore::new(fixture.copy_path("one"));
    // Of the right size everywhere, and full of nothing: trees are among it.
    for entry in store.list(FileType::Data).unwrap() {
        for copy in ALL {
            let path = path(&fixture, copy, FileName::new(FileType::Data, entry.id));
            let length = usize::try_from(entry.size_bytes).unwrap();
            overwrite(&path, &vec![0; length]);
        }
    }
    assert_refused(&fixture, &["tree", "cannot be read"]);
}

#[test]
fn a_snapshot_that_was_seen_and_that_no_copy_shows_ends_it() {
    let (fixture, first) = half_needed();
    let memory = state(&fixture).repository(fixture.open().id());
    // Two have seen it, so that it was no junk of one of them.
    for copy in &fixture.copies[..2] {
        let seen = memory.update_seen(copy, |seen| {
            seen.snapshots.insert(first);
        });
        seen.unwrap();
    }
    assert_refused(&fixture, &[&first.short(), "on no copy"]);
    let name = FileName::new(FileType::Snapshots, first);
    memory
        .update_gone(|gone| gone.accept(&[name].into()))
        .unwrap();
    assert!(try_prune(&fixture).unwrap().is_complete());
}

#[test]
fn index_files_that_were_seen_and_that_no_copy_shows_end_it() {
    let (fixture, _) = half_needed();
    let memory = state(&fixture).repository(fixture.open().id());
    let index: BTreeSet<Id> = fixture.ids("one", FileType::Index).into_iter().collect();
    for copy in &fixture.copies[..2] {
        let seen = memory.update_seen(copy, |seen| seen.index.extend(&index));
        seen.unwrap();
    }
    // Without it the packs that it names look like such as a killed run left.
    let hidden = *index.first().unwrap();
    let name = FileName::new(FileType::Index, hidden);
    let store = LocalStore::new(fixture.copy_path("one"));
    let bytes = store.read(name).unwrap();
    for copy in ALL {
        let store = LocalStore::new(fixture.copy_path(copy));
        store.remove(name).unwrap();
    }
    assert_refused(&fixture, &[&hidden.short(), "on no copy"]);
    for copy in ALL {
        let store = LocalStore::new(fixture.copy_path(copy));
        store.save(name, &bytes).unwrap();
    }
    assert!(try_prune(&fixture).unwrap().is_complete());
}

#[test]
fn a_copy_that_somebody_pruned_by_itself_is_asked_about_first() {
    let (fixture, _) = half_needed();
    let session = fixture.open();
    let memory = state(&fixture).repository(session.id());
    for (copy, ready) in session.ready() {
        let index = ready.listing.index.iter().map(|entry| entry.id);
        let seen = memory.update_seen(copy, |seen| seen.index.extend(index));
        seen.unwrap();
    }
    fixture.restic("two", &["prune", "--max-unused", "0"]);
    assert_refused(&fixture, &["two has lost", "pruned by itself"]);
}

#[test]
fn somebody_else_at_work_on_one_copy_ends_it_before_anything_is_done() {
    for exclusive in [false, true] {
        let (fixture, _) = half_needed();
        let lock = Lock {
            time: (fixture.environment.clock)(),
            exclusive,
            hostname: "elsewhere".to_owned(),
            username: "somebody".to_owned(),
            pid: 1,
            uid: 0,
            gid: 0,
        };
        let (id, bytes) = lock.seal(&fixture.key, 2).unwrap();
        let store = LocalStore::new(fixture.copy_path("two"));
        store
            .save(FileName::new(FileType::Locks, id), &bytes)
            .unwrap();
        let before = files(&fixture);
        let error = try_prune(&fixture).unwrap_err();
        assert!(
            matches!(&error, Error::Locked { copy, .. } if copy == "two"),
            "{error}"
        );
        assert_eq!(files(&fixture), before);
        for copy in ["one", "three"] {
            assert!(fixture.ids(copy, FileType::Locks).is_empty());
        }
        store.remove(FileName::new(FileType::Locks, id)).unwrap();
        assert!(try_prune(&fixture).unwrap().is_complete());
    }
}

#[test]
fn something_new_on_a_copy_ends_it_before_anything_is_removed() {
    let (mut fixture, _) = half_needed();
    // Somebody who heeds no lock makes a snapshot.
    let bytes = {
        let other = Fixture::new();
        fs::write(other.source().join("file"), "content").unwrap();
        let snapshot = other.backup().sources[0].snapshot.unwrap();
        let store = LocalStore::new(other.copy_path("one"));
        store
            .read(FileName::new(FileType::Snapshots, snapshot))
            .unwrap()
    };
    let newcomer = FileName::new(FileType::Snapshots, Id::of(&bytes));
    let gate = Gate::closed();
    fixture.wrap("three", |store| {
        let waits = Rule::on(&[Op::Save], Fault::Wait(gate.clone()));
        FaultyStore::new(store).with(waits.of(FileType::Index).times(1))
    });
    let before = files(&fixture);
    let pruning = || try_prune(&fixture);
    let pruned = gate.meanwhile(pruning, || {
        let store = LocalStore::new(fixture.copy_path("one"));
        store.save(newcomer, &bytes).unwrap();
    });
    let error = pruned.unwrap_err();
    let Error::WrittenMeanwhile {
        copy,
        file,
        record,
        annulled,
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!((copy.as_str(), *file, *record), ("one", newcomer, None));
    assert!(annulled.is_empty());
    assert!(fixture.ids("one", FileType::Records).is_empty());
    let after = files(&fixture);
    assert!(
        before
            .iter()
            .all(|(name, size)| after.get(name) == Some(size))
    );
    // What was written is more than needed, and goes with the next prune.
    let store = LocalStore::new(fixture.copy_path("one"));
    store.remove(newcomer).unwrap();
    let report = try_prune(&fixture).unwrap();
    assert!(report.is_complete(), "{report:?}");
    crate::prune::assert_identical(&fixture, &ALL);
    fixture.check_all();
}

#[test]
fn something_new_right_before_removing_ends_it_and_nobody_finishes_its_record() {
    let (mut fixture, _) = half_needed();
    let before = files(&fixture);
    // Somebody in the midst of a backup, who heeds no lock, has no snapshot yet.
    let (id, bytes) = IndexFile::default().seal(&fixture.key, 2).unwrap();
    let newcomer = FileName::new(FileType::Index, id);
    let gate = Gate::closed();
    fixture.wrap("three", |store| {
        let waits = Rule::on(&[Op::Save], Fault::Wait(gate.clone()));
        FaultyStore::new(store).with(waits.of(FileType::Records).times(1))
    });
    let pruning = || try_prune(&fixture);
    let pruned = gate.meanwhile(pruning, || {
        let store = LocalStore::new(fixture.copy_path("one"));
        store.save(newcomer, &bytes).unwrap();
    });
    let error = pruned.unwrap_err();
    let Error::WrittenMeanwhile {
        copy,
        file,
        record: None,
        annulled,
    } = &error
    else {
        panic!("{error:?}");
    };
    assert_eq!((copy.as_str(), *file), ("one", newcomer));
    assert_eq!(annulled.len(), 1);
    assert!(error.hint().unwrap().contains("annulled"), "{error:?}");
    let all_is_there = || {
        let after = files(&fixture);
        let mut before = before.iter();
        before.all(|(name, size)| after.get(name) == Some(size))
    };
    assert!(all_is_there());
    for copy in ALL {
        assert!(fixture.ids(copy, FileType::Records).contains(&annulled[0]));
        assert!(fixture.ids(copy, FileType::Locks).is_empty());
    }
    // The next run has nothing to finish.
    let session = open(&fixture);
    let cancel = fixture.environment.cancel.clone();
    removals::finish(&session, &session.removals, &fixture.progress, &cancel);
    assert!(all_is_there());
    for (copy, ready) in session.ready() {
        assert!(ready.removed.is_empty(), "{}", copy.name);
        assert!(ready.listing.index.len() > 1, "{}", copy.name);
    }
    drop(session);

    let report = try_prune(&fixture).unwrap();
    assert!(report.is_complete(), "{report:?}");
    crate::prune::assert_identical(&fixture, &ALL);
    fixture.check_all();
    fixture.assert_restic_restores("one");
}

#[test]
fn what_the_state_folder_takes_no_record_of_goes_from_no_copy() {
    let (fixture, _) = half_needed();
    let id = open(&fixture).id().to_string();
    let records = state(&fixture).path().join(id).join("records");
    // A folder where bytes lie until they are complete is in the way of whoever is root too.
    let obstacle = records.join(".writing");
    fs::create_dir_all(&obstacle).unwrap();
    let before = files(&fixture);
    let error = try_prune(&fixture).unwrap_err();
    assert!(matches!(error, Error::Local { .. }), "{error:?}");
    let place = records.display().to_string();
    assert!(error.to_string().contains(&place), "{error}");
    let after = files(&fixture);
    assert!(
        before
            .iter()
            .all(|(name, size)| after.get(name) == Some(size))
    );
    for copy in ALL {
        assert!(fixture.ids(copy, FileType::Records).is_empty());
        assert!(fixture.ids(copy, FileType::Locks).is_empty());
    }

    fs::remove_dir(&obstacle).unwrap();
    let report = try_prune(&fixture).unwrap();
    assert!(report.is_complete(), "{report:?}");
    crate::prune::assert_identical(&fixture, &ALL);
    fixture.check_all();
}
