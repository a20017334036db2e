//! Scrubbing: the vault reads all that it has again and again, and tells what has rotted.
//!
//! Everything that must be restorable is read: live objects, tombstones, what is hidden, what is
//! pending. `config` is compared with the bytes that the database has, and healed from them;
//! everything else is healed by whoever puts sound bytes again.
//!
//! What can go wrong, and what is done:
//! - an object is healed while it is read: it is looked at once more when it has been marked;
//! - the storage as a whole is away: that is an error and no rot, and what cannot be read is not
//!   marked; how that is told from rot is in [`looking`];
//! - the process dies: what was not yet written down is read again.

mod looking;

use std::mem;

use strongroom_model::{FileName, FileType, Id, RepositoryPath};

use crate::database::Transaction;
use crate::records::leaves::{self, Act, Moment};
use crate::records::objects::{self, Key};
use crate::records::repositories::{self, Repository};
use crate::records::rotten;
use crate::records::scrub::{self as row, Ended, Round};
use crate::rules::life::{Object, State};
use crate::rules::right;
use crate::rules::scrub::{self as rules, OBJECT_COST_BYTES, Why, Work};
use crate::vault::authentication::Principal;
use crate::vault::notices as tell;
use crate::vault::soundness::Found;
use crate::vault::{GoesOn, Held, Job, Vault, told};
use crate::{Error, Result};

pub(super) use looking::Readable;

use looking::{Batch, Looked};

/// How many objects are read before it is written down.
const BATCH: u64 = 256;

/// How many bytes.
const BATCH_BYTES: u64 = 64 << 20;

/// The most that one repository gets at a time, as a cost in bytes, so that no other waits long.
const SHARE_BYTES: u64 = 1 << 30;

/// What a share of scrubbing has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// What was read.
    pub read: Work,
    /// How many objects were found rotten that were not known to be.
    pub rotten: u64,
    /// How many rounds came to their end.
    pub rounds: u64,
    /// Whether the caller ended it.
    pub is_ended: bool,
}

impl Vault {
    /// Reads the share of each repository that is due, so that all is read within
    /// `verify_every_ms` of vault time. `goes_on` is told of what was read, may take its time, and
    /// ends it; what was read until then is written down. To be called every few seconds; nothing is
    /// read where another process does so, or while it is not known that the storage is that of the
    /// vault.
    ///
    /// # Errors
    /// Those of database and storage, those of one repository after all others had their share;
    /// what was not written down is read again.
    pub fn scrub(&self, verify_every_ms: i64, goes_on: &mut GoesOn<'_>) -> Result<Scrubbed> {
        if self.is_storage_doubted() {
            return Ok(Scrubbed::default());
        }
        let scrubbed = self.run_job(Job::Scrub, |held| {
            let mut lost = None;
            // One body may take longer to read than the lease is long.
            let mut kept = |bytes| match held.keep() {
                Ok(()) => goes_on(bytes),
                Err(error) => {
                    lost.get_or_insert(error);
                    false
                }
            };
            let scrubbed = self.scrub_all(held, verify_every_ms, &mut kept);
            lost.map_or(scrubbed, Err)
        })?;
        Ok(scrubbed.unwrap_or_default())
    }

    fn scrub_all(
        &self,
        held: &Held<'_>,
        verify_every_ms: i64,
        goes_on: &mut GoesOn<'_>,
    ) -> Result<Scrubbed> {
        let mut total = Scrubbed::default();
        let mut failed = None;
        for repository in self.repositories()? {
            held.keep()?;
            let done = self.scrub_in(&repository, held, verify_every_ms, &mut total, goes_on);
            match done {
                Err(error @ Error::LeaseLost { .. }) => return Err(error),
                Err(error) => {
                    failed.get_or_insert(error);
                }
                Ok(()) => {}
            }
            if total.is_ended {
                break;
            }
        }
        failed.map_or(Ok(total), Err)
    }

    /// Some of the objects of a repository that are known to be rotten, by type and name: those
    /// behind `after`.
    ///
    /// # Errors
    /// [`Error::Unknown`]; those of the database.
    pub fn rotten(
        &self,
        path: &RepositoryPath,
        after: Option<FileName>,
        limit: u64,
    ) -> Result<Vec<(FileName, Why)>> {
        let repository = self.repository(path)?;
        self.read(|transaction| rotten::list(transaction, repository.id, after, limit))
    }

    /// What a token may know of the same.
    ///
    /// # Errors
    /// [`Error::Forbidden`], and as [`Vault::rotten`].
    pub fn rotten_for(
        &self,
        principal: &Principal,
        path: &RepositoryPath,
        after: Option<FileName>,
        limit: u64,
    ) -> Result<Vec<(FileName, Why)>> {
        principal.authorise(right::Act::Read, path)?;
        self.rotten(path, after, limit)
    }

    fn scrub_in(
        &self,
        repository: &Repository,
        held: &Held<'_>,
        verify_every_ms: i64,
        total: &mut Scrubbed,
        goes_on: &mut GoesOn<'_>,
    ) -> Result<()> {
        let all = Work {
            objects: repository.objects,
            bytes: repository.bytes,
        };
        if all.objects == 0 {
            return Ok(());
        }
        let round_ms = rules::round_ms(all, verify_every_ms);
        let scrub = self.read(|transaction| row::get(transaction, repository.id))?;
        let now = self.now();
        let last_began_ms = scrub.last.map(|last| last.began_ms);
        let mut round = match scrub.round {
            Some(round) => round,
            None if rules::begins(last_began_ms, now.vault_ms, round_ms) => {
                self.begin_round(repository, held, scrub.last)?
            }
            None => return Ok(()),
        };
        let due = rules::due_bytes(round.progress, all, now.vault_ms, round_ms);
        let mut left = due.min(SHARE_BYTES);
        while left > 0 && !total.is_ended {
            held.keep()?;
            let place = (round.place.0, round.place.1.as_slice());
            let found =
                self.read(|transaction| objects::behind(transaction, repository.id, place, BATCH))?;
            if found.is_empty() {
                self.end_round(repository, held, &round)?;
                total.rounds += 1;
                return Ok(());
            }
            let mut batch = Batch::new(scrub.rotten > 0);
            let mut looked = Looked::Done;
            for (name, object) in found {
                let is_enough = batch.read.bytes >= BATCH_BYTES;
                if left == 0 || is_enough {
                    break;
                }
                let next = (name, &object);
                looked =
                    self.look_at_object(repository, next, &round.place, &mut batch, goes_on)?;
                if looked != Looked::Done {
                    break;
                }
                left = left.saturating_sub(object.bytes.saturating_add(OBJECT_COST_BYTES));
                round.place = objects::place_of(name);
            }
            total.is_ended |= looked == Looked::Ended;
            // Of what could not be read it is not known whether it is rot, until something else was
            // read; whoever ends it is not kept waiting for that.
            let is_known = match looked {
                Looked::Done => self.settle(repository, &mut batch)?,
                Looked::Ended | Looked::Away => false,
            };
            if !is_known {
                let (known, place) = batch.into_known();
                batch = known;
                round.place = place.unwrap_or(round.place);
            }
            let is_away = !is_known && looked != Looked::Ended;
            round.progress.done.objects += batch.read.objects;
            let done_bytes = &mut round.progress.done.bytes;
            *done_bytes = done_bytes.saturating_add(batch.read.bytes);
            total.read.objects += batch.read.objects;
            total.read.bytes = total.read.bytes.saturating_add(batch.read.bytes);
            total.rotten += self.write_down(repository, held, &round, batch)?;
            if is_away {
                return Err(away(repository));
            }
        }
        Ok(())
    }

    fn is_marked(&self, repository: i64, name: FileName) -> Result<bool> {
        let key = Key::new(repository, name);
        let mark = self.read(|transaction| rotten::get(transaction, &key))?;
        Ok(mark.is_some())
    }

    fn begin_round(
        &self,
        repository: &Repository,
        held: &Held<'_>,
        last: Option<Ended>,
    ) -> Result<Round> {
        let (now, id, lease) = (self.now(), repository.id, held.lease());
        let round = Round::begin(now.vault_ms, now.recorded_ms);
        let begun = round.clone();
        self.shared.commits.commit(move |transaction| {
            lease.require(transaction)?;
            row::set(transaction, id, Some(&round), last.as_ref())
        })?;
        Ok(begun)
    }

    /// Writes down how far the round is and what was found; returns how much of it is new.
    fn write_down(
        &self,
        repository: &Repository,
        held: &Held<'_>,
        round: &Round,
        mut batch: Batch,
    ) -> Result<u64> {
        let (now, lease) = (self.now(), held.lease());
        let (found, sound) = (mem::take(&mut batch.rotten), mem::take(&mut batch.sound));
        let (id, path, round) = (repository.id, repository.path.clone(), round.clone());
        let marked = self.shared.commits.commit(move |transaction| {
            lease.require(transaction)?;
            let last = row::get(transaction, id)?.last;
            row::set(transaction, id, Some(&round), last.as_ref())?;
            let mut marked = Vec::new();
            for (name, generation, why) in &found {
                let key = Key::new(id, *name);
                let Some(object) = still(transaction, &key, *generation)? else {
                    continue;
                };
                if rotten::mark(transaction, &key, *why, now.vault_ms)? {
                    if row::get(transaction, id)?.rotten == 1 {
                        tell::rotten(transaction, now, &path, *name)?;
                    }
                    let act = Act::Rotten {
                        file: told(&path, *name, object.bytes, None),
                        why: why.word(),
                    };
                    leaves::append(transaction, now, &act)?;
                    marked.push((*name, *generation));
                }
            }
            for (name, generation) in &sound {
                let key = Key::new(id, *name);
                if let Some(object) = still(transaction, &key, *generation)? {
                    let file = told(&path, *name, object.bytes, None);
                    note_healed(transaction, now, &key, &file, false)?;
                }
            }
            Ok(marked)
        })?;
        for (name, generation) in &marked {
            held.keep()?;
            tracing::error!(repository = %repository.path, file = %name, "A stored object is rotten");
            if name.kind() == FileType::Config {
                self.heal_config(repository)?;
            } else {
                self.look_again(repository, *name, *generation)?;
            }
        }
        Ok(marked.len() as u64)
    }

    /// Looks once more at what was marked: whoever healed it before it was marked could not take
    /// the mark off.
    fn look_again(&self, repository: &Repository, name: FileName, generation: u32) -> Result<()> {
        let body = self.body_key(&repository.path, name, generation);
        let digest = name.id().unwrap_or_default();
        if self.look_at_body(&body, digest, &mut |_| true)? != Found::Sound {
            return Ok(());
        }
        let (now, id, path) = (self.now(), repository.id, repository.path.clone());
        self.shared.commits.commit(move |transaction| {
            let key = Key::new(id, name);
            if let Some(object) = still(transaction, &key, generation)? {
                let file = told(&path, name, object.bytes, None);
                note_healed(transaction, now, &key, &file, false)?;
            }
            Ok(())
        })
    }

    fn end_round(&self, repository: &Repository, held: &Held<'_>, round: &Round) -> Result<()> {
        let (now, lease) = (self.now(), held.lease());
        let (id, path) = (repository.id, repository.path.clone());
        let ended = Ended {
            began_ms: round.progress.began_ms,
            began_at_ms: round.began_at_ms,
            ended_at_ms: now.recorded_ms,
            read: round.progress.done,
        };
        self.shared.commits.commit(move |transaction| {
            lease.require(transaction)?;
            let rotten = row::get(transaction, id)?.rotten;
            row::set(transaction, id, None, Some(&ended))?;
            let act = Act::Scrubbed {
                repository: path.clone(),
                objects: ended.read.objects,
                bytes: ended.read.bytes,
                rotten,
            };
            leaves::append(transaction, now, &act)?;
            Ok(())
        })
    }

    /// Writes the body of `config` where it is not what the database has.
    pub(super) fn heal_config(&self, repository: &Repository) -> Result<()> {
        let key = Key::new(repository.id, FileName::CONFIG);
        let (current, content) = self.read(|transaction| {
            let current = repositories::get(transaction, &repository.path)?;
            let content = repositories::config_bytes(transaction, repository.id)?;
            Ok((current, content))
        })?;
        let digest = current.and_then(|current| current.config);
        let (Some(digest), Some(content)) = (digest, content) else {
            return Ok(());
        };
        let body = self.body_key(&repository.path, FileName::CONFIG, 1);
        let is_sound = self.look_at_body(&body, digest, &mut |_| true)? == Found::Sound;
        if is_sound && !self.is_marked(repository.id, FileName::CONFIG)? {
            return Ok(());
        }
        if !is_sound {
            // The row itself may have rotted: then nothing here is sound.
            if Id::of(&content) != digest {
                return Ok(());
            }
            self.write_config(&repository.path, &content)?;
        }
        let (now, path) = (self.now(), repository.path.clone());
        let bytes = content.len() as u64;
        self.shared.commits.commit(move |transaction| {
            let file = told(&path, FileName::CONFIG, bytes, None);
            note_healed(transaction, now, &key, &file, !is_sound)
        })
    }
}

/// Takes the mark off an object whose bytes are sound now, and tells so where there was one, or
/// where they were just replaced.
pub(super) fn note_healed(
    transaction: &mut dyn Transaction,
    now: Moment,
    key: &Key,
    file: &leaves::File,
    is_replaced: bool,
) -> Result<()> {
    if rotten::clear(transaction, key)? || is_replaced {
        leaves::append(transaction, now, &Act::Healed(file.clone()))?;
    }
    Ok(())
}

/// The object, where it is still the one that was read.
fn still(transaction: &mut dyn Transaction, key: &Key, generation: u32) -> Result<Option<Object>> {
    let object = objects::get(transaction, key)?;
    Ok(object.filter(|object| object.generation == generation && object.state != State::Purging))
}

fn away(repository: &Repository) -> Error {
    Error::Refused {
        reason: format!(
            "What is stored of {} cannot be read, and nothing else can: the storage is away, or its \
             permissions are wrong",
            repository.path
        ),
    }
}

/// What the SHA-256 of an object's bytes must be.
fn digest_of(repository: &Repository, name: FileName) -> Option<Id> {
    match name.kind() {
        FileType::Config => repository.config,
        _ => name.id(),
    }
}
