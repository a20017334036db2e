//! What time it is on a server, as its answers tell.
//!
//! A lock ends by the clock of the server. Ours may have been set back, so that a lock made by it
//! would end at once, or ahead, so that what others decided would be due; and every answer has a date
//! anyway.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};

/// How far apart two clocks may be that are both right.
const TOLERANCE: Duration = Duration::from_secs(10 * 60);

/// The server's clock; clones are the same clock.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServerClock(Arc<Mutex<Option<Reading>>>);

/// What an answer told.
#[derive(Clone, Copy, Debug)]
struct Reading {
    told: SystemTime,
    /// When that was, as [`since_boot`] tells.
    at: Duration,
}

impl Reading {
    /// What time it is there so long after the start of this machine.
    fn time(self, since_boot: Duration) -> Option<SystemTime> {
        let passed = since_boot.saturating_sub(self.at);
        self.told.checked_add(passed)
    }
}

impl ServerClock {
    /// The server's time, to a second or two; `None` where no answer has told it yet.
    pub(crate) fn now(&self) -> Option<SystemTime> {
        let reading = (*self.0.lock())?;
        reading.time(since_boot()?)
    }

    /// Takes note of the date of an answer.
    pub(crate) fn note(&self, header: &str) {
        if let (Some(told), Some(at)) = (parse(header), since_boot()) {
            *self.0.lock() = Some(Reading { told, at });
        }
    }
}

/// How long this machine has run, by a clock that nobody sets and that goes on while the machine
/// sleeps: one that stands still then would take the server to be hours behind, and lock by that.
fn since_boot() -> Option<Duration> {
    Duration::try_from(clock_gettime(ClockId::Boottime)).ok()
}

/// Whether two clocks, of a place and of this machine, are so far apart that one of them must be wrong.
pub fn are_apart(server: SystemTime, ours: SystemTime) -> bool {
    let behind = server.duration_since(ours).unwrap_or_default();
    let ahead = ours.duration_since(server).unwrap_or_default();
    behind.max(ahead) > TOLERANCE
}

/// Reads a date as HTTP writes it: `Tue, 15 Nov 1994 08:12:31 GMT`.
fn parse(header: &str) -> Option<SystemTime> {
    let date = DateTime::from_str(header, DateTimeFormat::HttpDate).ok()?;
    SystemTime::try_from(date).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_the_server_goes_on_from_its_last_answer() {
        let clock = ServerClock::default();
        assert_eq!(clock.now(), None);
        clock.note("nonsense");
        assert_eq!(clock.now(), None);
        clock.note("Tue, 15 Nov 1994 08:12:31 GMT");
        let told = SystemTime::UNIX_EPOCH + Duration::from_secs(784_887_151);
        let since = clock.clone().now().unwrap().duration_since(told).unwrap();
        assert!(since < Duration::from_secs(60), "{since:?}");
        // An answer without a date, or with another one.
        clock.note("");
        assert!(clock.now().unwrap() >= told);
        clock.note("Tue, 15 Nov 1994 08:12:30 GMT");
        let earlier = told - Duration::from_secs(1);
        assert!(clock.now().unwrap() >= earlier);
    }

    #[test]
    fn the_time_of_the_server_goes_on_by_what_has_passed_since_its_answer_and_never_back() {
        let told = SystemTime::UNIX_EPOCH + Duration::from_secs(784_887_151);
        let at = Duration::from_secs(100);
        let reading = Reading { told, at };
        let night = Duration::from_secs(8 * 60 * 60);
        assert_eq!(reading.time(at + night), Some(told + night));
        assert_eq!(reading.time(Duration::ZERO), Some(told));
    }
}
