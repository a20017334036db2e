//! What is known of the locks of a copy: what its place claims, and what was tried.
//!
//! A date that a place shows is a claim of that place. Only an attack that failed, with the very
//! credential that production uses, is a proof.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::Id;

/// What a place showed of the locks on what the snapshots of a copy need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimedLock {
    /// When it was looked at last, by our clock.
    pub at: Timestamp,
    /// Since when each look has shown all of it locked.
    pub since: Timestamp,
    /// When the first of these locks ends, rounded down to an hour.
    pub until: Timestamp,
    /// How many files they are.
    pub files: u64,
}

/// A rehearsed attack on a copy, with the credential that production uses for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttackDrill {
    /// When it was.
    pub at: Timestamp,
    /// What came of it.
    pub verdict: Verdict,
    /// Who it was, as the place names him, where that could be found out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// The signed receipt of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Id>,
}

/// What came of an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// It failed, and would have succeeded without the lock.
    Proven {
        /// Until when what was tried is locked, where that is shown.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// It was refused, perhaps for want of a right alone.
    DeniedNotProven,
    /// Nothing was destroyed, and nothing shows why.
    NotProven,
    /// It succeeded.
    Destroyable,
}

impl AttackDrill {
    /// When the copy was shown to withstand the credential, where it was.
    pub const fn proven(&self) -> Option<Timestamp> {
        match self.verdict {
            Verdict::Proven { .. } => Some(self.at),
            Verdict::DeniedNotProven | Verdict::NotProven | Verdict::Destroyable => None,
        }
    }
}

impl ClaimedLock {
    /// The claim after another look, which has shown `files` locked until then at least.
    pub fn again(before: Option<Self>, at: Timestamp, until: Timestamp, files: u64) -> Self {
        Self {
            at,
            since: before.map_or(at, |before| before.since),
            until,
            files,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn a_claim_is_as_old_as_the_first_look_in_a_row() {
        let first = ClaimedLock::again(None, at(0), at(100), 7);
        assert_eq!(first.since, at(0));
        let second = ClaimedLock::again(Some(first), at(50), at(150), 9);
        assert_eq!((second.since, second.at), (at(0), at(50)));
        assert_eq!((second.until, second.files), (at(150), 9));
    }

    #[test]
    fn only_what_failed_though_it_could_have_succeeded_is_a_proof() {
        let drill = |verdict| AttackDrill {
            at: at(0),
            verdict,
            principal: None,
            receipt: None,
        };
        let until = Some(at(1));
        assert_eq!(drill(Verdict::Proven { until }).proven(), Some(at(0)));
        for verdict in [
            Verdict::DeniedNotProven,
            Verdict::NotProven,
            Verdict::Destroyable,
        ] {
            assert_eq!(drill(verdict).proven(), None, "{verdict:?}");
        }
        let text = serde_json::to_string(&drill(Verdict::Proven { until })).unwrap();
        let again: AttackDrill = serde_json::from_str(&text).unwrap();
        assert_eq!(again, drill(Verdict::Proven { until }));
    }
}
