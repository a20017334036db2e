//! The pages that other machines ask: is it alive, is it ready, what does it count.

use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use strongroom_model::Secret;
use subtle::ConstantTimeEq;

use crate::http::body::Body;
use crate::http::metrics::Metrics;
use crate::http::service::{Note, Peer, Response, is_proxied, later, simple};

const OPENMETRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// `/healthz`: the process answers. Whoever restarts it must not do so because a disk is full.
pub fn healthz() -> Response {
    noted(simple(StatusCode::OK, "ok"), "healthz")
}

/// `/readyz`: requests can be served. Each check is its name and what is wrong, where something is;
/// only the name is told, because anybody may ask, and nothing is logged, because anybody may ask
/// often.
pub fn readyz(checks: &[(&str, Option<String>)]) -> Response {
    let mut page = String::new();
    for (name, problem) in checks {
        let state = if problem.is_none() { "ok" } else { "failed" };
        page.push_str(&format!("{name} {state}\n"));
    }
    let status = if checks.iter().all(|(_, problem)| problem.is_none()) {
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
    Some(match peer.login_failed() {
        Some(pause) => later(
            StatusCode::TOO_MANY_REQUESTS,
            "Too many wrong logins",
            pause,
        ),
        None => simple(
            StatusCode::UNAUTHORIZED,
            "Ask from this machine, or with the token of metrics_token_file as bearer",
        ),
    })
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
