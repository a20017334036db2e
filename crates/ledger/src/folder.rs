//! A log's files in a folder, read only.
//!
//! The folder may come from whoever is being audited. So nothing but plain files is opened, no
//! link is followed inside the folder, and no more is read of a file than a sound one has.
//! What can go wrong: who can still write there swaps a file for a link between the look and the
//! opening. Audit a copy of a folder that others write to as an enemy's.

use std::fs::{self, File, FileType};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::bundle::{self, BUNDLE_LIMIT_BYTES};
use crate::checkpoint::Checkpoint;
use crate::edge::Edge;
use crate::note::NOTE_LIMIT_BYTES;
use crate::tile::{self, CHECKPOINT, Level, TILE_WIDTH, Tile};
use crate::tree::TileSource;
use crate::{Error, HASH_BYTES, Hash, Result};

/// More names than a sound folder has: a thousand tiles, folders of tiles and of partial tiles.
const NAMES_LIMIT: usize = 4096;

/// The folder that holds `checkpoint` and `tile`.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Names the folder; nothing is read yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The bytes of the checkpoint.
    ///
    /// # Errors
    /// Fails where it is missing or longer than any note.
    pub fn checkpoint(&self) -> Result<Vec<u8>> {
        self.read(CHECKPOINT, NOTE_LIMIT_BYTES)
    }

    /// The bytes of the bundle `index`, of exactly `width` entries; or, where it is partial and
    /// was removed, the beginning of the full one.
    ///
    /// # Errors
    /// Fails where it is missing or torn.
    pub fn bundle(&self, index: u64, width: u16) -> Result<Vec<u8>> {
        let wanted = Tile::new(Level::Entries, index, width)?;
        let read = |tile: Tile| Ok((tile, self.read(&tile.to_string(), BUNDLE_LIMIT_BYTES)?));
        let (tile, mut bytes) = or_full(wanted, read)?;
        let entries = bundle::entries(&bytes, tile.width()).map_err(|torn| Error::TornBundle {
            file: tile.to_string(),
            leaf: tile.leaf(usize::from(torn.entry)),
            reason: torn.reason,
        })?;
        let wanted = entries.iter().take(usize::from(width));
        let length = wanted.map(|entry| 2 + entry.len()).sum();
        bytes.truncate(length);
        Ok(bytes)
    }

    /// Takes up the log where a checkpoint left it, to add leaves.
    ///
    /// # Errors
    /// Fails where a file of the right edge is missing, or they are not those of this checkpoint.
    pub fn edge(&self, checkpoint: &Checkpoint) -> Result<Edge> {
        let size = checkpoint.size();
        let (index, width) = (size / u64::from(TILE_WIDTH), size % u64::from(TILE_WIDTH));
        let bundle = match width as u16 {
            0 => Vec::new(),
            width => self.bundle(index, width)?,
        };
        let edge = Edge::load(size, self, bundle)?;
        if edge.root() == checkpoint.root() {
            return Ok(edge);
        }
        Err(Error::WrongRoot {
            file: CHECKPOINT.to_owned(),
            size,
            signed: checkpoint.root(),
            found: edge.root(),
        })
    }

    /// The bytes of a file, which are at most so many.
    pub(crate) fn read(&self, file: &str, limit_bytes: usize) -> Result<Vec<u8>> {
        let path = self.find(file)?;
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|open| open.take(limit_bytes as u64 + 1).read_to_end(&mut bytes))
            .map_err(|source| failed(file, source))?;
        if bytes.len() > limit_bytes {
            return Err(Error::LongFile {
                file: file.to_owned(),
                limit_bytes: limit_bytes as u64,
            });
        }
        Ok(bytes)
    }

    /// What a folder in this one holds, by name; nothing where there is no such folder.
    pub(crate) fn names(&self, folder: &str) -> Result<Vec<(String, FileType)>> {
        let mut names = Vec::new();
        let fail = |source| failed(folder, source);
        let entries = match fs::read_dir(self.path.join(folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(names),
            entries => entries.map_err(fail)?,
        };
        for entry in entries {
            let entry = entry.map_err(fail)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if names.len() >= NAMES_LIMIT {
                let file = format!("{folder}/{name}");
                return Err(Error::Stray { file });
            }
            names.push((name, entry.file_type().map_err(fail)?));
        }
        names.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(names)
    }

    /// Where a file lies, which is a plain one, in folders that are no links.
    fn find(&self, file: &str) -> Result<PathBuf> {
        let mut path = self.path.clone();
        let mut elements = file.split('/').peekable();
        while let Some(element) = elements.next() {
            path.push(element);
            let metadata = fs::symlink_metadata(&path).map_err(|source| failed(file, source))?;
            let is_sound = match elements.peek() {
                Some(_) => metadata.is_dir(),
                None => metadata.is_file(),
            };
            if !is_sound {
                return Err(Error::NotAFile {
                    file: relative(&path, &self.path),
                });
            }
        }
        Ok(path)
    }
}

impl TileSource for Folder {
    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash>> {
        let wanted = Tile::new(Level::Hashes(level), index, width)?;
        let mut hashes = or_full(wanted, |tile| {
            let file = tile.to_string();
            let limit_bytes = usize::from(TILE_WIDTH) * HASH_BYTES;
            let bytes = self.read(&file, limit_bytes)?;
            tile::decode(&bytes, tile.width()).map_err(|_| Error::WrongLength {
                file,
                expected_bytes: (usize::from(tile.width()) * HASH_BYTES) as u64,
                found_bytes: bytes.len() as u64,
            })
        })?;
        hashes.truncate(usize::from(width));
        Ok(hashes)
    }
}

/// Reads a tile, or the full one that took the place of a partial one.
fn or_full<T>(tile: Tile, read: impl Fn(Tile) -> Result<T>) -> Result<T> {
    match read(tile) {
        Err(missing @ Error::Missing { .. }) if !tile.is_full() => {
            match read(tile.with_width(TILE_WIDTH)) {
                Err(Error::Missing { .. }) => Err(missing),
                full => full,
            }
        }
        read => read,
    }
}

fn failed(file: &str, source: io::Error) -> Error {
    let file = file.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Error::Missing { file },
        _ => Error::Read { file, source },
    }
}

fn relative(path: &Path, base: &Path) -> String {
    path.strip_prefix(base)
        .unwrap_or(path)
        .display()
        .to_string()
}
