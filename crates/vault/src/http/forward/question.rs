//! What a proxy asks: a request that somebody has made on a protected host.
//!
//! nginx says it in `X-Original-URL` and `X-Original-Method`, Traefik and Caddy in
//! `X-Forwarded-Method`, `-Proto`, `-Host` and `-Uri`. Both at once, a part of either, or a header that
//! is there twice is nothing: whichever was believed, a client could have written it.

use hyper::header::{COOKIE, HeaderMap};
use strongroom_access::forward::Host;

/// The cookie of a session on a protected host.
pub(super) const SESSION: &str = "__Host-strongroom-host";

/// The cookie by which a browser is known again that was sent to the vault.
pub(super) const BROWSER: &str = "__Host-strongroom-way";

const OF_NGINX: [&str; 2] = ["x-original-url", "x-original-method"];

const OF_OTHERS: [&str; 4] = [
    "x-forwarded-method",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-uri",
];

/// The longest cookie that is looked at.
const LONGEST_COOKIE: usize = 256;

/// Which kind of answer is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speech {
    /// 200, 401 and 403.
    Nginx,
    /// Whatever is not 2xx goes to the browser.
    Relayed,
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) speech: Speech,
    pub(super) host: Host,
    origin: String,
    /// Path and query.
    pub(super) uri: String,
    /// Whether whoever asks only reads.
    pub(super) is_read: bool,
    /// The cookie of his session.
    pub(super) session: Option<String>,
    /// The cookie of his browser.
    pub(super) browser: Option<String>,
}

impl Question {
    /// Reads it.
    ///
    /// # Errors
    /// Why it is none.
    pub(super) fn read(headers: &HeaderMap) -> Result<Self, &'static str> {
        let has = |names: &[&str]| names.iter().any(|name| headers.contains_key(*name));
        let (speech, method, scheme, host, uri) = match (has(&OF_NGINX), has(&OF_OTHERS)) {
            (true, false) => {
                let [url, method] = OF_NGINX.map(|name| once(headers, name));
                let (scheme, rest) = url?.split_once("://").ok_or("X-Original-URL is no URL")?;
                let at = rest.find('/').ok_or("X-Original-URL has no path")?;
                let (host, uri) = rest.split_at(at);
                (Speech::Nginx, method?, scheme, host, uri)
            }
            (false, true) => {
                let [method, scheme, host, uri] = OF_OTHERS.map(|name| once(headers, name));
                (Speech::Relayed, method?, scheme?, host?, uri?)
            }
            (true, true) => {
                return Err("The proxy forwards X-Original-* and X-Forwarded-* at once");
            }
            (false, false) => return Err("The proxy does not say what is asked for"),
        };
        let host: Host = host.parse()?;
        let origin = host
            .origin(scheme)
            .ok_or("Protected hosts are reached by https alone")?;
        Ok(Self {
            speech,
            origin,
            host,
            uri: uri.to_owned(),
            is_read: matches!(method, "GET" | "HEAD"),
            session: cookie(headers, SESSION),
            browser: cookie(headers, BROWSER),
        })
    }

    /// The whole address.
    pub(super) fn target(&self) -> String {
        format!("{}{}", self.origin, self.uri)
    }
}

/// A header that is there once, and not empty.
pub(super) fn once<'h>(headers: &'h HeaderMap, name: &str) -> Result<&'h str, &'static str> {
    let mut values = headers.get_all(name).into_iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value
            .to_str()
            .ok()
            .filter(|text| !text.is_empty())
            .ok_or("The proxy forwards a header that cannot be read"),
        (None, _) => Err("The proxy leaves out a header that says what is asked for"),
        (Some(_), Some(_)) => Err("The proxy forwards a header twice"),
    }
}

/// A cookie; none where there are two of the name.
pub(super) fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get_all(COOKIE).into_iter();
    let pairs = all
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    let mut found = pairs.filter(|(key, _)| *key == name);
    match (found.next(), found.next()) {
        (Some((_, value)), None) if value.len() <= LONGEST_COOKIE => Some(value.to_owned()),
        _ => None,
    }
}
