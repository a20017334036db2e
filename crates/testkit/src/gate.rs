//! A gate that holds threads until a test opens it: a slow store without any sleeping.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

/// A gate; clones are the same gate.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<State>, Condvar)>);

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
    pub fn wait_for_waiting(&self, count: usize) {
        let (state, changed) = &*self.0;
        changed.wait_while(&mut state.lock(), |state| state.waiting < count);
    }

    /// Opens the gate for good.
    pub fn open(&self) {
        let (state, changed) = &*self.0;
        state.lock().open = true;
        changed.notify_all();
    }
}
