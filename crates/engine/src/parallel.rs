//! The same work for many things, on a few threads.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{Error, Result};

/// The threads that read from a place behind a network.
const REMOTE_READERS: usize = 8;

/// Calls `work` for each item from up to `threads` threads, in order of beginning.
///
/// # Errors
/// The first error ends it; what was begun is finished.
pub(crate) fn for_each<T: Sync>(
    items: &[T],
    threads: usize,
    work: impl Fn(&T) -> Result<()> + Sync,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let run = || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = work(item) {
                next.store(items.len(), Ordering::Relaxed);
                return Err(error);
            }
        }
        Ok(())
    };
    let threads = threads.min(items.len());
    if threads <= 1 {
        return run();
    }
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        let mut outcome = Ok(());
        for handle in handles {
            let ended = handle.join().unwrap_or(Err(Error::Interrupted));
            outcome = outcome.and(ended);
        }
        outcome
    })
}

/// How many threads this machine runs at once.
pub(crate) fn cores() -> usize {
    // Asking reads several files.
    static CORES: LazyLock<usize> =
        LazyLock::new(|| std::thread::available_parallelism().map_or(2, usize::from));
    *CORES
}

/// How many threads read what others do not wait for: more where it comes by a network, for most of the
/// time they wait.
pub(crate) fn readers(is_local: bool) -> usize {
    match is_local {
        true => cores(),
        false => cores().max(REMOTE_READERS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    #[test]
    fn every_item_is_worked_on_once() {
        let sum = AtomicU64::new(0);
        let items: Vec<u64> = (1..=1000).collect();
        for_each(&items, 4, |item| {
            sum.fetch_add(*item, Ordering::Relaxed);
            Ok(())
        })
        .unwrap();
        assert_eq!(sum.into_inner(), 500_500);
    }

    #[test]
    fn an_error_ends_it() {
        let items: Vec<u64> = (1..=1000).collect();
        let outcome = for_each(&items, 4, |item| match item {
            7 => Err(Error::Interrupted),
            _ => Ok(()),
        });
        assert!(outcome.is_err());
    }
}
