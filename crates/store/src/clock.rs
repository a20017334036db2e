//! What time it is on a server, as its answers tell.
//!
//! A lock ends by the clock of the server. Ours may have been set back, so that a lock made by it
//! would end at once, or ahead, so that what others decided would be due; and every answer has a date
//! anyway.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use parking_lot::Mutex;

/// How far apart two clocks may be that are both right.
const TOLERANCE: Duration = Duration::from_secs(10 * 60);

/// The server's clock; clones are the same clock.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServerClock(Arc<Mutex<Option<Reading>>>);

/// What an answer told.
#[derive(Clone, Copy, Debug)]
struct Reading {
    told: SystemTime,
    /// When that was, by a clock of ours that nobody sets.
    at: Instant,
}

impl ServerClock {
    /// The server's time, to a second or two; `None` where no answer has told it yet.
    pub(crate) fn now(&self) -> Option<SystemTime> {
        let reading = (*self.0.lock())?;
        reading.told.checked_add(reading.at.elapsed())
    }

    /// Takes note of the date of an answer.
    pub(crate) fn note(&self, header: &str) {
        if let Some(told) = parse(header) {
            let at = Instant::now();
            *self.0.lock() = Some(Reading { told, at });
        }
    }
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
}
