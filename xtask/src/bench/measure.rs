//! One program, run once and measured; many runs, and their medians.
//!
//! What can go wrong: Linux counts into a child's peak memory what its parent held when it was
//! started, so this process must stay small. It never holds the data, and checks itself.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};
use wait4::Wait4;

use crate::bench::contender::{Contender, Step};
use crate::bench::data::each_file;

/// What one run cost.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sample {
    /// From start to end.
    pub(super) wall: Duration,
    /// User and system time of all its threads.
    pub(super) cpu: Duration,
    /// The most memory it held at once; what this process holds is the least that can be seen.
    pub(super) peak_bytes: u64,
    /// What one of its repositories holds afterwards.
    pub(super) stored_bytes: u64,
    /// What all of its repositories hold afterwards.
    pub(super) read_bytes: u64,
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:7.2} s  {:7.2} s CPU  {:5} MB peak  {:5} MB stored",
            self.wall.as_secs_f64(),
            self.cpu.as_secs_f64(),
            self.peak_bytes / 1_000_000,
            self.stored_bytes / 1_000_000
        )
    }
}

/// What this process may hold: far below what any backup takes.
const OWN_LIMIT_BYTES: u64 = 24 << 20;

/// Runs a program to its end; fails with what it printed when it fails.
pub(super) fn measure(command: &mut Command, log: &Path) -> Result<Sample> {
    let output = File::create(log)?;
    command
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output);
    let started = Instant::now();
    let used = command
        .spawn()
        .with_context(|| format!("Cannot start {}", command.get_program().display()))?
        .wait4()?;
    let wall = started.elapsed();
    if !used.status.success() {
        let said = fs::read_to_string(log)?;
        bail!("{command:?} failed: {}\n{said}", used.status);
    }
    let floor = peak_bytes(std::process::id())?;
    ensure!(
        floor < OWN_LIMIT_BYTES,
        "This process held {floor} bytes, which hides the peaks of what it starts"
    );
    Ok(Sample {
        wall,
        cpu: used.rusage.utime + used.rusage.stime,
        peak_bytes: used.rusage.maxrss.max(floor),
        ..Sample::default()
    })
}

/// Every run of one data set.
#[derive(Debug, Default)]
pub(super) struct Samples {
    runs: BTreeMap<(Contender, Step), Vec<Sample>>,
    sha256_rates: Vec<f64>,
    reading_rates: Vec<f64>,
}

impl Samples {
    /// Keeps a run.
    pub(super) fn add(&mut self, contender: Contender, step: Step, sample: Sample) {
        self.runs.entry((contender, step)).or_default().push(sample);
    }

    /// Keeps what [`sha256_rate`] gave.
    pub(super) fn add_sha256_rate(&mut self, rate: f64) {
        self.sha256_rates.push(rate);
    }

    /// Keeps what [`reading_rate`] gave.
    pub(super) fn add_reading_rate(&mut self, rate: f64) {
        self.reading_rates.push(rate);
    }

    /// The median of each figure by itself.
    pub(super) fn median(&self, contender: Contender, step: Step) -> Option<Sample> {
        let runs = self.runs.get(&(contender, step))?;
        let of = |figure: fn(&Sample) -> u64| median(runs.iter().map(figure));
        let duration = |figure: fn(&Sample) -> Duration| median(runs.iter().map(figure));
        Some(Sample {
            wall: duration(|run| run.wall)?,
            cpu: duration(|run| run.cpu)?,
            peak_bytes: of(|run| run.peak_bytes)?,
            stored_bytes: of(|run| run.stored_bytes)?,
            read_bytes: of(|run| run.read_bytes)?,
        })
    }

    /// Bytes a second that one core hashed between the runs.
    pub(super) fn median_sha256_rate(&self) -> Option<f64> {
        median_rate(&self.sha256_rates)
    }

    /// Bytes a second that one core read and hashed between the runs.
    pub(super) fn median_reading_rate(&self) -> Option<f64> {
        median_rate(&self.reading_rates)
    }
}

/// Bytes a second that one core hashes of a block that its cache holds.
pub(super) fn sha256_rate() -> f64 {
    const BYTES: usize = 512 << 20;
    let block = vec![0x5a_u8; 256 << 10];
    let mut hash = Sha256::new();
    let started = Instant::now();
    for _ in 0..BYTES / block.len() {
        hash.update(&block);
    }
    std::hint::black_box(hash.finalize());
    BYTES as f64 / started.elapsed().as_secs_f64()
}

/// Bytes a second that one core reads from the files of a folder and hashes, doing nothing else:
/// what a verify that reads its files can reach.
pub(super) fn reading_rate(folder: &Path) -> Result<f64> {
    let mut block = vec![0; 128 << 10];
    let mut bytes = 0;
    let started = Instant::now();
    each_file(folder, &mut |path, _| {
        let mut file = File::open(path)?;
        let mut hash = Sha256::new();
        loop {
            match file.read(&mut block)? {
                0 => break,
                step => hash.update(block.get(..step).unwrap_or_default()),
            }
        }
        bytes += file.stream_position()?;
        std::hint::black_box(hash.finalize());
        Ok(true)
    })?;
    Ok(bytes as f64 / started.elapsed().as_secs_f64())
}

/// The most memory that a process has held at once.
pub(super) fn peak_bytes(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let kilobytes: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next())
        .with_context(|| format!("No VmHWM in /proc/{process}/status"))?
        .parse()?;
    Ok(kilobytes << 10)
}

/// The middle one of several rates.
pub(super) fn median_rate(rates: &[f64]) -> Option<f64> {
    let mut rates = rates.to_vec();
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied()
}

fn median<T: Ord + Copy>(figures: impl Iterator<Item = T>) -> Option<T> {
    let mut figures: Vec<T> = figures.collect();
    figures.sort();
    figures.get(figures.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_of_what_was_measured() {
        assert_eq!(median([5, 1, 9].into_iter()), Some(5));
        assert_eq!(median([7].into_iter()), Some(7));
        assert_eq!(median(std::iter::empty::<u8>()), None);
    }

    #[test]
    fn a_failing_program_fails_the_run_with_what_it_printed() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut command = Command::new("ls");
        command.arg("/this is not there");
        let error = measure(&mut command, log.path()).unwrap_err().to_string();
        assert!(error.contains("/this is not there"), "{error}");
    }
}
