//! How much a source holds, counted while it is saved, so that a first backup can tell how long it
//! will take.
//!
//! The counting follows the rules of the walk and reads metadata only. Nobody waits for it: it runs
//! beside the walk, which finds in the caches what was looked at already, and ends with it. It says
//! nothing of what it cannot read, since the walk does.

use std::collections::HashMap;
use std::ffi::CString;
use std::path::PathBuf;
use std::sync::Arc;

use strongroom_model::config::Source;
use strongroom_repo::node::NodeKind;

use crate::Result;
use crate::backup::filter::Filter;
use crate::backup::roots;
use crate::backup::walk::{FolderPlace, is_elsewhere, wanted};
use crate::filesystem::{Folder, Stat};
use crate::progress::Progress;
use crate::session::Cancel;

/// A count at work; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Estimate {
    done: Cancel,
}

/// The state of a count.
struct Count {
    filter: Filter,
    /// Set when the source is saved, or the user interrupts.
    stops: [Cancel; 2],
    waiting: Vec<Job>,
    files: u64,
    bytes: u64,
    /// Inodes with several names, each read once, and how many of these names were not seen yet.
    inodes: HashMap<(u64, u64), u64>,
}

/// A folder to look through.
struct Job {
    place: FolderPlace,
    device: Option<u64>,
}

impl Estimate {
    /// Begins to count; what is found is expected by `progress` as long as it is in `phase`.
    ///
    /// # Errors
    /// Where the source's patterns are none.
    pub(crate) fn start(
        source: &Source,
        phase: &str,
        progress: &Progress,
        cancel: &Cancel,
    ) -> Result<Self> {
        let done = Cancel::default();
        let mut count = Count {
            filter: Filter::new(source)?,
            stops: [done.clone(), cancel.clone()],
            waiting: Vec::new(),
            files: 0,
            bytes: 0,
            inodes: HashMap::new(),
        };
        let (paths, phase, progress) =
            (source.paths().to_vec(), phase.to_owned(), progress.clone());
        let work = move || {
            count.run(&paths);
            if !count.is_stopped() {
                progress.expect(&phase, count.files, count.bytes);
            }
        };
        if let Err(error) = std::thread::Builder::new().spawn(work) {
            tracing::debug!(%error, "The source is not counted");
        }
        Ok(Self { done })
    }
}

impl Drop for Estimate {
    fn drop(&mut self) {
        self.done.cancel();
    }
}

impl Count {
    fn run(&mut self, paths: &[PathBuf]) {
        for path in roots::outermost(paths) {
            self.add_root(path);
        }
        while let Some(job) = self.waiting.pop() {
            if self.is_stopped() {
                return;
            }
            let folder = match job.place {
                FolderPlace::Open(folder) => Ok(folder),
                FolderPlace::In(above, name) => above.open_folder(&name),
            };
            if let Ok(folder) = folder {
                self.look_through(folder, job.device);
            }
        }
    }

    fn is_stopped(&self) -> bool {
        self.stops.iter().any(Cancel::is_cancelled)
    }

    fn add_root(&mut self, path: PathBuf) {
        if let Ok(folder) = Folder::open(&path) {
            let device = folder.stat().ok().map(|stat| stat.device_id);
            self.waiting.push(Job {
                device: device.filter(|_| self.filter.one_file_system),
                place: FolderPlace::Open(folder),
            });
            return;
        }
        let above = path.parent().and_then(|above| Folder::open(above).ok());
        let name = path.file_name().map(std::os::unix::ffi::OsStrExt::as_bytes);
        let name = name.and_then(|name| CString::new(name).ok());
        let stat = above.zip(name).map(|(above, name)| above.stat_of(&name));
        if let Some(Ok(stat)) = stat {
            self.add_file(&stat);
        }
    }

    fn look_through(&mut self, folder: Folder, device: Option<u64>) {
        let Ok(listing) = folder.list() else {
            return;
        };
        let folder = Arc::new(folder);
        for entry in wanted(&self.filter, &folder, listing.entries, device) {
            if entry.stat.kind() != NodeKind::Dir {
                self.add_file(&entry.stat);
            } else if !is_elsewhere(&entry.stat, device) {
                let place = FolderPlace::In(Arc::clone(&folder), entry.name);
                self.waiting.push(Job { place, device });
            }
        }
    }

    fn add_file(&mut self, stat: &Stat) {
        if stat.kind() != NodeKind::File {
            return;
        }
        self.files += 1;
        if stat.links > 1 {
            let inode = (stat.device_id, stat.inode);
            let names_left = self.inodes.entry(inode).or_insert(stat.links);
            let is_first = *names_left == stat.links;
            *names_left -= 1;
            if *names_left == 0 {
                self.inodes.remove(&inode);
            }
            if !is_first {
                return;
            }
        }
        self.bytes += stat.size;
    }
}
