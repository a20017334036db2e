//! Trees made the plain way, and logs in memory and in folders.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use strongroom_ledger::{
    Checkpoint, Edge, Error, Hash, KeyKind, Level, LogFile, Result, SignedCheckpoint, Signer, Tile,
    TileSource, tile,
};

pub(crate) const ORIGIN: &str = "vault.example/log";

pub(crate) fn log_key() -> Signer {
    Signer::from_seed(KeyKind::Log, ORIGIN, &[7; 32]).unwrap()
}

pub(crate) fn entry(number: u64) -> Vec<u8> {
    format!("{{\"n\":{number}}}").into_bytes()
}

/// The root as RFC 6962 defines it: by recursion, from all leaves.
pub(crate) fn naive_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::empty(),
        [only] => *only,
        _ => {
            let mut half = 1;
            while half * 2 < leaves.len() {
                half *= 2;
            }
            let (left, right) = leaves.split_at(half);
            Hash::node(&naive_root(left), &naive_root(right))
        }
    }
}

pub(crate) fn leaves(size: u64) -> Vec<Hash> {
    (0..size).map(|number| Hash::leaf(&entry(number))).collect()
}

/// Everything that a publisher has written, by path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files(pub(crate) BTreeMap<Tile, Vec<u8>>);

impl Files {
    pub(crate) fn write(&mut self, files: Vec<LogFile>) {
        for file in files {
            self.0.insert(file.tile, file.bytes);
        }
    }

    /// A log of this size, with the partial files of this size alone.
    pub(crate) fn of(size: u64) -> (Self, Edge) {
        let (mut files, mut edge) = (Self::default(), Edge::default());
        for number in 0..size {
            files.write(edge.append(&entry(number)).unwrap());
        }
        files.write(edge.partial_files().unwrap());
        (files, edge)
    }

    pub(crate) fn bundle(&self, size: u64) -> Vec<u8> {
        match (size % 256) as u16 {
            0 => Vec::new(),
            width => self.0[&Tile::new(Level::Entries, size / 256, width).unwrap()].clone(),
        }
    }
}

impl TileSource for Files {
    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash>> {
        let wanted = Tile::new(Level::Hashes(level), index, width)?;
        match self.0.get(&wanted) {
            Some(bytes) => tile::decode(bytes, width),
            None => Err(Error::Missing {
                file: wanted.to_string(),
            }),
        }
    }
}

/// A log in a folder, as a vault leaves it.
pub(crate) struct LogFolder {
    folder: tempfile::TempDir,
    pub(crate) edge: Edge,
}

impl LogFolder {
    pub(crate) fn new(size: u64) -> Self {
        let mut log = Self {
            folder: tempfile::tempdir().unwrap(),
            edge: Edge::default(),
        };
        log.grow(size, entry);
        log
    }

    /// Adds leaves, and publishes.
    pub(crate) fn grow(&mut self, to: u64, entry: impl Fn(u64) -> Vec<u8>) {
        for number in self.edge.size()..to {
            let full = self.edge.append(&entry(number)).unwrap();
            full.into_iter().for_each(|file| self.write(&file));
        }
        let partial = self.edge.partial_files().unwrap();
        partial.into_iter().for_each(|file| self.write(&file));
        let text = self.signed().note().to_string();
        fs::write(self.path().join("checkpoint"), text).unwrap();
    }

    fn write(&self, file: &LogFile) {
        let path = self.at(&file.tile.to_string());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &file.bytes).unwrap();
    }

    pub(crate) fn signed(&self) -> SignedCheckpoint {
        let state = Checkpoint::new(ORIGIN, self.edge.size(), self.edge.root()).unwrap();
        SignedCheckpoint::sign(state, &log_key()).unwrap()
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn at(&self, file: &str) -> PathBuf {
        self.path().join(file)
    }

    /// Every file, by its path in the folder.
    pub(crate) fn files(&self) -> Vec<String> {
        let (mut found, mut folders) = (Vec::new(), vec![self.path().to_owned()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => {
                        let file = path.strip_prefix(self.path()).unwrap();
                        found.push(file.to_str().unwrap().to_owned());
                    }
                }
            }
        }
        found.sort();
        found
    }
}
