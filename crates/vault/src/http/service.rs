//! What the listener and the rest of the vault say to each other.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};

use crate::http::body::{Body, Upload};
use crate::http::limits::Logins;

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
}

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
    let mut response = simple(status, text);
    let seconds = pause.as_millis().div_ceil(1000).max(1);
    if let Ok(seconds) = HeaderValue::try_from(seconds.to_string()) {
        response.headers_mut().insert(RETRY_AFTER, seconds);
    }
    response
}
