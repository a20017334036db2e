//! When the bytes of a tombstone may go, and what holds them.

use std::fmt;

pub use strongroom_access::Keeping;
use strongroom_model::FileType;

use crate::rules::clock::{DAY_MS, HOUR_MS};
use crate::rules::life::{Object, State};

/// Where fewer than one of so many are left of what is vital, that was no prune of every day.
const VITAL_SHARE: u64 = 2;

/// Of how many hundredths of a repository tombstones within a day are more than an everyday prune.
const EVERYDAY_PERCENT: u128 = 5;

/// Why nothing of a repository is purged now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The vault is sealed, or was until a moment ago.
    Sealed,
    /// The clock is doubted.
    Clock,
    /// So much was tombstoned within a day, or of what nothing opens without, that an operator has
    /// to agree.
    ManyTombstones,
}

/// The tombstones of a repository at one moment: what somebody looks at who agrees to their purge.
///
/// **Security:** a number alone can be kept while what it counts is changed. Every deletion is a
/// leaf of its own, so where the newest one is the same, nothing has come to what was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tombstones {
    /// How many there are.
    pub count: u64,
    /// The leaf of the newest one; none where there is none.
    pub newest: Option<u64>,
}

impl Tombstones {
    /// As whoever agrees to them types it.
    pub fn options(self) -> String {
        match self.newest {
            Some(newest) => format!("--tombstones {} --newest-tombstone {newest}", self.count),
            None => format!("--tombstones {}", self.count),
        }
    }
}

impl fmt::Display for Tombstones {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.newest {
            Some(newest) => write!(f, "{} tombstones, the newest of leaf {newest}", self.count),
            None => write!(f, "{} tombstones", self.count),
        }
    }
}

impl Hold {
    /// Why, in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Sealed => "the vault is sealed, or was until three days ago",
            Self::Clock => {
                "the wall clock has jumped: an operator has to look at it and confirm it"
            }
            Self::ManyTombstones => {
                "very many deletions were asked for in a day, or those of what nothing opens \
                 without: an operator has to agree to them"
            }
        }
    }
}

/// When, by vault time, the bytes of an object may go; `None` where nobody asked for it.
pub fn due_ms(keeping: Keeping, object: &Object) -> Option<i64> {
    let tombstoned_ms = object
        .tombstoned_ms
        .filter(|_| object.state == State::Tombstoned)?;
    let by_arrival = object.arrived_ms.saturating_add(keeping.retention_ms);
    let by_tombstone = tombstoned_ms.saturating_add(keeping.grace_ms);
    Some(by_arrival.max(by_tombstone))
}

/// Until when, by vault time, a receipt must have come that takes the place of an older one of its
/// snapshot now.
///
/// **Security:** such a receipt is a request for deletion in other words, so it waits as long as one
/// does, and what it lets go of has to be a tombstone for as long besides.
pub fn said_anew_until_ms(keeping: Keeping, now_ms: i64) -> i64 {
    now_ms.saturating_sub(keeping.retention_ms.max(keeping.grace_ms))
}

/// Whether the bytes of an object may go now: its time has come, and no receipt names it whose
/// snapshot is stored.
pub fn may_go(keeping: Keeping, object: &Object, is_named: bool, now_ms: i64) -> bool {
    !is_named && due_ms(keeping, object).is_some_and(|due_ms| due_ms <= now_ms)
}

/// The day of vault time that a moment belongs to.
pub const fn day_of(vault_ms: i64) -> i64 {
    vault_ms.div_euclid(DAY_MS)
}

/// The hour of vault time that a moment belongs to.
pub const fn hour_of(vault_ms: i64) -> i64 {
    vault_ms.div_euclid(HOUR_MS)
}

/// Whether so many tombstones within a day, or so many bytes of them, are more than a prune of
/// every day makes, where there was so much before: many small files do not make few large ones
/// few. Both are objects and their bytes.
pub fn is_mass_deletion(deleted: (u64, u64), before: (u64, u64)) -> bool {
    let is_much = |deleted: u64, before: u64| {
        u128::from(deleted) * 100 > u128::from(before) * EVERYDAY_PERCENT
    };
    is_much(deleted.0, before.0) || is_much(deleted.1, before.1)
}

/// What a day did to keys, index files or snapshots: to those of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VitalDay {
    /// How many are live.
    pub live: u64,
    /// How many were asked to be deleted within the day.
    pub deleted: u64,
    /// How many were live before that day, where that is known.
    pub before: Option<u64>,
}

/// What a day did to those snapshots that had arrived before it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OldSnapshots {
    /// How many of them were asked to be deleted within the day.
    pub deleted: u64,
    /// How many the day before had left of those that were live before it, where that is known.
    pub left_the_day_before: Option<u64>,
}

impl VitalDay {
    /// Whether deletions of keys or index files took so much that an operator has to agree: all
    /// that was live; or, of keys, more than half of what there was.
    ///
    /// A key is replaced by another one, which an operator has let in. Index files are made anew
    /// from packs, and every prune merges those of many backups into one: so of them one is enough.
    pub fn is_mass_deletion(self, kind: FileType) -> bool {
        let is_half_gone =
            kind != FileType::Index && self.live.saturating_mul(VITAL_SHARE) < self.before();
        self.deleted > 0 && (self.live == 0 || is_half_gone)
    }

    /// Whether deletions of snapshots took so much that an operator has to agree: all that was
    /// live; or, of those that were there before the day, more than half.
    ///
    /// Snapshots are junk as easily as not, so what came within the day is not left. Who keeps a
    /// snapshot for each of the last hours has most of them replaced every day: where the day
    /// before had left fewer, half of those is enough. A single one may be replaced.
    pub fn is_mass_deletion_of_snapshots(self, old: OldSnapshots) -> bool {
        if self.deleted == 0 || self.live == 0 {
            return self.deleted > 0;
        }
        let before = self.before();
        // Where there was nothing before, all came within the day.
        if self.before.is_none_or(|before| before == 0) {
            return self.live.saturating_mul(VITAL_SHARE) < before;
        }
        let left = before.saturating_sub(old.deleted);
        let usual = old
            .left_the_day_before
            .map_or(before, |left| left.min(before));
        before > 1 && left.saturating_mul(VITAL_SHARE) < usual
    }

    /// How many there were before the day; what came within it makes it no more.
    fn before(self) -> u64 {
        let there = self.live.saturating_add(self.deleted);
        let before = self.before.filter(|before| *before > 0);
        before.map_or(there, |before| before.min(there))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tombstone(arrived_ms: i64, tombstoned_ms: i64) -> Object {
        Object {
            generation: 1,
            bytes: 1,
            state: State::Tombstoned,
            token: 1,
            began: 0,
            ended: Some(1),
            arrived_ms,
            tombstoned_ms: Some(tombstoned_ms),
        }
    }

    proptest! {
        #[test]
        fn bytes_stay_for_retention_and_for_grace(
            arrived_ms in any::<i64>(), tombstoned_ms in any::<i64>(),
            retention_ms in 0..i64::MAX, grace_ms in 0..i64::MAX,
        ) {
            let keeping = Keeping { retention_ms, grace_ms };
            let due_ms = due_ms(keeping, &tombstone(arrived_ms, tombstoned_ms)).unwrap();
            prop_assert!(due_ms >= arrived_ms.saturating_add(retention_ms));
            prop_assert!(due_ms >= tombstoned_ms.saturating_add(grace_ms));
        }

        #[test]
        fn what_a_receipt_names_never_goes_and_the_rest_not_before_its_time(
            arrived_ms in 0..1_000_i64, tombstoned_ms in 0..1_000_i64, now_ms in any::<i64>(),
            is_named in any::<bool>(),
        ) {
            let keeping = Keeping { retention_ms: 500, grace_ms: 300 };
            let object = tombstone(arrived_ms, tombstoned_ms);
            let goes = may_go(keeping, &object, is_named, now_ms);
            let is_due = now_ms >= arrived_ms + 500 && now_ms >= tombstoned_ms + 300;
            prop_assert_eq!(goes, is_due && !is_named);
        }
    }

    #[test]
    fn what_nobody_asked_to_delete_is_never_due() {
        let keeping = Keeping {
            retention_ms: 0,
            grace_ms: 0,
        };
        for state in State::ALL {
            let object = Object {
                state,
                ..tombstone(0, 0)
            };
            assert_eq!(
                due_ms(keeping, &object).is_some(),
                state == State::Tombstoned
            );
        }
    }

    #[test]
    fn more_than_a_twentieth_in_a_day_is_no_prune_of_every_day() {
        assert!(!is_mass_deletion((5, 50), (100, 1_000)));
        assert!(is_mass_deletion((6, 50), (100, 1_000)));
        assert!(is_mass_deletion((5, 51), (100, 1_000)));
        assert!(is_mass_deletion((1, 0), (0, 0)));
        assert!(!is_mass_deletion((0, 0), (0, 0)));
        assert!(is_mass_deletion((u64::MAX, 0), (u64::MAX, 0)));
    }

    #[test]
    fn of_what_is_vital_half_has_to_be_left_and_one_at_least() {
        let day = |live, deleted, before| VitalDay {
            live,
            deleted,
            before,
        };
        let robs = |day: VitalDay, deleted, left_the_day_before| {
            day.is_mass_deletion_of_snapshots(OldSnapshots {
                deleted,
                left_the_day_before,
            })
        };
        for kind in [FileType::Keys, FileType::Index] {
            assert!(day(0, 1, Some(1)).is_mass_deletion(kind));
            assert!(!day(5, 5, None).is_mass_deletion(kind));
            assert!(!day(5, 0, Some(100)).is_mass_deletion(kind));
            assert!(!day(0, 0, None).is_mass_deletion(kind));
            assert!(!day(100, 3, Some(7)).is_mass_deletion(kind));
        }
        // An admitted key takes the place of an old one, and one index file that of many.
        assert!(!day(1, 1, Some(1)).is_mass_deletion(FileType::Keys));
        assert!(day(4, 6, None).is_mass_deletion(FileType::Keys));
        assert!(!day(1, 8, Some(7)).is_mass_deletion(FileType::Index));

        assert!(robs(day(0, 1, Some(1)), 1, None));
        assert!(robs(day(4, 6, None), 0, None));
        assert!(!robs(day(5, 5, None), 0, None));
        assert!(!robs(day(5, 0, Some(100)), 0, None));
        assert!(!robs(day(100, 3, Some(7)), 3, None));
        // Junk that came on the same day makes up for no snapshot.
        assert!(robs(day(1_000, 10, Some(10)), 10, None));
        assert!(robs(day(1_000, 10, Some(10)), 10, Some(10)));
        assert!(robs(day(1, 199, Some(0)), 0, None));
        // What comes and goes every day is no robbery, one that comes on top of it is.
        assert!(!robs(day(31, 24, Some(31)), 24, Some(7)));
        assert!(robs(day(31, 28, Some(31)), 28, Some(7)));
        assert!(robs(day(31, 24, Some(31)), 24, Some(31)));
        assert!(!robs(day(7, 24, Some(7)), 1, Some(6)));
        // The only one is replaced by the next one; of two, both are not.
        assert!(!robs(day(1, 1, Some(1)), 1, None));
        assert!(robs(day(2, 2, Some(2)), 2, None));
    }
}
