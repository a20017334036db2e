//! The copies that lie on this machine: a source that held one would save in each run what the
//! last one wrote.
//!
//! The configuration refuses what its paths say. Symbolic links and bind mounts they do not show:
//! where links lead is looked up before anything is written, and a copy that the walk meets under
//! another path is known by its device and inode.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use strongroom_model::config::Source;
use strongroom_store::patient::{HANG_LIMIT, within};

use crate::backup::filter::Filter;
use crate::filesystem::Stat;
use crate::session::Session;
use crate::{Error, Result};

/// The folders of the copies that can be used.
#[derive(Debug, Default)]
pub(crate) struct OwnCopies(Vec<OwnCopy>);

#[derive(Debug)]
struct OwnCopy {
    name: String,
    /// Without symbolic links.
    path: PathBuf,
    /// Device and inode.
    place: (u64, u64),
}

impl OwnCopies {
    /// Looks where the copies are; one that does not answer will fail as a copy.
    pub(crate) fn find(session: &Session) -> Self {
        let copies = session.ready().filter_map(|(copy, _)| {
            let path = PathBuf::from(copy.store.location());
            if !copy.is_local || !path.is_absolute() {
                return None;
            }
            let look = move || Some((path.canonicalize().ok()?, path.metadata().ok()?));
            let (path, metadata) = within(HANG_LIMIT, look)??;
            Some(OwnCopy {
                name: copy.name.clone(),
                path,
                place: place_of(&metadata),
            })
        });
        Self(copies.collect())
    }

    /// Looks whether a copy lies inside a source.
    ///
    /// # Errors
    /// [`Error::CopyInSource`], unless the source leaves the copy out.
    pub(crate) fn check(&self, source: &Source, filter: &Filter) -> Result<()> {
        for path in source.paths() {
            let (Ok(resolved), Ok(metadata)) = (path.canonicalize(), path.metadata()) else {
                continue;
            };
            for copy in &self.0 {
                let below = match copy.path.strip_prefix(&resolved) {
                    Ok(below) => below,
                    Err(_) if place_of(&metadata) == copy.place => Path::new(""),
                    Err(_) => continue,
                };
                let is_elsewhere = filter.one_file_system && copy.place.0 != metadata.dev();
                if !is_elsewhere && !leaves_out(filter, path, below) {
                    return Err(Error::CopyInSource {
                        copy: copy.name.clone(),
                        source_name: source.name.to_string(),
                        path: path.join(below).components().collect(),
                    });
                }
            }
        }
        Ok(())
    }

    /// The name of the copy that lies in a folder, if one does.
    pub(crate) fn at(&self, folder: &Stat) -> Option<&str> {
        let place = (folder.device_id, folder.inode);
        let copy = self.0.iter().find(|copy| copy.place == place)?;
        Some(&copy.name)
    }
}

/// Whether patterns leave out a folder below a path of a source, or one on the way to it.
fn leaves_out(filter: &Filter, path: &Path, below: &Path) -> bool {
    let mut at = path.to_owned();
    for component in below.components() {
        if let Component::Normal(name) = component {
            if filter.excludes(&at, OsStr::as_bytes(name), true) {
                return true;
            }
            at.push(name);
        }
    }
    false
}

fn place_of(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}
