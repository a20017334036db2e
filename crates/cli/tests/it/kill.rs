//! `kill -9` at random moments: what is on the copies is sound whenever it happens, and the next
//! run goes on from there.
//!
//! The moments are drawn by a seed and spread over the time that a run takes here and now, so that
//! a slow machine is hit in all phases too.

mod prune;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::blob::{self, BlobId, BlobKind, PackedBlob};
use strongroom_repo::index::IndexFile;
use strongroom_repo::{Key, Repository, Snapshot, Tree, pack};
use strongroom_store::{LocalStore, Store};
use strongroom_testkit::programs::restic_versions;
use strongroom_testkit::tree::{TreeSpec, mutate};

use crate::scene::{ALL, PASSWORD, Running, Scene, write_noise};

/// After this many kills the copies are looked at and a backup runs to its end.
const KILLS_IN_A_ROW: u64 = 10;

/// For so long single kills of a round are each followed by a backup, and one copy is checked;
/// the others are followed by the next kill.
const FOLLOWED: Duration = Duration::from_millis(2500);

/// Whether there is time for more.
fn is_thorough() -> bool {
    std::env::var_os("STRONGROOM_THOROUGH").is_some()
}

/// A random part of a time and a bit more, drawn by a seed.
pub(crate) fn moment(seed: u64, of: Duration) -> Duration {
    let digest = Id::of(format!("moment {seed}").as_bytes());
    let [high, low, ..] = digest.as_bytes();
    let part = f64::from(u16::from_be_bytes([*high, *low])) / f64::from(u16::MAX);
    of.mul_f64(part * 1.1)
}

/// Changes the source: a day's work on the small files, and some megabytes that do not compress.
fn change(scene: &Scene, number: u64) {
    mutate(&scene.source().join("tree"), number);
    write_noise(
        &scene.source().join(format!("noise-{}", number % 5)),
        number,
        4 << 20,
    );
}

/// Sets the scene.
fn scene() -> Scene {
    scene_of(60, 1200, 6)
}

/// Sets the scene with so many folders, small files and big ones; packs are small, so that a run has
/// many moments.
fn scene_of(folders: usize, small_files: usize, big_files: usize) -> Scene {
    let scene = Scene::new();
    scene.configure_local("[limits]\npack_size = \"4MiB\"\n");
    let spec = TreeSpec {
        folders,
        small_files,
        big_files_bytes: vec![3 << 20; big_files],
        ..TreeSpec::small(1)
    };
    spec.build(&scene.source().join("tree"));
    scene
}

fn key(scene: &Scene) -> Key {
    let store = LocalStore::new(scene.path("one"));
    let opened = Repository::open(&store, PASSWORD.as_bytes(), &mut BTreeSet::new());
    opened.unwrap().key().clone()
}

fn stored_bytes(scene: &Scene, copy: &str) -> u64 {
    let packs = scene.files(copy, "data");
    let size = |path| fs::metadata(scene.path(copy).join(path)).unwrap().len();
    packs.iter().map(size).sum()
}

#[test]
fn backups_that_are_killed_at_any_moment_do_no_harm() {
    let scene = scene();
    let restics = restic_versions();
    scene.begin();
    let mut sound = Soundness::new(&scene);
    let (rounds, mut seed) = (if is_thorough() { 15 } else { 5 }, 0);
    for round in 0..rounds {
        change(&scene, 1_000_000 + round);
        let usual = Usual::measure(&scene, &["--quiet", "backup"]);
        let (mut killed, mut spent) = (0, Duration::ZERO);
        while killed < KILLS_IN_A_ROW {
            seed += 1;
            change(&scene, seed);
            let was_hit = kill_one(&scene, &["--quiet", "backup"], seed, usual.moments(seed));
            killed += u64::from(was_hit);
            sound.assert_holds(&scene);
            if was_hit && (spent < FOLLOWED || is_thorough()) {
                let start = Instant::now();
                scene.expect(0, &["--quiet", "backup"]);
                sound.assert_holds(&scene);
                let snapshots = ALL.map(|copy| {
                    let mut snapshots = scene.files(copy, "snapshots");
                    snapshots.retain(|path| !is_passing(path));
                    snapshots
                });
                assert_eq!(snapshots[0], snapshots[1]);
                assert_eq!(snapshots[0], snapshots[2]);
                let copy = ALL[seed as usize % ALL.len()];
                scene.check(&restics[killed as usize % restics.len()], copy, &[]);
                spent += start.elapsed();
            }
        }
        // As the kills left them, apart from the locks of the dead.
        let nth = |step: u64| {
            let number = (round + step) as usize;
            (&restics[number % restics.len()], ALL[number % ALL.len()])
        };
        for (restic, copy) in [nth(0), nth(1)] {
            scene.check(restic, copy, &["--no-lock"]);
        }
        sweep(&scene);
        let packs = ALL.map(|copy| scene.files(copy, "data"));
        let before = stored_bytes(&scene, "one");
        let ended = scene.expect(0, &["--json", "backup"]);
        for (copy, packs) in ALL.into_iter().zip(packs) {
            let lost = &packs - &scene.files(copy, "data");
            assert_eq!(lost, [].into(), "{copy}");
            assert_eq!(scene.files(copy, "locks"), [].into(), "{copy}");
        }
        // At most what the last change brought and what was on its way when it was killed.
        let grown = stored_bytes(&scene, "one").saturating_sub(before);
        assert!(grown < 40 << 20, "{grown}: {}", ended.out);
        // What is found of one of them holds for all.
        scene.assert_identical();
        let (restic, copy) = nth(2);
        scene.check(restic, copy, &[]);
    }
    scene.check_all();
    scene.assert_restic_restores_all();
    let target = scene.path("restored");
    scene.expect(0, &["restore", "latest", target.to_str().unwrap()]);
    let restored = target.join(scene.source().strip_prefix("/").unwrap());
    let differences = strongroom_testkit::tree::compare(&scene.source(), &restored);
    assert_eq!(differences, []);
}

#[test]
fn a_sync_that_is_killed_at_any_moment_goes_on_where_it_was() {
    let scene = scene();
    let restic = &restic_versions()[0];
    scene.begin();
    for number in 0..3 {
        change(&scene, number);
        scene.expect(0, &["--quiet", "backup"]);
    }
    let empty = || {
        fs::remove_dir_all(scene.path("three")).unwrap();
        scene.expect(0, &["--quiet", "init"]);
    };
    let mut sound = Soundness::new(&scene);
    empty();
    let usual = Usual::measure(&scene, &["--quiet", "sync"]);
    scene.assert_identical();
    let rounds = if is_thorough() { 40 } else { 4 };
    for seed in 0..rounds {
        empty();
        // The second kill hits a copy that holds some of it.
        for part in [seed, seed + 101] {
            kill_one(&scene, &["--quiet", "sync"], part, usual.moments(part));
            sound.assert_holds(&scene);
        }
        scene.check(restic, "three", &["--no-lock"]);
        scene.expect(0, &["--quiet", "sync"]);
        sweep(&scene);
        scene.assert_identical();
    }
    scene.check_all();
}

#[test]
fn an_init_that_is_killed_at_any_moment_can_be_run_again() {
    let start = Instant::now();
    Scene::new().expect(0, &["--quiet", "init"]);
    let usual = start.elapsed();
    for seed in 0..if is_thorough() { 60 } else { 8 } {
        let scene = Scene::new();
        // Half of them where files are written, which is at the end.
        let time = match seed % 2 {
            0 => moment(seed, usual),
            _ => usual.mul_f64(0.7) + moment(seed, usual.mul_f64(0.4)),
        };
        scene.start(&["--quiet", "init"]).kill_after(time);
        let ended = scene.run(&["init"]);
        ended.assert_code(0, &seed);
        fs::write(scene.source().join("file"), "content").unwrap();
        scene.expect(0, &["--quiet", "backup"]);
        sweep(&scene);
        scene.assert_identical();
        scene.check(&restic_versions()[0], ALL[seed as usize % 3], &[]);
    }
}

/// How long a run takes here and now, up to its lock and from there on.
struct Usual {
    to_lock: Duration,
    from_lock: Duration,
}

impl Usual {
    /// Runs to the end.
    fn measure(scene: &Scene, arguments: &[&str]) -> Self {
        let start = Instant::now();
        let locks = scene.files("two", "locks");
        let running = scene.start(arguments);
        let seen = running.until(|| !scene.files("two", "locks").is_subset(&locks));
        let to_lock = start.elapsed();
        let ended = seen.map_or_else(|ended| ended, Running::wait);
        ended.assert_code(0, &arguments);
        Self {
            to_lock,
            from_lock: start.elapsed() - to_lock,
        }
    }

    /// One of eight at any moment before its lock, the others by turns while it does its work, and just
    /// when the first new index file or snapshot is on a copy, since that is what barriers are about.
    fn moments(&self, seed: u64) -> When {
        match seed % 8 {
            0 => When::Before(self.to_lock),
            1 | 4 | 7 => When::Behind("locks", self.from_lock),
            2 | 5 => When::Behind("index", Duration::from_millis(10)),
            _ => When::Behind("snapshots", Duration::from_millis(10)),
        }
    }
}

/// When a run is killed.
#[derive(Clone, Copy)]
enum When {
    /// Within that time from its start.
    Before(Duration),
    /// Within that time from the first new file in this folder of a copy.
    Behind(&'static str, Duration),
}

/// Kills a run at a random moment; tells whether it was still running.
fn kill_one(scene: &Scene, arguments: &[&str], seed: u64, when: When) -> bool {
    let (folder, longest) = match when {
        When::Before(longest) => {
            let running = scene.start(arguments);
            return running.kill_after(moment(seed, longest));
        }
        When::Behind(folder, longest) => (folder, longest),
    };
    let before = ALL.map(|copy| scene.files(copy, folder));
    let has_new = || {
        let mut copies = ALL.into_iter().zip(&before);
        copies.any(|(copy, before)| {
            let new = &scene.files(copy, folder) - before;
            new.iter().any(|path| !is_passing(path))
        })
    };
    match scene.start(arguments).until(has_new) {
        Ok(running) => running.kill_after(moment(seed, longest)),
        Err(_) => false,
    }
}

/// What must hold on every copy whenever a run is killed.
struct Soundness {
    key: Key,
    /// The blobs that each tree names, which are the same wherever it lies.
    trees: BTreeMap<Id, Vec<BlobId>>,
}

impl Soundness {
    fn new(scene: &Scene) -> Self {
        let key = key(scene);
        let trees = BTreeMap::new();
        Self { key, trees }
    }

    /// Asserts of each copy that its index files name only packs that are there in full, and that
    /// these hold every blob of its snapshots.
    fn assert_holds(&mut self, scene: &Scene) {
        for copy in ALL {
            let store = &LocalStore::new(scene.path(copy));
            let read = |kind| {
                let entries = store.list(kind).unwrap().into_iter();
                entries.map(move |entry| store.read(FileName::new(kind, entry.id)).unwrap())
            };
            let packs = store.list(FileType::Data).unwrap().into_iter();
            let packs: BTreeMap<_, _> = packs.map(|entry| (entry.id, entry.size_bytes)).collect();
            let mut blobs = BTreeMap::new();
            for bytes in read(FileType::Index) {
                for indexed in IndexFile::open(&self.key, bytes).unwrap().packs {
                    let size = pack::size_bytes(&indexed.blobs);
                    assert_eq!(packs.get(&indexed.id), Some(&size), "{copy}");
                    let pack = FileName::new(FileType::Data, indexed.id);
                    for blob in indexed.blobs {
                        blobs.insert(blob.blob, (pack, blob));
                    }
                }
            }
            let mut seen = BTreeSet::new();
            for bytes in read(FileType::Snapshots) {
                let snapshot = Snapshot::open(&self.key, bytes).unwrap();
                let mut wanted = vec![BlobId::tree(snapshot.tree)];
                while let Some(blob) = wanted.pop() {
                    if !seen.insert(blob) {
                        continue;
                    }
                    let found = blobs.get(&blob);
                    let (pack, packed) = found.unwrap_or_else(|| panic!("{copy} lacks {blob}"));
                    if blob.kind == BlobKind::Tree {
                        wanted.extend(self.named_by(store, *pack, packed));
                    }
                }
            }
        }
    }

    /// The blobs that a tree names; it is read where it is met for the first time.
    fn named_by(&mut self, store: &LocalStore, pack: FileName, packed: &PackedBlob) -> &[BlobId] {
        self.trees.entry(packed.blob.id).or_insert_with(|| {
            let start = u64::from(packed.offset);
            let range = start..start + u64::from(packed.length);
            let mut sealed = store.read_range(pack, range).unwrap();
            let length = packed.uncompressed_length;
            let text = blob::decode(&self.key, packed.blob, length, &mut sealed).unwrap();
            let nodes = Tree::decode(&text).unwrap().nodes;
            let named = nodes.iter().flat_map(|node| {
                let content = node.content.as_deref().unwrap_or_default();
                let data = content.iter().map(|id| BlobId::data(*id));
                data.chain(node.subtree.map(BlobId::tree))
            });
            named.collect()
        })
    }
}

/// Asserts that what a restic finds of one copy holds for the others too: a file that lies there as
/// well has the same bytes, and any other has its name.
fn assert_alike(scene: &Scene, checked: &str) {
    let there = scene.files(checked, "");
    for copy in ALL.into_iter().filter(|copy| *copy != checked) {
        let mut files = scene.files(copy, "");
        files.retain(|path| !is_passing(path));
        for path in &files {
            let bytes = fs::read(scene.path(copy).join(path)).unwrap();
            let is_right = match there.contains(path) {
                true => bytes == fs::read(scene.path(checked).join(path)).unwrap(),
                false => path.ends_with(Id::of(&bytes).to_string()),
            };
            assert!(is_right, "{copy}, {checked}: {}", path.display());
        }
    }
}

pub(crate) fn is_passing(path: &Path) -> bool {
    path.to_string_lossy().contains(".tmp-")
}

/// Removes what killed runs had under passing names, which nobody counts as files of a copy.
fn sweep(scene: &Scene) {
    for copy in ALL {
        for path in scene.files(copy, "") {
            if is_passing(&path) {
                fs::remove_file(scene.path(copy).join(path)).unwrap();
            }
        }
    }
}
