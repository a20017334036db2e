//! A locked bucket in which somebody has tried everything with production's own credentials, and the
//! repository that comes back from it by `recover`, with stock restic as the judge.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use strongroom_testkit::programs::restic_versions;
use strongroom_testkit::tree::TreeSpec;
use strongroom_testkit::{Bucket, Ceph, CephAccount, Tried};

use crate::bucket::{FOLDER, configure, expect};
use crate::scene::{Ended, PASSWORD, PATIENCE, Scene, plant_key, set_mode, write_noise};

/// After which times a run is killed.
const KILLS_MS: [u64; 3] = [150, 300, 600];

/// Runs every restic there is on a repository: it is sound, and restores what the source holds.
fn assert_sound(scene: &Scene, repository: &str, account: Option<&CephAccount>) {
    for restic in restic_versions() {
        let run = |arguments: &[&str]| {
            let mut command = Command::new(&restic.path);
            command
                .args(["--no-cache", "-r", repository])
                .args(arguments)
                .env("RESTIC_PASSWORD", PASSWORD);
            if let Some(account) = account {
                command
                    .env("AWS_ACCESS_KEY_ID", &account.access_key)
                    .env("AWS_SECRET_ACCESS_KEY", &account.secret_key)
                    .env("AWS_DEFAULT_REGION", "us-east-1");
            }
            let ended = Ended::from(command.output().unwrap());
            ended.assert_code(0, &(repository, restic.version, arguments));
        };
        run(&["check", "--read-data"]);
        let target = tempfile::tempdir().unwrap();
        let to = target.path().to_str().unwrap();
        run(&["restore", "latest", "--target", to]);
        let restored = target
            .path()
            .join(scene.source().strip_prefix("/").unwrap());
        let differences = strongroom_testkit::tree::compare(&scene.source(), &restored);
        assert_eq!(differences, [], "{repository}, restic {}", restic.version);
    }
}

/// Recovers into a folder of the scene.
#[track_caller]
pub(super) fn into(
    scene: &Scene,
    account: &CephAccount,
    code: i32,
    folder: &str,
    more: &[&str],
) -> Ended {
    let path = scene.path(folder);
    let mut arguments = vec!["recover", "--copy", "offsite", "--into"];
    arguments.push(path.to_str().unwrap());
    arguments.extend(more);
    expect(scene, account, code, &arguments)
}

pub(super) fn assert_sound_in(scene: &Scene, folder: &str) {
    assert_sound(scene, scene.path(folder).to_str().unwrap(), None);
}

/// Waits until the clock of the server shows a later second: versions are told apart by it.
fn wait_for_a_later_second(bucket: &Bucket, than_s: i64) {
    let start = Instant::now();
    loop {
        bucket.put("tick", b"tick");
        if bucket.newest_s("tick") > than_s {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "its clock stands still");
        thread::park_timeout(Duration::from_millis(100));
    }
}

/// The configuration of whoever has the credentials of the bucket and nothing else.
fn forget_everything(scene: &Scene) {
    fs::remove_dir_all(scene.path("one")).unwrap();
    fs::remove_dir_all(scene.path("state")).unwrap();
    let path = scene.path("strongroom.toml");
    let text = fs::read_to_string(&path).unwrap();
    let (_, without_password) = text.split_once('\n').unwrap();
    assert!(!without_password.contains("password_file"));
    fs::write(&path, without_password).unwrap();
}

/// Adds a bucket of somebody else as a further copy, and brings the password back.
fn add_rescue(scene: &Scene, ceph: &Ceph, rescue: &CephAccount) {
    let secret = scene.path("rescue.key");
    fs::write(&secret, &rescue.secret_key).unwrap();
    set_mode(&secret, 0o600);
    let path = scene.path("strongroom.toml");
    let text = fs::read_to_string(&path).unwrap();
    let store = format!("s3:{}/rescue/{FOLDER}", ceph.endpoint());
    let text = format!(
        "password_file = {:?}\n{text}\n[[copy]]\nname = \"rescue\"\nstore = {store:?}\n\
         medium = \"object\"\nsite = \"site-rescue\"\ndomain = \"domain-rescue\"\n\
         lock = \"30d\"\naccess_key = {:?}\nsecret_key_file = {secret:?}\n",
        scene.path("password"),
        rescue.access_key
    );
    fs::write(&path, text).unwrap();
}

/// What must have been refused was.
#[track_caller]
pub(super) fn assert_refused(tried: &[Tried], what: &str) {
    let of: Vec<_> = tried.iter().filter(|one| one.what == what).collect();
    assert!(!of.is_empty(), "{what} was not tried");
    assert!(of.iter().all(|one| one.refused.is_some()), "{of:?}");
}

/// Asserts that stock restic opens nothing in the bucket as it is.
fn assert_lost_to_restic(ceph: &Ceph, account: &CephAccount, restic: &Path) {
    let repository = format!("s3:{}/attacked/{FOLDER}/", ceph.endpoint());
    let output = Command::new(restic)
        .args(["--no-cache", "-r", &repository, "snapshots"])
        .env("RESTIC_PASSWORD", PASSWORD)
        .env("AWS_ACCESS_KEY_ID", &account.access_key)
        .env("AWS_SECRET_ACCESS_KEY", &account.secret_key)
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .output();
    assert!(!output.unwrap().status.success());
}

#[test]
fn an_attacked_bucket_comes_back() {
    let ceph = &Ceph::start();
    let production = ceph.new_account("production");
    let rescue = ceph.new_account("rescue");
    let scene = Scene::new();
    TreeSpec::small(3).build(&scene.source().join("tree"));
    write_noise(&scene.source().join("noise"), 3, 3 << 20);
    let bucket = Bucket::new(ceph, &production, "attacked");
    bucket.create_locked();
    configure(&scene, ceph, &production, "attacked");
    plant_key(&scene.path("one"), PASSWORD);
    expect(&scene, &production, 0, &["init"]);
    expect(&scene, &production, 0, &["backup"]);
    // The server tells parts of a second too.
    let whole_s = bucket.newest_s(FOLDER) + 1;
    let versions = bucket.versions(FOLDER);
    wait_for_a_later_second(&bucket, whole_s);

    // All snapshots are hidden, and nothing else: the gentlest way to lose everything.
    bucket.hide(&format!("{FOLDER}/snapshots/"));
    let ended = into(&scene, &production, 0, "hidden", &[]);
    assert!(
        ended.out.contains("1 file: behind markers"),
        "{}",
        ended.out
    );
    assert_sound_in(&scene, "hidden");

    // Then everything is tried, and whoever has the bucket has nothing else any more.
    let tried = bucket.attack(FOLDER);
    for what in [
        "remove a version",
        "remove all versions at once",
        "shorten a lock",
        "change the mode of a lock",
        "suspend versioning",
        "delete the bucket",
    ] {
        assert_refused(&tried, what);
    }
    for version in &versions {
        assert_eq!(bucket.mode_of(version).as_deref(), Some("COMPLIANCE"));
    }
    assert_lost_to_restic(ceph, &production, &restic_versions()[0].path);
    forget_everything(&scene);

    bucket.forbid_reading().unwrap();
    let ended = into(&scene, &production, 1, "forbidden", &[]);
    ended.assert_says(&["s3:ListBucketVersions is missing"]);
    assert!(!scene.path("forbidden").exists());
    bucket.remove_policy();

    recovered_with_nothing_but_its_credentials(&scene, &production, whole_s);
    let time = at(whole_s);
    add_rescue(&scene, ceph, &rescue);
    Bucket::new(ceph, &rescue, "rescue").create_locked();
    let to_rescue = ["--copy", "offsite", "--into", "rescue", "--as-of", &time];
    let recover = [&["recover"][..], &to_rescue].concat();
    expect(&scene, &production, 0, &recover);
    let repository = format!("s3:{}/rescue/{FOLDER}/", ceph.endpoint());
    assert_sound(&scene, &repository, Some(&rescue));

    // In place, and then stock restic on the bucket itself.
    let in_place = [
        "recover",
        "--copy",
        "offsite",
        "--in-place",
        "--as-of",
        &time,
    ];
    let dry = [&in_place[..], &["--dry-run"]].concat();
    expect(&scene, &production, 0, &dry);
    assert_lost_to_restic(ceph, &production, &restic_versions()[0].path);
    expect(&scene, &production, 0, &in_place);
    let repository = format!("s3:{}/attacked/{FOLDER}/", ceph.endpoint());
    assert_sound(&scene, &repository, Some(&production));
    for version in &versions {
        assert_eq!(bucket.mode_of(version).as_deref(), Some("COMPLIANCE"));
    }
}

fn recovered_with_nothing_but_its_credentials(
    scene: &Scene,
    production: &CephAccount,
    whole_s: i64,
) {
    // What he put under a name of his own is named, and everything else is there.
    let ended = into(scene, production, 3, "now", &[]);
    let junk = format!("data/{}", "ab".repeat(32));
    ended.assert_says(&[&junk, "is not recovered"]);
    assert_sound_in(scene, "now");
    let again = into(scene, production, 3, "now", &["--json"]);
    let summary = again.summary();
    assert_eq!(summary["files"], 0, "{summary}");
    assert_eq!(summary["config"], "oldest", "{summary}");
    assert_eq!(summary["not_recovered"][0]["name"], junk.as_str());

    // As of the time before, nothing of his is there.
    let time = at(whole_s);
    into(scene, production, 0, "before", &["--as-of", &time]);
    let path = scene.path("before").join("data/ab").join("ab".repeat(32));
    assert!(!path.exists());
    assert_sound_in(scene, "before");

    // Killed, and run again.
    let path = scene.path("killed");
    let killed = path.to_str().unwrap();
    let arguments = ["recover", "--copy", "offsite", "--into", killed];
    let arguments = [&arguments[..], &["--as-of", &time]].concat();
    for moment_ms in KILLS_MS {
        let running = scene.start(&arguments);
        running.kill_after(Duration::from_millis(moment_ms));
    }
    expect(scene, production, 0, &arguments);
    assert_sound_in(scene, "killed");

    // A folder of somebody's is left alone.
    let ended = into(scene, production, 1, "source", &[]);
    ended.assert_says(&["is not empty"]);
}

/// A time as it is typed.
fn at(second: i64) -> String {
    jiff::Timestamp::from_second(second).unwrap().to_string()
}
