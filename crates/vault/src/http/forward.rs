//! Forward authentication: what nginx, Traefik and Caddy ask before they let somebody in to another
//! host, and what they pass on to the vault for that host. docs/forward-authentication.md tells the
//! whole.
//!
//! **Security:** nothing that is said of a request counts unless it comes from a proxy of
//! `trusted_proxies`, each header is there once, and what decides is all there. Every answer to a
//! question has every header of an identity, empty where there is none, so that none of a client's own
//! is left standing; and no answer may be kept by anybody.

mod assertion;
mod browser;
mod question;

use std::sync::Arc;

use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION, SET_COOKIE, VARY};
use hyper::{Method, StatusCode};
use strongroom_access::Operator;
use strongroom_access::forward::Verdict;
use strongroom_model::Secret;

use crate::Result;
use crate::config::ProtectConfig;
use crate::http::Blocking;
use crate::http::body::Body;
use crate::http::service::{Note, Peer, Request, Response, later, simple};
use crate::people::People;

pub use assertion::Assertions;
use question::{Question, Speech};

/// Where proxies ask.
pub const VERIFY: &str = "/auth/verify";

/// Where the key of assertions is told.
pub const KEYS: &str = "/auth/keys";

/// Where a proxy passes on what is the vault's on a protected host.
const START: &str = "/.strongroom/start";
const CALLBACK: &str = "/.strongroom/callback";

/// Whoever is let in: his name, his roles, what he is called, where he gets mail; in this order.
pub const IDENTITY: [&str; 4] = [
    "remote-user",
    "remote-groups",
    "remote-name",
    "remote-email",
];

/// The same, signed.
pub const ASSERTION: &str = "strongroom-assertion";

/// The class of requests, for log and metrics.
const NOTE: &str = "forward";

/// Answers proxies. Clones are the same.
#[derive(Clone, Debug)]
pub struct Forward {
    people: Arc<People>,
    config: Arc<ProtectConfig>,
    assertions: Arc<Assertions>,
    blocking: Blocking,
}

impl Forward {
    /// For the people of a vault; `key` is a secret of its folder.
    ///
    /// # Errors
    /// [`crate::Error::Refused`] where the key is none.
    pub fn new(
        people: Arc<People>,
        config: ProtectConfig,
        key: &Secret,
        blocking: Blocking,
    ) -> Result<Self> {
        Ok(Self {
            people,
            config: Arc::new(config),
            assertions: Arc::new(Assertions::new(key)?),
            blocking,
        })
    }

    /// Answers a request, or gives it back where its path is none of these.
    ///
    /// # Errors
    /// The request, untouched.
    pub async fn answer(&self, request: Request, peer: &Peer) -> Result<Response, Box<Request>> {
        let path = request.uri().path();
        let is_ours = [VERIFY, KEYS, START, CALLBACK].contains(&path);
        if !is_ours || self.config.rules.is_empty() {
            return Err(Box::new(request));
        }
        let mut response = self.serve(&request, peer).await;
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response.extensions_mut().insert(Note {
            route: NOTE,
            ..Note::default()
        });
        Ok(response)
    }

    async fn serve(&self, request: &Request, peer: &Peer) -> Response {
        let path = request.uri().path();
        let is_read = [Method::GET, Method::HEAD].contains(request.method());
        let response = match (path, is_read) {
            (_, false) => simple(StatusCode::METHOD_NOT_ALLOWED, "Only GET is answered here"),
            (KEYS, true) => self.assertions.published(),
            _ if !self.config.trusts(peer.address) => {
                // Whoever it is could do this without end, and is told why himself.
                tracing::debug!(
                    address = %peer.address,
                    "Somebody asks for a protected host who is not among trusted_proxies"
                );
                let why = "This address is not among trusted_proxies of the vault";
                simple(StatusCode::FORBIDDEN, why)
            }
            (VERIFY, true) => self.verify(request).await,
            _ => {
                let asked = browser::Asked::of(request, peer);
                match asked {
                    Ok(asked) => self.pass(asked, path == CALLBACK).await,
                    Err(why) => simple(StatusCode::FORBIDDEN, why),
                }
            }
        };
        match path {
            VERIFY => with_identity(response),
            _ => response,
        }
    }

    /// Whether a proxy lets somebody in.
    async fn verify(&self, request: &Request) -> Response {
        let question = match Question::read(request.headers()) {
            Ok(question) => question,
            Err(why) => return simple(StatusCode::FORBIDDEN, why),
        };
        let this = self.clone();
        let decided = self.blocking.run(move || this.decide(&question)).await;
        decided.unwrap_or_else(|error| failed(&error))
    }

    fn decide(&self, question: &Question) -> Result<Response> {
        let cookie = question.session.as_deref();
        let host = question.host.as_str();
        let found = self.people.at_host(host, &question.uri, cookie)?;
        Ok(match (found.verdict, found.operator) {
            (Verdict::Allow, Some(operator)) => self.let_in(question, &operator)?,
            (Verdict::Allow | Verdict::SignIn | Verdict::StepUp, _) => self.send_away(question),
            (Verdict::Forbidden, _) => {
                simple(StatusCode::FORBIDDEN, "No rule lets you in to this page")
            }
            (Verdict::UnknownHost, _) => simple(
                StatusCode::FORBIDDEN,
                "No rule of the vault names this host",
            ),
            (Verdict::Ambiguous(why), _) => simple(
                StatusCode::FORBIDDEN,
                &format!("This path can be read in more than one way: {why}"),
            ),
        })
    }

    fn let_in(&self, question: &Question, operator: &Operator) -> Result<Response> {
        let now = self.people.vault().now();
        let host = question.host.as_str();
        let assertion = self.assertions.sign(operator, host, now.recorded_ms)?;
        let mut response = simple(StatusCode::OK, "Let in");
        let groups: Vec<&str> = operator.roles.iter().map(|role| role.word()).collect();
        let groups = groups.join(",");
        let name = operator.name.as_str();
        let texts = [name, groups.as_str(), name, ""];
        let headers = response.headers_mut();
        for (header, text) in IDENTITY.iter().zip(texts) {
            if let Ok(value) = HeaderValue::from_str(text) {
                headers.insert(*header, value);
            }
        }
        if let Ok(value) = HeaderValue::from_str(&assertion) {
            headers.insert(ASSERTION, value);
        }
        Ok(response)
    }

    /// To the vault's pages, where whoever asks can read what he is answered; nginx sends him there
    /// itself, and what is posted is not sent anywhere.
    fn send_away(&self, question: &Question) -> Response {
        if question.speech == Speech::Nginx || !question.is_read {
            return simple(StatusCode::UNAUTHORIZED, "Sign in at the vault");
        }
        match self.way_to_vault(&question.target(), question.browser.as_deref()) {
            Ok((location, cookie)) => redirect(StatusCode::FOUND, &location, &[cookie]),
            Err(error) => failed(&error),
        }
    }

    /// Where a browser goes to be asked who it is, and the cookie by which it is known again.
    fn way_to_vault(&self, target: &str, shown: Option<&str>) -> Result<(String, String)> {
        let origin = self.people.origin().unwrap_or_default();
        browser::way_to_vault(origin, target, shown)
    }

    /// What a proxy passes on for a protected host.
    async fn pass(&self, asked: browser::Asked, is_callback: bool) -> Response {
        let is_known = self.config.rules.iter().any(|rule| rule.host == asked.host);
        if !is_known {
            return simple(
                StatusCode::FORBIDDEN,
                "No rule of the vault names this host",
            );
        }
        if !is_callback {
            let shown = asked.shown.as_deref();
            return match self.way_to_vault(&asked.target(), shown) {
                Ok((location, cookie)) => redirect(StatusCode::FOUND, &location, &[cookie]),
                Err(error) => failed(&error),
            };
        }
        let people = Arc::clone(&self.people);
        let entered = self.blocking.run(move || {
            let shown = asked.shown.as_deref().unwrap_or_default();
            let host = asked.host.as_str();
            Ok(people.enter_host(&asked.code, host, shown, &asked.browser))
        });
        match entered.await {
            Ok(Ok((cookie, target))) => {
                let cookie = browser::session_cookie(cookie.reveal());
                redirect(StatusCode::SEE_OTHER, &target, &[cookie])
            }
            Ok(Err(crate::Error::NotSignedIn)) => simple(
                StatusCode::FORBIDDEN,
                "This way in was used before, is too old, or is another browser's: open the page \
                 again",
            ),
            Ok(Err(error)) | Err(error) => failed(&error),
        }
    }
}

/// Every header of an identity, empty where there is none.
fn with_identity(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for name in IDENTITY.into_iter().chain([ASSERTION]) {
        if !headers.contains_key(name) {
            headers.insert(name, HeaderValue::from_static(""));
        }
    }
    headers.insert(VARY, HeaderValue::from_static("*"));
    response
}

fn redirect(status: StatusCode, location: &str, cookies: &[String]) -> Response {
    let mut response = Response::new(Body::from(Vec::new()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(
        hyper::header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    let texts = cookies.iter().map(|cookie| (SET_COOKIE, cookie.as_str()));
    for (name, text) in texts.chain([(LOCATION, location)]) {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.append(name, value);
        }
    }
    response
}

fn failed(error: &crate::Error) -> Response {
    let error = error as &dyn std::error::Error;
    tracing::error!(error, "A proxy was not answered");
    later(
        StatusCode::SERVICE_UNAVAILABLE,
        "Something is wrong here; the log of the vault says what",
        std::time::Duration::from_secs(1),
    )
}
