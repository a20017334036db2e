//! What `--json` writes: the fields that docs/json.md names and no others, and how far a run has
//! come.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::channel;

use serde_json::Value;
use strongroom_model::Id;
use strongroom_testkit::tree::TreeSpec;

use crate::scene::{PATIENCE, Scene};

/// The names of all fields of an object and of what is in it, but for what is not ours: restic's
/// summary of a snapshot.
fn fields(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                found.insert(name.clone());
                if name != "summary" {
                    fields(value, found);
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| fields(value, found)),
        _ => {}
    }
}

#[test]
fn every_field_is_in_the_documentation_of_its_command() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/json.md");
    let page = fs::read_to_string(page).unwrap();
    let (of_all, summaries) = page.split_once("\n## Summaries\n").unwrap();

    let scene = Scene::new();
    TreeSpec::small(1).build(&scene.source().join("tree"));
    scene.begin();
    fs::write(scene.path("second"), "another password").unwrap();
    let second = scene.path("second");
    let target = scene.path("target");
    // Something to be told of: a file that is no lock, one that is wrong, and one that is missing.
    let id = Id::of(b"junk!").to_string();
    fs::write(scene.path("two/locks").join(id), "junk!").unwrap();
    let index = scene.files("two", "index").pop_first().unwrap();
    fs::remove_file(scene.path("two").join(index)).unwrap();
    let snapshot = scene.files("three", "snapshots").pop_first().unwrap();
    fs::remove_file(scene.path("three").join(&snapshot)).unwrap();
    fs::write(scene.path("three").join(&snapshot), "wrong").unwrap();
    let (second, target) = (second.to_str().unwrap(), target.to_str().unwrap());
    for arguments in [
        &["verify"][..],
        &["status"],
        &["sync"],
        &["init"],
        &["backup", "--dry-run"],
        &["backup"],
        &["snapshots"],
        &["ls", "latest"],
        &["restore", "latest", target, "--verify"],
        &["key", "add", "--new-password-file", second],
        &["key", "list"],
        &["unlock"],
    ] {
        let ended = scene.run(&[&["--json"][..], arguments].concat());
        let command = arguments[0];
        let head = format!("### `{command}`\n");
        let (_, section) = summaries.split_once(&head).unwrap();
        let section = section.split("\n### ").next().unwrap();
        assert!(ended.out.lines().count() > 0, "{command}: {}", ended.err);
        for line in ended.out.lines() {
            let object: Value = line.parse().unwrap();
            let kind = object["message_type"].as_str().unwrap();
            let mut found = BTreeSet::new();
            fields(&object, &mut found);
            for field in found {
                let named = format!("`{field}`");
                let is_named = section.contains(&named) || of_all.contains(&named);
                assert!(is_named, "{field} of {kind} of {command}: {line}");
            }
        }
        assert_eq!(ended.summary()["message_type"], "summary", "{command}");
    }
}

#[test]
fn a_run_that_takes_its_time_tells_each_second_how_far_it_has_come() {
    let scene = Scene::new();
    // A source that ends when it is told to, or after two minutes.
    let (script, go) = (scene.path("slow"), scene.path("go"));
    let wait = "echo begun; for i in $(seq 2400); do [ -e go ] && break; sleep 0.05; done";
    let place = scene.root().display();
    fs::write(&script, format!("cd '{place}'; {wait}; echo ended")).unwrap();
    let config = scene.path("strongroom.toml");
    let text = fs::read_to_string(&config).unwrap();
    let path = format!("path = {:?}", scene.source());
    let command = format!("command = [\"sh\", {script:?}]\nas = \"slow\"");
    assert!(text.contains(&path));
    fs::write(&config, text.replace(&path, &command)).unwrap();
    scene.expect(0, &["--quiet", "init"]);

    let mut child = scene
        .command(&["--json", "backup"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let (send, lines) = channel();
    std::thread::spawn(move || {
        for line in out.lines() {
            let _ = send.send(line.unwrap());
        }
    });
    let is_saving = |object: &Value| object["phase"] == "saving main";
    let (mut told, mut last) = (Vec::new(), Value::Null);
    while let Ok(line) = lines.recv_timeout(PATIENCE) {
        last = line.parse().unwrap();
        if last["message_type"] == "progress" {
            told.push(last.clone());
        }
        if told.len() > 1 && is_saving(&last) && last["bytes_done"] == 6 {
            fs::write(&go, "").unwrap();
        }
    }
    assert!(child.wait().unwrap().success(), "{last}");
    assert_eq!(last["message_type"], "summary");
    assert_eq!(last["sources"][0]["bytes_read"], 12);

    for object in &told {
        let mut found = BTreeSet::new();
        fields(object, &mut found);
        let all = [
            "bytes_done",
            "errors",
            "files_done",
            "message_type",
            "phase",
            "seconds_elapsed",
            "total_bytes",
            "total_files",
        ];
        assert_eq!(found, all.map(str::to_owned).into(), "{object}");
        assert_eq!(object["errors"], 0);
    }
    // Nobody knows how much a command will print.
    let mut saving = told.iter().filter(|object| is_saving(object));
    assert!(
        saving.all(|object| object["total_bytes"].is_null() && object["total_files"].is_null())
    );
    assert!(told.iter().any(|object| object["bytes_done"] == 6));
    let seconds = |object: &Value| object["seconds_elapsed"].as_u64().unwrap();
    assert!(
        told.windows(2)
            .all(|two| seconds(&two[0]) < seconds(&two[1]))
    );
}
