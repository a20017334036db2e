//! What a folder holds, in a form that tests can compare: one entry per file, sorted by path.
//!
//! Names are bytes, not text. In a manifest every byte that is not printable ASCII, and the
//! backslash, is written `\xHH`.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What a golden repository holds.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// What the program that wrote it says of its version.
    pub(super) restic: String,
    /// The version of the repository format.
    pub(super) format: u32,
    /// Each opens the repository.
    pub(super) passwords: Vec<String>,
    /// Oldest first.
    pub(super) snapshots: Vec<Snapshot>,
}

/// A snapshot and every file below the folder `wild` that it protects, that folder included.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Snapshot {
    pub(super) id: String,
    pub(super) time: String,
    pub(super) tags: Vec<String>,
    pub(super) entries: Vec<Entry>,
}

/// A file of any kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// From the protected folder, which is `.`; escaped.
    path: String,
    /// As restic names it.
    kind: Kind,
    /// Permissions with setuid, setgid and sticky, in octal.
    mode: String,
    uid: u32,
    gid: u32,
    mtime_seconds: i64,
    mtime_nanoseconds: i64,
    /// Of a file: its length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size_bytes: Option<u64>,
    /// Of a file: what it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    /// Of a symlink: where it points, escaped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    /// Of a second name of one file: the first, escaped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    same_file_as: Option<String>,
    /// Of a device: major and minor number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device: Option<(u32, u32)>,
    /// Extended attributes, ACLs among them; values in hex.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    xattrs: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    File,
    Dir,
    Symlink,
    Fifo,
    Socket,
    Dev,
    Chardev,
}

/// Describes a folder and everything in it.
pub(super) fn scan(root: &Path) -> Result<Vec<Entry>> {
    let mut paths = vec![PathBuf::new()];
    let mut at = 0;
    while let Some(path) = paths.get(at).map(|path| root.join(path)) {
        at += 1;
        if path.symlink_metadata()?.is_dir() {
            for entry in fs::read_dir(&path)? {
                paths.push(entry?.path().strip_prefix(root)?.to_path_buf());
            }
        }
    }
    paths.sort();
    let mut first_names = HashMap::new();
    paths
        .iter()
        .map(|path| {
            describe(root, path, &mut first_names)
                .with_context(|| format!("Cannot describe {}", path.display()))
        })
        .collect()
}

fn describe(
    root: &Path,
    path: &Path,
    first_names: &mut HashMap<(u64, u64), String>,
) -> Result<Entry> {
    let full = root.join(path);
    let meta = full.symlink_metadata()?;
    let kind = kind(meta.file_type());
    let name = if path.as_os_str().is_empty() {
        ".".to_owned()
    } else {
        escape(path.as_os_str())
    };
    let mut entry = Entry {
        path: name.clone(),
        kind,
        mode: format!("{:04o}", meta.mode() & 0o7777),
        uid: meta.uid(),
        gid: meta.gid(),
        mtime_seconds: meta.mtime(),
        mtime_nanoseconds: meta.mtime_nsec(),
        size_bytes: None,
        sha256: None,
        target: None,
        same_file_as: None,
        device: None,
        xattrs: BTreeMap::new(),
    };
    match kind {
        Kind::File => {
            entry.size_bytes = Some(meta.len());
            entry.sha256 = Some(sha256(&full)?);
        }
        Kind::Symlink => entry.target = Some(escape(fs::read_link(&full)?.as_os_str())),
        Kind::Dev | Kind::Chardev => {
            let device = meta.rdev();
            entry.device = Some((rustix::fs::major(device), rustix::fs::minor(device)));
        }
        Kind::Dir | Kind::Fifo | Kind::Socket => {}
    }
    if kind != Kind::Dir && meta.nlink() > 1 {
        match first_names.get(&(meta.dev(), meta.ino())) {
            Some(first) => entry.same_file_as = Some(first.clone()),
            None => drop(first_names.insert((meta.dev(), meta.ino()), name)),
        }
    }
    if kind != Kind::Symlink {
        entry.xattrs = xattrs(&full)?;
    }
    Ok(entry)
}

fn kind(file_type: fs::FileType) -> Kind {
    if file_type.is_dir() {
        Kind::Dir
    } else if file_type.is_symlink() {
        Kind::Symlink
    } else if file_type.is_fifo() {
        Kind::Fifo
    } else if file_type.is_socket() {
        Kind::Socket
    } else if file_type.is_block_device() {
        Kind::Dev
    } else if file_type.is_char_device() {
        Kind::Chardev
    } else {
        Kind::File
    }
}

fn sha256(path: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(fs::read(path)?);
    Ok(HEXLOWER.encode(&hash.finalize()))
}

fn xattrs(path: &Path) -> io::Result<BTreeMap<String, String>> {
    let mut names = vec![0; 1 << 16];
    let length = rustix::fs::llistxattr(path, &mut names[..])?;
    names.truncate(length);
    let mut found = BTreeMap::new();
    for name in names
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let mut value = vec![0; 1 << 16];
        let length = rustix::fs::lgetxattr(path, OsStr::from_bytes(name), &mut value[..])?;
        value.truncate(length);
        found.insert(escape(OsStr::from_bytes(name)), HEXLOWER.encode(&value));
    }
    Ok(found)
}

fn escape(name: &OsStr) -> String {
    name.as_bytes()
        .iter()
        .map(|byte| match byte {
            b' '..=b'~' if *byte != b'\\' => char::from(*byte).to_string(),
            _ => format!("\\x{byte:02x}"),
        })
        .collect()
}

#[cfg(test)]
impl Entry {
    /// Whether it is a socket.
    pub(super) fn is_socket(&self) -> bool {
        self.kind == Kind::Socket
    }

    /// Whether only root can make it.
    pub(super) fn is_device(&self) -> bool {
        self.device.is_some()
    }

    /// Drops what only root can set: the owner, and the bits that fall with a change of owner.
    pub(super) fn forget_owner(&mut self) {
        self.uid = 0;
        self.gid = 0;
        self.xattrs.remove("system.posix_acl_access");
    }
}
