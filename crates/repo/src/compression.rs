//! zstd, with a context kept for each thread and a look before the leap.
//!
//! What comes from outside says how large it will be; nothing is trusted beyond a limit.

use std::cell::RefCell;
use std::io::Cursor;

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe;

use crate::{Error, Result};

/// zstd's level for blobs: measured on source trees, libraries and a tar, it stores 0.97 to 1.02
/// of what restic's default does; level 1 up to 1.08, level 3 costs a quarter more time.
const LEVEL: i32 = 2;
/// Blobs below this are compressed without a sample.
const SAMPLED_FROM_BYTES: usize = 64 << 10;
/// How many slices of a blob are tried, and how large each is.
const SAMPLES: usize = 8;
const SAMPLE_BYTES: usize = 4 << 10;

/// Compresses blobs; one for each thread.
pub struct BlobCompressor {
    context: Compressor<'static>,
    sampler: Compressor<'static>,
    sample: Vec<u8>,
}

impl BlobCompressor {
    /// Makes the contexts.
    ///
    /// # Errors
    /// Fails where memory is short.
    pub fn new() -> Result<Self> {
        let make =
            |level| Compressor::new(level).map_err(|error| Error::Invalid(error.to_string()));
        Ok(Self {
            context: make(LEVEL)?,
            sampler: make(1)?,
            sample: Vec::new(),
        })
    }

    /// Appends the compressed form of `plain` to `output`, and returns whether it did.
    ///
    /// It does not where that would not be smaller, which for large blobs is told by a sample.
    ///
    /// # Errors
    /// Fails where zstd does.
    pub fn compress(&mut self, plain: &[u8], output: &mut Vec<u8>) -> Result<bool> {
        if plain.len() >= SAMPLED_FROM_BYTES && !self.sample_compresses(plain)? {
            return Ok(false);
        }
        let start = output.len();
        output.reserve(zstd_safe::compress_bound(plain.len()));
        let mut end = Cursor::new(&mut *output);
        end.set_position(start as u64);
        let written = self
            .context
            .compress_to_buffer(plain, &mut end)
            .map_err(|error| Error::Invalid(error.to_string()))?;
        let worth_it = written < plain.len();
        if !worth_it {
            output.truncate(start);
        }
        Ok(worth_it)
    }

    /// Tells whether slices of the blob, taken together, shrink by more than one part in 32.
    fn sample_compresses(&mut self, plain: &[u8]) -> Result<bool> {
        let mut shrunk_bytes = 0;
        let step = plain.len() / SAMPLES;
        self.sample
            .resize(zstd_safe::compress_bound(SAMPLE_BYTES), 0);
        for slice in plain.chunks(step.max(SAMPLE_BYTES)).take(SAMPLES) {
            let (slice, _) = slice.split_at(SAMPLE_BYTES.min(slice.len()));
            let written = self
                .sampler
                .compress_to_buffer(slice, &mut self.sample[..])
                .map_err(|error| Error::Invalid(error.to_string()))?;
            shrunk_bytes += slice.len().saturating_sub(written);
        }
        Ok(shrunk_bytes > SAMPLES * SAMPLE_BYTES / 32)
    }
}

impl std::fmt::Debug for BlobCompressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BlobCompressor")
    }
}

/// Decompresses one frame, whose plain text may have at most `limit` bytes.
///
/// Returns a text that says what is wrong where it is not that.
pub fn decompress(frame: &[u8], limit: usize) -> std::result::Result<Vec<u8>, String> {
    let capacity = match zstd_safe::get_frame_content_size(frame) {
        Err(_) => return Err("not a zstd frame".to_owned()),
        Ok(Some(size)) => usize::try_from(size).unwrap_or(usize::MAX),
        // A frame without its size is rare (no writer known makes one): grow up to the limit.
        Ok(None) => return decompress_stream(frame, limit),
    };
    if capacity > limit {
        return Err(format!(
            "{capacity} bytes when decompressed, {limit} at most were expected"
        ));
    }
    if capacity > most_bytes_of(frame) {
        return Err(format!(
            "a frame of {} bytes cannot hold the {capacity} bytes that it claims",
            frame.len()
        ));
    }
    let mut plain = Vec::with_capacity(capacity);
    CONTEXT.with_borrow_mut(|kept| {
        let mut context = match kept.take() {
            Some(context) => context,
            None => Decompressor::new().map_err(|error| error.to_string())?,
        };
        let outcome = context.decompress_to_buffer(frame, &mut plain);
        *kept = Some(context);
        outcome.map_err(|error| error.to_string())
    })?;
    Ok(plain)
}

/// The most bytes that a frame can stand for: each of its blocks has a header of three bytes and
/// gives at most 128 KiB (RFC 8878, 3.1.1.2). So a small file never costs much memory, whatever
/// size it claims.
fn most_bytes_of(frame: &[u8]) -> usize {
    (frame.len() / 3).saturating_mul(128 << 10)
}

thread_local! {
    /// One context for each thread: making one costs more than decompressing a small blob.
    static CONTEXT: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

fn decompress_stream(frame: &[u8], limit: usize) -> std::result::Result<Vec<u8>, String> {
    use std::io::Read;
    let mut plain = Vec::new();
    zstd::stream::read::Decoder::new(frame)
        .and_then(|decoder| decoder.take(limit as u64 + 1).read_to_end(&mut plain))
        .map_err(|error| error.to_string())?;
    if plain.len() > limit {
        return Err(format!("more than {limit} bytes when decompressed"));
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    fn noise(length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        StdRng::seed_from_u64(1).fill(&mut bytes[..]);
        bytes
    }

    #[test]
    fn text_shrinks_and_comes_back() {
        let text = b"the same words again and again ".repeat(10_000);
        let mut output = b"before".to_vec();
        assert!(
            BlobCompressor::new()
                .unwrap()
                .compress(&text, &mut output)
                .unwrap()
        );
        assert!(output.len() < text.len() / 10);
        assert_eq!(decompress(&output[6..], text.len()).unwrap(), text);
        assert!(decompress(&output[6..], text.len() - 1).is_err());
    }

    #[test]
    fn noise_is_left_alone() {
        let mut compressor = BlobCompressor::new().unwrap();
        for length in [0, 1, 100, 70_000, 1 << 20] {
            let mut output = Vec::new();
            assert!(!compressor.compress(&noise(length), &mut output).unwrap());
            assert!(output.is_empty());
        }
    }

    #[test]
    fn a_blob_that_compresses_only_in_part_is_compressed() {
        let mut mixed = noise(1 << 20);
        mixed[300_000..700_000].fill(0);
        let mut output = Vec::new();
        assert!(
            BlobCompressor::new()
                .unwrap()
                .compress(&mixed, &mut output)
                .unwrap()
        );
    }

    #[test]
    fn junk_is_an_error_and_no_panic() {
        assert!(decompress(b"", 10).is_err());
        assert!(decompress(b"\x28\xb5\x2f\xfd", 10).is_err());
        assert!(decompress(&noise(1000), 1 << 20).is_err());
    }

    #[test]
    fn a_frame_that_claims_more_than_it_can_hold_costs_no_memory() {
        let gigabyte = b"\x28\xb5\x2f\xfd\xa0\x00\x00\x00\x40\x01\x00\x00";
        let reason = decompress(gigabyte, 1 << 30).unwrap_err();
        assert!(reason.contains("cannot hold"), "{reason}");
        let zeros = vec![0; 50 << 20];
        let mut frame = Vec::new();
        let compressed = BlobCompressor::new().unwrap().compress(&zeros, &mut frame);
        assert!(compressed.unwrap());
        assert_eq!(decompress(&frame, zeros.len()).unwrap(), zeros);
    }
}
