//! A few connections for many threads.
//!
//! What can go wrong: a thread that keeps its connection. Whoever waits for one therefore waits a
//! limited time, and is then told why.

use std::fmt;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::Result;
use crate::database::failed;

/// How long to wait for a connection.
const WAIT: Duration = Duration::from_secs(30);

/// Places for connections; whoever gets an empty one fills it.
pub(super) struct Pool<T> {
    /// The places that are free; those last used come last.
    free: Mutex<Vec<Option<T>>>,
    freed: Condvar,
}

impl<T> Pool<T> {
    /// A pool of so many places, all of them empty.
    pub(super) fn new(places: usize) -> Self {
        Self {
            free: Mutex::new((0..places).map(|_| None).collect()),
            freed: Condvar::new(),
        }
    }

    /// Does work with the place that was used last.
    pub(super) fn with<R>(&self, work: impl FnOnce(&mut Option<T>) -> Result<R>) -> Result<R> {
        let mut free = self.free.lock();
        self.freed
            .wait_while_for(&mut free, |free| free.is_empty(), WAIT);
        let Some(item) = free.pop() else {
            return Err(failed("read", "Every connection has been busy for long"));
        };
        drop(free);
        let mut place = Place { pool: self, item };
        work(&mut place.item)
    }
}

impl<T> fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

/// A place that is in use; free again when dropped, whatever happened.
struct Place<'p, T> {
    pool: &'p Pool<T>,
    item: Option<T>,
}

impl<T> Drop for Place<'_, T> {
    fn drop(&mut self) {
        self.pool.free.lock().push(self.item.take());
        self.pool.freed.notify_one();
    }
}
