//! Files that are written under a passing name and then appear whole under their own.
//!
//! The passing name begins with a dot and is no id: restic, rustic and our own listings pass over
//! it. A process that is killed leaves such files behind; [`sweep`] removes them later.

use std::fs::File;
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::time::{Duration, SystemTime};

use data_encoding::HEXLOWER;
use rustix::fs::{AtFlags, Mode, OFlags, RawDir, RenameFlags};
use rustix::io::Errno;

use crate::local::folder;
use crate::pulse::Pulse;

/// How temporary names begin.
const PREFIX: &str = ".tmp-";

/// How much is written at a time, so that a slow disk is seen to move.
const STEP_BYTES: usize = 1 << 20;

/// A written and synced file that has not got its name yet; dropping it removes it.
#[derive(Debug)]
pub(super) struct Temporary<'a> {
    folder: &'a OwnedFd,
    name: String,
    /// Whether the temporary name still stands for the file.
    named: bool,
}

impl<'a> Temporary<'a> {
    /// Writes all of `bytes` and makes them durable.
    pub(super) fn write(
        folder: &'a OwnedFd,
        bytes: &[u8],
        mode: Mode,
        pulse: &Pulse,
    ) -> rustix::io::Result<Self> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|_| Errno::IO)?;
        let name = format!("{PREFIX}{}", HEXLOWER.encode(&random));
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(folder, name.as_str(), flags, mode)?);
        let temporary = Self {
            folder,
            name,
            named: true,
        };
        for step in bytes.chunks(STEP_BYTES) {
            file.write_all(step)
                .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
            pulse.beat();
        }
        rustix::fs::fsync(&file)?;
        if rustix::fs::fstat(&file)?.st_size as u64 != bytes.len() as u64 {
            return Err(Errno::IO);
        }
        Ok(temporary)
    }

    /// Gives the file its name; `EEXIST` where the name is taken.
    pub(super) fn publish(mut self, base: &str) -> rustix::io::Result<()> {
        let (folder, name) = (self.folder, self.name.as_str());
        match rustix::fs::renameat_with(folder, name, folder, base, RenameFlags::NOREPLACE) {
            Ok(()) => self.named = false,
            // NFS and some FUSE filesystems cannot rename without clobbering; they can link.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                rustix::fs::linkat(folder, name, folder, base, AtFlags::empty())?;
            }
            Err(errno) => return Err(errno),
        }
        Ok(())
    }

    /// Gives the file its name in place of whatever had it.
    pub(super) fn publish_over(mut self, base: &str) -> rustix::io::Result<()> {
        rustix::fs::renameat(self.folder, self.name.as_str(), self.folder, base)?;
        self.named = false;
        Ok(())
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if self.named {
            // Where even this fails, the next sweep finds it.
            let _ = rustix::fs::unlinkat(self.folder, self.name.as_str(), AtFlags::empty());
        }
    }
}

/// Removes the temporary files of a folder that were last written before `older_than`.
pub(super) fn sweep(folder: &OwnedFd, older_than: SystemTime) -> rustix::io::Result<u64> {
    let mut buffer = vec![MaybeUninit::uninit(); 16 << 10];
    let mut names = RawDir::new(folder, &mut buffer);
    let mut count = 0;
    while let Some(entry) = names.next() {
        let entry = entry?;
        if !entry.file_name().to_bytes().starts_with(PREFIX.as_bytes()) {
            continue;
        }
        let removed = rustix::fs::statat(folder, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)
            .and_then(|stat| {
                let age = Duration::from_secs(u64::try_from(stat.st_mtime).unwrap_or_default());
                let old = SystemTime::UNIX_EPOCH + age < older_than;
                if old {
                    rustix::fs::unlinkat(folder, entry.file_name(), AtFlags::empty())?;
                }
                Ok(old)
            });
        match removed {
            Ok(true) => count += 1,
            Ok(false) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    if count > 0 {
        folder::sync(folder)?;
    }
    Ok(count)
}
