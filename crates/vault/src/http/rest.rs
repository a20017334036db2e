//! restic's REST protocol, versions 1 and 2, and the as-of view, which is the same, read-only.
//!
//! What clients insist on, and stock servers get wrong, is in docs/vault.md. A refusal is answered
//! before a body is read, but for a short one. The user in basic authentication is free; the password is the token.

mod question;
mod range;
mod route;

use std::sync::Arc;

use data_encoding::BASE64;
use hyper::header::{ALLOW, AUTHORIZATION, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, StatusCode};
use strongroom_model::RepositoryPath;

use crate::http::body::Body;
use crate::http::rest::question::Question;
use crate::http::service::{
    BASIC, Note, Peer, Request, Response, SOON, TokenPlace, later, simple, unauthorized,
};
use crate::http::strangers::Strangers;
use crate::http::{Blocking, Limits};
use crate::publication::Published;
use crate::rules::right::Act;
use crate::vault::{Principal, SHORT_BYTES, Vault};
use crate::{Error, Result};

pub use range::Range;
pub use route::{Moment, Route, Target};

const V1: HeaderValue = HeaderValue::from_static("application/vnd.x.restic.rest.v1");
const V2: HeaderValue = HeaderValue::from_static("application/vnd.x.restic.rest.v2");

/// The longest `Authorization` that is looked at.
const LONGEST_AUTHORIZATION_BYTES: usize = 1024;

/// Answers restic's protocol for a vault. Clones are the same.
#[derive(Clone, Debug)]
pub struct Rest {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    vault: Vault,
    log: Published,
    blocking: Blocking,
    limits: Arc<Limits>,
    strangers: Strangers,
}

impl Rest {
    /// For a vault.
    pub fn new(vault: Vault, log: Published, blocking: Blocking, limits: Limits) -> Self {
        Self {
            shared: Arc::new(Shared {
                vault,
                log,
                blocking,
                limits: Arc::new(limits),
                strangers: Strangers::new(),
            }),
        }
    }

    /// Answers a request; `None` where its path is none of this protocol.
    pub async fn answer(&self, request: Request, peer: &Peer) -> Option<Response> {
        if let Some(name) = request.uri().path().strip_prefix("/log/") {
            let name = name.to_owned();
            let mut note = Note {
                route: "log",
                ..Note::default()
            };
            let answered = self.log_file(&request, name, peer, &mut note).await;
            let mut response = answered.unwrap_or_else(|error| refusal(&error, peer, &note));
            response.extensions_mut().insert(note);
            return Some(response);
        }
        let route = Route::parse(request.uri().path())?;
        let mut note = Note {
            route: class(&route, request.method()),
            repository: Some(route.repository.to_string()),
            token: None,
        };
        let is_deletion = *request.method() == Method::DELETE;
        let repository = route.repository.clone();
        let answered = self.serve(request, route, peer, &mut note).await;
        let mut response = answered.unwrap_or_else(|error| {
            let token = note.token.as_deref();
            self.shared
                .vault
                .note_refusal(&error, is_deletion, token, Some(&repository));
            refusal(&error, peer, &note)
        });
        response.extensions_mut().insert(note);
        Some(response)
    }

    /// A file of the log: checkpoints and the key are for everybody, what was done for those who
    /// have a token.
    async fn log_file(
        &self,
        request: &Request,
        name: String,
        peer: &Peer,
        note: &mut Note,
    ) -> Result<Response> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Ok(not_allowed("GET, HEAD"));
        }
        let mut place = None;
        let is_note = matches!(name.as_str(), "checkpoint" | "key" | "witnessed");
        if !is_note {
            let token = self.token_of(request.headers(), None)?;
            let principal = self.authenticate(token, peer).await?;
            note.token = Some(principal.name.clone());
            place = Some(peer.begin(&principal.name, request)?);
        }
        // Tiles are files of the storage; the rest is in the database.
        let blocking = match note.token.is_some() {
            true => self.shared.blocking.for_storage(),
            false => self.shared.blocking.clone(),
        };
        let (log, kept) = (
            self.shared.log.clone(),
            place.as_ref().map(TokenPlace::held),
        );
        let look = move || {
            let _kept = kept;
            log.file(&name)
        };
        let file = match note.token.is_some() || self.is_acquainted(request.headers()) {
            true => blocking.run(look).await?,
            false => self.shared.strangers.ask(peer, &blocking, look).await?,
        };
        let Some(bytes) = file else {
            return Ok(simple(StatusCode::NOT_FOUND, "The log has no such file"));
        };
        let mut response = Response::new(Body::from(bytes));
        // As tlog-tiles has it.
        let kind = match is_note {
            true => "text/plain; charset=utf-8",
            false => "application/octet-stream",
        };
        let kind = HeaderValue::from_static(kind);
        response.headers_mut().insert(CONTENT_TYPE, kind);
        if let Some(place) = place {
            place.keep(&mut response);
        }
        Ok(response)
    }

    /// A right token never waits for the wrong ones of its address, and one that was right before
    /// for no strangers at all.
    pub(crate) async fn authenticate(&self, token: String, peer: &Peer) -> Result<Principal> {
        if let Some(known) = self.shared.vault.authenticate_known(&token) {
            return Ok(known);
        }
        let vault = self.shared.vault.clone();
        let is_acquainted = vault.is_acquainted(&token);
        let look = move || vault.authenticate(&token);
        if is_acquainted {
            return self.shared.blocking.run(look).await;
        }
        let principal = self
            .shared
            .strangers
            .ask(peer, &self.shared.blocking, look)
            .await?;
        peer.enter(&principal.name)?;
        Ok(principal)
    }

    /// Whether somebody shows a token that was right before, on a page that is for everybody.
    fn is_acquainted(&self, headers: &HeaderMap) -> bool {
        token_of(headers).is_some_and(|token| self.shared.vault.is_acquainted(&token))
    }

    /// The token of a request; that there is none is counted.
    fn token_of(&self, headers: &HeaderMap, repository: Option<&RepositoryPath>) -> Result<String> {
        token_of(headers).ok_or_else(|| {
            self.shared.vault.note_no_token(repository);
            Error::Unauthorized
        })
    }

    async fn serve(
        &self,
        request: Request,
        route: Route,
        peer: &Peer,
        note: &mut Note,
    ) -> Result<Response> {
        let token = self.token_of(request.headers(), Some(&route.repository))?;
        let principal = self.authenticate(token, peer).await?;
        note.token = Some(principal.name.clone());
        let place = peer.begin(&principal.name, &request)?;
        let mut response = self.serve_known(request, route, principal, &place).await?;
        place.keep(&mut response);
        Ok(response)
    }

    async fn serve_known(
        &self,
        request: Request,
        route: Route,
        principal: Principal,
        place: &TokenPlace,
    ) -> Result<Response> {
        let (parts, upload) = request.into_parts();
        let is_creation = parts
            .uri
            .query()
            .is_some_and(|query| query.split('&').any(|pair| pair == "create=true"));
        let question = Question {
            rest: self.clone(),
            route,
            headers: parts.headers,
            method: parts.method,
        };
        let is_read = matches!(question.method, Method::GET | Method::HEAD);
        match question.route.target {
            Target::Root if question.method == Method::POST && question.is_now() => {
                if !is_creation {
                    let text = "Say ?create=true to make a repository";
                    return Ok(simple(StatusCode::BAD_REQUEST, text));
                }
                question.create(principal, place.held()).await
            }
            Target::Root => Ok(not_allowed("POST")),
            Target::List(kind) if is_read => question.list(principal, kind).await,
            Target::List(_) => Ok(not_allowed("GET, HEAD")),
            Target::File(name) if is_read => question.get(principal, name, place.held()).await,
            Target::File(_) if !question.is_now() => Ok(not_allowed("GET, HEAD")),
            Target::File(name) if question.method == Method::POST => {
                let length_bytes = upload.length_bytes();
                if question.is_small(length_bytes) {
                    let path = &question.route.repository;
                    principal.authorise(Act::Put(name.kind()), path)?;
                    let content = upload.bytes(SHORT_BYTES).await?;
                    question.put(principal, name, content, place.held()).await?;
                    return Ok(done());
                }
                let blocking = question.blocking_to_put(name.kind());
                let begun = question.begin(principal, name, length_bytes, place.held());
                let taking = begun.await?;
                // The vault knows the limit of each type, and says so in its own words.
                let most_bytes = u64::MAX;
                upload.pass_to(taking, most_bytes, &blocking).await?;
                Ok(done())
            }
            Target::File(name) if question.method == Method::DELETE => {
                question.remove(principal, name).await
            }
            Target::File(_) => Ok(not_allowed("GET, HEAD, POST, DELETE")),
        }
    }
}

/// Whether a path is one of this protocol.
pub(crate) fn serves(path: &str) -> bool {
    Route::parse(path).is_some()
}

/// The token in basic authentication.
pub(crate) fn token_of(headers: &HeaderMap) -> Option<String> {
    token_in(headers.get(AUTHORIZATION)?.as_bytes())
}

/// The token in the value of `Authorization`; the user before it is free.
pub fn token_in(authorization: &[u8]) -> Option<String> {
    let encoded = authorization
        .strip_prefix(b"Basic ")
        .filter(|encoded| encoded.len() <= LONGEST_AUTHORIZATION_BYTES)?;
    let decoded = String::from_utf8(BASE64.decode(encoded).ok()?).ok()?;
    let (_, password) = decoded.split_once(':')?;
    Some(password.to_owned())
}

/// The class of a request, for log and metrics.
fn class(route: &Route, method: &Method) -> &'static str {
    match (route.moment, route.target, method) {
        (Moment::Now, Target::Root, _) => "create",
        (Moment::Now, Target::List(_), _) => "list",
        (Moment::Now, Target::File(_), &Method::POST) => "object_put",
        (Moment::Now, Target::File(_), &Method::DELETE) => "object_delete",
        (Moment::Now, Target::File(_), &Method::HEAD) => "object_head",
        (Moment::Now, Target::File(_), _) => "object_get",
        _ => "asof",
    }
}

fn done() -> Response {
    Response::new(Body::empty())
}

fn not_allowed(methods: &'static str) -> Response {
    let mut response = simple(StatusCode::METHOD_NOT_ALLOWED, "Not allowed here");
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(methods));
    response
}

fn outside(size_bytes: u64) -> Response {
    let mut response = simple(StatusCode::RANGE_NOT_SATISFIABLE, "There is no such range");
    let text = HeaderValue::try_from(format!("bytes */{size_bytes}"));
    response
        .headers_mut()
        .extend(text.map(|is| (CONTENT_RANGE, is)));
    response
}

/// What a client is told of an error: the reason where it is his, and no more than that something
/// is wrong where it is ours.
fn refusal(error: &Error, peer: &Peer, note: &Note) -> Response {
    let status = match error {
        Error::Unauthorized => return unauthorized(peer, &error.to_string(), Some(BASIC), simple),
        Error::Forbidden { .. }
        | Error::ConfigIsThere { .. }
        | Error::Hidden { .. }
        | Error::TooManyLocks { .. }
        | Error::NotPermitted(_)
        | Error::Refused { .. } => StatusCode::FORBIDDEN,
        Error::NotFound { .. } | Error::Unknown { .. } => StatusCode::NOT_FOUND,
        Error::BadBytes { .. } | Error::UploadBroken { .. } => StatusCode::BAD_REQUEST,
        Error::TooLarge { .. } | Error::UploadTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        Error::Full { .. } | Error::Storage(strongroom_store::Error::Full { .. }) => {
            StatusCode::INSUFFICIENT_STORAGE
        }
        Error::Busy { .. } | Error::DeletedMeanwhile { .. } | Error::StorageInDoubt => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        Error::UploadStalled => StatusCode::REQUEST_TIMEOUT,
        Error::Throttled { pause, .. }
        | Error::TooManyLives { pause, .. }
        | Error::DayIsUsedUp { pause, .. } => {
            return later(StatusCode::TOO_MANY_REQUESTS, &error.to_string(), *pause);
        }
        Error::Crowded { .. } => {
            return later(StatusCode::TOO_MANY_REQUESTS, &error.to_string(), SOON);
        }
        _ => {
            failed(error, peer, note);
            let text = "Something is wrong here; the log of the vault says what";
            return simple(StatusCode::SERVICE_UNAVAILABLE, text);
        }
    };
    simple(status, &error.to_string())
}

/// Tells the log what is wrong here, so that it can be joined with the line of the request.
pub(crate) fn failed(error: &Error, peer: &Peer, note: &Note) {
    tracing::error!(
        error = error as &dyn std::error::Error,
        route = note.route,
        repository = note.repository,
        token = note.token,
        connection = peer.connection,
        "A request failed"
    );
}
