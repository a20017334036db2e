//! What lies between bytes and text: the cipher, the compressed form of files, blobs.

use std::cell::RefCell;

use strongroom_model::Id;
use strongroom_repo::blob::{BlobEncoder, decode};
use strongroom_repo::compression::decompress;
use strongroom_repo::{BlobId, unpacked as format};

use crate::key;

/// The largest plain text that a blob is said to have here.
const CLAIM_LIMIT_BYTES: usize = 16 << 20;

/// The input is where to damage (2 bytes), how (1 byte), and the plain text.
pub(crate) fn cipher(data: &[u8]) -> bool {
    assert_eq!(key().open(data), None, "junk was taken");
    let Some((&[low, high, damage], plain)) = data.split_first_chunk::<3>() else {
        return false;
    };
    let sealed = key().seal(plain).unwrap_or_default();
    assert_eq!(key().open(&sealed).as_deref(), Some(plain));
    let position = usize::from(u16::from_le_bytes([low, high])) % sealed.len().max(1);
    let (short, _) = sealed.split_at(position);
    assert_eq!(key().open(short), None, "a torn piece was taken");
    let longer = [&sealed, [damage].as_slice()].concat();
    assert_eq!(key().open(&longer), None, "a longer piece was taken");
    let mut flipped = sealed;
    if let Some(byte) = flipped.get_mut(position) {
        *byte ^= damage;
    }
    assert_eq!(key().open(&flipped).is_some(), damage == 0);
    true
}

/// The input is what stands in an unpacked file behind the encryption.
pub(crate) fn unpacked(data: &[u8]) -> bool {
    assert!(
        format::open(key(), data.to_vec()).is_err(),
        "junk was taken"
    );
    for version in [1, 2] {
        let (id, bytes) = format::seal(key(), version, data).unwrap_or_default();
        assert_eq!(id, Id::of(&bytes));
        let plain = format::open(key(), bytes);
        if version == 2 || data.starts_with(b"{") || data.starts_with(b"[") {
            assert_eq!(plain.as_deref(), Ok(data), "version {version}");
        }
    }
    let sealed = key().seal(data).unwrap_or_default();
    format::open(key(), sealed).is_ok()
}

/// The input is the length that the plain text is said to have (4 bytes, little endian, taken
/// modulo 16 MiB) and a frame.
pub(crate) fn blob(data: &[u8]) -> bool {
    plain_blob(data);
    let Some((claim, frame)) = data.split_first_chunk::<4>() else {
        return false;
    };
    let claim = u32::from_le_bytes(*claim) % CLAIM_LIMIT_BYTES as u32;
    let mut sealed = key().seal(frame).unwrap_or_default();
    let Ok(plain) = decompress(frame, claim as usize) else {
        let any = BlobId::data(Id::of(frame));
        assert!(decode(key(), any, Some(claim), &mut sealed).is_err());
        return false;
    };
    assert!(plain.len() <= claim as usize, "more than was allowed");
    let blob = BlobId::tree(Id::of(&plain));
    assert_eq!(
        decode(key(), blob, Some(claim), &mut sealed).ok(),
        Some(plain)
    );
    true
}

thread_local! {
    /// Encoders are costly to make.
    static ENCODERS: RefCell<Vec<BlobEncoder>> = RefCell::new(
        [1, 2].into_iter().filter_map(|version| BlobEncoder::new(version).ok()).collect(),
    );
}

/// Encodes the input in both versions of the format, and wants it back.
fn plain_blob(plain: &[u8]) {
    let blob = BlobId::data(Id::of(plain));
    ENCODERS.with_borrow_mut(|encoders| {
        assert_eq!(encoders.len(), 2);
        for encoder in encoders {
            let encoded = encoder.encode(key(), plain);
            let encoded = encoded.map(|(bytes, length)| (bytes.to_vec(), length));
            let (mut bytes, length) = encoded.unwrap_or_default();
            assert!(length.is_none_or(|length| length as usize == plain.len()));
            let decoded = decode(key(), blob, length, &mut bytes);
            assert_eq!(decoded.ok().as_deref(), Some(plain));
        }
    });
}
