//! Putting files: streamed, hashed, made durable, and only then known.
//!
//! The answer depends on the bytes and on what is stored, never on whether an answer was lost:
//! who posts the same bytes again is told the same.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use strongroom_model::{FileName, FileType, Id, RepositoryPath};
use strongroom_store::Staged;

use crate::database::Transaction;
use crate::records::leaves::{self, Act, Dated, Moment};
use crate::records::objects::{self, Key};
use crate::records::repositories::{self, Repository};
use crate::rules::life::{self, Object, Post, State};
use crate::rules::{key_file, right};
use crate::vault::authentication::Principal;
use crate::vault::foresight::{Foreseen, busy, hidden};
use crate::vault::usage::{self, Room};
use crate::vault::{Vault, ensure_repository, scrub, told};
use crate::{Error, Result};

/// The most bytes of `config` and of a key file; restic's have some hundred.
const SMALL_LIMIT_BYTES: u64 = 64 << 10;

/// The most bytes of an index file or snapshot.
const INDEX_LIMIT_BYTES: u64 = 256 << 20;

/// After how many bytes of an upload of unknown length the room is looked at again.
const ROOM_STEP_BYTES: u64 = 8 << 20;

/// A file that is being sent. Dropping it leaves nothing behind.
#[derive(Debug)]
pub struct Upload {
    vault: Vault,
    principal: Principal,
    repository: Repository,
    name: FileName,
    limit_bytes: u64,
    hasher: Sha256,
    bytes: u64,
    into: Into,
}

/// Where the bytes go meanwhile.
#[derive(Debug)]
enum Into {
    /// Small files, whose content is looked at, stay in memory.
    Memory(Vec<u8>),
    /// All others go to storage at once.
    Storage {
        staged: Box<dyn Staged>,
        generation: u32,
        room: Room,
        /// Whether there was nothing of the name, so that its bytes count for the quota.
        is_new: bool,
        checked_bytes: u64,
    },
}

impl Vault {
    /// Makes a repository; one that is there stays as it is.
    ///
    /// # Errors
    /// [`Error::Forbidden`], [`Error::Full`]; those of the database.
    pub fn create(&self, principal: &Principal, path: &RepositoryPath) -> Result<()> {
        principal.authorise(right::Act::Put(FileType::Config), path)?;
        if self
            .read(|transaction| repositories::get(transaction, path))?
            .is_some()
        {
            return Ok(());
        }
        let (now, keeping) = (self.now(), self.shared.settings.keeping);
        let (path, token, name) = (path.clone(), principal.token, principal.name.clone());
        self.shared.commits.commit(move |transaction| {
            // It counts as an object of no bytes, so that there is a bound to these as well.
            if ensure_repository(transaction, now, &path, keeping, Some(&name))? {
                usage::spend(transaction, token, now.vault_ms, 0)?;
            }
            Ok(())
        })
    }

    /// Begins to take a file; `length_bytes` is what the sender declares.
    ///
    /// # Errors
    /// [`Error::Forbidden`], [`Error::Unknown`], [`Error::TooLarge`], [`Error::Full`],
    /// [`Error::Busy`]; those of database and storage.
    pub fn begin_put(
        &self,
        principal: &Principal,
        path: &RepositoryPath,
        name: FileName,
        length_bytes: Option<u64>,
    ) -> Result<Upload> {
        principal.authorise(right::Act::Put(name.kind()), path)?;
        let limit_bytes = self.limit_bytes(name.kind());
        if length_bytes.is_some_and(|length| length > limit_bytes) {
            return Err(Error::TooLarge { name, limit_bytes });
        }
        let (repository, into) = match name.kind() {
            FileType::Config | FileType::Keys | FileType::Locks => {
                (self.repository(path)?, Into::Memory(Vec::new()))
            }
            FileType::Data | FileType::Index | FileType::Snapshots => {
                let bytes = length_bytes.unwrap_or_default();
                let room = self.take_room(path, principal.token, bytes)?;
                self.await_purge(path, name)?;
                let foreseen = self.foresee(principal, path, name, &room)?;
                let body = self.body_key(path, name, foreseen.generation);
                let into = Into::Storage {
                    staged: self.shared.bodies.stage(&body)?,
                    generation: foreseen.generation,
                    room,
                    is_new: foreseen.found.is_none(),
                    checked_bytes: 0,
                };
                (foreseen.repository, into)
            }
        };
        Ok(Upload {
            vault: self.clone(),
            principal: principal.clone(),
            repository,
            name,
            limit_bytes,
            hasher: Sha256::new(),
            bytes: 0,
            into,
        })
    }

    fn limit_bytes(&self, kind: FileType) -> u64 {
        let most = self.shared.settings.object_limit_bytes;
        match kind {
            FileType::Config | FileType::Keys => SMALL_LIMIT_BYTES,
            FileType::Locks => super::lock::LARGEST_BYTES,
            FileType::Index | FileType::Snapshots => most.min(INDEX_LIMIT_BYTES),
            FileType::Data => most,
        }
    }
}

impl Upload {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Full`]; those of the storage.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        if self.bytes > self.limit_bytes {
            return Err(Error::TooLarge {
                name: self.name,
                limit_bytes: self.limit_bytes,
            });
        }
        match &mut self.into {
            Into::Memory(kept) => kept.extend_from_slice(bytes),
            Into::Storage {
                staged,
                room,
                is_new,
                checked_bytes,
                ..
            } => {
                self.hasher.update(bytes);
                room.grow_to(self.bytes);
                if self.bytes - *checked_bytes > ROOM_STEP_BYTES {
                    *checked_bytes = self.bytes;
                    self.vault.check_disk()?;
                    if *is_new {
                        room.under_way().check_quota(&self.repository)?;
                    }
                }
                staged.write(bytes)?;
            }
        }
        Ok(())
    }

    /// Ends the file: when this returns, it is durable, known, and in the log.
    ///
    /// # Errors
    /// [`Error::BadBytes`] where the bytes are not what their name says,
    /// [`Error::ConfigIsThere`], [`Error::Hidden`], [`Error::Busy`], [`Error::Full`]; those of
    /// database and storage. Nothing is left of it then.
    pub fn finish(self) -> Result<()> {
        let Self {
            vault,
            principal,
            repository,
            name,
            hasher,
            bytes,
            into,
            ..
        } = self;
        let put = Put {
            vault,
            principal,
            repository,
            name,
            bytes,
        };
        match (into, name.kind()) {
            (Into::Memory(content), FileType::Config) => put.config(content),
            (Into::Memory(content), FileType::Locks) => {
                put.check_name(Id::of(&content))?;
                put.vault
                    .put_lock(&put.principal, &put.repository, name, content)
            }
            (Into::Memory(content), _) => {
                put.check_name(Id::of(&content))?;
                key_file::check(&content).map_err(|reason| put.bad_bytes(reason))?;
                let path = &put.repository.path;
                let room = put.vault.take_room(path, put.principal.token, bytes)?;
                put.vault.await_purge(path, name)?;
                let foreseen = put.vault.foresee(&put.principal, path, name, &room)?;
                let generation = foreseen.generation;
                let body = put.vault.body_key(path, name, generation);
                let mut staged = put.vault.shared.bodies.stage(&body)?;
                staged.write(&content)?;
                put.object(staged, generation, room)
            }
            (
                Into::Storage {
                    staged,
                    generation,
                    room,
                    ..
                },
                _,
            ) => {
                put.check_name(Id::from_bytes(hasher.finalize().into()))?;
                put.object(staged, generation, room)
            }
        }
    }
}

/// A file that came whole.
struct Put {
    vault: Vault,
    principal: Principal,
    repository: Repository,
    name: FileName,
    bytes: u64,
}

impl Put {
    fn check_name(&self, found: Id) -> Result<()> {
        match self.name.id() == Some(found) {
            true => Ok(()),
            false => Err(self.bad_bytes(format!("their SHA-256 is {found}"))),
        }
    }

    fn bad_bytes(&self, reason: String) -> Error {
        Error::BadBytes {
            name: self.name,
            reason,
        }
    }

    /// `config` is kept in the database, so that it is written once for all who ask at a time; on
    /// the disk it lies as well, for who reads the folder without us.
    fn config(self, content: Vec<u8>) -> Result<()> {
        if content.is_empty() {
            return Err(self.bad_bytes("there are none".to_owned()));
        }
        let now = self.vault.now();
        let key = Key::new(self.repository.id, self.name);
        let file = self.told();
        let path = self.repository.path.clone();
        let (token, bytes) = (self.principal.token, self.bytes);
        let digest = Id::of(&content);
        let shared_content = Arc::new(content);
        let content = Arc::clone(&shared_content);
        let is_new = self.vault.shared.commits.commit(move |transaction| {
            let repository = current(transaction, &path)?;
            match repository.config {
                Some(there) if there == digest => {
                    let found = objects::get(transaction, &key)?;
                    match (
                        life::post(found.as_ref(), FileType::Config, true, token),
                        found,
                    ) {
                        (Post::IsHidden, _) => return Err(hidden(&path, FileName::CONFIG)),
                        (Post::Revives, _) => {
                            usage::spend(transaction, token, now.vault_ms, bytes)?;
                            revive(transaction, now, &key, &file, token)?;
                            let (id, at_ms) = (repository.id, now.recorded_ms);
                            repositories::arrive(transaction, id, bytes, at_ms, false)?;
                        }
                        (_, found) => is_there(transaction, now, &key, found, token)?,
                    }
                    return Ok(false);
                }
                Some(_) => {
                    return Err(Error::ConfigIsThere {
                        repository: path.clone(),
                    });
                }
                None => {}
            }
            usage::spend(transaction, token, now.vault_ms, bytes)?;
            repositories::set_config(transaction, repository.id, &content)?;
            let leaf = leaves::append_dated(transaction, now, &Act::Arrival(file.clone()))?;
            let object = arriving(State::Live, 1, bytes, token, leaf);
            objects::insert(transaction, &key, &object)?;
            repositories::arrive(transaction, repository.id, bytes, now.recorded_ms, true)?;
            Ok(true)
        })?;
        if is_new {
            let path = &self.repository.path;
            self.vault.write_config(path, &shared_content)?;
        }
        self.vault.heal_config(&self.repository)
    }

    fn object(self, staged: Box<dyn Staged>, generation: u32, room: Room) -> Result<()> {
        let path = &self.repository.path;
        self.vault.await_purge(path, self.name)?;
        let Foreseen {
            repository, found, ..
        } = self
            .vault
            .foresee(&self.principal, path, self.name, &room)?;
        let is_sound = match &found {
            Some(object) => self.vault.is_sound(path, self.name, object)?,
            None => false,
        };
        match is_sound {
            true => drop(staged),
            false => staged.publish()?,
        }
        let is_healed = found.is_some() && !is_sound;
        let key = Key::new(repository.id, self.name);
        self.commit(key, generation, is_healed)?;
        drop(room);
        Ok(())
    }

    /// Makes known what is stored. Decided anew on what the database holds by now.
    fn commit(self, key: Key, generation: u32, is_healed: bool) -> Result<()> {
        let now = self.vault.now();
        let file = self.told();
        let Self {
            vault,
            principal,
            repository: before,
            name,
            bytes,
        } = self;
        let token = principal.token;
        vault.shared.commits.commit(move |transaction| {
            let repository = current(transaction, &before.path)?;
            let found = objects::get(transaction, &key)?;
            if let Some(object) = &found
                && object.generation != generation
            {
                return Err(busy(&before.path, name));
            }
            let has_config = repository.config.is_some();
            match (
                life::post(found.as_ref(), name.kind(), has_config, token),
                found,
            ) {
                (Post::Waits, _) => return Err(busy(&before.path, name)),
                (Post::IsHidden, _) => return Err(hidden(&before.path, name)),
                (Post::Arrives(state), _) => {
                    if objects::next_generation(transaction, &key)? != generation {
                        return Err(busy(&before.path, name));
                    }
                    usage::check_quota(&repository, bytes)?;
                    usage::spend(transaction, token, now.vault_ms, bytes)?;
                    let act = match state {
                        State::Pending => Act::Pending(file.clone()),
                        _ => Act::Arrival(file.clone()),
                    };
                    let leaf = leaves::append_dated(transaction, now, &act)?;
                    let object = arriving(state, generation, bytes, token, leaf);
                    objects::insert(transaction, &key, &object)?;
                    let (id, at_ms) = (repository.id, now.recorded_ms);
                    repositories::arrive(transaction, id, bytes, at_ms, true)?;
                }
                (Post::Revives, _) => {
                    usage::spend(transaction, token, now.vault_ms, bytes)?;
                    revive(transaction, now, &key, &file, token)?;
                    let (id, at_ms) = (repository.id, now.recorded_ms);
                    repositories::arrive(transaction, id, bytes, at_ms, false)?;
                    scrub::note_healed(transaction, now, &key, &file, is_healed)?;
                }
                (Post::IsThere, found) => {
                    is_there(transaction, now, &key, found, token)?;
                    scrub::note_healed(transaction, now, &key, &file, is_healed)?;
                }
            }
            Ok(())
        })
    }

    fn told(&self) -> leaves::File {
        let token = Some(self.principal.name.as_str());
        told(&self.repository.path, self.name, self.bytes, token)
    }
}

/// The repository as the transaction sees it.
fn current(transaction: &mut dyn Transaction, path: &RepositoryPath) -> Result<Repository> {
    repositories::get(transaction, path)?.ok_or_else(|| super::unknown_repository(path))
}

/// An object lives again.
fn revive(
    transaction: &mut dyn Transaction,
    now: Moment,
    key: &Key,
    file: &leaves::File,
    token: i64,
) -> Result<()> {
    let act = Act::Arrival(file.clone());
    let Dated { number, moment } = leaves::append_dated(transaction, now, &act)?;
    objects::revive(transaction, key, number, moment.vault_ms, token)
}

/// An object is there already; whoever else puts it stands for it too.
fn is_there(
    transaction: &mut dyn Transaction,
    now: Moment,
    key: &Key,
    found: Option<Object>,
    token: i64,
) -> Result<()> {
    usage::allowance(transaction, token, now.vault_ms)?;
    match found {
        Some(object) if object.token != token => objects::add_putter(transaction, key, token),
        _ => Ok(()),
    }
}

const fn arriving(state: State, generation: u32, bytes: u64, token: i64, leaf: Dated) -> Object {
    Object {
        generation,
        bytes,
        state,
        token,
        began: leaf.number,
        ended: None,
        arrived_ms: leaf.moment.vault_ms,
        tombstoned_ms: None,
    }
}
