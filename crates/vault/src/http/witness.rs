//! `POST /add-checkpoint`, as C2SP tlog-witness: other logs ask to be cosigned.
//!
//! Anybody may ask: what is not signed by the key of a log that is configured costs one look at a
//! short body, and changes nothing.

use std::sync::Arc;

use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, StatusCode};
use strongroom_ledger::witness::{AddCheckpoint, Answer, REQUEST_LIMIT_BYTES, SIZE_CONTENT_TYPE};
use strongroom_ledger::{Signer, Verifier};

use crate::Result;
use crate::http::service::{Note, Request, Response, simple};
use crate::http::{Blocking, Body};
use crate::vault::Vault;

/// The path of the page.
pub const PATH: &str = "/add-checkpoint";

/// Cosigns for other logs.
#[derive(Clone, Debug)]
pub struct WitnessPage {
    vault: Vault,
    blocking: Blocking,
    keys: Arc<Keys>,
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
        }
    }

    /// Answers a request.
    pub async fn answer(&self, request: Request) -> Response {
        let mut response = match *request.method() {
            Method::POST => self.add(request).await.unwrap_or_else(|error| {
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

    async fn add(&self, request: Request) -> Result<Response> {
        let (_, upload) = request.into_parts();
        let Ok(body) = upload.bytes(REQUEST_LIMIT_BYTES as u64).await else {
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
