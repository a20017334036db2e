//! A copy in a locked bucket of a real Ceph beside one in a folder: its whole life, an intruder who
//! removes all of it, and a secret that must not be seen anywhere.

mod holders;
mod killed;
mod letting_go;
mod recovery;
mod rehearsal;
mod rights;

use std::fs;
use std::path::Path;
use std::process::Command;

use strongroom_testkit::programs::restic_versions;
use strongroom_testkit::tree::TreeSpec;
use strongroom_testkit::{Bucket, BucketVersion, Ceph, CephAccount};

use crate::scene::{Ended, PASSWORD, Scene, plant_key, set_mode, write_noise};

/// What keys of the bucket begin with.
const FOLDER: &str = "acme/repos";

/// A copy in the folder `one`, and one in a bucket, locked for a month.
fn configure(scene: &Scene, ceph: &Ceph, account: &CephAccount, bucket: &str) {
    let secret = scene.path("offsite.key");
    fs::write(&secret, &account.secret_key).unwrap();
    set_mode(&secret, 0o600);
    let address = format!("s3:{}/{bucket}/{FOLDER}", ceph.endpoint());
    scene.configure(
        "",
        &[
            ("one", scene.path("one").display().to_string()),
            ("offsite", address),
        ],
    );
    let path = scene.path("strongroom.toml");
    let mut text = fs::read_to_string(&path).unwrap();
    text.push_str(&format!(
        "lock = \"30d\"\naccess_key = {:?}\nsecret_key_file = {secret:?}\n",
        account.access_key
    ));
    fs::write(&path, text).unwrap();
}

/// Runs with all talk that there is, and asserts that the secret is not in it.
#[track_caller]
fn expect(scene: &Scene, account: &CephAccount, code: i32, arguments: &[&str]) -> Ended {
    let mut all = vec!["-vvv"];
    all.extend(arguments);
    let ended = scene.expect(code, &all);
    for text in [&ended.out, &ended.err] {
        assert!(!text.contains(&account.secret_key), "{arguments:?}: {text}");
    }
    ended
}

/// Asserts that the source comes back from the bucket alone.
fn assert_restores(scene: &Scene, account: &CephAccount, target: &str) {
    let aside = scene.path("aside");
    fs::rename(scene.path("one"), &aside).unwrap();
    let target = scene.path(target);
    let to = target.to_str().unwrap();
    expect(scene, account, 0, &["restore", "latest", to]);
    assert_same(scene, &target);
    fs::rename(aside, scene.path("one")).unwrap();
}

fn assert_same(scene: &Scene, target: &Path) {
    let restored = target.join(scene.source().strip_prefix("/").unwrap());
    let differences = strongroom_testkit::tree::compare(&scene.source(), &restored);
    assert_eq!(differences, []);
}

/// Runs a restic, which must succeed, on the repository in a bucket.
#[track_caller]
fn restic(
    (ceph, account): (&Ceph, &CephAccount),
    bucket: &str,
    restic: &Path,
    arguments: &[&str],
) -> Ended {
    let repository = format!("s3:{}/{bucket}/{FOLDER}/", ceph.endpoint());
    let output = Command::new(restic)
        .args(["--no-cache", "-r", &repository])
        .args(arguments)
        .env("RESTIC_PASSWORD", PASSWORD)
        .env("AWS_ACCESS_KEY_ID", &account.access_key)
        .env("AWS_SECRET_ACCESS_KEY", &account.secret_key)
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .output();
    let ended = Ended::from(output.unwrap());
    ended.assert_code(0, &arguments);
    ended
}

#[test]
fn a_copy_in_a_locked_bucket_outlives_whoever_removes_all_of_it() {
    let ceph = Ceph::start();
    let account = ceph.new_account("owner");
    let scene = Scene::new();
    TreeSpec::small(1).build(&scene.source().join("tree"));
    write_noise(&scene.source().join("noise"), 1, 5 << 20);

    a_bucket_without_locks_is_refused(&scene, &ceph, &account);

    let bucket = Bucket::new(&ceph, &account, "locked");
    bucket.create_locked();
    configure(&scene, &ceph, &account, "locked");
    plant_key(&scene.path("one"), PASSWORD);
    expect(&scene, &account, 0, &["init"]);
    expect(&scene, &account, 0, &["backup"]);
    expect(&scene, &account, 0, &["verify", "--decode"]);
    // When its snapshot came is told by its own clock.
    let ended = expect(&scene, &account, 0, &["--json", "forget", "--dry-run"]);
    assert!(ended.out.contains("\"by\":\"bucket\""), "{}", ended.out);
    // Locks of runs are gone, with all their versions, and everything else is locked.
    let versions = bucket.versions(FOLDER);
    assert!(versions.len() > 4, "{versions:?}");
    for version in &versions {
        let mode = bucket.mode_of(version);
        assert_eq!(mode.as_deref(), Some("COMPLIANCE"), "{version:?}");
    }
    // A lock is a claim until it was tried; and loopback is this machine.
    let status = expect(&scene, &account, 1, &["status"]);
    assert!(status.out.contains(", claimed"), "{}", status.out);
    assert!(!status.out.contains("30 d, claimed"), "{}", status.out);
    let claims = "offsite claims a lock of 30 d, never tried";
    assert!(status.out.contains(claims), "{}", status.out);
    let here = "is this very machine";
    assert!(status.out.contains(here), "{}", status.out);
    assert_restores(&scene, &account, "restored");
    for each in restic_versions() {
        let place = (&ceph, &account);
        restic(place, "locked", &each.path, &["check", "--read-data"]);
        let target = scene.path(each.version);
        let to = target.to_str().unwrap();
        let restore = ["restore", "latest", "--target", to];
        restic(place, "locked", &each.path, &restore);
        assert_same(&scene, &target);
    }

    // Somebody removes all that he sees, with production's own credentials.
    bucket.hide_all();
    assert_eq!(bucket.keys(""), [""; 0]);
    let ended = expect(&scene, &account, 3, &["backup"]);
    ended.assert_says(&["offsite is left out", "There is no repository"]);
    expect(&scene, &account, 0, &["init"]);
    expect(&scene, &account, 0, &["sync"]);
    expect(&scene, &account, 0, &["verify"]);
    assert_restores(&scene, &account, "again");
    // Every version of before is there all the same.
    let after = bucket.versions(FOLDER);
    assert!(versions.iter().all(|version| after.contains(version)));
    for version in versions {
        bucket.remove_version(&version).unwrap_err();
    }

    // A wrong secret is told, and the other copy gets its backup.
    fs::write(scene.path("offsite.key"), "wrong").unwrap();
    write_noise(&scene.source().join("more"), 2, 300_000);
    let ended = expect(&scene, &account, 3, &["backup"]);
    ended.assert_says(&["offsite", "SignatureDoesNotMatch"]);
    fs::write(scene.path("offsite.key"), &account.secret_key).unwrap();
    expect(&scene, &account, 0, &["sync"]);
    expect(&scene, &account, 0, &["verify"]);

    locks_are_made_longer(&scene, &account, &bucket);
    locks_are_made_longer_by_a_hidden_key(&scene, &account, &bucket);
}

/// What came of the locks of the only copy that has any.
fn locks_of(ended: &Ended, name: &str) -> serde_json::Value {
    let copies = ended.summary()[name].clone();
    assert_eq!(copies.as_array().unwrap().len(), 1, "{copies}");
    copies[0].clone()
}

/// A lock that is raised makes all of it due, and a record that is lost is read anew.
fn locks_are_made_longer(scene: &Scene, account: &CephAccount, bucket: &Bucket) {
    let extend = ["--json", "lock", "extend"];
    let told = locks_of(&expect(scene, account, 0, &extend), "copies");
    let files = told["recorded"].as_u64().unwrap();
    assert!(files > 4, "{told}");
    let names = [
        "found", "due", "extended", "failed", "left", "missing", "short",
    ];
    let counts = |told: &serde_json::Value| names.map(|name| told[name].as_u64().unwrap());
    assert_eq!(counts(&told)[1..], [0; 6]);

    let path = scene.path("strongroom.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"30d\"", "\"60d\"")).unwrap();
    // Of 45 days is left what is less than the 60 that must be now.
    let dry = ["--json", "lock", "extend", "--dry-run"];
    let told = locks_of(&expect(scene, account, 3, &dry), "copies");
    assert_eq!(counts(&told), [0, files, 0, 0, 0, 0, files]);
    let status = expect(scene, account, 1, &["status"]);
    let alarm = format!("ALARM offsite: less than 60 d is left of {files} files");
    assert!(status.out.contains(&alarm), "{}", status.out);
    let ended = expect(scene, account, 0, &["verify"]);
    ended.assert_says(&["ALARM", "less than 60 d is left of the locks of"]);

    let versions = bucket.versions(FOLDER);
    let ended = expect(scene, account, 0, &["--json", "backup"]);
    let told = locks_of(&ended, "locks");
    assert_eq!(told["extended"].as_u64().unwrap(), files, "{told}");
    assert_eq!(told["short"], 0);
    let told = locks_of(&expect(scene, account, 0, &extend), "copies");
    assert_eq!(counts(&told)[1..], [0; 6], "{told}");
    // No version was made by that but those of the backup.
    let after = bucket.versions(FOLDER);
    assert!(versions.iter().all(|version| after.contains(version)));
    let packs = |versions: &[BucketVersion]| {
        let is_pack = |version: &&BucketVersion| version.key.contains("/data/");
        versions.iter().filter(is_pack).count()
    };
    assert!(packs(&after) <= packs(&versions) + 2, "{after:?}");

    let copies = fs::read_dir(scene.path("state")).unwrap();
    let copies = copies.map(|entry| entry.unwrap().path().join("copies"));
    let copies = copies.filter(|folder| folder.is_dir());
    let records = copies.flat_map(|folder| fs::read_dir(folder).unwrap());
    let records = records.map(|entry| entry.unwrap().path());
    let mut lost = 0;
    for record in records.filter(|path| path.extension().is_some_and(|end| end == "locks")) {
        fs::remove_file(record).unwrap();
        lost += 1;
    }
    assert_eq!(lost, 1);
    let told = locks_of(&expect(scene, account, 0, &extend), "copies");
    let [found, due, ..] = counts(&told);
    // What was recorded is locked for long enough. Of a file that was put anew after somebody hid it
    // there are two right versions: the record had one, and now the newest is found.
    let mut keys: Vec<_> = after.iter().filter(|version| !version.is_marker).collect();
    keys.sort_by_key(|version| &version.key);
    let again = keys.chunk_by(|one, other| one.key == other.key);
    let again = again.filter(|versions| versions.len() > 1).count() as u64;
    assert!(found >= files && due <= again, "{told}");
    let told = locks_of(&expect(scene, account, 0, &extend), "copies");
    assert_eq!(counts(&told), [0; 7], "{told}");
}

/// Where every key is hidden, or gone, nothing opens any more but for whoever extends locks.
fn locks_are_made_longer_by_a_hidden_key(scene: &Scene, account: &CephAccount, bucket: &Bucket) {
    bucket.hide(&format!("{FOLDER}/keys/"));
    for key in scene.files("one", "keys") {
        fs::remove_file(scene.path("one").join(key)).unwrap();
    }
    let path = scene.path("strongroom.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"60d\"", "\"90d\"")).unwrap();
    expect(scene, account, 12, &["backup"]);
    let extend = ["--json", "lock", "extend"];
    let ended = expect(scene, account, 3, &extend);
    ended.assert_says(&["ALARM", "hidden or overwritten on every copy"]);
    ended.assert_says(&["next: strongroom recover --copy offsite --in-place"]);
    let summary = ended.summary();
    assert_eq!(summary["opened_behind"], "offsite", "{summary}");
    assert_eq!(summary["complete"], false, "{summary}");
    let told = locks_of(&ended, "copies");
    assert_eq!(told["extended"], told["recorded"], "{told}");
    assert_eq!(told["failed"], 0, "{told}");
    assert_eq!(told["short"], 0, "{told}");
    let recover = ["recover", "--copy", "offsite", "--in-place"];
    expect(scene, account, 0, &recover);
    expect(scene, account, 0, &["sync"]);
    let summary = expect(scene, account, 0, &extend).summary();
    assert!(summary["opened_behind"].is_null(), "{summary}");
}

fn a_bucket_without_locks_is_refused(scene: &Scene, ceph: &Ceph, account: &CephAccount) {
    configure(scene, ceph, account, "absent");
    let ended = expect(scene, account, 1, &["init"]);
    ended.assert_says(&["offsite: there is no such bucket"]);
    ended.assert_says(&[
        "aws s3api create-bucket --bucket absent",
        "--object-lock-enabled",
    ]);
    ended.assert_says(&["put-bucket-policy", "remaining-retention-days\":\"61\""]);

    Bucket::new(ceph, account, "plain").create();
    configure(scene, ceph, account, "plain");
    let ended = expect(scene, account, 1, &["--json", "init"]);
    ended.assert_says(&["offsite: it has no Object Lock", "it keeps no versions"]);
    ended.assert_says(&["aws s3api create-bucket --bucket plain-locked"]);
    assert_eq!(ended.summary()["message_type"], "error");
    // Nothing was made anywhere.
    assert!(!scene.path("one").exists());
}
