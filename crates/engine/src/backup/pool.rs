//! The threads of a backup, and what waits for them.
//!
//! Work is done depth first: pieces of large files before files, files before folders, and the
//! folder found last before those found earlier. So what waits is bounded by the depth and breadth
//! of one path through the source, and pieces by a limit: whoever would exceed it does a waiting
//! piece himself. Nobody ever blocks while holding something that others need.

use std::collections::VecDeque;

use parking_lot::{Condvar, Mutex};

use crate::Result;
use crate::session::Cancel;

/// What waits to be done.
#[derive(Debug)]
pub(crate) struct Pool<D, F, P> {
    state: Mutex<State<D, F, P>>,
    changed: Condvar,
    piece_limit: usize,
    /// Which of the waiting pieces a thread takes.
    taken: Taken,
}

/// Which of the pieces that wait is taken next; whoever has to do one since too many wait does the
/// one that has waited longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// The one that has waited longest.
    First,
    /// The one that came last: so who brings pieces and who takes them work on different ones of
    /// neighbours.
    Last,
}

/// One thing to do.
#[derive(Debug)]
pub(crate) enum Job<D, F, P> {
    /// A folder to look through.
    Folder(D),
    /// Files to read.
    Files(F),
    /// A piece of a file to store.
    Piece(P),
}

#[derive(Debug)]
struct State<D, F, P> {
    folders: Vec<D>,
    files: Vec<F>,
    pieces: VecDeque<P>,
    /// Jobs that were taken and not finished: they may bring new ones.
    active: usize,
    /// Set by the first error: nothing more is handed out.
    stopped: bool,
}

/// A claim on a pool: it does not end before the claim is released.
#[derive(Debug)]
pub(crate) struct PoolClaim<'a, D, F, P>(&'a Pool<D, F, P>);

impl<D, F, P> PoolClaim<'_, D, F, P> {
    /// Releases the claim; a failure stops all threads.
    pub(crate) fn release(self, failed: bool) {
        self.0.end_job(failed);
    }
}

impl<D, F, P> Pool<D, F, P> {
    /// An empty pool in which at most `piece_limit` pieces wait.
    pub(crate) fn new(piece_limit: usize, taken: Taken) -> Self {
        Self {
            state: Mutex::new(State {
                folders: Vec::new(),
                files: Vec::new(),
                pieces: VecDeque::new(),
                active: 0,
                stopped: false,
            }),
            changed: Condvar::new(),
            piece_limit,
            taken,
        }
    }

    /// Adds folders and files that one folder brought; of several the first is done first.
    pub(crate) fn add(
        &self,
        folders: impl DoubleEndedIterator<Item = D>,
        files: impl DoubleEndedIterator<Item = F>,
    ) {
        let mut state = self.state.lock();
        state.folders.extend(folders.rev());
        state.files.extend(files.rev());
        drop(state);
        self.changed.notify_all();
    }

    /// Adds a piece; where too many wait already, returns one that the caller must do instead.
    pub(crate) fn add_piece(&self, piece: P) -> Option<P> {
        let mut state = self.state.lock();
        state.pieces.push_back(piece);
        if state.pieces.len() > self.piece_limit {
            return state.pieces.pop_front();
        }
        drop(state);
        self.changed.notify_one();
        None
    }

    /// Keeps the pool from ending while the caller, who is none of its threads, brings work.
    pub(crate) fn claim(&self) -> PoolClaim<'_, D, F, P> {
        self.state.lock().active += 1;
        PoolClaim(self)
    }

    /// Does jobs until none is left and none can come; the body of every thread.
    ///
    /// # Errors
    /// The first error of any job stops all threads; it is returned to the thread it happened on.
    pub(crate) fn run(
        &self,
        cancel: &Cancel,
        mut work: impl FnMut(Job<D, F, P>) -> Result<()>,
    ) -> Result<()> {
        self.run_eager(cancel, |job| match job {
            Some(job) => work(job).map(|()| true),
            None => Ok(false),
        })
    }

    /// As [`Pool::run`], for threads that hold work back: where no job waits, `work` is called
    /// with `None`, and says whether it had something to do.
    ///
    /// # Errors
    /// As [`Pool::run`].
    pub(crate) fn run_eager(
        &self,
        cancel: &Cancel,
        mut work: impl FnMut(Option<Job<D, F, P>>) -> Result<bool>,
    ) -> Result<()> {
        loop {
            let mut job = self.take();
            if job.is_none() {
                match cancel.check().and_then(|()| work(None)) {
                    Ok(true) => continue,
                    Ok(false) => job = self.next(),
                    Err(error) => {
                        self.stop();
                        return Err(error);
                    }
                }
            }
            let Some(job) = job else { return Ok(()) };
            let outcome = cancel.check().and_then(|()| work(Some(job)));
            self.end_job(outcome.is_err());
            outcome?;
        }
    }

    fn stop(&self) {
        self.state.lock().stopped = true;
        self.changed.notify_all();
    }

    fn end_job(&self, failed: bool) {
        let mut state = self.state.lock();
        state.active -= 1;
        state.stopped |= failed;
        let may_end = state.active == 0 || state.stopped;
        drop(state);
        if may_end {
            self.changed.notify_all();
        }
    }

    /// The next job, where one waits.
    fn take(&self) -> Option<Job<D, F, P>> {
        self.state.lock().take(self.taken)
    }

    /// The next job; waits until there is one, or none can come.
    fn next(&self) -> Option<Job<D, F, P>> {
        let mut state = self.state.lock();
        loop {
            let job = state.take(self.taken);
            if job.is_some() || state.stopped || state.active == 0 {
                return job;
            }
            self.changed.wait(&mut state);
        }
    }
}

impl<D, F, P> State<D, F, P> {
    fn take(&mut self, taken: Taken) -> Option<Job<D, F, P>> {
        if self.stopped {
            return None;
        }
        let piece = match taken {
            Taken::First => self.pieces.pop_front(),
            Taken::Last => self.pieces.pop_back(),
        };
        let job = if let Some(piece) = piece {
            Some(Job::Piece(piece))
        } else if let Some(files) = self.files.pop() {
            Some(Job::Files(files))
        } else {
            self.folders.pop().map(Job::Folder)
        };
        self.active += usize::from(job.is_some());
        job
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use std::sync::atomic::{AtomicUsize, Ordering};

    type TestPool = Pool<u32, u32, u32>;

    #[test]
    fn all_that_jobs_bring_is_done_too() {
        let pool = TestPool::new(2, Taken::First);
        pool.add([5].into_iter(), std::iter::empty());
        let (files, pieces) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let cancel = Cancel::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    pool.run(&cancel, |job| {
                        match job {
                            Job::Folder(0) => {}
                            Job::Folder(depth) => {
                                pool.add([depth - 1, depth - 1].into_iter(), [depth].into_iter());
                            }
                            Job::Files(count) => {
                                files.fetch_add(1, Ordering::Relaxed);
                                for piece in 0..count {
                                    if pool.add_piece(piece).is_some() {
                                        pieces.fetch_add(1, Ordering::Relaxed);
                                    }
                                }
                            }
                            Job::Piece(_) => {
                                pieces.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                        Ok(())
                    })
                    .unwrap();
                });
            }
        });
        // A binary tree of folders: 2^(5-d) folders of depth d, each with one file of d pieces.
        assert_eq!(files.into_inner(), 31);
        assert_eq!(pieces.into_inner(), 57);
    }

    #[test]
    fn an_error_stops_all_threads() {
        let pool = TestPool::new(2, Taken::First);
        pool.add(0..100, std::iter::empty());
        let cancel = Cancel::default();
        let errors = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        pool.run(&cancel, |job| match job {
                            Job::Folder(10) => Err(Error::Interrupted),
                            _ => Ok(()),
                        })
                    })
                })
                .collect();
            threads
                .into_iter()
                .filter(|_| true)
                .map(|t| t.join().unwrap())
                .filter(Result::is_err)
                .count()
        });
        assert_eq!(errors, 1);
    }

    #[test]
    fn a_wish_to_stop_is_heard() {
        let pool = TestPool::new(2, Taken::First);
        pool.add(0..100, std::iter::empty());
        let cancel = Cancel::default();
        cancel.cancel();
        assert!(pool.run(&cancel, |_| Ok(())).is_err());
    }
}
