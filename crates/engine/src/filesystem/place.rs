//! One file's metadata beyond `stat`, read and set without ever following a symbolic link.
//!
//! Linux has no calls for attributes or modes relative to a folder that all kernels know, so a
//! file that is not open is named through `/proc/self/fd/N/name`: the link to the open folder is
//! the kernel's own, and the last component is not followed.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::buffer::spare_capacity;
use rustix::fs::{
    AtFlags, CWD, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags, chmodat, chownat,
    fchmod, fchown, fgetxattr, flistxattr, fremovexattr, fsetxattr, futimens, lgetxattr,
    llistxattr, lremovexattr, lsetxattr, openat, utimensat,
};
use rustix::io::{Errno, Result};
use strongroom_repo::node::{ExtendedAttribute, NodeTime};

/// A file, open or by its name in an open folder.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    Open(BorrowedFd<'a>),
    Named {
        folder: BorrowedFd<'a>,
        name: &'a CStr,
    },
}

/// What the kernel allows at most for one value and for one list.
const ATTRIBUTE_BYTES: usize = 65_536;

impl Place<'_> {
    /// The names of all attributes, each ended by NUL; empty where there can be none.
    pub(super) fn attribute_names(self) -> Result<Vec<u8>> {
        let names = with_buffer(|buffer| match self {
            Self::Open(file) => flistxattr(file, spare_capacity(buffer)),
            Self::Named { folder, name } => {
                llistxattr(proc_path(folder, Some(name)), spare_capacity(buffer))
            }
        });
        match names {
            Err(Errno::OPNOTSUPP | Errno::NODATA) => Ok(Vec::new()),
            names => names,
        }
    }

    pub(super) fn attribute(self, attribute: &CStr) -> Result<Vec<u8>> {
        with_buffer(|buffer| match self {
            Self::Open(file) => fgetxattr(file, attribute, spare_capacity(buffer)),
            Self::Named { folder, name } => {
                let path = proc_path(folder, Some(name));
                lgetxattr(path, attribute, spare_capacity(buffer))
            }
        })
    }

    pub(super) fn set_attribute(self, attribute: &ExtendedAttribute) -> Result<()> {
        let value = attribute.value.as_deref().unwrap_or_default();
        let (key, flags) = (&*attribute.name, XattrFlags::empty());
        match self {
            Self::Open(file) => fsetxattr(file, key, value, flags),
            Self::Named { folder, name } => {
                lsetxattr(proc_path(folder, Some(name)), key, value, flags)
            }
        }
    }

    pub(super) fn remove_attribute(self, attribute: &CStr) -> Result<()> {
        match self {
            Self::Open(file) => fremovexattr(file, attribute),
            Self::Named { folder, name } => lremovexattr(proc_path(folder, Some(name)), attribute),
        }
    }

    pub(super) fn set_owner(self, uid: u32, gid: u32) -> Result<()> {
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        match self {
            Self::Open(file) => fchown(file, uid, gid),
            Self::Named { folder, name } => {
                chownat(folder, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
            }
        }
    }

    /// Sets the mode of anything but a symbolic link, which has none.
    pub(super) fn set_mode(self, mode: u32) -> Result<()> {
        let mode = Mode::from_raw_mode(mode);
        match self {
            Self::Open(file) => fchmod(file, mode),
            Self::Named { folder, name } => {
                let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = openat(folder, name, flags, Mode::empty())?;
                chmodat(CWD, proc_path(file.as_fd(), None), mode, AtFlags::empty())
            }
        }
    }

    pub(super) fn set_times(self, atime: &NodeTime, mtime: &NodeTime) -> Result<()> {
        let times = Timestamps {
            last_access: timespec(atime),
            last_modification: timespec(mtime),
        };
        match self {
            Self::Open(file) => futimens(file, &times),
            Self::Named { folder, name } => {
                utimensat(folder, name, &times, AtFlags::SYMLINK_NOFOLLOW)
            }
        }
    }
}

/// Splits what [`Place::attribute_names`] returned.
pub(super) fn split_names(list: &[u8]) -> impl Iterator<Item = &CStr> {
    let names = list.split_inclusive(|byte| *byte == 0);
    names.filter_map(|name| CStr::from_bytes_with_nul(name).ok())
}

/// Calls with a small buffer first, since most lists and values are small.
fn with_buffer(call: impl Fn(&mut Vec<u8>) -> Result<usize>) -> Result<Vec<u8>> {
    let mut buffer = Vec::with_capacity(512);
    match call(&mut buffer) {
        Err(Errno::RANGE) => {
            buffer = Vec::with_capacity(ATTRIBUTE_BYTES);
            call(&mut buffer)?;
        }
        other => {
            other?;
        }
    }
    Ok(buffer)
}

fn timespec(time: &NodeTime) -> Timespec {
    Timespec {
        tv_sec: time.secs,
        tv_nsec: time.nanos.into(),
    }
}

fn proc_path(file: BorrowedFd<'_>, name: Option<&CStr>) -> CString {
    let mut path = format!("/proc/self/fd/{}", file.as_raw_fd()).into_bytes();
    if let Some(name) = name {
        path.push(b'/');
        path.extend_from_slice(name.to_bytes());
    }
    CString::new(path).unwrap_or_default()
}
