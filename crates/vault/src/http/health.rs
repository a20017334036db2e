//! The pages that other machines ask: is it alive, is it ready, what does it count.

use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use strongroom_model::Secret;
use subtle::ConstantTimeEq;

use crate::http::body::Body;
use crate::http::metrics::Metrics;
use crate::http::service::{Note, Peer, Response, is_proxied, simple, unauthorized};

const OPENMETRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// `/healthz`: the process answers. Whoever restarts it must not do so because a disk is full.
pub fn healthz() -> Response {
    noted(simple(StatusCode::OK, "ok"), "healthz")
}

/// One of the things that `/readyz` looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its name, which is told to anybody.
    pub name: &'static str,
    /// What is wrong, where something is.
    pub problem: Option<String>,
    /// Whether requests can be served all the same: then somebody has to see to it, and no balancer
    /// may send clients elsewhere, where it may be just so.
    pub is_warning: bool,
}

impl Check {
    /// What is found.
    const fn word(&self) -> &'static str {
        match (&self.problem, self.is_warning) {
            (None, _) => "ok",
            (Some(_), true) => "warning",
            (Some(_), false) => "failed",
        }
    }

    /// Whether requests can be served as far as it tells.
    pub const fn is_passed(&self) -> bool {
        self.problem.is_none() || self.is_warning
    }
}

/// `/readyz`: requests can be served. Of each check its name and a word are told and no more,
/// because anybody may ask, and nothing is logged, because anybody may ask often.
pub fn readyz(checks: &[Check]) -> Response {
    let mut page = String::new();
    for check in checks {
        page.push_str(&format!("{} {}\n", check.name, check.word()));
    }
    let status = if checks.iter().all(Check::is_passed) {
        page.push_str("ready");
        StatusCode::OK
    } else {
        page.push_str("not ready");
        StatusCode::SERVICE_UNAVAILABLE
    };
    noted(simple(status, &page), "readyz")
}

/// `/metrics`: for whoever has the token for it as bearer; where there is none, for this machine
/// alone.
pub fn metrics(
    headers: &HeaderMap,
    peer: &Peer,
    token: Option<&Secret>,
    metrics: &Metrics,
) -> Response {
    let response = refuse(headers, peer, token).unwrap_or_else(|| page(metrics));
    noted(response, "metrics")
}

fn refuse(headers: &HeaderMap, peer: &Peer, token: Option<&Secret>) -> Option<Response> {
    let given = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    // With a token loopback is nothing special, and without one a proxy on this machine speaks for
    // everybody.
    let is_right = match token {
        Some(token) => given.is_some_and(|given| token.expose().as_bytes().ct_eq(given).into()),
        None => peer.is_loopback() && !is_proxied(headers),
    };
    if is_right {
        return None;
    }
    let why = "Ask from this machine, or with the token of metrics_token_file as bearer";
    Some(unauthorized(peer, why, None, simple))
}

fn page(metrics: &Metrics) -> Response {
    match metrics.text() {
        Ok(text) => {
            let mut response = Response::new(Body::from(text.into_bytes()));
            response.headers_mut().insert(CONTENT_TYPE, OPENMETRICS);
            response
        }
        Err(error) => {
            tracing::error!(%error, "The metrics cannot be told");
            simple(StatusCode::INTERNAL_SERVER_ERROR, "Something is wrong here")
        }
    }
}

fn noted(mut response: Response, route: &'static str) -> Response {
    response.extensions_mut().insert(Note {
        route,
        ..Note::default()
    });
    response
}
