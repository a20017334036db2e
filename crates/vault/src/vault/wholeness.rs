//! Whether snapshots are whole here, as far as receipts tell what they need: without any password.
//!
//! A receipt is a claim by production. That a snapshot is called whole means that everything the
//! claim names is here, and a live key among it; it does not mean that the claim is true.
//!
//! Of several receipts of a snapshot the newest one says what it needs: what only older ones name was
//! moved, as by a prune, and is held back by them and not missing to anybody.

use std::collections::{BTreeMap, HashMap};

use strongroom_model::{FileName, FileType, Id, Name, RepositoryPath};

use crate::Result;
use crate::database::Transaction;
use crate::records::objects::{self, Key};
use crate::records::receipts::{self, Cursor, Lineage, Receipt};
use crate::records::repositories::Repository;
use crate::records::{needs, tokens};
use crate::rules::life::State;
use crate::rules::right;
use crate::rules::wholeness::{Missing, NAMES_TOLD, waiting_keys};
use crate::vault::Vault;
use crate::vault::authentication::Principal;

/// How many snapshots are looked at in one read.
const PAGE: u64 = 1_000;

/// How many lineages.
const LINEAGES: usize = 1_000;

/// Of how many lineages the newest snapshots are looked at again and again.
const MOST_LINEAGES: usize = 2_000;

/// A snapshot, as its receipt claims and as the vault finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The receipt.
    pub receipt: Receipt,
    /// The client that signed it.
    pub client: Id,
    /// The source, as the client calls it.
    pub source: Name,
    /// The name of the token that brought it.
    pub token: String,
    /// How many files are missing, the snapshot itself among them.
    pub missing_files: u64,
    /// The first of them.
    pub missing: Vec<FileName>,
}

/// Some snapshots of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StandingPage {
    /// The snapshots.
    pub standings: Vec<Standing>,
    /// Where the next page begins, where there is one.
    pub next: Option<Cursor>,
}

/// The newest snapshot of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newest {
    /// Whether it is whole here: of several clients that call a source the same, the newest of
    /// each.
    pub is_whole: bool,
    /// How long ago its first receipt came, by vault time.
    pub age_ms: i64,
}

/// The newest snapshots of some lineages; how many lineages it were, and the last one's key.
type SomeNewest = (Vec<(Name, Newest)>, Option<(usize, i64)>);

impl Vault {
    /// Some snapshots of which there are receipts, from a place on: those that are live, each by its
    /// newest receipt of a client and source, and the newest of each of these, whatever became of it,
    /// until it is purged.
    ///
    /// # Errors
    /// [`Error::Forbidden`](crate::Error::Forbidden), [`Error::Unknown`](crate::Error::Unknown);
    /// those of the database.
    pub fn standings(
        &self,
        principal: &Principal,
        path: &RepositoryPath,
        from: Option<Cursor>,
    ) -> Result<StandingPage> {
        principal.authorise(right::Act::Read, path)?;
        let repository = self.repository(path)?;
        self.read_list(|transaction| {
            let names = tokens::list(transaction)?;
            let names = names.into_iter().map(|token| (token.id, token.name));
            let mut reading = Reading {
                repository: &repository,
                tokens: names.collect(),
                page: StandingPage::default(),
            };
            reading.read(transaction, from)?;
            Ok(reading.page)
        })
    }

    /// The newest snapshot of each source of each repository; of 2,000 clients and sources at most,
    /// those of each repository that came first.
    ///
    /// # Errors
    /// Those of the database.
    pub fn newest_snapshots(&self) -> Result<BTreeMap<(RepositoryPath, Name), Newest>> {
        self.newest_of(MOST_LINEAGES)
    }

    /// The newest snapshot of each source of each repository, of all of them.
    ///
    /// # Errors
    /// Those of the database.
    pub(super) fn all_newest_snapshots(&self) -> Result<BTreeMap<(RepositoryPath, Name), Newest>> {
        self.newest_of(usize::MAX)
    }

    /// The newest snapshot of each source of some repositories, in their order; of so many clients and
    /// sources of each at most, those that came first.
    ///
    /// # Errors
    /// Those of the database.
    pub fn newest_of_each(
        &self,
        repositories: &[Repository],
        most: u64,
    ) -> Result<Vec<Vec<(Name, Newest)>>> {
        let now_ms = self.now().vault_ms;
        self.read(|transaction| {
            let each = repositories.iter();
            each.map(|repository| newest_in(transaction, repository, (0, most), now_ms))
                .map(|found| Ok(by_source(found?.0)))
                .collect()
        })
    }

    fn newest_of(&self, most: usize) -> Result<BTreeMap<(RepositoryPath, Name), Newest>> {
        let mut all = BTreeMap::new();
        let now_ms = self.now().vault_ms;
        let mut left = most;
        for repository in self.repositories()? {
            let mut from = 0;
            loop {
                let wanted = left.min(LINEAGES);
                let some = (from, wanted as u64);
                let (found, last) =
                    self.read(|transaction| newest_in(transaction, &repository, some, now_ms))?;
                for (source, newest) in found {
                    let key = (repository.path.clone(), source);
                    let before = all.get(&key).copied();
                    all.insert(key, before.map_or(newest, |before| newest.and(before)));
                }
                let Some((count, id)) = last else {
                    break;
                };
                left = left.saturating_sub(count);
                if left == 0 {
                    tracing::warn!(
                        most,
                        "There are more sources than are looked at for metrics"
                    );
                    return Ok(all);
                }
                if count < wanted {
                    break;
                }
                from = id + 1;
            }
        }
        Ok(all)
    }
}

impl Newest {
    /// Of two clients.
    fn and(self, other: Self) -> Self {
        Self {
            is_whole: self.is_whole && other.is_whole,
            age_ms: self.age_ms.min(other.age_ms),
        }
    }
}

/// The newest snapshots of some lineages of a repository: from a key on, so many.
fn newest_in(
    transaction: &mut dyn Transaction,
    repository: &Repository,
    (from, most): (i64, u64),
    now_ms: i64,
) -> Result<SomeNewest> {
    let lineages = receipts::lineages(transaction, repository.id, from, most)?;
    let mut found = Vec::new();
    for lineage in &lineages {
        if let Some(newest) = newest(transaction, repository, lineage, now_ms)? {
            found.push((lineage.source.clone(), newest));
        }
    }
    let last = lineages.last().map(|last| (lineages.len(), last.id));
    Ok((found, last))
}

/// One for each source, whoever has sent it.
fn by_source(found: Vec<(Name, Newest)>) -> Vec<(Name, Newest)> {
    let mut all: BTreeMap<Name, Newest> = BTreeMap::new();
    for (source, newest) in found {
        let before = all.get(&source).copied();
        all.insert(source, before.map_or(newest, |before| newest.and(before)));
    }
    all.into_iter().collect()
}

/// How many files are missing of what a receipt names, the snapshot itself among them.
pub(super) fn count_missing(
    transaction: &mut dyn Transaction,
    repository: &Repository,
    receipt: &Receipt,
) -> Result<u64> {
    let snapshot = Key::new(repository.id, snapshot_of(receipt));
    let is_here = needs::is_sound_here(transaction, &snapshot)?;
    let files = needs::count_lacking(transaction, receipt.lineage, receipt.position)?;
    let beside = beside(repository, receipt, is_here).len() as u64;
    let at = (receipt.position, receipt.position);
    let keys = needs::stored_keys(transaction, receipt.lineage, at)?;
    let waiting = waiting_keys(&keys, receipt.position).len() as u64;
    Ok(files.saturating_add(beside).saturating_add(waiting))
}

/// Whether a receipt may take the place of an older one of its snapshot: the snapshot is seen, every
/// pack and index file that it names is stored and sound, and what nothing is restored without is
/// among it: a key that opens, an index file, a pack.
///
/// What a later prune has moved once more is a tombstone by now, and stored: were that not enough, no
/// receipt would ever take a place where prunes come sooner than its time.
///
/// **Security:** it is true of junk as well, for a client can put that and name it; so it is one
/// condition of several (see [`replacement`](super::replacement)).
pub(super) fn is_restorable(
    transaction: &mut dyn Transaction,
    repository: &Repository,
    receipt: &Receipt,
) -> Result<bool> {
    let (lineage, position) = (receipt.lineage, receipt.position);
    let snapshot = Key::new(repository.id, snapshot_of(receipt));
    let is_here = needs::is_sound_here(transaction, &snapshot)?;
    let keys = needs::stored_keys(transaction, lineage, (position, position))?;
    if !beside(repository, receipt, is_here).is_empty() || !keys.iter().any(|key| key.is_live) {
        return Ok(false);
    }
    for kind in [FileType::Data, FileType::Index] {
        if !needs::is_any_needed(transaction, lineage, position, kind)? {
            return Ok(false);
        }
    }
    Ok(!needs::is_any_gone(transaction, lineage, position)?)
}

/// What is missing of a receipt beside packs, index files and keys.
fn beside(repository: &Repository, receipt: &Receipt, is_snapshot_here: bool) -> Vec<FileName> {
    let mut missing = Vec::new();
    if !is_snapshot_here {
        missing.push(snapshot_of(receipt));
    }
    if repository.config != Some(receipt.config) {
        missing.push(FileName::CONFIG);
    }
    missing
}

fn snapshot_of(receipt: &Receipt) -> FileName {
    FileName::new(FileType::Snapshots, receipt.snapshot)
}

/// Whether the snapshot of a receipt is live, so that it is told of by itself.
fn is_live(transaction: &mut dyn Transaction, repository: i64, receipt: &Receipt) -> Result<bool> {
    let key = Key::new(repository, snapshot_of(receipt));
    let stored = objects::get(transaction, &key)?;
    Ok(stored.is_some_and(|object| object.state == State::Live))
}

/// The newest snapshot of a lineage; none where it was purged.
fn newest(
    transaction: &mut dyn Transaction,
    repository: &Repository,
    lineage: &Lineage,
    now_ms: i64,
) -> Result<Option<Newest>> {
    let Some((newest, came_ms)) = receipts::newest(transaction, lineage.id)? else {
        return Ok(None);
    };
    if receipts::was_purged(transaction, repository.id, newest.snapshot)? {
        return Ok(None);
    }
    Ok(Some(Newest {
        is_whole: count_missing(transaction, repository, &newest)? == 0,
        age_ms: now_ms.saturating_sub(came_ms).max(0),
    }))
}

/// A page that is being read.
struct Reading<'r> {
    repository: &'r Repository,
    tokens: HashMap<i64, String>,
    page: StandingPage,
}

impl Reading<'_> {
    fn read(&mut self, transaction: &mut dyn Transaction, from: Option<Cursor>) -> Result<()> {
        let from = from.unwrap_or(Cursor {
            lineage: 0,
            position: 0,
        });
        let id = self.repository.id;
        let lineages = receipts::lineages(transaction, id, from.lineage, LINEAGES as u64)?;
        for lineage in &lineages {
            let begin = Cursor {
                lineage: lineage.id,
                position: match lineage.id == from.lineage {
                    true => from.position,
                    false => 0,
                },
            };
            self.page.next = self.lineage(transaction, lineage, begin)?;
            if self.page.next.is_some() {
                return Ok(());
            }
        }
        if let Some(last) = lineages.last().filter(|_| lineages.len() == LINEAGES) {
            self.page.next = Some(Cursor {
                lineage: last.id + 1,
                position: 0,
            });
        }
        Ok(())
    }

    /// Reads a lineage; returns where to go on where the page is full before its end.
    fn lineage(
        &mut self,
        transaction: &mut dyn Transaction,
        lineage: &Lineage,
        begin: Cursor,
    ) -> Result<Option<Cursor>> {
        let room = PAGE.saturating_sub(self.page.standings.len() as u64);
        if room == 0 {
            return Ok(Some(begin));
        }
        let id = self.repository.id;
        let mut found = receipts::live(transaction, id, begin, room)?;
        let mut next = None;
        let last = found.last().map(|(receipt, _)| receipt.position);
        if found.len() as u64 == room {
            next = last.map(|last| Cursor {
                lineage: lineage.id,
                position: last + 1,
            });
        } else if let Some((newest, _)) = receipts::newest(transaction, lineage.id)?
            && !is_live(transaction, id, &newest)?
            && !receipts::was_purged(transaction, id, newest.snapshot)?
        {
            // Where it stands among the others: what was said anew since comes behind it.
            let place = found.partition_point(|(other, _)| other.position < newest.position);
            found.insert(place, (newest, false));
        }
        self.add(transaction, lineage, found)?;
        Ok(next)
    }

    fn add(
        &mut self,
        transaction: &mut dyn Transaction,
        lineage: &Lineage,
        found: Vec<(Receipt, bool)>,
    ) -> Result<()> {
        let positions: Vec<u64> = found.iter().map(|(receipt, _)| receipt.position).collect();
        let (Some(first), Some(last)) = (positions.first(), positions.last()) else {
            return Ok(());
        };
        let range = (*first, *last);
        let mut missing = Missing::new(positions);
        needs::lacking(transaction, lineage.id, range, &mut |name, began, ended| {
            missing.lack(began, ended, name);
        })?;
        let keys = needs::stored_keys(transaction, lineage.id, range)?;
        for ((receipt, is_here), (files, names)) in found.into_iter().zip(missing.finish()) {
            let mut told = beside(self.repository, &receipt, is_here);
            told.extend(waiting_keys(&keys, receipt.position));
            let missing_files = files.saturating_add(told.len() as u64);
            told.extend(names);
            told.truncate(NAMES_TOLD);
            let token = self.tokens.get(&receipt.token).cloned();
            self.page.standings.push(Standing {
                client: lineage.client,
                source: lineage.source.clone(),
                token: token.unwrap_or_default(),
                missing_files,
                missing: told,
                receipt,
            });
        }
        Ok(())
    }
}
