//! A source, three copies and a password in a temporary folder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use jiff::Timestamp;
use strongroom_engine::backup::report::BackupReport;
use strongroom_engine::backup::{BackupOptions, backup};
use strongroom_engine::progress::Progress;
use strongroom_engine::session::{self, Cancel, CopyStore, Environment, Session};
use strongroom_engine::{Clock, Result};
use strongroom_model::config::{Config, Source};
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::Repository;
use strongroom_repo::key::ScryptCost;
use strongroom_repo::repository::Maker;
use strongroom_store::{LocalStore, Store};

pub(crate) const PASSWORD: &str = "correct horse";

pub(crate) struct Fixture {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) copies: Vec<CopyStore>,
    pub(crate) environment: Environment,
    pub(crate) progress: Progress,
}

impl Fixture {
    /// A fresh repository on three local copies; the source folder is empty.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("source")).unwrap();
        let maker = Maker {
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
            username: "tester",
            hostname: "testhost",
        };
        let cost = ScryptCost {
            log_n: 10,
            r: 8,
            p: 1,
        };
        let new = Repository::generate(PASSWORD.as_bytes(), cost, &maker).unwrap();
        let copies: Vec<_> = ["one", "two", "three"]
            .into_iter()
            .map(|name| {
                let store: Arc<dyn Store> = Arc::new(LocalStore::new(folder.path().join(name)));
                store.create().unwrap();
                let key = FileName::new(FileType::Keys, Id::of(&new.key_file));
                store.save(key, &new.key_file).unwrap();
                store
                    .save(FileName::CONFIG, new.repository.config_bytes())
                    .unwrap();
                CopyStore {
                    name: name.to_owned(),
                    store,
                    is_local: true,
                }
            })
            .collect();
        Self {
            folder,
            copies,
            environment: environment(),
            progress: Progress::default(),
        }
    }

    pub(crate) fn source(&self) -> PathBuf {
        self.folder.path().join("source")
    }

    pub(crate) fn copy_path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn open(&self) -> Session {
        session::open(&self.copies, PASSWORD.as_bytes()).unwrap()
    }

    /// The sources of a configuration; `settings` are lines of `[[source]]` after its name.
    pub(crate) fn sources(&self, settings: &str) -> Vec<Source> {
        let text = format!(
            "[[source]]\nname = \"main\"\n{settings}\n\n[[copy]]\nname = \"x\"\n\
             store = \"/nowhere/at/all\"\nmedium = \"disk\"\nsite = \"s\"\ndomain = \"d\"\n"
        );
        Config::parse(&text, &|_| None).unwrap().sources
    }

    pub(crate) fn folder_source(&self) -> Vec<Source> {
        self.sources(&format!("path = {:?}", self.source()))
    }

    pub(crate) fn try_backup(&self) -> Result<BackupReport> {
        let options = BackupOptions::default();
        let mut session = session::open(&self.copies, PASSWORD.as_bytes())?;
        let sources = self.folder_source();
        backup(
            &mut session,
            &sources,
            &options,
            &self.environment,
            &self.progress,
        )
    }

    pub(crate) fn backup(&self) -> BackupReport {
        self.try_backup().unwrap()
    }

    /// Runs restic on a copy and returns what it prints.
    pub(crate) fn restic(&self, copy: &str, arguments: &[&str]) -> String {
        let output = Command::new("restic")
            .args(["--no-cache", "-r"])
            .arg(self.copy_path(copy))
            .args(arguments)
            .env("RESTIC_PASSWORD", PASSWORD)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "restic {arguments:?}: {text}{errors}"
        );
        text
    }

    /// `restic check --read-data` on all copies.
    pub(crate) fn check_all(&self) {
        for copy in &self.copies {
            self.restic(&copy.name, &["check", "--read-data"]);
        }
    }
}

fn environment() -> Environment {
    let clock: Clock = Arc::new(now);
    Environment {
        clock,
        hostname: "testhost".to_owned(),
        username: "tester".to_owned(),
        cancel: Cancel::default(),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the edge of a test: restic compares with real time"
)]
fn now() -> Timestamp {
    Timestamp::now()
}

/// Copies a real folder of this machine into the source.
pub(crate) fn fill(source: &Path, from: &str) {
    let status = Command::new("cp")
        .arg("-a")
        .arg(from)
        .arg(source)
        .status()
        .unwrap();
    assert!(status.success());
}
