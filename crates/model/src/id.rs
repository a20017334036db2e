//! The 32-byte identifiers of everything in a repository.
//!
//! An id is the SHA-256 of what it names: of the stored bytes for files, of the plain text for
//! blobs. It is parsed once, at the edge, and never compared as text.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

/// A SHA-256 digest that names a file or a blob; 64 lowercase hexadecimal digits as text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Id([u8; 32]);

/// A text that is not an [`Id`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("An id is 64 lowercase hexadecimal digits")]
pub struct ParseIdError;

/// The fewest digits that are taken for the beginning of an id: fewer are more likely a slip.
const LEAST_DIGITS: usize = 2;

impl Id {
    /// Wraps a digest that was computed elsewhere.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Hashes `bytes` with SHA-256.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The 32 bytes of the digest.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first eight hexadecimal digits, as people quote them.
    pub fn short(&self) -> String {
        self.to_string().chars().take(8).collect()
    }

    /// Whether somebody may mean it by these digits, in whichever case: by two of the first at least.
    pub fn begins_with(&self, digits: &str) -> bool {
        let text = self.to_string();
        let first = text.get(..digits.len()).unwrap_or_default();
        digits.len() >= LEAST_DIGITS && first.eq_ignore_ascii_case(digits)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 64];
        HEXLOWER.encode_mut(&self.0, &mut text);
        f.write_str(str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({})", self.short())
    }
}

impl FromStr for Id {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let mut bytes = [0; 32];
        if text.len() != 64 {
            return Err(ParseIdError);
        }
        match HEXLOWER.decode_mut(text.as_bytes(), &mut bytes) {
            Ok(32) => Ok(Self(bytes)),
            _ => Err(ParseIdError),
        }
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Id;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("64 lowercase hexadecimal digits")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Id, E> {
                text.parse()
                    .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_nothing_is_the_published_one() {
        let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Id::of(b"").to_string(), text);
        assert_eq!(text.parse(), Ok(Id::of(b"")));
    }

    #[test]
    fn only_64_lowercase_digits_are_an_id() {
        assert!("".parse::<Id>().is_err());
        assert!("E3B0".parse::<Id>().is_err());
        assert!(
            Id::of(b"")
                .to_string()
                .to_uppercase()
                .parse::<Id>()
                .is_err()
        );
        assert!(format!("{}0", Id::of(b"")).parse::<Id>().is_err());
    }

    #[test]
    fn it_is_meant_by_two_of_its_first_digits_or_more() {
        let id = Id::of(b"");
        let text = id.to_string();
        for meant in ["e3", "E3b0C4", text.as_str()] {
            assert!(id.begins_with(meant), "{meant}");
        }
        let longer = format!("{text}0");
        for other in ["", "e", "3b", "e4", "größe", longer.as_str()] {
            assert!(!id.begins_with(other), "{other}");
        }
    }
}
