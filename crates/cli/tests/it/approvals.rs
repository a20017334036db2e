//! Who agreed to what, by the files of a log.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use strongroom_ledger::{Checkpoint, Edge, KeyKind, LogFile, SignedCheckpoint, Signer};

use crate::scene::{Ended, Scene};

const ORIGIN: &str = "vault.example/log";

/// Leaves in which three operators agree, as `crates/ledger` tells them in its tests.
const STORY: &str = include_str!("../../../../testdata/approvals/story.jsonl");

/// Publishes leaves in a folder, as a vault does; returns the public key of the log.
fn publish<'a>(folder: &Path, leaves: impl IntoIterator<Item = &'a str>) -> String {
    let write = |file: &LogFile| {
        let path = folder.join(file.tile.to_string());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &file.bytes).unwrap();
    };
    let mut edge = Edge::default();
    for leaf in leaves {
        edge.append(leaf.as_bytes()).unwrap().iter().for_each(write);
    }
    edge.partial_files().unwrap().iter().for_each(write);
    let key = Signer::from_seed(KeyKind::Log, ORIGIN, &[7; 32]).unwrap();
    let state = Checkpoint::new(ORIGIN, edge.size(), edge.root()).unwrap();
    let signed = SignedCheckpoint::sign(state, &key).unwrap();
    fs::write(folder.join("checkpoint"), signed.note().to_string()).unwrap();
    key.verifier().to_string()
}

/// What is told of the approvals in a log of these leaves.
fn audited<'a>(
    scene: &Scene,
    code: i32,
    leaves: impl IntoIterator<Item = &'a str>,
    more: &[&str],
) -> Ended {
    let folder = tempfile::tempdir_in(scene.root()).unwrap();
    let key = publish(folder.path(), leaves);
    let verify = ["log", "verify", folder.path().to_str().unwrap(), "--key"];
    scene.expect(code, &[&verify[..], &[&key, "--approvals"], more].concat())
}

#[test]
fn what_was_agreed_to_is_found_sound_by_the_files_of_a_log_alone() {
    let scene = Scene::new();
    let told = audited(&scene, 0, STORY.lines(), &[]);
    let words: Vec<_> = told.out.split_whitespace().collect();
    let rows =
        "approvals sound operations 4 asked, 3 approved, 3 done, 1 ended, 0 open yeses 4 verified";
    assert!(words.join(" ").ends_with(rows), "{}", told.out);
    let told = audited(&scene, 0, STORY.lines(), &["--json"]).summary();
    let approvals = json!({
        "asked": 4,
        "approved": 3,
        "done": 3,
        "ended": 1,
        "open": 0,
        "yeses": 4,
        "complaint_count": 0,
    });
    assert_eq!(told["approvals"], approvals);
}

#[test]
fn a_log_that_is_sound_and_tells_what_nobody_agreed_to_fails() {
    let scene = Scene::new();
    // The second yes was never said.
    let yes = |line: &&str| line.contains("operation-approved") && line.contains(r#""operator":3"#);
    let mut leaves: Vec<_> = STORY.lines().filter(|line| !yes(line)).collect();
    let renumbered: Vec<String> = (0..)
        .zip(leaves.drain(..))
        .map(|(number, line)| {
            let rest = line.split_once(',').unwrap().1;
            format!(r#"{{"n":{number},{rest}"#)
        })
        .collect();
    let told = audited(&scene, 1, renumbered.iter().map(String::as_str), &[]);
    assert!(
        told.out.starts_with("vault.example/log  sound\n"),
        "{}",
        told.out
    );
    assert!(
        told.out.contains("approvals          wrong\n"),
        "{}",
        told.out
    );
    told.assert_says(&["The operation was done with 1 of the 2 yeses that it takes"]);
    told.assert_says(&["hint: take what was done back"]);
    let told = audited(
        &scene,
        1,
        renumbered.iter().map(String::as_str),
        &["--json"],
    );
    let complaints = told.out.lines().map(|line| line.parse::<Value>().unwrap());
    let first = complaints
        .into_iter()
        .find(|line| line["message_type"] == "complaint")
        .unwrap();
    let retention = renumbered
        .iter()
        .position(|line| line.contains(r#""retention""#));
    assert_eq!(first["leaf"].as_u64(), retention.map(|place| place as u64));
}

#[test]
fn the_log_that_goes_on_from_another_one_is_read_behind_it() {
    let scene = Scene::new();
    let leaves: Vec<_> = STORY.lines().collect();
    // Another log began in the middle, before what was agreed to was done.
    let done = leaves
        .iter()
        .position(|line| line.contains(r#""act":"retention""#))
        .unwrap();
    let (before, behind) = leaves.split_at(done);
    let begun = format!(
        r#"{{"n":{done},"vault":"2027-01-15T08:00:00Z","act":"new-log","origin_before":"{ORIGIN}"}}"#
    );
    // What is kept, and that the operation was done.
    let behind = (done + 1..).zip(behind.iter().take(2));
    let behind = behind.map(|(number, line)| {
        let rest = line.split_once(',').unwrap().1;
        format!(r#"{{"n":{number},{rest}"#)
    });
    let later: Vec<String> = std::iter::once(begun).chain(behind).collect();
    let folder = scene.path("earlier");
    publish(&folder, before.iter().copied());
    let later = || later.iter().map(String::as_str);
    let told = audited(&scene, 1, later(), &[]);
    told.assert_says(&["The log goes on from vault.example/log, which was not read"]);
    let earlier = ["--earlier", folder.to_str().unwrap()];
    let told = audited(&scene, 0, later(), &earlier);
    assert!(
        told.out
            .contains("1 asked, 1 approved, 1 done, 0 ended, 0 open"),
        "{}",
        told.out
    );
    fs::remove_file(folder.join("checkpoint")).unwrap();
    let told = audited(&scene, 1, later(), &earlier);
    told.assert_says(&["is not sound: checkpoint is missing"]);
}
