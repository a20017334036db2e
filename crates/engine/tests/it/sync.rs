//! What a sync brings, heals, holds back and leaves alone.

mod barriers;
mod divergence;
mod junk;
mod trouble;

use std::io::ErrorKind;
use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_engine::Cancel;
use strongroom_engine::progress::Progress;
use strongroom_engine::sync::{BeforeHeal, Decision, SyncOptions, sync};
use strongroom_model::{FileName, FileType, Id};
use strongroom_store::Store;
use strongroom_testkit::{Fault, Op, Rule};

use crate::hand_made::{HandMade, Place, faults, has, lose, memory, name_of, rot};

#[test]
fn a_copy_that_lost_everything_but_its_config_is_whole_again() {
    let (mut hand_made, _) = HandMade::with_snapshots(0..4);
    let spare_key = hand_made.add_key(b"another password");
    let places = hand_made.places(3);
    for name in hand_made
        .files
        .keys()
        .filter(|name| **name != FileName::CONFIG)
    {
        lose(&places[1], *name);
    }
    let options = SyncOptions {
        known_keys: [spare_key.id().unwrap()].into(),
        ..SyncOptions::default()
    };
    let report = hand_made.sync(&places, &options);
    assert!(report.is_complete(), "{report:?}");
    hand_made.assert_whole(&places[1]);
    let copy = &report.copies[1];
    assert_eq!(copy.files_brought, hand_made.files.len() as u64 - 1);
    assert_eq!(copy.healed, []);
    assert_eq!(copy.listing, hand_made.listed(&places)[0].listing);
}

#[test]
fn a_copy_gets_keys_then_config_then_packs_then_index_files_then_snapshots() {
    let (hand_made, _) = HandMade::with_snapshots(0..6);
    let places = hand_made.places(2);
    for name in hand_made.files.keys() {
        lose(&places[1], *name);
    }
    let listed = hand_made.listed(&places);
    assert!(!listed[1].config_is_right);
    hand_made.sync(&places, &SyncOptions::default());
    let kinds: Vec<_> = places[1].written().iter().map(FileName::kind).collect();
    assert_eq!(kinds[..2], [FileType::Keys, FileType::Config]);
    assert!(kinds[2..].is_sorted(), "{kinds:?}");
    hand_made.assert_whole(&places[1]);
}

#[test]
fn where_config_is_healed_the_place_that_was_listed_is_told_anew_and_no_other() {
    let (hand_made, _) = HandMade::with_snapshots(0..1);
    let disk = |text: &str| Some(Id::of(text.as_bytes()));
    for is_swapped in [false, true] {
        let places = hand_made.places(2);
        memory(&places[1]).set_identity(disk("listed"));
        rot(&places[1], FileName::CONFIG);
        let listed = hand_made.listed(&places);
        if is_swapped {
            memory(&places[1]).set_identity(disk("swapped"));
        }
        let (progress, cancel) = (Progress::default(), Cancel::default());
        let options = SyncOptions::default();
        let report = sync(&hand_made.repository, listed, &options, &progress, &cancel);
        assert_eq!(report.copies[1].healed, [FileName::CONFIG]);
        let now = places[1].identity().unwrap();
        assert_ne!(now, disk("listed"));
        let told = report.copies[1].listing.place;
        assert_eq!(told == now, !is_swapped);
        assert_eq!(told == disk("listed"), is_swapped);
    }
}

#[test]
fn whole_copies_cost_nothing() {
    let (hand_made, _) = HandMade::with_snapshots(0..3);
    let places = hand_made.places(3);
    let report = hand_made.sync(&places, &SyncOptions::default());
    assert!(report.is_complete());
    for place in &places {
        assert_eq!(place.records(), []);
    }
}

#[test]
fn a_second_sync_costs_nothing() {
    let (hand_made, made) = HandMade::with_snapshots(0..3);
    let places = hand_made.places(2);
    for name in [made[0].data, made[1].index, made[2].snapshot] {
        lose(&places[1], name);
    }
    assert_eq!(
        hand_made.sync(&places, &SyncOptions::default()).brought().0,
        3
    );
    let report = hand_made.sync(&places, &SyncOptions::default());
    assert_eq!(report.brought(), (0, 0));
    assert!(places.iter().all(|place| place.records().is_empty()));
}

#[test]
fn what_two_copies_lack_is_read_once() {
    let (hand_made, made) = HandMade::with_snapshots(0..5);
    let places = hand_made.places(3);
    for made in &made {
        for place in &places[1..] {
            lose(place, made.data);
            lose(place, made.trees);
        }
    }
    let report = hand_made.sync(&places, &SyncOptions::default());
    assert_eq!(report.brought().0, 20);
    assert_eq!(places[0].tally(&Op::READS, FileType::Data).calls, 10);
    for place in &places[1..] {
        assert_eq!(place.tally(&Op::READS, FileType::Data).calls, 0);
        hand_made.assert_whole(place);
    }
}

#[test]
fn a_rotten_source_is_passed_over_and_healed() {
    let (hand_made, made) = HandMade::with_snapshots(0..2);
    let places = hand_made.places(3);
    rot(&places[0], made[0].data);
    rot(&places[0], made[1].snapshot);
    lose(&places[2], made[0].data);
    lose(&places[2], made[1].snapshot);
    let report = hand_made.sync(&places, &SyncOptions::default());
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.copies[0].healed, [made[0].data, made[1].snapshot]);
    assert_eq!(report.copies[2].files_brought, 2);
    for place in &places {
        hand_made.assert_whole(place);
    }
}

#[test]
fn what_is_wrong_is_told_before_it_is_replaced() {
    let (hand_made, made) = HandMade::with_snapshots(0..2);
    let places = hand_made.places(3);
    let (source, shorter) = (made[0].data, made[1].snapshot);
    rot(&places[0], source);
    lose(&places[2], source);
    memory(&places[0]).damage(shorter, |bytes| bytes.truncate(5));
    let told = Arc::new(Mutex::new(Vec::new()));
    let (telling, place) = (Arc::clone(&told), Arc::clone(&places[0]));
    let tell = move |copy: &str, name: FileName| {
        let bytes = memory(&place).get(name).unwrap();
        let is_wrong = name.id() != Some(Id::of(&bytes));
        telling.lock().push((copy.to_owned(), name, is_wrong));
    };
    let options = SyncOptions {
        before_heal: Some(BeforeHeal(Arc::new(tell))),
        ..SyncOptions::default()
    };
    let report = hand_made.sync(&places, &options);
    assert_eq!(report.copies[0].healed.len(), 2);
    let of_one = |name| ("one".to_owned(), name, true);
    assert_eq!(*told.lock(), [of_one(source), of_one(shorter)]);
}

#[test]
fn what_is_whole_nowhere_is_said_and_not_spread() {
    let (hand_made, made) = HandMade::with_snapshots(0..2);
    let places = hand_made.places(3);
    for place in &places[..2] {
        rot(place, made[0].data);
    }
    lose(&places[2], made[0].data);
    let report = hand_made.sync(&places, &SyncOptions::default());
    assert!(!report.is_complete());
    assert_eq!(report.problems.len(), 1);
    assert!(report.problems[0].to_string().contains("one, two"));
    assert_eq!(report.copies[0].unmended, [made[0].data]);
    assert!(memory(&places[2]).get(made[0].data).is_none());
}

#[test]
fn what_is_wrong_wherever_it_is_is_lost_and_no_file_is_to_be_removed() {
    let (mut hand_made, made) = HandMade::with_snapshots(0..1);
    let key = hand_made.add_key(b"another password");
    let away = "if a copy that is away may have it, bring it back, then strongroom sync";
    for (name, rest) in [
        (made[0].data, "`strongroom backup` stores again"),
        (made[0].index, "make it anew from the packs"),
        (made[0].snapshot, "this snapshot is lost"),
        (key, ""),
    ] {
        let places = hand_made.places(3);
        rot(&places[0], name);
        rot(&places[1], name);
        lose(&places[2], name);
        let report = hand_made.sync(&places, &SyncOptions::default());
        let mut problems = report.problems.iter();
        let hint = problems
            .find(|problem| problem.name == name)
            .unwrap()
            .hint();
        assert!(hint.starts_with(away), "{hint}");
        assert!(hint.contains(rest), "{hint}");
        assert!(!hint.contains("rm "), "{hint}");
        assert_eq!(hint == away, name == key, "{hint}");
    }
}

#[test]
fn what_could_not_be_read_to_its_end_is_to_be_made_readable_and_is_not_lost() {
    for fault in [
        Fault::Denied,
        Fault::ShortRead(9),
        Fault::Io(ErrorKind::InvalidInput),
    ] {
        for is_elsewhere in [true, false] {
            let (mut hand_made, made) = HandMade::with_snapshots(0..1);
            let key = hand_made.add_key(b"another password");
            for name in [made[0].data, made[0].index, made[0].snapshot, key] {
                let spoil = |place: &Place| {
                    faults(place).add(Rule::on(&Op::READS, fault.clone()).named(name));
                };
                let hint = hint_of_the_last(&hand_made, name, is_elsewhere, spoil);
                assert!(hint.ends_with("), then: strongroom sync"), "{hint}");
            }
        }
    }
}

#[test]
fn what_is_listed_and_not_found_is_not_lost() {
    for is_elsewhere in [true, false] {
        let (hand_made, made) = HandMade::with_snapshots(0..1);
        for name in [made[0].data, made[0].index, made[0].snapshot] {
            hint_of_the_last(&hand_made, name, is_elsewhere, |place| lose(place, name));
        }
    }
}

/// What a sync says to do about a file that the second of three copies alone lists, where it is
/// spoilt once it was listed; the first has it wrong, or not at all. Nothing in it may cost bytes.
#[track_caller]
fn hint_of_the_last(
    hand_made: &HandMade,
    name: FileName,
    is_elsewhere: bool,
    spoil: impl Fn(&Place),
) -> String {
    let places = hand_made.places(3);
    match is_elsewhere {
        true => rot(&places[0], name),
        false => lose(&places[0], name),
    }
    lose(&places[2], name);
    let listed = hand_made.listed(&places);
    spoil(&places[1]);
    let (progress, cancel) = (Progress::default(), Cancel::default());
    let options = SyncOptions::default();
    let report = sync(&hand_made.repository, listed, &options, &progress, &cancel);
    let mut problems = report.problems.iter();
    let problem = problems.find(|problem| problem.name == name).unwrap();
    let hint = problem.hint();
    assert!(hint.starts_with("make it readable on two ("), "{hint}");
    let is_harmless = !hint.contains("rm ") && !hint.contains("lost");
    assert!(is_harmless, "{name}: {hint}");
    hint
}

#[test]
fn a_wrong_config_is_replaced() {
    let (hand_made, _) = HandMade::with_snapshots(0..1);
    let places = hand_made.places(2);
    memory(&places[1]).damage(FileName::CONFIG, |bytes| bytes.truncate(3));
    let report = hand_made.sync(&places, &SyncOptions::default());
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.copies[1].healed, [FileName::CONFIG]);
    hand_made.assert_whole(&places[1]);
}

#[test]
fn another_config_under_the_same_key_is_shown_and_left_alone() {
    let (hand_made, made) = HandMade::with_snapshots(0..1);
    let places = hand_made.places(3);
    let mut config = hand_made.repository.config().clone();
    config.version = 1;
    let other = config.seal(hand_made.repository.key()).unwrap();
    memory(&places[1]).put(FileName::CONFIG, &other);
    lose(&places[1], made[0].data);
    for decision in [Decision::Ask, Decision::Heal] {
        let options = SyncOptions {
            decision,
            ..SyncOptions::default()
        };
        let report = hand_made.sync(&places, &options);
        assert!(!report.is_complete());
        assert_eq!(report.copies[1].unmended, [FileName::CONFIG]);
        assert_eq!(report.problems.len(), 1);
        assert!(report.problems[0].to_string().contains("config on two"));
        assert!(report.problems[0].hint().contains("remove config in"));
        let config = memory(&places[1]).get(FileName::CONFIG).unwrap();
        assert_eq!(config.to_vec(), other);
        assert!(has(&places[1], made[0].data), "the rest is brought");
    }
}

#[test]
fn config_does_not_go_where_no_key_does() {
    let (hand_made, _) = HandMade::with_snapshots(0..1);
    let places = hand_made.places(2);
    let key = FileName::new(FileType::Keys, hand_made.repository.key_id());
    lose(&places[1], key);
    lose(&places[1], FileName::CONFIG);
    let options = SyncOptions {
        removed_keys: [hand_made.repository.key_id()].into(),
        ..SyncOptions::default()
    };
    let report = hand_made.sync(&places, &options);
    assert!(!report.is_complete());
    assert!(!has(&places[1], key) && !has(&places[1], FileName::CONFIG));
    hand_made.sync(&places, &SyncOptions::default());
    hand_made.assert_whole(&places[1]);
}

#[test]
fn a_removed_key_does_not_come_back_although_receipts_name_it() {
    let (mut hand_made, _) = HandMade::with_snapshots(0..1);
    let removed = hand_made.add_key(b"an old password");
    let places = hand_made.places(3);
    lose(&places[0], removed);
    lose(&places[1], removed);
    let id = removed.id().unwrap();
    let options = SyncOptions {
        known_keys: [id].into(),
        removed_keys: [id].into(),
        ..SyncOptions::default()
    };
    let report = hand_made.sync(&places, &options);
    assert!(!has(&places[0], removed) && !has(&places[1], removed));
    assert_eq!(report.junk.len(), 1);
    assert_eq!(report.junk[0].copies, ["three"]);
    assert_eq!(
        report.junk[0].advice,
        [format!("strongroom key remove {id}")]
    );
}

#[test]
fn locks_are_never_looked_at() {
    let (hand_made, made) = HandMade::with_snapshots(0..1);
    let places = hand_made.places(2);
    let lock = name_of(FileType::Locks, b"a lock");
    memory(&places[0]).put(lock, b"a lock");
    lose(&places[1], made[0].data);
    hand_made.sync(&places, &SyncOptions::default());
    let of_locks = |place: &crate::hand_made::Place| {
        let records = place.records();
        records
            .iter()
            .filter(|record| record.kind == Some(FileType::Locks))
            .count()
    };
    assert_eq!(places.iter().map(of_locks).sum::<usize>(), 0);
    assert!(memory(&places[1]).get(lock).is_none());
}

#[test]
fn a_file_beyond_the_budget_is_brought_all_the_same() {
    let (hand_made, made) = HandMade::with_snapshots(0..4);
    let places = hand_made.places(2);
    for made in &made {
        lose(&places[1], made.data);
    }
    let options = SyncOptions {
        memory_bytes: 10,
        ..SyncOptions::default()
    };
    assert!(hand_made.sync(&places, &options).is_complete());
}

#[test]
fn a_new_snapshot_that_no_copy_could_take_is_brought_to_those_that_have_its_files() {
    let (hand_made, made) = HandMade::with_snapshots(0..2);
    let places = hand_made.places(3);
    let new = made[1].snapshot;
    let bytes = memory(&places[0]).get(new).unwrap().to_vec();
    for place in &places {
        lose(place, new);
    }
    // One lacks what it needs, and nobody has that.
    let options = SyncOptions {
        new_snapshots: [(new.id().unwrap(), bytes)].into(),
        needs: [(new.id().unwrap(), vec![made[1].data])].into(),
        ..SyncOptions::default()
    };
    for place in &places {
        lose(place, made[1].data);
    }
    let report = hand_made.sync(&places, &options);
    assert!(!report.is_complete());
    assert!(places.iter().all(|place| !has(place, new)));

    let whole = hand_made.places(1);
    let all = [&whole[..], &places[1..]].concat();
    lose(&all[0], new);
    assert!(hand_made.sync(&all, &options).is_complete());
    for place in &all {
        hand_made.assert_whole(place);
    }
}
