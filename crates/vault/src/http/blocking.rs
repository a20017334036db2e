//! Where work that blocks is done: the database, disks, hashing.
//!
//! No work here may wait for a client: what a client sends or takes is handed over in batches, so
//! that slow clients hold no thread. The one exception, listings, which are written out page by
//! page, has its own threads; of the database they hold nothing while they wait.
//!
//! What can go wrong: a storage that hangs. Work that has begun there cannot be called back, and
//! keeps its place also where its client is gone. So what needs the storage has three quarters of
//! the places, and the others are for all that needs none.

mod apart;
mod short;

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::spawn_blocking;

use crate::http::blocking::short::Short;
use crate::http::fair::{Place, Places};
use crate::http::service::Kept;
use crate::{Error, Result};

pub(crate) use crate::http::blocking::apart::Apart;

/// Listings at a time.
const LISTINGS: usize = 64;

/// Listings at a time of one client, so that none keeps the others from theirs.
const LISTINGS_OF_ONE: usize = 8;

/// A bounded number of threads for work that blocks. Clones have the same places.
#[derive(Clone, Debug)]
pub struct Blocking {
    shared: Arc<Shared>,
    /// Whether the works need the storage that are begun by this one.
    needs_storage: bool,
}

#[derive(Debug)]
struct Shared {
    works: Arc<Semaphore>,
    /// So many of the works at a time may need the storage.
    storage_works: Arc<Semaphore>,
    short: Arc<Short>,
    listings: Arc<Semaphore>,
    /// The same places, as the clients have them.
    listings_of: Arc<Places>,
}

/// The places of one work, until this is dropped.
struct Room {
    _work: OwnedSemaphorePermit,
    _of_storage: Option<OwnedSemaphorePermit>,
}

impl Blocking {
    /// For `works` at a time.
    pub fn new(works: usize) -> Self {
        let works = works.max(1);
        let shared = Shared {
            works: Arc::new(Semaphore::new(works)),
            storage_works: Arc::new(Semaphore::new(works - works / 4)),
            short: Arc::new(Short::new(works)),
            listings: Arc::new(Semaphore::new(LISTINGS)),
            listings_of: Arc::new(Places::new(LISTINGS, LISTINGS_OF_ONE)),
        };
        Self {
            shared: Arc::new(shared),
            needs_storage: false,
        }
    }

    /// The same places, for work that needs the storage: it has three quarters of them.
    pub fn for_storage(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            needs_storage: true,
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
        let room = self.room().await?;
        let done = spawn_blocking(move || {
            let result = work();
            drop(room);
            result
        });
        done.await.map_err(|_| Error::Unfinished)?
    }

    /// As [`Self::run`], for work that keeps the place of its token until it ends.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub(crate) async fn run_in<T: Send + 'static>(
        &self,
        place: Kept,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let work = move || {
            let result = work();
            drop(place);
            result
        };
        self.run(work).await
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
        let room = self.room().await?;
        let (answer, answered) = oneshot::channel();
        self.shared.short.begin(Box::new(move || {
            work(Answer(answer));
            drop(room);
        }));
        answered.await.map_err(|_| Error::Unfinished)?
    }

    /// The places of a work. That among those for the storage comes first: whoever waits for it holds
    /// none that others could have.
    async fn room(&self) -> Result<Room> {
        let of_storage = match self.needs_storage {
            true => Some(place(&self.shared.storage_works).await?),
            false => None,
        };
        Ok(Room {
            _work: place(&self.shared.works).await?,
            _of_storage: of_storage,
        })
    }

    /// A place of those that one client has for listings; to be taken before [`Self::listing`], so
    /// that whoever waits for his own holds none that others wait for.
    pub(crate) async fn listing_of(&self, client: &str) -> Place {
        self.shared.listings_of.take(client).await
    }

    /// A place for a listing.
    pub(crate) async fn listing(&self) -> Result<OwnedSemaphorePermit> {
        place(&self.shared.listings).await
    }

    /// Whether more than half of the places for listings are taken, so that whoever takes his
    /// slowly may soon keep others from theirs.
    pub(crate) fn are_listings_crowded(&self) -> bool {
        self.shared.listings.available_permits() < LISTINGS / 2
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
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_storage_that_hangs_leaves_places_to_all_that_needs_none() {
        let blocking = Blocking::new(8);
        let (mut gates, mut held) = (Vec::new(), Vec::new());
        for number in 0..20 {
            let (gate, opened) = std::sync::mpsc::channel::<()>();
            gates.push(gate);
            let blocking = blocking.for_storage();
            held.push(tokio::spawn(async move {
                let hangs = move || -> Result<()> {
                    let _ = opened.recv();
                    Ok(())
                };
                match number % 2 {
                    0 => blocking.run(hangs).await,
                    _ => {
                        let begun = move |answer: Answer<()>| answer.with(hangs());
                        blocking.begin(begun).await
                    }
                }
            }));
            // It has its place, or waits for one, before the next one.
            tokio::task::yield_now().await;
        }
        let patience = Duration::from_secs(60);
        for number in 0..20 {
            let run = timeout(patience, blocking.run(move || Ok(number))).await;
            assert_eq!(run.unwrap().unwrap(), number);
            let begun = blocking.begin(move |answer: Answer<i32>| answer.with(Ok(number)));
            assert_eq!(timeout(patience, begun).await.unwrap().unwrap(), number);
        }
        drop(gates);
        for held in held {
            held.await.unwrap().unwrap();
        }
    }

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
