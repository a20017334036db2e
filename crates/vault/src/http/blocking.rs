//! Where work that blocks is done: the database, disks, hashing.
//!
//! No work here may wait for a client: what a client sends or takes is handed over in batches, so
//! that slow clients hold no thread. The one exception, listings, which are pushed out of one read
//! of the database, has its own few threads.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use crate::{Error, Result};

/// Listings at a time.
const LISTINGS: usize = 16;

/// A bounded number of threads for work that blocks.
#[derive(Clone, Debug)]
pub struct Blocking {
    works: Arc<Semaphore>,
    listings: Arc<Semaphore>,
}

impl Blocking {
    /// For `works` at a time.
    pub fn new(works: usize) -> Self {
        Self {
            works: Arc::new(Semaphore::new(works.max(1))),
            listings: Arc::new(Semaphore::new(LISTINGS)),
        }
    }

    /// Does work on a thread of its own when there is room. Once begun it is finished, even where
    /// nobody waits for it any more.
    ///
    /// # Errors
    /// Those of the work, and [`Error::Unfinished`] where it panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let permit = place(&self.works).await?;
        let done = spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        });
        done.await.map_err(|_| Error::Unfinished)?
    }

    /// A place for a listing.
    pub(crate) async fn listing(&self) -> Result<OwnedSemaphorePermit> {
        place(&self.listings).await
    }
}

async fn place(of: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit> {
    let permit = Arc::clone(of).acquire_owned().await;
    permit.map_err(|_| Error::Unfinished)
}
