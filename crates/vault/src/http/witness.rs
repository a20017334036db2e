//! `POST /add-checkpoint`, as C2SP tlog-witness: other logs ask to be cosigned.
//!
//! Anybody may ask: what is not signed by the key of a log that is configured costs one look at a
//! short body, and changes nothing.
//!
//! What can go wrong: somebody who asks and sends nothing. Nobody has told who he is when his body
//! is read, so he holds no place of the requests under way meanwhile, but one of a few that are for
//! this page alone, and for seconds.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, StatusCode};
use strongroom_ledger::witness::{AddCheckpoint, Answer, REQUEST_LIMIT_BYTES, SIZE_CONTENT_TYPE};
use strongroom_ledger::{Signer, Verifier};
use tokio::time::timeout;

use crate::Result;
use crate::http::limits::Turns;
use crate::http::service::{Note, Peer, Request, Response, later, simple};
use crate::http::{Blocking, Body};
use crate::vault::Vault;

/// The path of the page.
pub const PATH: &str = "/add-checkpoint";

/// Requests at a time; a log asks once in some minutes.
const TURNS: usize = 8;

/// Requests of one address at a time.
const TURNS_OF_ADDRESS: usize = 2;

/// The time in which a whole body must have come: it has some KiB, and comes in one piece.
const BODY_TIME: Duration = Duration::from_secs(5);

/// When to ask again where all turns are taken.
const SOON: Duration = Duration::from_secs(5);

/// Cosigns for other logs.
#[derive(Clone, Debug)]
pub struct WitnessPage {
    vault: Vault,
    blocking: Blocking,
    keys: Arc<Keys>,
    turns: Turns,
}

#[derive(Debug)]
struct Keys {
    signer: Arc<Signer>,
    logs: Vec<Verifier>,
}

impl WitnessPage {
    /// Cosigns with `signer` for the logs that have these keys.
    pub fn new(vault: Vault, blocking: Blocking, signer: Arc<Signer>, logs: Vec<Verifier>) -> Self {
        Self {
            vault,
            blocking,
            keys: Arc::new(Keys { signer, logs }),
            turns: Turns::new(TURNS, TURNS_OF_ADDRESS),
        }
    }

    /// Answers a request.
    pub async fn answer(&self, request: Request, peer: &Peer) -> Response {
        let mut response = match *request.method() {
            Method::POST => self.add(request, peer).await.unwrap_or_else(|error| {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "Nothing was cosigned"
                );
                let text = "Something is wrong here; the log of the witness says what";
                simple(StatusCode::SERVICE_UNAVAILABLE, text)
            }),
            _ => {
                let mut response = simple(StatusCode::METHOD_NOT_ALLOWED, "Not allowed here");
                let allowed = HeaderValue::from_static("POST");
                response.headers_mut().insert(ALLOW, allowed);
                response
            }
        };
        let route = "add_checkpoint";
        response.extensions_mut().insert(Note {
            route,
            ..Note::default()
        });
        response
    }

    async fn add(&self, request: Request, peer: &Peer) -> Result<Response> {
        let Some(_turn) = self.turns.take(peer.address) else {
            peer.metrics.refused("strangers");
            let text = "Too many logs ask to be cosigned; ask again";
            return Ok(later(StatusCode::SERVICE_UNAVAILABLE, text, SOON));
        };
        peer.leave();
        let (_, upload) = request.into_parts();
        let body = timeout(BODY_TIME, upload.bytes(REQUEST_LIMIT_BYTES as u64));
        let Ok(body) = body.await else {
            let text = "The request came too slowly";
            return Ok(simple(StatusCode::REQUEST_TIMEOUT, text));
        };
        let Ok(body) = body else {
            return Ok(told(&Answer::BadRequest));
        };
        let Ok(request) = AddCheckpoint::decode(&body) else {
            return Ok(told(&Answer::BadRequest));
        };
        drop(body);
        let origin = request.checkpoint.text().lines().next().unwrap_or_default();
        let keys = Arc::clone(&self.keys);
        let Some(place) = keys.logs.iter().position(|log| log.name() == origin) else {
            return Ok(told(&Answer::UnknownLog));
        };
        let vault = self.vault.clone();
        let answer = self.blocking.run(move || match keys.logs.get(place) {
            Some(log) => vault.cosign(log, &keys.signer, request),
            None => Ok(Answer::UnknownLog),
        });
        Ok(told(&answer.await?))
    }
}

fn told(answer: &Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body().into_bytes()));
    *response.status_mut() = StatusCode::from_u16(answer.status()).unwrap_or(StatusCode::OK);
    let kind = match answer {
        Answer::Conflict { .. } => HeaderValue::from_static(SIZE_CONTENT_TYPE),
        _ => HeaderValue::from_static("text/plain; charset=utf-8"),
    };
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
