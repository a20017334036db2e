//! Deletion: asked for by a tombstone, taken back by an undelete.

use std::time::Duration;

use strongroom_access::{Act as Permitted, Refusal};
use strongroom_model::{FileName, FileType, RepositoryPath};

use crate::database::Transaction;
use crate::people::{Who, allow};
use crate::records::leaves::{self, Act, Dated};
use crate::records::objects::{self, Key, number_of};
use crate::records::people::seals;
use crate::records::repositories::{self, Repository};
use crate::records::tally::{self, Tally};
use crate::records::{hours, lives, tombstones, vital};
use crate::rules::clock::{DAY_MS, SECOND_MS};
use crate::rules::life::{self, Delete, Object, State};
use crate::rules::purge::{OldSnapshots, VitalDay, day_of, hour_of, is_mass_deletion};
use crate::rules::right;
use crate::vault::authentication::Principal;
use crate::vault::foresight::hidden;
use crate::vault::notices as tell;
use crate::vault::{Vault, told, unknown_repository, usage};
use crate::{Error, Result};

/// How many lives of one object may end in a day.
const MOST_LIVES: u64 = 1_000;

impl Vault {
    /// Asks for a file to be deleted: it is seen no more, and kept until its time; a key that waits
    /// for an operator waits no more, and what is hidden is not kept for ever. What is not there is
    /// none the less deleted.
    ///
    /// # Errors
    /// [`Error::Forbidden`]; [`Error::NotPermitted`] under the seal; [`Error::DayIsUsedUp`];
    /// [`Error::TooManyLives`]; those of the database.
    pub fn remove(
        &self,
        principal: &Principal,
        path: &RepositoryPath,
        name: FileName,
    ) -> Result<()> {
        principal.authorise(right::Act::Remove(name.kind()), path)?;
        let repository = self.repository(path)?;
        match (name.kind(), name.id()) {
            (FileType::Locks, Some(id)) => return self.remove_lock(principal, &repository, id),
            (FileType::Config, _) => {
                return Err(Error::Forbidden {
                    token: principal.name.clone(),
                    action: "remove config, without which nothing opens".to_owned(),
                });
            }
            _ => {}
        }
        let now = self.now();
        let key = Key::new(repository.id, name);
        let (path, token, token_name) = (path.clone(), principal.token, principal.name.clone());
        self.shared.commits.commit(move |transaction| {
            usage::allowance(transaction, token, now.vault_ms)?;
            let Some(object) = objects::get(transaction, &key)? else {
                return Ok(());
            };
            let delete = life::delete(object.state);
            if delete == Delete::IsGone {
                return Ok(());
            }
            let repository =
                repositories::get(transaction, &path)?.ok_or_else(|| unknown_repository(&path))?;
            // **Security:** whoever asks for everything to be deleted under the seal would have it go
            // as soon as that is opened, since its grace went on meanwhile.
            if seals::get(transaction)?.is_closed() {
                return Err(Refusal::Sealed.into());
            }
            check_lives(transaction, &repository, &key, name, now.vault_ms)?;
            usage::spend_on_deletion(transaction, token, now.vault_ms)?;
            let file = told(&path, name, object.bytes, Some(&token_name));
            let leaf = leaves::append_dated(transaction, now, &Act::Tombstone(file))?;
            let vault_ms = leaf.moment.vault_ms;
            tombstones::make(transaction, &key, delete, leaf.number, vault_ms, token)?;
            count_tombstone(transaction, &repository, leaf, name.kind(), &object)
        })
    }

    /// Takes back the deletion of one file; tells whether there was one.
    ///
    /// # Errors
    /// [`Error::Unknown`]; [`Error::Hidden`] where the token that put it was hidden, which has to be
    /// shown again first; those of the database.
    pub fn undelete_one(&self, who: Who, path: &RepositoryPath, name: FileName) -> Result<bool> {
        let now = self.now();
        let path = path.clone();
        self.shared.commits.commit(move |transaction| {
            let repository =
                repositories::get(transaction, &path)?.ok_or_else(|| unknown_repository(&path))?;
            let key = Key::new(repository.id, name);
            let Some(object) = objects::get(transaction, &key)? else {
                return Ok(false);
            };
            if object.state != State::Tombstoned {
                return Ok(false);
            }
            if objects::is_out_of_sight(transaction, &key)? {
                return Err(hidden(&path, name));
            }
            let undelete = Permitted::Undelete {
                repository: path.clone(),
            };
            let _permit = allow(transaction, now, who, undelete)?;
            let act = Act::Undelete {
                repository: path.clone(),
                what: name.to_string(),
                objects: 1,
            };
            let leaf = leaves::append(transaction, now, &act)?;
            objects::restore(transaction, &key, leaf)?;
            vital::take_back(transaction, repository.id)?;
            Ok(true)
        })
    }
}

/// Fails where an object was deleted and came again so often in a day that nobody means it: each
/// life is kept for the views of its time, and is a leaf at either end.
///
/// # Errors
/// [`Error::TooManyLives`]; those of the database.
fn check_lives(
    transaction: &mut dyn Transaction,
    repository: &Repository,
    key: &Key,
    name: FileName,
    vault_ms: i64,
) -> Result<()> {
    let (day, _) = repository.tombstones;
    // The vault's time may be a moment behind: no day begins twice.
    if day < day_of(vault_ms) {
        return Ok(());
    }
    let since = repository.tombstone_day_began;
    if lives::count(transaction, key, since, MOST_LIVES)? < MOST_LIVES {
        return Ok(());
    }
    let left_ms = DAY_MS - vault_ms.rem_euclid(DAY_MS);
    let left_s = u64::try_from(left_ms / SECOND_MS).unwrap_or_default() + 1;
    Err(Error::TooManyLives {
        repository: repository.path.clone(),
        name,
        most: MOST_LIVES,
        pause: Duration::from_secs(left_s),
    })
}

/// Counts a tombstone, and holds the purge of its repository where there were very many in a day,
/// or where they took what nothing opens without.
fn count_tombstone(
    transaction: &mut dyn Transaction,
    repository: &Repository,
    Dated { number, moment }: Dated,
    kind: FileType,
    object: &Object,
) -> Result<()> {
    let (id, vault_ms) = (repository.id, moment.vault_ms);
    let today = day_of(vault_ms);
    let (of_today, began) = match repository.tombstones {
        (day, count) if day == today => (count + 1, repository.tombstone_day_began),
        _ => (1, number),
    };
    let hour = hour_of(vault_ms);
    hours::add_tombstone(transaction, id, hour, object.bytes)?;
    // Nothing opens with a key that waits: whoever rejects it takes nothing vital away.
    let is_vital = object.state != State::Pending && {
        let of = (number_of(kind), hour_of(object.arrived_ms));
        vital::add_tombstone(transaction, id, hour, of)?
    };
    let mut held_ms = repository.purge_held_ms;
    if held_ms.is_none() {
        let deleted = hours::tombstones(transaction, id, hour)?;
        let live = tally::live(transaction, repository)?;
        let before = hours::live_before(transaction, id, hour)?;
        let before = at_most(live.and(deleted), before);
        let is_much = is_mass_deletion(
            (deleted.objects, deleted.bytes),
            (before.objects, before.bytes),
        );
        if is_much || (is_vital && takes_what_is_vital(transaction, id, hour, kind)?) {
            held_ms = Some(vault_ms);
            let act = Act::PurgeHeld {
                repository: repository.path.clone(),
                tombstones: deleted.objects,
            };
            leaves::append(transaction, moment, &act)?;
            tell::purge_held(transaction, moment, &repository.path, deleted.objects)?;
        }
    }
    repositories::set_tombstones(transaction, id, (today, of_today), began, held_ms)
}

/// Whether the deletions of a day took too much of what is vital.
fn takes_what_is_vital(
    transaction: &mut dyn Transaction,
    repository: i64,
    hour: i64,
    kind: FileType,
) -> Result<bool> {
    let number = number_of(kind);
    let (deleted, before) = vital::of_day(transaction, repository, hour, number)?;
    let day = VitalDay {
        live: vital::live(transaction, repository, number)?,
        deleted,
        before,
    };
    if kind != FileType::Snapshots {
        return Ok(day.is_mass_deletion(kind));
    }
    let old = OldSnapshots {
        deleted: vital::old_snapshots(transaction, repository, hour)?,
        left_the_day_before: vital::left_the_day_before(transaction, repository, hour)?,
    };
    Ok(day.is_mass_deletion_of_snapshots(old))
}

/// What there is to be deleted from: what came within the day does not make it more.
fn at_most(now: Tally, before: Option<Tally>) -> Tally {
    before.map_or(now, |before| Tally {
        objects: now.objects.min(before.objects),
        bytes: now.bytes.min(before.bytes),
    })
}
