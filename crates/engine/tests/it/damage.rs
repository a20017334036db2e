//! The damage matrix of backup and restore: every kind of damage × every kind of file × the copy
//! that is read first or another one, or all of them. The table says what must happen.
//!
//! That a damaged pack or index comes from another copy is told by the tests of restore.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use strongroom_engine::backup::report::{BackupReport, CopyOutcome};
use strongroom_engine::backup::{BackupOptions, backup};
use strongroom_engine::lead::ProblemState;
use strongroom_engine::restore::RestoreOptions;
use strongroom_engine::restore::report::RestoreReport;
use strongroom_engine::session::{self, Looking};
use strongroom_engine::sync::{SyncOptions, sync_session};
use strongroom_engine::verify::{Depth, VerifyOptions, VerifyReport, verify};
use strongroom_engine::{Error, Result};
use strongroom_model::{FileName, FileType};
use strongroom_repo::blob::BlobKind;
use strongroom_repo::pack;
use strongroom_store::{LocalStore, Store};
use strongroom_testkit::tree::{TreeSpec, compare};

use crate::fixture::{Fixture, PASSWORD, outcome};
use crate::hand_made::junk;
use crate::restore::{Target, restore_from};

const COPIES: [&str; 3] = ["one", "two", "three"];

/// What happens to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    Flip,
    Truncate,
    Empty,
    Delete,
    Append,
}

pub(crate) const DAMAGES: [Damage; 5] = [
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
    pub(crate) fn strike(self, path: &Path) {
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

/// A repository with one snapshot.
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

/// Verifies all copies, every blob.
pub(crate) fn verified(fixture: &Fixture) -> VerifyReport {
    let session = fixture.open();
    let depth = Depth::Decoded(&session.repository);
    let options = VerifyOptions::default();
    let cancel = &fixture.environment.cancel;
    verify(&fixture.copies, depth, &options, &fixture.progress, cancel).unwrap()
}

/// What a backup says of the damaged copy. It succeeds in every cell, and the other copies are
/// whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// That it is behind: it gets no new snapshot, or what it lacks is counted.
    Behind,
    /// Which file is damaged; whole for the new snapshot, which needs nothing of it.
    Named,
    /// Nothing: the backup does not read it, and its listing is as it should be. A verify tells.
    Nothing,
}

use Said::{Behind, Named, Nothing};

/// For each kind of file what is said after each kind of damage, in the order of [`DAMAGES`]:
/// first where it is on the lead, then where it is on another copy.
const BACKUP: [(Victim, [Said; 5], [Said; 5]); 6] = [
    (Victim::Config, [Behind; 5], [Behind; 5]),
    // Each copy is asked for the key that it lists, and one that it does not give is in doubt.
    (Victim::Key, [Behind; 5], [Behind; 5]),
    (
        // What the lead's index file does not say, that of another copy does.
        Victim::Index,
        [Named, Named, Named, Nothing, Named],
        [Nothing, Nothing, Nothing, Behind, Nothing],
    ),
    (
        // A lead that lost packs, or whose packs have another size, is lead no longer.
        Victim::Trees,
        [Named, Behind, Behind, Behind, Behind],
        [Nothing, Behind, Behind, Behind, Behind],
    ),
    (
        Victim::Data,
        [Nothing, Behind, Behind, Behind, Behind],
        [Nothing, Behind, Behind, Behind, Behind],
    ),
    (
        Victim::Snapshot,
        [Named, Named, Named, Nothing, Named],
        [Nothing; 5],
    ),
];

#[test]
fn a_backup_beside_damage_is_whole_elsewhere_and_says_what_it_met() {
    for (victim, on_lead, elsewhere) in BACKUP {
        for (copy, row) in [("one", on_lead), ("two", elsewhere)] {
            for (damage, said) in DAMAGES.into_iter().zip(row) {
                backup_beside(victim, damage, copy, said);
            }
        }
    }
}

/// A backup as the program makes it: what does not come of the keys is in doubt.
fn backup_with_keys_tried(fixture: &Fixture) -> BackupReport {
    let mut session = fixture.open();
    for found in session.try_keys().not_given {
        session.doubt(&found.copy.name, [found.key].into());
    }
    let (environment, progress) = (&fixture.environment, &fixture.progress);
    let (sources, options) = (fixture.folder_source(), BackupOptions::default());
    backup(&mut session, &sources, &options, environment, progress).unwrap()
}

fn backup_beside(victim: Victim, damage: Damage, copy: &str, said: Said) {
    let cell = format!("{damage:?} of {victim:?} on {copy}");
    let fixture = fixture();
    let damaged = victim.files(&fixture);
    victim.strike(damage, &fixture, copy);
    fs::write(fixture.source().join("new"), "new").unwrap();
    let report = backup_with_keys_tried(&fixture);
    assert!(report.sources[0].snapshot.is_some(), "{cell}: {report:?}");
    for other in COPIES.into_iter().filter(|other| *other != copy) {
        assert_eq!(outcome(&report, other), &CopyOutcome::Whole, "{cell}");
    }
    let is_behind = matches!(outcome(&report, copy), CopyOutcome::Behind { .. });
    assert_eq!(is_behind, said == Behind, "{cell}: {report:?}");
    let named: Vec<_> = report
        .lead_problems
        .iter()
        .inspect(|problem| assert_eq!(problem.state, ProblemState::Damaged, "{cell}"))
        .map(|problem| problem.file)
        .collect();
    assert_eq!(!named.is_empty(), said == Named, "{cell}: {report:?}");
    assert!(named.iter().all(|file| damaged.contains(file)), "{cell}");
    assert_eq!(report.is_complete(), said == Nothing, "{cell}");

    // What is wrong is wrong on this copy alone, and a verify and a sync make it whole.
    let found = verified(&fixture);
    assert!(!found.problems.is_empty(), "{cell}");
    for problem in &found.problems {
        assert_eq!(problem.copy, copy, "{cell}: {problem}");
    }
    let mut session = fixture.open();
    for (copy, doubts) in found.doubts() {
        session.doubt(&copy, doubts);
    }
    let options = SyncOptions::default();
    let cancel = &fixture.environment.cancel;
    let synced = sync_session(&session, &options, &fixture.progress, cancel);
    assert!(synced.is_complete(), "{cell}: {synced:?}");
    let found = verified(&fixture);
    assert!(found.is_clean(), "{cell}: {:?}", found.problems);
    for kind in FileType::SYNCED {
        assert_eq!(fixture.ids("one", kind), fixture.ids(copy, kind), "{cell}");
        assert_eq!(
            fixture.ids("one", kind),
            fixture.ids("three", kind),
            "{cell}"
        );
    }
    if damage == Damage::Flip {
        fixture.check(&[copy]);
    }
}

#[test]
fn a_restore_beside_damage_on_the_first_copy_is_complete_and_says_what_it_met() {
    for victim in VICTIMS {
        for damage in DAMAGES {
            let cell = format!("{damage:?} of {victim:?}");
            let fixture = fixture();
            victim.strike(damage, &fixture, "one");
            let target = Target::new(&fixture);
            let snapshot = fixture.ids("three", FileType::Snapshots)[0];
            let mut session = fixture.open();
            let flaws = session.flaws();
            let options = RestoreOptions::default();
            let report = restore_from(&fixture, &mut session, snapshot, &target.path(), &options);
            let report = report.unwrap();
            assert!(report.is_complete(), "{cell}: {report:?}");
            target.assert_same();
            let said_of_opening: Vec<_> = flaws.iter().map(ToString::to_string).collect();
            match victim {
                Victim::Config | Victim::Key => {
                    let [said] = &said_of_opening[..] else {
                        panic!("{cell}: {said_of_opening:?}");
                    };
                    let file = match (victim, damage) {
                        (Victim::Config, Damage::Delete) => "config is missing",
                        (Victim::Config, _) => "config in ",
                        (_, Damage::Delete) => "no key",
                        _ => "keys/",
                    };
                    assert!(
                        said.starts_with("one") && said.contains(file),
                        "{cell}: {said}"
                    );
                }
                _ => assert_eq!(said_of_opening, [""; 0], "{cell}"),
            }
            let is_named = match victim {
                // Told when the repository was opened, and nothing to this restore.
                Victim::Config | Victim::Key => false,
                Victim::Index | Victim::Snapshot => damage != Damage::Delete,
                // What follows the end of a pack is never asked for.
                Victim::Trees | Victim::Data => damage != Damage::Append,
            };
            let names: Vec<_> = report.damaged.iter().map(|one| one.copy.as_str()).collect();
            assert!(names.iter().all(|copy| *copy == "one"), "{cell}");
            let said = !report.damaged.is_empty() || !report.notes.is_empty();
            assert_eq!(said, is_named, "{cell}: {report:?}");
        }
    }
}

/// What a restore comes to where all copies have the same damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Complete,
    /// What is lost is named, and the rest is there.
    Partial,
    /// An error that says which file, before anything is written.
    Damaged(&'static str),
    NoConfig,
    NoKey,
    NoSnapshot,
}

const RESTORE_FROM_ALL_DAMAGED: [(Victim, [End; 5]); 6] = {
    use End::{Complete, Damaged, NoConfig, NoKey, NoSnapshot, Partial};
    const CONFIG: End = Damaged("config in ");
    const KEY: End = Damaged("keys/");
    const SNAPSHOT: End = Damaged("snapshots/");
    [
        (Victim::Config, [CONFIG, CONFIG, CONFIG, NoConfig, CONFIG]),
        (Victim::Key, [KEY, KEY, KEY, NoKey, KEY]),
        // The packs say themselves what is in them.
        (Victim::Index, [Complete; 5]),
        (
            Victim::Trees,
            [Partial, Partial, Partial, Partial, Complete],
        ),
        (Victim::Data, [Partial, Partial, Partial, Partial, Complete]),
        (
            Victim::Snapshot,
            [SNAPSHOT, SNAPSHOT, SNAPSHOT, NoSnapshot, SNAPSHOT],
        ),
    ]
};

#[test]
fn a_restore_from_copies_with_the_same_damage_says_what_is_lost_and_restores_the_rest() {
    for (victim, row) in RESTORE_FROM_ALL_DAMAGED {
        for (damage, end) in DAMAGES.into_iter().zip(row) {
            let cell = format!("{damage:?} of {victim:?}");
            let fixture = fixture();
            let files = victim.files(&fixture);
            let snapshot = fixture.ids("three", FileType::Snapshots)[0];
            for copy in COPIES {
                for file in &files {
                    damage.strike(&path(&fixture, copy, *file));
                }
            }
            let target = Target::new(&fixture);
            let report = session::open(&fixture.copies, PASSWORD.as_bytes(), &Looking::default())
                .and_then(|mut open| {
                    let options = RestoreOptions::default();
                    restore_from(&fixture, &mut open, snapshot, &target.path(), &options)
                });
            let found = end_of(&report);
            match (end, &found) {
                (End::Damaged(what), Err(text)) => {
                    assert!(text.starts_with(what), "{cell}: {text}")
                }
                _ => assert_eq!(found.as_ref().ok(), Some(&end), "{cell}: {report:?}"),
            }
            match end {
                End::Complete => target.assert_same(),
                End::Partial => assert_differences_are_named(&fixture, &target, &report.unwrap()),
                _ => assert!(!target.path().exists(), "{cell}"),
            }
        }
    }
}

/// How a restore ended, or which file was said to be damaged.
fn end_of(report: &Result<RestoreReport>) -> std::result::Result<End, &str> {
    use strongroom_repo::Error as RepoError;
    match report {
        Ok(report) if report.is_complete() => Ok(End::Complete),
        Ok(_) => Ok(End::Partial),
        Err(Error::Repo(RepoError::Damaged { what, .. })) => Err(what),
        Err(Error::Repo(RepoError::WrongPassword { keys: 0, .. })) => Ok(End::NoKey),
        Err(Error::NoSnapshot { .. }) => Ok(End::NoSnapshot),
        Err(Error::NoCopy { reasons }) => {
            assert!(
                reasons
                    .iter()
                    .all(|reason| reason.contains("config is missing"))
            );
            Ok(End::NoConfig)
        }
        Err(error) => panic!("{error:?}"),
    }
}

/// Asserts that whatever is not as it was lies at or below a path that the report names.
fn assert_differences_are_named(fixture: &Fixture, target: &Target, report: &RestoreReport) {
    assert!(report.error_count > 0);
    let named: Vec<_> = report
        .errors
        .iter()
        .map(|error| Path::new(&error.path))
        .collect();
    if !target.source().exists() {
        return assert!(
            named
                .iter()
                .any(|named| fixture.source().starts_with(named))
        );
    }
    for difference in compare(&fixture.source(), &target.source()) {
        let path = fixture.source().join(&difference.path);
        let is_named = named.iter().any(|named| path.starts_with(named));
        assert!(is_named, "{difference} is not among {named:?}");
    }
}

#[test]
fn junk_on_one_copy_stops_no_backup_and_gets_no_further() {
    for copy in ["one", "two"] {
        let fixture = fixture();
        let junk = junk();
        let store = LocalStore::new(fixture.copy_path(copy));
        for (name, bytes) in &junk {
            store.save(*name, bytes).unwrap();
        }
        fs::write(fixture.source().join("new"), "new").unwrap();
        let report = fixture.backup_of(&fixture.folder_source()).unwrap();
        for copy in COPIES {
            assert_eq!(outcome(&report, copy), &CopyOutcome::Whole, "{report:?}");
        }
        assert!(report.is_complete(), "{report:?}");
        let cancel = &fixture.environment.cancel;
        let options = SyncOptions::default();
        sync_session(&fixture.open(), &options, &fixture.progress, cancel);
        let others = COPIES.into_iter().filter(|other| *other != copy);
        for other in others {
            for (name, _) in &junk {
                assert!(!path(&fixture, other, *name).exists(), "{name} on {other}");
            }
            fixture.check(&[other]);
        }
        let target = Target::new(&fixture);
        let snapshot = report.sources[0].snapshot.unwrap();
        let options = RestoreOptions::default();
        let report = restore_from(
            &fixture,
            &mut fixture.open(),
            snapshot,
            &target.path(),
            &options,
        );
        assert!(report.unwrap().is_complete());
        target.assert_same();
    }
}
