//! What evidence claims, and what it must not forget.

use super::*;
use crate::attack::Verdict;

fn day(number: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + number * 86_400).unwrap()
}

pub(crate) fn verify(at: Timestamp, share: Share) -> Verify {
    Verify {
        at,
        by: Verifier::Us,
        share,
        decoded: false,
    }
}

fn broken(file: &str) -> (String, String) {
    (file.to_owned(), "its SHA-256 is another".to_owned())
}

#[test]
fn rotating_shares_vouch_for_everything_once_the_last_was_read() {
    let mut evidence = CopyEvidence::default();
    for number in 1..=3 {
        assert_eq!(evidence.every_byte_read_since(), None);
        evidence.record_verify(
            verify(day(number.into()), Share::Slice { number, of: 3 }),
            [],
        );
    }
    assert_eq!(evidence.every_byte_read_since(), Some(day(1)));
    evidence.record_verify(verify(day(4), Share::Slice { number: 1, of: 3 }), []);
    assert_eq!(evidence.every_byte_read_since(), Some(day(2)));
}

#[test]
fn what_was_read_of_one_place_does_not_vouch_for_another() {
    let place = |text: &str| Some(Id::of(text.as_bytes()));
    let mut evidence = CopyEvidence::default();
    evidence.move_to(place("old disk"));
    evidence.record_verify(verify(day(1), Share::All), [broken("data/a")]);
    evidence.record_verify(verify(day(2), Share::Slice { number: 1, of: 2 }), []);
    assert!(!evidence.move_to(place("old disk")));
    let kept = CopyEvidence::from_json(&evidence.to_json().unwrap()).unwrap();
    assert_eq!(kept, evidence);
    assert_eq!(evidence.every_byte_read_since(), Some(day(1)));

    assert!(evidence.move_to(place("new disk")));
    assert_eq!(evidence.every_byte_read_since(), None);
    assert_eq!(evidence.last_read(), None);
    assert!(evidence.damage().contains_key("data/a"));
    evidence.record_verify(verify(day(3), Share::Slice { number: 2, of: 2 }), []);
    assert_eq!(evidence.every_byte_read_since(), None);
    assert!(evidence.forget_readings());
    assert!(!evidence.forget_readings());
}

#[test]
fn what_one_bucket_showed_of_locks_and_attacks_does_not_hold_for_another() {
    let place = |text: &str| Some(Id::of(text.as_bytes()));
    let attack = AttackDrill {
        at: day(1),
        verdict: Verdict::Proven { until: None },
        principal: None,
        credential: None,
        receipt: None,
    };
    let mut evidence = CopyEvidence {
        lock: Some(ClaimedLock::again(None, day(1), day(30), 7)),
        attack: Some(attack),
        ..CopyEvidence::default()
    };
    evidence.adopt(place("bucket"));
    assert!(!evidence.is_elsewhere(place("bucket")));
    assert!(evidence.is_elsewhere(place("another")) && evidence.is_elsewhere(None));
    assert!(!evidence.move_to(place("bucket")) && !evidence.move_to(None));
    assert!(evidence.lock.is_some() && evidence.attack.is_some());
    assert!(evidence.move_to(place("another")));
    assert!(evidence.lock.is_none() && evidence.attack.is_none());
    assert!(!evidence.forget_shown());
}

#[test]
fn what_was_read_is_kept_where_the_place_was_not_noted_or_is_not_told() {
    let place = |text: &str| Id::of(text.as_bytes());
    let (old, new) = (place("old disk"), place("new disk"));
    let mut evidence = CopyEvidence::default();
    evidence.record_verify(verify(day(1), Share::Slice { number: 1, of: 1 }), []);
    // Of an earlier version, which noted no place.
    let mut adopted = evidence.clone();
    assert!(!adopted.is_at(None) && !adopted.lacks_place(None) && !adopted.lacks_place(Some(old)));
    adopted.adopt(Some(old));
    assert!(!evidence.move_to(Some(old)));
    assert_eq!(adopted, evidence);
    assert_eq!(evidence.every_byte_read_since(), Some(day(1)));
    adopted.adopt(Some(new));
    assert_eq!(adopted, evidence);

    assert!(evidence.is_at(Some(old)) && !evidence.is_at(Some(new)));

    // Its config is missing, and comes back.
    assert!(evidence.lacks_place(None) && !evidence.is_at(None));
    assert!(!evidence.move_to(None));
    assert_eq!(adopted, evidence);

    // It was healed by us, here or in another place.
    let rebound = |before, now| Rebound {
        before,
        now,
        at: day(2),
    };
    evidence.rebind(rebound(new, place("a third")));
    assert!(!evidence.move_to(Some(old)));
    evidence.rebind(rebound(old, new));
    assert!(!evidence.move_to(Some(new)));
    assert_eq!(evidence.every_byte_read_since(), Some(day(1)));
    // What went on meanwhile read the same place, and what began later another one.
    let json = evidence.to_json().unwrap();
    evidence = CopyEvidence::from_json(&json).unwrap();
    assert_eq!(evidence.place_of(Some(old), day(2)), Some(new));
    assert_eq!(evidence.place_of(Some(old), day(3)), Some(old));
    assert_eq!(evidence.place_of(None, day(1)), None);
    assert!(evidence.move_to(Some(old)));
    assert_eq!(evidence.every_byte_read_since(), None);
}

#[test]
fn parts_of_different_divisions_do_not_add_up() {
    let mut evidence = CopyEvidence::default();
    evidence.record_verify(verify(day(1), Share::Slice { number: 1, of: 2 }), []);
    evidence.record_verify(verify(day(2), Share::Slice { number: 2, of: 3 }), []);
    assert_eq!(evidence.every_byte_read_since(), None);
    evidence.record_verify(verify(day(3), Share::Slice { number: 9, of: 3 }), []);
    evidence.record_verify(verify(day(3), Share::Slice { number: 0, of: 0 }), []);
    assert_eq!(evidence.every_byte_read_since(), None);
}

#[test]
fn a_complete_rotation_outlives_a_new_division() {
    let mut evidence = CopyEvidence::default();
    evidence.record_verify(verify(day(1), Share::Slice { number: 1, of: 1 }), []);
    evidence.record_verify(verify(day(2), Share::Slice { number: 1, of: 5 }), []);
    assert_eq!(evidence.every_byte_read_since(), Some(day(1)));
}

#[test]
fn a_random_share_proves_nothing_of_the_whole() {
    let mut evidence = CopyEvidence::default();
    evidence.record_verify(verify(day(1), Share::Percent(99)), []);
    assert_eq!(evidence.every_byte_read_since(), None);
}

#[test]
fn damage_stays_until_it_is_healed_or_everything_was_read_again() {
    let mut evidence = CopyEvidence::default();
    evidence.record_verify(
        verify(day(1), Share::All),
        [broken("data/a"), broken("data/b")],
    );
    evidence.record_verify(verify(day(2), Share::Percent(5)), [broken("data/c")]);
    assert_eq!(evidence.damage().len(), 3);
    evidence.record_healed("data/a");
    evidence.record_verify(verify(day(3), Share::All), [broken("data/b")]);
    let left: Vec<_> = evidence.damage().iter().collect();
    assert_eq!(left.len(), 1);
    assert_eq!((left[0].0.as_str(), left[0].1.found), ("data/b", day(1)));
}

#[test]
fn what_somebody_finds_while_a_verify_goes_on_outlasts_it() {
    let mut evidence = CopyEvidence::default();
    let (file, reason) = broken("data/a");
    evidence.record_damage(day(1), file.clone(), reason.clone());
    // It is met again on the next day, while a verify that read it right before goes on.
    evidence.record_damage(day(2), file.clone(), reason.clone());
    evidence.record_damage(day(1), file.clone(), reason);
    evidence.record_verify(verify(day(1), Share::All), []);
    assert!(evidence.damage().contains_key(&file));
    evidence.record_verify(verify(day(2), Share::All), []);
    assert!(evidence.damage().is_empty());
}

#[test]
fn what_decoding_found_stays_until_decoding_does_not_find_it_or_the_file_is_nowhere() {
    let full = |number, decoded| Verify {
        decoded,
        ..verify(day(number), Share::All)
    };
    let mut evidence = CopyEvidence::default();
    let found = [broken("data/a"), broken("data/b"), broken("data/c")];
    evidence.record_verify(full(1, true), found);
    evidence.record_decoded("data/a");
    evidence.record_decoded("data/b");
    evidence.record_decoded("data/unknown");
    // A sync has read all of them, and their bytes have their names.
    for file in ["data/a", "data/b", "data/c"] {
        evidence.record_healed(file);
    }
    let names =
        |evidence: &CopyEvidence| -> Vec<String> { evidence.damage().keys().cloned().collect() };
    assert_eq!(names(&evidence), ["data/a", "data/b"]);
    let json = evidence.to_json().unwrap();
    evidence = CopyEvidence::from_json(&json).unwrap();
    evidence.record_verify(full(2, false), []);
    evidence.record_verify(
        verify(day(3), Share::Slice { number: 1, of: 2 }),
        [broken("data/a")],
    );
    assert_eq!(names(&evidence), ["data/a", "data/b"]);
    evidence.forget_decoded(|file| file != "data/b");
    // Whatever else is found in between.
    evidence.record_verify(full(4, false), [broken("data/a")]);
    assert!(evidence.damage()["data/a"].decoded);
    assert_eq!(evidence.damage()["data/a"].found, day(1));
    assert_eq!(names(&evidence), ["data/a"]);
    evidence.record_verify(full(5, true), []);
    assert_eq!(names(&evidence), [""; 0]);
}

#[test]
fn a_file_that_decoding_found_and_that_rots_afterwards_is_healed_and_stays_known() {
    let full = |number, decoded| Verify {
        decoded,
        ..verify(day(number), Share::All)
    };
    let is_as_written = |evidence: &CopyEvidence| evidence.damage()["index/a"].is_as_written();
    let mut evidence = CopyEvidence::default();
    evidence.record_verify(full(1, true), [broken("index/a")]);
    evidence.record_decoded("index/a");
    assert!(is_as_written(&evidence));
    evidence.record_verify(full(2, false), [broken("index/a")]);
    assert!(!is_as_written(&evidence));
    evidence.record_healed("index/a");
    assert!(is_as_written(&evidence));
    let (file, reason) = broken("index/a");
    evidence.record_damage(day(3), file, reason);
    assert!(!is_as_written(&evidence));
    // Every byte was read, and was right.
    evidence.record_verify(full(4, false), []);
    assert!(is_as_written(&evidence));
}

#[test]
fn damage_that_an_earlier_version_wrote_was_not_found_by_decoding() {
    let text = r#"{"version":1,"damage":{"data/a":{"found":"2026-11-20T00:00:00Z","reason":"x"}}}"#;
    let evidence = CopyEvidence::from_json(text.as_bytes()).unwrap();
    assert!(!evidence.damage()["data/a"].decoded);
}

#[test]
fn a_vault_vouches_for_what_it_has_read_and_clears_no_damage() {
    let mut evidence = CopyEvidence::default();
    evidence.record_verify(verify(day(1), Share::All), [broken("data/a")]);
    let mut word = VaultWord::asked(day(3));
    word.scrub = Some(crate::vault::Scrub {
        all_read: Some(day(2)),
        objects_read: 9,
        rotten: 0,
    });
    evidence.by_vault = Some(word);
    let read = Some((day(2), Verifier::Vault));
    assert_eq!(evidence.every_byte_read(), read);
    assert_eq!(evidence.last_read(), read);
    assert_eq!(evidence.damage().len(), 1);
    let json = evidence.to_json().unwrap();
    assert_eq!(CopyEvidence::from_json(&json).unwrap(), evidence);
    // What is newer counts, whoever read it.
    evidence.record_verify(verify(day(4), Share::Percent(5)), []);
    assert_eq!(evidence.every_byte_read(), read);
    assert_eq!(evidence.last_read(), Some((day(4), Verifier::Us)));
}

#[test]
fn what_a_newer_version_wrote_is_kept() {
    let text = r#"{"version":1,"last_whole":{},"weather":{"sky":"grey"}}"#;
    let mut evidence = CopyEvidence::from_json(text.as_bytes()).unwrap();
    evidence.record_verify(
        verify(day(1), Share::Slice { number: 1, of: 2 }),
        [broken("data/a")],
    );
    let json = evidence.to_json().unwrap();
    assert!(String::from_utf8_lossy(&json).contains("grey"));
    assert_eq!(CopyEvidence::from_json(&json).unwrap(), evidence);
}

#[test]
fn what_cannot_be_understood_is_refused() {
    let version = |text: &str| CopyEvidence::from_json(text.as_bytes()).unwrap_err();
    assert!(matches!(
        version(r#"{"version":2}"#),
        Error::UnknownVersion { version: 2, .. }
    ));
    assert!(matches!(
        version(r#"{"version":0}"#),
        Error::UnknownVersion { version: 0, .. }
    ));
    assert!(matches!(version("{}"), Error::Malformed { .. }));
    assert!(matches!(version(""), Error::Malformed { .. }));
}
