//! Copies that stock restic wrote and pruned.

use std::fs;
use std::path::Path;
use std::process::Command;

use strongroom_store::Store;
use strongroom_testkit::contract::noise;
use strongroom_testkit::programs::program;

use super::world::{NAMES, PASSWORD, World, facts, held};
use strongroom_model::scorecard::Wholeness;
use strongroom_model::{FileName, FileType};

fn restic(repository: &Path, arguments: &[&str]) {
    let output = Command::new(program("restic"))
        .args(["--no-cache", "--quiet", "--repo"])
        .arg(repository)
        .args(arguments)
        .env("RESTIC_PASSWORD", str::from_utf8(PASSWORD).unwrap())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn copy(from: &Path, to: &Path) {
    fs::remove_dir_all(to).unwrap();
    let copied = Command::new("cp")
        .arg("-r")
        .args([from, to])
        .status()
        .unwrap();
    assert!(copied.success());
}

/// Three equal copies with two snapshots, of which the second shares half its packs' blobs with
/// the first.
fn world_of_restic() -> World {
    let world = World::new();
    let [here, disk2, disk3] = NAMES.map(|name| world.folder.path().join(name));
    let source = world.folder.path().join("source");
    for number in 0..4 {
        let folder = source.join(format!("folder-{}", number % 2));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{number}")), noise(number, 300_000)).unwrap();
    }
    fs::remove_dir_all(&here).unwrap();
    restic(&here, &["init"]);
    let backup = ["backup", "--host", "h", "--tag", "source=repos"];
    let path = source.to_str().unwrap();
    restic(&here, &[&backup[..], &[path]].concat());
    fs::write(source.join("folder-1/1"), noise(77, 300_000)).unwrap();
    restic(&here, &[&backup[..], &[path]].concat());
    copy(&here, &disk2);
    copy(&here, &disk3);
    world
}

#[test]
fn a_copy_that_restic_pruned_alone_is_still_whole_and_one_that_lost_a_pack_is_not() {
    let world = world_of_restic();
    let status = world.status();
    for name in NAMES {
        let held = held(&status, name);
        assert_eq!(held.len(), 1);
        assert_eq!(held[0].1, Wholeness::Whole);
    }
    let newest = held(&status, "here")[0].0;

    let before = facts(&status, "disk2").evidence.listing.unwrap();
    let arguments = ["forget", "--keep-last", "1", "--prune", "--max-unused", "0"];
    restic(&world.folder.path().join("disk2"), &arguments);
    let packs = world.stores[2].list(FileType::Data).unwrap();
    let lost = packs.iter().max_by_key(|entry| entry.size_bytes).unwrap();
    world.stores[2]
        .remove(FileName::new(FileType::Data, lost.id))
        .unwrap();

    let status = world.status();
    assert_ne!(facts(&status, "disk2").evidence.listing.unwrap(), before);
    assert_eq!(held(&status, "here"), [(newest, Wholeness::Whole)]);
    assert_eq!(held(&status, "disk2"), [(newest, Wholeness::Whole)]);
    assert_eq!(
        held(&status, "disk3")[0],
        (newest, Wholeness::Behind { files: 1 })
    );
    assert_eq!(status.problems, [""; 0]);
}

#[test]
fn copies_that_restic_pruned_alike_are_whole() {
    let world = world_of_restic();
    world.status();
    let [here, disk2, disk3] = NAMES.map(|name| world.folder.path().join(name));
    restic(
        &here,
        &["forget", "--keep-last", "1", "--prune", "--max-unused", "0"],
    );
    copy(&here, &disk2);
    copy(&here, &disk3);
    let status = world.status();
    for name in NAMES {
        assert_eq!(held(&status, name)[0].1, Wholeness::Whole);
    }
}
