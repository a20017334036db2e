//! A prune that is killed while backups run beside it.

use std::fs;
use std::time::Duration;

use strongroom_testkit::programs::restic_versions;

use crate::kill::{Soundness, Usual, change, is_passing, is_thorough, moment, scene, sweep};
use crate::scene::{ALL, Scene};

const PRUNE: [&str; 4] = ["--quiet", "prune", "--max-unused", "0"];

/// How many snapshots are kept.
const KEPT: usize = 3;

/// The snapshots of the first copy, the oldest first.
fn snapshots(scene: &Scene) -> Vec<String> {
    let files = scene.files("one", "snapshots").into_iter();
    let files = files.filter(|path| !is_passing(path));
    let mut dated: Vec<_> = files
        .map(|path| {
            let modified = fs::metadata(scene.path("one").join(&path)).unwrap();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (modified.modified().unwrap(), name)
        })
        .collect();
    dated.sort();
    dated.into_iter().map(|(_, name)| name).collect()
}

/// Removes all snapshots but the last few from every copy, and says that it was meant.
fn forget(scene: &Scene) {
    let all = snapshots(scene);
    let old = all.len().saturating_sub(KEPT);
    if old == 0 {
        return;
    }
    for snapshot in &all[..old] {
        for copy in ALL {
            fs::remove_file(scene.path(copy).join("snapshots").join(snapshot)).unwrap();
        }
    }
    scene.expect(0, &["--quiet", "sync", "--accept-removed"]);
}

/// A day with three backups, of which the last prune knows nothing.
fn days_work(scene: &Scene, seed: u64) {
    for part in 0..3 {
        change(scene, seed * 10 + part);
        scene.expect(0, &["--quiet", "backup"]);
    }
    forget(scene);
}

/// Kills a prune at a random moment, by turns at any before its lock, while it does its work, and
/// just when the first new index file or removal record is on a copy. Tells whether it still ran.
fn kill_one(scene: &Scene, usual: &Usual, seed: u64) -> bool {
    let (folder, longest) = match seed % 4 {
        0 => {
            let running = scene.start(&PRUNE);
            return running.kill_after(moment(seed, usual.to_lock));
        }
        1 => ("locks", usual.from_lock),
        2 => ("index", Duration::from_millis(20)),
        _ => ("strongroom", Duration::from_millis(20)),
    };
    let before = ALL.map(|copy| scene.files(copy, folder));
    let has_new = || {
        let mut copies = ALL.into_iter().zip(&before);
        copies.any(|(copy, before)| {
            let new = &scene.files(copy, folder) - before;
            new.iter().any(|path| !is_passing(path))
        })
    };
    match scene.start(&PRUNE).until(has_new) {
        Ok(running) => running.kill_after(moment(seed, longest)),
        Err(_) => false,
    }
}

#[test]
fn prunes_that_are_killed_at_any_moment_lose_nothing_with_backups_beside_them() {
    let scene = scene();
    let restics = restic_versions();
    scene.begin();
    let mut sound = Soundness::new(&scene);
    days_work(&scene, 1_000);
    let usual = Usual::measure(&scene, &PRUNE);
    sound.assert_holds(&scene);
    let kills = if is_thorough() { 50 } else { 10 };
    let (mut killed, mut seed) = (0, 0);
    while killed < kills {
        seed += 1;
        days_work(&scene, seed);
        let packs = scene.files("one", "data").len();
        change(&scene, seed * 10 + 5);
        // Each of the two may find the other at work, on all copies or on some.
        let beside = scene.start(&["--quiet", "backup"]);
        killed += u64::from(kill_one(&scene, &usual, seed));
        let ended = beside.wait();
        assert!(matches!(ended.code, Some(0 | 3 | 11)), "{ended:?}");
        sound.assert_holds(&scene);
        let number = seed as usize;
        let (restic, copy) = (&restics[number % restics.len()], ALL[number % ALL.len()]);
        scene.check(restic, copy, &["--no-lock"]);

        // Whoever comes next goes on: by turns a backup and the next prune.
        if seed.is_multiple_of(2) {
            scene.expect(0, &["--quiet", "backup"]);
            sound.assert_holds(&scene);
        }
        scene.expect(0, &PRUNE);
        scene.expect(0, &["--quiet", "sync"]);
        sound.assert_holds(&scene);
        sweep(&scene);
        scene.assert_identical();
        assert!(scene.files("one", "data").len() < packs + 20);
    }
    scene.expect(0, &["--quiet", "backup"]);
    scene.check_all();
    scene.assert_restic_restores_all();
    for (number, snapshot) in snapshots(&scene).iter().enumerate() {
        let target = tempfile::tempdir().unwrap();
        let to = target.path().to_str().unwrap();
        let copy = ALL[number % ALL.len()];
        scene.restic(&restics[0], copy, &["restore", snapshot, "--target", to]);
    }
}
