//! The source's own check: what its owner would do to see whether what came back is sound.
//!
//! It runs where the source was restored: in the folder that its paths have in common, and for the
//! output of a command where the file lies.
//!
//! **Security:** a hostile snapshot may have a link in the place of such a folder. What is checked
//! must be what was restored, so a folder that leads out of it is refused, and so is a link that does.
//! What was restored may also tell a program what to run: a repository of git names commands in its
//! own configuration. So a check has an empty home of its own, and [`git`] overrides what git would
//! run. That holds nobody who may write in the source from other programs' ways: a check of such data
//! is best run as a user of its own.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Serialize;
use strongroom_model::CommandLine;

use crate::drill::restore::program::{self, Limits};
use crate::session::Cancel;
use crate::{Error, Result};

/// What a check may take: a large repository of git takes hours.
const LIMITS: Limits = Limits {
    time: Duration::from_secs(12 * 60 * 60),
    output_bytes: 256 << 20,
};

/// What of a repository's own configuration has git run programs, in `fsck` and its kin, and what it
/// is instead; later settings, as of `git -c`, still win. Named as of git 2.47, `git help config`.
/// Filters, textconv and aliases have names of their own, which cannot be known here.
const GIT_SETTINGS: [(&str, &str); 15] = [
    ("core.fsmonitor", "false"),
    ("core.hooksPath", "/dev/null"),
    ("core.alternateRefsCommand", "true"),
    ("core.sshCommand", "false"),
    ("core.gitProxy", ""),
    ("core.pager", "cat"),
    ("core.editor", "false"),
    ("core.askPass", "false"),
    ("credential.helper", ""),
    ("diff.external", "false"),
    ("log.showSignature", "false"),
    ("gpg.program", "false"),
    ("gpg.ssh.program", "false"),
    ("gpg.x509.program", "false"),
    ("gc.auto", "0"),
];

/// What git takes from the environment alone.
const GIT_VARIABLES: [(&str, &str); 14] = [
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_CONFIG_SYSTEM", "/dev/null"),
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_ATTR_NOSYSTEM", "1"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_PAGER", "cat"),
    ("GIT_EDITOR", "false"),
    ("GIT_SEQUENCE_EDITOR", "false"),
    ("GIT_ASKPASS", "false"),
    ("GIT_SSH_COMMAND", "false"),
    // No object that is missing is fetched from wherever the repository says, by no way at all.
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_ALLOW_PROTOCOL", "none"),
    ("GIT_PROTOCOL_FROM_USER", "0"),
    ("GIT_OPTIONAL_LOCKS", "0"),
];

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
    let home = temporary.join("home");
    std::fs::create_dir_all(&home).map_err(Error::local("make a home for the check"))?;
    let mut run = program::command(OsStr::new(command.program()), &folder, temporary);
    run.env("HOME", &home)
        .env("XDG_CONFIG_HOME", home.join(".config"));
    git(&mut run, root);
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

/// Has git, should the command be it or start it, run nothing that what was restored to `root` names,
/// and look for no repository above it.
fn git(run: &mut Command, root: &Path) {
    let real = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    if let Some(above) = real.parent() {
        run.env("GIT_CEILING_DIRECTORIES", above);
    }
    run.envs(GIT_VARIABLES);
    run.env("GIT_CONFIG_COUNT", GIT_SETTINGS.len().to_string());
    for (number, (name, value)) in GIT_SETTINGS.iter().enumerate() {
        run.env(format!("GIT_CONFIG_KEY_{number}"), name);
        run.env(format!("GIT_CONFIG_VALUE_{number}"), value);
    }
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
    if !found.starts_with(&root) || !found.is_dir() {
        return Err("the folder of the source leads out of what was restored".to_owned());
    }
    // What the check opens by its name must be what was restored, and not what lies here.
    let leads_out = |path: &&String| {
        let path = inner(path);
        path.is_symlink() && !path.canonicalize().is_ok_and(|to| to.starts_with(&root))
    };
    match paths.iter().find(leads_out) {
        None => Ok(found),
        Some(path) => Err(format!(
            "{path} was restored as a link that leads out of what was restored"
        )),
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
        // A link counts as a file, and is checked where it lies, if it leads to what was restored.
        symlink("www", root.join("srv/inner")).unwrap();
        assert_eq!(found(&root, &["/srv/inner"]).unwrap(), Path::new("srv"));
        for path in ["/srv/link", "/srv/link/ssl", "/../x/y", "/missing/folder"] {
            assert!(found(&root, &[path]).is_err(), "{path}");
        }
    }

    #[test]
    fn git_runs_nothing_that_a_repository_names() {
        let (_folder, root) = restored();
        let repository = root.join("srv/git");
        let mut prepare = program::command(OsStr::new("sh"), &repository, &root);
        prepare.args([
            "-c",
            "git init -q . && echo text >file && git add file && git update-index --fsmonitor \
             && git config core.fsmonitor 'touch ran; false #'; git fsck; test -e ran",
        ]);
        let ran = program::run(&mut prepare, LIMITS, &Cancel::default()).unwrap();
        assert_eq!(ran.reason(), None, "git runs it where nobody forbids it");
        fs::remove_file(repository.join("ran")).unwrap();
        let run = |paths: &str, text: &str| {
            let parts = ["sh", "-c", text].map(|part| (part.to_owned(), Secret::new(part)));
            let command = CommandLine::new(parts).unwrap();
            let paths = [paths.to_owned()];
            check(&command, &root, &paths, &root, &Cancel::default()).unwrap()
        };
        let outcome = run("/srv/git", "git fsck && git status");
        assert_eq!(outcome.passed(), Some(true), "{outcome:?}");
        assert!(!repository.join("ran").exists());
        // Its home is its own and empty, and no repository above what was restored is found.
        let outcome = run(
            "/srv/git",
            r#"test -z "$(ls -A "$HOME")" && test -O "$HOME""#,
        );
        assert_eq!(outcome.passed(), Some(true), "{outcome:?}");
        let above = root.parent().unwrap().join(".git");
        fs::rename(repository.join(".git"), above).unwrap();
        assert_eq!(run("/srv/git", "git fsck").passed(), Some(false));
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
