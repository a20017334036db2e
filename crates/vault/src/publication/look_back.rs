//! Looking back: are the files of the log still what was written?
//!
//! The right edge is compared with what the publisher remembers, before each checkpoint and every
//! few seconds; all that is full is gone through in turn: each bundle against its tile, each tile
//! against the one above, up to the edge. Each of these reads a few files.

use strongroom_ledger::tile::width_in_tree;
use strongroom_ledger::{Folder, Hash, TileSource, bundle};

use crate::publication::{BUNDLE, CHECKPOINT, Known, Publisher, State, changed, of_log};
use crate::{Error, Result};

/// How many leaves and hashes a file has.
const WIDTH: u16 = 256;

/// Into how many shares a round over all bundles is cut: a day, at a share every five seconds.
const SHARES: u64 = 24 * 3_600 / 5;

/// The most bundles of one share.
const MOST_BUNDLES: u64 = 64;

/// How often the log is compared with the database before they are said to disagree.
const EXAMINED_AT_MOST: u32 = 5;

impl Publisher {
    /// Looks at the edge, and at a share of all that is full; to be called every few seconds.
    ///
    /// # Errors
    /// [`Error::Log`] where a file is not what was written: nothing more is published until it is
    /// again. Those of the database.
    pub fn look_back(&self) -> Result<()> {
        let mut state = self.state.lock();
        // What is wrong already is looked at whenever something is to be published.
        if state.suspect.is_some() || state.known.is_none() {
            return Ok(());
        }
        let looked = self.look_at_share(&mut state);
        if let Err(error) = &looked {
            self.note_failure(&mut state, error);
        }
        looked
    }

    fn look_at_share(&self, state: &mut State) -> Result<()> {
        let Some(known) = &state.known else {
            return Ok(());
        };
        self.check_edge(known)?;
        let size = known.edge.size();
        let bundles = size / BUNDLE;
        for _ in 0..bundles.div_ceil(SHARES).min(MOST_BUNDLES) {
            if state.next >= bundles {
                state.next = 0;
            }
            let bundle = state.next;
            if let Err(error) = self.check_bundle(size, bundle) {
                if matches!(error, Error::Log { .. }) {
                    state.suspect = Some(bundle);
                }
                return Err(error);
            }
            state.next += 1;
        }
        Ok(())
    }

    /// Compares the files of the log with the database, and changes nothing; returns how many
    /// leaves it has.
    ///
    /// # Errors
    /// As [`Publisher::publish`].
    pub fn examine(&self) -> Result<u64> {
        let mut tries_left = EXAMINED_AT_MOST;
        loop {
            let examined = self.head().and_then(|head| self.load(head));
            match examined {
                Ok(known) => return Ok(known.edge.size()),
                // Who publishes meanwhile makes the two disagree for a moment.
                Err(_) if tries_left > 0 => tries_left -= 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Compares the checkpoint and the files at the right edge with what was written.
    pub(super) fn check_edge(&self, known: &Known) -> Result<()> {
        let note = self.folder.read(CHECKPOINT)?;
        if note.as_deref().unwrap_or_default() != known.note {
            return Err(changed("the checkpoint is not the one that was written"));
        }
        if self.edge(known.edge.size())? != known.edge {
            return Err(changed("its last tiles are not those that were written"));
        }
        Ok(())
    }

    /// Compares a full bundle with its tile, and tiles with those above them. What stands at the
    /// edge is compared by [`Publisher::check_edge`].
    pub(super) fn check_bundle(&self, size: u64, index: u64) -> Result<()> {
        let wrong = |file: &str| {
            let first = index.saturating_mul(BUNDLE);
            changed(&format!(
                "{file} of the leaves from {first} on is not what was written"
            ))
        };
        let files = Folder::new(self.folder.path());
        let bytes = files.bundle(index, WIDTH).map_err(of_log)?;
        let entries = bundle::entries(&bytes, WIDTH).map_err(|_| wrong("the bundle"))?;
        let mut hashes = files.tile(0, index, WIDTH).map_err(of_log)?;
        if !entries
            .into_iter()
            .map(Hash::leaf)
            .eq(hashes.iter().copied())
        {
            return Err(wrong("the bundle or the tile"));
        }
        let (mut level, mut index) = (0, index);
        loop {
            let root = root_of(hashes).ok_or_else(|| wrong("a tile"))?;
            let (above, place) = (index / BUNDLE, index % BUNDLE);
            let width = width_in_tree(level + 1, above, size);
            hashes = files.tile(level + 1, above, width).map_err(of_log)?;
            let place = usize::try_from(place).unwrap_or(usize::MAX);
            if hashes.get(place) != Some(&root) {
                return Err(wrong("a tile"));
            }
            // The last one below a full tile: that one is looked at too.
            if hashes.len() != usize::from(WIDTH) || place + 1 != hashes.len() {
                return Ok(());
            }
            (level, index) = (level + 1, above);
        }
    }
}

/// The root over the hashes of a full tile.
fn root_of(mut hashes: Vec<Hash>) -> Option<Hash> {
    while hashes.len() > 1 {
        let pairs = hashes.chunks_exact(2);
        hashes = pairs
            .filter_map(|pair| match pair {
                [left, right] => Some(Hash::node(left, right)),
                _ => None,
            })
            .collect();
    }
    hashes.first().copied()
}
