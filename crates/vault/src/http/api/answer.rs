//! Answers as JSON, and refusals in one shape.

use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::Serialize;

use crate::http::api::{DESCRIPTION, Principal};
use crate::http::body::Body;
use crate::http::rest::failed;
use crate::http::service::{Note, Peer, Response, later};
use crate::wire::ErrorInfo;
use crate::{Error, Result};

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// After how long a client that met others at work shall ask again.
const SOON: Duration = Duration::from_secs(1);

/// An answer.
///
/// # Errors
/// [`Error::Unfinished`] where it cannot be written.
pub(super) fn json(answer: &impl Serialize) -> Result<Response> {
    let text = serde_json::to_vec(answer).map_err(|_| Error::Unfinished)?;
    Ok(of_bytes(text))
}

/// The description of the API.
pub(super) fn description() -> Result<Response> {
    Ok(of_bytes(DESCRIPTION))
}

/// There is no such page.
pub(super) fn nothing() -> Response {
    let info = ErrorInfo {
        error: "There is no such page".to_owned(),
        hint: Some("GET /v1/openapi.json describes all there are".to_owned()),
        needs: None,
    };
    refused(StatusCode::NOT_FOUND, &info)
}

/// There is one, but not by this method.
pub(super) fn not_allowed() -> Response {
    let info = ErrorInfo {
        error: "This is asked for by another method".to_owned(),
        hint: Some("GET /v1/openapi.json describes which".to_owned()),
        needs: None,
    };
    refused(StatusCode::METHOD_NOT_ALLOWED, &info)
}

/// What a client is told of an error: the reason where it is his, and no more than that something
/// is wrong where it is ours.
pub(super) fn refusal(error: &Error, peer: &Peer, principal: Principal, note: &Note) -> Response {
    let mut info = ErrorInfo {
        error: error.to_string(),
        hint: error.hint(),
        needs: None,
    };
    let mut pause = None;
    let status = match error {
        Error::Unauthorized => return unauthorized(info, peer, principal),
        Error::Malformed { .. } | Error::BadBytes { .. } | Error::UploadBroken { .. } => {
            StatusCode::BAD_REQUEST
        }
        Error::UploadStalled => StatusCode::BAD_REQUEST,
        Error::Forbidden { .. }
        | Error::Hidden { .. }
        | Error::OtherClient { .. }
        | Error::OtherTombstones { .. }
        | Error::WallClock { .. }
        | Error::CatchUp { .. }
        | Error::CatchUpUnseen { .. }
        | Error::Refused { .. } => StatusCode::FORBIDDEN,
        Error::NotFound { .. } | Error::Unknown { .. } => StatusCode::NOT_FOUND,
        Error::UnknownParent { parent, .. } => {
            info.needs = Some(*parent);
            StatusCode::CONFLICT
        }
        Error::TooLarge { .. }
        | Error::UploadTooLarge { .. }
        | Error::Full { .. }
        | Error::Storage(strongroom_store::Error::Full { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
        Error::DayIsOver { pause_s, .. } => {
            pause = Some(Duration::from_secs(*pause_s));
            StatusCode::TOO_MANY_REQUESTS
        }
        Error::Throttled { pause: wait, .. }
        | Error::TooManyLives { pause: wait, .. }
        | Error::DayIsUsedUp { pause: wait, .. } => {
            pause = Some(*wait);
            StatusCode::TOO_MANY_REQUESTS
        }
        Error::TakenBack { .. } => StatusCode::CONFLICT,
        Error::Busy { .. }
        | Error::Contended { .. }
        | Error::Crowded { .. }
        | Error::Stopping { .. } => {
            pause = Some(SOON);
            StatusCode::SERVICE_UNAVAILABLE
        }
        _ => {
            failed(error, peer, note);
            info.error = "Something is wrong here; the log of the vault says what".to_owned();
            info.hint = None;
            pause = Some(SOON);
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    with_pause(refused(status, &info), pause)
}

fn unauthorized(mut info: ErrorInfo, peer: &Peer, principal: Principal) -> Response {
    if let Some(pause) = peer.login_failed() {
        info.error = "Too many wrong logins".to_owned();
        info.hint = None;
        let response = refused(StatusCode::TOO_MANY_REQUESTS, &info);
        return with_pause(response, Some(pause));
    }
    let challenge = match principal {
        Principal::Administrator => {
            info.error = "The administrator's token is needed here".to_owned();
            info.hint = Some(
                "it is in the vault's folder: Authorization: Bearer $(cat keys/admin.token)"
                    .to_owned(),
            );
            "Bearer realm=\"Strongroom\""
        }
        Principal::Token | Principal::Anybody => "Basic realm=\"Strongroom\"",
    };
    let mut response = refused(StatusCode::UNAUTHORIZED, &info);
    let challenge = HeaderValue::from_static(challenge);
    response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    response
}

fn of_bytes(text: impl Into<Body>) -> Response {
    let mut response = Response::new(text.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    // A token that is shown once must not lie in anybody's cache.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn refused(status: StatusCode, info: &ErrorInfo) -> Response {
    let text = serde_json::to_vec(info).unwrap_or_default();
    let mut response = of_bytes(text);
    *response.status_mut() = status;
    response
}

fn with_pause(mut response: Response, pause: Option<Duration>) -> Response {
    if let Some(pause) = pause {
        let told = later(response.status(), "", pause);
        let after = told.headers().get(RETRY_AFTER).cloned();
        response
            .headers_mut()
            .extend(after.map(|after| (RETRY_AFTER, after)));
    }
    response
}
