//! A copy in a bucket of another account, with the rights that `init` prints for it and no others:
//! its life, an attack on it, and the owner of the bucket who brings it back.

use std::fs;

use strongroom_testkit::{Bucket, Ceph};

use crate::bucket::recovery::{assert_refused, assert_sound_in, into};
use crate::bucket::{FOLDER, configure, expect, locks_of};
use crate::drill_attack::{attempt, of};
use crate::scene::{PASSWORD, Scene, plant_key, write_noise};

const BUCKET: &str = "of-another";

#[test]
fn the_rights_that_are_printed_are_enough() {
    let ceph = &Ceph::start();
    let owner = ceph.new_account("owner");
    let production = ceph.new_account("production");
    let scene = Scene::new();
    configure(&scene, ceph, &production, BUCKET);
    let told = expect(&scene, &production, 1, &["init"]).err;
    let commands = told.lines().filter(|line| line.starts_with("aws s3api "));
    let commands: Vec<_> = commands.collect();
    let [create, policy] = commands[..] else {
        panic!("{told}");
    };
    owner.type_in(create, "production");
    // A bucket that may not be looked at gets the same policy.
    let ended = expect(&scene, &production, 1, &["init"]);
    ended.assert_says(&["its Object Lock may not be seen"]);
    assert!(ended.err.lines().any(|line| line == policy), "{ended:?}");
    owner.type_in(policy, "production");

    let ours = Bucket::new(ceph, &production, BUCKET);
    let refused = "AccessDenied".to_owned();
    assert_eq!(ours.expire_versions(), Some(refused.clone()));
    assert_eq!(ours.forbid_reading(), Err(refused));

    let noise = |name: &str, seed| write_noise(&scene.source().join(name), seed, 2 << 20);
    noise("first", 31);
    plant_key(&scene.path("one"), PASSWORD);
    let run = |arguments: &[&str]| expect(&scene, &production, 0, arguments);
    run(&["init"]);
    run(&["backup"]);
    noise("second", 32);
    run(&["backup"]);
    run(&["verify"]);
    // What comes and goes is gone for good, and everything else is locked.
    for version in ours.versions(FOLDER) {
        let mode = ours.mode_of(&version);
        assert_eq!(mode.as_deref(), Some("COMPLIANCE"), "{version:?}");
    }

    // 45 days are left of each lock, and 60 are within what the policy allows.
    let path = scene.path("strongroom.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"30d\"", "\"40d\"")).unwrap();
    let told = locks_of(&run(&["--json", "lock", "extend"]), "copies");
    assert!(told["extended"].as_u64().unwrap() > 4, "{told}");
    assert_eq!(told["failed"], 0, "{told}");
    run(&["sync"]);
    let snapshots = scene.snapshots();
    let ended = run(&["--json", "forget", snapshots[0].as_str()]);
    let offsite = &ended.summary()["copies"][1];
    assert_eq!(offsite["name"], "offsite", "{offsite}");
    assert_eq!(offsite["waiting"], 1, "{offsite}");
    run(&["sync"]);

    let ended = run(&["--json", "drill", "attack", "--copy", "offsite"]);
    the_lock_is_proven(&of(&ended, "offsite"));

    everything_is_tried(&ours);

    // Whoever owns the bucket takes the place of production by the same policy.
    owner.type_in(policy, "owner");
    let ended = into(&scene, &production, 1, "shut-out", &[]);
    ended.assert_says(&["s3:ListBucketVersions is missing"]);
    configure(&scene, ceph, &owner, BUCKET);
    // What the attack put under a name of its own is named, and everything else is there.
    let ended = into(&scene, &owner, 3, "brought-back", &[]);
    ended.assert_says(&[&format!("data/{}", "ab".repeat(32)), "is not recovered"]);
    assert_sound_in(&scene, "brought-back");
}

/// Production hides and overwrites all that it may, and every version of before outlives that.
fn everything_is_tried(bucket: &Bucket) {
    let mut versions = bucket.versions(FOLDER);
    versions.retain(|version| !version.is_marker);
    let tried = bucket.attack(FOLDER);
    for what in [
        "remove a version",
        "remove all versions at once",
        "shorten a lock",
        "change the mode of a lock",
        "suspend versioning",
        "let old versions expire",
        "delete the bucket",
    ] {
        assert_refused(&tried, what);
    }
    for version in &versions {
        let mode = bucket.mode_of(version);
        assert_eq!(mode.as_deref(), Some("COMPLIANCE"), "{version:?}");
    }
}

/// The account deletes what is not locked where canaries lie, so that its failing shows a lock,
/// also where it lacks a right besides.
fn the_lock_is_proven(copy: &serde_json::Value) {
    assert_eq!(copy["verdict"]["answer"], "proven", "{copy}");
    assert_eq!(attempt(copy, "delete-unlocked")["left"], "lost", "{copy}");
    for name in [
        "delete-version",
        "delete-version-bypassing",
        "multi-delete",
        "multi-delete-bypassing",
        "change-mode-bypassing",
    ] {
        let one = attempt(copy, name);
        assert_eq!(one["said"], "refused", "{one}");
        assert_eq!(one["left"], "whole", "{one}");
        assert_eq!(one["verdict"], "withstood", "{one}");
    }
    // A probe would not have the policy of the bucket, which this account may not read.
    for name in ["suspend-versioning", "change-lifecycle", "delete-bucket"] {
        assert_eq!(attempt(copy, name)["said"], "not-tried", "{copy}");
    }
}
