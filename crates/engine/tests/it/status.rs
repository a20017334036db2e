//! Receipts and status of real backups.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use strongroom_engine::backup::report::BackupReport;
use strongroom_engine::receipts::Receipts;
use strongroom_engine::state::StateFolder;
use strongroom_engine::status::needs::needs_of_snapshot;
use strongroom_engine::status::{Status, gather};
use strongroom_model::scorecard::Wholeness;
use strongroom_model::{Config, FileName, FileType, Id};

use crate::fixture::{Fixture, fill};

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
    let session = fixture.open();
    let state = state(fixture);
    gather(
        &config,
        &fixture.copies,
        Some(&session),
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
        let walked = needs_of_snapshot(&session, source.tree.unwrap(), cancel).unwrap();
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
