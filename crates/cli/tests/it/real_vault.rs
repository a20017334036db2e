//! The real vault's program, with a certificate that it has made itself, and all that is done with
//! it: administered, written to, asked, undone.

mod letting_go;
mod log;
mod rehearsal;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::scene::{Ended, PASSWORD, PATIENCE, Scene, plant_key, write_noise};
use crate::vault::{ACCEPT, objects};

/// A vault that serves until this is dropped.
pub(crate) struct RealVault {
    child: Child,
    folder: PathBuf,
    url: String,
    pub(crate) fingerprint: String,
}

impl RealVault {
    /// One in the folder `vault` of a scene, whose copy `three` lies there by a token with this right;
    /// tells the name of the token and its text too.
    #[track_caller]
    pub(crate) fn of_copy(scene: &Scene, right: &str) -> (Self, String, String) {
        Self::of_copy_with(scene, right, "")
    }

    /// With lines in its configuration.
    #[track_caller]
    fn of_copy_with(scene: &Scene, right: &str, configuration: &str) -> (Self, String, String) {
        let vault = Self::start(&scene.path("vault"), configuration);
        let (name, token) = vault.create_token(scene, right);
        vault.configure(scene, &token, &vault.fingerprint);
        (vault, name, token)
    }

    fn start(folder: &Path, configuration: &str) -> Self {
        let program = Self::program();
        assert!(
            program.exists(),
            "build the vault too: cargo build --workspace"
        );
        let made = Command::new(&program)
            .arg("init")
            .arg(folder)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        // Nobody listens there, and nobody is told of anything in these tests.
        let told = "[[notify]]\nname = \"phone\"\nkind = \"ntfy\"\nurl = \"http://127.0.0.1:9\"\n\
                    topic = \"tests\"\nlevel = \"critical\"\noutside_production = true\n";
        let configuration = format!("reserve = \"1MiB\"\n{configuration}\n{told}");
        fs::write(folder.join("vault.toml"), configuration).unwrap();
        Self::serve(folder, "127.0.0.1:0")
    }

    /// Its program: both are built into one folder.
    fn program() -> PathBuf {
        Path::new(env!("CARGO_BIN_EXE_strongroom")).with_file_name("strongroom-vault")
    }

    /// Runs a command of its own program, which must come to its end.
    fn own(folder: &Path, arguments: &[&str]) -> Output {
        let mut command = Command::new("timeout");
        command.arg("60").arg(Self::program());
        command.args(arguments).arg("--config");
        command.arg(folder.join("vault.toml")).output().unwrap()
    }

    fn serve(folder: &Path, listen: &str) -> Self {
        let mut child = Command::new(Self::program())
            .args(["serve", "--listen", listen, "--config"])
            .arg(folder.join("vault.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut next = |words: &str| {
            let line = said.next().unwrap().unwrap();
            line.strip_prefix(words)
                .unwrap_or_else(|| panic!("{line}"))
                .to_owned()
        };
        Self {
            url: next("Listening on "),
            fingerprint: next("SHA-256 of the certificate: "),
            folder: folder.to_owned(),
            child,
        }
    }

    /// Ends it, does something, and starts it again where it was.
    fn restart(&mut self, between: impl FnOnce()) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        between();
        let listen = self.url.strip_prefix("https://").unwrap();
        *self = Self::serve(&self.folder, listen);
    }

    /// Runs a command of its administration, which must end so.
    #[track_caller]
    pub(crate) fn administer(&self, scene: &Scene, code: i32, arguments: &[&str]) -> Ended {
        let token = self.folder.join("keys/admin.token");
        let mut all = vec!["vault"];
        all.extend(arguments);
        all.extend(["--at", &self.url, "--fingerprint", &self.fingerprint]);
        all.extend(["--admin-token-file", token.to_str().unwrap(), "--json"]);
        scene.expect(code, &all)
    }

    /// Makes a token with this right; tells its name and its text.
    #[track_caller]
    pub(crate) fn create_token(&self, scene: &Scene, right: &str) -> (String, String) {
        let create = [
            "token",
            "create",
            "--repository",
            "acme/repos",
            "--right",
            right,
            "--expires",
            "90d",
        ];
        let made = self.administer(scene, 0, &create).summary();
        let text = |field: &str| made[field].as_str().unwrap().to_owned();
        (text("name"), text("token"))
    }

    /// What it tells who measures it.
    fn metrics(&self) -> String {
        String::from_utf8(self.get("/metrics", &[])).unwrap()
    }

    /// What it answers to a GET that curl makes, with more arguments of that.
    #[track_caller]
    fn get(&self, path: &str, more: &[&str]) -> Vec<u8> {
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--max-time", "60", "--cacert"])
            .arg(self.folder.join("keys/tls.crt"))
            .args(more)
            .arg(format!("{}{path}", self.url))
            .output();
        let output = output.unwrap_or_else(|error| panic!("curl, which this test needs: {error}"));
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{path}: {complaint}");
        output.stdout
    }

    pub(crate) fn configure(&self, scene: &Scene, token: &str, fingerprint: &str) {
        let address = self.url.strip_prefix("https://").unwrap();
        scene.configure(
            "",
            &[
                ("one", scene.path("one").display().to_string()),
                ("two", scene.path("two").display().to_string()),
                (
                    "three",
                    format!("rest:https://any:{token}@{address}/acme/repos/"),
                ),
            ],
        );
        let path = scene.path("strongroom.toml");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}fingerprint = \"{fingerprint}\"\n")).unwrap();
    }
}

impl Drop for RealVault {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_copy_on_a_real_vault_is_known_by_its_certificate_and_lives_as_the_others() {
    let scene = Scene::new();
    write_noise(&scene.source().join("noise"), 1, 1 << 20);
    let (mut vault, name, token) = RealVault::of_copy(&scene, "append");
    plant_key(&scene.path("one"), PASSWORD);
    scene
        .expect(0, &["init"])
        .assert_says(&["three is a vault"]);
    let summary = scene.expect(0, &["--json", "backup"]).summary();
    assert_eq!(summary["copies"][2]["by_vault"]["whole"], true, "{summary}");
    scene.expect(0, &["verify"]);
    // When its snapshot came is told by its own clock, which was there before we had listed it.
    let ended = scene.expect(0, &["--json", "forget", "--dry-run"]);
    let [decision]: [Value; 1] = objects(&ended, "decision").try_into().unwrap();
    assert_eq!(decision["arrival"]["by"], "vault", "{decision}");
    assert_eq!(decision["fate"], "kept", "{decision}");
    let ended = scene.expect(0, &["--json", "sync"]);
    assert_eq!(objects(&ended, "vault")[0]["alarm"], Value::Null);
    let ended = scene.expect(0, &["--json", "vault", "snapshots", "three"]);
    assert_eq!(objects(&ended, "snapshot")[0]["token"], name);
    let status = scene
        .expect(0, &["--json", "vault", "status", "three"])
        .summary();
    assert_eq!(status["repository"]["repository"], "acme/repos", "{status}");

    // Its metrics say it too, from the start on, and once a minute anew.
    vault.restart(|| {});
    let whole = "snapshot_whole{repository=\"acme/repos\",source=\"main\"} 1\n";
    let until = Instant::now() + PATIENCE;
    loop {
        let metrics = vault.metrics();
        if metrics.contains(whole) {
            break;
        }
        assert!(Instant::now() < until, "{metrics}");
        thread::park_timeout(Duration::from_millis(50));
    }

    // Another certificate is one clear error, with both fingerprints and the next step.
    let other = vault.fingerprint.replace(|c| c != ':', "0");
    vault.configure(&scene, &token, &other);
    let ended = scene.expect(3, &["backup"]);
    ended.assert_says(&["three", &other, &vault.fingerprint]);
    ended.assert_says(&["fingerprint = ", &vault.fingerprint]);
}

#[test]
fn a_vault_keeps_the_records_of_a_client_that_has_lost_everything_else() {
    let scene = Scene::new();
    write_noise(&scene.source().join("noise"), 1, 1 << 20);
    let (vault, ..) = RealVault::of_copy(&scene, "append");
    scene.begin();
    let ended = scene.expect(0, &["--json", "hold", "latest", "--why", "audit"]);
    assert_eq!(ended.summary()["not_on"], json!([]), "{}", ended.err);
    let local = |copy: &str| scene.path(copy).join("strongroom");
    for folder in [local("one"), local("two"), scene.path("state")] {
        fs::remove_dir_all(folder).unwrap();
    }
    let ended = scene.run(&["--json", "snapshots"]);
    let told = &objects(&ended, "snapshot")[0];
    assert_eq!(told["held"]["why"], "audit", "{told}");
    // It is none of the files that are synced, and is carried all the same.
    scene.run(&["sync"]);
    for copy in ["one", "two"] {
        assert_eq!(fs::read_dir(local(copy)).unwrap().count(), 1);
    }
    let doctor = vault.administer(&scene, 0, &["doctor"]).summary();
    assert_eq!(doctor["findings"], 0, "{doctor}");
}

#[test]
fn whoever_administers_a_vault_makes_ends_hides_and_brings_back() {
    let scene = Scene::new();
    write_noise(&scene.source().join("noise"), 1, 1 << 20);
    let (vault, name, token) = RealVault::of_copy(&scene, "append");
    scene.begin();

    // A second key waits for an operator, and travels no second time.
    scene
        .add_key("another password")
        .assert_says(&["three: 1 key waits for an operator"]);
    scene
        .expect(0, &["sync"])
        .assert_says(&["strongroom-vault key admit acme/repos"]);
    let ended = vault.administer(&scene, 0, &["key", "list", "acme/repos"]);
    let [key] = objects(&ended, "pending_key").try_into().unwrap();
    let admit = ["key", "admit", "acme/repos", key["key"].as_str().unwrap()];
    vault.administer(&scene, 0, &admit);
    let summary = scene.expect(0, &["--json", "sync"]).summary();
    assert_eq!(summary["pending_keys"], json!({}), "{summary}");

    let set = [
        "repository",
        "set",
        "acme/repos",
        "--retention",
        "60d",
        "--quota",
        "1GiB",
    ];
    let summary = vault.administer(&scene, 0, &set).summary();
    assert_eq!(summary["retention_s"], 60 * 86_400, "{summary}");
    let ended = vault.administer(&scene, 0, &["repository", "list"]);
    let [repository] = objects(&ended, "repository").try_into().unwrap();
    assert_eq!(repository["retention_s"], 60 * 86_400, "{repository}");
    assert_eq!(repository["quota_bytes"], 1 << 30);
    let lower = ["repository", "set", "acme/repos", "--retention", "1d"];
    vault
        .administer(&scene, 1, &lower)
        .assert_says(&["refuses to set how long things are kept"]);

    let doctor = vault.administer(&scene, 0, &["doctor"]).summary();
    assert_eq!(doctor["findings"], 0, "{doctor}");

    // What a token put is out of sight, and back.
    vault.administer(
        &scene,
        0,
        &["token", "hide", &name, "--since", "2020-01-01T00:00:00Z"],
    );
    let ended = scene.run(&["vault", "status", "three"]);
    assert!(!ended.out.contains(" 0 hidden"), "{}", ended.out);
    vault.administer(&scene, 0, &["token", "unhide", &name]);
    // Its keys were live and are again: nobody has to admit them anew.
    let summary = scene.expect(0, &["--json", "sync"]).summary();
    assert_eq!(summary["pending_keys"], json!({}), "{summary}");
    vault.administer(&scene, 0, &["token", "forget-client-key", &name]);
    // What did nothing is not told as done.
    let late = ["token", "hide", &name, "--since", "2999-01-01T00:00:00Z"];
    vault
        .administer(&scene, 1, &late)
        .assert_says(&["nothing is hidden"]);
    vault
        .administer(&scene, 1, &["token", "unhide", &name])
        .assert_says(&["was hidden"]);
    vault
        .administer(&scene, 1, &["repository", "undelete", "acme/repos"])
        .assert_says(&["nothing to bring back"]);
    let agree = [
        "repository",
        "agree-to-purge",
        "acme/repos",
        "--tombstones",
        "0",
    ];
    let agreed = vault.administer(&scene, 0, &agree).summary();
    assert_eq!(agreed["agreed"], false, "{agreed}");
    vault.administer(&scene, 0, &["clock", "confirm"]);
    let off = ["clock", "confirm", "--catch-up", "300d"];
    vault
        .administer(&scene, 1, &off)
        .assert_says(&["refuses to believe its clock"]);
    let ended = vault.administer(&scene, 0, &["token", "list"]);
    let [listed] = objects(&ended, "token").try_into().unwrap();
    let time = |field: &str| {
        let time = listed[field].as_str().unwrap();
        time.parse::<jiff::Timestamp>().unwrap()
    };
    let counts_for = time("expires").duration_since(time("made"));
    assert_eq!(counts_for.as_secs(), 90 * 86_400, "{listed}");
    assert!(!ended.out.contains(&token), "a secret is listed");
    let set = ["token", "set", &name, "--daily-objects", "7000000"];
    let summary = vault.administer(&scene, 0, &set).summary();
    assert_eq!(summary["daily_objects"], 7_000_000);
    assert_eq!(summary["daily_bytes"], serde_json::Value::Null);
    vault.administer(&scene, 2, &["token", "set", &name]);
    vault.administer(&scene, 0, &["token", "revoke", &name]);
    scene.expect(3, &["sync"]).assert_says(&["three", "401"]);
    let nobody = ["token", "revoke", "nobody"];
    vault
        .administer(&scene, 1, &nobody)
        .assert_says(&["refuses to end a token"]);
}

#[test]
fn a_vault_that_was_restored_begins_a_new_log_which_is_an_alarm_until_it_is_accepted() {
    let scene = Scene::new();
    write_noise(&scene.source().join("noise"), 1, 1 << 20);
    let folder = scene.path("vault");
    let (mut vault, ..) = RealVault::of_copy(&scene, "append");
    let names = ["vault.sqlite", "vault.sqlite-wal", "vault.sqlite-shm"];
    scene.begin();
    // The database as it is before another backup, and put back after it.
    vault.restart(|| {
        for name in names {
            let _ = fs::copy(folder.join(name), scene.path(name));
        }
        assert!(scene.path(names[0]).exists());
    });
    write_noise(&scene.source().join("more"), 2, 1 << 20);
    scene.expect(0, &["backup"]);
    vault.restart(|| {
        for name in names {
            let _ = fs::remove_file(folder.join(name));
            let _ = fs::copy(scene.path(name), folder.join(name));
        }
        let refused = RealVault::own(&folder, &["serve", "--listen", "127.0.0.1:0"]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(said.contains("log begin-new"), "{said}");
        let begun = RealVault::own(&folder, &["log", "begin-new", "--because", "a disk died"]);
        assert!(begun.status.success(), "{begun:?}");
    });
    for _ in 0..2 {
        scene
            .expect(1, &["sync"])
            .assert_says(&["ALARM: three", "began a new log, after leaf"]);
    }
    scene.expect(0, &ACCEPT);
    scene.expect(0, &["sync"]);
    let log = scene
        .expect(0, &["--json", "vault", "log", "three"])
        .summary();
    assert_eq!(log["origin"], "vault.invalid/strongroom/2", "{log}");
}

/// Asks the vault until it has found so many rotten objects.
#[track_caller]
#[test]
fn while_a_vault_is_sealed_nothing_is_forgotten_or_pruned_and_backups_go_on() {
    let scene = Scene::new();
    let (vault, ..) = RealVault::of_copy(&scene, "maintain");
    write_noise(&scene.source().join("noise"), 1, 1 << 16);
    plant_key(&scene.path("one"), PASSWORD);
    scene.expect(0, &["init"]);
    scene.expect(0, &["backup"]);
    let snapshot = scene.snapshots().remove(0);
    let sealed = RealVault::own(&vault.folder, &["seal"]);
    assert!(sealed.status.success(), "{sealed:?}");
    let files = |copy: &str| (scene.files(copy, "snapshots"), scene.files(copy, "data"));
    let before = files("one");
    for words in [&["forget", &snapshot][..], &["prune"]] {
        let refused = scene.expect(1, words);
        let text = refused.err;
        assert!(text.contains("is sealed"), "{text}");
        assert!(text.contains("its operators know"), "{text}");
    }
    assert_eq!(files("one"), before);
    scene.expect(0, &["prune", "--dry-run"]);
    scene.expect(0, &["backup"]);
    assert!(files("one").0.len() > before.0.len());
}

fn wait_for_rotten(scene: &Scene, rotten: u64) {
    let until = Instant::now() + PATIENCE;
    loop {
        let ended = scene.run(&["--json", "vault", "status", "three"]);
        let status = ended.summary();
        if status["repository"]["scrub"]["rotten"] == rotten {
            return;
        }
        assert!(Instant::now() < until, "{status}");
        thread::park_timeout(Duration::from_millis(200));
    }
}

#[test]
fn rot_on_a_vaults_disk_is_found_there_and_healed_by_the_next_sync() {
    let scene = Scene::new();
    write_noise(&scene.source().join("noise"), 1, 1 << 20);
    let folder = scene.path("vault");
    // Rounds of four seconds: what is read once and sound then is read again.
    let every = "verify_every = \"5s\"\n";
    let (_vault, ..) = RealVault::of_copy_with(&scene, "append", every);
    scene.begin();
    wait_for_rotten(&scene, 0);

    let data = folder.join("repositories/acme/repos/data");
    let packs = fs::read_dir(data).unwrap().flat_map(|folder| {
        let within = fs::read_dir(folder.unwrap().path()).unwrap();
        within.map(|pack| pack.unwrap().path())
    });
    let pack = packs.max_by_key(|path| fs::metadata(path).unwrap().len());
    let pack = pack.unwrap();
    let sound = fs::read(&pack).unwrap();
    let mut rotten = sound.clone();
    rotten[7] ^= 1;
    // A disk does not ask for permissions.
    fs::remove_file(&pack).unwrap();
    fs::write(&pack, rotten).unwrap();

    wait_for_rotten(&scene, 1);
    let status = scene.run(&["vault", "status", "three"]).out;
    assert!(status.contains("1 rotten object found"), "{status}");
    let summary = scene.expect(0, &["--json", "sync"]).summary();
    let name = pack.file_name().unwrap().to_str().unwrap();
    let healed = &summary["copies"][2]["healed"];
    assert_eq!(*healed, json!([format!("data/{name}")]), "{summary}");
    assert!(fs::read(&pack).unwrap() == sound, "{name} is not healed");
    wait_for_rotten(&scene, 0);
    let ended = scene.expect(0, &["--json", "vault", "snapshots", "three"]);
    assert_eq!(objects(&ended, "snapshot")[0]["whole"], true);
}
