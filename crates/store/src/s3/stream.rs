//! A body on its way out of a bucket, whatever happens to single connections.

use std::io::{self, Read};
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

use aws_sdk_s3::operation::get_object::{GetObjectError, GetObjectOutput};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

use crate::Error;
use crate::exact::room_for;
use crate::s3::client::Bucket;
use crate::s3::fault::Failure;

/// The bytes of one answer.
type Incoming = Pin<Box<dyn AsyncRead + Send>>;

/// What bytes lie under: a key, and the version that is meant where it is not the newest.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) key: String,
    pub(super) version: Option<String>,
}

/// Exactly the bytes of a range.
pub(super) struct Stream {
    bucket: Arc<Bucket>,
    source: Source,
    /// Which body it is, so that the rest of another is never taken for the rest of this.
    tag: Option<String>,
    incoming: Incoming,
    left: Range<u64>,
    /// How often an answer broke. All breaks count, also those after progress, so that a server
    /// cannot keep a reader for ever with one byte at a time.
    breaks: u32,
}

impl Source {
    /// The newest version under a key.
    pub(super) fn newest(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            version: None,
        }
    }
}

impl Stream {
    /// Reads on in an answer that holds the bytes `left`.
    pub(super) fn new(
        bucket: Arc<Bucket>,
        source: Source,
        answer: GetObjectOutput,
        left: Range<u64>,
    ) -> Self {
        Self {
            bucket,
            source,
            tag: answer.e_tag,
            incoming: Box::pin(answer.body.into_async_read()),
            left,
            breaks: 0,
        }
    }

    /// Asks for the rest after a break, or tells that it broke too often.
    fn resume(&mut self, broken: io::Error) -> io::Result<()> {
        if self.bucket.is_interrupted() {
            return Err(self.interrupted());
        }
        self.breaks += 1;
        if self.breaks >= self.bucket.retries.tries || self.tag.is_none() {
            return Err(broken);
        }
        let tag = self.tag.clone();
        let rest = ask(&self.bucket, &self.source, Some(&self.left), tag);
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
        match self.bucket.wait_unless_interrupted(read) {
            Some(Ok(Ok(0))) => Err(io::ErrorKind::UnexpectedEof.into()),
            Some(Ok(Ok(count))) => Ok(count),
            Some(Ok(Err(error))) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, error)),
            Some(Err(_)) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "The answer comes too slowly",
            )),
            None => Err(self.interrupted()),
        }
    }

    /// What it means that nobody waits any more.
    fn interrupted(&self) -> io::Error {
        let location = self.bucket.location.clone();
        io::Error::new(io::ErrorKind::TimedOut, Error::Cancelled { location })
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

/// Asks for a range of what lies there, or for all of it; only while it has that tag.
pub(super) fn ask(
    bucket: &Bucket,
    source: &Source,
    range: Option<&Range<u64>>,
    tag: Option<String>,
) -> Result<GetObjectOutput, Box<Failure<GetObjectError>>> {
    let range = range.map(|range| format!("bytes={}-{}", range.start, range.end.saturating_sub(1)));
    let request = bucket.client.get_object();
    let request = request
        .bucket(&bucket.name)
        .key(&source.key)
        .set_version_id(source.version.clone())
        .set_range(range)
        .set_if_match(tag);
    bucket.answer(request.send())
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
