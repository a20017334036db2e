//! A restore that is rehearsed from the locked bucket alone, by us and by stock restic, which is lent
//! the account of the copy; and one from a bucket in which somebody has overwritten a pack.

use std::fs;

use serde_json::Value;
use strongroom_testkit::programs::restic_versions;
use strongroom_testkit::tree::TreeSpec;
use strongroom_testkit::{Bucket, Ceph};

use crate::bucket::{FOLDER, configure, expect};
use crate::drill_restore::{Rehearsals, rotten_pack};
use crate::scene::{PASSWORD, Scene, plant_key, write_noise};

const BUCKET: &str = "rehearsed";

#[test]
fn a_restore_is_rehearsed_from_a_locked_bucket_alone() {
    let ceph = &Ceph::start();
    let account = ceph.new_account("owner");
    let scene = Scene::new();
    TreeSpec::small(61).build(&scene.source().join("tree"));
    write_noise(&scene.source().join("noise"), 61, 3 << 20);
    let bucket = Bucket::new(ceph, &account, BUCKET);
    bucket.create_locked();
    configure(&scene, ceph, &account, BUCKET);
    plant_key(&scene.path("one"), PASSWORD);
    expect(&scene, &account, 0, &["init"]);
    expect(&scene, &account, 0, &["backup"]);
    let [snapshot]: [String; 1] = scene.snapshots().try_into().unwrap();
    let secrets = [account.secret_key.as_str()];
    let of = |copy| Rehearsals {
        scene: &scene,
        copy,
        secrets: &secrets,
        variables: &[],
    };
    let (offsite, one) = (of("offsite"), of("one"));
    assert_eq!(offsite.told(), (Value::Null, "never".to_owned()));

    // Nothing but the bucket is there.
    let aside = scene.path("aside");
    fs::rename(scene.path("one"), &aside).unwrap();
    for restic in restic_versions() {
        let drill = offsite.assert_come_back(&restic);
        assert_eq!(drill["snapshot"], snapshot.as_str(), "{drill}");
        offsite.assert_told(&drill, true);
    }
    fs::rename(aside, scene.path("one")).unwrap();
    // It took locks of restic's and gave them back; everything else is locked as it was.
    for version in bucket.versions(FOLDER) {
        let mode = bucket.mode_of(&version);
        assert_eq!(mode.as_deref(), Some("COMPLIANCE"), "{version:?}");
    }

    // What the folder has right does not help the bucket.
    let (pack, rotten) = rotten_pack(&scene);
    bucket.put(&format!("{FOLDER}/{}", pack.display()), &rotten);
    for restic in restic_versions() {
        let drill = offsite.assert_fail(&restic, &pack);
        offsite.assert_told(&drill, false);
        let drill = one.assert_come_back(&restic);
        one.assert_told(&drill, true);
    }

    // What the bucket has locked does.
    let recover = ["recover", "--copy", "offsite", "--in-place"];
    expect(&scene, &account, 0, &recover);
    for restic in restic_versions() {
        let drill = offsite.assert_come_back(&restic);
        offsite.assert_told(&drill, true);
    }
}
