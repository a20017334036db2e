//! What two programs restored, held against each other; and against the source as it is now.
//!
//! Contents were compared with the snapshot before, blob by blob: here it is about names, kinds,
//! lengths, modes and what links point to. What nobody restores the same everywhere is passed over:
//! sockets, devices, and links whose target is not text, which older restics change.
//!
//! The source may have changed since, and says nothing of the copy; but a file that has the same
//! length and time and another content is told, for it rotted here or there.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::Result;
use crate::session::Cancel;

/// How many differences are named.
const NAMED: usize = 20;

/// How much of two files is compared at a time.
const STEP_BYTES: usize = 64 << 10;

/// How what was restored stands to what the source has now; for people, and proof of nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Live {
    /// Files that are the same.
    pub same: u64,
    /// Files that have changed.
    pub changed: u64,
    /// Files that are not there any more.
    pub gone: u64,
    /// The first files that have the same length and time, and another content.
    pub rotten: Vec<String>,
}

/// What two programs restored.
#[derive(Debug, Default)]
pub(super) struct Compared {
    pub(super) files: u64,
    /// What is not the same; the first of it.
    pub(super) differences: Vec<String>,
}

impl Compared {
    fn differs(&mut self, path: &Path, how: &str) {
        if self.differences.len() < NAMED {
            self.differences.push(format!("/{}: {how}", path.display()));
        }
    }
}

/// Compares two folders. Of a share the other program has restored less: then what it has must be
/// here too, and no more is asked.
pub(super) fn trees(
    ours: &Path,
    theirs: &Path,
    is_whole: bool,
    cancel: &Cancel,
) -> Result<Compared> {
    let mut compared = Compared::default();
    let mut open = vec![PathBuf::new()];
    while let Some(folder) = open.pop() {
        cancel.check()?;
        let mut names = names_in(&theirs.join(&folder));
        if is_whole {
            names.extend(names_in(&ours.join(&folder)));
        }
        for name in names {
            let path = folder.join(name);
            let (one, other) = (kind(&ours.join(&path)), kind(&theirs.join(&path)));
            match (&one, &other) {
                (Kind::Other, _) | (_, Kind::Other) => {}
                (_, Kind::Absent) => compared.differs(&path, "restic did not restore it"),
                (Kind::Absent, _) => compared.differs(&path, "only restic restored it"),
                _ if one != other => compared.differs(&path, "restic restored it otherwise"),
                (Kind::File { .. }, _) => compared.files += 1,
                (Kind::Folder { .. }, _) => open.push(path),
                (Kind::Link { .. }, _) => {}
            }
        }
    }
    Ok(compared)
}

/// Compares what was restored with what lies under the same paths on this machine.
pub(super) fn with_source(ours: &Path, cancel: &Cancel) -> Result<Live> {
    let mut live = Live::default();
    let mut open = vec![PathBuf::new()];
    while let Some(folder) = open.pop() {
        for name in names_in(&ours.join(&folder)) {
            cancel.check()?;
            let path = folder.join(name);
            let restored = ours.join(&path);
            let Ok(found) = restored.symlink_metadata() else {
                continue;
            };
            if found.is_dir() {
                open.push(path);
                continue;
            }
            if !found.is_file() {
                continue;
            }
            let here = Path::new("/").join(&path);
            match here.symlink_metadata() {
                Err(_) => live.gone += 1,
                Ok(now) if !is_unchanged(&found, &now) => live.changed += 1,
                Ok(_) => match is_same(&restored, &here, cancel)? {
                    Some(true) => live.same += 1,
                    Some(false) => {
                        if live.rotten.len() < NAMED {
                            live.rotten.push(here.display().to_string());
                        }
                    }
                    // Somebody changes it just now, or it cannot be read.
                    None => live.changed += 1,
                },
            }
        }
    }
    Ok(live)
}

/// What a name stands for, as far as it is compared.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    File { bytes: u64, mode: u32 },
    Folder { mode: u32 },
    Link { target: PathBuf },
    Other,
    Absent,
}

fn kind(path: &Path) -> Kind {
    let Ok(found) = path.symlink_metadata() else {
        return Kind::Absent;
    };
    let mode = found.mode() & 0o777;
    if found.is_file() {
        let bytes = found.len();
        Kind::File { bytes, mode }
    } else if found.is_dir() {
        Kind::Folder { mode }
    } else if found.is_symlink() {
        match fs::read_link(path) {
            Ok(target) if target.to_str().is_some() => Kind::Link { target },
            _ => Kind::Other,
        }
    } else {
        Kind::Other
    }
}

fn names_in(folder: &Path) -> BTreeSet<OsString> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).collect()
}

fn is_unchanged(restored: &Metadata, now: &Metadata) -> bool {
    let time = |found: &Metadata| (found.mtime(), found.mtime_nsec());
    now.is_file() && restored.len() == now.len() && time(restored) == time(now)
}

/// Whether two files have the same content; `None` where that cannot be told.
fn is_same(restored: &Path, here: &Path, cancel: &Cancel) -> Result<Option<bool>> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let open = |path: &Path| File::options().read(true).custom_flags(flags).open(path);
    let (Ok(mut one), Ok(mut other)) = (open(restored), open(here)) else {
        return Ok(None);
    };
    let before = other.metadata().ok();
    let (mut left, mut right) = (vec![0; STEP_BYTES], vec![0; STEP_BYTES]);
    loop {
        cancel.check()?;
        let Ok(read) = one.read(&mut left) else {
            return Ok(None);
        };
        let (Some(left), Some(right)) = (left.get(..read), right.get_mut(..read)) else {
            return Ok(None);
        };
        let is_equal = match read {
            0 => return Ok(Some(true)),
            _ => other.read_exact(right).is_ok() && left == right,
        };
        if !is_equal {
            // What changed while it was read tells nothing.
            let after = other.metadata().ok();
            let is_still = before
                .zip(after)
                .is_some_and(|(before, after)| is_unchanged(&before, &after));
            return Ok(is_still.then_some(false));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn restored() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));
        for side in [&ours, &theirs] {
            fs::create_dir_all(side.join("srv/git")).unwrap();
            fs::write(side.join("srv/git/file"), "content").unwrap();
            symlink("git/file", side.join("srv/link")).unwrap();
        }
        (folder, ours, theirs)
    }

    fn told(ours: &Path, theirs: &Path, is_whole: bool) -> Vec<String> {
        let compared = trees(ours, theirs, is_whole, &Cancel::default()).unwrap();
        compared.differences
    }

    #[test]
    fn what_both_restored_alike_is_the_same() {
        let (_folder, ours, theirs) = restored();
        let compared = trees(&ours, &theirs, true, &Cancel::default()).unwrap();
        assert_eq!((compared.files, compared.differences), (1, vec![]));
    }

    #[test]
    fn every_kind_of_difference_is_named() {
        type Change = fn(&Path);
        let changes: [(Change, &str); 5] = [
            (
                |theirs| fs::remove_file(theirs.join("srv/link")).unwrap(),
                "/srv/link: restic did not restore it",
            ),
            (
                |theirs| fs::write(theirs.join("srv/new"), "").unwrap(),
                "/srv/new: only restic restored it",
            ),
            (
                |theirs| fs::write(theirs.join("srv/git/file"), "longer content").unwrap(),
                "/srv/git/file: restic restored it otherwise",
            ),
            (
                |theirs| {
                    fs::remove_file(theirs.join("srv/link")).unwrap();
                    symlink("elsewhere", theirs.join("srv/link")).unwrap();
                },
                "/srv/link: restic restored it otherwise",
            ),
            (
                |theirs| {
                    let mode = fs::Permissions::from_mode(0o600);
                    fs::set_permissions(theirs.join("srv/git/file"), mode).unwrap();
                },
                "/srv/git/file: restic restored it otherwise",
            ),
        ];
        for (change, expected) in changes {
            let (_folder, ours, theirs) = restored();
            let mode = fs::Permissions::from_mode(0o644);
            fs::set_permissions(ours.join("srv/git/file"), mode).unwrap();
            change(&theirs);
            let told = told(&ours, &theirs, true);
            assert!(told.contains(&expected.to_owned()), "{told:?}: {expected}");
        }
    }

    #[test]
    fn of_a_share_only_what_restic_has_is_asked_for() {
        let (_folder, ours, theirs) = restored();
        fs::write(ours.join("srv/more"), "").unwrap();
        assert_eq!(told(&ours, &theirs, false), [""; 0]);
        assert_eq!(
            told(&ours, &theirs, true),
            ["/srv/more: restic did not restore it"]
        );
    }

    #[test]
    fn of_the_source_it_is_told_what_changed_and_what_rotted() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().canonicalize().unwrap().join("source");
        let ours = folder.path().join("ours");
        let restored = ours.join(source.strip_prefix("/").unwrap());
        fs::create_dir_all(&source).unwrap();
        fs::create_dir_all(&restored).unwrap();
        for (name, here, there) in [
            ("same", "content", "content"),
            ("rotten", "content", "c0ntent"),
            ("changed", "longer content", "content"),
        ] {
            for (side, text) in [(&source, here), (&restored, there)] {
                let path = side.join(name);
                fs::write(&path, text).unwrap();
                let file = File::options().write(true).open(&path).unwrap();
                file.set_modified(std::time::UNIX_EPOCH).unwrap();
            }
        }
        fs::write(restored.join("gone"), "").unwrap();
        let live = with_source(&ours, &Cancel::default()).unwrap();
        assert_eq!((live.same, live.changed, live.gone), (1, 1, 1));
        assert_eq!(live.rotten, [source.join("rotten").display().to_string()]);
    }
}
