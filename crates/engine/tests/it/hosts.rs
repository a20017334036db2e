//! Several hosts, and stock restic, at work on the same copies at the same time.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Barrier;

use strongroom_engine::backup::report::CopyOutcome;
use strongroom_engine::sync::{SyncOptions, sync_session};
use strongroom_engine::verify::ProblemKind;
use strongroom_model::FileType;
use strongroom_testkit::gate::Gate;
use strongroom_testkit::programs::{Restic, restic_versions};
use strongroom_testkit::tree::{TreeSpec, compare, mutate};
use strongroom_testkit::{Fault, FaultyStore, Op, Rule};

use crate::damage::verified;
use crate::fixture::{Fixture, PASSWORD, environment, outcome};

const COPIES: [&str; 3] = ["one", "two", "three"];
const HOSTS: [&str; 3] = ["alpha", "beta", "gamma"];

fn assert_no_locks(fixture: &Fixture) {
    for copy in COPIES {
        assert_eq!(fixture.ids(copy, FileType::Locks), [], "{copy}");
    }
}

fn assert_same_files(fixture: &Fixture) {
    for kind in FileType::SYNCED {
        let files = fixture.ids("one", kind);
        assert!(!files.is_empty(), "{kind}");
        for copy in ["two", "three"] {
            assert_eq!(files, fixture.ids(copy, kind), "{copy}: {kind}");
        }
    }
}

#[test]
fn hosts_that_write_at_the_same_time_leave_whole_snapshots_on_every_copy() {
    let fixture = Fixture::new();
    let sources = HOSTS.map(|host| {
        let path = fixture.source().join(host);
        // What two of them have in common is stored by both, or by one for both.
        let seed = if host == "gamma" { 2 } else { 1 };
        TreeSpec {
            big_files_bytes: vec![3 << 20, 2 << 20],
            ..TreeSpec::small(seed)
        }
        .build(&path);
        fixture.sources(&format!("path = {path:?}"))
    });
    for round in 0..4 {
        let together = Barrier::new(HOSTS.len());
        std::thread::scope(|scope| {
            for (host, sources) in HOSTS.iter().zip(&sources) {
                let (fixture, together) = (&fixture, &together);
                scope.spawn(move || {
                    together.wait();
                    let report = fixture.backup_as(sources, &environment(host)).unwrap();
                    // What another host has just brought to the lead is not on every copy yet, and
                    // a copy that lacks it is behind. None fails, and none gets too much.
                    assert!(report.sources[0].snapshot.is_some(), "{host}: {report:?}");
                    let outcomes = report.copies.iter().map(|copy| &copy.outcome);
                    let failed = outcomes.filter(|o| matches!(o, CopyOutcome::Failed(_)));
                    assert_eq!(failed.count(), 0, "{host} {round}: {report:?}");
                    assert_eq!(outcome(&report, &report.lead), &CopyOutcome::Whole);
                });
            }
        });
        let found = verified(&fixture);
        let is_missing = |kind: &ProblemKind| matches!(kind, ProblemKind::Missing { .. });
        for problem in &found.problems {
            assert!(is_missing(&problem.kind), "{problem}");
        }
        // As the last of them does at its end.
        let cancel = &fixture.environment.cancel;
        let options = SyncOptions::default();
        let synced = sync_session(&fixture.open(), &options, &fixture.progress, cancel);
        assert!(synced.is_complete(), "{synced:?}");
        assert_same_files(&fixture);
        for (seed, host) in HOSTS.iter().enumerate() {
            mutate(&fixture.source().join(host), round * 10 + seed as u64);
        }
    }
    assert_eq!(fixture.ids("one", FileType::Snapshots).len(), 12);
    assert_no_locks(&fixture);
    fixture.check_all();
    for (host, sources) in HOSTS.iter().zip(&sources) {
        let report = fixture.backup_as(sources, &environment(host)).unwrap();
        assert!(report.is_complete(), "{report:?}");
        for copy in COPIES {
            let target = tempfile::tempdir().unwrap();
            let to = target.path().to_str().unwrap();
            fixture.restic(copy, &["restore", "latest", "--host", host, "--target", to]);
            let path = fixture.source().join(host);
            let restored = target.path().join(path.strip_prefix("/").unwrap());
            assert_eq!(compare(&path, &restored), [], "{host} from {copy}");
        }
    }
}

#[test]
fn a_sync_beside_backups_takes_nothing_from_them() {
    let fixture = Fixture::new();
    TreeSpec::small(1).build(&fixture.source().join("tree"));
    fixture.backup();
    let sources = fixture.folder_source();
    for round in 0..4 {
        mutate(&fixture.source().join("tree"), round);
        for kind in [FileType::Snapshots, FileType::Data] {
            let store = strongroom_store::LocalStore::new(fixture.copy_path("three"));
            let lost = strongroom_model::FileName::new(kind, fixture.ids("three", kind)[0]);
            strongroom_store::Store::remove(&store, lost).unwrap();
        }
        let together = Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                together.wait();
                let report = fixture.backup_as(&sources, &environment("alpha")).unwrap();
                assert_eq!(outcome(&report, "one"), &CopyOutcome::Whole);
                assert_eq!(outcome(&report, "two"), &CopyOutcome::Whole);
            });
            let session = fixture.open();
            together.wait();
            let cancel = &fixture.environment.cancel;
            let options = SyncOptions::default();
            sync_session(&session, &options, &fixture.progress, cancel);
        });
        fixture.check(&["one", "two"]);
    }
    let cancel = &fixture.environment.cancel;
    let options = SyncOptions::default();
    let report = sync_session(&fixture.open(), &options, &fixture.progress, cancel);
    assert!(report.is_complete(), "{report:?}");
    assert_same_files(&fixture);
    fixture.check_all();
}

fn restic(restic: &Restic, repository: &Path, arguments: &[&str]) -> Output {
    Command::new(&restic.path)
        .args(["--no-cache", "-r"])
        .arg(repository)
        .args(arguments)
        .env("RESTIC_PASSWORD", PASSWORD)
        .output()
        .unwrap()
}

#[test]
fn a_stock_prune_beside_our_backup_is_refused_and_does_no_harm() {
    let mut fixture = Fixture::new();
    TreeSpec::small(1).build(&fixture.source().join("tree"));
    // Something for a prune to remove: it would be needed again by the backup under way.
    fixture.backup();
    let first = fixture.ids("two", FileType::Snapshots)[0].to_string();
    let moved = fixture.folder.path().join("moved");
    std::fs::rename(fixture.source().join("tree"), &moved).unwrap();
    std::fs::write(fixture.source().join("other"), "other").unwrap();
    fixture.backup();
    for copy in COPIES {
        fixture.restic(copy, &["forget", &first]);
    }
    std::fs::rename(&moved, fixture.source().join("tree")).unwrap();
    std::fs::write(fixture.source().join("new"), "new").unwrap();
    let before = fixture.ids("two", FileType::Data);

    let gate = Gate::closed();
    fixture.wrap("two", |store| {
        let wait = Rule::on(&Op::WRITES, Fault::Wait(gate.clone())).of(FileType::Data);
        FaultyStore::new(store).with(wait)
    });
    let backup = || fixture.backup();
    let report = gate.meanwhile(backup, || {
        for version in restic_versions() {
            for arguments in [
                &["prune"][..],
                &["forget", "--keep-last", "1", "--prune"],
                &["prune", "--max-unused", "0"],
            ] {
                let output = restic(&version, &fixture.copy_path("two"), arguments);
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                assert!(
                    !output.status.success(),
                    "{} {arguments:?}",
                    version.version
                );
                assert!(
                    said.contains("locked"),
                    "{} {arguments:?}: {said}",
                    version.version
                );
                assert!(said.contains("testhost"), "it says who is at work: {said}");
            }
        }
        let now = fixture.ids("two", FileType::Data);
        assert!(before.iter().all(|pack| now.contains(pack)));
    });
    assert_eq!(outcome(&report, "one"), &CopyOutcome::Whole);
    let cancel = &fixture.environment.cancel;
    let options = SyncOptions::default();
    let synced = sync_session(&fixture.open(), &options, &fixture.progress, cancel);
    assert!(synced.is_complete(), "{synced:?}");
    assert_no_locks(&fixture);
    fixture.check_all();
    for copy in COPIES {
        fixture.assert_restic_restores(copy);
    }
    // Nobody is at work any more.
    fixture.restic("two", &["prune"]);
    fixture.check_all();
}
