//! Works of a fraction of a millisecond each, where all goes well.
//!
//! To wake a thread for each would cost as much again, and many threads at a time cost more than
//! they do: they wait for one another's locks, those of the allocator among them. So as few do these
//! works as there are processors, a thread goes on with the next that waits, and stays for a moment
//! when none does.
//!
//! What can go wrong: works that do have to wait, for a disk or a lock, would hold up all others. So
//! while works wait somebody looks a few hundred times a second, and where one has waited since he
//! looked before, there are twice as many threads.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::task::spawn_blocking;

type Work = Box<dyn FnOnce() + Send>;

/// How often it is looked whether works wait for long.
const LOOKS_EVERY: Duration = Duration::from_millis(5);

/// For how long a thread stays that has nothing to do.
const STAYS: Duration = Duration::from_millis(50);

/// The threads that do short works.
pub(super) struct Short {
    /// So many do them while none of them has to wait.
    few: usize,
    most: usize,
    state: Mutex<State>,
    called: Condvar,
}

#[derive(Default)]
struct State {
    works: VecDeque<Work>,
    /// How many works have been taken since the beginning.
    taken: u64,
    threads: usize,
    /// Threads that stay and have not been called.
    idle: usize,
    /// Threads that have been called and have not looked yet.
    called: usize,
    is_watched: bool,
}

impl Short {
    /// With so many threads at most.
    pub(super) fn new(most: usize) -> Self {
        let few = available_parallelism().map_or(1, usize::from);
        Self {
            few: few.min(most),
            most,
            state: Mutex::default(),
            called: Condvar::new(),
        }
    }

    /// Has a work done, in the order in which they come.
    pub(super) fn begin(self: &Arc<Self>, work: Work) {
        let mut state = self.state.lock();
        state.works.push_back(work);
        if state.threads - state.idle < self.few {
            self.call(&mut state);
        } else if !state.is_watched {
            state.is_watched = true;
            tokio::spawn(Arc::clone(self).watch());
        }
    }

    /// Calls a thread, or begins one; whether there was one to be had.
    fn call(self: &Arc<Self>, state: &mut State) -> bool {
        if state.idle > 0 {
            state.idle -= 1;
            state.called += 1;
            self.called.notify_one();
        } else if state.threads < self.most {
            state.threads += 1;
            let short = Arc::clone(self);
            drop(spawn_blocking(move || short.run()));
        } else {
            return false;
        }
        true
    }

    /// Looks until nothing waits, and has more threads do what has waited since it looked before.
    async fn watch(self: Arc<Self>) {
        let mut come = 0;
        loop {
            tokio::time::sleep(LOOKS_EVERY).await;
            let mut state = self.state.lock();
            if state.works.is_empty() {
                state.is_watched = false;
                return;
            }
            if state.taken < come {
                let more = state.works.len().min(state.threads - state.idle);
                let _ = (0..more).all(|_| self.call(&mut state));
            }
            come = state.taken + state.works.len() as u64;
        }
    }

    fn run(self: &Arc<Self>) {
        while let Some(work) = self.next() {
            // Whoever waits for it hears that nobody answers.
            let _ = catch_unwind(AssertUnwindSafe(work));
        }
    }

    /// The next work, or none where none has come for a while or enough others stay: then the thread
    /// has ended.
    fn next(&self) -> Option<Work> {
        let mut state = self.state.lock();
        loop {
            if let Some(work) = state.works.pop_front() {
                state.taken += 1;
                return Some(work);
            }
            if state.idle >= self.few {
                state.threads -= 1;
                return None;
            }
            state.idle += 1;
            let ended = self.called.wait_for(&mut state, STAYS);
            if state.called > 0 {
                state.called -= 1;
            } else {
                state.idle -= 1;
                if ended.timed_out() && state.works.is_empty() {
                    state.threads -= 1;
                    return None;
                }
            }
        }
    }
}

impl fmt::Debug for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Short").finish_non_exhaustive()
    }
}
