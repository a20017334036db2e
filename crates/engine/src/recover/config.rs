//! Which version of `config` is the right one. It has no hash name, and whoever may write may put
//! another: so the oldest counts, and where there is a password the oldest that decrypts.
//!
//! **Security:** whoever may write may also put key files that the password opens, if he knows it. He
//! comes after whoever made the repository, so the oldest key that opens counts.

use strongroom_model::{FileName, Id};
use strongroom_repo::key::{KeyFile, MAX_KEY_FILES_READ, MAX_KEYS_TRIED};
use strongroom_repo::{Key, RepoConfig};

use crate::Result;
use crate::recover::files::{File, list_more};
use crate::recover::report::ConfigChoice;
use crate::recover::source::{Reading, Source};
use crate::right_version::Candidate;
use crate::session::Password;

/// How many versions of `config` are listed at a time, and how often.
const A_BATCH: usize = 256;
const MOST_BATCHES: usize = 16;

/// The version that was chosen.
pub(super) struct ChosenConfig {
    pub(super) candidate: Candidate,
    pub(super) bytes: Vec<u8>,
    pub(super) choice: ConfigChoice,
}

/// The key of the repository, by the oldest key file that the password opens, and the id of that;
/// `None` where it opens none of those that are tried.
///
/// # Errors
/// As [`Source::read`].
pub(super) fn open_key(
    source: &Source<'_>,
    files: &[File],
    password: &Password,
) -> Result<Option<(Key, Id)>> {
    let mut oldest_first: Vec<_> = files.iter().collect();
    oldest_first.sort_by_key(|file| file.since_ns());
    let mut tries = 0;
    for file in oldest_first.into_iter().take(MAX_KEY_FILES_READ) {
        let Some(bytes) = right_bytes(source, file)? else {
            continue;
        };
        let Ok(key_file) = KeyFile::parse(&bytes) else {
            continue;
        };
        if let (Some(key), Some(id)) = (key_file.open(password), file.name.id()) {
            return Ok(Some((key, id)));
        }
        tries += 1;
        if tries == MAX_KEYS_TRIED {
            break;
        }
    }
    Ok(None)
}

/// The bytes of a file, where one of the few versions that are known of it is right.
///
/// # Errors
/// As [`Source::read`].
pub(super) fn right_bytes(source: &Source<'_>, file: &File) -> Result<Option<Vec<u8>>> {
    for candidate in file.candidates() {
        if let (Reading::Right, bytes) = source.read_whole(file.name, candidate)? {
            return Ok(Some(bytes));
        }
    }
    Ok(None)
}

/// Chooses a version of `config`, oldest first. Without the key nothing tells a newer one from junk:
/// where the oldest cannot be read none is chosen.
///
/// # Errors
/// As [`Source::read`], and where versions cannot be listed.
pub(super) fn choose(
    source: &Source<'_>,
    file: &File,
    key: Option<&Key>,
) -> Result<Option<ChosenConfig>> {
    let mut behind = None;
    let mut batch: Vec<_> = file.candidates().cloned().collect();
    let mut has_more = file.last().is_some();
    for _ in 0..MOST_BATCHES {
        for candidate in &batch {
            let (reading, bytes) = source.read_whole(FileName::CONFIG, candidate)?;
            let is_right = match (key, reading) {
                (None, Reading::Right) => true,
                (None, _) => return Ok(None),
                (Some(key), Reading::Right) => {
                    RepoConfig::open(&bytes, key, source.store.location()).is_ok()
                }
                (Some(_), _) => false,
            };
            if is_right {
                return Ok(Some(ChosenConfig {
                    candidate: candidate.clone(),
                    bytes,
                    choice: match key {
                        None => ConfigChoice::Oldest,
                        Some(_) => ConfigChoice::OldestThatDecrypts,
                    },
                }));
            }
        }
        behind = batch.pop().or(behind);
        if !has_more {
            break;
        }
        let name = FileName::CONFIG;
        (batch, has_more) = list_more(source, name, behind.as_ref(), A_BATCH, |_| false)?;
    }
    Ok(None)
}
