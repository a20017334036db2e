//! Names of sources, copies, sites and domains.
//!
//! Whether a copy is offsite is decided by comparing names, so that "Fra-1" beside "fra-1" would
//! pass for two places: hence lowercase only.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::error::{Error, Result};

/// What a name may be, as told to people.
pub const RULE: &str =
    "a name has 1 to 64 of the characters a-z 0-9 . _ - and begins with a letter or digit";

const LONGEST: usize = 64;

/// The name of a source, copy, site or domain: 1 to 64 of `[a-z0-9._-]`, the first of `[a-z0-9]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Name(String);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the domain of the sources is called where the configuration does not say.
    pub(crate) fn production() -> Self {
        Self("production".to_owned())
    }

    /// The name that was probably meant: in lowercase, with `-` for what is not allowed.
    pub(crate) fn suggest(text: &str) -> Option<Self> {
        let mut meant = String::new();
        for character in text.trim().chars() {
            let character = character.to_ascii_lowercase();
            match character {
                'a'..='z' | '0'..='9' | '.' | '_' | '-' => meant.push(character),
                _ if meant.ends_with('-') => {}
                _ => meant.push('-'),
            }
        }
        meant
            .trim_matches(['.', '_', '-'])
            .chars()
            .take(LONGEST)
            .collect::<String>()
            .parse()
            .ok()
    }
}

impl FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let letter = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let allowed = |byte: &u8| letter(byte) || matches!(byte, b'.' | b'_' | b'-');
        let bytes = text.as_bytes();
        let good = bytes.len() <= LONGEST
            && bytes.first().is_some_and(letter)
            && bytes.iter().all(allowed);
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::Name {
                text: text.chars().take(LONGEST).collect(),
            })
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(|_| de::Error::custom(RULE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_lowercase_and_begin_with_a_letter_or_digit() {
        for good in [
            "here",
            "a",
            "0",
            "eu-central-1",
            "shop.db_2",
            &"x".repeat(64),
        ] {
            assert_eq!(good.parse::<Name>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "-a",
            ".a",
            "A",
            "a b",
            "a/b",
            "ä",
            "a\n",
            &"x".repeat(65),
        ] {
            assert!(bad.parse::<Name>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_was_meant_is_suggested() {
        let suggest = |text| Name::suggest(text).map(|name| name.to_string());
        assert_eq!(suggest("Frankfurt DC 1"), Some("frankfurt-dc-1".to_owned()));
        assert_eq!(suggest("_here_"), Some("here".to_owned()));
        assert_eq!(suggest("München"), Some("m-nchen".to_owned()));
        assert_eq!(suggest("//"), None);
    }
}
