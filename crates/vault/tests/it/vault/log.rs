//! The log under a running vault: what is done to its files is noticed, and never signed over; and
//! a vault that was set back begins another log.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use strongroom_ledger::{Remembered, Verdict, Verifier, audit};
use strongroom_model::FileType;
use strongroom_vault::Error;
use strongroom_vault::publication::{Publisher, begin_new};
use strongroom_vault::rules::right::Right;

use super::scene::Scene;

/// A vault with a published log of some hundred leaves.
struct Logged {
    scene: Scene,
    publisher: Publisher,
}

impl Logged {
    fn new(leaves: u32) -> Self {
        let scene = Scene::new();
        let publisher = open(&scene);
        let logged = Self { scene, publisher };
        logged.grow(leaves);
        logged.publisher.publish().unwrap();
        logged
    }

    /// Adds leaves: a token that is made and revoked is two.
    fn grow(&self, leaves: u32) {
        for _ in 0..leaves {
            self.scene.vault.revoke_token(&self.token()).unwrap();
        }
    }

    fn token(&self) -> String {
        let new = strongroom_vault::vault::NewToken {
            right: Right::Read,
            prefix: "acme".parse().unwrap(),
            expires_in_ms: None,
            daily_bytes: None,
            daily_objects: None,
        };
        self.scene.vault.create_token(&new).unwrap().name
    }

    fn folder(&self) -> PathBuf {
        self.scene.folder.path().join("log")
    }

    fn key(&self) -> Verifier {
        self.publisher.key().parse().unwrap()
    }

    fn checkpoint(&self) -> Vec<u8> {
        fs::read(self.folder().join("checkpoint")).unwrap()
    }

    /// Publishing must fail, and leave the checkpoint as it is.
    fn refuses(&self) {
        self.grow(1);
        let before = fs::read(self.folder().join("checkpoint")).ok();
        for _ in 0..2 {
            let refused = self.publisher.publish();
            assert!(matches!(refused, Err(Error::Log { .. })), "{refused:?}");
            let after = fs::read(self.folder().join("checkpoint")).ok();
            assert_eq!(after, before, "nothing is signed over");
        }
    }

    /// What is put back is gone on with, and an auditor finds nothing.
    fn goes_on(&self) {
        self.grow(1);
        self.publisher.publish().unwrap();
        self.publisher.look_back().unwrap();
        let report = audit(&self.folder(), Some(&self.key()), None);
        assert!(report.is_sound(), "{:?}", report.faults);
        assert!(!self.scene.acts("log-wrong").is_empty());
    }
}

fn open(scene: &Scene) -> Publisher {
    let (vault, data) = (scene.vault.clone(), scene.folder.path());
    let origin = vault.origin().to_owned();
    Publisher::open(vault, data, &origin).unwrap()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => found.push(path),
            }
        }
    }
    found.sort();
    found
}

/// Each way to damage a file.
const DAMAGES: [fn(&Path, &[u8]); 3] = [
    |path, bytes| {
        let mut bytes = bytes.to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).unwrap();
    },
    |path, bytes| fs::write(path, &bytes[..bytes.len() - 1]).unwrap(),
    |path, _| fs::remove_file(path).unwrap(),
];

#[test]
fn a_checkpoint_or_an_edge_that_was_changed_is_not_signed_over() {
    let logged = Logged::new(20);
    let edge: Vec<_> = files(&logged.folder());
    // Older partial tiles lie beside the newest; nobody needs them.
    let size = logged.publisher.publish().unwrap();
    let newest = format!("{size}");
    let needed: Vec<_> = edge
        .into_iter()
        .filter(|path| path.ends_with("checkpoint") || path.ends_with(&newest))
        .collect();
    assert_eq!(needed.len(), 3, "{needed:?}");
    for path in needed {
        for damage in DAMAGES {
            let path = match path.ends_with("checkpoint") {
                true => path.clone(),
                false => {
                    let size = logged.publisher.publish().unwrap();
                    path.with_file_name(format!("{size}"))
                }
            };
            let bytes = fs::read(&path).unwrap();
            damage(&path, &bytes);
            logged.refuses();
            fs::write(&path, bytes).unwrap();
            logged.goes_on();
        }
    }
}

#[test]
fn a_log_that_was_cut_back_to_an_earlier_checkpoint_is_not_signed_over() {
    let logged = Logged::new(10);
    let old = logged.checkpoint();
    logged.grow(10);
    logged.publisher.publish().unwrap();
    let new = logged.checkpoint();
    fs::write(logged.folder().join("checkpoint"), &old).unwrap();
    logged.refuses();
    // Nor by a vault that starts anew.
    let anew = open(&logged.scene).publish();
    assert!(matches!(anew, Err(Error::Log { .. })), "{anew:?}");
    fs::write(logged.folder().join("checkpoint"), &new).unwrap();
    logged.goes_on();
}

#[test]
fn full_files_deep_in_the_log_are_looked_at_in_turn() {
    let logged = Logged::new(300);
    let full: Vec<_> = ["tile/entries/000", "tile/0/000"]
        .map(|name| logged.folder().join(name))
        .into();
    for path in full {
        for damage in DAMAGES {
            let bytes = fs::read(&path).unwrap();
            damage(&path, &bytes);
            // Two bundles are full, and each look takes one.
            let looked = (0..2).find_map(|_| logged.publisher.look_back().err());
            assert!(matches!(looked, Some(Error::Log { .. })), "{looked:?}");
            logged.refuses();
            fs::write(&path, bytes).unwrap();
            logged.goes_on();
        }
    }
}

#[test]
fn a_database_from_an_earlier_time_begins_a_new_log_that_names_the_old_one() {
    let logged = Logged::new(20);
    let data = logged.scene.folder.path().to_owned();
    // The database as it was once.
    let kept = data.join("kept.db");
    copy_database(&data, &kept);
    logged.grow(30);
    logged.publisher.publish().unwrap();
    let (old_key, old_note) = (logged.key(), logged.checkpoint());
    let client = Remembered::first(old_key.clone(), &old_note).unwrap();
    let folder = Arc::clone(&logged.scene.folder);
    let (clocks, settings) = (
        Arc::clone(&logged.scene.clocks),
        logged.scene.settings.clone(),
    );
    drop(logged);
    restore_database(&data, &kept);

    let scene = Scene::open(folder, clocks, settings);
    let refused = open(&scene).publish();
    assert!(
        matches!(&refused, Err(Error::Log { reason }) if reason.contains("older than the log")),
        "{refused:?}"
    );
    let append = scene.token(Right::Append);
    let none = begin_new(&scene.vault, &data, "  ");
    assert!(matches!(none, Err(Error::Refused { .. })), "{none:?}");
    let begun = begin_new(&scene.vault, &data, "restored from last night").unwrap();
    assert_eq!(begun.number, 2);
    assert_eq!(begun.origin, "vault.test/log/2");
    let scene = scene.reopened();
    assert_eq!(scene.vault.log(), &begun);
    let publisher = open(&scene);
    publisher.publish().unwrap();
    scene.init(&append);
    scene.put(&append, FileType::Data, b"a pack").unwrap();
    publisher.publish().unwrap();

    // The old one is whole, and the first leaf of the new one names it.
    let report = audit(&data.join("log-before-1"), Some(&old_key), None);
    assert!(report.is_sound(), "{:?}", report.faults);
    let kept_key = fs::read_to_string(data.join("keys/log-before-1.pub")).unwrap();
    assert_eq!(kept_key.trim(), old_key.to_string());
    let new_key: Verifier = publisher.key().parse().unwrap();
    assert_ne!(new_key.public(), old_key.public());
    let report = audit(&data.join("log"), Some(&new_key), None);
    assert!(report.is_sound(), "{:?}", report.faults);
    let first = &scene.acts("new-log")[0];
    assert_eq!(first["before"].as_str().unwrap().as_bytes(), old_note);
    assert_eq!(first["verified"], true);
    assert_eq!(first["because"], "restored from last night");
    assert_eq!(first["n"], begun.base);
    let old_size = client.last().checkpoint().size();
    assert!(begun.base >= old_size, "no number is given twice");

    // To a client it is another log, until a person says that it is right.
    let note = fs::read(data.join("log/checkpoint")).unwrap();
    let verdict = client.check(&note, &[]);
    assert!(matches!(verdict, Verdict::OtherLog { .. }), "{verdict:?}");
    assert!(Remembered::first(new_key, &note).is_ok());
    // What had not been published is not lost: the token that was made meanwhile.
    let carried = format!("{:?}", scene.acts("carried"));
    assert!(carried.contains(&append.name), "{carried}");
}

#[test]
fn a_log_that_is_lost_begins_anew_with_all_that_was_not_published() {
    let logged = Logged::new(5);
    let data = logged.scene.folder.path().to_owned();
    fs::remove_dir_all(logged.folder()).unwrap();
    logged.grow(3);
    let lost = logged.publisher.publish();
    assert!(lost.is_err());
    let Logged { scene, .. } = logged;
    let begun = begin_new(&scene.vault, &data, "the disk lost it").unwrap();
    assert_eq!(begun.before, None);
    let scene = scene.reopened();
    // Whoever died before he moved the files has left that to the next one.
    fs::remove_dir_all(data.join("log-before-1")).unwrap();
    let publisher = open(&scene);
    publisher.publish().unwrap();
    assert!(data.join("log-before-1").is_dir());
    let carried = scene.acts("carried");
    // Three tokens made and revoked, and that the log was wrong.
    assert_eq!(carried.len(), 7, "{carried:?}");
    let key: Verifier = publisher.key().parse().unwrap();
    assert!(audit(&data.join("log"), Some(&key), None).is_sound());
    // And once more: each log has a name of its own.
    let again = begin_new(&scene.vault, &data, "again").unwrap();
    assert_eq!(again.origin, "vault.test/log/3");
    let scene = scene.reopened();
    open(&scene).publish().unwrap();
    assert!(data.join("log-before-2/checkpoint").is_file());
}

#[test]
fn a_name_that_changes_in_the_configuration_changes_no_log() {
    let mut logged = Logged::new(3);
    logged.scene.settings.origin = "another.test/log".to_owned();
    let Logged { scene, .. } = logged;
    let scene = scene.reopened();
    assert_eq!(scene.vault.origin(), "vault.test/log");
    open(&scene).publish().unwrap();
}

/// Copies the database as a backup does.
fn copy_database(data: &Path, to: &Path) {
    let database = rusqlite::Connection::open(data.join("vault.db")).unwrap();
    let statement = format!("VACUUM INTO '{}'", to.display());
    database.execute_batch(&statement).unwrap();
}

fn restore_database(data: &Path, from: &Path) {
    for end in ["-wal", "-shm"] {
        let _ = fs::remove_file(data.join(format!("vault.db{end}")));
    }
    fs::copy(from, data.join("vault.db")).unwrap();
}
