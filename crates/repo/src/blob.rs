//! Blobs: the pieces of files, and the trees, each named by the SHA-256 of its plain text.

use strongroom_model::Id;

use crate::compression::{BlobCompressor, decompress};
use crate::crypto::{NONCE_BYTES, OVERHEAD_BYTES};
use crate::{Error, Key, Result};

/// The most bytes of plain text that a blob may have. restic's chunks end at 8 MiB, but its trees
/// grow with their folder: a million entries take some 400 MB.
pub const MAX_BLOB_BYTES: usize = 1 << 30;

/// What a blob is; packs hold blobs of one kind only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BlobKind {
    /// A piece of a file.
    Data,
    /// A folder's tree.
    Tree,
}

impl BlobKind {
    /// The word that the index uses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Tree => "tree",
        }
    }
}

/// The name of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobId {
    /// Data or tree: the same bytes may be both.
    pub kind: BlobKind,
    /// The SHA-256 of the plain text.
    pub id: Id,
}

impl BlobId {
    /// A blob of data.
    pub const fn data(id: Id) -> Self {
        let kind = BlobKind::Data;
        Self { kind, id }
    }

    /// A tree.
    pub const fn tree(id: Id) -> Self {
        let kind = BlobKind::Tree;
        Self { kind, id }
    }
}

impl std::fmt::Display for BlobId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} blob {}", self.kind.name(), self.id)
    }
}

/// Where a blob lies within a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedBlob {
    /// Which blob.
    pub blob: BlobId,
    /// Where its encrypted bytes start.
    pub offset: u32,
    /// How many encrypted bytes it has.
    pub length: u32,
    /// The bytes of its plain text where it is compressed, else `None`.
    pub uncompressed_length: Option<u32>,
}

/// Where a blob lies in a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobLocation {
    /// The pack.
    pub pack: Id,
    /// Where its encrypted bytes start.
    pub offset: u32,
    /// How many encrypted bytes it has.
    pub length: u32,
    /// The bytes of its plain text where it is compressed, else `None`.
    pub uncompressed_length: Option<u32>,
}

impl BlobLocation {
    /// The bytes of the pack that hold it.
    pub fn range(&self) -> std::ops::Range<u64> {
        let start = u64::from(self.offset);
        start..start + u64::from(self.length)
    }

    /// The bytes of the plain text.
    pub fn plain_bytes(&self) -> u64 {
        let stored = u64::from(self.length).saturating_sub(OVERHEAD_BYTES as u64);
        self.uncompressed_length.map_or(stored, u64::from)
    }
}

/// Compresses and encrypts blobs; one for each thread, with its own buffers.
#[derive(Debug)]
pub struct BlobEncoder {
    compressor: Option<BlobCompressor>,
    buffer: Vec<u8>,
}

impl BlobEncoder {
    /// Makes an encoder for a repository of the given version; version 1 does not compress.
    ///
    /// # Errors
    /// Fails where memory is short.
    pub fn new(repo_version: u32) -> Result<Self> {
        Ok(Self {
            compressor: (repo_version >= 2).then(BlobCompressor::new).transpose()?,
            buffer: Vec::new(),
        })
    }

    /// Returns the encrypted bytes, and the length of the plain text where it was compressed.
    ///
    /// # Errors
    /// [`Error::Invalid`] above [`MAX_BLOB_BYTES`], [`Error::NoRandomness`].
    pub fn encode(&mut self, key: &Key, plain: &[u8]) -> Result<(&[u8], Option<u32>)> {
        let plain_bytes = u32::try_from(plain.len()).ok();
        let Some(plain_bytes) = plain_bytes.filter(|_| plain.len() <= MAX_BLOB_BYTES) else {
            return Err(Error::Invalid(format!(
                "A blob of {} bytes, which is more than the {MAX_BLOB_BYTES} that can be read back",
                plain.len()
            )));
        };
        self.buffer.clear();
        self.buffer.resize(NONCE_BYTES, 0);
        let compressed = match &mut self.compressor {
            Some(compressor) => compressor.compress(plain, &mut self.buffer)?,
            None => false,
        };
        if !compressed {
            self.buffer.extend_from_slice(plain);
        }
        key.seal_in_place(&mut self.buffer)?;
        Ok((&self.buffer, compressed.then_some(plain_bytes)))
    }
}

/// Decrypts a blob where it lies, decompresses it, and checks that it is the one that it should be.
///
/// # Errors
/// [`Error::Damaged`], naming the blob.
pub fn decode(
    key: &Key,
    blob: BlobId,
    uncompressed_length: Option<u32>,
    sealed: &mut [u8],
) -> Result<Vec<u8>> {
    let damaged = |reason: String| Error::Damaged {
        what: format!("The {blob}"),
        reason,
    };
    let opened = key
        .open_in_place(sealed)
        .ok_or_else(|| damaged("it does not decrypt with this repository's key".to_owned()))?;
    let plain = match uncompressed_length {
        None => opened.to_vec(),
        Some(expected) => {
            let limit = (expected as usize).min(MAX_BLOB_BYTES);
            decompress(opened, limit).map_err(damaged)?
        }
    };
    if Id::of(&plain) != blob.id {
        return Err(damaged("its content does not have its name".to_owned()));
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_read_back_is_not_written() {
        let key = Key::generate().unwrap();
        for version in [1, 2] {
            let mut encoder = BlobEncoder::new(version).unwrap();
            let error = encoder.encode(&key, &vec![0; MAX_BLOB_BYTES + 1]);
            let text = error.unwrap_err().to_string();
            assert!(text.contains("1073741825 bytes"), "{text}");
        }
    }

    #[test]
    fn a_blob_comes_back_and_only_under_its_own_name() {
        let key = Key::generate().unwrap();
        for (version, plain) in [
            (1, b"some text ".repeat(50)),
            (2, b"some text ".repeat(50)),
            (2, vec![]),
        ] {
            let mut encoder = BlobEncoder::new(version).unwrap();
            let (bytes, uncompressed) = encoder.encode(&key, &plain).unwrap();
            let bytes = bytes.to_vec();
            assert_eq!(uncompressed.is_some(), version == 2 && !plain.is_empty());
            let blob = BlobId::data(Id::of(&plain));
            assert_eq!(
                decode(&key, blob, uncompressed, &mut bytes.clone()).unwrap(),
                plain
            );
            let wrong = BlobId::data(Id::of(b"else"));
            assert!(decode(&key, wrong, uncompressed, &mut bytes.clone()).is_err());
            assert!(decode(&key, blob, uncompressed, &mut bytes[1..].to_vec()).is_err());
        }
    }
}
