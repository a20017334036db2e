//! The log's files, edited and cut by whoever is root on the vault: while it runs, and while it
//! is stopped.

use std::fs;
use std::path::{Path, PathBuf};

use strongroom_ledger::audit::Report;
use strongroom_ledger::{Verifier, audit};
use strongroom_model::FileType;

use crate::clients::server::Server;
use crate::clients::{REPOSITORY, leaves_of};

/// A vault whose log has more than one bundle, all of it published.
struct Scene {
    server: Server,
    token: String,
    put: u64,
}

impl Scene {
    fn new() -> Self {
        let server = Server::start();
        let token = server.token("append");
        server
            .wire()
            .post(&format!("{REPOSITORY}?create=true"), &token, b"");
        let mut scene = Self {
            server,
            token,
            put: 0,
        };
        scene.put(300);
        scene.server.kill_and_restart();
        assert!(scene.audit().is_sound());
        assert!(leaves_of(&scene.server).len() > 300);
        scene
    }

    fn put(&mut self, count: u64) {
        let mut wire = self.server.wire();
        for _ in 0..count {
            self.put += 1;
            let bytes = self.put.to_le_bytes();
            let (_, status) = wire.put(REPOSITORY, &self.token, FileType::Data, &bytes);
            assert_eq!(status, 200);
        }
    }

    /// How many leaves are published.
    fn published(&self) -> u64 {
        let note = self.server.wire().get("/log/checkpoint", "").text();
        note.lines().nth(1).unwrap().parse().unwrap()
    }

    /// The files of the database, and what they hold.
    fn database(&self) -> Vec<(PathBuf, Option<Vec<u8>>)> {
        let files = ["vault.sqlite", "vault.sqlite-wal", "vault.sqlite-shm"].into_iter();
        let paths = files.map(|file| self.server.data().join(file));
        paths
            .map(|path| (path.clone(), fs::read(path).ok()))
            .collect()
    }

    fn log(&self) -> PathBuf {
        self.server.data().join("log")
    }

    fn audit(&self) -> Report {
        let key = fs::read_to_string(self.server.data().join("keys/log.pub")).unwrap();
        let key: Verifier = key.trim().parse().unwrap();
        audit(&self.log(), Some(&key), None)
    }

    /// The partial file of the last bundle, or of the last tile.
    fn last(&self, level: &str) -> PathBuf {
        let folder = self.log().join("tile").join(level).join("001.p");
        let files = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let width = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().parse::<u64>();
        files
            .max_by_key(|path| width(path).unwrap_or_default())
            .unwrap()
    }

    /// It does not start, says why and what to do, and signs nothing.
    fn expect_no_start(&self) {
        let checkpoint = fs::read(self.log().join("checkpoint")).ok();
        let said = self.server.fails_to_start();
        assert!(said.contains("The log cannot be published"), "{said}");
        assert!(said.contains("log verify"), "{said}");
        assert_eq!(fs::read(self.log().join("checkpoint")).ok(), checkpoint);
    }
}

fn flip(path: &Path, place: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[place] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn cut(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

#[test]
fn an_edit_while_it_runs_is_named_and_what_comes_later_is_whole() {
    let mut scene = Scene::new();
    let old = scene.log().join("tile/entries/000");
    let sound = fs::read(&old).unwrap();
    let remove = |path: &Path| fs::remove_file(path).unwrap();
    let changes: [fn(&Path); 3] = [|path| flip(path, 100), cut, remove];
    for change in changes {
        change(&old);
        let report = scene.audit();
        let faults = format!("{:?}", report.faults);
        assert!(
            !report.is_sound() && faults.contains("tile/entries/000"),
            "{faults}"
        );
        // The vault goes on, and does not paper over it.
        scene.put(3);
        let published = scene.server.wire().get("/log/checkpoint", "");
        assert_eq!(published.status, 200);
        assert!(!scene.audit().is_sound());
        fs::write(&old, &sound).unwrap();
        assert!(scene.audit().is_sound());
    }
    // The last files are written anew with the next leaf, from what was signed.
    scene.server.kill_and_restart();
    let edited = [scene.last("entries"), scene.last("0")];
    let sound = edited.each_ref().map(|path| fs::read(path).unwrap());
    flip(&edited[0], 9);
    cut(&edited[1]);
    assert!(!scene.audit().is_sound());
    let before = scene.published();
    scene.put(1);
    while scene.published() == before {}
    // The edited ones are still there, and still named.
    let faults = scene.audit().faults;
    assert!(!faults.is_empty());
    for (path, sound) in edited.iter().zip(sound) {
        fs::write(path, sound).unwrap();
    }
    assert!(scene.audit().is_sound());
}

#[test]
fn an_edit_of_its_last_files_while_it_is_stopped_keeps_it_from_starting() {
    let mut scene = Scene::new();
    scene.server.kill();
    for file in [scene.last("entries"), scene.last("0")] {
        let sound = fs::read(&file).unwrap();
        let flipped = |path: &Path| flip(path, sound.len() - 9);
        let changes: [&dyn Fn(&Path); 3] = [&flipped, &cut, &|path: &Path| {
            fs::remove_file(path).unwrap()
        }];
        for change in changes {
            change(&file);
            assert!(!scene.audit().is_sound(), "{}", file.display());
            scene.expect_no_start();
            fs::write(&file, &sound).unwrap();
        }
    }
    scene.server.restart();
    assert!(scene.audit().is_sound());
}

#[test]
fn the_copy_of_the_checkpoint_decides_nothing_and_is_written_anew() {
    let mut scene = Scene::new();
    let checkpoint = scene.log().join("checkpoint");
    let earlier = fs::read(&checkpoint).unwrap();
    scene.put(5);
    let removed = |path: &Path| fs::remove_file(path).unwrap();
    // One that was good once is no way back either.
    let set_back = |path: &Path| fs::write(path, &earlier).unwrap();
    let torn = |path: &Path| cut(path);
    let changed = |path: &Path| flip(path, 60);
    let changes: [&dyn Fn(&Path); 4] = [&removed, &set_back, &torn, &changed];
    for change in changes {
        scene.server.kill();
        let before = scene.audit();
        assert!(before.is_sound(), "{:?}", before.faults);
        change(&checkpoint);
        scene.server.restart();
        let after = scene.audit();
        assert!(after.is_sound(), "{:?}", after.faults);
        let told = scene.server.wire().get("/log/checkpoint", "");
        assert_eq!(told.status, 200);
        assert_ne!(fs::read(&checkpoint).unwrap(), earlier);
    }
    // One that names another log is none of ours: nothing is written over it.
    scene.server.kill();
    let sound = fs::read(&checkpoint).unwrap();
    flip(&checkpoint, 9);
    scene.expect_no_start();
    fs::write(&checkpoint, &sound).unwrap();
    scene.server.restart();
    assert!(scene.audit().is_sound());
}

#[test]
fn an_edit_of_old_files_while_it_is_stopped_is_named_by_an_audit() {
    let mut scene = Scene::new();
    scene.server.kill();
    for file in ["tile/entries/000", "tile/0/000"] {
        let path = scene.log().join(file);
        let sound = fs::read(&path).unwrap();
        let changes: [fn(&Path); 2] = [|path| flip(path, 100), cut];
        for change in changes {
            change(&path);
            scene.server.restart();
            scene.put(1);
            scene.server.kill();
            let faults = format!("{:?}", scene.audit().faults);
            assert!(faults.contains(file), "{file}: {faults}");
            fs::write(&path, &sound).unwrap();
        }
    }
    scene.server.restart();
    assert!(scene.audit().is_sound());
}

#[test]
fn a_database_that_was_set_back_keeps_it_from_starting() {
    let mut scene = Scene::new();
    scene.server.kill();
    let before = scene.database();
    assert!(before[0].1.is_some());
    scene.server.restart();
    scene.put(5);
    scene.server.kill_and_restart();
    scene.server.kill();
    for (path, content) in before {
        match content {
            Some(content) => fs::write(path, content).unwrap(),
            None => drop(fs::remove_file(path)),
        }
    }
    scene.expect_no_start();
}
