//! Putting files: streamed, hashed, made durable, and only then known.
//!
//! The answer depends on the bytes and on what is stored, never on whether an answer was lost:
//! who posts the same bytes again is told the same.

mod body;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Instant;

use sha2::{Digest, Sha256};
use strongroom_model::{FileName, FileType, Id, RepositoryPath};
use strongroom_store::Named;

use crate::database::Transaction;
use crate::records::leaves::{self, Act, Dated, Moment};
use crate::records::objects::{self, Key};
use crate::records::outlook::{self, Outlook};
use crate::records::repositories::{self, Repository};
use crate::records::tokens;
use crate::rules::life::{self, Object, Post, State};
use crate::rules::{key_file, right};
use crate::vault::authentication::Principal;
use crate::vault::foresight::{Foreseen, busy, hidden};
use crate::vault::put::body::Body;
use crate::vault::usage::{self, Room};
use crate::vault::{Vault, ensure_repository, scrub, told, unknown_repository};
use crate::{Error, Result};

pub use body::SHORT_BYTES;

/// The most bytes of `config` and of a key file; restic's have some hundred.
const SMALL_LIMIT_BYTES: u64 = 64 << 10;

/// The most bytes of an index file or snapshot.
const INDEX_LIMIT_BYTES: u64 = 256 << 20;

/// The most repositories that one token makes; an operator makes more.
const MOST_REPOSITORIES: u64 = 1_000;

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
    /// All others go to storage, and at once unless they are short packs.
    Storage {
        body: Body,
        foreseen: Box<Foreseen>,
        room: Room,
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
        let _room = self.take_room(path, principal.token, Some(SMALL_LIMIT_BYTES))?;
        let (now, keeping) = (self.now(), self.shared.settings.keeping);
        let (path, token, name) = (path.clone(), principal.token, principal.name.clone());
        self.shared.commits.commit(move |transaction| {
            // It counts as an object of no bytes, so that there is a bound to these as well.
            if ensure_repository(transaction, now, &path, keeping, Some(&name))? {
                usage::spend(transaction, token, now.vault_ms, 0)?;
                if !tokens::count_repository(transaction, token, MOST_REPOSITORIES)? {
                    return Err(Error::Full {
                        reason: format!(
                            "the token {name} has made {MOST_REPOSITORIES} repositories, which is \
                             as many as one makes; make more with another token, or with \
                             `strongroom-vault repository set PATH --new`"
                        ),
                    });
                }
            }
            Ok(())
        })
    }

    /// Begins to take a file; `length_bytes` is what the sender declares.
    ///
    /// # Errors
    /// [`Error::Forbidden`], [`Error::Unknown`], [`Error::TooLarge`], [`Error::Full`],
    /// [`Error::Busy`]; [`Error::StorageInDoubt`] but of a lock, which needs none; those of database
    /// and storage.
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
        if name.kind() != FileType::Locks {
            self.check_storage_is_known()?;
        }
        let (repository, into) = match name.kind() {
            FileType::Config | FileType::Keys | FileType::Locks => {
                (self.repository(path)?, Into::Memory(Vec::new()))
            }
            FileType::Data | FileType::Index | FileType::Snapshots | FileType::Records => {
                let room = self.take_room(path, principal.token, length_bytes)?;
                let foreseen = self.foresee(principal, path, name, &room)?;
                let key = self.body_key(path, name, foreseen.generation);
                let body = Body::begin(&self.shared.bodies, key, length_bytes)?;
                let repository = foreseen.repository.clone();
                let into = Into::Storage {
                    body,
                    foreseen: Box::new(foreseen),
                    room,
                };
                (repository, into)
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
            FileType::Index | FileType::Snapshots | FileType::Records => {
                most.min(INDEX_LIMIT_BYTES)
            }
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
        self.append(Cow::Borrowed(bytes))
    }

    /// The same of bytes that need not be copied where they stay in memory.
    ///
    /// # Errors
    /// As [`Upload::write`].
    pub fn write_owned(&mut self, bytes: Vec<u8>) -> Result<()> {
        self.append(Cow::Owned(bytes))
    }

    fn append(&mut self, bytes: Cow<'_, [u8]>) -> Result<()> {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        if self.bytes > self.limit_bytes {
            return Err(Error::TooLarge {
                name: self.name,
                limit_bytes: self.limit_bytes,
            });
        }
        match &mut self.into {
            Into::Memory(kept) => body::append(kept, bytes),
            Into::Storage {
                body,
                foreseen,
                room,
            } => {
                self.hasher.update(&bytes);
                if room.grow_to(self.bytes, body.is_in_memory()) {
                    self.vault.check_disk()?;
                    // Only what is new counts for the quota.
                    if foreseen.found.is_none() {
                        let under_way = room.under_way();
                        under_way.check_quota(&foreseen.repository)?;
                    }
                }
                body.write(bytes)?;
            }
        }
        Ok(())
    }

    /// Ends the file: when this returns, it is durable, known, and in the log.
    ///
    /// # Errors
    /// [`Error::BadBytes`] where the bytes are not what their name says,
    /// [`Error::ConfigIsThere`], [`Error::Hidden`], [`Error::Busy`], [`Error::DeletedMeanwhile`],
    /// [`Error::Full`]; those of database and storage. Nothing is known of it then; of a small pack
    /// that could not be made durable, bytes may be left under a name that no row knows.
    pub fn finish(self) -> Result<()> {
        let (answer, answered) = sync_channel(1);
        self.finish_then(move |outcome| drop(answer.send(outcome)));
        answered.recv().unwrap_or(Err(Error::Unfinished))
    }

    /// As [`Upload::finish`], for who does not want to hold a thread while the database commits:
    /// `then` is told what came of it, and must not block.
    pub fn finish_then(self, then: impl FnOnce(Result<()>) + Send + 'static) {
        match self.store() {
            Ok(Some((named, stored))) => stored.commit_then(named, then),
            Ok(None) => then(Ok(())),
            Err(error) => then(Err(error)),
        }
    }

    /// Stores what came; what is still to be made known is returned.
    fn store(self) -> Result<Option<(Named, Stored)>> {
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
            (Into::Memory(content), FileType::Config) => put.config(content).map(|()| None),
            (Into::Memory(content), FileType::Locks) => {
                put.check_name(Id::of(&content))?;
                put.vault
                    .put_lock(&put.principal, &put.repository, name, content)
                    .map(|()| None)
            }
            (Into::Memory(content), _) => {
                put.check_name(Id::of(&content))?;
                key_file::check(&content).map_err(|reason| put.bad_bytes(reason))?;
                let path = &put.repository.path;
                let room = put
                    .vault
                    .take_room(path, put.principal.token, Some(bytes))?;
                let foreseen = put.vault.foresee(&put.principal, path, name, &room)?;
                let key = put.vault.body_key(path, name, foreseen.generation);
                let mut body = Body::begin(&put.vault.shared.bodies, key, Some(bytes))?;
                body.write(Cow::Owned(content))?;
                put.object(body, foreseen, room).map(Some)
            }
            (
                Into::Storage {
                    body,
                    foreseen,
                    room,
                },
                _,
            ) => {
                put.check_name(Id::from_bytes(hasher.finalize().into()))?;
                put.object(body, *foreseen, room).map(Some)
            }
        }
    }
}

/// A file that is stored under its name, is not known yet, and may not be durable.
struct Stored {
    put: Put,
    generation: u32,
    /// What there was when it began to come.
    before: Option<Object>,
    is_healed: bool,
    room: Room,
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
        if self.repository.config.is_some_and(|there| there != digest) {
            return Err(Error::ConfigIsThere { repository: path });
        }
        // It is stored twice.
        let _room = match self.repository.config {
            Some(_) => None,
            None => Some(
                self.vault
                    .take_room(&path, token, Some(bytes.saturating_mul(2)))?,
            ),
        };
        let shared_content = Arc::new(content);
        let content = Arc::clone(&shared_content);
        let is_new = self.vault.shared.commits.commit(move |transaction| {
            let outlook = outlook(transaction, &path, FileName::CONFIG, token)?;
            let repository = &outlook.repository;
            match repository.config {
                Some(there) if there == digest => {
                    let found = outlook.found.as_ref();
                    match life::post(found, FileType::Config, true, token) {
                        Post::IsHidden => return Err(hidden(&path, FileName::CONFIG)),
                        Post::Revives(state) => {
                            revive(transaction, now, &key, &file, &outlook, (token, state))?;
                        }
                        _ => is_there(transaction, now, &key, &outlook, token)?,
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
            usage::check_quota(repository, 1, bytes)?;
            let spent = outlook.spent_with(now.vault_ms, bytes)?;
            tokens::set_spent(transaction, token, spent)?;
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

    fn object(self, body: Body, foreseen: Foreseen, room: Room) -> Result<(Named, Stored)> {
        let path = &self.repository.path;
        let generation = foreseen.generation;
        let before = foreseen.found.clone();
        let Foreseen { found, .. } = match foreseen.is_fresh() && room.is_as_declared() {
            true => foreseen,
            false => {
                let principal = &self.principal;
                self.vault.foresee(principal, path, self.name, &room)?
            }
        };
        let is_sound = match &found {
            Some(object) => self.vault.is_sound(path, self.name, object)?,
            None => false,
        };
        // Only what no row knows may have its name before it is durable: whoever posts what a row
        // knows is answered by what lies there. And only a pack, for a torn one harms nobody who
        // opens the folder without us.
        let is_settled_later =
            found.is_none() && self.name.kind() == FileType::Data && self.bytes <= SHORT_BYTES;
        let named = match (is_sound, is_settled_later) {
            (true, _) => Named::durable(),
            (false, true) => body.name()?,
            (false, false) => {
                body.publish()?;
                Named::durable()
            }
        };
        let stored = Stored {
            put: self,
            generation,
            before,
            is_healed: found.is_some() && !is_sound,
            room,
        };
        Ok((named, stored))
    }

    fn told(&self) -> leaves::File {
        let token = Some(self.principal.name.as_str());
        told(&self.repository.path, self.name, self.bytes, token)
    }
}

impl Stored {
    /// Makes known what is stored, once it is durable, and tells `then` what came of it. Decided
    /// anew on what the database holds by now.
    fn commit_then(self, named: Named, then: impl FnOnce(Result<()>) + Send + 'static) {
        let Self {
            put,
            generation,
            before: found_before,
            is_healed,
            room,
        } = self;
        let (asked, asked_at) = (put.vault.now(), Instant::now());
        let file = put.told();
        let Put {
            vault,
            principal,
            repository: before,
            name,
            bytes,
        } = put;
        let token = principal.token;
        let work = move |transaction: &mut dyn Transaction| {
            let now = asked.after(asked_at.elapsed());
            let outlook = outlook(transaction, &before.path, name, token)?;
            let repository = &outlook.repository;
            let key = Key::new(repository.id, name);
            let found = outlook.found.as_ref();
            if found.is_some_and(|object| object.generation != generation) {
                return Err(busy(&before.path, name));
            }
            let has_config = repository.config.is_some();
            match life::post(found, name.kind(), has_config, token) {
                Post::Waits => return Err(busy(&before.path, name)),
                Post::IsHidden => return Err(hidden(&before.path, name)),
                Post::Arrives(state) => {
                    if outlook.next_generation != generation {
                        return Err(busy(&before.path, name));
                    }
                    usage::check_quota(repository, 1, bytes)?;
                    let spent = outlook.spent_with(now.vault_ms, bytes)?;
                    tokens::set_spent(transaction, token, spent)?;
                    let leaf = leaves::append_dated(transaction, now, &act_of(state, &file))?;
                    let object = arriving(state, generation, bytes, token, leaf);
                    match outlook.is_needed {
                        true => objects::insert(transaction, &key, &object)?,
                        false => objects::insert_unneeded(transaction, &key, &object)?,
                    }
                    let (id, at_ms) = (repository.id, now.recorded_ms);
                    repositories::arrive(transaction, id, bytes, at_ms, true)?;
                }
                Post::Revives(_)
                    if found.is_some_and(|found| {
                        life::is_deleted_since(found_before.as_ref(), found)
                    }) =>
                {
                    let repository = before.path.clone();
                    return Err(Error::DeletedMeanwhile { repository, name });
                }
                Post::Revives(state) => {
                    revive(transaction, now, &key, &file, &outlook, (token, state))?;
                    scrub::note_healed(transaction, now, &key, &file, is_healed)?;
                }
                Post::IsThere => {
                    is_there(transaction, now, &key, &outlook, token)?;
                    scrub::note_healed(transaction, now, &key, &file, is_healed)?;
                }
            }
            Ok(())
        };
        // Where nothing can be asked of the database any more, nobody answers, which is an answer.
        let then = move |outcome| {
            drop(room);
            then(outcome);
        };
        let _ = match named.is_durable() {
            true => vault.shared.commits.commit_then(work, then),
            false => vault.shared.puts.commit_then(named, work, then),
        };
    }
}

/// What a POST meets, as the transaction sees it.
fn outlook(
    transaction: &mut dyn Transaction,
    path: &RepositoryPath,
    name: FileName,
    token: i64,
) -> Result<Outlook> {
    outlook::look(transaction, path, name, token)?.ok_or_else(|| unknown_repository(path))
}

/// An object is there again, put by a token, and is then in a state, which [`life::revived`] says.
fn revive(
    transaction: &mut dyn Transaction,
    now: Moment,
    key: &Key,
    file: &leaves::File,
    outlook: &Outlook,
    (token, state): (i64, State),
) -> Result<()> {
    let spent = outlook.spent_with(now.vault_ms, file.bytes)?;
    tokens::set_spent(transaction, token, spent)?;
    let act = act_of(state, file);
    let Dated { number, moment } = leaves::append_dated(transaction, now, &act)?;
    objects::revive(transaction, key, number, moment.vault_ms, token)?;
    let (id, at_ms) = (outlook.repository.id, now.recorded_ms);
    repositories::arrive(transaction, id, file.bytes, at_ms, false)
}

/// What is told of an object that comes, and is then in a state.
fn act_of(state: State, file: &leaves::File) -> Act {
    match state {
        State::Pending => Act::Pending(file.clone()),
        _ => Act::Arrival(file.clone()),
    }
}

/// An object is there already; whoever else puts it stands for it too.
fn is_there(
    transaction: &mut dyn Transaction,
    now: Moment,
    key: &Key,
    outlook: &Outlook,
    token: i64,
) -> Result<()> {
    outlook.allowance_at(now.vault_ms)?;
    match &outlook.found {
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
