//! Linux files with all that restic keeps of them: read for a backup, made again by a restore.
//!
//! Everything goes through the descriptor of the folder that holds it, never through a path from
//! the root: it is faster, and a folder that is renamed or swapped for a symbolic link in the
//! middle of a run cannot lead a backup out of its source or a restore out of its target.
//!
//! A backup races with whoever uses the files. It wins by looking twice: what is opened must be
//! what was listed ([`Folder::open_file`]), and must not have changed when its last byte was read
//! ([`Stat::changed_since`]).

mod error;
mod folder;
mod names;
mod path;
mod place;
mod stat;
mod target;
mod target_file;

pub use error::{FsError, RestoreProblem, Severity};
pub use folder::{Entry, Folder, Listing, SourceFile};
pub use names::Names;
pub(crate) use path::told;
pub use path::{FolderPath, MAX_DEPTH};
pub use stat::{Stat, is_unchanged};
pub use target::TargetFolder;
pub use target_file::TargetFile;
