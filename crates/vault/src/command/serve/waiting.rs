//! Tells what a start waits for, where that takes long.
//!
//! The configuration, the keys and a database in a file lie in folders, and without them there is
//! nothing to serve. What can go wrong: a folder on a network mount whose server is away. Whoever
//! looks there hangs in the system, without an error and without an end, and cannot be called back.
//! So somebody else looks at the clock and says which it is; the start goes on by itself when the
//! folder answers, and a signal ends the process meanwhile.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use strongroom_vault::{Error, Result, logging};
use tracing::Level;

use crate::command::serve::beginning::PATIENCE;

/// After how long it is told again.
const AGAIN_AFTER: Duration = Duration::from_secs(10 * 60);

/// What a start waits for; told until this is ended or dropped.
#[derive(Debug)]
pub(super) struct Waiting {
    steps: Sender<Option<String>>,
    is_over: Arc<AtomicBool>,
}

impl Waiting {
    /// Begins to look at the clock.
    ///
    /// # Errors
    /// [`Error::Local`] where no thread can be started.
    pub(super) fn begin() -> Result<Self> {
        let (steps, begun) = mpsc::channel();
        thread::Builder::new()
            .name("waiting".to_owned())
            .spawn(move || watch(&begun, PATIENCE, AGAIN_AFTER, tell))
            .map_err(Error::local("start a thread"))?;
        Ok(Self {
            steps,
            is_over: Arc::default(),
        })
    }

    /// The start needs this now, and cannot go on without it; `None` where it can.
    pub(super) fn at(&self, step: Option<String>) {
        // Where nobody listens, nobody is told.
        let _ = self.steps.send(step);
    }

    /// The start looks at a file or folder.
    pub(super) fn at_path(&self, what: &str, path: &Path) {
        self.at(Some(format!("{what} {}", path.display())));
    }

    /// Whether the start is over, for whoever has to know later.
    pub(super) fn is_over(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_over)
    }

    /// The start is over.
    pub(super) fn end(self) {
        self.is_over.store(true, Ordering::Release);
    }
}

fn watch(
    steps: &Receiver<Option<String>>,
    patience: Duration,
    again_after: Duration,
    tell: impl Fn(&str, Duration),
) {
    let mut waits_for: Option<String> = None;
    let (mut since, mut pause) = (Instant::now(), patience);
    loop {
        let next = match waits_for {
            Some(_) => steps.recv_timeout(pause),
            None => steps.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match next {
            Ok(step) => {
                waits_for = step;
                (since, pause) = (Instant::now(), patience);
            }
            Err(RecvTimeoutError::Timeout) => {
                if let Some(what) = &waits_for {
                    tell(what, since.elapsed());
                }
                pause = again_after;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Tells it in the log, which may not have begun: before the configuration is read nobody knows its
/// level, so that it is told by that of errors.
fn tell(waits_for: &str, waited: Duration) {
    let line = || {
        tracing::error!(
            waits_for,
            waited_s = waited.as_secs(),
            "The start waits for {waits_for}, without which nothing can be served, and goes on when \
             that answers; where it is on a network mount, see to its server (findmnt --target \
             shows which), or end the start by SIGTERM"
        );
    };
    tracing::subscriber::with_default(logging::subscriber(Level::ERROR, io::stderr), line);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Never, for a test.
    const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

    /// What is told of a start that takes these steps and is over then.
    fn told(taken: &[Option<&str>], patience: Duration) -> Vec<String> {
        let (steps, begun) = mpsc::channel();
        let (tells, told) = mpsc::channel();
        let tell = move |what: &str, _: Duration| {
            let _ = tells.send(what.to_owned());
        };
        let watching = thread::spawn(move || watch(&begun, patience, NEVER, tell));
        let mut all = Vec::new();
        for step in taken {
            steps.send(step.map(str::to_owned)).unwrap();
            if step.is_some() && patience.is_zero() {
                all.push(told.recv().unwrap());
            }
        }
        drop(steps);
        watching.join().unwrap();
        all.extend(told.iter());
        all
    }

    #[test]
    fn each_step_that_takes_long_is_told_once_and_none_that_does_not() {
        let taken = [Some("the keys"), None, Some("the database"), Some("a file")];
        assert_eq!(
            told(&taken, Duration::ZERO),
            ["the keys", "the database", "a file"]
        );
        assert_eq!(told(&taken, NEVER), Vec::<String>::new());
    }

    #[test]
    fn who_waits_on_is_told_again() {
        let (steps, begun) = mpsc::channel();
        let (tells, told) = mpsc::channel();
        let tell = move |what: &str, _: Duration| {
            let _ = tells.send(what.to_owned());
        };
        let watching = thread::spawn(move || watch(&begun, Duration::ZERO, Duration::ZERO, tell));
        steps.send(Some("the keys".to_owned())).unwrap();
        for _ in 0..3 {
            assert_eq!(told.recv().unwrap(), "the keys");
        }
        drop(steps);
        watching.join().unwrap();
    }
}
