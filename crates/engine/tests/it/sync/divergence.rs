//! A copy that was pruned by itself is shown and left alone, until somebody decides.

use std::collections::BTreeMap;

use strongroom_engine::Cancel;
use strongroom_engine::progress::Progress;
use strongroom_engine::state::SeenFiles;
use strongroom_engine::sync::{Decision, SyncOptions, sync_session};
use strongroom_engine::verify::{Depth, VerifyOptions, verify};
use strongroom_model::{FileName, FileType};

use crate::fixture::Fixture;
use crate::hand_made::{HandMade, has, lose, memory};

/// What the copies of a repository held before.
fn seen_by_all(names: &[&str], files: impl Iterator<Item = FileName> + Clone) -> SyncOptions {
    let of_kind = |kind| {
        let of_kind = files
            .clone()
            .filter(move |name: &FileName| name.kind() == kind);
        of_kind.filter_map(|name| name.id()).collect()
    };
    let seen = SeenFiles {
        index: of_kind(FileType::Index),
        snapshots: of_kind(FileType::Snapshots),
    };
    SyncOptions {
        seen: names
            .iter()
            .map(|name| ((*name).to_owned(), seen.clone()))
            .collect(),
        ..SyncOptions::default()
    }
}

#[test]
fn a_pruned_copy_gives_and_takes_nothing_until_somebody_decides() {
    let (mut hand_made, made) = HandMade::with_snapshots(0..3);
    let places = hand_made.places(3);
    let mut options = seen_by_all(&["one", "two", "three"], hand_made.files.keys().copied());
    for lost in [made[0].data, made[0].trees, made[0].index, made[0].snapshot] {
        lose(&places[1], lost);
    }
    lose(&places[2], made[2].data);
    let new = hand_made.add_snapshot("what the prune wrote");
    for name in [new.data, new.trees, new.index] {
        memory(&places[1]).put(name, &hand_made.files[&name]);
    }
    hand_made.files.remove(&new.snapshot);
    let report = hand_made.sync(&places, &options);
    assert!(!report.is_complete());
    assert_eq!(report.diverged.len(), 1);
    assert_eq!(report.diverged[0].copy, "two");
    assert_eq!(report.diverged[0].lacks, [made[0].index, made[0].snapshot]);
    assert_eq!(report.diverged[0].has_alone, [new.index.id().unwrap()]);
    assert!(report.diverged[0].hint().contains("--heal"));
    assert!(!has(&places[1], made[0].data) && !has(&places[0], new.index));
    assert_eq!(places[1].written(), []);
    assert!(has(&places[2], made[2].data), "the others go on");

    options.decision = Decision::Heal;
    let report = hand_made.sync(&places, &options);
    assert!(report.is_complete(), "{report:?}");
    for place in &places {
        hand_made.assert_whole(place);
    }
}

#[test]
fn plain_absence_is_loss() {
    let (hand_made, made) = HandMade::with_snapshots(0..3);
    let places = hand_made.places(2);
    let options = seen_by_all(&["one", "two"], hand_made.files.keys().copied());
    lose(&places[1], made[0].index);
    lose(&places[1], made[0].snapshot);
    let report = hand_made.sync(&places, &options);
    assert!(report.is_complete(), "{report:?}");
    hand_made.assert_whole(&places[1]);
}

#[test]
fn five_bytes_do_not_make_a_loss_look_like_a_prune() {
    let (hand_made, made) = HandMade::with_snapshots(0..3);
    let places = hand_made.places(2);
    let options = seen_by_all(&["one", "two"], hand_made.files.keys().copied());
    lose(&places[1], made[0].snapshot);
    for (name, bytes) in crate::hand_made::junk() {
        memory(&places[1]).put(name, &bytes);
    }
    let report = hand_made.sync(&places, &options);
    assert_eq!(report.diverged, []);
    assert!(has(&places[1], made[0].snapshot));
}

#[test]
fn after_a_stock_prune_of_one_copy_healing_leaves_all_copies_sound() {
    let fixture = Fixture::new();
    let file = fixture.source().join("file");
    std::fs::write(&file, "first ".repeat(100_000)).unwrap();
    let first = fixture.backup().sources[0].snapshot.unwrap();
    std::fs::write(&file, "second ".repeat(100_000)).unwrap();
    fixture.backup();
    let session = fixture.open();
    let seen = session.ready().map(|(copy, ready)| {
        let seen = SeenFiles {
            index: ready.listing.index.iter().map(|entry| entry.id).collect(),
            snapshots: ready
                .listing
                .snapshots
                .iter()
                .map(|entry| entry.id)
                .collect(),
        };
        (copy.name.clone(), seen)
    });
    let mut options = SyncOptions {
        seen: seen.collect::<BTreeMap<_, _>>(),
        ..SyncOptions::default()
    };
    fixture.restic("two", &["forget", "--prune", &first.to_string()]);
    let (progress, cancel) = (Progress::default(), Cancel::default());

    let report = sync_session(&fixture.open(), &options, &progress, &cancel);
    assert_eq!(report.diverged.len(), 1, "{report:?}");
    assert_eq!(report.brought(), (0, 0));
    fixture.check_all();

    options.decision = Decision::Heal;
    let report = sync_session(&fixture.open(), &options, &progress, &cancel);
    assert!(report.is_complete(), "{report:?}");
    fixture.check_all();
    for copy in &fixture.copies {
        fixture.restic(&copy.name, &["ls", &first.to_string()]);
    }
    let session = fixture.open();
    let depth = Depth::Decoded(&session.repository);
    let options = VerifyOptions::default();
    let verified = verify(&fixture.copies, depth, &options, &progress, &cancel).unwrap();
    assert!(verified.is_clean(), "{verified:?}");
}
