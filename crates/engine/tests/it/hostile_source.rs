//! Sources whose users wish the backup ill, or only change things at the wrong moment.

use std::fs;
use std::path::Path;

use strongroom_engine::backup::report::BackupReport;
use strongroom_engine::backup::{BackupOptions, backup};
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
