//! The tiles of a log, out of its files: what is needed to go on with it, and to prove something
//! of it.

use std::io;

use strongroom_ledger::bundle::entries;
use strongroom_ledger::tile::{TILE_WIDTH, decode};
use strongroom_ledger::{Edge, Error as LogError, Hash, Level, Result as LogResult, Tile};
use strongroom_ledger::{TileSource, tree};

use crate::publication::LogFiles;

/// The tiles in the files of a log.
#[derive(Clone, Copy, Debug)]
pub struct Tiles<'f>(pub &'f dyn LogFiles);

impl Tiles<'_> {
    /// Takes up the log where it had `size` leaves.
    ///
    /// # Errors
    /// Where a file is missing or damaged. Whether the root is the right one is for the caller to
    /// see.
    pub fn edge(self, size: u64) -> LogResult<Edge> {
        let bundle = u64::from(TILE_WIDTH);
        let bytes = match u16::try_from(size % bundle).unwrap_or_default() {
            0 => Vec::new(),
            width => self.bundle(size / bundle, width)?,
        };
        Edge::load(size, self, bytes)
    }

    /// The root of the first `size` leaves of a log of `tree_size`.
    ///
    /// # Errors
    /// Where a file is missing or damaged.
    pub fn root(self, tree_size: u64, size: u64) -> LogResult<Hash> {
        tree::root(self, tree_size, size)
    }

    /// The bytes of a bundle of exactly `width` entries.
    ///
    /// # Errors
    /// Where it is missing or damaged.
    pub fn bundle(self, index: u64, width: u16) -> LogResult<Vec<u8>> {
        let (tile, mut bytes) = self.read(Level::Entries, index, width)?;
        let found = entries(&bytes, tile.width()).map_err(|torn| LogError::TornBundle {
            file: tile.to_string(),
            leaf: index * u64::from(TILE_WIDTH) + u64::from(torn.entry),
            reason: torn.reason,
        })?;
        let wanted = found.iter().take(usize::from(width));
        let length = wanted.map(|entry| 2 + entry.len()).sum();
        bytes.truncate(length);
        Ok(bytes)
    }

    /// A file, or the full one that took the place of a partial one.
    fn read(self, level: Level, index: u64, width: u16) -> LogResult<(Tile, Vec<u8>)> {
        let wanted = Tile::new(level, index, width)?;
        let full = Tile::new(level, index, TILE_WIDTH)?;
        // It may become full between the two looks, and then the partial one goes.
        for tile in [wanted, full] {
            if let Some(bytes) = self.file(tile)? {
                return Ok((tile, bytes));
            }
        }
        Err(LogError::Missing {
            file: wanted.to_string(),
        })
    }

    fn file(self, tile: Tile) -> LogResult<Option<Vec<u8>>> {
        let file = tile.to_string();
        self.0.read(&file).map_err(|error| LogError::Read {
            file,
            source: io::Error::other(error),
        })
    }
}

impl TileSource for Tiles<'_> {
    fn tile(&self, level: u8, index: u64, width: u16) -> LogResult<Vec<Hash>> {
        let (tile, bytes) = self.read(Level::Hashes(level), index, width)?;
        let mut hashes = decode(&bytes, tile.width())?;
        hashes.truncate(usize::from(width));
        Ok(hashes)
    }
}
