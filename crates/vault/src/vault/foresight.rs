//! What a POST will come to: looked at before its bytes are taken, and again before they are kept.
//!
//! A refusal then costs the client no transfer, and the disk nothing. What can go wrong without
//! it: bytes that get their name before their transaction is refused stay on the disk, known to
//! no row and counted by no quota, so that whoever has used up his day fills the disk all the same.
//! The transaction decides once more, on what holds by then.

use strongroom_model::{FileName, RepositoryPath};

use crate::records::objects::{self, Key};
use crate::records::repositories::{self, Repository};
use crate::rules::life::{self, Object, Post};
use crate::vault::authentication::Principal;
use crate::vault::usage::{self, Room};
use crate::vault::{Vault, unknown_repository};
use crate::{Error, Result};

/// What a POST finds.
#[derive(Debug)]
pub(super) struct Foreseen {
    pub(super) repository: Repository,
    /// What is stored, where it is looked at before anything is replaced.
    pub(super) found: Option<Object>,
    /// The generation of the body that the name has, or will have.
    pub(super) generation: u32,
}

impl Vault {
    /// Looks at what a POST finds.
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
        let under_way = room.under_way();
        let vault_ms = self.now().vault_ms;
        self.read(|transaction| {
            let repository = repositories::get(transaction, path)?;
            let repository = repository.ok_or_else(|| unknown_repository(path))?;
            let key = Key::new(repository.id, name);
            let found = objects::get(transaction, &key)?;
            let has_config = repository.config.is_some();
            let post = life::post(found.as_ref(), name.kind(), has_config, principal.token);
            match post {
                Post::Waits => return Err(busy(path, name)),
                Post::IsHidden => return Err(hidden(path, name)),
                Post::IsThere => {}
                Post::Arrives(_) | Post::Revives => {
                    let allowance = usage::allowance(transaction, principal.token, vault_ms)?;
                    if matches!(post, Post::Arrives(_)) {
                        under_way.check_quota(&repository)?;
                    }
                    under_way.check_day(&allowance, vault_ms)?;
                }
            }
            let generation = match &found {
                Some(object) => object.generation,
                None => objects::next_generation(transaction, &key)?,
            };
            Ok(Foreseen {
                repository,
                found,
                generation,
            })
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
