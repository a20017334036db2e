//! Files with secrets, which only the vault's own user may read.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use strongroom_model::shell::quoted;

use crate::{Error, Result};

/// The bits of a file's mode that let others in.
pub(crate) const OTHERS: u32 = 0o077;

/// Fails where others can read or write a file, as bits of its mode say.
///
/// # Errors
/// [`Error::Refused`], and what `failed` makes of the system's.
pub(crate) fn check(
    file: &File,
    path: &Path,
    others: u32,
    failed: impl FnOnce(io::Error) -> Error,
) -> Result<()> {
    match file.metadata().map_err(failed)?.mode() & others {
        0 => Ok(()),
        _ => {
            let mend = format!("others can read it: chmod 600 {}", quoted(path));
            Err(refused(path, &mend))
        }
    }
}

/// That a file cannot be used, and why.
pub(crate) fn refused(path: &Path, why: &str) -> Error {
    Error::Refused {
        reason: format!("{} cannot be used: {why}", path.display()),
    }
}
