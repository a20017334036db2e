//! A database whose process dies as a test says: before a commit or after it.

use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_vault::database::{Database, Work};
use strongroom_vault::{Error, Result};

/// The database, and when it is cut off.
#[derive(Debug)]
pub(super) struct CutDatabase {
    inner: Arc<dyn Database>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// After so many more commits, and whether the last one is done.
    cut: Option<(u8, bool)>,
    is_dead: bool,
    /// How many commits were done since this was asked last.
    commits: u64,
}

impl CutDatabase {
    pub(super) fn new(inner: Arc<dyn Database>) -> Self {
        Self {
            inner,
            state: Mutex::default(),
        }
    }

    /// Dies at the commit of that number, counted from 0: before it, or when it is done.
    pub(super) fn cut_at(&self, number: u8, is_done: bool) {
        self.state.lock().cut = Some((number, is_done));
    }

    /// Looks at what was committed, also where the process has died since.
    pub(super) fn look(&self, work: &mut Work<'_>) -> Result<()> {
        self.inner.read(work)
    }

    /// Takes the plan back; tells whether the process has died, and how many commits were done
    /// since this was asked last.
    pub(super) fn settle(&self) -> (bool, u64) {
        let mut state = self.state.lock();
        state.cut = None;
        (state.is_dead, std::mem::take(&mut state.commits))
    }
}

impl Database for CutDatabase {
    fn write(&self, work: &mut Work<'_>) -> Result<()> {
        let mut state = self.state.lock();
        if state.is_dead {
            return Err(dead());
        }
        match state.cut {
            Some((0, is_done)) => {
                state.is_dead = true;
                if !is_done {
                    // All of it was done but the commit.
                    return self.inner.write(&mut |transaction| {
                        work(transaction)?;
                        Err(dead())
                    });
                }
                self.inner.write(work)?;
                state.commits += 1;
                Err(dead())
            }
            cut => {
                state.cut = cut.map(|(number, is_done)| (number - 1, is_done));
                self.inner.write(work)?;
                state.commits += 1;
                Ok(())
            }
        }
    }

    fn read(&self, work: &mut Work<'_>) -> Result<()> {
        if self.state.lock().is_dead {
            return Err(dead());
        }
        self.inner.read(work)
    }
}

fn dead() -> Error {
    Error::Database {
        action: "answer".to_owned(),
        reason: "a test has ended the process".to_owned(),
    }
}
