//! Who else could have written a configuration: the rule alone, over what `fstat` says.

use std::fmt;
use std::path::{Path, PathBuf};

use rustix::fs::Stat;
use strongroom_model::shell::quoted;

/// Write for the group or for others.
const OTHERS_WRITE: u32 = 0o022;
/// Only its owner may rename or remove a file of the folder.
const STICKY: u32 = 0o1000;

/// Why a configuration could be somebody else's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    kind: Kind,
    /// Whether it is the folder's and not the file's.
    of_folder: bool,
    path: PathBuf,
    /// Who runs.
    euid: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Owner { uid: u32 },
    Writable,
}

impl Fault {
    /// The command that mends it, for one who trusts what is in the file.
    pub(crate) fn mend(&self) -> String {
        let path = quoted(&self.path);
        match self.kind {
            Kind::Owner { .. } => format!("chown {} {path}", self.euid),
            Kind::Writable => format!("chmod go-w {path}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.kind, self.of_folder) {
            (Kind::Owner { uid }, true) => write!(f, "its folder belongs to user {uid}"),
            (Kind::Owner { uid }, false) => write!(f, "it belongs to user {uid}"),
            (Kind::Writable, true) => f.write_str("others can write in its folder"),
            (Kind::Writable, false) => f.write_str("others can write it"),
        }
    }
}

/// What is wrong with a folder in which a configuration was found.
pub(super) fn of_folder(path: &Path, stat: &Stat, euid: u32) -> Option<Fault> {
    let writable = stat.st_mode & OTHERS_WRITE != 0 && !is_shared(stat);
    fault(path, stat, euid, true, writable)
}

/// What is wrong with a configuration.
pub(super) fn of_file(path: &Path, stat: &Stat, euid: u32) -> Option<Fault> {
    fault(path, stat, euid, false, stat.st_mode & OTHERS_WRITE != 0)
}

/// Whether a folder is one for all, in which each may touch only his own files.
pub(super) const fn is_shared(stat: &Stat) -> bool {
    stat.st_mode & OTHERS_WRITE != 0 && stat.st_mode & STICKY != 0
}

fn fault(path: &Path, stat: &Stat, euid: u32, of_folder: bool, writable: bool) -> Option<Fault> {
    let uid = stat.st_uid;
    let kind = if uid != euid && uid != 0 {
        Kind::Owner { uid }
    } else if writable {
        Kind::Writable
    } else {
        return None;
    };
    Some(Fault {
        kind,
        of_folder,
        path: path.to_owned(),
        euid,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: u32 = 1000;

    fn stat(uid: u32, mode: u32) -> Stat {
        let mut stat = rustix::fs::stat("/").unwrap();
        stat.st_uid = uid;
        stat.st_mode = mode;
        stat
    }

    fn fault_of_file(uid: u32, mode: u32) -> Option<String> {
        let fault = of_file(Path::new("f"), &stat(uid, 0o100_000 | mode), ME);
        fault.map(|fault| format!("{fault}; {}", fault.mend()))
    }

    fn fault_of_folder(uid: u32, mode: u32) -> Option<String> {
        let fault = of_folder(Path::new("."), &stat(uid, 0o040_000 | mode), ME);
        fault.map(|fault| format!("{fault}; {}", fault.mend()))
    }

    #[test]
    fn a_file_is_believed_where_only_its_user_and_root_can_write_it() {
        for uid in [0, ME] {
            assert_eq!(fault_of_file(uid, 0o644), None);
            for mode in [0o664, 0o646, 0o666] {
                let writable = "others can write it; chmod go-w 'f'";
                assert_eq!(fault_of_file(uid, mode).unwrap(), writable);
            }
        }
        let foreign = "it belongs to user 33; chown 1000 'f'";
        assert_eq!(fault_of_file(33, 0o600).unwrap(), foreign);
    }

    #[test]
    fn a_folder_is_believed_where_nobody_else_can_exchange_the_file() {
        for uid in [0, ME] {
            for mode in [0o755, 0o700, 0o1777] {
                assert_eq!(fault_of_folder(uid, mode), None, "{mode:o}");
            }
            for mode in [0o775, 0o777] {
                let writable = "others can write in its folder; chmod go-w '.'";
                assert_eq!(fault_of_folder(uid, mode).unwrap(), writable);
            }
        }
        // Its owner may exchange what is in it, sticky or not.
        let foreign = "its folder belongs to user 33; chown 1000 '.'";
        assert_eq!(fault_of_folder(33, 0o1777).unwrap(), foreign);
        assert_eq!(fault_of_folder(33, 0o755).unwrap(), foreign);
    }
}
