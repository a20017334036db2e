//! A folder of a restore's target: makes files in it, and gives them their metadata.
//!
//! **Security:** names come from a repository. Each is one path component, checked again here,
//! and nothing is opened or changed through a symbolic link, so that neither a hostile tree nor a
//! user who can write in the target leads a restore out of it. What is being made has a passing
//! name that nobody can guess: a snapshot may hold any name, and a file of an intruder that was
//! restored over somebody else's unfinished one would get the name of that one.
//!
//! Metadata has an order. The owner first, since changing it clears setuid and capabilities; then
//! attributes and ACLs; then the mode, which an ACL would change; times last. A folder gets its
//! metadata after all that it holds, since making a file changes its times, and a mode without
//! write permission would let nothing be made.

use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::HEXLOWER;
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, linkat, mkdirat, mknodat, openat, openat2,
    renameat, symlinkat, syncfs, unlinkat,
};
use rustix::io::{Errno, Result as IoResult};
use strongroom_repo::node::{Node, NodeKind, is_safe_name};

use crate::filesystem::place::{Place, split_names};
use crate::filesystem::{Folder, FsError, RestoreProblem, TargetFile, told};

/// An open folder of a restore's target.
#[derive(Debug, Clone)]
pub struct TargetFolder {
    fd: Arc<OwnedFd>,
    /// For messages; cut where it is too long.
    path: PathBuf,
}

/// How the names of what is being made begin.
const TEMPORARY_PREFIX: &str = ".strongroom-";

/// The longest path that a system call takes, without the NUL at its end.
const MAX_STEP_BYTES: usize = 4095;

const OPEN_FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

impl TargetFolder {
    /// Opens the root of a target, and makes it and the folders above it where they are missing.
    pub fn create(path: &Path) -> Result<Self, FsError> {
        let made = std::fs::create_dir_all(path);
        made.map_err(|error| FsError::io("create the folder", path, error))?;
        // A person may name the target through a symbolic link; nothing below it is followed.
        let flags = OPEN_FOLDER.difference(OFlags::NOFOLLOW);
        let fd = openat(CWD, path, flags, Mode::empty());
        let fd = fd.map_err(|error| FsError::io("open the folder", path, error))?;
        Ok(Self {
            fd: Arc::new(fd),
            path: path.to_owned(),
        })
    }

    /// Where the folder is; for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> Result<bool, FsError> {
        // Opened anew, since a listing moves the place in an open folder.
        let fd = openat(&self.fd, c".", OPEN_FOLDER, Mode::empty());
        let fd = fd.map_err(|error| FsError::io("open the folder", &self.path, error))?;
        let listing = Folder::from_fd(fd, &self.path).list()?;
        Ok(listing.entries.is_empty() && listing.problems.is_empty())
    }

    /// Makes a folder, or opens the one that is there; anything else of that name is removed.
    /// Until [`TargetFolder::finish`] only its owner can enter it.
    pub fn create_folder(&self, name: &[u8]) -> Result<Self, FsError> {
        let (name, path) = self.component(name)?;
        let failed = |error| FsError::io("create the folder", &path, error);
        let make = || mkdirat(&self.fd, &name, Mode::RWXU);
        let open = || openat(&self.fd, &name, OPEN_FOLDER, Mode::empty());
        let fd = match make() {
            Ok(()) => open().map_err(failed)?,
            Err(Errno::EXIST) => match open() {
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    unlinkat(&self.fd, &name, AtFlags::empty()).map_err(failed)?;
                    make().map_err(failed)?;
                    open().map_err(failed)?
                }
                other => other.map_err(failed)?,
            },
            Err(error) => return Err(failed(error)),
        };
        let fd = Arc::new(fd);
        Ok(Self { fd, path })
    }

    /// Opens a folder that was made before, by its path below this one without a slash before or
    /// after it; empty for this one itself.
    pub fn descend(&self, relative: &[u8]) -> Result<Self, FsError> {
        if relative.is_empty() {
            return Ok(self.clone());
        }
        for name in relative.split(|byte| *byte == b'/') {
            self.component(name)?;
        }
        let path = self.path_of(relative);
        let failed = |error| FsError::io("open the folder", &path, error);
        let (mut fd, mut rest) = (Arc::clone(&self.fd), relative);
        while !rest.is_empty() {
            let (step, after) = first_step(rest);
            fd = Arc::new(open_below(fd.as_fd(), step).map_err(failed)?);
            rest = after;
        }
        Ok(Self { fd, path })
    }

    /// Begins a file of that name; it appears, or replaces what is there, when it is finished.
    pub fn create_file(&self, name: &[u8]) -> Result<TargetFile, FsError> {
        let (name, path) = self.component(name)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let open = |temporary: &CStr| openat(&self.fd, temporary, flags, mode);
        let (temporary, fd) = self.temporary(&path, "create", open)?;
        Ok(TargetFile::new(
            self.clone(),
            fd.into(),
            temporary,
            name,
            path,
        ))
    }

    /// Makes a symbolic link, device or fifo with its metadata, in the place of what is there.
    ///
    /// What cannot be made at all (sockets, unknown kinds, devices without root) and metadata
    /// that cannot be set go to `problems`. Returns whether it was made.
    pub fn create_special(&self, node: &Node, problems: &mut Vec<RestoreProblem>) -> bool {
        let made = self.try_special(node, problems);
        let failure = made.err();
        let is_made = failure.is_none();
        problems.extend(failure.map(RestoreProblem::from));
        is_made
    }

    /// Opens a regular file that was restored, to read it back; a symbolic link is refused.
    pub fn open_file(&self, name: &[u8]) -> Result<File, FsError> {
        let (name, path) = self.component(name)?;
        // A fifo that took the name does not block.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = openat(&self.fd, &name, flags, Mode::empty());
        let fd = opened.map_err(|error| FsError::io("open", &path, error))?;
        Ok(fd.into())
    }

    /// Gives a file that is finished another name, in the place of what is there.
    pub fn hard_link(
        &self,
        name: &[u8],
        original_folder: &Self,
        original_name: &[u8],
    ) -> Result<(), FsError> {
        let (name, path) = self.component(name)?;
        let (original, _) = original_folder.component(original_name)?;
        let link = |to: &CStr| {
            linkat(
                &original_folder.fd,
                &original,
                &self.fd,
                to,
                AtFlags::empty(),
            )
        };
        match link(&name) {
            Err(Errno::EXIST) => {
                let (temporary, ()) = self.temporary(&path, "link", link)?;
                let renamed = self.rename(&temporary, &name, &path);
                // Renaming does nothing when both are the same file already.
                let _ = unlinkat(&self.fd, &temporary, AtFlags::empty());
                renamed
            }
            other => other.map_err(|error| FsError::io("link", &path, error)),
        }
    }

    /// Gives the folder itself its metadata, after all that it holds has been made.
    pub fn finish(&self, node: &Node, problems: &mut Vec<RestoreProblem>) {
        set_metadata(Place::Open(self.fd.as_fd()), node, &self.path, problems);
    }

    /// Makes everything durable that was written to the filesystem of this folder.
    pub fn sync(&self) -> Result<(), FsError> {
        syncfs(&self.fd).map_err(|error| FsError::io("write to disk", &self.path, error))
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) fn rename(&self, from: &CStr, to: &CStr, path: &Path) -> Result<(), FsError> {
        let renamed = renameat(&self.fd, from, &self.fd, to);
        renamed.map_err(|error| FsError::io("replace", path, error))
    }

    fn try_special(&self, node: &Node, problems: &mut Vec<RestoreProblem>) -> Result<(), FsError> {
        let (name, path) = self.component(&node.name)?;
        let mode = Mode::RUSR | Mode::WUSR;
        let device = |kind| move |to: &CStr| mknodat(&self.fd, to, kind, mode, node.device());
        match node.kind {
            NodeKind::Symlink => {
                self.put(&name, &path, |to| {
                    symlinkat(node.link_target(), &self.fd, to)
                })?;
            }
            NodeKind::Dev => self.put(&name, &path, device(FileType::BlockDevice))?,
            NodeKind::CharDev => self.put(&name, &path, device(FileType::CharacterDevice))?,
            NodeKind::Fifo => {
                self.put(&name, &path, |to| {
                    mknodat(&self.fd, to, FileType::Fifo, mode, 0)
                })?;
            }
            _ => {
                return Err(FsError::Unrestorable {
                    path,
                    kind: node.kind_text().to_owned(),
                });
            }
        }
        let folder = self.fd.as_fd();
        let place = Place::Named {
            folder,
            name: &name,
        };
        set_metadata(place, node, &path, problems);
        Ok(())
    }

    /// Makes something under its name, or beside it and then in its place.
    fn put(
        &self,
        name: &CStr,
        path: &Path,
        make: impl Fn(&CStr) -> IoResult<()>,
    ) -> Result<(), FsError> {
        match make(name) {
            Err(Errno::EXIST) => {
                let (temporary, ()) = self.temporary(path, "create", make)?;
                let renamed = self.rename(&temporary, name, path);
                if renamed.is_err() {
                    let _ = unlinkat(&self.fd, &temporary, AtFlags::empty());
                }
                renamed
            }
            other => other.map_err(|error| FsError::io("create", path, error)),
        }
    }

    /// Makes something under a name that nobody has, and nobody can have foreseen.
    fn temporary<T>(
        &self,
        path: &Path,
        action: &'static str,
        make: impl FnOnce(&CStr) -> IoResult<T>,
    ) -> Result<(CString, T), FsError> {
        let failed = |error| FsError::io(action, path, error);
        let name = temporary_name().map_err(failed)?;
        let made = make(&name).map_err(failed)?;
        Ok((name, made))
    }

    /// The path of what lies below, for messages.
    fn path_of(&self, relative: &[u8]) -> PathBuf {
        let path = self.path.join(OsStr::from_bytes(relative));
        told(path.into_os_string().into_vec())
    }

    /// A name that stays in this folder, and its path for messages.
    fn component(&self, name: &[u8]) -> Result<(CString, PathBuf), FsError> {
        match CString::new(name) {
            Ok(component) if is_safe_name(name) => Ok((component, self.path_of(name))),
            _ => Err(FsError::UnsafeName {
                name: String::from_utf8_lossy(name).into_owned(),
                folder: self.path.clone(),
            }),
        }
    }
}

/// A new name for what is being made.
///
/// **Security:** names of a snapshot are whatever somebody chose who could write in a source. A
/// name that could be foreseen would let him put his file in the place of an unfinished one.
fn temporary_name() -> IoResult<CString> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|_| Errno::IO)?;
    let name = format!("{TEMPORARY_PREFIX}{}", HEXLOWER.encode(&random));
    CString::new(name).map_err(|_| Errno::INVAL)
}

/// Opens a folder by a path that one system call takes.
fn open_below(folder: BorrowedFd<'_>, relative: &[u8]) -> IoResult<OwnedFd> {
    let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match openat2(folder, relative, OPEN_FOLDER, Mode::empty(), inside) {
        // An old kernel, or a container that forbids what it does not know.
        Err(Errno::NOSYS | Errno::PERM) => walk(folder, relative),
        other => other,
    }
}

fn walk(folder: BorrowedFd<'_>, relative: &[u8]) -> IoResult<OwnedFd> {
    let mut found: Option<OwnedFd> = None;
    for name in relative.split(|byte| *byte == b'/') {
        let parent = found.as_ref().map_or(folder, OwnedFd::as_fd);
        found = Some(openat(parent, name, OPEN_FOLDER, Mode::empty())?);
    }
    found.ok_or(Errno::NOENT)
}

/// As many names of a path as one system call takes, and the rest without its first slash.
fn first_step(relative: &[u8]) -> (&[u8], &[u8]) {
    let Some((head, _)) = relative.split_at_checked(MAX_STEP_BYTES) else {
        return (relative, &[]);
    };
    // A name that is too long by itself is refused by the system.
    let end = head.iter().rposition(|byte| *byte == b'/');
    let (step, rest) = relative.split_at(end.unwrap_or(relative.len()));
    (step, rest.strip_prefix(b"/").unwrap_or_default())
}

/// Sets all metadata; what cannot be set goes to `problems`.
pub(super) fn set_metadata(
    place: Place<'_>,
    node: &Node,
    path: &Path,
    problems: &mut Vec<RestoreProblem>,
) {
    let mut note = |action, done: IoResult<()>| {
        let failed = done.map_err(|error| FsError::io(action, path, error)).err();
        problems.extend(failed.map(RestoreProblem::from));
    };
    let owned = place.set_owner(node.uid, node.gid);
    // **Security:** setuid is only right for the owner that the file had.
    let permissions = match owned {
        Ok(()) => node.mode.permissions(),
        Err(_) => node.mode.permissions() & 0o1777,
    };
    note("set the owner of", owned);
    note("remove attributes of", remove_other_attributes(place, node));
    for attribute in node.extended_attributes() {
        note("set an attribute of", place.set_attribute(attribute));
    }
    if node.kind != NodeKind::Symlink {
        note("set the mode of", place.set_mode(permissions));
    }
    note(
        "set the times of",
        place.set_times(&node.atime, &node.mtime),
    );
}

/// Removes attributes that the node does not have: ACLs that came from the folder's default, and
/// a user's on a folder that was there before. The system's own labels stay.
fn remove_other_attributes(place: Place<'_>, node: &Node) -> IoResult<()> {
    let list = place.attribute_names()?;
    for name in split_names(&list) {
        let bytes = name.to_bytes();
        let ours = bytes.starts_with(b"user.") || bytes.starts_with(b"system.posix_acl_");
        let wanted = node
            .extended_attributes()
            .iter()
            .any(|one| *one.name == *bytes);
        if ours && !wanted {
            place.remove_attribute(name)?;
        }
    }
    Ok(())
}
