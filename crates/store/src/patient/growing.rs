//! A file that grows at a place that may hang: a thread of its own writes it, and may be left behind.
//!
//! What can go wrong: the place hangs in the middle (the wait ends as for any call, and what was
//! written never gets its name), a write fails (the file ends with it), whoever writes stops early
//! (the thread drops the file, which leaves nothing, and ends).

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use strongroom_model::FileName;

use super::{PatientStore, Worker};
use crate::patient::writing::Written;
use crate::store::Store;
use crate::{Growing, Result};

/// What is to be done next with the file.
enum Step {
    Write(Vec<u8>),
    Finish,
}

/// A file that a thread writes. At most one step is on its way.
pub(super) struct Grown<'s> {
    store: &'s PatientStore,
    name: FileName,
    /// Whose thread writes.
    worker: Worker,
    steps: Sender<Step>,
    /// Whether there is such a file; to each step behind that once more.
    answers: Receiver<Result<bool>>,
    /// All that was written and need not be on the disk yet.
    written: Written,
}

impl<'s> Grown<'s> {
    /// Begins a file, or nothing where the place takes whole files only.
    pub(super) fn begin(store: &'s PatientStore, name: FileName) -> Result<Option<Self>> {
        let worker = store.worker()?;
        let (steps, work) = channel();
        let (reply, answers) = sync_channel(1);
        let inner = Arc::clone(&store.inner);
        worker.run(Box::new(move || grow(inner.as_ref(), name, &work, &reply)));
        let file = Self {
            store,
            name,
            worker,
            steps,
            answers,
            written: store.writing.begin(0),
        };
        if file.answer()? {
            return Ok(Some(file));
        }
        file.give_back();
        Ok(None)
    }

    fn step(&self, step: Step) -> Result<()> {
        // Where the thread has ended, there is no answer either.
        let _ = self.steps.send(step);
        self.answer().map(drop)
    }

    /// Waits for what came of the step that is on its way.
    fn answer(&self) -> Result<bool> {
        let answer = self.store.wait(&self.answers)?;
        self.store.note_answer(Some(self.name.kind()), &answer);
        answer
    }

    /// The thread has nothing more to do here, and is there for the next call.
    fn give_back(self) {
        self.store.idle.lock().push(self.worker);
    }
}

impl Growing for Grown<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.written.grow(bytes.len() as u64);
        self.step(Step::Write(bytes.to_vec()))
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.step(Step::Finish)?;
        self.give_back();
        Ok(())
    }
}

/// Writes a file, a step after the other.
fn grow(
    store: &dyn Store,
    name: FileName,
    work: &Receiver<Step>,
    reply: &SyncSender<Result<bool>>,
) {
    let mut file = match store.begin(name) {
        Ok(Some(file)) => file,
        // Where nobody waits any more, nobody wants to know.
        Ok(None) => return drop(reply.send(Ok(false))),
        Err(error) => return drop(reply.send(Err(error))),
    };
    let mut answer = Ok(true);
    loop {
        let is_over = answer.is_err();
        if reply.send(answer).is_err() || is_over {
            return;
        }
        answer = match work.recv() {
            Ok(Step::Write(bytes)) => file.write(&bytes).map(|()| true),
            Ok(Step::Finish) => {
                let finished = file.finish().map(|()| true);
                return drop(reply.send(finished));
            }
            Err(_) => return,
        };
    }
}
