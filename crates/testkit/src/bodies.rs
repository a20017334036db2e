//! What every place for bodies must do, as behaviours that run against each of them.

use std::io::Read;
use std::ops::Range;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, SystemTime};

use strongroom_model::{FileName, FileType, Id};
use strongroom_store::{Bodies, BodyKey, Error};

use crate::contract::noise;

/// Above what any place keeps in memory before it begins to send.
const LARGE_BYTES: usize = (17 << 20) + 3;

/// Runs the whole contract in a place that holds nothing yet and is used by nobody else.
///
/// Each behaviour has a repository of its own.
///
/// # Panics
/// Where the contract is broken.
pub fn bodies_contract(bodies: &dyn Bodies) {
    what_is_published_can_be_read_whole(bodies);
    every_type_of_file_has_its_place(bodies);
    a_range_is_cut_at_the_end(bodies);
    what_was_never_published_is_not_there(bodies);
    publishing_replaces_whatever_had_the_name(bodies);
    few_and_many_are_settled_after_they_have_got_their_names(bodies);
    a_name_that_is_taken_is_replaced_as_by_publishing(bodies);
    generations_are_bodies_of_their_own(bodies);
    a_repository_within_another_is_one_of_its_own(bodies);
    what_was_removed_is_not_found(bodies);
    threads_publish_different_bodies_at_once(bodies);
    threads_publish_the_same_body_at_once(bodies);
    sweep_removes_what_was_begun_and_spares_what_is_published(bodies);
}

/// A body of a repository that a test has for itself.
pub fn key(repository: &str, kind: FileType, bytes: &[u8]) -> BodyKey {
    BodyKey {
        repository: repository.parse().expect("a good path"),
        name: FileName::new(kind, Id::of(bytes)),
        generation: 1,
    }
}

/// Writes bytes in steps of any size, and publishes them.
///
/// # Panics
/// Where that fails.
pub fn put(bodies: &dyn Bodies, body: &BodyKey, bytes: &[u8]) {
    let mut staged = bodies.stage(body).unwrap();
    for (number, step) in bytes.chunks(100_003).enumerate() {
        let (first, second) = step.split_at(step.len().min(number));
        staged.write(first).unwrap();
        staged.write(second).unwrap();
    }
    staged.publish().unwrap();
}

/// Reads a range of a body, or all, and its whole size.
///
/// # Errors
/// Those of [`Bodies::open`].
///
/// # Panics
/// Where the stream breaks.
pub fn get(
    bodies: &dyn Bodies,
    body: &BodyKey,
    range: Option<Range<u64>>,
) -> strongroom_store::Result<(u64, Vec<u8>)> {
    let (size_bytes, mut stream) = bodies.open(body, range)?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    Ok((size_bytes, bytes))
}

#[track_caller]
fn assert_holds(bodies: &dyn Bodies, body: &BodyKey, bytes: &[u8]) {
    let (size_bytes, stored) = get(bodies, body, None).unwrap();
    assert_eq!(size_bytes, bytes.len() as u64);
    assert!(stored == bytes, "{body:?} holds other bytes");
    assert_eq!(bodies.size_bytes(body).unwrap(), size_bytes);
}

#[track_caller]
fn assert_absent(bodies: &dyn Bodies, body: &BodyKey) {
    for range in [None, Some(0..1)] {
        match get(bodies, body, range) {
            Err(Error::NotFound { name, .. }) => assert_eq!(name, body.name),
            other => panic!("{body:?} should not be there: {other:?}"),
        }
    }
    let size = bodies.size_bytes(body);
    assert!(matches!(size, Err(Error::NotFound { .. })), "{size:?}");
}

fn what_is_published_can_be_read_whole(bodies: &dyn Bodies) {
    for (seed, length) in [0, 1, 4096, 8 << 20, (8 << 20) + 1, LARGE_BYTES]
        .into_iter()
        .enumerate()
    {
        let bytes = noise(seed as u64, length);
        let body = key("whole", FileType::Data, &bytes);
        put(bodies, &body, &bytes);
        assert_holds(bodies, &body, &bytes);
    }
}

fn every_type_of_file_has_its_place(bodies: &dyn Bodies) {
    for kind in FileType::STORED
        .into_iter()
        .chain([FileType::Config, FileType::Locks])
    {
        let bytes = format!("of type {kind}");
        let body = key("types/all", kind, b"one name");
        put(bodies, &body, bytes.as_bytes());
    }
    for kind in FileType::STORED {
        let body = key("types/all", kind, b"one name");
        assert_holds(bodies, &body, format!("of type {kind}").as_bytes());
    }
}

fn a_range_is_cut_at_the_end(bodies: &dyn Bodies) {
    let bytes = noise(10, LARGE_BYTES);
    let size = bytes.len() as u64;
    let body = key("ranges", FileType::Data, &bytes);
    put(bodies, &body, &bytes);
    for range in [
        0..1,
        0..size,
        0..u64::MAX,
        7..100_000,
        size - 1..size,
        size - 1..size + 1,
        size..size,
        size..size + 1,
        size + 1..size + 2,
        5..5,
        u64::MAX - 1..u64::MAX,
    ] {
        let expected = range.start.min(size) as usize..range.end.min(size) as usize;
        let (told, stored) = get(bodies, &body, Some(range.clone())).unwrap();
        assert_eq!(told, size, "{range:?}");
        assert!(stored == bytes[expected], "{range:?}");
    }
    let empty = key("ranges", FileType::Data, b"");
    put(bodies, &empty, b"");
    assert_eq!(get(bodies, &empty, Some(0..10)).unwrap(), (0, Vec::new()));
}

fn what_was_never_published_is_not_there(bodies: &dyn Bodies) {
    for length in [10, LARGE_BYTES] {
        let bytes = noise(20, length);
        let body = key("dropped", FileType::Data, &bytes);
        assert_absent(bodies, &body);
        let mut staged = bodies.stage(&body).unwrap();
        staged.write(&bytes).unwrap();
        assert_absent(bodies, &body);
        drop(staged);
        assert_absent(bodies, &body);
    }
}

fn publishing_replaces_whatever_had_the_name(bodies: &dyn Bodies) {
    let body = key("replaced", FileType::Data, b"name");
    for length in [LARGE_BYTES, 10, LARGE_BYTES + 1, 0] {
        let bytes = noise(30, length);
        put(bodies, &body, &bytes);
        assert_holds(bodies, &body, &bytes);
    }
}

fn few_and_many_are_settled_after_they_have_got_their_names(bodies: &dyn Bodies) {
    for count in [0, 1, 3, 60] {
        let contents = (0..count).map(|number| format!("{number} of {count}"));
        let contents: Vec<_> = contents.collect();
        let of = |content: &String| key("named", FileType::Data, content.as_bytes());
        let name_staged = |content: &String| {
            let mut staged = bodies.stage(&of(content)).unwrap();
            staged.write(content.as_bytes()).unwrap();
            staged.name().unwrap()
        };
        // Every other one is written in one go.
        let name = |(number, content): (usize, &String)| match number % 2 {
            0 => name_staged(content),
            _ => bodies.name(&of(content), content.as_bytes()).unwrap(),
        };
        let named: Vec<_> = contents.iter().enumerate().map(name).collect();
        let settled = bodies.settle(&named);
        assert_eq!(settled.len(), count);
        assert!(settled.iter().all(Result::is_ok), "{settled:?}");
        drop(named);
        for content in &contents {
            assert_holds(bodies, &of(content), content.as_bytes());
        }
    }
}

fn a_name_that_is_taken_is_replaced_as_by_publishing(bodies: &dyn Bodies) {
    let body = key("named/again", FileType::Index, b"a name");
    put(bodies, &body, b"what rots");
    let mut staged = bodies.stage(&body).unwrap();
    staged.write(b"sound bytes").unwrap();
    let named = staged.name().unwrap();
    assert!(
        named.is_durable(),
        "the old bytes are gone, so the new must last"
    );
    assert_holds(bodies, &body, b"sound bytes");
    let named = bodies.name(&body, b"in one go").unwrap();
    assert!(named.is_durable(), "so must these");
    assert_holds(bodies, &body, b"in one go");
}

fn generations_are_bodies_of_their_own(bodies: &dyn Bodies) {
    for kind in [FileType::Data, FileType::Config] {
        let first = key("generations", kind, b"name");
        let later = |generation| BodyKey {
            generation,
            ..first.clone()
        };
        put(bodies, &first, b"first");
        put(bodies, &later(2), b"second");
        put(bodies, &later(u32::MAX), b"last");
        bodies.remove(&first).unwrap();
        assert_absent(bodies, &first);
        assert_holds(bodies, &later(2), b"second");
        assert_holds(bodies, &later(u32::MAX), b"last");
        assert_absent(bodies, &later(3));
    }
}

fn a_repository_within_another_is_one_of_its_own(bodies: &dyn Bodies) {
    let outer = key("outer", FileType::Config, b"");
    let inner = key("outer/inner", FileType::Config, b"");
    put(bodies, &outer, b"outer");
    assert_absent(bodies, &inner);
    put(bodies, &inner, b"inner");
    bodies.remove(&outer).unwrap();
    assert_absent(bodies, &outer);
    assert_holds(bodies, &inner, b"inner");
}

fn what_was_removed_is_not_found(bodies: &dyn Bodies) {
    let body = key("removed", FileType::Snapshots, b"name");
    bodies.remove(&body).unwrap();
    put(bodies, &body, b"bytes");
    bodies.remove(&body).unwrap();
    assert_absent(bodies, &body);
    bodies.remove(&body).unwrap();
    put(bodies, &body, b"other");
    assert_holds(bodies, &body, b"other");
}

fn threads_publish_different_bodies_at_once(bodies: &dyn Bodies) {
    thread::scope(|scope| {
        for worker in 0..8 {
            scope.spawn(move || {
                for number in 0..8 {
                    let bytes = noise(worker * 100 + number, 4096);
                    let body = key("crowd", FileType::Data, &bytes);
                    put(bodies, &body, &bytes);
                    assert_holds(bodies, &body, &bytes);
                }
            });
        }
    });
}

fn threads_publish_the_same_body_at_once(bodies: &dyn Bodies) {
    for length in [200_000, LARGE_BYTES] {
        let bytes = &noise(50, length);
        let body = &key("race", FileType::Data, bytes);
        let start = &Barrier::new(4);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(move || {
                    start.wait();
                    put(bodies, body, bytes);
                    assert_holds(bodies, body, bytes);
                });
            }
        });
        assert_holds(bodies, body, bytes);
    }
}

fn sweep_removes_what_was_begun_and_spares_what_is_published(bodies: &dyn Bodies) {
    let bytes = noise(60, LARGE_BYTES);
    let body = key("swept/too", FileType::Data, &bytes);
    let mut staged = bodies.stage(&body).unwrap();
    staged.write(&bytes).unwrap();
    assert_eq!(bodies.sweep(SystemTime::UNIX_EPOCH).unwrap(), 0);
    staged.publish().unwrap();

    let lost = key("swept/too", FileType::Data, b"lost");
    let mut staged = bodies.stage(&lost).unwrap();
    staged.write(&bytes).unwrap();
    // So ends whoever is killed.
    std::mem::forget(staged);
    let in_a_century = SystemTime::UNIX_EPOCH + Duration::from_secs(5_000_000_000);
    assert!(bodies.sweep(in_a_century).unwrap() >= 1);
    assert_absent(bodies, &lost);
    assert_holds(bodies, &body, &bytes);
    assert_eq!(bodies.sweep(in_a_century).unwrap(), 0);
}
