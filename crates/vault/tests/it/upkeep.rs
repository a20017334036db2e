//! The program looks after itself: doctor, the log's commands, metrics, and two vaults that are
//! witnesses of each other.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Output};

use strongroom_ledger::{SignedCheckpoint, Verifier};
use strongroom_model::Id;
use strongroom_vault::database::{Database, Sqlite, migrate};
use strongroom_vault::records::SCHEMA;
use tempfile::TempDir;

use crate::running::{curl, program, serve, stop, url};

/// A vault in a folder of its own; a process that serves it is killed when this is dropped.
struct Vault {
    area: TempDir,
    child: Option<Child>,
}

impl Vault {
    fn new() -> Self {
        let area = TempDir::new().unwrap();
        let vault = Self { area, child: None };
        let made = program(&["init"]).arg(vault.folder()).output().unwrap();
        assert!(made.status.success());
        vault.configure("");
        vault
    }

    fn folder(&self) -> PathBuf {
        self.area.path().join("vault")
    }

    fn config(&self) -> PathBuf {
        self.folder().join("vault.toml")
    }

    fn configure(&self, more: &str) {
        // So that the test does not depend on the room of the machine.
        fs::write(self.config(), format!("reserve = \"1MiB\"\n{more}")).unwrap();
    }

    /// Serves it; returns its address.
    fn serve(&mut self) -> String {
        let (child, told) = serve(&self.config(), &["--no-tls"], 1);
        self.child = Some(child);
        url(&told).to_owned()
    }

    /// Serves it with a repository that has its config; returns its address, and the login of one
    /// who may put files there.
    fn serve_repository(&mut self) -> (String, String) {
        let url = self.serve();
        let token = self.run(&[
            "token",
            "create",
            "--repository",
            "acme",
            "--right",
            "append",
        ]);
        let login = format!("any:{token}");
        let create = format!("{url}/acme/?create=true");
        curl(&["--user", &login, "--request", "POST", &create]);
        let config = format!("{url}/acme/config");
        curl(&["--user", &login, "--data-binary", "the config", &config]);
        (url, login)
    }

    fn stop(&mut self) {
        if let Some(child) = self.child.take() {
            stop(child);
        }
    }

    fn output(&self, arguments: &[&str]) -> Output {
        let mut command = program(arguments);
        command.arg("--config").arg(self.config());
        command.output().unwrap()
    }

    fn run(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Vault {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Asks until there is an answer that is no error.
fn curl_until(url: &str) -> String {
    let patient = ["--retry", "40", "--retry-delay", "1", "--retry-all-errors"];
    curl(&[&patient[..], &["--fail", url]].concat())
}

fn key(of: &str) -> Verifier {
    of.parse().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn doctor_finds_a_sound_vault_sound_and_says_what_to_do_about_another() {
    let mut vault = Vault::new();
    let before = vault.output(&["doctor"]);
    assert_eq!(before.status.code(), Some(1));
    assert!(text(&before).contains("is not there"), "{}", text(&before));
    vault.serve_repository();
    vault.run(&["doctor"]);
    vault.stop();
    let all = vault.output(&["doctor", "--all", "--json"]);
    let told: serde_json::Value = serde_json::from_slice(&all.stdout).unwrap();
    assert_eq!(told["sound"], true, "{told}");
    let lines = told["lines"].as_array().unwrap();
    for check in [
        "folder",
        "keys",
        "config",
        "public_url",
        "certificate",
        "serving",
        "database",
        "clock",
        "room",
        "repositories",
        "tokens",
        "tallies",
        "log",
        "audit",
        "objects",
        "bodies",
    ] {
        let line = lines.iter().find(|line| line["check"] == check);
        assert!(line.is_some(), "{check}: {told}");
    }

    let data = vault.folder();
    let damage = |path: &str, check: &str| {
        let path = data.join(path);
        let kept = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let looked = vault.output(&["doctor"]);
        let told = text(&looked);
        assert_eq!(looked.status.code(), Some(1), "{told}");
        let line = told.lines().find(|line| line.starts_with("fail")).unwrap();
        assert!(line.contains(check), "{told}");
        assert!(told.contains("next: "), "{told}");
        fs::write(&path, kept).unwrap();
    };
    damage("log/checkpoint", "log");
    damage("repositories/acme/config", "objects");
    fs::write(data.join("repositories/acme/data-junk"), b"").unwrap();
    vault.run(&["doctor"]);
}

#[test]
fn the_log_is_verified_and_begun_anew_by_commands() {
    let mut vault = Vault::new();
    let url = vault.serve();
    let log_key = vault.run(&["log", "key"]);
    assert_eq!(curl(&[&format!("{url}/log/key")]).trim(), log_key);
    let served = vault.output(&["log", "begin-new", "--because", "no reason"]);
    assert_eq!(served.status.code(), Some(1), "while it is served");
    vault.stop();
    let told = vault.run(&["log", "verify"]);
    assert!(
        told.contains("signed by vault.invalid/strongroom+"),
        "{told}"
    );
    // A torn copy of the checkpoint is found by a look, and mended by serving.
    let checkpoint = vault.folder().join("log/checkpoint");
    let old = fs::read_to_string(&checkpoint).unwrap();
    fs::write(&checkpoint, &old[..old.len() / 2]).unwrap();
    assert_eq!(vault.output(&["log", "verify"]).status.code(), Some(1));
    vault.serve();
    vault.stop();
    vault.run(&["log", "verify"]);
    // The log is lost.
    fs::remove_dir_all(vault.folder().join("log")).unwrap();
    let refused = program(&["serve", "--no-tls", "--listen", "127.0.0.1:0", "--config"])
        .arg(vault.config())
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(told.contains("log begin-new"), "{told}");
    let because = [
        "log",
        "begin-new",
        "--json",
        "--because",
        "the disk tore it",
    ];
    let begun: serde_json::Value = serde_json::from_str(&vault.run(&because)).unwrap();
    assert_eq!(begun["origin"], "vault.invalid/strongroom/2");
    vault.run(&["log", "verify"]);
    let url = vault.serve();
    assert_eq!(curl(&[&format!("{url}/log/key")]).trim(), begun["key"]);
    assert_eq!(
        curl(&[&format!("{url}/readyz")]).lines().last(),
        Some("ready")
    );
    let doctor = vault.run(&["doctor"]);
    assert!(doctor.contains("it is log 2 of this vault"), "{doctor}");
}

#[test]
fn metrics_tell_of_objects_scrubbing_refusals_and_the_log() {
    let mut vault = Vault::new();
    let (url, login) = vault.serve_repository();
    let config = format!("{url}/acme/config");
    curl(&["--user", &login, "--request", "DELETE", &config]);
    vault.stop();
    // What was refused is in the log when the process has ended.
    let entries = entries(&vault.folder());
    assert!(
        entries.contains(r#""reason":"deletion","repository":"acme""#),
        "{entries}"
    );
    let url = vault.serve();
    let metrics = curl(&[&format!("{url}/metrics")]);
    for line in [
        r#"strongroom_vault_objects{repository="acme",state="live"} 1"#,
        r#"strongroom_vault_objects{repository="acme",state="tombstoned"} 0"#,
        r#"strongroom_vault_object_bytes{repository="acme",state="live"} 10"#,
        r#"strongroom_vault_tokens{right="append",standing="counts"} 1"#,
        r#"strongroom_vault_refused_total{reason="deletion"} 0"#,
        r#"strongroom_vault_rotten_objects{repository="acme"} 0"#,
        r#"strongroom_vault_purge_held{repository="acme"} 0"#,
        "strongroom_vault_clock_doubted 0",
        "strongroom_vault_storage_reserve_bytes 1048576",
        "strongroom_vault_ready 1",
        "strongroom_vault_last_arrival_seconds{repository=\"acme\"} ",
        "strongroom_vault_log_leaves ",
        "strongroom_vault_log_wrong 0",
        "strongroom_vault_vault_time_lag_seconds ",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[test]
fn two_vaults_are_witnesses_of_each_other() {
    let (mut one, mut two) = (Vault::new(), Vault::new());
    let log_one = one.run(&["log", "key"]);
    let witness_two = two.run(&["witness", "show"]);
    two.configure(&format!("[[witness_for]]\nkey = \"{log_one}\"\n"));
    let url_two = two.serve();
    one.configure(&format!(
        "[[witness]]\nurl = \"{url_two}\"\nkey = \"{witness_two}\"\n\
         [[witness]]\nurl = \"http://127.0.0.1:1\"\nkey = \"{WITNESS_AWAY}\"\n"
    ));
    // That one witness is away holds up neither the log nor the other witness.
    let url_one = one.serve();
    let note = curl_until(&format!("{url_one}/log/witnessed"));
    let signed = SignedCheckpoint::open(note.as_bytes(), &key(&log_one)).unwrap();
    assert!(signed.witnessed_at(&key(&witness_two)).unwrap() > 1_600_000_000);
    // The checkpoint itself has the cosignature too, while nothing newer is there.
    let shown: serde_json::Value =
        serde_json::from_str(&one.run(&["witness", "show", "--json"])).unwrap();
    let cosigned = |at: usize| shown["witnesses"][at]["cosigned"].clone();
    assert!(cosigned(0).is_string() && cosigned(1).is_null(), "{shown}");

    let add = |body: &str| {
        let path = two.folder().join("request");
        fs::write(&path, body).unwrap();
        let data = format!("@{}", path.display());
        let page = format!("{url_two}/add-checkpoint");
        let told = ["--write-out", "%{http_code}", "--data-binary", &data, &page];
        curl(&told)
    };
    // As if it began anew; and shorter, with nothing to prove it.
    let size = signed.checkpoint().size();
    let answer = add(&format!("old 0\n\n{note}"));
    assert!(answer.ends_with("409"), "{answer}");
    let known: u64 = answer.lines().next().unwrap().parse().unwrap();
    assert!(known >= size);
    let foreign = note.replacen("vault.invalid", "vault.example", 1);
    assert_eq!(add(&format!("old 0\n\n{foreign}")), "404");
    let forged = note.replacen(&format!("\n{size}\n"), &format!("\n{}\n", size + 1), 1);
    assert_eq!(add(&format!("old {known}\n\n{forged}")), "403");
    assert_eq!(add("nonsense"), "400");
    let not_asked = curl(&[
        "--write-out",
        "%{http_code}",
        &format!("{url_one}/add-checkpoint"),
    ]);
    assert!(not_asked.ends_with("404"), "{not_asked}");
}

/// A witness that nobody is.
const WITNESS_AWAY: &str = "vault-b.example.net/strongroom-witness+b3a54140+\
                            BKzD6wNjmw0PgawbJs8UIPKH4W+E6DkkiGpUnTKp7ivk";

/// All entries of a short log.
fn entries(data: &Path) -> String {
    let folder = data.join("log/tile/entries/000.p");
    let mut widest = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        if bytes.len() > widest.len() {
            widest = bytes;
        }
    }
    String::from_utf8_lossy(&widest).into_owned()
}

#[test]
fn commands_beside_the_server_leave_an_older_schema_as_it_is() {
    let mut vault = Vault::new();
    let path = vault.folder().join("vault.sqlite");
    let version = || {
        let database = Sqlite::open(&path).unwrap();
        let mut version = 0;
        let newest = "SELECT MAX(version) FROM schema_version";
        database
            .read(&mut |transaction| {
                version = transaction.first(newest, &[], |row| row.int(0))?.unwrap();
                Ok(())
            })
            .unwrap();
        version
    };
    let older = &SCHEMA[..SCHEMA.len() - 1];
    migrate(&Sqlite::open(&path).unwrap(), older).unwrap();
    for arguments in [
        &["token", "list"][..],
        &["clock", "show"],
        &["doctor"],
        &["log", "key"],
        &["log", "verify"],
        &["log", "begin-new", "--because", "x"],
        &["witness", "show"],
        &["repository", "list"],
        &["repository", "set", "acme/repos", "--new"],
        &["undelete", "acme/repos"],
        &["key", "list", "acme/repos"],
    ] {
        let output = vault.output(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stderr),
            text(&output)
        );
        assert!(said.contains("restart the vault"), "{arguments:?}: {said}");
        assert_eq!(version(), older.len() as i64, "{arguments:?}");
    }
    vault.serve();
    vault.stop();
    vault.run(&["token", "list"]);
    assert_eq!(version(), SCHEMA.len() as i64);
}

#[test]
fn a_repository_is_made_where_that_is_said_and_not_by_a_typing_error() {
    let vault = Vault::new();
    let set = |path: &str, more: &[&str]| {
        let mut arguments = vec!["repository", "set", path];
        arguments.extend(more);
        vault.output(&arguments)
    };
    let made = set("acme/repos", &["--new", "--quota", "2TiB"]);
    let told = text(&made);
    assert!(made.status.success(), "{made:?}");
    for part in ["acme/repos is made", "30 d after arrival", "at most 2TiB"] {
        assert!(told.contains(part), "{told}");
    }
    let missed = set("acme/repoz", &["--retention", "60d"]);
    assert_eq!(missed.status.code(), Some(1));
    let said = String::from_utf8_lossy(&missed.stderr);
    for part in [
        "There is no repository acme/repoz",
        "was acme/repos meant?",
        "--new",
    ] {
        assert!(said.contains(part), "{said}");
    }
    // Nothing is made of what would be refused.
    for lower in ["--retention", "--grace"] {
        let refused = set("acme/short", &["--new", lower, "1d"]);
        assert_eq!(refused.status.code(), Some(1));
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(said.contains("acme/short is not made"), "{said}");
        assert!(said.contains("30 d"), "{said}");
    }
    assert_eq!(set("acme/repos", &[]).status.code(), Some(2));
    let told = text(&set("acme/repos", &["--retention", "60d"]));
    assert!(
        told.contains("acme/repos is set: kept 60 d after"),
        "{told}"
    );
    let list = vault.run(&["repository", "list"]);
    assert_eq!(list.lines().count(), 1, "{list}");
    assert!(
        list.contains("0 tombstones; kept 60 d after arrival"),
        "{list}"
    );
    // What is refused here is in the log as well.
    let lower = set("acme/repos", &["--retention", "1d"]);
    assert_eq!(lower.status.code(), Some(1));
    let mut vault = vault;
    vault.serve();
    vault.stop();
    let entries = entries(&vault.folder());
    let refusal = r#""reason":"needs-approval","repository":"acme/repos""#;
    assert!(entries.contains(refusal), "{entries}");
}

#[test]
fn what_a_token_has_put_is_purged_in_its_time_and_not_before() {
    let mut vault = Vault::new();
    let of = ["--repository", "acme/repos", "--right", "append", "--json"];
    let made = vault.run(&[&["token", "create"][..], &of].concat());
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    assert_eq!(made["right"], "append");
    assert_eq!(made["repository"], "acme/repos");
    let name = made["name"].as_str().unwrap();
    let text = made["token"].as_str().unwrap();
    assert!(text.contains(name) && text.len() > 40, "{text}");
    vault.run(&["token", "revoke", name]);
    let refused = vault.output(&["token", "purge", name]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("approval of several people"), "{said}");
    let unknown = vault.output(&["token", "purge", "nobody"]);
    assert_eq!(unknown.status.code(), Some(1));
    let said = String::from_utf8_lossy(&unknown.stderr);
    assert!(said.contains("nobody"), "{said}");
    vault.serve();
    vault.stop();
    let entries = entries(&vault.folder());
    let refusals = entries.matches(r#""reason":"needs-approval""#).count();
    assert_eq!(refusals, 1, "{entries}");
}

#[test]
fn one_deletion_is_taken_back_and_a_second_time_there_is_none() {
    let mut vault = Vault::new();
    let url = vault.serve();
    let create = [
        "token",
        "create",
        "--repository",
        "acme",
        "--right",
        "maintain",
    ];
    let login = format!("any:{}", vault.run(&create));
    let ask = |method: &str, path: &str, body: &str| {
        let url = format!("{url}/acme/{path}");
        let arguments = [
            "--user",
            &login,
            "--request",
            method,
            "--data-binary",
            body,
            &url,
        ];
        curl(&[&["--fail"][..], &arguments].concat())
    };
    ask("POST", "?create=true", "");
    ask("POST", "config", "the config");
    let file = format!("data/{}", Id::of(b"a pack"));
    ask("POST", &file, "a pack");
    ask("DELETE", &file, "");
    vault.run(&["undelete", "acme", &file]);
    assert_eq!(
        curl(&["--user", &login, &format!("{url}/acme/{file}")]),
        "a pack"
    );
    let again = vault.output(&["undelete", "acme", &file]);
    assert_eq!(again.status.code(), Some(1));
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(said.contains("There is no deleted file"), "{said}");
    // What did nothing is not taken for done, whichever of them it was.
    let name = login.split('-').nth(1).unwrap();
    for nothing in [
        &["undelete", "acme"][..],
        &["hide", "--token", name, "--since", "2999-01-01T00:00:00Z"],
        &["unhide", "--token", name],
    ] {
        let output = vault.output(nothing);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{nothing:?}: {said}");
        assert!(said.contains("hint: "), "{nothing:?}: {said}");
        assert!(output.stdout.is_empty(), "{nothing:?}");
    }
    for wrong in [
        &["undelete", "acme", "data/x"][..],
        &["undelete", "acme", &file, "--token", "x"],
    ] {
        assert_eq!(vault.output(wrong).status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn the_leaf_of_a_start_tells_what_promises_rest_on() {
    let mut vault = Vault::new();
    let started = |vault: &mut Vault| {
        vault.serve();
        vault.stop();
        let entries = entries(&vault.folder());
        let (_, last) = entries.rsplit_once(r#""act":"start""#).unwrap();
        last.split('}').next().unwrap().to_owned()
    };
    let url = "public_url = \"http://localhost:8000\"\n";
    vault.configure(url);
    let first = started(&mut vault);
    for part in [
        r#""retention_s":2592000,"grace_s":2592000"#,
        r#""reserve_bytes":1048576"#,
        r#""storage":"folder","database":"sqlite","config":""#,
    ] {
        assert!(first.contains(part), "{first}");
    }
    vault.configure(&format!("# a remark\nretention = \"2d\"\n{url}"));
    let second = started(&mut vault);
    assert!(second.contains(r#""retention_s":172800"#), "{second}");
    assert!(
        first.contains(r#""public_url":"http://localhost:8000"#),
        "{first}"
    );
    let digest = |leaf: &str| leaf.split(r#""config":""#).nth(1).unwrap().to_owned();
    assert_ne!(digest(&first), digest(&second));
    vault.configure(&format!("retention = \"2d\"\n\n{url}"));
    assert_eq!(
        digest(&started(&mut vault)),
        digest(&second),
        "remarks do not count"
    );
}

#[test]
fn a_vault_is_found_where_the_environment_says() {
    let vault = Vault::new();
    let output = program(&["token", "list"])
        .env("STRONGROOM_VAULT_CONFIG", vault.config())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let output = program(&["token", "list"])
        .env("STRONGROOM_VAULT_CONFIG", vault.folder().join("none.toml"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("none.toml") && said.contains("--config"),
        "{said}"
    );
}
