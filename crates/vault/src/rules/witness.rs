//! When a witness is asked to cosign, and what its answers mean.
//!
//! A witness that is away, slow or wrong must cost the log nothing: it is asked beside the log's
//! own work, less and less often, and what the log publishes never waits for it.

use strongroom_ledger::witness::Answer;

use crate::rules::clock::{MINUTE_MS, SECOND_MS};

/// How often at most a witness is asked.
const PAUSE_MS: i64 = 5 * SECOND_MS;

/// How old a cosignature gets before the same checkpoint is cosigned anew, so that who reads it
/// sees that there is nothing newer.
const FRESH_MS: i64 = 5 * MINUTE_MS;

/// The longest pause behind failures.
const LONGEST_PAUSE_MS: i64 = 5 * MINUTE_MS;

/// What is wrong with a witness, or what a witness says is wrong with the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It cannot be reached, or does not answer as a witness does.
    Away(String),
    /// It does not know this log, or not its key.
    Unknown,
    /// Its signature is not by the key that is configured, or not over what it was asked.
    WrongKey(String),
    /// **Alarm:** it has cosigned more leaves of this log than there are: the vault was set back.
    Ahead {
        /// How many it has cosigned.
        size: u64,
    },
    /// **Alarm:** this log does not go on from what it has cosigned: it was rewritten.
    Rewritten,
}

/// What came of asking a witness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It answered.
    Answer(Answer),
    /// It cosigned, and the signature was verified; when it says that it did, in seconds.
    Cosigned {
        /// In seconds since 1970.
        time_s: u64,
    },
    /// The signature does not verify.
    WrongSignature(String),
    /// It did not answer.
    Nothing(String),
}

/// A cosignature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cosigned {
    /// Over how many leaves.
    pub size: u64,
    /// When, as the witness says, in seconds since 1970.
    pub time_s: u64,
    /// When it came, by the clock that the caller uses.
    pub came_ms: i64,
}

/// What is known of a witness.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// What it has cosigned last, as far as is known; it tells where that is wrong.
    pub known_size: u64,
    /// The last cosignature.
    pub cosigned: Option<Cosigned>,
    /// What was wrong the last time.
    pub trouble: Option<Trouble>,
    asked_ms: Option<i64>,
    failures: u32,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing for now.
    Wait,
    /// Ask once more, with what is known now.
    AskAgain,
}

impl Trouble {
    /// Whether it is about this log, and not about the witness.
    pub const fn is_alarm(&self) -> bool {
        matches!(self, Self::Ahead { .. } | Self::Rewritten)
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Away(reason) => write!(f, "it cannot be asked: {reason}"),
            Self::Unknown => f.write_str("it does not know this log, or not its key"),
            Self::WrongKey(reason) => write!(f, "its signature is not to be believed: {reason}"),
            Self::Ahead { size } => write!(
                f,
                "it has cosigned {size} leaves, which are more than there are: the vault was set \
                 back to an earlier state"
            ),
            Self::Rewritten => {
                f.write_str("the log does not go on from what it has cosigned: it was rewritten")
            }
        }
    }
}

impl Watched {
    /// Whether it is to be asked for a checkpoint over so many leaves.
    pub fn is_due(&self, size: u64, now_ms: i64) -> bool {
        let pause_ms = match self.failures {
            0 => PAUSE_MS,
            failures => PAUSE_MS
                .saturating_mul(1_i64.checked_shl(failures.min(32)).unwrap_or(i64::MAX))
                .min(LONGEST_PAUSE_MS),
        };
        let is_early = self
            .asked_ms
            .is_some_and(|asked_ms| now_ms.saturating_sub(asked_ms) < pause_ms);
        let is_cosigned = self.cosigned.is_some_and(|cosigned| {
            cosigned.size == size && now_ms.saturating_sub(cosigned.came_ms) < FRESH_MS
        });
        !is_early && (self.failures > 0 || !is_cosigned)
    }

    /// Learns from what was heard when it was asked for a checkpoint over `size` leaves;
    /// `is_again`: it was the second time within one turn.
    pub fn learn(&mut self, heard: Heard, size: u64, now_ms: i64, is_again: bool) -> Next {
        self.asked_ms = Some(now_ms);
        let trouble = match heard {
            Heard::Cosigned { time_s } => {
                self.known_size = size;
                self.failures = 0;
                self.trouble = None;
                self.cosigned = Some(Cosigned {
                    size,
                    time_s,
                    came_ms: now_ms,
                });
                return Next::Wait;
            }
            Heard::Answer(Answer::Conflict { size: known }) if known > size => {
                Trouble::Ahead { size: known }
            }
            Heard::Answer(Answer::Conflict { size: known }) if known == self.known_size => {
                match known == size {
                    true => Trouble::Rewritten,
                    false => Trouble::Away("it refuses what it asks for".to_owned()),
                }
            }
            Heard::Answer(Answer::Conflict { size: known }) => {
                self.known_size = known;
                if !is_again {
                    return Next::AskAgain;
                }
                Trouble::Away("it changes its mind about what it has cosigned".to_owned())
            }
            Heard::Answer(Answer::BadProof) => Trouble::Rewritten,
            Heard::Answer(Answer::Forbidden | Answer::UnknownLog) => Trouble::Unknown,
            Heard::Answer(Answer::BadRequest | Answer::Cosigned(_)) => {
                Trouble::Away("it does not understand what it is asked".to_owned())
            }
            Heard::WrongSignature(reason) => Trouble::WrongKey(reason),
            Heard::Nothing(reason) => Trouble::Away(reason),
        };
        self.failures = self.failures.saturating_add(1);
        self.trouble = Some(trouble);
        Next::Wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conflict(size: u64) -> Heard {
        Heard::Answer(Answer::Conflict { size })
    }

    #[test]
    fn a_witness_that_cosigned_is_asked_for_more_and_again_when_its_word_is_old() {
        let mut watched = Watched::default();
        assert!(watched.is_due(10, 0));
        watched.learn(Heard::Cosigned { time_s: 7 }, 10, 0, false);
        assert!(!watched.is_due(10, PAUSE_MS));
        assert!(!watched.is_due(11, PAUSE_MS - 1));
        assert!(watched.is_due(11, PAUSE_MS));
        assert!(!watched.is_due(10, FRESH_MS - 1));
        assert!(watched.is_due(10, FRESH_MS));
    }

    #[test]
    fn a_witness_that_is_away_is_asked_less_and_less_often() {
        let mut watched = Watched::default();
        let (mut now_ms, mut asked) = (0, Vec::new());
        while now_ms < 3_600 * SECOND_MS {
            if watched.is_due(10, now_ms) {
                asked.push(now_ms / SECOND_MS);
                watched.learn(Heard::Nothing("away".to_owned()), 10, now_ms, false);
            }
            now_ms += SECOND_MS;
        }
        assert_eq!(asked[..6], [0, 10, 30, 70, 150, 310]);
        assert!(asked.len() < 20, "{asked:?}");
        watched.learn(Heard::Cosigned { time_s: 7 }, 10, now_ms, false);
        assert!(watched.is_due(11, now_ms + PAUSE_MS));
    }

    #[test]
    fn it_tells_what_it_has_cosigned_and_is_asked_from_there() {
        let mut watched = Watched::default();
        assert_eq!(watched.learn(conflict(5), 10, 0, false), Next::AskAgain);
        assert_eq!(watched.known_size, 5);
        assert_eq!(watched.learn(conflict(6), 10, 0, true), Next::Wait);
        assert!(matches!(watched.trouble, Some(Trouble::Away(_))));
        watched.learn(Heard::Cosigned { time_s: 7 }, 10, 0, true);
        assert_eq!((watched.known_size, watched.trouble), (10, None));
    }

    #[test]
    fn a_vault_that_was_set_back_or_rewritten_hears_it_from_its_witness() {
        let mut watched = Watched::default();
        watched.learn(conflict(11), 10, 0, false);
        assert_eq!(watched.trouble, Some(Trouble::Ahead { size: 11 }));
        watched.learn(Heard::Answer(Answer::BadProof), 12, 0, false);
        assert_eq!(watched.trouble, Some(Trouble::Rewritten));
        // Of the same size, and another root.
        watched.known_size = 10;
        watched.learn(conflict(10), 10, 0, false);
        assert_eq!(watched.trouble, Some(Trouble::Rewritten));
        assert!(watched.trouble.is_some_and(|trouble| trouble.is_alarm()));
    }
}
