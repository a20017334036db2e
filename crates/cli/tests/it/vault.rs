//! A copy on a vault: what is remembered of it, what raises an alarm, and what it is believed.

mod commands;
mod telling;
mod withholding;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use strongroom_testkit::RcloneServer;

use crate::fake_vault::{Answer, FakeVault, Server};
use crate::scene::{Ended, PASSWORD, Scene, plant_key, write_noise};

/// Ends an alarm.
pub(crate) const ACCEPT: [&str; 4] = [
    "vault",
    "accept-log",
    "three",
    "--yes-the-vault-was-restored",
];

/// A source with something in it, two local copies, and one on a vault.
pub(crate) fn scene(vault: &FakeVault) -> Scene {
    let scene = Scene::new();
    write_noise(&scene.source().join("noise"), 1, 1 << 20);
    configure(&scene, vault, "");
    scene
}

/// The same, once the vault was met and there is a first backup.
pub(crate) fn begun() -> (FakeVault, Scene) {
    let vault = FakeVault::start();
    let scene = scene(&vault);
    scene.begin();
    (vault, scene)
}

pub(crate) fn configure(scene: &Scene, vault: &FakeVault, settings: &str) {
    scene.configure(
        settings,
        &[
            ("one", scene.path("one").display().to_string()),
            ("two", scene.path("two").display().to_string()),
            ("three", vault.store()),
        ],
    );
}

/// The objects of a kind in what `--json` wrote.
pub(crate) fn objects(ended: &Ended, kind: &str) -> Vec<Value> {
    let objects = ended.out.lines().map(|line| line.parse::<Value>().unwrap());
    objects
        .filter(|object| object["message_type"] == kind)
        .collect()
}

fn change(scene: &Scene, number: u64) {
    write_noise(&scene.source().join(format!("more-{number}")), number, 1000);
}

#[test]
fn the_log_of_a_vault_is_trusted_once_and_followed_from_then_on() {
    let vault = FakeVault::start();
    let scene = scene(&vault);
    plant_key(&scene.path("one"), PASSWORD);
    let ended = scene.expect(0, &["init"]);
    ended.assert_says(&["three is a vault", "vault.example/strongroom+", "log.pub"]);
    let ended = scene.expect(0, &["backup"]);
    assert!(!ended.err.contains("is a vault"), "{}", ended.err);
    // It has grown for certain: the backup may have asked when all of its own was in.
    vault.state().leaves.push("one more".to_owned());
    let ended = scene.expect(0, &["--json", "sync"]);
    let [met] = objects(&ended, "vault").try_into().unwrap();
    assert_eq!(met["log"], "grown", "{met}");
    assert_eq!(met["copy"], "three");
    assert_eq!(met["alarm"], Value::Null);
    assert!(
        vault.count("GET /v1/log/consistency?old=0") == 1,
        "asked once from nothing"
    );
    let kept = fs::read_dir(scene.path("state/vaults")).unwrap();
    let kept: Vec<_> = kept.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    let text = fs::read_to_string(&kept[0]).unwrap();
    assert!(text.starts_with("strongroom-log 1\n"), "{text}");
}

/// Makes a vault do something, and asserts that the next backup is made and ends with an alarm.
#[track_caller]
fn assert_alarm(scene: &Scene, vault: &FakeVault, words: &[&str]) {
    let snapshots = vault.state().names("snapshots").len();
    change(scene, snapshots as u64 + 100);
    let ended = scene.expect(1, &["--json", "backup"]);
    let mut said = vec!["ALARM: three: "];
    said.extend(words);
    ended.assert_says(&said);
    ended.assert_says(&["strongroom vault accept-log three"]);
    let summary = ended.summary();
    assert_eq!(summary["alarms"].as_array().unwrap().len(), 1, "{summary}");
    assert_eq!(
        summary["complete"], true,
        "an alarm costs no backup: {summary}"
    );
    assert_eq!(vault.state().names("snapshots").len(), snapshots + 1);
    let [met] = objects(&ended, "vault").try_into().unwrap();
    assert!(
        met["alarm"]["text"].as_str().unwrap().contains(words[0]),
        "{met}"
    );
}

#[test]
fn a_rewritten_log_is_an_alarm_in_every_command_until_somebody_accepts_it() {
    let (vault, scene) = begun();
    let good = vault.state().leaves.clone();
    {
        // It has grown for certain: one that has not is told in other words.
        let mut state = vault.state();
        state.leaves[0] = "another start".to_owned();
        state.leaves.push("one more".to_owned());
    }
    assert_alarm(
        &scene,
        &vault,
        &["does not prove", "may have been rewritten"],
    );
    // What it shows afterwards does not matter.
    vault.state().leaves = good;
    for arguments in [
        &["backup"][..],
        &["sync"],
        &["verify"],
        &["verify", "--no-password"],
        &["snapshots"],
        &["ls", "latest"],
        &["key", "list"],
        &["init"],
        &["vault", "log", "three"],
    ] {
        scene.expect(1, arguments).assert_says(&["ALARM: three: "]);
    }
    let status = scene.expect(1, &["--json", "status"]).summary();
    let alarm = status["copies"][2]["alarm"].as_str().unwrap();
    assert!(alarm.contains("does not prove"), "{status}");
    let errors = status["lines"][4]["reason"].as_str().unwrap();
    assert!(
        errors.contains("alarm about the vault of three"),
        "{errors}"
    );

    // Nobody is there to be asked, and a script must say so in full.
    let ended = scene.expect(1, &["vault", "accept-log", "three"]);
    ended.assert_says(&["--yes-the-vault-was-restored"]);
    scene.expect(1, &["backup"]);
    let ended = scene.expect(0, &ACCEPT);
    assert!(ended.out.contains("remembered"), "{}", ended.out);
    let ended = scene.expect(0, &["backup"]);
    assert!(!ended.err.contains("ALARM"), "{}", ended.err);
    let ended = scene.expect(0, &ACCEPT);
    ended.assert_says(&["There is no alarm"]);
}

#[test]
fn a_log_that_shrank_changed_its_key_or_vanished_is_an_alarm() {
    let (vault, scene) = begun();
    vault.state().leaves.truncate(2);
    // It grows again while the backup is made; what counts is what it showed.
    assert_alarm(&scene, &vault, &["rewritten or cut"]);
    scene.expect(0, &ACCEPT);
    let before = vault.state().checkpoint();
    {
        let mut state = vault.state();
        state.seed = 2;
        state.new_log = json!({ "before": before });
    }
    assert_alarm(
        &scene,
        &vault,
        &["is not signed by the key", "restored from an older state"],
    );
    scene.expect(0, &ACCEPT);
    scene.expect(0, &["sync"]);
    vault.state().is_plain = true;
    assert_alarm(
        &scene,
        &vault,
        &["was a vault with the log", "as one that is none"],
    );
    scene.expect(0, &ACCEPT);
    // From now on it is a plain server, and nobody hears of it.
    let ended = scene.expect(0, &["backup"]);
    assert!(!ended.err.contains("vault"), "{}", ended.err);
}

/// The file in which contacts without a proof are counted.
fn withheld(scene: &Scene) -> Option<PathBuf> {
    let kept = fs::read_dir(scene.path("state/vaults")).unwrap();
    let mut kept = kept.map(|entry| entry.unwrap().path());
    kept.find(|path| path.to_string_lossy().ends_with(".withheld.json"))
}

/// What is counted in it.
fn record(kept: &Path) -> Value {
    serde_json::from_slice(&fs::read(kept).unwrap()).unwrap()
}

/// Puts the first of two contacts without a proof back by more than a day.
#[track_caller]
fn begin_earlier(kept: &Path) {
    let mut record = record(kept);
    assert_eq!(record["contacts"], 2, "{record}");
    record["since"] = json!("2026-01-01T00:00:00Z");
    fs::write(kept, record.to_string()).unwrap();
}

#[test]
fn a_vault_that_withholds_its_proof_is_not_believed_and_an_alarm_after_a_day() {
    let (vault, scene) = begun();
    let status = || scene.run(&["--json", "status"]).summary();
    let now = status()["at"].as_str().unwrap().to_owned();
    let error = json!({"error": "broken", "hint": null});
    {
        let mut state = vault.state();
        state.withholds_proof = Some((500, error));
        // What it would like to be believed.
        state.scrub = json!({"all_read": now, "objects_read": 9, "rotten": 0});
    }
    let told = ["the log of its vault cannot be checked this time"];
    scene.expect(0, &["sync"]).assert_says(&told);
    let status_of_copy = status()["copies"][2].clone();
    assert_eq!(
        status_of_copy["verified_by"],
        Value::Null,
        "{status_of_copy}"
    );
    change(&scene, 1);
    let summary = scene.expect(0, &["--json", "backup"]).summary();
    assert_eq!(
        summary["copies"][2]["by_vault"]["whole"],
        Value::Null,
        "{summary}"
    );
    let verified = scene.expect(0, &["--json", "verify"]).summary();
    assert_eq!(verified["copies"][2]["by_vault"], Value::Null, "{verified}");
    // Three contacts and more, and no day yet. A proof in between begins the count anew.
    let kept = withheld(&scene).expect("contacts are counted");
    let withholds = vault.state().withholds_proof.take();
    scene.expect(0, &["sync"]);
    assert_eq!(withheld(&scene), None);
    vault.state().withholds_proof = withholds;
    for _ in 0..2 {
        scene.expect(0, &["sync"]).assert_says(&told);
    }
    begin_earlier(&kept);
    assert_alarm(
        &scene,
        &vault,
        &["has not shown since", "at 3 contacts", "500"],
    );
    // The alarm stands when the proof comes.
    vault.state().withholds_proof = None;
    scene.expect(1, &["sync"]).assert_says(&["ALARM: three: "]);
}

#[test]
fn a_checkpoint_that_is_none_and_a_log_that_is_denied_are_alarms_at_once() {
    let (vault, scene) = begun();
    let torn = json!({"checkpoint": "vault.example/strongroom\n12", "proof": []});
    vault.state().withholds_proof = Some((200, torn));
    assert_alarm(&scene, &vault, &["What came as a checkpoint is none"]);
    vault.state().withholds_proof = None;
    scene.expect(0, &ACCEPT);
    let nothing = json!({"error": "There is nothing here", "hint": null});
    vault.state().withholds_proof = Some((404, nothing));
    assert_alarm(&scene, &vault, &["now says that it has none"]);
}

#[test]
fn a_memory_that_was_tampered_with_is_an_alarm() {
    let (_vault, scene) = begun();
    let kept = fs::read_dir(scene.path("state/vaults")).unwrap();
    let kept = kept.map(|entry| entry.unwrap().path()).next().unwrap();
    let text = fs::read_to_string(&kept).unwrap();
    fs::write(&kept, text.replace("strongroom\n", "strongroom\n9")).unwrap();
    scene
        .expect(1, &["sync"])
        .assert_says(&["ALARM", "cannot be read"]);
}

#[test]
fn a_vault_that_does_not_answer_is_told_and_is_no_alarm() {
    let (vault, scene) = begun();
    let gone = Server::start(|_| Answer::text(503, "busy"));
    let address = vault
        .store()
        .replace(&vault.address().to_string(), &gone.address().to_string());
    scene.configure(
        "",
        &[
            ("one", scene.path("one").display().to_string()),
            ("three", address),
        ],
    );
    // It was never met at this address, so nobody knows that it is a vault.
    let ended = scene.expect(3, &["sync"]);
    assert!(!ended.err.contains("ALARM"), "{}", ended.err);
    assert!(!ended.err.contains("log of its vault"), "{}", ended.err);
    configure(&scene, &vault, "");
    vault.state().is_busy = true;
    let ended = scene.expect(0, &["sync"]);
    ended.assert_says(&["the log of its vault cannot be checked this time"]);
    vault.state().is_busy = false;
    scene.expect(0, &["sync"]);
}

#[test]
fn a_server_that_is_no_vault_is_used_as_before_and_nobody_hears_of_it() {
    let scene = Scene::new();
    write_noise(&scene.source().join("noise"), 1, 1 << 20);
    fs::create_dir(scene.path("three")).unwrap();
    let server = RcloneServer::start(&scene.root().join("three"), &[]);
    scene.configure(
        "",
        &[
            ("one", scene.path("one").display().to_string()),
            ("three", format!("rest:{}acme/repos/", server.url())),
        ],
    );
    for arguments in [
        &["--json", "init"][..],
        &["--json", "backup"],
        &["--json", "sync"],
        &["--json", "verify"],
        &["--json", "snapshots"],
    ] {
        let ended = scene.expect(0, arguments);
        assert_eq!(objects(&ended, "vault"), [""; 0], "{arguments:?}");
        assert!(!ended.err.contains("vault"), "{}", ended.err);
    }
    assert!(!scene.path("state/vaults").exists());
    let ended = scene.expect(1, &["vault", "status", "three"]);
    ended.assert_says(&["three is held by no vault"]);
}
