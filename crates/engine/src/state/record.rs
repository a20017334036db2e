//! Records that have no format of their own: JSON in an envelope that tells its version.
//!
//! What can go wrong: the state folder rots, and its files may come from a newer version. Both are
//! told apart, since one is set aside and the other is left as it is.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use strongroom_model::{Error, Id, Result};

/// The version of all records.
const VERSION: u32 = 1;

/// How an error calls a record.
const RECORD: &str = "record in the state folder";

/// Keys that were removed on purpose: old receipts still name them, and a copy that was away still
/// has them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedKeys {
    /// Their files.
    pub keys: BTreeSet<Id>,
}

/// The key that opened the repository last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenedKey {
    /// Its file; `None` where none is known.
    #[serde(default)]
    pub key: Option<Id>,
    /// What tells the key that is in it, which is one and the same in all of a repository, from any
    /// other, and nothing of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master: Option<Id>,
}

/// Where rehearsals have made folders to restore to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScratchFolders {
    /// The folders in which something of them may be left.
    #[serde(default)]
    pub folders: BTreeSet<PathBuf>,
}

/// The locks that this machine wrote, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnLocks {
    /// Those that were not removed yet, as far as is known.
    #[serde(default)]
    pub locks: Vec<OwnLock>,
}

/// A lock that this machine wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnLock {
    /// Its file.
    pub lock: Id,
    /// To what the number of its process belongs: a start of a machine, and a namespace there.
    pub numbering: String,
}

/// Which receipt is the last of a source and host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The receipt.
    pub receipt: Id,
}

/// Reads a record.
///
/// # Errors
/// [`Error::Malformed`], and [`Error::UnknownVersion`] for what a newer version wrote.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    /// Read first, since a newer record may have other fields.
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let Version { version } = serde_json::from_slice(bytes).map_err(malformed)?;
    if version != VERSION {
        return Err(Error::UnknownVersion {
            what: RECORD,
            version,
            known: VERSION,
        });
    }
    let versioned: Versioned<T> = serde_json::from_slice(bytes).map_err(malformed)?;
    Ok(versioned.record)
}

/// Writes what [`decode`] reads.
///
/// # Errors
/// [`Error::Malformed`] where JSON has no form for it.
pub fn encode<T: Serialize>(record: &T) -> Result<Vec<u8>> {
    let version = VERSION;
    serde_json::to_vec(&Versioned { version, record }).map_err(malformed)
}

/// A record in its envelope.
#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: u32,
    #[serde(flatten)]
    record: T,
}

fn malformed(source: serde_json::Error) -> Error {
    let what = RECORD;
    Error::Malformed { what, source }
}
