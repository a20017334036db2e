//! A vault that tells as little as it can of its log: by other words, by silence, by an old state.

use serde_json::{Value, json};

use crate::vault::{ACCEPT, assert_alarm, begin_earlier, begun, change, objects, record, withheld};

#[test]
fn a_vault_that_answers_and_does_not_say_that_it_is_one_is_an_alarm_after_a_day() {
    for status in [401, 403, 503] {
        let (vault, scene) = begun();
        vault.state().withholds_hello = Some(status);
        for _ in 0..2 {
            scene
                .expect(0, &["sync"])
                .assert_says(&["the log of its vault cannot be checked this time"]);
        }
        let kept = withheld(&scene).expect("contacts are counted");
        begin_earlier(&kept);
        assert_alarm(
            &scene,
            &vault,
            &["has not shown since", "at 3 contacts", &status.to_string()],
        );
    }
}

#[test]
fn a_vault_that_hangs_up_where_it_would_say_that_it_is_one_is_there_if_its_copy_is() {
    let (vault, scene) = begun();
    vault.state().withholds_hello = Some(0);
    // Nothing of the copy is opened here, so nobody knows whether anything is there.
    scene.run(&["vault", "log", "three"]);
    assert_eq!(withheld(&scene), None);
    scene
        .expect(0, &["sync"])
        .assert_says(&["its copy can be opened, and"]);
    let kept = withheld(&scene).expect("the contact is counted");
    let record = record(&kept);
    assert_eq!(record["contacts"], 1, "{record}");
}

#[test]
fn a_vault_that_takes_files_and_logs_none_is_an_alarm() {
    let (vault, scene) = begun();
    change(&scene, 1);
    let asked = vault.count("GET /v1/log/consistency");
    scene.expect(0, &["backup"]);
    assert_eq!(vault.count("GET /v1/log/consistency"), asked + 2);
    // Where nothing new is put, nothing is asked again, and a log may stay as it is.
    vault.state().is_frozen = true;
    let asked = vault.count("GET /v1/log/consistency");
    for _ in 0..2 {
        scene.expect(0, &["sync"]);
    }
    assert_eq!(vault.count("GET /v1/log/consistency"), asked + 2);
    change(&scene, 2);
    let ended = scene.expect(1, &["--json", "backup"]);
    ended.assert_says(&["ALARM: three: ", "logged none of them"]);
    let summary = ended.summary();
    assert_eq!(summary["complete"], true, "{summary}");
    assert_eq!(summary["alarms"].as_array().unwrap().len(), 1, "{summary}");
    assert_eq!(
        summary["copies"][2]["by_vault"]["whole"],
        Value::Null,
        "its word counts no more: {summary}"
    );
    let met = objects(&ended, "vault");
    assert_eq!(met.len(), 2, "before and after: {met:?}");
    assert_eq!(met[1]["log"], "alarm");
    // A sync that brings files finds the same.
    vault.state().is_frozen = false;
    scene.expect(0, &ACCEPT);
    scene.expect(0, &["sync"]);
    vault.state().is_frozen = true;
    scene.expect(0, &["sync"]);
    let pack = vault.state().names("data").pop_first().unwrap();
    vault.state().files.remove(&format!("data/{pack}"));
    scene
        .expect(1, &["sync"])
        .assert_says(&["ALARM: three: ", "logged none of them"]);
}

#[test]
fn a_proof_that_is_withheld_after_files_were_put_is_not_made_up_for_by_an_old_state() {
    let (vault, scene) = begun();
    vault.state().is_frozen = true;
    // The old state at the first question of a run, and a fault at the second.
    let error = json!({"error": "broken", "hint": null});
    let contacts = |number: u64| {
        change(&scene, number);
        vault.state().withholds_proof = None;
        vault.state().withholds_second_proof = Some((500, error.clone()));
        scene
            .expect(0, &["backup"])
            .assert_says(&["the log of its vault cannot be checked this time"]);
        let kept = withheld(&scene).expect("it is counted");
        record(&kept)["contacts"].as_u64().unwrap()
    };
    assert_eq!((contacts(1), contacts(2)), (1, 2));
    // A log that goes on is a proof.
    vault.state().withholds_proof = None;
    vault.state().is_frozen = false;
    change(&scene, 3);
    scene.expect(0, &["backup"]);
    assert_eq!(withheld(&scene), None);
}

#[test]
fn a_copy_that_lists_no_key_is_not_whole_because_its_vault_says_that_it_holds_one() {
    let (vault, scene) = begun();
    let status = || scene.run(&["--json", "status"]).summary();
    assert_eq!(status()["copies"][2]["whole"]["met"], true);
    {
        let mut state = vault.state();
        let key = state.names("keys").pop_first().unwrap();
        let bytes = state.files.remove(&format!("keys/{key}")).unwrap();
        state.pending.insert(key, bytes);
    }
    assert_eq!(status()["copies"][2]["whole"]["met"], false, "{}", status());
    let sent = vault.count("POST /acme/repos/keys/");
    let ended = scene.expect(3, &["--json", "sync"]);
    let copy = ended.summary()["copies"][2].clone();
    assert_eq!(copy["outcome"], "behind", "{copy}");
    assert_eq!(copy["files_lacking"], 1, "{copy}");
    assert_eq!(vault.count("POST /acme/repos/keys/"), sent);
    scene.expect(1, &["verify", "--no-password"]);
}

#[test]
fn a_key_that_a_vault_lists_and_does_not_give_is_found_out_where_the_password_is_at_hand() {
    let (vault, scene) = begun();
    {
        let mut state = vault.state();
        let key = state.names("keys").pop_first().unwrap();
        state.files.insert(format!("keys/{key}"), b"junk".to_vec());
    }
    scene.run(&["sync"]).assert_says(&[
        "three lists keys/",
        "does not give it: it gives other bytes",
    ]);
}

#[test]
fn after_an_alarm_what_a_vault_says_of_keys_that_wait_counts_no_more() {
    let (vault, scene) = begun();
    scene.add_key("another password");
    assert_eq!(vault.state().pending.len(), 1);
    let pending = |ended: crate::scene::Ended| ended.summary()["pending_keys"].clone();
    let kept = pending(scene.expect(0, &["--json", "sync"]));
    assert_ne!(kept, json!({}));
    vault.state().leaves[0] = "another start".to_owned();
    assert_eq!(pending(scene.expect(1, &["--json", "sync"])), json!({}));
}

#[test]
fn a_key_that_waits_and_is_sent_once_more_is_nothing_that_a_vault_must_have_logged() {
    let (vault, scene) = begun();
    scene.add_key("another password");
    assert_eq!(vault.state().pending.len(), 1);
    // One that does not open the repository, and that no receipt names, would not travel.
    std::fs::copy(scene.path("second"), scene.path("password")).unwrap();
    vault.state().is_frozen = true;
    scene.run(&["sync"]);
    // What waits is not known to the client this time.
    vault.state().withholds_repository = true;
    let sent = vault.count("POST /acme/repos/keys/");
    let ended = scene.run(&["sync"]);
    let said = format!("{}{}", ended.out, ended.err);
    assert!(vault.count("POST /acme/repos/keys/") > sent, "{said}");
    assert!(!said.contains("ALARM"), "{said}");
}

#[test]
fn nothing_goes_by_the_plan_while_a_vault_does_not_tell_when_its_snapshots_came() {
    // This one is of an older version, and knows no such question.
    let (vault, scene) = begun();
    let ended = scene.expect(3, &["--json", "forget"]);
    ended.assert_says(&["three does not say when its snapshots came", "of a version"]);
    ended.assert_says(&["newest strongroom-vault"]);
    let summary = ended.summary();
    assert_eq!(summary["unasked"][0]["copy"], "three", "{summary}");
    assert_eq!(summary["record"], Value::Null);
    // One that does not show its log is not even asked.
    vault.state().leaves[0] = "another start".to_owned();
    let asked = vault.count("GET /v1/repositories/acme/repos/arrivals");
    let summary = scene.expect(1, &["--json", "forget"]).summary();
    assert_eq!(summary["unasked"][0]["copy"], "three", "{summary}");
    let again = vault.count("GET /v1/repositories/acme/repos/arrivals");
    assert_eq!(again, asked);
    // Somebody who names a snapshot needs nobody's clock.
    scene.expect(0, &ACCEPT);
    let summary = scene.expect(0, &["--json", "forget", "--dry-run", "latest"]);
    let summary = summary.summary();
    assert_eq!(summary["gone"].as_array().unwrap().len(), 1, "{summary}");
}
