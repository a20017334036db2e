//! Packs: many encrypted blobs in one file, and a header at its end.
//!
//! `blobs ‖ encrypted header ‖ length of the encrypted header (u32, little endian)`; see "Pack
//! Format" in restic's design document. A pack is built in memory, hashed while it grows, and
//! handed to every copy as the same bytes. Its name is known only when it is finished.

use sha2::{Digest, Sha256};
use strongroom_model::{FileName, FileType, Id};
use strongroom_store::Store;

use crate::blob::{BlobId, BlobKind, PackedBlob};
use crate::crypto::OVERHEAD_BYTES;
use crate::{Error, Key, Result};

const LENGTH_FIELD_BYTES: u64 = 4;
const PLAIN_ENTRY_BYTES: usize = 1 + 4 + 32;
const COMPRESSED_ENTRY_BYTES: usize = 1 + 4 + 4 + 32;

/// The most bytes of a header that is read, and so written: 400,000 blobs. restic's limit is the
/// same.
const MAX_HEADER_BYTES: u64 = 16 << 20;

/// How many bytes are read at first in the hope that the header is among them.
const EAGER_HEADER_BYTES: u64 = 4 << 10;

/// A pack that still grows.
#[derive(Debug)]
pub struct PackBuilder {
    bytes: Vec<u8>,
    hasher: Sha256,
    blobs: Vec<PackedBlob>,
}

/// A pack that is ready to be stored.
#[derive(Debug)]
pub struct FinishedPack {
    /// The SHA-256 of its bytes.
    pub id: Id,
    /// All of it.
    pub bytes: Vec<u8>,
    /// What lies where.
    pub blobs: Vec<PackedBlob>,
}

impl PackBuilder {
    /// Starts a pack, with memory for `capacity_bytes`.
    pub fn with_capacity(capacity_bytes: usize) -> Self {
        Self::reusing(Vec::with_capacity(capacity_bytes))
    }

    /// Starts a pack in a buffer that an earlier one has left.
    pub fn reusing(mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        Self {
            bytes: buffer,
            hasher: Sha256::new(),
            blobs: Vec::new(),
        }
    }

    /// Appends an encrypted blob and returns where it lies.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the pack would exceed 4 GiB.
    pub fn add(
        &mut self,
        blob: BlobId,
        sealed: &[u8],
        uncompressed_length: Option<u32>,
    ) -> Result<PackedBlob> {
        let offset = u32::try_from(self.bytes.len());
        let length = u32::try_from(sealed.len());
        let (Ok(offset), Ok(length)) = (offset, length) else {
            return Err(Error::Invalid("A pack of more than 4 GiB".to_owned()));
        };
        let packed = PackedBlob {
            blob,
            offset,
            length,
            uncompressed_length,
        };
        self.bytes.extend_from_slice(sealed);
        self.hasher.update(sealed);
        self.blobs.push(packed);
        Ok(packed)
    }

    /// The blobs so far, with their encrypted bytes.
    pub fn blobs(&self) -> impl Iterator<Item = (PackedBlob, &[u8])> {
        self.blobs.iter().map(|blob| {
            let start = blob.offset as usize;
            let end = start + blob.length as usize;
            (*blob, self.bytes.get(start..end).unwrap_or_default())
        })
    }

    /// The bytes so far, without header.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was added yet.
    pub fn is_empty(&self) -> bool {
        self.blobs.is_empty()
    }

    /// Whether it is time to finish: it has `pack_bytes`, or no room for one more blob.
    ///
    /// Blobs of a few bytes fill the header long before they fill the pack.
    pub fn is_full(&self, pack_bytes: usize) -> bool {
        self.bytes.len() >= pack_bytes || !self.header_has_room_for(1)
    }

    /// Whether the header stays readable with so many blobs more, compressed or not.
    pub fn header_has_room_for(&self, blobs: usize) -> bool {
        let blobs = self.blobs.len().saturating_add(blobs);
        let entries_bytes = blobs.saturating_mul(COMPRESSED_ENTRY_BYTES);
        let header_bytes = entries_bytes.saturating_add(OVERHEAD_BYTES);
        header_bytes as u64 <= MAX_HEADER_BYTES
    }

    /// Appends the header and names the pack.
    ///
    /// # Errors
    /// [`Error::NoRandomness`].
    pub fn finish(mut self, key: &Key) -> Result<FinishedPack> {
        let header = key.seal(&encode_header(&self.blobs))?;
        let length = u32::try_from(header.len()).unwrap_or(u32::MAX);
        for part in [header.as_slice(), &length.to_le_bytes()] {
            self.bytes.extend_from_slice(part);
            self.hasher.update(part);
        }
        Ok(FinishedPack {
            id: Id::from_bytes(self.hasher.finalize().into()),
            bytes: self.bytes,
            blobs: self.blobs,
        })
    }
}

/// The size that a pack with these blobs has, header included.
pub fn size_bytes<'a>(blobs: impl IntoIterator<Item = &'a PackedBlob>) -> u64 {
    let mut size = LENGTH_FIELD_BYTES + OVERHEAD_BYTES as u64;
    for blob in blobs {
        size += u64::from(blob.length) + entry_bytes(blob) as u64;
    }
    size
}

/// Reads what a pack says of itself.
///
/// # Errors
/// [`Error::Damaged`] where the trailer is impossible, or the header does not decrypt or parse;
/// [`Error::Store`].
pub fn read_header(
    store: &dyn Store,
    key: &Key,
    id: Id,
    pack_bytes: u64,
) -> Result<Vec<PackedBlob>> {
    let name = FileName::new(FileType::Data, id);
    let damaged = |reason: &str| Error::damaged_file(name, store.location(), reason);
    let eager_bytes = EAGER_HEADER_BYTES.min(pack_bytes);
    let mut tail = store.read_range(name, pack_bytes - eager_bytes..pack_bytes)?;
    let length = header_length(&tail, pack_bytes).map_err(&damaged)?;
    let needed_bytes = length + LENGTH_FIELD_BYTES;
    if needed_bytes > eager_bytes {
        tail = store.read_range(name, pack_bytes - needed_bytes..pack_bytes)?;
    }
    let start = (tail.len() as u64).saturating_sub(needed_bytes) as usize;
    let end = tail.len().saturating_sub(LENGTH_FIELD_BYTES as usize);
    let header = tail.get_mut(start..end).unwrap_or_default();
    let data_bytes = pack_bytes - needed_bytes;
    parse_header(key, header, data_bytes).map_err(|reason| damaged(&reason))
}

/// Reads the header of a pack that is in memory.
///
/// # Errors
/// A text that says what is wrong with it.
pub fn header_of(key: &Key, pack: &[u8]) -> std::result::Result<Vec<PackedBlob>, String> {
    let length = header_length(pack, pack.len() as u64)?;
    let end = pack.len().saturating_sub(LENGTH_FIELD_BYTES as usize);
    let start = end.saturating_sub(length as usize);
    let mut header = pack.get(start..end).unwrap_or_default().to_vec();
    parse_header(key, &mut header, start as u64)
}

/// Checks the trailer of a pack, which needs no key, and returns the length of its header.
///
/// `tail` are the last bytes of the pack, at least four of them.
///
/// # Errors
/// A text that says what is wrong with it.
pub fn header_length(tail: &[u8], pack_bytes: u64) -> std::result::Result<u64, &'static str> {
    let Some(length) = tail.last_chunk::<4>() else {
        return Err("it is too short for a pack");
    };
    let length = u64::from(u32::from_le_bytes(*length));
    if length < OVERHEAD_BYTES as u64 || length > MAX_HEADER_BYTES {
        return Err("its header has an impossible length");
    }
    if length + LENGTH_FIELD_BYTES > pack_bytes {
        return Err("its header is longer than the pack");
    }
    Ok(length)
}

fn entry_bytes(blob: &PackedBlob) -> usize {
    match blob.uncompressed_length {
        None => PLAIN_ENTRY_BYTES,
        Some(_) => COMPRESSED_ENTRY_BYTES,
    }
}

fn encode_header(blobs: &[PackedBlob]) -> Vec<u8> {
    let mut header = Vec::with_capacity(blobs.len() * COMPRESSED_ENTRY_BYTES);
    for blob in blobs {
        let tree = u8::from(blob.blob.kind == BlobKind::Tree);
        match blob.uncompressed_length {
            None => header.push(tree),
            Some(_) => header.push(2 + tree),
        }
        header.extend_from_slice(&blob.length.to_le_bytes());
        if let Some(length) = blob.uncompressed_length {
            header.extend_from_slice(&length.to_le_bytes());
        }
        header.extend_from_slice(blob.blob.id.as_bytes());
    }
    header
}

/// Decrypts a header and checks that its blobs fill the `data_bytes` before it exactly.
fn parse_header(
    key: &Key,
    sealed: &mut [u8],
    data_bytes: u64,
) -> std::result::Result<Vec<PackedBlob>, String> {
    let plain = key
        .open_in_place(sealed)
        .ok_or("its header does not decrypt with this repository's key")?;
    let mut rest = &*plain;
    let mut blobs = Vec::with_capacity(rest.len() / PLAIN_ENTRY_BYTES);
    let mut offset = 0_u32;
    while !rest.is_empty() {
        let (blob, tail) = parse_entry(rest, offset).ok_or("its header cannot be parsed")?;
        offset = offset
            .checked_add(blob.length)
            .ok_or("its blobs exceed 4 GiB")?;
        blobs.push(blob);
        rest = tail;
    }
    if u64::from(offset) != data_bytes {
        return Err("its header and its length disagree".to_owned());
    }
    Ok(blobs)
}

fn parse_entry(bytes: &[u8], offset: u32) -> Option<(PackedBlob, &[u8])> {
    let (&[kind], rest) = bytes.split_first_chunk::<1>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (uncompressed_length, rest) = match kind {
        0 | 1 => (None, rest),
        2 | 3 => {
            let (length, rest) = rest.split_first_chunk::<4>()?;
            (Some(u32::from_le_bytes(*length)), rest)
        }
        _ => return None,
    };
    let (id, rest) = rest.split_first_chunk::<32>()?;
    let id = Id::from_bytes(*id);
    let packed = PackedBlob {
        blob: match kind & 1 {
            0 => BlobId::data(id),
            _ => BlobId::tree(id),
        },
        offset,
        length: u32::from_le_bytes(*length),
        uncompressed_length,
    };
    Some((packed, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::{BlobEncoder, decode};
    use proptest::prelude::*;

    fn build(key: &Key, plains: &[Vec<u8>], version: u32) -> FinishedPack {
        let mut builder = PackBuilder::with_capacity(0);
        let mut encoder = BlobEncoder::new(version).unwrap();
        for (number, plain) in plains.iter().enumerate() {
            let id = Id::of(plain);
            let blob = if number % 2 == 0 {
                BlobId::data(id)
            } else {
                BlobId::tree(id)
            };
            let (sealed, length) = encoder.encode(key, plain).unwrap();
            builder.add(blob, sealed, length).unwrap();
        }
        builder.finish(key).unwrap()
    }

    proptest! {
        #[test]
        fn a_pack_says_what_was_put_into_it(
            plains in proptest::collection::vec(proptest::collection::vec(0..3_u8, 0..200), 0..20),
            version in 1..=2_u32,
        ) {
            let key = Key::generate().unwrap();
            let pack = build(&key, &plains, version);
            prop_assert_eq!(pack.id, Id::of(&pack.bytes));
            prop_assert_eq!(size_bytes(&pack.blobs), pack.bytes.len() as u64);
            let header = header_of(&key, &pack.bytes).unwrap();
            prop_assert_eq!(&header, &pack.blobs);
            for (packed, plain) in header.iter().zip(&plains) {
                let range = packed.offset as usize..(packed.offset + packed.length) as usize;
                let mut sealed = pack.bytes[range].to_vec();
                prop_assert_eq!(
                    &decode(&key, packed.blob, packed.uncompressed_length, &mut sealed).unwrap(),
                    plain
                );
            }
        }

        #[test]
        fn damage_anywhere_in_the_tail_is_seen(
            cut in 1..60_usize,
        ) {
            let key = Key::generate().unwrap();
            let pack = build(&key, &[vec![1; 100], vec![2; 100]], 2);
            let shorter = &pack.bytes[..pack.bytes.len() - cut];
            prop_assert!(header_of(&key, shorter).is_err());
            let mut flipped = pack.bytes.clone();
            let position = flipped.len() - cut;
            flipped[position] ^= 1;
            prop_assert!(header_of(&key, &flipped).is_err());
        }

        #[test]
        fn junk_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let key = Key::generate().unwrap();
            prop_assert!(header_of(&key, &bytes).is_err());
        }
    }

    #[test]
    fn a_pack_of_tiny_blobs_is_full_while_its_header_can_still_be_read() {
        let key = Key::generate().unwrap();
        let mut builder = PackBuilder::with_capacity(0);
        let blob = BlobId::tree(Id::of(b""));
        while !builder.is_full(128 << 20) {
            assert!(builder.header_has_room_for(1));
            builder.add(blob, &[0; 3], Some(1)).unwrap();
        }
        let count = builder.blobs.len();
        assert!(!builder.header_has_room_for(1) && !builder.header_has_room_for(usize::MAX));
        let pack = builder.finish(&key).unwrap();
        assert_eq!(header_of(&key, &pack.bytes).unwrap().len(), count);
        assert!(count > 400_000, "{count}");
    }

    #[test]
    fn a_pack_is_full_at_its_size() {
        let mut builder = PackBuilder::with_capacity(0);
        let blob = BlobId::data(Id::of(b""));
        builder.add(blob, &[0; 10], None).unwrap();
        assert!(builder.is_full(10) && !builder.is_full(11));
        assert!(builder.header_has_room_for(400_000));
    }

    #[test]
    fn a_well_encrypted_header_that_lies_about_lengths_is_refused() {
        let key = Key::generate().unwrap();
        let mut builder = PackBuilder::with_capacity(0);
        builder
            .add(BlobId::data(Id::of(b"")), &[0; 50], None)
            .unwrap();
        builder.blobs[0].length = 49;
        let pack = builder.finish(&key).unwrap();
        assert_eq!(
            header_of(&key, &pack.bytes).unwrap_err(),
            "its header and its length disagree"
        );
    }
}
