//! A client sees when the log that it remembers was cut, forked or replaced.

use proptest::prelude::*;
use strongroom_ledger::{
    Checkpoint, Hash, KeyKind, Remembered, SignedCheckpoint, Signer, Verdict, consistency_proof,
};

use crate::scene::{Files, LogFolder, ORIGIN, entry, log_key};

fn note(log: &LogFolder) -> String {
    log.signed().note().to_string()
}

fn remembered(size: u64) -> Remembered {
    let note = note(&LogFolder::new(size));
    Remembered::first(log_key().verifier().clone(), note.as_bytes()).unwrap()
}

fn proof(old: u64, new: u64) -> Vec<Hash> {
    consistency_proof(Files::of(new).0, old, new).unwrap()
}

/// The log as the attacker would have it: leaf 3 is another.
fn rewritten(size: u64) -> LogFolder {
    let mut log = LogFolder::new(3);
    log.grow(size, |number| match number {
        3 => b"nothing happened".to_vec(),
        _ => entry(number),
    });
    log
}

#[test]
fn a_log_that_went_on_is_remembered_anew() {
    let new = note(&LogFolder::new(9));
    let verdict = remembered(5).check(new.as_bytes(), &proof(5, 9));
    assert!(verdict.hint().is_none());
    let Verdict::Grown(grown) = verdict else {
        panic!("{verdict}");
    };
    assert_eq!(grown.last().checkpoint().size(), 9);
    assert_eq!(grown.key(), log_key().verifier());
    let verdict = grown.check(new.as_bytes(), &[]);
    assert!(matches!(verdict, Verdict::Same), "{verdict}");
}

#[test]
fn a_log_that_began_empty_may_grow_to_anything() {
    let new = note(&LogFolder::new(9));
    let verdict = remembered(0).check(new.as_bytes(), &[]);
    assert!(matches!(verdict, Verdict::Grown(_)), "{verdict}");
}

#[test]
fn a_shorter_log_is_an_alarm_whether_it_is_an_old_state_or_another_one() {
    let old = note(&LogFolder::new(5));
    let verdict = remembered(9).check(old.as_bytes(), &proof(5, 9));
    assert!(matches!(verdict, Verdict::Behind { .. }), "{verdict}");
    assert_eq!(
        verdict.to_string(),
        "The log vault.example/log went back: it had 9 leaves, now it has the first 5 of them"
    );
    assert!(verdict.hint().is_some());
    for (note, proof) in [(old, vec![]), (note(&rewritten(5)), proof(5, 9))] {
        let verdict = remembered(9).check(note.as_bytes(), &proof);
        assert!(matches!(verdict, Verdict::Shrunk { .. }), "{verdict}");
        assert!(verdict.hint().is_some());
    }
}

#[test]
fn a_rewritten_log_is_an_alarm_at_any_size() {
    let verdict = remembered(9).check(note(&rewritten(9)).as_bytes(), &[]);
    assert!(matches!(verdict, Verdict::Forked { .. }), "{verdict}");
    assert!(verdict.hint().is_some() && verdict.to_string().contains("was rewritten"));
    for proof in [proof(9, 12), vec![], vec![Hash::empty(); 70]] {
        let verdict = remembered(9).check(note(&rewritten(12)).as_bytes(), &proof);
        assert!(matches!(verdict, Verdict::Unproven { .. }), "{verdict}");
        assert!(verdict.hint().is_some());
    }
}

#[test]
fn another_key_or_another_log_is_an_alarm() {
    let root = LogFolder::new(9).edge.root();
    let sign = |name: &str, seed| {
        let key = Signer::from_seed(KeyKind::Log, name, &[seed; 32]).unwrap();
        let state = Checkpoint::new(name, 9, root).unwrap();
        SignedCheckpoint::sign(state, &key)
            .unwrap()
            .note()
            .to_string()
    };
    let verdict = remembered(5).check(sign(ORIGIN, 8).as_bytes(), &proof(5, 9));
    assert!(matches!(verdict, Verdict::OtherKey { .. }), "{verdict}");
    assert!(verdict.hint().is_some());
    let verdict = remembered(5).check(sign("other", 7).as_bytes(), &proof(5, 9));
    assert!(matches!(verdict, Verdict::OtherLog { .. }), "{verdict}");
    assert!(verdict.hint().is_some());
    let verdict = remembered(5).check(b"<html>502 Bad Gateway</html>", &[]);
    assert!(matches!(verdict, Verdict::Unreadable(_)), "{verdict}");
    assert!(verdict.hint().is_some());
}

#[test]
fn a_memory_is_stored_and_read_strictly() {
    let memory = remembered(5);
    let text = memory.to_string();
    assert!(text.starts_with("strongroom-log 1\nvault.example/log+"));
    assert_eq!(Remembered::parse(text.as_bytes()).unwrap(), memory);
    let key = log_key().verifier().to_string();
    let other = Signer::from_seed(KeyKind::Log, ORIGIN, &[8; 32]).unwrap();
    for bad in [
        String::new(),
        "strongroom-log 1\n".to_owned(),
        format!("strongroom-log 1\n{key}\n"),
        text.replacen("log 1", "log 2", 1),
        text.replacen(&key, &other.verifier().to_string(), 1),
        text.replacen("\n5\n", "\n4\n", 1),
        format!("\n{text}"),
        format!("{text}\n"),
        text.replace('\n', "\r\n"),
    ] {
        assert!(Remembered::parse(bad.as_bytes()).is_err(), "{bad:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn only_a_log_that_goes_on_is_not_an_alarm(
        old in 4..40u64,
        new in 4..40u64,
        honest in any::<bool>(),
        cut in any::<bool>(),
    ) {
        let log = if honest { LogFolder::new(new) } else { rewritten(new) };
        let mut proof = proof(old.min(new), old.max(new));
        if cut {
            proof.pop();
        }
        let is_proved = !cut || old == new;
        let verdict = remembered(old).check(note(&log).as_bytes(), &proof);
        prop_assert_eq!(verdict.hint().is_some(), !(honest && new >= old && is_proved), "{}", verdict);
    }
}
