//! A receipt in its envelope: the exact bytes that were signed, and the signature.
//!
//! What is signed begins with a line of its own, so that no other signature of the same key, made
//! for another purpose, can pass for a receipt's.

use std::fmt;

use data_encoding::BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::error::{Error, Result};
use crate::id::Id;
use crate::receipt::{Receipt, malformed};

/// What every signed message of this kind begins with.
const CONTEXT: &str = "strongroom receipt v1\n";

/// A receipt as it is kept and sent: `{"body": "<JSON>", "signature": "<base64>"}`.
///
/// What it says is not to be believed before [`SignedReceipt::verify`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedReceipt {
    body: String,
    signature: Signature,
}

/// A receipt whose signature holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedReceipt {
    id: Id,
    receipt: Receipt,
}

/// An Ed25519 signature.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

impl SignedReceipt {
    /// Encodes a receipt and has `sign` sign the message.
    ///
    /// # Errors
    /// Fails only where serialisation itself does.
    pub fn new(receipt: &Receipt, sign: impl FnOnce(&[u8]) -> Signature) -> Result<Self> {
        let body = receipt.to_body()?;
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

    /// The id of the receipt: the SHA-256 of its body.
    pub fn id(&self) -> Id {
        Id::of(self.body.as_bytes())
    }

    /// Opens the envelope, where `holds(client, message, signature)` says that this client's key
    /// made this signature of this message.
    ///
    /// # Errors
    /// [`Error::Signature`] where it does not hold, and what a body that does not decode gives.
    pub fn verify(
        &self,
        holds: impl FnOnce(&Id, &[u8], &Signature) -> bool,
    ) -> Result<VerifiedReceipt> {
        let receipt = Receipt::from_body(&self.body)?;
        let id = self.id();
        if holds(&receipt.client, &message(&self.body), &self.signature) {
            Ok(VerifiedReceipt { id, receipt })
        } else {
            Err(Error::Signature { receipt: id })
        }
    }

    /// Opens the envelope of a client whose key is known beforehand, where
    /// `signs(message, signature)` says that this key made this signature of this message. Nothing
    /// is made of a body before that, which may be large.
    ///
    /// # Errors
    /// [`Error::Signature`] where it does not hold or the receipt is another client's, and what a
    /// body that does not decode gives.
    pub fn verify_by(
        &self,
        client: Id,
        signs: impl FnOnce(&[u8], &Signature) -> bool,
    ) -> Result<VerifiedReceipt> {
        let id = self.id();
        if !signs(&message(&self.body), &self.signature) {
            return Err(Error::Signature { receipt: id });
        }
        let receipt = Receipt::from_body(&self.body)?;
        match receipt.client == client {
            true => Ok(VerifiedReceipt { id, receipt }),
            false => Err(Error::Signature { receipt: id }),
        }
    }
}

impl VerifiedReceipt {
    /// The SHA-256 of the body, by which the next receipt names it as its parent.
    pub const fn id(&self) -> Id {
        self.id
    }

    /// What it says.
    pub const fn receipt(&self) -> &Receipt {
        &self.receipt
    }
}

impl Signature {
    /// Wraps a signature that was made elsewhere.
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The 64 bytes.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({})", BASE64.encode(&self.0))
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = BASE64.decode(text.as_bytes()).map_err(de::Error::custom)?;
        let bytes = bytes.try_into();
        bytes
            .map(Self)
            .map_err(|_| de::Error::custom("a signature has 64 bytes"))
    }
}

fn message(body: &str) -> Vec<u8> {
    [CONTEXT.as_bytes(), body.as_bytes()].concat()
}
