//! What a client says and signs, in its envelope: the exact bytes that were signed, and the signature.
//!
//! What is signed begins with a line of its own for each kind of claim, so that no signature that was
//! made of one passes for that of another.
//!
//! **Architecture invariant:** the signed bytes are kept exactly as they were signed and are never
//! encoded anew, and nothing is [`Verified`] whose signature was not checked.

use std::fmt;
use std::marker::PhantomData;

use data_encoding::BASE64;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::error::{Error, Result};
use crate::id::Id;

/// The version of everything that this program signs.
const VERSION: u32 = 1;

/// What a client says, to be signed by its key.
pub trait Claim: Serialize + DeserializeOwned {
    /// What every signed message of this kind begins with: a line, and its end.
    const CONTEXT: &'static str;

    /// How errors call it.
    const WHAT: &'static str;

    /// The SHA-256 of the client's public key, under which it is signed.
    fn client(&self) -> Id;
}

/// A claim as it is kept and sent: `{"body": "<JSON>", "signature": "<base64>"}`.
///
/// What it says is not to be believed before [`Signed::verify`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "", deny_unknown_fields)]
pub struct Signed<C> {
    body: String,
    signature: Signature,
    #[serde(skip)]
    claim: PhantomData<fn() -> C>,
}

/// A claim whose signature holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<C> {
    id: Id,
    claim: C,
}

/// An Ed25519 signature.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

/// The version of a claim, which is always the one that this program knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version;

impl<C: Claim> Signed<C> {
    /// Encodes a claim and has `sign` sign the message.
    ///
    /// # Errors
    /// Fails only where serialisation itself does.
    pub fn new(claim: &C, sign: impl FnOnce(&[u8]) -> Signature) -> Result<Self> {
        let body = encode(claim)?;
        let signature = sign(&message::<C>(&body));
        Ok(Self {
            body,
            signature,
            claim: PhantomData,
        })
    }

    /// Reads an envelope.
    ///
    /// # Errors
    /// Refuses what does not decode.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(malformed::<C>)
    }

    /// Writes the envelope.
    ///
    /// # Errors
    /// Fails only where serialisation itself does.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(malformed::<C>)
    }

    /// The id of the claim: the SHA-256 of its body.
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
    ) -> Result<Verified<C>> {
        let claim: C = decode(&self.body)?;
        match holds(&claim.client(), &message::<C>(&self.body), &self.signature) {
            true => Ok(self.verified(claim)),
            false => Err(self.refused()),
        }
    }

    /// Opens the envelope of a client whose key is known beforehand, where
    /// `signs(message, signature)` says that this key made this signature of this message. Nothing
    /// is made of a body before that, which may be large.
    ///
    /// # Errors
    /// [`Error::Signature`] where it does not hold or the claim is another client's, and what a
    /// body that does not decode gives.
    pub fn verify_by(
        &self,
        client: Id,
        signs: impl FnOnce(&[u8], &Signature) -> bool,
    ) -> Result<Verified<C>> {
        if !signs(&message::<C>(&self.body), &self.signature) {
            return Err(self.refused());
        }
        let claim: C = decode(&self.body)?;
        match claim.client() == client {
            true => Ok(self.verified(claim)),
            false => Err(self.refused()),
        }
    }

    fn verified(&self, claim: C) -> Verified<C> {
        Verified {
            id: self.id(),
            claim,
        }
    }

    fn refused(&self) -> Error {
        Error::Signature {
            what: C::WHAT,
            id: self.id(),
        }
    }
}

impl<C> Verified<C> {
    /// The SHA-256 of the body, by which others name it.
    pub const fn id(&self) -> Id {
        self.id
    }

    /// What it says.
    pub const fn claim(&self) -> &C {
        &self.claim
    }
}

/// The body that is signed.
pub(crate) fn encode<C: Claim>(claim: &C) -> Result<String> {
    serde_json::to_string(claim).map_err(malformed::<C>)
}

pub(crate) fn decode<C: Claim>(body: &str) -> Result<C> {
    /// Read first, since a newer claim may have other fields.
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let Versioned { version } = serde_json::from_str(body).map_err(malformed::<C>)?;
    if version != VERSION {
        return Err(Error::UnknownVersion {
            what: C::WHAT,
            version,
            known: VERSION,
        });
    }
    serde_json::from_str(body).map_err(malformed::<C>)
}

fn message<C: Claim>(body: &str) -> Vec<u8> {
    [C::CONTEXT.as_bytes(), body.as_bytes()].concat()
}

fn malformed<C: Claim>(source: serde_json::Error) -> Error {
    Error::Malformed {
        what: C::WHAT,
        source,
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

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        VERSION.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            VERSION => Ok(Self),
            other => Err(de::Error::custom(format!("version {other} is not known"))),
        }
    }
}
