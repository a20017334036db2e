//! Trying again what is worth it, with pauses that grow and can be interrupted.
//!
//! Only what may well succeed a moment later is tried again: a refused password never is. An
//! interruption ends the trying again and never forbids a first try: whoever ends cleanly still
//! has to remove his locks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::rest::options::Retries;
use crate::{Error, Result};

/// How soon an interruption is noticed while waiting.
pub(crate) const SLICE: Duration = Duration::from_millis(50);

/// Why one try failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// It may succeed when tried again.
    Again {
        /// What happened, without secrets.
        reason: String,
        /// The pause that the server asks for.
        pause: Option<Duration>,
    },
    /// It will fail each time.
    Final(Error),
}

impl Fault {
    /// A fault worth another try.
    pub(super) fn again(reason: impl Into<String>) -> Self {
        Self::Again {
            reason: reason.into(),
            pause: None,
        }
    }
}

/// How the requests to one server are repeated.
#[derive(Clone, Debug)]
pub(super) struct Attempts {
    pub(super) location: String,
    pub(super) retries: Retries,
    pub(super) cancelled: Arc<AtomicBool>,
}

impl Attempts {
    /// Runs `attempt`, which is told how many tries came before, until it succeeds or may not be
    /// repeated. After an interruption it runs once.
    pub(super) fn run<T>(&self, mut attempt: impl FnMut(u32) -> Result<T, Fault>) -> Result<T> {
        let mut try_number = 0;
        loop {
            let (reason, pause) = match attempt(try_number) {
                Ok(value) => return Ok(value),
                Err(Fault::Final(error)) => return Err(error),
                Err(Fault::Again { reason, pause }) => (reason, pause),
            };
            try_number += 1;
            if try_number >= self.retries.tries {
                return Err(Error::Unreachable {
                    location: self.location.clone(),
                    reason,
                });
            }
            tracing::debug!(
                location = %self.location, %reason, try_number, "A request failed and is tried again"
            );
            self.pause(try_number, pause)?;
        }
    }

    /// Waits before try `try_number`, counted from zero; as long as the server asked for, if it did.
    pub(super) fn pause(&self, try_number: u32, asked: Option<Duration>) -> Result<()> {
        let pause = pause_before(&self.retries, try_number, asked, random_share());
        let start = Instant::now();
        loop {
            self.check()?;
            match pause.checked_sub(start.elapsed()) {
                None | Some(Duration::ZERO) => return Ok(()),
                Some(rest) => thread::park_timeout(rest.min(SLICE)),
            }
        }
    }

    /// Fails where the run was interrupted: asked between two of many requests.
    pub(super) fn check(&self) -> Result<()> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(Error::Cancelled {
                location: self.location.clone(),
            });
        }
        Ok(())
    }
}

/// How long to wait before try `try_number`: what was asked for, or a share of a time that doubles
/// with each try, so that many clients of a server that was away do not come back at once. Neither
/// is longer than the longest pause.
fn pause_before(
    retries: &Retries,
    try_number: u32,
    asked: Option<Duration>,
    share: f64,
) -> Duration {
    if let Some(asked) = asked {
        return asked.min(retries.longest_pause);
    }
    let doublings = try_number.saturating_sub(1).min(31);
    let longest = retries.first_pause.saturating_mul(1 << doublings);
    longest.min(retries.longest_pause).mul_f64(share)
}

/// A random number from 0 to 1; where the system has no randomness, the whole pause is waited.
fn random_share() -> f64 {
    let share = getrandom::u32().unwrap_or(u32::MAX);
    f64::from(share) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn attempts(tries: u32) -> Attempts {
        Attempts {
            location: "rest:http://h/".to_owned(),
            retries: Retries {
                tries,
                first_pause: Duration::from_micros(10),
                longest_pause: Duration::from_micros(20),
            },
            cancelled: Arc::default(),
        }
    }

    #[test]
    fn tries_end_after_the_last_one_and_tell_the_last_reason() {
        let mut count = 0;
        let result: Result<()> = attempts(3).run(|try_number| {
            assert_eq!(try_number, count);
            count += 1;
            Err(Fault::again(format!("reason {count}")))
        });
        assert_eq!(count, 3);
        let text = result.unwrap_err().to_string();
        assert_eq!(text, "rest:http://h/ cannot be reached: reason 3");
    }

    #[test]
    fn a_final_fault_is_not_tried_again() {
        let mut count = 0;
        let result: Result<()> = attempts(3).run(|_| {
            count += 1;
            Err(Fault::Final(Error::Full {
                location: String::new(),
            }))
        });
        assert!(matches!(result, Err(Error::Full { .. })));
        assert_eq!(count, 1);
    }

    #[test]
    fn an_interruption_ends_a_long_pause_at_once() {
        let mut attempts = attempts(5);
        attempts.retries.longest_pause = Duration::from_secs(3600);
        let cancelled = Arc::clone(&attempts.cancelled);
        let result: Result<()> = attempts.run(|_| {
            cancelled.store(true, Ordering::Relaxed);
            Err(Fault::Again {
                reason: String::new(),
                pause: Some(Duration::from_secs(3600)),
            })
        });
        assert!(matches!(result, Err(Error::Cancelled { .. })));
    }

    #[test]
    fn after_an_interruption_there_is_one_try_and_no_second() {
        let attempts = attempts(5);
        attempts.cancelled.store(true, Ordering::Relaxed);
        assert_eq!(attempts.run(|_| Ok(7)).unwrap(), 7);
        let mut count = 0;
        let result: Result<()> = attempts.run(|_| {
            count += 1;
            Err(Fault::again("busy"))
        });
        assert!(matches!(result, Err(Error::Cancelled { .. })));
        assert_eq!(count, 1);
    }

    #[test]
    fn a_pause_is_bounded_whatever_the_server_asks_for() {
        attempts(2).pause(1, Some(Duration::MAX)).unwrap();
        attempts(2).pause(u32::MAX, None).unwrap();
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_a_share_of_each_is_waited() {
        let retries = Retries {
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(1),
            ..attempts(9).retries
        };
        let pauses = |share| {
            let tries = [1, 2, 3, 4, 5, 6, u32::MAX];
            tries.map(|number| pause_before(&retries, number, None, share).as_millis())
        };
        assert_eq!(pauses(1.0), [100, 200, 400, 800, 1000, 1000, 1000]);
        assert_eq!(pauses(0.5), [50, 100, 200, 400, 500, 500, 500]);
        assert_eq!(pauses(0.0), [0; 7]);
        // What a server asks for is waited whole, and bounded as well.
        for (asked, waited) in [(700, 700), (5000, 1000)] {
            let asked = Some(Duration::from_millis(asked));
            let pause = pause_before(&retries, 1, asked, 0.5);
            assert_eq!(pause, Duration::from_millis(waited));
        }
    }

    #[test]
    fn shares_differ_and_are_shares() {
        let shares: Vec<_> = (0..100).map(|_| random_share()).collect();
        assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)));
        let distinct: BTreeSet<_> = shares.iter().map(|share| share.to_bits()).collect();
        assert!(distinct.len() > 90);
    }
}
