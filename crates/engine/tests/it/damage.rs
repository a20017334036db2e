//! The damage matrix of backup and restore: every kind of damage × every kind of file × the copy
//! that is read first or another one, or all of them. The table says what must happen.
//!
//! That a damaged pack or index comes from another copy is told by the tests of restore.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use strongroom_engine::backup::report::{BackupReport, CopyOutcome};
use strongroom_engine::restore::RestoreOptions;
use strongroom_engine::session::{CopyFailureKind, CopyState};
use strongroom_engine::sync::{SyncOptions, sync_session};
use strongroom_engine::verify::{Depth, VerifyOptions, VerifyReport, verify};
use strongroom_engine::{Error, Result};
use strongroom_model::{FileName, FileType};
use strongroom_repo::blob::BlobKind;
use strongroom_repo::pack;
use strongroom_store::{LocalStore, Store};
use strongroom_testkit::tree::TreeSpec;

use crate::fixture::{Fixture, outcome};
use crate::hand_made::junk;
use crate::restore::{Target, restore_only};

const COPIES: [&str; 3] = ["one", "two", "three"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    Flip,
    Truncate,
    Empty,
    Delete,
    Append,
}

const DAMAGES: [Damage; 5] = [
    Damage::Flip,
    Damage::Truncate,
    Damage::Empty,
    Damage::Delete,
    Damage::Append,
];

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Config,
    Key,
    Index,
    Trees,
    Data,
    Snapshot,
}

const VICTIMS: [Victim; 6] = [
    Victim::Config,
    Victim::Key,
    Victim::Index,
    Victim::Trees,
    Victim::Data,
    Victim::Snapshot,
];

impl Damage {
    fn strike(self, path: &Path) {
        if self == Self::Delete {
            return fs::remove_file(path).unwrap();
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .unwrap();
        let length = file.metadata().unwrap().len();
        match self {
            Self::Flip => {
                let mut byte = [0];
                file.read_exact_at(&mut byte, 20).unwrap();
                file.write_all_at(&[byte[0] ^ 4], 20).unwrap();
            }
            Self::Truncate => file.set_len(length / 2).unwrap(),
            Self::Empty => file.set_len(0).unwrap(),
            Self::Append => file.write_all_at(b"junk", length).unwrap(),
            Self::Delete => unreachable!(),
        }
    }
}

impl Victim {
    /// The files of this kind.
    fn files(self, fixture: &Fixture) -> Vec<FileName> {
        let kind = match self {
            Self::Config => return vec![FileName::CONFIG],
            Self::Key => FileType::Keys,
            Self::Index => FileType::Index,
            Self::Trees | Self::Data => FileType::Data,
            Self::Snapshot => FileType::Snapshots,
        };
        let ids = fixture.ids("three", kind).into_iter();
        let mut files: Vec<_> = ids.map(|id| FileName::new(kind, id)).collect();
        let store = LocalStore::new(fixture.copy_path("three"));
        files.retain(|file| {
            let wanted = match self {
                Self::Trees => BlobKind::Tree,
                Self::Data => BlobKind::Data,
                _ => return true,
            };
            let size = store.size(*file).unwrap();
            let blobs = pack::read_header(&store, &fixture.key, file.id().unwrap(), size);
            blobs.unwrap()[0].blob.kind == wanted
        });
        assert!(!files.is_empty(), "{self:?}");
        files
    }

    /// Damages all files of this kind on a copy.
    fn strike(self, damage: Damage, fixture: &Fixture, copy: &str) {
        for file in self.files(fixture) {
            damage.strike(&path(fixture, copy, file));
        }
    }
}

fn path(fixture: &Fixture, copy: &str, file: FileName) -> PathBuf {
    let folder = fixture.copy_path(copy).join(file.kind().folder());
    match file.id() {
        None => fixture.copy_path(copy).join("config"),
        Some(id) if file.kind() == FileType::Data => {
            let hex = id.to_string();
            folder.join(&hex[..2]).join(hex)
        }
        Some(id) => folder.join(id.to_string()),
    }
}

/// A repository with one snapshot, and a source that has changed since.
fn fixture() -> Fixture {
    let fixture = Fixture::new();
    let spec = TreeSpec {
        big_files_bytes: vec![600_000],
        ..TreeSpec::small(1)
    };
    spec.build(&fixture.source().join("tree"));
    assert!(fixture.backup().is_complete());
    fixture
}

fn verified(fixture: &Fixture) -> VerifyReport {
    let session = fixture.open();
    let depth = Depth::Decoded(&session.repository);
    let options = VerifyOptions::default();
    let cancel = &fixture.environment.cancel;
    verify(&fixture.copies, depth, &options, &fixture.progress, cancel).unwrap()
}

#[test]
fn explore() {
    for copy in ["one", "two"] {
        for victim in VICTIMS {
            for damage in DAMAGES {
                let fixture = fixture();
                victim.strike(damage, &fixture, copy);
                fs::write(fixture.source().join("new"), "new").unwrap();
                let report = fixture.backup_of(&fixture.folder_source());
                match report {
                    Err(error) => println!("{copy} {victim:?} {damage:?}: {error:?}"),
                    Ok(report) => {
                        let outcomes: Vec<_> = report.copies.iter().map(|c| &c.outcome).collect();
                        println!(
                            "{copy} {victim:?} {damage:?}: lead {} read {} added {} {:?} {outcomes:?} {:?}",
                            report.lead,
                            report.sources[0].stats.files_read,
                            report.sources[0].stats.data_blobs,
                            report.sources[0].errors.len(),
                            report
                                .lead_problems
                                .iter()
                                .map(|p| p.chars().take(90).collect::<String>())
                                .collect::<Vec<_>>()
                        );
                        let mut v = verified(&fixture).problems;
                        v.retain(|p| p.copy != copy);
                        if !v.is_empty() {
                            println!("   OTHERS: {v:?}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn explore_restore() {
    for copies in [&["one"][..], &COPIES] {
        for victim in VICTIMS {
            for damage in DAMAGES {
                let fixture = fixture();
                // Listed first: where all are lost, the last copy no longer tells.
                let files = victim.files(&fixture);
                let snapshot = fixture.ids("three", FileType::Snapshots)[0];
                for copy in copies {
                    for file in &files {
                        damage.strike(&path(&fixture, copy, *file));
                    }
                }
                let target = Target::new(&fixture);
                let report = strongroom_engine::session::open(
                    &fixture.copies,
                    crate::fixture::PASSWORD.as_bytes(),
                )
                .and_then(|mut session| {
                    crate::restore::restore_from(
                        &fixture,
                        &mut session,
                        snapshot,
                        &target.path(),
                        &RestoreOptions::default(),
                    )
                });
                match report {
                    Err(error) => println!("{copies:?} {victim:?} {damage:?}: {error:?}"),
                    Ok(report) => println!(
                        "{copies:?} {victim:?} {damage:?}: lead {} errors {} files {} damaged {} notes {:?}",
                        report.lead,
                        report.error_count,
                        report.restored.files,
                        report.damaged.len(),
                        report
                            .notes
                            .iter()
                            .map(|p| p.chars().take(90).collect::<String>())
                            .collect::<Vec<_>>()
                    ),
                }
            }
        }
    }
}
