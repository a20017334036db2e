//! A repository in a bucket of a real Ceph: the contract, with and without locks, stock restic on
//! it, and what somebody is told where it is not as it should be.

mod longer;
mod replaced;

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use strongroom_model::{FileName, FileType, Id};
use strongroom_store::{
    Bodies, BucketFlaw, Error, FileVersion, LocalStore, S3Bodies, S3Lock, S3Options, S3Store,
    ShownLock, Store, VersionContent, Versions,
};
use strongroom_testkit::contract::{Subject, noise, store_contract};
use strongroom_testkit::programs::{Restic, restic_versions};
use strongroom_testkit::{Bucket, Ceph, CephAccount};
use tempfile::TempDir;

use crate::contract::path_of;
use crate::s3;

const DAY: Duration = Duration::from_secs(86_400);

/// Locks for a day at least, by the clock of this machine.
pub(crate) fn for_a_day() -> Option<S3Lock> {
    Some(S3Lock {
        least: DAY,
        clock: Arc::new(now),
    })
}

/// What time it is here, and at a Ceph of this machine.
#[expect(
    clippy::disallowed_methods,
    reason = "the edge at which time comes in: a real server's locks end by it"
)]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

fn options(ceph: &Ceph, account: &CephAccount, bucket: &str, prefix: &str) -> S3Options {
    S3Options {
        prefix: prefix.to_owned(),
        ..s3::options(ceph.endpoint(), bucket, account)
    }
}

/// A repository in a folder of its own.
struct InBucket<'a> {
    store: S3Store,
    bucket: &'a Bucket,
    prefix: String,
}

impl Subject for InBucket<'_> {
    fn store(&self) -> &dyn Store {
        &self.store
    }

    fn plant(&self, name: FileName, bytes: &[u8]) {
        let key = path_of(Path::new(&self.prefix), name);
        self.bucket.put(key.to_str().unwrap(), bytes);
    }
}

fn pack(bytes: &[u8]) -> FileName {
    FileName::new(FileType::Data, Id::of(bytes))
}

/// One cluster for all: it takes seconds to start.
#[test]
fn a_repository_in_a_bucket_keeps_the_contract_and_its_locks() {
    let ceph = Ceph::start();
    let owner = ceph.new_account("owner");
    let plain = Bucket::new(&ceph, &owner, "plain");
    let locked = Bucket::new(&ceph, &owner, "locked");

    before_there_is_a_bucket(&store(&ceph, &owner, &plain, "", None));
    plain.create();
    locked.create_locked();
    for (bucket, lock) in [(&plain, None), (&locked, for_a_day())] {
        store_contract(|name| InBucket {
            store: store(&ceph, &owner, bucket, name, lock.clone()),
            bucket,
            prefix: name.to_owned(),
        });
    }

    let repository = |prefix| store(&ceph, &owner, &locked, prefix, for_a_day());
    every_file_is_locked_but_those_that_come_and_go(&repository("modes"), &locked);
    what_is_removed_or_overwritten_is_there_all_the_same(&repository("hidden"));
    what_was_put_without_a_lock_gets_one_when_it_is_saved_again(
        &store(&ceph, &owner, &locked, "late", None),
        &repository("late"),
    );
    longer::a_lock_can_be_made_longer_and_never_shorter(&repository("longer"));
    longer::a_version_is_locked_for_longer_behind_what_hides_it(&repository("behind"));
    longer::what_saves_have_seen_of_locks_is_taken_once(&repository("saved"));
    longer::uploads_of_killed_runs_are_ended(&repository("uploads"), &locked);
    a_large_file_goes_in_parts_and_is_locked(&repository("large"));
    listings_have_as_many_pages_as_they_need(&store(&ceph, &owner, &plain, "pages", None));
    a_name_that_no_xml_can_hold_hides_no_file(&repository("junk"), &locked);
    restic_works_on_what_this_store_has_put(&ceph, &owner, &repository("restic"));

    a_bucket_without_versions_takes_no_locks(&store(&ceph, &owner, &plain, "no", for_a_day()));
    buckets_are_told_what_is_wrong_with_them(&ceph, &owner, &locked);

    let stranger = ceph.new_account("stranger");
    others_are_refused(&store(&ceph, &stranger, &locked, "x", for_a_day()));
    let mut liar = owner.clone();
    liar.secret_key = "geheim".to_owned();
    others_are_refused(&store(&ceph, &liar, &locked, "x", for_a_day()));
    let poor = Bucket::new(&ceph, &stranger, "poor");
    poor.create();
    each_bucket_tells_whose_it_is(&ceph, (&owner, &plain), &locked, (&stranger, &poor));
    replaced::a_bucket_that_is_made_anew_is_another_place(&ceph, &owner, &stranger);
    ceph.set_quota("stranger", 8 << 20);
    an_upload_that_breaks_off_leaves_nothing(&store(&ceph, &stranger, &poor, "", None), &poor);

    let left = repository("left");
    drop(ceph);
    let error = left.save(FileName::CONFIG, b"config").unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert!(error.hint().unwrap().starts_with("See whether it answers"));
}

fn each_bucket_tells_whose_it_is(
    ceph: &Ceph,
    (owner, plain): (&CephAccount, &Bucket),
    locked: &Bucket,
    (stranger, poor): (&CephAccount, &Bucket),
) {
    let holder = |account: &CephAccount, bucket: &Bucket| {
        let holder = store(ceph, account, bucket, "", None).holder();
        let shown = format!("{holder:?}");
        assert!(!shown.contains(&account.secret_key), "{shown}");
        holder
    };
    let (one, other) = (holder(owner, plain), holder(owner, locked));
    assert_eq!(one, other);
    let [account] = one.accounts.as_slice() else {
        panic!("{one:?}");
    };
    assert!(account.to_string().ends_with("/owner:owner"), "{account}");
    // A vault is told the same of the bucket in which its objects lie.
    let bodies = S3Bodies::new(options(ceph, owner, plain.name(), "vault")).unwrap();
    assert_eq!(bodies.holder().accounts, one.accounts);
    // One account under another key, and another account.
    let same = holder(&ceph.new_key("owner"), locked);
    assert_eq!(same.accounts, one.accounts);
    assert!(same.credential.is_some() && same.credential != one.credential);
    let apart = holder(stranger, poor);
    assert_eq!(apart.accounts.len(), 1);
    assert_ne!(apart.accounts, one.accounts);
    // Who may not see it tells nothing, but for his own key.
    let refused = holder(stranger, locked);
    assert!(refused.accounts.is_empty(), "{refused:?}");
    assert_eq!(refused.credential, apart.credential);
}

fn store(
    ceph: &Ceph,
    account: &CephAccount,
    bucket: &Bucket,
    prefix: &str,
    lock: Option<S3Lock>,
) -> S3Store {
    S3Store::new(options(ceph, account, bucket.name(), prefix), lock).unwrap()
}

fn before_there_is_a_bucket(store: &S3Store) {
    let name = pack(b"bytes");
    for error in [
        store.save(name, b"bytes").unwrap_err(),
        store.replace(name, b"bytes").unwrap_err(),
        store.read(name).unwrap_err(),
        store.size(name).unwrap_err(),
        store.list(FileType::Data).unwrap_err(),
        store.list(FileType::Config).unwrap_err(),
        store.list_versions(FileType::Data).unwrap_err(),
        store.remove(name).unwrap_err(),
    ] {
        assert!(
            matches!(&error, Error::BadAnswer { reason, .. } if reason.contains("NoSuchBucket")),
            "{error:?}"
        );
        assert!(error.hint().unwrap().contains("bucket"));
    }
}

fn every_file_is_locked_but_those_that_come_and_go(store: &S3Store, bucket: &Bucket) {
    let kinds = FileType::SYNCED.into_iter();
    let names = kinds.chain([FileType::Config, FileType::Locks]);
    let names: Vec<_> = names
        .map(|kind| FileName::new(kind, Id::of(b"bytes")))
        .collect();
    for name in &names {
        store.save(*name, b"bytes").unwrap();
    }
    let locks = store.locks().unwrap();
    assert_eq!(locks.least(), DAY);
    let long = now() + DAY * 3 / 2;
    for name in &names {
        let lock = locks.lock_of(*name, None).unwrap();
        if name.kind() == FileType::Locks {
            assert_eq!(lock, ShownLock::NotShown);
            continue;
        }
        // The clock of the server is this machine's, and goes in seconds.
        assert!(lock.holds(long - Duration::from_secs(60)));
        assert!(!lock.holds(long + Duration::from_secs(60)));
    }
    let versions = bucket.versions("modes/");
    assert_eq!(versions.len(), 6);
    for version in &versions {
        let is_free = version.key.contains("/locks/");
        let mode = bucket.mode_of(version);
        assert_eq!(mode.as_deref(), (!is_free).then_some("COMPLIANCE"));
        if !is_free {
            // Whoever has all rights to the bucket, and asks to bypass what can be bypassed.
            let refusal = bucket.remove_version(version).unwrap_err();
            assert_eq!(refusal, "AccessDenied", "{version:?}");
        }
    }
    // Of those that come and go nothing piles up.
    store
        .remove(FileName::new(FileType::Locks, Id::of(b"bytes")))
        .unwrap();
    assert_eq!(bucket.versions("modes/").len(), 5);
    assert_eq!(store.list(FileType::Locks).unwrap(), []);
}

fn bytes_of(store: &S3Store, version: &FileVersion) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut stream = store.open_version(version.name, &version.version).unwrap();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

fn what_is_removed_or_overwritten_is_there_all_the_same(store: &S3Store) {
    let name = pack(b"the right bytes");
    store.save(name, b"the right bytes").unwrap();
    store.replace(name, b"junk").unwrap();
    store.remove(name).unwrap();
    assert!(matches!(store.read(name), Err(Error::NotFound { .. })));
    assert_eq!(store.list(FileType::Data).unwrap(), []);

    let versions = store.list_versions(FileType::Data).unwrap();
    assert_eq!(versions.len(), 3);
    assert!(versions.iter().all(|version| version.name == name));
    let is_marker = |version: &&FileVersion| version.content == VersionContent::Marker;
    let marker = versions.iter().find(is_marker).unwrap();
    assert!(marker.is_newest);
    let of_size = |size: u64| {
        let found = versions.iter().find(|version| match version.content {
            VersionContent::Bytes { size_bytes, .. } => size_bytes == size,
            VersionContent::Marker => false,
        });
        found.unwrap()
    };
    let (right, junk) = (of_size(15), of_size(4));
    assert_eq!(bytes_of(store, right), b"the right bytes");
    assert_eq!(bytes_of(store, junk), b"junk");
    assert!(right.made <= junk.made);
    let locks = store.locks().unwrap();
    let lock = locks.lock_of(name, Some(&right.version)).unwrap();
    assert!(lock.holds(now() + DAY), "{lock:?}");

    // Bytes are never taken for a marker, and while they are locked nobody removes them.
    for error in [store.remove_marker(right), store.remove_version(right)] {
        let error = error.unwrap_err();
        assert!(matches!(error, Error::Denied { .. }), "{error:?}");
    }
    store.remove_marker(marker).unwrap();
    store.remove_marker(marker).unwrap();
    assert_eq!(store.read(name).unwrap(), b"junk");
    store.replace(name, b"the right bytes").unwrap();
    assert_eq!(store.read(name).unwrap(), b"the right bytes");

    // What is hidden and saved again is put anew.
    store.remove(name).unwrap();
    store.save(name, b"the right bytes").unwrap();
    assert_eq!(store.read(name).unwrap(), b"the right bytes");
    let lock = locks.lock_of(name, None).unwrap();
    assert!(lock.holds(now() + DAY), "{lock:?}");
}

fn what_was_put_without_a_lock_gets_one_when_it_is_saved_again(before: &S3Store, store: &S3Store) {
    assert!(before.locks().is_none());
    let name = pack(b"bytes");
    before.save(name, b"bytes").unwrap();
    let locks = store.locks().unwrap();
    assert_eq!(locks.lock_of(name, None).unwrap(), ShownLock::NotShown);
    store.save(name, b"bytes").unwrap();
    let lock = locks.lock_of(name, None).unwrap();
    assert!(lock.holds(now() + DAY), "{lock:?}");
    let versions = store.list_versions(FileType::Data).unwrap();
    assert_eq!(versions.len(), 1, "{versions:?}");
}

fn a_large_file_goes_in_parts_and_is_locked(store: &S3Store) {
    let bytes = noise(7, (64 << 20) + 1);
    let name = pack(&bytes);
    store.save(name, &bytes).unwrap();
    let tag = |store: &S3Store| {
        let version = store.list_versions(FileType::Data).unwrap().remove(0);
        match version.content {
            VersionContent::Bytes { tag, .. } => tag.unwrap(),
            VersionContent::Marker => panic!("{version:?}"),
        }
    };
    assert!(
        tag(store).trim_matches('"').ends_with("-5"),
        "{}",
        tag(store)
    );
    let lock = store.locks().unwrap().lock_of(name, None).unwrap();
    assert!(lock.holds(now() + DAY), "{lock:?}");
    let mut read = Vec::new();
    store
        .open(name, None)
        .unwrap()
        .read_to_end(&mut read)
        .unwrap();
    assert!(read == bytes);
    // Its tag is known, and nothing is sent again.
    store.save(name, &bytes).unwrap();
    assert_eq!(store.list_versions(FileType::Data).unwrap().len(), 1);
}

fn listings_have_as_many_pages_as_they_need(store: &S3Store) {
    const FILES: usize = 1005;
    let numbers: Vec<usize> = (0..FILES).collect();
    thread::scope(|scope| {
        for numbers in numbers.chunks(FILES.div_ceil(8)) {
            scope.spawn(move || {
                for number in numbers {
                    let bytes = number.to_le_bytes();
                    let name = FileName::new(FileType::Index, Id::of(&bytes));
                    store.save(name, &bytes).unwrap();
                }
            });
        }
    });
    let mut listed = store.list(FileType::Index).unwrap();
    listed.sort_unstable();
    listed.dedup();
    assert_eq!(listed.len(), FILES);
    assert!(listed.iter().all(|entry| entry.size_bytes == 8));
    assert_eq!(store.list_versions(FileType::Index).unwrap().len(), FILES);
}

fn a_name_that_no_xml_can_hold_hides_no_file(store: &S3Store, bucket: &Bucket) {
    store.save(pack(b"bytes"), b"bytes").unwrap();
    for junk in ["\u{1}", "\u{fffe}", "a%2Fb+c d"] {
        bucket.put(&format!("junk/data/{junk}"), b"junk");
    }
    let listed = store.list(FileType::Data).unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].id, Id::of(b"bytes"));
    assert_eq!(store.list_versions(FileType::Data).unwrap().len(), 1);
}

fn restic(restic: &Restic, repository: &str, account: &CephAccount, arguments: &[&str]) -> String {
    let output = Command::new(&restic.path)
        .args(["--no-cache", "--repo", repository])
        .args(arguments)
        .env("RESTIC_PASSWORD", "secret")
        .env("AWS_ACCESS_KEY_ID", &account.access_key)
        .env("AWS_SECRET_ACCESS_KEY", &account.secret_key)
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "restic {} {arguments:?}: {text}{complaint}",
        restic.version
    );
    text
}

fn restic_works_on_what_this_store_has_put(ceph: &Ceph, account: &CephAccount, to: &S3Store) {
    let folder = TempDir::new().unwrap();
    let local = folder.path().join("repository");
    let file = folder.path().join("file");
    fs::write(&file, noise(8, 3 << 20)).unwrap();
    let restics = restic_versions();
    let path = local.to_str().unwrap();
    restic(&restics[0], path, account, &["init"]);
    let backup = ["backup", file.to_str().unwrap()];
    restic(&restics[0], path, account, &backup);
    let from = LocalStore::new(&local);
    for kind in FileType::SYNCED.into_iter().chain([FileType::Config]) {
        for entry in from.list(kind).unwrap() {
            let name = FileName::new(kind, entry.id);
            to.save(name, &from.read(name).unwrap()).unwrap();
        }
    }
    let location = to.location();
    assert_eq!(location, format!("s3:{}/locked/restic/", ceph.endpoint()));
    for each in &restics {
        // With a lock of its own, which it removes again.
        let said = restic(each, location, account, &["check", "--read-data"]);
        assert!(said.contains("no errors were found"), "{said}");
        assert_eq!(to.list(FileType::Locks).unwrap(), []);
        let target = folder.path().join(each.version);
        let target = target.to_str().unwrap();
        let restore = ["restore", "latest", "--target", target];
        restic(each, location, account, &restore);
        let restored = Path::new(target).join(file.strip_prefix("/").unwrap());
        assert!(fs::read(restored).unwrap() == fs::read(&file).unwrap());
    }
    // And back: this store reads what restic puts.
    let again = ["backup", "--force", file.to_str().unwrap()];
    restic(&restics[0], location, account, &again);
    assert_eq!(to.list(FileType::Snapshots).unwrap().len(), 2);
    for kind in FileType::SYNCED {
        for entry in to.list(kind).unwrap() {
            let bytes = to.read(FileName::new(kind, entry.id)).unwrap();
            assert_eq!(Id::of(&bytes), entry.id);
        }
    }
}

fn a_bucket_without_versions_takes_no_locks(store: &S3Store) {
    let error = store.save(pack(b"bytes"), b"bytes").unwrap_err();
    assert!(matches!(error, Error::NotLocked { .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("strongroom init"));
    // What comes and goes is taken all the same.
    store
        .save(FileName::new(FileType::Locks, Id::of(b"x")), b"x")
        .unwrap();
}

fn buckets_are_told_what_is_wrong_with_them(ceph: &Ceph, account: &CephAccount, locked: &Bucket) {
    let look = |bucket: &Bucket| {
        let store = store(ceph, account, bucket, "", for_a_day());
        store.locks().unwrap().check().unwrap()
    };
    let right = look(locked);
    assert_eq!(right.flaws, []);
    assert_eq!(right.commands, [""; 0]);

    // A bucket that is not there, and one that was made without locks: what is printed makes one.
    let absent = Bucket::new(ceph, account, "absent");
    let told = look(&absent);
    assert_eq!(told.flaws, [BucketFlaw::Missing]);
    for command in &told.commands {
        account.type_in(command, "owner");
    }
    let plain = Bucket::new(ceph, account, "versioned");
    plain.create();
    let told = look(&plain);
    let both = [BucketFlaw::NoObjectLock, BucketFlaw::NoVersioning];
    assert_eq!(told.flaws, both);
    plain.keep_versions();
    let told = look(&plain);
    assert_eq!(told.flaws, [BucketFlaw::NoObjectLock]);
    for command in &told.commands {
        account.type_in(command, "owner");
    }
    let made = Bucket::new(ceph, account, "versioned-locked");
    for bucket in [&absent, &made] {
        assert_eq!(look(bucket).flaws, [], "{}", bucket.name());
        // The cap on the days lets pass what a lock needs.
        let store = store(ceph, account, bucket, "", for_a_day());
        let name = pack(b"bytes");
        store.save(name, b"bytes").unwrap();
        let locks = store.locks().unwrap();
        let lock = locks.lock_of(name, None).unwrap();
        assert!(lock.holds(now() + DAY), "{lock:?}");
        // And on a Ceph what lies beyond it too: it takes the policy without knowing the condition.
        // Where one comes to know it, docs/locked-copies.md is not true of it any more.
        let version = store.versions_of(name).unwrap().remove(0).version;
        let beyond = now() + DAY * 10;
        let until = locks.lock_until(name, Some(&version), beyond).unwrap();
        assert!(until >= beyond, "{until:?}");
    }

    // One that locks by itself what must come and go.
    let eager = Bucket::new(ceph, account, "eager");
    eager.create_locked();
    eager.lock_by_itself();
    let told = look(&eager);
    let what = "GOVERNANCE for 1 days".to_owned();
    assert_eq!(told.flaws, [BucketFlaw::DefaultRetention { what }]);
    assert!(told.commands[0].contains("put-object-lock-configuration"));
}

fn others_are_refused(store: &S3Store) {
    let name = pack(b"bytes");
    for error in [
        store.save(name, b"bytes").unwrap_err(),
        store.replace(name, b"bytes").unwrap_err(),
        store.read(name).unwrap_err(),
        store.list(FileType::Data).unwrap_err(),
        store.list_versions(FileType::Data).unwrap_err(),
        store.remove(name).unwrap_err(),
    ] {
        assert!(matches!(error, Error::Denied { .. }), "{error:?}");
        assert!(error.hint().unwrap().contains("credentials"));
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("geheim"), "{shown}");
    }
}

fn an_upload_that_breaks_off_leaves_nothing(store: &S3Store, bucket: &Bucket) {
    // It begins, and its first part is too much.
    let bytes = noise(9, (64 << 20) + 1);
    let error = store.save(pack(&bytes), &bytes).unwrap_err();
    assert!(matches!(error, Error::Full { .. }), "{error:?}");
    assert_eq!(store.list(FileType::Data).unwrap(), []);
    assert!(matches!(
        store.size(pack(&bytes)),
        Err(Error::NotFound { .. })
    ));
    // It is ended beside the answer.
    let began = Instant::now();
    while bucket.uploads() > 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "it is not ended");
        thread::park_timeout(Duration::from_millis(20));
    }
}
