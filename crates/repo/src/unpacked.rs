//! Files that stand alone: index, snapshots, locks.
//!
//! Version 2 puts one byte before the text: 2 for zstd. Version 1, and some of version 2, are
//! plain JSON, which is told by its first byte. See "Unpacked Data Format" in restic's design.

use strongroom_model::Id;

use crate::compression::decompress;
use crate::crypto::NONCE_BYTES;
use crate::{Error, Key, Result};

/// The most bytes that an unpacked file may have when decompressed: an index of a million blobs
/// has about 170 MB.
const MAX_UNPACKED_BYTES: usize = 256 << 20;

/// What a file may have when decompressed however small it is.
const ALWAYS_UNPACKED_BYTES: usize = 8 << 20;

/// How many times larger a file may become: an index doubles, and ten thousand paths that differ
/// in their last digits grow by less than this.
const MOST_SHRINKING: usize = 128;

const ENCODING_ZSTD: u8 = 2;

/// Encrypts the JSON of a file, compressed in repositories of version 2; returns its name and
/// bytes.
///
/// # Errors
/// [`Error::NoRandomness`].
pub fn seal(key: &Key, repo_version: u32, json: &[u8]) -> Result<(Id, Vec<u8>)> {
    let mut buffer = vec![0; NONCE_BYTES];
    if repo_version >= 2 {
        buffer.push(ENCODING_ZSTD);
        let frame = zstd::bulk::compress(json, 3).map_err(|e| Error::Invalid(e.to_string()))?;
        buffer.extend_from_slice(&frame);
    } else {
        buffer.extend_from_slice(json);
    }
    key.seal_in_place(&mut buffer)?;
    Ok((Id::of(&buffer), buffer))
}

/// Decrypts a file and returns its JSON.
///
/// # Errors
/// A text that says what is wrong with it, for the caller knows the file's name.
pub fn open(key: &Key, mut bytes: Vec<u8>) -> std::result::Result<Vec<u8>, String> {
    let plain = key
        .open_in_place(&mut bytes)
        .ok_or("it does not decrypt with this repository's key")?;
    match plain.split_first() {
        Some((b'{' | b'[', _)) => Ok(plain.to_vec()),
        Some((&ENCODING_ZSTD, frame)) => decompress(frame, most_bytes_of(frame)),
        Some((other, _)) => Err(format!("unknown encoding {other}")),
        None => Err("it is empty".to_owned()),
    }
}

/// The most bytes that a compressed file may have: a small one is no bomb, whoever sealed it.
fn most_bytes_of(frame: &[u8]) -> usize {
    let most_bytes = frame.len().saturating_mul(MOST_SHRINKING);
    most_bytes.clamp(ALWAYS_UNPACKED_BYTES, MAX_UNPACKED_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_come_back() {
        let key = Key::generate().unwrap();
        for version in [1, 2] {
            let (id, bytes) = seal(&key, version, b"{\"a\":1}").unwrap();
            assert_eq!(id, Id::of(&bytes));
            assert_eq!(open(&key, bytes).unwrap(), b"{\"a\":1}");
        }
    }

    #[test]
    fn a_bomb_is_refused_and_a_list_of_paths_is_not() {
        let key = Key::generate().unwrap();
        let (_, bomb) = seal(&key, 2, "[[[[".repeat(8 << 20).as_bytes()).unwrap();
        assert!(bomb.len() < 16 << 10);
        let reason = open(&key, bomb).unwrap_err();
        assert!(reason.contains("at most were expected"), "{reason}");
        let paths = (0..300_000).map(|number| format!("\"/srv/customers/archive/{number}\","));
        let list = format!("[{}]", paths.collect::<String>());
        let (_, bytes) = seal(&key, 2, list.as_bytes()).unwrap();
        assert!(list.len() > ALWAYS_UNPACKED_BYTES && open(&key, bytes).is_ok());
    }

    #[test]
    fn junk_is_named() {
        let key = Key::generate().unwrap();
        assert!(
            open(&key, b"12345".to_vec())
                .unwrap_err()
                .contains("decrypt")
        );
        let odd = key.seal(b"\x07junk").unwrap();
        assert_eq!(open(&key, odd).unwrap_err(), "unknown encoding 7");
        assert_eq!(
            open(&key, key.seal(b"").unwrap()).unwrap_err(),
            "it is empty"
        );
    }
}
