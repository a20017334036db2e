//! Receipts and status of real backups.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use strongroom_engine::Session;
use strongroom_engine::backup::report::BackupReport;
use strongroom_engine::prune::{PruneOptions, prune};
use strongroom_engine::receipts::Receipts;
use strongroom_engine::retain;
use strongroom_engine::state::{Predecessor, StateFolder};
use strongroom_engine::status::needs::needs_of_snapshots;
use strongroom_engine::status::{Status, gather};
use strongroom_model::scorecard::{LineKind, Standing, Wholeness};
use strongroom_model::{Config, FileName, FileType, Id};

use crate::fixture::{Fixture, fill};
use crate::prune::{ALL, open, remove_files, write_files};

fn state(fixture: &Fixture) -> StateFolder {
    StateFolder::new(fixture.folder.path().join("state"))
}

/// Backs up, and signs what came of it.
fn backup(fixture: &Fixture) -> BackupReport {
    let report = fixture.backup();
    let session = fixture.open();
    let client = state(fixture).client_key().unwrap();
    let memory = state(fixture).repository(session.id());
    let receipts = Receipts::new(&memory, &client);
    let signed = receipts.issue(&session, &report, &fixture.environment.hostname);
    assert_eq!(signed.unwrap().len(), report.sources.len());
    report
}

fn status(fixture: &Fixture) -> Status {
    status_of(fixture, Some(&fixture.open()))
}

fn status_of(fixture: &Fixture, session: Option<&Session>) -> Status {
    let mut text = format!(
        "[[source]]\nname = \"main\"\npath = {:?}\n",
        fixture.source()
    );
    for copy in &fixture.copies {
        text.push_str(&format!(
            "[[copy]]\nname = \"{}\"\nstore = {:?}\nmedium = \"disk\"\nsite = \"s\"\n\
             domain = \"d\"\n",
            copy.name,
            fixture.copy_path(&copy.name)
        ));
    }
    let config = Config::parse(&text, &|_| None).unwrap();
    let state = state(fixture);
    gather(
        &config,
        &fixture.copies,
        session,
        &state,
        &fixture.environment,
        &BTreeMap::new(),
    )
    .unwrap()
}

fn wholeness(status: &Status, copy: &str) -> Vec<Wholeness> {
    let held = &status.facts.copies.get(copy).unwrap().snapshots;
    held.iter().map(|held| held.wholeness.clone()).collect()
}

fn ids(packs: &[(Id, u64)]) -> BTreeSet<Id> {
    packs.iter().map(|(id, _)| *id).collect()
}

#[test]
fn another_repository_that_was_there_before_is_an_error() {
    let fixture = Fixture::new();
    let mut session = fixture.open();
    let told = Predecessor {
        repository: Id::of(b"ours"),
        successor: session.id(),
        copies: vec!["one".to_owned()],
        last_seen: None,
        behind: None,
    };
    session.predecessors.push(told.clone());
    let found = status_of(&fixture, Some(&session));
    let line = found.scorecard.line(LineKind::Errors).unwrap();
    assert_eq!(line.finding.met, Standing::Missed);
    let reason = &line.finding.reason;
    assert!(reason.starts_with(&told.to_string()), "{reason}");
    assert_eq!(line.mend, Some(told.hint()));
}

#[test]
fn receipts_and_trees_tell_what_the_backup_told() {
    let fixture = Fixture::new();
    fill(&fixture.source(), "/usr/include/linux");
    let mut reports = vec![backup(&fixture)];
    for round in 0..3 {
        fs::write(fixture.source().join(format!("new-{round}")), [round; 4000]).unwrap();
        fs::remove_file(fixture.source().join(format!(
            "linux/{}",
            ["a.out.h", "acct.h", "adb.h"][usize::from(round)]
        )))
        .unwrap();
        reports.push(backup(&fixture));
    }
    let session = fixture.open();
    let client = state(&fixture).find_client_key().unwrap().unwrap();
    let memory = state(&fixture).repository(session.id());
    let receipts = Receipts::new(&memory, &client);
    for report in &reports {
        let source = &report.sources[0];
        let told = receipts.known_needs(source.snapshot.unwrap()).unwrap();
        assert_eq!(told.packs, ids(&source.needs.packs));
        assert_eq!(
            told.index,
            source.needs.index_files.iter().copied().collect()
        );
        let cancel = &fixture.environment.cancel;
        let trees = [source.tree.unwrap()];
        let walked = needs_of_snapshots(&session, &trees, None, cancel).unwrap();
        let walked = walked.unwrap();
        assert!(walked.gap.is_none(), "{walked:?}");
        let walked = walked.needs;
        assert_eq!(ids(&walked.packs), told.packs);
        let sizes: BTreeSet<_> = walked.packs.into_iter().collect();
        assert_eq!(sizes, source.needs.packs.iter().copied().collect());
    }
}

#[test]
fn a_real_backup_is_whole_until_a_copy_loses_a_pack() {
    let fixture = Fixture::new();
    fill(&fixture.source(), "/usr/include/linux");
    let report = backup(&fixture);
    let found = status(&fixture);
    assert_eq!(found.problems, [""; 0]);
    for copy in &fixture.copies {
        assert_eq!(wholeness(&found, &copy.name), [Wholeness::Whole]);
    }
    let (pack, _) = report.sources[0].needs.packs[0];
    let name = FileName::new(FileType::Data, pack);
    fixture.copies[1].store.remove(name).unwrap();
    for state_is_lost in [false, true] {
        if state_is_lost {
            fs::remove_dir_all(state(&fixture).path()).unwrap();
        }
        let found = status(&fixture);
        assert_eq!(wholeness(&found, "one"), [Wholeness::Whole]);
        assert_eq!(wholeness(&found, "two"), [Wholeness::Behind { files: 1 }]);
    }
}

#[test]
fn after_a_prune_whoever_has_no_password_calls_no_copy_behind_that_is_whole() {
    let fixture = Fixture::new();
    write_files(&fixture, 0..12);
    let first = backup(&fixture).sources[0].snapshot.unwrap();
    remove_files(&fixture, 0..6);
    let second = backup(&fixture);
    status(&fixture);
    let without = |copy: &str| wholeness(&status_of(&fixture, None), copy).remove(0);
    for copy in ALL {
        assert_eq!(without(copy), Wholeness::Whole);
    }

    let mut session = open(&fixture);
    let memory = state(&fixture).repository(session.id());
    let (environment, progress) = (&fixture.environment, &fixture.progress);
    let going = BTreeSet::from([first]);
    let gone = retain::forget(&mut session, &memory, &going, environment, progress);
    assert_eq!(gone.unwrap().snapshots, going);
    let notes = state(&fixture).path().join(session.id().to_string());
    let notes = || fs::read_dir(notes.join("needs")).unwrap().count();
    assert_eq!(notes(), 1);
    // On a machine that signs nothing.
    let (mut session, options) = (open(&fixture), PruneOptions::default());
    let report = prune(&mut session, &memory, None, &options, environment, progress).unwrap();
    assert!(report.repacked.files > 0, "{report:?}");
    // What is noted of the second names packs that are gone, and so does its receipt.
    assert_eq!(notes(), 0);
    for copy in ALL {
        let found = without(copy);
        assert!(
            matches!(found, Wholeness::Unknown { .. }),
            "{copy}: {found:?}"
        );
    }
    // What was not moved is missed as ever.
    let three = &fixture.copies[2].store;
    let snapshot = second.sources[0].snapshot.unwrap();
    let key = fixture.ids("three", FileType::Keys)[0];
    let key = FileName::new(FileType::Keys, key);
    let bytes = three.read(key).unwrap();
    three.remove(key).unwrap();
    assert_eq!(without("three"), Wholeness::Behind { files: 1 });
    three.save(key, &bytes).unwrap();

    // With the password it is found out, and noted.
    let found = status_of(&fixture, Some(&open(&fixture)));
    assert_eq!(found.facts.lost, None);
    for copy in ALL {
        let held = &found.facts.copies.get(copy).unwrap().snapshots;
        assert_eq!(held[0].id, snapshot);
        assert_eq!(wholeness(&found, copy), [Wholeness::Whole]);
        assert_eq!(without(copy), Wholeness::Whole);
    }
    assert_eq!(notes(), 1);
}
