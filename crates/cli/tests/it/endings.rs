//! How the program ends: the exit statuses, an interruption, a configuration that is none, and the
//! memory that a run takes.

use std::fs;

use rustix::process::Signal;
use strongroom_testkit::RcloneServer;
use strongroom_testkit::programs::restic_versions;
use strongroom_testkit::tree::TreeSpec;

use crate::scene::{ALL, Running, Scene, write_noise};

fn small() -> Scene {
    let scene = Scene::new();
    TreeSpec::small(1).build(&scene.source().join("tree"));
    scene
}

const FILES: u64 = 8;
const FILE_BYTES: usize = 8 << 20;

/// A source that takes a while, and a backup of it that has stored its first packs.
fn backup_under_way(scene: &Scene) -> Running {
    scene.configure_local("[limits]\npack_size = \"4MiB\"\n");
    for number in 0..FILES {
        write_noise(&scene.source().join(number.to_string()), number, FILE_BYTES);
    }
    scene.init();
    let running = scene.start(&["backup"]);
    let begun = running.until(|| ALL.iter().all(|copy| scene.files(copy, "data").len() > 2));
    begun.unwrap_or_else(|ended| panic!("{ended:?}"))
}

#[test]
fn an_interrupted_backup_ends_cleanly_and_the_next_one_uses_all_that_arrived() {
    for signal in [Signal::INT, Signal::TERM] {
        let scene = Scene::new();
        let running = backup_under_way(&scene);
        running.signal(signal);
        let ended = running.wait();
        ended.assert_code(130, &signal);
        ended.assert_says(&["Ending"]);
        let packs = ALL.map(|copy| scene.files(copy, "data"));
        for copy in ALL {
            assert_eq!(scene.files(copy, "locks"), [].into(), "{copy}");
            assert_eq!(scene.files(copy, "snapshots"), [].into(), "{copy}");
            let all = scene.files(copy, "");
            let passing = all
                .iter()
                .find(|path| path.to_string_lossy().contains(".tmp-"));
            assert_eq!(passing, None, "{copy}");
        }
        scene.check(&restic_versions()[0], "two", &[]);
        let summary = scene.expect(0, &["--json", "backup"]).summary();
        for (copy, packs) in ALL.into_iter().zip(&packs) {
            let lost = packs - &scene.files(copy, "data");
            assert_eq!(lost, [].into(), "{copy}");
        }
        // What one copy has is not written again, and hardly anything is stored twice.
        let most = packs
            .iter()
            .map(std::collections::BTreeSet::len)
            .max()
            .unwrap();
        let all = scene.files("one", "data").len();
        let written = summary["packs_written"].as_u64().unwrap() as usize;
        assert!(
            written + most <= all + 1,
            "{written} new, {most} before, {all} in all"
        );
        let stored: u64 = scene
            .files("one", "data")
            .iter()
            .map(|path| fs::metadata(scene.path("one").join(path)).unwrap().len())
            .sum();
        assert!(stored < FILES * FILE_BYTES as u64 * 102 / 100, "{stored}");
        scene.assert_identical();
    }
}

#[test]
fn a_second_interruption_ends_at_once_and_leaves_what_is_sound() {
    let scene = Scene::new();
    let running = backup_under_way(&scene);
    running.signal(Signal::INT);
    running.signal(Signal::INT);
    running.wait().assert_code(130, &"twice");
    scene.check(&restic_versions()[0], "two", &["--no-lock"]);
    scene.expect(0, &["--quiet", "backup"]);
    for copy in ALL {
        assert_eq!(scene.files(copy, "locks"), [].into(), "{copy}");
    }
}

#[test]
fn an_interruption_of_the_sync_that_ends_a_backup_says_what_is_whole_and_what_to_do() {
    let scene = Scene::new();
    fs::create_dir(scene.path("three")).unwrap();
    let server = RcloneServer::start(&scene.path("three"), &[]);
    scene.configure(
        "[limits]\npack_size = \"4MiB\"\nuploads_per_copy = 1\n",
        &[
            ("one", scene.path("one").display().to_string()),
            ("two", scene.path("two").display().to_string()),
            ("three", format!("rest:{}", server.url())),
        ],
    );
    fs::write(scene.source().join("first"), "first").unwrap();
    scene.begin();
    fs::rename(scene.path("three"), scene.path("elsewhere")).unwrap();
    for number in 0..FILES {
        write_noise(&scene.source().join(number.to_string()), number, FILE_BYTES);
    }
    scene.expect(3, &["--quiet", "backup"]);
    fs::rename(scene.path("elsewhere"), scene.path("three")).unwrap();
    fs::write(scene.source().join("last"), "last").unwrap();
    let owed = &scene.files("one", "data") - &scene.files("three", "data");

    // The server stands still until the interruption was heard: so it comes amid the transfers.
    let interrupted = |command: &str| {
        let owed = &owed - &scene.files("three", "data");
        let running = scene.start(&[command]);
        let syncs = running.until(|| !scene.files("three", "data").is_disjoint(&owed));
        server.pause();
        let running = syncs.unwrap_or_else(|ended| panic!("{ended:?}"));
        running.signal(Signal::INT);
        let running = running.until_it_says("Ending");
        server.resume();
        let ended = running.wait();
        ended.assert_code(130, &command);
        ended
    };
    let ended = interrupted("backup");
    ended.assert_says(&["sync", "interrupted"]);
    ended.assert_says(&["hint", "strongroom sync"]);
    let all_of = |copy| &scene.files(copy, "data") | &scene.files(copy, "index");
    let lacks = (&all_of("one") - &all_of("three")).len();
    // A server that was stopped for long may take the one file on its way when nobody waits for its
    // answer any more.
    let behind = [lacks, lacks + 1].map(|files| format!("behind by {files} files"));
    let whole = || vec!["whole".to_owned()];
    for (copy, words) in [
        ("one", whole()),
        ("two", whole()),
        ("three", behind.to_vec()),
    ] {
        let row = ended.out.lines().rfind(|line| line.starts_with(copy));
        let is_told = |row: &str| words.iter().any(|word| row.contains(word));
        assert!(row.is_some_and(is_told), "{}", ended.out);
        assert_eq!(scene.files(copy, "locks"), [].into(), "{copy}");
    }
    let arrived = scene.files("three", "data");
    assert!(!owed.is_subset(&arrived), "it was too late");
    assert_eq!(scene.files("three", "snapshots").len(), 1);
    scene.check(&restic_versions()[0], "three", &[]);

    // A sync by itself says the same.
    let ended = interrupted("sync");
    ended.assert_says(&["sync", "interrupted"]);
    ended.assert_says(&["hint", "strongroom sync"]);
    assert!(ended.out.contains("behind"), "{}", ended.out);
    assert_eq!(scene.files("three", "locks"), [].into());
    assert!(
        !owed.is_subset(&scene.files("three", "data")),
        "it was too late"
    );

    let summary = scene.expect(0, &["--json", "backup"]).summary();
    assert_eq!(summary["packs_written"], 0, "{summary}");
    assert!(arrived.is_subset(&scene.files("three", "data")));
    scene.assert_identical();
    scene.check(&restic_versions()[0], "three", &[]);
}

#[test]
fn each_way_to_end_has_its_status() {
    let scene = small();
    scene.expect(2, &["no-such-command"]);
    scene.expect(2, &["backup", "--no-such-option"]);
    for arguments in [
        &["backup"][..],
        &["snapshots"],
        &["sync"],
        &["restore", "latest", "/x"],
        &["ls", "latest"],
        &["dump", "latest", "/x"],
        &["key", "list"],
        &["unlock"],
    ] {
        scene
            .expect(10, arguments)
            .assert_says(&["There is no repository"]);
    }
    scene.begin();
    scene.expect(2, &["backup", "no-such-source"]);
    let wrong = |arguments: &[&str]| {
        fs::write(scene.path("password"), "wrong").unwrap();
        let ended = scene.run(arguments);
        fs::write(scene.path("password"), crate::scene::PASSWORD).unwrap();
        ended
    };
    for arguments in [
        &["backup"][..],
        &["snapshots"],
        &["sync"],
        &["verify"],
        &["status"],
        &["restore", "latest", "/x"],
        &["ls", "latest"],
        &["dump", "latest", "/x"],
        &["key", "add", "--new-password-file", "password"],
        &["key", "list"],
        &["key", "remove", "0"],
        &["unlock", "--all"],
    ] {
        wrong(arguments).assert_code(12, &arguments);
    }
    assert_eq!(scene.files("one", "keys").len(), 1);
    let target = scene.path("target");
    let to = target.to_str().unwrap();
    scene.expect(1, &["restore", "deadbeef", to]);
    assert!(!target.exists());
    fs::create_dir(&target).unwrap();
    fs::write(target.join("mine"), "mine").unwrap();
    scene
        .expect(1, &["restore", "latest", to])
        .assert_says(&["empty"]);
    assert_eq!(fs::read_dir(&target).unwrap().count(), 1);
    fs::remove_dir_all(scene.source()).unwrap();
    scene
        .expect(1, &["backup"])
        .assert_says(&["main", "No such file"]);
    fs::create_dir(scene.source()).unwrap();
    let ended = scene.expect(1, &["backup"]);
    ended.assert_says(&["nothing in it"]);
    assert_eq!(scene.files("one", "snapshots").len(), 1);
}

#[test]
fn copies_that_another_holds_exclusively_are_status_11() {
    let scene = small();
    scene.begin();
    let restic = &restic_versions()[0];
    let held = ALL.map(|copy| HeldByRestic::hold(&scene, restic, copy));
    let target = scene.path("target");
    let restore = ["restore", "latest", target.to_str().unwrap()];
    for arguments in [&["backup"][..], &["sync"], &restore] {
        scene.expect(11, arguments).assert_says(&["exclusive"]);
    }
    assert!(!target.exists());
    // Who takes no lock is kept from nothing.
    for arguments in [
        &["snapshots"][..],
        &["ls", "latest"],
        &["key", "list"],
        &["backup", "--dry-run"],
    ] {
        scene.expect(0, arguments);
    }
    drop(held);
    for copy in ALL {
        assert_eq!(scene.files(copy, "snapshots").len(), 1);
    }
    scene.expect(11, &["backup"]);
    scene.expect(0, &["unlock", "--all"]);
    scene.expect(0, &["backup"]);
    for copy in ALL {
        assert_eq!(scene.files(copy, "locks"), [].into(), "{copy}");
    }
    scene.check_all();
}

#[test]
fn a_copy_that_stock_restic_holds_exclusively_is_left_out_by_name() {
    let scene = small();
    scene.begin();
    for restic in restic_versions() {
        let held = HeldByRestic::hold(&scene, &restic, "two");
        let ended = scene.expect(3, &["backup"]);
        ended.assert_says(&["two", "exclusive"]);
        drop(held);
        // It was killed a moment ago, and may as well live in a container of this name.
        scene
            .expect(3, &["backup"])
            .assert_says(&["two", "exclusive"]);
        scene.expect(0, &["unlock"]);
        scene.expect(3, &["backup"]);
        scene.expect(0, &["unlock", "--all"]);
        scene.expect(0, &["backup"]);
        scene.assert_identical();
    }
}

/// A stock restic that has taken its exclusive lock and goes no further; killed when dropped.
struct HeldByRestic(std::process::Child);

impl HeldByRestic {
    fn hold(scene: &Scene, restic: &strongroom_testkit::programs::Restic, copy: &str) -> Self {
        let locks = scene.files(copy, "locks");
        let child = std::process::Command::new(&restic.path)
            .args(["--no-cache", "-r"])
            .arg(scene.path(copy))
            .args(["check", "--read-data"])
            .env("RESTIC_PASSWORD", crate::scene::PASSWORD)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let start = std::time::Instant::now();
        let is_held = || {
            let new = &scene.files(copy, "locks") - &locks;
            new.iter()
                .any(|path| !path.to_string_lossy().contains("tmp"))
        };
        while !is_held() {
            assert!(start.elapsed() < crate::scene::PATIENCE);
            std::thread::yield_now();
        }
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, Signal::STOP).unwrap();
        assert!(is_held(), "restic was too quick");
        Self(child)
    }
}

impl Drop for HeldByRestic {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_configuration_that_is_none_is_an_error_and_never_a_panic() {
    let scene = Scene::new();
    let path = scene.path("strongroom.toml");
    let good = fs::read(&path).unwrap();
    let mut cases: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"\xff\xfe\x00".to_vec(),
        vec![0; 4096],
        vec![b'['; 100_000],
        b"password_file = ".to_vec(),
        format!("password_file = {}", "[".repeat(50_000)).into_bytes(),
        vec![b'#'; 2 << 20],
    ];
    // Cut off in the middle of a line.
    cases.extend([1, 5, 30, 90, good.len() / 2, good.len() - 3].map(|end| good[..end].to_vec()));
    for (number, case) in cases.iter().enumerate() {
        fs::write(&path, case).unwrap();
        let ended = scene.expect(1, &["backup"]);
        ended.assert_says(&["error"]);
        ended.assert_says(&["strongroom.toml"]);
        assert!(!ended.err.contains("panicked"), "{number}: {}", ended.err);
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    scene
        .expect(1, &["backup"])
        .assert_says(&["strongroom.toml"]);
    assert!(!scene.path("one").exists());
}

#[test]
fn the_memory_of_a_backup_is_bounded_whatever_waits_for_a_copy_that_hangs() {
    let scene = Scene::new();
    let hanging = scene.path("three");
    fs::create_dir(&hanging).unwrap();
    let server = RcloneServer::start(&hanging, &[]);
    let local = |name: &str| scene.path(name).display().to_string();
    let remote = format!("rest:{}", server.url());
    scene.configure(
        "[limits]\nmemory = \"64MiB\"\npack_size = \"4MiB\"\n",
        &[
            ("one", local("one")),
            ("two", local("two")),
            ("three", remote),
        ],
    );
    for folder in 0..40_u64 {
        let folder = scene.source().join(folder.to_string());
        fs::create_dir(&folder).unwrap();
        for file in 0..200_u64 {
            fs::write(folder.join(file.to_string()), format!("{folder:?} {file}")).unwrap();
        }
    }
    for number in 0..16 {
        let large = scene.source().join(format!("large-{number}"));
        write_noise(&large, number, 16 << 20);
    }
    scene.expect(0, &["--quiet", "init"]);
    let (mut peak_kib, mut is_paused, mut is_resumed) = (0, false, false);
    let running = scene.start(&["--quiet", "backup", "--no-sync"]);
    let ended = running.watch(|pid| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        peak_kib = peak_kib.max(kib.unwrap_or(0));
        if !is_paused && !scene.files("three", "data").is_empty() {
            server.pause();
            is_paused = true;
        }
        let has_snapshot = |copy| !scene.files(copy, "snapshots").is_empty();
        if is_paused && !is_resumed && has_snapshot("one") && has_snapshot("two") {
            server.resume();
            is_resumed = true;
        }
    });
    ended.assert_code(3, &"backup");
    assert!(is_resumed && scene.files("three", "snapshots").is_empty());
    // The limit, and more than that again for the program, its threads, its index and what scrypt
    // took. Were all packs kept for the copy that hangs, that alone would be 268 MB.
    assert!(peak_kib > 10 << 10, "nothing was measured");
    assert!(peak_kib < 200 << 10, "{} MiB", peak_kib >> 10);
}
