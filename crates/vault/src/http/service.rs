//! What the listener and the rest of the vault say to each other.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};

use crate::http::body::{Body, Upload, Wire};
use crate::http::limits::{Logins, Place, Refusal, Tokens};
use crate::http::metrics::HttpMetrics;
use crate::{Error, Result};

/// A request whose head has come and whose body has not.
pub type Request = hyper::Request<Upload>;

/// An answer; a [`Note`] among its extensions is for the log and the metrics.
pub type Response = hyper::Response<Body>;

/// An answer that is on its way.
pub type Answering<'h> = Pin<Box<dyn Future<Output = Response> + Send + 'h>>;

/// Decides what a request means.
///
/// HEAD may be answered as GET: the listener sends the head alone. A body that was not read is
/// taken off the wire, a bounded share of it, or the connection is closed.
/// The future is dropped where the client goes away; work that must be finished runs in
/// [`Blocking`](crate::http::Blocking).
pub trait Handler: Send + Sync {
    /// Answers a request.
    fn handle(self: Arc<Self>, request: Request, peer: Peer) -> Answering<'static>;
}

/// Headers of a proxy, which speaks for others.
const OF_PROXIES: [&str; 4] = ["forwarded", "via", "x-forwarded-for", "x-real-ip"];

/// When to ask again where all places are taken, or others are at work.
pub(crate) const SOON: Duration = Duration::from_secs(1);

/// How a client shows a token of a machine: as the password of basic authentication.
pub(crate) const BASIC: HeaderValue = HeaderValue::from_static("Basic realm=\"Strongroom\"");

/// How whoever administers shows his token.
pub(crate) const BEARER: HeaderValue = HeaderValue::from_static("Bearer realm=\"Strongroom\"");

/// Who asks.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The address that the connection comes from; one of IPv4 is never in the clothes of IPv6.
    pub address: IpAddr,
    /// The number of the connection.
    pub connection: u64,
    /// Whether the connection is encrypted.
    pub is_encrypted: bool,
    pub(crate) logins: Arc<Logins>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) metrics: Arc<HttpMetrics>,
    /// The place of the request that is answered, among all that are under way.
    pub(crate) seat: Option<Arc<dyn Seat>>,
}

/// The place of one request among all that are under way.
pub(crate) trait Seat: Send + Sync + fmt::Debug {
    /// Gives the place back before the request has ended.
    fn leave(&self);

    /// Takes a place again, where it was given back.
    fn enter(&self) -> Result<(), Refusal>;
}

/// The place that a request of a token has among those under way, until this is dropped; what was
/// received by then is counted.
#[derive(Debug)]
pub struct TokenPlace {
    place: Arc<Place>,
    token: String,
    tokens: Arc<Tokens>,
    wire: Arc<Wire>,
}

/// A place that an answer keeps while it is sent.
#[derive(Clone, Debug)]
pub(crate) struct Kept(#[expect(dead_code, reason = "held, never read")] Arc<Place>);

impl Peer {
    /// Whether the connection comes from this very machine.
    pub fn is_loopback(&self) -> bool {
        self.address.is_loopback()
    }

    /// Notes that a login failed; where the address has failed too often returns for how long it
    /// is asked to wait, to be answered with [`Response`] 429 and not 401.
    pub fn login_failed(&self) -> Option<Duration> {
        self.logins.failed(self.address.into(), Instant::now())
    }

    /// For how long the address is asked to wait still, because it has failed too often.
    pub(crate) fn login_pause(&self) -> Option<Duration> {
        self.logins.pauses(self.address.into(), Instant::now())
    }

    /// Gives the place that the request has among all that are under way to others: nobody shall
    /// hold one who waits, and of whom nothing is known.
    pub(crate) fn leave(&self) {
        if let Some(seat) = &self.seat {
            seat.leave();
        }
    }

    /// Takes a place again for a request whose token is known by now.
    ///
    /// # Errors
    /// [`Error::Throttled`] where all are taken.
    pub(crate) fn enter(&self, token: &str) -> Result<()> {
        let Some(seat) = &self.seat else {
            return Ok(());
        };
        seat.enter().map_err(|refusal| {
            self.metrics.refused(refusal.word());
            Error::Throttled {
                token: token.to_owned(),
                what: "requests under way, of all tokens together",
                pause: SOON,
            }
        })
    }

    /// Begins a request of a token that has logged in, before anything is done for it.
    ///
    /// # Errors
    /// [`Error::Throttled`], to be answered with 429, where the token takes too much already.
    pub fn begin(&self, token: &str, request: &Request) -> Result<TokenPlace> {
        let begun = self.tokens.begin(token, Instant::now());
        let place = begun.map_err(|(refusal, pause)| {
            self.metrics.refused(refusal.word());
            Error::Throttled {
                token: token.to_owned(),
                what: match refusal {
                    Refusal::TokenRate => "requests a second",
                    Refusal::TokenBytes => "bytes a second",
                    _ => "requests under way",
                },
                pause,
            }
        })?;
        Ok(TokenPlace {
            place: Arc::new(place),
            token: token.to_owned(),
            tokens: Arc::clone(&self.tokens),
            wire: request.body().wire(),
        })
    }
}

impl TokenPlace {
    /// Lets an answer keep the place until it is sent.
    pub fn keep(self, response: &mut Response) {
        response.extensions_mut().insert(self.held());
    }

    /// The place, for work that goes on where nobody waits for it any more.
    pub(crate) fn held(&self) -> Kept {
        Kept(Arc::clone(&self.place))
    }
}

impl Drop for TokenPlace {
    fn drop(&mut self) {
        let bytes = self.wire.received_bytes();
        self.tokens.count(&self.token, bytes, Instant::now());
    }
}

/// What an answer was about, for the log and the metrics; nothing secret.
#[derive(Clone, Debug, Default)]
pub struct Note {
    /// The class of the request, as `object_put`: one of few words.
    pub route: &'static str,
    /// The repository.
    pub repository: Option<String>,
    /// The id of the token, never the token.
    pub token: Option<String>,
}

/// Whether a request came through a proxy that says so: then its address is the proxy's.
pub(crate) fn is_proxied(headers: &HeaderMap) -> bool {
    OF_PROXIES.iter().any(|name| headers.contains_key(*name))
}

/// An answer of one line of text.
pub fn simple(status: StatusCode, text: &str) -> Response {
    let mut response = Response::new(Body::from(format!("{text}\n").into_bytes()));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

/// An answer that asks to come back later, in whole seconds and at least one.
pub fn later(status: StatusCode, text: &str, pause: Duration) -> Response {
    with_pause(simple(status, text), pause)
}

/// Answers a login that is not right, and counts it: 401, which says why and how to log in, or 429
/// where the address has failed too often. `refused` makes the answer of a status and a text.
pub(crate) fn unauthorized(
    peer: &Peer,
    why: &str,
    challenge: Option<HeaderValue>,
    refused: impl FnOnce(StatusCode, &str) -> Response,
) -> Response {
    if let Some(pause) = peer.login_failed() {
        let response = refused(StatusCode::TOO_MANY_REQUESTS, "Too many wrong logins");
        return with_pause(response, pause);
    }
    let mut response = refused(StatusCode::UNAUTHORIZED, why);
    let challenge = challenge.map(|challenge| (WWW_AUTHENTICATE, challenge));
    response.headers_mut().extend(challenge);
    response
}

/// Lets an answer ask to come back later, in whole seconds and at least one.
pub(crate) fn with_pause(mut response: Response, pause: Duration) -> Response {
    let seconds = pause.as_millis().div_ceil(1000).max(1);
    if let Ok(seconds) = HeaderValue::try_from(seconds.to_string()) {
        response.headers_mut().insert(RETRY_AFTER, seconds);
    }
    response
}
