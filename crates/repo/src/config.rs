//! The file `config`: the repository's version, identity and chunker polynomial.
//!
//! It is the one file without a hash name, it is encrypted but never compressed, and its presence
//! ends an init. That it is the same on every copy is checked by its digest.

use serde::{Deserialize, Serialize};
use strongroom_model::Id;

use crate::{Error, Key, Result, json, polynomial};

/// What `config` says; fields that others added are ignored when read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepoConfig {
    /// The format's version, 1 or 2.
    pub version: u32,
    /// A random id, by which clients tell repositories apart.
    pub id: Id,
    /// An irreducible polynomial of degree 53, as hexadecimal digits.
    pub chunker_polynomial: String,
}

impl RepoConfig {
    /// Makes the configuration of a new repository of version 2.
    ///
    /// # Errors
    /// [`Error::NoRandomness`].
    pub fn generate() -> Result<Self> {
        let mut id = [0; 32];
        getrandom::fill(&mut id).map_err(|_| Error::NoRandomness)?;
        Ok(Self {
            version: 2,
            id: Id::from_bytes(id),
            chunker_polynomial: format!("{:x}", polynomial::random_irreducible()?),
        })
    }

    /// Encrypts it into the bytes of `config`.
    ///
    /// # Errors
    /// [`Error::NoRandomness`].
    pub fn seal(&self, key: &Key) -> Result<Vec<u8>> {
        let json = json::encode(self)?;
        key.seal(&json)
    }

    /// Decrypts and reads the bytes of `config`; `location` is named in errors.
    ///
    /// # Errors
    /// [`Error::Damaged`] where it does not decrypt or parse, [`Error::Unsupported`] where the
    /// version is neither 1 nor 2.
    pub fn open(bytes: &[u8], key: &Key, location: &str) -> Result<Self> {
        let what = || format!("config in {location}");
        let damaged = |reason: &str| Error::Damaged {
            what: what(),
            reason: reason.to_owned(),
        };
        let plain = key
            .open(bytes)
            .ok_or_else(|| damaged("it does not decrypt with this repository's key"))?;
        let config: Self =
            serde_json::from_slice(&plain).map_err(|error| damaged(&error.to_string()))?;
        if !(1..=2).contains(&config.version) {
            return Err(Error::Unsupported {
                what: what(),
                reason: format!("repository version {}", config.version),
            });
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_opens_with_its_key_only() {
        let key = Key::generate().unwrap();
        let config = RepoConfig::generate().unwrap();
        let bytes = config.seal(&key).unwrap();
        assert_eq!(RepoConfig::open(&bytes, &key, "here").unwrap(), config);
        let other = Key::generate().unwrap();
        let error = RepoConfig::open(&bytes, &other, "here").unwrap_err();
        assert_eq!(
            error.to_string(),
            "config in here is damaged: it does not decrypt with this repository's key"
        );
        assert!(RepoConfig::open(&bytes[..20], &key, "here").is_err());
    }

    #[test]
    fn a_version_of_the_future_is_refused() {
        let key = Key::generate().unwrap();
        let mut config = RepoConfig::generate().unwrap();
        config.version = 3;
        let bytes = config.seal(&key).unwrap();
        assert!(matches!(
            RepoConfig::open(&bytes, &key, "here"),
            Err(Error::Unsupported { .. })
        ));
    }
}
