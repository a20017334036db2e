//! Copies that are full, away, or refuse.

use strongroom_engine::Cancel;
use strongroom_engine::progress::Progress;
use strongroom_engine::sync::{SyncOptions, SyncProblem, SyncProblemKind, sync, sync_session};
use strongroom_engine::verify::Depth;
use strongroom_model::{FileName, FileType};
use strongroom_testkit::{Fault, Op, Rule};

use crate::fixture::Fixture;
use crate::hand_made::{HandMade, Place, faults, has, lose, memory, rot};

fn empty(hand_made: &HandMade, place: &Place) {
    for name in hand_made.files.keys() {
        if ![FileType::Keys, FileType::Config].contains(&name.kind()) {
            lose(place, *name);
        }
    }
}

/// Asserts that nothing on a copy refers to what is not there.
fn assert_consistent(hand_made: &HandMade, place: &Place) {
    let depth = Depth::Decoded(&hand_made.repository);
    let report = hand_made.verify(std::slice::from_ref(place), depth);
    assert!(report.is_clean(), "{report:?}");
}

#[test]
fn a_full_copy_fails_alone_and_later_gets_the_rest() {
    let (hand_made, _) = HandMade::with_snapshots(0..5);
    let packs = hand_made
        .files
        .iter()
        .filter(|(name, _)| name.kind() == FileType::Data);
    let room: usize = packs.map(|(_, bytes)| bytes.len()).sum::<usize>() / 2;
    let places = hand_made.places(3);
    empty(&hand_made, &places[1]);
    empty(&hand_made, &places[2]);
    faults(&places[1]).set_room(Some(room as u64));
    let report = hand_made.sync(&places, &SyncOptions::default());
    let failure = report.copies[1].failure.as_ref().unwrap();
    assert!(failure.reason.contains("full"), "{failure:?}");
    assert!(report.copies[1].files_brought > 0);
    assert!(report.copies[1].lacking[&FileType::Data] > 0);
    assert!(
        places[1]
            .written()
            .iter()
            .all(|name| name.kind() == FileType::Data)
    );
    assert_consistent(&hand_made, &places[1]);
    assert!(report.copies[2].is_whole());
    hand_made.assert_whole(&places[2]);
    faults(&places[1]).heal();
    assert!(
        hand_made
            .sync(&places, &SyncOptions::default())
            .is_complete()
    );
    hand_made.assert_whole(&places[1]);
}

#[test]
fn a_copy_that_goes_away_at_any_moment_is_left_consistent() {
    let (hand_made, _) = HandMade::with_snapshots(0..3);
    let files = hand_made.files.len() as u64 - 2;
    for after in 0..files {
        let places = hand_made.places(3);
        empty(&hand_made, &places[1]);
        let away = if after % 2 == 0 {
            Fault::Unreachable
        } else {
            Fault::AnswerLost
        };
        faults(&places[1]).add(Rule::on(&Op::WRITES, away).after(after));
        let report = hand_made.sync(&places, &SyncOptions::default());
        assert!(report.copies[1].failure.is_some());
        assert!(report.copies[0].is_whole() && report.copies[2].is_whole());
        assert_consistent(&hand_made, &places[1]);
        faults(&places[1]).heal();
        assert!(
            hand_made
                .sync(&places, &SyncOptions::default())
                .is_complete()
        );
        hand_made.assert_whole(&places[1]);
    }
}

#[test]
fn a_source_that_goes_away_is_replaced_by_the_next() {
    let (hand_made, _) = HandMade::with_snapshots(0..3);
    let places = hand_made.places(3);
    empty(&hand_made, &places[2]);
    faults(&places[0]).add(Rule::on(&Op::READS, Fault::Unreachable).after(2));
    let report = hand_made.sync(&places, &SyncOptions::default());
    assert!(report.copies[0].failure.is_some());
    assert!(report.copies[2].is_whole(), "{report:?}");
    hand_made.assert_whole(&places[2]);
}

#[test]
fn a_copy_that_lets_nothing_be_replaced_is_reported_with_what_to_do() {
    let (hand_made, made) = HandMade::with_snapshots(0..2);
    let places = hand_made.places(2);
    rot(&places[1], made[0].data);
    faults(&places[1]).add(Rule::on(&[Op::Replace], Fault::Denied));
    let report = hand_made.heal(&places);
    assert!(!report.is_complete());
    assert_eq!(report.copies[1].unmended, [made[0].data]);
    assert!(report.copies[1].failure.is_none());
    let SyncProblemKind::NotReplaced { copy, hint, .. } = &report.problems[0].kind else {
        panic!("{report:?}");
    };
    assert_eq!(copy, "two");
    assert!(hint.contains("strongroom sync"), "{hint}");
}

#[test]
fn what_could_not_be_read_and_lets_itself_not_be_replaced_is_not_to_be_removed() {
    let (hand_made, made) = HandMade::with_snapshots(0..2);
    for is_wrong in [false, true] {
        let places = hand_made.places(3);
        match is_wrong {
            true => rot(&places[0], made[0].data),
            false => {
                let broken = Rule::on(&[Op::ReadRange], Fault::ShortRead(9));
                faults(&places[0]).add(broken.named(made[0].data));
            }
        }
        lose(&places[2], made[0].data);
        faults(&places[0]).add(Rule::on(&[Op::Replace], Fault::Denied));
        let report = hand_made.sync(&places, &SyncOptions::default());
        let [problem] = &report.problems[..] else {
            panic!("{report:?}");
        };
        let hint = problem.hint();
        let is_harmless = hint == "make it readable on one, then: strongroom sync";
        assert_eq!(is_harmless, !is_wrong, "{hint}");
        assert!(has(&places[2], made[0].data));
    }
}

#[test]
fn a_copy_that_may_not_be_read_is_still_written_to() {
    let (hand_made, made) = HandMade::with_snapshots(0..2);
    let places = hand_made.places(3);
    lose(&places[0], made[0].data);
    lose(&places[1], made[1].data);
    let listed = hand_made.listed(&places);
    faults(&places[1]).add(Rule::on(&Op::READS, Fault::Denied));
    let (progress, cancel) = (Progress::default(), Cancel::default());
    let options = SyncOptions::default();
    let report = sync(&hand_made.repository, listed, &options, &progress, &cancel);
    assert!(report.is_complete(), "{report:?}");
    for place in &places {
        hand_made.assert_whole(place);
    }
}

#[test]
fn a_copy_that_lists_another_size_and_may_not_be_read_is_not_called_whole() {
    let (hand_made, made) = HandMade::with_snapshots(0..1);
    for (is_right_elsewhere, is_replaced) in [(true, true), (true, false), (false, false)] {
        let places = hand_made.places(2);
        memory(&places[0]).damage(made[0].data, |bytes| bytes.truncate(9));
        let listed = hand_made.listed(&places);
        let denied = || Rule::on(&Op::READS, Fault::Denied).named(made[0].data);
        faults(&places[0]).add(denied());
        if !is_right_elsewhere {
            faults(&places[1]).add(denied());
        }
        if !is_replaced {
            faults(&places[0]).add(Rule::on(&[Op::Replace], Fault::Denied));
        }
        let (progress, cancel) = (Progress::default(), Cancel::default());
        let options = SyncOptions::default();
        let report = sync(&hand_made.repository, listed, &options, &progress, &cancel);
        assert_eq!(report.copies[0].is_whole(), is_replaced, "{report:?}");
        assert_eq!(report.is_complete(), is_replaced, "{report:?}");
        let is_named = |problem: &SyncProblem| problem.name == made[0].data;
        assert_eq!(report.problems.iter().any(is_named), !is_replaced);
        if is_replaced {
            assert_eq!(report.copies[0].healed, [made[0].data]);
            hand_made.assert_whole(&places[0]);
        }
    }
}

#[test]
fn an_interrupted_sync_goes_on_where_it_was() {
    let (hand_made, _) = HandMade::with_snapshots(0..3);
    let places = hand_made.places(2);
    empty(&hand_made, &places[1]);
    let cancel = Cancel::default();
    cancel.cancel();
    let listed = hand_made.listed(&places);
    let options = SyncOptions::default();
    let progress = Progress::default();
    let report = sync(&hand_made.repository, listed, &options, &progress, &cancel);
    assert!(report.was_interrupted && !report.is_complete());
    assert!(report.copies[0].is_whole() && !report.copies[1].is_whole());
    assert!(hand_made.sync(&places, &options).is_complete());
}

#[test]
fn wrong_bytes_that_appear_after_the_listing_are_replaced() {
    let (hand_made, made) = HandMade::with_snapshots(0..2);
    let places = hand_made.places(2);
    lose(&places[1], made[0].data);
    let listed = hand_made.listed(&places);
    memory(&places[1]).put(made[0].data, b"torn");
    let (progress, cancel) = (Progress::default(), Cancel::default());
    let options = SyncOptions::default();
    let report = sync(&hand_made.repository, listed, &options, &progress, &cancel);
    assert_eq!(report.copies[1].healed, [made[0].data]);
    assert!(report.is_complete() && has(&places[1], FileName::CONFIG));
    hand_made.assert_whole(&places[1]);
}

#[test]
fn what_is_removed_after_the_listing_is_brought_back_or_named() {
    let (hand_made, made) = HandMade::with_snapshots(0..2);
    let places = hand_made.places(3);
    lose(&places[2], made[0].data);
    lose(&places[2], made[1].snapshot);
    let listed = hand_made.listed(&places);
    lose(&places[0], made[0].data);
    lose(&places[0], made[1].snapshot);
    lose(&places[1], made[1].snapshot);
    let (progress, cancel) = (Progress::default(), Cancel::default());
    let options = SyncOptions::default();
    let report = sync(&hand_made.repository, listed, &options, &progress, &cancel);
    let [problem] = &report.problems[..] else {
        panic!("{:?}", report.problems);
    };
    assert_eq!(problem.name, made[1].snapshot);
    assert_eq!(report.copies[0].unmended, [made[1].snapshot]);
    assert!(!report.is_complete());
    for place in &places {
        assert!(has(place, made[0].data) && !has(place, made[1].snapshot));
    }
}

#[test]
fn a_place_without_a_repository_is_left_to_init() {
    let fixture = Fixture::new();
    std::fs::write(fixture.source().join("file"), "content").unwrap();
    fixture.backup();
    std::fs::remove_dir_all(fixture.copy_path("two")).unwrap();
    let (progress, cancel) = (Progress::default(), Cancel::default());
    let options = SyncOptions::default();
    let report = sync_session(&fixture.open(), &options, &progress, &cancel);
    let names: Vec<_> = report
        .copies
        .iter()
        .map(|copy| copy.name.as_str())
        .collect();
    assert_eq!(names, ["one", "two", "three"]);
    let failure = report.copies[1].failure.as_ref().unwrap();
    assert!(failure.hint.as_ref().unwrap().contains("strongroom init"));
    assert!(!fixture.copy_path("two").exists());
    assert!(!report.is_complete());
}
