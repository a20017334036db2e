//! The folder of the log: files that appear whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use strongroom_ledger::note::NOTE_LIMIT_BYTES;

use crate::{Error, Result};

/// The folder.
#[derive(Debug)]
pub(super) struct LogFolder(PathBuf);

impl LogFolder {
    /// Opens the folder, made where it is missing.
    pub(super) fn open(path: PathBuf) -> Result<Self> {
        make(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.join(name).exists()
    }

    /// The bytes of a file, which are those of a note at most; `None` where there is none.
    pub(super) fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let path = self.0.join(name);
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|file| {
            file.take(NOTE_LIMIT_BYTES as u64 + 1)
                .read_to_end(&mut bytes)
        });
        match read {
            Ok(_) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::local(format!("read {}", path.display()))(error)),
        }
    }

    /// Writes a file; when this returns it is durable, in place of one of the same name.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.0.join(name);
        let failed = || Error::local(format!("write {}", path.display()));
        let folder = path.parent().unwrap_or(&self.0);
        if !folder.is_dir() {
            make(folder)?;
        }
        // An audit passes over names that begin with a dot.
        let base = path.file_name().unwrap_or_default().to_string_lossy();
        let passing = path.with_file_name(format!(".writing-{base}"));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&passing)
            .map_err(failed())?;
        file.write_all(bytes).map_err(failed())?;
        file.sync_all().map_err(failed())?;
        fs::rename(&passing, &path).map_err(failed())?;
        sync(folder)
    }

    /// Removes the partial files of a tile that is full now. They may be asked for still; then the
    /// full one is given.
    pub(super) fn remove_partial(&self, name: &str) {
        let path = self.0.join(format!("{name}.p"));
        match fs::remove_dir_all(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "Partial tiles stay behind");
            }
        }
    }
}

/// Makes a folder and those above it, durably.
fn make(path: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(Error::local(format!("make the folder {}", path.display())))?;
    path.parent().map_or(Ok(()), sync)
}

fn sync(folder: &Path) -> Result<()> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(Error::local(format!("sync {}", folder.display())))
}
