//! A restore that is rehearsed from a vault alone, by us and by stock restic, which is lent the token of
//! the copy and the vault's certificate; and one from a vault whose disk has rotted.

use std::fs;

use serde_json::Value;
use strongroom_testkit::programs::restic_versions;
use strongroom_testkit::tree::TreeSpec;

use crate::drill_restore::{Rehearsals, rotten_pack};
use crate::real_vault::RealVault;
use crate::scene::{Scene, write_noise};

#[test]
fn a_restore_is_rehearsed_from_a_vault_alone() {
    let scene = Scene::new();
    TreeSpec::small(62).build(&scene.source().join("tree"));
    write_noise(&scene.source().join("noise"), 62, 3 << 20);
    let (vault, _, token) = RealVault::of_copy(&scene, "append");
    scene.begin();
    let [snapshot]: [String; 1] = scene.snapshots().try_into().unwrap();
    let secrets = [token.as_str()];
    let of = |copy| Rehearsals {
        scene: &scene,
        copy,
        secrets: &secrets,
        variables: &[],
    };
    let (two, three) = (of("two"), of("three"));
    assert_eq!(three.told(), (Value::Null, "never".to_owned()));

    // Nothing but the vault is there.
    let folders = ["one", "two"].map(|copy| {
        let aside = format!("{copy}-aside");
        (scene.path(copy), scene.path(&aside))
    });
    for (folder, aside) in &folders {
        fs::rename(folder, aside).unwrap();
    }
    for restic in restic_versions() {
        let drill = three.assert_come_back(&restic);
        assert_eq!(drill["snapshot"], snapshot.as_str(), "{drill}");
        three.assert_told(&drill, true);
    }
    for (folder, aside) in &folders {
        fs::rename(aside, folder).unwrap();
    }

    // What the folders have right does not help the vault. A disk does not ask for permissions.
    let (pack, rotten) = rotten_pack(&scene);
    let path = vault.folder.join("repositories/acme/repos").join(&pack);
    let sound = fs::read(&path).unwrap();
    let put = |bytes: &[u8]| {
        fs::remove_file(&path).unwrap();
        fs::write(&path, bytes).unwrap();
    };
    put(&rotten);
    for restic in restic_versions() {
        let drill = three.assert_fail(&restic, &pack);
        three.assert_told(&drill, false);
        let drill = two.assert_come_back(&restic);
        two.assert_told(&drill, true);
    }
    put(&sound);
    for restic in restic_versions() {
        let drill = three.assert_come_back(&restic);
        three.assert_told(&drill, true);
    }
}
