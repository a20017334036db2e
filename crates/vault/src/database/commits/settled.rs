//! Commits of what has bodies: those of a group are made durable together, and only then made known.
//!
//! What can go wrong: a storage that hangs while it makes bodies durable holds up all small files,
//! which would hang there anyway. So this has a thread of its own, and what needs no storage goes
//! past. Nobody waits at its door with a thread that others need, nor for its end longer than some
//! seconds: what nobody was answered for may be broken off.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use strongroom_store::{Bodies, Named};

use crate::Result;
use crate::database::commits::{Commits, Group};
use crate::database::{Database, Transaction, failed};

/// Commits works, each of which tells of a body. Dropping it waits some seconds at most for what was
/// accepted.
#[derive(Debug)]
pub struct SettledCommits(Commits);

impl SettledCommits {
    /// Starts the thread that settles and commits.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database): there is no room for another thread.
    pub fn new(database: Arc<dyn Database>, bodies: Arc<dyn Bodies>) -> Result<Self> {
        let settle = move |group: &mut Group| settle(&*bodies, group);
        Commits::start("settled-commits", database, false, settle).map(Self)
    }

    /// As [`Commits::commit_then`], once a body is durable; where it cannot be made so, nothing is
    /// committed, and `then` is told why; and where too many wait.
    ///
    /// # Errors
    /// As [`Commits::commit_then`].
    pub fn commit_then<T: Send + 'static>(
        &self,
        named: Named,
        work: impl FnMut(&mut dyn Transaction) -> Result<T> + Send + 'static,
        then: impl FnOnce(Result<T>) + Send + 'static,
    ) -> Result<()> {
        self.0.queue_then(Some(named), work, then)
    }
}

/// Makes the bodies of a group durable, and answers those that could not be.
fn settle(bodies: &dyn Bodies, group: &mut Group) {
    let named: Vec<_> = group.iter_mut().filter_map(|job| job.take_body()).collect();
    // A panic must not end the thread that everybody waits for.
    let settled = catch_unwind(AssertUnwindSafe(|| bodies.settle(&named)));
    drop(named);
    let mut settled = settled.unwrap_or_default().into_iter();
    for job in std::mem::take(group) {
        match settled.next() {
            Some(Ok(())) => group.push(job),
            Some(Err(error)) => job.answer(Err(error.into())),
            None => job.answer(Err(failed("settle", "The storage panicked"))),
        }
    }
}
