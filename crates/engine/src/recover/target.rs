//! Where files are recovered to, when not in place: a folder or another copy.
//!
//! What can go wrong: it is the wrong place, and two repositories would lie in one (so: it is empty,
//! or holds the same `config`, or nothing but files of this repository, as a run leaves it that was
//! killed), and a run that is killed (so: what is there is whole, and is not read again from the
//! copy; on this machine it is hashed, elsewhere its size is compared).

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_model::{FileName, FileType};
use strongroom_store::{Error as StoreError, SharedBytes, Store};

use crate::listing::Files;
use crate::parallel::for_each;
use crate::progress::Progress;
use crate::recover::RecoverError;
use crate::recover::files::File;
use crate::recover::report::Tally;
use crate::recover::search::{Attempt, THREADS};
use crate::recover::source::{Reading, Source};
use crate::right_version::Candidate;
use crate::sync::budget::Budget;
use crate::verify::stream;
use crate::{Error, Result};

/// What may lie in a folder that holds a repository.
const LAYOUT: [&str; 7] = [
    "config",
    "data",
    "index",
    "keys",
    "locks",
    "snapshots",
    "strongroom",
];

/// How the names of what a killed process leaves behind begin.
const TEMPORARY: &str = ".tmp-";

/// A place that gets the files.
pub(super) struct Target<'a> {
    pub(super) store: &'a dyn Store,
    /// Whether it is on this machine, so that reading there is cheap.
    pub(super) is_near: bool,
    pub(super) budget: &'a Budget,
}

impl Target<'_> {
    /// Makes sure that nothing else lies in a folder than a repository, and no link, which would lead
    /// what is written somewhere else.
    ///
    /// # Errors
    /// [`RecoverError::NotEmpty`], and where it cannot be looked into.
    pub(super) fn check_folder(path: &Path) -> Result<()> {
        let location = path.display().to_string();
        let failed = || Error::local(format!("look into {location}"));
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed()(error)),
        };
        for entry in entries {
            let entry = entry.map_err(failed())?;
            let is_link = entry.file_type().map_err(failed())?.is_symlink();
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if is_link {
                return Err(Error::from(RecoverError::NotEmpty {
                    location: location.clone(),
                    found: format!("{name}, a link"),
                }));
            }
            if !LAYOUT.contains(&&*name) && !name.starts_with(TEMPORARY) {
                return Err(Error::from(RecoverError::NotEmpty {
                    location: location.clone(),
                    found: name.into_owned(),
                }));
            }
        }
        Ok(())
    }

    /// Makes sure that no other repository is there: either its `config` is the same, or whatever is
    /// there is one of these files.
    ///
    /// # Errors
    /// [`RecoverError::OtherRepository`], [`RecoverError::NotEmpty`]; and where it cannot be listed.
    pub(super) fn check(
        &self,
        source: &Source<'_>,
        config: Option<&[u8]>,
        files: &[(FileType, Vec<File>)],
    ) -> Result<()> {
        let location = || self.store.location().to_owned();
        match self.store.read(FileName::CONFIG) {
            Ok(there) if Some(there.as_slice()) == config => return Ok(()),
            Ok(_) => {
                return Err(Error::from(RecoverError::OtherRepository {
                    location: location(),
                    copy: source.copy.name.clone(),
                }));
            }
            Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        for kind in FileType::SYNCED {
            let known = files.iter().find(|(of, _)| *of == kind);
            for entry in self.store.list(kind)? {
                let name = FileName::new(kind, entry.id);
                let is_known = known.is_some_and(|(_, files)| {
                    files.binary_search_by_key(&name, |file| file.name).is_ok()
                });
                if !is_known {
                    return Err(Error::from(RecoverError::NotEmpty {
                        location: location(),
                        found: name.to_string(),
                    }));
                }
            }
        }
        Ok(())
    }

    /// The files that are not there, or not right as far as that can be told without much effort;
    /// the others are counted.
    ///
    /// # Errors
    /// Where the place cannot be listed, and where the user interrupts.
    pub(super) fn lacking<'f>(
        &self,
        source: &Source<'_>,
        kind: FileType,
        files: &'f [File],
        tally: &Tally,
        progress: &Progress,
    ) -> Result<Vec<&'f File>> {
        let there = Files::new(self.store.list(kind)?);
        let lacking = Mutex::new(Vec::new());
        let files: Vec<&File> = files.iter().collect();
        for_each(&files, THREADS, |file| {
            source.cancel.check()?;
            let size_bytes = file.name.id().and_then(|id| there.size_bytes(id));
            match size_bytes.filter(|size| self.is_right(file, *size)) {
                None => lacking.lock().push(*file),
                Some(size_bytes) => {
                    tally.done(size_bytes, false);
                    progress.add_files(1);
                    progress.add_bytes(size_bytes);
                }
            }
            Ok(())
        })?;
        let mut lacking = lacking.into_inner();
        lacking.sort_unstable_by_key(|file| file.name);
        Ok(lacking)
    }

    /// Whether what is there in this size is the file.
    fn is_right(&self, file: &File, size_bytes: u64) -> bool {
        match self.is_near {
            true => {
                stream::hash(self.store, file.name).is_ok_and(|found| file.name.id() == Some(found))
            }
            false => file.may_have(size_bytes),
        }
    }

    /// Reads a version and stores it, where it is right: step by step where the place takes that.
    ///
    /// # Errors
    /// Where it cannot be stored; and as [`Source::read`].
    pub(super) fn bring(
        &self,
        source: &Source<'_>,
        file: &File,
        candidate: &Candidate,
    ) -> Result<Attempt> {
        let name = file.name;
        if let Some(mut growing) = self.store.begin(name)? {
            let reading = source.read(name, candidate, &mut |step| {
                growing.write(step).map_err(Error::from)
            })?;
            if matches!(reading, Reading::Right) {
                growing.finish()?;
            }
            return Ok(Attempt::of(reading, true));
        }
        let _permit = self.budget.take(candidate.size_bytes);
        let (reading, bytes) = source.read_whole(name, candidate)?;
        if matches!(reading, Reading::Right) {
            save(self.store, name, bytes)?;
        }
        Ok(Attempt::of(reading, true))
    }
}

impl Attempt {
    /// What it means for a file that a version was read.
    pub(super) fn of(reading: Reading, is_new: bool) -> Self {
        match reading {
            Reading::Right => Self::Right { is_new },
            Reading::Wrong => Self::Wrong,
            Reading::Failed(reason) => Self::Failed(reason),
        }
    }
}

/// Stores right bytes, in place of whatever else has the name.
///
/// # Errors
/// As [`Store::save`] and [`Store::replace`].
pub(super) fn save(store: &dyn Store, name: FileName, bytes: Vec<u8>) -> Result<()> {
    let bytes: SharedBytes = Arc::new(bytes);
    let saved = match store.save_shared(name, Arc::clone(&bytes)) {
        Err(StoreError::Exists { .. }) => store.replace_shared(name, bytes),
        saved => saved,
    };
    saved.map_err(Error::from)
}
