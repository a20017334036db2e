//! Snapshots: the state of a source at one moment.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strongroom_model::Id;

use crate::{Key, Result, json, unpacked};

/// The tag that tells which source of the configuration a snapshot is of, before the name.
/// A tag, because restic drops fields that it does not know when it rewrites a snapshot.
pub const SOURCE_TAG_PREFIX: &str = "source=";

/// A snapshot as stored; fields in restic's order, with restic's names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When the backup began, by the clock of the host that made it: a claim.
    pub time: Timestamp,
    /// The snapshot that this one was compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Id>,
    /// The root tree.
    pub tree: Id,
    /// What was saved, as absolute paths.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub paths: Vec<String>,
    /// The host that made it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// The user that made it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub username: String,
    /// The user's number.
    #[serde(default, skip_serializing_if = "json::is_zero")]
    pub uid: u32,
    /// The group's number.
    #[serde(default, skip_serializing_if = "json::is_zero")]
    pub gid: u32,
    /// What was left out.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_empty"
    )]
    pub excludes: Vec<String>,
    /// Tags.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_empty"
    )]
    pub tags: Vec<String>,
    /// The snapshot that this one was rewritten from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<Id>,
    /// The program that made it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub program_version: String,
    /// What the backup did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
}

/// What a backup did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// When it began.
    pub backup_start: Timestamp,
    /// When it ended.
    pub backup_end: Timestamp,
    /// Files that the parent did not have.
    pub files_new: u64,
    /// Files that differ from the parent's.
    pub files_changed: u64,
    /// Files that are as in the parent.
    pub files_unmodified: u64,
    /// Folders that the parent did not have.
    pub dirs_new: u64,
    /// Folders that differ from the parent's.
    pub dirs_changed: u64,
    /// Folders that are as in the parent.
    pub dirs_unmodified: u64,
    /// New blobs of data.
    pub data_blobs: u64,
    /// New trees.
    pub tree_blobs: u64,
    /// Bytes of new blobs before compression.
    pub data_added: u64,
    /// Bytes of new blobs as stored.
    pub data_added_packed: u64,
    /// All files looked at.
    pub total_files_processed: u64,
    /// All bytes of these files.
    pub total_bytes_processed: u64,
    /// How many errors the source had; a field of ours, which restic passes over.
    #[serde(skip_serializing_if = "json::is_zero")]
    pub error_count: u64,
    /// The first of these errors, as people read them; a field of ours.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
}

impl Snapshot {
    /// The source of the configuration that it is of, where it is one of ours.
    pub fn source(&self) -> Option<&str> {
        self.tags
            .iter()
            .find_map(|tag| tag.strip_prefix(SOURCE_TAG_PREFIX))
    }

    /// Encrypts it; returns its name and bytes.
    ///
    /// # Errors
    /// [`Error::NoRandomness`](crate::Error::NoRandomness).
    pub fn seal(&self, key: &Key, repo_version: u32) -> Result<(Id, Vec<u8>)> {
        let json = json::encode(self)?;
        unpacked::seal(key, repo_version, &json)
    }

    /// Decrypts and reads a snapshot.
    ///
    /// # Errors
    /// A text that says what is wrong with it, for the caller knows its name.
    pub fn open(key: &Key, bytes: Vec<u8>) -> std::result::Result<Self, String> {
        Self::parse(&unpacked::open(key, bytes)?)
    }

    /// Reads the JSON of a snapshot.
    ///
    /// # Errors
    /// A text that says what is wrong with it.
    pub fn parse(json: &[u8]) -> std::result::Result<Self, String> {
        serde_json::from_slice(json).map_err(|error| error.to_string())
    }
}

/// Go writes an empty list as `null` where it was never made.
fn null_is_empty<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_of_restic_is_read() {
        let json = br#"{"time":"2024-05-06T07:08:09.123456789+02:00","tree":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","paths":["/srv"],"hostname":"h","username":"root","tags":null,"excludes":null,"something_new":{"a":1},"program_version":"restic 0.18.0"}"#;
        let snapshot = Snapshot::parse(json).unwrap();
        assert_eq!(snapshot.time.to_string(), "2024-05-06T05:08:09.123456789Z");
        assert_eq!(snapshot.paths, ["/srv"]);
        assert_eq!(snapshot.source(), None);
    }

    #[test]
    fn a_snapshot_comes_back_with_its_source() {
        let key = Key::generate().unwrap();
        let json = br#"{"time":"2024-05-06T07:08:09Z","tree":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","paths":["/srv"],"tags":["source=repos"]}"#;
        let snapshot = Snapshot::parse(json).unwrap();
        let (id, bytes) = snapshot.seal(&key, 2).unwrap();
        assert_eq!(id, Id::of(&bytes));
        assert_eq!(Snapshot::open(&key, bytes).unwrap(), snapshot);
        assert_eq!(snapshot.source(), Some("repos"));
    }

    #[test]
    fn junk_is_an_error() {
        assert!(Snapshot::parse(b"{}").is_err());
        assert!(Snapshot::parse(b"[1").is_err());
    }
}
