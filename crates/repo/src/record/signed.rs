//! Who wrote a record: the public key of a machine and its signature, behind the sealed bytes.
//!
//! ```text
//! sealed bytes ‖ public key, 32 bytes ‖ signature, 64 bytes ‖ mark, 16 bytes
//! ```
//! Whoever has the repository's key can write any record; only the machine itself makes its
//! signature.
//!
//! **Security:** what is signed is the SHA-256 of the sealed bytes, with their nonce. So the same text
//! sealed again has another name and no signature: a removal that was taken back by its name cannot
//! come again as the word of the machine that wrote it. The key beside it says nothing by itself: whom
//! to trust is known to whoever reads it, and told by no copy.

use strongroom_model::Id;
use strongroom_model::receipt::Signature;

/// What every signed message of this kind begins with.
const CONTEXT: &[u8] = b"strongroom record v1\n";

/// What a signed record ends with; sealed bytes end with a tag that is as good as random.
const MARK: &[u8; 16] = b"strongroom sign\n";

/// That a machine wrote a record, as the bytes of the record say: nothing of it is checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    public: [u8; 32],
    signature: Signature,
    message: Vec<u8>,
}

impl Claim {
    /// The claim behind the bytes of a record; `None` where nobody signed it.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let (sealed, public, signature) = split(bytes)?;
        Some(Self {
            public: *public,
            signature: Signature::from_bytes(*signature),
            message: message(sealed),
        })
    }

    /// The machine, by the SHA-256 of its public key, where `signed(public key, message, signature)`
    /// says that this key made this signature of this message.
    pub fn signer(&self, signed: impl FnOnce(&[u8; 32], &[u8], &Signature) -> bool) -> Option<Id> {
        signed(&self.public, &self.message, &self.signature).then(|| Id::of(&self.public))
    }
}

/// Puts the claim of a machine behind sealed bytes.
pub(super) fn sign(
    mut sealed: Vec<u8>,
    public: &[u8; 32],
    sign: impl FnOnce(&[u8]) -> Signature,
) -> Vec<u8> {
    let signature = sign(&message(&sealed));
    sealed.extend_from_slice(public);
    sealed.extend_from_slice(signature.as_bytes());
    sealed.extend_from_slice(MARK);
    sealed
}

/// How many bytes of a record are sealed: all, where nobody signed it.
pub(super) fn sealed_bytes(bytes: &[u8]) -> usize {
    split(bytes).map_or(bytes.len(), |(sealed, ..)| sealed.len())
}

fn split(bytes: &[u8]) -> Option<(&[u8], &[u8; 32], &[u8; 64])> {
    let bytes = bytes.strip_suffix(MARK)?;
    let (bytes, signature) = bytes.split_last_chunk::<64>()?;
    let (sealed, public) = bytes.split_last_chunk::<32>()?;
    Some((sealed, public, signature))
}

fn message(sealed: &[u8]) -> Vec<u8> {
    [CONTEXT, Id::of(sealed).as_bytes().as_slice()].concat()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::Key;
    use crate::record::{Annulment, Record};

    const PUBLIC: [u8; 32] = [7; 32];

    fn record() -> Record {
        Record::Annulment(Annulment {
            at: Timestamp::UNIX_EPOCH,
            host: "web-1".to_owned(),
            record: Id::of(b"record"),
        })
    }

    /// Signs as nobody should: by a hash that the test can do again.
    fn signature(message: &[u8]) -> Signature {
        let hash = Id::of(message);
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(hash.as_bytes());
        Signature::from_bytes(bytes)
    }

    fn signer(bytes: &[u8]) -> Option<Id> {
        Claim::of(bytes)?.signer(|_, message, shown| *shown == signature(message))
    }

    #[test]
    fn a_signed_record_comes_back_and_says_whose_it_is() {
        let key = Key::generate().unwrap();
        let (name, bytes) = record().seal_signed(&key, &PUBLIC, signature).unwrap();
        assert_eq!(name, Id::of(&bytes));
        assert_eq!(signer(&bytes), Some(Id::of(&PUBLIC)));
        assert_eq!(Record::open(name, bytes, &key).unwrap(), record());
        let (_, unsigned) = record().seal(&key).unwrap();
        assert_eq!(signer(&unsigned), None);
        let long = [&[0; 90][..], MARK].concat();
        for short in [&b""[..], MARK, long.as_slice()] {
            assert_eq!(Claim::of(short), None);
        }
    }

    #[test]
    fn the_signature_of_one_file_is_none_of_another_that_says_the_same() {
        let key = Key::generate().unwrap();
        let (name, bytes) = record().seal_signed(&key, &PUBLIC, signature).unwrap();
        let claim = &bytes[sealed_bytes(&bytes)..];
        let (_, again) = record().seal(&key).unwrap();
        let moved = [&again[..], claim].concat();
        assert!(Record::open(Id::of(&moved), moved.clone(), &key).is_ok());
        assert_eq!(signer(&moved), None);
        // Without its signature it has another name too, and is nobody's.
        let bare = bytes[..sealed_bytes(&bytes)].to_vec();
        assert_ne!(Id::of(&bare), name);
        assert_eq!(signer(&bare), None);
        assert_eq!(Record::open(Id::of(&bare), bare, &key).unwrap(), record());
    }
}
