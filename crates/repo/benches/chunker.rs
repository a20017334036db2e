//! How many bytes a second one core scans for cuts: one number, for `cargo xtask bench`.
//!
//! Noise is the worst that a chunker can be given: it cuts where chance says so, and no chunk is
//! longer than it need be.

use std::hint::black_box;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use strongroom_repo::Key;
use strongroom_repo::chunker::{Chunker, Gear};

/// As much as a backup feeds at once.
const SLICE_BYTES: usize = 256 << 10;
const DATA_BYTES: usize = 64 << 20;
const AT_LEAST: Duration = Duration::from_secs(2);

#[expect(clippy::print_stdout, reason = "the number is what this is for")]
fn main() -> strongroom_repo::Result<()> {
    let mut data = vec![0; DATA_BYTES];
    StdRng::seed_from_u64(1).fill_bytes(&mut data);
    let gear = Gear::new(&Key::generate()?)?;
    let mut bytes = 0;
    let started = Instant::now();
    while started.elapsed() < AT_LEAST {
        black_box(count_cuts(&gear, &data));
        bytes += data.len();
    }
    println!("{:.0}", bytes as f64 / started.elapsed().as_secs_f64());
    Ok(())
}

fn count_cuts(gear: &Gear, data: &[u8]) -> usize {
    let mut chunker = Chunker::new(gear);
    let mut cuts = 0;
    for mut slice in data.chunks(SLICE_BYTES) {
        while let Some(end) = chunker.feed(slice) {
            cuts += 1;
            slice = slice.get(end..).unwrap_or_default();
        }
    }
    cuts
}
