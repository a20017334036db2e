//! A clock that stands still until a test moves it.

use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;

/// A clock for tests; several threads may share it.
#[derive(Debug)]
pub struct TestClock {
    now: Mutex<Timestamp>,
}

impl TestClock {
    /// Starts at a time written as in RFC 3339, such as `2026-11-23T12:00:00Z`.
    pub fn at(text: &str) -> Self {
        Self {
            now: Mutex::new(text.parse().expect("a time as in RFC 3339")),
        }
    }

    /// The time it shows.
    pub fn now(&self) -> Timestamp {
        *self.now.lock()
    }

    /// Moves it forward, and returns the time it shows then.
    pub fn advance(&self, by: Duration) -> Timestamp {
        let mut now = self.now.lock();
        *now += by;
        *now
    }

    /// Sets it, also back: wall clocks do that.
    pub fn set(&self, to: Timestamp) {
        *self.now.lock() = to;
    }
}
