//! A repository that somebody has put in the stead of ours on every copy, sealed by the same password.

use std::fs;

use serde_json::{Value, json};
use strongroom_repo::Repository;
use strongroom_repo::key::ScryptCost;
use strongroom_repo::repository::Maker;
use strongroom_store::LocalStore;

use crate::scene::{ALL, Ended, PASSWORD, Scene, write_noise};

/// A scene with a backup; and the id of its repository.
fn begun() -> (Scene, String) {
    let scene = Scene::new();
    write_noise(&scene.source().join("noise"), 1, 100_000);
    scene.begin();
    let id = repository(&scene);
    (scene, id)
}

/// The id of the repository that is in sight.
fn repository(scene: &Scene) -> String {
    let summary = scene.run(&["--json", "init"]).summary();
    summary["repository"].as_str().unwrap().to_owned()
}

/// Hides what lies on every copy, and puts another repository there; returns its id.
fn replace(scene: &Scene) -> String {
    let maker = Maker {
        now: "2026-01-01T00:00:00Z".parse().unwrap(),
        username: "somebody",
        hostname: "elsewhere",
    };
    let his = Repository::generate(PASSWORD.as_bytes(), ScryptCost::LEAST, &maker).unwrap();
    for copy in ALL {
        fs::rename(scene.path(copy), scene.path(&format!("{copy}-hidden"))).unwrap();
        his.save(&LocalStore::new(scene.path(copy))).unwrap();
    }
    his.repository.config().id.to_string()
}

/// Brings back what was hidden.
fn bring_back(scene: &Scene) {
    for copy in ALL {
        fs::remove_dir_all(scene.path(copy)).unwrap();
        fs::rename(scene.path(&format!("{copy}-hidden")), scene.path(copy)).unwrap();
    }
}

#[track_caller]
fn assert_quiet(ended: &Ended) {
    assert!(!ended.err.contains("ALARM"), "{}", ended.err);
    assert!(!ended.err.contains("was there before"), "{}", ended.err);
}

/// The alarms of a summary that speak of both repositories.
fn alarms(ended: &Ended, his: &str, ours: &str) -> usize {
    let summary = ended.summary();
    let alarms = summary["alarms"].as_array().unwrap().iter();
    let told = alarms.filter_map(Value::as_str);
    told.filter(|alarm| alarm.contains(&his[..8]) && alarm.contains(&ours[..8]))
        .count()
}

#[test]
fn every_command_tells_of_it_and_none_removes_anything() {
    let (scene, ours) = begun();
    let his = replace(&scene);
    let told = ["ALARM: one, two, three: repository ", &his[..8], &ours[..8]];
    for arguments in [
        &["backup"][..],
        &["sync"],
        &["verify"],
        &["verify", "--decode"],
        &["snapshots"],
        &["ls", "latest"],
        &["lock", "extend"],
        &["init"],
    ] {
        let ended = scene.expect(3, arguments);
        ended.assert_says(&told);
        ended.assert_says(&["next: ", "sync --accept-removed"]);
        ended.assert_says(&["warning: Another repository was there before"]);
    }
    for arguments in [
        &["prune"][..],
        &["prune", "--dry-run"],
        &["forget"],
        &["forget", "latest"],
        &["key", "remove", "abcd"],
    ] {
        let ended = scene.expect(1, arguments);
        ended.assert_says(&told);
        ended.assert_says(&[
            "error: Nothing may be removed: one, two, three: ",
            &ours[..8],
        ]);
    }
    assert_eq!(scene.files("one", "snapshots").len(), 1);
    let status = scene.expect(1, &["status"]);
    status.assert_says(&told);
    let line = status.out.lines().find(|line| line.starts_with("0 errors"));
    let line = line.unwrap();
    assert!(
        line.contains("missed") && line.contains(&ours[..8]),
        "{line}"
    );
    for (code, command) in [(3, "backup"), (3, "sync"), (3, "verify"), (1, "status")] {
        let ended = scene.expect(code, &["--json", command]);
        assert_eq!(alarms(&ended, &his, &ours), 1, "{command}");
    }
    let ended = scene.expect(3, &["--json", "lock", "extend"]);
    assert_eq!(ended.summary()["complete"], false);
    // A drill of a copy alone rehearses nothing of his.
    scene
        .expect(1, &["drill", "restore"])
        .assert_says(&["ALARM: one: repository "]);
    // Ours comes back, and is not taken for his.
    bring_back(&scene);
    assert_eq!(repository(&scene), ours);
    for command in ["sync", "backup", "prune"] {
        assert_quiet(&scene.expect(0, &[command]));
    }
}

#[test]
fn it_is_accepted_once_with_every_copy_at_hand() {
    let (scene, ours) = begun();
    let his = replace(&scene);
    scene.expect(3, &["--quiet", "backup"]);
    fs::rename(scene.path("three"), scene.path("away")).unwrap();
    let ended = scene.expect(3, &["sync", "--accept-removed"]);
    ended.assert_says(&["three cannot be used, and may hold it"]);
    fs::rename(scene.path("away"), scene.path("three")).unwrap();
    scene.expect(3, &["sync"]).assert_says(&["ALARM: "]);

    let ended = scene.expect(0, &["--json", "sync", "--accept-removed"]);
    ended.assert_says(&["ALARM: ", &ours[..8]]);
    ended.assert_says(&["repository ", &ours[..8], "counts as given up"]);
    let objects = ended.out.lines();
    let mut objects = objects.map(|line| serde_json::from_str::<Value>(line).unwrap());
    let accepting = objects.find(|object| object["message_type"] == "accepting");
    let accepting = accepting.unwrap();
    assert_eq!(accepting["repositories"], json!([ours]));
    assert_eq!(accepting["files"], json!([]));
    assert_eq!(alarms(&ended, &his, &ours), 0);
    for command in ["sync", "backup", "prune"] {
        assert_quiet(&scene.expect(0, &[command]));
    }
    // What was given up is in sight again.
    bring_back(&scene);
    let ended = scene.expect(3, &["--json", "backup"]);
    assert_eq!(alarms(&ended, &his, &ours), 1);
}

#[test]
fn an_init_accepts_what_it_makes() {
    let (scene, ours) = begun();
    for copy in ALL {
        fs::rename(scene.path(copy), scene.path(&format!("{copy}-hidden"))).unwrap();
    }
    let ended = scene.init();
    ended.assert_says(&["repository ", &ours[..8], "on one, two, three before"]);
    for command in ["backup", "sync", "verify"] {
        assert_quiet(&scene.expect(0, &[command]));
    }
    // Nor does another one, which makes nothing.
    assert_quiet(&scene.expect(0, &["init"]));
}

#[test]
fn without_the_password_what_is_known_of_ours_counts() {
    let (scene, _) = begun();
    replace(&scene);
    scene.expect(3, &["--quiet", "backup"]);
    scene
        .expect(1, &["verify", "--no-password"])
        .assert_says(&["snapshots/", "lost everywhere"]);
}
