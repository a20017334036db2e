//! A body out of a reader that blocks: one piece is on its way while the next one is read, and no
//! thread waits for the client.

use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::body::Bytes;
use tokio::task::JoinHandle;

use crate::http::blocking::Blocking;
use crate::http::body::{BATCH_BYTES, Body, Chunks};
use crate::{Error, Result};

/// A piece that is being read whether or not anybody waits for it yet, and the reader after it.
type Piece<R> = JoinHandle<Result<(R, Bytes)>>;

struct Reading<R> {
    blocking: Blocking,
    /// The first piece, read already.
    first: Option<Bytes>,
    next: Option<Piece<R>>,
    /// What comes after `next`.
    left: u64,
}

pub(super) fn begin<R: Read + Send + 'static>(
    mut reader: R,
    length_bytes: u64,
    blocking: &Blocking,
) -> Result<Body> {
    let first = piece(&mut reader, length_bytes)?;
    let left = length_bytes - first.len() as u64;
    if left == 0 {
        return Ok(Body(super::Kind::Whole(first)));
    }
    let mut reading = Reading {
        blocking: blocking.clone(),
        first: Some(first),
        next: None,
        left,
    };
    reading.read_on(reader);
    Ok(Body::chunks(reading, Some(length_bytes)))
}

impl<R: Read + Send + 'static> Reading<R> {
    fn read_on(&mut self, mut reader: R) {
        let left = self.left;
        if left == 0 {
            return;
        }
        self.left -= left.min(BATCH_BYTES as u64);
        let blocking = self.blocking.clone();
        let work = move || piece(&mut reader, left).map(|bytes| (reader, bytes));
        self.next = Some(tokio::spawn(async move { blocking.run(work).await }));
    }
}

impl<R: Read + Send + 'static> Chunks for Reading<R> {
    fn poll_chunk(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let this = Pin::into_inner(self);
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        let Some(next) = &mut this.next else {
            return Poll::Ready(None);
        };
        let piece = ready!(Pin::new(next).poll(context));
        this.next = None;
        let piece = piece.map_err(|_| Error::Unfinished).flatten();
        Poll::Ready(Some(piece.map(|(reader, bytes)| {
            this.read_on(reader);
            bytes
        })))
    }
}

/// Reads the next piece of what is left.
fn piece(reader: &mut impl Read, left: u64) -> Result<Bytes> {
    let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(BATCH_BYTES);
    let mut bytes = Vec::with_capacity(wanted);
    let failed = Error::local("read what is to be sent");
    match reader.by_ref().take(wanted as u64).read_to_end(&mut bytes) {
        Ok(read) if read == wanted => Ok(bytes.into()),
        Ok(_) => Err(failed(io::ErrorKind::UnexpectedEof.into())),
        Err(error) => Err(failed(error)),
    }
}
