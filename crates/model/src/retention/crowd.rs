//! How many snapshots of a group are usual, and where more came.
//!
//! What is usual is learnt in the first four weeks of a group and from what somebody has admitted,
//! and from nothing else: else it would follow an intruder who adds a few more each day. A schedule
//! that changes is told once and then admitted.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::retention::{Suspicion, Unit};

/// For how long a group is watched before anything of it goes: three whole weeks at least.
///
/// **Security:** it is over when something comes after it, and not when our own clock says so. With
/// one that is ahead, a flood that is learnt as usual would push out what was there before it.
pub(super) const LEARNING: SignedDuration = SignedDuration::from_hours(28 * 24);

/// What is counted: days, and weeks for those who back up on some days only.
const UNITS: [Unit; 2] = [Unit::Day, Unit::Week];

/// That a snapshot came once.
pub(super) struct Seen {
    pub(super) arrived: Timestamp,
    pub(super) is_admitted: bool,
}

/// How many snapshots of a group came, and are usual.
pub(super) struct Usual {
    /// When the first one came.
    began: Option<Timestamp>,
    /// Whether all came while it was being learnt what is usual.
    is_learning: bool,
    counts: [Count; 2],
}

/// How many came in each day, or week.
struct Count {
    unit: Unit,
    arrived: BTreeMap<i64, u64>,
    /// The most in one of them that were learnt or admitted.
    usual: u64,
}

impl Usual {
    /// Counts all that ever came.
    pub(super) fn of(seen: &[Seen]) -> Self {
        let began = seen.iter().map(|one| one.arrived).min();
        let latest = seen.iter().map(|one| one.arrived).max();
        let counts = UNITS.map(|unit| {
            let mut arrived: BTreeMap<i64, u64> = BTreeMap::new();
            let mut settled: BTreeMap<i64, u64> = BTreeMap::new();
            for one in seen {
                let place = unit.of(one.arrived);
                *arrived.entry(place).or_default() += 1;
                if is_settled(began, one.arrived, one.is_admitted) {
                    *settled.entry(place).or_default() += 1;
                }
            }
            let usual = settled.into_values().max().unwrap_or_default();
            Count {
                unit,
                arrived,
                usual,
            }
        });
        Self {
            began,
            is_learning: latest.is_none_or(|latest| is_settled(began, latest, false)),
            counts,
        }
    }

    /// Whether too little is known of the group yet.
    pub(super) const fn is_learning(&self) -> bool {
        self.is_learning
    }

    /// Where more than usual came together with a snapshot; nothing where that is known to be real.
    pub(super) fn crowds(&self, arrived: Timestamp, is_admitted: bool) -> Vec<Suspicion> {
        if is_settled(self.began, arrived, is_admitted) {
            return Vec::new();
        }
        let crowds = self.counts.iter().filter_map(|count| {
            let came = count.arrived.get(&count.unit.of(arrived)).copied();
            let came = came.filter(|came| *came > count.usual)?;
            Some(Suspicion::Crowded {
                unit: count.unit,
                came,
                usual: count.usual,
            })
        });
        crowds.collect()
    }
}

/// Whether what came at a moment belongs to what is usual.
fn is_settled(began: Option<Timestamp>, arrived: Timestamp, is_admitted: bool) -> bool {
    is_admitted || began.is_none_or(|began| arrived.duration_since(began) < LEARNING)
}
