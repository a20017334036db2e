//! How fast the vault reads its own objects: so that each round ends in time, and hardly anybody
//! notices it.
//!
//! A round reads all objects of one repository, in the order of their names, evenly spread over
//! its time; the next one begins where its time is over. What arrives behind the place that a
//! round has come to is for the next one. So no object is left unread for longer than a round
//! lasts, which is less than `verify_every`.
//!
//! What can go wrong: a vault that was off, or whose storage was away. Vault time stands still
//! while it is off, and what is behind the plan is caught up by bounded shares.

use crate::rules::clock::DAY_MS;

/// What reading one object costs beside its bytes, in bytes that could be read meanwhile.
pub const OBJECT_COST_BYTES: u64 = 64 << 10;

/// How fast a vault reads that has time, in bytes a second.
const QUIET_BYTES_PER_SECOND: u64 = 4 << 20;

/// The shortest round: more often than that nobody needs to know.
const SHORTEST_ROUND_MS: i64 = DAY_MS;

/// Why the bytes of an object are no good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// They are not what the name says.
    Changed,
    /// They are not there.
    Missing,
    /// The storage does not give them.
    Unreadable,
}

/// A number of objects, or how many of them were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// How many objects.
    pub objects: u64,
    /// How many bytes they have.
    pub bytes: u64,
}

/// Where a round stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// When it began, by vault time.
    pub began_ms: i64,
    /// What it has read.
    pub done: Work,
}

impl Why {
    /// All reasons, each at its number in the database.
    pub const ALL: [Self; 3] = [Self::Changed, Self::Missing, Self::Unreadable];

    /// The number by which the database knows it.
    pub const fn number(self) -> i64 {
        match self {
            Self::Changed => 0,
            Self::Missing => 1,
            Self::Unreadable => 2,
        }
    }

    /// The reason of a number.
    pub fn of_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|why| why.number() == number)
    }

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Missing => "missing",
            Self::Unreadable => "unreadable",
        }
    }
}

impl Work {
    /// What it costs to read, in bytes.
    pub fn cost_bytes(self) -> u64 {
        let objects = self.objects.saturating_mul(OBJECT_COST_BYTES);
        self.bytes.saturating_add(objects)
    }
}

/// How long a round over so much lasts: as long as quiet reading takes, at least a day, and never
/// more than four fifths of `verify_every_ms`.
pub fn round_ms(all: Work, verify_every_ms: i64) -> i64 {
    let longest_ms = (verify_every_ms / 5).saturating_mul(4).max(1);
    let seconds = all.cost_bytes() / QUIET_BYTES_PER_SECOND;
    let quiet_ms = i64::try_from(seconds).map_or(i64::MAX, |s| s.saturating_mul(1000));
    quiet_ms.clamp(SHORTEST_ROUND_MS.min(longest_ms), longest_ms)
}

/// Whether the next round begins; `last_began_ms` is when the last one did.
pub fn begins(last_began_ms: Option<i64>, now_ms: i64, round_ms: i64) -> bool {
    last_began_ms.is_none_or(|began_ms| now_ms.saturating_sub(began_ms) >= round_ms)
}

/// What a round over `all` should have read by now and has not, as a cost in bytes; all that is
/// left where its time is over.
pub fn due_bytes(progress: Progress, all: Work, now_ms: i64, round_ms: i64) -> u64 {
    let elapsed_ms = now_ms.saturating_sub(progress.began_ms).max(0);
    if elapsed_ms >= round_ms {
        return u64::MAX;
    }
    let expected = u128::from(all.cost_bytes()) * u128::from(elapsed_ms.unsigned_abs())
        / u128::from(round_ms.unsigned_abs().max(1));
    let expected = u64::try_from(expected).unwrap_or(u64::MAX);
    expected.saturating_sub(progress.done.cost_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::clock::{HOUR_MS, MINUTE_MS, SECOND_MS};

    const MONTH_MS: i64 = 30 * DAY_MS;

    /// Reads objects as the plan says, a tick every so often; returns when the last one was read.
    fn run(sizes: &[u64], verify_every_ms: i64, tick_ms: i64) -> i64 {
        let all = Work {
            objects: sizes.len() as u64,
            bytes: sizes.iter().sum(),
        };
        let round_ms = round_ms(all, verify_every_ms);
        let mut progress = Progress {
            began_ms: 7,
            done: Work::default(),
        };
        let (mut now_ms, mut left) = (7, sizes.iter());
        loop {
            let mut due = due_bytes(progress, all, now_ms, round_ms);
            while due > 0 {
                let Some(size) = left.next() else {
                    return now_ms - 7;
                };
                progress.done.objects += 1;
                progress.done.bytes += size;
                due = due.saturating_sub(size + OBJECT_COST_BYTES);
            }
            now_ms += tick_ms;
        }
    }

    proptest! {
        #[test]
        fn every_round_ends_within_the_time_that_is_configured(
            sizes in prop::collection::vec(0_u64..1 << 40, 0..200),
            verify_every_ms in HOUR_MS..400 * DAY_MS,
            tick_ms in SECOND_MS..5 * MINUTE_MS,
        ) {
            let took_ms = run(&sizes, verify_every_ms, tick_ms);
            prop_assert!(took_ms <= verify_every_ms, "{took_ms}");
        }

        #[test]
        fn no_numbers_overflow(
            objects in any::<u64>(), bytes in any::<u64>(), done in any::<u64>(),
            began_ms in any::<i64>(), now_ms in any::<i64>(), verify_every_ms in any::<i64>(),
        ) {
            let all = Work { objects, bytes };
            let round_ms = round_ms(all, verify_every_ms);
            prop_assert!(round_ms > 0);
            let done = Work { objects: done, bytes: done };
            due_bytes(Progress { began_ms, done }, all, now_ms, round_ms);
            begins(Some(began_ms), now_ms, round_ms);
        }
    }

    #[test]
    fn a_small_repository_is_read_within_a_day_and_a_large_one_takes_its_time() {
        let of = |gib: u64| Work {
            objects: gib * 64,
            bytes: gib << 30,
        };
        assert_eq!(round_ms(of(10), MONTH_MS), DAY_MS);
        assert_eq!(round_ms(of(0), MONTH_MS), DAY_MS);
        let days = round_ms(of(1_000), MONTH_MS) / DAY_MS;
        assert!((2..4).contains(&days), "{days}");
        assert_eq!(round_ms(of(1_000_000), MONTH_MS), 24 * DAY_MS);
        assert_eq!(round_ms(of(10), 5 * HOUR_MS), 4 * HOUR_MS);
    }

    #[test]
    fn reading_is_spread_evenly() {
        let all = Work {
            objects: 0,
            bytes: 1000,
        };
        let at = |now_ms, read| {
            let done = Work {
                objects: 0,
                bytes: read,
            };
            due_bytes(Progress { began_ms: 0, done }, all, now_ms, 100)
        };
        assert_eq!(at(0, 0), 0);
        assert_eq!(at(10, 0), 100);
        assert_eq!(at(10, 60), 40);
        assert_eq!(at(10, 500), 0);
        assert_eq!(at(100, 900), u64::MAX);
        assert_eq!(at(-5, 0), 0);
    }

    #[test]
    fn a_round_begins_where_the_time_of_the_last_one_is_over() {
        assert!(begins(None, 0, DAY_MS));
        assert!(!begins(Some(5), DAY_MS, DAY_MS));
        assert!(begins(Some(5), 5 + DAY_MS, DAY_MS));
    }

    #[test]
    fn numbers_of_reasons_are_their_own() {
        for why in Why::ALL {
            assert_eq!(Why::of_number(why.number()), Some(why));
        }
        assert_eq!(Why::of_number(3), None);
    }
}
