//! What a vault tells of its copy: receipts, keys that wait, what it has read, where it runs.

use serde_json::{Value, json};

use crate::fake_vault::{Answer, FakeVault, Server};
use crate::scene::write_noise;
use crate::vault::{begun, change, configure, scene};

#[test]
fn a_backup_sends_its_receipts_and_shows_what_the_vault_says() {
    let vault = FakeVault::start();
    let scene = scene(&vault);
    scene.init();
    let summary = scene.expect(0, &["--json", "backup"]).summary();
    let said = &summary["copies"][2]["by_vault"];
    let expected = json!({"whole": true, "missing": 0, "receipts_left": 0, "reason": null});
    assert_eq!(*said, expected, "{summary}");
    assert_eq!(summary["copies"][0]["by_vault"], Value::Null);
    assert_eq!(
        vault.state().receipts[0]["snapshot"],
        summary["sources"][0]["snapshot"]
    );
    change(&scene, 2);
    let ended = scene.expect(0, &["backup"]);
    assert!(ended.out.contains("as its vault says"), "{}", ended.out);
    assert_eq!(vault.state().receipts.len(), 2);
}

#[test]
fn receipts_that_could_not_be_sent_come_with_the_next_contact_and_cost_no_backup() {
    let vault = FakeVault::start();
    let scene = scene(&vault);
    scene.init();
    vault.state().refuses_receipts = Some(403);
    for number in 0..2 {
        change(&scene, number);
        let ended = scene.expect(0, &["backup"]);
        ended.assert_says(&["not sent to its vault", "bound to another client"]);
    }
    // Elsewhere nobody is bothered by it.
    let ended = scene.expect(0, &["snapshots"]);
    assert!(!ended.err.contains("receipt"), "{}", ended.err);
    vault.state().refuses_receipts = None;
    scene.expect(0, &["--quiet", "snapshots"]);
    assert_eq!(vault.state().receipts.len(), 2);
    // A vault that forgot all of them gets the chain again.
    vault.state().receipts.clear();
    change(&scene, 7);
    scene.expect(0, &["--quiet", "backup"]);
    assert_eq!(vault.state().receipts.len(), 3);
}

#[test]
fn a_vault_that_says_it_lacks_files_makes_no_whole_copy() {
    let (vault, scene) = begun();
    {
        let mut state = vault.state();
        state.whole = json!(false);
        state.missing = vec!["data/x".to_owned(), "data/y".to_owned()];
    }
    change(&scene, 1);
    let ended = scene.expect(3, &["backup"]);
    ended.assert_says(&["three", "its vault says that it lacks 2 files"]);
    let status = scene.expect(1, &["--json", "status"]).summary();
    let whole = &status["copies"][2]["whole"];
    assert_eq!(whole["met"], false, "{status}");
    assert_eq!(whole["reason"], "lacks 2 files of main, as its vault says");
    // It says otherwise now, and is asked again.
    vault.state().whole = json!(true);
    vault.state().missing.clear();
    let status = scene.expect(1, &["--json", "status"]).summary();
    assert_eq!(status["copies"][2]["whole"]["met"], true, "{status}");
}

#[test]
fn a_key_that_waits_for_an_operator_is_sent_once_and_its_copy_is_not_behind() {
    let (vault, scene) = begun();
    scene
        .add_key("another password")
        .assert_says(&["three: 1 key waits for an operator"]);
    let key = vault.state().pending.keys().next().unwrap().clone();
    let sent = vault.count("POST /acme/repos/keys/");
    for arguments in [
        &["backup"][..],
        &["sync"],
        &["verify"],
        &["verify", "--no-password"],
    ] {
        let ended = scene.expect(0, arguments);
        ended.assert_says(&["1 key waits for an operator"]);
        ended.assert_says(&["if it is yours, on the machine of http"]);
        ended.assert_says(&[&format!("strongroom-vault key admit acme/repos {key}")]);
        change(&scene, arguments.len() as u64);
    }
    let summary = scene.expect(0, &["--json", "sync"]).summary();
    assert_eq!(
        summary["pending_keys"],
        json!({"three": [key]}),
        "{summary}"
    );
    assert_eq!(summary["junk"], json!([]));
    assert_eq!(
        vault.count("POST /acme/repos/keys/"),
        sent,
        "it was sent again"
    );
    let status = scene.expect(1, &["--json", "status"]).summary();
    assert_eq!(status["copies"][2]["whole"]["met"], true, "{status}");
    // An operator lets it in.
    {
        let mut state = vault.state();
        let (key, bytes) = state.pending.pop_first().unwrap();
        state.files.insert(format!("keys/{key}"), bytes);
    }
    let ended = scene.expect(0, &["sync"]);
    assert!(!ended.err.contains("waits"), "{}", ended.err);
}

#[test]
fn what_a_vault_has_read_itself_is_named_as_its_word() {
    let (vault, scene) = begun();
    let now = scene.expect(1, &["--json", "status"]).summary();
    let now = now["at"].as_str().unwrap().to_owned();
    vault.state().scrub = json!({"all_read": now, "objects_read": 9, "rotten": 0});
    let status = scene.expect(1, &["--json", "status"]).summary();
    let row = &status["copies"][2];
    assert_eq!(row["verified_by"], "vault", "{status}");
    assert_eq!(row["last_verify"], now.as_str());
    let text = scene.expect(1, &["status"]).out;
    assert!(text.contains(", by vault"), "{text}");
    // Rot that it finds is told, and the next sync reads what it names, and heals it.
    let pack = vault.state().names("data").pop_first().unwrap();
    {
        let mut state = vault.state();
        let name = format!("data/{pack}");
        state.files.get_mut(&name).unwrap()[7] ^= 1;
        state.scrub = json!({"all_read": null, "objects_read": 9, "rotten": 1});
        state.whole = json!(false);
        state.missing = vec![name.clone()];
        state.rotten = [name].into();
    }
    let status = scene.expect(1, &["--json", "status"]).summary();
    let errors = status["lines"][4]["reason"].as_str().unwrap();
    assert!(
        errors.contains("the vault of three has found a rotten file"),
        "{errors}"
    );
    let summary = scene.expect(0, &["--json", "sync"]).summary();
    assert_eq!(
        summary["copies"][2]["healed"],
        json!([format!("data/{pack}")]),
        "{summary}"
    );
    {
        let mut state = vault.state();
        state.scrub = json!({"all_read": now, "objects_read": 9, "rotten": 0});
        state.whole = json!(true);
        state.missing.clear();
        state.rotten.clear();
    }
    let status = scene.expect(1, &["--json", "status"]).summary();
    assert_eq!(status["copies"][2]["whole"]["met"], true, "{status}");
}

#[test]
fn all_that_a_vault_finds_rotten_is_healed_by_one_sync() {
    let vault = FakeVault::start();
    let scene = scene(&vault);
    for number in 0..5 {
        write_noise(
            &scene.source().join(format!("noise-{number}")),
            number + 10,
            3 << 20,
        );
    }
    scene.begin();
    for number in 0..4 {
        change(&scene, number);
        scene.expect(0, &["--quiet", "backup"]);
    }
    // Whether receipts name them or not: no snapshot is told to lack anything.
    let rotten: Vec<String> = {
        let mut state = vault.state();
        let folders = ["data", "index", "snapshots"];
        let names = folders.iter().flat_map(|folder| {
            let names = state.names(folder).into_iter();
            names.map(move |name| format!("{folder}/{name}"))
        });
        let rotten: Vec<String> = names.collect();
        for name in &rotten {
            state.files.get_mut(name).unwrap()[7] ^= 1;
        }
        state.scrub = json!({"all_read": null, "objects_read": 99, "rotten": rotten.len()});
        state.rotten = rotten.iter().cloned().collect();
        rotten
    };
    assert!(rotten.len() > 12, "{rotten:?}");
    let summary = scene.expect(0, &["--json", "sync"]).summary();
    let healed = summary["copies"][2]["healed"].as_array().unwrap();
    assert_eq!(healed.len(), rotten.len(), "{summary}");
}

#[test]
fn a_vault_whose_objects_lie_in_productions_account_is_production_wherever_it_runs() {
    let (vault, scene) = begun();
    configure(&scene, &vault, "runs_in = \"123456789012\"\n");
    vault.state().runs_in = json!({"account": "aws:999999999999", "by": "metadata"});
    let summary_of = |command: &str, objects_in: Value| -> Value {
        vault.state().objects_in = objects_in;
        let mut command = scene.command(&["--json", command]);
        command
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("GCE_METADATA_HOST", "127.0.0.1:1");
        let ended: crate::scene::Ended = command.output().unwrap().into();
        ended.summary()
    };
    // One that is too old to tell, and one whose bucket is somebody else's.
    for elsewhere in [Value::Null, json!(["aws:999999999999", "aws-owner:aa"])] {
        let summary = summary_of("status", elsewhere);
        assert_eq!(summary["copies"][2]["domain"], "domain-three", "{summary}");
    }
    let told = json!(["no\naccount", "aws-owner:aa", "aws:123456789012"]);
    let summary = summary_of("status", told.clone());
    let row = &summary["copies"][2];
    assert_eq!(row["domain"], "domain-one", "{summary}");
    let reason = "configured as domain-three; its objects lie in production's own account, \
                  aws:123456789012";
    assert_eq!(row["domain_reason"], reason);
    let blast = summary_of("blast-radius", told);
    let reason = "the objects of three lie in production's own account, aws:123456789012";
    let also = blast["domains"][0]["also"].as_array().unwrap();
    let is_told = also.iter().any(|alias| alias["reason"] == reason);
    assert!(is_told, "{blast}");
    let ended = scene.expect(0, &["vault", "status", "three"]);
    let told = "aws-owner:aa, aws:123456789012";
    assert!(ended.out.contains(told), "{}", ended.out);
}

/// Instance metadata of Amazon, on loopback.
fn metadata(account: &'static str) -> Server {
    Server::start(move |asked| match asked.path.as_str() {
        "/latest/api/token" => Answer::text(200, "token"),
        "/latest/dynamic/instance-identity/document" => {
            assert_eq!(asked.header("x-aws-ec2-metadata-token"), Some("token"));
            Answer::json(200, &json!({ "accountId": account }))
        }
        _ => Answer::text(404, ""),
    })
}

#[test]
fn a_vault_in_productions_account_is_production_whatever_it_is_called() {
    let (vault, scene) = begun();
    let account = "aws:123456789012";
    vault.state().runs_in = json!({"account": account, "by": "metadata"});
    let status_with = |own: &'static str, settings: &str| -> Value {
        configure(&scene, &vault, settings);
        let metadata = metadata(own);
        let endpoint = format!("http://{}", metadata.address());
        let mut command = scene.command(&["--json", "status"]);
        command
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint)
            .env("GCE_METADATA_HOST", "127.0.0.1:1");
        let ended: crate::scene::Ended = command.output().unwrap().into();
        ended.assert_code(1, &"status");
        ended.summary()["copies"][2].clone()
    };
    let same = status_with("123456789012", "");
    assert_eq!(same["domain"], "domain-one", "{same}");
    let reason = "configured as domain-three; its vault runs in production's own account, \
                  aws:123456789012";
    assert_eq!(same["domain_reason"], reason);
    let other = status_with("999999999999", "");
    assert_eq!(other["domain"], "domain-three", "{other}");
    assert_eq!(other["domain_reason"], Value::Null);
    let declared = status_with("999999999999", "runs_in = \"123456789012\"\n");
    assert_eq!(declared["domain"], "domain-one", "{declared}");
    write_noise(&scene.source().join("last"), 3, 10);
    let text = {
        let metadata = metadata("123456789012");
        let endpoint = format!("http://{}", metadata.address());
        let mut command = scene.command(&["status"]);
        command.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert!(
        text.contains("three counts as domain-one: configured as"),
        "{text}"
    );
    assert!(
        text.contains("Whoever holds domain-one destroys 3 of 3 copies"),
        "{text}"
    );
}
