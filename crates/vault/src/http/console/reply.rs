//! What a browser is answered.

use hyper::StatusCode;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION,
    REFERRER_POLICY, REFRESH, RETRY_AFTER, SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use maud::Markup;
use serde_json::Value;

use crate::http::body::Body;
use crate::http::console::ask::{BROWSER, SESSION};
use crate::http::service::Response;
use crate::people::Cookies;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
const ICON: &str = include_str!("icon.svg");

/// Nothing from elsewhere, and nothing within a page but what it is drawn from.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// What else a page says to browsers.
const OTHERS: [(&str, &str); 3] = [
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    (
        "permissions-policy",
        "camera=(), geolocation=(), microphone=(), publickey-credentials-get=(self)",
    ),
];

/// How long a browser remembers that somebody was signed in in it, in seconds.
const REMEMBERED_S: u64 = 400 * 24 * 60 * 60;

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    status: StatusCode,
    kind: &'static str,
    body: Vec<u8>,
    location: Option<String>,
    cookies: Vec<String>,
    pause_s: Option<u64>,
    refresh: Option<String>,
    is_lasting: bool,
}

impl Reply {
    fn of(status: StatusCode, kind: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            kind,
            body: body.into(),
            location: None,
            cookies: Vec::new(),
            pause_s: None,
            refresh: None,
            is_lasting: false,
        }
    }

    /// A page.
    pub(super) fn page(status: StatusCode, page: Markup) -> Self {
        Self::of(status, "text/html; charset=utf-8", page.into_string())
    }

    /// See another page.
    pub(super) fn see(location: &str) -> Self {
        Self {
            location: Some(location.to_owned()),
            ..Self::of(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", "")
        }
    }

    /// For the script.
    pub(super) fn json(value: &Value) -> Self {
        Self::of(StatusCode::OK, "application/json", value.to_string())
    }

    /// One line, for programs.
    pub(super) fn line(status: StatusCode, text: &str) -> Self {
        Self::of(status, "text/plain; charset=utf-8", format!("{text}\n"))
    }

    pub(super) fn style() -> Self {
        Self::lasting("text/css; charset=utf-8", STYLE)
    }

    pub(super) fn script() -> Self {
        Self::lasting("text/javascript; charset=utf-8", SCRIPT)
    }

    pub(super) fn icon() -> Self {
        Self::lasting("image/svg+xml", ICON)
    }

    fn lasting(kind: &'static str, text: &'static str) -> Self {
        Self {
            is_lasting: true,
            ..Self::of(StatusCode::OK, kind, text)
        }
    }

    /// Has the browser go on to another page of the vault by itself.
    #[must_use]
    pub(super) fn refreshing(mut self, to: &str) -> Self {
        self.refresh = Some(format!("0; url={to}"));
        self
    }

    /// Asks to come back later.
    #[must_use]
    pub(super) const fn after(mut self, pause_s: u64) -> Self {
        self.pause_s = Some(pause_s);
        self
    }

    /// Whether somebody has shown what is not right.
    pub(super) fn is_wrong_login(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED
    }

    /// Gives the cookies of whoever has signed in.
    #[must_use]
    pub(super) fn with_session(mut self, cookies: &Cookies) -> Self {
        let of = |name: &str, value: &str| {
            format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Strict")
        };
        self.cookies.push(of(SESSION, cookies.session.reveal()));
        let browser = of(BROWSER, cookies.browser.reveal());
        self.cookies
            .push(format!("{browser}; Max-Age={REMEMBERED_S}"));
        self
    }

    /// Takes the cookie of the session.
    #[must_use]
    pub(super) fn without_session(mut self) -> Self {
        self.cookies.push(format!(
            "{SESSION}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0"
        ));
        self
    }

    pub(super) fn into_response(self, is_encrypted: bool) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.kind));
        let lasts = match self.is_lasting {
            true => "max-age=300",
            false => "no-store",
        };
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(lasts));
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        // With none at all, browsers would say of no form from where it comes.
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        for (name, value) in OTHERS {
            let name = HeaderName::from_static(name);
            headers.insert(name, HeaderValue::from_static(value));
        }
        if is_encrypted {
            let name = HeaderName::from_static("strict-transport-security");
            headers.insert(name, HeaderValue::from_static("max-age=31536000"));
        }
        let texts = self.cookies.iter().map(|cookie| (SET_COOKIE, cookie));
        let location = self.location.iter().map(|location| (LOCATION, location));
        let refresh = self.refresh.iter().map(|refresh| (REFRESH, refresh));
        for (name, text) in texts.chain(location).chain(refresh) {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.append(name, value);
            }
        }
        if let Some(pause_s) = self.pause_s {
            headers.insert(RETRY_AFTER, HeaderValue::from(pause_s));
        }
        response
    }
}
