//! Whether a file under its right name is what its type says.
//!
//! A right name proves only that nobody changed the bytes since they were named: whoever may
//! write may name junk. What proves more is that it decodes, for which most types need the key.

use strongroom_model::{FileType, Id};
use strongroom_repo::crypto::OVERHEAD_BYTES;
use strongroom_repo::index::IndexFile;
use strongroom_repo::key::{KeyFile, MAX_KEY_FILE_BYTES};
use strongroom_repo::lock::Lock;
use strongroom_repo::record::Record;
use strongroom_repo::{Key, Snapshot, pack};
use strongroom_store::read_limit_bytes;

use crate::session::chain;

/// The most bytes of a pack that no index file names: 128 MiB, to which restic and this program let
/// packs grow, and the blob that fills it.
const UNNAMED_PACK_BYTES: u64 = 136 << 20;

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
        FileType::Records => {
            let record = Record::open(Id::of(bytes), bytes.to_vec(), key);
            record
                .map(|_| Content::Opaque)
                .map_err(|error| chain(&error))?
        }
        // Whether some password opens a key is not known.
        FileType::Keys | FileType::Config => Content::Opaque,
    })
}

/// The most bytes that a sound file may have, and so the most that are kept of it before its name is
/// proved. Anybody may list a pack of any size; only who has the key lets an index file name it.
pub(crate) fn whole_limit_bytes(kind: FileType, named_bytes: Option<u64>) -> u64 {
    let limit_bytes = read_limit_bytes(kind);
    match kind {
        FileType::Data => named_bytes
            .unwrap_or_default()
            .clamp(UNNAMED_PACK_BYTES, limit_bytes),
        _ => limit_bytes,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_pack_is_kept_what_an_index_file_says_or_what_restic_writes() {
        let of_pack = |named_bytes| whole_limit_bytes(FileType::Data, named_bytes) >> 20;
        assert_eq!(of_pack(None), 136);
        assert_eq!(of_pack(Some(16 << 20)), 136);
        assert_eq!(of_pack(Some(300 << 20)), 300);
        assert_eq!(of_pack(Some(u64::MAX)), 1024);
        assert_eq!(whole_limit_bytes(FileType::Index, Some(u64::MAX)), 64 << 20);
    }
}
