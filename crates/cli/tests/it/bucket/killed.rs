//! A prune of a folder and a locked bucket that is killed behind its record: the next one ends it on
//! both, and what is kept comes back from either.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use strongroom_testkit::programs::restic_versions;
use strongroom_testkit::{Bucket, BucketVersion, Ceph, CephAccount};

use crate::bucket::{FOLDER, assert_restores, assert_same, configure, expect, restic};
use crate::kill::{is_passing, moment};
use crate::scene::{PASSWORD, Running, Scene, plant_key, write_noise};

const BUCKET: &str = "killed";

/// Prunes so that no waste stays anywhere.
const PRUNE: [&str; 3] = ["prune", "--max-unused", "0"];

/// How many prunes are killed.
const KILLS: u64 = 3;

/// Backs up one file that is new, beside one that stays; tells the snapshot.
fn backup(scene: &Scene, account: &CephAccount, seed: u64) -> String {
    write_noise(&scene.source().join("changing"), seed, 1 << 20);
    let summary = expect(scene, account, 0, &["--json", "backup"]).summary();
    let snapshot = summary["sources"][0]["snapshot"].as_str().unwrap();
    snapshot.to_owned()
}

/// The files of the folder, but for what a killed run had under passing names.
fn files(scene: &Scene, folder: &str) -> BTreeSet<PathBuf> {
    let mut files = scene.files("one", folder);
    files.retain(|path| !is_passing(path));
    files
}

/// A prune whose record is in the folder, where it is no sooner than in the state folder, and which
/// has not come to its end.
fn pruning(scene: &Scene) -> Running {
    let before = files(scene, "strongroom");
    let is_on_record = || !files(scene, "strongroom").is_subset(&before);
    let started = scene.start(&PRUNE).until(is_on_record);
    started.unwrap_or_else(|ended| panic!("{ended:?}"))
}

fn path(version: &BucketVersion) -> &Path {
    let inner = version.key.strip_prefix(FOLDER).unwrap();
    Path::new(inner.trim_start_matches('/'))
}

/// Asserts that no more is left of lock files than runs leave that are killed while they remove theirs:
/// of each such run one, behind a marker.
fn assert_hidden(locks: &[&BucketVersion], killed: u64) {
    let names: BTreeSet<&Path> = locks.iter().map(|lock| path(lock)).collect();
    assert!(names.len() as u64 <= killed, "{killed} killed: {locks:?}");
    for name in names {
        let of_name = locks.iter().filter(|lock| path(lock) == name);
        let of_name: Vec<_> = of_name.collect();
        let markers = of_name.iter().filter(|lock| lock.is_marker).count();
        let files = of_name.len() - markers;
        assert!(markers == 1 && files <= 1, "{locks:?}");
    }
}

/// Asserts that both copies have ended what was on record: the folder has what is kept and nothing
/// else, and the bucket has all of that in sight, and all that it had, when so many runs were killed.
fn assert_ended(scene: &Scene, bucket: &Bucket, kept: &str, before: &[BucketVersion], killed: u64) {
    let snapshot = Path::new("snapshots").join(kept);
    assert_eq!(files(scene, "snapshots"), [snapshot].into());
    assert_eq!(files(scene, "locks"), [].into());
    let after = bucket.versions(FOLDER);
    let is_lock = |version: &&BucketVersion| path(version).starts_with("locks");
    let (locks, after): (Vec<_>, Vec<_>) = after.iter().partition(is_lock);
    assert_hidden(&locks, killed);
    let mut before = before.iter().filter(|version| !is_lock(version));
    assert!(before.all(|version| after.contains(&version)));
    assert!(!after.iter().any(|version| version.is_marker), "{after:?}");
    let there: BTreeSet<&Path> = after.into_iter().map(path).collect();
    for file in &files(scene, "") {
        assert!(there.contains(file.as_path()), "{}", file.display());
    }
}

#[test]
fn a_prune_that_is_killed_behind_its_record_is_ended_by_the_next_one() {
    let ceph = &Ceph::start();
    let account = ceph.new_account("keeper");
    let scene = Scene::new();
    let bucket = Bucket::new(ceph, &account, BUCKET);
    bucket.create_locked();
    configure(&scene, ceph, &account, BUCKET);
    write_noise(&scene.source().join("staying"), 31, 1 << 20);
    plant_key(&scene.path("one"), PASSWORD);
    expect(&scene, &account, 0, &["init"]);
    let mut kept = backup(&scene, &account, 1000);
    // Of two snapshots the older one goes, and part of a pack that both need, or all of one.
    let mut make_waste = |seed| {
        let newest = backup(&scene, &account, seed);
        let older = std::mem::replace(&mut kept, newest);
        expect(&scene, &account, 0, &["forget", &older]);
        kept.clone()
    };
    make_waste(1001);
    let running = pruning(&scene);
    let start = Instant::now();
    running.wait().assert_code(0, &PRUNE);
    let usual = start.elapsed();

    let newest = restic_versions().pop().unwrap();
    let (mut killed, mut seed) = (0, 0);
    while killed < KILLS {
        seed += 1;
        let kept = make_waste(seed);
        let (before, packs) = (bucket.versions(FOLDER), files(&scene, "data"));
        let time = moment(seed, usual.mul_f64(0.8));
        killed += u64::from(pruning(&scene).kill_after(time));
        expect(&scene, &account, 0, &PRUNE);
        // It carries the record to a copy that had none when the prune was killed.
        expect(&scene, &account, 0, &["sync"]);
        assert!(!packs.is_subset(&files(&scene, "data")), "{packs:?}");
        assert_ended(&scene, &bucket, &kept, &before, killed);
        scene.check(&newest, "one", &["--no-lock"]);
        let check = ["check", "--read-data", "--no-lock"];
        restic((ceph, &account), BUCKET, &newest.path, &check);
        assert_restores(&scene, &account, &format!("restored-{seed}"));
        let target = tempfile::tempdir().unwrap();
        let to = target.path().to_str().unwrap();
        let restore = ["restore", kept.as_str(), "--no-lock", "--target", to];
        scene.restic(&newest, "one", &restore);
        assert_same(&scene, target.path());
    }
    scene.assert_whole();
    expect(&scene, &account, 0, &["verify", "--decode"]);
}
