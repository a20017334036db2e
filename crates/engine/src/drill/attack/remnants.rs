//! What drills have left behind, remembered by this machine until it is gone.
//!
//! What can go wrong: a drill that dies (so: what it makes is written down before it is made), two of
//! them at once (so: each takes out what it has seen go, and leaves what it does not know), and a
//! state folder that is lost (so: what can be listed at the place is found there all the same).

use std::error::Error as StdError;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strongroom_model::attack::NotedRemnant;
use strongroom_store::{Noted, Remnants};

use crate::session::CopyStore;
use crate::state::RepositoryState;

/// All that drills have left at one place, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotedRemnants {
    /// Each with the time of its drill.
    #[serde(default)]
    pub left: Vec<NotedRemnant>,
}

impl NotedRemnants {
    /// Takes over what a drill has noted that began at `since`.
    fn take(&mut self, noted: &Noted, since: Timestamp) {
        self.left.retain(|one| !noted.gone.contains(&one.remnant));
        for remnant in &noted.left {
            if !self.left.iter().any(|one| one.remnant == *remnant) {
                let remnant = remnant.clone();
                self.left.push(NotedRemnant { remnant, since });
            }
        }
        self.left.sort_by(|a, b| a.remnant.cmp(&b.remnant));
    }
}

/// What is noted of a copy when a drill begins; what it makes is written down from now on.
pub(super) fn begin(memory: Option<&RepositoryState>, copy: &CopyStore, at: Timestamp) -> Remnants {
    let Some(memory) = memory.cloned() else {
        return Remnants::default();
    };
    let left = memory.remnants(copy).left;
    let copy = copy.clone();
    let left: Vec<_> = left.into_iter().map(|one| one.remnant).collect();
    Remnants::new(left, move |noted| write(&memory, &copy, noted, at))
}

/// What is left by now, remembered where it can be.
pub(super) fn remember(
    memory: Option<&RepositoryState>,
    copy: &CopyStore,
    made: &Remnants,
    at: Timestamp,
) -> Vec<NotedRemnant> {
    let noted = made.noted();
    let mut remnants = NotedRemnants::default();
    if let Some(memory) = memory {
        write(memory, copy, &noted, at);
        remnants = memory.remnants(copy);
    }
    // Where it could not be written it is told all the same.
    remnants.take(&noted, at);
    remnants.left
}

fn write(memory: &RepositoryState, copy: &CopyStore, noted: &Noted, at: Timestamp) {
    let written = memory.update_remnants(copy, |remnants| remnants.take(noted, at));
    if let Err(error) = written {
        let (error, copy) = (&error as &dyn StdError, copy.name.as_str());
        tracing::warn!(
            error,
            copy,
            "What a drill makes cannot be noted, so that the next one may not know of it"
        );
    }
}
