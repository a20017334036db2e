//! Files that are written under a passing name, or under none, and then appear whole under their own.
//!
//! The passing name begins with a dot and is no id: restic, rustic and our own listings pass over
//! it. A process that is killed leaves such files behind; [`sweep`] removes them later. Of one
//! without a name nothing is left; but not every file system has those, and to name one takes a link,
//! which a machine may forbid.

use std::fs::File;
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use data_encoding::HEXLOWER;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir, RenameFlags};
use rustix::io::Errno;

use crate::local::{durable, folder};

/// How temporary names begin.
const PREFIX: &str = ".tmp-";

/// A file that is being written; dropping it removes it, unless it has got its name.
#[derive(Debug)]
pub(super) struct Temporary<F: AsFd> {
    folder: F,
    /// The passing name, where it has one and as long as that stands for the file.
    name: Option<String>,
    file: File,
    written_bytes: u64,
    /// Counts all that were begun in this process, in the order in which their files were opened.
    began: u64,
}

impl<F: AsFd> Temporary<F> {
    /// Begins an empty file.
    pub(super) fn create(folder: F, mode: Mode) -> rustix::io::Result<Self> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|_| Errno::IO)?;
        let name = format!("{PREFIX}{}", HEXLOWER.encode(&random));
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&folder, name.as_str(), flags, mode)?;
        Ok(Self::of(folder, Some(name), file.into()))
    }

    /// Begins an empty file without any name, which is gone with this process unless
    /// [`Temporary::name`] gives it one; fails where the file system has no such files.
    pub(super) fn nameless(folder: F, mode: Mode) -> rustix::io::Result<Self> {
        let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&folder, ".", flags, mode)?;
        Ok(Self::of(folder, None, file.into()))
    }

    fn of(folder: F, name: Option<String>, file: File) -> Self {
        static BEGUN: AtomicU64 = AtomicU64::new(0);
        Self {
            folder,
            name,
            file,
            written_bytes: 0,
            // Behind the opening: whoever has a later one has not written anything before it.
            began: BEGUN.fetch_add(1, Ordering::SeqCst),
        }
    }

    /// Appends bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> rustix::io::Result<()> {
        self.file
            .write_all(bytes)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        self.written_bytes += bytes.len() as u64;
        Ok(())
    }

    /// Makes the file durable and gives it its name; `EEXIST` where the name is taken.
    ///
    /// The name itself is durable when its folder has been synced.
    pub(super) fn publish(mut self, base: &str) -> rustix::io::Result<()> {
        self.sync()?;
        let (folder, name) = (&self.folder, self.passing()?);
        match rustix::fs::renameat_with(folder, name, folder, base, RenameFlags::NOREPLACE) {
            Ok(()) => self.name = None,
            // NFS and some FUSE filesystems cannot rename without clobbering; they can link.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                rustix::fs::linkat(folder, name, folder, base, AtFlags::empty())?;
            }
            Err(errno) => return Err(errno),
        }
        Ok(())
    }

    /// As [`Temporary::publish`], in place of whatever had the name, and in any folder of the same
    /// file system.
    pub(super) fn publish_over(mut self, folder: impl AsFd, base: &str) -> rustix::io::Result<()> {
        self.sync()?;
        rustix::fs::renameat(&self.folder, self.passing()?, folder, base)?;
        self.name = None;
        Ok(())
    }

    /// Gives the file its name before anything of it is durable; `false` where the name is taken,
    /// or the file system cannot tell.
    pub(super) fn name(&mut self, folder: impl AsFd, base: &str) -> rustix::io::Result<bool> {
        let named = match &self.name {
            Some(passing) => {
                let flags = RenameFlags::NOREPLACE;
                rustix::fs::renameat_with(&self.folder, passing.as_str(), folder, base, flags)
            }
            None => link_open(&self.file, folder, base, &ONLY_BY_PROC),
        };
        match named {
            Ok(()) => {
                self.name = None;
                Ok(true)
            }
            Err(Errno::EXIST | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// The passing name.
    fn passing(&self) -> rustix::io::Result<&str> {
        self.name.as_deref().ok_or(Errno::NOENT)
    }

    /// Makes all of it durable, and makes sure that it is all of it.
    pub(super) fn sync(&self) -> rustix::io::Result<()> {
        durable::sync(&self.file)?;
        self.check_size()
    }

    /// Fails where the file has not got all that was written.
    pub(super) fn check_size(&self) -> rustix::io::Result<()> {
        match rustix::fs::fstat(&self.file)?.st_size as u64 == self.written_bytes {
            true => Ok(()),
            false => Err(Errno::IO),
        }
    }

    /// Its place among all that were begun in this process: whatever has a later one was written
    /// after the file of this one was opened.
    pub(super) const fn began(&self) -> u64 {
        self.began
    }

    /// The file itself.
    pub(super) const fn file(&self) -> &File {
        &self.file
    }
}

impl<F: AsFd> Drop for Temporary<F> {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // Where even this fails, the next sweep finds it.
            let _ = rustix::fs::unlinkat(&self.folder, name.as_str(), AtFlags::empty());
        }
    }
}

/// Whether Linux has refused to link a file by itself.
static ONLY_BY_PROC: AtomicBool = AtomicBool::new(false);

/// Links a file that is open and has no name.
///
/// Linux does so by the file itself for whoever has `CAP_DAC_READ_SEARCH`, and from 6.10 on for whoever
/// opened it, as open(2) and link(2) have it; for all others there is its entry in `/proc`, where that is
/// mounted. To look that entry up takes as long as to link.
fn link_open(
    file: &File,
    folder: impl AsFd,
    base: &str,
    only_by_proc: &AtomicBool,
) -> rustix::io::Result<()> {
    if !only_by_proc.load(Ordering::Relaxed) {
        match rustix::fs::linkat(file, "", &folder, base, AtFlags::EMPTY_PATH) {
            // So it is refused; a folder that is gone says the same.
            Err(Errno::NOENT) => {}
            linked => return linked,
        }
    }
    let open = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::fs::linkat(CWD, open, folder, base, AtFlags::SYMLINK_FOLLOW)?;
    only_by_proc.store(true, Ordering::Relaxed);
    Ok(())
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

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn nameless(folder: &File) -> Temporary<&File> {
        let mut temporary = Temporary::nameless(folder, Mode::RUSR | Mode::WUSR).unwrap();
        temporary.write(b"pack").unwrap();
        temporary
    }

    #[test]
    fn a_nameless_file_gets_its_name_by_itself_or_by_its_entry_in_proc() {
        let folder = TempDir::new().unwrap();
        let open = File::open(folder.path()).unwrap();
        for (base, only_by_proc) in [("one", false), ("two", true)] {
            let refused = AtomicBool::new(only_by_proc);
            let temporary = nameless(&open);
            link_open(&temporary.file, &open, base, &refused).unwrap();
            let taken = link_open(&nameless(&open).file, &open, base, &refused);
            assert_eq!(taken, Err(Errno::EXIST));
            assert_eq!(std::fs::read(folder.path().join(base)).unwrap(), b"pack");
        }
    }

    #[test]
    fn a_folder_that_is_gone_refuses_nothing_for_others() {
        let folder = TempDir::new().unwrap();
        let open = File::open(folder.path()).unwrap();
        let temporary = nameless(&open);
        let gone = folder.path().join("gone");
        std::fs::create_dir(&gone).unwrap();
        let open_gone = File::open(&gone).unwrap();
        std::fs::remove_dir(&gone).unwrap();
        let only_by_proc = AtomicBool::new(false);
        let linked = link_open(&temporary.file, &open_gone, "one", &only_by_proc);
        assert_eq!(linked, Err(Errno::NOENT));
        assert!(!only_by_proc.into_inner());
    }
}
