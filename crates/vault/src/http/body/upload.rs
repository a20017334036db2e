//! The body of a request, on its way in.
//!
//! It is read only when the handler asks for it, so that a refusal costs nothing. It is handed
//! over in full batches; while one is written the next one is read, and whoever sends slowly holds
//! no thread. A client that stands still, or trickles, ends its own upload.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::body::{Body as _, Bytes, Incoming};
use parking_lot::Mutex;
use tokio::time::timeout;

use crate::http::blocking::Blocking;
use crate::http::body::BATCH_BYTES;
use crate::http::limits::Limits;
use crate::{Error, Result};

/// Pieces that are smaller are put together; larger ones are handed over as they came.
const SMALL_BYTES: usize = 8 << 10;

/// The body of a request.
pub struct Upload {
    wire: Arc<Wire>,
    limits: Arc<Limits>,
    received_bytes: u64,
    /// How long the client was waited for.
    waited: Duration,
}

/// What the listener shares with the upload, to take from the wire what the handler left.
pub(crate) struct Wire {
    incoming: Mutex<Incoming>,
    received_bytes: AtomicU64,
}

/// A piece of an upload.
#[derive(Debug)]
pub struct Batch {
    /// The bytes, in order; [`BATCH_BYTES`] or a little more, less at the end.
    pub chunks: Vec<Bytes>,
    /// Whether the upload ends here.
    pub is_last: bool,
}

/// Takes an upload in; each call blocks, and all run one after another. Dropping it before
/// [`Intake::finish`] must leave nothing behind.
pub trait Intake: Send + 'static {
    /// What comes of it.
    type Output: Send + 'static;

    /// Takes the next bytes.
    ///
    /// # Errors
    /// Any; the upload ends.
    fn take(&mut self, chunks: &[Bytes]) -> Result<()>;

    /// Finishes when all has come; once begun it runs to its end, even where the client is gone.
    ///
    /// # Errors
    /// Any.
    fn finish(self) -> Result<Self::Output>;
}

/// What one turn of the blocking thread made of an intake.
enum Turn<I: Intake> {
    More(I),
    Done(I::Output),
}

impl Upload {
    pub(crate) fn new(wire: Arc<Wire>, limits: Arc<Limits>) -> Self {
        Self {
            wire,
            limits,
            received_bytes: 0,
            waited: Duration::ZERO,
        }
    }

    /// Where it comes from.
    pub(crate) fn wire(&self) -> Arc<Wire> {
        Arc::clone(&self.wire)
    }

    /// The length that the client has declared; a client may leave it open.
    pub fn length_bytes(&self) -> Option<u64> {
        self.wire.incoming.lock().size_hint().exact()
    }

    /// Hands the whole upload to an intake. A short one takes a single turn of a thread: the first
    /// bytes, the last bytes, and the end.
    ///
    /// # Errors
    /// [`Error::UploadTooLarge`], [`Error::UploadStalled`] and [`Error::UploadBroken`], after which
    /// the intake was dropped; and those of the intake.
    pub async fn pass_to<I: Intake>(
        mut self,
        mut intake: I,
        most_bytes: u64,
        blocking: &Blocking,
    ) -> Result<I::Output> {
        let mut batch = self.batch(most_bytes).await;
        loop {
            let (chunks, is_last) = match batch {
                Ok(batch) => (batch.chunks, batch.is_last),
                Err(error) => {
                    // It may have files to remove.
                    let drop_it = move || {
                        drop(intake);
                        Err(error)
                    };
                    return blocking.run(drop_it).await;
                }
            };
            let turn = blocking.run(move || {
                intake.take(&chunks)?;
                drop(chunks);
                if is_last {
                    intake.finish().map(Turn::Done)
                } else {
                    Ok(Turn::More(intake))
                }
            });
            let next = async {
                Ok(if is_last {
                    Ok(Batch::last())
                } else {
                    self.batch(most_bytes).await
                })
            };
            // Where the intake fails nobody waits for the client any more.
            let (turn, next) = tokio::try_join!(turn, next)?;
            match turn {
                Turn::Done(output) => return Ok(output),
                Turn::More(rest) => intake = rest,
            }
            batch = next;
        }
    }

    /// The whole upload, for short ones.
    ///
    /// # Errors
    /// As [`Upload::pass_to`].
    pub async fn bytes(mut self, most_bytes: u64) -> Result<Vec<u8>> {
        let mut whole = Vec::new();
        loop {
            let batch = self.batch(most_bytes).await?;
            for chunk in &batch.chunks {
                whole.extend_from_slice(chunk);
            }
            if batch.is_last {
                return Ok(whole);
            }
        }
    }

    /// Waits for the next full batch, or the last one.
    ///
    /// # Errors
    /// [`Error::UploadTooLarge`] (before anything is read, where the client declares it),
    /// [`Error::UploadStalled`] and [`Error::UploadBroken`].
    pub async fn batch(&mut self, most_bytes: u64) -> Result<Batch> {
        let announced = self.wire.incoming.lock().size_hint().lower();
        let mut chunks = Vec::new();
        let mut small = Vec::new();
        let mut size_bytes = 0;
        if self.received_bytes.saturating_add(announced) > most_bytes {
            return Err(Error::UploadTooLarge { most_bytes });
        }
        while size_bytes < BATCH_BYTES {
            if self.wire.incoming.lock().is_end_stream() {
                break;
            }
            let Some(chunk) = self.chunk().await? else {
                break;
            };
            self.received_bytes += chunk.len() as u64;
            if self.received_bytes > most_bytes {
                return Err(Error::UploadTooLarge { most_bytes });
            }
            size_bytes += chunk.len();
            if chunk.len() < SMALL_BYTES && size_bytes < BATCH_BYTES {
                small.extend_from_slice(&chunk);
                continue;
            }
            if !small.is_empty() {
                chunks.push(std::mem::take(&mut small).into());
            }
            chunks.push(chunk);
        }
        if !small.is_empty() {
            chunks.push(small.into());
        }
        Ok(Batch {
            chunks,
            is_last: size_bytes < BATCH_BYTES || self.wire.incoming.lock().is_end_stream(),
        })
    }

    /// Waits for what comes next on the wire.
    async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let began = Instant::now();
        let wire = &self.wire;
        let next = poll_fn(|context| wire.poll(context));
        let chunk = timeout(self.limits.stall_time, next).await;
        self.waited += began.elapsed();
        let chunk = chunk.map_err(|_| Error::UploadStalled)??;
        if self
            .limits
            .is_too_slow(self.waited, Duration::ZERO, self.received_bytes)
        {
            return Err(Error::UploadStalled);
        }
        Ok(chunk)
    }
}

impl Batch {
    fn last() -> Self {
        Self {
            chunks: Vec::new(),
            is_last: true,
        }
    }
}

impl Wire {
    pub(crate) fn new(incoming: Incoming) -> Arc<Self> {
        Arc::new(Self {
            incoming: Mutex::new(incoming),
            received_bytes: AtomicU64::new(0),
        })
    }

    pub(crate) fn received_bytes(&self) -> u64 {
        self.received_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.incoming.lock().is_end_stream()
    }

    /// Takes what is left from the wire and drops it, up to a size; so that the client, which
    /// sends before it listens, hears the answer.
    pub(crate) async fn discard(&self, most_bytes: u64) {
        let end = self.received_bytes().saturating_add(most_bytes);
        // An upload of known length ends with its last byte: once the answer is out, hyper may
        // never say so.
        while self.received_bytes() < end && !self.is_at_end() {
            if !matches!(poll_fn(|context| self.poll(context)).await, Ok(Some(_))) {
                return;
            }
        }
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        let mut incoming = self.incoming.lock();
        loop {
            match std::task::ready!(Pin::new(&mut *incoming).poll_frame(context)) {
                None => return Poll::Ready(Ok(None)),
                Some(Err(error)) => {
                    let reason = error.to_string();
                    return Poll::Ready(Err(Error::UploadBroken { reason }));
                }
                // Trailers mean nothing here.
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        let length = bytes.len() as u64;
                        self.received_bytes.fetch_add(length, Ordering::Relaxed);
                        return Poll::Ready(Ok(Some(bytes)));
                    }
                }
            }
        }
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire")
            .field("received_bytes", &self.received_bytes())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("received_bytes", &self.received_bytes)
            .finish_non_exhaustive()
    }
}
