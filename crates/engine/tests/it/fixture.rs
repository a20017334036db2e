//! A source, three copies and a password in a temporary folder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use jiff::Timestamp;
use strongroom_engine::backup::report::{BackupReport, CopyOutcome};
use strongroom_engine::backup::{BackupOptions, backup};
use strongroom_engine::progress::Progress;
use strongroom_engine::session::{self, Cancel, CopyStore, Environment, Looking, Session};
use strongroom_engine::{Clock, Result};
use strongroom_model::config::{Config, Source};
use strongroom_model::{FileType, Id};
use strongroom_repo::key::ScryptCost;
use strongroom_repo::repository::Maker;
use strongroom_repo::{Key, Repository};
use strongroom_store::{LocalStore, Store};
use strongroom_testkit::programs::{Restic, restic_versions};

pub(crate) const PASSWORD: &str = "correct horse";

pub(crate) struct Fixture {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) copies: Vec<CopyStore>,
    pub(crate) environment: Environment,
    pub(crate) progress: Progress,
    pub(crate) looking: Looking,
    pub(crate) key: Key,
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
        let new = Repository::generate(PASSWORD.as_bytes(), ScryptCost::LEAST, &maker).unwrap();
        let copies: Vec<_> = ["one", "two", "three"]
            .into_iter()
            .map(|name| {
                let store: Arc<dyn Store> = Arc::new(LocalStore::new(folder.path().join(name)));
                new.save(&*store).unwrap();
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
            environment: environment("testhost"),
            progress: Progress::default(),
            looking: Looking::default(),
            key: new.repository.key().clone(),
        }
    }

    /// Puts a store in front of a copy.
    pub(crate) fn wrap<S: Store + 'static>(
        &mut self,
        copy: &str,
        wrap: impl FnOnce(Arc<dyn Store>) -> S,
    ) -> Arc<S> {
        let copy = self.copies.iter_mut().find(|c| c.name == copy).unwrap();
        let wrapped = Arc::new(wrap(Arc::clone(&copy.store)));
        copy.store = wrapped.clone();
        wrapped
    }

    pub(crate) fn open(&self) -> Session {
        session::open(&self.copies, PASSWORD.as_bytes(), &self.looking).unwrap()
    }

    pub(crate) fn source(&self) -> PathBuf {
        self.folder.path().join("source")
    }

    pub(crate) fn copy_path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The files of a type on a copy, as the disk has them.
    pub(crate) fn ids(&self, copy: &str, kind: FileType) -> Vec<Id> {
        let store = LocalStore::new(self.copy_path(copy));
        let mut ids: Vec<_> = store.list(kind).unwrap().iter().map(|e| e.id).collect();
        ids.sort_unstable();
        ids
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

    pub(crate) fn backup_of(&self, sources: &[Source]) -> Result<BackupReport> {
        self.backup_as(sources, &self.environment)
    }

    pub(crate) fn backup_as(
        &self,
        sources: &[Source],
        environment: &Environment,
    ) -> Result<BackupReport> {
        let options = BackupOptions::default();
        let mut session = session::open(&self.copies, PASSWORD.as_bytes(), &self.looking)?;
        backup(&mut session, sources, &options, environment, &self.progress)
    }

    pub(crate) fn backup(&self) -> BackupReport {
        self.backup_of(&self.folder_source()).unwrap()
    }

    /// `restic check --read-data` on these copies, by every restic there is. The oldest locks them, so
    /// that no lock of ours may be left; that is a pause of its, which one of them is enough for.
    pub(crate) fn check(&self, copies: &[&str]) {
        let mut check: &[&str] = &["check", "--read-data"];
        for restic in restic_versions() {
            for copy in copies {
                run_restic(&restic, &self.copy_path(copy), PASSWORD, check);
            }
            check = &["check", "--read-data", "--no-lock"];
        }
    }

    /// As [`Self::check`], on all copies.
    pub(crate) fn check_all(&self) {
        self.check(&["one", "two", "three"]);
    }

    /// Runs the oldest restic on a copy and returns what it prints.
    pub(crate) fn restic(&self, copy: &str, arguments: &[&str]) -> String {
        run_restic(
            &restic_versions()[0],
            &self.copy_path(copy),
            PASSWORD,
            arguments,
        )
    }

    /// Restores the newest snapshot of a copy with stock restic and compares it with the source.
    pub(crate) fn assert_restic_restores(&self, copy: &str) {
        for restic in restic_versions() {
            let target = tempfile::tempdir().unwrap();
            let to = target.path().to_str().unwrap();
            let arguments = ["restore", "latest", "--no-lock", "--target", to];
            run_restic(&restic, &self.copy_path(copy), PASSWORD, &arguments);
            let restored = target.path().join(self.source().strip_prefix("/").unwrap());
            assert_same_tree(&self.source(), &restored, &restic);
        }
    }
}

/// Asserts that restic restored what the source holds, but for what no restic can.
///
/// restic counts time in 64 bits of nanoseconds, which end in 2262; restic 0.14 stores and
/// restores link targets as text. No restic makes two names of one symlink again.
pub(crate) fn assert_same_tree(source: &Path, restored: &Path, restic: &Restic) {
    let mut differences = strongroom_testkit::tree::compare(source, restored);
    differences.retain(|difference| {
        let time = difference.path.ends_with("15032385535") && difference.what == "mtime";
        let link = difference.path.ends_with("newer/raw") && restic.version == "0.14";
        let names = ["links/link", "links/link again"];
        let is_link = names.iter().any(|name| difference.path.ends_with(name));
        let names_of_link = is_link && difference.what == "hard link";
        !time && !link && !names_of_link
    });
    assert_eq!(differences, [], "restic {}", restic.version);
}

/// Runs restic on a repository and returns what it prints.
pub(crate) fn run_restic(
    restic: &Restic,
    repository: &Path,
    password: &str,
    arguments: &[&str],
) -> String {
    let output = Command::new(&restic.path)
        .args(["--no-cache", "-r"])
        .arg(repository)
        .args(arguments)
        .env("RESTIC_PASSWORD", password)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    let Restic { version, .. } = restic;
    assert!(
        output.status.success(),
        "restic {version} {arguments:?}: {text}{errors}"
    );
    text
}

/// What came of a copy.
pub(crate) fn outcome<'a>(report: &'a BackupReport, copy: &str) -> &'a CopyOutcome {
    &report
        .copies
        .iter()
        .find(|c| c.name == copy)
        .unwrap()
        .outcome
}

/// A host that runs backups.
pub(crate) fn environment(hostname: &str) -> Environment {
    let clock: Clock = Arc::new(now);
    Environment {
        clock,
        hostname: hostname.to_owned(),
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

/// Whether there is time for more.
pub(crate) fn is_thorough() -> bool {
    std::env::var_os("STRONGROOM_THOROUGH").is_some()
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
