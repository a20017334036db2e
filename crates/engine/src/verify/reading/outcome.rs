//! What a read that failed tells: of its file, or of the whole copy.
//!
//! A fault of the place must not be booked on its files. Each of them would count as damaged from
//! then on, so that nothing is built on it, though nothing is wrong with it; and where each costs
//! all its retries, the reading would take days. The other way round one rotten file must not end
//! the reading of its copy, behind which all else that is rotten there would hide for good.
//!
//! | what fails | who is to blame |
//! |---|---|
//! | there is no such file | it has vanished, which a second listing tells |
//! | the place cannot be reached, not even for the size of the file | the copy |
//! | the place cannot be reached, but tells the size: a body breaks off, or an answer does not come | the file, as long as others come |
//! | a server refuses, or answers as no store does | the file, as long as others come |
//! | a server shows another certificate | the copy |
//! | anything else: a disk cannot read it, a folder refuses | the file |
//!
//! A size proves nothing of bodies: servers answer from a database or an inode. So of the third and
//! fourth kind so many in a row that nothing came which was asked for in between are the copy's
//! failure, and none of these files is wrong.

use std::mem;

use strongroom_model::{FileName, FileType};
use strongroom_repo::{BlobId, BlobLocation, Repository};
use strongroom_store::Error;

use crate::Result;
use crate::session::{CopyFailure, chain};
use crate::verify::ProblemKind;
use crate::verify::closure::{self, Unread};
use crate::verify::reading::Reading;

/// How many files, or trees in them, may fail in a row to come from a place that answers. A path that
/// breaks every body costs so many retries, and as many more as there are readers.
const MAX_IN_A_ROW: usize = 16;

/// A file, or a tree in it, that did not come although the place answers.
pub(super) struct BrokenOff {
    name: FileName,
    /// The tree, where that was asked for: the trees of years lie in few packs.
    tree: Option<BlobId>,
    reason: String,
    /// Which one it is of all that were noted, from 1.
    number: u64,
}

/// When a file was asked for: after how many had broken off. That it comes says nothing of those
/// that broke off later, as when a server refuses everything but what it has begun.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Asked(u64);

/// Who is to blame for a read that failed.
enum Blame {
    /// Nobody: the file is not there any more.
    Vanished,
    /// The file.
    File,
    /// The file, unless it is one of too many in a row.
    FileOrCopy,
    /// The copy.
    Copy,
}

impl Reading<'_> {
    /// Reads a tree that a snapshot needs.
    ///
    /// # Errors
    /// [`Unread::Failed`] where the copy is to blame, which has failed then, or the user interrupts.
    pub(super) fn read_tree(
        &self,
        repository: &Repository,
        tree: BlobId,
        location: BlobLocation,
    ) -> std::result::Result<Vec<u8>, Unread> {
        let store = self.store().as_ref();
        let asked = self.asked();
        let error = match closure::read_blob(repository, store, tree, location) {
            Err(Unread::Failed(error)) => error,
            read => {
                self.note_come(asked);
                return read;
            }
        };
        let pack = FileName::new(FileType::Data, location.pack);
        match self.blame(pack, &error) {
            // Whoever reads the pack as a whole names it; here it is the snapshot that is told.
            Ok(Blame::Vanished | Blame::File) => {}
            Ok(Blame::FileOrCopy) => self.note_broken_off(pack, Some(tree), &error),
            Ok(Blame::Copy) => self.fail(&error),
            Err(_) => return Err(Unread::Failed(error)),
        }
        match self.has_failed() {
            true => Err(Unread::Failed(error)),
            false => Err(Unread::Wrong(closure::unreadable(tree, &error))),
        }
    }

    /// What to remember of the moment in which a file is asked for.
    pub(crate) fn asked(&self) -> Asked {
        Asked(self.found.lock().breaks)
    }

    /// Notes that a file came to its end, right or wrong: what broke off before it was asked for is
    /// to blame for that itself.
    pub(super) fn note_come(&self, asked: Asked) {
        let mut found = self.found.lock();
        let broken_off = mem::take(&mut found.broken_off).into_iter();
        let (before, since): (Vec<_>, Vec<_>) =
            broken_off.partition(|broken| broken.number <= asked.0);
        found.broken_off = since;
        for BrokenOff { name, reason, .. } in before {
            if found.problems.iter().all(|(known, _)| *known != name) {
                self.progress.add_error();
                let kind = ProblemKind::Unreadable { reason };
                found.problems.push((name, kind));
            }
        }
    }

    /// Whether nothing more is read of the copy.
    pub(super) fn has_failed(&self) -> bool {
        self.found.lock().failure.is_some()
    }

    /// Notes that the copy has failed. Nothing speaks against what broke off last.
    pub(super) fn fail(&self, error: &Error) {
        self.progress.add_error();
        let failure = CopyFailure::of_store(error);
        let mut found = self.found.lock();
        found.broken_off.clear();
        found.failure.get_or_insert(failure);
    }

    /// Notes why a file was not read to its end.
    ///
    /// # Errors
    /// Where the user interrupts.
    pub(crate) fn note_failed(&self, name: FileName, error: &Error) -> Result<()> {
        match self.blame(name, error)? {
            Blame::Vanished => {
                self.found.lock().vanished.insert(name);
            }
            Blame::File => {
                let reason = chain(error);
                self.problem(name, ProblemKind::Unreadable { reason });
            }
            Blame::FileOrCopy => self.note_broken_off(name, None, error),
            Blame::Copy => self.fail(error),
        }
        Ok(())
    }

    fn note_broken_off(&self, name: FileName, tree: Option<BlobId>, error: &Error) {
        let is_over = {
            let mut found = self.found.lock();
            let mut known = found.broken_off.iter();
            let is_new = known.all(|known| (known.name, known.tree) != (name, tree));
            if is_new && found.failure.is_none() {
                found.breaks += 1;
                let broken = BrokenOff {
                    name,
                    tree,
                    reason: chain(error),
                    number: found.breaks,
                };
                found.broken_off.push(broken);
            }
            found.broken_off.len() >= MAX_IN_A_ROW
        };
        if is_over {
            self.fail(error);
        }
    }

    /// Finds out who is to blame, which may take a request.
    fn blame(&self, name: FileName, error: &Error) -> Result<Blame> {
        Ok(match error {
            Error::NotFound { .. } => Blame::Vanished,
            Error::Cancelled { .. } => return Err(crate::Error::Interrupted),
            Error::OtherCertificate { .. } => Blame::Copy,
            Error::Unreachable { .. } => {
                // A body that is given up for an interruption looks as if it had broken off.
                self.go_on()?;
                match self.has_failed() {
                    true => Blame::Copy,
                    false => self.blame_for_silence(name)?,
                }
            }
            Error::Denied { .. } | Error::Vault { .. } | Error::BadAnswer { .. }
                if !self.is_folder() =>
            {
                Blame::FileOrCopy
            }
            _ => Blame::File,
        })
    }

    fn blame_for_silence(&self, name: FileName) -> Result<Blame> {
        match self.store().size(name) {
            Ok(_) => Ok(Blame::FileOrCopy),
            Err(Error::NotFound { .. }) => Ok(Blame::Vanished),
            Err(Error::Cancelled { .. }) => Err(crate::Error::Interrupted),
            Err(_) => Ok(Blame::Copy),
        }
    }
}
