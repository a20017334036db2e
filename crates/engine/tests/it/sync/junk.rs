//! Junk put into one copy stays there, and is named with what to do.

use strongroom_engine::sync::SyncOptions;
use strongroom_model::{FileName, FileType};
use strongroom_testkit::Op;

use crate::hand_made::{HandMade, has, junk, lose, memory};

#[test]
fn junk_of_every_type_stays_where_it_is_and_is_named() {
    let (hand_made, made) = HandMade::with_snapshots(0..2);
    let places = hand_made.places(3);
    lose(&places[1], made[0].snapshot);
    let junk = junk();
    for (name, bytes) in &junk {
        memory(&places[0]).put(*name, bytes);
    }
    let report = hand_made.sync(&places, &SyncOptions::default());
    assert!(report.is_complete(), "nobody needs junk: {report:?}");
    for place in &places[1..] {
        hand_made.assert_whole(place);
    }
    assert_eq!(report.junk.len(), junk.len());
    for found in &report.junk {
        assert!(junk.iter().any(|(name, _)| *name == found.name));
        assert_eq!(found.copies, ["one"]);
        let advice = found.advice.join("\n");
        let id = found.name.id().unwrap().to_string();
        assert!(
            advice.contains(&id) && advice.contains("memory:one"),
            "{advice}"
        );
    }
}

#[test]
fn a_key_travels_once_a_receipt_names_it() {
    let (mut hand_made, _) = HandMade::with_snapshots(0..1);
    let places = hand_made.places(2);
    let key = hand_made.add_key(b"another password");
    memory(&places[0]).put(key, &hand_made.files[&key]);
    let report = hand_made.sync(&places, &SyncOptions::default());
    assert!(!has(&places[1], key));
    let advice = report.junk[0].advice.join("; ");
    let id = key.id().unwrap();
    let admit = format!("if it is yours: strongroom sync --admit-key {id}; otherwise: remove ");
    assert!(advice.starts_with(&admit), "{advice}");
    let options = SyncOptions {
        known_keys: [key.id().unwrap()].into(),
        ..SyncOptions::default()
    };
    let report = hand_made.sync(&places, &options);
    assert_eq!(report.junk, []);
    hand_made.assert_whole(&places[1]);
}

#[test]
fn a_key_that_waits_for_an_operator_is_not_sent_again_and_its_copy_is_not_behind() {
    let (mut hand_made, _) = HandMade::with_snapshots(0..1);
    let places = hand_made.places(3);
    let key = hand_made.add_key(b"another password");
    for place in &places[..2] {
        memory(place).put(key, &hand_made.files[&key]);
    }
    let id = key.id().unwrap();
    for known_keys in [[].into(), [id].into()] {
        let options = SyncOptions {
            known_keys,
            pending_keys: [("three".to_owned(), [id].into())].into(),
            ..SyncOptions::default()
        };
        let report = hand_made.sync(&places, &options);
        assert!(report.is_complete(), "{report:?}");
        assert_eq!(report.junk, []);
        assert!(!has(&places[2], key));
        assert_eq!(places[2].written(), []);
    }
    // It still travels to a copy that simply lacks it.
    lose(&places[1], key);
    let options = SyncOptions {
        known_keys: [id].into(),
        pending_keys: [("three".to_owned(), [id].into())].into(),
        ..SyncOptions::default()
    };
    assert!(hand_made.sync(&places, &options).is_complete());
    assert!(has(&places[1], key) && !has(&places[2], key));
}

#[test]
fn a_copy_whose_keys_all_wait_for_an_operator_is_behind() {
    let (hand_made, _) = HandMade::with_snapshots(0..1);
    let places = hand_made.places(3);
    let is_key = |name: &&FileName| name.kind() == FileType::Keys;
    let key = *hand_made.files.keys().find(is_key).unwrap();
    lose(&places[2], key);
    let options = SyncOptions {
        pending_keys: [("three".to_owned(), [key.id().unwrap()].into())].into(),
        ..SyncOptions::default()
    };
    let report = hand_made.sync(&places, &options);
    assert_eq!(
        places[2].written(),
        [],
        "it is there, and is not sent again"
    );
    assert!(!report.is_complete(), "{report:?}");
    assert_eq!(report.copies[2].lacking, [(FileType::Keys, 1)].into());
    assert!(report.copies[0].is_whole());
}

#[test]
fn junk_that_is_everywhere_costs_nothing() {
    let (hand_made, _) = HandMade::with_snapshots(0..1);
    let places = hand_made.places(2);
    for (name, bytes) in junk() {
        for place in &places {
            memory(place).put(name, &bytes);
        }
    }
    assert!(
        hand_made
            .sync(&places, &SyncOptions::default())
            .is_complete()
    );
    for kind in FileType::SYNCED {
        assert_eq!(places[0].tally(&Op::READS, kind).calls, 0);
    }
}
