//! Which removals count: who wrote them, who took them back, and what is held.
//!
//! **Security:** whoever has the repository's key can write records of every kind. This machine's own
//! word is what it wrote itself, what a machine has signed that it trusts, and what somebody has
//! accepted here; nothing else that a record says of itself counts.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use strongroom_model::{Holds, Id};

use crate::removals::{Found, Known};
use crate::state::Trust;

/// Who wrote a record, as far as this machine knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Whether this machine did.
    pub(crate) is_ours: bool,
    /// The machine whose key signed it.
    pub(crate) signer: Option<Id>,
}

/// What a record says, and who says it.
#[derive(Debug, Clone)]
pub(super) struct Said<T> {
    pub(super) what: T,
    pub(super) origin: Origin,
}

/// Whether a removal counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Counts,
    /// Somebody took it back.
    Annulled {
        /// The annulment, where no machine that is trusted wrote one.
        by_stranger: Option<Id>,
    },
    /// This snapshot of it is held.
    Held(Id),
    /// No machine that is trusted wrote it, and these alone count.
    Ignored,
}

impl Origin {
    /// What this machine writes.
    pub(super) const OURS: Self = Self {
        is_ours: true,
        signer: None,
    };

    /// Whether what it says is as good as said by this machine.
    pub(super) fn is_trusted(self, trust: &Trust) -> bool {
        let is_trusted = |signer: Id| trust.machines.contains_key(&signer);
        self.is_ours || self.signer.is_some_and(is_trusted)
    }

    /// Whether the record of that name is as good as this machine's own; also where somebody has
    /// accepted it here.
    pub(super) fn is_accepted(self, record: Id, trust: &Trust) -> bool {
        self.is_trusted(trust) || trust.removals.contains_key(&record)
    }

    /// Whether anything that it says counts.
    pub(super) fn counts(self, trust: &Trust) -> bool {
        self.is_trusted(trust) || !trust.ignores_strangers
    }
}

impl Found {
    /// Says of each removal whether it counts as this machine's own.
    pub(super) fn weigh(&mut self) {
        let Self {
            removals, trust, ..
        } = self;
        for (id, known) in removals {
            known.is_trusted = known.origin.is_accepted(*id, trust);
        }
    }

    /// Has the week of each removal by others begin now that does not count, and returns which these
    /// are.
    ///
    /// **Security:** else one that was written long ago would be carried out in the very moment in which
    /// somebody ends a hold, hears strangers again, or hides what took it back, and nobody could say no.
    pub(super) fn begin_again(&mut self, now: Timestamp) -> BTreeSet<Id> {
        self.weigh();
        let mut holds = self.own_holds.clone().unwrap_or_default();
        self.join_holds(&mut holds);
        let standings = self.standings(&holds);
        let mut idle = BTreeSet::new();
        for (id, known) in &mut self.removals {
            let counts = standings.get(id) == Some(&Standing::Counts);
            if !counts && !known.is_trusted && known.seen.is_some() {
                known.seen = Some(now);
                idle.insert(*id);
            }
        }
        idle
    }

    /// Holds what the copies hold besides, but for what was released since.
    pub(super) fn join_holds(&self, holds: &mut Holds) {
        let said = self.holds.values();
        let counting = said.filter(|said| said.origin.counts(&self.trust));
        counting.for_each(|said| holds.join(&said.what));
    }

    /// Whether each removal counts: of all at once, since there may be very many records.
    pub(super) fn standings(&self, holds: &Holds) -> BTreeMap<Id, Standing> {
        let trust = &self.trust;
        let mut annulled: BTreeMap<Id, Option<Id>> = BTreeMap::new();
        for (id, said) in &self.annulments {
            if said.origin.counts(trust) {
                let by_stranger = annulled.entry(said.what.record).or_insert(Some(*id));
                if said.origin.is_trusted(trust) {
                    *by_stranger = None;
                }
            }
        }
        let standing = |id: &Id, known: &Known| {
            if !known.is_trusted && trust.ignores_strangers {
                return Standing::Ignored;
            }
            // What was accepted here stands, whoever takes it back.
            let is_accepted = trust.removals.contains_key(id);
            if let Some(by_stranger) = annulled.get(id).filter(|_| !is_accepted) {
                return Standing::Annulled {
                    by_stranger: *by_stranger,
                };
            }
            let mut named = known.removal.snapshots.iter();
            match named.find(|snapshot| holds.held(**snapshot).is_some()) {
                Some(snapshot) => Standing::Held(*snapshot),
                None => Standing::Counts,
            }
        };
        let removals = self.removals.iter();
        removals
            .map(|(id, known)| (*id, standing(id, known)))
            .collect()
    }
}
