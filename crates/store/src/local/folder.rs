//! Folders and files of a repository, opened step by step so that no link leads out of it.
//!
//! Only the root itself may be reached through links: it is the path that the owner wrote. Below
//! it every name is opened with `O_NOFOLLOW`, relative to the folder that was opened before.

use std::fs::{DirBuilder, File};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rustix::fs::{Advice, AtFlags, CWD, FileType as NodeType, Mode, OFlags};
use rustix::io::Errno;
use strongroom_model::FileName;

use crate::local::durable;
use crate::pulse::Pulse;

/// The mode of a folder that only its owner may enter.
const PRIVATE_FOLDER: u32 = 0o700;

/// How many bytes are compared at a time.
const COMPARE_BYTES: usize = 128 << 10;

/// Where a file lies: its folder, relative to the root, and its name in it.
#[derive(Debug)]
pub(super) struct Place {
    /// Such as `data/3f` or `keys`; empty for the root.
    pub(super) folder: String,
    /// 64 hexadecimal digits, or `config`.
    pub(super) base: String,
}

impl Place {
    /// The place of a file in restic's layout.
    pub(super) fn of(name: FileName) -> Self {
        let folder = name.kind().folder();
        let Some(id) = name.id() else {
            return Self {
                folder: String::new(),
                base: folder.to_owned(),
            };
        };
        let base = id.to_string();
        let folder = match name.kind() {
            strongroom_model::FileType::Data => {
                format!("{folder}/{}", base.get(..2).unwrap_or_default())
            }
            _ => folder.to_owned(),
        };
        Self { folder, base }
    }
}

/// The modes of what is made: private, or readable by the group where `config` is, as restic does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Modes {
    pub(super) file: Mode,
    pub(super) folder: Mode,
}

impl Modes {
    /// For what its owner alone may read.
    pub(super) const PRIVATE: Self = Self {
        file: Mode::RUSR,
        folder: Mode::from_raw_mode(PRIVATE_FOLDER),
    };

    /// The modes for the repository at `root`.
    pub(super) fn of(root: &Path) -> Self {
        let group = rustix::fs::lstat(root.join("config"))
            .is_ok_and(|stat| Mode::from_raw_mode(stat.st_mode).contains(Mode::RGRP));
        if group {
            Self {
                file: Mode::RUSR | Mode::RGRP,
                folder: Mode::RWXU | Mode::RWXG,
            }
        } else {
            Self::PRIVATE
        }
    }
}

/// Opens a folder below `root`.
pub(super) fn open(root: &Path, relative: &str) -> rustix::io::Result<OwnedFd> {
    let mut folder = open_root(root)?;
    for part in parts(relative) {
        folder = open_child(&folder, part)?;
    }
    Ok(folder)
}

/// What was opened; `None` where it does not exist.
pub(super) fn exists<T>(opened: rustix::io::Result<T>) -> rustix::io::Result<Option<T>> {
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Opens a folder below `root`, which itself must exist, and makes what is missing, durably.
pub(super) fn open_or_make(root: &Path, relative: &str, mode: Mode) -> rustix::io::Result<OwnedFd> {
    let mut folder = open_root(root)?;
    for part in parts(relative) {
        folder = match open_child(&folder, part) {
            Err(Errno::NOENT) => {
                make_child(&folder, part, mode)?;
                sync(&folder)?;
                open_child(&folder, part)?
            }
            opened => opened?,
        };
    }
    Ok(folder)
}

/// Opens a folder in another, made where it is missing, that outlasts a power cut when this returns:
/// also one that somebody else has made a moment ago and not synchronised yet.
pub(super) fn open_or_make_in(
    parent: impl AsFd,
    part: &str,
    mode: Mode,
) -> rustix::io::Result<OwnedFd> {
    let folder = match open_child(&parent, part) {
        Err(Errno::NOENT) => {
            make_child(&parent, part, mode)?;
            open_child(&parent, part)?
        }
        opened => opened?,
    };
    sync(parent)?;
    Ok(folder)
}

/// Makes a folder whose parent exists; one that is there already is left as it is.
pub(super) fn make(root: &Path, relative: &str, mode: Mode) -> rustix::io::Result<()> {
    let (parent, part) = relative.rsplit_once('/').unwrap_or(("", relative));
    make_child(&open(root, parent)?, part, mode)
}

/// Makes the root itself, and what leads to it.
pub(super) fn make_root(root: &Path) -> std::io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(PRIVATE_FOLDER)
        .create(root)
}

/// Makes durable that the root is there, and what folders are in it.
pub(super) fn sync_root(root: &Path) -> rustix::io::Result<()> {
    sync(open_root(root)?)?;
    match open_root(&root.join("..")) {
        // Who may not read the parent did not make anything in it either.
        Err(Errno::ACCESS) => Ok(()),
        parent => sync(parent?),
    }
}

/// The bytes that this user may still write at `path`.
pub(super) fn free_bytes(path: &Path) -> rustix::io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Makes the names in a folder durable.
///
/// Some network filesystems cannot do that and say so; there is nothing more to be had there.
pub(super) fn sync(folder: impl AsFd) -> rustix::io::Result<()> {
    match durable::sync(folder) {
        Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(()),
        synced => synced,
    }
}

/// Opens a regular file for reading and tells its size.
pub(super) fn open_regular(folder: impl AsFd, base: &str) -> rustix::io::Result<(File, u64)> {
    // Without O_NONBLOCK, a fifo under the name would make this wait for ever.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(folder, base, flags, Mode::empty())?;
    let size_bytes = size_of_regular(&rustix::fs::fstat(&file)?)?;
    Ok((File::from(file), size_bytes))
}

/// Lets the system forget what it has of a file in memory, so that what is read next comes from the
/// disk.
///
/// What is not on the disk yet stays in memory, and so does all of it where memory is all there is
/// (tmpfs). Where the system takes no such advice there is nothing more to be had.
///
/// It will be read from front to back, so that the system may read ahead far: whoever reads several
/// files by turns has the disk of one go on while he looks at another.
pub(super) fn forget_cached(file: impl AsFd) {
    let _ = rustix::fs::fadvise(&file, 0, None, Advice::DontNeed);
    let _ = rustix::fs::fadvise(&file, 0, None, Advice::Sequential);
}

/// The size of a regular file.
pub(super) fn regular_size(folder: &OwnedFd, base: &str) -> rustix::io::Result<u64> {
    size_of_regular(&rustix::fs::statat(
        folder,
        base,
        AtFlags::SYMLINK_NOFOLLOW,
    )?)
}

/// Whether a name stands for exactly these bytes, which are then durable; `None` where it is free.
pub(super) fn holds(
    folder: &OwnedFd,
    base: &str,
    bytes: &[u8],
    pulse: &Pulse,
) -> rustix::io::Result<Option<bool>> {
    let (mut file, size_bytes) = match open_regular(folder, base) {
        Ok(opened) => opened,
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP | Errno::NXIO | Errno::ISDIR | Errno::INVAL) => return Ok(Some(false)),
        Err(errno) => return Err(errno),
    };
    if size_bytes != bytes.len() as u64 {
        return Ok(Some(false));
    }
    let mut buffer = vec![0; COMPARE_BYTES];
    for expected in bytes.chunks(COMPARE_BYTES) {
        let Some(stored) = buffer.get_mut(..expected.len()) else {
            return Ok(Some(false));
        };
        pulse.beat();
        match file.read_exact(stored) {
            Ok(()) if stored == expected => {}
            Ok(()) => return Ok(Some(false)),
            Err(error) => return Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
        }
    }
    // Another process may have renamed it a moment ago and not have synced yet.
    durable::sync(&file)?;
    sync(folder)?;
    Ok(Some(true))
}

/// The size, where this is a regular file; `EINVAL` otherwise.
fn size_of_regular(stat: &rustix::fs::Stat) -> rustix::io::Result<u64> {
    if NodeType::from_raw_mode(stat.st_mode) == NodeType::RegularFile {
        u64::try_from(stat.st_size).map_err(|_| Errno::INVAL)
    } else {
        Err(Errno::INVAL)
    }
}

fn parts(relative: &str) -> impl Iterator<Item = &str> {
    relative.split('/').filter(|part| !part.is_empty())
}

fn open_root(root: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, root, flags, Mode::empty())
}

/// Opens a folder in another.
pub(super) fn open_child(folder: impl AsFd, part: &str) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(folder, part, flags, Mode::empty())
}

fn make_child(folder: impl AsFd, part: &str, mode: Mode) -> rustix::io::Result<()> {
    match rustix::fs::mkdirat(folder, part, mode) {
        Err(Errno::EXIST) => Ok(()),
        made => made,
    }
}
