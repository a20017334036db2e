//! What is in the target before, and what happens to it meanwhile.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use strongroom_engine::restore::report::RestoreReport;
use strongroom_engine::restore::{RestoreOptions, restore};
use strongroom_engine::session::{CopyState, Looking, ReadyCopy, Session, SessionCopy};
use strongroom_engine::{Error, Listing};
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::blob::{BlobId, BlobKind};
use strongroom_repo::index::IndexFile;
use strongroom_testkit::contract::noise;
use strongroom_testkit::tree::{TreeSpec, compare};
use strongroom_testkit::{Fault, FaultyStore, Gate, Op, RecordingStore, Rule};

use crate::fixture::{Fixture, environment};
use crate::hand_made::{HandMade, copies, indexed};
use crate::restore::damage::packs;
use crate::restore::{Target, assert_no_temporary_files, names, restore_only};

const OVERWRITE: RestoreOptions = RestoreOptions {
    include: Vec::new(),
    overwrite: true,
    verify: true,
    memory_bytes: 128 << 20,
    threads: 2,
};

#[test]
fn a_target_that_is_not_empty_is_left_alone_unless_asked() {
    let fixture = Fixture::new();
    TreeSpec::small(3).build(&fixture.source().join("tree"));
    fixture.backup();
    let target = Target::new(&fixture);
    fs::create_dir(target.path()).unwrap();
    fs::write(target.path().join("mine"), "precious").unwrap();
    let refused = restore_only(&fixture, &target, &RestoreOptions::default());
    assert!(matches!(refused, Err(Error::TargetNotEmpty { .. })));
    assert_eq!(names(&target.path()), [PathBuf::from("mine")]);
    for _ in 0..2 {
        let report = restore_only(&fixture, &target, &OVERWRITE).unwrap();
        assert!(report.is_complete(), "{report:?}");
        target.assert_same();
        assert!(target.path().join("mine").exists());
    }
}

#[test]
fn what_stands_in_the_way_is_replaced_where_that_is_safe() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.source().join("folder")).unwrap();
    fs::write(fixture.source().join("folder/file"), "new").unwrap();
    fs::write(fixture.source().join("full"), "new").unwrap();
    fs::write(fixture.source().join("plain"), "new").unwrap();
    fixture.backup();
    let target = Target::new(&fixture);
    let outside = target.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "precious").unwrap();
    fs::create_dir_all(target.source().join("full/of/things")).unwrap();
    symlink(&outside, target.source().join("folder")).unwrap();
    symlink(outside.join("file"), target.source().join("plain")).unwrap();

    let report = restore_only(&fixture, &target, &OVERWRITE).unwrap();
    assert!(!report.is_complete());
    assert_eq!(report.error_count, 1, "{report:?}");
    assert!(report.errors[0].path.ends_with("/full"));
    let read = |path: &Path| fs::read_to_string(path).unwrap();
    assert_eq!(read(&outside.join("file")), "precious");
    assert_eq!(names(&outside), [PathBuf::from("file")]);
    assert_eq!(read(&target.source().join("folder/file")), "new");
    assert_eq!(read(&target.source().join("plain")), "new");
    assert_no_temporary_files(&target.path());
}

#[test]
fn where_a_name_cannot_be_made_the_next_name_of_the_file_is_restored() {
    let fixture = Fixture::new();
    let source = fixture.source();
    for folder in ["a", "b", "c", "d"] {
        fs::create_dir(source.join(folder)).unwrap();
    }
    fs::write(source.join("a/empty"), "").unwrap();
    fs::write(source.join("a/small"), "small").unwrap();
    fs::write(source.join("a/large"), noise(2, 24 << 20)).unwrap();
    symlink("somewhere", source.join("a/link")).unwrap();
    let files = ["empty", "small", "large", "link"];
    for file in files {
        for folder in ["b", "c", "d"] {
            fs::hard_link(source.join("a").join(file), source.join(folder).join(file)).unwrap();
        }
    }
    fixture.backup();
    for threads in [1, 4] {
        let target = Target::new(&fixture);
        for folder in ["a", "b"] {
            for file in files {
                let in_the_way = target.source().join(folder).join(file);
                fs::create_dir_all(in_the_way.join("full")).unwrap();
            }
        }
        let options = RestoreOptions {
            threads,
            ..OVERWRITE
        };
        let report = restore_only(&fixture, &target, &options).unwrap();
        assert_eq!(report.error_count, 8, "{:?}", report.errors);
        let mut named: Vec<_> = report.errors.iter().map(|error| &error.path).collect();
        named.dedup();
        let blocked = |path: &&String| path.contains("/a/") || path.contains("/b/");
        assert!(named.iter().all(blocked), "{named:?}");
        assert_eq!(named.len(), 8);
        for folder in ["c", "d"] {
            assert_eq!(
                compare(&source.join(folder), &target.source().join(folder)),
                []
            );
        }
        for file in files {
            let inode = |folder: &str| {
                let path = target.source().join(folder).join(file);
                fs::symlink_metadata(path).unwrap().ino()
            };
            assert_eq!(inode("c"), inode("d"), "{file}");
        }
        assert_no_temporary_files(&target.path());
    }
}

#[test]
fn names_that_wait_for_their_file_hold_no_folder_open() {
    const FOLDERS: usize = 400;
    let mut fixture = Fixture::new();
    let first = fixture.source().join("!first");
    fs::write(&first, "what all are").unwrap();
    for number in 0..FOLDERS {
        let folder = fixture.source().join(format!("{number}/in/each"));
        fs::create_dir_all(&folder).unwrap();
        fs::hard_link(&first, folder.join("name")).unwrap();
    }
    fixture.backup();
    // What the only file holds is read last, when nothing else is left to do.
    let pack = packs(&fixture, BlobKind::Data)[0];
    let gate = Gate::closed();
    let faulty = fixture.wrap("one", FaultyStore::new);
    let rule = Rule::on(&[Op::ReadRange], Fault::Wait(gate.clone()));
    faulty.add(rule.named(FileName::new(FileType::Data, pack)));
    let target = Target::new(&fixture);
    let options = RestoreOptions {
        threads: 1,
        ..RestoreOptions::default()
    };
    let report = std::thread::scope(|scope| {
        let running = scope.spawn(|| restore_only(&fixture, &target, &options).unwrap());
        gate.wait_for_waiting(1);
        let open = fs::read_dir("/proc/self/fd").unwrap();
        let open = open.filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
        let folders = open.filter(|path| path.starts_with(target.path())).count();
        let made = target.source().join((FOLDERS - 1).to_string());
        let is_made = made.join("in/each").is_dir();
        gate.open();
        assert!(folders < 20, "{folders} folders are open");
        assert!(is_made);
        running.join().unwrap()
    });
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.restored.hard_links, FOLDERS as u64);
    target.assert_same();
}

/// A tree as somebody may write it who wants to leave the target.
fn hostile_tree(content: Id) -> Vec<u8> {
    let node = |name: &str| {
        format!(
            r#"{{"name":"{name}","type":"file","mode":420,"mtime":"2026-01-01T00:00:00Z","atime":"2026-01-01T00:00:00Z","ctime":"2026-01-01T00:00:00Z","uid":0,"gid":0,"size":4,"content":["{content}"]}}"#
        )
    };
    let evil = ["..", ".", "", "../evil", "/evil", "a/evil", "nul\\u0000"];
    let nodes: Vec<_> = evil.into_iter().chain(["good"]).map(node).collect();
    format!("{{\"nodes\":[{}]}}\n", nodes.join(",")).into_bytes()
}

fn hand_made_session(hand_made: &HandMade) -> Session {
    let copies = copies(&hand_made.places(1)).into_iter();
    let copies = copies.map(|copy| {
        let listing = Listing::read(copy.store.as_ref()).unwrap();
        let config_is_right = true;
        let ready = ReadyCopy {
            doubts: BTreeSet::new(),
            removed: Vec::new(),
            listing,
            config_is_right,
        };
        let state = CopyState::Ready(Box::new(ready));
        SessionCopy { copy, state }
    });
    Session::new(
        hand_made.repository.clone(),
        copies.collect(),
        Looking::default(),
    )
}

fn restore_trees(root: &[u8], trees: &[Vec<u8>], target: &Path) -> RestoreReport {
    let mut hand_made = HandMade::new();
    let data = hand_made.pack(BlobId::data, &[b"text".to_vec()]);
    let trees = hand_made.pack(BlobId::tree, trees);
    hand_made.add_index(&IndexFile {
        packs: vec![indexed(&data), indexed(&trees)],
    });
    let snapshot = hand_made.add_snapshot_of(Id::of(root)).id().unwrap();
    hand_made.add(FileType::Data, data.bytes);
    hand_made.add(FileType::Data, trees.bytes);
    let mut session = hand_made_session(&hand_made);
    let (options, environment) = (RestoreOptions::default(), environment("testhost"));
    let progress = strongroom_engine::progress::Progress::default();
    restore(
        &mut session,
        snapshot,
        target,
        &options,
        &environment,
        &progress,
    )
    .unwrap()
}

#[test]
fn a_tree_that_would_leave_the_target_is_refused_and_the_rest_restored() {
    let work = tempfile::tempdir().unwrap();
    let target = work.path().join("in/target");
    let tree = hostile_tree(Id::of(b"text"));
    let report = restore_trees(&tree, std::slice::from_ref(&tree), &target);
    assert_eq!(report.error_count, 7, "{report:?}");
    assert!(!report.is_complete());
    assert_eq!(report.restored.files, 1);
    let expected = ["in", "in/target", "in/target/good"].map(PathBuf::from);
    assert_eq!(names(work.path()), expected);
}

#[test]
fn a_socket_is_skipped_and_what_we_do_not_know_is_an_error() {
    let work = tempfile::tempdir().unwrap();
    let node = |name: &str| format!(r#"{{"name":"{name}","type":"{name}","mode":0}}"#);
    let kinds = ["irregular", "socket", "unheard-of"].map(node);
    let tree = format!("{{\"nodes\":[{}]}}\n", kinds.join(",")).into_bytes();
    let target = work.path().join("target");
    let report = restore_trees(&tree, std::slice::from_ref(&tree), &target);
    assert_eq!((report.sockets_skipped, report.error_count), (1, 2));
    assert_eq!(names(&target), [] as [PathBuf; 0]);
}

#[test]
fn folders_that_lie_too_deep_are_named() {
    let work = tempfile::tempdir().unwrap();
    let target = work.path().join("target");
    let mut trees = vec![b"{\"nodes\":[]}\n".to_vec()];
    for _ in 0..2100 {
        let below = Id::of(trees.last().unwrap());
        let tree = format!(
            r#"{{"nodes":[{{"name":"d","type":"dir","mode":2147484141,"subtree":"{below}"}}]}}"#
        );
        trees.push(tree.into_bytes());
    }
    let root = trees.last().unwrap().clone();
    let report = restore_trees(&root, &trees, &target);
    assert_eq!(report.error_count, 1, "{report:?}");
    assert_eq!(report.restored.folders, 2048);
}

#[test]
fn an_interrupted_restore_leaves_no_temporary_files() {
    let mut fixture = Fixture::new();
    TreeSpec {
        big_files_bytes: vec![20 << 20],
        ..TreeSpec::small(5)
    }
    .build(&fixture.source().join("tree"));
    fixture.backup();
    let recording = fixture.wrap("one", RecordingStore::new);
    restore_only(&fixture, &Target::new(&fixture), &RestoreOptions::default()).unwrap();
    let reads = recording.tally(&[Op::ReadRange], FileType::Data).calls;
    assert!(reads > 8);
    let faulty = fixture.wrap("one", FaultyStore::new);
    // In the middle of the data, whichever thread that is; not at its end, since threads that want
    // the same blob at once may read it more or less often than in the run that was counted.
    for skip in [2, reads / 4, reads / 2] {
        faulty.heal();
        let gate = Gate::closed();
        let rule = Rule::on(&[Op::ReadRange], Fault::Wait(gate.clone()));
        faulty.add(rule.of(FileType::Data).after(skip));
        let target = Target::new(&fixture);
        let cancel = fixture.environment.cancel.clone();
        let restoring = || restore_only(&fixture, &target, &RestoreOptions::default());
        let outcome = gate.meanwhile(restoring, || cancel.cancel());
        assert!(matches!(outcome, Err(Error::Interrupted)), "{outcome:?}");
        assert_no_temporary_files(&target.path());
        assert_eq!(fixture.ids("one", FileType::Locks), []);
        fixture.environment.cancel = strongroom_engine::Cancel::default();
    }
}

#[test]
fn what_lies_beside_a_file_is_not_taken_for_it_whatever_its_name() {
    // One thread makes the large file, and these while that one is unfinished.
    let fixture = Fixture::new();
    let victim = fixture.source().join("!large");
    fs::write(&victim, noise(1, 30 << 20)).unwrap();
    let process = std::process::id();
    for number in 0..1000 {
        let name = format!(".strongroom-{process}-{number}");
        fs::write(fixture.source().join(name), "").unwrap();
    }
    fixture.backup();
    let target = Target::new(&fixture);
    let options = RestoreOptions {
        threads: 1,
        ..RestoreOptions::default()
    };
    let report = restore_only(&fixture, &target, &options).unwrap();
    assert!(report.is_complete(), "{report:?}");
    target.assert_same();
}

#[test]
fn what_changes_behind_our_back_does_not_read_back() {
    let mut fixture = Fixture::new();
    TreeSpec::small(7).build(&fixture.source());
    fixture.backup();
    let options = RestoreOptions {
        verify: true,
        threads: 1,
        ..RestoreOptions::default()
    };
    let recording = fixture.wrap("one", RecordingStore::new);
    restore_only(
        &fixture,
        &Target::new(&fixture),
        &RestoreOptions {
            verify: false,
            ..options.clone()
        },
    )
    .unwrap();
    let reads = recording.tally(&[Op::ReadRange], FileType::Data).calls;

    let gate = Gate::closed();
    let faulty = fixture.wrap("one", FaultyStore::new);
    let rule = Rule::on(&[Op::ReadRange], Fault::Wait(gate.clone()));
    faulty.add(rule.of(FileType::Data).after(reads));
    let target = Target::new(&fixture);
    let restoring = || restore_only(&fixture, &target, &options).unwrap();
    let report = gate.meanwhile(restoring, || {
        let mut files = names(&target.source());
        files.retain(|path| fs::metadata(target.source().join(path)).is_ok_and(|m| m.len() > 9));
        let path = |number: usize| target.source().join(&files[number]);
        let file = |number| {
            fs::OpenOptions::new()
                .write(true)
                .open(path(number))
                .unwrap()
        };
        let flip = |file: fs::File| {
            let mut byte = [0];
            use std::os::unix::fs::FileExt;
            fs::File::open(path(0))
                .unwrap()
                .read_exact_at(&mut byte, 5)
                .unwrap();
            file.write_all_at(&[byte[0] ^ 1], 5).unwrap();
        };
        flip(file(0));
        file(1).set_len(5).unwrap();
        let longer = file(2);
        longer
            .set_len(longer.metadata().unwrap().len() + 1)
            .unwrap();
        fs::remove_file(path(3)).unwrap();
    });
    assert_eq!(report.error_count, 4, "{:?}", report.errors);
    assert!(!report.is_complete());
    let (restored, verified) = (report.restored.files, report.verified.unwrap().files);
    assert_eq!(verified + 4, restored);
}
