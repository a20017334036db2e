//! Bodies: one contract for every place, and what is particular to a folder.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use strongroom_model::FileType;
use strongroom_store::{Bodies, BodyKey, Error, LocalBodies};
use strongroom_testkit::bodies::{get, key, put};
use strongroom_testkit::{FaultyBodies, bodies_contract, programs};
use tempfile::TempDir;

fn created() -> (TempDir, LocalBodies) {
    let folder = TempDir::new().unwrap();
    let bodies = LocalBodies::new(folder.path().join("repositories"));
    bodies.create().unwrap();
    (folder, bodies)
}

fn pack() -> BodyKey {
    key("acme/repos", FileType::Data, b"bytes")
}

/// Where a body of generation 1 lies.
fn path_of(bodies: &LocalBodies, body: &BodyKey) -> PathBuf {
    let root = Path::new(bodies.location()).join(body.repository.as_str());
    crate::contract::path_of(&root, body.name)
}

/// Everything in a folder, at any depth, that is not a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(files(&entry.path())),
            false => found.push(entry.path()),
        }
    }
    found
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_folder_keeps_the_contract() {
    let (_folder, bodies) = created();
    bodies_contract(&bodies);
}

#[test]
fn what_testkit_wraps_around_keeps_the_contract() {
    let (_folder, bodies) = created();
    bodies_contract(&FaultyBodies::new(bodies));
}

#[test]
fn stock_restic_opens_a_folder_beside_what_is_not_restics() {
    let (folder, bodies) = created();
    let restic = |arguments: &[&str], repository: &Path| {
        let output = Command::new(programs::program("restic"))
            .args(["--no-cache", "--no-lock"])
            .args(arguments)
            .arg("--repo")
            .arg(repository)
            .env("RESTIC_PASSWORD", "secret")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    let source = folder.path().join("source");
    fs::write(&source, "precious").unwrap();
    let made = folder.path().join("made");
    restic(&["init"], &made);
    restic(&["backup", source.to_str().unwrap()], &made);

    for path in files(&made) {
        let bytes = fs::read(&path).unwrap();
        let kind = FileType::SYNCED
            .into_iter()
            .chain([FileType::Config])
            .find(|kind| path.strip_prefix(&made).unwrap().starts_with(kind.folder()))
            .unwrap();
        let mut body = key("acme/repos", kind, &bytes);
        put(&bodies, &body, &bytes);
        body.generation = 2;
        put(&bodies, &body, b"what restic must pass over");
    }
    let mut begun = bodies.stage(&pack()).unwrap();
    begun.write(b"half of").unwrap();
    let repository = Path::new(bodies.location()).join("acme/repos");
    restic(&["check", "--read-data"], &repository);
}

#[test]
fn bodies_are_readable_by_their_owner_alone() {
    let (_folder, bodies) = created();
    put(&bodies, &pack(), b"bytes");
    let path = path_of(&bodies, &pack());
    assert_eq!(mode(&path), 0o400);
    for folder in path.ancestors().skip(1).take(5) {
        assert_eq!(mode(folder), 0o700, "{}", folder.display());
    }
}

#[test]
fn what_is_dropped_leaves_no_file() {
    let (_folder, bodies) = created();
    let mut staged = bodies.stage(&pack()).unwrap();
    staged.write(b"bytes").unwrap();
    assert_eq!(files(Path::new(bodies.location())).len(), 1);
    drop(staged);
    assert_eq!(files(Path::new(bodies.location())), Vec::<PathBuf>::new());
}

#[test]
fn what_is_written_in_one_go_has_its_name_alone_and_is_like_any_other() {
    let (_folder, bodies) = created();
    let root = Path::new(bodies.location());
    let named = bodies.name(&pack(), b"bytes").unwrap();
    assert!(!named.is_durable());
    let path = path_of(&bodies, &pack());
    assert_eq!(files(root), std::slice::from_ref(&path));
    assert_eq!(mode(&path), 0o400);
    assert_eq!(get(&bodies, &pack(), None).unwrap().1, b"bytes");
    assert!(bodies.settle(&[named])[0].is_ok());
    // Whoever has the old bytes open goes on with them.
    let mut old = bodies.open(&pack(), None).unwrap().1;
    let named = bodies.name(&pack(), b"other").unwrap();
    assert!(named.is_durable());
    assert_eq!(files(root), [path]);
    assert_eq!(get(&bodies, &pack(), None).unwrap().1, b"other");
    let mut bytes = Vec::new();
    old.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"bytes");
}

#[test]
fn each_of_many_hears_what_became_of_it() {
    let (_folder, bodies) = created();
    for count in [3, 20_u8] {
        let of = |number: u8| key("acme/repos", FileType::Data, &[count, number]);
        let name = |number: u8| {
            if number == 2 {
                return bodies.name(&of(number), b"bytes").unwrap();
            }
            let mut staged = bodies.stage(&of(number)).unwrap();
            staged.write(b"bytes").unwrap();
            staged.name().unwrap()
        };
        let named: Vec<_> = (0..count).map(name).collect();
        assert!(named.iter().all(|named| !named.is_durable()), "{named:?}");
        // As where a network file system has lost what it had taken.
        let lose = |number| {
            let lost = path_of(&bodies, &of(number));
            fs::set_permissions(&lost, PermissionsExt::from_mode(0o600)).unwrap();
            let lost = File::options().write(true).open(&lost);
            lost.unwrap().set_len(2).unwrap();
        };
        lose(1);
        lose(2);
        let settled = bodies.settle(&named);
        for (number, settled) in settled.iter().enumerate() {
            let is_lost = [1, 2].contains(&number);
            assert_eq!(settled.is_err(), is_lost, "{number}: {settled:?}");
        }
    }
}

#[test]
fn a_root_that_is_not_there_is_neither_made_nor_taken_for_an_empty_one() {
    let folder = TempDir::new().unwrap();
    let bodies = LocalBodies::new(folder.path().join("unmounted"));
    assert!(matches!(bodies.stage(&pack()), Err(Error::Io { .. })));
    assert!(matches!(
        bodies.open(&pack(), None).err(),
        Some(Error::Io { .. })
    ));
    assert!(matches!(bodies.remove(&pack()), Err(Error::Io { .. })));
    assert!(bodies.free_bytes().is_err());
    assert!(bodies.sweep(SystemTime::UNIX_EPOCH).is_err());
    assert!(!folder.path().join("unmounted").exists());
}

#[test]
fn a_link_in_place_of_a_body_is_never_followed() {
    let (folder, bodies) = created();
    let outside = folder.path().join("outside");
    fs::write(&outside, b"outside").unwrap();
    let path = path_of(&bodies, &pack());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    symlink(&outside, &path).unwrap();
    assert!(matches!(
        bodies.open(&pack(), None).err(),
        Some(Error::Io { .. })
    ));
    put(&bodies, &pack(), b"bytes");
    assert_eq!(get(&bodies, &pack(), None).unwrap().1, b"bytes");
    fs::remove_file(&path).unwrap();
    symlink(&outside, &path).unwrap();
    bodies.remove(&pack()).unwrap();
    assert_eq!(fs::read(&outside).unwrap(), b"outside");
}

#[test]
fn a_link_in_place_of_a_folder_is_refused_with_a_hint() {
    for at in ["acme", "acme/repos", "acme/repos/keys"] {
        let (folder, bodies) = created();
        let outside = folder.path().join("outside");
        fs::create_dir(&outside).unwrap();
        let link = Path::new(bodies.location()).join(at);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(&outside, &link).unwrap();
        let body = key("acme/repos", FileType::Keys, b"bytes");
        let published = bodies.stage(&body).and_then(|staged| staged.publish());
        assert!(
            published
                .unwrap_err()
                .hint()
                .unwrap()
                .contains("not followed"),
            "{at}"
        );
        assert!(bodies.open(&body, None).is_err());
        assert_eq!(bodies.sweep(SystemTime::UNIX_EPOCH).unwrap(), 0);
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    }
}

#[test]
fn a_folder_that_was_removed_behind_our_back_is_made_again() {
    let (_folder, bodies) = created();
    put(&bodies, &pack(), b"bytes");
    let folder = Path::new(bodies.location()).join("acme");
    fs::remove_dir_all(&folder).unwrap();
    assert!(
        bodies.stage(&pack()).is_err(),
        "it stands on what was removed"
    );
    put(&bodies, &pack(), b"bytes");
    // Whoever looks first notices it for all.
    fs::remove_dir_all(&folder).unwrap();
    assert!(matches!(
        bodies.open(&pack(), None).err(),
        Some(Error::NotFound { .. })
    ));
    put(&bodies, &pack(), b"bytes");
    assert_eq!(get(&bodies, &pack(), None).unwrap().1, b"bytes");
    // What is written in one go says the same of it, and not that it is forbidden.
    let prefix = path_of(&bodies, &pack()).parent().unwrap().to_owned();
    for removed in [folder, prefix] {
        fs::remove_dir_all(&removed).unwrap();
        let named = bodies.name(&pack(), b"bytes").map(drop);
        assert!(matches!(named, Err(Error::Io { .. })), "{named:?}");
        bodies.name(&pack(), b"bytes").unwrap();
        assert_eq!(get(&bodies, &pack(), None).unwrap().1, b"bytes");
    }
}

#[test]
fn sweep_removes_what_is_old_in_every_repository_and_nothing_else() {
    let (_folder, bodies) = created();
    let root = Path::new(bodies.location());
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let old = now - Duration::from_secs(2 * 86_400);
    for (name, written) in [
        ("acme/.tmp-old", old),
        ("acme/repos/.tmp-old", old),
        ("acme/repos/.tmp-young", now),
        ("other/.tmp-old", old),
        ("other/precious", old),
        (".hidden/.tmp-old", old),
    ] {
        fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
        let file = File::create(root.join(name)).unwrap();
        file.set_modified(written).unwrap();
    }
    assert_eq!(bodies.sweep(now - Duration::from_secs(86_400)).unwrap(), 3);
    let mut left = files(root);
    left.sort();
    assert_eq!(
        left,
        [
            ".hidden/.tmp-old",
            "acme/repos/.tmp-young",
            "other/precious"
        ]
        .map(|name| root.join(name))
    );
}

#[test]
fn a_full_disk_is_told_as_full_and_leaves_nothing_behind() {
    let folder = TempDir::new().unwrap();
    // A disk of its own that is really full: needs root, as the whole test run does on Debian.
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "none"])
        .arg(folder.path())
        .status()
        .unwrap();
    assert!(mounted.success(), "this test mounts a small tmpfs as root");
    let bodies = LocalBodies::new(folder.path().join("repositories"));
    bodies.create().unwrap();
    let mut staged = bodies.stage(&pack()).unwrap();
    let written = staged.write(&vec![7; 2 << 20]);
    drop(staged);
    let named = bodies.name(&pack(), &vec![7; 2 << 20]);
    let left = files(folder.path());
    let free = bodies.free_bytes().unwrap().unwrap();
    drop(bodies);
    let umount = Command::new("umount").arg(folder.path()).status();
    assert!(matches!(written, Err(Error::Full { .. })), "{written:?}");
    assert!(matches!(named, Err(Error::Full { .. })), "{named:?}");
    assert_eq!(left, Vec::<PathBuf>::new());
    assert!((1..=1 << 20).contains(&free), "{free}");
    assert!(umount.unwrap().success());
}
