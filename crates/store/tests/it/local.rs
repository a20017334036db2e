//! The local folder: layout, modes, links, leftovers and refusals.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use strongroom_model::{FileName, FileType, Id};
use strongroom_store::{Error, LocalStore, Store};
use tempfile::TempDir;

use crate::contract::path_of;

const BYTES: &[u8] = b"some bytes";

fn pack() -> FileName {
    FileName::new(FileType::Data, Id::of(BYTES))
}

fn created() -> (TempDir, LocalStore) {
    let folder = TempDir::new().unwrap();
    let store = LocalStore::new(folder.path().join("repo"));
    store.create().unwrap();
    (folder, store)
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Everything below a folder that is not a folder.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(files(&entry.path())),
            false => found.push(entry.file_name().into_string().unwrap()),
        }
    }
    found
}

#[test]
fn a_place_is_known_by_when_its_config_was_written() {
    let (_folder, store) = created();
    assert_eq!(store.identity().unwrap(), None);
    store.save(FileName::CONFIG, BYTES).unwrap();
    let before = store.identity().unwrap();
    assert!(before.is_some());
    store.save(pack(), BYTES).unwrap();
    store.save(FileName::CONFIG, BYTES).unwrap();
    assert_eq!(store.identity().unwrap(), before);
    let config = File::open(store.path().join("config")).unwrap();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    config.set_modified(long_ago).unwrap();
    let other = store.identity().unwrap();
    assert!(other.is_some() && other != before);
}

#[test]
fn a_place_is_told_from_one_to_which_it_was_copied_with_all_its_times() {
    let (_folder, store) = created();
    store.save(FileName::CONFIG, BYTES).unwrap();
    let modified = |store: &LocalStore| {
        let config = fs::metadata(store.path().join("config")).unwrap();
        (config.mtime(), config.mtime_nsec())
    };
    let is_told = |number: u32| {
        let copy = LocalStore::new(store.path().with_extension(number.to_string()));
        let mut program = Command::new("cp");
        program.arg("-a").arg(store.path()).arg(copy.path());
        assert!(program.status().unwrap().success());
        assert_eq!(modified(&copy), modified(&store));
        copy.identity().unwrap() != store.identity().unwrap()
    };
    // The clock of a file system may go in steps of some milliseconds.
    assert!((0..9).any(is_told));
}

#[test]
fn create_makes_the_layout_of_restic_and_nothing_else() {
    let (_folder, store) = created();
    let mut names: Vec<_> = fs::read_dir(store.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["data", "index", "keys", "locks", "snapshots"]);
    assert_eq!(
        fs::read_dir(store.path().join("data")).unwrap().count(),
        256
    );
    assert!(store.path().join("data/0f").is_dir());
    for folder in ["", "data", "data/ff", "keys"] {
        assert_eq!(mode(&store.path().join(folder)), 0o700, "{folder}");
    }
}

#[test]
fn a_stored_file_is_readable_by_its_owner_alone_and_no_temporary_file_is_left() {
    let (_folder, store) = created();
    store.save(pack(), BYTES).unwrap();
    store.save(FileName::CONFIG, BYTES).unwrap();
    assert_eq!(mode(&path_of(store.path(), pack())), 0o400);
    assert_eq!(mode(&store.path().join("config")), 0o400);
    store.replace(pack(), BYTES).unwrap();
    assert_eq!(files(store.path()).len(), 2);
}

#[test]
fn a_repository_shared_with_a_group_stays_shared() {
    let (_folder, store) = created();
    let config = store.path().join("config");
    fs::write(&config, b"config").unwrap();
    fs::set_permissions(&config, fs::Permissions::from_mode(0o440)).unwrap();
    store.save(pack(), BYTES).unwrap();
    assert_eq!(mode(&path_of(store.path(), pack())) & 0o440, 0o440);
}

#[test]
fn missing_folders_are_made_when_something_is_saved() {
    let folder = TempDir::new().unwrap();
    let store = LocalStore::new(folder.path());
    for kind in [FileType::Data, FileType::Locks, FileType::Keys] {
        assert_eq!(store.list(kind).unwrap(), []);
        store
            .save(FileName::new(kind, Id::of(BYTES)), BYTES)
            .unwrap();
        assert_eq!(store.list(kind).unwrap().len(), 1);
    }
}

#[test]
fn a_folder_that_is_not_there_is_never_made_by_a_save() {
    let folder = TempDir::new().unwrap();
    let store = LocalStore::new(folder.path().join("unmounted"));
    assert!(store.save(pack(), BYTES).is_err());
    assert!(store.replace(pack(), BYTES).is_err());
    assert!(!store.path().exists());
    assert_eq!(store.list(FileType::Data).unwrap(), []);
    assert!(matches!(
        store.read(FileName::CONFIG),
        Err(Error::NotFound { .. })
    ));
    assert!(store.device().is_err());
}

#[test]
fn names_that_are_not_ids_or_lie_in_the_wrong_folder_are_passed_over() {
    let (_folder, store) = created();
    store.save(pack(), BYTES).unwrap();
    let id = Id::of(BYTES).to_string();
    let wrong = if id.starts_with("00") {
        "data/01"
    } else {
        "data/00"
    };
    for stray in [
        format!("{wrong}/{id}"),
        format!("{wrong}/.tmp-0123"),
        format!("data/{id}"),
        format!("{wrong}/{}", id.to_uppercase()),
        format!("{wrong}/{id}-tmp-1"),
    ] {
        fs::write(store.path().join(stray), BYTES).unwrap();
    }
    fs::create_dir(store.path().join(format!("index/{id}"))).unwrap();
    assert_eq!(store.list(FileType::Data).unwrap().len(), 1);
    assert_eq!(store.list(FileType::Index).unwrap(), []);
}

#[test]
fn a_link_in_place_of_a_file_is_never_followed() {
    let (folder, store) = created();
    let outside = folder.path().join("outside");
    fs::write(&outside, BYTES).unwrap();
    let path = path_of(store.path(), pack());
    symlink(&outside, &path).unwrap();
    assert_eq!(store.list(FileType::Data).unwrap(), []);
    assert!(matches!(store.read(pack()), Err(Error::Io { .. })));
    assert!(matches!(store.size(pack()), Err(Error::Io { .. })));
    assert!(matches!(
        store.save(pack(), BYTES),
        Err(Error::Exists { .. })
    ));
    store.replace(pack(), BYTES).unwrap();
    assert!(fs::symlink_metadata(&path).unwrap().is_file());
    store.remove(pack()).unwrap();
    assert_eq!(fs::read(&outside).unwrap(), BYTES);
}

#[test]
fn a_dangling_link_is_not_written_through() {
    let (folder, store) = created();
    let outside = folder.path().join("outside");
    symlink(&outside, path_of(store.path(), pack())).unwrap();
    assert!(matches!(
        store.save(pack(), BYTES),
        Err(Error::Exists { .. })
    ));
    assert!(!outside.exists());
}

#[test]
fn a_link_in_place_of_a_folder_is_refused_with_a_hint() {
    let (folder, store) = created();
    let outside = folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::remove_dir(store.path().join("keys")).unwrap();
    symlink(&outside, store.path().join("keys")).unwrap();
    let name = FileName::new(FileType::Keys, Id::of(BYTES));
    let error = store.save(name, BYTES).unwrap_err();
    assert!(error.hint().unwrap().contains("not followed"), "{error:?}");
    assert!(store.list(FileType::Keys).is_err());
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn a_fifo_in_place_of_a_file_blocks_nobody() {
    let (_folder, store) = created();
    let path = path_of(store.path(), pack());
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &path, fifo, mode, 0).unwrap();
    assert!(store.read(pack()).is_err());
    assert!(matches!(
        store.save(pack(), BYTES),
        Err(Error::Exists { .. })
    ));
    store.replace(pack(), BYTES).unwrap();
    assert_eq!(store.read(pack()).unwrap(), BYTES);
}

#[test]
fn a_file_that_shrinks_while_it_is_read_is_an_early_end() {
    let (_folder, store) = created();
    store.save(pack(), BYTES).unwrap();
    let mut stream = store.open(pack(), None).unwrap();
    let path = path_of(store.path(), pack());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(3)
        .unwrap();
    let error = std::io::read_to_string(&mut stream).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[test]
fn an_open_file_can_be_read_after_it_was_removed() {
    let (_folder, store) = created();
    store.save(pack(), BYTES).unwrap();
    let stream = store.open(pack(), None).unwrap();
    store.remove(pack()).unwrap();
    assert_eq!(std::io::read_to_string(stream).unwrap().as_bytes(), BYTES);
}

#[test]
fn sweep_removes_old_temporary_files_and_nothing_else() {
    let (_folder, store) = created();
    store.save(pack(), BYTES).unwrap();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let old = now - Duration::from_secs(2 * 86_400);
    for (name, written) in [
        ("data/00/.tmp-old", old),
        (".tmp-old", old),
        ("keys/.tmp-old", old),
        ("data/00/.tmp-young", now),
        ("data/00/precious", old),
    ] {
        let file = File::create(store.path().join(name)).unwrap();
        file.set_modified(written).unwrap();
    }
    assert_eq!(store.sweep(now - Duration::from_secs(86_400)).unwrap(), 3);
    assert!(store.path().join("data/00/.tmp-young").exists());
    assert!(store.path().join("data/00/precious").exists());
    assert_eq!(store.read(pack()).unwrap(), BYTES);
}

#[test]
fn a_full_disk_is_told_as_full_and_leaves_nothing_behind() {
    let folder = TempDir::new().unwrap();
    // A disk of its own that is really full: needs root, as the whole test run does on Debian.
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "none"])
        .arg(folder.path())
        .status()
        .unwrap();
    assert!(
        mounted.success(),
        "this test mounts a small tmpfs and needs root"
    );
    let store = LocalStore::new(folder.path());
    store.create().unwrap();
    let free = store.free_bytes().unwrap();
    let large = vec![7; 2 << 20];
    let name = FileName::new(FileType::Data, Id::of(&large));
    let saved = store.save(name, &large);
    let left = files(folder.path());
    let free_after = store.free_bytes().unwrap();
    let umount = std::process::Command::new("umount")
        .arg(folder.path())
        .status();
    assert!(matches!(saved, Err(Error::Full { .. })), "{saved:?}");
    assert!(
        saved
            .unwrap_err()
            .hint()
            .unwrap()
            .starts_with("See what is left: df")
    );
    assert_eq!(left, Vec::<String>::new());
    assert_eq!(free, free_after);
    assert!(umount.unwrap().success());
}

#[test]
fn the_device_is_that_of_the_folder() {
    let (folder, store) = created();
    assert_eq!(
        store.device().unwrap(),
        fs::metadata(folder.path()).unwrap().dev()
    );
}
