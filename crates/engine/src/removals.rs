//! Removals: what records say was removed on purpose, so that nothing brings it back.
//!
//! Who removes writes a record first, to the state folder and to every copy, and then removes; who
//! comes next finishes what a record names. What a record names that counts is in no listing of a
//! session, wherever it still lies: so lead, sync, verify and status see the repository without it, and
//! [`finish()`] looks at what is left. Whoever reads a snapshot does, too, where nothing else has what it
//! needs: that may be all that is left.
//!
//! The life of a removal:
//! ```text
//! decided ──▶ record in the state folder ──▶ record on every copy that takes one ──▶ hidden
//!    hidden ──▶ finished on a folder, a vault, an unlocked bucket       at once
//!           ──▶ finished on a locked bucket                            when the last lock is over
//!           ──▶ finished on a copy that was away                       when it is back
//!           ──▶ finished by a machine that did not write the record    7 days after it saw it first,
//!                 and it counted there, or as its own where it trusts who signed it, or somebody
//!                 accepted it there
//!    hidden ──▶ annulled, or a snapshot of it is held ──▶ seen again; sync brings what is left
//! ```
//! Ids never come back, since the nonces in what they name are random: a record counts for ever.
//!
//! What can go wrong: whoever has the repository's key can write records of his own, and production
//! has that key.
//!
//! | he writes | then |
//! |---|---|
//! | a removal of everything | it is hidden here and nothing is lost: this machine did not write the record, tells of it in every run, ends each with 3, and removes nothing of what it names for 7 days, and no pack or index file at all where such a snapshot lies, whatever a prune that did not see it has decided. `forget --annul` takes it back, and where it was right all the same, `removals --accept` makes it this machine's own |
//! | a removal in the name of a machine that is trusted | without its signature it is anybody's |
//! | a removal of what is held | it does not count; once nobody holds that, or whatever else took it back is gone, its week begins |
//! | a removal of packs that snapshots need | they stay where such a snapshot lies, told, whatever the record says of those that stay |
//! | an annulment | what was removed comes back from where it still lies: that costs space. Of what this machine decided it is told, and what was accepted stands |
//! | holds | they are held: that costs space. No release, and nothing that is admitted, is taken over |
//! | records that are unread, or too many | of what others decided nothing is removed meanwhile: one of them may take it back |
//! | records of a newer version, or a list of holds that is damaged here | nothing is removed until somebody has seen to it |
//! | junk, or records without end | what does not open is told and passed over, and so is what is beyond 10,000 records, 256 MiB or four million names; those of this machine lie in the state folder and come first, and each of the others has its turn |
//! | any of these, and sets our clock ahead | of our clock and those of the places the earliest counts for what is due, and the latest for when it was first seen; where ours is far ahead, that is told |
//! | any of these, again and again | where strangers are ignored, nothing counts that no trusted machine has signed |

mod alone;
mod carry;
mod clocks;
mod finish;
mod locked;
mod order;
mod publish;
mod reading;
mod standing;
mod telling;
mod undecided;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use jiff::{SignedDuration, Timestamp};
use strongroom_model::{FileEntry, FileName, FileType, Holds, Id};
use strongroom_repo::record::{Annulment, Record, Removal};

use crate::session::{ReadyCopy, RemovedFile, Session};
use crate::state::Trust;
use crate::{Error, Listing, Result};

pub use alone::finish_alone;
pub use carry::carry;
pub(crate) use finish::finish_seen;
pub use finish::{FinishedCopy, finish};
pub(crate) use publish::write;
pub use publish::{Published, annul, change_trust, is_told, publish};
pub(crate) use reading::{Keeper, gather};
use standing::{Origin, Said, Standing};
pub use telling::{Stop, Telling};
pub use undecided::{Undecided, UndecidedState};

/// How long a record that this machine did not write only hides: long enough for somebody to see
/// what it hides and to take it back.
const OTHERS_WAIT: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The most records that are read from copies in one session.
const MOST_RECORDS: usize = 10_000;

/// The most bytes of records that are read from copies in one session.
const MOST_BYTES: u64 = 256 << 20;

/// The most files that all records of others name together.
const MOST_IDS: usize = 4_000_000;

/// How many records that begin alike are named.
const NAMED: usize = 5;

/// How many bytes of memory a name takes.
const ID_BYTES: usize = 80;

/// What records say of a repository: those of the state folder and of every copy that was listed.
#[derive(Debug, Default)]
pub struct Removals {
    found: Found,
    /// Whether each removal counts.
    standings: BTreeMap<Id, Standing>,
    /// What is held, by the list of this machine and those of the copies.
    holds: Holds,
    /// All that records name that count.
    named: Named,
    /// What of that may be removed by now.
    due: Named,
    tellings: Vec<Telling>,
}

/// The sound records, and what was found out on the way.
#[derive(Debug, Default, Clone)]
pub(crate) struct Found {
    removals: BTreeMap<Id, Known>,
    annulments: BTreeMap<Id, Said<Annulment>>,
    /// The lists of the copies.
    holds: BTreeMap<Id, Said<Holds>>,
    /// Records of a newer version, and why they cannot be read.
    newer: BTreeMap<Id, Said<String>>,
    /// Whose records count as this machine's own.
    trust: Trust,
    /// The list of this machine.
    own_holds: Option<Holds>,
    /// Files that need not be read again in this run: junk, what a newer version wrote, what is
    /// too much.
    passed_over: BTreeSet<Id>,
    /// Why nothing may be removed, whatever records there are.
    stop: Option<Stop>,
    /// What was found wrong while they were read.
    problems: Vec<Telling>,
    /// How many files the records of others name, or what takes as much memory.
    ids_of_others: usize,
    /// When they were gathered, by the clock that is the furthest behind; `None` without a state
    /// folder.
    now: Option<Timestamp>,
}

/// A removal, and where it comes from.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    removal: Arc<Removal>,
    origin: Origin,
    /// Whether it counts as this machine's own, whoever wrote it.
    is_trusted: bool,
    /// When this machine first saw it and it counted; `None` where it has no state folder.
    seen: Option<Timestamp>,
}

/// Names of files, each type sorted.
#[derive(Debug, Default)]
struct Named {
    snapshots: Vec<Id>,
    index: Vec<Id>,
    data: Vec<Id>,
}

impl Removals {
    /// What follows from records.
    pub(crate) fn of(mut found: Found) -> Self {
        found.weigh();
        let mut holds = found.own_holds.clone().unwrap_or_default();
        found.join_holds(&mut holds);
        let mut removals = Self {
            standings: found.standings(&holds),
            holds,
            found,
            ..Self::default()
        };
        let counting = removals.counting().map(|(_, known)| &*known.removal);
        removals.named = Named::of(counting);
        removals.due = Named::of(removals.due().map(|known| &*known.removal));
        removals.tellings = removals.tell();
        removals
    }

    /// Whether a record that counts names a file.
    pub fn names(&self, name: FileName) -> bool {
        self.named.contains(name)
    }

    /// The removals that count, by their records.
    pub fn records(&self) -> impl Iterator<Item = (Id, &Removal)> + '_ {
        self.counting().map(|(id, known)| (id, &*known.removal))
    }

    /// Whether all that count may be finished by now, so that none will be taken back.
    pub fn are_all_due(&self) -> bool {
        self.counting()
            .all(|(_, known)| self.may_be_finished(known))
    }

    /// The removals of others that count and may not be finished yet, and whether they only wait for
    /// records that are unread.
    pub(crate) fn unfinished(&self) -> impl Iterator<Item = (Id, &Removal, bool)> + '_ {
        let unfinished = self
            .counting()
            .filter(move |(_, known)| !self.may_be_finished(known));
        unfinished.map(move |(id, known)| (id, &*known.removal, self.is_due(known)))
    }

    /// What is held, by the list of this machine and those of the copies, as of when the session was
    /// opened.
    pub const fn holds(&self) -> &Holds {
        &self.holds
    }

    /// What a person has to know of records.
    pub fn tellings(&self) -> &[Telling] {
        &self.tellings
    }

    /// What a person has to know of records, and of what others have decided or taken back as long as
    /// anything of it lies on a copy of this run.
    pub fn told_of(&self, session: &Session) -> Vec<Telling> {
        let due = |told: &Telling| matches!(told, Telling::Foreign { is_due: true, .. });
        let mut told = self.tellings.clone();
        told.extend(self.lying(session).into_iter().filter(due));
        told.extend(self.taken_back(session));
        told
    }

    /// The record of another machine that hides a file and is not due.
    pub fn hidden_by(&self, name: FileName) -> Option<Id> {
        let mut hiding = self.counting().filter(|(_, known)| !self.is_due(known));
        let (record, _) = hiding.find(|(_, known)| known.removal.names(name))?;
        Some(record).filter(|_| !self.may_go(name))
    }

    /// What others have decided of which anything lies on a copy of a session.
    fn lying(&self, session: &Session) -> Vec<Telling> {
        let left = session.ready().flat_map(|(_, ready)| &ready.removed);
        let left: HashSet<FileName> = left.map(|file| file.name).collect();
        if left.is_empty() {
            return Vec::new();
        }
        let others = self.counting().filter(|(_, known)| !known.is_trusted);
        others
            .filter(|(_, known)| known.removal.files().any(|name| left.contains(&name)))
            .map(|(id, known)| self.tell_of(id, known))
            .collect()
    }

    /// The record of a removal that is meant by its id or the first digits of it, whether it counts
    /// or not.
    ///
    /// # Errors
    /// [`Error::NoRecord`]; [`Error::AmbiguousRecord`], for whoever writes records can let them begin
    /// alike.
    pub fn resolve(&self, wanted: &str) -> Result<Id> {
        let known = self.found.removals.keys().copied();
        let fits: Vec<Id> = known.filter(|id| id.begins_with(wanted)).collect();
        let wanted = wanted.to_owned();
        match fits.as_slice() {
            [one] => Ok(*one),
            [] => Err(Error::NoRecord { wanted }),
            several => {
                let mut fits: Vec<_> = several.iter().take(NAMED).map(Id::to_string).collect();
                let more = several.len().saturating_sub(fits.len());
                if more > 0 {
                    fits.push(format!("and {more} more"));
                }
                let fits = fits.join(", ");
                Err(Error::AmbiguousRecord { wanted, fits })
            }
        }
    }

    /// As [`Removals::resolve`], for a removal that is to count at once: while not every record is
    /// known, one that begins alike may be among the others, so that only a whole id will do.
    ///
    /// # Errors
    /// As [`Removals::resolve`].
    pub fn resolve_surely(&self, wanted: &str) -> Result<Id> {
        let id = self.resolve(wanted)?;
        if self.is_unsure() && !id.to_string().eq_ignore_ascii_case(wanted) {
            return Err(Error::AmbiguousRecord {
                wanted: wanted.to_owned(),
                fits: format!("{id}, or one of the records that could not be read"),
            });
        }
        Ok(id)
    }

    /// Holds what the copies hold besides, but for what was released since.
    pub(crate) fn join_holds(&self, holds: &mut Holds) {
        self.found.join_holds(holds);
    }

    /// Why nothing may be removed, whatever records say.
    pub(crate) fn stop(&self) -> Option<Stop> {
        let found = &self.found;
        let mut newer = found.newer.values();
        let newer = newer.find(|said| said.origin.counts(&found.trust));
        let newer = || newer.map(|said| Stop::newer(&said.what));
        found.stop.clone().or_else(newer)
    }

    /// Every sound record that counts for anything here, of whatever kind.
    pub(crate) fn all_records(&self) -> impl Iterator<Item = Id> + '_ {
        let Found {
            removals,
            annulments,
            holds,
            trust,
            ..
        } = &self.found;
        let removals = removals.iter().map(move |(id, known)| {
            let counts = known.is_trusted || known.origin.counts(trust);
            (*id, counts)
        });
        let annulments = annulments.iter();
        let annulments = annulments.map(move |(id, said)| (*id, said.origin.counts(trust)));
        let holds = holds.iter();
        let holds = holds.map(move |(id, said)| (*id, said.origin.counts(trust)));
        let all = removals.chain(annulments).chain(holds);
        all.filter_map(|(id, counts)| counts.then_some(id))
    }

    /// Whether a file may be removed by now.
    pub(crate) fn may_go(&self, name: FileName) -> bool {
        self.due.contains(name)
    }

    /// Whether a record hides a file and may still be taken back, so that nobody may count on it that the
    /// file is gone.
    pub(crate) fn may_come_back(&self, name: FileName) -> bool {
        self.names(name) && !self.may_go(name)
    }

    /// Whether a snapshot lies on a copy whose removal may still be taken back. No prune has looked
    /// at what it needs, so that index files and packs stay there, whatever else names them.
    fn has_waiting_snapshots(&self, ready: &ReadyCopy) -> bool {
        let left = ready.removed.iter().map(|file| file.name);
        let mut left = left.filter(|name| name.kind() == FileType::Snapshots);
        left.any(|name| self.may_come_back(name))
    }

    /// Until when the removal of each of these files waits for somebody to take it back; those are
    /// not in it for which nobody waits. Goes through all records once, however many files there are.
    fn waits_until(&self, files: &[RemovedFile]) -> HashMap<FileName, Timestamp> {
        let wanted: HashSet<FileName> = files.iter().map(|file| file.name).collect();
        let mut until = HashMap::new();
        for (_, known) in self.counting() {
            let Some(due_from) = known.due_from() else {
                continue;
            };
            for name in known.removal.files().filter(|name| wanted.contains(name)) {
                let first = until.entry(name).or_insert(due_from);
                *first = due_from.min(*first);
            }
        }
        until
    }

    /// When it was decided first that each of these files goes: of what others decided, when this
    /// machine saw it first, for they could say any time. Goes through all records once.
    fn decided(&self, files: &BTreeSet<FileName>) -> HashMap<FileName, SystemTime> {
        let mut decided = HashMap::new();
        for known in self.due() {
            let seen = known.seen.filter(|_| !known.origin.is_ours);
            let at = SystemTime::try_from(seen.unwrap_or(known.removal.at));
            let Ok(at) = at else {
                continue;
            };
            for name in known.removal.files().filter(|name| files.contains(name)) {
                let first = decided.entry(name).or_insert(at);
                *first = at.min(*first);
            }
        }
        decided
    }

    /// The removals that count and may be carried out by now.
    fn due(&self) -> impl Iterator<Item = &Known> + '_ {
        let due = self.counting().map(|(_, known)| known);
        due.filter(move |known| self.may_be_finished(known))
    }

    fn counting(&self) -> impl Iterator<Item = (Id, &Known)> + '_ {
        let all = self.found.removals.iter();
        all.filter(move |(id, _)| self.standings.get(*id) == Some(&Standing::Counts))
            .map(|(id, known)| (*id, known))
    }

    fn is_due(&self, known: &Known) -> bool {
        let due_from = known.due_from();
        known.is_trusted
            || due_from.is_some_and(|from| self.found.now.is_some_and(|now| now >= from))
    }

    /// Whether what a removal names may be removed by now. Of one that somebody else wrote it may not
    /// while a record is unread or too much: that may be the one which takes it back.
    fn may_be_finished(&self, known: &Known) -> bool {
        known.is_trusted || self.is_due(known) && !self.is_unsure()
    }

    /// Whether there are records of which nobody here knows what they say.
    fn is_unsure(&self) -> bool {
        let mut problems = self.found.problems.iter();
        problems.any(|told| matches!(told, Telling::Unread { .. } | Telling::TooMany { .. }))
    }

    fn tell(&self) -> Vec<Telling> {
        let mut tellings = self.found.problems.clone();
        tellings.extend(self.stop().map(Telling::Stopped));
        for (id, known) in &self.found.removals {
            match self.standings.get(id) {
                Some(Standing::Counts) if !self.is_due(known) => {
                    tellings.push(self.tell_of(*id, known));
                }
                Some(Standing::Held(snapshot)) => tellings.push(Telling::Held {
                    record: *id,
                    snapshot: *snapshot,
                }),
                _ => {}
            }
        }
        tellings
    }

    /// What is told of a removal that somebody else decided.
    fn tell_of(&self, record: Id, known: &Known) -> Telling {
        Telling::Foreign {
            record,
            host: known.removal.host.clone(),
            at: known.removal.at,
            snapshots: known.removal.snapshots.len(),
            others: known.removal.len() - known.removal.snapshots.len(),
            due_from: known.due_from(),
            is_due: self.is_due(known),
        }
    }
}

impl Found {
    /// Takes a record; false where others name too much already.
    fn add(&mut self, id: Id, record: Record, origin: Origin, seen: Option<Timestamp>) -> bool {
        if !origin.is_accepted(id, &self.trust) {
            let total = self.ids_of_others.saturating_add(ids_of(&record));
            if total > MOST_IDS {
                return false;
            }
            self.ids_of_others = total;
        }
        match record {
            Record::Removal(removal) => {
                let known = Known {
                    removal: Arc::new(removal),
                    origin,
                    is_trusted: false,
                    seen,
                };
                self.removals.insert(id, known);
            }
            Record::Holds(what) => {
                self.holds.insert(id, Said { what, origin });
            }
            Record::Annulment(what) => {
                self.annulments.insert(id, Said { what, origin });
            }
        }
        true
    }

    /// Whether a file need not be read.
    fn knows(&self, id: Id) -> bool {
        self.removals.contains_key(&id)
            || self.annulments.contains_key(&id)
            || self.holds.contains_key(&id)
            || self.passed_over.contains(&id)
    }
}

/// How many files a record names, or what else in it takes as much memory.
fn ids_of(record: &Record) -> usize {
    match record {
        Record::Removal(removal) => removal.len().saturating_add(removal.stays.len()),
        Record::Holds(holds) => holds.size_bytes() / ID_BYTES,
        Record::Annulment(_) => 1,
    }
}

impl Known {
    /// From when on it may be carried out by a machine whose word it is not.
    fn due_from(&self) -> Option<Timestamp> {
        let seen = self.seen.filter(|_| !self.is_trusted)?;
        Some(seen.saturating_add(OTHERS_WAIT).unwrap_or(Timestamp::MAX))
    }
}

impl Named {
    fn of<'r>(removals: impl Iterator<Item = &'r Removal>) -> Self {
        let mut named = Self::default();
        for removal in removals {
            named.snapshots.extend(&removal.snapshots);
            named.index.extend(&removal.index);
            named.data.extend(&removal.data);
        }
        for ids in [&mut named.snapshots, &mut named.index, &mut named.data] {
            ids.sort_unstable();
            ids.dedup();
        }
        named
    }

    fn contains(&self, name: FileName) -> bool {
        let id = name.id();
        id.is_some_and(|id| self.of_kind(name.kind()).binary_search(&id).is_ok())
    }

    fn of_kind(&self, kind: FileType) -> &[Id] {
        match kind {
            FileType::Snapshots => &self.snapshots,
            FileType::Index => &self.index,
            FileType::Data => &self.data,
            FileType::Config | FileType::Keys | FileType::Locks | FileType::Records => &[],
        }
    }
}

/// The types of which files are removed, in the order in which they go: nothing may be left that
/// refers to what is gone.
const KINDS: [FileType; 3] = [FileType::Snapshots, FileType::Index, FileType::Data];

impl Listing {
    /// Takes out what records name that count, and returns it.
    pub(crate) fn take_removed(&mut self, removals: &Removals) -> Vec<RemovedFile> {
        let mut removed = Vec::new();
        for kind in KINDS {
            let named = removals.named.of_kind(kind);
            if let Some(files) = self.of_mut(kind).filter(|_| !named.is_empty()) {
                let taken = files.take(|id| named.binary_search(&id).is_ok());
                removed.extend(taken.into_iter().map(|entry| RemovedFile {
                    name: FileName::new(kind, entry.id),
                    size_bytes: entry.size_bytes,
                }));
            }
        }
        removed
    }
}

impl ReadyCopy {
    /// Lists what lies there anew, without what records name by now.
    pub(crate) fn obey(&mut self, removals: &Removals) {
        let removed = std::mem::take(&mut self.removed);
        for kind in KINDS {
            let of_kind = removed.iter().filter(|file| file.name.kind() == kind);
            let entries = of_kind.filter_map(|file| {
                Some(FileEntry {
                    id: file.name.id()?,
                    size_bytes: file.size_bytes,
                })
            });
            if let Some(files) = self.listing.of_mut(kind) {
                files.add(entries);
            }
        }
        self.removed = self.listing.take_removed(removals);
    }
}

#[cfg(test)]
mod tests;
