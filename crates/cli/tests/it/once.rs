//! A source is read once for all copies: as the kernel counts it, not as the program does.

use std::fs;

use crate::scene::{Scene, write_noise};

const FILES: u64 = 3;
const FILE_BYTES: u64 = 8 << 20;

/// What else a run reads: its libraries, the configuration, what it remembers, listings, an index.
const BESIDE: u64 = 4 << 20;

/// The bytes that a backup reads from all files together, by `rchar` of proc(5).
fn read_by_backup(scene: &Scene) -> u64 {
    let mut most = 0;
    let ended = scene.start(&["--quiet", "backup"]).watch(|pid| {
        let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
        let read = io.lines().find_map(|line| line.strip_prefix("rchar: "));
        most = most.max(read.and_then(|read| read.parse().ok()).unwrap_or(0));
    });
    ended.assert_code(0, &"backup");
    most
}

#[test]
fn three_copies_cost_one_reading_of_what_has_changed() {
    let scene = Scene::new();
    let path = |number: u64| scene.source().join(number.to_string());
    for number in 0..FILES {
        write_noise(&path(number), number, FILE_BYTES as usize);
    }
    scene.init();
    let all = FILES * FILE_BYTES;
    let first = read_by_backup(&scene);
    assert!((all..all + BESIDE).contains(&first), "{first} of {all}");
    let second = read_by_backup(&scene);
    assert!(second < BESIDE, "{second} where nothing has changed");
    write_noise(&path(1), FILES, FILE_BYTES as usize);
    let third = read_by_backup(&scene);
    let changed = FILE_BYTES..FILE_BYTES + BESIDE;
    assert!(changed.contains(&third), "{third} of {FILE_BYTES}");
}
