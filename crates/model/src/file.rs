//! The files of a repository: their types, names and sizes.
//!
//! A file's name is the SHA-256 of its bytes, so that any copy can be checked and healed without
//! the password. `config` alone has no hash name.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::Id;

/// What a file of a repository is for; each type is a folder of restic's layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileType {
    /// The one file `config`, encrypted, without a hash name.
    Config,
    /// A key file: JSON that holds the master key under a password.
    Keys,
    /// A pack of encrypted blobs, in `data/`.
    Data,
    /// An index file: which blobs lie where in which packs.
    Index,
    /// A snapshot.
    Snapshots,
    /// A lock of a running process; never synced, compared or healed.
    Locks,
    /// A record of what was removed on purpose, of what is held, or of a removal that was taken
    /// back; in `strongroom/`, which restic passes over. It is opened before it counts, and carried
    /// to other copies by rules of its own: neither synced nor compared.
    #[serde(rename = "strongroom")]
    Records,
}

impl FileType {
    /// The types whose files are the same on every copy and have hash names, in the order in
    /// which a copy may receive them: nothing may arrive before what it refers to.
    pub const SYNCED: [Self; 4] = [Self::Keys, Self::Data, Self::Index, Self::Snapshots];

    /// The types whose files have hash names and stay: all that a place keeps for long but
    /// `config`.
    pub const STORED: [Self; 5] = [
        Self::Keys,
        Self::Data,
        Self::Index,
        Self::Snapshots,
        Self::Records,
    ];

    /// The name of the folder in restic's layout; for [`FileType::Config`] the file's own name.
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Keys => "keys",
            Self::Data => "data",
            Self::Index => "index",
            Self::Snapshots => "snapshots",
            Self::Locks => "locks",
            Self::Records => "strongroom",
        }
    }
}

impl fmt::Display for FileType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.folder())
    }
}

/// The name of one file of a repository; displayed as `data/3f1c…` or `config`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileName {
    kind: FileType,
    id: Id,
}

impl FileName {
    /// The file `config`.
    pub const CONFIG: Self = Self {
        kind: FileType::Config,
        id: Id::from_bytes([0; 32]),
    };

    /// Names the file of type `kind` with the given id; for [`FileType::Config`] the id is ignored.
    pub const fn new(kind: FileType, id: Id) -> Self {
        match kind {
            FileType::Config => Self::CONFIG,
            _ => Self { kind, id },
        }
    }

    /// The type of the file.
    pub const fn kind(&self) -> FileType {
        self.kind
    }

    /// The id, which is the SHA-256 of the file's bytes; `None` for `config`.
    pub const fn id(&self) -> Option<Id> {
        match self.kind {
            FileType::Config => None,
            _ => Some(self.id),
        }
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.id() {
            None => f.write_str("config"),
            Some(id) => write!(f, "{}/{id}", self.kind.folder()),
        }
    }
}

/// One line of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileEntry {
    /// The file's id.
    pub id: Id,
    /// The file's size as stored.
    pub size_bytes: u64,
}
