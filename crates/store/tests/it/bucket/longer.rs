//! Locks that are made longer, what saves tell of them, and uploads that nobody has ended.

use std::path::Path;
use std::time::Duration;

use strongroom_model::{FileName, FileType, Id};
use strongroom_store::{Error, S3Store, ShownLock, Store, VersionContent, VersionId, Versions};
use strongroom_testkit::Bucket;
use strongroom_testkit::contract::noise;

use crate::bucket::{DAY, bytes_of, now, pack};
use crate::contract::path_of;

pub(super) fn a_lock_can_be_made_longer_and_never_shorter(store: &S3Store) {
    let name = pack(b"bytes");
    store.save(name, b"bytes").unwrap();
    let locks = store.locks().unwrap();
    let version = store
        .list_versions(FileType::Data)
        .unwrap()
        .remove(0)
        .version;
    let until = now() + DAY * 10;
    let shown = locks.lock_until(name, Some(&version), until).unwrap();
    assert!(shown >= until && shown < until + Duration::from_secs(2));
    // An earlier date changes nothing, and so does the same one.
    for earlier in [now() + DAY, until] {
        let still = locks.lock_until(name, Some(&version), earlier).unwrap();
        assert_eq!(still, shown);
    }
    let date = locks.date().unwrap();
    let expected = now() + DAY * 3 / 2;
    assert!(date <= expected + Duration::from_secs(60));
    assert!(date >= expected - Duration::from_secs(60));
    let absent = locks.lock_of(pack(b"absent"), None).unwrap_err();
    assert!(matches!(absent, Error::NotFound { .. }), "{absent:?}");
}

pub(super) fn a_version_is_locked_for_longer_behind_what_hides_it(store: &S3Store) {
    let name = pack(b"the right bytes");
    store.save(name, b"the right bytes").unwrap();
    let versions = store.versions_of(name).unwrap();
    let [right] = &versions[..] else {
        panic!("{versions:?}");
    };
    store.replace(name, b"junk").unwrap();
    store.remove(name).unwrap();
    assert_eq!(store.versions_of(name).unwrap().len(), 3);
    assert_eq!(store.versions_of(pack(b"absent")).unwrap(), []);
    let locks = store.locks().unwrap();
    let error = locks.seen(name).unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");

    let until = now() + DAY * 10;
    let shown = locks.lock_until(name, Some(&right.version), until).unwrap();
    assert!(shown >= until);
    let lock = locks.lock_of(name, Some(&right.version)).unwrap();
    assert!(lock.holds(until), "{lock:?}");
    // What is in front of it has the lock that it was put with.
    let all = store.versions_of(name).unwrap();
    let others = all.iter().filter(|one| one.version != right.version);
    for other in others.filter(|one| one.content != VersionContent::Marker) {
        let lock = locks.lock_of(name, Some(&other.version)).unwrap();
        assert!(!lock.holds(until), "{lock:?}");
    }
    assert_eq!(bytes_of(store, right), b"the right bytes");
    let absent = VersionId::new("0".repeat(32));
    let error = locks.lock_until(name, Some(&absent), until).unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
}

pub(super) fn what_saves_have_seen_of_locks_is_taken_once(store: &S3Store) {
    let lock = FileName::new(FileType::Locks, Id::of(b"lock"));
    store.save(lock, b"lock").unwrap();
    let locks = store.locks().unwrap();
    assert_eq!(locks.take_saved(), []);
    store.save(pack(b"bytes"), b"bytes").unwrap();
    let large = noise(11, (64 << 20) + 1);
    store.save(pack(&large), &large).unwrap();
    let saved = locks.take_saved();
    assert_eq!(saved.len(), 2);
    for saved in &saved {
        let shown = locks.lock_of(saved.name, Some(&saved.version)).unwrap();
        let until = saved.until;
        assert_eq!(shown, ShownLock::Compliance { until });
        let seen = locks.seen(saved.name).unwrap();
        assert_eq!((&seen.version, seen.lock), (&saved.version, shown));
    }
    assert_eq!(locks.take_saved(), []);
    // What is there already is seen as well.
    store.save(pack(b"bytes"), b"bytes").unwrap();
    assert_eq!(locks.take_saved(), saved[..1]);
    let ahead = locks.now().unwrap().duration_since(now() - DAY).unwrap();
    assert!(ahead > DAY - Duration::from_secs(60), "{ahead:?}");
}

pub(super) fn uploads_of_killed_runs_are_ended(store: &S3Store, bucket: &Bucket) {
    let name = pack(b"never ended");
    for key in [
        path_of(Path::new("uploads"), name),
        Path::new("uploads/foreign").to_owned(),
    ] {
        bucket.begin_upload(key.to_str().unwrap());
    }
    let begun = bucket.uploads();
    let long_ago = now() - DAY;
    assert_eq!(store.end_old_uploads(long_ago).unwrap(), 0);
    let soon = now() + DAY;
    assert_eq!(store.end_old_uploads(soon).unwrap(), 1);
    assert_eq!(bucket.uploads(), begun - 1);
    assert_eq!(store.end_old_uploads(soon).unwrap(), 0);
}
