//! A bucket that is removed and made anew under the same name, by another account.

use strongroom_model::FileName;
use strongroom_store::{S3Store, Store};
use strongroom_testkit::{Bucket, Ceph, CephAccount};

use crate::bucket::store;

/// What tells the bucket from another.
fn place(store: &S3Store) -> String {
    store.identity().unwrap().unwrap().to_string()
}

pub(super) fn a_bucket_that_is_made_anew_is_another_place(
    ceph: &Ceph,
    owner: &CephAccount,
    stranger: &CephAccount,
) {
    let bucket = Bucket::new(ceph, owner, "again");
    bucket.create();
    bucket.keep_versions();
    let copy = store(ceph, owner, &bucket, "repository", None);
    assert_eq!(copy.identity().unwrap(), None, "there is no config");
    copy.save(FileName::CONFIG, b"config").unwrap();
    let before = place(&copy);
    // Whatever is put above it, beside it, or hides it.
    copy.replace(FileName::CONFIG, b"config").unwrap();
    bucket.put("repository/config", b"junk");
    bucket.put("repository/config-of-somebody", b"junk");
    assert_eq!(place(&copy), before);
    copy.remove(FileName::CONFIG).unwrap();
    assert_eq!(place(&copy), before);
    // Another repository in it is another place.
    let other = store(ceph, owner, &bucket, "other", None);
    other.save(FileName::CONFIG, b"config").unwrap();
    assert_ne!(place(&other), before);
    // Who may not list it tells nothing, and fails at nothing.
    let denied = store(ceph, stranger, &bucket, "repository", None);
    assert_eq!(denied.identity().unwrap(), None);

    bucket.remove();
    let anew = Bucket::new(ceph, stranger, "again");
    anew.create();
    anew.keep_versions();
    let copy = store(ceph, stranger, &anew, "repository", None);
    copy.save(FileName::CONFIG, b"config").unwrap();
    assert_ne!(place(&copy), before);
}
