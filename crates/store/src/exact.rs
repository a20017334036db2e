//! Reading a known number of bytes, no more and no fewer.
//!
//! A stream that ends early must never look like a short file, and a length that somebody else
//! claims must never decide how much memory is taken before the bytes have arrived.

use std::io::{self, Read};

/// The most that is reserved for bytes that have only been announced.
const RESERVE_BYTES: u64 = 32 << 20;

/// A stream of exactly `left_bytes`; an early end is [`io::ErrorKind::UnexpectedEof`].
#[derive(Debug)]
pub(crate) struct Exact<R> {
    inner: R,
    left_bytes: u64,
}

impl<R: Read> Exact<R> {
    /// Expects `length_bytes` from `inner`.
    pub(crate) const fn new(inner: R, length_bytes: u64) -> Self {
        Self {
            inner,
            left_bytes: length_bytes,
        }
    }
}

impl<R: Read> Read for Exact<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(buffer) = room_for(self.left_bytes, buffer) else {
            return Ok(0);
        };
        match self.inner.read(buffer)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.left_bytes = self.left_bytes.saturating_sub(count as u64);
                Ok(count)
            }
        }
    }
}

/// As much of a buffer as may be filled where so many bytes are left; `None` where that is nothing.
pub(crate) fn room_for(left_bytes: u64, buffer: &mut [u8]) -> Option<&mut [u8]> {
    let room = usize::try_from(left_bytes).unwrap_or(usize::MAX);
    let room = room.min(buffer.len());
    buffer.get_mut(..room).filter(|part| !part.is_empty())
}

/// Reads exactly `length_bytes` into memory.
pub(crate) fn read_exactly(stream: impl Read, length_bytes: u64) -> io::Result<Vec<u8>> {
    read_exactly_into(stream, length_bytes, Vec::new())
}

/// The same, into memory whose content is gone then.
pub(crate) fn read_exactly_into(
    stream: impl Read,
    length_bytes: u64,
    mut memory: Vec<u8>,
) -> io::Result<Vec<u8>> {
    memory.clear();
    memory.reserve(usize::try_from(length_bytes.min(RESERVE_BYTES)).unwrap_or_default());
    Exact::new(stream, length_bytes).read_to_end(&mut memory)?;
    Ok(memory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_early_end_is_an_error_and_never_a_short_file() {
        let error = read_exactly(&b"abc"[..], 4).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_follows_the_expected_bytes_is_left_unread() {
        assert_eq!(read_exactly(&b"abcdef"[..], 3).unwrap(), b"abc");
        assert_eq!(read_exactly(&b"abc"[..], 0).unwrap(), b"");
    }

    #[test]
    fn nothing_is_left_of_what_memory_held_before() {
        let memory = b"longer than what comes".to_vec();
        let capacity = memory.capacity();
        let read = read_exactly_into(&b"abcdef"[..], 3, memory).unwrap();
        assert_eq!(read, b"abc");
        assert_eq!(read.capacity(), capacity);
    }

    #[test]
    fn an_announced_length_takes_no_memory_before_the_bytes_come() {
        assert!(read_exactly(&b"abc"[..], u64::MAX).is_err());
    }
}
