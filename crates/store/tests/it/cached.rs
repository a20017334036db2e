//! Whether what is read comes from the disk, or from what this machine has of it in memory.
//!
//! The system tells for each thread how many bytes it has fetched from a device. Where no folder
//! here is on such a device, as where all are in memory, nothing can be shown, and these tests fail.

use std::fs::{self, File};
use std::io::Read;
use std::ops::Range;
use std::path::PathBuf;

use rustix::fs::Advice;
use strongroom_model::{FileName, FileType, Id};
use strongroom_store::{Bodies, LocalBodies, LocalStore, Store};
use strongroom_testkit::bodies::{key, put};
use strongroom_testkit::contract::noise;
use tempfile::TempDir;

const SIZE: usize = 8 << 20;

/// More than this is a file that came from the disk, less is one that did not: the system may drop
/// or keep a little as it likes.
const HALF: u64 = SIZE as u64 / 2;

/// How many bytes this thread has fetched from devices meanwhile.
fn fetched_bytes(work: impl FnOnce()) -> u64 {
    let count = || -> u64 {
        let text = fs::read_to_string("/proc/thread-self/io").unwrap_or_default();
        let mut lines = text.lines();
        let number = lines.find_map(|line| line.strip_prefix("read_bytes: "));
        number.map_or(0, |number| number.parse().unwrap())
    };
    let before = count();
    work();
    count() - before
}

/// A folder of which can be told whether what is read in it comes from a device.
fn on_a_disk() -> TempDir {
    let places = [
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")),
        std::env::temp_dir(),
    ];
    let found = places.iter().find_map(|place| {
        let folder = TempDir::new_in(place).ok()?;
        let path = folder.path().join("control");
        fs::write(&path, noise(1, SIZE)).ok()?;
        let file = File::open(&path).ok()?;
        rustix::fs::fsync(&file).ok()?;
        rustix::fs::fadvise(&file, 0, None, Advice::DontNeed).ok()?;
        let fetched = fetched_bytes(|| drop(fs::read(&path)));
        (fetched > HALF).then_some(folder)
    });
    found.unwrap_or_else(|| {
        panic!(
            "this test needs a folder on a disk whose reads are counted, and neither of {places:?} \
             is on one: set TMPDIR to one that is"
        )
    })
}

#[test]
fn a_whole_file_that_is_opened_comes_from_the_disk_and_all_else_may_come_from_memory() {
    let folder = on_a_disk();
    let store = LocalStore::new(folder.path().join("repo"));
    store.create().unwrap();
    let bytes = noise(2, SIZE);
    let name = FileName::new(FileType::Data, Id::of(&bytes));
    store.save(name, &bytes).unwrap();
    let opened = |range: Option<Range<u64>>| {
        fetched_bytes(|| {
            let mut came = Vec::new();
            let mut stream = store.open(name, range).unwrap();
            stream.read_to_end(&mut came).unwrap();
            assert!(came == bytes);
        })
    };
    let all = 0..SIZE as u64;
    // It was written just now.
    assert!(opened(Some(all.clone())) < HALF);
    assert!(opened(None) > HALF);
    assert!(opened(Some(all.clone())) < HALF);
    assert!(fetched_bytes(|| drop(store.read(name).unwrap())) < HALF);
    assert!(fetched_bytes(|| drop(store.read_range(name, all).unwrap())) < HALF);
    assert!(opened(None) > HALF);
}

#[test]
fn a_body_whose_storage_is_proved_comes_from_the_disk_and_one_that_is_served_from_memory() {
    let folder = on_a_disk();
    let bodies = LocalBodies::new(folder.path().join("repositories"));
    bodies.create().unwrap();
    let bytes = noise(3, SIZE);
    let body = key("acme/repos", FileType::Data, &bytes);
    put(&bodies, &body, &bytes);
    let fetched = |is_proved: bool| {
        fetched_bytes(|| {
            let (size_bytes, mut stream) = match is_proved {
                true => bodies.open_stored(&body).unwrap(),
                false => bodies.open(&body, None).unwrap(),
            };
            let mut came = Vec::new();
            stream.read_to_end(&mut came).unwrap();
            assert!(came == bytes && size_bytes == SIZE as u64);
        })
    };
    assert!(fetched(false) < HALF);
    assert!(fetched(true) > HALF);
    assert!(fetched(false) < HALF);
}
