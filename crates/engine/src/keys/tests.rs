//! Keys on three copies, of which one may be away or damaged.

use std::sync::Arc;

use strongroom_testkit::{FaultyStore, MemoryStore};

use super::*;
use crate::init::init;
use crate::init::tests::{copies, environment, stores};
use crate::session::{CopyStore, Looking, open};

struct World {
    stores: Vec<Arc<FaultyStore<MemoryStore>>>,
    copies: Vec<CopyStore>,
    environment: Environment,
}

fn world() -> World {
    let (stores, environment) = (stores(), environment());
    let copies = copies(&stores);
    init(&copies, b"first", ScryptCost::LEAST, &environment).unwrap();
    World {
        stores,
        copies,
        environment,
    }
}

impl World {
    fn open(&self, password: &str) -> Session {
        open(&self.copies, password.as_bytes(), &Looking::default()).unwrap()
    }

    fn add(&self, password: &str) -> KeyReport {
        let session = self.open("first");
        add(
            &session,
            password.as_bytes(),
            ScryptCost::LEAST,
            &self.environment,
        )
        .unwrap()
    }
}

#[test]
fn a_new_password_opens_every_copy() {
    let world = world();
    let report = world.add("second");
    assert!(report.is_complete());
    for copy in &world.copies {
        open(std::slice::from_ref(copy), b"second", &Looking::default()).unwrap();
    }
    let list = list(&world.open("second"));
    assert_eq!(list.keys.len(), 2);
    let used: Vec<_> = list.keys.iter().filter(|key| key.is_in_use).collect();
    assert_eq!(used[0].id, report.id);
    assert_eq!(used[0].copies, ["a", "b", "c"]);
    assert_eq!(
        (used[0].username.as_deref(), used[0].hostname.as_deref()),
        (Some("user"), Some("host"))
    );
}

#[test]
fn a_copy_that_is_away_is_told_as_not_changed() {
    let world = world();
    world.stores[1].set_unreachable(true);
    let report = world.add("second");
    assert!(!report.is_complete());
    let changed: Vec<_> = report
        .copies
        .iter()
        .map(|(_, failure)| failure.is_none())
        .collect();
    assert_eq!(changed, [true, false, true]);
}

#[test]
fn a_removed_key_opens_no_copy_any_more() {
    let world = world();
    let report = world.add("second");
    let prefix = report.id.short();
    let session = world.open("first");
    assert!(remove(&session, &prefix).unwrap().is_complete());
    assert!(open(&world.copies, b"second", &Looking::default()).is_err());
    assert!(matches!(
        remove(&world.open("first"), &prefix),
        Err(Error::NoKey { .. })
    ));
}

#[test]
fn the_key_in_use_and_thereby_the_last_one_is_never_removed() {
    let world = world();
    let session = world.open("first");
    let id = session.repository.key_id().to_string();
    assert!(matches!(remove(&session, &id), Err(Error::KeyInUse { .. })));
    // Nor is the last one of a single copy.
    let second = world.add("second").id;
    let name = FileName::new(FileType::Keys, session.repository.key_id());
    world.stores[2].remove(name).unwrap();
    let report = remove(&world.open("first"), &second.to_string()).unwrap();
    assert!(report.copies[2].1.is_some());
    assert!(open(&world.copies[2..], b"second", &Looking::default()).is_ok());
}

#[test]
fn an_empty_password_is_refused_and_junk_is_named() {
    let world = world();
    assert!(
        add(
            &world.open("first"),
            b"",
            ScryptCost::LEAST,
            &world.environment
        )
        .is_err()
    );
    let junk = FileName::new(FileType::Keys, Id::of(b"junk!"));
    world.stores[0].inner().put(junk, b"junk!");
    let list = list(&world.open("first"));
    assert_eq!((list.keys.len(), list.problems.len()), (1, 1));
    assert!(list.problems[0].contains(" on a: "));
}
