//! What a browser asks for.

use hyper::Method;
use hyper::header::{COOKIE, HOST, HeaderMap, HeaderName, ORIGIN, USER_AGENT};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use url::form_urlencoded;

use crate::http::service::{Peer, Request};
use crate::people::{Browser, SignedIn};
use crate::{Error, Result};

use data_encoding::BASE64URL_NOPAD;

/// The cookie of a session.
pub(super) const SESSION: &str = "__Host-strongroom";

/// The cookie that says that somebody was signed in here.
pub(super) const BROWSER: &str = "__Host-strongroom-browser";

/// The longest cookie that is looked at.
const LONGEST_COOKIE: usize = 256;

/// A request, as pages are drawn from it.
#[derive(Clone, Debug, Default)]
pub(super) struct Ask {
    pub(super) is_post: bool,
    pub(super) path: String,
    /// The cookie of the session.
    pub(super) session: Option<String>,
    /// Where the browser is, and what it shows of itself.
    pub(super) browser: Browser,
    pub(super) host: String,
    origin: Option<String>,
    query: Vec<(String, String)>,
    form: Vec<(String, String)>,
}

impl Ask {
    pub(super) fn of(request: &Request, peer: &Peer) -> Self {
        let headers = request.headers();
        let uri = request.uri();
        let query = uri.query().unwrap_or_default();
        // HTTP/2 has the host in the address.
        let host = uri.authority().map(ToString::to_string);
        Self {
            is_post: request.method() == Method::POST,
            path: uri.path().to_owned(),
            session: cookie(headers, SESSION),
            browser: Browser {
                address: peer.address.to_string(),
                program: text(headers, &USER_AGENT).unwrap_or_default(),
                cookie: cookie(headers, BROWSER),
                pause: peer.login_pause(),
            },
            host: host.or_else(|| text(headers, &HOST)).unwrap_or_default(),
            origin: text(headers, &ORIGIN),
            query: parsed(query.as_bytes()),
            form: Vec::new(),
        }
    }

    pub(super) fn read_form(&mut self, body: &[u8]) {
        self.form = parsed(body);
    }

    /// A field of the form; empty where there is none.
    pub(super) fn field(&self, name: &str) -> &str {
        value(&self.form, name)
    }

    /// All values of a field.
    pub(super) fn fields(&self, name: &str) -> impl Iterator<Item = &str> {
        let found = self.form.iter().filter(move |(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A parameter of the address; empty where there is none.
    pub(super) fn parameter(&self, name: &str) -> &str {
        value(&self.query, name)
    }

    /// Fails where a form was not sent by a page of the vault.
    pub(super) fn check_origin(&self, origin: Option<&str>) -> Result<()> {
        match (&self.origin, origin) {
            (Some(sent), Some(ours)) if sent == ours => Ok(()),
            _ => Err(Error::Refused {
                reason: format!(
                    "that form was not sent by a page of {}",
                    origin.unwrap_or("this vault")
                ),
            }),
        }
    }

    /// Fails where a form has not the token of its session.
    pub(super) fn check_form(&self, signed_in: &SignedIn) -> Result<()> {
        let token = self.form_token(signed_in);
        match token
            .as_bytes()
            .ct_eq(self.field("token").as_bytes())
            .into()
        {
            true => Ok(()),
            false => Err(Error::Refused {
                reason: "that form is of another session; open the page again".to_owned(),
            }),
        }
    }

    /// The token of the forms of a session.
    pub(super) fn form_token(&self, signed_in: &SignedIn) -> String {
        let digest = Sha256::new()
            .chain_update(b"strongroom form\0")
            .chain_update(self.session.as_deref().unwrap_or_default())
            .chain_update(signed_in.session.number.to_le_bytes())
            .finalize();
        BASE64URL_NOPAD.encode(&digest)
    }
}

fn parsed(text: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(text).into_owned().collect()
}

fn value<'a>(pairs: &'a [(String, String)], name: &str) -> &'a str {
    let found = pairs.iter().find(|(key, _)| key == name);
    found.map_or("", |(_, value)| value)
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get_all(COOKIE).into_iter();
    let pairs = all
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    let mut found = pairs.filter(|(key, value)| *key == name && value.len() <= LONGEST_COOKIE);
    found.next().map(|(_, value)| value.to_owned())
}
