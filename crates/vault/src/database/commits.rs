//! Commits in groups: what arrives while a transaction is written to disk goes into the next one.
//!
//! A disk takes a few hundred commits a second, however small; a vault is asked for thousands. So
//! one thread takes all that waits, does it in one transaction, and answers each only when that
//! is durable. A lone commit waits for nobody.
//!
//! What can go wrong: one work that fails among many. Where it has only looked, it is answered and
//! the others go on: whoever asks for what he must not costs nobody else anything. Where it has
//! changed something, or a statement has failed, the group is done again with a savepoint around
//! each work, so that a failure costs its own caller alone, and however many fail, the group is
//! done twice at most. **Works are therefore done more than once, and must have no effect outside
//! the database**, nor wait for another commit, nor hold what these commits belong to: the thread
//! that drops the last of it waits for the thread that commits.

mod settled;
mod watched;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
pub use settled::SettledCommits;
use strongroom_store::Named;

use crate::database::commits::watched::Watched;
use crate::database::{Database, Transaction, failed};
use crate::{Error, Result};

/// The most works of one transaction, and the most that wait for the next; whoever comes then
/// waits at the door.
const GROUP: usize = 256;

/// For how long the end of a thread is waited for that may hang in a storage.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// Works that are done in one transaction.
type Group = Vec<Box<dyn Job>>;

/// Commits to a database. Dropping it waits until all that was accepted is done.
#[derive(Debug)]
pub struct Commits {
    queue: Option<SyncSender<Box<dyn Job>>>,
    /// Told when the thread has ended.
    ended: Mutex<Receiver<()>>,
    /// Whether who comes where too many wait waits at the door, and the thread is waited for at the
    /// end however long it takes.
    is_patient: bool,
}

impl Commits {
    /// Starts the thread that commits.
    ///
    /// # Errors
    /// [`Error::Database`]: there is no room for another thread.
    pub fn new(database: Arc<dyn Database>) -> Result<Self> {
        Self::start("commits", database, true, |_| ())
    }

    /// Starts a thread that does something else before it commits a group, from which that may take
    /// works that it answers.
    fn start(
        name: &str,
        database: Arc<dyn Database>,
        is_patient: bool,
        before: impl Fn(&mut Group) + Send + 'static,
    ) -> Result<Self> {
        let (queue, waiting) = sync_channel(GROUP);
        let (ends, ended) = sync_channel(1);
        let work = move || {
            serve(&*database, &before, &waiting);
            drop((database, before));
            // Nobody may wait for it.
            let _ = ends.send(());
        };
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(work)
            .map_err(|error| failed("start its thread", error))?;
        Ok(Self {
            queue: Some(queue),
            ended: Mutex::new(ended),
            is_patient,
        })
    }

    /// Does work in a transaction, perhaps together with that of others; durable when this
    /// returns. The work may be done several times, and must have no effect outside the database.
    ///
    /// # Errors
    /// Those of the work, and [`Error::Database`], as of [`Database::write`].
    ///
    /// # Panics
    /// Where the work does, on the thread of whoever asked for it.
    pub fn commit<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut dyn Transaction) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = sync_channel(1);
        // Whoever asked is always there: it does nothing else until it is answered.
        self.queue(None, work, move |outcome| drop(answer.send(outcome)))?;
        match answered.recv() {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => Err(gone()),
        }
    }

    /// As [`Commits::commit`], for who does not want to hold a thread meanwhile: `then` gets what
    /// came of it, on the thread that commits, and must not block.
    ///
    /// # Errors
    /// [`Error::Database`] where it cannot be asked for any more. A work that panics is
    /// [`Error::Unfinished`].
    pub fn commit_then<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut dyn Transaction) -> Result<T> + Send + 'static,
        then: impl FnOnce(Result<T>) + Send + 'static,
    ) -> Result<()> {
        self.queue_then(None, work, then)
    }

    fn queue_then<T: Send + 'static>(
        &self,
        body: Option<Named>,
        work: impl FnMut(&mut dyn Transaction) -> Result<T> + Send + 'static,
        then: impl FnOnce(Result<T>) + Send + 'static,
    ) -> Result<()> {
        self.queue(body, work, |outcome| {
            then(outcome.unwrap_or(Err(Error::Unfinished)));
        })
    }

    fn queue<T: Send + 'static>(
        &self,
        body: Option<Named>,
        work: impl FnMut(&mut dyn Transaction) -> Result<T> + Send + 'static,
        answer: impl FnOnce(thread::Result<Result<T>>) + Send + 'static,
    ) -> Result<()> {
        let queue = self.queue.as_ref().ok_or_else(gone)?;
        let job = Waiting {
            body,
            work,
            done: None,
            answer,
        };
        if self.is_patient {
            return queue.send(Box::new(job)).map_err(|_| gone());
        }
        match queue.try_send(Box::new(job)) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(job)) => {
                job.answer(Err(Error::Crowded {
                    what: "small files",
                }));
                Ok(())
            }
            Err(TrySendError::Disconnected(_)) => Err(gone()),
        }
    }
}

impl Drop for Commits {
    fn drop(&mut self) {
        drop(self.queue.take());
        // It catches every panic, so there is nothing to be told.
        let ended = self.ended.get_mut();
        let _ = match self.is_patient {
            true => ended.recv().map_err(|_| ()),
            false => ended.recv_timeout(ENDS_WITHIN).map_err(|_| ()),
        };
    }
}

fn gone() -> Error {
    failed("commit", "The thread that commits has ended")
}

fn serve(database: &dyn Database, before: &dyn Fn(&mut Group), waiting: &Receiver<Box<dyn Job>>) {
    let mut group = Vec::with_capacity(GROUP);
    while let Ok(first) = waiting.recv() {
        group.push(first);
        group.extend(waiting.try_iter().take(GROUP - 1));
        before(&mut group);
        if !group.is_empty() {
            settle(database, &mut group);
        }
    }
}

/// Does all works of a group, and answers each.
fn settle(database: &dyn Database, group: &mut Group) {
    let mut is_works_fault = false;
    let mut outcomes = Vec::with_capacity(group.len());
    let together = write(database, |transaction| {
        is_works_fault = false;
        outcomes.clear();
        for job in group.iter_mut() {
            let mut watched = Watched::new(transaction);
            let outcome = job.run(&mut watched);
            if outcome.is_err() && !watched.is_untouched() {
                is_works_fault = true;
                return outcome;
            }
            outcomes.push(outcome);
        }
        Ok(())
    });
    match together {
        Ok(()) => answer_each(group, outcomes),
        Err(_) if is_works_fault && group.len() > 1 => settle_apart(database, group),
        Err(error) => answer_all(group, error),
    }
}

/// Does all works of a group, each of which may fail without harm to the others.
fn settle_apart(database: &dyn Database, group: &mut Group) {
    let mut outcomes = Vec::with_capacity(group.len());
    let together = write(database, |transaction| {
        outcomes.clear();
        for job in group.iter_mut() {
            outcomes.push(transaction.nested(&mut |transaction| job.run(transaction)));
        }
        Ok(())
    });
    match together {
        Ok(()) => answer_each(group, outcomes),
        Err(error) => answer_all(group, error),
    }
}

fn answer_each(group: &mut Group, outcomes: Vec<Result<()>>) {
    for (job, outcome) in group.drain(..).zip(outcomes) {
        job.answer(outcome);
    }
}

/// Tells everybody of one error; the first gets it as it is.
fn answer_all(group: &mut Group, error: Error) {
    let reason = match &error {
        Error::Database { reason, .. } => reason.clone(),
        error => error.to_string(),
    };
    let mut error = Some(error);
    for job in group.drain(..) {
        job.answer(Err(error
            .take()
            .unwrap_or_else(|| failed("commit", &reason))));
    }
}

/// A panic of the driver must not end the thread that everybody waits for.
fn write(
    database: &dyn Database,
    mut work: impl FnMut(&mut dyn Transaction) -> Result<()>,
) -> Result<()> {
    catch_unwind(AssertUnwindSafe(|| database.write(&mut work)))
        .unwrap_or_else(|_| Err(failed("commit", "The driver panicked")))
}

/// A work that waits for its commit.
trait Job: Send {
    /// Takes the body that has to be durable before it is done.
    fn take_body(&mut self) -> Option<Named>;

    /// Does it, perhaps again.
    fn run(&mut self, transaction: &mut dyn Transaction) -> Result<()>;

    /// Answers whoever waits.
    fn answer(self: Box<Self>, outcome: Result<()>);
}

struct Waiting<T, W, A> {
    body: Option<Named>,
    work: W,
    /// What the work did the last time, where it did not fail.
    done: Option<thread::Result<T>>,
    answer: A,
}

impl<T, W, A> Job for Waiting<T, W, A>
where
    T: Send,
    W: FnMut(&mut dyn Transaction) -> Result<T> + Send,
    A: FnOnce(thread::Result<Result<T>>) + Send,
{
    fn take_body(&mut self) -> Option<Named> {
        self.body.take()
    }

    fn run(&mut self, transaction: &mut dyn Transaction) -> Result<()> {
        self.done = None;
        match catch_unwind(AssertUnwindSafe(|| (self.work)(transaction))) {
            Ok(Ok(value)) => {
                self.done = Some(Ok(value));
                Ok(())
            }
            Ok(Err(error)) => Err(error),
            Err(panic) => {
                self.done = Some(Err(panic));
                Err(failed("commit", "The work panicked"))
            }
        }
    }

    fn answer(self: Box<Self>, outcome: Result<()>) {
        let Self { done, answer, .. } = *self;
        let outcome = match (done, outcome) {
            (Some(Err(panic)), _) => Err(panic),
            (Some(Ok(value)), Ok(())) => Ok(Ok(value)),
            (_, Err(error)) => Ok(Err(error)),
            (None, Ok(())) => return,
        };
        // What whoever asked does with it must not end the thread that everybody waits for.
        let _ = catch_unwind(AssertUnwindSafe(|| answer(outcome)));
    }
}
