//! How often somebody may guess.
//!
//! **Security:** a bound for each account would let anybody lock its owner out, and one for each
//! address lets a thousand addresses guess. So an account has a bucket for all who were never signed
//! in from where they ask, and each browser in which it was signed in has one of its own, which only
//! whoever holds its cookie uses up. Passkeys are not guessed, and have none.

use crate::MINUTE_MS;

/// So many wrong guesses in a row are a slip.
const FREE: u32 = 8;

/// The pause after the first one beyond that; it doubles with each.
const FIRST_PAUSE_MS: i64 = MINUTE_MS;

/// The longest pause, so that nobody is locked out for ever.
const LONGEST_PAUSE_MS: i64 = 60 * MINUTE_MS;

/// The wrong guesses of one bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guesses {
    /// How many in a row.
    pub wrong: u32,
    /// When the last one was, by vault time.
    pub last_ms: i64,
}

impl Guesses {
    /// Until when no further guess is looked at; `None` where one is looked at now.
    pub fn pauses_until(self, now_ms: i64) -> Option<i64> {
        let beyond = self.wrong.checked_sub(FREE)?;
        let pause_ms = FIRST_PAUSE_MS
            .checked_shl(beyond)
            .filter(|pause_ms| (1..=LONGEST_PAUSE_MS).contains(pause_ms))
            .unwrap_or(LONGEST_PAUSE_MS);
        let until_ms = self.last_ms.saturating_add(pause_ms);
        (now_ms < until_ms).then_some(until_ms)
    }

    /// After one more that was wrong.
    #[must_use]
    pub const fn wrong_at(self, now_ms: i64) -> Self {
        Self {
            wrong: self.wrong.saturating_add(1),
            last_ms: now_ms,
        }
    }
}

/// Whether a code of TOTP counts, which is right for a step of 30 s: a step counts once, and none
/// before it counts any more.
pub fn is_step_new(last_step: Option<u64>, step: u64) -> bool {
    last_step.is_none_or(|last| last < step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_an_hour_and_no_further() {
        let mut guesses = Guesses::default();
        for _ in 0..FREE {
            assert_eq!(guesses.pauses_until(0), None);
            guesses = guesses.wrong_at(0);
        }
        assert_eq!(guesses.pauses_until(0), Some(MINUTE_MS));
        assert_eq!(guesses.pauses_until(MINUTE_MS), None);
        assert_eq!(guesses.wrong_at(0).pauses_until(0), Some(2 * MINUTE_MS));
        for wrong in FREE + 6..FREE + 200 {
            let guesses = Guesses { wrong, last_ms: 0 };
            assert_eq!(guesses.pauses_until(0), Some(LONGEST_PAUSE_MS), "{wrong}");
        }
    }

    #[test]
    fn a_step_counts_once_and_none_before_it() {
        assert!(is_step_new(None, 7) && is_step_new(Some(6), 7));
        assert!(!is_step_new(Some(7), 7) && !is_step_new(Some(8), 7));
    }
}
