//! A forget and a prune that are killed while backups run beside them.

use std::collections::BTreeMap;
use std::time::Duration;

use strongroom_model::Id;
use strongroom_testkit::programs::restic_versions;
use strongroom_testkit::tree::digest;

use crate::kill::{
    Soundness, Usual, When, assert_alike, change, is_thorough, kill_one, scene, scene_of, sweep,
};
use crate::scene::{ALL, Scene};

const PRUNE: [&str; 4] = ["--quiet", "prune", "--max-unused", "0"];

/// How many snapshots are kept.
const KEPT: usize = 3;

/// In how many moments runs are killed by turns.
const MOMENTS: u64 = 4;

/// For how long at most a run goes on once a first file of a kind is there.
const AT_ONCE: Duration = Duration::from_millis(20);

/// How all snapshots but the last few are forgotten; `None` where there are no more.
fn forget(scene: &Scene) -> Option<Vec<String>> {
    let mut ids = scene.snapshots();
    ids.truncate(ids.len().saturating_sub(KEPT));
    let words = ["--quiet", "forget"].map(str::to_owned);
    (!ids.is_empty()).then(|| words.into_iter().chain(ids).collect())
}

fn words(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

/// A digest of what each snapshot was made of.
#[derive(Default)]
struct Made(BTreeMap<String, Id>);

impl Made {
    /// Takes note of the snapshots that are new; the source has not changed since the first one.
    fn note(&mut self, scene: &Scene) {
        let mut new = scene.snapshots();
        new.retain(|snapshot| !self.0.contains_key(snapshot));
        if !new.is_empty() {
            let source = digest(&scene.source());
            self.0
                .extend(new.into_iter().map(|snapshot| (snapshot, source)));
        }
    }
}

/// A day with three backups, of which the last prune knows nothing.
fn days_work(scene: &Scene, made: &mut Made, seed: u64) {
    for part in 0..3 {
        change(scene, seed * 10 + part);
        scene.expect(0, &["--quiet", "backup"]);
        made.note(scene);
    }
}

/// By turns before its lock, while it does its work, and just when the first new index file or
/// removal record is on a copy.
fn in_prune(usual: &Usual, seed: u64) -> When {
    match seed % MOMENTS {
        0 => When::Before(usual.to_lock),
        1 => When::Behind("locks", usual.from_lock),
        2 => When::Behind("index", AT_ONCE),
        _ => When::Behind("strongroom", AT_ONCE),
    }
}

/// The same of a forget, which writes no index file and is soon over.
fn in_forget(usual: &Usual, seed: u64) -> When {
    match seed % MOMENTS {
        0 => When::Before(usual.to_lock),
        1 => When::Behind("locks", usual.from_lock),
        2 => When::Behind("strongroom", AT_ONCE),
        _ => When::Behind("strongroom", AT_ONCE / 8),
    }
}

/// Forgets what is old, in a run that is killed, and then whatever that did not come to. Tells
/// whether the first still ran, and behind its lock, before which it changes nothing.
fn forget_twice(scene: &Scene, sound: &mut Soundness, usual: &Usual, seed: u64) -> bool {
    let before = scene.snapshots();
    let Some(first) = forget(scene) else {
        return false;
    };
    let when = in_forget(usual, seed);
    let was_hit = kill_one(scene, &words(&first), seed, when);
    sound.assert_holds(scene);
    // All of them went, or none: it is one record.
    let left = scene.snapshots();
    assert!(
        left == before || left.len() == KEPT,
        "{left:?} of {before:?}"
    );
    assert!(before.ends_with(&left), "{left:?} of {before:?}");
    if let Some(second) = forget(scene) {
        scene.expect(0, &words(&second));
    }
    assert!(before.ends_with(&scene.snapshots()));
    was_hit && matches!(when, When::Behind(..))
}

#[test]
fn forgets_and_prunes_that_are_killed_at_any_moment_lose_nothing_with_backups_beside_them() {
    // A prune looks at each file of a copy, and a run of a small one has the same moments. Each of these
    // has its share: one that is easily hit stands in for no other.
    let (scene, share) = match is_thorough() {
        true => (scene(), 13),
        false => (scene_of(20, 300, 2), 1),
    };
    let restics = restic_versions();
    scene.begin();
    let (mut sound, mut made) = (Soundness::new(&scene), Made::default());
    made.note(&scene);
    days_work(&scene, &mut made, 1_000);
    let first = forget(&scene).unwrap();
    let of_forget = Usual::measure(&scene, &words(&first));
    let of_prune = Usual::measure(&scene, &PRUNE);
    sound.assert_holds(&scene);
    let (mut killed, mut forgets_killed, mut seed) = ([0_u64; MOMENTS as usize], 0, 0);
    let is_short = |killed: &[u64]| killed.iter().any(|hits| *hits < share);
    while is_short(&killed) || forgets_killed == 0 {
        seed += 1;
        assert!(seed < 20 * MOMENTS * share, "{killed:?}, {forgets_killed}");
        let moment = (seed % MOMENTS) as usize;
        if killed[moment] >= share && is_short(&killed) {
            continue;
        }
        days_work(&scene, &mut made, seed);
        forgets_killed += u64::from(forget_twice(&scene, &mut sound, &of_forget, seed));
        let packs = scene.files("one", "data").len();
        change(&scene, seed * 10 + 5);
        // Each of the two may find the other at work, on all copies or on some.
        let beside = scene.start(&["--quiet", "backup"]);
        let was_hit = kill_one(&scene, &PRUNE, seed, in_prune(&of_prune, seed));
        killed[moment] += u64::from(was_hit);
        let ended = beside.wait();
        assert!(matches!(ended.code, Some(0 | 3 | 11)), "{ended:?}");
        sound.assert_holds(&scene);
        let number = seed as usize;
        let (restic, copy) = (&restics[number % restics.len()], ALL[number % ALL.len()]);
        scene.check(restic, copy, &["--no-lock"]);
        assert_alike(&scene, copy);

        // Whoever comes next goes on: behind each moment by turns a backup and the next prune, and first a
        // backup behind a record.
        if !(seed + seed / MOMENTS).is_multiple_of(2) {
            scene.expect(0, &["--quiet", "backup"]);
            sound.assert_holds(&scene);
        }
        scene.expect(0, &PRUNE);
        scene.expect(0, &["--quiet", "sync"]);
        sound.assert_holds(&scene);
        sweep(&scene);
        scene.assert_identical();
        assert!(scene.files("one", "data").len() < packs + 20);
        made.note(&scene);
    }
    scene.expect(0, &["--quiet", "backup"]);
    made.note(&scene);
    scene.check_all();
    scene.assert_restic_restores_all();
    let (source, kept) = (scene.source(), scene.snapshots());
    assert!(kept.len() > KEPT, "{kept:?}");
    for (number, snapshot) in kept.iter().enumerate() {
        let target = tempfile::tempdir().unwrap();
        let to = target.path().to_str().unwrap();
        let copy = ALL[number % ALL.len()];
        scene.restic(&restics[0], copy, &["restore", snapshot, "--target", to]);
        let restored = target.path().join(source.strip_prefix("/").unwrap());
        assert_eq!(digest(&restored), made.0[snapshot], "{snapshot} on {copy}");
    }
}
