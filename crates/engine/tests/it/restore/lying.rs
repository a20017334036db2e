//! Copies that list what they do not give: what others have is restored, and soon.

use std::collections::BTreeSet;

use strongroom_engine::Listing;
use strongroom_engine::progress::Progress;
use strongroom_engine::restore::report::RestoreReport;
use strongroom_engine::restore::{RestoreOptions, restore};
use strongroom_engine::session::{CopyState, Looking, ReadyCopy, Session, SessionCopy};
use strongroom_model::{FileName, FileType};
use strongroom_repo::index::IndexFile;
use strongroom_testkit::{Fault, Op, Rule};

use crate::fixture::environment;
use crate::hand_made::{HandMade, Place, copies, faults, indexed, lose, memory, name_of};

/// The places as copies; all but the first are behind a network.
fn session(hand_made: &HandMade, places: &[Place]) -> Session {
    let copies = copies(places).into_iter().enumerate();
    let copies = copies.map(|(number, mut copy)| {
        copy.is_local = number == 0;
        let ready = ReadyCopy {
            doubts: BTreeSet::new(),
            removed: Vec::new(),
            listing: Listing::read(copy.store.as_ref()).unwrap(),
            config_is_right: true,
        };
        let state = CopyState::Ready(Box::new(ready));
        SessionCopy { copy, state }
    });
    let repository = hand_made.repository.clone();
    Session::new(repository, copies.collect(), Looking::default())
}

fn restore_from(session: &mut Session, snapshot: FileName) -> RestoreReport {
    let work = tempfile::tempdir().unwrap();
    let target = work.path().join("target");
    let (options, environment) = (RestoreOptions::default(), environment("testhost"));
    let progress = Progress::default();
    let id = snapshot.id().unwrap();
    let report = restore(session, id, &target, &options, &environment, &progress).unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.restored.files, 1);
    report
}

/// Packs and index files that are none.
fn junk(kind: FileType, count: u32) -> impl Iterator<Item = (FileName, Vec<u8>)> {
    (0..count).map(move |number| {
        let bytes = format!("junk {number}").into_bytes();
        (name_of(kind, &bytes), bytes)
    })
}

#[test]
fn a_lead_that_shows_old_index_files_hides_no_place_that_others_have() {
    let mut hand_made = HandMade::new();
    let made = hand_made.add_snapshot("0");
    // The same blobs, as they lay in packs that a prune has removed since.
    let old: Vec<_> = (0..12)
        .map(|_| {
            let (data, _, _) = hand_made.packs_of("0");
            let index = hand_made.add_index(&IndexFile {
                packs: vec![indexed(&data)],
            });
            (hand_made.add(FileType::Data, data.bytes), index)
        })
        .collect();
    let places = hand_made.places(3);
    let [lead, honest @ ..] = &places[..] else {
        panic!()
    };
    for (pack, index) in &old {
        faults(lead).add(Rule::on(&Op::READS, Fault::NotFound).named(*pack));
        for place in honest {
            lose(place, *pack);
            lose(place, *index);
        }
    }
    lose(lead, made.data);
    let report = restore_from(&mut session(&hand_made, &places), made.snapshot);
    assert_eq!(report.lead, "one");
}

#[test]
fn a_copy_that_went_away_is_not_asked_for_each_pack_that_it_listed() {
    let (hand_made, made) = HandMade::with_snapshots(0..1);
    let places = hand_made.places(2);
    for place in &places {
        lose(place, made[0].index);
    }
    for (name, bytes) in junk(FileType::Data, 500) {
        memory(&places[1]).put(name, &bytes);
    }
    let mut session = session(&hand_made, &places);
    faults(&places[1]).set_unreachable(true);
    places[1].clear();
    let report = restore_from(&mut session, made[0].snapshot);
    let asked = places[1].tally(&Op::READS, FileType::Data).calls;
    assert!((1..20).contains(&asked), "{asked}");
    assert!(report.notes.len() < 40, "{:?}", report.notes);
}

#[test]
fn a_copy_that_lists_files_without_end_is_not_asked_for_all() {
    let (hand_made, made) = HandMade::with_snapshots(0..1);
    let places = hand_made.places(2);
    for place in &places {
        lose(place, made[0].index);
    }
    for kind in [FileType::Index, FileType::Data] {
        for (name, bytes) in junk(kind, 3000) {
            memory(&places[1]).put(name, &bytes);
        }
    }
    let mut session = session(&hand_made, &places);
    places[1].clear();
    let report = restore_from(&mut session, made[0].snapshot);
    for kind in [FileType::Index, FileType::Data] {
        let asked = places[1].tally(&Op::READS, kind).calls;
        assert!((1..60).contains(&asked), "{asked} of {kind:?}");
    }
    assert!(report.notes.len() < 100, "{}", report.notes.len());
    let given_up = |note: &&String| note.starts_with("two lists too much in ");
    assert_eq!(report.notes.iter().filter(given_up).count(), 2);
}

#[test]
fn one_pack_of_ours_under_many_names_is_not_read_under_all() {
    let (hand_made, made) = HandMade::with_snapshots(0..1);
    let places = hand_made.places(2);
    for place in &places {
        lose(place, made[0].index);
    }
    let pack = memory(&places[0]).get(made[0].data).unwrap().to_vec();
    for (name, _) in junk(FileType::Data, 1000) {
        memory(&places[1]).put(name, &pack);
    }
    let mut session = session(&hand_made, &places);
    places[1].clear();
    restore_from(&mut session, made[0].snapshot);
    let asked = places[1].tally(&Op::READS, FileType::Data).calls;
    assert!((1..120).contains(&asked), "{asked}");
}

#[test]
fn what_junk_was_put_beside_is_found_where_no_copy_is_without_it() {
    for count in [1, 2] {
        for without_index in [false, true] {
            let (mut hand_made, made) = HandMade::with_snapshots(0..1);
            for kind in [FileType::Index, FileType::Data] {
                for (name, bytes) in junk(kind, 200) {
                    hand_made.files.insert(name, bytes);
                }
            }
            let places = hand_made.places(count);
            if without_index {
                places.iter().for_each(|place| lose(place, made[0].index));
            }
            restore_from(&mut session(&hand_made, &places), made[0].snapshot);
        }
    }
}
