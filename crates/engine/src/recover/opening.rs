//! A repository opened by what lies on a copy, whatever hides it: by the key and the `config` that a
//! recovery would choose, so that nothing need be brought into sight for it.

use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::Repository;

use crate::progress::Progress;
use crate::recover::config;
use crate::recover::files::{File, list, list_one};
use crate::recover::source::Source;
use crate::session::{Cancel, CopyStore, Password};
use crate::{Error, Result};

/// Opens a repository by one key, or else by the oldest that the password opens; `None` where none
/// does, or the copy has no `config` that it decrypts. What is in sight is a version as any other.
///
/// # Errors
/// Where the copy keeps no versions, or does not show them, and where the user interrupts.
pub(crate) fn open_hidden(
    copy: &CopyStore,
    password: &Password,
    key_id: Option<Id>,
    cancel: &Cancel,
) -> Result<Option<Repository>> {
    let source = Source::new(copy, None, 0, cancel)?;
    let keys = key_files(&source, key_id)?;
    let Some((key, id)) = config::open_key(&source, &keys, password)? else {
        return Ok(None);
    };
    let Some(file) = list_one(&source, FileName::CONFIG)? else {
        return Ok(None);
    };
    let Some(chosen) = config::choose(&source, &file, Some(&key))? else {
        return Ok(None);
    };
    let location = source.store.location();
    let opened = Repository::of(key, id, chosen.bytes, location);
    opened.map(Some).map_err(Error::from)
}

/// The one key file, or all that there are.
fn key_files(source: &Source<'_>, key_id: Option<Id>) -> Result<Vec<File>> {
    match key_id {
        Some(id) => {
            let file = list_one(source, FileName::new(FileType::Keys, id))?;
            Ok(file.into_iter().collect())
        }
        None => Ok(list(source, FileType::Keys, &Progress::default())?.files),
    }
}
