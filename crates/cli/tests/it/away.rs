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

#[test]
fn a_backup_that_brings_a_copy_up_to_date_lets_go_there_as_a_sync_does() {
    let scene = scene();
    backup(&scene, 2, 0);
    let [gone, kept]: [String; 2] = scene.snapshots().try_into().unwrap();
    fs::rename(scene.path("three"), scene.path("elsewhere")).unwrap();
    scene.expect(3, &["forget", &gone]);
    scene.expect(3, &["prune", "--max-unused", "0"]);
    fs::rename(scene.path("elsewhere"), scene.path("three")).unwrap();
    let summary = backup(&scene, 3, 0).summary();
    let [told] = &summary["removed"].as_array().unwrap()[..] else {
        panic!("{summary}");
    };
    assert_eq!(told["name"], "three", "{summary}");
    assert!(told["removed"].as_u64().unwrap() > 1, "{summary}");
    assert_eq!(told["waiting"], 0, "{summary}");
    assert_eq!(outcome(&summary, "three"), "whole");
    assert!(!scene.path("three/snapshots").join(&gone).exists());
    assert!(scene.path("three/snapshots").join(&kept).exists());
    scene.assert_identical();
    scene.check_all();
    scene.assert_restic_restores_all();
    // Where nothing was away nobody is kept out, and nothing is told.
    let summary = backup(&scene, 4, 0).summary();
    assert_eq!(summary["removed"], serde_json::json!([]));
}

/// Lets this machine forget that it wrote any removal record, as if another had.
fn disown_records(scene: &Scene) {
    let repositories = fs::read_dir(scene.path("state")).unwrap();
    let mut notes = repositories.map(|entry| entry.unwrap().path().join("record-notes.json"));
    let path = notes.find(|path| path.exists()).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let mut notes: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(notes["ours"].as_array().unwrap().len(), 1, "{text}");
    notes["ours"] = serde_json::json!([]);
    fs::write(&path, notes.to_string()).unwrap();
}

#[test]
fn what_another_machine_hides_on_a_copy_is_an_alarm_until_it_is_taken_back() {
    let scene = scene();
    backup(&scene, 2, 0);
    let newest = scene.snapshots().pop().unwrap();
    // From here on it is known to have been whole.
    scene.assert_whole();
    fs::rename(scene.path("three"), scene.path("elsewhere")).unwrap();
    let ended = scene.expect(3, &["--json", "forget", "latest"]);
    let record = ended.summary()["record"].as_str().unwrap().to_owned();
    fs::rename(scene.path("elsewhere"), scene.path("three")).unwrap();
    disown_records(&scene);
    for command in ["sync", "status"] {
        let ended = scene.run(&["--json", command]);
        // No plan is met by three disks in one place.
        let code = if command == "sync" { 3 } else { 1 };
        ended.assert_code(code, &command);
        ended.assert_says(&["hides 1 snapshot as removed", &record]);
        let alarms = ended.summary()["alarms"].to_string();
        assert!(alarms.contains(&record), "{command}: {alarms}");
        assert_eq!(scene.files("three", "snapshots").len(), 2, "{command}");
    }
    let ended = scene.expect(3, &["--json", "snapshots"]);
    ended.assert_says(&[&newest[..8], "is hidden by the removal record", &record]);
    assert_eq!(ended.summary()["withheld"], serde_json::json!([newest]));
    let annulled = scene.expect(0, &["--json", "forget", "--annul", &record]);
    assert_eq!(annulled.summary()["annulled"], serde_json::json!([record]));
    let ended = scene.expect(0, &["--json", "sync"]);
    assert_eq!(ended.summary()["alarms"], serde_json::json!([]));
    assert_eq!(scene.snapshots().len(), 2);
    scene.assert_identical();
    scene.check_all();
}
