//! The chunker: how a stream is fed never moves a cut, and chunks keep their bounds.
//!
//! The input is how to feed (1 byte) and runs of a stream (3 bytes each): which bytes, and how
//! many in units of 64.

use std::sync::LazyLock;

use strongroom_repo::chunker::{Chunker, Gear, MAX_CHUNK_BYTES, MIN_CHUNK_BYTES};

use crate::key;

/// Enough for the largest chunk and a cut behind it.
const STREAM_LIMIT_BYTES: usize = 12 << 20;

pub(crate) fn chunker(data: &[u8]) -> bool {
    static GEAR: LazyLock<Option<Gear>> = LazyLock::new(|| Gear::new(key()).ok());
    let (Some((step, runs)), Some(gear)) = (data.split_first(), GEAR.as_ref()) else {
        return false;
    };
    let stream = stream(runs);
    let whole = lengths(gear, &stream, stream.len().max(1));
    assert_eq!(whole.iter().sum::<usize>(), stream.len());
    if let Some((last, others)) = whole.split_last() {
        assert!(*last <= MAX_CHUNK_BYTES);
        let bounds = MIN_CHUNK_BYTES..=MAX_CHUNK_BYTES;
        assert!(others.iter().all(|length| bounds.contains(length)));
    }
    let step_bytes = (1 << (step % 20)) + usize::from(step / 20);
    assert_eq!(lengths(gear, &stream, step_bytes), whole, "by {step_bytes}");
    true
}

/// The lengths of the chunks of a stream that is fed in pieces.
fn lengths(gear: &Gear, stream: &[u8], piece_bytes: usize) -> Vec<usize> {
    let mut chunker = Chunker::new(gear);
    let mut lengths = Vec::new();
    let mut current = 0;
    for mut piece in stream.chunks(piece_bytes) {
        while let Some(cut) = chunker.feed(piece) {
            assert!(cut <= piece.len(), "a cut behind what was fed");
            lengths.push(current + cut);
            current = 0;
            (_, piece) = piece.split_at(cut);
        }
        current += piece.len();
    }
    lengths.push(current);
    lengths
}

/// Even bytes stand for themselves, odd ones for noise.
fn stream(runs: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    for [value, low, high] in runs.as_chunks::<3>().0 {
        let length = usize::from(u16::from_le_bytes([*low, *high])) * 64;
        let length = length.min(STREAM_LIMIT_BYTES - stream.len());
        if value % 2 == 0 {
            stream.resize(stream.len() + length, *value);
        } else {
            let mut state = u64::from(*value) << 32 | 1;
            stream.extend((0..length).map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()[3]
            }));
        }
    }
    stream
}
