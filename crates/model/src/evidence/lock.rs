//! What the place of a copy claims of its locks.
//!
//! A date that a place shows is a claim of that place. Only an attack that failed, with the very
//! credential that production uses, is a proof: [`AttackDrill`](crate::attack::AttackDrill).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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
}
