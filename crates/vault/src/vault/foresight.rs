//! What a POST will come to: looked at before its bytes are taken, and again before they are kept.
//!
//! A refusal then costs the client no transfer, and the disk nothing. What can go wrong without
//! it: bytes that get their name before their transaction is refused stay on the disk, known to
//! no row and counted by no quota, so that whoever has used up his day fills the disk all the same.
//! The transaction decides once more, on what holds by then.

use std::time::{Duration, Instant};

use strongroom_model::{FileName, RepositoryPath};

use crate::database::Transaction;
use crate::records::outlook::{self, Outlook};
use crate::records::repositories::Repository;
use crate::rules::life::{self, Object, Post};
use crate::vault::authentication::Principal;
use crate::vault::usage::Room;
use crate::vault::{Vault, unknown_repository};
use crate::{Error, Result};

/// For how long a look holds. An upload that ends within it is not looked at twice: between the
/// second look and the transaction, which may wait for a group, as much could change.
const HOLDS: Duration = Duration::from_secs(1);

/// What a POST finds.
#[derive(Debug)]
pub(super) struct Foreseen {
    pub(super) repository: Repository,
    /// What is stored, where it is looked at before anything is replaced.
    pub(super) found: Option<Object>,
    /// The generation of the body that the name has, or will have.
    pub(super) generation: u32,
    at: Instant,
}

impl Foreseen {
    /// Whether nothing was there a moment ago.
    pub(super) fn is_fresh(&self) -> bool {
        self.found.is_none() && self.at.elapsed() < HOLDS
    }
}

impl Vault {
    /// Looks at what a POST finds. Waits while the file is being purged.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Unauthorized`]; [`Error::Busy`], [`Error::Hidden`] and
    /// [`Error::Full`] where it is in vain; those of the database.
    pub(super) fn foresee(
        &self,
        principal: &Principal,
        path: &RepositoryPath,
        name: FileName,
        room: &Room,
    ) -> Result<Foreseen> {
        match self.look_ahead(principal, path, name, room) {
            Err(Error::Busy { .. }) => {
                self.await_purge(path, name)?;
                self.look_ahead(principal, path, name, room)
            }
            foreseen => foreseen,
        }
    }

    fn look_ahead(
        &self,
        principal: &Principal,
        path: &RepositoryPath,
        name: FileName,
        room: &Room,
    ) -> Result<Foreseen> {
        let under_way = room.under_way();
        let vault_ms = self.now().vault_ms;
        let at = Instant::now();
        let token = principal.token;
        let look =
            |transaction: &mut dyn Transaction| outlook::look(transaction, path, name, token);
        let outlook = self.shared.database.look_once(look)?;
        let outlook = outlook.ok_or_else(|| unknown_repository(path))?;
        let has_config = outlook.repository.config.is_some();
        let post = life::post(outlook.found.as_ref(), name.kind(), has_config, token);
        match post {
            Post::Waits => return Err(busy(path, name)),
            Post::IsHidden => return Err(hidden(path, name)),
            Post::IsThere => {}
            Post::Arrives(_) | Post::Revives(_) => {
                let allowance = outlook.allowance_at(vault_ms)?;
                if matches!(post, Post::Arrives(_)) {
                    under_way.check_quota(&outlook.repository)?;
                }
                under_way.check_day(&allowance, vault_ms)?;
            }
        }
        let Outlook {
            repository,
            found,
            next_generation,
            ..
        } = outlook;
        Ok(Foreseen {
            repository,
            generation: found
                .as_ref()
                .map_or(next_generation, |object| object.generation),
            found,
            at,
        })
    }
}

/// A purge has begun: the client shall ask again.
pub(super) fn busy(path: &RepositoryPath, name: FileName) -> Error {
    Error::Busy {
        repository: path.clone(),
        name,
    }
}

/// An operator has hidden it.
pub(super) fn hidden(path: &RepositoryPath, name: FileName) -> Error {
    Error::Hidden {
        repository: path.clone(),
        name,
    }
}
