//! What the pages for operators show, read a page at a time.

use strongroom_access::Held;
use strongroom_model::{Name, RepositoryPath};

use crate::Result;
use crate::people::held;
use crate::records::hours::{self, Hour};
use crate::records::notices;
use crate::records::people::seals;
use crate::records::repositories::{self, Repository};
use crate::records::shown::{self, Snapshot, Tombstone};
use crate::records::tally::{self, InState, Tally};
use crate::records::tokens::{self, Token};
use crate::rules::purge::hour_of;
use crate::vault::{Newest, Overview, Vault};

/// How many clients and sources of a repository a page tells of.
const SOURCES: u64 = 20;

/// A repository, as its page shows it.
#[derive(Clone, Debug)]
pub struct Shown {
    /// It, and what waits in it.
    pub overview: Overview,
    /// What was agreed to, and whether that is never lowered.
    pub held: Held,
    /// How many objects are in which state but live.
    pub states: Vec<InState>,
    /// What is live.
    pub live: Tally,
    /// The newest snapshot of each source.
    pub sources: Vec<(Name, Newest)>,
    /// The hours of a month, and which one it is now.
    pub hours: (Vec<Hour>, i64),
}

impl Vault {
    /// A repository, for operators.
    ///
    /// # Errors
    /// [`Error::Unknown`](crate::Error::Unknown); those of the database.
    pub fn shown_repository(&self, path: &RepositoryPath) -> Result<Shown> {
        let hour = hour_of(self.now().vault_ms);
        let overview = self.overview_for_operators(path)?;
        let repository = overview.repository.clone();
        let (found, states, live, hours) = self.read(|transaction| {
            Ok((
                held(transaction, path)?,
                tally::of(transaction, repository.id)?,
                tally::live(transaction, &repository)?,
                hours::since(transaction, repository.id, hour - hours::KEPT)?,
            ))
        })?;
        let sources = self.newest_of_each(std::slice::from_ref(&repository), SOURCES)?;
        Ok(Shown {
            held: found.ok_or_else(|| repositories::unknown(path))?,
            overview,
            states,
            live,
            sources: sources.into_iter().next().unwrap_or_default(),
            hours: (hours, hour),
        })
    }

    /// What a repository keeps, and what was agreed to.
    ///
    /// # Errors
    /// [`Error::Unknown`](crate::Error::Unknown); those of the database.
    pub fn held(&self, path: &RepositoryPath) -> Result<Held> {
        let found = self.read(|transaction| held(transaction, path))?;
        found.ok_or_else(|| repositories::unknown(path))
    }

    /// Some snapshots of a repository, the newest first: those that came before a leaf.
    ///
    /// # Errors
    /// Those of the database.
    pub fn shown_snapshots(
        &self,
        repository: &Repository,
        below: u64,
        most: u64,
    ) -> Result<Vec<Snapshot>> {
        self.read(|transaction| shown::snapshots(transaction, repository.id, below, most))
    }

    /// Some of what was asked to be deleted in a repository, the newest first: before a leaf.
    ///
    /// # Errors
    /// Those of the database.
    pub fn shown_tombstones(
        &self,
        repository: &Repository,
        below: u64,
        most: u64,
    ) -> Result<Vec<Tombstone>> {
        self.read(|transaction| shown::tombstones(transaction, repository.id, below, most))
    }

    /// Between which leaves the vault was sealed, the newest first.
    ///
    /// # Errors
    /// Those of the database.
    pub fn sealed_spans(&self) -> Result<Vec<(u64, Option<u64>)>> {
        self.read(seals::spans)
    }

    /// Some tokens, the newest first: those below a key.
    ///
    /// # Errors
    /// Those of the database.
    pub fn tokens_below(&self, below: i64, most: u64) -> Result<Vec<Token>> {
        self.read(|transaction| tokens::page(transaction, below, most))
    }

    /// How many critical notices nobody has acknowledged.
    ///
    /// # Errors
    /// Those of the database.
    pub fn unseen_notices(&self) -> Result<u64> {
        self.read(notices::count_unseen)
    }
}
