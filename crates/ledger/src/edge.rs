//! The right edge of a growing tree: all that has to be kept in memory to add leaves.
//!
//! Adding a leaf takes one hash of it and, spread over many, one of a node; the edge holds at most
//! 255 hashes of each level and the entries of one bundle, however large the tree is.
//!
//! The life of a leaf: it is added and its entry joins the bundle at the edge; a partial bundle
//! and partial tiles with it are written, then a checkpoint is signed; when its bundle and tile
//! are full, these are written once more, and never again. **Whoever signs a checkpoint must have
//! written the files before, durably**; nothing here writes.

use crate::bundle::push;
use crate::hash::root_over;
use crate::tile::{LEVEL_LIMIT, Level, SIZE_LIMIT, TILE_WIDTH, Tile, encode, hashes_in_tree};
use crate::tree::TileSource;
use crate::{Error, Hash, Result, bundle};

/// A file of the log that has to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// Which, and so its path.
    pub tile: Tile,
    /// All its bytes.
    pub bytes: Vec<u8>,
}

/// The right edge of a tree, to which leaves are added.
///
/// The default is that of an empty tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    /// The hashes of the partial tile of each level, from level 0 up.
    levels: Vec<Vec<Hash>>,
    /// The partial bundle.
    bundle: Vec<u8>,
}

impl Edge {
    /// Takes up a tree of `size` leaves where it was left: from the partial tiles, and the partial
    /// bundle, which is empty where `size` is a multiple of 256.
    ///
    /// The caller compares [`Edge::root`] with the checkpoint that he signed, as
    /// [`crate::Folder::edge`] does.
    ///
    /// # Errors
    /// Fails where a tile cannot be had, or the bundle is not that of the tile.
    pub fn load(size: u64, source: impl TileSource, bundle: Vec<u8>) -> Result<Self> {
        if size >= SIZE_LIMIT {
            return Err(Error::Full);
        }
        let mut levels = Vec::new();
        for level in 0..=LEVEL_LIMIT {
            let hashes = hashes_in_tree(level, size);
            let (index, width) = (
                hashes / u64::from(TILE_WIDTH),
                hashes % u64::from(TILE_WIDTH),
            );
            if hashes == 0 {
                break;
            }
            levels.push(match width as u16 {
                0 => Vec::new(),
                width => source.tile(level, index, width)?,
            });
        }
        let leaves = levels.first().map_or(&[][..], Vec::as_slice);
        let entries = bundle::entries(&bundle, leaves.len() as u16)
            .map_err(|torn| Error::malformed("entry bundle", torn.reason))?;
        if !entries
            .into_iter()
            .map(Hash::leaf)
            .eq(leaves.iter().copied())
        {
            return Err(Error::malformed(
                "entry bundle",
                "it is not that of its tile",
            ));
        }
        Ok(Self {
            size,
            levels,
            bundle,
        })
    }

    /// How many leaves there are.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root over all leaves.
    pub fn root(&self) -> Hash {
        let levels = self.levels.iter().map(Vec::as_slice);
        root_of_levels(levels).unwrap_or_else(Hash::empty)
    }

    /// Adds a leaf, and returns the files that became full by it: none for most leaves, else the
    /// bundle and a tile of each level that filled up.
    ///
    /// # Errors
    /// Fails, and changes nothing, where the entry is too long or the log is full.
    pub fn append(&mut self, entry: &[u8]) -> Result<Vec<LogFile>> {
        if self.size + 1 >= SIZE_LIMIT {
            return Err(Error::Full);
        }
        push(&mut self.bundle, entry)?;
        let first = self.size;
        self.size += 1;
        let mut full = Vec::new();
        let mut carried = Some(Hash::leaf(entry));
        for level in 0..=LEVEL_LIMIT {
            let Some(hash) = carried.take() else { break };
            if self.levels.len() == usize::from(level) {
                self.levels.push(Vec::new());
            }
            let Some(hashes) = self.levels.get_mut(usize::from(level)) else {
                break;
            };
            hashes.push(hash);
            if hashes.len() < usize::from(TILE_WIDTH) {
                break;
            }
            let index = hashes_in_tree(level + 1, first);
            if level == 0 {
                full.push(LogFile {
                    tile: Tile::new(Level::Entries, index, TILE_WIDTH)?,
                    bytes: std::mem::take(&mut self.bundle),
                });
            }
            full.push(LogFile {
                tile: Tile::new(Level::Hashes(level), index, TILE_WIDTH)?,
                bytes: encode(hashes),
            });
            carried = root_over(hashes);
            hashes.clear();
        }
        Ok(full)
    }

    /// The partial files that a checkpoint of this size needs: a bundle and a tile of each level
    /// that is not full just now.
    ///
    /// # Errors
    /// Fails where the edge is that of no tree, which it cannot become here.
    pub fn partial_files(&self) -> Result<Vec<LogFile>> {
        let mut files = Vec::new();
        for (level, hashes) in (0u8..).zip(&self.levels) {
            if hashes.is_empty() {
                continue;
            }
            let index = hashes_in_tree(level + 1, self.size);
            let width = hashes.len() as u16;
            if level == 0 {
                files.push(LogFile {
                    tile: Tile::new(Level::Entries, index, width)?,
                    bytes: self.bundle.clone(),
                });
            }
            files.push(LogFile {
                tile: Tile::new(Level::Hashes(level), index, width)?,
                bytes: encode(hashes),
            });
        }
        Ok(files)
    }
}

/// The root of a tree by the partial tiles at its right edge, from level 0 up; `None` for none.
pub(crate) fn root_of_levels<'a>(levels: impl Iterator<Item = &'a [Hash]>) -> Option<Hash> {
    levels.fold(None, |tail, level| match tail {
        None => root_over(level),
        // What the levels below make up is the last, smaller subtree of this one.
        Some(tail) => root_over(&[level, &[tail]].concat()),
    })
}
