//! Bodies that come in over a network which may stop, crawl or break.
//!
//! [`Paced`] holds a body to a least rate, counting only the time spent waiting for the server:
//! a reader that is slow itself does no harm. After an interruption it waits a moment and no more. [`Stream`] goes on where a broken body ended.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use strongroom_model::FileName;

use crate::exact::room_for;
use crate::rest::client::{Client, Incoming};
use crate::rest::options::Timeouts;
use crate::rest::retry::Attempts;
use crate::{Error, Result};

/// How long an answer is waited for after an interruption: what is almost there comes to its end,
/// and whoever ends cleanly can still ask.
pub(crate) const INTERRUPTED_WAIT: Duration = Duration::from_millis(500);

/// A body that must keep moving.
pub(super) struct Paced<R> {
    inner: R,
    timeouts: Timeouts,
    cancelled: Arc<AtomicBool>,
    waited: Duration,
    waited_interrupted: Duration,
    moved_bytes: u64,
}

impl<R> Paced<R> {
    /// Starts to count.
    pub(super) const fn new(inner: R, timeouts: Timeouts, cancelled: Arc<AtomicBool>) -> Self {
        Self {
            inner,
            timeouts,
            cancelled,
            waited: Duration::ZERO,
            waited_interrupted: Duration::ZERO,
            moved_bytes: 0,
        }
    }

    /// The bytes that have come so far.
    pub(super) const fn moved_bytes(&self) -> u64 {
        self.moved_bytes
    }
}

impl<R: Read> Read for Paced<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.waited > self.timeouts.for_body(self.moved_bytes) {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "The answer comes too slowly",
            ));
        }
        if self.waited_interrupted > INTERRUPTED_WAIT {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "Interrupted before all of the answer came",
            ));
        }
        let start = Instant::now();
        let result = self.inner.read(buffer);
        let waited = start.elapsed();
        self.waited += waited;
        if self.cancelled.load(Ordering::Relaxed) {
            self.waited_interrupted += waited;
        }
        if let Ok(count) = result {
            self.moved_bytes += count as u64;
        }
        result
    }
}

/// A file's bytes from front to back, whatever happens to single connections.
pub(super) struct Stream<'a> {
    client: &'a Client,
    attempts: &'a Attempts,
    name: FileName,
    /// `None` where a new connection has to be opened first.
    body: Option<Incoming>,
    left: Range<u64>,
    /// How often a body broke. All breaks count, also those after progress, so that a server
    /// cannot keep a reader for ever with one byte at a time.
    breaks: u32,
}

impl<'a> Stream<'a> {
    /// Reads the range `left` of a file, whose first connection is `body`.
    pub(super) const fn new(
        client: &'a Client,
        attempts: &'a Attempts,
        name: FileName,
        body: Option<Incoming>,
        left: Range<u64>,
    ) -> Self {
        Self {
            client,
            attempts,
            name,
            body,
            left,
            breaks: 0,
        }
    }

    /// Opens a new connection where the last one broke, or tells that it broke too often.
    fn resume(&mut self, broken: io::Error) -> Result<Incoming> {
        self.breaks += 1;
        if self.breaks >= self.attempts.retries.tries {
            return Err(Error::Unreachable {
                location: self.client.location().to_owned(),
                reason: format!("reading {} broke off: {broken}", self.name),
            });
        }
        self.attempts.pause(self.breaks, None)?;
        let (body, _) = self
            .attempts
            .run(|_| self.client.get(self.name, Some(self.left.clone())))?;
        Ok(body)
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left_bytes = self.left.end.saturating_sub(self.left.start);
        let Some(buffer) = room_for(left_bytes, buffer) else {
            return Ok(0);
        };
        loop {
            let read = match &mut self.body {
                Some(body) => body.read(buffer),
                None => Ok(0),
            };
            let broken = match read {
                Ok(0) => io::ErrorKind::UnexpectedEof.into(),
                Ok(count) => {
                    self.left.start += count as u64;
                    if self.left.start == self.left.end {
                        self.finish();
                    }
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
                Err(error) => error,
            };
            self.body = None;
            let body = self
                .resume(broken)
                .map_err(|error| io::Error::new(io::ErrorKind::UnexpectedEof, error))?;
            self.body = Some(body);
        }
    }
}

impl Stream<'_> {
    /// Meets the end of the body, which gives its connection back for the next request.
    fn finish(&mut self) {
        if let Some(mut body) = self.body.take() {
            // Bytes after the end mean a server without ranges; its connection is closed.
            let _ = body.read(&mut [0]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crawling_body_is_given_up_and_a_moving_one_is_not() {
        let timeouts = Timeouts {
            connect: Duration::ZERO,
            answer: Duration::ZERO,
            least_bytes_per_second: 1,
        };
        let mut crawling = Paced::new(io::repeat(0), timeouts, Arc::default());
        crawling.waited = Duration::from_secs(1);
        let error = crawling.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let mut moving = Paced::new(io::repeat(0), timeouts, Arc::default());
        moving.read_exact(&mut [0; 100]).unwrap();
        moving.waited = Duration::from_secs(99);
        moving.read_exact(&mut [0]).unwrap();
        assert_eq!(moving.moved_bytes(), 101);
    }

    #[test]
    fn after_an_interruption_a_body_is_waited_for_a_moment_and_no_more() {
        let cancelled = Arc::new(AtomicBool::new(true));
        let mut body = Paced::new(io::repeat(0), Timeouts::default(), cancelled);
        body.read_exact(&mut [0]).unwrap();
        body.waited_interrupted = INTERRUPTED_WAIT * 2;
        let error = body.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
