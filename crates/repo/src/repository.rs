//! A repository as one that holds its key: made or opened once, the same for every copy.

use std::collections::BTreeSet;

use jiff::Timestamp;
use strongroom_model::{FileName, FileType, Id};
use strongroom_store::Store;

use crate::key::{KeyFile, MAX_KEY_FILE_BYTES, MAX_KEYS_TRIED, ScryptCost};
use crate::{Error, Key, RepoConfig, Result};

/// An open repository. It holds no store: all copies share one key and one `config`.
#[derive(Debug, Clone)]
pub struct Repository {
    key: Key,
    config: RepoConfig,
    config_bytes: Vec<u8>,
    key_id: Id,
}

/// Who makes a key, and when.
#[derive(Debug, Clone)]
pub struct Maker<'a> {
    /// The time, by the clock of this host.
    pub now: Timestamp,
    /// The user.
    pub username: &'a str,
    /// The host.
    pub hostname: &'a str,
}

/// A repository that exists in memory only: what every copy is to be given.
#[derive(Debug)]
pub struct NewRepository {
    /// The repository.
    pub repository: Repository,
    /// The bytes of its one key file, whose name is their SHA-256; to be stored first.
    pub key_file: Vec<u8>,
}

impl NewRepository {
    /// Makes the repository on a single place: its key, then its `config`, which ends an init.
    ///
    /// # Errors
    /// As [`Store::create`] and [`Store::save`].
    pub fn save(&self, store: &dyn Store) -> strongroom_store::Result<()> {
        store.create()?;
        let key = FileName::new(FileType::Keys, self.repository.key_id());
        store.save(key, &self.key_file)?;
        store.save(FileName::CONFIG, self.repository.config_bytes())
    }
}

impl Repository {
    /// Makes a repository of version 2 in memory.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an empty password, [`Error::NoRandomness`].
    pub fn generate(password: &[u8], cost: ScryptCost, maker: &Maker<'_>) -> Result<NewRepository> {
        let key = Key::generate()?;
        let config = RepoConfig::generate()?;
        let config_bytes = config.seal(&key)?;
        let key_file = KeyFile::seal(
            &key,
            password,
            cost,
            maker.now,
            maker.username,
            maker.hostname,
        )?
        .to_bytes()?;
        let repository = Self {
            key,
            config,
            config_bytes,
            key_id: Id::of(&key_file),
        };
        Ok(NewRepository {
            repository,
            key_file,
        })
    }

    /// Opens the repository in `store`.
    ///
    /// Key files that are junk are passed over. Those in `tried` are known not to open and cost no
    /// second scrypt; those that do not open here are added to it.
    ///
    /// # Errors
    /// [`Error::NoRepository`], [`Error::WrongPassword`], [`Error::Damaged`] for `config` and where
    /// no key file is whole, [`Error::Store`].
    pub fn open(store: &dyn Store, password: &[u8], tried: &mut BTreeSet<Id>) -> Result<Self> {
        let config_bytes = read_config(store)?;
        let mut keys = store.list(FileType::Keys)?;
        keys.retain(|entry| entry.size_bytes <= MAX_KEY_FILE_BYTES);
        keys.sort_unstable_by_key(|entry| entry.id);
        let mut tries = 0;
        let mut damaged = None;
        for entry in keys {
            if tries == MAX_KEYS_TRIED {
                break;
            }
            if tried.contains(&entry.id) {
                tries += 1;
                continue;
            }
            let bytes = store.read(FileName::new(FileType::Keys, entry.id))?;
            if Id::of(&bytes) != entry.id {
                tracing::warn!(key = %entry.id, location = store.location(), "A key file is damaged");
                damaged.get_or_insert(entry.id);
                continue;
            }
            let file = match KeyFile::parse(&bytes) {
                Ok(file) => file,
                Err(reason) => {
                    tracing::warn!(key = %entry.id, location = store.location(), reason, "A key file is junk");
                    continue;
                }
            };
            tries += 1;
            if let Some(key) = file.open(password) {
                let config = RepoConfig::open(&config_bytes, &key, store.location())?;
                return Ok(Self {
                    key,
                    config,
                    config_bytes,
                    key_id: entry.id,
                });
            }
            tried.insert(entry.id);
        }
        let location = store.location().to_owned();
        Err(match damaged {
            Some(key) if tries == 0 => Error::Damaged {
                what: format!("{} in {location}", FileName::new(FileType::Keys, key)),
                reason: "its content does not have its name, and no other key is whole".to_owned(),
            },
            _ => Error::WrongPassword {
                location,
                keys: tries,
            },
        })
    }

    /// Opens the repository in `store` by the one key file that is known to open.
    ///
    /// # Errors
    /// As [`Repository::open`].
    pub fn open_by(store: &dyn Store, password: &[u8], key_id: Id) -> Result<Self> {
        let config_bytes = read_config(store)?;
        let name = FileName::new(FileType::Keys, key_id);
        let location = || store.location().to_owned();
        let damaged = |reason: String| Error::Damaged {
            what: format!("{name} in {}", location()),
            reason,
        };
        let bytes = store.read(name)?;
        if Id::of(&bytes) != key_id {
            return Err(damaged("its content does not have its name".to_owned()));
        }
        let file = KeyFile::parse(&bytes).map_err(damaged)?;
        let key = file.open(password).ok_or_else(|| Error::WrongPassword {
            location: location(),
            keys: 1,
        })?;
        let config = RepoConfig::open(&config_bytes, &key, store.location())?;
        Ok(Self {
            key,
            config,
            config_bytes,
            key_id,
        })
    }

    /// The master key.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// What `config` says.
    pub fn config(&self) -> &RepoConfig {
        &self.config
    }

    /// The bytes of `config`, the same on every copy.
    pub fn config_bytes(&self) -> &[u8] {
        &self.config_bytes
    }

    /// The key file that was opened.
    pub fn key_id(&self) -> Id {
        self.key_id
    }
}

/// Reads `config`; that there is none means that there is no repository.
///
/// # Errors
/// [`Error::NoRepository`], [`Error::Store`].
pub fn read_config(store: &dyn Store) -> Result<Vec<u8>> {
    store.read(FileName::CONFIG).map_err(|error| match error {
        strongroom_store::Error::NotFound { location, .. } => Error::NoRepository { location },
        other => Error::Store(other),
    })
}
