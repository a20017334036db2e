//! For how long leaves wait to be published, whichever process publishes.
//!
//! What can go wrong: under load there are always leaves that are newer than what is published. So
//! it is asked whether those are published that were known a while ago, and not whether all are.

/// What was seen of the log's head, by the boot clock of this process.
#[derive(Debug)]
pub(super) struct Lag {
    /// How many leaves there were at `wanted_ms`.
    wanted: u64,
    wanted_ms: i64,
    /// All leaves of this moment are known to be published.
    published_ms: i64,
}

impl Lag {
    /// Nothing is behind at first.
    pub(super) const fn new(now_ms: i64) -> Self {
        Self {
            wanted: 0,
            wanted_ms: now_ms,
            published_ms: now_ms,
        }
    }

    /// Takes note of how many leaves there are, and how many of them are published.
    pub(super) const fn note(&mut self, leaves: u64, published: u64, now_ms: i64) {
        if published >= leaves {
            self.published_ms = now_ms;
        } else if published >= self.wanted {
            self.published_ms = self.wanted_ms;
        } else {
            return;
        }
        (self.wanted, self.wanted_ms) = (leaves, now_ms);
    }

    /// For how long it is not known that all was published, in milliseconds.
    pub(super) const fn behind_ms(&self, now_ms: i64) -> i64 {
        let behind_ms = now_ms.saturating_sub(self.published_ms);
        if behind_ms < 0 { 0 } else { behind_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_keeps_up_under_load_is_little_behind() {
        let mut lag = Lag::new(0);
        for look in 1..100 {
            lag.note(look * 10, look * 10 - 5, look as i64 * 5_000);
            assert!(lag.behind_ms(look as i64 * 5_000) <= 5_000);
        }
    }

    #[test]
    fn a_log_that_stands_still_falls_behind_and_catches_up() {
        let mut lag = Lag::new(0);
        lag.note(10, 10, 1_000);
        lag.note(11, 10, 2_000);
        for look in 3..9 {
            lag.note(20, 10, look * 1_000);
        }
        assert!(lag.behind_ms(8_000) >= 6_000);
        lag.note(20, 20, 9_000);
        assert_eq!(lag.behind_ms(9_000), 0);
        assert_eq!(lag.behind_ms(19_000), 10_000);
    }
}
