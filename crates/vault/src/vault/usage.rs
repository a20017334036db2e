//! Room: what uploads may still take of the disk, of a repository's quota, of a token's day.
//!
//! Bytes that are on their way count as taken, so that many uploads at once cannot pass a bound
//! that each of them alone would keep. Quotas and days are counted in the database, for all
//! processes; the room on a disk is looked at by each for itself, and again every few MiB.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::database::Transaction;
use crate::records::repositories::Repository;
use crate::records::tokens::{self, Spent};
use crate::rules::purge::day_of;
use crate::vault::Vault;
use crate::{Error, Result};

/// Bytes on their way in this process.
#[derive(Debug, Default)]
pub(super) struct Usage(Arc<AtomicU64>);

/// Room that an upload has; given back when dropped.
#[derive(Debug)]
pub(super) struct Room {
    taken: Arc<AtomicU64>,
    bytes: u64,
}

impl Room {
    /// Takes more room, as bytes come.
    pub(super) fn grow_to(&mut self, bytes: u64) {
        if let Some(more) = bytes.checked_sub(self.bytes) {
            self.taken.fetch_add(more, Ordering::Relaxed);
            self.bytes = bytes;
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Vault {
    /// Takes room for so many bytes.
    ///
    /// # Errors
    /// [`Error::Full`].
    pub(super) fn take_room(&self, bytes: u64, repository: &Repository) -> Result<Room> {
        let taken = &self.shared.usage.0;
        taken.fetch_add(bytes, Ordering::Relaxed);
        let room = Room {
            taken: Arc::clone(taken),
            bytes,
        };
        self.check_room(repository, &room)?;
        Ok(room)
    }

    /// Fails where what is on its way does not fit.
    ///
    /// # Errors
    /// [`Error::Full`].
    pub(super) fn check_room(&self, repository: &Repository, room: &Room) -> Result<()> {
        let after = repository.bytes.saturating_add(room.bytes);
        if repository.quota_bytes.is_some_and(|quota| after > quota) {
            return Err(quota_is_used_up(repository));
        }
        let needed = room
            .taken
            .load(Ordering::Relaxed)
            .saturating_add(self.shared.settings.reserve_bytes);
        match self.shared.bodies.free_bytes()? {
            Some(free) if free < needed => Err(Error::Full {
                reason: "the storage of the vault is full but for its reserve".to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

/// Fails where a repository's quota has no room for so many bytes.
pub(super) fn check_quota(repository: &Repository, bytes: u64) -> Result<()> {
    let after = repository.bytes.saturating_add(bytes);
    match repository.quota_bytes {
        Some(quota) if after > quota => Err(quota_is_used_up(repository)),
        _ => Ok(()),
    }
}

/// Counts what a token puts; fails where its day is used up.
pub(super) fn spend(
    transaction: &mut dyn Transaction,
    token: i64,
    vault_ms: i64,
    bytes: u64,
) -> Result<()> {
    let (daily_bytes, daily_objects) = tokens::daily(transaction, token)?;
    let before = tokens::spent(transaction, token)?;
    // Of two processes one may be a moment behind: no day begins twice.
    let day = day_of(vault_ms).max(before.day);
    let before = match before.day == day {
        true => before,
        false => Spent {
            day,
            ..Spent::default()
        },
    };
    let after = Spent {
        day,
        bytes: before.bytes.saturating_add(bytes),
        objects: before.objects.saturating_add(1),
    };
    if daily_bytes.is_some_and(|most| after.bytes > most)
        || daily_objects.is_some_and(|most| after.objects > most)
    {
        return Err(Error::Full {
            reason: "the token has put as much as it may in a day".to_owned(),
        });
    }
    tokens::set_spent(transaction, token, after)
}

fn quota_is_used_up(repository: &Repository) -> Error {
    Error::Full {
        reason: format!("the quota of {} is used up", repository.path),
    }
}
