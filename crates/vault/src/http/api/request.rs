//! Requests, parsed strictly: an unknown field or parameter is refused, because whoever sent it
//! expects something of it.

use hyper::header::CONTENT_TYPE;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, de};
use strongroom_model::attack::SignedDrill;
use strongroom_model::{FileName, FileType, Id, Period, RepositoryPath};

use crate::http::service::Request;
use crate::rules::right::Right;
use crate::{Error, Result};

/// The most bytes of a request that is no receipt.
pub(super) const LARGEST_BYTES: u64 = 64 << 10;

/// A new token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewToken {
    pub(super) repository: RepositoryPath,
    #[serde(deserialize_with = "parsed")]
    pub(super) right: Right,
    #[serde(default)]
    pub(super) expires: Option<Period>,
    #[serde(default)]
    pub(super) daily_bytes: Option<u64>,
    #[serde(default)]
    pub(super) daily_objects: Option<u64>,
}

/// What a token may do in a day; one of both must be said.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Day {
    #[serde(default)]
    pub(super) daily_bytes: Option<u64>,
    #[serde(default)]
    pub(super) daily_objects: Option<u64>,
}

/// From when on something is hidden.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hide {
    pub(super) since: Timestamp,
}

/// How long something is kept.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Keeping {
    #[serde(default)]
    pub(super) retention: Option<Period>,
    #[serde(default)]
    pub(super) grace: Option<Period>,
}

/// How much a repository may hold; `null` lets go of the bound, and must be said.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Quota {
    #[serde(deserialize_with = "said")]
    pub(super) bytes: Option<u64>,
}

/// What an operator has seen of the clock, and what shall be caught up.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Confirm {
    #[serde(default)]
    pub(super) wall: Option<Timestamp>,
    #[serde(default)]
    pub(super) catch_up: Option<Period>,
}

/// How many tombstones somebody has looked at, the leaf of the newest one, and agrees to.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Agreed {
    pub(super) tombstones: u64,
    #[serde(default)]
    pub(super) newest_tombstone: Option<u64>,
}

/// Which deletions are taken back: one, or those of a token and a time.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Undelete {
    #[serde(default)]
    pub(super) token: Option<String>,
    #[serde(default)]
    pub(super) since: Option<Timestamp>,
    #[serde(default)]
    pub(super) until: Option<Timestamp>,
    #[serde(default)]
    pub(super) file: Option<String>,
}

/// The statement of a drill, and the key that signed it, in base64.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SentDrill {
    pub(super) key: String,
    pub(super) drill: SignedDrill,
}

/// Nothing has to be said.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// Reads the body of a request as JSON; an empty one is an empty object.
///
/// # Errors
/// [`Error::Malformed`]; those of the upload.
pub(super) async fn read<T: DeserializeOwned>(request: Request) -> Result<T> {
    refuse_parameters(&request)?;
    check_type(&request)?;
    let body = request.into_body().bytes(LARGEST_BYTES).await?;
    let body = if body.is_empty() { b"{}" } else { &body[..] };
    // A list of the values without their names would be taken as well.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(malformed("it is no object of JSON".to_owned()));
    }
    serde_json::from_slice(body).map_err(|error| malformed(error.to_string()))
}

/// Fails where a body is declared to be something else than JSON.
///
/// # Errors
/// [`Error::Malformed`].
pub(super) fn check_type(request: &Request) -> Result<()> {
    let Some(declared) = request.headers().get(CONTENT_TYPE) else {
        return Ok(());
    };
    let kind = declared.to_str().unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    match kind.eq_ignore_ascii_case("application/json") {
        true => Ok(()),
        false => Err(malformed(
            "its Content-Type is not application/json".to_owned(),
        )),
    }
}

/// Fails where there is any parameter.
///
/// # Errors
/// [`Error::Malformed`].
pub(super) fn refuse_parameters(request: &Request) -> Result<()> {
    match request.uri().query() {
        None | Some("") => Ok(()),
        Some(_) => Err(malformed("there are no parameters here".to_owned())),
    }
}

/// The one parameter, a number.
///
/// # Errors
/// [`Error::Malformed`].
pub(super) fn number(request: &Request, name: &str) -> Result<u64> {
    let query = request.uri().query().unwrap_or_default();
    let number = query
        .split_once('=')
        .filter(|(found, _)| *found == name)
        .filter(|(_, number)| number.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|(_, number)| number.parse().ok());
    number.ok_or_else(|| malformed(format!("it needs one parameter, ?{name}= and a number")))
}

/// The one parameter, the name of a file, or none at all.
///
/// # Errors
/// [`Error::Malformed`].
pub(super) fn maybe_file(request: &Request, name: &str) -> Result<Option<FileName>> {
    match request.uri().query() {
        None | Some("") => Ok(None),
        Some(query) => match query.split_once('=') {
            Some((found, text)) if found == name => file(text).map(Some),
            _ => Err(malformed(format!(
                "it has one parameter at most, ?{name}= and a file"
            ))),
        },
    }
}

/// The one parameter, an id, or none at all.
///
/// # Errors
/// [`Error::Malformed`].
pub(super) fn maybe_id(request: &Request, name: &str) -> Result<Option<Id>> {
    let Some(query) = request.uri().query().filter(|query| !query.is_empty()) else {
        return Ok(None);
    };
    let id = query.split_once('=').filter(|(found, _)| *found == name);
    match id.map(|(_, text)| text.parse::<Id>()) {
        Some(Ok(id)) => Ok(Some(id)),
        _ => Err(malformed(format!(
            "it has one parameter at most, ?{name}= and an id"
        ))),
    }
}

/// The name of a file, as `data/3f…`.
///
/// # Errors
/// [`Error::Malformed`].
pub(super) fn file(text: &str) -> Result<FileName> {
    let name = text.split_once('/').and_then(|(folder, id)| {
        let kind = FileType::STORED
            .into_iter()
            .find(|kind| kind.folder() == folder)?;
        Some(FileName::new(kind, id.parse().ok()?))
    });
    name.ok_or_else(|| malformed("a file is written as data/ and its id".to_owned()))
}

pub(super) fn malformed(reason: String) -> Error {
    Error::Malformed {
        what: "request",
        reason,
    }
}

fn parsed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Right, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(de::Error::custom)
}

/// Unlike a plain option, it must be there.
fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Option::deserialize(deserializer)
}
