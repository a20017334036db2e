//! Small files of the vault's own: keys, tokens, certificates, its configuration. Each appears as a
//! whole or not at all, is durable when it was written, and only its owner can read it.
//!
//! This is the one place where what the vault itself writes is made durable, so that tests see what
//! was, and when: no kill shows it, for the system still has all of it in memory.
//!
//! What can go wrong: two processes write one file at the same time, and neither may tear the
//! other's; so each writes beside it, under a name of its own. A process that dies meanwhile leaves
//! that file, whose name begins with a dot, and which nobody reads.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;

/// Writes a file in place of what has its name.
///
/// # Errors
/// Where it cannot be written.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let passing = write_beside(path, bytes)?;
    if let Err(error) = fs::rename(&passing, path) {
        let _ = fs::remove_file(&passing);
        return Err(error);
    }
    sync_folder_of(path)
}

/// Writes a file where none has its name; tells whether it did. So of several that write one at the
/// same time, all have the same one afterwards.
///
/// # Errors
/// Where it cannot be written.
pub fn place(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let passing = write_beside(path, bytes)?;
    let linked = fs::hard_link(&passing, path);
    fs::remove_file(&passing)?;
    let is_new = match linked {
        Ok(()) => true,
        // Another process may have placed it a moment ago, and its name may not be durable yet.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        Err(error) => return Err(error),
    };
    sync_folder_of(path)?;
    Ok(is_new)
}

/// Makes a folder that only its owner can enter, and those above it, durably; one that is there
/// stays as it is.
///
/// # Errors
/// Where it cannot be made.
pub fn make_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() || path.as_os_str().is_empty() {
        return Ok(());
    }
    if let Some(above) = path.parent() {
        make_folder(above)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !path.is_dir() => Err(error),
        // Also where another process has made it meanwhile.
        _ => sync_folder_of(path),
    }
}

/// Writes a file of another name in the same folder, for one that comes in its place.
fn write_beside(path: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    let mut number = [0; 8];
    getrandom::fill(&mut number).map_err(io::Error::other)?;
    let base = path.file_name().unwrap_or_default().to_string_lossy();
    let passing = format!(".writing-{base}-{}", HEXLOWER.encode(&number));
    let passing = path.with_file_name(passing);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&passing)?;
    let written = file.write_all(bytes).and_then(|()| sync(&file));
    if let Err(error) = written {
        let _ = fs::remove_file(&passing);
        return Err(error);
    }
    Ok(passing)
}

/// Makes durable that a file is there which was only found, and that its folder is: whoever made
/// them may have died before they were, or not have come so far yet.
pub(crate) fn assure(path: &Path) -> io::Result<()> {
    sync_folder_of(path)?;
    path.parent().map_or(Ok(()), sync_folder_of)
}

/// Waits until the name of a file or folder is on the disk.
///
/// Some network file systems cannot do that and say so; there is nothing more to be had there.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|path| !path.as_os_str().is_empty());
    let folder = match File::open(folder.unwrap_or(Path::new("."))) {
        // Who may not read it did not make anything in it either.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
        folder => folder?,
    };
    match sync(&folder) {
        Err(error) if is_nothing_to_be_had(&error) => Ok(()),
        synced => synced,
    }
}

fn is_nothing_to_be_had(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, Unsupported};
    matches!(error.kind(), InvalidInput | Unsupported)
}

/// Waits until a file, or the names in a folder, are on the disk.
pub(crate) fn sync(opened: &File) -> io::Result<()> {
    #[cfg(test)]
    tests::note(opened);
    opened.sync_all()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::RefCell;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::{MetadataExt, symlink};

    use tempfile::TempDir;

    use super::*;
    use crate::database::Sqlite;
    use crate::publication::{LogFiles, LogFolder};

    /// A file or folder that was made durable.
    #[derive(Debug)]
    pub(crate) struct Synced {
        path: PathBuf,
        /// How many bytes the file had at that moment.
        size_bytes: u64,
        /// What the folder, or that of the file, held.
        names: Vec<String>,
    }

    thread_local! {
        static SYNCED: RefCell<Vec<Synced>> = const { RefCell::new(Vec::new()) };
    }

    /// Notes what this thread makes durable.
    pub(super) fn note(opened: &File) {
        let link = format!("/proc/self/fd/{}", opened.as_raw_fd());
        let path = fs::read_link(link).unwrap_or_default();
        let folder = match path.is_dir() {
            true => path.as_path(),
            false => path.parent().unwrap_or(&path),
        };
        let synced = Synced {
            size_bytes: opened.metadata().map_or(0, |metadata| metadata.len()),
            names: names(folder),
            path,
        };
        SYNCED.with_borrow_mut(|all| all.push(synced));
    }

    /// What this thread makes durable meanwhile.
    pub(crate) fn synced_by(work: impl FnOnce()) -> Vec<Synced> {
        SYNCED.take();
        work();
        SYNCED.take()
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.collect()
    }

    /// Asserts that a name was made durable when it stood for what it shall.
    #[track_caller]
    fn assert_named(synced: &Synced, path: &Path) {
        let folder = fs::canonicalize(path.parent().unwrap()).unwrap();
        assert_eq!(synced.path, folder, "{synced:?}");
        let base = path.file_name().unwrap().to_str().unwrap();
        assert!(synced.names.iter().any(|name| name == base), "{synced:?}");
        let is_beside = |name: &String| name.starts_with(".writing-");
        assert!(!synced.names.iter().any(is_beside), "{synced:?}");
    }

    /// Asserts what was made durable, in this order and nothing else: the names of folders, as they
    /// were made; a file, when it was whole and had another name; its name.
    #[track_caller]
    pub(crate) fn assert_written(
        synced: &[Synced],
        folders: &[&str],
        (path, bytes): (&Path, &[u8]),
    ) {
        let [made @ .., file, name] = synced else {
            panic!("{synced:?}");
        };
        assert_eq!(made.len(), folders.len(), "{synced:?}");
        for (synced, folder) in made.iter().zip(folders) {
            let path = path.ancestors().find(|above| above.ends_with(folder));
            assert_named(synced, path.unwrap());
        }
        let base = path.file_name().unwrap().to_str().unwrap();
        let beside = format!("/.writing-{base}-");
        assert!(file.path.to_string_lossy().contains(&beside), "{file:?}");
        assert_eq!(file.size_bytes, bytes.len() as u64, "{file:?}");
        assert_named(name, path);
    }

    #[test]
    fn a_file_is_durable_before_it_has_its_name_and_the_name_before_it_counts_as_written() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("tls.key");
        // The second one comes in place of the first.
        let contents: [&[u8]; 2] = [b"the first", b"two"];
        for bytes in contents {
            let synced = synced_by(|| replace(&path, bytes).unwrap());
            assert_written(&synced, &[], (&path, bytes));
        }
        let path = folder.path().join("admin.token");
        let synced = synced_by(|| assert!(place(&path, b"the first").unwrap()));
        assert_written(&synced, &[], (&path, b"the first"));
        // Another process may have placed it a moment ago and died before its name was durable.
        let synced = synced_by(|| assert!(!place(&path, b"two").unwrap()));
        assert_written(&synced, &[], (&path, b"two"));
    }

    #[test]
    fn each_folder_that_is_made_is_durable_before_anything_is_made_in_it() {
        let root = TempDir::new().unwrap();
        let folder = root.path().join("vault/log/tile");
        let synced = synced_by(|| make_folder(&folder).unwrap());
        let made: Vec<_> = folder.ancestors().take(3).collect();
        assert_eq!(synced.len(), made.len(), "{synced:?}");
        for (synced, path) in synced.iter().zip(made.into_iter().rev()) {
            assert_named(synced, path);
            assert_eq!(synced.names.len(), 1, "{synced:?}");
        }
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        let synced = synced_by(|| make_folder(&folder).unwrap());
        assert!(synced.is_empty(), "{synced:?}");
        fs::write(root.path().join("file"), b"bytes").unwrap();
        make_folder(&root.path().join("file")).unwrap_err();
        symlink("nowhere", root.path().join("dangling")).unwrap();
        make_folder(&root.path().join("dangling")).unwrap_err();
    }

    #[test]
    fn a_file_that_was_found_is_durable_with_its_folder_once_that_is_assured() {
        let root = TempDir::new().unwrap();
        let keys = root.path().join("keys");
        fs::create_dir(&keys).unwrap();
        let key = keys.join("log.key");
        fs::write(&key, b"a key").unwrap();
        let synced = synced_by(|| assure(&key).unwrap());
        let [name, folder] = &synced[..] else {
            panic!("{synced:?}");
        };
        assert_named(name, &key);
        assert_named(folder, &keys);
    }

    #[test]
    fn files_of_a_log_are_durable_with_the_folders_that_were_made_for_them() {
        let root = TempDir::new().unwrap();
        let folder = root.path().join("log");
        let synced = synced_by(|| drop(LogFolder::open(folder.clone()).unwrap()));
        let [made] = &synced[..] else {
            panic!("{synced:?}");
        };
        assert_named(made, &folder);
        let log = LogFolder::new(folder.clone());
        let written: [(&str, &[&str]); 4] = [
            ("checkpoint", &[]),
            ("tile/0/x001/234", &["log/tile", "tile/0", "0/x001"]),
            ("tile/0/x001/235", &[]),
            ("tile/0/x001/235", &[]),
        ];
        for (name, folders) in written {
            let synced = synced_by(|| log.write(name, b"hashes").unwrap());
            assert_written(&synced, folders, (&folder.join(name), b"hashes"));
        }
    }

    #[test]
    fn the_file_of_a_database_is_durable_before_anything_is_in_it() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("vault.db");
        let synced = synced_by(|| drop(Sqlite::open(&path).unwrap()));
        let [file, name] = &synced[..] else {
            panic!("{synced:?}");
        };
        assert_eq!(file.path, fs::canonicalize(&path).unwrap());
        assert_eq!(file.size_bytes, 0);
        assert_named(name, &path);
    }

    #[test]
    fn a_file_is_replaced_whole_and_only_its_owner_reads_it() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("tls.key");
        for text in ["the first", "two"] {
            replace(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
            assert_eq!(names(folder.path()), ["tls.key"]);
        }
    }

    #[test]
    fn a_file_that_is_there_is_not_placed_again() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("admin.token");
        assert!(place(&path, b"the first").unwrap());
        assert!(!place(&path, b"two").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"the first");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(names(folder.path()), ["admin.token"]);
    }

    #[test]
    fn what_cannot_be_replaced_stays_and_nothing_lies_beside_it() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("tls.key");
        fs::create_dir(&path).unwrap();
        replace(&path, b"bytes").unwrap_err();
        assert!(path.is_dir());
        assert_eq!(names(folder.path()), ["tls.key"]);
        place(&folder.path().join("missing/tls.key"), b"bytes").unwrap_err();
    }
}
