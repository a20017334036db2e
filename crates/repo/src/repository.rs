//! A repository as one that holds its key: made or opened once, the same for every copy.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use jiff::Timestamp;
use strongroom_model::{FileEntry, FileName, FileType, Id};
use strongroom_store::{Error as StoreError, Store, VersionContent};

use crate::key::{KeyFile, MAX_KEY_FILE_BYTES, MAX_KEY_FILES_READ, MAX_KEYS_TRIED, ScryptCost};
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
    /// Key files that are junk are passed over, and so are those that the place does not give, as one
    /// that somebody has put into its archive. Those in `tried` are known not to open and cost no
    /// second scrypt; those that do not open here are added to it.
    ///
    /// **Security:** whoever may upload puts as many key files there as he likes, each of which costs
    /// a scrypt. So a few are tried, as by restic. Where there are more, and the place keeps
    /// versions, those come first that arrived first, since whoever made the repository was there
    /// before; elsewhere they are tried in the order of their names. Who knows which key opened last
    /// asks for that one first: [`Repository::open_by`].
    ///
    /// # Errors
    /// [`Error::NoRepository`], [`Error::WrongPassword`], [`Error::Damaged`] for `config` and where
    /// no key file is whole, [`Error::Store`].
    pub fn open(store: &dyn Store, password: &[u8], tried: &mut BTreeSet<Id>) -> Result<Self> {
        let config_bytes = read_config(store)?;
        let mut keys = store.list(FileType::Keys)?;
        keys.retain(|entry| entry.size_bytes <= MAX_KEY_FILE_BYTES);
        put_in_order(store, &mut keys);
        let mut tries = 0;
        let (mut damaged, mut withheld) = (None, None);
        for (read, entry) in keys.into_iter().enumerate() {
            if tries == MAX_KEYS_TRIED {
                break;
            }
            if read == MAX_KEY_FILES_READ {
                // So that it is told that there are more than are tried.
                tries = tries.max(MAX_KEYS_TRIED);
                break;
            }
            if tried.contains(&entry.id) {
                tries += 1;
                continue;
            }
            let bytes = match store.read(FileName::new(FileType::Keys, entry.id)) {
                Ok(bytes) => bytes,
                Err(error) if error.is_silence() => return Err(error.into()),
                Err(error) => {
                    let (location, reason) = (store.location(), error.to_string());
                    tracing::warn!(key = %entry.id, location, reason, "A key file is not given");
                    withheld.get_or_insert(error);
                    continue;
                }
            };
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
                return Self::of(key, entry.id, config_bytes, store.location());
            }
            tried.insert(entry.id);
        }
        if let Some(error) = withheld {
            // It may be the right one.
            return Err(error.into());
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
        Self::of(key, key_id, config_bytes, store.location())
    }

    /// A repository whose key and `config` were found some other way.
    ///
    /// # Errors
    /// Where the key does not open `config`.
    pub fn of(key: Key, key_id: Id, config_bytes: Vec<u8>, location: &str) -> Result<Self> {
        let config = RepoConfig::open(&config_bytes, &key, location)?;
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

/// Puts key files into the order in which they are tried.
fn put_in_order(store: &dyn Store, keys: &mut [FileEntry]) {
    keys.sort_unstable_by_key(|entry| entry.id);
    if keys.len() <= MAX_KEYS_TRIED {
        return;
    }
    let Some(versions) = store.versions() else {
        return;
    };
    let mut came: BTreeMap<Id, Option<SystemTime>> =
        keys.iter().map(|entry| (entry.id, None)).collect();
    let listed = versions.each_version(FileType::Keys, &mut |version| {
        let known = version.name.id().and_then(|id| came.get_mut(&id));
        if let (Some(first), VersionContent::Bytes { .. }) = (known, &version.content) {
            *first = Some(first.map_or(version.made, |first| first.min(version.made)));
        }
        Ok(())
    });
    match listed {
        // Of those that came at one moment the order is that of their names.
        Ok(()) => keys.sort_by_key(|entry| {
            let first = came.get(&entry.id).copied().flatten();
            (first.is_none(), first)
        }),
        Err(error) => {
            let (location, reason) = (store.location(), error.to_string());
            tracing::info!(
                location,
                reason,
                "Of many keys it is not told which came first"
            );
        }
    }
}

/// Reads `config`; that there is none means that there is no repository.
///
/// # Errors
/// [`Error::NoRepository`], [`Error::Store`].
pub fn read_config(store: &dyn Store) -> Result<Vec<u8>> {
    store.read(FileName::CONFIG).map_err(|error| match error {
        StoreError::NotFound { location, .. } => Error::NoRepository { location },
        other => Error::Store(other),
    })
}
