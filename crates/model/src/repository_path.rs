//! The path of a repository on a server: one or two folders.
//!
//! It becomes part of addresses and of paths on a disk, so that nothing else than harmless letters
//! gets in: no dots in front, no names that mean something to restic or to a vault.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The most characters of one folder's name.
const LONGEST_FOLDER: usize = 64;

/// Names that mean something else in an address.
const TAKEN: [&str; 18] = [
    "api",
    "arrivals",
    "asof",
    "assets",
    "config",
    "console",
    "data",
    "healthz",
    "index",
    "keys",
    "locks",
    "log",
    "metrics",
    "readyz",
    "rotten",
    "snapshots",
    "strongroom",
    "well-known",
];

/// First folders that are a vault's own pages. They were free before, so that a record may have
/// them; nothing new gets them.
const PAGES: [&str; 2] = ["add-checkpoint", "v1"];

/// The path of a repository, as `acme/repos`: one or two folders of 1 to 64 letters of ASCII,
/// digits, `-`, `_` and `.`, each beginning with a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryPath(String);

impl RepositoryPath {
    /// The path as text, without slashes around it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is `prefix` or lies in it: `acme/repos` is within `acme`, `acme2` is not.
    pub fn is_within(&self, prefix: &Self) -> bool {
        let rest = self.0.strip_prefix(prefix.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Reads the path of a repository that is there already: such a one may have a first folder
    /// that is a page by now.
    ///
    /// # Errors
    /// [`Error::RepositoryPath`].
    pub fn of_record(text: &str) -> Result<Self> {
        let folders: Vec<&str> = text.split('/').collect();
        if folders.len() > 2 {
            return Err(malformed(text, "it has more than two folders"));
        }
        for folder in folders {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            let begins_well = folder
                .bytes()
                .next()
                .is_some_and(|byte| byte.is_ascii_alphanumeric());
            if !begins_well || folder.len() > LONGEST_FOLDER || !folder.bytes().all(is_plain) {
                return Err(malformed(
                    text,
                    &format!(
                        "it needs folders of 1 to {LONGEST_FOLDER} letters, digits, '-', '_' and \
                         '.', beginning with a letter or digit"
                    ),
                ));
            }
            if TAKEN.contains(&folder.to_ascii_lowercase().as_str()) {
                return Err(malformed(text, &format!("{folder:?} means something else")));
            }
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for RepositoryPath {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let path = Self::of_record(text)?;
        let first = text.split('/').next().unwrap_or_default();
        match PAGES.contains(&first.to_ascii_lowercase().as_str()) {
            true => Err(malformed(
                text,
                &format!("{first:?} as the first folder is a page of the vault itself"),
            )),
            false => Ok(path),
        }
    }
}

fn malformed(text: &str, reason: &str) -> Error {
    Error::RepositoryPath {
        text: text.to_owned(),
        reason: format!("{reason}; write for example acme/repos"),
    }
}

impl TryFrom<String> for RepositoryPath {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<RepositoryPath> for String {
    fn from(path: RepositoryPath) -> Self {
        path.0
    }
}

impl fmt::Display for RepositoryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_or_two_plain_folders_are_a_path() {
        for good in [
            "acme",
            "acme/repos",
            "a",
            "shop-db_2.old/x",
            &"a".repeat(64),
        ] {
            assert_eq!(good.parse::<RepositoryPath>().unwrap().as_str(), good);
        }
    }

    #[test]
    fn whatever_could_mean_something_else_is_refused() {
        let long = "a".repeat(65);
        for bad in [
            "",
            "/",
            "acme/",
            "/acme",
            "a/b/c",
            "..",
            "a/..",
            ".hidden",
            "-rf",
            "a b",
            "ä",
            "a\\b",
            "data",
            "acme/Keys",
            "acme/config",
            "api",
            "asof/x",
            "v1",
            "V1/x",
            "log/x",
            "healthz",
            "readyz/x",
            "metrics",
            "add-checkpoint/x",
            "a%2fb",
            "a\0b",
            &long,
        ] {
            let refused = bad.parse::<RepositoryPath>();
            assert!(refused.is_err(), "{bad:?}");
            assert!(refused.unwrap_err().to_string().contains("acme/repos"));
        }
    }

    #[test]
    fn a_repository_that_was_called_like_a_page_before_is_still_read() {
        for kept in ["v1", "v1/repos", "add-checkpoint"] {
            assert!(kept.parse::<RepositoryPath>().is_err(), "{kept}");
            assert_eq!(RepositoryPath::of_record(kept).unwrap().as_str(), kept);
        }
        assert!("acme/v1".parse::<RepositoryPath>().is_ok());
        assert!(RepositoryPath::of_record("asof/x").is_err());
        assert!(RepositoryPath::of_record("v1/../x").is_err());
    }

    #[test]
    fn a_prefix_ends_at_a_slash() {
        let path = |text: &str| text.parse::<RepositoryPath>().unwrap();
        assert!(path("acme/repos").is_within(&path("acme")));
        assert!(path("acme/repos").is_within(&path("acme/repos")));
        assert!(!path("acme2/repos").is_within(&path("acme")));
        assert!(!path("acme").is_within(&path("acme/repos")));
    }
}
