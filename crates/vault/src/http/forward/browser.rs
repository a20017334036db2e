//! The way of a browser from a protected host to the vault and back.
//!
//! The browser gets a cookie on the host, of 256 random bits, and takes its SHA-256 to the vault; the
//! code that it brings back counts only together with that cookie. So a code that was stolen is nothing
//! in another browser, and nobody is sent in as somebody else.

use data_encoding::BASE64URL_NOPAD;
use hyper::header::USER_AGENT;
use sha2::{Digest, Sha256};
use strongroom_access::forward::Host;
use url::form_urlencoded;

use crate::http::forward::question::{BROWSER, SESSION, cookie, once};
use crate::http::service::{Peer, Request};
use crate::people::Browser;
use crate::{Error, Result};

/// What a proxy passes on.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) host: Host,
    origin: String,
    /// Where it goes on: a path and query of that host, as it was written.
    path: String,
    pub(super) code: String,
    /// The cookie of the browser.
    pub(super) shown: Option<String>,
    pub(super) browser: Browser,
}

impl Asked {
    /// Reads it.
    ///
    /// # Errors
    /// Why it is nothing.
    pub(super) fn of(request: &Request, peer: &Peer) -> Result<Self, &'static str> {
        let headers = request.headers();
        let host: Host = once(headers, "x-forwarded-host")?.parse()?;
        let origin = host
            .origin(once(headers, "x-forwarded-proto")?)
            .ok_or("Protected hosts are reached by https alone")?;
        let query = request.uri().query().unwrap_or_default();
        // nginx cannot encode what it puts there, so it is all that follows.
        let path = query.strip_prefix("to=").unwrap_or("/");
        let code = form_urlencoded::parse(query.as_bytes());
        let code = code.into_owned().find(|(key, _)| key == "code");
        let text = |name: &str| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        // The last address is the one that the proxy has seen itself.
        let forwarded = text("x-forwarded-for");
        let address = forwarded.rsplit(',').next().unwrap_or_default().trim();
        let address = address.parse().unwrap_or(peer.address);
        Ok(Self {
            host,
            origin,
            path: path.to_owned(),
            code: code.map(|(_, code)| code).unwrap_or_default(),
            shown: cookie(headers, BROWSER),
            browser: Browser {
                address: address.to_string(),
                program: text(USER_AGENT.as_str()),
                cookie: None,
                pause: None,
            },
        })
    }

    /// The whole address where it goes on.
    pub(super) fn target(&self) -> String {
        let path = match self.path.starts_with('/') {
            true => self.path.as_str(),
            false => "/",
        };
        format!("{}{path}", self.origin)
    }
}

/// Where a browser goes to be asked who it is, and the cookie by which it is known again: the one that
/// it has, where it has one.
///
/// # Errors
/// [`Error::Refused`] where there is no randomness.
pub(super) fn way_to_vault(
    vault: &str,
    target: &str,
    shown: Option<&str>,
) -> Result<(String, String)> {
    let secret = match shown.filter(|shown| is_secret(shown)) {
        Some(shown) => shown.to_owned(),
        None => {
            let mut bytes = [0_u8; 32];
            getrandom::fill(&mut bytes).map_err(|error| Error::Refused {
                reason: format!("the system gives no randomness: {error}"),
            })?;
            BASE64URL_NOPAD.encode(&bytes)
        }
    };
    let digest = BASE64URL_NOPAD.encode(&Sha256::digest(secret.as_bytes()));
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("to", target)
        .append_pair("browser", &digest)
        .finish();
    let cookie = format!("{BROWSER}={secret}; Path=/; Secure; HttpOnly; SameSite=Lax");
    Ok((format!("{vault}/-/go?{query}"), cookie))
}

/// The cookie of a session. It has to come along when the browser arrives from the vault, which may be
/// another site.
pub(super) fn session_cookie(secret: &str) -> String {
    format!("{SESSION}={secret}; Path=/; Secure; HttpOnly; SameSite=Lax")
}

fn is_secret(text: &str) -> bool {
    let decoded = BASE64URL_NOPAD.decode(text.as_bytes());
    decoded.is_ok_and(|bytes| bytes.len() == 32)
}
