//! What is removed goes from a locked bucket of a real Ceph when its date is over, and not before.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use strongroom_model::{FileName, FileType, Secret};
use strongroom_store::{
    Error, LocalStore, Locks, S3Credentials, S3Lock, S3Options, S3Store, ShownLock, Store, Versions,
};
use strongroom_testkit::{Bucket, Ceph};

use super::World;
use crate::fixture::Fixture;

/// For how long files stay locked at least, and at first for half as long again: time enough to see
/// that they do, and not too long to wait for the end of it.
const LEAST: Duration = Duration::from_secs(16);

const ALL: [&str; 3] = ["one", "two", "three"];

/// Puts a bucket that locks in the place of the copy `three`.
fn lock_three(fixture: &mut Fixture, ceph: &Ceph) -> Arc<S3Store> {
    let account = ceph.new_account("owner");
    Bucket::new(ceph, &account, "locked").create_locked();
    let options = S3Options {
        endpoint: Some(ceph.endpoint().parse().unwrap()),
        path_style: true,
        credentials: Some(S3Credentials {
            access_key: account.access_key,
            secret_key: Secret::new(account.secret_key.as_str()),
        }),
        ..S3Options::new("locked")
    };
    let clock = Arc::clone(&fixture.environment.clock);
    let lock = S3Lock {
        least: LEAST,
        clock: Arc::new(move || SystemTime::try_from(clock()).unwrap()),
    };
    let store = Arc::new(S3Store::new(options, Some(lock)).unwrap());
    let one = LocalStore::new(fixture.copy_path("one"));
    for kind in [FileType::Config, FileType::Keys] {
        for entry in one.list(kind).unwrap() {
            let name = FileName::new(kind, entry.id);
            store.save(name, &one.read(name).unwrap()).unwrap();
        }
    }
    let three = &mut fixture.copies[2];
    assert_eq!(three.name, "three");
    three.store = store.clone();
    three.is_local = false;
    store
}

fn locked_until(store: &S3Store, name: FileName) -> SystemTime {
    match store.lock_of(name, None).unwrap() {
        ShownLock::Compliance { until } => until,
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn a_locked_file_goes_when_its_date_is_over_and_not_before() {
    let ceph = Ceph::start();
    let mut fixture = Fixture::new();
    let store = lock_three(&mut fixture, &ceph);
    let mut world = World::of(fixture);
    // What is locked for longer than that was decided allows would be somebody else's doing.
    world.now = (world.fixture.environment.clock)();
    world.publish(&ALL);

    let finish = || {
        let finished = world.finish(&mut world.open(&ALL));
        let mut copies = finished.into_iter();
        copies.find(|copy| copy.name == "three").unwrap()
    };
    let count = world.first.len() as u64;
    let waits = finish();
    assert_eq!(waits.failure, None, "{waits:?}");
    assert_eq!((waits.removed, waits.waiting), (0, count), "{waits:?}");
    assert_eq!((world.left("one"), world.left("two")), (0, 0));
    let dates = world.first.iter().map(|name| locked_until(&store, *name));
    let last = dates.max().unwrap();
    for name in &world.first {
        let versions = store.versions_of(*name).unwrap();
        let [version] = versions.as_slice() else {
            panic!("{name}: {versions:?}");
        };
        let error = store.remove_version(version).unwrap_err();
        assert!(matches!(error, Error::Denied { .. }), "{error:?}");
    }
    assert!(store.now().unwrap() < last, "the machine is too slow");

    while store.now().unwrap() <= last {
        thread::park_timeout(Duration::from_millis(100));
    }
    let done = finish();
    assert_eq!(done.failure, None, "{done:?}");
    assert_eq!((done.removed, done.waiting), (count, 0), "{done:?}");
    for name in &world.first {
        assert_eq!(store.versions_of(*name).unwrap(), [], "{name}");
    }
    for name in &world.second {
        assert!(store.size(*name).is_ok(), "{name}");
    }
}
