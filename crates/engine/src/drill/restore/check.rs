//! The source's own check: what its owner would do to see whether what came back is sound.
//!
//! It runs where the source was restored: in the folder that its paths have in common, and for the
//! output of a command where the file lies.
//!
//! **Security:** a hostile snapshot may have a link in the place of such a folder. What is checked
//! must be what was restored, so a folder that leads out of it is refused.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use strongroom_model::CommandLine;

use crate::Result;
use crate::drill::restore::program::{self, Limits};
use crate::session::Cancel;

/// What a check may take: a large repository of git takes hours.
const LIMITS: Limits = Limits {
    time: Duration::from_secs(12 * 60 * 60),
    output_bytes: 256 << 20,
};

/// What came of a source's own check.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Checked {
    /// None is named.
    None,
    /// It passed.
    Passed {
        /// How long it took.
        seconds: f64,
    },
    /// It did not.
    Failed {
        /// Why, in one line.
        reason: String,
    },
    /// It was not run.
    Skipped {
        /// Why, in one line.
        reason: String,
    },
}

impl Checked {
    /// Whether it passed; `None` where it was not run.
    pub const fn passed(&self) -> Option<bool> {
        match self {
            Self::Passed { .. } => Some(true),
            Self::Failed { .. } => Some(false),
            Self::None | Self::Skipped { .. } => None,
        }
    }
}

/// Runs a check in what was restored to `root`, which is what a snapshot has of these paths.
pub(super) fn check(
    command: &CommandLine,
    root: &Path,
    paths: &[String],
    temporary: &Path,
    cancel: &Cancel,
) -> Result<Checked> {
    let folder = match folder_of(root, paths) {
        Ok(folder) => folder,
        Err(reason) => return Ok(Checked::Failed { reason }),
    };
    let mut run = program::command(OsStr::new(command.program()), &folder, temporary);
    let ran = program::run(run.args(command.arguments()), LIMITS, cancel)?;
    Ok(match ran.reason() {
        None => Checked::Passed {
            seconds: ran.seconds,
        },
        Some(reason) => Checked::Failed {
            reason: format!("{command}: {reason}"),
        },
    })
}

/// The folder that these paths have in common, as it was restored.
fn folder_of(root: &Path, paths: &[String]) -> std::result::Result<PathBuf, String> {
    let inner = |path: &str| root.join(path.trim_start_matches('/'));
    let folder = |path: &String| {
        let path = inner(path);
        let is_folder = path.symlink_metadata().is_ok_and(|found| found.is_dir());
        match (is_folder, path.parent()) {
            (false, Some(above)) => above.to_owned(),
            _ => path,
        }
    };
    let common = paths.iter().map(folder).reduce(|one, other| {
        let pairs = one.components().zip(other.components());
        let same = pairs.take_while(|(left, right)| left == right);
        same.map(|(component, _)| component).collect()
    });
    let common = common.unwrap_or_else(|| root.to_owned());
    let failed =
        |error: std::io::Error| format!("the folder of the source was not restored: {error}");
    let (root, found) = root
        .canonicalize()
        .and_then(|root| Ok((root, common.canonicalize()?)))
        .map_err(failed)?;
    match found.starts_with(&root) && found.is_dir() {
        true => Ok(found),
        false => Err("the folder of the source leads out of what was restored".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use strongroom_model::Secret;

    use super::*;

    fn restored() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap().join("ours");
        fs::create_dir_all(root.join("srv/git/shop")).unwrap();
        fs::create_dir_all(root.join("srv/www")).unwrap();
        fs::write(root.join("shop.dump"), "dump").unwrap();
        symlink("/etc", root.join("srv/link")).unwrap();
        (folder, root)
    }

    fn found(root: &Path, paths: &[&str]) -> std::result::Result<PathBuf, String> {
        let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        let found = folder_of(root, &paths)?;
        Ok(found.strip_prefix(root).unwrap().to_owned())
    }

    #[test]
    fn it_runs_where_the_source_was_restored() {
        let (_folder, root) = restored();
        assert_eq!(found(&root, &["/srv/git"]).unwrap(), Path::new("srv/git"));
        assert_eq!(found(&root, &["/shop.dump"]).unwrap(), Path::new(""));
        let both = ["/srv/git", "/srv/www"];
        assert_eq!(found(&root, &both).unwrap(), Path::new("srv"));
        assert_eq!(found(&root, &[]).unwrap(), Path::new(""));
    }

    #[test]
    fn it_runs_nowhere_else() {
        let (_folder, root) = restored();
        // A link counts as a file, and is checked where it lies.
        assert_eq!(found(&root, &["/srv/link"]).unwrap(), Path::new("srv"));
        for path in ["/srv/link/ssl", "/../x/y", "/missing/folder"] {
            assert!(found(&root, &[path]).is_err(), "{path}");
        }
    }

    #[test]
    fn what_it_says_is_told_where_it_fails() {
        let (_folder, root) = restored();
        let run = |text: &str| {
            let parts = ["sh", "-c", text].map(|part| (part.to_owned(), Secret::new(part)));
            let command = CommandLine::new(parts).unwrap();
            let paths = ["/srv/git".to_owned()];
            check(&command, &root, &paths, &root, &Cancel::default()).unwrap()
        };
        assert_eq!(run("test -d shop").passed(), Some(true));
        let failed = run("echo broken link >&2; exit 1");
        let Checked::Failed { reason } = &failed else {
            panic!("{failed:?}");
        };
        assert!(reason.ends_with("exit status: 1: broken link"), "{reason}");
        assert_eq!(failed.passed(), Some(false));
    }
}
