//! Bodies in a folder: `<root>/<repository>/`, laid out as restic lays a repository out.
//!
//! In an emergency stock restic opens such a folder as it is; later generations, and what is being
//! written, have names that it passes over.
//!
//! What can go wrong is what can go wrong in [`LocalStore`](crate::LocalStore), and is met in the
//! same way: what is being written lies in the repository's own folder, on the same file system,
//! until a rename gives it its name, and is durable before that; no link is followed; and a root that
//! is not there is never made, nor taken for an empty one. What is small and settled with others
//! gets its name before it is durable; and where it is all here when it begins, and its name is free,
//! it lies in the folder of that name without any until then.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use rustix::fs::AtFlags;
use rustix::io::Errno;
use strongroom_model::{FileName, RepositoryPath};

use crate::bodies::{Bodies, BodyKey, Named, Staged};
use crate::exact::Exact;
use crate::local::fault::{absent_or, fault, io_fault};
use crate::local::folder::{self, Modes, Place};
use crate::local::folders::{Folder, Folders};
use crate::local::listing;
use crate::local::settling::Unsettled;
use crate::local::temporary::{self, Temporary};
use crate::{Error, Result};

/// Bodies in a local folder.
#[derive(Debug)]
pub struct LocalBodies {
    folders: Arc<Folders>,
    location: String,
}

impl LocalBodies {
    /// Names the folder; nothing is touched yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self {
            location: root.display().to_string(),
            folders: Arc::new(Folders::new(root)),
        }
    }

    /// Makes the folder, readable by its owner alone; one that is there is left as it is.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn create(&self) -> Result<()> {
        let action = "make the folder of all repositories";
        let root = self.folders.root();
        folder::make_root(root).map_err(|error| io_fault(self.location.clone(), action, error))?;
        folder::sync_root(root).map_err(|errno| fault(self.location.clone(), action, errno))
    }

    /// What it means that `lies` could not be looked at.
    fn absent_or(&self, lies: &Lies, verb: &str, errno: Errno) -> Error {
        if errno == Errno::NOENT {
            lies.forget();
            if let Err(errno) = folder::open(self.folders.root(), "") {
                let action = format!(
                    "open the folder of all repositories to {verb} {}",
                    lies.name
                );
                return fault(self.location.clone(), action, errno);
            }
        }
        absent_or(lies.location(), lies.name, verb, errno)
    }

    /// Opens the file of a body, and tells its size in bytes.
    fn open_file(&self, lies: &Lies) -> Result<(File, u64)> {
        let opened = self
            .folders
            .open(&lies.folder)
            .and_then(|folder| folder::open_regular(folder, &lies.base));
        opened.map_err(|errno| self.absent_or(lies, "open", errno))
    }

    /// Removes the old temporary files of a folder, and tells which repositories' folders are in
    /// it; what is no folder any more has none.
    fn sweep_folder(
        &self,
        relative: &str,
        older_than: SystemTime,
    ) -> rustix::io::Result<(u64, Vec<RepositoryPath>)> {
        let opened = match folder::open(self.folders.root(), relative) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) if !relative.is_empty() => {
                return Ok((0, Vec::new()));
            }
            opened => opened?,
        };
        let count = temporary::sweep(&opened, older_than)?;
        let opened = folder::open(self.folders.root(), relative)?;
        let path = |name: &str| match relative {
            "" => RepositoryPath::of_record(name).ok(),
            _ => RepositoryPath::of_record(&format!("{relative}/{name}")).ok(),
        };
        let names = listing::subfolders(&opened, |name| path(name).is_some())?;
        Ok((count, names.iter().filter_map(|name| path(name)).collect()))
    }
}

impl Bodies for LocalBodies {
    fn location(&self) -> &str {
        &self.location
    }

    fn stage(&self, body: &BodyKey) -> Result<Box<dyn Staged>> {
        let lies = Lies::of(&self.folders, body);
        let repository = body.repository.as_str();
        let temporary = self
            .folders
            .open_or_make(repository)
            .and_then(|folder| Temporary::create(folder, Modes::PRIVATE.file));
        match temporary {
            Ok(temporary) => Ok(Box::new(LocalStaged { temporary, lies })),
            Err(errno) => {
                self.folders.forget(repository);
                Err(lies.fault("write", errno))
            }
        }
    }

    fn name(&self, body: &BodyKey, bytes: &[u8]) -> Result<Named> {
        let lies = Lies::of(&self.folders, body);
        if let Ok(Some((file, folder))) = named_at_once(&lies, bytes) {
            return Ok(Named(Some(Unsettled::new(file, folder, lies))));
        }
        // A folder that was removed does not say so here, and links may be forbidden where renames
        // are not: whatever it was, a passing name does without, or tells what is wrong.
        let mut staged = self.stage(body)?;
        staged.write(bytes)?;
        staged.name()
    }

    fn open(
        &self,
        body: &BodyKey,
        range: Option<Range<u64>>,
    ) -> Result<(u64, Box<dyn Read + Send>)> {
        let lies = Lies::of(&self.folders, body);
        let (mut file, size_bytes) = self.open_file(&lies)?;
        let range = range.unwrap_or(0..size_bytes);
        let end = range.end.min(size_bytes);
        if range.start > 0 {
            file.seek(SeekFrom::Start(range.start.min(end)))
                .map_err(|error| {
                    io_fault(lies.location(), format_args!("read {}", lies.name), error)
                })?;
        }
        let length_bytes = end.saturating_sub(range.start);
        Ok((size_bytes, Box::new(Exact::new(file, length_bytes))))
    }

    fn open_stored(&self, body: &BodyKey) -> Result<(u64, Box<dyn Read + Send>)> {
        let (file, size_bytes) = self.open_file(&Lies::of(&self.folders, body))?;
        folder::forget_cached(&file);
        Ok((size_bytes, Box::new(Exact::new(file, size_bytes))))
    }

    fn remove(&self, body: &BodyKey) -> Result<()> {
        let lies = Lies::of(&self.folders, body);
        let removed = self.folders.open(&lies.folder).and_then(|folder| {
            rustix::fs::unlinkat(&folder, lies.base.as_str(), AtFlags::empty())?;
            folder::sync(folder)
        });
        match removed.map_err(|errno| self.absent_or(&lies, "remove", errno)) {
            Err(Error::NotFound { .. }) => Ok(()),
            removed => removed,
        }
    }

    fn free_bytes(&self) -> Result<Option<u64>> {
        folder::free_bytes(self.folders.root())
            .map(Some)
            .map_err(|errno| fault(self.location.clone(), "tell how much room there is", errno))
    }

    fn probe(&self) -> Result<()> {
        let failed = |errno| fault(self.location.clone(), "write", errno);
        let root = folder::open(self.folders.root(), "").map_err(failed)?;
        let mut temporary = Temporary::create(root, Modes::PRIVATE.file).map_err(failed)?;
        // Dropping it removes it.
        temporary.write(b"strongroom").map_err(failed)
    }

    fn sweep(&self, older_than: SystemTime) -> Result<u64> {
        let sweep = |relative: &str| {
            self.sweep_folder(relative, older_than).map_err(|errno| {
                let action = format!("remove old temporary files of {relative:?}");
                fault(self.location.clone(), action, errno)
            })
        };
        let (mut count, mut open) = sweep("")?;
        while let Some(path) = open.pop() {
            let (swept, below) = sweep(path.as_str())?;
            count += swept;
            open.extend(below);
        }
        Ok(count)
    }
}

/// A file, and the folder in which it has its name.
type Placed = (Temporary<Arc<Folder>>, Arc<Folder>);

/// Writes a file that has no name and then its own, which spares a passing one; `None` where the name
/// is taken.
fn named_at_once(lies: &Lies, bytes: &[u8]) -> rustix::io::Result<Option<Placed>> {
    let folder = lies.folders.open_or_make(&lies.folder)?;
    let mut file = Temporary::nameless(Arc::clone(&folder), Modes::PRIVATE.file)?;
    file.write(bytes)?;
    let is_named = file.name(&folder, &lies.base)?;
    Ok(is_named.then_some((file, folder)))
}

/// A body that is being written.
#[derive(Debug)]
struct LocalStaged {
    temporary: Temporary<Arc<Folder>>,
    lies: Lies,
}

impl Staged for LocalStaged {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.temporary
            .write(bytes)
            .map_err(|errno| self.lies.fault("write", errno))
    }

    fn publish(self: Box<Self>) -> Result<()> {
        let Self { temporary, lies } = *self;
        let published = lies.folders.open_or_make(&lies.folder).and_then(|folder| {
            temporary.publish_over(&folder, &lies.base)?;
            folder::sync(folder)
        });
        published.map_err(|errno| {
            lies.forget();
            lies.fault("write", errno)
        })
    }

    fn name(self: Box<Self>) -> Result<Named> {
        let Self {
            mut temporary,
            lies,
        } = *self;
        let folder = lies.folders.open_or_make(&lies.folder);
        let named =
            folder.and_then(|folder| Ok(temporary.name(&folder, &lies.base)?.then_some(folder)));
        match named {
            Ok(Some(folder)) => Ok(Named(Some(Unsettled::new(temporary, folder, lies)))),
            Ok(None) => {
                Box::new(Self { temporary, lies }).publish()?;
                Ok(Named::durable())
            }
            Err(errno) => {
                lies.forget();
                Err(lies.fault("write", errno))
            }
        }
    }
}

/// Where a body lies.
#[derive(Debug)]
pub(super) struct Lies {
    folders: Arc<Folders>,
    repository: RepositoryPath,
    name: FileName,
    /// The folder, relative to the root.
    folder: String,
    /// The name in it: as restic has it, and the generation where it is a later one.
    base: String,
}

impl Lies {
    fn of(folders: &Arc<Folders>, body: &BodyKey) -> Self {
        let Place { folder, mut base } = Place::of(body.name);
        if body.generation > 1 {
            base = match body.name.id() {
                Some(id) => format!("{id}.{}", body.generation),
                // It lies beside the folders of repositories, none of which begins with a dot.
                None => format!(".{base}.{}", body.generation),
            };
        }
        let repository = body.repository.as_str();
        Self {
            folders: Arc::clone(folders),
            repository: body.repository.clone(),
            name: body.name,
            folder: match folder.as_str() {
                "" => repository.to_owned(),
                _ => format!("{repository}/{folder}"),
            },
            base,
        }
    }

    /// The repository's folder, for people.
    fn location(&self) -> String {
        let folder = self.folders.root().join(self.repository.as_str());
        folder.display().to_string()
    }

    pub(super) fn fault(&self, verb: &str, errno: Errno) -> Error {
        fault(self.location(), format_args!("{verb} {}", self.name), errno)
    }

    /// Opens the folder anew next time.
    pub(super) fn forget(&self) {
        self.folders.forget(&self.folder);
    }
}
