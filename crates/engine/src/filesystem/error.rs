//! What can go wrong with a source or a target, always with the path.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::filesystem::MAX_DEPTH;

/// An error of one file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FsError {
    /// The operating system refused.
    #[error("Cannot {action} {}", path.display())]
    Io {
        /// What was tried, as a verb: "open", "read the attributes of".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another file lies under the name than a moment ago.
    #[error("{} was replaced while it was backed up", path.display())]
    Replaced {
        /// The file.
        path: PathBuf,
    },
    /// A folder in more folders than a snapshot may have.
    #[error("{} lies in more than {MAX_DEPTH} folders", path.display())]
    TooDeep {
        /// The folder.
        path: PathBuf,
    },
    /// A name from a tree that is not one path component.
    #[error("The name {} would leave {}", name.escape_debug(), folder.display())]
    UnsafeName {
        /// The name, what is not text replaced.
        name: String,
        /// The folder in which it was to be made.
        folder: PathBuf,
    },
    /// A kind of file that cannot be made.
    #[error("{} is a {kind}, which cannot be restored", path.display())]
    Unrestorable {
        /// The file.
        path: PathBuf,
        /// restic's word for its kind.
        kind: String,
    },
}

impl FsError {
    /// Wraps what the system said.
    pub(crate) fn io(action: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Io {
            action,
            path: path.to_owned(),
            source: source.into(),
        }
    }

    /// The file that it is about.
    pub fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. }
            | Self::Replaced { path }
            | Self::TooDeep { path }
            | Self::Unrestorable { path, .. } => path,
            Self::UnsafeName { folder, .. } => folder,
        }
    }

    /// Whether the file is not there any more, as happens to temporary files.
    pub fn is_vanished(&self) -> bool {
        self.errno() == Some(Errno::NOENT)
    }

    /// Whether it is no folder that was opened as one.
    pub(crate) fn is_no_folder(&self) -> bool {
        self.errno() == Some(Errno::NOTDIR)
    }

    /// Whether nothing more can be written: the disk or the quota is full.
    pub fn is_full(&self) -> bool {
        matches!(self.errno(), Some(Errno::NOSPC | Errno::DQUOT))
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        let permission = matches!(self.errno(), Some(Errno::ACCESS | Errno::PERM));
        (permission && !is_root()).then(|| "Run the same command as root".to_owned())
    }

    fn errno(&self) -> Option<Errno> {
        match self {
            Self::Io { source, .. } => Errno::from_io_error(source),
            _ => None,
        }
    }
}

/// Something that a restore could not do as it should, and went on.
#[derive(Debug)]
pub struct RestoreProblem {
    /// How bad it is.
    pub severity: Severity,
    /// What happened.
    pub error: FsError,
}

/// How bad a problem of a restore is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// What this user or this filesystem cannot do: another's ownership without root, devices
    /// without root, attributes on a filesystem without them, sockets.
    Warning,
    /// Anything else.
    Error,
}

impl From<FsError> for RestoreProblem {
    fn from(error: FsError) -> Self {
        let severity = match error.errno() {
            Some(Errno::OPNOTSUPP) => Severity::Warning,
            Some(Errno::PERM | Errno::ACCESS) if !is_root() => Severity::Warning,
            None if matches!(error, FsError::Unrestorable { .. }) => Severity::Warning,
            _ => Severity::Error,
        };
        Self { severity, error }
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_filesystem_cannot_hold_is_a_warning() {
        let problem =
            |errno: Errno| RestoreProblem::from(FsError::io("set", Path::new("a"), errno)).severity;
        assert_eq!(problem(Errno::OPNOTSUPP), Severity::Warning);
        assert_eq!(problem(Errno::IO), Severity::Error);
        let root = rustix::process::geteuid().is_root();
        assert_eq!(problem(Errno::PERM) == Severity::Error, root);
    }
}
