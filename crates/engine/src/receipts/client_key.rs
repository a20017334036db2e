//! The key under which one client signs its receipts and records: Ed25519.
//!
//! It proves who said something and opens nothing: whoever steals it can lie about snapshots, and
//! neither read nor remove one. Who has the repository's key besides can let a machine remove that
//! was told to trust this one.

use std::fmt;

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use strongroom_model::Id;
use strongroom_model::receipt::Signature;
use zeroize::Zeroizing;

use crate::Result;
use crate::state::Seed;

/// A client's key; wiped from memory when it is dropped.
pub struct ClientKey {
    signing: SigningKey,
    id: Id,
}

impl ClientKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// Where the system gives no random bytes.
    pub fn generate() -> Result<Self> {
        let mut seed = Seed::default();
        getrandom::fill(seed.as_mut_slice()).map_err(|_| strongroom_repo::Error::NoRandomness)?;
        Ok(Self::from_seed(&seed))
    }

    pub(crate) fn from_seed(seed: &Seed) -> Self {
        let signing = SigningKey::from_bytes(seed);
        let id = Id::of(signing.verifying_key().as_bytes());
        Self { signing, id }
    }

    pub(crate) fn seed(&self) -> Seed {
        Zeroizing::new(self.signing.to_bytes())
    }

    /// The SHA-256 of the public key, by which receipts name the client.
    pub const fn id(&self) -> Id {
        self.id
    }

    /// The public key.
    pub fn public(&self) -> [u8; 32] {
        self.signing.verifying_key().to_bytes()
    }

    /// Signs a message.
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature::from_bytes(self.signing.sign(message).to_bytes())
    }

    /// Whether this client signed a message that names it as its signer.
    pub fn holds(&self, client: &Id, message: &[u8], signature: &Signature) -> bool {
        holds(&self.public(), client, message, signature)
    }
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Whether the owner of a public key is this client and signed this message.
pub fn holds(public: &[u8; 32], client: &Id, message: &[u8], signature: &Signature) -> bool {
    let signature = ed25519_dalek::Signature::from_bytes(signature.as_bytes());
    // Strict: no weak keys, and one signature only for each message and key.
    Id::of(public) == *client
        && VerifyingKey::from_bytes(public)
            .is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_vector_of_rfc_8032_holds() {
        let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        let signed = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";
        let bytes = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
        let key = ClientKey::from_seed(&Zeroizing::new(bytes(seed).try_into().unwrap()));
        assert_eq!(key.public().to_vec(), bytes(public));
        assert_eq!(key.sign(b"").as_bytes().to_vec(), bytes(signed));
    }

    #[test]
    fn only_the_signer_and_only_the_message_hold() {
        let (key, other) = (
            ClientKey::generate().unwrap(),
            ClientKey::generate().unwrap(),
        );
        let signature = key.sign(b"yes");
        assert!(key.holds(&key.id(), b"yes", &signature));
        assert!(!key.holds(&key.id(), b"no", &signature));
        assert!(!key.holds(&other.id(), b"yes", &signature));
        assert!(!other.holds(&other.id(), b"yes", &signature));
        assert!(!holds(&[0; 32], &Id::of(&[0; 32]), b"yes", &signature));
    }

    #[test]
    fn the_seed_does_not_show() {
        let key = ClientKey::from_seed(&Zeroizing::new([7; 32]));
        let shown = format!("{key:?}");
        assert!(
            !shown.contains("7, 7") && !shown.contains("0707"),
            "{shown}"
        );
    }
}
