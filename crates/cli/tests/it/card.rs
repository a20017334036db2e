//! What the scorecard says of a real repository, after what happened to it.

use std::fs;
use std::process::Command;

use strongroom_testkit::tree::TreeSpec;

use crate::scene::{ALL, Scene, write_noise};

#[test]
fn what_came_after_a_verify_is_not_called_read() {
    let scene = Scene::new();
    TreeSpec::small(1).build(&scene.source().join("tree"));
    scene.begin();
    scene.expect(0, &["--quiet", "verify"]);
    scene.expect(0, &["--quiet", "drill", "restore"]);
    let errors = |scene: &Scene| {
        let card = scene.expect(1, &["--json", "status"]).summary();
        let unread = card["copies"][0]["unread"]["files"].as_u64();
        let line = &card["lines"][4];
        assert_eq!(line["met"], true, "{line}");
        (unread, line["reason"].as_str().unwrap().to_owned())
    };
    let (unread, reason) = errors(&scene);
    assert_eq!(unread, Some(0));
    assert!(
        reason.starts_with("every byte read within 7 d; "),
        "{reason}"
    );
    write_noise(&scene.source().join("noise"), 1, 1 << 20);
    scene.expect(0, &["--quiet", "backup"]);
    // A pack of data, one of trees, an index file and a snapshot.
    let (unread, reason) = errors(&scene);
    assert_eq!(unread, Some(4));
    let said = "every byte read within 7 d but for 4 files (";
    assert!(reason.starts_with(said), "{reason}");
    // A share of the packs, and all small files.
    scene.expect(0, &["--quiet", "verify", "--read-data-subset", "1/2"]);
    assert!(errors(&scene).0.unwrap() <= 2);
    scene.expect(0, &["--quiet", "verify"]);
    assert_eq!(errors(&scene).0, Some(0));
}

#[test]
fn shares_that_make_up_a_whole_count_as_every_byte_read() {
    let scene = Scene::new();
    TreeSpec::small(1).build(&scene.source().join("tree"));
    scene.begin();
    let row = || scene.run(&["--json", "status"]).summary()["copies"][0].clone();
    assert!(row()["every_byte_read_since"].is_null(), "{}", row());
    let verify = |share| scene.expect(0, &["--quiet", "verify", "--read-data-subset", share]);
    verify("1/2");
    assert!(!row()["last_verify"].is_null(), "{}", row());
    assert!(row()["every_byte_read_since"].is_null(), "{}", row());
    verify("2/2");
    assert!(!row()["every_byte_read_since"].is_null(), "{}", row());
}

#[test]
fn what_was_read_of_a_disk_does_not_vouch_for_the_next_one() {
    let scene = Scene::new();
    TreeSpec::small(1).build(&scene.source().join("tree"));
    scene.begin();
    scene.expect(0, &["--quiet", "verify"]);
    let row = |copy: usize| scene.run(&["--json", "status"]).summary()["copies"][copy].clone();
    assert!(!row(1)["every_byte_read_since"].is_null(), "{}", row(1));
    assert_eq!(row(1)["unread"]["files"], 0);

    // A file that is brought anew was not read since, and the others were.
    let packs = scene.files("three", "data");
    fs::remove_file(scene.path("three").join(packs.first().unwrap())).unwrap();
    scene.expect(0, &["--quiet", "sync"]);
    assert!(!row(2)["every_byte_read_since"].is_null(), "{}", row(2));
    assert_eq!(row(2)["unread"]["files"], 1);

    let is_unread = |copy: usize| {
        let row = row(copy);
        assert!(row["last_verify"].is_null(), "{row}");
        assert!(row["every_byte_read_since"].is_null(), "{row}");
        assert_eq!(row["unread"]["files"], row["listing"]["files"], "{row}");
    };
    // A new disk that a sync fills.
    fs::remove_dir_all(scene.path("two")).unwrap();
    scene.expect(0, &["--quiet", "init"]);
    scene.expect(0, &["--quiet", "sync"]);
    is_unread(1);
    // A new disk to which somebody copies the files of the old one, with their times.
    fs::rename(scene.path("one"), scene.path("old")).unwrap();
    let mut copy = Command::new("cp");
    copy.arg("-a").arg(scene.path("old")).arg(scene.path("one"));
    assert!(copy.status().unwrap().success());
    is_unread(0);
    scene
        .run(&["status"])
        .assert_says(&["one: ", "is not the place that was verified"]);
    // The old one is what it was.
    fs::remove_dir_all(scene.path("one")).unwrap();
    fs::rename(scene.path("old"), scene.path("one")).unwrap();
    assert_eq!(row(0)["unread"]["files"], 0);
    scene.expect(0, &["--quiet", "verify"]);
    assert!(!row(1)["every_byte_read_since"].is_null(), "{}", row(1));
    assert_eq!(row(1)["unread"]["files"], 0);
}

#[test]
fn what_was_read_stays_read_where_a_sync_heals_config() {
    let scene = Scene::new();
    TreeSpec::small(1).build(&scene.source().join("tree"));
    scene.begin();
    let config = scene.path("two").join("config");
    let mut bytes = fs::read(&config).unwrap();
    bytes[20] ^= 1;
    fs::remove_file(&config).unwrap();
    fs::write(&config, bytes).unwrap();
    scene.expect(1, &["--quiet", "verify"]);
    let assert_read = || {
        let status = scene.run(&["--json", "status"]);
        let row = &status.summary()["copies"][1];
        assert!(!row["every_byte_read_since"].is_null(), "{row}");
        assert_eq!(row["unread"]["files"], 0, "{row}");
        assert!(!status.err.contains("not the place"), "{}", status.err);
    };
    assert_read();
    scene.expect(0, &["--quiet", "sync"]);
    assert_eq!(
        fs::read(&config).unwrap(),
        fs::read(scene.path("one").join("config")).unwrap()
    );
    assert_read();
    scene.expect(0, &["--quiet", "verify"]);
}

#[test]
fn what_no_copy_listed_at_a_sync_was_not_read_when_it_is_back() {
    let scene = Scene::new();
    TreeSpec::small(1).build(&scene.source().join("tree"));
    scene.begin();
    scene.expect(0, &["--quiet", "verify"]);
    let pack = scene.files("one", "data").pop_first().unwrap();
    for copy in ALL {
        fs::rename(
            scene.path(copy).join(&pack),
            scene.path(&format!("{copy}-pack")),
        )
        .unwrap();
    }
    // As one that dies when it has brought a file: nothing comes of it that it could note.
    scene.expect(3, &["--quiet", "sync"]);
    for copy in ALL {
        fs::rename(
            scene.path(&format!("{copy}-pack")),
            scene.path(copy).join(&pack),
        )
        .unwrap();
    }
    let status = scene.run(&["--json", "status"]);
    for row in status.summary()["copies"].as_array().unwrap() {
        assert_eq!(row["unread"]["files"], 1, "{row}");
    }
}

#[test]
fn whoever_takes_all_keys_away_does_not_take_the_status_with_them() {
    let scene = Scene::new();
    TreeSpec::small(1).build(&scene.source().join("tree"));
    scene.begin();
    for copy in ALL {
        for key in scene.files(copy, "keys") {
            fs::remove_file(scene.path(copy).join(key)).unwrap();
        }
    }
    let ended = scene.run(&["--json", "status"]);
    ended.assert_says(&["There is no key"]);
    let card = ended.summary();
    for copy in 0..ALL.len() {
        let row = &card["copies"][copy];
        assert_ne!(row["whole"]["met"], true, "{row}");
    }
}

#[test]
fn where_any_copy_has_a_key_a_password_that_does_not_open_it_is_to_blame() {
    let scene = Scene::new();
    TreeSpec::small(1).build(&scene.source().join("tree"));
    scene.begin();
    // The first one is asked first; what the others have not must not be the last word.
    for copy in ALL.iter().skip(1) {
        for key in scene.files(copy, "keys") {
            fs::remove_file(scene.path(copy).join(key)).unwrap();
        }
    }
    fs::write(scene.path("password"), "wrong").unwrap();
    scene.expect(12, &["--json", "status"]);
}
