//! Room: what uploads may still take of the disk, of a repository's quota, of a token's day.
//!
//! What is on its way counts as taken, so that many uploads at once cannot pass a bound that each
//! of them alone would keep. Quotas and days are counted in the database, for all processes; the
//! room on a disk is looked at by each for itself, and again every few MiB.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_model::RepositoryPath;

use crate::database::Transaction;
use crate::records::repositories::Repository;
use crate::records::tokens::{self, Allowance};
use crate::rules::purge::day_of;
use crate::vault::Vault;
use crate::{Error, Result};

/// What is on its way in this process.
#[derive(Debug, Default)]
pub(super) struct Usage(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    bytes: u64,
    repositories: HashMap<RepositoryPath, u64>,
    tokens: HashMap<i64, Share>,
}

/// What a token has on its way.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    bytes: u64,
    objects: u64,
}

/// Room that an upload has; given back when dropped, which must be after its commit.
#[derive(Debug)]
pub(super) struct Room {
    taken: Arc<Mutex<Taken>>,
    repository: RepositoryPath,
    token: i64,
    bytes: u64,
}

/// What is on its way to one repository and from one token, at one moment. To be looked at before
/// the database is: what arrives between the two is then counted twice, and never missed.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnderWay {
    repository_bytes: u64,
    of_token: Share,
}

impl Room {
    fn take(usage: &Usage, repository: &RepositoryPath, token: i64, bytes: u64) -> Self {
        let mut taken = usage.0.lock();
        taken.bytes = taken.bytes.saturating_add(bytes);
        *taken.repositories.entry(repository.clone()).or_default() += bytes;
        let share = taken.tokens.entry(token).or_default();
        share.bytes = share.bytes.saturating_add(bytes);
        share.objects += 1;
        Self {
            taken: Arc::clone(&usage.0),
            repository: repository.clone(),
            token,
            bytes,
        }
    }

    /// Takes more room, as bytes come.
    pub(super) fn grow_to(&mut self, bytes: u64) {
        let Some(more) = bytes.checked_sub(self.bytes) else {
            return;
        };
        self.bytes = bytes;
        let mut taken = self.taken.lock();
        taken.bytes = taken.bytes.saturating_add(more);
        if let Some(of_repository) = taken.repositories.get_mut(&self.repository) {
            *of_repository = of_repository.saturating_add(more);
        }
        if let Some(share) = taken.tokens.get_mut(&self.token) {
            share.bytes = share.bytes.saturating_add(more);
        }
    }

    /// What is on its way now, this included.
    pub(super) fn under_way(&self) -> UnderWay {
        let taken = self.taken.lock();
        let of_repository = taken.repositories.get(&self.repository);
        UnderWay {
            repository_bytes: of_repository.copied().unwrap_or_default(),
            of_token: taken.tokens.get(&self.token).copied().unwrap_or_default(),
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
        taken.bytes = taken.bytes.saturating_sub(self.bytes);
        if let Some(of_repository) = taken.repositories.get_mut(&self.repository) {
            *of_repository = of_repository.saturating_sub(self.bytes);
            if *of_repository == 0 {
                taken.repositories.remove(&self.repository);
            }
        }
        if let Some(share) = taken.tokens.get_mut(&self.token) {
            share.bytes = share.bytes.saturating_sub(self.bytes);
            share.objects = share.objects.saturating_sub(1);
            if share.objects == 0 {
                taken.tokens.remove(&self.token);
            }
        }
    }
}

impl UnderWay {
    /// Fails where a repository's quota has no room for all of it.
    pub(super) fn check_quota(&self, repository: &Repository) -> Result<()> {
        check_quota(repository, self.repository_bytes)
    }

    /// Fails where a token's day has no room for all of it.
    pub(super) fn check_day(&self, allowance: &Allowance, vault_ms: i64) -> Result<()> {
        let Share { bytes, objects } = self.of_token;
        let after = allowance.after(day_of(vault_ms), bytes, objects);
        after.map(drop).ok_or_else(day_is_used_up)
    }
}

impl Vault {
    /// Takes room on the disk for so many bytes.
    ///
    /// # Errors
    /// [`Error::Full`].
    pub(super) fn take_room(
        &self,
        repository: &RepositoryPath,
        token: i64,
        bytes: u64,
    ) -> Result<Room> {
        let room = Room::take(&self.shared.usage, repository, token, bytes);
        self.check_disk()?;
        Ok(room)
    }

    /// Fails where what is on its way does not fit on the disk beside the reserve.
    ///
    /// # Errors
    /// [`Error::Full`].
    pub(super) fn check_disk(&self) -> Result<()> {
        let taken = self.shared.usage.0.lock().bytes;
        let needed = taken.saturating_add(self.shared.settings.reserve_bytes);
        match self.shared.bodies.free_bytes()? {
            Some(free) if free < needed => Err(Error::Full {
                reason: "the storage of the vault is full but for its reserve".to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

/// Fails where a repository's quota has no room for so many bytes more.
pub(super) fn check_quota(repository: &Repository, bytes: u64) -> Result<()> {
    let after = repository.bytes.saturating_add(bytes);
    match repository.quota_bytes {
        Some(quota) if after > quota => Err(Error::Full {
            reason: format!("the quota of {} is used up", repository.path),
        }),
        _ => Ok(()),
    }
}

/// What a token may put, where it still counts: it may have been ended since its request began,
/// and an upload can take hours.
///
/// # Errors
/// [`Error::Unauthorized`]; those of the database.
pub(super) fn allowance(
    transaction: &mut dyn Transaction,
    token: i64,
    vault_ms: i64,
) -> Result<Allowance> {
    tokens::allowance(transaction, token)?
        .filter(|allowance| allowance.counts_at(vault_ms))
        .ok_or(Error::Unauthorized)
}

/// Counts what a token puts; fails where its day is used up, or where it does not count any more.
pub(super) fn spend(
    transaction: &mut dyn Transaction,
    token: i64,
    vault_ms: i64,
    bytes: u64,
) -> Result<()> {
    let allowance = allowance(transaction, token, vault_ms)?;
    let after = allowance.after(day_of(vault_ms), bytes, 1);
    tokens::set_spent(transaction, token, after.ok_or_else(day_is_used_up)?)
}

fn day_is_used_up() -> Error {
    Error::Full {
        reason: "the token has put as much as it may in a day".to_owned(),
    }
}
