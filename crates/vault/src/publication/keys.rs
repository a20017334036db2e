//! The keys that sign checkpoints, this vault's own and those of others.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use data_encoding::HEXLOWER;

use crate::{Error, Result};

/// The file of the key of the vault's log; each log has its own.
pub(super) fn log_key(number: u64) -> String {
    match number {
        1 => "log.key".to_owned(),
        number => format!("log-{number}.key"),
    }
}

/// Reads the seed of a key, or makes one: 64 hexadecimal digits.
pub(super) fn open(folder: &Path, name: &str) -> Result<[u8; 32]> {
    let path = folder.join(name);
    let failed = || Error::local(format!("make the key {}", path.display()));
    match fs::read_to_string(&path) {
        Ok(text) => {
            let seed = HEXLOWER.decode(text.trim().as_bytes()).ok();
            let seed = seed.and_then(|seed| <[u8; 32]>::try_from(seed).ok());
            return seed.ok_or_else(|| Error::Log {
                reason: format!("{} is no key: 64 hexadecimal digits", path.display()),
            });
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(Error::local(format!("read {}", path.display()))(error)),
    }
    fs::create_dir_all(folder).map_err(failed())?;
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| failed()(io::Error::other(error)))?;
    // Linked into place whole, so that nobody ever reads half a key, or makes a second one.
    let passing = folder.join(format!("{name}.writing"));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&passing)
        .map_err(failed())?;
    let text = format!("{}\n", HEXLOWER.encode(&seed));
    file.write_all(text.as_bytes()).map_err(failed())?;
    file.sync_all().map_err(failed())?;
    fs::hard_link(&passing, &path).map_err(failed())?;
    fs::remove_file(&passing).map_err(failed())?;
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(failed())?;
    Ok(seed)
}
