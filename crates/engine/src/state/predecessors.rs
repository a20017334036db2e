//! Which repositories were on the copies before the one that is there now.
//!
//! Copies that are compared with each other agree about a repository that somebody has put in the stead
//! of ours on all of them: whoever has production's credentials and the repository's password hides
//! `config` and the keys, and puts his own, sealed with the same password. What opens then is whole,
//! and his. This folder knows better: it has a folder for each repository, and in it what was noted of
//! each copy, by its name and address.
//!
//! What can go wrong: what was hidden comes back, and the one that stood in its stead seems to have
//! been there before it. So that one notes in whose stead it may stand, and is nobody's predecessor
//! as long as nobody has accepted it. Of two that people have made, one after the other, the one
//! counts that was accepted last.
//!
//! Of another repository nothing is read but that note: it is looked whether files are there, and when
//! they were written. An id is chosen by whoever makes a repository, so that his may have ours: so what
//! tells its key from any other is noted with the key that opened last, and neither is overwritten by
//! those of another one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strongroom_model::Id;

use crate::Result;
use crate::session::{CopyStore, chain};
use crate::state::record::OpenedKey;
use crate::state::{RepositoryState, StateFolder};

/// A repository that was seen on copies before the one that is there now, and of which nobody has said
/// that it was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Predecessor {
    /// It.
    pub repository: Id,
    /// The one that is there now; the same id where its key is another one.
    pub successor: Id,
    /// The copies on which it was seen, by name.
    pub copies: Vec<String>,
    /// When it was seen there for the last time, as far as known.
    pub last_seen: Option<Timestamp>,
    /// The first of these that keeps versions, so that it may lie hidden there.
    pub behind: Option<String>,
}

/// What is known of the repositories that were on the copies of one before it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Predecessors {
    /// Those in whose stead it may have been put: nobody has said that they were given up.
    #[serde(default)]
    in_stead_of: BTreeSet<Id>,
    /// Those that were given up for it, and when that was said.
    #[serde(default)]
    accepted: BTreeMap<Id, Timestamp>,
}

/// What is written of a copy where it is seen.
const SEEN: [&str; 4] = ["evidence", "seen", "read", "sightings"];

/// Which of that is written only where the repository is open.
const SEEN_OPEN: [&str; 2] = ["seen", "sightings"];

/// What it may mean.
const MEANING: &str = "somebody may have put it in the stead of yours, and read what is backed up \
                       to it";

impl Predecessor {
    fn on(
        copies: &[&CopyStore],
        repository: Id,
        successor: Id,
        last_seen: Option<Timestamp>,
    ) -> Self {
        let keeps_versions = copies.iter().find(|copy| copy.store.versions().is_some());
        Self {
            repository,
            successor,
            copies: copies.iter().map(|copy| copy.name.clone()).collect(),
            last_seen,
            behind: keeps_versions.map(|copy| copy.name.clone()),
        }
    }

    /// What to do, each with the command to type.
    pub fn steps(&self) -> [String; 2] {
        let back = match (&self.behind, self.last_seen) {
            (Some(copy), Some(seen)) => {
                format!("strongroom recover --copy {copy} --as-of {seen:.0} --in-place")
            }
            (Some(copy), None) => format!("strongroom recover --copy {copy} --in-place"),
            (None, _) => "look for what was there, as on a disk that is away: \
                          docs/when-something-is-wrong.md, \"Another repository was there before\""
                .to_owned(),
        };
        [
            format!("if it was none of you, take his access away, then: {back}"),
            "only if you made it anew yourselves: strongroom sync --accept-removed".to_owned(),
        ]
    }

    /// The same in one line.
    pub fn hint(&self) -> String {
        self.steps().join("; ")
    }
}

impl fmt::Display for Predecessor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (now, before) = (self.successor, self.repository);
        let copies = self.copies.join(", ");
        if now == before {
            let now = now.short();
            return write!(
                f,
                "{copies}: repository {now} is there under another key than before: {MEANING}"
            );
        }
        // An id can be chosen, so that its first digits are those of ours.
        let (now, before) = match now.short() == before.short() {
            true => (now.to_string(), before.to_string()),
            false => (now.short(), before.short()),
        };
        write!(f, "{copies}: repository {now} is there, and {before} was")?;
        if let Some(seen) = self.last_seen {
            write!(f, ", until {seen:.0} at least")?;
        }
        write!(f, ": {MEANING}")
    }
}

impl StateFolder {
    /// The repositories that were seen on any of these copies before this one, which is there now, and
    /// that nobody has accepted as given up. It is noted that this one may stand in their stead.
    /// `master` tells its key from any other, where that is known.
    pub fn predecessors(
        &self,
        id: Id,
        master: Option<Id>,
        copies: &[&CopyStore],
    ) -> Vec<Predecessor> {
        let own = self.repository(id);
        let noted = own.predecessors();
        let mut others = BTreeSet::new();
        let mut found = Vec::new();
        for (other, state) in self.repositories() {
            if other == id || noted.accepted.contains_key(&other) {
                continue;
            }
            others.insert(other);
            let seen: Vec<&CopyStore> = copies
                .iter()
                .copied()
                .filter(|copy| state.has_seen(copy))
                .collect();
            if seen.is_empty() || !state.predecessors().in_stead_of.is_empty() {
                continue;
            }
            let last_seen = seen.iter().filter_map(|copy| state.last_seen(copy)).max();
            found.push(Predecessor::on(&seen, other, id, last_seen));
        }
        found.sort_by_key(|one| one.repository);
        // A run on one copy alone does not tell of the others.
        let known = noted.in_stead_of.intersection(&others).copied();
        let in_stead_of: BTreeSet<Id> = known
            .chain(found.iter().map(|one| one.repository))
            .collect();
        if in_stead_of != noted.in_stead_of {
            let written = own.update_predecessors(|noted| noted.in_stead_of = in_stead_of);
            if let Err(error) = written {
                let reason = chain(&error);
                tracing::info!(
                    reason,
                    "In whose stead a repository may be is not remembered"
                );
            }
        }
        if own.has_another_key(master) {
            // What was noted since is of both.
            found.insert(0, Predecessor::on(copies, id, id, None));
        }
        found
    }

    /// Takes note that these repositories were given up for this one, whatever was said of them before.
    ///
    /// # Errors
    /// Where any of it cannot be written.
    pub fn accept_predecessors(
        &self,
        id: Id,
        given_up: &BTreeSet<Id>,
        now: Timestamp,
    ) -> Result<()> {
        let own = self.repository(id);
        if given_up.contains(&id) {
            // The next run that opens it notes its key.
            own.update_opened(|opened| *opened = OpenedKey::default())?;
        }
        let others = || given_up.iter().copied().filter(|other| *other != id);
        own.update_predecessors(|noted| {
            for other in others() {
                noted.in_stead_of.remove(&other);
                noted.accepted.insert(other, now);
            }
        })?;
        for other in others() {
            self.repository(other).update_predecessors(|noted| {
                noted.accepted.remove(&id);
            })?;
        }
        Ok(())
    }

    /// The same of all that were seen on a copy on which this one is made; returns which these are.
    ///
    /// # Errors
    /// As [`StateFolder::accept_predecessors`].
    pub fn accept_all_on(&self, copy: &CopyStore, id: Id, now: Timestamp) -> Result<BTreeSet<Id>> {
        let others = self.repositories();
        let others = others.filter(|(other, state)| *other != id && state.has_seen(copy));
        let given_up: BTreeSet<Id> = others.map(|(other, _)| other).collect();
        if !given_up.is_empty() {
            self.accept_predecessors(id, &given_up, now)?;
        }
        Ok(given_up)
    }
}

impl RepositoryState {
    /// Notes which key opened the repository, and what tells the key in it from any other, where it was
    /// another one before; nothing of one that has our id and a key of its own.
    pub(crate) fn note_opened_key(&self, id: Id, master: Option<Id>) -> Result<()> {
        let known = self.opened();
        let new = OpenedKey {
            key: Some(id),
            master: master.or(known.master),
        };
        if self.has_another_key(master) || known == new {
            return Ok(());
        }
        self.update_opened(|opened| *opened = new)
    }

    /// Whether the key of what is open is another one than that which opened it before.
    fn has_another_key(&self, master: Option<Id>) -> bool {
        let known = self.opened().master.zip(master);
        known.is_some_and(|(known, now)| known != now)
    }

    fn predecessors(&self) -> Predecessors {
        let noted = self.read_record(&self.predecessors_path());
        noted.unwrap_or_default()
    }

    fn update_predecessors(&self, change: impl FnOnce(&mut Predecessors)) -> Result<()> {
        self.update(&self.predecessors_path(), change)
    }

    fn predecessors_path(&self) -> PathBuf {
        self.subfolder("predecessors.json")
    }

    fn has_seen(&self, copy: &CopyStore) -> bool {
        SEEN.iter().any(|what| self.of_copy(copy, what).exists())
    }

    /// When the repository was open, and seen on a copy, for the last time.
    fn last_seen(&self, copy: &CopyStore) -> Option<Timestamp> {
        let written = |what: &&str| {
            let metadata = std::fs::metadata(self.of_copy(copy, what)).ok()?;
            Timestamp::try_from(metadata.modified().ok()?).ok()
        };
        SEEN_OPEN.iter().filter_map(written).max()
    }
}

/// Of several repositories of which something is known of the same copies, those of which another
/// one counts: they were given up for it, or may stand in its stead.
pub(super) fn passed_over(known: &BTreeMap<Id, RepositoryState>) -> BTreeSet<Id> {
    let mut passed = BTreeSet::new();
    for (id, state) in known {
        let noted = state.predecessors();
        let given_up = noted.accepted.keys().copied();
        passed.extend(given_up.filter(|other| known.contains_key(other)));
        if noted
            .in_stead_of
            .iter()
            .any(|other| known.contains_key(other))
        {
            passed.insert(*id);
        }
    }
    passed
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use strongroom_testkit::memory::MemoryStore;

    use super::*;

    struct World {
        _folder: tempfile::TempDir,
        state: StateFolder,
        copies: Vec<CopyStore>,
    }

    impl World {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let copy = |name: &str| CopyStore {
                name: name.to_owned(),
                store: Arc::new(MemoryStore::new(name)),
                is_local: true,
            };
            Self {
                state: StateFolder::new(folder.path().join("state")),
                copies: ["one", "two"].map(copy).to_vec(),
                _folder: folder,
            }
        }

        /// Notes of copies what a backup and a status note of them.
        fn see(&self, id: Id, copies: &[CopyStore]) {
            let state = self.state.repository(id);
            for copy in copies {
                let snapshots = [Id::of(b"snapshot")];
                let note = |seen: &mut crate::state::Sightings| seen.note(snapshots, at(0), at(0));
                state.update_sightings(copy, note).unwrap();
                state.update_evidence(copy, |_| {}).unwrap();
            }
        }

        /// Opens a repository on both copies.
        fn told(&self, id: Id) -> Vec<Predecessor> {
            let copies: Vec<&CopyStore> = self.copies.iter().collect();
            let told = self.state.predecessors(id, None, &copies);
            self.see(id, &self.copies);
            told
        }

        fn ids(&self, id: Id) -> Vec<Id> {
            self.told(id).iter().map(|one| one.repository).collect()
        }

        fn accept(&self, id: Id, given_up: Id) {
            let given_up = BTreeSet::from([given_up]);
            self.state
                .accept_predecessors(id, &given_up, at(0))
                .unwrap();
        }

        /// Whether it is the one that is tried first, and by which copies are told without the
        /// password.
        fn is_remembered(&self, id: Id) -> bool {
            let remembered = self.state.remembered(&self.copies).unwrap();
            remembered.subfolder("x") == self.state.repository(id).subfolder("x")
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn id(digits: &str) -> Id {
        digits.repeat(64 / digits.len()).parse().unwrap()
    }

    #[test]
    fn a_repository_that_was_seen_on_a_copy_before_is_told_until_somebody_accepts_that() {
        // Whichever has the greater id.
        for (ours, his) in [("a", "b"), ("b", "a")] {
            let (world, ours, his) = (World::new(), id(ours), id(his));
            assert_eq!(world.told(ours), []);
            for _ in 0..2 {
                let told = world.told(his);
                let [one] = told.as_slice() else {
                    panic!("{told:?}");
                };
                assert_eq!((one.successor, one.repository), (his, ours));
                assert_eq!(one.copies, ["one", "two"]);
                assert!(one.last_seen.is_some());
                assert!(one.to_string().contains(&ours.short()), "{one}");
                assert!(one.to_string().contains(&his.short()), "{one}");
                assert!(world.is_remembered(ours));
            }
            // What was hidden is back: the one that stood in its stead was not there before it.
            assert_eq!(world.told(ours), []);
            // Nor does a third one hide it, or a run on one copy alone make it forgotten.
            assert_eq!(world.ids(id("c")), [ours]);
            world.state.predecessors(his, None, &[]);
            assert_eq!(world.told(ours), []);
            world.accept(his, ours);
            assert_eq!(world.told(his), []);
        }
    }

    #[test]
    fn of_two_that_were_accepted_the_last_one_counts() {
        let (world, first, second) = (World::new(), id("b"), id("a"));
        world.told(first);
        world.told(second);
        world.accept(second, first);
        assert_eq!(world.told(second), []);
        assert!(world.is_remembered(second));
        // The first one is put there again.
        assert_eq!(world.ids(first), [second]);
        assert!(world.is_remembered(second));
        world.accept(first, second);
        assert_eq!(world.told(first), []);
        assert!(world.is_remembered(first));
        assert_eq!(world.ids(second), [first]);
    }

    #[test]
    fn what_was_seen_at_another_address_was_not_there_before() {
        let world = World::new();
        let moved = CopyStore {
            store: Arc::new(MemoryStore::new("elsewhere")),
            ..world.copies[0].clone()
        };
        world.see(id("a"), &[moved]);
        assert_eq!(world.told(id("b")), []);
        // Where the folder was lost, nobody knows.
        std::fs::remove_dir_all(world.state.path()).unwrap();
        assert_eq!(world.told(id("c")), []);
    }

    #[test]
    fn what_is_made_on_a_copy_accepts_whatever_was_there() {
        let (world, before, new) = (World::new(), id("a"), id("b"));
        let accept = |copy: usize| {
            let copy = &world.copies[copy];
            world.state.accept_all_on(copy, new, at(0)).unwrap()
        };
        assert_eq!(accept(0), BTreeSet::new());
        world.see(before, &world.copies[..1]);
        assert_eq!(accept(1), BTreeSet::new());
        assert_eq!(accept(0), [before].into());
        assert_eq!(world.told(new), []);
    }

    #[test]
    fn one_that_has_our_id_is_told_by_its_key_which_takes_the_place_of_ours_nowhere() {
        let (world, ours) = (World::new(), id("a"));
        let copies: Vec<&CopyStore> = world.copies.iter().collect();
        let state = world.state.repository(ours);
        let told = |master: &str| {
            let told = world.state.predecessors(ours, Some(id(master)), &copies);
            state.note_opened_key(id(master), Some(id(master))).unwrap();
            told
        };
        // What an earlier version noted is no other key.
        state.note_opened_key(id("c"), None).unwrap();
        assert_eq!(told("c"), []);
        // A password of ours that is new, and a key that is not ours.
        state.note_opened_key(id("d"), Some(id("c"))).unwrap();
        assert_eq!(state.opened_key(), Some(id("d")));
        for _ in 0..2 {
            let found = told("e");
            let [one] = found.as_slice() else {
                panic!("{found:?}");
            };
            assert_eq!((one.repository, one.successor), (ours, ours));
            assert!(one.to_string().contains("under another key"), "{one}");
            assert_eq!(state.opened_key(), Some(id("d")));
        }
        assert_eq!(told("c"), []);
        world.accept(ours, ours);
        assert_eq!(told("e"), []);
        assert_eq!(told("c").len(), 1);
    }

    #[test]
    fn an_id_that_begins_as_ours_is_told_in_full() {
        let ours = id("a");
        let his = format!("{}{}", ours.short(), "b".repeat(64));
        let his: Id = his[..64].parse().unwrap();
        let told = Predecessor {
            repository: ours,
            successor: his,
            copies: vec!["one".to_owned()],
            last_seen: Some(at(1_800_000_000)),
            behind: Some("one".to_owned()),
        };
        assert!(told.to_string().contains(&ours.to_string()), "{told}");
        assert!(told.to_string().contains(&his.to_string()), "{told}");
        let hint = told.hint();
        let recover = "recover --copy one --as-of 2027-01-15T08:00:00Z --in-place";
        assert!(hint.contains(recover), "{hint}");
    }
}
