//! Files of the state folder: whole or not there, whatever crashes.
//!
//! Every write is made under the lock, so that one temporary name for each folder is enough: what
//! a killed process left under it is overwritten by the next write.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags, flock};
use zeroize::Zeroizing;

use crate::state::{Seed, local};
use crate::{Error, Result};

/// The right to write in the state folder, until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    /// The kernel lets go of the lock when the file is closed, also for a process that was killed.
    _file: File,
}

/// That no other process of this machine does the same, until it is dropped.
#[derive(Debug)]
pub(crate) struct Alone {
    /// As that of [`Lock`].
    _file: File,
}

/// A file that nobody else may read.
pub(crate) enum SecretFile {
    /// There is none.
    Missing,
    /// It has not 32 bytes.
    Damaged,
    /// Its bytes.
    Read(Seed),
}

/// More than this is no file of ours.
const MAX_FILE_BYTES: u64 = 1 << 30;
/// Where bytes lie until they are complete.
const TEMPORARY: &str = ".writing";
/// How long to wait for another process, and in which steps.
const LOCK_STEP: Duration = Duration::from_millis(10);
const LOCK_STEPS: u32 = 1000;

impl Lock {
    /// Waits for the lock, ten seconds at most.
    pub(crate) fn take(root: &Path) -> Result<Self> {
        let path = root.join("lock");
        Self::try_take(root, &path).map_err(local("lock", &path))
    }

    fn try_take(root: &Path, path: &Path) -> io::Result<Self> {
        create_folder(root)?;
        let file = open_to_lock(path)?;
        for _ in 0..LOCK_STEPS {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { _file: file }),
                Err(rustix::io::Errno::WOULDBLOCK) => std::thread::park_timeout(LOCK_STEP),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        let busy = "another process has held it for ten seconds";
        Err(io::Error::new(ErrorKind::TimedOut, busy))
    }
}

impl Alone {
    /// Takes the lock of a file of its own; `None` where another process has it.
    pub(crate) fn take(path: &Path) -> Result<Option<Self>> {
        let try_take = || -> io::Result<Option<Self>> {
            create_folder(path.parent().unwrap_or(Path::new(".")))?;
            let file = open_to_lock(path)?;
            loop {
                match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                    Ok(()) => return Ok(Some(Self { _file: file })),
                    Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
                    Err(rustix::io::Errno::INTR) => {}
                    Err(errno) => return Err(errno.into()),
                }
            }
        };
        try_take().map_err(local("lock", path))
    }
}

/// Opens a file that is there to be locked, and makes it where it is not.
fn open_to_lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

/// Writes a file so that after a crash there is the old one or the new one.
pub(crate) fn write(_lock: &Lock, path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let temporary = folder.join(TEMPORARY);
    let try_write = || {
        create_folder(folder)?;
        remove_if_there(&temporary)?;
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        File::open(folder)?.sync_all()
    };
    try_write().map_err(local("write", path))
}

/// Reads a file; `None` where there is none.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let try_read = || {
        let Some(file) = open(path)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(io::Error::new(ErrorKind::FileTooLarge, "it is too large"));
        }
        Ok(Some(bytes))
    };
    try_read().map_err(local("read", path))
}

/// Reads a secret of 32 bytes.
///
/// **Security:** a key that others can read may have been copied, and would then vouch for what
/// they say; so it is refused and not quietly put right.
pub(crate) fn read_secret(path: &Path) -> Result<SecretFile> {
    let failed = |error| local("read", path)(error);
    let Some(mut file) = open(path).map_err(failed)? else {
        return Ok(SecretFile::Missing);
    };
    let mode = file.metadata().map_err(failed)?.mode();
    if mode & 0o077 != 0 {
        return Err(Error::OpenToOthers {
            path: path.to_owned(),
        });
    }
    let mut seed = Seed::default();
    let mut rest = Zeroizing::new([0]);
    match file.read_exact(seed.as_mut_slice()) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(SecretFile::Damaged),
        Err(error) => return Err(failed(error)),
    }
    match file.read(rest.as_mut_slice()).map_err(failed)? {
        0 => Ok(SecretFile::Read(seed)),
        _ => Ok(SecretFile::Damaged),
    }
}

/// Removes a file, which need not be there.
pub(crate) fn remove(_lock: &Lock, path: &Path) -> Result<()> {
    remove_if_there(path).map_err(local("remove", path))
}

/// Puts a file that makes no sense out of the way, for people to look at.
pub(crate) fn set_aside(_lock: &Lock, path: &Path) -> Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".damaged");
    tracing::warn!(file = %path.display(), "A file of the state folder is damaged and was set aside");
    std::fs::rename(path, &aside).map_err(local("set aside", path))
}

fn open(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    let opened = options
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path);
    match opened {
        Ok(file) => Ok(Some(file)),
        // Nor is there anything below what is no folder.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn create_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}
