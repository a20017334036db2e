//! The console: pages for people, drawn here, that work without a script but for passkeys.
//!
//! All of them lie below [`ROOT`], which is no path of a repository. A page is asked for with a
//! session, or with a link by which somebody comes, or it is that on which one signs in.
//!
//! **Security:** cookies are `__Host-`, `HttpOnly` and `SameSite=Strict`; the origin of each POST is
//! compared with that of `public_url`, and each form has a token of its session. No page has a script
//! within it or takes anything from elsewhere, none may be framed, and all that is shown is escaped.

mod account;
mod alerts;
mod ask;
mod asking;
mod beside;
mod chart;
mod guide;
mod home;
mod join;
mod ledger;
mod look;
mod operations;
mod operators;
mod reply;
mod repository;
mod scorecard;
mod seal;
mod sign_in;
mod tokens;
mod words;

use std::sync::Arc;

use hyper::{Method, StatusCode};

use crate::http::Blocking;
use crate::http::service::{Note, Peer, Request, Response, later, simple};
use crate::people::{People, SignedIn};
use crate::publication::Publisher;
use crate::vault::Channels;
use crate::{Error, Result};

use ask::Ask;
use beside::Beside;
use reply::Reply;

/// What all pages lie below.
pub const ROOT: &str = "/-/";

/// The most bytes of a form.
const LARGEST_FORM_BYTES: u64 = 128 << 10;

/// The class of requests, for log and metrics.
const NOTE: &str = "console";

/// What the console is made of.
#[derive(Debug)]
pub struct Parts {
    /// The people of the vault.
    pub people: Arc<People>,
    /// Publishes its log.
    pub publisher: Arc<Publisher>,
    /// Where work that blocks is done.
    pub blocking: Blocking,
    /// Within which time the vault reads all it has.
    pub verify_every_ms: i64,
    /// Over which channels people are told.
    pub channels: Channels,
}

/// Draws the pages. Clones are the same.
#[derive(Clone, Debug)]
pub struct Console {
    people: Arc<People>,
    beside: Arc<Beside>,
    blocking: Blocking,
}

impl Console {
    /// Made of its parts.
    pub fn new(parts: Parts) -> Self {
        let (verify_every_ms, channels) = (parts.verify_every_ms, parts.channels);
        let beside = Beside::new(parts.publisher, verify_every_ms, channels);
        Self {
            people: parts.people,
            beside: Arc::new(beside),
            blocking: parts.blocking,
        }
    }

    /// Answers a request, or gives it back where its path is none of the console.
    ///
    /// # Errors
    /// The request, untouched.
    pub async fn answer(&self, request: Request, peer: &Peer) -> Result<Response, Box<Request>> {
        let path = request.uri().path();
        let is_ours = path == "/" || path == "/seal" || path.starts_with(ROOT);
        if !is_ours || (path == "/" && request.method() != Method::GET) {
            return Err(Box::new(request));
        }
        let mut response = match self.serve(request, peer).await {
            Ok(response) => response,
            Err(error) => refused(&error, peer),
        };
        response.extensions_mut().insert(Note {
            route: NOTE,
            ..Note::default()
        });
        Ok(response)
    }

    async fn serve(&self, request: Request, peer: &Peer) -> Result<Response> {
        let mut ask = Ask::of(&request, peer);
        if ask.is_post {
            let body = request.into_body().bytes(LARGEST_FORM_BYTES).await?;
            ask.read_form(&body);
        }
        let (people, beside) = (Arc::clone(&self.people), Arc::clone(&self.beside));
        let is_encrypted = peer.is_encrypted;
        // The log lies in the storage, and one that hangs holds up no other page.
        let blocking = match ask.path.starts_with("/-/log") {
            true => self.blocking.for_storage(),
            false => self.blocking.clone(),
        };
        let draw = move || Ok(route(&people, &beside, &ask));
        let reply = blocking.run(draw).await?;
        Ok(reply.into_response(is_encrypted))
    }
}

/// What a path means. What goes wrong is a page as well.
fn route(people: &People, beside: &Beside, ask: &Ask) -> Reply {
    match dispatch(people, beside, ask) {
        Ok(reply) => reply,
        Err(error) => look::failed(&error),
    }
}

fn dispatch(people: &People, beside: &Beside, ask: &Ask) -> Result<Reply> {
    let parts: Vec<&str> = ask.path.trim_start_matches('/').split('/').collect();
    // Whoever holds a seal code may be a machine: it has no page, and no origin.
    if ask.path == "/seal" {
        return seal::by_code(people, ask);
    }
    if ask.is_post {
        ask.check_origin(people.origin())?;
    }
    match (ask.is_post, parts.as_slice()) {
        (false, [""]) => return Ok(Reply::see(ROOT)),
        (false, ["-", "style.css"]) => return Ok(Reply::style()),
        (false, ["-", "script.js"]) => return Ok(Reply::script()),
        (false, ["-", "icon.svg"]) => return Ok(Reply::icon()),
        (_, ["-", "join", link, rest @ ..]) => return join::page(people, ask, link, rest),
        (_, ["-", "sign-in", rest @ ..]) => return sign_in::page(people, ask, rest),
        _ => {}
    }
    let Some(signed_in) = signed_in(people, ask)? else {
        return Ok(match ask.is_post {
            true => look::failed(&Error::NotSignedIn),
            false => Reply::see("/-/sign-in"),
        });
    };
    if ask.is_post {
        ask.check_form(&signed_in)?;
    }
    let scene = look::Scene::read((people, beside), ask, &signed_in)?;
    match parts.as_slice() {
        ["-", ""] => home::page(&scene),
        ["-", "repositories", rest @ ..] => repository::page(&scene, rest),
        ["-", "alerts", rest @ ..] => alerts::page(&scene, rest),
        ["-", "tokens", rest @ ..] => tokens::page(&scene, rest),
        ["-", "log", rest @ ..] => ledger::page(&scene, rest),
        ["-", "operations", rest @ ..] => operations::page(&scene, rest),
        ["-", "operators", rest @ ..] => operators::page(&scene, rest),
        ["-", "you", rest @ ..] => account::page(&scene, rest),
        ["-", "seal"] => seal::page(&scene),
        _ => Ok(look::nothing(&scene)),
    }
}

/// Whose session the cookie is.
fn signed_in(people: &People, ask: &Ask) -> Result<Option<SignedIn>> {
    match &ask.session {
        Some(cookie) => people.session(cookie),
        None => Ok(None),
    }
}

/// What is answered where not even a page can be drawn.
fn refused(error: &Error, peer: &Peer) -> Response {
    match error {
        Error::UploadTooLarge { .. } => {
            simple(StatusCode::PAYLOAD_TOO_LARGE, "The form is too large")
        }
        Error::UploadStalled | Error::UploadBroken { .. } => {
            simple(StatusCode::BAD_REQUEST, "The form did not come as a whole")
        }
        _ => {
            let error = error as &dyn std::error::Error;
            tracing::error!(error, address = %peer.address, "A page was not drawn");
            later(
                StatusCode::SERVICE_UNAVAILABLE,
                "Something is wrong here; the log of the vault says what",
                std::time::Duration::from_secs(1),
            )
        }
    }
}
