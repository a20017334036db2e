//! Vault time: the vault's own slow clock, which alone decides when something may go.
//!
//! It follows the boot clock while a vault runs and stands still while none does. What it so lags
//! behind the wall clock it catches up slowly: an hour a day, or at once where an operator says so,
//! and then no more than the time for which the vault was seen to be off. Whoever sets the wall clock gains
//! nothing: forward it makes this clock faster by a twenty-fourth, backward it is a jump, and
//! either way a jump that is seen makes the clock doubted until an operator has looked at it. That
//! holds for a process that begins anew on a machine that ran on, too: its boot clock tells how long
//! nobody looked. A reboot leaves nothing but the wall clock to tell how long the vault was off: so
//! what an operator has it catch up beyond a day, he must know from elsewhere, and what becomes due
//! by it stays for another day.
//!
//! With several processes one of them moves the clock at a time. Each run of a process counts as a
//! start of a machine of its own: whoever takes over begins anew and adds nothing for the time
//! before, so that no second is counted twice; what that loses is caught up as any lag is. What the
//! others make of it is in [`process`]; jumps that no single step shows are found in [`drift`].
//!
//! What can go wrong: who is root on the vault's machine can lie about the boot clock as well. He
//! can also remove files; see docs/vault.md for what then helps.

pub mod drift;
pub mod process;

pub use drift::Drift;
pub use process::{ProcessClock, Shown};

/// Milliseconds in a second.
pub const SECOND_MS: i64 = 1_000;
/// Milliseconds in a minute.
pub const MINUTE_MS: i64 = 60 * SECOND_MS;
/// Milliseconds in an hour.
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
/// Milliseconds in a day.
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// The longest time between two looks at the clocks that still counts as running.
pub const LONGEST_STEP_MS: i64 = MINUTE_MS;

/// By how much the wall clock may move apart from the boot clock between two looks.
pub const JUMP_MS: i64 = MINUTE_MS;

/// How long a vault may have been off before the wall clock is doubted.
pub const LONGEST_OFF_MS: i64 = 30 * DAY_MS;

/// How far the wall clock may be from recorded time to be believed again without a question.
pub const LONGEST_LEAP_MS: i64 = DAY_MS;

/// For how long what an operator had it catch up counts.
const LEAP_COUNTS_MS: i64 = DAY_MS;

/// An hour a day: of each step, this part is added while the clock lags.
const CATCH_UP_PART: i64 = 24;

/// What the system's clocks say at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Of which run of a process, on which start of which machine, this is: boot clocks are
    /// compared within one alone.
    pub boot: String,
    /// CLOCK_BOOTTIME, in milliseconds.
    pub boottime_ms: i64,
    /// The wall clock, in milliseconds since 1970.
    pub wall_ms: i64,
}

/// The clock of a vault, as it was at one reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultClock {
    /// Vault time, in milliseconds since 1970.
    pub vault_ms: i64,
    /// The wall time that is recorded with what happens; never runs backwards.
    pub recorded_ms: i64,
    /// The last reading.
    pub last: Reading,
    /// Whether a jump was seen that nobody has confirmed.
    pub is_doubted: bool,
    /// For how long it was off and has not caught up yet: by the boot clock where the machine ran
    /// on, else as the wall clocks before and after tell.
    pub off_ms: i64,
    /// By how much operators had it catch up, each time within a day of the one before.
    pub leapt_ms: i64,
    /// Until when that counts, by vault time.
    pub leapt_until_ms: i64,
}

/// What a step of the clock found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jump {
    /// The wall clock moved by so many milliseconds more than the boot clock did.
    Wall(i64),
    /// The vault seems to have been off for so many milliseconds.
    Off(i64),
}

impl VaultClock {
    /// The clock of a new vault, which begins as the wall clock stands.
    pub fn begin(reading: Reading) -> Self {
        Self {
            vault_ms: reading.wall_ms,
            recorded_ms: reading.wall_ms,
            last: reading,
            is_doubted: false,
            off_ms: 0,
            leapt_ms: 0,
            leapt_until_ms: 0,
        }
    }

    /// The clock at a later reading, and what jump there was between.
    pub fn step(&self, reading: Reading) -> (Self, Option<Jump>) {
        let elapsed_ms = self.elapsed_ms(&reading);
        let moved_ms = reading.wall_ms.saturating_sub(self.last.wall_ms);
        // A process that was off, on a machine that was not: the boot clock tells for how long.
        let booted_ms = elapsed_ms.or_else(|| self.booted_ms(&reading));
        let apart_ms = booted_ms.map(|booted_ms| moved_ms.saturating_sub(booted_ms));
        let apart_ms = apart_ms.filter(|apart_ms| apart_ms.saturating_abs() > JUMP_MS);
        let jump = match (apart_ms, elapsed_ms) {
            (Some(apart_ms), _) => Some(Jump::Wall(apart_ms)),
            (None, Some(_)) => None,
            (None, None) if moved_ms < -JUMP_MS => Some(Jump::Wall(moved_ms)),
            (None, None) if moved_ms > LONGEST_OFF_MS => Some(Jump::Off(moved_ms)),
            (None, None) => None,
        };
        let is_doubted = self.is_doubted || jump.is_some();
        let off_ms = match elapsed_ms {
            Some(_) => 0,
            None => self.off_until_ms(&reading),
        };
        let step_ms = elapsed_ms.unwrap_or(0);
        let followed_ms = self.vault_ms.saturating_add(step_ms);
        let lag_ms = reading.wall_ms.saturating_sub(followed_ms).max(0);
        let caught_up_ms = match is_doubted {
            true => 0,
            false => lag_ms.min(step_ms / CATCH_UP_PART),
        };
        let recorded_ms = match is_doubted {
            true => self.recorded_ms.saturating_add(step_ms),
            false => self.recorded_ms.max(reading.wall_ms),
        };
        let next = Self {
            vault_ms: followed_ms.saturating_add(caught_up_ms),
            recorded_ms,
            off_ms: self
                .off_ms
                .saturating_add(off_ms)
                .saturating_sub(caught_up_ms)
                .max(0),
            last: reading,
            is_doubted,
            leapt_ms: self.leapt_ms,
            leapt_until_ms: self.leapt_until_ms,
        };
        (next, jump)
    }

    /// The clock after an operator has looked at it: the wall clock counts again.
    pub fn confirm(&self) -> Self {
        Self {
            is_doubted: false,
            recorded_ms: self.recorded_ms.max(self.last.wall_ms),
            ..self.clone()
        }
    }

    /// Whether the wall clock has gone so far from what is recorded that it is not to be believed
    /// without a question: recorded time never runs back again.
    pub const fn is_leap(&self) -> bool {
        self.last
            .wall_ms
            .saturating_sub(self.recorded_ms)
            .saturating_abs()
            > LONGEST_LEAP_MS
    }

    /// How much an operator may have caught up at once: what vault time lags behind the wall, and
    /// no more than the time off.
    pub fn may_catch_up_ms(&self) -> i64 {
        let lag_ms = self.last.wall_ms.saturating_sub(self.vault_ms).max(0);
        match self.is_doubted {
            true => 0,
            false => self.off_ms.min(lag_ms),
        }
    }

    /// The clock after an operator has had it catch up; not further than it may.
    pub fn catch_up(&self, by_ms: i64) -> Self {
        let by_ms = by_ms.clamp(0, self.may_catch_up_ms());
        if by_ms == 0 {
            return self.clone();
        }
        let vault_ms = self.vault_ms.saturating_add(by_ms);
        Self {
            vault_ms,
            off_ms: self.off_ms.saturating_sub(by_ms),
            leapt_ms: self.leapt_with_ms(by_ms),
            leapt_until_ms: vault_ms.saturating_add(LEAP_COUNTS_MS),
            ..self.clone()
        }
    }

    /// Whether so much more to catch up is more than an operator may have without saying what time
    /// it is; what he has said in small pieces counts together.
    pub fn is_long_leap(&self, by_ms: i64) -> bool {
        self.leapt_with_ms(by_ms) > LONGEST_LEAP_MS
    }

    /// The time by which it is decided what may be purged: vault time, but for a day after a long
    /// leap without it, so that what becomes due by the leap alone can still be saved.
    pub fn purge_ms(&self) -> i64 {
        match self.is_long_leap(0) {
            true => self.vault_ms.saturating_sub(self.leapt_ms),
            false => self.vault_ms,
        }
    }

    /// Until when, by vault time, what became due by a long leap alone stays; none where there was
    /// none within a day.
    pub fn leap_holds_until_ms(&self) -> Option<i64> {
        self.is_long_leap(0).then_some(self.leapt_until_ms)
    }

    /// By how much operators have had it catch up within a day, and so much more.
    fn leapt_with_ms(&self, by_ms: i64) -> i64 {
        let leapt_ms = match self.vault_ms < self.leapt_until_ms {
            true => self.leapt_ms,
            false => 0,
        };
        leapt_ms.saturating_add(by_ms)
    }

    /// For how long nobody has moved it until a reading. On one start of a machine the boot clock
    /// tells, whatever the wall clocks say.
    fn off_until_ms(&self, reading: &Reading) -> i64 {
        let off_ms = match self.booted_ms(reading) {
            Some(booted_ms) => booted_ms,
            None => reading.wall_ms.saturating_sub(self.last.wall_ms),
        };
        off_ms.max(0)
    }

    /// What the boot clock has moved, where the machine ran all the while, whoever looked.
    fn booted_ms(&self, reading: &Reading) -> Option<i64> {
        // Behind the start of the machine stands the run of the process.
        let is_same_start = reading.boot.split(' ').next() == self.last.boot.split(' ').next();
        let booted_ms = reading.boottime_ms.checked_sub(self.last.boottime_ms)?;
        (is_same_start && booted_ms >= 0).then_some(booted_ms)
    }

    /// What the boot clock has moved, where the vault ran all the while.
    fn elapsed_ms(&self, reading: &Reading) -> Option<i64> {
        let elapsed_ms = reading.boottime_ms.checked_sub(self.last.boottime_ms)?;
        let ran = reading.boot == self.last.boot && (0..=LONGEST_STEP_MS).contains(&elapsed_ms);
        ran.then_some(elapsed_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START_MS: i64 = 1_800_000_000_000;

    fn reading(boottime_ms: i64, wall_ms: i64) -> Reading {
        Reading {
            boot: "a".to_owned(),
            boottime_ms,
            wall_ms,
        }
    }

    /// Lets a vault run, looking at the clocks every ten seconds.
    fn run(mut clock: VaultClock, for_ms: i64) -> VaultClock {
        for _ in 0..for_ms / (10 * SECOND_MS) {
            let last = &clock.last;
            let next = Reading {
                boot: last.boot.clone(),
                boottime_ms: last.boottime_ms + 10 * SECOND_MS,
                wall_ms: last.wall_ms + 10 * SECOND_MS,
            };
            clock = clock.step(next).0;
        }
        clock
    }

    #[test]
    fn while_it_runs_it_goes_as_the_wall_does() {
        let clock = run(VaultClock::begin(reading(0, START_MS)), DAY_MS);
        assert_eq!(clock.vault_ms, START_MS + DAY_MS);
        assert_eq!(clock.recorded_ms, START_MS + DAY_MS);
        assert!(!clock.is_doubted);
    }

    #[test]
    fn off_for_a_week_it_stands_still_and_then_gains_an_hour_a_day() {
        let clock = VaultClock::begin(reading(0, START_MS));
        let (clock, jump) = clock.step(reading(7 * DAY_MS, START_MS + 7 * DAY_MS));
        assert_eq!((clock.vault_ms, jump), (START_MS, None));
        let clock = run(clock, DAY_MS);
        let gained_ms = clock.vault_ms - START_MS - DAY_MS;
        assert!(
            (HOUR_MS - MINUTE_MS..=HOUR_MS).contains(&gained_ms),
            "{gained_ms}"
        );
    }

    #[test]
    fn ten_years_forward_are_a_jump_that_moves_nothing() {
        let clock = VaultClock::begin(reading(0, START_MS));
        let years_ms = 3_652 * DAY_MS;
        let (clock, jump) = clock.step(reading(SECOND_MS, START_MS + years_ms));
        assert_eq!(jump, Some(Jump::Wall(years_ms - SECOND_MS)));
        assert_eq!(clock.vault_ms, START_MS + SECOND_MS);
        assert_eq!(clock.recorded_ms, START_MS + SECOND_MS);
        assert!(clock.is_doubted);
        // And nothing of it is caught up while nobody has confirmed it.
        let clock = run(clock, DAY_MS);
        assert_eq!(clock.vault_ms, START_MS + SECOND_MS + DAY_MS);
    }

    #[test]
    fn set_forward_while_it_was_off_gains_an_hour_a_day_at_most() {
        let clock = VaultClock::begin(reading(5 * DAY_MS, START_MS));
        let other_boot = Reading {
            boot: "b".to_owned(),
            boottime_ms: SECOND_MS,
            wall_ms: START_MS + 20 * DAY_MS,
        };
        let (clock, jump) = clock.step(other_boot.clone());
        assert_eq!((clock.vault_ms, jump), (START_MS, None));
        let far = Reading {
            wall_ms: START_MS + 40 * DAY_MS,
            ..other_boot
        };
        let (clock, jump) = VaultClock::begin(reading(5 * DAY_MS, START_MS)).step(far);
        assert_eq!(jump, Some(Jump::Off(40 * DAY_MS)));
        assert_eq!((clock.vault_ms, clock.recorded_ms), (START_MS, START_MS));
    }

    #[test]
    fn set_back_it_is_a_jump_and_recorded_time_never_runs_backwards() {
        let clock = VaultClock::begin(reading(0, START_MS));
        let (clock, jump) = clock.step(reading(SECOND_MS, START_MS - DAY_MS));
        assert!(matches!(jump, Some(Jump::Wall(by_ms)) if by_ms < 0));
        assert_eq!(clock.recorded_ms, START_MS + SECOND_MS);
        let confirmed = clock.confirm();
        assert!(!confirmed.is_doubted);
        assert_eq!(confirmed.recorded_ms, START_MS + SECOND_MS);
    }

    #[test]
    fn an_operator_has_it_catch_up_what_it_was_off_and_no_more() {
        let clock = VaultClock::begin(reading(0, START_MS));
        assert_eq!(clock.catch_up(DAY_MS), clock, "it was never off");
        // Off for two days, while somebody moved the wall clock on by two more.
        let back = reading(2 * DAY_MS, START_MS + 4 * DAY_MS);
        let (clock, jump) = clock.step(back);
        assert_eq!(jump, Some(Jump::Wall(2 * DAY_MS)));
        assert_eq!(clock.may_catch_up_ms(), 0, "it is doubted");
        let clock = clock.confirm();
        assert_eq!(clock.may_catch_up_ms(), 2 * DAY_MS);
        let caught_up = clock.catch_up(DAY_MS);
        assert_eq!(caught_up.vault_ms, START_MS + DAY_MS);
        assert_eq!(caught_up.recorded_ms, clock.recorded_ms);
        let caught_up = caught_up.catch_up(100 * DAY_MS);
        assert_eq!(caught_up.vault_ms, START_MS + 2 * DAY_MS);
        assert_eq!(caught_up.catch_up(DAY_MS), caught_up);
        // What was caught up by itself is not caught up again.
        let later = run(clock, DAY_MS);
        let left_ms = later.may_catch_up_ms();
        assert!(
            (2 * DAY_MS - HOUR_MS..2 * DAY_MS).contains(&left_ms),
            "{left_ms}"
        );
        // Nor is it while the clock is doubted, or beyond the wall.
        let (doubted, _) = later.step(reading(2 * DAY_MS, START_MS + 400 * DAY_MS));
        assert_eq!(doubted.may_catch_up_ms(), 0);
        let (ahead, _) = VaultClock::begin(reading(0, START_MS)).step(Reading {
            boot: "b".to_owned(),
            ..reading(0, START_MS + DAY_MS)
        });
        assert_eq!(ahead.catch_up(5 * DAY_MS).vault_ms, START_MS + DAY_MS);
    }

    #[test]
    fn a_restart_on_a_machine_that_ran_on_is_no_time_off() {
        let at = |run: &str, boottime_ms, wall_ms| Reading {
            boot: format!("m {run}"),
            ..reading(boottime_ms, wall_ms)
        };
        let clock = VaultClock::begin(at("run1", 0, START_MS));
        for by_ms in [29 * DAY_MS, -2 * MINUTE_MS, 2 * MINUTE_MS] {
            let restarted = at("run2", 5 * SECOND_MS, START_MS + 5 * SECOND_MS + by_ms);
            let (clock, jump) = clock.step(restarted);
            assert_eq!(jump, Some(Jump::Wall(by_ms)));
            assert_eq!((clock.vault_ms, clock.recorded_ms), (START_MS, START_MS));
            assert_eq!(clock.may_catch_up_ms(), 0);
            assert!(
                clock.confirm().may_catch_up_ms() <= 5 * SECOND_MS,
                "it was not off"
            );
        }
        // Off for ten days while the machine ran, or a minute of slewing: both are as they seem.
        for (off_ms, by_ms) in [(10 * DAY_MS, 0), (5 * SECOND_MS, 50 * SECOND_MS)] {
            let (clock, jump) = clock.step(at("run2", off_ms, START_MS + off_ms + by_ms));
            assert_eq!((jump, clock.off_ms), (None, off_ms));
        }
        // After a reboot nobody can know.
        let (clock, jump) = clock.step(Reading {
            boot: "n run2".to_owned(),
            ..reading(SECOND_MS, START_MS + 29 * DAY_MS)
        });
        assert_eq!((jump, clock.off_ms), (None, 29 * DAY_MS));
    }

    #[test]
    fn what_becomes_due_by_a_long_leap_stays_for_another_day() {
        let rebooted = |days: i64| {
            let next = Reading {
                boot: "b".to_owned(),
                ..reading(SECOND_MS, START_MS + days * DAY_MS)
            };
            VaultClock::begin(reading(0, START_MS)).step(next).0
        };
        let clock = rebooted(20);
        // A day at once, and no more; what is said in pieces counts together.
        assert!(!clock.is_long_leap(DAY_MS) && clock.is_long_leap(DAY_MS + 1));
        let a_day = clock.catch_up(DAY_MS);
        assert_eq!(a_day.purge_ms(), a_day.vault_ms);
        assert_eq!(a_day.leap_holds_until_ms(), None);
        assert!(a_day.is_long_leap(HOUR_MS));
        let leapt = a_day.catch_up(10 * DAY_MS);
        assert_eq!(leapt.vault_ms, START_MS + 11 * DAY_MS);
        assert_eq!(leapt.purge_ms(), START_MS);
        assert_eq!(leapt.leap_holds_until_ms(), Some(START_MS + 12 * DAY_MS));
        let later = run(leapt.clone(), DAY_MS / 2);
        assert!(later.purge_ms() < START_MS + DAY_MS);
        let later = run(leapt, DAY_MS);
        assert_eq!(later.purge_ms(), later.vault_ms);
        assert_eq!(later.leap_holds_until_ms(), None);
        assert!(!later.is_long_leap(DAY_MS));
    }

    #[test]
    fn a_leap_of_more_than_a_day_is_one_either_way() {
        let clock = VaultClock::begin(reading(0, START_MS));
        for (by_ms, is_leap) in [
            (DAY_MS, false),
            (-DAY_MS, false),
            (3_652 * DAY_MS, true),
            (-2 * DAY_MS, true),
        ] {
            let (clock, _) = clock.step(reading(SECOND_MS, START_MS + SECOND_MS + by_ms));
            assert_eq!(clock.is_leap(), is_leap, "{by_ms}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_clocks_say_vault_time_moves_forward_and_never_leaps(
            readings in prop::collection::vec((0..3_u8, any::<i64>(), any::<i64>()), 1..40),
        ) {
            let mut clock = VaultClock::begin(reading(0, START_MS));
            for (boot, boottime_ms, wall_ms) in readings {
                let next = Reading { boot: boot.to_string(), boottime_ms, wall_ms };
                let (after, _) = clock.step(next);
                let moved_ms = after.vault_ms - clock.vault_ms;
                prop_assert!((0..=LONGEST_STEP_MS * 25 / 24).contains(&moved_ms));
                prop_assert!(after.recorded_ms >= clock.recorded_ms);
                clock = after;
            }
        }
    }
}
