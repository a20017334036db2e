//! What is forgotten and pruned is a tombstone on a vault: hidden, seen as of before, and brought back
//! by whoever administers it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use strongroom_testkit::programs::restic_versions;
use strongroom_testkit::tree::compare;

use crate::real_vault::RealVault;
use crate::scene::{Ended, PASSWORD, PATIENCE, Scene, write_noise};
use crate::vault::objects;

impl RealVault {
    /// Runs the newest restic, which must succeed, on the repository as `view` shows it: as it is now,
    /// or with `asof/…/`.
    #[track_caller]
    fn restic(&self, token: &str, view: &str, arguments: &[&str]) -> Ended {
        let address = self.url.strip_prefix("https://").unwrap();
        let repository = format!("rest:https://any:{token}@{address}/{view}acme/repos/");
        let newest = restic_versions().pop().unwrap();
        let output = Command::new(&newest.path)
            .args(["--no-cache", "-r", &repository, "--cacert"])
            .arg(self.folder.join("keys/tls.crt"))
            .args(arguments)
            .env("RESTIC_PASSWORD", PASSWORD)
            .output();
        let ended = Ended::from(output.unwrap());
        ended.assert_code(0, &(view, arguments));
        ended
    }

    /// The ids of the snapshots that restic lists, sorted.
    #[track_caller]
    fn restic_snapshots(&self, token: &str, view: &str) -> Vec<String> {
        let listed = self.restic(token, view, &["--no-lock", "snapshots", "--json"]);
        let listed: Value = serde_json::from_str(&listed.out).unwrap();
        let ids = listed.as_array().unwrap().iter();
        let ids = ids.map(|one| one["id"].as_str().unwrap().to_owned());
        let mut ids: Vec<String> = ids.collect();
        ids.sort();
        ids
    }

    /// What restic restores of a snapshot, and what it made of the source.
    #[track_caller]
    fn restored(
        &self,
        scene: &Scene,
        token: &str,
        view: &str,
        snapshot: &str,
    ) -> (tempfile::TempDir, PathBuf) {
        let target = tempfile::tempdir().unwrap();
        let to = target.path().to_str().unwrap();
        let restore = ["--no-lock", "restore", snapshot, "--target", to];
        self.restic(token, view, &restore);
        let restored = target
            .path()
            .join(scene.source().strip_prefix("/").unwrap());
        (target, restored)
    }
}

impl RealVault {
    /// What it tells whoever administers it of its one repository.
    #[track_caller]
    fn repository(&self, scene: &Scene) -> Value {
        let ended = self.administer(scene, 0, &["repository", "list"]);
        let [repository] = objects(&ended, "repository").try_into().unwrap();
        repository
    }

    /// Waits until it has fewer tombstones; tells how many are left.
    #[track_caller]
    fn wait_for_a_purge(&self, scene: &Scene, tombstones: u64) -> u64 {
        let until = Instant::now() + PATIENCE;
        loop {
            let repository = self.repository(scene);
            let left = repository["tombstones"].as_u64().unwrap();
            if left < tombstones {
                return left;
            }
            assert!(Instant::now() < until, "{repository}");
            thread::park_timeout(Duration::from_millis(500));
        }
    }
}

/// Whether a vault calls a snapshot whole, by each of its receipts that are told.
#[track_caller]
fn is_whole(scene: &Scene, snapshot: &str) -> Vec<Value> {
    let ended = scene.run(&["--json", "vault", "snapshots", "three"]);
    let told = objects(&ended, "snapshot").into_iter();
    let of_it = told.filter(|told| told["snapshot"] == snapshot);
    of_it.map(|told| told["whole"].clone()).collect()
}

/// What came of a copy, by its name.
fn of_copy(summary: &Value, name: &str) -> Value {
    let mut copies = summary["copies"].as_array().unwrap().iter();
    copies.find(|copy| copy["name"] == name).unwrap().clone()
}

/// Backs up twice, with a vault as the third copy, which has these lines in its configuration: the
/// files `first` and `both`, then `both` and `second`. Tells a token that may ask for deletion, and the
/// snapshots.
fn backed_up_twice(scene: &Scene, configuration: &str) -> (RealVault, String, [String; 2]) {
    let noise = |name: &str, seed| write_noise(&scene.source().join(name), seed, 1 << 20);
    noise("first", 1);
    noise("both", 2);
    let (vault, _, token) = RealVault::of_copy_with(scene, "maintain", configuration);
    scene.begin();
    fs::remove_file(scene.source().join("first")).unwrap();
    noise("second", 3);
    scene.expect(0, &["--quiet", "backup"]);
    (vault, token, scene.snapshots().try_into().unwrap())
}

#[test]
fn what_is_forgotten_is_a_tombstone_on_a_vault_and_gone_from_a_folder() {
    let scene = Scene::new();
    let (vault, token, [gone, kept]) = backed_up_twice(&scene, "");
    let log = scene.expect(0, &["--json", "vault", "log", "three"]);
    let before = format!("asof/@{}/", log.summary()["size"]);

    let packs = scene.files("one", "data");
    let forget = ["--json", "forget", gone.as_str()];
    let forgotten = scene.expect(0, &forget).summary();
    let prune = ["--json", "prune", "--max-unused", "0"];
    let pruned = scene.expect(0, &prune).summary();
    for copy in ["one", "two", "three"] {
        let told = of_copy(&forgotten, copy);
        assert_eq!(told["removed"], 1, "{told}");
        assert_eq!(told["waiting"], 0, "{told}");
        let told = of_copy(&pruned, copy);
        assert_eq!(told["outcome"], "done", "{told}");
        assert!(told["removed"].as_u64().unwrap() > 1, "{told}");
        // What a vault was asked to delete is not called free.
        let is_kept = copy == "three";
        assert_eq!(told["freed_bytes"] == 0, is_kept, "{told}");
        assert_eq!(told["kept_bytes"] != 0, is_kept, "{told}");
        assert_eq!(told["kept_until"].is_string(), is_kept, "{told}");
    }
    assert_eq!(of_copy(&forgotten, "three")["freed_bytes"], 0);
    assert_ne!(of_copy(&forgotten, "one")["freed_bytes"], 0);
    // The folders have let go at once; the vault shows the same, and has all of it.
    assert!(!packs.is_subset(&scene.files("one", "data")));
    assert_eq!(scene.files("one", ""), scene.files("two", ""));
    assert_eq!(scene.snapshots(), std::slice::from_ref(&kept));
    assert_eq!(
        vault.restic_snapshots(&token, ""),
        std::slice::from_ref(&kept)
    );
    vault.restic(&token, "", &["check", "--read-data"]);
    let status = scene.expect(0, &["--json", "vault", "status", "three"]);
    let status = status.summary();
    let tombstones = status["repository"]["tombstones"].as_u64().unwrap();
    let removed = of_copy(&pruned, "three")["removed"].as_u64().unwrap();
    assert!(tombstones > removed, "{status}");
    scene.assert_whole();

    // As of before both are there, and what only the first had is restored.
    let mut both = [gone.clone(), kept.clone()];
    both.sort();
    assert_eq!(vault.restic_snapshots(&token, &before), both);
    let (_target, restored) = vault.restored(&scene, &token, &before, &gone);
    let length = fs::metadata(restored.join("first")).unwrap().len();
    assert_eq!(length, 1 << 20);

    // Whoever administers the vault brings it back there. What is on record stays removed for us, and
    // the next sync asks for its deletion again; nothing of it comes to the other copies.
    vault.administer(&scene, 0, &["repository", "undelete", "acme/repos"]);
    assert_eq!(vault.restic_snapshots(&token, ""), both);
    vault.restic(&token, "", &["check", "--read-data"]);
    assert_eq!(scene.snapshots(), std::slice::from_ref(&kept));
    let one = scene.files("one", "");
    scene.expect(0, &["sync"]);
    assert_eq!(scene.files("one", ""), one);
    assert_eq!(vault.restic_snapshots(&token, ""), [kept]);
    scene.assert_whole();
    scene.expect(0, &["verify", "--decode"]);
}

#[test]
fn a_vault_that_was_away_gets_its_tombstones_by_a_sync_and_gives_nothing_back() {
    let scene = Scene::new();
    let (mut vault, token, [gone, kept]) = backed_up_twice(&scene, "");
    let log = scene.expect(0, &["--json", "vault", "log", "three"]);
    let before = format!("asof/@{}/", log.summary()["size"]);
    let whole = scene.files("one", "");

    vault.restart(|| {
        for arguments in [
            &["forget", gone.as_str()][..],
            &["prune", "--max-unused", "0"],
        ] {
            let ended = scene.expect(3, arguments);
            ended.assert_says(&["three is left out", "cannot be reached"]);
        }
    });
    let pruned = scene.files("one", "");
    assert!(!whole.is_subset(&pruned));
    // It has heard of nothing, and what it still shows is gone for us.
    let mut both = [gone.clone(), kept.clone()];
    both.sort();
    assert_eq!(vault.restic_snapshots(&token, ""), both);
    assert_eq!(scene.snapshots(), std::slice::from_ref(&kept));

    let summary = scene.expect(0, &["--json", "sync"]).summary();
    let [told] = &summary["removed"].as_array().unwrap()[..] else {
        panic!("{summary}");
    };
    assert_eq!(told["name"], "three", "{summary}");
    let removed = told["removed"].as_u64().unwrap();
    assert!(removed > 2, "{summary}");
    assert_eq!(told["waiting"], 0, "{summary}");
    assert_eq!(told["freed_bytes"], 0, "{summary}");
    assert_ne!(told["kept_bytes"], 0, "{summary}");
    assert!(told["kept_until"].is_string(), "{summary}");
    let tombstones = vault.repository(&scene)["tombstones"].as_u64().unwrap();
    assert!(tombstones >= removed, "{tombstones}: {summary}");
    for copy in ["one", "two"] {
        assert_eq!(of_copy(&summary, copy)["files_brought"], 0, "{summary}");
        assert_eq!(scene.files(copy, ""), pruned, "nothing came back");
    }
    let three = of_copy(&summary, "three");
    assert_eq!(three["outcome"], "whole", "{summary}");
    assert_ne!(three["files_brought"], 0, "{summary}");
    // As of before it has both, and the next sync has nothing to do.
    assert_eq!(vault.restic_snapshots(&token, &before), both);
    let summary = scene.expect(0, &["--json", "sync"]).summary();
    assert_eq!(summary["removed"], json!([]), "{summary}");
    assert_eq!(scene.files("one", ""), pruned);

    // What is kept is whole on each, and comes back from the vault and from a folder.
    scene.assert_whole();
    scene.expect(0, &["verify", "--decode"]);
    let left = std::slice::from_ref(&kept);
    assert_eq!(vault.restic_snapshots(&token, ""), left);
    vault.restic(&token, "", &["check", "--read-data"]);
    let (_target, restored) = vault.restored(&scene, &token, "", &kept);
    assert_eq!(compare(&scene.source(), &restored), []);
    let target = scene.path("restored");
    scene.expect(0, &["restore", &kept, target.to_str().unwrap()]);
    let restored = target.join(scene.source().strip_prefix("/").unwrap());
    assert_eq!(compare(&scene.source(), &restored), []);
    for each in restic_versions() {
        for copy in ["one", "two"] {
            scene.check(&each, copy, &["--no-lock"]);
        }
    }
    // What only the one that went had is there as of before.
    let (_target, restored) = vault.restored(&scene, &token, &before, &gone);
    let length = fs::metadata(restored.join("first")).unwrap().len();
    assert_eq!(length, 1 << 20);
}

#[test]
fn what_a_prune_has_moved_goes_from_a_vault_once_the_new_receipts_have_waited() {
    let scene = Scene::new();
    // What is due here within seconds takes a month elsewhere.
    let keeping = "retention = \"1s\"\ngrace = \"1s\"\n";
    let (mut vault, token, [gone, kept]) = backed_up_twice(&scene, keeping);
    scene.expect(0, &["forget", gone.as_str()]);
    scene.expect(0, &["prune", "--max-unused", "0"]);

    // The old receipt of the one that stays holds back what has moved, the new one tells where it is.
    // So much was deleted that nothing is purged, nor does any receipt take a place, before a yes.
    assert_eq!(is_whole(&scene, &kept), [json!(true)]);
    scene.expect(0, &["vault", "snapshots", "three"]);
    let repository = vault.repository(&scene);
    let (count, newest) = (
        repository["tombstones"].to_string(),
        repository["newest_tombstone"].to_string(),
    );
    let agree = ["repository", "agree-to-purge", "acme/repos"];
    let to = ["--tombstones", &count, "--newest-tombstone", &newest];
    let agreed = vault.administer(&scene, 0, &[&agree[..], &to[..]].concat());
    assert_eq!(agreed.summary()["agreed"], true);
    let left = vault.wait_for_a_purge(&scene, count.parse().unwrap());
    if left > 0 {
        // What the removed snapshot needed goes behind it: a start purges at once.
        vault.restart(|| {});
        assert_eq!(vault.wait_for_a_purge(&scene, left), 0);
    }
    assert_eq!(is_whole(&scene, &kept), [json!(true)]);
    vault.restic(&token, "", &["check", "--read-data"]);
    scene.assert_whole();
    scene.expect(0, &["verify", "--decode"]);
}
