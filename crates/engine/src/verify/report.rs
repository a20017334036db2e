//! What a verify found: for people, for `--json`, for the evidence, and for the sync that mends it.

use std::collections::{BTreeMap, BTreeSet};

use strongroom_model::FileName;
use strongroom_repo::BlobId;

use crate::Listing;
use crate::known::Lost;
use crate::session::CopyFailure;

/// What a verify found.
#[derive(Debug, Clone, Default)]
pub struct VerifyReport {
    /// For each copy, in the order given.
    pub copies: Vec<VerifiedCopy>,
    /// Everything that is wrong, by copy in the order given, then by file.
    pub problems: Vec<Problem>,
    /// What was there once and no copy lists any more.
    pub lost: Lost,
}

/// What was read of a copy.
#[derive(Debug, Clone)]
pub struct VerifiedCopy {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub location: String,
    /// Files that were read.
    pub files_read: u64,
    /// Bytes that were read.
    pub bytes_read: u64,
    /// Files that were listed, `config` and locks not counted.
    pub files_listed: u64,
    /// Bytes of these files.
    pub bytes_listed: u64,
    /// The files that were read and whose content has their name each time.
    pub sound: Vec<FileName>,
    /// What was listed.
    pub listing: Listing,
    /// Whether every file that was listed was also read, to its end.
    pub covered: bool,
    /// Why the copy, or the rest of it, could not be read.
    pub failure: Option<CopyFailure>,
}

/// Something that is wrong with a file on a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The copy.
    pub copy: String,
    /// The file.
    pub name: FileName,
    /// What is wrong.
    pub kind: ProblemKind,
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProblemKind {
    /// It is not there.
    Missing {
        /// The copies that hold it whole, as far as is known; perhaps none.
        elsewhere: Vec<String>,
    },
    /// Its content does not have its name.
    WrongContent,
    /// It has no bytes at all.
    Empty,
    /// It is shorter than it was, and its content does not have its name.
    Truncated {
        /// What it has.
        found_bytes: u64,
        /// What another copy has.
        expected_bytes: u64,
    },
    /// It is longer than it was, and its content does not have its name.
    WrongSize {
        /// What it has.
        found_bytes: u64,
        /// What another copy, or the index, says.
        expected_bytes: u64,
    },
    /// The store cannot read it to its end.
    Unreadable {
        /// What the store said.
        reason: String,
    },
    /// It has its right name, and is not what its type says.
    Junk {
        /// Why.
        reason: String,
    },
    /// A key that neither this password opened nor a receipt names, on some copies only: junk, or
    /// a key that somebody added there.
    UnprovenKey,
    /// A pack with its right name whose last bytes are impossible.
    BadTrailer {
        /// Why.
        reason: String,
    },
    /// A pack that an index file names, and that is no pack of this repository for all its right
    /// name.
    BadPack {
        /// Why.
        reason: String,
    },
    /// This `config` is not the repository's.
    ConfigDiffers {
        /// From what it differs.
        reason: String,
    },
    /// An index file and the header of a pack do not say the same.
    IndexDisagrees {
        /// The pack.
        pack: FileName,
    },
    /// A blob in this pack cannot be decoded, or is not what its name says.
    BadBlob {
        /// The blob.
        blob: BlobId,
        /// Why.
        reason: String,
    },
    /// The snapshot needs what is not there.
    Incomplete {
        /// What is missing.
        reason: String,
    },
}

impl VerifyReport {
    /// Whether nothing is wrong with anything that was read, nothing is lost, and no copy failed.
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
            && self.lost.is_empty()
            && self.copies.iter().all(|copy| copy.failure.is_none())
    }

    /// For each copy the files that are there and wrong: what a sync is to read again and replace.
    pub fn doubts(&self) -> BTreeMap<String, BTreeSet<FileName>> {
        let mut doubts: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for problem in self
            .problems
            .iter()
            .filter(|problem| problem.kind.is_damage())
        {
            let of_copy = doubts.entry(problem.copy.clone()).or_default();
            of_copy.insert(problem.name);
        }
        doubts
    }
}

impl ProblemKind {
    /// Whether the file is there and its bytes are wrong, so that a sibling's can replace them.
    pub const fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::WrongContent
                | Self::Empty
                | Self::Truncated { .. }
                | Self::WrongSize { .. }
                | Self::Unreadable { .. }
        )
    }

    /// Whether the bytes have their name and are not what an index file says of them or its type
    /// asks for: the work of a bad writer, the same on every copy, which no copy can heal.
    pub const fn is_in_right_bytes(&self) -> bool {
        matches!(
            self,
            Self::BadTrailer { .. }
                | Self::BadPack { .. }
                | Self::BadBlob { .. }
                | Self::IndexDisagrees { .. }
        )
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}: {}", self.copy, self.name, self.kind)
    }
}

impl std::fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing { elsewhere } if elsewhere.is_empty() => {
                f.write_str("missing, and no other copy has it whole")
            }
            Self::Missing { elsewhere } => write!(f, "missing; {} has it", elsewhere.join(", ")),
            Self::WrongContent => f.write_str("damaged: its content does not have its name"),
            Self::Empty => f.write_str("damaged: it is empty"),
            Self::Truncated {
                found_bytes,
                expected_bytes,
            }
            | Self::WrongSize {
                found_bytes,
                expected_bytes,
            } => write!(
                f,
                "damaged: it has {found_bytes} bytes instead of {expected_bytes}"
            ),
            Self::Unreadable { reason } => write!(f, "cannot be read: {reason}"),
            Self::Junk { reason } => write!(f, "junk under a right name: {reason}"),
            Self::UnprovenKey => {
                f.write_str("a key that this password does not open and no receipt names")
            }
            Self::BadTrailer { reason } | Self::BadPack { reason } => {
                write!(f, "not a pack: {reason}")
            }
            Self::ConfigDiffers { reason } => write!(f, "differs from {reason}"),
            Self::IndexDisagrees { pack } => {
                write!(f, "says something else of {pack} than the pack itself")
            }
            Self::BadBlob { reason, .. } => f.write_str(reason),
            Self::Incomplete { reason } => write!(f, "incomplete: {reason}"),
        }
    }
}
