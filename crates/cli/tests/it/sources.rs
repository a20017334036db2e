//! What goes wrong with a source, as the program tells it: by its exit status, to people, and with
//! `--json`.

use std::fs::{self, File};
use std::io::Write;

use serde_json::Value;

use crate::scene::{ALL, Scene, write_noise};

/// A source whose command fails when it has printed something.
const COMMAND: &str = "[[source]]\nname = \"dump\"\nas = \"dump\"\n\
    command = [\"sh\", \"-c\", \"echo half; echo broken >&2; exit 7\"]\n\n";

#[test]
fn a_command_that_fails_is_named_and_the_other_source_is_saved() {
    let scene = Scene::new();
    fs::write(scene.source().join("file"), "content").unwrap();
    scene.begin();
    let config = scene.path("strongroom.toml");
    let text = fs::read_to_string(&config).unwrap();
    let both = text.replacen("[[source]]", &format!("{COMMAND}[[source]]"), 1);
    fs::write(&config, both).unwrap();

    let reason = "sh ended with exit status: 7 and said: broken";
    let ended = scene.expect(3, &["--json", "backup"]);
    ended.assert_says(&["dump has no snapshot", reason]);
    let summary = ended.summary();
    let (dump, main) = (&summary["sources"][0], &summary["sources"][1]);
    assert_eq!(summary["complete"], false, "{summary}");
    assert_eq!(dump["failure"], reason);
    assert_eq!(dump["snapshot"], Value::Null);
    assert_eq!(main["failure"], Value::Null);
    assert!(main["snapshot"].is_string(), "{summary}");
    for copy in ALL {
        assert_eq!(scene.files(copy, "snapshots").len(), 2, "{copy}");
    }
    // The same where it is all that there is to save.
    let ended = scene.expect(1, &["backup", "dump"]);
    ended.assert_says(&["dump has no snapshot", reason]);
    assert_eq!(scene.files("one", "snapshots").len(), 2);
    scene.expect(0, &["backup", "main"]);
}

#[test]
fn what_vanishes_or_changes_meanwhile_is_named_and_the_rest_is_saved() {
    let scene = Scene::new();
    // One thread, which takes the files of a folder by their names and folders behind them, and
    // which is never far ahead of what the copies have.
    let limits = "[limits]\nworkers = 1\npack_size = \"4MiB\"\nmemory = \"64MiB\"\n";
    scene.configure_local(limits);
    fs::write(scene.source().join("kept"), "kept").unwrap();
    scene.begin();
    let path = |name: &str| scene.source().join(name);
    write_noise(&path("a"), 1, 96 << 20);
    fs::write(path("file"), "file").unwrap();
    fs::create_dir(path("folder")).unwrap();
    fs::write(path("folder/file"), "file").unwrap();

    let before = scene.files("one", "data").len();
    let running = scene.start(&["--json", "backup"]);
    let begun = running.until(|| scene.files("one", "data").len() > before);
    let running = begun.unwrap_or_else(|ended| panic!("{ended:?}"));
    fs::remove_file(path("file")).unwrap();
    fs::remove_dir_all(path("folder")).unwrap();
    let mut file = File::options().append(true).open(path("a")).unwrap();
    file.write_all(b"more").unwrap();
    let ended = running.wait();

    ended.assert_code(3, &"backup");
    ended.assert_says(&["source/a", "changed while it was read"]);
    ended.assert_says(&["source/file", "vanished"]);
    ended.assert_says(&["source/folder", "vanished"]);
    let summary = ended.summary();
    assert_eq!(summary["complete"], false);
    assert_eq!(summary["error_count"], 3, "{summary}");
    let errors = summary["sources"][0]["errors"].as_array().unwrap();
    let told = |name: &str, kind: &str| {
        let path = path(name).display().to_string();
        errors
            .iter()
            .any(|error| error["path"] == *path && error["kind"] == kind)
    };
    assert!(told("a", "changed_while_read"), "{summary}");
    assert!(told("file", "vanished"), "{summary}");
    assert!(told("folder", "vanished"), "{summary}");
    assert!(summary["sources"][0]["snapshot"].is_string());
    scene.assert_identical();
    scene.expect(0, &["backup"]);
}
