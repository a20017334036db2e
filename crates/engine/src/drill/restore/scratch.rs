//! A folder for what a rehearsal restores: private, and gone at its end.
//!
//! What can go wrong: the run fails or is interrupted (so: whoever drops it removes it), what was
//! restored has modes that keep even its owner out (so: these are set right first), and the process
//! is killed (so: it holds a lock on the folder, and the next rehearsal beside it removes those whose
//! lock nobody holds any more; the state folder notes where, so that the next command that opens the
//! repository does the same). A folder that is to stay gets another name, by which none of these
//! finds it.
//!
//! **Security:** what is in it was secret enough to be encrypted. It is made for its owner alone,
//! under a name that nobody can guess, and nothing is followed out of it when it is removed.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::HEXLOWER;
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, chmodat, flock, fstat, openat,
    statat, statvfs,
};
use rustix::io::Errno;
use strongroom_store::patient::within;

use crate::session::chain;
use crate::state::RepositoryState;
use crate::{Error, Result};

/// How the names of folders begin that go, of those that stay, and of those that have no lock yet.
const PASSING: &str = "strongroom-drill-";
const KEPT: &str = "strongroom-restored-";
const NEW: &str = "strongroom-new-";

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// How many names of a folder are looked at for what killed runs have left.
const MOST_NAMES: usize = 100_000;

/// How long a command waits for that: a folder on a disk that hangs waits for the next one.
const LONGEST_SWEEP: Duration = Duration::from_secs(30);

/// What is free where a folder lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Free {
    /// Bytes that this user may still write.
    pub(super) bytes: u64,
    /// Files that he may still make; the most there can be where that has no limit.
    pub(super) files: u64,
}

/// A folder that is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
    /// Tells others that it is in use, for as long as it is open.
    _lock: OwnedFd,
}

impl Scratch {
    /// Makes one in a folder, after what killed runs have left there was removed.
    pub(super) fn make_in(folder: &Path) -> Result<Self> {
        sweep(folder);
        let failed = |path: &Path| Error::local(format!("make {}", path.display()));
        let mut random = [0; 8];
        getrandom::fill(&mut random)
            .map_err(|error| failed(folder)(io::Error::other(error.to_string())))?;
        let random = HEXLOWER.encode(&random);
        // It gets the name by which others look for it when it is locked.
        let new = folder.join(format!("{NEW}{random}"));
        let path = folder.join(format!("{PASSING}{random}"));
        let made = DirBuilder::new().mode(0o700).create(&new);
        made.map_err(failed(&new))?;
        let lock = openat(CWD, &new, FOLDER, Mode::empty())
            .and_then(|fd| flock(&fd, FlockOperation::NonBlockingLockExclusive).map(|()| fd))
            .map_err(io::Error::from)
            .and_then(|fd| fs::rename(&new, &path).map(|()| fd));
        match lock {
            Ok(lock) => Ok(Self { path, _lock: lock }),
            Err(error) => {
                // Nothing is in it.
                let _ = fs::remove_dir(&new);
                Err(failed(&path)(error))
            }
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Notes where it lies, for [`remove_remnants`]; where that fails, it goes with the next drill
    /// beside it.
    pub(super) fn note_in(&self, memory: &RepositoryState) {
        let Some(folder) = self.path.parent() else {
            return;
        };
        let noted = memory.update_scratch_folders(|folders| {
            folders.insert(folder.to_owned());
        });
        if let Err(error) = noted {
            let reason = chain(&error);
            tracing::info!(reason, "Where a drill restores to is not remembered");
        }
    }

    /// Makes a folder in it.
    pub(super) fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.map_err(Error::local(format!("make {}", path.display())))?;
        Ok(path)
    }

    /// Lets it stay, and tells under which name.
    pub(super) fn keep(mut self) -> Result<PathBuf> {
        let random = self.path.file_name().unwrap_or_default().to_string_lossy();
        let random = random.trim_start_matches(PASSING);
        let kept = self.path.with_file_name(format!("{KEPT}{random}"));
        let renamed = fs::rename(&self.path, &kept);
        renamed.map_err(Error::local(format!("keep {}", self.path.display())))?;
        // There is nothing left under this name to remove.
        self.path = PathBuf::new();
        Ok(kept)
    }

    /// Removes it now; what cannot be removed is told.
    pub(super) fn remove(mut self) -> std::result::Result<(), String> {
        let path = std::mem::take(&mut self.path);
        remove_all(&path).map_err(|error| format!("{} stays: {error}", path.display()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.path.as_os_str().is_empty() {
            return;
        }
        if let Err(error) = remove_all(&self.path) {
            let path = self.path.display();
            tracing::warn!(%path, %error, "What a drill restored stays: remove it by hand");
        }
    }
}

/// What is free where a folder lies.
pub(super) fn free(folder: &Path) -> Result<Free> {
    let found = statvfs(folder).map_err(io::Error::from);
    let found = found.map_err(Error::local(format!("look at {}", folder.display())))?;
    Ok(Free {
        bytes: found.f_bavail.saturating_mul(found.f_frsize),
        // A filesystem without such a limit says that it has none at all.
        files: match found.f_files {
            0 => u64::MAX,
            _ => found.f_favail,
        },
    })
}

/// Removes what rehearsals have left that were killed, wherever this machine has noted that one
/// restored to; what is in use stays.
pub fn remove_remnants(memory: &RepositoryState) {
    let folders = memory.scratch_folders();
    if folders.is_empty() {
        return;
    }
    let look = move || -> BTreeSet<PathBuf> {
        let mut folders = folders;
        folders.retain(|folder| sweep(folder));
        folders
    };
    let Some(clean) = within(LONGEST_SWEEP, look) else {
        return;
    };
    let noted = memory.update_scratch_folders(|folders| {
        folders.retain(|folder| !clean.contains(folder));
    });
    if let Err(error) = noted {
        let reason = chain(&error);
        tracing::info!(reason, "Where drills restore to is not remembered");
    }
}

/// Removes what rehearsals of this user left here when they were killed; tells whether nothing of
/// rehearsals is left, so that nobody need look here again.
fn sweep(folder: &Path) -> bool {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return error.kind() == io::ErrorKind::NotFound,
    };
    let own = rustix::process::geteuid().as_raw();
    let mut is_clean = true;
    for path in entries.flatten().take(MOST_NAMES).map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str());
        if !name.is_some_and(|name| name.starts_with(PASSING)) {
            continue;
        }
        let Ok(fd) = openat(CWD, &path, FOLDER, Mode::empty()) else {
            continue;
        };
        if !fstat(&fd).is_ok_and(|found| found.st_uid == own) {
            continue;
        }
        if flock(&fd, FlockOperation::NonBlockingLockExclusive).is_err() {
            is_clean = false;
            continue;
        }
        match remove_all(&path) {
            Ok(()) => tracing::info!("What a drill that was killed had restored was removed"),
            Err(error) => {
                is_clean = false;
                tracing::warn!(%error, "What a drill that was killed had restored stays");
            }
        }
    }
    is_clean
}

/// Removes a folder with all that it holds, whatever the modes in it.
fn remove_all(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(_) => {
            let top = openat(CWD, path, FOLDER, Mode::empty())?;
            open_up(top)?;
            fs::remove_dir_all(path)
        }
        Ok(()) => Ok(()),
    }
}

/// Lets the owner into each folder below this one. What is no folder any more is passed over; as
/// many folders are open at a time as lie one in another.
fn open_up(top: OwnedFd) -> io::Result<()> {
    let names = folders_in(&top)?;
    let mut open = vec![(top, names)];
    while let Some((folder, names)) = open.last_mut() {
        let Some(name) = names.pop() else {
            open.pop();
            continue;
        };
        let found = statat(&*folder, &name, AtFlags::SYMLINK_NOFOLLOW);
        let is_folder = |mode| FileType::from_raw_mode(mode) == FileType::Directory;
        if !found.is_ok_and(|found| is_folder(found.st_mode)) {
            continue;
        }
        // Whoever could put a link there in between could do that to his own files alone.
        chmodat(&*folder, &name, Mode::RWXU, AtFlags::empty())?;
        match openat(&*folder, &name, FOLDER, Mode::empty()) {
            Ok(inner) => {
                let names = folders_in(&inner)?;
                open.push((inner, names));
            }
            Err(Errno::NOTDIR | Errno::LOOP | Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The names in a folder of what may be a folder.
fn folders_in(folder: &OwnedFd) -> io::Result<Vec<std::ffi::CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder.as_fd())? {
        let entry = entry?;
        let name = entry.file_name();
        let may_be = matches!(entry.file_type(), FileType::Directory | FileType::Unknown);
        if may_be && name != c"." && name != c".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use strongroom_model::Id;

    use super::*;
    use crate::state::StateFolder;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    #[test]
    fn it_is_its_owners_alone_and_goes_with_whatever_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let outside = folder.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("file"), "kept").unwrap();
        let scratch = Scratch::make_in(folder.path()).unwrap();
        let mode = scratch.path().metadata().unwrap().mode();
        assert_eq!(mode & 0o7777, 0o700);
        let inner = scratch.folder("ours").unwrap().join("a");
        fs::create_dir_all(inner.join("b/c")).unwrap();
        fs::write(inner.join("b/c/file"), "x").unwrap();
        symlink(&outside, inner.join("link")).unwrap();
        for closed in ["b/c", "b", ""] {
            let mode = fs::Permissions::from_mode(0o000);
            fs::set_permissions(inner.join(closed), mode).unwrap();
        }
        drop(scratch);
        assert_eq!(names(folder.path()), ["outside"]);
        assert_eq!(fs::read(outside.join("file")).unwrap(), b"kept");
    }

    #[test]
    fn what_is_removed_or_kept_is_not_removed_once_more() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = Scratch::make_in(folder.path()).unwrap();
        scratch.remove().unwrap();
        assert_eq!(names(folder.path()), [""; 0]);
        let scratch = Scratch::make_in(folder.path()).unwrap();
        fs::write(scratch.path().join("file"), "x").unwrap();
        let kept = scratch.keep().unwrap();
        assert_eq!(fs::read(kept.join("file")).unwrap(), b"x");
        drop(Scratch::make_in(folder.path()).unwrap());
        assert_eq!(names(folder.path()).len(), 1);
        assert!(kept.exists());
    }

    #[test]
    fn what_a_killed_run_left_is_removed_by_the_next_and_what_a_running_one_uses_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join(format!("{PASSING}left"));
        fs::create_dir_all(left.join("ours")).unwrap();
        let link = folder.path().join(format!("{PASSING}link"));
        symlink(folder.path(), &link).unwrap();
        let running = Scratch::make_in(folder.path()).unwrap();
        assert!(!left.exists());
        let other = Scratch::make_in(folder.path()).unwrap();
        assert!(running.path().exists() && other.path().exists());
        assert!(link.symlink_metadata().is_ok());
    }

    #[test]
    fn what_a_killed_run_left_goes_with_the_next_command_wherever_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateFolder::new(folder.path().join("state"));
        let memory = state.repository(Id::of(b"repository"));
        let [one, two] = ["one", "two"].map(|name| folder.path().join(name));
        for place in [&one, &two] {
            fs::create_dir(place).unwrap();
        }
        let running = Scratch::make_in(&one).unwrap();
        running.note_in(&memory);
        let killed = Scratch::make_in(&two).unwrap();
        killed.note_in(&memory);
        // Its process is gone, and so is its lock; the folder is not.
        let left = two.join(format!("{PASSING}left"));
        fs::create_dir_all(left.join("restored")).unwrap();
        drop(killed);
        remove_remnants(&memory);
        assert_eq!(names(&two), [""; 0]);
        assert!(running.path().exists());
        assert_eq!(memory.scratch_folders(), BTreeSet::from([one.clone()]));
        // What is kept on purpose is nobody's to remove.
        let kept = running.keep().unwrap();
        remove_remnants(&memory);
        assert!(kept.exists());
        assert_eq!(memory.scratch_folders(), BTreeSet::new());
    }

    #[test]
    fn there_is_room_where_there_is_a_disk_and_none_where_there_is_no_folder() {
        let folder = tempfile::tempdir().unwrap();
        let free_here = free(folder.path()).unwrap();
        assert!(free_here.bytes > 0 && free_here.files > 0);
        assert!(free(&folder.path().join("missing")).is_err());
        assert!(Scratch::make_in(&folder.path().join("missing")).is_err());
    }
}
