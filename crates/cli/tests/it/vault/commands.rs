//! `strongroom vault`, for a copy.

use std::fs;
use std::process::Command;

use serde_json::json;
use strongroom_ledger::{KeyKind, Signer};

use crate::fake_vault::WITNESS;
use crate::scene::Ended;
use crate::vault::{begun, objects};

#[test]
fn what_a_vault_says_of_itself_and_its_copy_is_shown() {
    let (vault, scene) = begun();
    vault.state().runs_in = json!({"account": "aws:123456789012", "by": "declared"});
    let ended = scene.expect(0, &["vault", "status", "three"]);
    for part in [
        "version 0.1.0",
        "vault.example/strongroom",
        "aws:123456789012 (declared)",
        "acme/repos",
        "30 d after arrival, 30 d after deletion",
    ] {
        assert!(ended.out.contains(part), "{part}: {}", ended.out);
    }
    let summary = scene
        .expect(0, &["--json", "vault", "status", "three"])
        .summary();
    assert_eq!(summary["repository"]["retention_s"], 2_592_000, "{summary}");
    assert_eq!(summary["vault"]["runs_in"]["by"], "declared");
    scene
        .expect(2, &["vault", "status", "four"])
        .assert_says(&["There is no copy four"]);
    scene
        .expect(1, &["vault", "status", "one"])
        .assert_says(&["one is held by no vault"]);
}

#[test]
fn what_is_remembered_of_a_log_is_shown_and_can_be_kept_elsewhere() {
    let (vault, scene) = begun();
    let ended = scene.expect(0, &["vault", "log", "three"]);
    for part in ["goes on", "vault.example/strongroom", "root"] {
        assert!(ended.out.contains(part), "{part}: {}", ended.out);
    }
    let summary = scene
        .expect(0, &["--json", "vault", "log", "three"])
        .summary();
    assert_eq!(summary["size"], vault.state().leaves.len(), "{summary}");
    assert_eq!(summary["witnesses"], json!([]));
    let note = scene.expect(0, &["vault", "log", "three", "--note"]).out;
    assert_eq!(note, vault.state().checkpoint());
}

#[test]
fn who_has_cosigned_a_log_is_shown_and_verified_where_his_key_is_given() {
    let (vault, scene) = begun();
    let key = |seed| {
        let witness = Signer::from_seed(KeyKind::Witness, WITNESS, &[seed; 32]).unwrap();
        witness.verifier().to_string()
    };
    vault.state().witness = Some(7);
    let ended = scene.expect(0, &["--json", "vault", "log", "three"]);
    let [witness] = [ended.summary()["witnesses"][0].clone()];
    assert_eq!(witness["name"], WITNESS);
    assert_eq!(witness["verified"], false, "its key was not given");
    assert_eq!(witness["at"], "2023-11-14T22:13:20Z");
    let with = |key: &str, code| {
        let arguments = ["--json", "vault", "log", "three", "--witness", key];
        scene.expect(code, &arguments).summary()["witnesses"][0]["verified"].clone()
    };
    assert_eq!(with(&key(7), 0), true);
    scene
        .expect(0, &["vault", "log", "three", "--witness", &key(7)])
        .assert_says(&["has signed nothing since 2023-11-1"]);
    assert_eq!(with(&key(8), 1), false, "another key of the same name");
    let log_key = Signer::from_seed(KeyKind::Log, WITNESS, &[7; 32]).unwrap();
    let log_key = log_key.verifier().to_string();
    scene.expect(2, &["vault", "log", "three", "--witness", &log_key]);
}

#[test]
fn a_copy_names_the_witnesses_that_must_have_cosigned_its_log() {
    let (vault, scene) = begun();
    let key = |name: &str| {
        let witness = Signer::from_seed(KeyKind::Witness, name, &[7; 32]).unwrap();
        witness.verifier().to_string()
    };
    let path = scene.path("strongroom.toml");
    let text = fs::read_to_string(&path).unwrap();
    let configure = |keys: &[String]| {
        let keys = keys.join("\", \"");
        fs::write(&path, format!("{text}log_witnesses = [\"{keys}\"]\n")).unwrap();
    };
    configure(&[key(WITNESS)]);
    scene
        .expect(1, &["vault", "log", "three"])
        .assert_says(&["has not signed it"]);
    // It is a leaf behind, and no fault by it.
    vault.state().witness = Some(7);
    vault.state().is_witness_behind = true;
    let summary = scene
        .expect(0, &["--json", "vault", "log", "three"])
        .summary();
    assert_eq!(summary["witnesses_asked"], 1, "{summary}");
    assert_eq!(summary["witnesses_verified"], 1, "{summary}");
    assert_eq!(summary["witnesses"][0]["verified"], true);
    let size = summary["size"].as_u64().unwrap();
    assert_eq!(summary["witnesses"][0]["size"], size - 1);
    configure(&[key(WITNESS), key("witness.example/other")]);
    let ended = scene.expect(1, &["vault", "log", "three"]);
    assert!(
        ended.out.contains("by 1 of the 2 witnesses that must have"),
        "{}",
        ended.out
    );
    let ended = scene.expect(0, &["vault", "status", "three"]);
    assert!(
        ended.out.contains("cosigned by 1 of the 2"),
        "{}",
        ended.out
    );
    let summary = scene
        .expect(0, &["--json", "vault", "status", "three"])
        .summary();
    assert_eq!(summary["witnesses_verified"], 1, "{summary}");
    configure(&["witness.example".to_owned()]);
    scene
        .expect(1, &["vault", "log", "three"])
        .assert_says(&["is not the key of a witness", "witness show"]);
}

#[test]
fn snapshots_are_listed_as_claims_with_the_word_of_the_vault() {
    let (vault, scene) = begun();
    let ended = scene.expect(0, &["--json", "vault", "snapshots", "three"]);
    let [snapshot] = objects(&ended, "snapshot").try_into().unwrap();
    assert_eq!(snapshot["source"], "main");
    assert_eq!(snapshot["claimed"], true);
    assert_eq!(snapshot["whole"], true);
    vault.state().whole = json!(false);
    vault.state().missing = vec!["data/x\u{1b}[2J".to_owned()];
    let ended = scene.expect(3, &["vault", "snapshots", "three"]);
    assert!(
        ended.out.contains("lacks 1 file: data/x\\u{1b}[2J"),
        "{}",
        ended.out
    );
}

#[test]
fn a_log_is_accepted_by_typing_what_only_the_new_one_says() {
    let (vault, scene) = begun();
    vault.state().seed = 2;
    scene.expect(1, &["sync"]);
    let typed = |answer: &str| -> Ended {
        let program = env!("CARGO_BIN_EXE_strongroom");
        let script = format!("'{program}' vault accept-log three");
        fs::write(scene.path("answer"), format!("{answer}\n")).unwrap();
        let answer = fs::File::open(scene.path("answer")).unwrap();
        let mut command = Command::new("script");
        command.args(["-qec", &script, "/dev/null"]);
        scene.dress(&mut command);
        command.stdin(answer).output().unwrap().into()
    };
    let refused = typed("yes");
    refused.assert_code(1, &"yes");
    assert!(
        refused.out.contains("Nothing was accepted"),
        "{}",
        refused.out
    );
    let (_, word) = refused.out.split_once("type: ").unwrap();
    let word = word.lines().next().unwrap().trim().to_owned();
    let size = vault.state().leaves.len();
    assert!(word.starts_with(&format!("{size} ")), "{word}");
    let accepted = typed(&word);
    accepted.assert_code(0, &word);
    scene.expect(0, &["sync"]);
}
