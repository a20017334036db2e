//! A gate that holds threads until a test opens it: a slow store without any sleeping.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// A gate; clones are the same gate.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<State>, Condvar)>);

/// How long a test waits for others to come to a gate.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug, Default)]
struct State {
    waiting: usize,
    open: bool,
}

impl Gate {
    /// A closed gate.
    pub fn closed() -> Self {
        Self::default()
    }

    /// Waits until the gate is open.
    pub fn pass(&self) {
        let (state, changed) = &*self.0;
        let mut state = state.lock();
        state.waiting += 1;
        changed.notify_all();
        changed.wait_while(&mut state, |state| !state.open);
        state.waiting -= 1;
    }

    /// Waits until that many threads stand before the gate.
    ///
    /// # Panics
    /// When nobody came for two minutes: then nobody ever will.
    pub fn wait_for_waiting(&self, count: usize) {
        let (state, changed) = &*self.0;
        let too_few = |state: &mut State| state.waiting < count;
        let waited = changed.wait_while_for(&mut state.lock(), too_few, PATIENCE);
        assert!(!waited.timed_out(), "fewer than {count} came to the gate");
    }

    /// Does `work` in a thread of its own and `act` while that stands before the gate, then opens it;
    /// returns what came of the work.
    ///
    /// # Panics
    /// As [`Gate::wait_for_waiting`], and where the work panics.
    pub fn meanwhile<T: Send>(&self, work: impl FnOnce() -> T + Send, act: impl FnOnce()) -> T {
        thread::scope(|scope| {
            let working = scope.spawn(work);
            self.wait_for_waiting(1);
            act();
            self.open();
            working.join().expect("the work has ended by itself")
        })
    }

    /// Opens the gate for good.
    pub fn open(&self) {
        let (state, changed) = &*self.0;
        state.lock().open = true;
        changed.notify_all();
    }
}
