//! Logs that go on, and logs that do not.

use strongroom_ledger::{Checkpoint, KeyKind, Signer, TileSource, consistency_proof};
use strongroom_model::vault::{NewLog, VaultTime, Witnessed};

use super::*;

const ORIGIN: &str = "vault.example/log";

/// A log in memory: its leaves, and the key that signs it.
struct Log {
    leaves: Vec<Hash>,
    signer: Signer,
}

impl Log {
    fn new(seed: u8, leaves: &[&str]) -> Self {
        Self {
            leaves: leaves
                .iter()
                .map(|leaf| Hash::leaf(leaf.as_bytes()))
                .collect(),
            signer: Signer::from_seed(KeyKind::Log, ORIGIN, &[seed; 32]).unwrap(),
        }
    }

    /// The root over the first leaves, as RFC 6962 defines it.
    fn root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Hash::empty(),
            [leaf] => *leaf,
            many => {
                let split = many.len().next_power_of_two() / 2;
                let (left, right) = many.split_at(split);
                Hash::node(&Self::root(left), &Self::root(right))
            }
        }
    }

    fn note(&self) -> String {
        let size = self.leaves.len() as u64;
        let checkpoint = Checkpoint::new(ORIGIN, size, Self::root(&self.leaves)).unwrap();
        let signed = SignedCheckpoint::sign(checkpoint, &self.signer).unwrap();
        signed.note().to_string()
    }

    fn info(&self) -> VaultInfo {
        VaultInfo {
            version: "1".to_owned(),
            origin: ORIGIN.to_owned(),
            log_key: self.signer.verifier().to_string(),
            runs_in: None,
            objects_in: Vec::new(),
            time: VaultTime {
                wall: Timestamp::UNIX_EPOCH,
                vault: Timestamp::UNIX_EPOCH,
                doubted: false,
            },
            sealed: false,
            new_log: None,
        }
    }

    fn remembered(&self) -> Remembered {
        first(&self.info(), self.note().as_bytes()).unwrap()
    }

    /// What it answers to whoever remembers `old` leaves.
    fn answer(&self, old: usize) -> Consistency {
        let (old, new) = (old as u64, self.leaves.len() as u64);
        let proof = match old <= new {
            true => consistency_proof(Leaves(&self.leaves), old, new).unwrap(),
            false => Vec::new(),
        };
        Consistency {
            checkpoint: self.note(),
            proof: proof.iter().map(ToString::to_string).collect(),
            witnessed: None,
        }
    }
}

fn judge(remembered: Option<Remembered>, log: &Log) -> LogState {
    let old = remembered
        .as_ref()
        .map_or(0, |log| log.last().checkpoint().size());
    let answer = log.answer(old as usize);
    scene().judge(remembered, &log.info(), &answer)
}

fn scene() -> Scene<'static> {
    Scene {
        vault: "https://vault.example/",
        now: Timestamp::UNIX_EPOCH,
    }
}

fn alarm(state: LogState) -> VaultAlarm {
    match state {
        LogState::Alarm(alarm) => *alarm,
        other => panic!("{other:?}"),
    }
}

const FIVE: [&str; 5] = ["a", "b", "c", "d", "e"];

#[test]
fn a_log_is_trusted_at_first_and_then_has_to_go_on() {
    let log = Log::new(1, &FIVE[..3]);
    let LogState::First(first) = judge(None, &log) else {
        panic!("first");
    };
    assert_eq!(first.last().checkpoint().size(), 3);
    assert!(matches!(
        judge(Some(*first.clone()), &log),
        LogState::Same(_)
    ));
    let grown = Log::new(1, &FIVE);
    let LogState::Grown(grown) = judge(Some(*first), &grown) else {
        panic!("grown");
    };
    assert_eq!(grown.last().checkpoint().size(), 5);
}

#[test]
fn whatever_does_not_go_on_is_an_alarm_with_both_checkpoints() {
    let old = Log::new(1, &FIVE[..3]);
    let other_key = Log::new(2, &FIVE);
    let mut rewritten = FIVE;
    rewritten[1] = "B";
    for (log, expected) in [
        (Log::new(1, &rewritten[..3]), "was rewritten"),
        (Log::new(1, &rewritten), "does not prove"),
        (Log::new(1, &FIVE[..2]), "was rewritten or cut"),
        (other_key, "is not signed by the key"),
    ] {
        let found = alarm(judge(Some(old.remembered()), &log));
        assert!(found.text.contains(expected), "{}", found.text);
        assert_eq!(found.remembered, old.remembered().to_string());
        assert_eq!(found.came, Some(log.note()));
        assert!(!found.hint.is_empty());
    }
}

#[test]
fn a_proof_that_cannot_be_read_proves_nothing() {
    let (old, new) = (Log::new(1, &FIVE[..3]), Log::new(1, &FIVE));
    for proof in [
        vec!["not base64".to_owned()],
        vec![Hash::empty().to_string(); LONGEST_PROOF + 1],
        Vec::new(),
    ] {
        let answer = Consistency {
            checkpoint: new.note(),
            proof,
            witnessed: None,
        };
        let state = scene().judge(Some(old.remembered()), &new.info(), &answer);
        assert!(alarm(state).text.contains("does not prove"));
    }
}

#[test]
fn what_is_no_checkpoint_is_not_believed_at_first_and_an_alarm_later() {
    let log = Log::new(1, &FIVE[..3]);
    let answer = Consistency {
        checkpoint: "<html>".to_owned(),
        proof: Vec::new(),
        witnessed: None,
    };
    let state = scene().judge(None, &log.info(), &answer);
    assert!(matches!(state, LogState::Unseen(_)), "{state:?}");
    let found = alarm(scene().judge(Some(log.remembered()), &log.info(), &answer));
    assert!(
        found.text.contains("as a checkpoint is none"),
        "{}",
        found.text
    );
    assert_eq!(found.came.as_deref(), Some("<html>"));
    assert!(!found.hint.is_empty());
    // A key of another name, and a key that did not sign.
    let mut info = log.info();
    info.origin = "other.example/log".to_owned();
    let state = scene().judge(None, &info, &log.answer(0));
    assert!(matches!(state, LogState::Unseen(_)), "{state:?}");
    let state = scene().judge(None, &Log::new(2, &[]).info(), &log.answer(0));
    assert!(matches!(state, LogState::Unseen(_)), "{state:?}");
}

#[test]
fn a_vault_that_was_restored_says_so_and_is_an_alarm_all_the_same() {
    let old = Log::new(1, &FIVE);
    let new = Log::new(2, &FIVE[..1]);
    let told = |before: String| {
        let mut info = new.info();
        info.new_log = Some(NewLog { before });
        let state = scene().judge(Some(old.remembered()), &info, &new.answer(5));
        alarm(state).text
    };
    let text = told(Log::new(1, &FIVE[..3]).note());
    assert!(
        text.contains("at leaf 3 of the 5 that are remembered"),
        "{text}"
    );
    let text = told(new.note());
    assert!(text.contains("its old key did not sign"), "{text}");
}

#[test]
fn a_cosigned_checkpoint_counts_where_the_log_goes_on_from_it_and_its_key_has_signed_it() {
    let (known, new) = (Log::new(1, &FIVE[..2]), Log::new(1, &FIVE));
    let judged = |shown: &Log, proof: Vec<Hash>| {
        let mut answer = new.answer(2);
        answer.witnessed = Some(Witnessed {
            checkpoint: shown.note(),
            proof: proof.iter().map(ToString::to_string).collect(),
        });
        let state = scene().judge(Some(known.remembered()), &new.info(), &answer);
        assert!(matches!(state, LogState::Grown(_)), "{state:?}");
        state.witnessed(&answer)
    };
    let proof = |old| consistency_proof(Leaves(&new.leaves), old, 5).unwrap();
    let found = judged(&Log::new(1, &FIVE[..3]), proof(3)).unwrap();
    assert_eq!(found.checkpoint().size(), 3);
    let found = judged(&new, Vec::new()).unwrap();
    assert_eq!(found.checkpoint().size(), 5);
    // Of another past, by another key, or with another proof.
    let mut other = FIVE;
    other[0] = "another";
    assert!(judged(&Log::new(1, &other[..3]), proof(3)).is_none());
    assert!(judged(&Log::new(2, &FIVE[..3]), proof(3)).is_none());
    assert!(judged(&Log::new(1, &FIVE[..3]), proof(2)).is_none());
    // Where the log itself is an alarm, nothing is said of it.
    let mut answer = new.answer(2);
    answer.witnessed = Some(Witnessed {
        checkpoint: new.note(),
        proof: Vec::new(),
    });
    let state = scene().judge(
        Some(Log::new(1, &other[..2]).remembered()),
        &new.info(),
        &answer,
    );
    assert!(matches!(state, LogState::Alarm(_)), "{state:?}");
    assert!(state.witnessed(&answer).is_none());
}

#[test]
fn a_server_that_is_no_vault_any_more_is_an_alarm() {
    let log = Log::new(1, &FIVE[..3]);
    let found = alarm(scene().gone(&log.remembered()));
    assert!(found.text.contains("of 3 leaves"), "{}", found.text);
    assert_eq!(found.came, None);
}

#[test]
fn a_proof_that_is_withheld_is_an_alarm_after_three_contacts_over_a_day() {
    let log = Log::new(1, &FIVE[..3]).remembered();
    let after = |hours: i64, contacts| {
        let scene = Scene {
            now: Timestamp::from_second(hours * 3600).unwrap(),
            ..scene()
        };
        let since = Timestamp::UNIX_EPOCH;
        scene.withheld(
            &log,
            Withheld {
                since,
                contacts,
                after_writing: false,
            },
            "it answers 500",
        )
    };
    assert!(after(23, 100).is_none());
    assert!(after(100, 2).is_none());
    let found = alarm(after(24, 3).unwrap());
    for part in ["has not shown since", "at 3 contacts", "it answers 500"] {
        assert!(found.text.contains(part), "{}", found.text);
    }
    assert_eq!(found.remembered, log.to_string());
    let found = alarm(scene().denied(&log));
    assert!(
        found.text.contains("now says that it has none"),
        "{}",
        found.text
    );
}

/// Tiles made from leaves, for proofs; so small a log has one.
struct Leaves<'a>(&'a [Hash]);

impl TileSource for Leaves<'_> {
    fn tile(&self, _: u8, _: u64, width: u16) -> strongroom_ledger::Result<Vec<Hash>> {
        Ok(self.0[..usize::from(width)].to_vec())
    }
}
