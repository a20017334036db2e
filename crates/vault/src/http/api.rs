//! The API: what clients ask beside restic's protocol, and what administers a vault, as JSON.
//!
//! docs/vault-api.md tells it, `openapi.json` describes it, and both are served by exactly the
//! endpoints of [`ENDPOINTS`]; a test holds them together.
//!
//! A refusal is answered before a body is read, in one shape. Bodies are bounded: 64 KiB, but for
//! receipts, which wait on the disk when they are large.

mod administration;
mod answer;
mod login;
mod machine;
mod receipt;
mod request;
mod route;

use std::path::PathBuf;
use std::sync::Arc;

use hyper::Method;
use hyper::header::ALLOW;
use strongroom_model::Secret;

use crate::Result;
use crate::http::rest::{self, Rest};
use crate::http::service::{Note, Peer, Request, Response};
use crate::http::{Blocking, Limits};
use crate::publication::{Published, Publisher};
use crate::runs_in::Whereabouts;
use crate::vault::{Channels, Vault};

pub use route::{Call, ENDPOINTS, Endpoint, Principal};

use receipt::Turns;
use route::{Captured, Found};

/// The description of the API, OpenAPI 3.1.
pub const DESCRIPTION: &str = include_str!("api/openapi.json");

/// What the API needs of the vault.
#[derive(Debug)]
pub struct Parts {
    /// The vault.
    pub vault: Vault,
    /// Answers restic's protocol for it.
    pub rest: Rest,
    /// Publishes its log.
    pub publisher: Arc<Publisher>,
    /// Where work that blocks is done.
    pub blocking: Blocking,
    /// What clients may take.
    pub limits: Limits,
    /// Where large receipts wait: a folder on the disk.
    pub spool: PathBuf,
    /// Whose account the vault runs in, and in whose its objects lie.
    pub runs_in: Whereabouts,
    /// Within which time the vault reads all it has.
    pub verify_every_ms: i64,
    /// Over which channels people are told.
    pub channels: Channels,
    /// What opens the endpoints that administer.
    pub admin_token: Secret,
}

/// Answers the API. Clones are the same.
#[derive(Clone, Debug)]
pub struct Api {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    parts: Parts,
    published: Published,
    turns: Turns,
}

impl Api {
    /// Made of its parts.
    pub fn new(parts: Parts) -> Self {
        let published = parts.publisher.published();
        Self {
            shared: Arc::new(Shared {
                parts,
                published,
                turns: Turns::new(),
            }),
        }
    }

    /// Answers a request, or gives it back where its path is none of the API.
    ///
    /// # Errors
    /// The request, untouched.
    pub async fn answer(&self, request: Request, peer: &Peer) -> Result<Response, Box<Request>> {
        let path = request.uri().path();
        if path != "/v1" && !path.starts_with("/v1/") {
            return Err(Box::new(request));
        }
        let method = match *request.method() {
            Method::HEAD => &Method::GET,
            ref method => method,
        };
        match route::find(method.as_str(), path) {
            Found::Call(endpoint, captured) => {
                Ok(self.serve(request, peer, endpoint, captured).await)
            }
            // A repository that was called like this page before it was one.
            Found::Nothing if rest::serves(path) => Err(Box::new(request)),
            Found::Nothing => Ok(noted(answer::nothing(), "api")),
            Found::Others(methods) => {
                let mut response = answer::not_allowed();
                let methods = methods.join(", ");
                if let Ok(methods) = methods.parse() {
                    response.headers_mut().insert(ALLOW, methods);
                }
                Ok(noted(response, "api"))
            }
        }
    }

    async fn serve(
        &self,
        request: Request,
        peer: &Peer,
        endpoint: &'static Endpoint,
        captured: Captured,
    ) -> Response {
        let mut note = Note {
            route: endpoint.note,
            repository: captured.repository.as_ref().map(ToString::to_string),
            token: None,
        };
        let answered = self
            .call(request, peer, endpoint, captured, &mut note)
            .await;
        let mut response = match answered {
            Ok(response) => response,
            Err(error) => answer::refusal(&error, peer, endpoint.principal, &note),
        };
        response.extensions_mut().insert(note);
        response
    }

    async fn call(
        &self,
        request: Request,
        peer: &Peer,
        endpoint: &'static Endpoint,
        captured: Captured,
        note: &mut Note,
    ) -> Result<Response> {
        let vault = &self.parts().vault;
        let path = captured.repository.clone();
        let answered = match endpoint.principal {
            Principal::Anybody => return answer::description(),
            Principal::Token => {
                let principal = self.log_in(&request, peer, path.as_ref()).await?;
                note.token = Some(principal.name.clone());
                match peer.begin(&principal.name, &request) {
                    Ok(place) => {
                        let kept = place.held();
                        let asked = self.ask(request, principal, endpoint.call, captured, kept);
                        asked.await.map(|mut response| {
                            place.keep(&mut response);
                            response
                        })
                    }
                    Err(error) => Err(error),
                }
            }
            Principal::Administrator => {
                let who = self
                    .admit(&request, peer)
                    .inspect_err(|_| vault.note_no_administrator(path.as_ref()))?;
                self.administer(request, who, endpoint.call, captured).await
            }
        };
        // A refusal is an act, whatever asked for it.
        answered.inspect_err(|error| {
            let token = note.token.as_deref();
            vault.note_refusal(error, false, token, path.as_ref());
        })
    }

    fn parts(&self) -> &Parts {
        &self.shared.parts
    }
}

fn noted(mut response: Response, route: &'static str) -> Response {
    response.extensions_mut().insert(Note {
        route,
        ..Note::default()
    });
    response
}
