//! restic's locks: taken, shown, dropped. No promise rests on them.

use strongroom_model::{FileName, Id};

use crate::records::locks::{self, Lock};
use crate::records::repositories::Repository;
use crate::rules::clock::MINUTE_MS;
use crate::rules::right::Right;
use crate::vault::Vault;
use crate::vault::authentication::Principal;
use crate::vault::usage;
use crate::{Error, Result};

/// How long a lock that is not renewed stands, as restic has it.
pub(super) const STANDS_MS: i64 = 30 * MINUTE_MS;

/// The most bytes of a lock.
pub(super) const LARGEST_BYTES: u64 = 16 << 10;

/// The least: a nonce, an empty content, a MAC, and a byte.
const SMALLEST_BYTES: usize = 33;

/// The most locks of one token: several clients, each with an old lock and the one that renews it.
const MOST_OF_TOKEN: u64 = 16;

impl Vault {
    pub(super) fn put_lock(
        &self,
        principal: &Principal,
        repository: &Repository,
        name: FileName,
        content: Vec<u8>,
    ) -> Result<()> {
        let id = name.id().unwrap_or_default();
        if content.len() < SMALLEST_BYTES {
            return Err(Error::BadBytes {
                name,
                reason: format!("a lock has at least {SMALLEST_BYTES} bytes"),
            });
        }
        let vault_ms = self.now().vault_ms;
        let (repository, token) = (repository.id, principal.token);
        let since_ms = vault_ms.saturating_sub(STANDS_MS);
        let lock = Lock { token, content };
        self.shared.commits.commit(move |transaction| {
            usage::allowance(transaction, token, vault_ms)?;
            match locks::get(transaction, repository, id, since_ms)? {
                // It can be read, and so be posted again by anybody; but only its own token keeps
                // it alive.
                Some(there) if there.token != token => return Ok(()),
                Some(_) => {}
                None if locks::count_of(transaction, token, since_ms)? >= MOST_OF_TOKEN => {
                    return Err(Error::TooManyLocks {
                        most: MOST_OF_TOKEN,
                    });
                }
                None => {}
            }
            locks::put(transaction, repository, id, &lock, vault_ms)
        })
    }

    /// Removes a lock; whoever may only append removes only his own.
    pub(super) fn remove_lock(
        &self,
        principal: &Principal,
        repository: &Repository,
        id: Id,
    ) -> Result<()> {
        let (repository, token) = (repository.id, principal.token);
        let may_all = principal.right == Right::Maintain;
        let name = principal.name.clone();
        let vault_ms = self.now().vault_ms;
        self.shared.commits.commit(move |transaction| {
            usage::allowance(transaction, token, vault_ms)?;
            let there = locks::get(transaction, repository, id, i64::MIN)?;
            match there {
                Some(lock) if lock.token != token && !may_all => Err(Error::Forbidden {
                    token: name.clone(),
                    action: "remove the lock of another token".to_owned(),
                }),
                Some(_) => locks::remove(transaction, repository, id),
                None => Ok(()),
            }
        })
    }

    /// Since when a lock must have been renewed to stand.
    pub(super) fn locks_since_ms(&self) -> i64 {
        self.now().vault_ms.saturating_sub(STANDS_MS)
    }

    /// Drops the locks that nobody renews; returns how many.
    ///
    /// # Errors
    /// Those of the database.
    pub fn drop_old_locks(&self) -> Result<u64> {
        let since_ms = self.locks_since_ms();
        self.shared
            .commits
            .commit(move |transaction| locks::drop_old(transaction, since_ms))
    }
}
