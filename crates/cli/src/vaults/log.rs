//! What a vault's log means beside what is remembered of it.
//!
//! Nothing is fetched or stored here. What is unclear is never taken for good: a proof that cannot
//! be read proves nothing, and a vault that is none any more has no log that goes on. A vault that
//! is there and shows no proof may have rewritten its log: that is told at once, and becomes an
//! alarm where it stays so.

use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use strongroom_engine::session::chain;
use strongroom_engine::state::{VaultAlarm, Withheld};
use strongroom_ledger::{Hash, Remembered, SignedCheckpoint, Verdict, Verifier};
use strongroom_model::vault::{Consistency, VaultInfo};

/// No proof between two logs is longer.
const LONGEST_PROOF: usize = 64;

/// How many contacts without a proof make an alarm, which a fault of an hour must not do.
const WITHHELD_CONTACTS: u32 = 3;

/// For how long they must have gone on: a day, as an honest vault is mended within one.
const WITHHELD_TIME: SignedDuration = SignedDuration::from_hours(24);

/// How the log of a vault stands.
#[derive(Debug)]
pub(crate) enum LogState {
    /// It has none that is known here.
    None,
    /// It was seen for the first time, and is trusted from now on.
    First(Box<Remembered>),
    /// Nothing was added.
    Same(Box<Remembered>),
    /// It went on.
    Grown(Box<Remembered>),
    /// It could not be looked at this time, and why.
    Unseen(String),
    /// Nothing answers where the vault is known to be.
    Away {
        /// What is remembered.
        remembered: Box<Remembered>,
        /// Why.
        reason: String,
    },
    /// The vault is there, and did not show that its log goes on from what is remembered.
    Withheld {
        /// What is remembered.
        remembered: Box<Remembered>,
        /// What came instead of a proof.
        reason: String,
    },
    /// It does not go on from what is remembered.
    Alarm(Box<VaultAlarm>),
}

const WITHHELD_HINT: &str = "ask who runs the vault why it does not prove its log, and whether the \
                             token of the copy still counts; a vault that rewrote its log cannot \
                             prove it";

const FROZEN_HINT: &str = "ask who runs the vault: a vault logs each file before it says that it has \
                           it; what it shows here may be an old state, and its own goes on unseen";

/// What is known when an alarm is raised.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scene<'a> {
    /// The vault, by the root of its address.
    pub(crate) vault: &'a str,
    /// By our clock.
    pub(crate) now: Timestamp,
}

impl LogState {
    /// The word for it.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::First(_) => "first",
            Self::Same(_) => "same",
            Self::Grown(_) => "grown",
            Self::Unseen(_) | Self::Away { .. } | Self::Withheld { .. } => "unseen",
            Self::Alarm(_) => "alarm",
        }
    }

    /// The state that was accepted last, where it was seen in this run.
    pub(crate) fn remembered(&self) -> Option<&Remembered> {
        match self {
            Self::First(log) | Self::Same(log) | Self::Grown(log) => Some(log),
            Self::None
            | Self::Unseen(_)
            | Self::Away { .. }
            | Self::Withheld { .. }
            | Self::Alarm(_) => None,
        }
    }

    /// The checkpoint with cosignatures that the vault shows, where what it showed of its log goes
    /// on from it: the log's key has signed it, and it is part of what was just accepted.
    pub(crate) fn witnessed(&self, answer: &Consistency) -> Option<SignedCheckpoint> {
        let key = self.remembered()?.key().clone();
        let shown = answer.witnessed.as_ref()?;
        let witnessed = Remembered::first(key, shown.checkpoint.as_bytes()).ok()?;
        match witnessed.check(answer.checkpoint.as_bytes(), &hashes(&shown.proof)) {
            Verdict::Same | Verdict::Grown(_) => Some(witnessed.last().clone()),
            _ => None,
        }
    }
}

impl Scene<'_> {
    /// Judges what a vault answered; `remembered` is what is known of its log.
    pub(crate) fn judge(
        self,
        remembered: Option<Remembered>,
        info: &VaultInfo,
        answer: &Consistency,
    ) -> LogState {
        let note = answer.checkpoint.as_bytes();
        let Some(remembered) = remembered else {
            return match first(info, note) {
                Ok(log) => LogState::First(Box::new(log)),
                Err(reason) => LogState::Unseen(reason),
            };
        };
        let verdict = remembered.check(note, &hashes(&answer.proof));
        match verdict {
            // The same again, perhaps cosigned by more than when it was remembered.
            Verdict::Same => {
                let shown = Remembered::first(remembered.key().clone(), note);
                LogState::Same(Box::new(shown.unwrap_or(remembered)))
            }
            Verdict::Grown(new) => LogState::Grown(new),
            alarm => {
                let mut text = alarm.to_string();
                if let Some(said) = new_log(info, &remembered) {
                    text.push_str(&said);
                }
                let hint = alarm.hint().unwrap_or_default();
                self.alarm(
                    text,
                    hint,
                    &remembered.to_string(),
                    Some(&answer.checkpoint),
                )
            }
        }
    }

    /// A server that was a vault and answers as another one.
    pub(crate) fn gone(self, remembered: &Remembered) -> LogState {
        let state = remembered.last().checkpoint();
        let text = format!(
            "{} was a vault with the log {} of {} leaves, and answers as one that is none",
            self.vault,
            state.origin(),
            state.size()
        );
        let hint = "ask who runs the vault whether another server took its place; unless that is \
                    so, somebody hides its log";
        self.alarm(text, hint, &remembered.to_string(), None)
    }

    /// A vault that has answered for long without showing that its log goes on; `None` while that
    /// may yet be a fault that somebody mends.
    pub(crate) fn withheld(
        self,
        remembered: &Remembered,
        withheld: Withheld,
        reason: &str,
    ) -> Option<LogState> {
        let Withheld {
            since, contacts, ..
        } = withheld;
        let is_long = self.now.duration_since(since) >= WITHHELD_TIME;
        (contacts >= WITHHELD_CONTACTS && is_long).then(|| {
            let state = remembered.last().checkpoint();
            let text = format!(
                "{} has not shown since {since}, at {contacts} contacts, that its log {} goes on \
                 from the {} leaves that are remembered: {reason}",
                self.vault,
                state.origin(),
                state.size()
            );
            self.alarm(text, WITHHELD_HINT, &remembered.to_string(), None)
        })
    }

    /// A vault that has taken files in this run, and whose log is as it was before them.
    pub(crate) fn frozen(self, remembered: &Remembered) -> LogState {
        let state = remembered.last().checkpoint();
        let text = format!(
            "{} has taken files in this run and logged none of them: its log {} shows the {} leaves \
             that it had before",
            self.vault,
            state.origin(),
            state.size()
        );
        let came = remembered.last().note().to_string();
        self.alarm(text, FROZEN_HINT, &remembered.to_string(), Some(&came))
    }

    /// A vault that is there and says that it has no log, though one is remembered.
    pub(crate) fn denied(self, remembered: &Remembered) -> LogState {
        let state = remembered.last().checkpoint();
        let text = format!(
            "{} had the log {} of {} leaves, and now says that it has none",
            self.vault,
            state.origin(),
            state.size()
        );
        self.alarm(text, WITHHELD_HINT, &remembered.to_string(), None)
    }

    /// A memory that makes no sense any more.
    pub(crate) fn damaged(self, memory: &[u8], error: &strongroom_ledger::Error) -> LogState {
        let text = format!(
            "What is remembered of the log of {} cannot be read: {}",
            self.vault,
            chain(error)
        );
        let hint = "somebody changed it in the state folder, or its disk rots: compare with a \
                    checkpoint that was kept elsewhere";
        self.alarm(text, hint, &String::from_utf8_lossy(memory), None)
    }

    fn alarm(self, text: String, hint: &str, remembered: &str, came: Option<&str>) -> LogState {
        LogState::Alarm(Box::new(VaultAlarm {
            found: self.now,
            vault: self.vault.to_owned(),
            text,
            hint: hint.to_owned(),
            remembered: remembered.to_owned(),
            came: came.map(str::to_owned),
        }))
    }
}

/// Trusts a log: its key is believed because the vault says so.
///
/// # Errors
/// In words, where the checkpoint is not by the key that the vault names.
pub(crate) fn first(info: &VaultInfo, note: &[u8]) -> Result<Remembered, String> {
    let key = Verifier::from_str(info.log_key.trim());
    let key = key.map_err(|error| format!("its key cannot be read: {}", chain(&error)))?;
    if key.name() != info.origin {
        let (origin, name) = (&info.origin, key.name());
        return Err(format!(
            "it is called {origin:?}, and its key is of {name:?}"
        ));
    }
    Remembered::first(key, note).map_err(|error| chain(&error))
}

/// What a vault says about having begun a new log, and whether its old key bears that out.
fn new_log(info: &VaultInfo, remembered: &Remembered) -> Option<String> {
    let before = &info.new_log.as_ref()?.before;
    let known = remembered.last().checkpoint().size();
    let said = "; the vault says that it was restored from an older state of itself and began a \
                new log";
    Some(
        match SignedCheckpoint::open(before.as_bytes(), remembered.key()) {
            Ok(before) => {
                let size = before.checkpoint().size();
                match size < known {
                    true => format!("{said}, at leaf {size} of the {known} that are remembered"),
                    false => format!("{said}, after leaf {size}; {known} are remembered"),
                }
            }
            Err(_) => format!("{said}, and what it shows as the old one its old key did not sign"),
        },
    )
}

/// The hashes of a proof; none where any of them is none, which then proves nothing.
fn hashes(proof: &[String]) -> Vec<Hash> {
    if proof.len() > LONGEST_PROOF {
        return Vec::new();
    }
    let hashes: Result<Vec<Hash>, _> = proof.iter().map(|hash| hash.parse()).collect();
    hashes.unwrap_or_default()
}

#[cfg(test)]
mod tests;
