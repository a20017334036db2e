//! What a drill makes at a place, noted before it is made and struck out when it is gone.
//!
//! What can go wrong: a drill that is killed or interrupted, a place that lets things be made and
//! neither listed nor removed. So what is made is written down first, by whoever asks for the drill;
//! and what cannot be removed, because nobody may, stays noted for the next one.
//!
//! **Security:** what is noted names what the next drill removes. So whoever removes by it looks
//! first whether a drill could have made it: no name of anything else is ever used.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_model::attack::Trace;

/// The most traces that are noted: far more than a drill makes, whatever a place lists.
const MOST_TRACES: usize = 1000;

/// What drills have made and not taken away; shared by its clones.
#[derive(Clone)]
pub struct Traces {
    noted: Arc<Mutex<Noted>>,
    keep: Arc<dyn Fn(&Noted) + Send + Sync>,
}

/// All that is noted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Noted {
    /// What is there, or may be.
    pub left: BTreeSet<Trace>,
    /// What was there, or was to be, and is not any more.
    pub gone: BTreeSet<Trace>,
}

impl Traces {
    /// Begins with what earlier drills have left. `keep` writes down what is noted, each time
    /// before something is made.
    pub fn new(
        left: impl IntoIterator<Item = Trace>,
        keep: impl Fn(&Noted) + Send + Sync + 'static,
    ) -> Self {
        let noted = Noted {
            left: left.into_iter().collect(),
            gone: BTreeSet::new(),
        };
        Self {
            noted: Arc::new(Mutex::new(noted)),
            keep: Arc::new(keep),
        }
    }

    /// All that is noted by now.
    pub fn noted(&self) -> Noted {
        self.noted.lock().clone()
    }

    /// What is there, or may be.
    pub fn left(&self) -> BTreeSet<Trace> {
        self.noted.lock().left.clone()
    }

    /// Notes what is about to be made, and has it written down.
    pub fn make(&self, trace: Trace) {
        if self.note(trace) {
            (self.keep)(&self.noted());
        }
    }

    /// Notes what was found; whether that is new.
    pub fn note(&self, trace: Trace) -> bool {
        let mut noted = self.noted.lock();
        noted.gone.remove(&trace);
        noted.left.len() < MOST_TRACES && noted.left.insert(trace)
    }

    /// Notes that something is not there any more.
    pub fn strike(&self, trace: &Trace) {
        let mut noted = self.noted.lock();
        if let Some(trace) = noted.left.take(trace) {
            noted.gone.insert(trace);
        }
    }
}

impl Default for Traces {
    /// Nothing was left, and nothing is written down.
    fn default() -> Self {
        Self::new([], |_| {})
    }
}

#[cfg(test)]
mod tests {
    use strongroom_model::attack::TraceKind;

    use super::*;

    #[test]
    fn what_is_about_to_be_made_is_written_down_once_and_struck_out_when_it_is_gone() {
        let trace = |name: &str| Trace::new(TraceKind::Canary, name);
        let written: Arc<Mutex<Vec<Noted>>> = Arc::default();
        let pages = written.clone();
        let traces = Traces::new([trace("old")], move |noted| {
            pages.lock().push(noted.clone());
        });
        traces.make(trace("new"));
        traces.make(trace("new"));
        assert_eq!(written.lock().len(), 1);
        assert_eq!(written.lock()[0].left, [trace("new"), trace("old")].into());
        traces.strike(&trace("old"));
        traces.strike(&trace("nothing"));
        let noted = traces.noted();
        assert_eq!(noted.left, [trace("new")].into());
        assert_eq!(noted.gone, [trace("old")].into());
        // What comes back is there again.
        traces.make(trace("old"));
        assert_eq!(traces.noted().gone, BTreeSet::new());
    }
}
