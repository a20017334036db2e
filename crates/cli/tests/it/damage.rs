//! Damage that a backup meets on the copy it reads from: healed by its sync, and never passed over
//! as if all were well.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::FileExt;

use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::blob::{BlobEncoder, BlobId};
use strongroom_repo::index::{IndexFile, IndexedPack};
use strongroom_repo::pack::PackBuilder;
use strongroom_repo::{Key, Repository};
use strongroom_store::{LocalStore, Store};
use strongroom_testkit::tree::TreeSpec;

use crate::scene::{ALL, PASSWORD, Scene, set_mode};

/// Flips a byte in the first file of a folder on the lead, which is the first copy.
fn flip(scene: &Scene, folder: &str) {
    let name = scene.files("one", folder).pop_first().unwrap();
    let path = scene.path("one").join(name);
    set_mode(&path, 0o600);
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 40).unwrap();
    file.write_all_at(&[!byte[0]], 40).unwrap();
}

#[test]
fn a_damaged_file_of_the_lead_is_healed_by_the_backup_that_meets_it() {
    for folder in ["index", "snapshots"] {
        let scene = Scene::new();
        TreeSpec::small(1).build(&scene.source().join("tree"));
        scene.begin();
        flip(&scene, folder);
        let ended = scene.expect(0, &["backup"]);
        ended.assert_says(&[folder, "/one", "its name"]);
        assert!(ended.err.contains("healed"), "{}", ended.err);
        scene.assert_identical();
        scene.check_all();
        let ended = scene.expect(0, &["backup"]);
        assert_eq!(ended.err, "", "it is told once");
    }
}

#[test]
fn what_a_backup_meets_and_does_not_heal_the_next_one_reads_elsewhere_and_heals() {
    for folder in ["index", "snapshots"] {
        let scene = Scene::new();
        TreeSpec::small(1).build(&scene.source().join("tree"));
        scene.begin();
        flip(&scene, folder);
        // Without its sync the backup is not complete, and what it met is remembered.
        scene
            .expect(3, &["backup", "--no-sync"])
            .assert_says(&[folder, "/one", "its name"]);
        let status = scene.expect(1, &["status"]);
        assert!(status.out.contains("damaged on one"), "{}", status.out);
        let ended = scene.expect(0, &["backup"]);
        ended.assert_says(&[folder, "on one was damaged"]);
        assert!(ended.err.contains("healed"), "{}", ended.err);
        scene.assert_identical();
        let status = scene.run(&["status"]);
        assert!(!status.out.contains("damaged"), "{}", status.out);
    }
}

#[test]
fn a_damaged_file_that_no_copy_has_whole_makes_no_complete_backup() {
    let scene = Scene::new();
    TreeSpec::small(1).build(&scene.source().join("tree"));
    scene.begin();
    flip(&scene, "snapshots");
    for copy in ["two", "three"] {
        for snapshot in scene.files(copy, "snapshots") {
            fs::copy(scene.path("one").join(&snapshot), scene.path("bad")).unwrap();
            fs::rename(scene.path("bad"), scene.path(copy).join(&snapshot)).unwrap();
        }
    }
    let ended = scene.expect(3, &["--json", "backup"]);
    assert_eq!(ended.summary()["complete"], false);
    ended.assert_says(&["snapshots/", "its name"]);
    // The new snapshot is sound all the same.
    let target = scene.path("restored");
    scene.expect(0, &["restore", "latest", target.to_str().unwrap()]);
    let restored = target.join(scene.source().strip_prefix("/").unwrap());
    let differences = strongroom_testkit::tree::compare(&scene.source(), &restored);
    assert_eq!(differences, []);
}

/// A pack of one blob under this id.
fn pack_of(key: &Key, id: Id, content: &[u8]) -> (IndexedPack, Vec<u8>) {
    let mut encoder = BlobEncoder::new(2).unwrap();
    let (sealed, length) = encoder.encode(key, content).unwrap();
    let mut builder = PackBuilder::with_capacity(100);
    builder.add(BlobId::data(id), sealed, length).unwrap();
    let pack = builder.finish(key).unwrap();
    let indexed = IndexedPack {
        id: pack.id,
        blobs: pack.blobs,
    };
    (indexed, pack.bytes)
}

/// Adds to every copy what a bad writer may write: a pack whose blob is not what its name says, one
/// whose header does not decrypt, and an index file that names them. Returns the names of the packs.
fn write_badly(scene: &Scene) -> [String; 2] {
    let one = LocalStore::new(scene.path("one"));
    let opened = Repository::open(&one, PASSWORD.as_bytes(), &mut BTreeSet::new());
    let repository = opened.unwrap();
    let key = repository.key();
    let (wrong, wrong_bytes) = pack_of(key, Id::of(b"what it should be"), b"what it is");
    let (mut torn, mut torn_bytes) = pack_of(key, Id::of(b"content"), b"content");
    // Behind the sealed header there is only its length.
    let last = torn_bytes.len() - 5;
    torn_bytes[last] ^= 1;
    torn.id = Id::of(&torn_bytes);
    let names = [wrong.id, torn.id].map(|id| FileName::new(FileType::Data, id));
    let index = IndexFile {
        packs: vec![wrong, torn],
    };
    let (id, index) = index.seal(key, 2).unwrap();
    for copy in ALL {
        let store = LocalStore::new(scene.path(copy));
        store.save(names[0], &wrong_bytes).unwrap();
        store.save(names[1], &torn_bytes).unwrap();
        store
            .save(FileName::new(FileType::Index, id), &index)
            .unwrap();
    }
    names.map(|name| name.to_string())
}

#[test]
fn what_only_decoding_finds_is_missed_whatever_reads_the_same_bytes_again() {
    let scene = Scene::new();
    TreeSpec::small(1).build(&scene.source().join("tree"));
    scene.begin();
    let packs = write_badly(&scene);
    scene.expect(0, &["verify"]);
    scene.expect(1, &["verify", "--decode"]);
    let assert_missed = || {
        let status = scene.expect(1, &["--json", "status"]);
        for copy in ALL {
            let damaged = format!("damaged on {copy}");
            assert!(status.out.contains(&damaged), "{}", status.out);
        }
        for pack in &packs {
            assert!(status.out.contains(pack), "{}", status.out);
        }
    };
    assert_missed();
    scene.expect(0, &["sync"]);
    assert_missed();
    scene.expect(0, &["verify"]);
    assert_missed();
    // Snapshots are made all the same, with a sync and without one.
    for backup in [&["backup"][..], &["backup", "--no-sync"]] {
        let before = scene.files("three", "snapshots").len();
        scene.run(backup);
        assert_eq!(scene.files("three", "snapshots").len(), before + 1);
        assert_missed();
    }
    scene.expect(1, &["verify", "--decode"]);
}

#[test]
fn a_key_that_is_given_again_is_no_longer_damaged_although_nothing_was_synced() {
    let scene = Scene::new();
    TreeSpec::small(1).build(&scene.source().join("tree"));
    scene.begin();
    let key = scene.files("two", "keys").pop_first().unwrap();
    let path = scene.path("two").join(key);
    let bytes = fs::read(&path).unwrap();
    set_mode(&path, 0o600);
    fs::write(&path, "junk").unwrap();
    scene
        .expect(3, &["backup", "--no-sync"])
        .assert_says(&["two", "does not give it"]);
    let status = scene.expect(1, &["status"]);
    assert!(status.out.contains("damaged on two"), "{}", status.out);
    fs::write(&path, bytes).unwrap();
    scene.expect(0, &["backup", "--no-sync"]);
    let status = scene.run(&["status"]);
    assert!(!status.out.contains("damaged"), "{}", status.out);
}
