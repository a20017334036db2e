//! What can be wrong with a text or a record that comes from outside.
//!
//! A whole configuration has its own [`ConfigError`](crate::ConfigError), which lists many problems
//! with their lines; this is for single values, receipts and evidence.

use crate::id::Id;

/// The result of reading a value or a record.
pub type Result<T> = std::result::Result<T, Error>;

/// A value or record that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A text that is not a [`Name`](crate::Name).
    #[error("{text:?} is not a name")]
    Name {
        /// What was given.
        text: String,
    },
    /// A text that is not a [`Period`](crate::Period).
    #[error("{text:?} is not a period of time")]
    Period {
        /// What was given.
        text: String,
    },
    /// A text that is not a [`ByteSize`](crate::ByteSize).
    #[error("{text:?} is not a size in bytes")]
    ByteSize {
        /// What was given.
        text: String,
    },
    /// A text that is not a [`Fingerprint`](crate::Fingerprint).
    #[error("{text:?} is not a fingerprint")]
    Fingerprint {
        /// What was given.
        text: String,
    },
    /// A text that is not an [`Account`](crate::Account).
    #[error("{text:?} is not an account")]
    Account {
        /// What was given.
        text: String,
    },
    /// A text that is not a [`WitnessKey`](crate::WitnessKey).
    #[error("{text:?} is not the key of a witness: {reason}")]
    WitnessKey {
        /// What was given.
        text: String,
        /// Why.
        reason: String,
    },
    /// A text that is not a [`RepositoryPath`](crate::RepositoryPath).
    #[error("{text:?} is not the path of a repository: {reason}")]
    RepositoryPath {
        /// What was given.
        text: String,
        /// Why, and what to write instead.
        reason: String,
    },
    /// An address of a store that cannot be used; the text holds no secret.
    #[error("The store address {text:?} cannot be used: {reason}")]
    Address {
        /// The address, without anything that could be a password.
        text: String,
        /// Why.
        reason: String,
        /// What to write instead.
        instead: String,
    },
    /// A record that does not decode.
    #[error("The {what} is damaged")]
    Malformed {
        /// Which record: "receipt", "evidence".
        what: &'static str,
        /// Where it stops making sense.
        source: serde_json::Error,
    },
    /// A record in a version that this program does not know.
    #[error("The {what} has version {version}, and this program knows versions up to {known}")]
    UnknownVersion {
        /// Which record.
        what: &'static str,
        /// The version it claims.
        version: u32,
        /// The newest version that this program reads.
        known: u32,
    },
    /// A claim whose signature does not hold.
    #[error("The signature of {what} {id} does not hold")]
    Signature {
        /// Of what kind it is.
        what: &'static str,
        /// The SHA-256 of its body.
        id: Id,
    },
    /// A receipt that does not continue the one before it.
    #[error("Receipt {receipt} does not continue its chain: {reason}")]
    BrokenChain {
        /// The SHA-256 of the receipt's body.
        receipt: Id,
        /// Which link fails.
        reason: String,
    },
}

impl Error {
    /// What to do about it, where something can be done.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Name { .. } => Some(crate::name::RULE.to_owned()),
            Self::Period { .. } => Some(crate::period::RULE.to_owned()),
            Self::ByteSize { .. } => Some(crate::byte_size::RULE.to_owned()),
            Self::Fingerprint { .. } => Some(crate::fingerprint::RULE.to_owned()),
            Self::Account { .. } => Some(crate::account::RULE.to_owned()),
            Self::WitnessKey { .. } => Some(crate::witness_key::RULE.to_owned()),
            Self::Address { instead, .. } => Some(instead.clone()),
            Self::UnknownVersion { .. } => {
                Some("A newer strongroom wrote it: install that version here too".to_owned())
            }
            Self::RepositoryPath { .. }
            | Self::Malformed { .. }
            | Self::Signature { .. }
            | Self::BrokenChain { .. } => None,
        }
    }
}

/// An error with its causes, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
