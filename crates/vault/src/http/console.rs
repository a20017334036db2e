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
mod go;
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

use std::collections::HashSet;
use std::sync::Arc;

use hyper::{Method, StatusCode};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

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

/// The most bytes of a form: an answer of a passkey, with what vouches for its device.
const LARGEST_FORM_BYTES: u64 = 32 << 10;

/// How many pages are drawn at once for those who are not known to be signed in.
const STRANGERS: usize = 12;

/// How many for those who are.
const OPERATORS: usize = 24;

/// How many seal codes are looked at at once.
const SEALING: usize = 4;

/// So many sessions are known without asking the database.
const MOST_KNOWN: usize = 1_000;

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
///
/// **Security:** nobody who has shown nothing holds a place among the requests under way while his form
/// comes, and strangers have few places for what is done then: however many ask, those who are signed
/// in see their pages, and whoever has a seal code seals.
#[derive(Clone, Debug)]
pub struct Console {
    people: Arc<People>,
    beside: Arc<Beside>,
    blocking: Blocking,
    strangers: Arc<Semaphore>,
    operators: Arc<Semaphore>,
    sealing: Arc<Semaphore>,
    known: Arc<Mutex<HashSet<[u8; 32]>>>,
}

impl Console {
    /// Made of its parts.
    pub fn new(parts: Parts) -> Self {
        let places = |count| Arc::new(Semaphore::new(count));
        let (verify_every_ms, channels) = (parts.verify_every_ms, parts.channels);
        let beside = Beside::new(parts.publisher, verify_every_ms, channels);
        Self {
            people: parts.people,
            beside: Arc::new(beside),
            blocking: parts.blocking,
            strangers: places(STRANGERS),
            operators: places(OPERATORS),
            sealing: places(SEALING),
            known: Arc::default(),
        }
    }

    /// Where a request waits for its turn.
    fn places(&self, ask: &Ask) -> &Arc<Semaphore> {
        let is_known = |cookie: &String| self.known.lock().contains(&digest(cookie));
        match ask.session.as_ref().is_some_and(is_known) {
            _ if ask.path == "/seal" => &self.sealing,
            true => &self.operators,
            false => &self.strangers,
        }
    }

    /// Notes whether a cookie was that of a session a moment ago.
    fn note(&self, ask: &Ask, is_signed_in: bool) {
        let Some(cookie) = &ask.session else { return };
        let mut known = self.known.lock();
        match is_signed_in {
            true => {
                if known.len() >= MOST_KNOWN {
                    known.clear();
                }
                known.insert(digest(cookie));
            }
            false => {
                known.remove(&digest(cookie));
            }
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
        peer.leave();
        if ask.is_post {
            let body = request.into_body().bytes(LARGEST_FORM_BYTES).await?;
            ask.read_form(&body);
        }
        let place = Arc::clone(self.places(&ask)).acquire_owned().await;
        let place = place.map_err(|_| Error::Unfinished)?;
        let (people, beside) = (Arc::clone(&self.people), Arc::clone(&self.beside));
        let console = self.clone();
        // The log lies in the storage, and one that hangs holds up no other page.
        let blocking = match ask.path.starts_with("/-/log") {
            true => self.blocking.for_storage(),
            false => self.blocking.clone(),
        };
        let is_encrypted = peer.is_encrypted;
        let is_post = ask.is_post;
        let draw = move || {
            let reply = route(&people, &beside, &ask, &|is_signed_in| {
                console.note(&ask, is_signed_in)
            });
            drop(place);
            Ok(reply)
        };
        let reply = blocking.run(draw).await?;
        if is_post && reply.is_wrong_login() {
            // The page says what to do, whatever pause there is from now on.
            let _ = peer.login_failed();
        }
        Ok(reply.into_response(is_encrypted))
    }
}

/// What a path means. What goes wrong is a page as well.
fn route(people: &People, beside: &Beside, ask: &Ask, note: &dyn Fn(bool)) -> Reply {
    match dispatch(people, beside, ask, note) {
        Ok(reply) => reply,
        Err(error) => look::failed(&error),
    }
}

fn dispatch(people: &People, beside: &Beside, ask: &Ask, note: &dyn Fn(bool)) -> Result<Reply> {
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
        (_, ["-", "go", rest @ ..]) => return go::page(people, ask, rest),
        (_, ["-", "sign-in", rest @ ..]) => return sign_in::page(people, ask, rest),
        _ => {}
    }
    let signed_in = signed_in(people, ask)?;
    note(signed_in.is_some());
    let Some(signed_in) = signed_in else {
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

fn digest(cookie: &str) -> [u8; 32] {
    Sha256::digest(cookie).into()
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
