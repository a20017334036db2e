//! Whether two copies are one and the same place under two addresses.
//!
//! No two lock files of ours are the same, so that a lock that was written to one copy and is
//! listed by another tells that whatever destroys one destroys both. Each copy is listed after our
//! lock was written to it: of two locks in one place, whichever was written last, the listing that
//! followed it holds both. A lock that is renewed meanwhile is as good as the one before.
//!
//! What can go wrong: a place that hides the locks of others is not found out, and one that is
//! mirrored, locks and all, is taken for its mirror; neither makes a copy count that would not
//! count otherwise.

use std::collections::BTreeSet;

use jiff::Timestamp;
use strongroom_model::{CopyEvidence, Id};

use crate::Result;
use crate::session::CopyStore;
use crate::state::RepositoryState;

/// What the locks of a run told of the places of the copies.
#[derive(Debug, Clone, Default)]
pub struct Places {
    locked: Vec<LockedPlace>,
}

/// A copy that was locked and then listed.
#[derive(Debug, Clone)]
pub(super) struct LockedPlace {
    pub(super) copy: String,
    /// The locks that were made for it, one after the other.
    pub(super) locks: BTreeSet<Id>,
    /// All locks that it listed then.
    pub(super) listed: BTreeSet<Id>,
}

impl Places {
    pub(super) const fn of(locked: Vec<LockedPlace>) -> Self {
        Self { locked }
    }

    /// Whether two copies are one place; `None` where not both were locked.
    fn are_one(&self, first: &str, second: &str) -> Option<bool> {
        let find = |name: &str| self.locked.iter().find(|place| place.copy == name);
        let (first, second) = (find(first)?, find(second)?);
        let shows = |one: &LockedPlace, other: &LockedPlace| !one.listed.is_disjoint(&other.locks);
        Some(shows(first, second) || shows(second, first))
    }

    /// Notes for each of the copies which others are in its place, and which are not any more.
    ///
    /// # Errors
    /// As [`RepositoryState::update_evidence`].
    pub fn remember(
        &self,
        copies: &[&CopyStore],
        memory: &RepositoryState,
        at: Timestamp,
    ) -> Result<()> {
        for copy in copies {
            let change = |evidence: &mut CopyEvidence| {
                for other in copies.iter().filter(|other| other.name != copy.name) {
                    let address = other.store.location();
                    match self.are_one(&copy.name, &other.name) {
                        Some(true) => evidence.record_one_place(address, at),
                        Some(false) => evidence.record_apart(address),
                        None => {}
                    }
                }
            };
            let before = memory.evidence(copy);
            let mut after = before.clone();
            change(&mut after);
            if after != before {
                memory.update_evidence(copy, change)?;
            }
        }
        Ok(())
    }
}
