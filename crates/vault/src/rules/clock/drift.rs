//! Jumps of the wall clock that no single look at the clocks shows.
//!
//! [`VaultClock::step`] compares two looks. What can go wrong behind its back:
//! - a wall clock that walks: a little less than a jump from look to look, and days in an hour. So
//!   what it moves apart from the boot clock is summed up over a day; whoever slews a clock by 500
//!   ppm, as is usual, moves it by 43 s in that time;
//! - a process takes over whose wall clock is ahead. It has seen when the row was moved last, so it
//!   knows by its own boot clock how much time has passed since, and that its wall clock shows more.
//!
//! All of it is known to one run of a process, and forgotten with it. A process that begins where
//! nobody moves the row can see nothing of this, and need not: how long the vault was off is told
//! by the boot clock where the machine ran on, and else by the wall clock alone.

use crate::rules::clock::process::LONGEST_UNSEEN_MS;
use crate::rules::clock::{DAY_MS, JUMP_MS, Jump, Reading, VaultClock};

/// What one run of a process has seen of the clocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// From when on the wall clock is compared with the boot clock; a day ago at most.
    base: Reading,
    /// A row that another process has moved, and what the clocks of this one said when it was
    /// first seen.
    seen: Option<(Reading, Reading)>,
}

impl Drift {
    /// A process begins.
    pub const fn new(reading: Reading) -> Self {
        Self {
            base: reading,
            seen: None,
        }
    }

    /// The row one step on, moved by this process, and what jump there was.
    pub fn step(&self, row: &VaultClock, reading: Reading) -> (VaultClock, Option<Jump>) {
        let found = self.jump(row, &reading);
        let before = VaultClock {
            is_doubted: row.is_doubted || found.is_some(),
            ..row.clone()
        };
        let (next, jump) = before.step(reading);
        (next, jump.or(found))
    }

    fn jump(&self, row: &VaultClock, reading: &Reading) -> Option<Jump> {
        let moved_ms = |since: &Reading, wall_ms: i64| {
            let elapsed_ms = reading.boottime_ms.saturating_sub(since.boottime_ms);
            let is_known = reading.boot == since.boot && elapsed_ms >= 0;
            let moved_ms = reading.wall_ms.saturating_sub(wall_ms);
            is_known.then(|| moved_ms.saturating_sub(elapsed_ms))
        };
        let walked_ms = moved_ms(&self.base, self.base.wall_ms)
            .filter(|apart_ms| apart_ms.saturating_abs() > JUMP_MS);
        // Backward is a jump already by the step itself. Forward a look may have come late.
        let ahead_ms = self
            .seen
            .as_ref()
            .filter(|_| row.last.boot != reading.boot)
            .and_then(|(_, at)| moved_ms(at, row.last.wall_ms))
            .filter(|ahead_ms| *ahead_ms > JUMP_MS + LONGEST_UNSEEN_MS);
        walked_ms.or(ahead_ms).map(Jump::Wall)
    }

    /// Takes note of a row that was read or moved a moment before `at`; `is_moved` where a process
    /// lives that moves it.
    pub fn look(&mut self, row: &VaultClock, at: &Reading, is_moved: bool) {
        let elapsed_ms = at.boottime_ms.saturating_sub(self.base.boottime_ms);
        // What is doubted is told already; an operator looks at the clocks as they stand then.
        if row.is_doubted || at.boot != self.base.boot || !(0..DAY_MS).contains(&elapsed_ms) {
            self.base = at.clone();
        }
        if row.last.boot == at.boot {
            self.seen = None;
            return;
        }
        let is_new = self.seen.as_ref().map(|(row, _)| row) != Some(&row.last);
        // That a row is not moved any more tells nothing of when it was, unless it was seen to be.
        if is_new && (is_moved || self.seen.is_some()) {
            self.seen = Some((row.last.clone(), at.clone()));
        }
    }

    /// Nobody else lives: when the row was moved last is not known.
    pub fn forget_others(&mut self) {
        self.seen = None;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::clock::{HOUR_MS, MINUTE_MS, SECOND_MS};

    const START_MS: i64 = 1_800_000_000_000;

    fn reading(boot: &str, boottime_ms: i64, wall_ms: i64) -> Reading {
        Reading {
            boot: boot.to_owned(),
            boottime_ms,
            wall_ms,
        }
    }

    /// A process that looks every five seconds, and whose wall clock gains `gains_ms` each time;
    /// returns the row and after how many looks it was doubted.
    fn walk(gains_ms: i64, looks: i64) -> (VaultClock, Option<i64>) {
        let begin = reading("a", 0, START_MS);
        let (mut row, mut drift) = (VaultClock::begin(begin.clone()), Drift::new(begin));
        for look in 1..=looks {
            let boottime_ms = look * 5 * SECOND_MS;
            let now = reading("a", boottime_ms, START_MS + boottime_ms + look * gains_ms);
            let (next, jump) = drift.step(&row, now.clone());
            row = next;
            drift.look(&row, &now, true);
            if let Some(jump) = jump {
                assert!(
                    matches!(jump, Jump::Wall(ms) if ms.abs() > JUMP_MS),
                    "{jump:?}"
                );
                return (row, Some(look));
            }
        }
        (row, None)
    }

    #[test]
    fn a_clock_that_walks_is_doubted() {
        for gains_ms in [59 * SECOND_MS, SECOND_MS, 100, -100, -59 * SECOND_MS] {
            let (row, doubted) = walk(gains_ms, 20_000);
            assert!(row.is_doubted && doubted.is_some(), "{gains_ms}");
            // What it gained until then is no more than one jump that is not seen.
            let gained_ms = row.recorded_ms - START_MS - doubted.unwrap() * 5 * SECOND_MS;
            assert!(gained_ms <= JUMP_MS, "{gains_ms}: {gained_ms}");
        }
    }

    #[test]
    fn a_clock_that_is_slewed_as_is_usual_is_believed_for_years() {
        for gains_ms in [2, -2, 0] {
            let (row, doubted) = walk(gains_ms, 3 * 17_280);
            assert_eq!((row.is_doubted, doubted), (false, None), "{gains_ms}");
        }
    }

    #[test]
    fn after_an_operator_has_looked_it_begins_anew() {
        let begin = reading("a", 0, START_MS);
        let (mut row, mut drift) = (VaultClock::begin(begin.clone()), Drift::new(begin));
        let mut boottime_ms = 0;
        let mut offset_ms = 0;
        let mut look = |row: &mut VaultClock, gains_ms: i64| {
            boottime_ms += 5 * SECOND_MS;
            offset_ms += gains_ms;
            let now = reading("a", boottime_ms, START_MS + boottime_ms + offset_ms);
            let (next, jump) = drift.step(row, now.clone());
            *row = next;
            drift.look(row, &now, true);
            jump
        };
        assert_eq!(look(&mut row, 40 * SECOND_MS), None);
        let walked_ms = 80 * SECOND_MS;
        assert_eq!(look(&mut row, 40 * SECOND_MS), Some(Jump::Wall(walked_ms)));
        assert_eq!(look(&mut row, 0), None, "it is told once");
        row = row.confirm();
        for _ in 0..100 {
            assert_eq!(look(&mut row, 0), None);
        }
        assert!(!row.is_doubted);
    }

    #[test]
    fn taken_over_by_a_host_that_is_ahead_it_is_doubted() {
        for (ahead_ms, is_doubted) in [
            (29 * DAY_MS, true),
            (2 * MINUTE_MS, true),
            (MINUTE_MS, false),
            (0, false),
        ] {
            let begin = reading("a", 0, START_MS);
            let mut row = VaultClock::begin(begin);
            let boot_ms = 7 * HOUR_MS;
            let other = |now_ms: i64| reading("b", boot_ms + now_ms, START_MS + now_ms + ahead_ms);
            let mut drift = Drift::new(other(0));
            for second in (5..60).step_by(5) {
                let now_ms = second * SECOND_MS;
                row = row.step(reading("a", now_ms, START_MS + now_ms)).0;
                drift.look(&row, &other(now_ms + SECOND_MS), true);
            }
            // It stops or dies; however long nobody moves the row, the other knows how long.
            for gone_ms in [SECOND_MS, 40 * SECOND_MS, 3 * HOUR_MS] {
                let now_ms = 56 * SECOND_MS + gone_ms;
                drift.look(&row, &other(now_ms), false);
                let (next, jump) = drift.step(&row, other(now_ms));
                assert_eq!(next.is_doubted, is_doubted, "{ahead_ms} {gone_ms}");
                assert_eq!(jump.is_some(), is_doubted);
                assert!(next.recorded_ms <= START_MS + now_ms + MINUTE_MS);
            }
        }
    }

    #[test]
    fn a_vault_that_was_off_is_believed_as_before() {
        let row = VaultClock::begin(reading("a", 0, START_MS));
        let now = reading("b", 5, START_MS + 20 * DAY_MS);
        let mut drift = Drift::new(now.clone());
        drift.look(&row, &now, false);
        assert_eq!(drift.step(&row, now.clone()), row.step(now.clone()));
        // The lease of one that died a moment before its machine seems to be held.
        drift.look(&row, &now, true);
        drift.forget_others();
        assert_eq!(drift.step(&row, now.clone()), row.step(now));
    }

    proptest! {
        /// Hosts whose clocks are less than a minute apart take turns without doubt.
        #[test]
        fn hosts_that_are_close_take_turns_without_doubt(
            turns in prop::collection::vec((0..3_usize, 1..30_i64), 1..200),
        ) {
            let offsets_ms = [0, 29 * SECOND_MS, -29 * SECOND_MS];
            let mut now_ms = 0;
            let host = |number: usize, now_ms: i64| {
                let boottime_ms = now_ms + (number as i64 + 1) * DAY_MS;
                reading(&number.to_string(), boottime_ms, START_MS + now_ms + offsets_ms[number])
            };
            let mut row = VaultClock::begin(host(0, 0));
            let mut drifts: Vec<_> = (0..3).map(|number| Drift::new(host(number, 0))).collect();
            for (holder, seconds) in turns {
                now_ms += seconds.min(5) * SECOND_MS;
                row = drifts[holder].step(&row, host(holder, now_ms)).0;
                for (number, drift) in drifts.iter_mut().enumerate() {
                    drift.look(&row, &host(number, now_ms), true);
                }
                prop_assert!(!row.is_doubted);
                // Then nobody moves it for a while.
                now_ms += seconds * SECOND_MS;
            }
        }

        #[test]
        fn no_numbers_overflow_and_vault_time_never_leaps(
            readings in prop::collection::vec(
                (0..3_u8, any::<i64>(), any::<i64>(), any::<bool>()), 1..40),
        ) {
            let begin = reading("0", 0, START_MS);
            let (mut row, mut drift) = (VaultClock::begin(begin.clone()), Drift::new(begin));
            for (boot, boottime_ms, wall_ms, moves) in readings {
                let now = reading(&boot.to_string(), boottime_ms, wall_ms);
                if moves {
                    let (next, _) = drift.step(&row, now.clone());
                    prop_assert!((0..=MINUTE_MS * 25 / 24).contains(&(next.vault_ms - row.vault_ms)));
                    prop_assert!(next.recorded_ms >= row.recorded_ms);
                    row = next;
                }
                drift.look(&row, &now, moves);
            }
        }
    }
}
