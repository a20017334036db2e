//! Index files, as they are stored.

use serde::{Deserialize, Serialize};
use strongroom_model::Id;

use crate::blob::{BlobId, BlobKind, PackedBlob};
use crate::index::table::MAX_LENGTH_BYTES;
use crate::{Key, Result, json, unpacked};

/// How many blobs an index file of ours names at most; restic's writes about as many.
pub const MAX_BLOBS_PER_INDEX_FILE: usize = 50_000;

/// What an index file says.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct IndexFile {
    /// The packs with their blobs.
    pub packs: Vec<IndexedPack>,
}

/// A pack and the blobs in it, in any order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexedPack {
    /// The pack.
    pub id: Id,
    /// Its blobs.
    pub blobs: Vec<PackedBlob>,
}

impl IndexFile {
    /// Encrypts it; returns its name and bytes.
    ///
    /// # Errors
    /// [`Error::NoRandomness`](crate::Error::NoRandomness).
    pub fn seal(&self, key: &Key, repo_version: u32) -> Result<(Id, Vec<u8>)> {
        let wire = WireIndex {
            packs: self.packs.iter().map(WirePack::of).collect(),
        };
        let json = json::encode(&wire)?;
        unpacked::seal(key, repo_version, &json)
    }

    /// Decrypts and reads an index file.
    ///
    /// # Errors
    /// A text that says what is wrong with it, for the caller knows its name.
    pub fn open(key: &Key, bytes: Vec<u8>) -> std::result::Result<Self, String> {
        Self::parse(&unpacked::open(key, bytes)?)
    }

    /// Reads the JSON of an index file.
    ///
    /// # Errors
    /// A text that says what is wrong with it.
    pub fn parse(json: &[u8]) -> std::result::Result<Self, String> {
        let wire: WireIndex = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let packs: Vec<_> = wire.packs.into_iter().map(WirePack::into_pack).collect();
        let mut blobs = packs.iter().flat_map(|pack| &pack.blobs);
        match blobs.find(|blob| blob.length > MAX_LENGTH_BYTES) {
            None => Ok(Self { packs }),
            Some(PackedBlob { blob, length, .. }) => {
                Err(format!("it gives the {blob} {length} bytes"))
            }
        }
    }
}

#[derive(Serialize, Deserialize)]
struct WireIndex {
    // Version 1 of restic wrote an array here in its first year; `supersedes` is ignored today.
    packs: Vec<WirePack>,
}

#[derive(Serialize, Deserialize)]
struct WirePack {
    id: Id,
    blobs: Vec<WireBlob>,
}

#[derive(Serialize, Deserialize)]
struct WireBlob {
    id: Id,
    #[serde(rename = "type")]
    kind: WireKind,
    offset: u32,
    length: u32,
    #[serde(default, skip_serializing_if = "json::is_zero")]
    uncompressed_length: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WireKind {
    Data,
    Tree,
}

impl WirePack {
    fn of(pack: &IndexedPack) -> Self {
        let blobs = pack.blobs.iter().map(|blob| WireBlob {
            id: blob.blob.id,
            kind: match blob.blob.kind {
                BlobKind::Data => WireKind::Data,
                BlobKind::Tree => WireKind::Tree,
            },
            offset: blob.offset,
            length: blob.length,
            uncompressed_length: blob.uncompressed_length.unwrap_or(0),
        });
        Self {
            id: pack.id,
            blobs: blobs.collect(),
        }
    }

    fn into_pack(self) -> IndexedPack {
        let blobs = self.blobs.into_iter().map(|blob| PackedBlob {
            blob: match blob.kind {
                WireKind::Data => BlobId::data(blob.id),
                WireKind::Tree => BlobId::tree(blob.id),
            },
            offset: blob.offset,
            length: blob.length,
            uncompressed_length: (blob.uncompressed_length > 0).then_some(blob.uncompressed_length),
        });
        IndexedPack {
            id: self.id,
            blobs: blobs.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_comes_back() {
        let key = Key::generate().unwrap();
        let blob = |kind: fn(Id) -> BlobId, offset, uncompressed_length| PackedBlob {
            blob: kind(Id::of(b"x")),
            offset,
            length: 40,
            uncompressed_length,
        };
        let index = IndexFile {
            packs: vec![IndexedPack {
                id: Id::of(b"p"),
                blobs: vec![
                    blob(BlobId::data, 0, None),
                    blob(BlobId::tree, 40, Some(99)),
                ],
            }],
        };
        for version in [1, 2] {
            let (_, bytes) = index.seal(&key, version).unwrap();
            assert_eq!(IndexFile::open(&key, bytes).unwrap(), index);
        }
    }

    #[test]
    fn what_rustic_adds_is_passed_over() {
        let json = br#"{"supersedes":["x"],"packs":[{"id":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","blobs":[],"time":"2024-01-01T00:00:00Z","size":5}],"packs_to_delete":[]}"#;
        assert_eq!(IndexFile::parse(json).unwrap().packs.len(), 1);
        assert!(IndexFile::parse(b"{}").is_err());
        assert!(IndexFile::parse(br#"{"packs":[{"id":"00","blobs":[]}]}"#).is_err());
    }

    #[test]
    fn a_length_that_no_pack_has_is_refused() {
        let index = |length: u32| {
            let id = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
            let blob = format!(r#"{{"id":"{id}","type":"data","offset":0,"length":{length}}}"#);
            let json = format!(r#"{{"packs":[{{"id":"{id}","blobs":[{blob}]}}]}}"#);
            IndexFile::parse(json.as_bytes())
        };
        assert!(index(i32::MAX as u32).is_ok());
        assert!(index(1 << 31).is_err());
    }
}
