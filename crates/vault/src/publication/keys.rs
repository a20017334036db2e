//! The keys that sign: checkpoints of each log, and what this vault cosigns for others.
//!
//! What can go wrong: a second process of a vault, or one whose folder was lost, makes a key of its
//! own, and every client takes it for another log. So a key is made only where the vault has none.

use std::fs;
use std::io;
use std::path::Path;

use data_encoding::HEXLOWER;
use strongroom_ledger::{KeyKind, Signer, Verifier};

use crate::database::Transaction;
use crate::publication::files::{LogFiles, LogFolder};
use crate::publication::{of_log, records};
use crate::vault::Vault;
use crate::{Error, Result, durable};

/// The file of the key that this vault cosigns others' logs with, and of its public half.
const WITNESS_KEY: &str = "witness.key";
const WITNESS_PUBLIC: &str = "witness.pub";

/// The bytes from which a key is made.
pub(super) type Seed = [u8; 32];

/// The signer of a vault's log: the one whose key is known already, or else a new one.
pub(super) fn signer(vault: &Vault, keys: &Path) -> Result<Signer> {
    let log = vault.log();
    if let Some(later) = later(keys, log.number)? {
        return Err(Error::LaterKey {
            key: keys.join(log_key(later)),
            later,
            known: log.number,
        });
    }
    settled(
        vault,
        keys,
        (&log_key(log.number), "the log"),
        |seed| Signer::from_seed(KeyKind::Log, &log.origin, seed),
        records::public_key,
        records::settle_public_key,
    )
}

/// The key that this vault cosigns others' logs with, made where it has none. `host` names a new
/// one; one that is there keeps its name.
///
/// # Errors
/// [`Error::OtherKey`] where other processes cosign with another; [`Error::Local`] and those of the
/// database.
pub fn witness_signer(vault: &Vault, keys: &Path, host: &str) -> Result<Signer> {
    let known = vault.database().look(records::witness_key)?;
    let known = known.and_then(|key| key.parse::<Verifier>().ok());
    let name = known.map_or_else(
        || format!("{host}/strongroom-witness"),
        |known| known.name().to_owned(),
    );
    let signer = settled(
        vault,
        keys,
        (WITNESS_KEY, "what is cosigned"),
        |seed| Signer::from_seed(KeyKind::Witness, &name, seed),
        records::witness_key,
        records::settle_witness_key,
    )?;
    let text = format!("{}\n", signer.verifier());
    let folder = LogFolder::open(keys.to_owned())?;
    if folder.read(WITNESS_PUBLIC)?.as_deref() != Some(text.as_bytes()) {
        folder.write(WITNESS_PUBLIC, text.as_bytes())?;
    }
    Ok(signer)
}

/// A key with which all processes of a vault sign: `name` is its file and `what` it is for, `known`
/// reads its public half from the database, and `settle` writes it there where there is none.
fn settled(
    vault: &Vault,
    keys: &Path,
    (name, what): (&str, &str),
    signer: impl FnOnce(&Seed) -> strongroom_ledger::Result<Signer>,
    known: fn(&mut dyn Transaction) -> Result<Option<String>>,
    settle: fn(&mut dyn Transaction, &str) -> Result<Option<String>>,
) -> Result<Signer> {
    let mut found = vault.database().look(known)?;
    let path = keys.join(name);
    let other = |reason: &str| Error::OtherKey {
        path: path.clone(),
        reason: reason.to_owned(),
    };
    let seed = match (read(&path)?, &found) {
        (Some(seed), _) => seed,
        (None, None) => make(&path)?,
        (None, Some(_)) => return Err(other("there is none")),
    };
    let signer = signer(&seed).map_err(of_log)?;
    let key = signer.verifier().to_string();
    if found.is_none() {
        // Also where it was found: from now on the vault is lost without it.
        durable::assure(&path).map_err(Error::of_vault(format!("keep {}", path.display())))?;
        let ours = key.clone();
        found = vault.commit(move |transaction| settle(transaction, &ours))?;
    }
    match found {
        Some(found) if found != key => Err(other(&format!(
            "{what} is verified with {found}, and this one makes {key}"
        ))),
        _ => Ok(signer),
    }
}

/// The file of a log's key: 64 hexadecimal digits.
pub(super) fn log_key(number: u64) -> String {
    match number {
        1 => "log.key".to_owned(),
        number => format!("log-{number}.key"),
    }
}

/// The number of a log after this one that has a key.
fn later(keys: &Path, number: u64) -> Result<Option<u64>> {
    let failed = || Error::of_vault(format!("list {}", keys.display()));
    let names = match fs::read_dir(keys) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed()(error)),
    };
    for entry in names {
        let name = entry.map_err(failed())?.file_name();
        let name = name.to_string_lossy();
        let other = name.strip_prefix("log-");
        let other = other.and_then(|rest| rest.strip_suffix(".key"));
        let other = other.and_then(|other| other.parse().ok());
        if let Some(other) = other.filter(|other| *other > number) {
            return Ok(Some(other));
        }
    }
    Ok(None)
}

/// Reads the seed of a key; `None` where there is none.
fn read(path: &Path) -> Result<Option<Seed>> {
    match fs::read_to_string(path) {
        Ok(text) => {
            let seed = HEXLOWER.decode(text.trim().as_bytes()).ok();
            let seed = seed.and_then(|seed| Seed::try_from(seed).ok());
            seed.map(Some).ok_or_else(|| Error::Log {
                reason: format!("{} is no key: 64 hexadecimal digits", path.display()),
            })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::of_vault(format!("read {}", path.display()))(error)),
    }
}

/// Makes a key where there is none.
pub(super) fn make(path: &Path) -> Result<Seed> {
    let failed = || Error::of_vault(format!("make the key {}", path.display()));
    let folder = path.parent().unwrap_or(Path::new("."));
    durable::make_folder(folder).map_err(failed())?;
    let mut seed = Seed::default();
    getrandom::fill(&mut seed).map_err(|error| failed()(io::Error::other(error)))?;
    // Whole, so that nobody ever reads half a key, or makes a second one.
    let text = format!("{}\n", HEXLOWER.encode(&seed));
    if durable::place(path, text.as_bytes()).map_err(failed())? {
        return Ok(seed);
    }
    // Another process that shares the folder was faster.
    read(path)?.ok_or_else(|| failed()(io::ErrorKind::NotFound.into()))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::durable::tests::{assert_written, synced_by};

    #[test]
    fn a_key_is_durable_with_its_folder_before_anything_is_signed_with_it() {
        let root = TempDir::new().unwrap();
        let path = root.path().join("keys/log.key");
        let synced = synced_by(|| {
            make(&path).unwrap();
        });
        let key = fs::read(&path).unwrap();
        assert_written(&synced, &["keys"], (&path, &key));
    }
}
