//! Whether a copy holds everything that a snapshot needs.
//!
//! Asked in the order of cost: what is recorded (by the backup, a receipt, or an earlier look) is
//! enough to call a copy whole. To call it behind, the trees are walked with the indexes of all
//! copies, since a prune may have repacked what the record names; and at last with the indexes of
//! that copy alone, since it may have been pruned alone.
//!
//! Without the key nobody walks. What a prune has moved is then looked for in vain where a record
//! names its old place, and whether it is in the new one nobody can tell: so that is not known.

use std::collections::{BTreeMap, BTreeSet};

use strongroom_model::scorecard::Wholeness;
use strongroom_model::{FileName, FileType, Id};

use crate::Result;
use crate::backup::report::SnapshotNeeds;
use crate::listing::{Listing, shared_keys};
use crate::receipts::Receipts;
use crate::session::{Cancel, Session, chain};
use crate::state::{FileNames, RecordedNeeds, RepositoryState};
use crate::status::config_digest;
use crate::status::look::{Look, ReadyLook, Seen};
use crate::status::needs::{NeedsIndex, Walk};
use crate::status::readers::Readers;
use crate::status::snapshots::KnownSnapshot;

/// Decides for one snapshot and copy after the other, and remembers what it found out.
pub(super) struct Judge<'a> {
    looks: &'a [Look<'a>],
    session: Option<&'a Session>,
    memory: Option<&'a RepositoryState>,
    receipts: Option<Receipts<'a>>,
    cancel: &'a Cancel,
    readers: Readers<'a>,
    /// The SHA-256 of the sorted ids of all index files.
    index_set: Id,
    /// Index files that every copy holds.
    common: BTreeSet<Id>,
    /// Without the key: what was removed on purpose.
    removed: FileNames,
    /// Keys that more than one copy lists; one that a copy alone has was made by anybody.
    shared_keys: BTreeSet<Id>,
    index: Option<NeedsIndex>,
    recorded: BTreeMap<Id, Option<Recorded>>,
    walked: BTreeMap<Id, Walked>,
    problems: Vec<String>,
}

/// What a snapshot needs, as it was recorded.
#[derive(Clone)]
struct Recorded {
    needs: Required,
    /// Whether it was found out by the very index files that there are now.
    is_current: bool,
}

/// What a snapshot needs, as its trees say.
#[derive(Clone)]
struct Walked {
    needs: Required,
    gap: Option<String>,
}

/// What a copy must have.
#[derive(Clone)]
struct Required {
    files: SnapshotNeeds,
    /// Any one of them opens the repository.
    keys: BTreeSet<Id>,
    config: Id,
}

impl<'a> Judge<'a> {
    pub(super) fn new(
        looks: &'a [Look<'a>],
        session: Option<&'a Session>,
        memory: Option<&'a RepositoryState>,
        receipts: Option<Receipts<'a>>,
        cancel: &'a Cancel,
    ) -> Self {
        let readers = Readers::of(looks);
        let sets: Vec<BTreeSet<Id>> = readers
            .iter()
            .map(|reader| reader.listing.index.iter().map(|entry| entry.id).collect())
            .collect();
        let all: BTreeSet<Id> = sets.iter().flatten().copied().collect();
        let mut common = all.clone();
        common.retain(|id| sets.iter().all(|set| set.contains(id)));
        let bytes: Vec<u8> = all.iter().flat_map(|id| *id.as_bytes()).collect();
        Self {
            looks,
            session,
            memory,
            receipts,
            cancel,
            readers,
            index_set: Id::of(&bytes),
            common,
            removed: match session {
                None => memory.map(|memory| memory.gone().accepted),
                Some(_) => None,
            }
            .unwrap_or_default(),
            shared_keys: shared_keys(ready_listings(looks)),
            index: None,
            recorded: BTreeMap::new(),
            walked: BTreeMap::new(),
            problems: Vec::new(),
        }
    }

    /// Decides.
    pub(super) fn wholeness(
        &mut self,
        look: &Look<'_>,
        snapshot: &KnownSnapshot,
    ) -> Result<Wholeness> {
        let Seen::Ready(ready) = &look.seen else {
            return Ok(unknown("the copy cannot be read"));
        };
        let recorded = self.recorded(snapshot);
        let lacking = recorded
            .as_ref()
            .map(|recorded| self.lacking(&recorded.needs, ready, snapshot));
        let moved = recorded
            .as_ref()
            .map_or(0, |recorded| self.moved(&recorded.needs.files, ready));
        let current = recorded.is_some_and(|recorded| recorded.is_current);
        let lacking = match (lacking, self.session) {
            (Some(0), _) => return Ok(Wholeness::Whole),
            (Some(lacking), None) => {
                return Ok(match lacking.saturating_sub(moved) {
                    0 => unknown(
                        "a prune has written anew what it needs, and only the password shows where",
                    ),
                    files => Wholeness::Behind { files },
                });
            }
            (None, None) => return Ok(unknown("no receipt tells what it needs")),
            (Some(lacking), Some(_)) if current => lacking,
            (_, Some(session)) => {
                let walked = self.walked(session, snapshot)?;
                match (self.lacking(&walked.needs, ready, snapshot), walked.gap) {
                    (0, None) => return Ok(Wholeness::Whole),
                    (0, Some(reason)) => return Ok(unknown(reason)),
                    (lacking, _) => lacking,
                }
            }
        };
        if let Some(session) = self.session
            && self.is_whole_alone(session, look, ready, snapshot)?
        {
            return Ok(Wholeness::Whole);
        }
        Ok(Wholeness::Behind { files: lacking })
    }

    /// What a snapshot needs on a copy that was asked about, as its trees say, or else as was recorded;
    /// `None` where nothing tells. Of the keys one that is `known` is enough.
    pub(super) fn needs(
        &self,
        snapshot: Id,
        known: impl Fn(FileName) -> bool,
    ) -> Option<BTreeSet<FileName>> {
        let walked = self.walked.get(&snapshot).map(|walked| &walked.needs);
        let recorded = || self.recorded.get(&snapshot)?.as_ref();
        let needs = walked.or_else(|| recorded().map(|recorded| &recorded.needs))?;
        let named = |kind, ids: Vec<Id>| ids.into_iter().map(move |id| FileName::new(kind, id));
        let packs = needs.files.packs.iter().map(|(id, _)| *id).collect();
        let mut names: BTreeSet<FileName> = named(FileType::Data, packs).collect();
        names.extend(named(FileType::Index, needs.files.index_files.clone()));
        names.extend([
            FileName::CONFIG,
            FileName::new(FileType::Snapshots, snapshot),
        ]);
        let keys: Vec<_> = named(FileType::Keys, needs.keys.iter().copied().collect()).collect();
        let key = keys.iter().find(|key| known(**key)).or(keys.first());
        names.extend(key);
        Some(names)
    }

    /// What was met, for people to read.
    pub(super) fn finish(self) -> Vec<String> {
        let index = self.index.map(|index| index.problems);
        let mut problems = self.problems;
        problems.extend(index.into_iter().flatten());
        problems
    }

    fn recorded(&mut self, snapshot: &KnownSnapshot) -> Option<Recorded> {
        if let Some(known) = self.recorded.get(&snapshot.id) {
            return known.clone();
        }
        let noted = self
            .memory
            .and_then(|memory| memory.needs(snapshot.source.as_str(), &snapshot.host));
        let is_noted = noted
            .as_ref()
            .is_some_and(|noted| noted.snapshot == snapshot.id);
        // With the key open, a receipt has nothing to add to a note.
        let receipt = match self.session {
            Some(_) if is_noted => None,
            _ => self
                .receipts
                .and_then(|receipts| receipts.known_needs(snapshot.id)),
        };
        let (mut keys, config) = match &receipt {
            Some(receipt) => (receipt.keys.clone(), Some(receipt.config)),
            None => (BTreeSet::new(), None),
        };
        let config = self.session.map(config_digest).or(config);
        keys.extend(self.session.map(|session| session.repository.key_id()));
        let sizes: BTreeMap<Id, u64> = noted
            .iter()
            .flat_map(|noted| noted.packs().iter().copied())
            .collect();
        let (files, is_current) = match (noted, receipt) {
            (Some(noted), _) if is_noted => {
                let is_current = noted.index_set == Some(self.index_set);
                (Some(noted.into_needs()), is_current)
            }
            (_, Some(receipt)) => {
                // Receipts tell no sizes; what the newest snapshot shares with this one does.
                let size = |id: &Id| (*id, sizes.get(id).copied().unwrap_or(0));
                let packs = receipt.packs.iter().map(size).collect();
                let index_files = receipt.index.into_iter().collect();
                (Some(SnapshotNeeds { packs, index_files }), false)
            }
            _ => (None, false),
        };
        let recorded = files.zip(config).map(|(files, config)| Recorded {
            needs: Required {
                files,
                keys,
                config,
            },
            is_current,
        });
        self.recorded.insert(snapshot.id, recorded.clone());
        recorded
    }

    /// What the trees say, with the indexes of all copies.
    fn walked(&mut self, session: &Session, snapshot: &KnownSnapshot) -> Result<Walked> {
        if let Some(walked) = self.walked.get(&snapshot.id) {
            return Ok(walked.clone());
        }
        let index = match self.index.take() {
            Some(index) => index,
            None => NeedsIndex::load(&session.repository, &self.readers, self.cancel)?,
        };
        let walk = index.walk(
            &session.repository,
            &self.readers,
            snapshot.tree,
            self.cancel,
        );
        self.index = Some(index);
        let Walk { needs, gap, .. } = walk?;
        if gap.is_none() && snapshot.is_newest {
            self.record(snapshot, &needs);
        }
        let walked = Walked {
            needs: Required::with_key(needs, session),
            gap: gap.map(|gap| chain(&gap)),
        };
        self.walked.insert(snapshot.id, walked.clone());
        Ok(walked)
    }

    /// Whether a copy that has index files of its own is whole by these.
    fn is_whole_alone(
        &self,
        session: &Session,
        look: &Look<'_>,
        ready: &ReadyLook,
        snapshot: &KnownSnapshot,
    ) -> Result<bool> {
        let mut own = ready.listing.index.iter();
        if own.all(|entry| self.common.contains(&entry.id)) {
            return Ok(false);
        }
        let Some(look) = self.looks.iter().find(|other| other.name == look.name) else {
            return Ok(false);
        };
        let readers = Readers::only(look);
        let index = NeedsIndex::load(&session.repository, &readers, self.cancel)?;
        let walk = index.walk(&session.repository, &readers, snapshot.tree, self.cancel)?;
        let required = Required::with_key(walk.needs, session);
        Ok(walk.gap.is_none() && self.lacking(&required, ready, snapshot) == 0)
    }

    /// How many of these files a copy lacks that were removed on purpose, as a prune does that writes
    /// what is needed into other packs. With the key none: then it is found out where they are.
    fn moved(&self, needs: &SnapshotNeeds, ready: &ReadyLook) -> u64 {
        let packs = needs.packs.iter();
        let packs = packs.map(|(id, _)| FileName::new(FileType::Data, *id));
        let index = needs.index_files.iter();
        let index = index.map(|id| FileName::new(FileType::Index, *id));
        let lacking = packs
            .chain(index)
            .filter(|name| !ready.listing.holds(*name));
        let moved = lacking.filter(|name| self.removed.contains(*name));
        moved.count() as u64
    }

    /// How many of the files that a snapshot needs a copy lacks; one more where the snapshot's own is
    /// listed there in another size than it has, or nobody knows which one it has.
    fn lacking(&self, needs: &Required, ready: &ReadyLook, snapshot: &KnownSnapshot) -> u64 {
        let listed = ready.listing.snapshots.size_bytes(snapshot.id);
        let is_wrong = listed.is_some_and(|listed| match snapshot.size_bytes {
            Some(size_bytes) => listed != size_bytes,
            None => is_odd(self.looks, FileType::Snapshots, snapshot.id, listed),
        });
        needs.lacking(ready, self.looks, &self.shared_keys) + u64::from(is_wrong)
    }

    fn record(&mut self, snapshot: &KnownSnapshot, needs: &SnapshotNeeds) {
        let Some(memory) = self.memory else {
            return;
        };
        let recorded = RecordedNeeds::new(snapshot.id, Some(self.index_set), needs);
        let written = memory.lock().and_then(|lock| {
            memory.record_needs(&lock, snapshot.source.as_str(), &snapshot.host, &recorded)
        });
        if let Err(error) = written {
            self.problems.push(chain(&error));
        }
    }
}

impl Required {
    fn with_key(files: SnapshotNeeds, session: &Session) -> Self {
        Self {
            files,
            keys: BTreeSet::from([session.repository.key_id()]),
            config: config_digest(session),
        }
    }

    /// How many of the files a copy lacks; one of another size is none. Where no size was recorded, it
    /// counts only in a size that more copies list than list another.
    fn lacking(&self, ready: &ReadyLook, looks: &[Look<'_>], shared_keys: &BTreeSet<Id>) -> u64 {
        let listing = &ready.listing;
        let lacks_pack = |(id, size_bytes): &&(Id, u64)| {
            let found = listing.data.size_bytes(*id);
            found.is_none_or(|found| match size_bytes {
                0 => is_odd(looks, FileType::Data, *id, found),
                _ => found != *size_bytes,
            })
        };
        let lacks_index = |id: &&Id| {
            let found = listing.index.size_bytes(**id);
            found.is_none_or(|found| is_odd(looks, FileType::Index, **id, found))
        };
        let packs = self.files.packs.iter().filter(lacks_pack).count();
        let index = self.files.index_files.iter().filter(lacks_index).count();
        let is_listed = |id: &Id| {
            let found = listing.keys.size_bytes(*id);
            found.is_some_and(|found| !is_odd(looks, FileType::Keys, *id, found))
        };
        let waits = |id: &Id| ready.pending_keys.contains(id);
        // A key that waits for an operator opens nothing: it is no lack beside one that does, and a
        // copy that lists no key at all, or none that anybody else knows, is opened by nobody,
        // whatever its vault says it holds.
        let mut listed = listing.keys.iter().map(|entry| entry.id);
        let opens = |id: Id| shared_keys.contains(&id) && is_listed(&id);
        let waits_beside_another = listed.any(opens) && self.keys.iter().any(waits);
        let key = !self.keys.iter().any(is_listed) && !waits_beside_another;
        let config = ready.config != Some(self.config);
        packs as u64 + index as u64 + u64::from(key) + u64::from(config)
    }
}

/// Whether as many copies or more list a file in another size than this, so that nobody knows which
/// is right before it was read.
fn is_odd(looks: &[Look<'_>], kind: FileType, id: Id, size_bytes: u64) -> bool {
    let sizes = ready_listings(looks).filter_map(|listing| listing.of(kind)?.size_bytes(id));
    let (mut same, mut other) = (0_usize, 0_usize);
    for size in sizes {
        match size == size_bytes {
            true => same += 1,
            false => other += 1,
        }
    }
    other > 0 && other >= same
}

/// What the copies list that can be read.
fn ready_listings<'a>(looks: &'a [Look<'_>]) -> impl Iterator<Item = &'a Listing> {
    looks.iter().filter_map(|look| match &look.seen {
        Seen::Ready(ready) => Some(&ready.listing),
        Seen::Empty | Seen::Failed(_) => None,
    })
}

fn unknown(reason: impl Into<String>) -> Wholeness {
    Wholeness::Unknown {
        reason: reason.into(),
    }
}
