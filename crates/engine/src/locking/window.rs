//! When a lock is due for more, and when too little is left of it: pure, since every date counts.

use std::time::{Duration, SystemTime};

/// How much later than half as long again a lock may end that was made just now: clocks differ.
const SLACK: Duration = Duration::from_secs(2 * 3600);

/// The time at a place, and what must always be left of its locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The time, by the clock of the place: locks end by it.
    pub now: SystemTime,
    /// What must always be left.
    pub least: Duration,
}

impl Window {
    /// Whether a lock that ends then is to be made longer: less than a quarter more is left than
    /// must be, so that whoever misses a run or two still has that quarter.
    pub fn is_due(&self, until: SystemTime) -> bool {
        self.left(until) < self.least.saturating_add(self.least / 4)
    }

    /// Whether less is left of a lock that ends then than must be: an alarm.
    pub fn is_short(&self, until: SystemTime) -> bool {
        self.left(until) < self.least
    }

    /// The latest end that is believed of a record: half as long again, as it is when a lock is made.
    /// What is recorded so is due within a quarter of what must be left, and is looked at then.
    pub fn furthest(&self) -> SystemTime {
        let longest = self.least.saturating_add(self.least / 2);
        let from = self.now.checked_add(longest.saturating_add(SLACK));
        from.unwrap_or(self.now)
    }

    /// Whether a record is believed that says so of the end of a lock.
    pub fn is_believed(&self, until: SystemTime) -> bool {
        until <= self.furthest()
    }

    fn left(&self, until: SystemTime) -> Duration {
        until.duration_since(self.now).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn window(days: u32) -> Window {
        Window {
            now: SystemTime::UNIX_EPOCH + DAY * 20_000,
            least: DAY * days,
        }
    }

    #[test]
    fn a_lock_is_due_before_it_is_short() {
        let month = window(30);
        let end = |hours: u64| month.now + Duration::from_secs(hours * 3600);
        assert!(!month.is_due(end(45 * 24)));
        assert!(!month.is_due(end(900)));
        assert!(month.is_due(end(900) - Duration::from_secs(1)));
        assert!(!month.is_short(end(720)));
        assert!(month.is_short(end(720) - Duration::from_secs(1)));
        assert!(month.is_short(month.now - DAY));
        assert!(month.is_short(SystemTime::UNIX_EPOCH));
    }

    proptest! {
        #[test]
        fn what_is_short_is_due_and_what_was_extended_is_neither_for_a_quarter_of_the_lock(
            days in 1_u32..20_000,
            left_s in 0_u64..4_000_000_000,
            passed_s in 0_u64..4_000_000_000,
        ) {
            let window = window(days);
            let until = window.now + Duration::from_secs(left_s);
            prop_assert!(window.is_due(until) || !window.is_short(until));
            // Whoever waits longer has no more left.
            let passed = Duration::from_secs(passed_s);
            let later = Window { now: window.now + passed, ..window };
            prop_assert!(later.is_due(until) || !window.is_due(until));
            prop_assert!(later.is_short(until) || !window.is_short(until));
            let extended = window.now + window.least + window.least / 2;
            let is_over = passed > window.least / 4;
            prop_assert_eq!(later.is_due(extended), is_over);
            prop_assert!(window.is_believed(extended));
            // What is believed is due soon.
            let soon = Window { now: window.now + window.least / 4 + SLACK * 2, ..window };
            prop_assert!(soon.is_due(until) || !window.is_believed(until));
            prop_assert_eq!(later.is_short(extended), passed > window.least / 2);
        }
    }
}
