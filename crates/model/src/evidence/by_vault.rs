//! What a vault said of the copy that it holds.
//!
//! It is the word of whoever runs the vault, and is kept and shown as such: beside what this machine
//! has read, never in its place. It can refute that a copy is whole; it never clears damage that
//! was found by reading.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::id::Id;
use crate::name::Name;
use crate::vault::Scrub;

/// How far ahead of ours the vault's clock may be before its times prove nothing.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(10);

/// What a vault said when it was last asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultWord {
    /// When it was asked, by our clock.
    pub at: Timestamp,
    /// What it found when it read its own objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrub: Option<Scrub>,
    /// By source what it said of a snapshot of which it has a receipt.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub snapshots: BTreeMap<Name, SaidWhole>,
}

/// Whether a vault holds all that a snapshot needs, as it says itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaidWhole {
    /// When it said so, by our clock.
    pub at: Timestamp,
    /// The snapshot.
    pub snapshot: Id,
    /// Its answer; `None` where it cannot tell.
    pub whole: Option<bool>,
    /// How many files are missing or rotten.
    pub missing: u64,
}

impl VaultWord {
    /// Nothing was said yet.
    pub const fn asked(at: Timestamp) -> Self {
        Self {
            at,
            scrub: None,
            snapshots: BTreeMap::new(),
        }
    }

    /// How many of its objects the vault found rotten and has not healed.
    pub fn rotten(&self) -> u64 {
        self.scrub.map_or(0, |scrub| scrub.rotten)
    }

    /// The time since which the vault has read and checked every byte that it held then; `None`
    /// where it has found rot, or claims a time that has not come yet.
    pub fn every_byte_read_since(&self) -> Option<Timestamp> {
        let read = self.scrub.filter(|scrub| scrub.rotten == 0)?.all_read?;
        (read.duration_since(self.at) <= CLOCK_TOLERANCE).then_some(read)
    }

    /// What it said of exactly this snapshot.
    pub fn of(&self, source: &Name, snapshot: Id) -> Option<&SaidWhole> {
        let said = self.snapshots.get(source)?;
        (said.snapshot == snapshot).then_some(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn read(all_read: i64, rotten: u64) -> Option<Timestamp> {
        let mut word = VaultWord::asked(at(0));
        word.scrub = Some(Scrub {
            all_read: Some(at(all_read)),
            objects_read: 7,
            rotten,
        });
        word.every_byte_read_since()
    }

    #[test]
    fn rot_and_times_that_have_not_come_vouch_for_nothing() {
        assert_eq!(read(-60, 0), Some(at(-60)));
        assert_eq!(read(-60, 1), None);
        assert_eq!(read(600, 0), Some(at(600)));
        assert_eq!(read(601, 0), None);
        assert_eq!(VaultWord::asked(at(0)).every_byte_read_since(), None);
    }

    #[test]
    fn what_was_said_of_one_snapshot_is_not_said_of_another() {
        let mut word = VaultWord::asked(at(0));
        let source: Name = "repos".parse().unwrap();
        let said = SaidWhole {
            at: at(0),
            snapshot: Id::of(b"one"),
            whole: Some(false),
            missing: 3,
        };
        word.snapshots.insert(source.clone(), said);
        assert_eq!(word.of(&source, Id::of(b"one")), Some(&said));
        assert_eq!(word.of(&source, Id::of(b"two")), None);
    }
}
