//! Answers as JSON, and refusals in one shape.

use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use serde::Serialize;
use strongroom_model::vault::VaultError;

use crate::http::api::{DESCRIPTION, Principal};
use crate::http::body::Body;
use crate::http::rest::failed;
use crate::http::service::{self, BASIC, BEARER, Note, Peer, Response, SOON, with_pause};
use crate::{Error, Result};

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

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
    let info = VaultError {
        error: "There is no such page".to_owned(),
        hint: Some("GET /v1/openapi.json describes all there are".to_owned()),
        needs: None,
    };
    refused(StatusCode::NOT_FOUND, &info)
}

/// There is one, but not by this method.
pub(super) fn not_allowed() -> Response {
    let info = VaultError {
        error: "This is asked for by another method".to_owned(),
        hint: Some("GET /v1/openapi.json describes which".to_owned()),
        needs: None,
    };
    refused(StatusCode::METHOD_NOT_ALLOWED, &info)
}

/// What a client is told of an error: the reason where it is his, and no more than that something
/// is wrong where it is ours.
pub(super) fn refusal(error: &Error, peer: &Peer, principal: Principal, note: &Note) -> Response {
    let mut info = VaultError {
        error: error.to_string(),
        hint: error.hint(),
        needs: None,
    };
    let mut pause = None;
    let status = match error {
        Error::Unauthorized => return unauthorized(error, peer, principal),
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
        | Error::NotPermitted(_)
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
        Error::TooManyReceipts { .. } => {
            pause = Some(SOON);
            StatusCode::TOO_MANY_REQUESTS
        }
        Error::TakenBack { .. } => StatusCode::CONFLICT,
        Error::Busy { .. }
        | Error::StorageInDoubt
        | Error::Contended { .. }
        | Error::Crowded { .. }
        | Error::ReceiptLeft
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
    let response = refused(status, &info);
    match pause {
        Some(pause) => with_pause(response, pause),
        None => response,
    }
}

fn unauthorized(error: &Error, peer: &Peer, principal: Principal) -> Response {
    let (why, hint, challenge) = match principal {
        Principal::Administrator => (
            "The administrator's token is needed here".to_owned(),
            Some(
                "it is in the vault's folder: Authorization: Bearer $(cat keys/admin.token)"
                    .to_owned(),
            ),
            BEARER,
        ),
        Principal::Token | Principal::Anybody => (error.to_string(), error.hint(), BASIC),
    };
    service::unauthorized(peer, &why, Some(challenge), |status, text| {
        let info = VaultError {
            error: text.to_owned(),
            hint: hint.filter(|_| status == StatusCode::UNAUTHORIZED),
            needs: None,
        };
        refused(status, &info)
    })
}

fn of_bytes(text: impl Into<Body>) -> Response {
    let mut response = Response::new(text.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    // A token that is shown once must not lie in anybody's cache.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn refused(status: StatusCode, info: &VaultError) -> Response {
    let text = serde_json::to_vec(info).unwrap_or_default();
    let mut response = of_bytes(text);
    *response.status_mut() = status;
    response
}
