//! The walk through a log's tree, from the signed root down to the entries and back up.

use crate::audit::Report;
use crate::bundle::entries;
use crate::checkpoint::Checkpoint;
use crate::edge::root_of_levels;
use crate::hash::root_over;
use crate::tile::{
    CHECKPOINT, LEVEL_LIMIT, Level, TILE_WIDTH, Tile, hashes_in_tree, width_in_tree,
};
use crate::tree::TileSource;
use crate::{Error, Folder, HASH_BYTES, Hash};

/// Checks every tile and bundle of a tree, and its root; `each` gets all entries in order.
pub(super) fn walk(
    folder: &Folder,
    checkpoint: &Checkpoint,
    report: &mut Report,
    each: &mut dyn FnMut(u64, &[u8]),
) {
    let size = checkpoint.size();
    let mut walk = Walk {
        folder,
        report,
        each,
    };
    // The tiles of the right edge, from the highest level, which covers the first leaves.
    let mut edge = Vec::new();
    let mut is_lost = false;
    for level in (0..=LEVEL_LIMIT).rev() {
        let index = hashes_in_tree(level + 1, size);
        match width_in_tree(level, index, size) {
            0 => {}
            width => match walk.visit(level, index, width) {
                Some(seen) => edge.push(seen),
                None => is_lost = true,
            },
        }
    }
    if is_lost {
        // Some leaves have neither an entry nor a hash, as was told: there is no root.
        return;
    }
    edge.reverse();
    let empty = || (size == 0).then(Hash::empty);
    let found = root_of_levels(edge.iter().map(|seen| seen.found.as_slice())).or_else(empty);
    let stated = root_of_levels(edge.iter().map(Seen::stated)).or_else(empty);
    let signed = checkpoint.root();
    let right = Right::of(signed, found, stated);
    let agree = edge.iter().all(|seen| seen.stated() == seen.found);
    for seen in &edge {
        walk.blame(seen, right);
    }
    if agree
        && right == Right::Neither
        && let Some(found) = found
    {
        report.fault(Error::WrongRoot {
            file: CHECKPOINT.to_owned(),
            size,
            signed,
            found,
        });
    }
}

struct Walk<'a> {
    folder: &'a Folder,
    report: &'a mut Report,
    each: &'a mut dyn FnMut(u64, &[u8]),
}

/// A tile, and what lies below it.
struct Seen {
    tile: Tile,
    /// The hashes in its file, where it could be read.
    stated: Option<Vec<Hash>>,
    /// The hashes as they come out of what lies below.
    found: Vec<Hash>,
    /// Which of them are known to be wrong, and were told as faults of files below.
    told: Vec<usize>,
}

impl Seen {
    /// The hashes in its file; where there is none, nothing speaks against what is below.
    fn stated(&self) -> &[Hash] {
        self.stated.as_ref().unwrap_or(&self.found)
    }
}

/// Which side is right, where a tile and what lies below it disagree.
#[derive(Clone, Copy, PartialEq)]
enum Right {
    /// What lies below; so the tile is wrong.
    Below,
    /// The tile.
    Tile,
    /// Neither is as the hash above says.
    Neither,
}

impl Right {
    fn of(above: Hash, below: Option<Hash>, tile: Option<Hash>) -> Self {
        match Some(above) {
            above if above == below => Self::Below,
            above if above == tile => Self::Tile,
            _ => Self::Neither,
        }
    }
}

impl Walk<'_> {
    /// Reads a tile and all that lies below it, and tells what is wrong below it; `None` where
    /// there is neither the one nor the other, or the walk has ended.
    fn visit(&mut self, level: u8, index: u64, width: u16) -> Option<Seen> {
        if !self.report.goes_on() {
            return None;
        }
        let tile = self
            .report
            .take(Tile::new(Level::Hashes(level), index, width))?;
        let stated = self.report.take(self.folder.tile(level, index, width));
        if stated.is_some() {
            self.count(usize::from(width) * HASH_BYTES);
        }
        let mut seen = Seen {
            tile,
            stated,
            found: Vec::new(),
            told: Vec::new(),
        };
        let Some(lower) = level.checked_sub(1) else {
            seen.found = match self.leaves(index, width) {
                Some(leaves) => leaves,
                None => seen.stated.clone()?,
            };
            return Some(seen);
        };
        let mut is_lost = false;
        for number in 0..usize::from(width) {
            let above = seen.stated.as_ref().and_then(|stated| stated.get(number));
            let above = above.copied();
            let child = index * u64::from(TILE_WIDTH) + number as u64;
            let child = self.visit(lower, child, TILE_WIDTH);
            let settled = child.and_then(|child| self.settle(&child, above));
            match settled.or(above.map(|above| (above, false))) {
                Some((hash, is_told)) => {
                    seen.found.push(hash);
                    seen.told.extend(is_told.then_some(number));
                }
                None => is_lost = true,
            }
        }
        (!is_lost).then_some(seen)
    }

    /// Tells what is wrong between a full tile and what lies below it, by the hash above it, where
    /// that could be read. Returns the tile's root as it should be, as far as anybody can tell, and
    /// whether it is known to be wrong all the same.
    fn settle(&mut self, seen: &Seen, above: Option<Hash>) -> Option<(Hash, bool)> {
        let (below, stated) = (root_over(&seen.found)?, root_over(seen.stated())?);
        if below == stated {
            return Some((below, false));
        }
        let right = above.map_or(Right::Neither, |above| {
            Right::of(above, Some(below), Some(stated))
        });
        self.blame(seen, right);
        Some(match right {
            Right::Below => (below, false),
            Right::Tile => (stated, false),
            Right::Neither => (below, true),
        })
    }

    /// Names the file that is wrong where a tile and what lies below it disagree.
    fn blame(&mut self, seen: &Seen, right: Right) {
        let file = seen.tile.to_string();
        let pairs = seen.stated().iter().zip(&seen.found).enumerate();
        for (number, _) in pairs.filter(|(_, (stated, found))| stated != found) {
            if seen.told.contains(&number) {
                continue;
            }
            let leaf = seen.tile.leaf(number);
            let (other, is_bundle) = match self.below(&seen.tile, number) {
                Some(below) => (below.to_string(), below.level() == Level::Entries),
                None => return,
            };
            self.report.fault(match right {
                Right::Below => Error::WrongHash { file, leaf },
                Right::Tile if is_bundle => Error::WrongEntry { file: other, leaf },
                Right::Tile => Error::WrongBranch { file: other, leaf },
                Right::Neither => Error::Disagreement { file, other, leaf },
            });
            // One for each file is enough: the rest of a bundle may only have moved.
            return;
        }
    }

    /// The file that a hash of a tile is made from.
    fn below(&mut self, tile: &Tile, number: usize) -> Option<Tile> {
        let Level::Hashes(level) = tile.level() else {
            return None;
        };
        let below = match level.checked_sub(1) {
            None => Tile::new(Level::Entries, tile.index(), tile.width()),
            Some(lower) => {
                let index = tile.index() * u64::from(TILE_WIDTH) + number as u64;
                Tile::new(Level::Hashes(lower), index, TILE_WIDTH)
            }
        };
        self.report.take(below)
    }

    /// The hashes of the entries of a bundle.
    fn leaves(&mut self, index: u64, width: u16) -> Option<Vec<Hash>> {
        let bundle = self.report.take(self.folder.bundle(index, width))?;
        self.count(bundle.len());
        self.report.leaves += u64::from(width);
        let entries = entries(&bundle, width).ok()?;
        let places = index.saturating_mul(u64::from(TILE_WIDTH))..;
        for (place, entry) in places.zip(&entries) {
            (self.each)(place, entry);
        }
        Some(entries.into_iter().map(Hash::leaf).collect())
    }

    fn count(&mut self, bytes: usize) {
        self.report.files += 1;
        self.report.bytes += bytes as u64;
    }
}
