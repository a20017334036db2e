//! What the vault tells of a repository as a whole.

use strongroom_model::{FileName, RepositoryPath};

use crate::Result;
use crate::database::Transaction;
use crate::records::repositories::Repository;
use crate::records::scrub::{self, Scrub};
use crate::records::{objects, tombstones};
use crate::rules::life::State;
use crate::rules::purge::{Hold, Tombstones};
use crate::rules::right;
use crate::vault::Vault;
use crate::vault::authentication::Principal;

/// A repository, and what waits in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overview {
    /// The repository.
    pub repository: Repository,
    /// The objects that were asked to be deleted and are kept.
    pub tombstones: Tombstones,
    /// How many an operator has taken out of sight.
    pub hidden: u64,
    /// The keys that wait for an operator.
    pub pending_keys: Vec<FileName>,
    /// Why nothing of it is purged now.
    pub hold: Option<Hold>,
    /// How far the reading of it is.
    pub scrub: Scrub,
}

impl Vault {
    /// What a token may know of a repository.
    ///
    /// # Errors
    /// [`Error::Forbidden`](crate::Error::Forbidden), [`Error::Unknown`](crate::Error::Unknown);
    /// those of the database.
    pub fn overview(&self, principal: &Principal, path: &RepositoryPath) -> Result<Overview> {
        principal.authorise(right::Act::Read, path)?;
        self.overview_of(self.repository(path)?)
    }

    /// What operators may know of a repository.
    ///
    /// # Errors
    /// [`Error::Unknown`](crate::Error::Unknown); those of the database.
    pub fn overview_for_operators(&self, path: &RepositoryPath) -> Result<Overview> {
        self.overview_of(self.repository(path)?)
    }

    /// All repositories, by path.
    ///
    /// # Errors
    /// Those of the database.
    pub fn overviews(&self) -> Result<Vec<Overview>> {
        let all = self.repositories()?.into_iter();
        all.map(|repository| self.overview_of(repository)).collect()
    }

    fn overview_of(&self, repository: Repository) -> Result<Overview> {
        let id = repository.id;
        let count = |transaction: &mut dyn Transaction| {
            Ok((
                tombstones::look(transaction, id)?,
                tombstones::count(transaction, id, State::Hidden)?,
                objects::pending(transaction, id)?,
                scrub::get(transaction, id)?,
            ))
        };
        let (tombstones, hidden, pending_keys, scrub) = self.read(count)?;
        Ok(Overview {
            hold: self.purge_hold(&repository)?,
            tombstones,
            hidden,
            pending_keys,
            scrub,
            repository,
        })
    }
}
