//! `drill attack` on real places: five set-ups on a Ceph and a folder, a vault, and a REST server.

mod governance;
mod table;

use std::fs;

use serde_json::{Value, json};
use strongroom_testkit::{Bucket, BucketVersion, Ceph, CephAccount, RcloneServer};

use crate::real_vault::RealVault;
use crate::scene::{Ended, PASSWORD, Scene, plant_key, set_mode, write_noise};
use crate::vault::objects;

/// What keys of buckets begin with.
const FOLDER: &str = "acme/repos";

/// Where canaries lie in them.
const CANARIES: &str = "acme/repos/strongroom/drill/";

/// A configuration of a folder and of buckets, each with lines of its own.
fn configure(scene: &Scene, ceph: &Ceph, account: &CephAccount, buckets: &[(&str, &str)]) {
    let secret = scene.path("offsite.key");
    fs::write(&secret, &account.secret_key).unwrap();
    set_mode(&secret, 0o600);
    let copies: Vec<(&str, String)> = buckets
        .iter()
        .map(|(name, _)| (*name, format!("s3:{}/{name}/{FOLDER}", ceph.endpoint())))
        .chain([("folder", scene.path("folder").display().to_string())])
        .collect();
    scene.configure("", &copies);
    let path = scene.path("strongroom.toml");
    let mut text = fs::read_to_string(&path).unwrap();
    for (name, more) in buckets {
        let domain = format!("domain = \"domain-{name}\"\n");
        let keys = format!(
            "{domain}access_key = {:?}\nsecret_key_file = {secret:?}\n{more}",
            account.access_key
        );
        text = text.replace(&domain, &keys);
    }
    fs::write(&path, text).unwrap();
}

/// What was told of a copy.
#[track_caller]
pub(crate) fn of(ended: &Ended, copy: &str) -> Value {
    let all = objects(ended, "copy");
    let found = all.into_iter().find(|one| one["copy"] == copy);
    found.unwrap_or_else(|| panic!("{copy}: {}", ended.out))
}

/// What was seen of one attempt.
#[track_caller]
pub(crate) fn attempt(copy: &Value, name: &str) -> Value {
    let all = copy["attempts"].as_array().unwrap();
    let found = all.iter().find(|one| one["attempt"] == name);
    found.unwrap_or_else(|| panic!("{name}: {copy}")).clone()
}

/// The versions of the repository itself.
fn real_versions(bucket: &Bucket) -> Vec<BucketVersion> {
    let mut all = bucket.versions(FOLDER);
    all.retain(|version| !version.key.starts_with(CANARIES));
    all
}

/// One cluster for all: it takes seconds to start.
#[test]
fn five_set_ups_get_five_right_answers() {
    let ceph = Ceph::start();
    let account = ceph.new_account("owner");
    let [compliance, governance, unversioned, denied] =
        ["compliance", "governance", "unversioned", "denied"]
            .map(|name| Bucket::new(&ceph, &account, name));
    compliance.create_locked();
    governance.create_locked();
    governance.lock_by_itself();
    unversioned.create();
    denied.create();
    denied.keep_versions();
    let scene = Scene::new();
    write_noise(&scene.source().join("noise"), 1, 1 << 20);
    let buckets = [
        ("compliance", "lock = \"30d\"\n"),
        ("governance", ""),
        ("unversioned", ""),
        ("denied", ""),
    ];
    configure(&scene, &ceph, &account, &buckets);
    plant_key(&scene.path("folder"), PASSWORD);
    scene.expect(0, &["init"]);
    scene.expect(0, &["backup"]);
    denied.deny_deletion();
    assert_eq!(compliance.expire_versions(), None);
    let all = [&compliance, &governance, &denied];
    let before = all.map(real_versions);
    let keys = unversioned.keys(FOLDER);

    let ended = scene.expect(0, &["--json", "drill", "attack"]);
    assert!(!ended.out.contains(&account.secret_key));
    let answers = [
        "compliance",
        "governance",
        "unversioned",
        "denied",
        "folder",
    ]
    .map(|copy| of(&ended, copy)["verdict"]["answer"].clone());
    assert_eq!(
        answers,
        [
            "proven",
            "destroyable",
            "destroyable",
            "denied-not-proven",
            "destroyable"
        ],
        "{}",
        ended.out
    );
    let summary = ended.summary();
    assert_eq!(summary["copies"], 5, "{summary}");
    assert_eq!(summary["proven"], 1, "{summary}");

    in_compliance_every_way_was_tried(&of(&ended, "compliance"));
    let notes = &of(&ended, "compliance")["notes"];
    assert!(notes.to_string().contains("gone"), "{notes}");
    what_stays_is_told(&ended);
    let fell = of(&ended, "governance");
    assert_eq!(attempt(&fell, "delete-version")["left"], "whole", "{fell}");
    let bypassed = attempt(&fell, "delete-version-bypassing");
    assert_eq!(bypassed["left"], "lost", "{fell}");
    let plain = of(&ended, "folder");
    assert_eq!(plain["reason"], "destroyable by whoever is root here");

    // Nothing that is backed up was touched, and canaries alone are left.
    assert_eq!(all.map(real_versions), before);
    assert_eq!(unversioned.keys(FOLDER), keys);
    for canary in compliance.versions(CANARIES) {
        let mode = compliance.mode_of(&canary);
        assert_eq!(mode.as_deref(), Some("COMPLIANCE"), "{canary:?}");
    }
    assert!(compliance.versions(CANARIES).len() <= 24);
    assert_eq!(unversioned.keys(CANARIES), [""; 0]);
    assert!(!scene.path("folder/strongroom/drill").exists());

    // It is evidence from now on, and the table is for people.
    let status = scene.run(&["status"]);
    assert!(status.out.contains(", proven"), "{}", status.out);
    let one = scene.expect(0, &["drill", "attack", "--copy", "folder"]);
    let last = one.out.trim_end().lines().last().unwrap();
    assert_eq!(
        last,
        "folder: not proven: destroyable by whoever is root here"
    );
    scene
        .expect(2, &["drill", "attack", "--copy", "none"])
        .assert_says(&["There is no copy none"]);

    let told = scene
        .expect(0, &["drill", "attack", "--copy", "denied"])
        .out;
    assert!(told.contains("\nRemnants on denied: "), "{told}");

    a_claim_that_does_not_hold_is_told(&scene, &ceph, &account);
    governance::a_lock_is_compliance_whatever_the_bucket_says(&scene, &ceph, &account);
    governance::a_new_repository_is_not_made_there(&ceph, &account);
    table::that_of_a_bucket_says_the_same(&ceph, &account);
}

/// What a drill could not remove, by copy.
fn what_stays_is_told(ended: &Ended) {
    let left = |copy: &str, kind: &str| {
        let left = of(ended, copy)["remnants"].as_array().unwrap().clone();
        let mut of_kind = left.iter().filter(|one| one["kind"] == kind);
        of_kind
            .next()
            .map(|one| one["name"].as_str().unwrap().to_owned())
    };
    let probe = left("compliance", "probe-bucket").unwrap();
    assert!(probe.starts_with("compliance-probe-"), "{probe}");
    assert!(left("compliance", "canary").is_some());
    let denied = left("denied", "canary").unwrap();
    assert!(denied.starts_with("denied/acme/repos/strongroom/drill/"));
    for copy in ["governance", "unversioned", "folder"] {
        let copy = of(ended, copy);
        assert_eq!(copy["remnants"], json!([]), "{copy}");
    }
}

fn in_compliance_every_way_was_tried(copy: &Value) {
    for (name, left) in [
        ("delete-unlocked", "lost"),
        ("put", "whole"),
        ("look-at-files", "whole"),
        ("delete", "whole"),
        ("delete-version", "whole"),
        ("delete-version-bypassing", "whole"),
        ("multi-delete", "whole"),
        ("multi-delete-bypassing", "whole"),
        ("overwrite", "whole"),
        ("truncate", "whole"),
        ("copy-over-self", "whole"),
        ("shorten", "whole"),
        ("shorten-bypassing", "whole"),
        ("change-mode", "whole"),
        ("change-mode-bypassing", "whole"),
        ("remove-lock", "whole"),
    ] {
        let one = attempt(copy, name);
        assert_eq!(one["left"], left, "{one}");
        assert_eq!(one["verdict"], "withstood", "{one}");
    }
    for name in [
        "delete-version-bypassing",
        "multi-delete-bypassing",
        "change-mode-bypassing",
    ] {
        assert_eq!(attempt(copy, name)["said"], "refused", "{copy}");
    }
    // The account may make a probe beside it.
    for name in ["suspend-versioning", "change-lifecycle", "delete-bucket"] {
        let one = attempt(copy, name);
        assert_ne!(one["verdict"], "fell", "{one}");
        assert_ne!(one["left"], "lost", "{one}");
    }
    assert_eq!(attempt(copy, "delete-bucket")["said"], "refused", "{copy}");
    // A rename is taken for a PUT there, and what is no bucket's own is asked of nobody.
    for name in [
        "rename",
        "destroy-key",
        "make-token",
        "raise-rights",
        "move-clock",
    ] {
        assert_eq!(attempt(copy, name)["said"], "not-tried", "{copy}");
    }
    let principal = copy["principal"].as_str().unwrap();
    assert!(principal.starts_with("key owner-key"), "{principal}");
}

/// A lock in the configuration, on a bucket that was put in the stead of the right one.
fn a_claim_that_does_not_hold_is_told(scene: &Scene, ceph: &Ceph, account: &CephAccount) {
    let buckets = [
        ("compliance", "lock = \"30d\"\n"),
        ("unversioned", "lock = \"30d\"\n"),
    ];
    configure(scene, ceph, account, &buckets);
    let ended = scene.expect(3, &["--json", "drill", "attack"]);
    let fell = of(&ended, "unversioned");
    assert_eq!(fell["verdict"]["answer"], "destroyable", "{fell}");
    assert_eq!(attempt(&fell, "put")["said"], "refused", "{fell}");
    assert_eq!(ended.summary()["complete"], false);
}

#[test]
fn a_vault_is_proven_by_a_token_that_may_append_and_by_one_that_may_delete() {
    let scene = Scene::new();
    write_noise(&scene.source().join("noise"), 1, 1 << 20);
    let (vault, _, append) = RealVault::of_copy(&scene, "append");
    claim_lock(&scene);
    scene.begin();

    let ended = scene.expect(0, &["--json", "drill", "attack"]);
    let copy = of(&ended, "three");
    assert_eq!(copy["place"], "vault", "{copy}");
    assert_eq!(copy["verdict"]["answer"], "proven", "{copy}");
    assert_eq!(attempt(&copy, "delete")["said"], "refused", "{copy}");
    for door in ["make-token", "lower-retention", "purge-now", "move-clock"] {
        assert_eq!(attempt(&copy, door)["verdict"], "withstood", "{copy}");
    }
    let principal = copy["principal"].as_str().unwrap();
    assert!(principal.starts_with("token "), "{principal}");
    // The token is for this repository alone, so that no probe can be made.
    let config = attempt(&copy, "overwrite-config");
    assert_eq!(config["said"], "not-tried", "{config}");
    assert_eq!(ended.summary()["sent_to"], serde_json::json!(["three"]));
    assert!(!ended.out.contains(&append));

    // The canary is a file like any other: it travels, and is in nobody's way.
    scene.expect(0, &["backup"]);
    scene.expect(0, &["verify"]);
    let status = scene.run(&["status"]);
    assert!(status.out.contains("30 d, proven"), "{}", status.out);

    // A token that may ask for deletion: what it deletes is kept.
    let (_, maintain) = vault.create_token(&scene, "maintain");
    vault.configure(&scene, &maintain, &vault.fingerprint);
    claim_lock(&scene);
    let ended = scene.expect(0, &["--json", "drill", "attack", "--copy", "three"]);
    let copy = of(&ended, "three");
    assert_eq!(copy["verdict"]["answer"], "proven", "{copy}");
    let delete = attempt(&copy, "delete");
    assert_eq!(delete["said"], "done", "{delete}");
    assert_eq!(delete["left"], "whole", "{delete}");
}

/// Claims a lock for the copy that is configured last.
fn claim_lock(scene: &Scene) {
    let path = scene.path("strongroom.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}lock = \"30d\"\n")).unwrap();
}

#[test]
fn a_rest_server_is_destroyable_and_where_it_only_appends_that_is_no_lock() {
    let scene = Scene::new();
    fs::create_dir(scene.path("three")).unwrap();
    write_noise(&scene.source().join("noise"), 1, 1 << 20);
    let account = ["--user", "backup", "--pass", "secret"];
    let point = |server: &RcloneServer| {
        let address = server.url().strip_prefix("http://").unwrap();
        let store = format!("rest:http://backup:secret@{address}");
        let one = scene.path("one").display().to_string();
        scene.configure("", &[("one", one), ("three", store)]);
    };
    let server = RcloneServer::start(&scene.path("three"), &account);
    point(&server);
    scene.begin();
    let ended = scene.expect(0, &["--json", "drill", "attack", "--copy", "three"]);
    let copy = of(&ended, "three");
    assert_eq!(copy["place"], "server", "{copy}");
    assert_eq!(copy["verdict"]["answer"], "destroyable", "{copy}");
    assert_eq!(attempt(&copy, "delete")["left"], "lost", "{copy}");
    drop(server);

    let only = [&account[..], &["--append-only"]].concat();
    let server = RcloneServer::start(&scene.path("three"), &only);
    point(&server);
    let ended = scene.expect(0, &["--json", "drill", "attack", "--copy", "three"]);
    let copy = of(&ended, "three");
    assert_eq!(copy["verdict"]["answer"], "denied-not-proven", "{copy}");
    assert_eq!(attempt(&copy, "delete")["said"], "refused", "{copy}");
}
