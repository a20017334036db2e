//! Publishing because somebody asks: a client wants to see in the log what it has just written.
//!
//! What can go wrong: clients that ask without end while others write. Each time would be tiles, a
//! checkpoint and a commit, that those who write wait for. So whoever asks within a second of the
//! last time waits until that second is over, and one writes for all who asked in it.

use std::time::{Duration, Instant};

use strongroom_ledger::Edge;

use crate::Result;
use crate::publication::Publisher;

/// How often questions have the log published.
const EVERY: Duration = Duration::from_secs(1);

/// What comes of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaughtUp {
    /// All is published that was there when it was first asked.
    Done,
    /// To be asked again after a pause, for as many leaves.
    Later {
        /// How many leaves are to be published.
        wanted: u64,
        /// How long to wait, without holding anything.
        pause: Duration,
    },
}

impl Publisher {
    /// Publishes where that is needed for what was committed before the first question to be
    /// published; `wanted` is `None` then, and what [`CaughtUp::Later`] says after it. However many
    /// ask at a time, they do not write one after another what one has written for all.
    ///
    /// # Errors
    /// As [`Publisher::publish`].
    pub fn catch_up(&self, wanted: Option<u64>, now: Instant) -> Result<CaughtUp> {
        let state = self.state()?;
        let wanted = wanted.unwrap_or(state.leaves);
        if state.published >= wanted {
            return Ok(CaughtUp::Done);
        }
        let mut kept = self.edge.lock();
        // Whoever held it may have published for this one too.
        if kept.as_ref().map_or(0, Edge::size) >= wanted {
            return Ok(CaughtUp::Done);
        }
        let last = *self.published_at.lock();
        let passed = last.map(|last| now.saturating_duration_since(last));
        if let Some(passed) = passed.filter(|passed| *passed < EVERY) {
            let pause = EVERY.saturating_sub(passed);
            return Ok(CaughtUp::Later { wanted, pause });
        }
        *self.published_at.lock() = Some(now);
        self.publish_on(&mut kept)?;
        Ok(CaughtUp::Done)
    }
}
