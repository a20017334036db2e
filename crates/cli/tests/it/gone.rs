//! What is removed from every copy at once, which copies compared with each other cannot tell; and
//! a copy that hides its newest snapshot.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use strongroom_testkit::programs::restic_versions;
use strongroom_testkit::tree::TreeSpec;

use crate::scene::{ALL, Scene, write_noise};

/// A scene with two backups; returns the files that only the second one made.
fn two_backups() -> (Scene, BTreeSet<PathBuf>) {
    let scene = Scene::new();
    TreeSpec::small(1).build(&scene.source().join("tree"));
    scene.begin();
    let before = scene.files("one", "");
    write_noise(&scene.source().join("noise"), 7, 300_000);
    scene.expect(0, &["--quiet", "backup"]);
    let after = scene.files("one", "");
    let new = after.difference(&before).cloned().collect();
    (scene, new)
}

fn remove_everywhere(scene: &Scene, files: impl Iterator<Item = PathBuf>) {
    for file in files {
        for copy in ALL {
            fs::remove_file(scene.path(copy).join(&file)).unwrap();
        }
    }
}

/// Changes a byte of a file, as rot does.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    bytes[40] ^= 1;
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

fn of_kind<'a>(files: &'a BTreeSet<PathBuf>, kind: &'a str) -> impl Iterator<Item = PathBuf> + 'a {
    let of_kind = files.iter().filter(move |file| file.starts_with(kind));
    of_kind.cloned()
}

#[test]
fn a_snapshot_that_is_removed_from_all_copies_is_missed_by_every_look() {
    let (scene, new) = two_backups();
    let snapshot = of_kind(&new, "snapshots").next().unwrap();
    let id = snapshot.file_name().unwrap().to_str().unwrap().to_owned();
    remove_everywhere(&scene, of_kind(&new, "snapshots"));
    let words = ["snapshots/", &id[..8], "lost everywhere"];
    scene.expect(1, &["verify"]).assert_says(&words);
    let ended = scene.expect(1, &["--json", "verify", "--no-password"]);
    assert_eq!(
        ended.summary()["lost"],
        serde_json::json!([format!("snapshots/{id}")])
    );
    assert_eq!(ended.summary()["clean"], false);
    for _ in 0..2 {
        let ended = scene.expect(3, &["sync"]);
        ended.assert_says(&words);
        assert!(ended.err.contains("--accept-removed"), "{}", ended.err);
    }
    let status = scene.expect(1, &["status"]);
    assert!(status.out.contains("lost everywhere"), "{}", status.out);
    assert!(
        status.out.contains("strongroom sync --accept-removed"),
        "{}",
        status.out
    );
    // A later backup does not make it forgotten, and is not called complete.
    scene.expect(3, &["backup"]).assert_says(&words);
    scene.expect(3, &["sync"]).assert_says(&words);
    // A person settles it with one command, for good, and sees what that is.
    let ended = scene.expect(0, &["--json", "sync", "--accept-removed"]);
    ended.assert_says(&["noted as removed on purpose", "1 snapshot (", &id[..8]]);
    assert_eq!(
        ended.summary()["accepted"],
        serde_json::json!([format!("snapshots/{id}")])
    );
    assert_eq!(ended.summary()["lost"], serde_json::json!([]));
    // No copy is known any more to have held it.
    let mut seen = 0;
    let folders = fs::read_dir(scene.path("state")).unwrap();
    let folders = folders.map(|entry| entry.unwrap().path().join("copies"));
    for folder in folders.filter(|path| path.is_dir()) {
        for file in fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.to_string_lossy().ends_with(".seen.json") {
                seen += 1;
                assert!(!fs::read_to_string(&path).unwrap().contains(&id));
            }
        }
    }
    assert_eq!(seen, 3);
    scene.expect(0, &["sync"]);
    scene.expect(0, &["verify"]);
    scene.expect(0, &["verify", "--no-password"]);
    scene.expect(0, &["backup"]);
    let status = scene.run(&["status"]);
    assert!(!status.out.contains("lost"), "{}", status.out);
}

#[test]
fn what_is_accepted_as_removed_is_named_before_it_is_noted() {
    let (scene, new) = two_backups();
    let snapshot = of_kind(&new, "snapshots").next().unwrap();
    let id = snapshot.file_name().unwrap().to_str().unwrap().to_owned();
    remove_everywhere(&scene, of_kind(&new, "snapshots"));
    // A newer version wrote what is gone: that is not overwritten.
    let folders = fs::read_dir(scene.path("state")).unwrap();
    let folders = folders.map(|entry| entry.unwrap().path());
    for folder in folders.filter(|path| path.is_dir()) {
        fs::write(folder.join("gone-files.json"), r#"{"version":2}"#).unwrap();
    }
    let ended = scene.expect(1, &["--json", "sync", "--accept-removed"]);
    ended.assert_says(&["noted as removed on purpose", "1 snapshot (", &id[..8]]);
    let is_named = |line: &str| line.contains(r#""accepting""#) && line.contains(&id);
    assert!(ended.out.lines().any(is_named), "{}", ended.out);
    // What came of the sync itself is told all the same.
    ended.assert_says(&["lost everywhere"]);
    let is_told = |line: &str| line.contains(r#""summary""#) && line.contains(&id);
    assert!(ended.out.lines().any(is_told), "{}", ended.out);
}

#[test]
fn a_pack_that_is_removed_from_all_copies_is_missed_without_the_password_too() {
    let (scene, new) = two_backups();
    // A snapshot that needs none of it, so that only old receipts name it.
    fs::remove_file(scene.source().join("noise")).unwrap();
    scene.expect(0, &["--quiet", "backup"]);
    remove_everywhere(&scene, of_kind(&new, "data"));
    scene
        .expect(1, &["verify", "--no-password"])
        .assert_says(&["data/", "lost everywhere"]);
    // What a verify found, every later look tells.
    scene
        .expect(3, &["sync"])
        .assert_says(&["data/", "lost everywhere"]);
    let status = scene.expect(1, &["status"]);
    assert!(status.out.contains("lost everywhere"), "{}", status.out);
}

#[test]
fn a_copy_that_is_away_may_have_what_is_on_no_other() {
    let (scene, new) = two_backups();
    remove_everywhere(&scene, of_kind(&new, "snapshots"));
    fs::rename(scene.path("three"), scene.path("away")).unwrap();
    let ended = scene.expect(3, &["sync", "--accept-removed"]);
    ended.assert_says(&["snapshots/", "three may have it"]);
    // Nothing was accepted while it was in doubt.
    fs::rename(scene.path("away"), scene.path("three")).unwrap();
    scene.expect(3, &["sync"]).assert_says(&["lost everywhere"]);
}

#[test]
fn a_stock_forget_and_prune_of_all_copies_is_settled_by_one_command() {
    let (scene, _) = two_backups();
    let restic = &restic_versions()[0];
    for copy in ALL {
        scene.restic(restic, copy, &["forget", "--prune", "--keep-last", "1"]);
    }
    scene
        .expect(3, &["sync", "--heal"])
        .assert_says(&["lost everywhere"]);
    scene.expect(0, &["sync", "--accept-removed"]);
    scene.expect(0, &["verify"]);
    scene.expect(0, &["backup"]);
    scene.expect(0, &["verify", "--no-password"]);
    for copy in ALL {
        scene.check(restic, copy, &[]);
    }
}

#[test]
fn what_is_whole_nowhere_is_taken_out_of_the_index_by_each_stock_restic() {
    for restic in &restic_versions() {
        let (scene, new) = two_backups();
        // Nothing but the second snapshot needs the largest of its packs.
        fs::remove_file(scene.source().join("noise")).unwrap();
        scene.expect(0, &["--quiet", "backup"]);
        let size = |file: &PathBuf| fs::metadata(scene.path("one").join(file)).unwrap().len();
        let pack = of_kind(&new, "data").max_by_key(size).unwrap();
        let snapshot = of_kind(&new, "snapshots").next().unwrap();
        let snapshot = snapshot.file_name().unwrap().to_str().unwrap();
        for copy in ALL {
            damage(&scene.path(copy).join(&pack));
        }
        scene.expect(1, &["--quiet", "verify"]);
        let ended = scene.expect(3, &["sync"]);
        ended.assert_says(&["hint: ", "is lost", "No copy has it whole"]);
        assert!(!ended.err.contains("rm "), "{}", ended.err);
        let status = scene.expect(1, &["status"]);
        let mend = "no copy has that whole: strongroom backup stores again";
        assert!(status.out.contains(mend), "{}", status.out);

        // What docs/when-something-is-wrong.md says.
        let aside = scene.path("aside");
        fs::create_dir(&aside).unwrap();
        let is_old = restic.version == "0.14";
        let rebuild: &[&str] = match is_old {
            true => &["rebuild-index", "--read-all-packs"],
            false => &["repair", "index", "--read-all-packs"],
        };
        for copy in ALL {
            fs::rename(scene.path(copy).join(&pack), aside.join(copy)).unwrap();
            scene.restic(restic, copy, rebuild);
        }
        scene
            .expect(3, &["backup"])
            .assert_says(&["index/", "lost"]);
        scene.expect(0, &["sync", "--accept-removed"]);
        scene.expect(0, &["verify"]);
        let ended = scene.expect(1, &["verify", "--decode"]);
        ended.assert_says(&["snapshots/", snapshot, "incomplete"]);
        if !is_old {
            scene.restic(restic, "one", &["repair", "snapshots", "--forget"]);
        }
        for copy in ALL.iter().skip(usize::from(!is_old)) {
            scene.restic(restic, copy, &["forget", snapshot]);
        }
        scene.expect(0, &["sync", "--accept-removed"]);
        scene.expect(0, &["verify", "--decode"]);
        scene.assert_identical();
        for copy in ALL {
            scene.check(restic, copy, &[]);
        }
    }
}

/// Three copies that a stock restic has pruned, as a person accepted, and an index file from before
/// then, with its bytes: it names a pack of which nothing is needed any more.
fn pruned_everywhere() -> (Scene, PathBuf, Vec<u8>) {
    let (scene, new) = two_backups();
    fs::remove_file(scene.source().join("noise")).unwrap();
    scene.expect(0, &["--quiet", "backup"]);
    let old = of_kind(&new, "index").next().unwrap();
    let bytes = fs::read(scene.path("one").join(&old)).unwrap();
    let restic = &restic_versions()[0];
    for copy in ALL {
        scene.restic(restic, copy, &["forget", "--prune", "--keep-last", "1"]);
    }
    scene.expect(0, &["sync", "--accept-removed"]);
    (scene, old, bytes)
}

#[test]
fn an_index_file_from_before_a_prune_goes_nowhere_and_is_wrong_though_the_prune_was_accepted() {
    let (scene, old, bytes) = pruned_everywhere();
    scene.expect(0, &["verify"]);
    let after = scene.files("one", "index");
    assert!(!after.contains(&old));

    // Somebody who may write to one copy puts it back.
    fs::write(scene.path("two").join(&old), bytes).unwrap();
    let ended = scene.expect(1, &["--json", "verify"]);
    assert_eq!(ended.summary()["clean"], false);
    ended.assert_says(&["two: data/", "missing"]);
    scene.expect(1, &["verify", "--decode"]);
    let ended = scene.expect(3, &["sync"]);
    ended.assert_says(&["does not get index/"]);
    for copy in ["one", "three"] {
        assert_eq!(scene.files(copy, "index"), after, "{copy}");
    }
    let status = scene.run(&["status"]);
    assert!(!status.out.contains("lost"), "{}", status.out);
    // Nobody misses it when it is gone again.
    fs::remove_file(scene.path("two").join(&old)).unwrap();
    scene.expect(0, &["sync"]);
    scene.expect(0, &["verify"]);
    let status = scene.run(&["status"]);
    assert!(!status.out.contains("lost"), "{}", status.out);
}

#[test]
fn what_was_accepted_as_removed_and_lies_on_one_copy_again_makes_no_other_look_pruned() {
    let (scene, old, bytes) = pruned_everywhere();
    fs::write(scene.path("two").join(&old), bytes).unwrap();
    // A backup that one copy alone takes gives it an index file of its own.
    for copy in ["two", "three"] {
        fs::rename(scene.path(copy), scene.path(&format!("{copy}-away"))).unwrap();
    }
    write_noise(&scene.source().join("more"), 9, 300_000);
    scene.expect(3, &["--quiet", "backup"]);
    for copy in ["two", "three"] {
        fs::rename(scene.path(&format!("{copy}-away")), scene.path(copy)).unwrap();
    }
    let ended = scene.expect(3, &["sync"]);
    ended.assert_says(&["does not get index/"]);
    assert!(!ended.err.contains("pruned by itself"), "{}", ended.err);
}

#[test]
fn a_copy_that_was_pruned_by_itself_is_named_by_status() {
    let (scene, _) = two_backups();
    let status = || scene.run(&["status"]).out;
    assert!(!status().contains("has lost"), "{}", status());
    let restic = &restic_versions()[0];
    scene.restic(restic, "two", &["forget", "--prune", "--keep-last", "1"]);
    let card = status();
    assert!(card.contains("two has lost "), "{card}");
    assert!(card.contains("as if it was pruned by itself"), "{card}");
    assert!(card.contains("strongroom sync --heal, unless"), "{card}");
    scene.expect(3, &["sync"]);
    assert!(status().contains("two has lost "), "{}", status());
    scene.expect(0, &["sync", "--heal"]);
    assert!(!status().contains("has lost"), "{}", status());
    // What is gone for another reason comes back by itself.
    let snapshot = scene.files("three", "snapshots").pop_first().unwrap();
    fs::remove_file(scene.path("three").join(snapshot)).unwrap();
    let card = status();
    let lost = "three has lost an index file or snapshot";
    assert!(card.contains(lost), "{card}");
    scene.expect(0, &["sync"]);
    assert!(!status().contains("has lost"), "{}", status());
}

#[test]
fn junk_under_a_name_that_was_accepted_as_removed_does_not_bring_it_back() {
    let (scene, new) = two_backups();
    let snapshot = of_kind(&new, "snapshots").next().unwrap();
    remove_everywhere(&scene, of_kind(&new, "snapshots"));
    scene.expect(0, &["sync", "--accept-removed"]);
    fs::write(scene.path("two").join(&snapshot), "junk").unwrap();
    let status = scene.run(&["status"]);
    assert!(!status.out.contains("has lost"), "{}", status.out);
    scene.expect(3, &["sync"]);
    fs::remove_file(scene.path("two").join(&snapshot)).unwrap();
    scene.expect(0, &["sync"]);
    scene.expect(0, &["verify"]);
}

#[test]
fn what_comes_back_is_missed_again_when_it_goes() {
    let (scene, new) = two_backups();
    let snapshot = of_kind(&new, "snapshots").next().unwrap();
    let bytes = fs::read(scene.path("one").join(&snapshot)).unwrap();
    remove_everywhere(&scene, of_kind(&new, "snapshots"));
    scene.expect(0, &["sync", "--accept-removed"]);
    fs::write(scene.path("two").join(&snapshot), bytes).unwrap();
    scene.expect(0, &["sync"]);
    scene.assert_identical();
    remove_everywhere(&scene, of_kind(&new, "snapshots"));
    scene.expect(3, &["sync"]).assert_says(&["lost everywhere"]);
}

#[test]
fn latest_is_never_an_older_snapshot_than_the_newest_that_is_known() {
    let (scene, new) = two_backups();
    let snapshot = of_kind(&new, "snapshots").next().unwrap();
    let newest = snapshot.file_name().unwrap().to_str().unwrap();
    // Only one copy can be reached, and it hides the newest snapshot.
    fs::remove_file(scene.path("one").join(&snapshot)).unwrap();
    for copy in ["two", "three"] {
        fs::rename(scene.path(copy), scene.path(&format!("{copy}-away"))).unwrap();
    }
    let file = scene.source().join("noise");
    let file = file.to_str().unwrap();
    let target = scene.path("target");
    let target = target.to_str().unwrap();
    let old = scene.files("one", "snapshots").pop_first().unwrap();
    let old = &old.file_name().unwrap().to_str().unwrap()[..8];
    for wanted in ["latest", "latest:main"] {
        for arguments in [
            &["restore", wanted, target][..],
            &["ls", wanted],
            &["dump", wanted, file],
        ] {
            let ended = scene.expect(1, arguments);
            ended.assert_says(&[
                &newest[..8],
                "shown by no copy",
                "it was on one, three, two",
            ]);
            ended.assert_says(&["strongroom", arguments[0], old]);
        }
    }
    assert!(!scene.path("target").exists());
    let ended = scene.expect(3, &["--json", "snapshots"]);
    ended.assert_says(&[&newest[..8], "shown by no copy"]);
    assert_eq!(ended.summary()["withheld"], serde_json::json!([newest]));
    // Nor may it give junk under that name.
    fs::write(scene.path("one").join(&snapshot), "junk").unwrap();
    scene
        .expect(1, &["ls", "latest"])
        .assert_says(&[&newest[..8], "shown by no copy"]);
    // By its id the older one is there.
    scene.expect(0, &["restore", old, target]);
    // With another copy there is no doubt.
    fs::rename(scene.path("two-away"), scene.path("two")).unwrap();
    scene.expect(0, &["ls", "latest:main"]);
}
