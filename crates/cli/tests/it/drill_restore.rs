//! `drill restore` with the programs that it is really used with: stock restic in each version, and
//! PostgreSQL.
//!
//! Copies in buckets and on vaults are rehearsed where the rest of their lives is.

mod dump;

use std::ffi::OsString;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::{env, fs, iter};

use serde_json::Value;
use strongroom_testkit::programs::Restic;

use crate::scene::{Ended, PASSWORD, Scene, set_mode};
use crate::vault::objects;

/// Rehearsed restores from one copy.
pub(crate) struct Rehearsals<'a> {
    pub(crate) scene: &'a Scene,
    pub(crate) copy: &'a str,
    /// Beside the password, what must not be told.
    pub(crate) secrets: &'a [&'a str],
    /// Variables of the environment, of which later ones count for more.
    pub(crate) variables: &'a [(&'a str, &'a str)],
}

/// Our `PATH`, with another folder before all others.
pub(crate) fn path_with(first: &Path) -> OsString {
    let path = env::var_os("PATH").unwrap();
    let folders = iter::once(first.to_owned()).chain(env::split_paths(&path));
    env::join_paths(folders).unwrap()
}

/// A folder of the scene that has this restic and nothing else.
fn folder_of(scene: &Scene, restic: &Restic) -> PathBuf {
    let folder = scene.path(&format!("restic-{}", restic.version));
    if !folder.exists() {
        fs::create_dir(&folder).unwrap();
        // Whatever the umask: what anybody may put there is not run.
        set_mode(&folder, 0o755);
        let program = restic.path.canonicalize().unwrap();
        symlink(program, folder.join("restic")).unwrap();
    }
    folder
}

impl Rehearsals<'_> {
    /// Rehearses with this restic, which must end so, leave nothing and tell no secret; returns what
    /// came of the only source.
    #[track_caller]
    fn run(&self, restic: &Restic, code: i32) -> Value {
        let into = self.scene.path("scratch");
        fs::create_dir_all(&into).unwrap();
        let drill = ["-vvv", "--json", "drill", "restore", "--copy", self.copy];
        let mut command = self.scene.command(&drill);
        command.arg("--into").arg(&into);
        command.env("PATH", path_with(&folder_of(self.scene, restic)));
        command.envs(self.variables.iter().copied());
        let ended = Ended::from(command.output().unwrap());
        ended.assert_code(code, &(self.copy, restic.version));
        for text in [&ended.out, &ended.err] {
            for secret in self.secrets.iter().chain([&PASSWORD]) {
                assert!(!text.contains(*secret), "{}: {text}", self.copy);
            }
        }
        assert_eq!(fs::read_dir(into).unwrap().count(), 0);
        let [drill]: [Value; 1] = objects(&ended, "drill").try_into().unwrap();
        assert_eq!(drill["copy"], self.copy, "{drill}");
        let program = folder_of(self.scene, restic).join("restic");
        let theirs = &drill["restic"];
        assert_eq!(theirs["program"], program.display().to_string(), "{drill}");
        let version = theirs["version"].as_str().unwrap();
        let known = format!("restic {}.", restic.version);
        assert!(version.starts_with(&known), "{drill}");
        drill
    }

    /// Asserts that the source as it is comes back, by us and by this restic.
    #[track_caller]
    pub(crate) fn assert_come_back(&self, restic: &Restic) -> Value {
        let drill = self.run(restic, 0);
        assert_eq!(drill["good"], true, "{drill}");
        assert_eq!(drill["share"], "all", "{drill}");
        assert_eq!(drill["error_count"], 0, "{drill}");
        let (whole, restored) = (&drill["whole"], &drill["restored"]);
        assert_eq!(whole["bytes"], restored["bytes"], "{drill}");
        assert!(restored["bytes"].as_u64().unwrap() > 0, "{drill}");
        let live = &drill["live"];
        assert!(live["same"].as_u64().unwrap() > 0, "{drill}");
        assert_eq!(live["changed"], 0, "{drill}");
        assert_eq!(live["gone"], 0, "{drill}");
        let theirs = &drill["restic"];
        assert_eq!(theirs["outcome"], "same", "{drill}");
        assert!(theirs["files"].as_u64().unwrap() > 0, "{drill}");
        drill
    }

    /// Asserts that neither we nor this restic get back what is in this pack.
    #[track_caller]
    pub(crate) fn assert_fail(&self, restic: &Restic, pack: &Path) -> Value {
        let drill = self.run(restic, 1);
        assert_eq!(drill["good"], false, "{drill}");
        assert_ne!(drill["error_count"], 0, "{drill}");
        let damaged = drill["damaged"].as_array().unwrap();
        let is_it = |damage: &Value| pack.ends_with(damage["pack"].as_str().unwrap());
        assert!(damaged.iter().any(is_it), "{drill}");
        assert_eq!(drill["restic"]["outcome"], "differs", "{drill}");
        drill
    }

    /// What status tells of the last drill: its field, and what people read in the row of the copy.
    #[track_caller]
    pub(crate) fn told(&self) -> (Value, String) {
        let card = self.scene.run(&["--json", "status"]).summary();
        let mut rows = card["copies"].as_array().unwrap().iter();
        let row = rows.find(|row| row["name"] == self.copy).unwrap();
        (row["restore_drill"].clone(), self.cell())
    }

    /// Asserts that status tells of this drill, and whether it passed.
    #[track_caller]
    pub(crate) fn assert_told(&self, drill: &Value, passed: bool) {
        let (told, cell) = self.told();
        assert_eq!(told["at"], drill["at"], "{told}");
        assert_eq!(told["passed"], passed, "{told}");
        assert_eq!(told["all_sources"], true, "{told}");
        let end = if passed { " ago" } else { " ago, FAILED" };
        assert!(cell.ends_with(end), "{cell}");
    }

    /// The last cell of the second row of the copy: the first one says where it is.
    #[track_caller]
    fn cell(&self) -> String {
        let status = self.scene.run(&["status"]).out;
        let begin = format!("{} ", self.copy);
        let mut rows = status.lines().filter(|line| line.starts_with(&begin));
        let row = rows.nth(1).unwrap_or_else(|| panic!("{status}"));
        row.rsplit("  ").next().unwrap().to_owned()
    }
}

/// The largest pack of the copy `one`, by its path in any copy, and what it becomes where a byte of
/// it rots.
pub(crate) fn rotten_pack(scene: &Scene) -> (PathBuf, Vec<u8>) {
    let packs = scene.files("one", "data").into_iter();
    let read = |pack: &PathBuf| fs::read(scene.path("one").join(pack)).unwrap();
    let pack = packs.max_by_key(|pack| read(pack).len()).unwrap();
    let mut bytes = read(&pack);
    bytes[100] ^= 1;
    (pack, bytes)
}
