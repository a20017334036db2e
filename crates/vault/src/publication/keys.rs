//! The key that signs checkpoints.
//!
//! What can go wrong: a second process of a vault, or one whose folder was lost, makes a key of its
//! own, and every client takes it for another log. So a key is made only where the vault has none.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use strongroom_ledger::{KeyKind, Signer};

use crate::publication::{of_log, records};
use crate::vault::Vault;
use crate::{Error, Result};

/// The signer of a vault's log: the one whose key is known already, or else a new one.
pub(super) fn signer(vault: &Vault, keys: &Path) -> Result<Signer> {
    let mut known = None;
    vault.database().read(&mut |transaction| {
        known = records::public_key(transaction)?;
        Ok(())
    })?;
    let other = |reason: &str| Error::OtherKey {
        path: path(keys),
        reason: reason.to_owned(),
    };
    let seed = match (read(keys)?, &known) {
        (Some(seed), _) => seed,
        (None, None) => make(keys)?,
        (None, Some(_)) => return Err(other("there is none")),
    };
    let signer = Signer::from_seed(KeyKind::Log, vault.origin(), &seed).map_err(of_log)?;
    let key = signer.verifier().to_string();
    if known.is_none() {
        let ours = key.clone();
        known = vault.commit(move |transaction| records::settle_public_key(transaction, &ours))?;
    }
    match known {
        Some(known) if known != key => Err(other(&format!(
            "the log is verified with {known}, and this one makes {key}"
        ))),
        _ => Ok(signer),
    }
}

/// The bytes from which a key is made.
type Seed = [u8; 32];

/// Where the key lies in the folder of keys: 64 hexadecimal digits.
fn path(folder: &Path) -> PathBuf {
    folder.join("log.key")
}

/// Reads the seed of the key; `None` where there is none.
fn read(folder: &Path) -> Result<Option<Seed>> {
    let path = path(folder);
    match fs::read_to_string(&path) {
        Ok(text) => {
            let seed = HEXLOWER.decode(text.trim().as_bytes()).ok();
            let seed = seed.and_then(|seed| Seed::try_from(seed).ok());
            seed.map(Some).ok_or_else(|| Error::Log {
                reason: format!("{} is no key: 64 hexadecimal digits", path.display()),
            })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::local(format!("read {}", path.display()))(error)),
    }
}

/// Makes a key where there is none.
fn make(folder: &Path) -> Result<Seed> {
    let path = path(folder);
    let failed = || Error::local(format!("make the key {}", path.display()));
    fs::create_dir_all(folder).map_err(failed())?;
    let (mut seed, mut number) = (Seed::default(), [0; 8]);
    getrandom::fill(&mut seed)
        .and_then(|()| getrandom::fill(&mut number))
        .map_err(|error| failed()(io::Error::other(error)))?;
    // Linked into place whole, so that nobody ever reads half a key, or makes a second one.
    let passing = folder.join(format!("log.key.writing-{}", HEXLOWER.encode(&number)));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&passing)
        .map_err(failed())?;
    let text = format!("{}\n", HEXLOWER.encode(&seed));
    let linked = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::hard_link(&passing, &path));
    fs::remove_file(&passing).map_err(failed())?;
    match linked {
        // Another process that shares the folder was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let made = read(folder)?;
            made.ok_or_else(|| failed()(io::ErrorKind::NotFound.into()))
        }
        Err(error) => Err(failed()(error)),
        Ok(()) => {
            let synced = File::open(folder).and_then(|folder| folder.sync_all());
            synced.map_err(failed())?;
            Ok(seed)
        }
    }
}
