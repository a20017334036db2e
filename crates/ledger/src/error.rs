//! What can be wrong with a log, and with what is said of one.
//!
//! What an audit finds is told with the same errors: each names the file, and the leaf where there
//! is one.

use std::io;

use crate::Hash;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A text or file is not in its format.
    #[error("The {what} is malformed: {reason}")]
    Malformed {
        /// What was read.
        what: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A text is longer than any sound one, and was not looked at.
    #[error("The {what} is longer than {limit_bytes} bytes")]
    TooLong {
        /// What was read.
        what: &'static str,
        /// How long it may be.
        limit_bytes: usize,
    },
    /// An entry does not fit into a bundle.
    #[error("An entry of {bytes} bytes is too long: at most 65,535 fit")]
    LongEntry {
        /// Its length.
        bytes: usize,
    },
    /// The log cannot take another leaf.
    #[error("The log is full")]
    Full,
    /// A tile, leaf or tree that the log does not have.
    #[error("A log of {size} leaves has no {what}")]
    OutOfRange {
        /// What was asked for.
        what: String,
        /// How many leaves there are.
        size: u64,
    },
    /// A note without a signature by the key that was expected.
    #[error("It is not signed by {key}")]
    NotSigned {
        /// The key, by its name and id.
        key: String,
    },
    /// A signature that names a key which did not make it.
    #[error("The signature that claims to be by {key} is not")]
    WrongSignature {
        /// The key, by its name and id.
        key: String,
    },
    /// A key of one kind was used for what another kind signs.
    #[error("The key {key} is not one of a {needed}")]
    WrongKind {
        /// The key, by its name and id.
        key: String,
        /// Whose key is needed.
        needed: &'static str,
    },
    /// A checkpoint of another log.
    #[error("It is of the log {found:?}, not of {expected:?}")]
    OtherLog {
        /// The origin that was expected.
        expected: String,
        /// The one that it has.
        found: String,
    },
    /// An inclusion proof that proves nothing.
    #[error("The proof does not show that leaf {leaf} is in the log of {size} leaves")]
    NotIncluded {
        /// The leaf's number.
        leaf: u64,
        /// The size of the log.
        size: u64,
    },
    /// A consistency proof that proves nothing.
    #[error(
        "The proof does not show that the log of {new_size} leaves begins with that of {old_size}"
    )]
    NotConsistent {
        /// The size of the older log.
        old_size: u64,
        /// The size of the newer log.
        new_size: u64,
    },
    /// What is said to be an operator's yes, and is none.
    #[error("It is no yes of that operator to that operation: {reason}")]
    NotApproved {
        /// What it is not.
        reason: &'static str,
    },
    /// A witness answered with a status that its protocol does not know.
    #[error("The witness answered with status {status}")]
    UnknownStatus {
        /// The HTTP status.
        status: u16,
    },

    /// A file of the log is not there.
    #[error("{file} is missing")]
    Missing {
        /// The file, from the log's folder.
        file: String,
    },
    /// Something else has a file's name: a link, a folder, a device.
    #[error("{file} is not a plain file")]
    NotAFile {
        /// The file, from the log's folder.
        file: String,
    },
    /// A file cannot be read.
    #[error("Cannot read {file}")]
    Read {
        /// The file, from the log's folder.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// A file is shorter or longer than its name says.
    #[error("{file} has {found_bytes} bytes, not {expected_bytes}")]
    WrongLength {
        /// The file, from the log's folder.
        file: String,
        /// How long it must be.
        expected_bytes: u64,
        /// How long it is.
        found_bytes: u64,
    },
    /// A file is longer than any sound one.
    #[error("{file} is longer than {limit_bytes} bytes")]
    LongFile {
        /// The file, from the log's folder.
        file: String,
        /// How long it may be.
        limit_bytes: u64,
    },
    /// A bundle that ends within an entry, or goes on behind the last one.
    #[error("{file} is torn: {reason} (leaf {leaf})")]
    TornBundle {
        /// The file, from the log's folder.
        file: String,
        /// The leaf at which it was noticed.
        leaf: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// An entry that is not the one which was signed.
    #[error("{file}: leaf {leaf} is not what was signed")]
    WrongEntry {
        /// The bundle, from the log's folder.
        file: String,
        /// The leaf's number.
        leaf: u64,
    },
    /// A hash in a tile that is not the one which was signed; what it stands for is.
    #[error("{file}: the hash over leaf {leaf} is not what was signed, but the leaf is")]
    WrongHash {
        /// The tile, from the log's folder.
        file: String,
        /// The first leaf under the hash.
        leaf: u64,
    },
    /// A tile which, with all that lies below it, is not what was signed.
    #[error(
        "{file}: this tile and the leaves below it, from leaf {leaf} on, are not what was signed"
    )]
    WrongBranch {
        /// The tile, from the log's folder.
        file: String,
        /// The first leaf under the tile.
        leaf: u64,
    },
    /// Two files that disagree, neither of which is what was signed.
    #[error("{file} and {other} disagree about leaf {leaf}, and neither is what was signed")]
    Disagreement {
        /// The upper file, from the log's folder.
        file: String,
        /// The file below it.
        other: String,
        /// The first leaf that is touched.
        leaf: u64,
    },
    /// A partial file that is not the beginning of the fuller one.
    #[error("{file} is not the beginning of {fuller}")]
    NotABeginning {
        /// The partial file, from the log's folder.
        file: String,
        /// The one with more leaves.
        fuller: String,
    },
    /// A file that no log has.
    #[error("{file} does not belong to a log")]
    Stray {
        /// The file, from the log's folder.
        file: String,
    },
    /// The leaves, which agree with their tiles, are not those of the signed root.
    #[error("{file}: the signed root {signed} is not that of the {size} leaves here, {found}")]
    WrongRoot {
        /// The checkpoint, from the log's folder.
        file: String,
        /// The signed size.
        size: u64,
        /// The signed root.
        signed: Hash,
        /// The root of what is there.
        found: Hash,
    },
    /// A checkpoint that is not good for anything.
    #[error("{file} is not good")]
    BadCheckpoint {
        /// The checkpoint, from the log's folder.
        file: String,
        /// Why.
        source: Box<Error>,
    },
    /// The log is shorter than an earlier checkpoint.
    #[error("{file}: the log shrank: it had {old_size} leaves, now it has {new_size}")]
    Shrunk {
        /// The checkpoint, from the log's folder.
        file: String,
        /// How many leaves there were.
        old_size: u64,
        /// How many there are.
        new_size: u64,
    },
    /// The log does not begin with what an earlier checkpoint signed.
    #[error(
        "{file}: the log was rewritten: its first {old_size} leaves are not those that were signed before"
    )]
    Rewritten {
        /// The checkpoint, from the log's folder.
        file: String,
        /// How many leaves the earlier checkpoint has.
        old_size: u64,
    },
}

impl Error {
    pub(crate) const fn malformed(what: &'static str, reason: &'static str) -> Self {
        Self::Malformed { what, reason }
    }

    /// The file that is wrong, from the log's folder, where the error is about one.
    pub fn file(&self) -> Option<&str> {
        match self {
            Self::Missing { file }
            | Self::NotAFile { file }
            | Self::Read { file, .. }
            | Self::WrongLength { file, .. }
            | Self::LongFile { file, .. }
            | Self::TornBundle { file, .. }
            | Self::WrongEntry { file, .. }
            | Self::WrongHash { file, .. }
            | Self::WrongBranch { file, .. }
            | Self::Disagreement { file, .. }
            | Self::NotABeginning { file, .. }
            | Self::Stray { file }
            | Self::WrongRoot { file, .. }
            | Self::BadCheckpoint { file, .. }
            | Self::Shrunk { file, .. }
            | Self::Rewritten { file, .. } => Some(file),
            _ => None,
        }
    }

    /// The first leaf that is touched, where the error is about leaves.
    pub const fn leaf(&self) -> Option<u64> {
        match self {
            Self::TornBundle { leaf, .. }
            | Self::WrongEntry { leaf, .. }
            | Self::WrongHash { leaf, .. }
            | Self::WrongBranch { leaf, .. }
            | Self::Disagreement { leaf, .. }
            | Self::NotIncluded { leaf, .. } => Some(*leaf),
            _ => None,
        }
    }

    /// The next step for a person, where there is one.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotSigned { .. } | Self::WrongSignature { .. } => {
                "compare the key with the one that was written down when the log was made"
            }
            Self::Missing { file } if file == "checkpoint" => {
                "name the folder that holds `checkpoint` and `tile`"
            }
            Self::BadCheckpoint { source, .. } => return source.hint(),
            Self::Shrunk { .. } | Self::Rewritten { .. } => {
                "keep both checkpoints: they are the evidence; believe nothing of this log until \
                 somebody has explained it"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
