//! Cuts a stream where its content says so, so that an insertion moves one cut and not all.
//!
//! FastCDC (Xia et al., 2020: gear hash, two bytes a step, normalised chunking) with bounds that
//! restic allows: 512 KiB to 8 MiB, around 1 MiB. The gear table is not the published one but is
//! derived from the repository's key, because stored sizes are visible to whoever holds a copy:
//! with a public table, or one that a single 64-bit seed XORs, they identify known files.
//!
//! Readers never cut: they follow the list of blobs. So this may change without breaking a
//! repository; it would only cost deduplication against what was cut before.

use crate::Result;
use crate::crypto::Key;

/// The least bytes of a chunk, but for the last of a stream.
pub const MIN_CHUNK_BYTES: usize = 512 << 10;
/// The most bytes of a chunk.
pub const MAX_CHUNK_BYTES: usize = 8 << 20;
/// Where the mask changes from a strict to a lax one.
const NORMAL_CHUNK_BYTES: usize = 1 << 20;

/// Before the normal size a cut needs 22 zero bits, afterwards 18: normalisation level 2.
/// Bit 63 is spared, since the two-byte step shifts it out.
const STRICT_MASK: u64 = ((1 << 22) - 1) << 41;
const LAX_MASK: u64 = ((1 << 18) - 1) << 45;

/// The gear table of one repository, and the same table shifted left by one.
#[derive(Clone)]
pub struct Gear {
    table: [u64; 256],
    shifted: [u64; 256],
}

impl Gear {
    /// Derives the table from the repository's master key.
    ///
    /// # Errors
    /// Fails only where HKDF refuses the length, which it does not.
    pub fn new(key: &Key) -> Result<Self> {
        let bytes = key.derive::<2048>("strongroom chunker gear table v1")?;
        let mut table = [0; 256];
        for (entry, bytes) in table.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *entry = u64::from_le_bytes(*bytes);
        }
        let shifted = table.map(|entry| entry << 1);
        Ok(Self { table, shifted })
    }
}

impl std::fmt::Debug for Gear {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gear(…)")
    }
}

/// Finds the cuts of one stream, fed piece by piece.
#[derive(Debug)]
pub struct Chunker<'a> {
    gear: &'a Gear,
    hash: u64,
    length: usize,
}

impl<'a> Chunker<'a> {
    /// Starts at the beginning of a stream.
    pub fn new(gear: &'a Gear) -> Self {
        Self {
            gear,
            hash: 0,
            length: 0,
        }
    }

    /// Looks for the end of the current chunk in the bytes that follow those already fed.
    ///
    /// Returns how many of `bytes` belong to the current chunk, and the next call starts a new
    /// one; or `None` where all of them do and the chunk goes on.
    pub fn feed(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut position = MIN_CHUNK_BYTES.saturating_sub(self.length).min(bytes.len());
        for (limit, mask) in [
            (NORMAL_CHUNK_BYTES, STRICT_MASK),
            (MAX_CHUNK_BYTES, LAX_MASK),
        ] {
            let end = limit.saturating_sub(self.length).min(bytes.len());
            let (_, rest) = bytes.split_at(position);
            let (window, _) = rest.split_at(end.saturating_sub(position));
            if let Some(found) = self.scan(window, mask) {
                return Some(self.cut(position + found));
            }
            position = position.max(end);
        }
        if self.length + position >= MAX_CHUNK_BYTES {
            return Some(self.cut(position));
        }
        self.length += bytes.len();
        None
    }

    fn cut(&mut self, position: usize) -> usize {
        self.hash = 0;
        self.length = 0;
        position
    }

    /// Returns the number of bytes up to and with the one at which the hash matches.
    fn scan(&mut self, window: &[u8], mask: u64) -> Option<usize> {
        let Gear { table, shifted } = self.gear;
        let mut hash = self.hash;
        let (pairs, last) = window.as_chunks::<2>();
        for (index, &[first, second]) in pairs.iter().enumerate() {
            // `first` and `second` are bytes and the tables have 256 entries: no bounds check.
            hash = (hash << 2).wrapping_add(lookup(shifted, first));
            if hash & (mask << 1) == 0 {
                return Some(2 * index + 1);
            }
            hash = hash.wrapping_add(lookup(table, second));
            if hash & mask == 0 {
                return Some(2 * index + 2);
            }
        }
        if let &[byte] = last {
            hash = (hash << 1).wrapping_add(lookup(table, byte));
            if hash & mask == 0 {
                return Some(window.len());
            }
        }
        self.hash = hash;
        None
    }
}

#[expect(
    clippy::indexing_slicing,
    reason = "a byte is always within a table of 256"
)]
#[inline(always)]
const fn lookup(table: &[u64; 256], byte: u8) -> u64 {
    table[byte as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    fn gear() -> Gear {
        Gear::new(&Key::from_bytes(&[7; 64])).unwrap()
    }

    fn noise(seed: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        StdRng::seed_from_u64(seed).fill(&mut bytes[..]);
        bytes
    }

    /// Cuts `data` fed in pieces of `step` bytes; returns the lengths of the chunks.
    fn lengths(data: &[u8], step: usize) -> Vec<usize> {
        let gear = gear();
        let mut chunker = Chunker::new(&gear);
        let mut lengths = Vec::new();
        let mut current = 0;
        for mut piece in data.chunks(step) {
            while let Some(cut) = chunker.feed(piece) {
                lengths.push(current + cut);
                current = 0;
                piece = &piece[cut..];
            }
            current += piece.len();
        }
        lengths.push(current);
        lengths
    }

    #[test]
    fn chunks_keep_their_bounds_and_lie_around_the_normal_size() {
        let data = noise(1, 64 << 20);
        let chunks = lengths(&data, 1 << 20);
        assert_eq!(chunks.iter().sum::<usize>(), data.len());
        let (_, all_but_last) = chunks.split_last().unwrap();
        assert!(
            all_but_last
                .iter()
                .all(|l| (MIN_CHUNK_BYTES..=MAX_CHUNK_BYTES).contains(l))
        );
        let mean = data.len() / chunks.len();
        assert!((900 << 10..1500 << 10).contains(&mean), "{mean}");
    }

    #[test]
    fn cuts_do_not_depend_on_how_the_stream_is_fed_by_even_steps() {
        let data = noise(2, 16 << 20);
        let whole = lengths(&data, data.len());
        for step in [4096, 65_536, 1 << 20] {
            assert_eq!(lengths(&data, step), whole);
        }
    }

    #[test]
    fn cuts_do_not_depend_on_odd_steps_either() {
        let data = noise(3, 6 << 20);
        let whole = lengths(&data, data.len());
        for step in [4097, 65_535, 999_999] {
            assert_eq!(lengths(&data, step), whole);
        }
    }

    #[test]
    fn an_insertion_moves_only_the_cuts_near_it() {
        let data = noise(4, 32 << 20);
        let mut edited = data.clone();
        edited.splice(5_000_000..5_000_000, *b"inserted");
        let ends = |lengths: Vec<usize>, shift: usize| {
            lengths
                .iter()
                .scan(0, |sum, l| {
                    *sum += l;
                    Some(*sum - shift.min(*sum))
                })
                .collect::<std::collections::HashSet<_>>()
        };
        let before = ends(lengths(&data, data.len()), 0);
        let after = ends(lengths(&edited, edited.len()), 8);
        let common = before.intersection(&after).count();
        assert!(common + 6 >= before.len(), "{common} of {}", before.len());
    }

    #[test]
    fn zeroes_are_cut_at_the_greatest_size_or_at_a_regular_one() {
        let chunks = lengths(&vec![0; 40 << 20], 1 << 20);
        let (_, all_but_last) = chunks.split_last().unwrap();
        assert!(all_but_last.windows(2).all(|pair| pair[0] == pair[1]));
    }

    /// The table of docs/format.md, and cuts that another implementation found with it.
    #[test]
    fn the_cuts_of_a_key_are_those_that_the_format_says() {
        let mut bytes = [0; 64];
        for (byte, number) in bytes.iter_mut().zip(0..) {
            *byte = number;
        }
        let gear = Gear::new(&Key::from_bytes(&bytes)).unwrap();
        assert_eq!(gear.table[0], 0xc6f9_cf9b_3888_8297);
        assert_eq!(gear.table[1], 0x6c52_546b_4ac7_4290);
        assert_eq!(gear.table[255], 0x8763_259c_7925_3e8c);
        // The upper halves of Knuth's generator, little-endian.
        let mut state: u64 = 1;
        let mut data = Vec::new();
        while data.len() < 4 << 20 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            data.extend(((state >> 32) as u32).to_le_bytes());
        }
        let mut chunker = Chunker::new(&gear);
        let mut rest = &data[..];
        let mut chunks = Vec::new();
        while let Some(cut) = chunker.feed(rest) {
            chunks.push(cut);
            rest = &rest[cut..];
        }
        chunks.push(rest.len());
        assert_eq!(chunks, [1_251_991, 1_058_272, 1_101_291, 782_750]);
    }

    #[test]
    fn another_key_cuts_elsewhere() {
        let data = noise(5, 16 << 20);
        let other = Gear::new(&Key::from_bytes(&[8; 64])).unwrap();
        assert_ne!(
            Chunker::new(&other).feed(&data),
            Chunker::new(&gear()).feed(&data)
        );
    }
}
