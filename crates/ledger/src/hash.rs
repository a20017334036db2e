//! The hashes of RFC 6962: the only cryptography of the tree.
//!
//! A leaf and a node are hashed with different first bytes, so that no node can be passed off as a
//! leaf or a leaf as a node.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::{Error, Result, base64};

/// The size of a hash.
pub const HASH_BYTES: usize = 32;

/// A SHA-256 hash: of a leaf, of a node, or of a whole tree.
///
/// Its text is base64, as in a checkpoint.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; HASH_BYTES]);

impl Hash {
    /// The root of a tree without leaves: the hash of nothing.
    pub fn empty() -> Self {
        Self(Sha256::digest([]).into())
    }

    /// The hash of a leaf: SHA-256(0x00 ‖ entry).
    pub fn leaf(entry: &[u8]) -> Self {
        Self(
            Sha256::new_with_prefix([0x00])
                .chain_update(entry)
                .finalize()
                .into(),
        )
    }

    /// The hash of a node: SHA-256(0x01 ‖ left ‖ right).
    pub fn node(left: &Self, right: &Self) -> Self {
        let hasher = Sha256::new_with_prefix([0x01]);
        Self(
            hasher
                .chain_update(left.0)
                .chain_update(right.0)
                .finalize()
                .into(),
        )
    }

    /// Takes the bytes of a hash.
    pub const fn from_bytes(bytes: [u8; HASH_BYTES]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; HASH_BYTES] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64::encode(&self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

impl FromStr for Hash {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bytes = base64::decode(text);
        let bytes = bytes.and_then(|bytes| <[u8; HASH_BYTES]>::try_from(bytes).ok());
        bytes
            .map(Self)
            .ok_or(Error::malformed("hash", "it is not 32 bytes in base64"))
    }
}

/// The root over some hashes, as RFC 6962 builds a tree over leaves; `None` where there are none.
///
/// The hashes may be those of complete subtrees of one size, and the last one that of a smaller
/// subtree: RFC 6962 splits such a tree at the same places.
pub(crate) fn root_over(hashes: &[Hash]) -> Option<Hash> {
    match hashes {
        [] => None,
        [only] => Some(*only),
        _ => {
            let half = hashes.len().next_power_of_two() / 2;
            let (left, right) = hashes.split_at_checked(half)?;
            Some(Hash::node(&root_over(left)?, &root_over(right)?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_certificate_transparency_hold() {
        let hex = |hash: Hash| data_encoding::HEXLOWER.encode(hash.as_bytes());
        assert_eq!(
            hex(Hash::empty()),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(
            hex(Hash::leaf(b"")),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        );
        assert_eq!(
            hex(Hash::node(&Hash::leaf(b""), &Hash::leaf(&[0]))),
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
        );
    }

    #[test]
    fn a_hash_has_one_text() {
        let hash = Hash::leaf(b"x");
        assert_eq!(hash.to_string().parse::<Hash>().unwrap(), hash);
        for bad in ["", "AAAA", &format!("{hash}="), &hash.to_string()[1..]] {
            assert!(bad.parse::<Hash>().is_err(), "{bad}");
        }
    }
}
