//! What has come of a body and waits to be sent as a part.
//!
//! A part has 5 MiB at least, and hundreds of clients may send bodies at a time, each as slowly as
//! it likes. So only some bodies have their part in memory; of the others a little is, and the rest
//! in a file without a name, which is read back when it is sent. Nobody ever waits for a client.
//!
//! | for each | in memory at most |
//! |---|---|
//! | body | 1 MiB, where it does not have one of the places below |
//! | all bodies | 24 parts of 8 MiB that grow in memory, 8 that are read back to be sent: 256 MiB |
//!
//! What can go wrong: the disk with those files is full. It may be the one that a database lies on,
//! which must go on: so a reserve stays free, whatever the bucket has room for, and the upload fails
//! as on a full disk.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::fstatvfs;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The size of a part; it must have 5 MiB at least.
pub(super) const PART_BYTES: usize = 8 << 20;

/// How much of every body is in memory; as it grows, twice that.
const SMALL_BYTES: usize = 512 << 10;

/// How many bodies have their part in memory.
const IN_MEMORY: usize = 24;

/// How many parts are read back from files at a time.
const READ_BACK: usize = 8;

/// Where parts wait.
#[derive(Debug)]
pub(super) struct Waiting {
    /// The folder of the files; the system's where none is named.
    folder: Option<PathBuf>,
    /// What stays free on their disk.
    reserve_bytes: u64,
    in_memory: Arc<Semaphore>,
    read_back: Arc<Semaphore>,
}

/// A part that grows.
#[derive(Debug, Default)]
pub(super) struct Part {
    memory: Vec<u8>,
    /// The right to have all of it in memory.
    place: Option<OwnedSemaphorePermit>,
    file: Option<File>,
    bytes: usize,
}

/// A part on its way; what it has in memory is counted until it is dropped.
#[derive(Debug)]
pub(super) struct Full {
    pub(super) bytes: Vec<u8>,
    /// Held, and not looked at.
    pub(super) place: Option<OwnedSemaphorePermit>,
}

impl Waiting {
    pub(super) fn new(folder: Option<PathBuf>, reserve_bytes: u64) -> Self {
        Self {
            folder,
            reserve_bytes,
            in_memory: Arc::new(Semaphore::new(IN_MEMORY)),
            read_back: Arc::new(Semaphore::new(READ_BACK)),
        }
    }

    /// A place to read a part back into; to be waited for by whoever takes a part out of a file.
    pub(super) async fn read_back(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.read_back).acquire_owned().await.ok()
    }

    fn file(&self) -> io::Result<File> {
        match &self.folder {
            Some(folder) => tempfile::tempfile_in(folder),
            None => tempfile::tempfile(),
        }
    }

    /// Writes into a file of a part, where the reserve stays free.
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        // The file has no name any more; its disk is that of the folder.
        let disk = fstatvfs(&*file)?;
        let free_bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
        let needed = self.reserve_bytes.saturating_add(bytes.len() as u64);
        match free_bytes < needed {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => file.write_all(bytes),
        }
    }
}

impl Part {
    /// Its size by now.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it has to be read back.
    pub(super) const fn is_in_file(&self) -> bool {
        self.file.is_some()
    }

    /// Appends bytes.
    pub(super) fn push(&mut self, bytes: &[u8], waiting: &Waiting) -> io::Result<()> {
        let after = self.bytes.saturating_add(bytes.len());
        if after > SMALL_BYTES && self.file.is_none() && self.place.is_none() {
            match Arc::clone(&waiting.in_memory).try_acquire_owned() {
                Ok(place) => {
                    self.memory
                        .reserve_exact(PART_BYTES.saturating_sub(self.memory.len()));
                    self.place = Some(place);
                }
                Err(_) => {
                    let mut file = waiting.file()?;
                    waiting.write(&mut file, &std::mem::take(&mut self.memory))?;
                    self.file = Some(file);
                }
            }
        }
        match &mut self.file {
            Some(file) => waiting.write(file, bytes)?,
            None => self.memory.extend_from_slice(bytes),
        }
        self.bytes = after;
        Ok(())
    }

    /// Takes all of it, and leaves an empty part. `read_back` is the place to read it into.
    pub(super) fn take(&mut self, read_back: Option<OwnedSemaphorePermit>) -> io::Result<Full> {
        let part = std::mem::take(self);
        let Some(mut file) = part.file else {
            return Ok(Full {
                bytes: part.memory,
                place: part.place,
            });
        };
        file.seek(SeekFrom::Start(0))?;
        let mut bytes = Vec::with_capacity(part.bytes);
        file.read_to_end(&mut bytes)?;
        match bytes.len() == part.bytes {
            true => Ok(Full {
                bytes,
                place: read_back,
            }),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn hundreds_of_bodies_have_little_in_memory_and_all_their_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let waiting = Waiting::new(Some(folder.path().to_owned()), 0);
        let content = |number: usize| -> Vec<u8> {
            (0..7 * MIB)
                .map(|place| (place * number % 251) as u8)
                .collect()
        };
        let mut parts: Vec<Part> = (0..64).map(|_| Part::default()).collect();
        for (number, part) in parts.iter_mut().enumerate() {
            for piece in content(number).chunks(100_000) {
                part.push(piece, &waiting).unwrap();
            }
            assert_eq!(part.bytes(), 7 * MIB);
        }
        let held: usize = parts.iter().map(|part| part.memory.capacity()).sum();
        assert!(held <= IN_MEMORY * PART_BYTES + 64 * MIB, "{held}");
        let in_files = parts.iter().filter(|part| part.is_in_file()).count();
        assert_eq!(in_files, 64 - IN_MEMORY);
        // The files have no names that anybody could find.
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        for (number, part) in parts.iter_mut().enumerate() {
            let full = part.take(None).unwrap();
            assert!(full.bytes == content(number), "{number}");
            assert_eq!(part.bytes(), 0);
        }
        // The places are free again.
        assert_eq!(waiting.in_memory.available_permits(), IN_MEMORY);
    }

    #[test]
    fn a_disk_that_is_full_but_for_its_reserve_takes_no_parts() {
        let folder = tempfile::tempdir().unwrap();
        let waiting = Waiting::new(Some(folder.path().to_owned()), u64::MAX);
        let mut parts: Vec<Part> = (0..=IN_MEMORY).map(|_| Part::default()).collect();
        let last = parts.pop().unwrap();
        for part in &mut parts {
            part.push(&[7; MIB], &waiting).unwrap();
        }
        let mut part = last;
        // A little of each body is in memory in any case.
        part.push(&[7; SMALL_BYTES], &waiting).unwrap();
        let refused = part.push(&[7; MIB], &waiting).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn what_is_small_stays_in_memory_and_takes_no_place() {
        let waiting = Waiting::new(Some("/nowhere/at/all".into()), 0);
        let mut part = Part::default();
        part.push(&[7; SMALL_BYTES], &waiting).unwrap();
        assert_eq!(waiting.in_memory.available_permits(), IN_MEMORY);
        assert!(!part.is_in_file());
        assert_eq!(part.take(None).unwrap().bytes, [7; SMALL_BYTES]);
    }
}
