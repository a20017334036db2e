//! Small files of the vault's own: keys, tokens, certificates, its configuration. Each appears as a
//! whole or not at all, is durable when it was written, and only its owner can read it.
//!
//! What can go wrong: two processes write one file at the same time, and neither may tear the
//! other's; so each writes beside it, under a name of its own. A process that dies meanwhile leaves
//! that file, whose name begins with a dot, and which nobody reads.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
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
    match linked {
        Ok(()) => sync_folder_of(path).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
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
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if let Err(error) = written {
        let _ = fs::remove_file(&passing);
        return Err(error);
    }
    Ok(passing)
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|path| !path.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use tempfile::TempDir;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap();
        names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
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
