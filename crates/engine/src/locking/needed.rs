//! What is to be kept: `config`, keys, index files, snapshots, and every pack that these need.
//!
//! What any copy lists counts, for on the locked one it may be hidden. What a removal record names is
//! in no listing, so that it is left to expire. What a snapshot needs is told by what the state folder
//! remembers, and by its trees where that tells nothing, or names a pack that no copy lists: a prune
//! may have repacked it. What a look at the trees has noted is not believed here, for it went by the
//! first pack that claims a blob; of trees that are read here every pack counts that claims one. And
//! whoever had the state folder has written there, and signed, that snapshots need next to nothing: so
//! where a pack is listed that none of them is said to need, the trees of all are read before it is
//! let go of.
//!
//! What can go wrong: whoever holds production's credentials hides all snapshots on all copies, so
//! that nothing seems to be needed and all locks run out. So what was locked and is in no listing must
//! have been removed on purpose; else nothing at all is let go of, and that is told. And since the
//! record of what was locked lies where he may have written, the versions of snapshots are listed too
//! before anything is let go of, and a snapshot that is hidden there is told likewise, but for what is
//! read and does not decrypt; what it needs is not known, and so every pack is kept that a copy lists.
//! The same as long as a removal that another machine decided can still be taken back.
//!
//! And he puts names there without number. What is listed is kept, for nobody else may vouch for a
//! real file either; but what nothing vouches for comes after all else ([`Needed::comes_later`]): a
//! snapshot is vouched for that decrypts or of which it was noted or signed what it needs, and so is
//! an index file that names what one needs, the key that opened, and a record that opens.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use parking_lot::Mutex;
use strongroom_model::{FileName, FileType, Id};
use strongroom_store::{Error as StoreError, VersionContent, Versions};

use crate::lead::READERS;
use crate::parallel::for_each;
use crate::receipts::Receipts;
use crate::session::{Cancel, CopyStore, Session, chain};
use crate::snapshots::{self, Hidden};
use crate::state::{LockDates, RecordedNeeds, RepositoryState};
use crate::status::needs::needs_of_snapshots;
use crate::{Error, Result};

/// The types of which everything is kept that a copy lists.
const WHOLE: [FileType; 4] = [
    FileType::Keys,
    FileType::Index,
    FileType::Snapshots,
    FileType::Records,
];

/// How many names that are hidden among the snapshots of a copy are looked at: whoever may write makes
/// any number of them.
const MOST_HIDDEN: usize = 100_000;

/// How many versions of snapshots are listed however little time there is: a few requests bring them.
const ALWAYS_LISTED: u64 = 10_000;

/// What tells what snapshots need.
pub(super) struct Sources<'a> {
    pub(super) session: &'a Session,
    pub(super) memory: &'a RepositoryState,
    pub(super) receipts: Option<Receipts<'a>>,
    /// When the time is over in which trees are read.
    pub(super) until: Option<Instant>,
    pub(super) cancel: &'a Cancel,
}

/// Files that are to be kept.
#[derive(Debug, Default)]
pub(super) struct Needed {
    /// By name, each once.
    files: Vec<NeededFile>,
    /// Why there may be more, for people to read.
    pub(super) gaps: Vec<String>,
    /// Packs that only claim to have what others have too: that one is not there is no lack.
    claims: BTreeSet<Id>,
    /// Files that are listed, and nothing vouches for them.
    strangers: BTreeSet<FileName>,
    /// Whether all that was ever locked is kept too, needed or not.
    keeps_all: bool,
    /// Whether there was no time to read what all snapshots need, so that every pack is kept.
    pub(super) lacks_time: bool,
}

/// A file that is to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NeededFile {
    pub(super) name: FileName,
    /// How many bytes it has, as a copy lists it or a record names it; `None` where nothing tells.
    pub(super) size_bytes: Option<u64>,
}

impl Needed {
    /// All but the packs.
    pub(super) fn listed(session: &Session) -> Self {
        let mut needed = Self::default();
        needed.files.push(NeededFile {
            name: FileName::CONFIG,
            size_bytes: Some(session.repository.config_bytes().len() as u64),
        });
        for (_, ready) in session.ready() {
            for kind in WHOLE {
                let files = ready.listing.of(kind).into_iter();
                let entries = files.flat_map(|files| files.iter());
                needed.files.extend(entries.map(|entry| NeededFile {
                    name: FileName::new(kind, entry.id),
                    size_bytes: Some(entry.size_bytes),
                }));
            }
        }
        needed.keeps_all = !session.removals.are_all_due();
        if session.opened_behind.is_some() {
            // Whatever copies list under that name by now, it is not the key that opened.
            needed.files.push(NeededFile {
                name: FileName::new(FileType::Keys, session.repository.key_id()),
                size_bytes: None,
            });
        }
        needed.settle();
        needed.strangers = needed.files.iter().map(|file| file.name).collect();
        needed.strangers.remove(&FileName::CONFIG);
        needed.vouch(FileType::Keys, [session.repository.key_id()]);
        needed.vouch(FileType::Records, session.removals.all_records());
        needed
    }

    /// Takes note that files are what their names say.
    pub(super) fn vouch(&mut self, kind: FileType, ids: impl IntoIterator<Item = Id>) {
        for id in ids {
            self.strangers.remove(&FileName::new(kind, id));
        }
    }

    /// Nothing that is known, so that all is kept that was ever locked.
    pub(super) fn recorded() -> Self {
        Self {
            keeps_all: true,
            ..Self::default()
        }
    }

    /// Whether what is not among them may be let go of.
    pub(super) const fn are_all(&self) -> bool {
        self.gaps.is_empty() && !self.keeps_all && !self.lacks_time
    }

    /// Holds what was locked before against what is listed. A key is kept until it was removed here;
    /// of a snapshot or index file that no copy lists any more somebody must have said that it was
    /// meant.
    pub(super) fn add_recorded(
        &mut self,
        recorded: impl IntoIterator<Item = FileName>,
        memory: &RepositoryState,
    ) {
        let unlisted: BTreeSet<FileName> = recorded
            .into_iter()
            .filter(|name| WHOLE.contains(&name.kind()) && !self.contains(*name))
            .collect();
        if unlisted.is_empty() {
            return;
        }
        let (accepted, removed) = (memory.gone().accepted, memory.removed_keys());
        let (keys, others): (Vec<_>, Vec<_>) = unlisted
            .into_iter()
            .partition(|name| name.kind() == FileType::Keys);
        let is_removed = |name: &FileName| name.id().is_some_and(|id| removed.contains(&id));
        let kept = keys.into_iter().filter(|name| !is_removed(name));
        self.files.extend(kept.map(|name| NeededFile {
            name,
            size_bytes: None,
        }));
        self.settle();
        let lost = others.into_iter().filter(|name| !accepted.contains(*name));
        let lost: Vec<FileName> = lost.collect();
        if let Some(first) = lost.first() {
            let more = match lost.len() {
                1 => String::new(),
                count => format!(", nor {} others", count - 1),
            };
            self.gaps.push(format!(
                "no copy lists {first} any more, which was locked{more}; if that was meant: \
                 strongroom sync --accept-removed"
            ));
        }
    }

    /// Looks for snapshots that lie on a copy behind something that hides them, of which its record does
    /// not tell: they are kept, and so is every pack, since what they need is not known. What cannot be
    /// looked at, or not in time, may be such a snapshot. So is kept what a removal hides there that
    /// may still be taken back, as far as the record does not keep it.
    ///
    /// # Errors
    /// Where the user interrupts.
    pub(super) fn add_hidden(
        &mut self,
        session: &Session,
        copy: &CopyStore,
        dates: &LockDates,
        memory: &RepositoryState,
        until: Option<Instant>,
        cancel: &Cancel,
    ) -> Result<()> {
        let Some(versions) = copy.store.versions() else {
            return Ok(());
        };
        let is_late = || until.is_some_and(|until| Instant::now() >= until);
        let accepted = memory.gone().accepted;
        let mut hidden = BTreeSet::new();
        let mut waiting = BTreeSet::new();
        let (mut listed, mut is_cut) = (0_u64, false);
        let outcome = versions.each_version(FileType::Snapshots, &mut |version| {
            listed += 1;
            is_cut |= listed > ALWAYS_LISTED && is_late();
            if is_cut || cancel.is_cancelled() {
                let location = copy.store.location().to_owned();
                return Err(StoreError::Cancelled { location });
            }
            let name = version.name;
            let is_removed = accepted.contains(name) && !session.removals.may_come_back(name);
            let is_known = self.contains(name) || is_removed || dates.until(name).is_some();
            if version.content == VersionContent::Marker || is_known {
                return Ok(());
            }
            let found = match session.removals.names(name) {
                true if session.removals.may_go(name) => return Ok(()),
                // It may be taken back.
                true => &mut waiting,
                false => &mut hidden,
            };
            match found.len() < MOST_HIDDEN {
                true => {
                    found.insert(name);
                }
                false => is_cut |= !found.contains(&name),
            }
            Ok(())
        });
        match outcome.map_err(Error::from) {
            Ok(()) => {}
            Err(Error::Interrupted) if is_cut => {}
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            // Without that right nobody can look.
            Err(Error::Store(StoreError::Denied { .. })) => {}
            Err(error) => self.gaps.push(format!("{}: {}", copy.name, chain(&error))),
        }
        let hidden: Vec<FileName> = hidden.into_iter().collect();
        let Looked { real, late } = match is_cut {
            // Whoever has put so many there hides one among them.
            true => Looked {
                real: hidden,
                late: Vec::new(),
            },
            false => look_at(session, versions, &hidden, is_late, cancel)?,
        };
        let name = &copy.name;
        if is_cut {
            self.gaps.push(format!(
                "{name}: so many names lie hidden among its snapshots that not all could be looked \
                 at: see who puts them there"
            ));
        } else if let Some(first) = real.first() {
            let more = match real.len() {
                1 => String::new(),
                count => format!(", and so are {} others", count - 1),
            };
            self.gaps.push(format!(
                "{name}: {first} is hidden there, and nothing says that it was removed{more}; into \
                 sight again: strongroom recover --copy {name} --in-place"
            ));
        }
        if !late.is_empty() {
            let names = match late.len() {
                1 => "1 name lies".to_owned(),
                count => format!("{count} names lie"),
            };
            self.gaps.push(format!(
                "{name}: {names} hidden among its snapshots, and there was no time to look at what \
                 may be one; with all the time that it takes: strongroom lock extend"
            ));
        }
        let mut ready = session.ready().filter(|(one, _)| one.name == copy.name);
        let removed = ready.next().map(|(_, ready)| ready.removed.as_slice());
        let removed = removed.unwrap_or_default().iter();
        let may_be_back = removed
            .filter(|file| !session.removals.may_go(file.name) && dates.until(file.name).is_none());
        let may_be_back: Vec<NeededFile> = may_be_back
            .map(|file| NeededFile {
                name: file.name,
                size_bytes: Some(file.size_bytes),
            })
            .collect();
        let found: Vec<FileName> = real.into_iter().chain(late).chain(waiting).collect();
        if is_cut || !found.is_empty() || !may_be_back.is_empty() {
            self.add_all_packs(session);
        }
        let found = found.into_iter().map(|name| NeededFile {
            name,
            size_bytes: None,
        });
        self.add_strangers(found.chain(may_be_back));
        self.settle();
        Ok(())
    }

    /// Adds every pack that a copy lists, for what is needed is not known.
    fn add_all_packs(&mut self, session: &Session) {
        for (_, ready) in session.ready() {
            let packs = ready.listing.data.iter();
            self.add_strangers(packs.map(|entry| NeededFile {
                name: FileName::new(FileType::Data, entry.id),
                size_bytes: Some(entry.size_bytes),
            }));
        }
    }

    /// Adds files that nothing vouches for; to be settled.
    fn add_strangers(&mut self, files: impl Iterator<Item = NeededFile>) {
        for file in files {
            self.strangers.insert(file.name);
            self.files.push(file);
        }
    }

    /// Adds the packs that these snapshots need, and where they are all that there are, what of the
    /// other packs they need all the same, whatever was noted or signed. Where there is no time to read
    /// that, every pack is kept that a copy lists, and the locks have the rest of the time.
    ///
    /// # Errors
    /// Where the user interrupts.
    pub(super) fn add_packs(
        &mut self,
        snapshots: &BTreeSet<Id>,
        are_all: bool,
        sources: &Sources<'_>,
    ) -> Result<()> {
        let recorded = sources.memory.all_needs().into_iter();
        let recorded = recorded.filter(|needs| needs.index_set.is_none());
        let recorded: BTreeMap<Id, _> = recorded.map(|needs| (needs.snapshot, needs)).collect();
        let mut packs = BTreeMap::new();
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for id in snapshots {
            sources.cancel.check()?;
            let told = match recorded.get(id) {
                Some(needs) => Some(Told::of_note(needs)),
                None => sources.of_receipts(*id),
            };
            match told.filter(|told| sources.are_listed(&told.packs)) {
                Some(told) => {
                    packs.extend(told.packs);
                    self.vouch(FileType::Snapshots, [*id]);
                    self.vouch(FileType::Index, told.index);
                    self.vouch(FileType::Keys, told.keys);
                    known.push(*id);
                }
                None => unknown.push(*id),
            }
        }
        if !unknown.is_empty() {
            self.follow(&unknown, sources, &mut packs)?;
        }
        if are_all && !known.is_empty() && !self.lacks_time && sources.lists_others(&packs) {
            self.follow(&known, sources, &mut packs)?;
        }
        if self.lacks_time {
            self.add_all_packs(sources.session);
        }
        self.vouch(FileType::Data, packs.keys().copied());
        self.files.extend(packs.iter().map(|(id, size_bytes)| {
            let listed = sources.listed_size(*id);
            NeededFile {
                name: FileName::new(FileType::Data, *id),
                size_bytes: Some(*size_bytes).filter(|size| *size > 0).or(listed),
            }
        }));
        self.settle();
        Ok(())
    }

    /// All of them, by name.
    pub(super) fn files(&self) -> &[NeededFile] {
        &self.files
    }

    /// Whether nothing says of a file that it must be there.
    pub(super) fn is_claim(&self, name: FileName) -> bool {
        name.kind() == FileType::Data && name.id().is_some_and(|id| self.claims.contains(&id))
    }

    /// Whether nothing vouches for a file that is listed.
    pub(super) fn is_stranger(&self, name: FileName) -> bool {
        self.strangers.contains(&name)
    }

    /// Whether a file comes after all others: whoever may write, or has the key, makes any number of
    /// such.
    pub(super) fn comes_later(&self, name: FileName) -> bool {
        self.is_stranger(name) || self.is_claim(name)
    }

    /// Whether a file is among them.
    pub(super) fn contains(&self, name: FileName) -> bool {
        let place = self.files.binary_search_by_key(&name, |file| file.name);
        place.is_ok()
    }

    /// Reads the trees of snapshots, and adds what these need, or notes that the time was over before.
    fn follow(
        &mut self,
        snapshots: &[Id],
        sources: &Sources<'_>,
        packs: &mut BTreeMap<Id, u64>,
    ) -> Result<()> {
        let mut trees = Vec::new();
        for id in snapshots {
            sources.cancel.check()?;
            if sources.is_late() {
                self.lacks_time = true;
                return Ok(());
            }
            match snapshots::read(sources.session, *id, &sources.holders(*id)) {
                Ok(snapshot) => {
                    trees.push(snapshot.tree);
                    self.vouch(FileType::Snapshots, [*id]);
                }
                Err(problem) => self.gaps.push(problem),
            }
        }
        if trees.is_empty() {
            return Ok(());
        }
        let (session, until) = (sources.session, sources.until);
        let Some(claimed) = needs_of_snapshots(session, &trees, until, sources.cancel)? else {
            self.lacks_time = true;
            return Ok(());
        };
        packs.extend(claimed.needs.packs);
        self.vouch(FileType::Index, claimed.needs.index_files);
        for (id, size_bytes) in claimed.others {
            if let Entry::Vacant(entry) = packs.entry(id) {
                entry.insert(size_bytes);
                self.claims.insert(id);
            }
        }
        self.gaps.extend(claimed.gap.map(|gap| chain(&gap)));
        Ok(())
    }

    /// Sorts the files; of one that is there twice, as where copies list it in other sizes, the size
    /// is not known.
    fn settle(&mut self) {
        self.files.sort_unstable();
        self.files.dedup();
        self.files.dedup_by(|later, before| {
            let is_same = later.name == before.name;
            if is_same {
                before.size_bytes = None;
            }
            is_same
        });
    }
}

/// What came of a look at hidden names.
struct Looked {
    /// Those that are snapshots of the repository, as far as is known.
    real: Vec<FileName>,
    /// Those at which nobody has looked, since the time was over.
    late: Vec<FileName>,
}

/// Looks which hidden names are snapshots of the repository.
fn look_at(
    session: &Session,
    versions: &dyn Versions,
    hidden: &[FileName],
    is_late: impl Fn() -> bool + Sync,
    cancel: &Cancel,
) -> Result<Looked> {
    let (real, late) = (Mutex::new(BTreeSet::new()), Mutex::new(BTreeSet::new()));
    for_each(hidden, READERS, |name| {
        cancel.check()?;
        if is_late() {
            late.lock().insert(*name);
            return Ok(());
        }
        let is_real = match snapshots::read_hidden(session, versions, *name) {
            Ok(Hidden::Nobodys) => false,
            Ok(Hidden::Snapshot(_) | Hidden::Unread) => true,
            Err(StoreError::Cancelled { .. }) => return Err(Error::Interrupted),
            Err(_) => true,
        };
        if is_real {
            real.lock().insert(*name);
        }
        Ok(())
    })?;
    Ok(Looked {
        real: real.into_inner().into_iter().collect(),
        late: late.into_inner().into_iter().collect(),
    })
}

/// What was noted or signed of what a snapshot needs.
struct Told {
    /// With their sizes, where these are told.
    packs: Vec<(Id, u64)>,
    index: Vec<Id>,
    keys: Vec<Id>,
}

impl Told {
    fn of_note(needs: &RecordedNeeds) -> Self {
        let index = needs.files().filter(|name| name.kind() == FileType::Index);
        Self {
            packs: needs.packs().to_vec(),
            index: index.filter_map(|name| name.id()).collect(),
            keys: Vec::new(),
        }
    }
}

impl<'a> Sources<'a> {
    /// What a snapshot needs, as receipts tell it: without sizes.
    fn of_receipts(&self, snapshot: Id) -> Option<Told> {
        let needs = self.receipts?.known_needs(snapshot)?;
        Some(Told {
            packs: needs.packs.into_iter().map(|id| (id, 0)).collect(),
            index: needs.index.into_iter().collect(),
            keys: needs.keys.into_iter().collect(),
        })
    }

    fn is_late(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }

    fn are_listed(&self, packs: &[(Id, u64)]) -> bool {
        let mut packs = packs.iter();
        packs.all(|(id, _)| self.listed_size(*id).is_some())
    }

    /// Whether any copy lists a pack that is not among these.
    fn lists_others(&self, packs: &BTreeMap<Id, u64>) -> bool {
        let ready = self.session.ready();
        let mut listed = ready.flat_map(|(_, ready)| ready.listing.data.iter());
        listed.any(|entry| !packs.contains_key(&entry.id))
    }

    /// In which size the first copy that has it lists a pack.
    fn listed_size(&self, pack: Id) -> Option<u64> {
        let mut ready = self.session.ready();
        ready.find_map(|(_, ready)| ready.listing.data.size_bytes(pack))
    }

    /// The copies that list a snapshot.
    fn holders(&self, snapshot: Id) -> Vec<&'a CopyStore> {
        let ready = self.session.ready();
        let holders = ready.filter(|(_, ready)| ready.listing.snapshots.contains(snapshot));
        holders.map(|(copy, _)| copy).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_copies_list_in_other_sizes_has_none() {
        let file = |text: &str, size_bytes| NeededFile {
            name: FileName::new(FileType::Index, Id::of(text.as_bytes())),
            size_bytes,
        };
        let mut needed = Needed {
            files: vec![
                file("a", Some(1)),
                file("b", Some(2)),
                file("a", Some(1)),
                file("b", Some(3)),
                file("b", Some(2)),
            ],
            ..Needed::default()
        };
        needed.settle();
        let mut expected = vec![file("a", Some(1)), file("b", None)];
        expected.sort_unstable();
        assert_eq!(needed.files(), expected);
        assert!(needed.contains(file("b", None).name));
        assert!(!needed.contains(FileName::CONFIG));
    }
}
