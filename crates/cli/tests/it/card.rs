//! What the scorecard says of a real repository, after what happened to it.

use std::fs;

use strongroom_testkit::tree::TreeSpec;

use crate::scene::{Scene, write_noise};

/// Writes the record of a rehearsal, which no command makes yet.
fn rehearse(scene: &Scene) {
    let drill = r#"{"version":1,"at":"2100-01-01T00:00:00Z","source":"main","bytes":1,"seconds":1,"matched":true}"#;
    let card = scene.expect(1, &["--json", "status"]).summary();
    let drill = drill.replace("2100-01-01T00:00:00Z", card["at"].as_str().unwrap());
    let folders = fs::read_dir(scene.path("state")).unwrap();
    for folder in folders.map(|entry| entry.unwrap().path()) {
        if folder.is_dir() {
            fs::write(folder.join("restore-drill.json"), &drill).unwrap();
        }
    }
}

#[test]
fn what_came_after_a_verify_is_not_called_read() {
    let scene = Scene::new();
    TreeSpec::small(1).build(&scene.source().join("tree"));
    scene.begin();
    scene.expect(0, &["--quiet", "verify"]);
    rehearse(&scene);
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
