//! What time it is on the server, as its answers tell.
//!
//! A lock ends by the clock of the server. Ours may have been set back, so that a lock made by it
//! would end at once, and every answer has a date anyway.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use parking_lot::Mutex;

/// The server's clock; clones are the same clock.
#[derive(Clone, Debug, Default)]
pub(super) struct ServerClock(Arc<Mutex<Option<Reading>>>);

/// What an answer told.
#[derive(Clone, Copy, Debug)]
struct Reading {
    told: SystemTime,
    /// When that was, by a clock of ours that nobody sets.
    at: Instant,
}

impl ServerClock {
    /// The server's time, to a second or two; `None` where no answer has told it yet.
    pub(super) fn now(&self) -> Option<SystemTime> {
        let reading = (*self.0.lock())?;
        reading.told.checked_add(reading.at.elapsed())
    }

    fn note(&self, header: &str) {
        if let Some(told) = parse(header) {
            let at = Instant::now();
            *self.0.lock() = Some(Reading { told, at });
        }
    }
}

impl Intercept for ServerClock {
    fn name(&self) -> &'static str {
        "ServerClock"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(header) = context.response().headers().get("date") {
            self.note(header);
        }
        Ok(())
    }
}

/// Reads a date as HTTP writes it: `Tue, 15 Nov 1994 08:12:31 GMT`.
fn parse(header: &str) -> Option<SystemTime> {
    let date = DateTime::from_str(header, DateTimeFormat::HttpDate).ok()?;
    SystemTime::try_from(date).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
