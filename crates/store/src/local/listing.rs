//! Listing folders of hundreds of thousands of files at about a microsecond each.
//!
//! Entries are read in large batches and looked at relative to the open folder, so that no path
//! is ever built or resolved. A file that vanishes between the two steps was removed by somebody
//! and is not there; any other failure fails the listing, for a short list would look like loss.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType as NodeType, RawDir};
use rustix::io::Errno;
use strongroom_model::{FileEntry, Id};

use crate::pulse::Pulse;

/// Room for some hundreds of entries per system call.
const BUFFER_BYTES: usize = 64 << 10;

/// The memory that batches of entries are read into.
#[derive(Debug)]
pub(super) struct Buffer(Vec<MaybeUninit<u8>>);

impl Buffer {
    /// Takes the memory once for many folders.
    pub(super) fn new() -> Self {
        Self(vec![MaybeUninit::uninit(); BUFFER_BYTES])
    }
}

/// Adds the files whose names are ids and begin with `prefix`, until there are more than `limit`.
pub(super) fn collect(
    folder: &OwnedFd,
    prefix: &str,
    buffer: &mut Buffer,
    entries: &mut Vec<FileEntry>,
    limit: usize,
    pulse: &Pulse,
) -> rustix::io::Result<()> {
    let mut names = RawDir::new(folder, &mut buffer.0);
    while entries.len() <= limit
        && let Some(entry) = names.next()
    {
        let entry = entry?;
        pulse.beat();
        if !matches!(entry.file_type(), NodeType::RegularFile | NodeType::Unknown) {
            continue;
        }
        let Ok(text) = entry.file_name().to_str() else {
            continue;
        };
        let Ok(id) = text.parse::<Id>() else {
            continue;
        };
        if !text.starts_with(prefix) {
            continue;
        }
        let stat = match rustix::fs::statat(folder, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => continue,
            Err(errno) => return Err(errno),
        };
        if NodeType::from_raw_mode(stat.st_mode) == NodeType::RegularFile {
            let size_bytes = u64::try_from(stat.st_size).map_err(|_| Errno::OVERFLOW)?;
            entries.push(FileEntry { id, size_bytes });
        }
    }
    Ok(())
}

/// The names of the folders in a folder that `wanted` picks.
pub(super) fn subfolders(
    folder: impl AsFd,
    wanted: impl Fn(&str) -> bool,
) -> rustix::io::Result<Vec<String>> {
    let mut buffer = Buffer::new();
    let mut names = RawDir::new(folder, &mut buffer.0);
    let mut found = Vec::new();
    while let Some(entry) = names.next() {
        let entry = entry?;
        let is_folder = matches!(entry.file_type(), NodeType::Directory | NodeType::Unknown);
        match entry.file_name().to_str() {
            Ok(name) if is_folder && wanted(name) => found.push(name.to_owned()),
            _ => {}
        }
    }
    Ok(found)
}

/// Whether a name is two lowercase hexadecimal digits, as the subfolders of `data` have.
pub(super) fn is_prefix(name: &str) -> bool {
    name.len() == 2
        && name
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_listed_no_further_than_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        for text in [b"a", b"b", b"c", b"d", b"e"] {
            std::fs::write(folder.path().join(Id::of(text).to_string()), "").unwrap();
        }
        let fd: OwnedFd = std::fs::File::open(folder.path()).unwrap().into();
        let mut entries = Vec::new();
        let pulse = Pulse::default();
        collect(&fd, "", &mut Buffer::new(), &mut entries, 3, &pulse).unwrap();
        assert_eq!(
            entries.len(),
            4,
            "one more, which tells that there are too many"
        );
    }
}
