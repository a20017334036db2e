//! A body on its way out of a bucket, whatever happens to single connections.

use std::io::{self, Read};
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

use aws_sdk_s3::operation::get_object::{GetObjectError, GetObjectOutput};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

use crate::exact::room_for;
use crate::s3::client::Bucket;
use crate::s3::fault::Failure;

/// The bytes of one answer.
type Incoming = Pin<Box<dyn AsyncRead + Send>>;

/// Exactly the bytes of a range.
pub(super) struct Stream {
    bucket: Arc<Bucket>,
    key: String,
    /// Which body it is, so that the rest of another is never taken for the rest of this.
    tag: Option<String>,
    incoming: Incoming,
    left: Range<u64>,
    /// How often an answer broke. All breaks count, also those after progress, so that a server
    /// cannot keep a reader for ever with one byte at a time.
    breaks: u32,
}

impl Stream {
    /// Reads on in an answer that holds the bytes `left`.
    pub(super) fn new(
        bucket: Arc<Bucket>,
        key: String,
        answer: GetObjectOutput,
        left: Range<u64>,
    ) -> Self {
        Self {
            bucket,
            key,
            tag: answer.e_tag,
            incoming: Box::pin(answer.body.into_async_read()),
            left,
            breaks: 0,
        }
    }

    /// Asks for the rest after a break, or tells that it broke too often.
    fn resume(&mut self, broken: io::Error) -> io::Result<()> {
        self.breaks += 1;
        if self.breaks >= self.bucket.retries.tries || self.tag.is_none() {
            return Err(broken);
        }
        let rest = ask(&self.bucket, &self.key, Some(&self.left), self.tag.clone());
        let rest = rest.map_err(|_| broken)?;
        let (start, end) = (self.left.start, self.left.end);
        if content_range(&rest).is_none_or(|(range, _)| range != (start..end)) {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "It answers with other bytes than were asked for",
            ));
        }
        self.incoming = Box::pin(rest.body.into_async_read());
        Ok(())
    }

    fn read_some(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let patience = self.bucket.timeouts.answer;
        let incoming = &mut self.incoming;
        let read = async { timeout(patience, incoming.read(buffer)).await };
        match self.bucket.wait(read) {
            Ok(Ok(0)) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(Ok(count)) => Ok(count),
            Ok(Err(error)) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, error)),
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "The answer comes too slowly",
            )),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left_bytes = self.left.end.saturating_sub(self.left.start);
        let Some(buffer) = room_for(left_bytes, buffer) else {
            return Ok(0);
        };
        loop {
            match self.read_some(buffer) {
                Ok(count) => {
                    self.left.start += count as u64;
                    return Ok(count);
                }
                Err(broken) => self.resume(broken)?,
            }
        }
    }
}

/// Asks for a range of what lies under a key, or for all of it; only while it has that tag.
pub(super) fn ask(
    bucket: &Bucket,
    key: &str,
    range: Option<&Range<u64>>,
    tag: Option<String>,
) -> Result<GetObjectOutput, Box<Failure<GetObjectError>>> {
    let range = range.map(|range| format!("bytes={}-{}", range.start, range.end.saturating_sub(1)));
    let request = bucket.client.get_object();
    let request = request
        .bucket(&bucket.name)
        .key(key)
        .set_range(range)
        .set_if_match(tag);
    bucket.wait(request.send()).map_err(Box::new)
}

/// Which bytes an answer says it holds, and of how many in all: `bytes 5-9/100`.
pub(super) fn content_range(answer: &GetObjectOutput) -> Option<(Range<u64>, u64)> {
    parse_content_range(answer.content_range()?)
}

fn parse_content_range(text: &str) -> Option<(Range<u64>, u64)> {
    let (range, whole) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let end = last.trim().parse::<u64>().ok()?.checked_add(1)?;
    Some((first.trim().parse().ok()?..end, whole.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_content_range_is_understood() {
        assert_eq!(parse_content_range("bytes 5-9/100"), Some((5..10, 100)));
        for bad in [
            "",
            "bytes",
            "bytes */100",
            "bytes 5-/100",
            "bytes 5-9",
            "bytes 5-9/*",
            "bytes -5-9/100",
            "bytes 0-18446744073709551615/1",
            "lines 5-9/100",
        ] {
            assert_eq!(parse_content_range(bad), None, "{bad:?}");
        }
    }
}
