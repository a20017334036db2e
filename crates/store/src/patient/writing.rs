//! How much is being written to a place at a time, and how much longer it is waited for then.
//!
//! What is written goes into the system's memory at once, where nothing of it is seen to be slow;
//! then all who write wait for the disk together. Where they are served evenly none of them is done
//! before nearly all are. So silence is allowed to last longer the more is being written, and no
//! place has to be faster because it is given several packs at a time.
//!
//! What can go wrong: a place that hangs under many packs is found out later than it might be. So
//! there is a most.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many bytes a place has the limit once more for.
///
/// With a limit of two minutes this is 140 kB/s.
const BYTES_PER_LIMIT: u64 = 16 << 20;

/// How often a place has the limit at most: ten minutes, with a limit of two.
const LIMITS_AT_MOST: u32 = 5;

/// The bytes that are being written to a place, all together; clones are the same counter.
#[derive(Debug, Clone, Default)]
pub(super) struct Writing(Arc<AtomicU64>);

/// Bytes of one file that are being written, as long as this lives.
#[derive(Debug)]
pub(super) struct Written {
    all: Writing,
    size_bytes: u64,
}

impl Writing {
    /// Counts a file of so many bytes in.
    pub(super) fn begin(&self, size_bytes: u64) -> Written {
        self.0.fetch_add(size_bytes, Ordering::AcqRel);
        Written {
            all: self.clone(),
            size_bytes,
        }
    }

    /// How often the limit may pass before the place counts as hung.
    pub(super) fn limits(&self) -> u32 {
        let more = self.0.load(Ordering::Acquire) / BYTES_PER_LIMIT;
        u32::try_from(more)
            .unwrap_or(u32::MAX)
            .saturating_add(1)
            .min(LIMITS_AT_MOST)
    }
}

impl Written {
    /// Counts more bytes of the file in.
    pub(super) fn grow(&mut self, more_bytes: u64) {
        self.all.0.fetch_add(more_bytes, Ordering::AcqRel);
        self.size_bytes += more_bytes;
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        self.all.0.fetch_sub(self.size_bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_given_once_more_for_every_16_mib_and_five_times_at_most() {
        let writing = Writing::default();
        assert_eq!(writing.limits(), 1);
        let small = writing.begin((16 << 20) - 1);
        assert_eq!(writing.limits(), 1);
        let one = writing.begin(1);
        assert_eq!(writing.limits(), 2);
        let more = [(); 3].map(|()| writing.begin(16 << 20));
        assert_eq!(writing.limits(), 5);
        let huge = writing.begin(u64::MAX >> 1);
        assert_eq!(writing.limits(), 5);
        drop((huge, more, one));
        assert_eq!(writing.limits(), 1);
        let mut growing = writing.begin(0);
        growing.grow(16 << 20);
        growing.grow(16 << 20);
        assert_eq!(writing.limits(), 3);
        drop(growing);
        drop(small);
        assert_eq!(writing.0.load(Ordering::Acquire), 0);
    }
}
