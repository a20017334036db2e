//! Lives that are not left to chance: of receipts that hold a purge back, and of rot that is told
//! and healed. Each is led without a death, and shows then that what it tells of has happened; and
//! with a death at each place at which the vault may die of it, of which there is time for some.

use strongroom_vault::rules::clock::HOUR_MS;

use crate::vault::model::acts::{Act, Claim, Crash, NEVER, Rot, Sent, Step, Told, Who, beginning};
use crate::vault::model::is_thorough;
use crate::vault::model::play::Play;

/// Of so many deaths one is died where there is little time; no divisor of how many ways to die
/// there are.
const LITTLE_TIME: usize = 17;

/// Where it may die of bytes that come.
const OF_PUT: [Crash; 5] = [
    Crash::Stage,
    Crash::Write,
    Crash::BeforePublish,
    Crash::AfterPublish,
    Crash::Settled,
];

fn put(who: Who, repository: usize, number: u8) -> Act {
    Act::Put(who, repository, number, Sent::Whole)
}

fn remove(repository: usize, number: u8) -> Act {
    Act::Remove(Who::Maintain, repository, number)
}

fn claim(who: Who, client: u8, snapshot: u8, files: &[u8], told: Told) -> Act {
    let claim = Claim {
        client,
        snapshot,
        files: files.to_vec(),
        config: 0,
        told,
    };
    Act::Claim(who, 0, claim)
}

/// Of the first repository, in which a receipt names key 2, pack 7 and index file 13 for snapshot
/// 16.
fn of_receipts() -> Vec<Act> {
    vec![
        put(Who::Append, 0, 8),
        put(Who::Append, 0, 9),
        put(Who::Append, 0, 17),
        remove(0, 7),
        remove(0, 8),
        remove(0, 9),
        // For a snapshot that was never put: that holds nothing.
        claim(Who::Report, 2, NEVER + 3, &[8], Told::Anew),
        // For one that is, of a pack that is a tombstone already, and of one that never was.
        claim(Who::Report, 2, 17, &[9, NEVER], Told::Behind(0)),
        // Whoever lies cannot take back what was told before.
        claim(Who::Append, 1, 16, &[], Told::Behind(0)),
        claim(Who::Append, 1, 16, &[], Told::Again),
        claim(Who::Append, 1, 16, &[], Told::Anew),
        claim(Who::Append, 1, 16, &[13], Told::Unknown),
        claim(Who::Append, 2, 16, &[13], Told::Anew),
        Act::Agree(0),
        Act::Pass(2 * HOUR_MS),
        Act::Pass(2 * HOUR_MS),
        // 8 goes, 7 and 9 do not.
        Act::Purge,
        remove(0, 16),
        Act::Agree(0),
        Act::Pass(2 * HOUR_MS),
        // The snapshot goes, and with it what kept 7; that goes the next time.
        Act::Purge,
        Act::Purge,
        // What comes again is a body of its own, and the old receipts hold it when their snapshot
        // is put again.
        put(Who::Append, 0, 7),
        put(Who::Append, 0, 16),
        claim(Who::Append, 1, 16, &[7], Told::Behind(1)),
        remove(0, 7),
        Act::Agree(0),
        Act::Pass(2 * HOUR_MS),
        Act::Pass(2 * HOUR_MS),
        Act::Purge,
    ]
}

fn of_rot() -> Vec<Act> {
    let get = |repository, number| Act::Get(Who::Read, repository, number, None);
    vec![
        Act::Rot(0, 7, Rot::Changed),
        Act::Rot(0, 13, Rot::Missing),
        Act::Rot(1, 16, Rot::Short),
        get(0, 7),
        get(0, 13),
        Act::Get(Who::Read, 1, 16, Some((40, 20))),
        Act::Scrub,
        // Nothing is told twice, not even where it gets worse.
        Act::Rot(0, 7, Rot::Missing),
        Act::Scrub,
        // Only whole and right bytes heal it.
        Act::Put(Who::Append, 0, 7, Sent::Half),
        Act::Put(Who::Append, 0, 7, Sent::Wrong),
        put(Who::Append, 0, 7),
        get(0, 7),
        // Somebody else may as well; and what was asked to be deleted is read too.
        put(Who::Limited, 0, 13),
        remove(1, 16),
        Act::Scrub,
        put(Who::Maintain, 1, 16),
        get(1, 16),
        // What nobody has told of yet is healed and told by who puts it.
        Act::Rot(0, 2, Rot::Changed),
        put(Who::Append, 0, 2),
        Act::Scrub,
        // And what is purged is rotten no more.
        put(Who::Append, 1, 8),
        Act::Rot(1, 8, Rot::Missing),
        Act::Scrub,
        remove(1, 8),
        Act::Agree(1),
        Act::Pass(2 * HOUR_MS),
        Act::Pass(2 * HOUR_MS),
        Act::Purge,
        Act::Scrub,
    ]
}

/// Leads a life, in which the vault dies at one place or not at all.
fn lead(story: &[Act], death: Option<(usize, Crash)>) -> Play {
    let mut play = Play::new();
    for step in &beginning() {
        play.step(step);
    }
    for (place, act) in story.iter().enumerate() {
        let crash = death.filter(|(of, _)| *of == place);
        play.step(&Step {
            act: act.clone(),
            crash: crash.map(|(_, crash)| crash),
        });
    }
    play.end();
    play
}

/// Where the vault may die of an act.
fn deaths_of(act: &Act) -> Vec<Crash> {
    let (bodies, commits): (&[Crash], u8) = match act {
        Act::Put(..) => (&OF_PUT, 2),
        Act::Purge => (&[Crash::BeforeRemove, Crash::AfterRemove], 6),
        Act::Scrub => (&[], 6),
        Act::Claim(..) => (&[], 3),
        _ => (&[], 0),
    };
    let of_commits = (0..commits).flat_map(|at| [Crash::BeforeCommit(at), Crash::AfterCommit(at)]);
    bodies.iter().copied().chain(of_commits).collect()
}

fn die_everywhere(story: &[Act]) {
    let places = story.iter().enumerate();
    let deaths = places.flat_map(|(place, act)| {
        let of_act = deaths_of(act).into_iter();
        of_act.map(move |crash| (place, crash))
    });
    let step = match is_thorough() {
        true => 1,
        false => LITTLE_TIME,
    };
    for death in deaths.step_by(step) {
        lead(story, Some(death));
    }
}

#[test]
fn what_a_receipt_names_outlasts_its_time_and_goes_behind_its_snapshot() {
    let story = of_receipts();
    let places = story.iter().enumerate();
    let purges = places.filter(|(_, act)| matches!(act, Act::Purge));
    let purges: Vec<usize> = purges.map(|(place, _)| place).collect();
    let until = |purge: usize| lead(&story[..=purges[purge]], None);
    let first = until(0);
    assert_eq!(first.held_back, 2);
    assert_eq!(
        [7, 8, 9].map(|number| first.has(0, number)),
        [true, false, true]
    );
    let second = until(1);
    assert_eq!(
        [7, 9, 16].map(|number| second.has(0, number)),
        [true, true, false]
    );
    let third = until(2);
    assert_eq!([7, 9].map(|number| third.has(0, number)), [false, true]);
    let last = lead(&story, None);
    assert_eq!([7, 9].map(|number| last.has(0, number)), [true, true]);
    assert!(last.held_back > third.held_back);
}

#[test]
fn receipts_hold_whenever_the_vault_dies() {
    die_everywhere(&of_receipts());
}

#[test]
fn rot_is_told_once_and_healed_by_who_puts_sound_bytes() {
    let story = of_rot();
    let found = lead(&story[..=6], None);
    assert_eq!((found.rotten(), found.told("rotten")), (3, 3));
    let again = lead(&story[..=8], None);
    assert_eq!((again.rotten(), again.told("rotten")), (3, 3));
    let last = lead(&story, None);
    assert_eq!((last.told("rotten"), last.told("healed")), (4, 4));
    assert!(!last.has(1, 8));
    assert_eq!(last.rotten(), 0);
}

#[test]
fn rot_is_told_and_healed_whenever_the_vault_dies() {
    die_everywhere(&of_rot());
}
