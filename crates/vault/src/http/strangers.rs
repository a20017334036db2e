//! Strangers: whoever shows a token that is not known yet, or asks for a page that is for everybody.
//!
//! What they ask costs a look into the database, of which few can be made at a time. So they wait
//! for it in a line of their own, in which nobody holds a place among the requests under way, and
//! two of them at a time get to the database, which can then answer others beside them.
//!
//! What can go wrong: so many strangers that the line is full, or too full of those of one address.
//! Whoever comes then is asked to come back. A token that was right before never stands in it.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::http::Blocking;
use crate::http::limits::Turns;
use crate::http::service::Peer;
use crate::{Error, Result};

/// How many may wait.
const WAITING: usize = 384;

/// How many of one address may wait: as many as one token may have requests under way.
const WAITING_OF_ADDRESS: usize = 96;

/// How many are looked at in the database at a time: fewer than it has connections to read by.
const LOOKED_AT: usize = 2;

/// The line in which strangers wait. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Strangers {
    waiting: Turns,
    looked_at: Arc<Semaphore>,
}

impl Strangers {
    /// Nobody waits.
    pub(crate) fn new() -> Self {
        Self {
            waiting: Turns::new(WAITING, WAITING_OF_ADDRESS),
            looked_at: Arc::new(Semaphore::new(LOOKED_AT)),
        }
    }

    /// Does what a stranger asks for, when it is his turn. His request has no place among those
    /// under way from then on; [`Peer::enter`] gives it one again.
    ///
    /// # Errors
    /// [`Error::Crowded`] where too many wait; those of the work.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        peer: &Peer,
        blocking: &Blocking,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let Some(_turn) = self.waiting.take(peer.address) else {
            peer.metrics.refused("strangers");
            return Err(Error::Crowded {
                what: "requests with tokens that are not known yet, or with none,",
            });
        };
        peer.leave();
        let looked_at = Arc::clone(&self.looked_at).acquire_owned().await;
        let looked_at = looked_at.map_err(|_| Error::Unfinished)?;
        // Work that has begun goes on where nobody waits for it any more, and counts until its end.
        let counted = move || {
            let done = work();
            drop(looked_at);
            done
        };
        blocking.run(counted).await
    }
}
