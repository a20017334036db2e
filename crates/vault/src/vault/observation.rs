//! What the vault says of itself to those who watch it: read at a pace of its own, from what is
//! counted anyway, so that nobody who asks often makes it work.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::Result;
use crate::database::Transaction;
use crate::records::clock;
use crate::records::cosigned::{self, WitnessState};
use crate::records::leaves::{self, Head};
use crate::records::look_back::{self, LookBack};
use crate::records::receipts;
use crate::records::repositories::{self, Repository};
use crate::records::scrub::{self, Scrub};
use crate::records::tally::{self, InState, Tally};
use crate::records::tokens::{self, Standing};
use crate::records::tombstones;
use crate::rules::clock::MINUTE_MS;
use crate::rules::life::State;
use crate::rules::purge::Hold;
use crate::rules::right::Right;
use crate::vault::{Vault, no_answer};

/// Up to here it is counted how many tombstones are due.
const DUE_LIMIT: u64 = 10_000;

/// How many tombstones of each repository were due, and when by the boot clock.
#[derive(Debug, Default)]
pub(super) struct DueCounts(Mutex<HashMap<i64, (i64, u64)>>);

/// A vault at one moment.
#[derive(Clone, Debug)]
pub struct Observation {
    /// What holds of each repository, the oldest first.
    pub repositories: Vec<Observed>,
    /// How many tokens there are.
    pub tokens: Vec<TokensObserved>,
    /// Where the log stands.
    pub head: Head,
    /// How far the look back at its files is, and what it has found.
    pub look_back: LookBack,
    /// What is known of each witness of the log.
    pub witnesses: Vec<WitnessState>,
    /// Vault time.
    pub vault_ms: i64,
    /// The wall clock.
    pub wall_ms: i64,
    /// Whether a jump of the clocks was seen that nobody has confirmed.
    pub is_clock_doubted: bool,
    /// Until when, by vault time, what became due by what operators had the clock catch up stays;
    /// none where that keeps nothing.
    pub leap_holds_until_ms: Option<i64>,
    /// What is free in storage, where that can be told.
    pub free_bytes: Option<u64>,
    /// The room that uploads leave free.
    pub reserve_bytes: u64,
    /// How many objects this process has purged, and their bytes.
    pub purged: (u64, u64),
}

/// A repository at one moment.
#[derive(Clone, Debug)]
pub struct Observed {
    /// Itself.
    pub repository: Repository,
    /// What is in each state, by its number.
    pub tallies: [Tally; State::ALL.len()],
    /// How many tombstones are due, counted up to 10,000.
    pub due: u64,
    /// Why nothing is purged.
    pub held: Option<Hold>,
    /// How far scrubbing is.
    pub scrub: Scrub,
}

/// How many tokens have a right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokensObserved {
    /// The right.
    pub right: Right,
    /// Whether they count.
    pub standing: Standing,
    /// How many.
    pub count: u64,
}

impl Observed {
    /// What is in a state.
    pub fn tally(&self, state: State) -> Tally {
        let mut states = State::ALL.into_iter().zip(self.tallies);
        let found = states.find(|(known, _)| *known == state);
        found.map_or_else(Tally::default, |(_, tally)| tally)
    }
}

impl Vault {
    /// Looks at everything that is watched.
    ///
    /// # Errors
    /// Those of database and storage.
    pub fn observe(&self) -> Result<Observation> {
        Ok(Observation {
            free_bytes: self.free_bytes()?,
            ..self.observe_database()?
        })
    }

    /// What is free in storage, where that can be told.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn free_bytes(&self) -> Result<Option<u64>> {
        Ok(self.shared.bodies.free_bytes()?)
    }

    /// The same as [`Vault::observe`], of a storage that may hang: it is not asked what is free.
    ///
    /// # Errors
    /// Those of the database.
    pub fn observe_database(&self) -> Result<Observation> {
        let (now, reading) = (self.now(), self.shared.read_clocks.read());
        let is_clock_doubted = self.is_clock_doubted();
        let (mut repositories, tokens, others) = self.read(|transaction| {
            let found = repositories::list(transaction)?;
            let clock = clock::read(transaction)?.ok_or_else(no_answer)?;
            let mut counted: HashMap<i64, Vec<InState>> = HashMap::new();
            for in_state in tally::list(transaction)? {
                counted
                    .entry(in_state.repository)
                    .or_default()
                    .push(in_state);
            }
            let rooms: HashMap<i64, u64> = receipts::rooms(transaction)?.into_iter().collect();
            let mut scrubs: HashMap<i64, Scrub> = scrub::list(transaction)?.into_iter().collect();
            let mut observed = Vec::with_capacity(found.len());
            for repository in found {
                let counted = counted.remove(&repository.id).unwrap_or_default();
                let room = rooms.get(&repository.id).copied().unwrap_or_default();
                let tallies = tallies(&repository, &counted, room);
                observed.push(Observed {
                    due: self.count_due(transaction, &repository, &counted, clock.purge_ms())?,
                    tallies,
                    held: None,
                    scrub: scrubs.remove(&repository.id).unwrap_or_default(),
                    repository,
                });
            }
            let tokens = tokens::count(transaction, now.vault_ms)?;
            let others = (
                clock.leap_holds_until_ms(),
                leaves::head(transaction)?,
                look_back::get(transaction)?,
                cosigned::witnesses(transaction)?,
            );
            Ok((observed, tokens, others))
        })?;
        for observed in &mut repositories {
            observed.held = self.purge_hold(&observed.repository)?;
        }
        repositories.sort_by_key(|observed| observed.repository.id);
        let of_right = |(right, standing, count)| TokensObserved {
            right,
            standing,
            count,
        };
        let (leap_holds_until_ms, head, look_back, witnesses) = others;
        Ok(Observation {
            repositories,
            tokens: tokens.into_iter().map(of_right).collect(),
            head,
            look_back,
            witnesses,
            vault_ms: now.vault_ms,
            wall_ms: reading.wall_ms,
            is_clock_doubted,
            leap_holds_until_ms,
            free_bytes: None,
            reserve_bytes: self.shared.settings.reserve_bytes,
            purged: self.shared.purged.get(),
        })
    }

    /// How many tombstones are due at `purge_ms`, by which purging goes: counted anew once a minute,
    /// because it is read.
    fn count_due(
        &self,
        transaction: &mut dyn Transaction,
        repository: &Repository,
        counted: &[InState],
        purge_ms: i64,
    ) -> Result<u64> {
        let is_tombstone = |found: &InState| found.state == State::Tombstoned;
        if !counted.iter().any(is_tombstone) {
            return Ok(0);
        }
        let (id, boot_ms) = (repository.id, self.boot_ms());
        let known = self.shared.due_counts.0.lock().get(&id).copied();
        if let Some((at_ms, count)) = known
            && (0..MINUTE_MS).contains(&boot_ms.saturating_sub(at_ms))
        {
            return Ok(count);
        }
        let keeping = repository.keeping;
        let tombstoned_ms = purge_ms.saturating_sub(keeping.grace_ms);
        let arrived_ms = purge_ms.saturating_sub(keeping.retention_ms);
        let count = tombstones::count_due(transaction, id, tombstoned_ms, arrived_ms, DUE_LIMIT)?;
        self.shared.due_counts.0.lock().insert(id, (boot_ms, count));
        Ok(count)
    }

    /// Makes sure that storage is that of the vault, takes what is put, and has room for it above the
    /// reserve.
    ///
    /// # Errors
    /// Those of the storage; [`Error::StorageInDoubt`](crate::Error::StorageInDoubt),
    /// [`Error::Full`](crate::Error::Full).
    pub fn check_storage(&self) -> Result<()> {
        self.check_storage_is_known()?;
        self.shared.bodies.probe()?;
        match self.free_bytes()? {
            Some(free) if free < self.shared.settings.reserve_bytes => Err(crate::Error::Full {
                reason: "the storage of the vault is full but for its reserve".to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

/// What is in each state; live is what is in no other, and no receipt.
fn tallies(
    repository: &Repository,
    counted: &[InState],
    receipt_bytes: u64,
) -> [Tally; State::ALL.len()] {
    let others = |of: fn(&Tally) -> u64| counted.iter().map(|found| of(&found.tally)).sum();
    let (objects, bytes): (u64, u64) = (others(|t| t.objects), others(|t| t.bytes));
    State::ALL.map(|state| {
        let found = counted.iter().find(|found| found.state == state);
        match state {
            State::Live => Tally {
                objects: repository.objects.saturating_sub(objects),
                bytes: repository
                    .bytes
                    .saturating_sub(bytes.saturating_add(receipt_bytes)),
            },
            _ => found.map_or_else(Tally::default, |found| found.tally),
        }
    })
}
