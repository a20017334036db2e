//! Movement, counted: how whoever waits for a place tells slow from hung.
//!
//! A listing of a million files or the bytes of one pack may take longer than anybody would wait
//! for silence. So a place raises this counter with each step that the system has done for it.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A counter of steps; clones are the same counter.
#[derive(Debug, Clone, Default)]
pub struct Pulse(Arc<AtomicU64>);

impl Pulse {
    /// Counts a step.
    pub fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The steps so far.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A stream each of whose reads is a step.
#[derive(Debug)]
pub(crate) struct Beating<R> {
    inner: R,
    pulse: Pulse,
}

impl<R: Read> Beating<R> {
    /// Counts the reads of `inner`.
    pub(crate) const fn new(inner: R, pulse: Pulse) -> Self {
        Self { inner, pulse }
    }
}

impl<R: Read> Read for Beating<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.pulse.beat();
        Ok(count)
    }
}
