//! Restores: everything as it was, as stock restic restores it, and nothing outside the target.

pub(crate) mod damage;
mod golden;
mod lying;
mod requests;
mod target;

use std::fs;
use std::path::{Path, PathBuf};

use strongroom_engine::restore::report::RestoreReport;
use strongroom_engine::restore::{RestoreOptions, restore};
use strongroom_engine::session::Session;
use strongroom_engine::{Error, Result};
use strongroom_model::{FileType, Id};
use strongroom_testkit::tree::{TreeSpec, compare, compare_with};

use crate::fixture::{Fixture, run_restic};
use strongroom_testkit::programs::restic_versions;

/// A folder to restore into, and what is in it of the source.
pub(crate) struct Target {
    folder: tempfile::TempDir,
    source: PathBuf,
}

impl Target {
    pub(crate) fn new(fixture: &Fixture) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            source: fixture.source(),
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("target")
    }

    /// Where the source was restored.
    pub(crate) fn source(&self) -> PathBuf {
        self.path().join(self.source.strip_prefix("/").unwrap())
    }

    /// Asserts that the source is there as it was.
    pub(crate) fn assert_same(&self) {
        assert_eq!(compare(&self.source, &self.source()), []);
    }
}

pub(crate) fn restore_from(
    fixture: &Fixture,
    session: &mut Session,
    snapshot: Id,
    target: &Path,
    options: &RestoreOptions,
) -> Result<RestoreReport> {
    let (environment, progress) = (&fixture.environment, &fixture.progress);
    restore(session, snapshot, target, options, environment, progress)
}

/// Restores the only snapshot of a fixture.
pub(crate) fn restore_only(
    fixture: &Fixture,
    target: &Target,
    options: &RestoreOptions,
) -> Result<RestoreReport> {
    let snapshot = fixture.ids("three", FileType::Snapshots)[0];
    let mut session = fixture.open();
    restore_from(fixture, &mut session, snapshot, &target.path(), options)
}

/// All names below a folder.
pub(crate) fn names(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![root.to_owned()];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.symlink_metadata().unwrap().is_dir() {
                left.push(path.clone());
            }
            found.push(path.strip_prefix(root).unwrap().to_owned());
        }
    }
    found.sort();
    found
}

pub(crate) fn assert_no_temporary_files(target: &Path) {
    let leftover = |path: &&PathBuf| path.to_string_lossy().contains(".strongroom-");
    assert_eq!(names(target).iter().find(leftover), None);
}

#[test]
fn everything_is_restored_as_it_was_and_reads_back() {
    let fixture = Fixture::new();
    TreeSpec {
        big_files_bytes: vec![3 << 20, 30 << 20, 25 << 20],
        ..TreeSpec::everything(11)
    }
    .build(&fixture.source().join("tree"));
    assert!(fixture.backup().is_complete());
    for threads in [1, 5] {
        let target = Target::new(&fixture);
        let options = RestoreOptions {
            verify: true,
            threads,
            ..RestoreOptions::default()
        };
        let report = restore_only(&fixture, &target, &options).unwrap();
        assert!(report.is_complete(), "{report:?}");
        let found = compare_with(&fixture.source(), &target.source(), true);
        assert_eq!(found, [], "{threads} threads");
        let (restored, verified) = (report.restored, report.verified.unwrap());
        // Of one symlink there are two names, and nothing to read back.
        assert_eq!(verified.files, restored.files + restored.hard_links - 1);
        assert_eq!(restored.hard_links, 3);
        assert!(report.damaged.is_empty() && report.warnings.is_empty() && report.notes.is_empty());
        assert_no_temporary_files(&target.path());
    }
}

#[test]
fn what_is_restored_is_what_restic_restores() {
    let fixture = Fixture::new();
    TreeSpec::everything(12).build(&fixture.source().join("tree"));
    fixture.backup();
    let ours = Target::new(&fixture);
    restore_only(&fixture, &ours, &RestoreOptions::default()).unwrap();
    for restic in restic_versions() {
        let theirs = Target::new(&fixture);
        let to = theirs.path();
        let arguments = ["restore", "latest", "--target", to.to_str().unwrap()];
        run_restic(
            &restic,
            &fixture.copy_path("two"),
            crate::fixture::PASSWORD,
            &arguments,
        );
        crate::fixture::assert_same_tree(&ours.source(), &theirs.source(), &restic);
    }
}

#[test]
fn hard_links_hold_across_folders_and_threads() {
    let fixture = Fixture::new();
    for folder in 0..60 {
        let folder = fixture.source().join(format!("folder {folder}"));
        fs::create_dir(&folder).unwrap();
        for file in 0..20 {
            let (path, first) = (folder.join(format!("{file}")), format!("folder 0/{file}"));
            if folder.ends_with("folder 0") {
                fs::write(&path, format!("content {file}").repeat(file * 50)).unwrap();
            } else {
                fs::hard_link(fixture.source().join(first), &path).unwrap();
            }
        }
    }
    fixture.backup();
    let target = Target::new(&fixture);
    let options = RestoreOptions {
        threads: 8,
        ..RestoreOptions::default()
    };
    let report = restore_only(&fixture, &target, &options).unwrap();
    assert_eq!(
        (report.restored.files, report.restored.hard_links),
        (20, 59 * 20)
    );
    target.assert_same();
}

#[test]
fn only_what_is_included_is_restored() {
    let fixture = Fixture::new();
    for name in ["a/x.txt", "a/y.tmp", "a/deep/z.txt", "b/x.txt", "c/d/e"] {
        let path = fixture.source().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    fixture.backup();
    let restored = |include: &[&str]| {
        let target = Target::new(&fixture);
        let options = RestoreOptions {
            include: include.iter().map(|one| (*one).to_owned()).collect(),
            ..RestoreOptions::default()
        };
        let report = restore_only(&fixture, &target, &options).unwrap();
        assert!(report.is_complete());
        match target.source().exists() {
            true => names(&target.source())
                .iter()
                .map(|path| path.to_str().unwrap().to_owned())
                .collect(),
            false => Vec::new(),
        }
    };
    let source = fixture.source();
    let absolute = source.join("a").to_str().unwrap().to_owned();
    assert_eq!(
        restored(&[&absolute, "!*.tmp"]),
        ["a", "a/deep", "a/deep/z.txt", "a/x.txt"]
    );
    assert_eq!(restored(&["x.txt"]), ["a", "a/x.txt", "b", "b/x.txt"]);
    assert_eq!(restored(&["d/"]), ["c", "c/d", "c/d/e"]);
    assert_eq!(restored(&["/nothing/like/it"]), Vec::<String>::new());
}

#[test]
fn a_snapshot_that_is_not_there_makes_nothing() {
    let fixture = Fixture::new();
    fs::write(fixture.source().join("file"), "x").unwrap();
    fixture.backup();
    let target = Target::new(&fixture);
    let mut session = fixture.open();
    let wanted = Id::of(b"no such snapshot");
    let options = RestoreOptions::default();
    let error = restore_from(&fixture, &mut session, wanted, &target.path(), &options);
    assert!(matches!(error, Err(Error::NoSnapshot { .. })));
    assert!(!target.path().exists());
}
