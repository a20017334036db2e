//! How far a run has come: counters that the work raises and a display reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// The counters of one run, never waited for; clones are the same counters.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    /// Things done: files for a backup or restore, stored files for verify and sync.
    files: AtomicU64,
    /// Bytes done.
    bytes: AtomicU64,
    /// Bytes that there will be, as far as is known; 0 for unknown.
    expected_bytes: AtomicU64,
    /// Things that there will be, as far as is known; 0 for unknown.
    expected_files: AtomicU64,
    /// Errors so far.
    errors: AtomicU64,
    /// What is being done, for people.
    phase: Mutex<String>,
}

/// One reading of the counters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Things done.
    pub files: u64,
    /// Bytes done.
    pub bytes: u64,
    /// Bytes expected; `None` for unknown.
    pub expected_bytes: Option<u64>,
    /// Things expected; `None` for unknown.
    pub expected_files: Option<u64>,
    /// Errors.
    pub errors: u64,
    /// What is being done.
    pub phase: String,
}

impl Progress {
    /// Reads all counters.
    pub fn read(&self) -> Reading {
        let known = |counter: &AtomicU64| Some(counter.load(Ordering::Relaxed)).filter(|n| *n > 0);
        Reading {
            files: self.0.files.load(Ordering::Relaxed),
            bytes: self.0.bytes.load(Ordering::Relaxed),
            expected_bytes: known(&self.0.expected_bytes),
            expected_files: known(&self.0.expected_files),
            errors: self.0.errors.load(Ordering::Relaxed),
            phase: self.0.phase.lock().clone(),
        }
    }

    /// Begins another part of the work, with counters from zero.
    pub fn begin(&self, phase: impl Into<String>, files: Option<u64>, bytes: Option<u64>) {
        let mut now = self.0.phase.lock();
        *now = phase.into();
        self.0.files.store(0, Ordering::Relaxed);
        self.0.bytes.store(0, Ordering::Relaxed);
        self.0
            .expected_files
            .store(files.unwrap_or(0), Ordering::Relaxed);
        self.0
            .expected_bytes
            .store(bytes.unwrap_or(0), Ordering::Relaxed);
    }

    /// Says how much there will be, if the work is still in this phase.
    pub fn expect(&self, phase: &str, files: u64, bytes: u64) {
        let now = self.0.phase.lock();
        if *now == phase {
            self.0.expected_files.store(files, Ordering::Relaxed);
            self.0.expected_bytes.store(bytes, Ordering::Relaxed);
        }
    }

    /// Counts things that are done.
    pub fn add_files(&self, count: u64) {
        self.0.files.fetch_add(count, Ordering::Relaxed);
    }

    /// Counts bytes that are done.
    pub fn add_bytes(&self, count: u64) {
        self.0.bytes.fetch_add(count, Ordering::Relaxed);
    }

    /// Counts an error.
    pub fn add_error(&self) {
        self.0.errors.fetch_add(1, Ordering::Relaxed);
    }
}
