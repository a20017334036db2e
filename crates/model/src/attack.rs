//! What a drill tries on a copy with production's own credential, what was seen, and what follows.
//!
//! **Security:** what counts is not what a server says, but what is left: it may say yes and do
//! nothing, or say no and have done it. So each attempt is told in two words, what was *said* and
//! what is *left* of the canary, and the rules here look at both. A refusal that may come from a
//! missing permission alone proves no lock.
//!
//! **Architecture invariant:** nothing here asks anybody anything. Stores carry attempts out, and
//! whoever doubts an answer can feed these rules with it.

mod attempt;
mod remnant;
mod statement;
mod verdict;

pub use attempt::{Attempt, PlaceKind};
pub use remnant::{NotedRemnant, Remnant, RemnantKind};
pub use statement::{DrilledCopy, SignedDrill, Statement};
pub use verdict::{Judged, Verdict, judge};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::file::{FileName, FileType};
use crate::id::Id;

/// The bytes of the canary of a place that keeps files by the hash of their bytes: always the same,
/// so that however many drills there are, one file stays.
pub const CANARY: &[u8] = b"strongroom drill attack\n\
    This file is a canary. No snapshot needs it: it is here to be attacked, and may be removed.\n";

/// The name of the file that has [`CANARY`].
pub fn canary() -> FileName {
    FileName::new(FileType::Data, Id::of(CANARY))
}

/// Why [`Attempt::ChangeLifecycle`] was not tried though a probe bucket has taken a rule.
pub const RULE_TAKEN: &str = "a rule is taken, and what it removes is only seen days later";

/// Why it was not tried where there is a rule of that kind.
pub const RULE_ARCHIVES: &str = "a rule of the bucket moves what lies there into an archive";

/// One attempt, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// What was tried.
    pub attempt: Attempt,
    /// What the place said.
    #[serde(flatten)]
    pub said: Said,
    /// What was left of the canary.
    #[serde(flatten)]
    pub left: Left,
}

/// What a place said to an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "said", content = "reason", rename_all = "kebab-case")]
pub enum Said {
    /// That it was done.
    Done,
    /// No, on grounds of a right or a lock, and why, in one line.
    Refused(String),
    /// Neither a yes nor such a no, and what, in one line: as that it does not understand.
    Unclear(String),
    /// Nothing that tells: it did not answer, or had a fault of its own.
    Failed(String),
    /// Nothing: it was not tried, and why.
    NotTried(String),
}

/// What was left of the canary after an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "left", content = "seen", rename_all = "kebab-case")]
pub enum Left {
    /// Its bytes, under a lock that is no weaker than before.
    Whole,
    /// Its bytes, under less than before, and what that is.
    Weaker(String),
    /// Nothing that can be had.
    Lost,
    /// That could not be found out, and why.
    Unknown(String),
    /// There is no canary with this attempt.
    Nothing,
}

/// What an attempt shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// The place withstood it, or let happen what harms nothing.
    Withstood,
    /// It had its way.
    Fell,
    /// It could not be found out.
    Open,
    /// It was not tried.
    NotTried,
}

/// A drill of a copy, as the evidence keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttackDrill {
    /// When it began.
    pub at: Timestamp,
    /// What it has shown.
    pub verdict: Verdict,
    /// Whose credential it was, as far as that could be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// What tells the configured credential from others, as
    /// [`BackupCopy::credential`](crate::config::BackupCopy::credential): what one withstood says
    /// nothing of another. `None` where the configuration names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Id>,
    /// The SHA-256 of the signed statement of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Id>,
}

impl AttackDrill {
    /// When the copy was shown to withstand production's credential, where it was.
    pub fn proven_at(&self) -> Option<Timestamp> {
        self.verdict.is_proven().then_some(self.at)
    }

    /// Whether it was tried with another credential than this one; not so where either is not known.
    pub fn is_of_another(&self, credential: Option<Id>) -> bool {
        self.credential
            .zip(credential)
            .is_some_and(|(tried, now)| tried != now)
    }
}

impl Tried {
    /// An attempt and both words of it.
    pub const fn new(attempt: Attempt, said: Said, left: Left) -> Self {
        Self {
            attempt,
            said,
            left,
        }
    }

    /// An attempt that was not made.
    pub fn not(attempt: Attempt, reason: impl Into<String>) -> Self {
        Self::new(attempt, Said::NotTried(reason.into()), Left::Nothing)
    }

    /// What it shows.
    pub const fn mark(&self) -> Mark {
        match (&self.said, &self.left) {
            (Said::NotTried(_), _) => Mark::NotTried,
            // It is the other way round with a canary that nothing protects: its end shows that
            // this credential has the right.
            (_, Left::Lost) if self.attempt.is_control() => Mark::Withstood,
            (_, Left::Lost | Left::Weaker(_)) => Mark::Fell,
            (_, Left::Unknown(_)) | (Said::Failed(_), _) => Mark::Open,
            // What is left outweighs what was said, where it is known what was asked.
            (Said::Unclear(_), Left::Whole) if self.attempt.is_plain() => Mark::Withstood,
            (Said::Unclear(_), _) => Mark::Open,
            (Said::Done, _) if self.attempt.is_door() => Mark::Fell,
            (Said::Done | Said::Refused(_), _) => Mark::Withstood,
        }
    }

    /// What it says of an archive, into which a lifecycle moves what is locked as well.
    pub fn archive(&self) -> Option<&'static str> {
        let (Said::NotTried(reason) | Said::Unclear(reason)) = &self.said else {
            return None;
        };
        match reason.as_str() {
            _ if self.attempt != Attempt::ChangeLifecycle => None,
            RULE_TAKEN => Some("it may have locked versions moved into an archive, hours away"),
            RULE_ARCHIVES => Some("a lifecycle moves locked versions into an archive, hours away"),
            _ => None,
        }
    }

    /// What was seen, in few words.
    pub fn seen(&self) -> String {
        let said = match &self.said {
            Said::NotTried(reason) => return format!("not tried: {reason}"),
            Said::Done if self.attempt.is_door() => return "let in".to_owned(),
            Said::Done => "done".to_owned(),
            Said::Refused(reason) => format!("refused: {reason}"),
            Said::Unclear(reason) => format!("unclear: {reason}"),
            Said::Failed(reason) => format!("no answer: {reason}"),
        };
        match &self.left {
            Left::Nothing => said,
            Left::Whole => format!("{said}; the bytes are there"),
            Left::Weaker(seen) => format!("{said}; {seen}"),
            Left::Lost => format!("{said}; the bytes are gone"),
            Left::Unknown(reason) => format!("{said}; what is left is not known: {reason}"),
        }
    }
}

impl Mark {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Withstood => "withstood",
            Self::Fell => "FELL",
            Self::Open => "open",
            Self::NotTried => "not tried",
        }
    }
}

#[cfg(test)]
mod tests;
