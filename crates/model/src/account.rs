//! Whose account at a provider a machine runs in.
//!
//! Whoever rules an account rules every machine in it, so that a copy in production's own account
//! is production's, whatever it is called. Names are compared generously: of two ways to write one
//! account, taking them for two would claim more safety than there is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What to write.
pub(crate) const RULE: &str = "an account is what the provider calls it, 1 to 128 letters of \
                               ASCII: \"aws:123456789012\"";

/// The longest name.
const LONGEST: usize = 128;

/// An account, as `aws:123456789012` or `123456789012`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Account(String);

impl Account {
    /// Whether two names may mean one account: they are equal, whatever the case of their letters;
    /// where only one of them names the provider before a colon, that is left out.
    pub fn may_be(&self, other: &Self) -> bool {
        let (a, b) = (self.0.trim(), other.0.trim());
        let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
        match (a.rsplit_once(':'), b.rsplit_once(':')) {
            (Some((_, a)), None) => same(a, b),
            (None, Some((_, b))) => same(a, b),
            _ => same(a, b),
        }
    }

    /// Whose account it is, where it says so: what stands before the last colon.
    pub fn provider(&self) -> Option<&str> {
        let (provider, _) = self.0.trim().rsplit_once(':')?;
        Some(provider)
    }
}

impl FromStr for Account {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let is_plain = |c: char| c.is_ascii_graphic() || c == ' ';
        if text.trim().is_empty() || text.len() > LONGEST || !text.chars().all(is_plain) {
            return Err(Error::Account {
                text: text.to_owned(),
            });
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Account {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Account> for String {
    fn from(account: Account) -> Self {
        account.0
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(text: &str) -> Account {
        text.parse().unwrap()
    }

    #[test]
    fn one_account_is_known_in_every_way_to_write_it() {
        for other in [
            "aws:123456789012",
            "AWS:123456789012",
            "123456789012",
            " 123456789012 ",
        ] {
            assert!(account("aws:123456789012").may_be(&account(other)));
            assert!(account(other).may_be(&account("aws:123456789012")));
        }
        for other in ["aws:123456789013", "gcp:123456789012", "23456789012", "aws"] {
            assert!(!account("aws:123456789012").may_be(&account(other)));
            assert!(!account(other).may_be(&account("aws:123456789012")));
        }
    }

    #[test]
    fn what_could_steer_a_terminal_is_no_account() {
        for text in ["", "  ", "a\u{1b}[2J", "konto-ä", &"a".repeat(129)] {
            assert!(text.parse::<Account>().is_err(), "{text:?}");
        }
    }
}
