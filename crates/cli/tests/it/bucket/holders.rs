//! Whose hands buckets are in: two that are opened by keys of one account are in one, whatever their
//! domains are called, and one of another account is in another.

use std::fs;

use serde_json::{Value, json};
use strongroom_testkit::{Bucket, Ceph, CephAccount};

use crate::bucket::FOLDER;
use crate::scene::{Scene, set_mode, write_noise};

/// A copy in the folder `one`, and one in each of these buckets, by this account.
fn configure(scene: &Scene, ceph: &Ceph, buckets: &[(&str, &CephAccount)]) {
    let one = ("one", scene.path("one").display().to_string());
    let stores = buckets
        .iter()
        .map(|(name, _)| (*name, format!("s3:{}/{name}/{FOLDER}", ceph.endpoint())));
    let copies: Vec<(&str, String)> = [one].into_iter().chain(stores).collect();
    scene.configure("", &copies);
    let path = scene.path("strongroom.toml");
    let mut text = fs::read_to_string(&path).unwrap();
    for (name, account) in buckets {
        let secret = scene.path(&format!("{name}.key"));
        fs::write(&secret, &account.secret_key).unwrap();
        set_mode(&secret, 0o600);
        let domain = format!("domain = \"domain-{name}\"\n");
        let keys = format!(
            "{domain}access_key = {:?}\nsecret_key_file = {secret:?}\n",
            account.access_key
        );
        text = text.replace(&domain, &keys);
    }
    fs::write(&path, text).unwrap();
}

/// Asserts that the first two buckets are in one hand and the third is in another; tells why.
#[track_caller]
fn why_two_are_one(scene: &Scene) -> String {
    // All of them are on this machine, so that production destroys them too.
    let told = scene.expect(3, &["--json", "blast-radius"]).summary();
    let also = |name: &str| -> Option<Value> {
        let mut domains = told["domains"].as_array().unwrap().iter();
        let found = domains.find(|domain| domain["name"] == name);
        found.map(|domain| domain["also"].clone())
    };
    let aliases = also("domain-first").unwrap();
    let [alias] = &aliases.as_array().unwrap()[..] else {
        panic!("{told}");
    };
    assert_eq!(alias["name"], "domain-second", "{told}");
    assert_eq!(also("domain-second"), None, "{told}");
    assert_eq!(also("domain-third"), Some(json!([])), "{told}");
    for (domain, destroyed) in [
        ("domain-first", json!(["first", "second"])),
        ("domain-third", json!(["third"])),
    ] {
        let mut outcomes = told["outcomes"].as_array().unwrap().iter();
        let outcome = outcomes.find(|outcome| outcome["held"] == json!([domain]));
        assert_eq!(outcome.unwrap()["destroyed"], destroyed, "{told}");
    }
    alias["reason"].as_str().unwrap().to_owned()
}

#[test]
fn buckets_of_one_account_are_in_one_hand_by_whichever_of_its_keys() {
    let ceph = &Ceph::start();
    let owner = ceph.new_account("owner");
    let again = ceph.new_key("owner");
    let other = ceph.new_account("other");
    for (name, account) in [("first", &owner), ("second", &owner), ("third", &other)] {
        Bucket::new(ceph, account, name).create();
    }
    let scene = Scene::new();
    write_noise(&scene.source().join("noise"), 1, 100_000);
    let with = |second| {
        let buckets = [("first", &owner), ("second", second), ("third", &other)];
        configure(&scene, ceph, &buckets);
    };
    with(&again);
    scene.begin();
    let reason = why_two_are_one(&scene);
    let begin = "first and second are in one account, ";
    assert!(reason.starts_with(begin), "{reason}");
    assert!(reason.ends_with("/owner:owner"), "{reason}");

    with(&owner);
    let reason = why_two_are_one(&scene);
    assert_eq!(reason, "one credential opens first and second");
}
