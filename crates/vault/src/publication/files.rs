//! Where the files of a log lie: a folder, or a bucket.
//!
//! Whatever is written appears whole or not at all, durably, in place of what had its name. Several
//! processes may write at once: of two files with one name but the checkpoint, each is the same.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use strongroom_ledger::bundle::BUNDLE_LIMIT_BYTES;
use strongroom_store::S3Files;

use crate::{Error, Result, durable};

/// The files of a log. All methods block.
pub trait LogFiles: Send + Sync + fmt::Debug {
    /// The place as people write it, without any secret in it.
    fn location(&self) -> &str;

    /// All bytes of a file; `None` where there is none.
    ///
    /// # Errors
    /// Where it cannot be read, or is larger than any of a log.
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>>;

    /// Writes a file; when this returns it is durable, in place of one of the same name.
    ///
    /// # Errors
    /// Where it cannot be written.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<()>;

    /// Removes the partial files of a tile that is full now. They may be asked for still; then the
    /// full one is there. Where this fails they stay, which harms nobody.
    fn remove_partial(&self, name: &str);
}

/// A folder of this machine, or one that several machines share.
#[derive(Debug)]
pub struct LogFolder {
    path: PathBuf,
    location: String,
}

impl LogFolder {
    /// Opens the folder, made where it is missing.
    ///
    /// # Errors
    /// [`Error::Local`].
    pub fn open(path: PathBuf) -> Result<Self> {
        let folder = Self::new(path);
        folder.create()?;
        Ok(folder)
    }

    /// The folder, which is not looked at.
    pub fn new(path: PathBuf) -> Self {
        Self {
            location: path.display().to_string(),
            path,
        }
    }

    /// Makes the folder where it is missing.
    ///
    /// # Errors
    /// [`Error::Local`].
    pub fn create(&self) -> Result<()> {
        durable::make_folder(&self.path).map_err(Error::of_vault(format!(
            "make the folder {}",
            self.location
        )))
    }

    fn try_write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let folder = path.parent().unwrap_or(&self.path);
        durable::make_folder(folder)?;
        // An audit passes over names that begin with a dot, as those have that are not whole yet.
        durable::replace(path, bytes)
    }
}

impl LogFiles for LogFolder {
    fn location(&self) -> &str {
        &self.location
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let path = self.path.join(name);
        let mut bytes = Vec::new();
        let read = OpenOptions::new()
            .read(true)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .and_then(|file| {
                file.take(BUNDLE_LIMIT_BYTES as u64 + 1)
                    .read_to_end(&mut bytes)
            });
        match read {
            Ok(_) if bytes.len() <= BUNDLE_LIMIT_BYTES => Ok(Some(bytes)),
            Ok(_) => Err(Error::Log {
                reason: format!("{} is larger than any file of a log", path.display()),
            }),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(Error::of_vault(format!("read {}", path.display()))(error)),
        }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.path.join(name);
        let mut written = self.try_write(&path, bytes);
        if written.as_ref().is_err_and(is_absent) {
            // Another process has just removed the folder of partial files.
            written = self.try_write(&path, bytes);
        }
        written.map_err(Error::of_vault(format!("write {}", path.display())))
    }

    fn remove_partial(&self, name: &str) {
        let path = self.path.join(format!("{name}.p"));
        match fs::remove_dir_all(&path) {
            Ok(()) => {}
            Err(error) if is_absent(&error) => {}
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "Partial tiles stay behind");
            }
        }
    }
}

/// A log in a bucket.
impl LogFiles for S3Files {
    fn location(&self) -> &str {
        Self::location(self)
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        Ok(Self::read(self, name, BUNDLE_LIMIT_BYTES)?)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        Ok(Self::write(self, name, bytes)?)
    }

    fn remove_partial(&self, name: &str) {
        if let Err(error) = self.remove_all(&format!("{name}.p/")) {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(name, error, "Partial tiles stay behind");
        }
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
