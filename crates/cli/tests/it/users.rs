//! What a user who is not root may not do, and a disk that is full.
//!
//! As root these tests become nobody first; as anybody else they already are. One needs two users,
//! and with that root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use strongroom_testkit::programs::restic_versions;
use strongroom_testkit::tree::TreeSpec;

use crate::scene::{Ended, PASSWORD, Scene, plant_key, set_mode, write_noise};

/// A scene that belongs to a user without rights, who runs a program of his own.
struct Unprivileged {
    scene: Scene,
    program: PathBuf,
}

const NOBODY: u32 = 65_534;

impl Unprivileged {
    fn new() -> Self {
        let scene = Scene::new();
        TreeSpec::small(1).build(&scene.source().join("tree"));
        // The program may lie where nobody but us can look.
        let program = scene.path("strongroom");
        fs::copy(env!("CARGO_BIN_EXE_strongroom"), &program).unwrap();
        plant_key(&scene.path("one"), PASSWORD);
        let this = Self { scene, program };
        this.give();
        this
    }

    /// Gives everything in the scene to the user.
    fn give(&self) {
        if is_root() {
            give(self.scene.root());
        }
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        let mut command = match is_root() {
            true => {
                let mut command = Command::new("setpriv");
                command
                    .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
                    .arg(&self.program);
                command
            }
            false => Command::new(&self.program),
        };
        command.args(arguments);
        self.scene.dress(&mut command);
        command.output().unwrap().into()
    }

    #[track_caller]
    fn expect(&self, code: i32, arguments: &[&str]) -> Ended {
        let ended = self.run(arguments);
        ended.assert_code(code, &arguments);
        assert!(!ended.err.contains("panicked"), "{}", ended.err);
        ended
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn give(path: &Path) {
    std::os::unix::fs::lchown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path());
        }
    }
}

#[test]
fn what_may_not_be_read_is_named_counted_and_told_by_the_snapshot() {
    let user = Unprivileged::new();
    let source = user.scene.source();
    fs::write(source.join("secret"), "secret").unwrap();
    fs::create_dir(source.join("closed")).unwrap();
    fs::write(source.join("closed/file"), "content").unwrap();
    user.give();
    user.expect(0, &["--quiet", "init"]);
    set_mode(&source.join("secret"), 0);
    set_mode(&source.join("closed"), 0);
    let ended = user.expect(3, &["backup"]);
    ended.assert_says(&["source/secret", "Permission denied"]);
    ended.assert_says(&["source/closed", "Permission denied"]);
    user.scene.assert_identical();
    // Stock restic passes over what it does not know, and lists the snapshot.
    for restic in restic_versions() {
        let ended = user.scene.restic(&restic, "one", &["snapshots", "--json"]);
        assert!(ended.out.contains("\"short_id\""), "{}", ended.out);
    }
    let ended = user.expect(0, &["--json", "snapshots"]);
    let snapshot: serde_json::Value = ended.out.lines().next().unwrap().parse().unwrap();
    assert_eq!(snapshot["summary"]["error_count"], 2, "{snapshot}");
    let told = snapshot["summary"]["errors"].to_string();
    for name in ["source/secret", "source/closed"] {
        assert!(told.contains(name), "{snapshot}");
    }
    let summary = user.expect(3, &["--json", "backup"]).summary();
    assert_eq!(summary["error_count"], 2, "{summary}");
    assert_eq!(summary["sources"][0]["errors"].as_array().unwrap().len(), 2);
    assert_eq!(summary["complete"], false);
    // A backup with errors is not a good one.
    user.expect(1, &["status"]);
    // What can be read again is saved again.
    set_mode(&source.join("secret"), 0o600);
    set_mode(&source.join("closed"), 0o700);
    user.expect(0, &["backup"]);
    user.scene.assert_restic_restores_all();
}

#[test]
fn a_copy_that_may_not_be_written_fails_by_name_and_the_others_go_on() {
    let user = Unprivileged::new();
    user.expect(0, &["--quiet", "init"]);
    let closed =
        ["data", "locks", "index", "snapshots"].map(|name| user.scene.path("two").join(name));
    for folder in &closed {
        set_mode(folder, 0o500);
    }
    let ended = user.expect(3, &["backup"]);
    ended.assert_says(&["two", "ermission denied"]);
    assert_eq!(user.scene.files("one", "snapshots").len(), 1);
    assert_eq!(user.scene.files("two", "snapshots").len(), 0);
    // Not even readable.
    set_mode(&user.scene.path("two"), 0);
    user.expect(3, &["backup"])
        .assert_says(&["two", "ermission denied"]);
    user.expect(3, &["sync"])
        .assert_says(&["two", "ermission denied"]);
    set_mode(&user.scene.path("two"), 0o700);
    for folder in &closed {
        set_mode(folder, 0o700);
    }
    user.expect(0, &["sync"]);
    user.scene.assert_identical();
    user.scene.check_all();
}

#[test]
fn copies_that_may_be_read_only_can_be_restored_from() {
    let user = Unprivileged::new();
    user.expect(0, &["--quiet", "init"]);
    user.expect(0, &["--quiet", "backup"]);
    for copy in crate::scene::ALL {
        for folder in ["locks", "data", ""] {
            set_mode(&user.scene.path(copy).join(folder), 0o500);
        }
    }
    let target = user.scene.path("restored");
    user.expect(0, &["restore", "latest", target.to_str().unwrap()]);
    let restored = target.join(user.scene.source().strip_prefix("/").unwrap());
    let differences = strongroom_testkit::tree::compare(&user.scene.source(), &restored);
    assert_eq!(differences, []);
    user.expect(0, &["verify"]);
    for copy in crate::scene::ALL {
        for folder in ["", "data", "locks"] {
            set_mode(&user.scene.path(copy).join(folder), 0o700);
        }
    }
}

#[test]
fn a_state_folder_that_may_not_be_written_costs_no_backup_and_is_told() {
    let user = Unprivileged::new();
    user.expect(0, &["--quiet", "init"]);
    fs::remove_dir_all(user.scene.path("state")).ok();
    fs::create_dir(user.scene.path("state")).unwrap();
    user.give();
    set_mode(&user.scene.path("state"), 0o500);
    let ended = user.expect(0, &["backup"]);
    ended.assert_says(&["not remembered"]);
    set_mode(&user.scene.path("state"), 0o700);
    user.scene.assert_identical();
}

#[test]
fn a_password_that_others_can_read_is_a_warning_and_one_that_we_cannot_is_an_error() {
    let user = Unprivileged::new();
    set_mode(&user.scene.path("password"), 0o644);
    user.expect(0, &["--quiet", "init"])
        .assert_says(&["Others can read the password"]);
    set_mode(&user.scene.path("password"), 0);
    let ended = user.expect(1, &["backup"]);
    ended.assert_says(&["Cannot read the password"]);
    ended.assert_says(&["Permission denied"]);
    set_mode(&user.scene.path("password"), 0o600);
    let ended = user.expect(0, &["backup"]);
    assert!(!ended.err.contains("Others"), "{}", ended.err);
}

#[test]
fn a_restore_to_where_nothing_may_be_written_is_an_error() {
    let user = Unprivileged::new();
    user.expect(0, &["--quiet", "init"]);
    user.expect(0, &["--quiet", "backup"]);
    let closed = user.scene.path("closed");
    fs::create_dir(&closed).unwrap();
    user.give();
    set_mode(&closed, 0o500);
    let target = closed.join("target");
    let ended = user.expect(1, &["restore", "latest", target.to_str().unwrap()]);
    ended.assert_says(&["ermission denied"]);
}

/// Runs a shell script in a mount namespace of its own, where `two` is a small file system.
fn with_small_disk(scene: &Scene, script: &str) -> Ended {
    let flags = if is_root() { "-m" } else { "-rm" };
    let mount = format!(
        "set -e; mkdir -p two; mount -t tmpfs -o size=4m tmpfs two; \
         strongroom() {{ {:?} \"$@\"; }}; {script}",
        env!("CARGO_BIN_EXE_strongroom")
    );
    let mut command = Command::new("unshare");
    command.args([flags, "sh", "-c", &mount]);
    scene.dress(&mut command);
    command.output().unwrap().into()
}

#[test]
fn a_copy_whose_disk_is_full_fails_by_name_and_is_whole_once_there_is_room() {
    let scene = Scene::new();
    TreeSpec::small(1).build(&scene.source().join("tree"));
    write_noise(&scene.source().join("noise"), 1, 12 << 20);
    plant_key(&scene.path("one"), PASSWORD);
    let script = "\
        strongroom --quiet init; strongroom backup || echo status $?; \
        strongroom sync || echo status $?; \
        find two -name '.tmp-*'; find two/snapshots -type f; find two/locks -type f; \
        mount -o remount,size=64m two; strongroom sync; diff -r one two; echo healed";
    let ended = with_small_disk(&scene, script);
    ended.assert_code(0, &script);
    ended.assert_says(&["two", "full"]);
    assert_eq!(ended.out.matches("status 3\n").count(), 2, "{ended:?}");
    assert!(ended.out.ends_with("healed\n"), "{ended:?}");
    assert!(!ended.out.contains("two/"), "{}", ended.out);
    for restic in restic_versions() {
        for copy in ["one", "three"] {
            scene.check(&restic, copy, &[]);
        }
    }
}

#[test]
fn what_another_user_left_in_the_working_folder_configures_nothing() {
    // Nobody else can give a file away.
    assert!(is_root(), "this test needs two users: run it as root");
    let user = Unprivileged::new();
    let scene = &user.scene;
    let trap = "password_command = [\"touch\", \"pwned\"]\n";
    let path = scene.path("strongroom.toml");
    let whole = format!("{trap}{}", fs::read_to_string(&path).unwrap());
    fs::write(&path, whole.replace("password_file", "# ")).unwrap();
    let ended = scene.expect(1, &["init"]);
    ended.assert_says(&["its folder belongs to user 65534"]);
    ended.assert_says(&["chown 0 '.'", "--config 'strongroom.toml'"]);
    std::os::unix::fs::chown(scene.root(), Some(0), Some(0)).unwrap();
    let ended = scene.expect(1, &["init"]);
    ended.assert_says(&["it belongs to user 65534"]);
    ended.assert_says(&["chown 0 'strongroom.toml'"]);
    assert!(!scene.path("pwned").exists());
    // Root's own is believed by those who may read it.
    std::os::unix::fs::chown(&path, Some(0), Some(0)).unwrap();
    scene.expect(1, &["init"]).assert_says(&["no password"]);
    assert!(scene.path("pwned").exists());
}
