//! Where the files of a log lie: the paths of C2SP tlog-tiles.
//!
//! A path comes from a client's request or from a folder's listing. Each tile has exactly one
//! path, and what is not written so is refused: no leading zeros, no other way to write a number.

use std::fmt;
use std::str::FromStr;

use crate::{Error, HASH_BYTES, Hash, Result};

/// The leaves or hashes of a full tile or bundle.
pub const TILE_WIDTH: u16 = 256;

/// A tree has fewer leaves than this: 2^63. So nothing that is reckoned with them overflows.
pub const SIZE_LIMIT: u64 = 1 << 63;

/// The highest level that a tree of fewer than [`SIZE_LIMIT`] leaves has.
pub const LEVEL_LIMIT: u8 = 7;

/// How many levels of the tree a tile spans.
pub(crate) const TILE_HEIGHT: u32 = 8;

/// The name of the file that holds the signed checkpoint.
pub const CHECKPOINT: &str = "checkpoint";

/// The longest path: `tile/entries/` and seven elements of a number, and a width.
const PATH_LIMIT_BYTES: usize = 64;

/// What a tile holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The entries themselves: an entry bundle.
    Entries,
    /// Hashes: at 0 of leaves, above of full tiles of the level below.
    Hashes(u8),
}

/// One file of a log: a tile or an entry bundle.
///
/// Its text is its path from the log's folder: `tile/0/x001/x234/067.p/5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tile {
    level: Level,
    index: u64,
    width: u16,
}

impl Tile {
    /// The tile `index` of a level, with this many hashes or entries; 256 is a full one.
    ///
    /// # Errors
    /// Fails where no tree has such a tile.
    pub fn new(level: Level, index: u64, width: u16) -> Result<Self> {
        let height = match level {
            Level::Entries => 0,
            Level::Hashes(height) => height,
        };
        let tile = Self {
            level,
            index,
            width,
        };
        // The leaves that it ends with must be leaves that a tree can have.
        let wide = u128::from(index) * u128::from(TILE_WIDTH) + u128::from(width);
        let is_sound = (1..=TILE_WIDTH).contains(&width)
            && height <= LEVEL_LIMIT
            && wide <= u128::from(SIZE_LIMIT >> (TILE_HEIGHT * u32::from(height)));
        match is_sound {
            true => Ok(tile),
            false => Err(Error::malformed("tile", "no tree has such a tile")),
        }
    }

    /// What it holds.
    pub const fn level(&self) -> Level {
        self.level
    }

    /// Its number within the level.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// How many hashes or entries it has.
    pub const fn width(&self) -> u16 {
        self.width
    }

    /// Whether it will never grow.
    pub const fn is_full(&self) -> bool {
        self.width == TILE_WIDTH
    }

    /// The same tile with another width.
    pub(crate) const fn with_width(self, width: u16) -> Self {
        Self { width, ..self }
    }

    /// The number of the first leaf under its hash or entry `number`.
    pub(crate) fn leaf(&self, number: usize) -> u64 {
        let height = match self.level {
            Level::Entries => 0,
            Level::Hashes(height) => height,
        };
        let entry = self.index * u64::from(TILE_WIDTH) + number as u64;
        entry << (TILE_HEIGHT * u32::from(height))
    }
}

/// How many hashes a level has in a tree of `size` leaves.
pub(crate) fn hashes_in_tree(level: u8, size: u64) -> u64 {
    let levels = TILE_HEIGHT * u32::from(level);
    size.checked_shr(levels).unwrap_or(0)
}

/// How many hashes the tile `index` of a level has in a tree of `size` leaves; 0 where it has none.
pub fn width_in_tree(level: u8, index: u64, size: u64) -> u16 {
    let hashes = hashes_in_tree(level, size);
    let before = index.saturating_mul(u64::from(TILE_WIDTH));
    let width = hashes.saturating_sub(before).min(u64::from(TILE_WIDTH));
    width as u16
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            Level::Entries => write!(f, "tile/entries/")?,
            Level::Hashes(height) => write!(f, "tile/{height}/")?,
        }
        // Digits in groups of three, most significant first; all but the last group begin with x.
        let mut power = 1;
        while self.index / power >= 1000 {
            power *= 1000;
        }
        while power > 1 {
            write!(f, "x{:03}/", self.index / power % 1000)?;
            power /= 1000;
        }
        write!(f, "{:03}", self.index % 1000)?;
        if !self.is_full() {
            write!(f, ".p/{}", self.width)?;
        }
        Ok(())
    }
}

impl FromStr for Tile {
    type Err = Error;

    fn from_str(path: &str) -> Result<Self> {
        let wrong = || Error::malformed("tile path", "it is not as tlog-tiles writes it");
        if path.len() > PATH_LIMIT_BYTES {
            return Err(wrong());
        }
        let (level, rest) = path
            .strip_prefix("tile/")
            .and_then(|rest| rest.split_once('/'))
            .ok_or_else(wrong)?;
        let level = match level {
            "entries" => Level::Entries,
            height => Level::Hashes(height.parse().map_err(|_| wrong())?),
        };
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => (number, width.parse().map_err(|_| wrong())?),
            None => (rest, TILE_WIDTH),
        };
        let mut index: u64 = 0;
        for group in number.split('/') {
            let digits = group.strip_prefix('x').unwrap_or(group);
            let value: u64 = digits.parse().map_err(|_| wrong())?;
            index = index
                .checked_mul(1000)
                .and_then(|index| index.checked_add(value))
                .ok_or_else(wrong)?;
        }
        let tile = Self::new(level, index, width)?;
        // Whatever else could be read as this tile is not its path.
        match tile.to_string() == path {
            true => Ok(tile),
            false => Err(wrong()),
        }
    }
}

/// The bytes of a tile: its hashes, one after the other.
pub fn encode(hashes: &[Hash]) -> Vec<u8> {
    let bytes = hashes.iter().flat_map(|hash| *hash.as_bytes());
    bytes.collect()
}

/// The hashes of a tile.
///
/// # Errors
/// Fails where the bytes are not exactly that many hashes.
pub fn decode(bytes: &[u8], width: u16) -> Result<Vec<Hash>> {
    let (hashes, rest) = bytes.as_chunks::<HASH_BYTES>();
    if hashes.len() != usize::from(width) || !rest.is_empty() {
        return Err(Error::malformed("tile", "it has another number of hashes"));
    }
    Ok(hashes.iter().copied().map(Hash::from_bytes).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_paths_of_the_specification_hold() {
        for (level, index, width, path) in [
            (Level::Hashes(0), 1_234_067, 256, "tile/0/x001/x234/067"),
            (Level::Hashes(0), 273, 112, "tile/0/273.p/112"),
            (Level::Hashes(2), 0, 1, "tile/2/000.p/1"),
            (Level::Entries, 1000, 255, "tile/entries/x001/000.p/255"),
        ] {
            let tile = Tile::new(level, index, width).unwrap();
            assert_eq!(tile.to_string(), path);
            assert_eq!(path.parse::<Tile>().unwrap(), tile);
        }
    }

    #[test]
    fn a_tree_of_70_000_leaves_has_the_tiles_of_the_specification() {
        let width = |level, index| width_in_tree(level, index, 70_000);
        assert_eq!(width(0, 272), 256);
        assert_eq!(width(0, 273), 112);
        assert_eq!(width(0, 274), 0);
        assert_eq!(width(1, 0), 256);
        assert_eq!(width(1, 1), 17);
        assert_eq!(width(2, 0), 1);
        assert_eq!(width(3, 0), 0);
    }

    #[test]
    fn a_tile_has_one_path() {
        for bad in [
            "",
            "tile",
            "tile/0",
            "tile/0/",
            "tile//000",
            "tile/0/0",
            "tile/0/00",
            "tile/0/0000",
            "tile/0/x000/001",
            "tile/0/001/001",
            "tile/0/x001",
            "tile/0/x001/x000",
            "tile/0/+01",
            "tile/0/-01",
            "tile/00/001",
            "tile/+1/001",
            "tile/8/001",
            "tile/64/000",
            "tile/0/001.p/0",
            "tile/0/001.p/01",
            "tile/0/001.p/256",
            "tile/0/001.p/",
            "tile/0/001.p",
            "tile/0/001/",
            "/tile/0/001",
            "tile/0/../0/001",
            "tile/entries/x999/x999/x999/x999/x999/x999/999",
            "tile/data/000",
            "checkpoint",
        ] {
            assert!(bad.parse::<Tile>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_tile_comes_back_from_its_path(
            height in prop::option::of(0..=LEVEL_LIMIT),
            index in 0..1u64 << 55,
            shift in 0..55u32,
            width in 1..=TILE_WIDTH,
        ) {
            let level = height.map_or(Level::Entries, Level::Hashes);
            if let Ok(tile) = Tile::new(level, index >> shift, width) {
                prop_assert_eq!(tile.to_string().parse::<Tile>().unwrap(), tile);
            }
        }

        #[test]
        fn any_hashes_come_back_from_their_tile(seeds in prop::collection::vec(any::<u8>(), 1..=256)) {
            let hashes: Vec<_> = seeds.iter().map(|seed| Hash::leaf(&[*seed])).collect();
            let bytes = encode(&hashes);
            let width = hashes.len() as u16;
            prop_assert_eq!(decode(&bytes, width).unwrap(), hashes);
            prop_assert!(decode(&bytes, width + 1).is_err());
            prop_assert!(decode(&bytes[1..], width).is_err());
        }

        #[test]
        fn any_text_is_refused_or_is_a_path(text in "tile/(entries|[0-9]{1,2})/[x0-9/]{0,12}(.p/[0-9]{0,3})?") {
            if let Ok(tile) = text.parse::<Tile>() {
                prop_assert_eq!(tile.to_string(), text);
            }
        }
    }
}
