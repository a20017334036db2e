//! Small bodies that have their names are made durable together, and only then made known.
//!
//! One thread takes all that waits, has the storage settle them, and passes each on, mostly to the
//! thread that commits; while that one writes, the next bodies are settled.
//!
//! What can go wrong: a storage that hangs while it settles holds up all small files, which would
//! hang there anyway; large ones, and what needs no storage, go past.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use strongroom_store::{Bodies, Named};

use crate::{Error, Result};

/// The most bodies that are settled at a time, and the most that wait meanwhile; whoever comes then
/// waits at the door.
const GROUP: usize = 256;

/// Settles bodies. The thread ends when this is dropped and all that waits is settled.
#[derive(Debug)]
pub(super) struct Settling(SyncSender<Waiting>);

struct Waiting {
    named: Named,
    then: Box<dyn FnOnce(Result<()>) + Send>,
}

impl Settling {
    /// Starts the thread that settles.
    ///
    /// # Errors
    /// There is no room for another thread.
    pub(super) fn new(bodies: Arc<dyn Bodies>) -> Result<Self> {
        let (queue, waiting) = sync_channel(GROUP);
        // It is not waited for: what it passes on may be the last that holds the vault.
        thread::Builder::new()
            .name("settling".to_owned())
            .spawn(move || serve(&*bodies, &waiting))
            .map_err(Error::local("start the thread that settles bodies"))?;
        Ok(Self(queue))
    }

    /// Has a body made durable; `then` is told, and must not block for long. One that is durable
    /// already does not wait.
    pub(super) fn settle_then(&self, named: Named, then: impl FnOnce(Result<()>) + Send + 'static) {
        if named.is_durable() {
            return then(Ok(()));
        }
        let then = Box::new(then);
        if let Err(unsent) = self.0.send(Waiting { named, then }) {
            (unsent.0.then)(Err(Error::Unfinished));
        }
    }
}

fn serve(bodies: &dyn Bodies, waiting: &Receiver<Waiting>) {
    while let Ok(first) = waiting.recv() {
        let (mut named, mut thens) = (vec![first.named], vec![first.then]);
        for next in waiting.try_iter().take(GROUP - 1) {
            named.push(next.named);
            thens.push(next.then);
        }
        // A panic must not end the thread that everybody waits for: nobody is answered, which is an
        // answer.
        let settled = catch_unwind(AssertUnwindSafe(|| bodies.settle(&named)));
        drop(named);
        for (then, settled) in thens.into_iter().zip(settled.unwrap_or_default()) {
            let _ = catch_unwind(AssertUnwindSafe(|| then(settled.map_err(Error::from))));
        }
    }
}
