//! A new log in place of one that cannot be gone on with.
//!
//! The log of a vault that was set back to an earlier state is longer than what the vault knows, or
//! lost. To cut it, or to sign something else over it, would be just what a log is there to show.
//! So the old files are kept as they are, and another log begins: with another name, another key,
//! and a first leaf that names the last checkpoint of the old one. Clients see another log, which
//! is an alarm to them, until a person accepts it.
//!
//! The transaction that writes the first leaf decides. Files are moved after it, and whoever dies
//! in between leaves that to the next who opens the log.

use std::fs;
use std::io;
use std::path::Path;

use strongroom_ledger::note::Note;
use strongroom_ledger::{Folder, KeyKind, SignedCheckpoint, Signer};

use crate::publication::files::LogFolder;
use crate::publication::{PUBLIC_KEY, keys, of_log};
use crate::records::log::LogIdentity;
use crate::vault::{OldLog, Vault};
use crate::{Error, Result};

/// A note that is longer is shortened to the log's own signature, so that it fits into a leaf.
const LONGEST_NOTE_BYTES: usize = 16 << 10;

/// Begins a new log of the vault whose folder this is, which nobody may be serving. The vault must
/// be opened anew before it is published.
///
/// # Errors
/// [`Error::Refused`] without a reason to tell; [`Error::Local`]; those of the database.
pub fn begin_new(vault: &Vault, data: &Path, because: &str) -> Result<LogIdentity> {
    if because.trim().is_empty() {
        return Err(Error::Refused {
            reason: "whoever sees the new log will want to know why: say --because".to_owned(),
        });
    }
    let keys = LogFolder::open(data.join("keys"))?;
    let before = vault.log();
    let seed = keys::open(keys.path(), &keys::log_key(before.number))?;
    let old_key = Signer::from_seed(KeyKind::Log, &before.origin, &seed).map_err(of_log)?;
    let old_key = old_key.verifier();
    // For whoever audits the old files.
    let name = format!("log-before-{}.pub", before.number);
    keys.write(&name, format!("{old_key}\n").as_bytes())?;
    // The next key is there before anything points to it.
    keys::open(keys.path(), &keys::log_key(before.number + 1))?;
    settle(data, before.number)?;
    let mut old = OldLog::default();
    if let Ok(bytes) = Folder::new(data.join("log")).checkpoint() {
        let signed = SignedCheckpoint::open(&bytes, old_key).ok();
        old.verified = signed.map(|signed| signed.checkpoint().clone());
        old.note = Note::parse(&bytes).ok().and_then(|note| fitting(&note));
    }
    let log = vault.begin_new_log(old, because.trim())?;
    settle(data, log.number)?;
    let key = keys::open(keys.path(), &keys::log_key(log.number))?;
    let key = Signer::from_seed(KeyKind::Log, &log.origin, &key).map_err(of_log)?;
    keys.write(PUBLIC_KEY, format!("{}\n", key.verifier()).as_bytes())?;
    Ok(log)
}

/// Moves the files of the log before this one out of the way, where that is not done.
pub(super) fn settle(data: &Path, number: u64) -> Result<()> {
    let Some(before) = number.checked_sub(1).filter(|before| *before > 0) else {
        return Ok(());
    };
    let (log, kept) = (data.join("log"), data.join(format!("log-before-{before}")));
    if kept.exists() {
        return Ok(());
    }
    let failed = || Error::local(format!("keep the old log as {}", kept.display()));
    match fs::rename(&log, &kept) {
        // There was no folder: an empty one says that this is done.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            LogFolder::open(kept.clone())?;
        }
        moved => moved.map_err(failed())?,
    }
    let synced = fs::File::open(data).and_then(|folder| folder.sync_all());
    synced.map_err(failed())
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
