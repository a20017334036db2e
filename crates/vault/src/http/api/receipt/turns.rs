//! Turns of receipts, in which they are read, compared and written down.
//!
//! What can go wrong: one that is written down in very many parts, which takes a while, or many of
//! one token. So a token has one turn at a time and the other one is for the others, and large
//! receipts, of which one at a time is read, wait for one another without a turn.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::fair::{Place, Places};
use crate::{Error, Result};

/// Receipts that have a turn at a time.
const TURNS: usize = 2;

/// How many of them may be of one token.
const TURNS_OF_TOKEN: usize = 1;

/// All turns.
#[derive(Debug)]
pub(in crate::http::api) struct Turns {
    places: Arc<Places>,
    large: Arc<Semaphore>,
}

/// One turn; free again when this is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _place: Place,
    _large: Option<OwnedSemaphorePermit>,
}

impl Turns {
    pub(in crate::http::api) fn new() -> Self {
        Self {
            places: Arc::new(Places::new(TURNS, TURNS_OF_TOKEN)),
            large: Arc::new(Semaphore::new(1)),
        }
    }

    /// Waits for a turn of a token's receipt.
    ///
    /// # Errors
    /// [`Error::Unfinished`] where there are none any more.
    pub(super) async fn take(&self, token: &str, is_large: bool) -> Result<Turn> {
        let large = match is_large {
            true => {
                let large = Arc::clone(&self.large).acquire_owned().await;
                Some(large.map_err(|_| Error::Unfinished)?)
            }
            false => None,
        };
        Ok(Turn {
            _place: self.places.take(token).await,
            _large: large,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    async fn has_to_wait(turns: &Turns, token: &str, is_large: bool) -> bool {
        timeout(Duration::ZERO, turns.take(token, is_large))
            .await
            .is_err()
    }

    async fn take(turns: &Turns, token: &str, is_large: bool) -> Turn {
        let taken = timeout(PATIENCE, turns.take(token, is_large)).await;
        taken.unwrap().unwrap()
    }

    #[tokio::test]
    async fn neither_one_token_nor_a_large_receipt_keeps_others_from_their_turn() {
        let turns = Turns::new();
        let large = take(&turns, "one", true).await;
        assert!(has_to_wait(&turns, "one", false).await);
        // One that waits for the large one is in nobody's way.
        let mut second = Box::pin(turns.take("other", true));
        assert!(timeout(Duration::ZERO, second.as_mut()).await.is_err());
        let small = take(&turns, "other", false).await;
        assert!(has_to_wait(&turns, "third", false).await);
        drop(small);
        drop(large);
        let second = timeout(PATIENCE, second).await.unwrap().unwrap();
        let small = take(&turns, "one", false).await;
        assert!(has_to_wait(&turns, "third", true).await);
        drop((second, small));
        drop(take(&turns, "third", true).await);
    }
}
