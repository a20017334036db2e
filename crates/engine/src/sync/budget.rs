//! How many bytes of files are in memory at a time.

use parking_lot::{Condvar, Mutex};

/// A number of bytes that threads take from and give back to.
#[derive(Debug)]
pub(crate) struct Budget {
    total_bytes: u64,
    free_bytes: Mutex<u64>,
    given_back: Condvar,
}

/// Bytes that were taken; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Permit<'a> {
    budget: &'a Budget,
    bytes: u64,
}

impl Budget {
    pub(crate) fn new(total_bytes: u64) -> Self {
        Self {
            total_bytes,
            free_bytes: Mutex::new(total_bytes),
            given_back: Condvar::new(),
        }
    }

    /// Waits until there are so many. Who wants more than there are at all waits for all of them.
    pub(crate) fn take(&self, bytes: u64) -> Permit<'_> {
        let bytes = bytes.min(self.total_bytes);
        let mut free = self.free_bytes.lock();
        while *free < bytes {
            self.given_back.wait(&mut free);
        }
        *free -= bytes;
        Permit {
            budget: self,
            bytes,
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *self.budget.free_bytes.lock() += self.bytes;
        self.budget.given_back.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn no_more_is_taken_than_there_is() {
        let budget = Budget::new(10);
        let in_use = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for bytes in [3, 4, 7, 10, 25, 1] {
                let (budget, in_use) = (&budget, &in_use);
                scope.spawn(move || {
                    for _ in 0..200 {
                        let permit = budget.take(bytes);
                        let now = in_use.fetch_add(permit.bytes, Ordering::SeqCst);
                        assert!(now + permit.bytes <= 10);
                        in_use.fetch_sub(permit.bytes, Ordering::SeqCst);
                    }
                });
            }
        });
    }
}
