//! A lock in the configuration where the bucket itself, and what lies there, says GOVERNANCE.

use strongroom_testkit::{Bucket, BucketVersion, Ceph, CephAccount};

use crate::drill_attack::{attempt, configure, of, real_versions};
use crate::scene::{Scene, write_noise};

/// The modes in which versions are locked that are to be.
fn modes(bucket: &Bucket, versions: &[BucketVersion]) -> Vec<Option<String>> {
    let modes = versions.iter().map(|version| bucket.mode_of(version));
    modes.collect()
}

/// The versions of the repository that a lock is for.
fn lasting(bucket: &Bucket) -> Vec<BucketVersion> {
    let mut all = real_versions(bucket);
    all.retain(|one| !one.is_marker && !one.key.contains("/locks/"));
    all
}

/// `scene` has a repository in the bucket `governance`, which was made without a lock.
pub(super) fn a_lock_is_compliance_whatever_the_bucket_says(
    scene: &Scene,
    ceph: &Ceph,
    account: &CephAccount,
) {
    let bucket = Bucket::new(ceph, account, "governance");
    let (ours, theirs) = (Some("COMPLIANCE".to_owned()), Some("GOVERNANCE".to_owned()));
    let before = lasting(&bucket);
    let is_theirs = |mode: &Option<String>| *mode == theirs;
    assert!(modes(&bucket, &before).iter().all(is_theirs));
    configure(scene, ceph, account, &[("governance", "lock = \"30d\"\n")]);

    // What is put from now on says its own mode.
    write_noise(&scene.source().join("more"), 2, 1 << 20);
    scene.run(&["backup"]);
    let mut new = lasting(&bucket);
    new.retain(|one| !before.contains(one));
    assert!(new.iter().any(|one| one.key.contains("/data/")), "{new:?}");
    let is_ours = |mode: &Option<String>| *mode == ours;
    assert!(modes(&bucket, &new).iter().all(is_ours), "{new:?}");

    // What lay there gets the same, or that it does not is told.
    let ended = scene.run(&["lock", "extend"]);
    let is_locked = modes(&bucket, &lasting(&bucket)).iter().all(is_ours);
    match ended.code {
        Some(0) => assert!(is_locked, "{}\n{}", ended.out, ended.err),
        Some(3) => ended.assert_says(&["governance"]),
        code => panic!("{code:?} {}\n{}", ended.out, ended.err),
    }

    // The drill says the same: what the bucket gives can be bypassed, and ours cannot.
    let drilled = scene.run(&["--json", "drill", "attack", "--copy", "governance"]);
    let copy = of(&drilled, "governance");
    for name in ["put", "delete-version-bypassing", "shorten-bypassing"] {
        assert_eq!(attempt(&copy, name)["left"], "whole", "{copy}");
    }
    let looked = &attempt(&copy, "look-at-files")["left"];
    assert_eq!(looked == "whole", is_locked, "{copy}");
    let is_proven = copy["verdict"]["answer"] == "proven";
    assert_eq!(is_proven, is_locked, "{copy}");
}

/// A bucket that locks by itself is none to begin with, since what comes and goes would stay.
pub(super) fn a_new_repository_is_not_made_there(ceph: &Ceph, account: &CephAccount) {
    let bucket = Bucket::new(ceph, account, "fresh");
    bucket.create_locked();
    bucket.lock_by_itself();
    let scene = Scene::new();
    configure(&scene, ceph, account, &[("fresh", "lock = \"30d\"\n")]);
    let ended = scene.expect(1, &["init"]);
    ended.assert_says(&["fresh: it locks by itself", "GOVERNANCE for 1 days"]);
    assert_eq!(bucket.keys(""), [""; 0]);
    assert!(!scene.path("folder").exists());
}
