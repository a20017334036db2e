//! What else lies in a log's folder: earlier partial tiles, what was not signed yet, and what no
//! log has.

use crate::audit::Report;
use crate::bundle::BUNDLE_LIMIT_BYTES;
use crate::tile::{CHECKPOINT, LEVEL_LIMIT, Level, Tile, width_in_tree};
use crate::{Error, Folder};

/// How many folders of folders a number of a tile has at most.
const DEPTH_LIMIT: usize = 7;

/// Names every file that is no part of the log, and compares earlier partial files with those that
/// took their place.
pub(super) fn look(folder: &Folder, size: u64, report: &mut Report) {
    let mut look = Look {
        folder,
        size,
        report,
    };
    look.each("", |look, path, name, is_folder| match (name, is_folder) {
        (CHECKPOINT, false) => {}
        ("tile", true) => look.levels(),
        _ => look.stray(path, name),
    });
}

struct Look<'a> {
    folder: &'a Folder,
    size: u64,
    report: &'a mut Report,
}

impl Look<'_> {
    fn levels(&mut self) {
        self.each("tile", |look, path, name, is_folder| {
            let is_level = (0..=LEVEL_LIMIT).any(|level| level.to_string() == name);
            match is_folder && (is_level || name == "entries") {
                true => look.tiles(&path, DEPTH_LIMIT),
                false => look.stray(path, name),
            }
        });
    }

    fn tiles(&mut self, folder: &str, depth: usize) {
        self.each(folder, |look, path, name, is_folder| {
            if !is_folder {
                match path.parse::<Tile>() {
                    Ok(tile) => look.known(tile, None),
                    Err(_) => look.stray(path, name),
                }
            } else if name.ends_with(".p") {
                look.partials(&path);
            } else if name.starts_with('x') && depth > 0 {
                look.tiles(&path, depth - 1);
            } else {
                look.stray(path, name);
            }
        });
    }

    /// The partial files of one tile or bundle; the fuller one is read once.
    fn partials(&mut self, folder: &str) {
        let mut fuller = None;
        self.each(folder, |look, path, name, is_folder| match path.parse() {
            Ok(tile) if !is_folder => look.known(tile, Some(&mut fuller)),
            _ => look.stray(path, name),
        });
    }

    /// A file of a log's name: the one that the checkpoint speaks of was read in the walk.
    fn known(&mut self, tile: Tile, fuller: Option<&mut Option<Vec<u8>>>) {
        let level = match tile.level() {
            Level::Entries => 0,
            Level::Hashes(level) => level,
        };
        let width = width_in_tree(level, tile.index(), self.size);
        if tile.width() > width {
            self.report.leftover(tile.to_string());
            return;
        }
        let Some(fuller) = fuller.filter(|_| tile.width() < width) else {
            return;
        };
        let whole = tile.with_width(width);
        let read = |tile: Tile| self.folder.read(&tile.to_string(), BUNDLE_LIMIT_BYTES);
        if fuller.is_none() {
            // Where it cannot be read, the walk has told so.
            *fuller = read(whole).ok();
        }
        let partial = read(tile);
        let Some(partial) = self.report.take(partial) else {
            return;
        };
        self.report.files += 1;
        self.report.bytes += partial.len() as u64;
        let is_long_enough = match tile.level() {
            Level::Entries => crate::bundle::entries(&partial, tile.width()).is_ok(),
            Level::Hashes(_) => crate::tile::decode(&partial, tile.width()).is_ok(),
        };
        let is_beginning = fuller
            .as_ref()
            .is_none_or(|fuller| fuller.starts_with(&partial));
        if !(is_long_enough && is_beginning) {
            self.report.fault(Error::NotABeginning {
                file: tile.to_string(),
                fuller: whole.to_string(),
            });
        }
    }

    fn stray(&mut self, file: String, name: &str) {
        match name.starts_with('.') {
            true => self.report.leftover(file),
            false => self.report.fault(Error::Stray { file }),
        }
    }

    /// Calls for each name in a folder that is a plain file or a folder, with its path.
    fn each(&mut self, folder: &str, mut call: impl FnMut(&mut Self, String, &str, bool)) {
        let names = self.folder.names(folder);
        for (name, kind) in self.report.take(names).unwrap_or_default() {
            if !self.report.goes_on() {
                return;
            }
            let file = match folder {
                "" => name.clone(),
                _ => format!("{folder}/{name}"),
            };
            if kind.is_dir() || kind.is_file() {
                call(self, file, &name, kind.is_dir());
            } else {
                self.report.fault(Error::NotAFile { file });
            }
        }
    }
}
