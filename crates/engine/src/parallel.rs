//! The same work for many things, on a few threads.

use std::panic::resume_unwind;
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

/// Does two things at a time, the first one on a thread of its own; one after the other where no thread
/// can be started.
pub(crate) fn both<A: Send, B>(first: impl Fn() -> A + Sync, second: impl FnOnce() -> B) -> (A, B) {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, &first);
        let second = second();
        let first = match thread {
            Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Err(_) => first(),
        };
        (first, second)
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
    use std::sync::Mutex;
    use std::sync::atomic::AtomicU64;
    use std::sync::mpsc::{Receiver, Sender};
    use std::time::Duration;

    const LONG: Duration = Duration::from_secs(60);

    fn channel() -> (Sender<()>, Mutex<Receiver<()>>) {
        let (give, take) = std::sync::mpsc::channel();
        (give, Mutex::new(take))
    }

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
    fn two_things_are_done_at_a_time() {
        let (here, there) = (channel(), channel());
        let met = both(
            || {
                here.0.send(()).unwrap();
                there.1.lock().unwrap().recv_timeout(LONG)
            },
            || {
                there.0.send(()).unwrap();
                here.1.lock().unwrap().recv_timeout(LONG)
            },
        );
        assert_eq!(met, (Ok(()), Ok(())));
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
