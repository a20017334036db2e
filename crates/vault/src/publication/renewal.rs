//! A new log in place of one that cannot be gone on with.
//!
//! The log of a vault that was set back to an earlier state is longer than what the vault knows, or
//! lost. To cut it, or to sign something else over it, would be just what a log is there to show.
//! So its files stay where they are, and another log begins beside them: with another name, another
//! key, and a first leaf that names the last checkpoint of the old one. Clients see another log,
//! which is an alarm to them, until a person accepts it.
//!
//! The transaction that writes the first leaf decides. Whoever dies before it has left a key that
//! nobody uses; that number is passed over the next time, so that no two logs ever have one name, and
//! until then every start names the file. Where it is not known whether it was done, the key stays.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use strongroom_ledger::note::Note;
use strongroom_ledger::{KeyKind, SignedCheckpoint, Signer, Verifier};

use crate::publication::files::{LogFiles, LogFolder};
use crate::publication::{CHECKPOINT, PUBLIC_KEY, keys, of_log, records};
use crate::records::log::{self as identities, LogIdentity};
use crate::vault::{NextLog, OldLog, Vault};
use crate::{Error, Result, chain};

/// A note that is longer is shortened to the log's own signature, so that it fits into a leaf.
const LONGEST_NOTE_BYTES: usize = 16 << 10;

/// Begins a new log of a vault that nobody serves, with keys in the folder `keys`; `files` opens
/// the files of a log by its number. The vault must be opened anew before it is published.
///
/// # Errors
/// [`Error::Refused`] without a reason to tell, and where a process serves the vault;
/// [`Error::Local`]; those of the database and the storage.
pub fn begin_new(
    vault: &Vault,
    files: &dyn Fn(u64) -> Result<Arc<dyn LogFiles>>,
    keys: &Path,
    because: &str,
) -> Result<LogIdentity> {
    let because = because.trim();
    if because.is_empty() {
        return Err(Error::Refused {
            reason: "whoever sees the new log will want to know why: say --because".to_owned(),
        });
    }
    if vault.is_served()? {
        return Err(Error::Refused {
            reason: "a process serves this vault, or was killed less than half a minute ago: stop \
                     all of them first"
                .to_owned(),
        });
    }
    let before = vault.log();
    let old = last_of(vault, &*files(before.number)?)?;
    let mut number = before.number + 1;
    while keys.join(keys::log_key(number)).exists() || files(number)?.read(CHECKPOINT)?.is_some() {
        number += 1;
    }
    let origin = next_origin(before, number);
    let key_file = keys.join(keys::log_key(number));
    let seed = keys::make(&key_file)?;
    let signer = Signer::from_seed(KeyKind::Log, &origin, &seed).map_err(of_log)?;
    let folder = LogFolder::open(keys.to_owned())?;
    if let Some(old_key) = public_key(vault)? {
        // For whoever audits the old files.
        let name = format!("log-{}.pub", before.number);
        folder.write(&name, format!("{old_key}\n").as_bytes())?;
    }
    let key = signer.verifier().to_string();
    let next = NextLog {
        number,
        origin,
        key: key.clone(),
        because: because.to_owned(),
    };
    let log = match vault.begin_new_log(old, next) {
        Ok(log) => log,
        Err(error) => in_doubt(vault, (before.number, number), &key_file, error)?,
    };
    folder.write(PUBLIC_KEY, format!("{key}\n").as_bytes())?;
    Ok(log)
}

/// What became of a log whose beginning failed: a commit whose answer is lost may have been done all
/// the same, and then everybody needs its key. Only where the database says that it still has the
/// old log, nothing points to the key, and it goes.
fn in_doubt(
    vault: &Vault,
    (before, number): (u64, u64),
    key_file: &Path,
    error: Error,
) -> Result<LogIdentity> {
    // In a transaction that writes: one that is still under way elsewhere is over by then.
    match vault.commit(|transaction| identities::get(transaction)) {
        Ok(Some(found)) if found.number == number => Ok(found),
        Ok(Some(found)) if found.number == before => {
            let _ = fs::remove_file(key_file);
            Err(error)
        }
        _ => Err(Error::LogInDoubt {
            number,
            key: key_file.to_owned(),
            reason: chain(&error),
        }),
    }
}

/// The last checkpoint of the log, out of its files or the database: the larger one that its key
/// has signed, or else whatever the file is, where that can stand in a leaf.
fn last_of(vault: &Vault, files: &dyn LogFiles) -> Result<OldLog> {
    let file = files.read(CHECKPOINT)?;
    let state = vault.database().look(records::state)?;
    let key = public_key(vault)?.and_then(|key| key.parse::<Verifier>().ok());
    let candidates = [file.clone(), state.checkpoint];
    let signed = candidates.into_iter().flatten().filter_map(|bytes| {
        let signed = SignedCheckpoint::open(&bytes, key.as_ref()?);
        signed.ok()
    });
    let last = signed.max_by_key(|signed| signed.checkpoint().size());
    Ok(match last {
        Some(last) => OldLog {
            note: fitting(last.note()),
            verified: Some(last.checkpoint().clone()),
        },
        None => OldLog {
            note: file
                .and_then(|bytes| Note::parse(&bytes).ok())
                .and_then(|note| fitting(&note)),
            verified: None,
        },
    })
}

fn public_key(vault: &Vault) -> Result<Option<String>> {
    vault.database().look(records::public_key)
}

/// What the next log is called: as the first one, and its number.
fn next_origin(before: &LogIdentity, number: u64) -> String {
    let own = format!("/{}", before.number);
    let first = match before.number {
        1 => before.origin.as_str(),
        _ => before.origin.strip_suffix(&own).unwrap_or(&before.origin),
    };
    format!("{first}/{number}")
}

/// A note that fits into a leaf: whole, or with its first signature alone.
fn fitting(note: &Note) -> Option<String> {
    let whole = note.to_string();
    if whole.len() <= LONGEST_NOTE_BYTES {
        return Some(whole);
    }
    let first = note.signatures().first()?.clone();
    let short = Note::new(note.text().to_owned(), first).ok()?.to_string();
    (short.len() <= LONGEST_NOTE_BYTES).then_some(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_log_has_a_name_of_its_own() {
        let mut log = LogIdentity {
            number: 1,
            origin: "vault.example.net/strongroom".to_owned(),
            base: 0,
            before: None,
        };
        for number in [2, 3, 5, 11, 12] {
            log.origin = next_origin(&log, number);
            log.number = number;
            assert_eq!(log.origin, format!("vault.example.net/strongroom/{number}"));
        }
    }
}
