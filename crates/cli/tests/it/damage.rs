//! Damage that a backup meets on the copy it reads from: healed by its sync, and never passed over
//! as if all were well.

use std::fs;
use std::os::unix::fs::FileExt;

use strongroom_testkit::programs::restic_versions;
use strongroom_testkit::tree::TreeSpec;

use crate::scene::{ALL, Scene, set_mode};

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
        for copy in ALL {
            scene.check(&restic_versions()[0], copy, &[]);
        }
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
