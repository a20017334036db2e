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
use strongroom_model::attack::Remnant;

/// The most remnants that are noted: far more than a drill makes, whatever a place lists.
const MOST_REMNANTS: usize = 1000;

/// What drills have made and not taken away; shared by its clones.
#[derive(Clone)]
pub struct Remnants {
    noted: Arc<Mutex<Noted>>,
    keep: Arc<dyn Fn(&Noted) + Send + Sync>,
}

/// All that is noted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Noted {
    /// What is there, or may be.
    pub left: BTreeSet<Remnant>,
    /// What was there, or was to be, and is not any more.
    pub gone: BTreeSet<Remnant>,
}

impl Remnants {
    /// Begins with what earlier drills have left. `keep` writes down what is noted, each time
    /// before something is made.
    pub fn new(
        left: impl IntoIterator<Item = Remnant>,
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
    pub fn left(&self) -> BTreeSet<Remnant> {
        self.noted.lock().left.clone()
    }

    /// Notes what is about to be made, and has it written down.
    pub fn make(&self, remnant: Remnant) {
        if self.note(remnant) {
            (self.keep)(&self.noted());
        }
    }

    /// Notes what was found; whether that is new.
    pub fn note(&self, remnant: Remnant) -> bool {
        let mut noted = self.noted.lock();
        noted.gone.remove(&remnant);
        noted.left.len() < MOST_REMNANTS && noted.left.insert(remnant)
    }

    /// Notes that something is not there any more.
    pub fn strike(&self, remnant: &Remnant) {
        let mut noted = self.noted.lock();
        if let Some(remnant) = noted.left.take(remnant) {
            noted.gone.insert(remnant);
        }
    }
}

impl Default for Remnants {
    /// Nothing was left, and nothing is written down.
    fn default() -> Self {
        Self::new([], |_| {})
    }
}

#[cfg(test)]
mod tests {
    use strongroom_model::attack::RemnantKind;

    use super::*;

    #[test]
    fn what_is_about_to_be_made_is_written_down_once_and_struck_out_when_it_is_gone() {
        let remnant = |name: &str| Remnant::new(RemnantKind::Canary, name);
        let written: Arc<Mutex<Vec<Noted>>> = Arc::default();
        let pages = written.clone();
        let remnants = Remnants::new([remnant("old")], move |noted| {
            pages.lock().push(noted.clone());
        });
        remnants.make(remnant("new"));
        remnants.make(remnant("new"));
        assert_eq!(written.lock().len(), 1);
        assert_eq!(
            written.lock()[0].left,
            [remnant("new"), remnant("old")].into()
        );
        remnants.strike(&remnant("old"));
        remnants.strike(&remnant("nothing"));
        let noted = remnants.noted();
        assert_eq!(noted.left, [remnant("new")].into());
        assert_eq!(noted.gone, [remnant("old")].into());
        // What comes back is there again.
        remnants.make(remnant("old"));
        assert_eq!(remnants.noted().gone, BTreeSet::new());
    }
}
