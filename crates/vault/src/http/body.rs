//! Bodies in both directions, at the pace of the client and with little memory.

mod listing;
mod reading;
mod upload;

pub use listing::Listing;
pub(crate) use upload::Wire;
pub use upload::{Batch, Intake, Upload};

use std::fmt;
use std::io::Read;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Bytes, Frame, SizeHint};

use crate::http::blocking::Blocking;
use crate::{Error, Result};

/// How much is handed over at a time, in either direction.
pub const BATCH_BYTES: usize = 256 << 10;

/// The body of an answer.
pub struct Body(Kind);

enum Kind {
    Whole(Bytes),
    Chunks {
        chunks: Pin<Box<dyn Chunks>>,
        /// What is still to come, where that is known.
        left: Option<u64>,
    },
}

/// Bytes that come piece by piece, none of them empty.
trait Chunks: Send {
    fn poll_chunk(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes>>>;
}

impl Body {
    /// Begins to send `length_bytes` from a reader. Blocks, to read the first piece: a short body
    /// needs no more than this. Of a longer one a piece is read ahead. Must be called within the
    /// runtime, as in [`Blocking::run`].
    ///
    /// # Errors
    /// [`Error::Local`] where the reader fails, or holds less.
    pub fn begin(
        reader: impl Read + Send + 'static,
        length_bytes: u64,
        blocking: &Blocking,
    ) -> Result<Self> {
        reading::begin(reader, length_bytes, blocking)
    }

    /// Sends what `work` writes, while it writes; it may take as long as the client, so that there
    /// are few of them at a time. Returns when the first piece is there.
    ///
    /// # Errors
    /// Those of the work where it failed before its first piece; later ones break the body off.
    pub async fn listing(
        blocking: &Blocking,
        limits: &crate::http::Limits,
        work: impl FnOnce(&mut Listing) -> Result<()> + Send + 'static,
    ) -> Result<Self> {
        listing::begin(blocking, limits, work).await
    }

    /// No bytes.
    pub fn empty() -> Self {
        Self(Kind::Whole(Bytes::new()))
    }

    fn chunks(chunks: impl Chunks + 'static, left: Option<u64>) -> Self {
        Self(Kind::Chunks {
            chunks: Box::pin(chunks),
            left,
        })
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Self(Kind::Whole(Bytes::from_static(text.as_bytes())))
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Kind::Whole(bytes.into()))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length_bytes = hyper::body::Body::size_hint(self).exact();
        f.debug_struct("Body")
            .field("length_bytes", &length_bytes)
            .finish_non_exhaustive()
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>>>> {
        match &mut self.0 {
            Kind::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Kind::Chunks { chunks, left } => {
                let chunk = std::task::ready!(chunks.as_mut().poll_chunk(context));
                if let (Some(left), Some(Ok(bytes))) = (left, &chunk) {
                    *left = left.saturating_sub(bytes.len() as u64);
                }
                Poll::Ready(chunk.map(|chunk| chunk.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(bytes) => bytes.is_empty(),
            Kind::Chunks { left, .. } => *left == Some(0),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Chunks { left, .. } => left.map_or_else(SizeHint::new, SizeHint::with_exact),
        }
    }
}
