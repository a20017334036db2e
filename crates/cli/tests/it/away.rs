//! Copies that were away, and copies that are lost: whole again, byte for byte.

use std::fs;

use strongroom_testkit::tree::{TreeSpec, mutate};

use crate::scene::{Ended, Scene};

fn scene() -> Scene {
    let scene = Scene::new();
    TreeSpec {
        big_files_bytes: vec![3 << 20, 2 << 20],
        ..TreeSpec::small(1)
    }
    .build(&scene.source().join("tree"));
    scene.begin();
    scene
}

fn backup(scene: &Scene, seed: u64, code: i32) -> Ended {
    mutate(&scene.source().join("tree"), seed);
    scene.expect(code, &["--json", "backup"])
}

fn outcome<'a>(summary: &'a serde_json::Value, copy: &str) -> &'a str {
    let copies = summary["copies"].as_array().unwrap();
    let copy = copies.iter().find(|found| found["name"] == copy).unwrap();
    copy["outcome"].as_str().unwrap()
}

#[test]
fn a_copy_that_was_away_for_two_backups_is_whole_after_the_next() {
    let scene = scene();
    fs::rename(scene.path("two"), scene.path("elsewhere")).unwrap();
    for seed in [2, 3] {
        let ended = backup(&scene, seed, 3);
        let summary = ended.summary();
        assert_eq!(outcome(&summary, "one"), "whole");
        assert_eq!(outcome(&summary, "two"), "failed");
        assert_eq!(outcome(&summary, "three"), "whole");
        assert!(!scene.path("two").exists(), "nothing new is begun there");
    }
    fs::rename(scene.path("elsewhere"), scene.path("two")).unwrap();
    let summary = backup(&scene, 4, 0).summary();
    assert_eq!(outcome(&summary, "two"), "whole");
    assert_eq!(scene.files("two", "snapshots").len(), 4);
    scene.assert_identical();
    scene.check_all();
    scene.assert_restic_restores_all();
}

#[test]
fn a_copy_that_was_away_is_whole_after_a_sync_alone() {
    let scene = scene();
    fs::rename(scene.path("one"), scene.path("elsewhere")).unwrap();
    for seed in [2, 3] {
        backup(&scene, seed, 3);
    }
    fs::rename(scene.path("elsewhere"), scene.path("one")).unwrap();
    mutate(&scene.source().join("tree"), 4);
    let summary = scene
        .expect(3, &["--json", "backup", "--no-sync"])
        .summary();
    assert_eq!(outcome(&summary, "one"), "behind");
    assert_eq!(scene.files("one", "snapshots").len(), 1);
    scene.expect(0, &["sync"]);
    scene.assert_identical();
    scene.check_all();
    scene.assert_restic_restores_all();
}

#[test]
fn a_copy_that_is_lost_is_told_by_status_and_made_anew_from_the_others() {
    let scene = scene();
    backup(&scene, 2, 0);
    fs::remove_dir_all(scene.path("three")).unwrap();
    let card = scene.expect(1, &["--json", "status"]).summary();
    let rows = card["copies"].as_array().unwrap();
    let row = rows.iter().find(|row| row["name"] == "three").unwrap();
    assert_eq!(row["whole"]["met"], false, "{row}");
    // A sync alone begins nothing: it could be a disk that is not mounted.
    scene.expect(3, &["sync"]).assert_says(&["three"]);
    assert!(!scene.path("three").exists());
    scene.expect(0, &["init"]);
    scene.expect(0, &["sync"]);
    scene.assert_identical();
    scene.check_all();
    scene.assert_restic_restores_all();
}

#[test]
fn two_copies_that_are_lost_come_back_from_the_last_one() {
    let scene = scene();
    backup(&scene, 2, 0);
    let before = scene.files("two", "");
    for copy in ["one", "three"] {
        fs::remove_dir_all(scene.path(copy)).unwrap();
    }
    scene.expect(0, &["init"]);
    scene.expect(0, &["sync"]);
    assert_eq!(scene.files("two", ""), before);
    scene.assert_identical();
    scene.check_all();
}

#[test]
fn a_copy_that_was_away_while_the_others_were_pruned_lets_go_by_a_sync_and_loses_nothing() {
    let scene = scene();
    backup(&scene, 2, 0);
    backup(&scene, 3, 0);
    let [first, second, third]: [String; 3] = scene.snapshots().try_into().unwrap();
    let before = scene.files("one", "");
    for (away, gone, left) in [
        ("one", &first, vec![second.clone(), third.clone()]),
        ("three", &second, vec![third.clone()]),
    ] {
        fs::rename(scene.path(away), scene.path("elsewhere")).unwrap();
        scene.expect(3, &["forget", gone]);
        scene.expect(3, &["prune", "--max-unused", "0"]);
        fs::rename(scene.path("elsewhere"), scene.path(away)).unwrap();
        let pruned = scene.files("two", "");
        assert!(!before.is_subset(&pruned), "{away}");
        assert!(
            !scene.files(away, "").is_subset(&pruned),
            "{away} lets go of it later"
        );
        assert_eq!(scene.snapshots(), left);
        // Nor do the others lack what still lies there, without the password too.
        let ended = scene.run(&["--json", "verify", "--no-password"]);
        let told = ended
            .out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        let told: Vec<serde_json::Value> = told.collect();
        let problems = told.iter().filter(|one| one["message_type"] == "problem");
        for problem in problems {
            assert_eq!(problem["copy"], away, "{problem}");
        }

        scene.expect(0, &["sync"]);
        assert_eq!(
            scene.files("two", ""),
            pruned,
            "nothing came back from {away}"
        );
        scene.assert_identical();
        let kept = scene.files(away, "snapshots");
        let names = kept.iter().map(|path| path.file_name().unwrap());
        let mut names: Vec<_> = names.map(|name| name.to_str().unwrap()).collect();
        names.sort_by_key(|name| left.iter().position(|id| id == name));
        assert_eq!(names, left);
        scene.check_all();
        scene.assert_whole();
    }
    scene.assert_restic_restores_all();
    // It is where the next backup stores nothing twice.
    backup(&scene, 4, 0);
    scene.assert_identical();
    scene.check_all();
}
