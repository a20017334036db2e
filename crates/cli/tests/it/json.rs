//! What `--json` writes: the fields that docs/json.md names and no others, all of them where it says
//! so, and how far a run has come.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::channel;

use serde_json::Value;
use strongroom_model::Id;
use strongroom_testkit::tree::TreeSpec;

use crate::scene::{Ended, PATIENCE, Scene};
use crate::vault::{ACCEPT, begun, objects};

/// The names of all fields of an object and of what is in it, but for what is not ours: restic's
/// summary of a snapshot, and what vaults say of themselves and a repository.
fn fields(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                found.insert(name.clone());
                if !["summary", "vault", "repository"].contains(&name.as_str()) {
                    fields(value, found);
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| fields(value, found)),
        _ => {}
    }
}

/// What the documentation of some commands names that is no field of a run on folders alone: values,
/// other commands, and what comes only with a file that cannot be read, a vault, a lock or a drill.
const NO_FIELDS: [(&str, &[&str]); 3] = [
    (
        "backup",
        &[
            "behind",
            "changed_while_read",
            "failed",
            "kind",
            "lock",
            "lock extend",
            "message",
            "missing",
            "null",
            "path",
            "receipts_left",
            "sync",
            "unreadable",
            "vanished",
            "whole",
        ],
    ),
    (
        "status",
        &[
            "all_sources",
            "claimed",
            "errors",
            "false",
            "held_by",
            "immutable",
            "media",
            "none",
            "null",
            "passed",
            "principal",
            "proven",
            "receipt",
            "refuted",
            "since",
            "stale",
            "true",
            "unlocked",
            "until",
            "us",
            "vault",
            "verdict",
        ],
    ),
    (
        "verify",
        &["all_read", "null", "objects_read", "rotten", "true"],
    ),
];

/// The documentation of `--json`.
struct Page(String);

impl Page {
    fn read() -> Self {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/json.md");
        Self(fs::read_to_string(page).unwrap())
    }

    /// What is said of a command.
    fn section(&self, name: &str) -> &str {
        let (_, summaries) = self.0.split_once("\n## Summaries\n").unwrap();
        let head = format!("### `{name}`\n");
        let (_, section) = summaries.split_once(&head).unwrap();
        section.split("\n### ").next().unwrap()
    }

    /// Asserts that all fields that a command wrote are named in one of these sections, or in what
    /// is said of all commands.
    #[track_caller]
    fn assert_names(&self, sections: &[&str], ended: &Ended) {
        let (of_all, _) = self.0.split_once("\n## Summaries\n").unwrap();
        let said = sections.iter().map(|name| self.section(name));
        let texts: Vec<&str> = said.chain([of_all]).collect();
        assert!(ended.out.lines().count() > 0, "{sections:?}: {}", ended.err);
        for line in ended.out.lines() {
            let object: Value = line.parse().unwrap();
            let kind = object["message_type"].as_str().unwrap();
            let mut found = BTreeSet::from([kind.to_owned()]);
            fields(&object, &mut found);
            for field in found {
                let named = format!("`{field}`");
                let is_named = texts.iter().any(|text| text.contains(&named));
                assert!(is_named, "{field} of {kind} of {sections:?}: {line}");
            }
        }
    }

    /// The same of a command that came to its summary.
    #[track_caller]
    fn assert_names_all(&self, sections: &[&str], ended: &Ended) {
        self.assert_names(sections, ended);
        assert_eq!(ended.summary()["message_type"], "summary", "{sections:?}");
    }

    /// Asserts the other way round that each word of a section is a field that the command wrote, but
    /// for these, which are not.
    #[track_caller]
    fn assert_all_come(&self, section: &str, but: &[&str], ended: &Ended) {
        let mut found = BTreeSet::new();
        for line in ended.out.lines() {
            fields(&line.parse().unwrap(), &mut found);
        }
        let words = self.section(section).split('`').skip(1).step_by(2);
        let words: BTreeSet<&str> = words.collect();
        let missed = words.iter().filter(|word| !found.contains(**word));
        let missed: BTreeSet<&str> = missed.copied().collect();
        let but: BTreeSet<&str> = but.iter().copied().collect();
        assert_eq!(missed, but, "{section}");
    }
}

#[test]
fn every_field_is_in_the_documentation_of_its_command() {
    let page = Page::read();
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
        &["hold", "latest", "--why", "audit"],
        &["snapshots"],
        &["release", "latest"],
        &["ls", "latest"],
        &["restore", "latest", target, "--verify"],
        &["key", "add", "--new-password-file", second],
        &["key", "list"],
        &["unlock"],
        &["removals"],
        &["forget"],
        &["forget", "--dry-run"],
        &["forget", "latest"],
    ] {
        let ended = scene.run(&[&["--json"][..], arguments].concat());
        page.assert_names_all(&arguments[..1], &ended);
        if let [command] = arguments
            && let Some((_, but)) = NO_FIELDS.iter().find(|(name, _)| name == command)
        {
            page.assert_all_come(command, but, &ended);
        }
        if let ["key", "add", ..] = arguments {
            let id = ended.summary()["id"].as_str().unwrap().to_owned();
            let ended = scene.run(&["--json", "key", "remove", &id]);
            page.assert_names_all(&["key"], &ended);
            assert_eq!(ended.summary()["copies"][0]["outcome"], "removed");
        }
        if let ["forget", "latest"] = arguments {
            assert_eq!(ended.summary()["copies"].as_array().unwrap().len(), 3);
            let record = ended.summary()["record"].as_str().unwrap().to_owned();
            let ended = scene.run(&["--json", "forget", "--annul", &record]);
            page.assert_names_all(&["forget"], &ended);
            assert_eq!(ended.summary()["annulled"], serde_json::json!([record]));
        }
    }
    let ended = scene.run(&["--json", "lock", "extend"]);
    page.assert_names_all(&["lock extend"], &ended);
    // What did not come to its summary, and a log in which everything is missing.
    let ended = scene.expect(1, &["--json", "ls", "latest:nothing"]);
    page.assert_names(&["ls"], &ended);
    assert_eq!(ended.summary()["message_type"], "error");
    assert_eq!(ended.summary()["exit_status"], 1);
    let ended = scene.expect(1, &["--json", "log", "verify", "state"]);
    page.assert_names_all(&["log verify"], &ended);
    assert!(ended.out.contains("\"fault\""), "{}", ended.out);
}

#[test]
fn every_field_of_a_trial_is_in_the_documentation() {
    let scene = Scene::new();
    fs::write(scene.source().join("file"), "content").unwrap();
    let ended = scene.expect(0, &["--json", "try", "source", "--at", "area"]);
    // Its scorecard is that of a status.
    Page::read().assert_names_all(&["try", "status"], &ended);
    assert!(ended.out.contains("\"step\""), "{}", ended.out);
}

#[test]
fn every_field_of_what_is_told_of_a_vault_is_in_the_documentation() {
    let (vault, scene) = begun();
    let page = Page::read();
    vault.state().witness = Some(7);
    for arguments in [
        &["vault", "status", "three"][..],
        &["vault", "log", "three"],
        &["vault", "snapshots", "three"],
        &["status"],
    ] {
        let ended = scene.run(&[&["--json"][..], arguments].concat());
        page.assert_names_all(&arguments[..1], &ended);
    }
    // Its log is another one now.
    vault.state().seed = 2;
    let ended = scene.expect(1, &["--json", "sync"]);
    page.assert_names_all(&["sync"], &ended);
    let met = &objects(&ended, "vault")[0];
    assert!(met["alarm"]["hint"].is_string(), "{met}");
    let ended = scene.expect(0, &[&["--json"][..], &ACCEPT].concat());
    page.assert_names_all(&["vault"], &ended);
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
    scene.init();

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
