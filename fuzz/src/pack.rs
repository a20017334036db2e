//! Headers of packs, from memory and through a store.
//!
//! The input is the length of the data before the header (4 bytes, little endian, taken modulo
//! 64 KiB) and the plain header; and once more as a whole pack.

use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::blob::PackedBlob;
use strongroom_repo::pack::{PackBuilder, header_of, read_header, size_bytes};
use strongroom_testkit::MemoryStore;

use crate::key;

const DATA_LIMIT_BYTES: usize = 64 << 10;

pub(crate) fn header(data: &[u8]) -> bool {
    assert_eq!(headers(data), None, "junk was taken");
    let Some((length, plain)) = data.split_first_chunk::<4>() else {
        return false;
    };
    let data_bytes = u32::from_le_bytes(*length) as usize % DATA_LIMIT_BYTES;
    let sealed = key().seal(plain).unwrap_or_default();
    let mut pack = vec![0; data_bytes];
    pack.extend_from_slice(&sealed);
    pack.extend_from_slice(&u32::try_from(sealed.len()).unwrap_or(0).to_le_bytes());
    let Some(blobs) = headers(&pack) else {
        return false;
    };
    assert_eq!(size_bytes(&blobs), pack.len() as u64);
    let mut end = 0;
    for blob in &blobs {
        assert_eq!(u64::from(blob.offset), end, "a gap");
        end += u64::from(blob.length);
    }
    assert_eq!(end, data_bytes as u64);
    assert_eq!(rebuilt(&blobs, &pack).as_ref(), Some(&blobs));
    true
}

/// Reads a header in both ways, which must agree, and with lengths that are not the pack's.
fn headers(pack: &[u8]) -> Option<Vec<PackedBlob>> {
    let from_memory = header_of(key(), pack).ok();
    let id = Id::default();
    let store = MemoryStore::new("pack");
    store.put(FileName::new(FileType::Data, id), pack);
    let length = pack.len() as u64;
    let from_store = |pack_bytes| read_header(&store, key(), id, pack_bytes).ok();
    assert_eq!(from_store(length), from_memory);
    for lie in [0, 1, 4, length / 2, length.saturating_sub(1)] {
        let _ = from_store(lie);
    }
    for lie in [length + 1, u64::MAX] {
        assert_eq!(from_store(lie), None);
    }
    from_memory
}

/// Builds the same pack again and reads it.
fn rebuilt(blobs: &[PackedBlob], pack: &[u8]) -> Option<Vec<PackedBlob>> {
    let mut builder = PackBuilder::with_capacity(pack.len());
    for blob in blobs {
        let start = blob.offset as usize;
        let bytes = pack.get(start..start + blob.length as usize)?;
        let added = builder.add(blob.blob, bytes, blob.uncompressed_length);
        assert_eq!(added.ok().as_ref(), Some(blob));
    }
    let finished = builder.finish(key()).ok()?;
    assert_eq!(finished.bytes.len(), pack.len());
    assert_eq!(finished.id, Id::of(&finished.bytes));
    header_of(key(), &finished.bytes).ok()
}
