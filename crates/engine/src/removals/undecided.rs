//! Removals about which a person may have something to say here: what others decided and may still be
//! taken back, or still lies there, and what others took back.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::record::RemovedBy;

use crate::removals::standing::Standing;
use crate::removals::{Known, Removals, Telling};
use crate::session::{ReadyCopy, Session};

/// A removal that is not, or not only, this machine's own word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecided {
    /// Its record.
    pub record: Id,
    /// The machine that signed it, by the SHA-256 of its public key; `None` where none did.
    pub signer: Option<Id>,
    /// The host that it names, which anybody can name; not fit for a terminal as it is.
    pub host: String,
    /// By which command, as it says.
    pub by: RemovedBy,
    /// When, as it says.
    pub at: Timestamp,
    /// How many snapshots it names.
    pub snapshots: usize,
    /// How many index files and packs it names.
    pub others: usize,
    /// How many of all these lie on a copy of the session.
    pub left: u64,
    /// How many bytes these have, each counted once.
    pub left_bytes: u64,
    /// Since when this machine knows it; `None` for its own.
    pub seen: Option<Timestamp>,
    /// From when on it is carried out here.
    pub due_from: Option<Timestamp>,
    /// How it stands.
    pub state: UndecidedState,
}

/// How a removal stands that others decided or took back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UndecidedState {
    /// It hides what it names, and can be taken back.
    Waits,
    /// It is carried out here by now, and something of it is left.
    Due,
    /// It is this machine's own word, and a machine that is not trusted took it back.
    TakenBack,
    /// It counts for nothing, since no machine that is trusted wrote it.
    Ignored,
}

impl Removals {
    /// All of which anything lies on a copy of a session, or that may be taken back.
    pub fn undecided(&self, session: &Session) -> Vec<Undecided> {
        let hidden = session.ready().flat_map(|(_, ready)| &ready.removed);
        let hidden: HashMap<FileName, u64> =
            hidden.map(|file| (file.name, file.size_bytes)).collect();
        let size = |name: FileName| {
            let listed = || {
                session.ready().find_map(|(_, ready)| {
                    let files = ready.listing.of(name.kind())?;
                    files.size_bytes(name.id()?)
                })
            };
            hidden.get(&name).copied().or_else(listed)
        };
        let of = |id: &Id, known: &Known, state: UndecidedState| {
            let left = known.removal.files().filter_map(size);
            let (left, left_bytes) = left.fold((0_u64, 0_u64), |(files, bytes), size_bytes| {
                (files + 1, bytes.saturating_add(size_bytes))
            });
            Undecided {
                record: *id,
                signer: known.origin.signer,
                host: known.removal.host.clone(),
                by: known.removal.by,
                at: known.removal.at,
                snapshots: known.removal.snapshots.len(),
                others: known.removal.len() - known.removal.snapshots.len(),
                left,
                left_bytes,
                seen: known.seen,
                due_from: known.due_from(),
                state,
            }
        };
        let undecided = self.found.removals.iter().filter_map(|(id, known)| {
            let state = self.undecided_state(*id, known)?;
            let told = of(id, known, state);
            (told.left > 0 || state == UndecidedState::Waits).then_some(told)
        });
        undecided.collect()
    }

    /// What somebody has to see to in time: what was decided by others, is not due, and hides files that
    /// lie on a copy of a session, or snapshots that one which locks has no more in sight.
    ///
    /// **Security:** whoever writes such a record hides those snapshots there besides, so that nothing of
    /// it lies anywhere in sight. Behind their markers they can be brought back as long as their locks
    /// last, and after the week nobody extends these.
    pub fn alarms(&self, session: &Session) -> Vec<Telling> {
        let waiting: Vec<_> = self
            .counting()
            .filter(|(_, known)| !self.is_due(known))
            .collect();
        if waiting.is_empty() {
            return Vec::new();
        }
        let in_sight = |ready: &ReadyCopy| -> HashSet<FileName> {
            ready.removed.iter().map(|file| file.name).collect()
        };
        let copies: Vec<_> = session
            .ready()
            .map(|(copy, ready)| (copy.store.locks().is_some(), in_sight(ready)))
            .collect();
        let is_lying = |known: &Known| {
            let mut files = known.removal.files();
            files.any(|name| copies.iter().any(|(_, there)| there.contains(&name)))
        };
        let is_hidden = |known: &Known| {
            let snapshots = known.removal.snapshots.iter();
            let mut names = snapshots.map(|id| FileName::new(FileType::Snapshots, *id));
            names.any(|name| {
                let mut copies = copies.iter();
                copies.any(|(locks, there)| *locks && !there.contains(&name))
            })
        };
        let waiting = waiting.into_iter();
        let alarms = waiting.filter(|(_, known)| is_lying(known) || is_hidden(known));
        alarms.map(|(id, known)| self.tell_of(id, known)).collect()
    }

    pub(super) fn undecided_state(&self, record: Id, known: &Known) -> Option<UndecidedState> {
        match self.standings.get(&record)? {
            Standing::Counts if known.is_trusted => None,
            Standing::Counts if self.may_be_finished(known) => Some(UndecidedState::Due),
            Standing::Counts => Some(UndecidedState::Waits),
            Standing::Annulled {
                by_stranger: Some(_),
            } if known.is_trusted => Some(UndecidedState::TakenBack),
            Standing::Ignored => Some(UndecidedState::Ignored),
            Standing::Annulled { .. } | Standing::Held(_) => None,
        }
    }

    /// What this machine, or one that it trusts, has removed and another took back, as long as a copy
    /// of a session lists anything of it.
    pub(super) fn taken_back(&self, session: &Session) -> Vec<Telling> {
        let is_listed =
            |name: FileName| session.ready().any(|(_, ready)| ready.listing.holds(name));
        let told = self.found.removals.iter().filter_map(|(id, known)| {
            let Some(Standing::Annulled {
                by_stranger: Some(by),
            }) = self.standings.get(id)
            else {
                return None;
            };
            let annulment = &self.found.annulments.get(by)?.what;
            let is_ours = known.is_trusted && known.removal.files().any(is_listed);
            is_ours.then(|| Telling::TakenBack {
                record: *id,
                host: annulment.host.clone(),
                at: annulment.at,
            })
        });
        told.collect()
    }
}
