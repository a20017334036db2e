//! No copy ever gets an index file or a snapshot before what it refers to.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use strongroom_engine::sync::{SyncOptions, SyncProblemKind};
use strongroom_engine::verify::Depth;
use strongroom_model::{FileName, FileType};
use strongroom_testkit::Op;

use crate::hand_made::{HandMade, Made, Place, has, lose, memory, rot};

#[test]
fn an_index_file_waits_for_all_packs_that_it_names() {
    let (hand_made, made) = HandMade::with_snapshots(0..2);
    let places = hand_made.places(2);
    for place in &places {
        lose(place, made[1].data);
    }
    lose(&places[1], made[1].index);
    lose(&places[1], made[1].snapshot);
    let report = hand_made.sync(&places, &SyncOptions::default());
    assert!(!report.is_complete());
    assert!(!has(&places[1], made[1].index));
    assert!(!has(&places[1], made[1].snapshot));
    let held: Vec<_> = report.problems.iter().map(|problem| problem.name).collect();
    assert_eq!(held, [made[1].index, made[1].snapshot]);
    assert_eq!(report.copies[1].lacking[&FileType::Index], 1);
    assert_eq!(report.copies[1].lacking[&FileType::Snapshots], 1);
}

#[test]
fn a_snapshot_waits_though_its_index_file_is_there_already() {
    let (hand_made, made) = HandMade::with_snapshots(0..2);
    for lost in [made[1].data, made[1].trees] {
        let places = hand_made.places(3);
        for place in &places {
            lose(place, lost);
        }
        lose(&places[2], made[1].snapshot);
        let report = hand_made.sync(&places, &SyncOptions::default());
        assert!(!has(&places[2], made[1].snapshot));
        assert!(report.problems.iter().any(|problem| {
            problem.name == made[1].snapshot
                && matches!(&problem.kind, SyncProblemKind::HeldBack { copy, .. } if copy == "three")
        }));
    }
}

#[test]
fn a_snapshot_waits_where_every_index_file_is_lost() {
    let (hand_made, made) = HandMade::with_snapshots(0..2);
    let places = hand_made.places(2);
    for place in &places {
        lose(place, made[1].index);
    }
    lose(&places[1], made[1].snapshot);
    lose(&places[1], made[0].snapshot);
    hand_made.sync(&places, &SyncOptions::default());
    assert!(!has(&places[1], made[1].snapshot));
    assert!(has(&places[1], made[0].snapshot), "the other one is whole");
}

#[test]
fn a_snapshot_does_not_trust_a_pack_that_is_known_to_be_wrong() {
    let (hand_made, made) = HandMade::with_snapshots(0..1);
    let places = hand_made.places(2);
    for place in &places {
        rot(place, made[0].data);
    }
    lose(&places[1], made[0].snapshot);
    hand_made.heal(&places);
    assert!(!has(&places[1], made[0].snapshot));
}

#[test]
fn a_snapshot_whose_needs_are_known_costs_no_walk() {
    let (hand_made, made) = HandMade::with_snapshots(0..1);
    let places = hand_made.places(2);
    let needed = vec![made[0].data, made[0].trees, made[0].index, FileName::CONFIG];
    let options = SyncOptions {
        needs: [(made[0].snapshot.id().unwrap(), needed)].into(),
        ..SyncOptions::default()
    };
    lose(&places[1], made[0].snapshot);
    assert!(hand_made.sync(&places, &options).is_complete());
    for place in &places {
        assert_eq!(place.tally(&Op::READS, FileType::Data).calls, 0);
        assert_eq!(place.tally(&Op::READS, FileType::Index).calls, 0);
    }
    lose(&places[1], made[0].snapshot);
    for place in &places {
        lose(place, made[0].data);
    }
    hand_made.sync(&places, &options);
    assert!(!has(&places[1], made[0].snapshot));
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Whole,
    Rotten,
    Cut,
    Gone,
}

fn state() -> impl Strategy<Value = State> {
    prop_oneof![
        6 => Just(State::Whole),
        1 => Just(State::Rotten),
        1 => Just(State::Cut),
        2 => Just(State::Gone),
    ]
}

fn strike(place: &Place, name: FileName, state: State) {
    match state {
        State::Whole => {}
        State::Rotten => rot(place, name),
        State::Cut => memory(place).damage(name, |bytes| bytes.truncate(9)),
        State::Gone => lose(place, name),
    }
}

/// The files that a file refers to.
fn needs(made: &[Made], name: FileName) -> Vec<FileName> {
    let of = |made: &Made| match name {
        _ if name == made.index => vec![made.data, made.trees],
        _ if name == made.snapshot => vec![made.data, made.trees, made.index],
        _ => vec![],
    };
    made.iter().flat_map(of).collect()
}

fn is_right(hand_made: &HandMade, place: &Place, name: FileName) -> bool {
    memory(place)
        .get(name)
        .is_some_and(|bytes| *bytes == hand_made.files[&name][..])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever is lost and rotten anywhere, a sync after a verify brings everything that can be
    /// brought, and nothing that refers to what is not there.
    #[test]
    fn after_a_sync_a_file_is_whole_where_its_needs_are(
        states in prop::collection::vec(state(), 3 * 12),
    ) {
        let (hand_made, made) = HandMade::with_snapshots(0..3);
        let places = hand_made.places(3);
        let files: Vec<_> = made
            .iter()
            .flat_map(|made| [made.data, made.trees, made.index, made.snapshot])
            .collect();
        let mut states = states.into_iter();
        for place in &places {
            for name in &files {
                strike(place, *name, states.next().unwrap());
            }
        }
        let before: Vec<BTreeSet<_>> = places
            .iter()
            .map(|place| {
                let right = files.iter().filter(|name| is_right(&hand_made, place, **name));
                right.copied().collect()
            })
            .collect();
        let anywhere: BTreeSet<_> = before.iter().flatten().copied().collect();
        let can_be_brought = |name: &FileName| {
            anywhere.contains(name)
                && needs(&made, *name).iter().all(|needed| anywhere.contains(needed))
        };
        let report = hand_made.heal(&places);
        for (place, before) in places.iter().zip(&before) {
            for name in &files {
                let right = is_right(&hand_made, place, *name);
                prop_assert!(right || !can_be_brought(name), "{name}: {report:?}");
                prop_assert!(!right || before.contains(name) || can_be_brought(name), "{name}");
            }
        }
        let all = files.iter().all(|name| anywhere.contains(name));
        prop_assert_eq!(report.is_complete(), all || {
            // What is gone everywhere leaves no trace but in what refers to it.
            report.problems.is_empty()
        });
        if all {
            let depth = Depth::Decoded(&hand_made.repository);
            prop_assert!(hand_made.verify(&places, depth).is_clean());
        }
        let counts: BTreeMap<_, _> = report.copies.iter().map(|c| (&c.name, &c.lacking)).collect();
        prop_assert!(!report.is_complete() || counts.values().all(|lacking| lacking.is_empty()));
        // A second sync finds nothing more to do.
        let again = hand_made.heal(&places);
        prop_assert_eq!(again.brought(), (0, 0));
        prop_assert!(again.copies.iter().all(|copy| copy.healed.is_empty()));
    }
}
