//! Work in a thread of its own, that nobody has to wait for.
//!
//! What can go wrong: a disk, a network mount or a bucket that says nothing. Whoever waits for it in
//! a system call cannot be called back; so it is done where nobody else is held up, and waited for
//! as long as whoever asked likes. It goes on then, to its end or that of the process.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::{Error, Result};

/// Does work in a thread of its own; what comes of it is received, where somebody still waits.
///
/// # Errors
/// [`Error::Local`] where no thread can be started.
pub fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<Receiver<T>> {
    let (done, is_done) = mpsc::channel();
    let working = move || {
        // Nobody may wait for it any more.
        let _ = done.send(work());
    };
    let thread = thread::Builder::new().name("beside".to_owned());
    thread
        .spawn(working)
        .map_err(Error::local("start a thread"))?;
    Ok(is_done)
}

/// Does work in a thread of its own and waits so long for it; `None` where it is not done by then,
/// and goes on.
///
/// # Errors
/// As [`beside`]; [`Error::Unfinished`] where the work panicked.
pub fn within<T: Send + 'static>(
    patience: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<Option<T>> {
    match beside(work)?.recv_timeout(patience) {
        Ok(done) => Ok(Some(done)),
        Err(RecvTimeoutError::Timeout) => Ok(None),
        Err(RecvTimeoutError::Disconnected) => Err(Error::Unfinished),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hangs_is_left_and_goes_on() {
        let (gate, opened) = mpsc::channel::<()>();
        let (told, heard) = mpsc::channel();
        let hangs = move || {
            let _ = opened.recv();
            told.send("done")
        };
        assert!(within(Duration::ZERO, hangs).unwrap().is_none());
        drop(gate);
        assert_eq!(heard.recv(), Ok("done"));
    }

    #[test]
    fn what_is_done_in_time_is_handed_over() {
        let patience = Duration::from_secs(60);
        assert_eq!(within(patience, || 7).unwrap(), Some(7));
        let panicked = within(patience, || -> u8 { panic!("a work") });
        assert!(matches!(panicked, Err(Error::Unfinished)), "{panicked:?}");
    }
}
