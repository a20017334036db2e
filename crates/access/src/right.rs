//! What a token may do.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use strongroom_model::FileType;

/// The right of a token, for one repository or for all in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Right {
    /// Put new files, read, remove its own locks.
    Append,
    /// Read.
    Read,
    /// What `append` may, and ask for deletion.
    Maintain,
    /// Send receipts, and from the guard on events.
    Report,
}

/// What somebody wants to do with a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Make the repository, or put a file in it.
    Put(FileType),
    /// Read or list.
    Read,
    /// Remove a file.
    Remove(FileType),
    /// Send receipts, and from the guard on events.
    Report,
}

impl Right {
    /// All rights.
    pub const ALL: [Self; 4] = [Self::Append, Self::Read, Self::Maintain, Self::Report];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Read => "read",
            Self::Maintain => "maintain",
            Self::Report => "report",
        }
    }

    /// Whether the right covers an act. Whose lock is to be removed is another question.
    pub const fn allows(self, act: Act) -> bool {
        match (self, act) {
            (Self::Maintain, _)
            | (
                Self::Append,
                Act::Put(_) | Act::Read | Act::Remove(FileType::Locks) | Act::Report,
            )
            | (Self::Read, Act::Read)
            | (Self::Report, Act::Report) => true,
            (Self::Append | Self::Read | Self::Report, _) => false,
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Right {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|right| right.word() == text)
            .ok_or_else(|| {
                format!("{text:?} is no right; there are append, read, maintain, report")
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_maintain_may_ask_for_deletion() {
        for right in Right::ALL {
            let may = right.allows(Act::Remove(FileType::Data));
            assert_eq!(may, right == Right::Maintain, "{right}");
            assert_eq!(right.word().parse::<Right>().unwrap(), right);
        }
        assert!(Right::Append.allows(Act::Remove(FileType::Locks)));
        assert!(!Right::Read.allows(Act::Put(FileType::Locks)));
        assert!(!Right::Report.allows(Act::Read));
    }
}
