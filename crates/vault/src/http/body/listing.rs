//! A body that is written by work that cannot stop half way, such as a list.
//!
//! The work waits where the client is slow, but not for ever: it holds a thread. **It must hold
//! nothing else that others need**, and no connection of the database: so it reads a page, lets go,
//! and writes that.

use std::fmt;
use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::body::Bytes;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::http::blocking::Blocking;
use crate::http::body::{Body, Chunks, Kind};
use crate::http::limits::Limits;
use crate::{Error, Result};

/// The size of a piece.
const PIECE_BYTES: usize = 128 << 10;

/// Pieces that wait for the client.
const PIECES: usize = 2;

/// Takes what is written and sends it on; fails where the client takes it too slowly or is gone.
pub struct Listing {
    buffer: Vec<u8>,
    pieces: mpsc::Sender<Message>,
    runtime: Handle,
    /// Tells how many listings there are.
    blocking: Blocking,
    limits: Limits,
    /// What holds while many are under way.
    crowded: Limits,
    sent_bytes: u64,
    waited: Duration,
}

enum Message {
    Piece(Bytes),
    /// The end, with the last bytes.
    Last(Bytes),
    Failed(Error),
}

struct Received {
    first: Option<Bytes>,
    /// `None` after the end.
    rest: Option<mpsc::Receiver<Message>>,
}

pub(super) async fn begin(
    blocking: &Blocking,
    limits: &Limits,
    work: impl FnOnce(&mut Listing) -> Result<()> + Send + 'static,
) -> Result<Body> {
    let permit = blocking.listing().await?;
    let (sender, mut receiver) = mpsc::channel(PIECES);
    let mut listing = Listing {
        buffer: Vec::with_capacity(PIECE_BYTES),
        pieces: sender,
        runtime: Handle::current(),
        blocking: blocking.clone(),
        limits: limits.clone(),
        crowded: limits.of_lists(),
        sent_bytes: 0,
        waited: Duration::ZERO,
    };
    tokio::task::spawn_blocking(move || {
        let last = match work(&mut listing) {
            Ok(()) => Message::Last(std::mem::take(&mut listing.buffer).into()),
            Err(error) => Message::Failed(error),
        };
        // A client that is gone needs no end.
        let _ = listing.send(last);
        drop(permit);
    });
    match receiver.recv().await {
        Some(Message::Last(bytes)) => Ok(Body(Kind::Whole(bytes))),
        Some(Message::Failed(error)) => Err(error),
        None => Err(Error::Unfinished),
        Some(Message::Piece(first)) => {
            let received = Received {
                first: Some(first),
                rest: Some(receiver),
            };
            Ok(Body::chunks(received, None))
        }
    }
}

impl Listing {
    fn send(&mut self, message: Message) -> io::Result<()> {
        if let Message::Piece(bytes) | Message::Last(bytes) = &message {
            self.sent_bytes += bytes.len() as u64;
        }
        let began = Instant::now();
        let send = self.pieces.send_timeout(message, self.limits.stall_time);
        let sent = self.runtime.block_on(send);
        self.waited += began.elapsed();
        match sent {
            Ok(()) if !self.is_slow() => Ok(()),
            Ok(()) | Err(mpsc::error::SendTimeoutError::Timeout(_)) => {
                Err(io::ErrorKind::TimedOut.into())
            }
            Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Whether the client takes it too slowly, all in all and for as many listings as there are now.
    fn is_slow(&self) -> bool {
        let limits = match self.blocking.are_listings_crowded() {
            true => &self.crowded,
            false => &self.limits,
        };
        limits.is_too_slow(self.waited, Duration::ZERO, self.sent_bytes)
    }
}

impl Write for Listing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > PIECE_BYTES && !self.buffer.is_empty() {
            let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE_BYTES));
            self.send(Message::Piece(piece.into()))?;
        }
        let taken = bytes.get(..PIECE_BYTES).unwrap_or(bytes);
        self.buffer.extend_from_slice(taken);
        Ok(taken.len())
    }

    /// Does nothing: pieces go out when they are full.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listing")
            .field("sent_bytes", &self.sent_bytes)
            .finish_non_exhaustive()
    }
}

impl Chunks for Received {
    fn poll_chunk(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let this = Pin::into_inner(self);
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        let Some(rest) = &mut this.rest else {
            return Poll::Ready(None);
        };
        let message = std::task::ready!(rest.poll_recv(context));
        if !matches!(message, Some(Message::Piece(_))) {
            this.rest = None;
        }
        Poll::Ready(match message {
            Some(Message::Piece(bytes)) => Some(Ok(bytes)),
            Some(Message::Last(bytes)) => (!bytes.is_empty()).then_some(Ok(bytes)),
            Some(Message::Failed(error)) => Some(Err(error)),
            None => Some(Err(Error::Unfinished)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_list_may_be_taken_slowly_while_there_are_places_for_others() {
        let (blocking, limits) = (Blocking::new(1), Limits::default());
        let (pieces, _taken) = mpsc::channel(PIECES);
        // As over a line that has two of them side by side, at 48 KiB a second.
        let seconds = 600;
        let listing = Listing {
            buffer: Vec::new(),
            pieces,
            runtime: Handle::current(),
            blocking: blocking.clone(),
            limits: limits.clone(),
            crowded: limits.of_lists(),
            sent_bytes: seconds * (48 << 10),
            waited: Duration::from_secs(seconds),
        };
        let mut places = Vec::new();
        for _ in 0..32 {
            places.push(blocking.listing().await.unwrap());
        }
        assert!(!listing.is_slow());
        places.push(blocking.listing().await.unwrap());
        assert!(listing.is_slow());
        places.pop();
        assert!(!listing.is_slow());
        // Whoever all but stands still has no place at any time.
        let standing = Listing {
            sent_bytes: 1 << 10,
            ..listing
        };
        drop(places);
        assert!(standing.is_slow());
    }
}
