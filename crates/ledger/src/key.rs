//! The keys that sign notes, as C2SP signed-note and tlog-cosignature lay them out.
//!
//! A key is known by its name and by four bytes of a hash over name, kind and public key. These
//! four bytes are easily forged: they only tell which key is to be tried.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use crate::note::NoteSignature;
use crate::{Error, Result, base64};

/// The longest name of a key, and the longest origin of a log.
pub const NAME_LIMIT_BYTES: usize = 255;

const SIGNATURE_BYTES: usize = 64;
const TIME_BYTES: usize = 8;

/// What a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// A log's key signs the text of a note as it is: Ed25519, type 0x01.
    Log,
    /// A witness signs when it saw the text: Ed25519 cosignature/v1, type 0x04.
    Witness,
}

impl KeyKind {
    const fn code(self) -> u8 {
        match self {
            Self::Log => 0x01,
            Self::Witness => 0x04,
        }
    }

    const fn owner(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Witness => "witness",
        }
    }
}

/// A public key with its name.
///
/// Its text is that of a C2SP verifier key: `name+id+base64(type ‖ public key)`.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    kind: KeyKind,
    key: VerifyingKey,
}

impl Verifier {
    /// Names a public key.
    ///
    /// # Errors
    /// Fails where the name is none, or the key is not a sound one.
    pub fn new(kind: KeyKind, name: &str, public: &[u8; 32]) -> Result<Self> {
        check_name(name)?;
        let key = VerifyingKey::from_bytes(public).ok();
        // Under a weak key anybody signs anything.
        let key = key.filter(|key| !key.is_weak());
        Ok(Self {
            name: name.to_owned(),
            kind,
            key: key.ok_or(Error::malformed("key", "it is not an Ed25519 public key"))?,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it signs.
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The public key.
    pub fn public(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// The four bytes that stand before its signatures.
    pub fn id(&self) -> [u8; 4] {
        let hasher = Sha256::new_with_prefix(&self.name)
            .chain_update([b'\n', self.kind.code()])
            .chain_update(self.public());
        let [a, b, c, d, ..] = <[u8; 32]>::from(hasher.finalize());
        [a, b, c, d]
    }

    /// Its name and id, as errors tell it.
    pub fn label(&self) -> String {
        format!("{}+{}", self.name, HEXLOWER.encode(&self.id()))
    }

    /// Whether a signature claims to be by this key.
    pub fn is_named_by(&self, signature: &NoteSignature) -> bool {
        signature.name() == self.name && signature.key_id() == self.id()
    }

    /// Whether the bytes of a signature are by this key over this text; for a witness, when it saw
    /// it, in seconds since 1970.
    ///
    /// # Errors
    /// Fails where they are not.
    pub fn verify(&self, text: &str, signature: &NoteSignature) -> Result<Option<u64>> {
        let wrong = || Error::WrongSignature { key: self.label() };
        let bytes = signature.bytes();
        let (time_s, bytes) = match self.kind {
            KeyKind::Log => (None, bytes),
            KeyKind::Witness => {
                let (time, bytes) = bytes.split_first_chunk::<TIME_BYTES>().ok_or_else(wrong)?;
                (Some(u64::from_be_bytes(*time)), bytes)
            }
        };
        let message = match time_s {
            None => text.to_owned(),
            Some(time_s) if time_s > i64::MAX as u64 => return Err(wrong()),
            Some(time_s) => cosigned(text, time_s),
        };
        let bytes = <&[u8; SIGNATURE_BYTES]>::try_from(bytes).map_err(|_| wrong())?;
        // Strict: one signature only for each message and key.
        self.key
            .verify_strict(message.as_bytes(), &Signature::from_bytes(bytes))
            .map_err(|_| wrong())?;
        Ok(time_s)
    }

    /// # Errors
    /// Fails where the key is of the other kind.
    pub(crate) fn needs(&self, kind: KeyKind) -> Result<()> {
        if self.kind == kind {
            return Ok(());
        }
        Err(Error::WrongKind {
            key: self.label(),
            needed: kind.owner(),
        })
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![self.kind.code()];
        bytes.extend(self.public());
        write!(f, "{}+{}", self.label(), base64::encode(&bytes))
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({self})")
    }
}

impl FromStr for Verifier {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let malformed = |reason| Error::malformed("key", reason);
        let not_a_key = || malformed("it is not written as name+id+base64");
        // A name has no plus sign, base64 may have some.
        let (name, rest) = text.split_once('+').ok_or_else(not_a_key)?;
        let (_, key) = rest.split_once('+').ok_or_else(not_a_key)?;
        if key.len() > 2 * SIGNATURE_BYTES {
            return Err(malformed("it is too long"));
        }
        let bytes = base64::decode(key).ok_or_else(not_a_key)?;
        let (kind, public) = bytes.split_first().ok_or_else(not_a_key)?;
        let kind = [KeyKind::Log, KeyKind::Witness]
            .into_iter()
            .find(|known| known.code() == *kind)
            .ok_or(malformed("it is of a kind that is not known here"))?;
        let public = <&[u8; 32]>::try_from(public)
            .map_err(|_| malformed("it is not an Ed25519 public key"))?;
        let verifier = Self::new(kind, name, public)?;
        match verifier.to_string() == text {
            true => Ok(verifier),
            false => Err(malformed("its id is not that of its name and key")),
        }
    }
}

/// A private key with its name; never shown.
pub struct Signer {
    verifier: Verifier,
    key: SigningKey,
}

impl Signer {
    /// Makes the key of a seed, which must be random and secret.
    ///
    /// # Errors
    /// Fails where the name is none.
    pub fn from_seed(kind: KeyKind, name: &str, seed: &[u8; 32]) -> Result<Self> {
        let key = SigningKey::from_bytes(seed);
        let verifier = Verifier::new(kind, name, key.verifying_key().as_bytes())?;
        Ok(Self { verifier, key })
    }

    /// The public half.
    pub const fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// Signs a text as a log does.
    ///
    /// # Errors
    /// Fails for a witness's key.
    pub fn sign(&self, text: &str) -> Result<NoteSignature> {
        self.verifier.needs(KeyKind::Log)?;
        let signature = self.key.sign(text.as_bytes());
        self.signature(signature.to_bytes().to_vec())
    }

    /// Signs, as a witness does, that this checkpoint was the largest one of its log at a time, in
    /// seconds since 1970.
    ///
    /// **Whoever cosigns must have checked** that it goes on from what he cosigned before.
    ///
    /// # Errors
    /// Fails for a log's key, and for times that have no sign bit to spare.
    pub fn cosign(&self, text: &str, time_s: u64) -> Result<NoteSignature> {
        self.verifier.needs(KeyKind::Witness)?;
        if time_s > i64::MAX as u64 {
            return Err(Error::malformed("time", "it is too far in the future"));
        }
        let signature = self.key.sign(cosigned(text, time_s).as_bytes());
        let mut bytes = time_s.to_be_bytes().to_vec();
        bytes.extend(signature.to_bytes());
        self.signature(bytes)
    }

    fn signature(&self, bytes: Vec<u8>) -> Result<NoteSignature> {
        NoteSignature::new(&self.verifier.name, self.verifier.id(), bytes)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("verifier", &self.verifier)
            .finish_non_exhaustive()
    }
}

/// What a witness signs.
fn cosigned(text: &str, time_s: u64) -> String {
    format!("cosignature/v1\ntime {time_s}\n{text}")
}

/// Checks that a text can name a key.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let is_bad = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    match name {
        "" => Err(Error::malformed("key name", "it is empty")),
        _ if name.len() > NAME_LIMIT_BYTES => Err(Error::malformed("key name", "it is too long")),
        _ if name.contains(is_bad) => Err(Error::malformed(
            "key name",
            "it has a space, a plus sign or a control character",
        )),
        _ => Ok(()),
    }
}
