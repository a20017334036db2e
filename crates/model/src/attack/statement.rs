//! The signed statement of a drill: what was tried on each copy, and what was seen.
//!
//! It is signed by the client's key, as receipts are, kept in the state folder, and sent to the
//! vaults among the copies, whose logs then tell that there was such a statement at that time.
//! What is signed begins with a line of its own, so that it passes for nothing else.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::attack::{PlaceKind, Tried, Verdict};
use crate::error::{Error, Result};
use crate::id::Id;
use crate::receipt::{Signature, Version};

/// What every signed message of this kind begins with.
const CONTEXT: &str = "strongroom drill v1\n";

/// A drill of all copies, or of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The version of this format.
    pub version: Version,
    /// The SHA-256 of the client's public key, under which it is signed.
    pub client: Id,
    /// The host that did it, by the name it gives itself.
    pub host: String,
    /// When it began, by the client's clock.
    pub at: Timestamp,
    /// Each copy that was attacked.
    pub copies: Vec<DrilledCopy>,
}

/// What came of one copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrilledCopy {
    /// Its name.
    pub copy: String,
    /// Its address, without secrets.
    pub store: String,
    /// What kind of place it is.
    pub place: PlaceKind,
    /// Whose credential it was, as far as that could be told.
    pub principal: Option<String>,
    /// The answer.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// Whether everything that the answer rests on was found out.
    pub certain: bool,
    /// Every attempt.
    pub tried: Vec<Tried>,
}

/// A statement as it is kept and sent: `{"body": "<JSON>", "signature": "<base64>"}`.
///
/// What it says is not to be believed before [`SignedDrill::verify_by`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedDrill {
    body: String,
    signature: Signature,
}

/// A statement whose signature holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedDrill {
    /// The SHA-256 of its body.
    pub id: Id,
    /// What it says.
    pub statement: Statement,
}

impl SignedDrill {
    /// Encodes a statement and has `sign` sign the message.
    ///
    /// # Errors
    /// Fails only where serialisation itself does.
    pub fn new(statement: &Statement, sign: impl FnOnce(&[u8]) -> Signature) -> Result<Self> {
        let body = serde_json::to_string(statement).map_err(malformed)?;
        let signature = sign(&message(&body));
        Ok(Self { body, signature })
    }

    /// Reads an envelope.
    ///
    /// # Errors
    /// Refuses what does not decode.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(malformed)
    }

    /// Writes the envelope.
    ///
    /// # Errors
    /// Fails only where serialisation itself does.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(malformed)
    }

    /// The SHA-256 of the body.
    pub fn id(&self) -> Id {
        Id::of(self.body.as_bytes())
    }

    /// Opens the envelope of a client whose key is known beforehand, where
    /// `signs(message, signature)` says that this key made this signature of this message.
    ///
    /// # Errors
    /// [`Error::Signature`] where it does not hold or the statement is another client's, and what a
    /// body that does not decode gives.
    pub fn verify_by(
        &self,
        client: Id,
        signs: impl FnOnce(&[u8], &Signature) -> bool,
    ) -> Result<VerifiedDrill> {
        let id = self.id();
        if !signs(&message(&self.body), &self.signature) {
            return Err(Error::Signature { receipt: id });
        }
        let statement: Statement = serde_json::from_str(&self.body).map_err(malformed)?;
        match statement.client == client {
            true => Ok(VerifiedDrill { id, statement }),
            false => Err(Error::Signature { receipt: id }),
        }
    }
}

fn message(body: &str) -> Vec<u8> {
    [CONTEXT.as_bytes(), body.as_bytes()].concat()
}

fn malformed(source: serde_json::Error) -> Error {
    Error::Malformed {
        what: "drill",
        source,
    }
}
