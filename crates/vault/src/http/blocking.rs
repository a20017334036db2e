//! Where work that blocks is done: the database, disks, hashing.
//!
//! No work here may wait for a client: what a client sends or takes is handed over in batches, so
//! that slow clients hold no thread. The one exception, listings, which are written out page by
//! page, has its own threads; of the database they hold nothing while they wait.

mod short;

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::spawn_blocking;

use crate::http::blocking::short::Short;
use crate::http::fair::{Place, Places};
use crate::{Error, Result};

/// Listings at a time.
const LISTINGS: usize = 64;

/// Listings at a time of one client, so that none keeps the others from theirs.
const LISTINGS_OF_ONE: usize = 8;

/// A bounded number of threads for work that blocks.
#[derive(Clone, Debug)]
pub struct Blocking {
    works: Arc<Semaphore>,
    short: Arc<Short>,
    listings: Arc<Semaphore>,
    /// The same places, as the clients have them.
    listings_of: Arc<Places>,
}

impl Blocking {
    /// For `works` at a time.
    pub fn new(works: usize) -> Self {
        Self {
            works: Arc::new(Semaphore::new(works.max(1))),
            short: Arc::new(Short::new(works.max(1))),
            listings: Arc::new(Semaphore::new(LISTINGS)),
            listings_of: Arc::new(Places::new(LISTINGS, LISTINGS_OF_ONE)),
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

    /// As [`Self::run`], for work that ends elsewhere: it passes on what it was given to answer
    /// with, and holds its thread no longer than it has to.
    ///
    /// # Errors
    /// What it is answered with, and [`Error::Unfinished`] where nobody answers.
    pub(crate) async fn begin<T: Send + 'static>(
        &self,
        work: impl FnOnce(Answer<T>) + Send + 'static,
    ) -> Result<T> {
        let permit = place(&self.works).await?;
        let (answer, answered) = oneshot::channel();
        self.short.begin(Box::new(move || {
            work(Answer(answer));
            drop(permit);
        }));
        answered.await.map_err(|_| Error::Unfinished)?
    }

    /// A place of those that one client has for listings; to be taken before [`Self::listing`], so
    /// that whoever waits for his own holds none that others wait for.
    ///
    /// # Errors
    /// None; it waits.
    pub(crate) async fn listing_of(&self, client: &str) -> Result<Place> {
        Ok(self.listings_of.take(client).await)
    }

    /// A place for a listing.
    pub(crate) async fn listing(&self) -> Result<OwnedSemaphorePermit> {
        place(&self.listings).await
    }

    /// Whether more than half of the places for listings are taken, so that whoever takes his
    /// slowly may soon keep others from theirs.
    pub(crate) fn are_listings_crowded(&self) -> bool {
        self.listings.available_permits() < LISTINGS / 2
    }
}

/// Answers whoever waits for work that was begun.
#[derive(Debug)]
pub(crate) struct Answer<T>(oneshot::Sender<Result<T>>);

impl<T> Answer<T> {
    /// Answers; where nobody waits any more, nobody wants to know.
    pub(crate) fn with(self, outcome: Result<T>) {
        let _ = self.0.send(outcome);
    }
}

async fn place(of: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit> {
    let permit = Arc::clone(of).acquire_owned().await;
    permit.map_err(|_| Error::Unfinished)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn short_works_that_wait_hold_up_no_others() {
        let blocking = Blocking::new(4);
        let mut gates = Vec::new();
        let mut held = Vec::new();
        for number in 0..3 {
            let (gate, opened) = std::sync::mpsc::channel::<()>();
            gates.push(gate);
            let blocking = blocking.clone();
            held.push(tokio::spawn(async move {
                let wait = move |answer: Answer<i32>| {
                    let _ = opened.recv();
                    answer.with(Ok(number));
                };
                blocking.begin(wait).await
            }));
            // It has its place before the next one.
            tokio::task::yield_now().await;
        }
        for number in 0..10 {
            let passed = blocking.begin(move |answer: Answer<i32>| answer.with(Ok(number)));
            assert_eq!(passed.await.unwrap(), number);
        }
        drop(gates);
        for (number, held) in (0..3).zip(held) {
            assert_eq!(held.await.unwrap().unwrap(), number);
        }
        let panicked = blocking.begin(|_: Answer<()>| panic!("a work"));
        assert!(matches!(panicked.await, Err(Error::Unfinished)));
        let none = blocking.begin(|answer: Answer<()>| drop(answer));
        assert!(matches!(none.await, Err(Error::Unfinished)));
    }
}
