//! Leaves, as far as an audit of approvals reads them.
//!
//! A leaf is one JSON object. First its head is read, and then, where it tells of something that matters
//! here, the rest: so that a leaf of a newer vault is passed over and not misread. A field that comes
//! twice is refused, since two readers may take another one of them.

use std::borrow::Cow;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::approvals::time::milliseconds;

/// What every leaf has.
#[derive(Debug)]
pub(super) struct Head<'a> {
    /// Its number, as the vault counts.
    pub(super) number: u64,
    /// Vault time.
    pub(super) vault_ms: i64,
    /// What it tells of.
    pub(super) act: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Read<'a> {
    n: u64,
    #[serde(borrow)]
    vault: Cow<'a, str>,
    #[serde(borrow)]
    act: Cow<'a, str>,
}

impl<'a> Head<'a> {
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(entry: &'a [u8]) -> Result<Self, &'static str> {
        let read: Read<'a> = parse(entry)?;
        let vault_ms = milliseconds(&read.vault).ok_or("its vault time is none")?;
        Ok(Self {
            number: read.n,
            vault_ms,
            act: read.act,
        })
    }
}

/// # Errors
/// That it is none.
pub(super) fn parse<'a, T: Deserialize<'a>>(entry: &'a [u8]) -> Result<T, &'static str> {
    // Of an array a field would be known by its place.
    if entry.first() != Some(&b'{') {
        return Err("it is no JSON object");
    }
    serde_json::from_slice(entry).map_err(|error| match error.is_data() {
        true => "a field that it must have is missing, comes twice, or is something else",
        false => "it is no JSON object",
    })
}

/// The id of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id(pub(super) [u8; 32]);

/// Bytes in base64url.
#[derive(Debug)]
pub(super) struct Bytes(pub(super) Vec<u8>);

/// By which way something came about.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum By {
    Operator(i64),
    Operation(Id),
    Folder,
    FirstLink,
    Invitation,
    SealCode(String),
}

impl By {
    /// The operation, where it was one.
    pub(super) const fn operation(by: Option<&Self>) -> Option<Id> {
        match by {
            Some(Self::Operation(id)) => Some(*id),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = HEXLOWER.decode(text.as_bytes()).ok();
        let id = bytes.and_then(|bytes| bytes.try_into().ok()).map(Self);
        id.ok_or_else(|| D::Error::custom("no id"))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes());
        bytes
            .map(Self)
            .map_err(|_| D::Error::custom("no base64url"))
    }
}

impl Id {
    pub(super) fn text(&self) -> String {
        HEXLOWER.encode(&self.0)
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Start {
    pub(super) public_url: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct NewLog {
    pub(super) origin_before: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Carried {
    pub(super) entry: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Repository {
    pub(super) repository: String,
    pub(super) retention_s: i64,
    pub(super) grace_s: i64,
    pub(super) by: Option<By>,
}

#[derive(Debug, Deserialize)]
pub(super) struct TokenMade {
    pub(super) right: String,
    pub(super) prefix: String,
    pub(super) expires: Option<String>,
    pub(super) by: Option<By>,
}

#[derive(Debug, Deserialize)]
pub(super) struct PurgeAgreed {
    pub(super) repository: String,
    pub(super) tombstones: u64,
    pub(super) newest_tombstone: Option<u64>,
    pub(super) by: Option<By>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Clock {
    pub(super) by_ms: Option<i64>,
    pub(super) by: Option<By>,
}

/// A leaf that is of an operator and has no more than that.
#[derive(Debug, Deserialize)]
pub(super) struct OfOperator {
    pub(super) operator: i64,
    pub(super) by: Option<By>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Invited {
    pub(super) operator: i64,
    pub(super) name: String,
    pub(super) roles: Vec<String>,
    pub(super) by: By,
}

#[derive(Debug, Deserialize)]
pub(super) struct Stands {
    pub(super) operator: i64,
    pub(super) standing: String,
    pub(super) by: By,
}

#[derive(Debug, Deserialize)]
pub(super) struct HasRoles {
    pub(super) operator: i64,
    pub(super) roles: Vec<String>,
    pub(super) by: By,
}

#[derive(Debug, Deserialize)]
pub(super) struct Enrolled {
    pub(super) operator: i64,
    pub(super) factor: i64,
    pub(super) kind: String,
    pub(super) public_key: Option<Bytes>,
    pub(super) in_place_of: Option<i64>,
    pub(super) by: By,
}

#[derive(Debug, Deserialize)]
pub(super) struct FactorRemoved {
    pub(super) operator: i64,
    pub(super) factor: i64,
    pub(super) by: By,
}

#[derive(Debug, Deserialize)]
pub(super) struct Asked<'a> {
    pub(super) operation: Id,
    pub(super) asker: i64,
    #[serde(borrow)]
    pub(super) contents: &'a RawValue,
    pub(super) nonce: Bytes,
}

#[derive(Debug, Deserialize)]
pub(super) struct Approved {
    pub(super) operation: Id,
    pub(super) operator: i64,
    pub(super) nonce: Bytes,
    pub(super) authenticator_data: Bytes,
    pub(super) client_data: Bytes,
    pub(super) signature: Bytes,
    pub(super) public_key: Bytes,
}

#[derive(Debug, Deserialize)]
pub(super) struct Ended {
    pub(super) operation: Id,
}

#[derive(Debug, Deserialize)]
pub(super) struct Done {
    pub(super) operation: Id,
    pub(super) yeses: Vec<i64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Unsealed {
    pub(super) seal: u64,
    pub(super) by: By,
}

#[derive(Debug, Deserialize)]
pub(super) struct Rule {
    pub(super) yeses: u64,
    pub(super) by: By,
}

#[derive(Debug, Deserialize)]
pub(super) struct Compliant {
    pub(super) repository: String,
    pub(super) by: By,
}
