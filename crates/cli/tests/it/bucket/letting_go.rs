//! What is forgotten and pruned waits in a locked bucket for its date, and is in nobody's way: the
//! other copies let go at once, a stock restic reads the bucket meanwhile, and no lock of it is made
//! longer.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use jiff::Timestamp;
use serde_json::Value;
use strongroom_testkit::programs::restic_versions;
use strongroom_testkit::{Bucket, BucketVersion, Ceph, CephAccount};

use crate::bucket::{FOLDER, assert_restores, assert_same, configure, expect, locks_of, restic};
use crate::scene::{Ended, PASSWORD, Scene, plant_key, write_noise};

const BUCKET: &str = "letting-go";

/// Prunes so that no waste stays anywhere.
const PRUNE: [&str; 4] = ["--json", "prune", "--max-unused", "0"];

/// What came of the copies, the folder first.
#[track_caller]
fn copies(ended: &Ended) -> [Value; 2] {
    let summary = ended.summary();
    let copies = summary["copies"].as_array().unwrap().clone();
    let [one, offsite] = copies.try_into().unwrap();
    assert_eq!(one["name"], "one", "{summary}");
    assert_eq!(offsite["name"], "offsite", "{summary}");
    [one, offsite]
}

/// The path of a version within the repository.
fn path(version: &BucketVersion) -> &Path {
    let inner = version.key.strip_prefix(FOLDER).unwrap();
    Path::new(inner.trim_start_matches('/'))
}

fn noise(scene: &Scene, name: &str, seed: u64) {
    write_noise(&scene.source().join(name), seed, 2 << 20);
}

/// Makes the copies and two backups: of what goes and what stays, then of what stays and what has come.
/// Tells their snapshots.
fn back_up_twice(scene: &Scene, account: &CephAccount, seed: u64) -> [String; 2] {
    noise(scene, "first", seed);
    noise(scene, "both", seed + 1);
    plant_key(&scene.path("one"), PASSWORD);
    expect(scene, account, 0, &["init"]);
    expect(scene, account, 0, &["backup"]);
    fs::remove_file(scene.source().join("first")).unwrap();
    noise(scene, "second", seed + 2);
    expect(scene, account, 0, &["backup"]);
    scene.snapshots().try_into().unwrap()
}

#[test]
fn what_is_forgotten_waits_for_its_date() {
    let ceph = &Ceph::start();
    let account = ceph.new_account("keeper");
    let scene = Scene::new();
    let bucket = Bucket::new(ceph, &account, BUCKET);
    bucket.create_locked();
    configure(&scene, ceph, &account, BUCKET);
    let [gone, kept] = back_up_twice(&scene, &account, 11);
    let before = bucket.versions(FOLDER);

    let until = forgotten(&scene, &account, &bucket, &gone);
    let ended = expect(&scene, &account, 0, &PRUNE);
    let [one, offsite] = copies(&ended);
    assert_eq!(one["outcome"], "done", "{one}");
    assert_eq!(offsite["outcome"], "waits", "{offsite}");
    assert!(one["removed"].as_u64().unwrap() > 0, "{one}");
    assert_eq!(one["waiting"], 0, "{one}");
    assert_eq!(offsite["removed"], 0, "{offsite}");
    assert!(offsite["waiting"].as_u64().unwrap() > 2, "{offsite}");
    // The locks of what it wrote anew are on record: nothing is left to be found out.
    let extended = expect(&scene, &account, 0, &["--json", "lock", "extend"]);
    assert_eq!(locks_of(&extended, "copies")["found"], 0);
    // People are told the day.
    let ended = expect(&scene, &account, 0, &PRUNE[1..]);
    let day = until.split('T').next().unwrap();
    let tells = |ended: &Ended, word: &str| {
        let words = ["offsite", word, day];
        let mut lines = ended.out.lines();
        lines.any(|line| words.iter().all(|word| line.contains(word)))
    };
    assert!(tells(&ended, "waits"), "{day}: {}", ended.out);
    // Nothing was removed, and nothing was hidden.
    let after = bucket.versions(FOLDER);
    assert!(before.iter().all(|version| after.contains(version)));
    let hidden = after.iter().filter(|version| version.is_marker);
    assert_eq!(hidden.count(), 0, "{after:?}");
    assert_eq!(scene.snapshots(), std::slice::from_ref(&kept));
    scene.assert_whole();
    let ended = expect(&scene, &account, 0, &["sync"]);
    assert!(tells(&ended, "stay for now"), "{day}: {}", ended.out);
    expect(&scene, &account, 0, &["verify", "--decode"]);
    expect(&scene, &account, 0, &["verify", "--no-password"]);

    read_by_restic(&scene, (ceph, &account), &gone, &kept);
    no_lock_of_it_is_extended(&scene, &account, &bucket, [&gone, &kept]);
    scene.assert_whole();
    // Life goes on, from both copies.
    noise(&scene, "third", 14);
    expect(&scene, &account, 0, &["backup"]);
    expect(&scene, &account, 0, &["verify"]);
    scene.assert_whole();
}

/// Forgets a snapshot; tells until when the bucket keeps it.
fn forgotten(scene: &Scene, account: &CephAccount, bucket: &Bucket, gone: &str) -> String {
    let ended = expect(scene, account, 0, &["--json", "forget", gone]);
    let [one, offsite] = copies(&ended);
    assert_eq!(one["removed"], 1, "{one}");
    assert_eq!(one["waiting"], 0, "{one}");
    assert_eq!(one["waits_until"], Value::Null);
    assert_eq!(scene.files("one", "snapshots").len(), 1);
    assert_eq!(offsite["removed"], 0, "{offsite}");
    assert_eq!(offsite["waiting"], 1, "{offsite}");
    let until = offsite["waits_until"].as_str().unwrap();
    let told: Timestamp = until.parse().unwrap();
    let versions = bucket.versions(&format!("{FOLDER}/snapshots/{gone}"));
    let [version] = &versions[..] else {
        panic!("{versions:?}");
    };
    let locked_s = bucket.locked_until_s(version).unwrap();
    assert!(
        told.as_second().abs_diff(locked_s) < 60,
        "{told}: {locked_s}"
    );
    until.to_owned()
}

/// Stock restic sees in the bucket what waits there, whole and sound.
fn read_by_restic(scene: &Scene, place: (&Ceph, &CephAccount), gone: &str, kept: &str) {
    for each in restic_versions() {
        let run = |arguments: &[&str]| restic(place, BUCKET, &each.path, arguments);
        run(&["check", "--read-data"]);
        let listed = run(&["snapshots", "--json"]).out;
        assert!(listed.contains(gone) && listed.contains(kept), "{listed}");
        for (snapshot, file) in [(gone, "first"), (kept, "second")] {
            let target = tempfile::tempdir().unwrap();
            run(&[
                "restore",
                snapshot,
                "--target",
                target.path().to_str().unwrap(),
            ]);
            let restored = target
                .path()
                .join(scene.source().strip_prefix("/").unwrap());
            assert_eq!(fs::read_dir(&restored).unwrap().count(), 2);
            assert_eq!(fs::metadata(restored.join(file)).unwrap().len(), 2 << 20);
        }
    }
}

/// A lock that is raised makes all due that is needed, and nothing that waits.
fn no_lock_of_it_is_extended(
    scene: &Scene,
    account: &CephAccount,
    bucket: &Bucket,
    [gone, kept]: [&str; 2],
) {
    let folders = ["config", "keys", "snapshots", "index", "data"];
    let versions = bucket.versions(FOLDER).into_iter().filter(|version| {
        !version.is_marker
            && folders
                .iter()
                .any(|folder| path(version).starts_with(folder))
    });
    let dated = versions.map(|version| (bucket.locked_until_s(&version).unwrap(), version));
    let dated: Vec<_> = dated.collect();
    let config = scene.path("strongroom.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("\"30d\"", "\"60d\"")).unwrap();
    let ended = expect(scene, account, 0, &["--json", "lock", "extend"]);
    let told = locks_of(&ended, "copies");
    assert_eq!(told["short"], 0, "{told}");
    assert_eq!(told["failed"], 0, "{told}");

    // The folder shows what is needed: it has let go of everything else.
    let needed = scene.files("one", "");
    let (mut extended, mut left) = (Vec::new(), Vec::new());
    for (before_s, version) in &dated {
        let now_s = bucket.locked_until_s(version).unwrap();
        match needed.contains(path(version)) {
            true => {
                assert!(now_s > *before_s, "{version:?}");
                extended.push(path(version));
            }
            false => {
                assert_eq!(now_s, *before_s, "{version:?}");
                left.push(path(version));
            }
        }
    }
    let count = told["extended"].as_u64().unwrap();
    assert!(count >= extended.len() as u64, "{told}");
    let snapshot = |id: &str| Path::new("snapshots").join(id);
    assert!(left.contains(&snapshot(gone).as_path()), "{left:?}");
    assert!(extended.contains(&snapshot(kept).as_path()), "{extended:?}");
    for files in [&left, &extended] {
        assert!(
            files.iter().any(|path| path.starts_with("data")),
            "{files:?}"
        );
        assert!(
            files.iter().any(|path| path.starts_with("index")),
            "{files:?}"
        );
    }
}

/// How many removal records lie in the bucket.
fn records(versions: &[BucketVersion]) -> usize {
    let is_record = |version: &&BucketVersion| path(version).starts_with("strongroom");
    versions.iter().filter(is_record).count()
}

#[test]
fn a_bucket_that_was_away_lets_go_by_a_sync_and_gives_nothing_back() {
    let ceph = &Ceph::start();
    let account = ceph.new_account("keeper");
    let scene = Scene::new();
    let bucket = Bucket::new(ceph, &account, BUCKET);
    bucket.create_locked();
    configure(&scene, ceph, &account, BUCKET);
    let [gone, kept] = back_up_twice(&scene, &account, 21);
    let (whole, before) = (scene.files("one", ""), bucket.versions(FOLDER));

    // Nobody lets production in there for a while.
    fs::write(scene.path("offsite.key"), "wrong").unwrap();
    for arguments in [&["forget", gone.as_str()][..], &PRUNE] {
        let ended = expect(&scene, &account, 3, arguments);
        ended.assert_says(&["offsite is left out"]);
    }
    fs::write(scene.path("offsite.key"), &account.secret_key).unwrap();
    let pruned = scene.files("one", "");
    assert!(!whole.is_subset(&pruned));
    assert_eq!(bucket.versions(FOLDER), before);
    assert_eq!(scene.snapshots(), std::slice::from_ref(&kept));

    let ended = expect(&scene, &account, 0, &["--json", "sync"]);
    let summary = ended.summary();
    let [told] = &summary["removed"].as_array().unwrap()[..] else {
        panic!("{summary}");
    };
    assert_eq!(told["name"], "offsite", "{summary}");
    assert_eq!(told["removed"], 0, "{summary}");
    assert!(told["waiting"].as_u64().unwrap() > 2, "{summary}");
    assert!(told["waits_until"].is_string(), "{summary}");
    let [one, offsite] = copies(&ended);
    assert_eq!(one["files_brought"], 0, "{one}");
    assert_eq!(offsite["outcome"], "whole", "{offsite}");
    assert!(offsite["files_brought"].as_u64().unwrap() > 0, "{offsite}");
    assert_eq!(scene.files("one", ""), pruned, "nothing came back");
    // It has got the records and all that stays, and nothing is hidden there.
    let after = bucket.versions(FOLDER);
    assert_eq!((records(&before), records(&after)), (0, 2));
    assert!(before.iter().all(|version| after.contains(version)));
    assert!(!after.iter().any(|version| version.is_marker), "{after:?}");
    let there: BTreeSet<&Path> = after.iter().map(path).collect();
    for file in &pruned {
        assert!(there.contains(file.as_path()), "{}", file.display());
    }

    // It waits, and is in nobody's way: what is kept comes back from either copy.
    let again = expect(&scene, &account, 0, &["--json", "sync"]).summary();
    assert_eq!(again["removed"][0]["waiting"], told["waiting"], "{again}");
    assert_eq!(scene.files("one", ""), pruned);
    scene.assert_whole();
    expect(&scene, &account, 0, &["verify", "--decode"]);
    read_by_restic(&scene, (ceph, &account), &gone, &kept);
    assert_restores(&scene, &account, "restored");
    for each in restic_versions() {
        scene.check(&each, "one", &["--no-lock"]);
        let target = tempfile::tempdir().unwrap();
        let to = target.path().to_str().unwrap();
        let restore = ["restore", kept.as_str(), "--no-lock", "--target", to];
        scene.restic(&each, "one", &restore);
        assert_same(&scene, target.path());
    }
}
