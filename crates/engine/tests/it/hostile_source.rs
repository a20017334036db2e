//! Sources whose users wish the backup ill, or only change things at the wrong moment.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, mkdirat, openat};

use strongroom_engine::backup::report::BackupReport;
use strongroom_engine::backup::{BackupOptions, backup};
use strongroom_engine::filesystem::MAX_DEPTH;
use strongroom_engine::restore::report::RestoreReport;
use strongroom_engine::restore::{RestoreOptions, restore};
use strongroom_model::{ByteSize, FileType};
use strongroom_testkit::contract::noise;
use strongroom_testkit::{Fault, FaultyStore, Gate, Op, Rule};

use crate::fixture::Fixture;

/// A backup by one thread, which looks through folders by rising names, with little memory.
fn backup_in_order(fixture: &Fixture) -> BackupReport {
    let mut options = BackupOptions::default();
    options.limits.workers = 1;
    options.limits.pack_size = ByteSize::mib(4);
    options.limits.memory = ByteSize::mib(4);
    let (environment, progress) = (&fixture.environment, &fixture.progress);
    let sources = fixture.folder_source();
    let mut session = fixture.open();
    let report = backup(&mut session, &sources, &options, environment, progress);
    report.unwrap()
}

/// Restores the snapshot of a report.
fn restore_of(fixture: &Fixture, report: &BackupReport, target: &Path) -> RestoreReport {
    let options = RestoreOptions {
        verify: true,
        ..RestoreOptions::default()
    };
    let (environment, progress) = (&fixture.environment, &fixture.progress);
    let snapshot = report.sources[0].snapshot.unwrap();
    let mut session = fixture.open();
    restore(
        &mut session,
        snapshot,
        target,
        &options,
        environment,
        progress,
    )
    .unwrap()
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

/// Removes a folder that is too deep for the standard library.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        let status = Command::new("rm").arg("-rf").arg(&self.0).status();
        assert!(status.unwrap().success());
    }
}

fn open_in(folder: impl AsFd, name: &str, flags: OFlags) -> OwnedFd {
    openat(folder, name, flags, Mode::RWXU).unwrap()
}

/// Opens the innermost of so many folders of one name in one another, and makes them first.
fn descend(top: &Path, name: &str, levels: usize, make: bool) -> OwnedFd {
    let mut folder = openat(CWD, top, FOLDER, Mode::empty()).unwrap();
    for _ in 0..levels {
        if make {
            mkdirat(&folder, name, Mode::RWXU).unwrap();
        }
        folder = open_in(&folder, name, FOLDER);
    }
    folder
}

fn write_in(folder: impl AsFd, name: &str, text: &str) {
    let file = open_in(folder, name, OFlags::WRONLY | OFlags::CREATE);
    rustix::io::write(file, text.as_bytes()).unwrap();
}

#[test]
fn what_is_saved_of_folders_without_end_is_restored_and_the_rest_is_named() {
    let fixture = Fixture::new();
    let source = fixture.source();
    let target = fixture.folder.path().join("target");
    let _removed = [Removed(source.clone()), Removed(target.clone())];
    let name = "x".repeat(250);
    let saved_levels = MAX_DEPTH - (source.components().count() - 1);
    let bottom = descend(&source, &name, saved_levels, true);
    write_in(&bottom, "file", "bottom");
    fs::write(source.join("top"), "linked").unwrap();
    linkat(CWD, source.join("top"), &bottom, "linked", AtFlags::empty()).unwrap();
    mkdirat(&bottom, "beyond", Mode::RWXU).unwrap();
    write_in(open_in(&bottom, "beyond", FOLDER), "lost", "lost");

    let report = fixture.backup();
    let [error] = &report.sources[0].errors[..] else {
        panic!("{report:?}");
    };
    assert!(error.path.ends_with("xxx/beyond"), "{error}");
    assert!(error.path.len() < 5000);
    assert!(
        error.to_string().contains("more than 2048 folders"),
        "{error}"
    );

    let restored = restore_of(&fixture, &report, &target);
    assert!(restored.is_complete(), "{restored:?}");
    assert_eq!(restored.verified.unwrap().files, 3);
    let top = target.join(source.strip_prefix("/").unwrap());
    let bottom = descend(&top, &name, saved_levels, false);
    for (name, expected) in [("file", "bottom"), ("linked", "linked")] {
        let mut text = String::new();
        let mut file = File::from(open_in(&bottom, name, OFlags::RDONLY));
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, expected);
    }
}

#[test]
fn an_inode_that_changes_between_its_names_is_two_files_when_it_is_restored() {
    let mut fixture = Fixture::new();
    let source = fixture.source();
    for name in ["a", "m", "z"] {
        fs::create_dir(source.join(name)).unwrap();
    }
    let (first, last) = (source.join("a/x"), source.join("z/x"));
    fs::write(&first, "AAAA").unwrap();
    fs::hard_link(&first, &last).unwrap();
    // More than fits into memory: nobody gets past it while no copy takes anything.
    fs::write(source.join("m/noise"), noise(1, 40 << 20)).unwrap();
    let gate = Gate::closed();
    for copy in ["one", "two", "three"] {
        let rule = Rule::on(&Op::WRITES, Fault::Wait(gate.clone())).of(FileType::Data);
        fixture.wrap(copy, |store| FaultyStore::new(store).with(rule));
    }
    let report = std::thread::scope(|scope| {
        let running = scope.spawn(|| backup_in_order(&fixture));
        gate.wait_for_waiting(3);
        fs::write(&first, "BBBB").unwrap();
        gate.open();
        running.join().unwrap()
    });
    assert!(report.is_complete(), "{report:?}");

    let target = fixture.folder.path().join("target");
    let restored = restore_of(&fixture, &report, &target);
    assert!(restored.is_complete(), "{restored:?}");
    let content = |path: &Path| {
        let path = target.join(path.strip_prefix("/").unwrap());
        fs::read_to_string(path).unwrap()
    };
    assert_eq!(content(&first), "AAAA");
    assert_eq!(content(&last), "BBBB");
}
