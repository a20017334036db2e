//! Turns of receipts, in which they are read, compared and written down.
//!
//! What can go wrong: one that is written down in very many parts, which takes a while, or many of
//! one token. So of one token one is read at a time, and large receipts, of which one at a time is
//! read, wait for one another without a turn. Or who waits for his own receipts holds what others wait
//! for: so whoever waits for one of the two, his token's other receipt or the large one of somebody
//! else, holds neither. And one token that sends many large ones stands before everybody else: so it
//! stands in the line for large ones with one of them.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::fair::{Place, Places};
use crate::{Error, Result};

/// Receipts that have a turn at a time.
const TURNS: usize = 2;

/// How many of them may be of one token, and how many of its large ones may wait for those of others.
const OF_TOKEN: usize = 1;

/// All turns.
#[derive(Debug)]
pub(in crate::http::api) struct Turns {
    /// Of each token its large receipt that waits for those of others.
    lines: Arc<Places>,
    /// Of each token the receipt that has a turn, or gets the next one.
    own: Arc<Places>,
    large: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

/// One turn; free again when this is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _own: Place,
    _large: Option<OwnedSemaphorePermit>,
    _turn: OwnedSemaphorePermit,
}

impl Turns {
    pub(in crate::http::api) fn new() -> Self {
        let one_of_each = || Arc::new(Places::new(usize::MAX, OF_TOKEN));
        Self {
            lines: one_of_each(),
            own: one_of_each(),
            large: Arc::new(Semaphore::new(1)),
            turns: Arc::new(Semaphore::new(TURNS)),
        }
    }

    /// Waits for a turn of a token's receipt. Those that have all but the turn get it in the order in
    /// which they came to that, so that each token has one of them before it at most.
    ///
    /// # Errors
    /// [`Error::Unfinished`] where there are none any more.
    pub(super) async fn take(&self, token: &str, is_large: bool) -> Result<Turn> {
        let (own, large) = match is_large {
            true => {
                let (own, large) = self.take_large(token).await?;
                (own, Some(large))
            }
            false => (self.own.take(token).await, None),
        };
        Ok(Turn {
            _own: own,
            _large: large,
            _turn: one_of(&self.turns).await?,
        })
    }

    /// Waits until a token has no other receipt and nobody a large one; for either without the other.
    async fn take_large(&self, token: &str) -> Result<(Place, OwnedSemaphorePermit)> {
        let _line = self.lines.take(token).await;
        loop {
            let own = self.own.take(token).await;
            if let Ok(large) = Arc::clone(&self.large).try_acquire_owned() {
                return Ok((own, large));
            }
            drop(own);
            let large = one_of(&self.large).await?;
            if let Some(own) = self.own.try_take(token) {
                return Ok((own, large));
            }
        }
    }
}

async fn one_of(permits: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit> {
    let permit = Arc::clone(permits).acquire_owned().await;
    permit.map_err(|_| Error::Unfinished)
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
    #[tokio::test]
    async fn a_large_receipt_that_waits_for_its_own_token_is_in_nobody_s_way() {
        let turns = Turns::new();
        let small = take(&turns, "one", false).await;
        let mut behind = Box::pin(turns.take("one", true));
        assert!(timeout(Duration::ZERO, behind.as_mut()).await.is_err());
        let large = take(&turns, "other", true).await;
        drop(small);
        // Now it waits for the other one, and small ones of its token do not wait for it.
        assert!(timeout(Duration::ZERO, behind.as_mut()).await.is_err());
        drop(take(&turns, "one", false).await);
        drop(large);
        drop(timeout(PATIENCE, behind).await.unwrap().unwrap());
    }

    #[tokio::test]
    async fn one_token_stands_once_in_the_line_for_large_receipts() {
        let turns = Turns::new();
        let first = take(&turns, "one", true).await;
        let mut others = Vec::new();
        for _ in 0..7 {
            let mut other = Box::pin(turns.take("one", true));
            assert!(timeout(Duration::ZERO, other.as_mut()).await.is_err());
            others.push(other);
        }
        let mut late = Box::pin(turns.take("late", true));
        assert!(timeout(Duration::ZERO, late.as_mut()).await.is_err());
        drop(first);
        let late = timeout(PATIENCE, late).await.unwrap().unwrap();
        drop(late);
        for other in others {
            drop(timeout(PATIENCE, other).await.unwrap().unwrap());
        }
    }
}
