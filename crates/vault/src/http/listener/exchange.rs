//! One request and its answer: limits before, the log and the metrics after.
//!
//! **Architecture invariant:** nothing that the client wrote gets into the log but the method, where
//! it is a known one: no path, no query, no header.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::body::{Body as _, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HeaderMap, HeaderValue};
use hyper::{Method, StatusCode, Version};
use tokio::time::timeout;

use crate::Error;
use crate::http::body::{Body, Upload, Wire};
use crate::http::limits::{AddressKey, Limits, Rates, Refusal, Ticket, Turn, Turns};
use crate::http::listener::watch::Watch;
use crate::http::metrics::{HttpMetrics, Seen};
use crate::http::service::{Handler, Kept, Note, Peer, Response, Seat, later, simple};
use crate::logging::REQUESTS;

/// What is taken off the wire of an upload that was refused, so that the refusal is heard: packs of
/// restic are smaller.
const DISCARD_BYTES: u64 = 160 << 20;

/// For how long.
const DISCARD_TIME: Duration = Duration::from_secs(5);

/// From how many clients at a time, in all; whoever comes then is hung up on.
pub(super) const DISCARDS: usize = 64;

/// From how many of one address, so that others hear why they were refused as well.
pub(super) const DISCARDS_OF_ADDRESS: usize = 16;

/// Answers to strangers on one connection that its client has not taken; more is an attack.
const MOST_UNTAKEN: usize = 16;

/// What all requests of a connection share.
pub(super) struct Exchange {
    pub(super) limits: Arc<Limits>,
    pub(super) rates: Arc<Rates>,
    pub(super) metrics: Arc<HttpMetrics>,
    pub(super) handler: Arc<dyn Handler>,
    pub(super) peer: Peer,
    pub(super) ticket: Arc<Ticket>,
    pub(super) watch: Arc<Watch>,
    /// Answers to strangers that are not yet taken.
    pub(super) untaken: AtomicUsize,
    /// Places for what is taken off the wire in vain, of all connections.
    pub(super) discards: Turns,
}

/// A request that is under way; ends with the last one who holds it.
struct Open {
    exchange: Arc<Exchange>,
    outcome: parking_lot::Mutex<Outcome>,
}

struct Outcome {
    is_answered: bool,
    is_proven: bool,
    /// Whether it still has its place among the requests under way.
    has_place: bool,
    /// Where its body comes from, once it is looked at.
    wire: Option<Arc<Wire>>,
}

/// The body of an answer, which tells the log how it went.
pub(super) struct Answer {
    body: Body,
    seen: Seen,
    number: u64,
    note: Note,
    wire: Option<Arc<Wire>>,
    /// Its place among the requests of its token.
    place: Option<Kept>,
    open: Option<Arc<Open>>,
    /// Whether it is counted among those that strangers have not taken.
    is_untaken: bool,
    exchange: Arc<Exchange>,
    sent_bytes: u64,
    began: Instant,
    is_whole: bool,
}

impl Exchange {
    /// Answers a request. What counts it runs before this returns, so that it is counted before the
    /// connection reads on.
    pub(super) fn answer(
        self: &Arc<Self>,
        request: hyper::Request<Incoming>,
    ) -> impl Future<Output = hyper::Response<Answer>> + Send + use<> {
        let began = Instant::now();
        let admitted = self.admit(request.headers(), began);
        let exchange = Arc::clone(self);
        async move {
            let method = request.method().clone();
            let version = request.version();
            let (response, wire, open) = match admitted {
                Err((refusal, pause)) => {
                    exchange.metrics.refused(refusal.word());
                    (refused(refusal, pause), None, None)
                }
                Ok(open) => {
                    let (response, wire) = exchange.handle(request, version, &open).await;
                    (response, Some(wire), Some(open))
                }
            };
            exchange.send(response, &method, version, wire, open, began)
        }
    }

    /// Counts bytes that the client has sent or taken.
    fn count(&self, bytes: u64, now: Instant) {
        self.rates
            .count(AddressKey::from(self.peer.address), bytes, now);
    }

    /// Lets a request begin, or says why not and for how long.
    fn admit(
        self: &Arc<Self>,
        headers: &HeaderMap,
        now: Instant,
    ) -> Result<Arc<Open>, (Refusal, Duration)> {
        let size = |(name, value): (&hyper::header::HeaderName, &HeaderValue)| {
            name.as_str().len() + value.len() + 4
        };
        let head_bytes: usize = headers.iter().map(size).sum();
        if head_bytes > self.limits.header_bytes || headers.len() > self.limits.headers {
            return Err((Refusal::Head, Duration::ZERO));
        }
        let address = AddressKey::from(self.peer.address);
        if self.untaken.load(Ordering::Relaxed) >= MOST_UNTAKEN {
            return Err((Refusal::Requests, Duration::from_secs(1)));
        }
        self.rates.take(address, now)?;
        let begun = self.ticket.begin();
        begun.map_err(|refusal| (refusal, Duration::from_secs(1)))?;
        self.watch.begin();
        self.metrics.requests_under_way.inc();
        Ok(Arc::new(Open {
            exchange: Arc::clone(self),
            outcome: parking_lot::Mutex::new(Outcome {
                is_answered: false,
                is_proven: false,
                has_place: true,
                wire: None,
            }),
        }))
    }

    async fn handle(
        &self,
        request: hyper::Request<Incoming>,
        version: Version,
        open: &Arc<Open>,
    ) -> (Response, Arc<Wire>) {
        let (head, incoming) = request.into_parts();
        let asks_first = head.headers.contains_key(EXPECT);
        let wire = Wire::new(incoming);
        open.outcome.lock().wire = Some(Arc::clone(&wire));
        let upload = Upload::new(Arc::clone(&wire), Arc::clone(&self.limits));
        let request = hyper::Request::from_parts(head, upload);
        let handler = Arc::clone(&self.handler);
        let peer = Peer {
            seat: Some(Arc::clone(open) as Arc<dyn Seat>),
            ..self.peer.clone()
        };
        let mut response = handler.handle(request, peer).await;
        let status = response.status();
        let token = token_of(&response);
        let is_known = token.is_some();
        {
            let mut outcome = open.outcome.lock();
            outcome.is_answered = true;
            outcome.is_proven = is_known && !status.is_server_error();
        }
        if !wire.is_at_end() && version < Version::HTTP_2 {
            // Who asks before he sends will not send now.
            let is_coming = !asks_first || wire.received_bytes() > 0;
            let is_heard = is_known && is_coming && (is_of_worth(status) || status.is_success());
            let place = is_heard.then(|| self.discards.take(self.peer.address));
            match place.flatten().zip(token) {
                Some((place, token)) => discard(Arc::clone(&wire), Arc::clone(open), place, token),
                None => close(&mut response),
            }
        }
        (response, wire)
    }

    fn send(
        self: Arc<Self>,
        mut response: Response,
        method: &Method,
        version: Version,
        wire: Option<Arc<Wire>>,
        open: Option<Arc<Open>>,
        began: Instant,
    ) -> hyper::Response<Answer> {
        if version >= Version::HTTP_2 {
            // It means something to HTTP/1 only, and is an error in HTTP/2.
            response.headers_mut().remove(CONNECTION);
        }
        declare_length(&mut response);
        if method == Method::HEAD {
            *response.body_mut() = Body::empty();
        }
        let note = response.extensions_mut().remove().unwrap_or_default();
        let place = response.extensions_mut().remove();
        let seen = Seen::new(method, &note, response.status());
        // By HTTP/2 an answer can be left untaken as long as its client likes. What a stranger is
        // told is short and ready: it needs no place among the requests under way.
        let is_untaken = note.token.is_none() && open.is_some();
        if let Some(open) = open.as_ref().filter(|_| is_untaken) {
            self.untaken.fetch_add(1, Ordering::Relaxed);
            open.leave();
        }
        response.map(|body| Answer {
            body,
            seen,
            number: self.watch.answer(Instant::now()),
            note,
            wire,
            place,
            open,
            is_untaken,
            exchange: self,
            sent_bytes: 0,
            began,
            is_whole: false,
        })
    }
}

/// Takes off the wire what a client goes on sending, so that it hears the answer. Its request has
/// no place among those under way meanwhile: that it is known is no reason to let it hold one for
/// bytes that never come.
fn discard(wire: Arc<Wire>, open: Arc<Open>, place: Turn, token: String) {
    open.leave();
    tokio::spawn(async move {
        let before = wire.received_bytes();
        // Too late is as good as done: the connection is closed then.
        let _ = timeout(DISCARD_TIME, wire.discard(DISCARD_BYTES)).await;
        let bytes = wire.received_bytes().saturating_sub(before);
        let tokens = &open.exchange.peer.tokens;
        tokens.count(&token, bytes, Instant::now());
        drop(open);
        drop(place);
    });
}

/// The name of the token that the client has logged in with. What a stranger is answered, be it
/// success, proves nothing of him.
fn token_of(response: &Response) -> Option<String> {
    response.extensions().get::<Note>()?.token.clone()
}

/// What a client is told whose request may not begin; the connection is closed behind it.
fn refused(refusal: Refusal, pause: Duration) -> Response {
    let mut response = match refusal {
        Refusal::Head => simple(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "The head of the request is too large",
        ),
        Refusal::Rate => later(
            StatusCode::TOO_MANY_REQUESTS,
            "Too many requests a second",
            pause,
        ),
        Refusal::AddressBytes => later(
            StatusCode::TOO_MANY_REQUESTS,
            "Too many bytes a second",
            pause,
        ),
        _ => later(
            StatusCode::SERVICE_UNAVAILABLE,
            "Too many requests are under way",
            pause,
        ),
    };
    close(&mut response);
    response
}

/// Whether a client that is known shall hear a refusal before the connection is closed, and keep
/// the connection.
fn is_of_worth(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST
            | StatusCode::FORBIDDEN
            | StatusCode::NOT_FOUND
            | StatusCode::CONFLICT
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::RANGE_NOT_SATISFIABLE
            | StatusCode::INSUFFICIENT_STORAGE
    )
}

fn close(response: &mut Response) {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
}

/// Says how long the body is where that is known, also where it is empty or will be left out.
fn declare_length(response: &mut Response) {
    let status = response.status();
    let is_bodiless = status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
    if !is_bodiless
        && !response.headers().contains_key(CONTENT_LENGTH)
        && let Some(length_bytes) = response.body().size_hint().exact()
        && let Ok(length_bytes) = HeaderValue::try_from(length_bytes.to_string())
    {
        response.headers_mut().insert(CONTENT_LENGTH, length_bytes);
    }
}

impl Seat for Open {
    fn leave(&self) {
        let mut outcome = self.outcome.lock();
        if std::mem::take(&mut outcome.has_place) {
            self.exchange.ticket.end(outcome.is_proven);
        }
    }

    fn enter(&self) -> Result<(), Refusal> {
        let mut outcome = self.outcome.lock();
        if !outcome.has_place {
            self.exchange.ticket.begin()?;
            outcome.has_place = true;
        }
        Ok(())
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open").finish_non_exhaustive()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.leave();
        let outcome = self.outcome.get_mut();
        let (exchange, now) = (&self.exchange, Instant::now());
        // Also of a client that has gone before it was answered.
        let received_bytes = outcome
            .wire
            .as_ref()
            .map_or(0, |wire| wire.received_bytes());
        exchange.count(received_bytes, now);
        exchange.watch.end(outcome.is_answered, now);
        self.exchange.metrics.requests_under_way.dec();
    }
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
            self.exchange.watch.waits(self.number, Instant::now());
            return Poll::Pending;
        };
        match &frame {
            None => self.is_whole = true,
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                self.sent_bytes += bytes;
                self.exchange
                    .watch
                    .moved(self.number, bytes, Instant::now());
            }
            Some(Err(error)) => {
                tracing::error!(%error, route = self.note.route, "An answer broke off");
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.exchange.watch.answered(self.number);
        let is_whole = self.is_whole || self.body.is_end_stream();
        let received_bytes = self.wire.as_ref().map_or(0, |wire| wire.received_bytes());
        let took = self.began.elapsed();
        self.exchange
            .metrics
            .answered(&self.seen, received_bytes, self.sent_bytes, took);
        tracing::info!(
            target: REQUESTS,
            method = self.seen.method,
            route = self.seen.route,
            repository = self.note.repository,
            status = self.seen.status,
            received_bytes,
            sent_bytes = self.sent_bytes,
            ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            peer = %self.exchange.peer.address,
            connection = self.exchange.peer.connection,
            token = self.note.token,
            whole = is_whole,
            "request"
        );
        self.exchange.count(self.sent_bytes, Instant::now());
        if let Some(token) = &self.note.token {
            let tokens = &self.exchange.peer.tokens;
            tokens.count(token, self.sent_bytes, Instant::now());
        }
        if self.is_untaken {
            self.exchange.untaken.fetch_sub(1, Ordering::Relaxed);
        }
        self.place = None;
        self.open = None;
    }
}
