//! The copies that are read, and what is known of each: damaged packs, and whether it is there.
//!
//! A pack that failed on a copy is asked for there last, and so is everything of a copy that did
//! not answer. A copy that fails [`GIVE_UP_AFTER`] times in a row is not asked again, else each of
//! a million blobs would wait for its time limits.
//!
//! A copy that answers with junk is another matter: it may belong to an attacker, or be the last
//! that is left, with some good files among many bad ones. So it is given up only as long as there
//! is another with the snapshot.
//!
//! What a record says was removed and lies there still is read as well, where nothing else has a blob:
//! a copy that was away while the others were pruned has its snapshots whole by nothing else, and may
//! be the last that is left.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use parking_lot::Mutex;
use strongroom_model::{FileEntry, FileName, FileType, Id};
use strongroom_store::Error as StoreError;

use crate::Files;
use crate::session::{CopyStore, ReadyCopy, Session, chain};
use crate::{Error, Result};

/// After how many failures in a row a copy is not asked again.
const GIVE_UP_AFTER: u32 = 3;

/// How many more index files, or packs that none names, a copy may give wrong than right before it
/// is not asked for more of them.
const WRONG_LIMIT: u32 = 16;

/// A pack that one copy could not give whole.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Damage {
    /// The copy.
    pub copy: String,
    /// The pack.
    pub pack: Id,
    /// What was found first.
    pub reason: String,
}

/// The copies, best first.
#[derive(Debug)]
pub(super) struct Members<'a> {
    all: Vec<Member<'a>>,
    /// Whether anything failed or was in doubt yet; until then nothing below has to be asked.
    trouble: AtomicBool,
    damage: Mutex<BTreeMap<(usize, Id), String>>,
    /// What each copy gave of the files of a type that it lists.
    given: Mutex<HashMap<(usize, FileType), Given>>,
}

/// How a copy keeps what it promises by listing it.
#[derive(Debug, Default)]
struct Given {
    /// How many more files it gave wrong than right.
    wrong: u32,
    is_given_up: bool,
}

/// A copy.
#[derive(Debug)]
pub(super) struct Member<'a> {
    pub(super) copy: &'a CopyStore,
    pub(super) ready: &'a ReadyCopy,
    /// Whether it has the snapshot, and so should have every pack of it.
    has_snapshot: bool,
    /// What of these a record hides that lies there still.
    hidden_index: Files,
    hidden_packs: Files,
    /// How often it failed in a row.
    failures: AtomicU32,
    failure: Mutex<Option<String>>,
}

impl<'a> Members<'a> {
    pub(super) fn of(session: &'a Session, snapshot: Id) -> Result<Self> {
        let mut all: Vec<_> = session.ready().collect();
        all.sort_by_key(|(copy, ready)| {
            let listing = &ready.listing;
            let packs = std::cmp::Reverse(listing.data.len());
            (!listing.snapshots.contains(snapshot), !copy.is_local, packs)
        });
        if all.is_empty() {
            return Err(session.no_copy());
        }
        let member = |(copy, ready): (&'a CopyStore, &'a ReadyCopy)| Member {
            copy,
            ready,
            has_snapshot: ready.listing.snapshots.contains(snapshot),
            hidden_index: hidden(ready, FileType::Index),
            hidden_packs: hidden(ready, FileType::Data),
            failures: AtomicU32::new(0),
            failure: Mutex::default(),
        };
        Ok(Self {
            all: all.into_iter().map(member).collect(),
            trouble: AtomicBool::new(session.ready().any(|(_, ready)| !ready.doubts.is_empty())),
            damage: Mutex::default(),
            given: Mutex::default(),
        })
    }

    /// The best copy.
    #[expect(clippy::indexing_slicing, reason = "there is one, else `of` fails")]
    pub(super) fn lead(&self) -> &Member<'a> {
        &self.all[0]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Member<'a>> {
        self.all.iter()
    }

    /// The copy to ask first for a pack; `None` where all are away.
    pub(super) fn best_for(&self, pack: Id) -> Option<usize> {
        for (number, member) in self.all.iter().enumerate() {
            if member.has_snapshot && !member.lists(pack) && !self.is_hidden(pack) {
                self.note_damage(number, pack, "it is missing".to_owned());
            }
        }
        if !self.trouble.load(Ordering::Relaxed) && self.lead().lists(pack) {
            return Some(0);
        }
        self.order_for(pack).first().copied()
    }

    /// Whether a pack was removed that lies somewhere still: that others lack it is no damage.
    fn is_hidden(&self, pack: Id) -> bool {
        let mut members = self.all.iter();
        members.any(|member| member.hidden_packs.contains(pack))
    }

    /// The copies to ask for a pack, in this order; those that are away are left out.
    pub(super) fn order_for(&self, pack: Id) -> Vec<usize> {
        let damage = self.damage.lock();
        let mut order = Vec::with_capacity(self.all.len());
        for (number, member) in self.all.iter().enumerate() {
            if !member.is_away() {
                let failures = member.failures.load(Ordering::Relaxed);
                let damaged = damage.contains_key(&(number, pack)) || member.doubts(pack);
                order.push((damaged, !member.lists(pack), failures > 0, number));
            }
        }
        order.sort_unstable();
        order.into_iter().map(|(.., number)| number).collect()
    }

    /// Fetches bytes of a pack from one copy into memory that is left from before, and notes what goes
    /// wrong.
    pub(super) fn fetch(
        &self,
        number: usize,
        pack: Id,
        range: Range<u64>,
        memory: Vec<u8>,
    ) -> strongroom_store::Result<Vec<u8>> {
        let name = FileName::new(FileType::Data, pack);
        let Some(member) = self.all.get(number) else {
            let location = String::new();
            return Err(StoreError::NotFound { name, location });
        };
        let read = member.copy.store.read_range_into(name, range, memory);
        match &read {
            Ok(_) => self.note_answer(number),
            Err(StoreError::Cancelled { .. }) => {}
            Err(error) if is_of_the_file(error) => self.note_damage(number, pack, chain(error)),
            Err(error) => self.note_no_answer(number, error),
        }
        read
    }

    /// Whether a copy is asked for files of a type that only matter where others are missed.
    pub(super) fn is_asked(&self, number: usize, kind: FileType) -> bool {
        let is_away = self.all.get(number).is_none_or(Member::is_away);
        let given = self.given.lock();
        !is_away
            && given
                .get(&(number, kind))
                .is_none_or(|given| !given.is_given_up)
    }

    /// Notes that a copy gave a file of a type as it should be.
    pub(super) fn note_right(&self, number: usize, kind: FileType) {
        let mut given = self.given.lock();
        if let Some(given) = given.get_mut(&(number, kind)) {
            given.wrong = given.wrong.saturating_sub(1);
        }
    }

    /// Notes that a copy did not give a file of a type as it should be. Returns what there is to
    /// tell where it is not asked for more of them from now on.
    pub(super) fn note_wrong(&self, number: usize, kind: FileType) -> Option<String> {
        let mut given = self.given.lock();
        let is_left = |other: usize, member: &Member<'_>| {
            let is_given_up = given
                .get(&(other, kind))
                .is_some_and(|given| given.is_given_up);
            other != number && member.has_snapshot && !member.is_away() && !is_given_up
        };
        let mut members = self.all.iter().enumerate();
        let is_other_left = members.any(|(other, member)| is_left(other, member));
        let of_copy = given.entry((number, kind)).or_default();
        of_copy.wrong = of_copy.wrong.saturating_add(1);
        if of_copy.wrong < WRONG_LIMIT || of_copy.is_given_up || !is_other_left {
            return None;
        }
        of_copy.is_given_up = true;
        let copy = &self.all.get(number)?.copy.name;
        Some(format!(
            "{copy} lists too much in {} that is not what it should be: it is asked for no more",
            kind.folder()
        ))
    }

    /// Notes that a copy answers.
    pub(super) fn note_answer(&self, number: usize) {
        if let Some(member) = self.all.get(number)
            && self.trouble.load(Ordering::Relaxed)
        {
            member.failures.store(0, Ordering::Relaxed);
        }
    }

    /// Notes that a copy does not answer.
    pub(super) fn note_no_answer(&self, number: usize, error: &StoreError) {
        let Some(member) = self.all.get(number) else {
            return;
        };
        tracing::warn!(
            copy = member.copy.name,
            error = chain(error),
            "A copy does not answer"
        );
        member.failures.fetch_add(1, Ordering::Relaxed);
        member.failure.lock().get_or_insert_with(|| chain(error));
        self.trouble.store(true, Ordering::Relaxed);
    }

    /// Remembers that a pack is not whole on a copy.
    pub(super) fn note_damage(&self, number: usize, pack: Id, reason: String) {
        let copy = self.all.get(number).map_or("", |member| &member.copy.name);
        self.damage.lock().entry((number, pack)).or_insert_with(|| {
            tracing::warn!(copy, %pack, reason, "A pack is damaged");
            reason
        });
        self.trouble.store(true, Ordering::Relaxed);
    }

    pub(super) fn damage(&self) -> Vec<Damage> {
        let damage = self.damage.lock();
        let one = |((number, pack), reason): (&(usize, Id), &String)| {
            Some(Damage {
                copy: self.all.get(*number)?.copy.name.clone(),
                pack: *pack,
                reason: reason.clone(),
            })
        };
        damage.iter().filter_map(one).collect()
    }

    /// For each copy that did not answer, its name and what it said first.
    pub(super) fn failures(&self) -> Vec<String> {
        let one = |member: &Member<'_>| {
            let failure = member.failure.lock().clone()?;
            Some(format!("{}: {failure}", member.copy.name))
        };
        self.all.iter().filter_map(one).collect()
    }

    /// What to say where no copy answers any more.
    pub(super) fn all_away(&self) -> Error {
        Error::NoCopy {
            reasons: self.failures(),
        }
    }
}

impl Member<'_> {
    /// Whether it did not answer so often that it is not asked again.
    fn is_away(&self) -> bool {
        self.failures.load(Ordering::Relaxed) >= GIVE_UP_AFTER
    }

    pub(super) fn lists(&self, pack: Id) -> bool {
        self.size_of(FileName::new(FileType::Data, pack)).is_some()
    }

    /// All files of a type that lie there.
    pub(super) fn ids(&self, kind: FileType) -> impl Iterator<Item = Id> {
        let files = self.files(kind);
        files.flat_map(Files::iter).map(|entry| entry.id)
    }

    /// The size of a file that lies there.
    pub(super) fn size_of(&self, name: FileName) -> Option<u64> {
        let id = name.id()?;
        let mut files = self.files(name.kind());
        files.find_map(|files| files.size_bytes(id))
    }

    /// Whether a file lies there in this size, and not in doubt.
    pub(super) fn has(&self, name: FileName, size_bytes: u64) -> bool {
        self.size_of(name) == Some(size_bytes) && !self.ready.doubts.contains(&name)
    }

    fn files(&self, kind: FileType) -> impl Iterator<Item = &Files> {
        let hidden = match kind {
            FileType::Index => Some(&self.hidden_index),
            FileType::Data => Some(&self.hidden_packs),
            _ => None,
        };
        let listed = self.ready.listing.of(kind);
        listed.into_iter().chain(hidden)
    }

    /// Whether the pack was found wrong there before.
    fn doubts(&self, pack: Id) -> bool {
        let name = FileName::new(FileType::Data, pack);
        self.ready.doubts.contains(&name)
    }
}

/// The files of a type that lie on a copy although a record says that they were removed.
fn hidden(ready: &ReadyCopy, kind: FileType) -> Files {
    let of_kind = ready.removed.iter().filter(|file| file.name.kind() == kind);
    let entries = of_kind.filter_map(|file| {
        Some(FileEntry {
            id: file.name.id()?,
            size_bytes: file.size_bytes,
        })
    });
    Files::new(entries.collect())
}

/// Whether an error says something of one file, and not of the whole place.
pub(super) fn is_of_the_file(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::NotFound { .. }
            | StoreError::ShortFile { .. }
            | StoreError::TooLarge { .. }
            | StoreError::Io { .. }
    )
}
