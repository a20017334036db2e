//! A file that is being restored: written beside its name, sparse, and put in its place when it
//! is whole, so that a killed restore leaves no half file under a right name.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, unlinkat};
use strongroom_repo::node::Node;

use crate::filesystem::place::Place;
use crate::filesystem::target::set_metadata;
use crate::filesystem::{FsError, RestoreProblem, TargetFolder};

/// A file that is being restored; dropped before it is finished, it leaves nothing behind.
#[derive(Debug)]
pub struct TargetFile {
    folder: TargetFolder,
    file: File,
    temporary: CString,
    name: CString,
    path: PathBuf,
    written_bytes: AtomicU64,
    finished: bool,
}

/// The block of most filesystems; zeros of this size and alignment become a hole.
const BLOCK_BYTES: usize = 4096;

static ZEROS: [u8; BLOCK_BYTES] = [0; BLOCK_BYTES];

impl TargetFile {
    pub(super) fn new(
        folder: TargetFolder,
        file: File,
        temporary: CString,
        name: CString,
        path: PathBuf,
    ) -> Self {
        Self {
            folder,
            file,
            temporary,
            name,
            path,
            written_bytes: AtomicU64::new(0),
            finished: false,
        }
    }

    /// Where the file will be; for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes part of the content, in any order and from any thread; each part once.
    ///
    /// Blocks of zeros are not written: the file is new, so it has holes there.
    pub fn write_at(&self, offset_bytes: u64, bytes: &[u8]) -> Result<(), FsError> {
        let mut rest = bytes;
        let mut at = offset_bytes;
        while !rest.is_empty() {
            let (data, hole) = rest.split_at(data_length(at, rest));
            if !data.is_empty() {
                let written = self.file.write_all_at(data, at);
                written.map_err(|error| FsError::io("write", &self.path, error))?;
                at += data.len() as u64;
                self.written_bytes.fetch_max(at, Ordering::Relaxed);
            }
            let (hole, after) = hole.split_at(hole_length(at, hole));
            at += hole.len() as u64;
            rest = after;
        }
        Ok(())
    }

    /// Gives the file its length, metadata and name; what is there under the name is replaced.
    ///
    /// `size_bytes` is the length of what was written, holes included.
    pub fn finish(
        mut self,
        size_bytes: u64,
        node: &Node,
        problems: &mut Vec<RestoreProblem>,
    ) -> Result<(), FsError> {
        if self.written_bytes.load(Ordering::Relaxed) < size_bytes {
            let extended = self.file.set_len(size_bytes);
            extended.map_err(|error| FsError::io("write", &self.path, error))?;
        }
        set_metadata(Place::Open(self.file.as_fd()), node, &self.path, problems);
        self.folder
            .rename(&self.temporary, &self.name, &self.path)?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for TargetFile {
    fn drop(&mut self) {
        if !self.finished {
            let _ = unlinkat(self.folder.fd(), &self.temporary, AtFlags::empty());
        }
    }
}

/// How much of `bytes`, which belong at `offset`, comes before the first whole block of zeros.
fn data_length(offset: u64, bytes: &[u8]) -> usize {
    let block = BLOCK_BYTES as u64;
    let into_block = usize::try_from(offset % block).unwrap_or(0);
    let head = (BLOCK_BYTES - into_block) % BLOCK_BYTES;
    let Some((_, aligned)) = bytes.split_at_checked(head) else {
        return bytes.len();
    };
    let (blocks, _) = aligned.as_chunks::<BLOCK_BYTES>();
    let data = blocks.iter().position(|block| *block == ZEROS);
    data.map_or(bytes.len(), |blocks| head + blocks * BLOCK_BYTES)
}

/// How many whole blocks of zeros, in bytes, begin `bytes`, which belong at `offset`.
fn hole_length(offset: u64, bytes: &[u8]) -> usize {
    if !offset.is_multiple_of(BLOCK_BYTES as u64) {
        return 0;
    }
    let (blocks, _) = bytes.as_chunks::<BLOCK_BYTES>();
    blocks.iter().take_while(|block| **block == ZEROS).count() * BLOCK_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_aligned_blocks_of_zeros_are_holes() {
        let zeros = [0; 3 * BLOCK_BYTES];
        assert_eq!(data_length(0, &zeros), 0);
        assert_eq!(hole_length(0, &zeros), 3 * BLOCK_BYTES);
        assert_eq!(hole_length(1, &zeros), 0);
        assert_eq!(data_length(1, &zeros), BLOCK_BYTES - 1);
        assert_eq!(data_length(1, &zeros[..BLOCK_BYTES]), BLOCK_BYTES);
        assert_eq!(hole_length(0, &zeros[..BLOCK_BYTES + 1]), BLOCK_BYTES);
        assert_eq!(data_length(0, &zeros[..BLOCK_BYTES - 1]), BLOCK_BYTES - 1);
        let mut data = zeros;
        data[BLOCK_BYTES] = 1;
        assert_eq!(data_length(0, &data[BLOCK_BYTES..]), BLOCK_BYTES);
        assert_eq!(hole_length(0, &data), BLOCK_BYTES);
    }
}
