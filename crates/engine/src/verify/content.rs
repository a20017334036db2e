//! Whether a file under its right name is what its type says.
//!
//! A right name proves only that nobody changed the bytes since they were named: whoever may
//! write may name junk. What proves more is that it decodes, for which most types need the key.

use strongroom_model::FileType;
use strongroom_repo::crypto::OVERHEAD_BYTES;
use strongroom_repo::index::IndexFile;
use strongroom_repo::key::{KeyFile, MAX_KEY_FILE_BYTES};
use strongroom_repo::lock::Lock;
use strongroom_repo::{Key, Snapshot, pack};

/// What a sound file holds, as far as it could be read.
#[derive(Debug)]
pub(crate) enum Content {
    /// An index file.
    Index(IndexFile),
    /// A snapshot.
    Snapshot(Box<Snapshot>),
    /// Anything else, or anything at all without the key: nobody asks for what is in it.
    Opaque,
}

/// Decodes a whole file.
///
/// # Errors
/// A text that says why it is junk.
pub(crate) fn decode(kind: FileType, bytes: &[u8], key: &Key) -> Result<Content, String> {
    check(kind, bytes.len() as u64, bytes)?;
    Ok(match kind {
        FileType::Data => pack::header_of(key, bytes).map(|_| Content::Opaque)?,
        FileType::Index => Content::Index(IndexFile::open(key, bytes.to_vec())?),
        FileType::Snapshots => Content::Snapshot(Box::new(Snapshot::open(key, bytes.to_vec())?)),
        FileType::Locks => Lock::open(key, bytes.to_vec()).map(|_| Content::Opaque)?,
        // Whether some password opens a key is not known.
        FileType::Keys | FileType::Config => Content::Opaque,
    })
}

/// Checks what can be checked of a file without the key: of a key file all of it, of others their
/// size, and of a pack its end.
///
/// # Errors
/// A text that says why it is junk.
pub(crate) fn check(kind: FileType, size_bytes: u64, bytes: &[u8]) -> Result<(), String> {
    match kind {
        FileType::Keys if size_bytes > MAX_KEY_FILE_BYTES => {
            Err("it is too long for a key".to_owned())
        }
        FileType::Keys => KeyFile::parse(bytes).map(|_| ()),
        FileType::Data => Ok(pack::header_length(bytes, size_bytes).map(|_| ())?),
        _ if size_bytes <= OVERHEAD_BYTES as u64 => {
            Err("it is too short for an encrypted file".to_owned())
        }
        _ => Ok(()),
    }
}
