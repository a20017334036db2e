//! Looking back: are the files of the log still what was written?
//!
//! The right edge is read at each look, and compared with what was signed and with the leaves that
//! the database still has; all that is full is gone through in turn: each bundle against its tile,
//! each tile against the one above, up to the edge. A round takes a day; one process at a time looks
//! (lease `look-back`), and where it is and what it has found is in the database, for all to tell.
//!
//! What can go wrong: files are read while others publish. So the checkpoint's file is read first,
//! then what the database says of it, then the tiles: those that it is over are there by then.
//! A bucket that is away is no sign that somebody changed it; of a folder, what cannot be read is.

use rustix::io::Errno;
use strongroom_ledger::tile::width_in_tree;
use strongroom_ledger::{Edge, Error as LogError, Hash, TileSource, bundle};

use crate::database::Transaction;
use crate::publication::{BUNDLE, CHECKPOINT, Publisher, Tiles, changed, of_log};
use crate::records::leaves::{self, Act, Moment};
use crate::records::look_back::{self as records, LookBack, Wrong};
use crate::vault::{Held, Job};
use crate::{Error, Result};

/// How many leaves and hashes a file has.
const WIDTH: u16 = 256;

/// Into how many shares a round over all bundles is cut: a day, at a share every ten seconds.
const SHARES: u64 = 24 * 3_600 / 10;

/// The most bundles of one share.
const MOST_BUNDLES: u64 = 64;

/// What a system says of a file that it cannot read, or that is none, and not of itself.
const OF_FILES: [Errno; 8] = [
    Errno::IO,
    Errno::UCLEAN,
    Errno::BADMSG,
    Errno::NOTDIR,
    Errno::ISDIR,
    Errno::LOOP,
    Errno::ACCESS,
    Errno::PERM,
];

/// The most characters of what is told of a wrong file.
const LONGEST_WORDS: usize = 1_000;

impl Publisher {
    /// Looks at the edge, and at a share of all that is full, where no other process does; to be
    /// called every ten seconds. What is wrong is told in the log, and kept in the database until a
    /// look finds it right again. Returns what is wrong, and `None` too where another process looks.
    ///
    /// # Errors
    /// Those of the database and of a storage that is away: nothing is known of the files then.
    pub fn look_back(&self) -> Result<Option<Wrong>> {
        let looked = self.vault.run_job(Job::LookBack, |held| {
            let mut before = LookBack::default();
            self.vault.database().read(&mut |transaction| {
                before = records::get(transaction)?;
                Ok(())
            })?;
            let mut after = before.clone();
            let looked = self.look_at_share(&mut after, held);
            after.wrong = self.found(looked, &before)?;
            if after != before {
                self.keep(&before, &after, held)?;
            }
            Ok(after.wrong)
        })?;
        Ok(looked.flatten())
    }

    /// What a look has found; an error where it could not look.
    fn found(
        &self,
        looked: std::result::Result<(), (Option<u64>, Error)>,
        before: &LookBack,
    ) -> Result<Option<Wrong>> {
        let Err((bundle, error)) = looked else {
            return Ok(None);
        };
        if !is_of_files(&error) {
            return Err(error);
        }
        let what = match error {
            Error::Log { reason } => reason,
            error => told(&error),
        };
        let known = before.wrong.as_ref();
        let since_ms = known.filter(|known| known.bundle == bundle);
        let since_ms = since_ms.map(|known| known.found_at_ms);
        Ok(Some(Wrong {
            what: what.chars().take(LONGEST_WORDS).collect(),
            bundle,
            found_at_ms: since_ms.unwrap_or_else(|| self.vault.now().recorded_ms),
        }))
    }

    /// Writes down how far the look back is, and tells of what is wrong when it is found.
    fn keep(&self, before: &LookBack, after: &LookBack, held: &Held<'_>) -> Result<()> {
        let place = |look_back: &LookBack| look_back.wrong.as_ref().map(|wrong| wrong.bundle);
        let is_news = place(before) != place(after);
        let told = after.wrong.as_ref().filter(|_| is_news);
        match told {
            Some(wrong) => tracing::error!(
                location = self.files.location(),
                reason = wrong.what,
                "The files of the log are not what was written"
            ),
            None if is_news => tracing::warn!(
                location = self.files.location(),
                "The files of the log are again what was written"
            ),
            None => {}
        }
        let told = told.map(|wrong| wrong.what.clone());
        let (lease, after, now) = (held.lease(), after.clone(), self.vault.now());
        self.vault.commit(move |transaction| {
            lease.require(transaction)?;
            records::set(transaction, &after)?;
            match &told {
                Some(what) => tell(transaction, now, what),
                None => Ok(()),
            }
        })
    }

    /// Looks, and moves on; where something is wrong, of which bundle it is.
    fn look_at_share(
        &self,
        look_back: &mut LookBack,
        held: &Held<'_>,
    ) -> std::result::Result<(), (Option<u64>, Error)> {
        let of_edge = |error| (None, error);
        let Some(size) = self.look_at_edge().map_err(of_edge)? else {
            return Ok(());
        };
        let bundles = size / BUNDLE;
        // What was wrong is looked at until it is right again.
        let suspect = look_back.wrong.as_ref().and_then(|wrong| wrong.bundle);
        if let Some(suspect) = suspect.filter(|suspect| *suspect < bundles) {
            let looked = self.look_at_bundle(size, suspect);
            looked.map_err(|error| (Some(suspect), error))?;
        }
        for _ in 0..bundles.div_ceil(SHARES).min(MOST_BUNDLES) {
            held.keep().map_err(of_edge)?;
            if look_back.next_bundle >= bundles {
                look_back.next_bundle = 0;
            }
            if look_back.next_bundle == 0 {
                look_back.last_began_at_ms = look_back.began_at_ms;
                look_back.began_at_ms = Some(self.vault.now().recorded_ms);
            }
            let next = look_back.next_bundle;
            let looked = self.look_at_bundle(size, next);
            looked.map_err(|error| (Some(next), error))?;
            look_back.next_bundle += 1;
        }
        Ok(())
    }

    /// Compares the checkpoint's file and the files at the right edge with what was signed, and with
    /// the leaves that the database has; returns over how many leaves that is.
    fn look_at_edge(&self) -> Result<Option<u64>> {
        let file = self.files.read(CHECKPOINT)?;
        let Some(newest) = self.state()?.checkpoint else {
            return Ok(None);
        };
        let (size, root) = self.verify(&newest)?;
        let edge = Tiles(&*self.files).edge(size).map_err(of_files)?;
        if edge.root() != root {
            return Err(changed("its last tiles are not those that were signed"));
        }
        // One that is damaged or missing is written anew, and is no sign of anything.
        let file = match file {
            Some(bytes) => self.readable(&bytes)?,
            None => None,
        };
        self.check_file(&edge, file)?;
        self.look_at_leaves(&edge)?;
        Ok(Some(size))
    }

    /// Compares the leaves of the last bundle with those in the database.
    fn look_at_leaves(&self, edge: &Edge) -> Result<()> {
        let first = edge.size() / BUNDLE * BUNDLE;
        let width = u16::try_from(edge.size() - first).unwrap_or_default();
        if width == 0 {
            return Ok(());
        }
        let known = self.entries(first, edge.size())?;
        let tiles = Tiles(&*self.files);
        let bytes = tiles.bundle(first / BUNDLE, width).map_err(of_files)?;
        let torn = || changed("its last bundle cannot be read");
        let entries = bundle::entries(&bytes, width).map_err(|_| torn())?;
        for (number, entry) in known {
            let place = usize::try_from(number.saturating_sub(first)).unwrap_or(usize::MAX);
            if entries.get(place) != Some(&entry.as_slice()) {
                return Err(changed(&format!(
                    "leaf {number} in its files is not the one in the database"
                )));
            }
        }
        Ok(())
    }

    /// Compares a full bundle with its tile, and tiles with those above them; what stands at the
    /// edge is compared with what was signed.
    fn look_at_bundle(&self, size: u64, index: u64) -> Result<()> {
        let tiles = Tiles(&*self.files);
        let first = index.saturating_mul(BUNDLE);
        let wrong = |file: &str| {
            changed(&format!(
                "{file} of the leaves from {first} on is not what was written"
            ))
        };
        let bytes = tiles.bundle(index, WIDTH).map_err(of_files)?;
        let entries = bundle::entries(&bytes, WIDTH).map_err(|_| wrong("the bundle"))?;
        let mut hashes = tiles.tile(0, index, WIDTH).map_err(of_files)?;
        let leaves = entries.into_iter().map(Hash::leaf);
        if !leaves.eq(hashes.iter().copied()) {
            return Err(wrong("the bundle or the tile"));
        }
        let (mut level, mut index) = (0, index);
        loop {
            let root = root_of(hashes).ok_or_else(|| wrong("a tile"))?;
            let (above, place) = (index / BUNDLE, index % BUNDLE);
            let width = width_in_tree(level + 1, above, size);
            hashes = tiles.tile(level + 1, above, width).map_err(of_files)?;
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

fn tell(transaction: &mut dyn Transaction, now: Moment, what: &str) -> Result<()> {
    let act = Act::LogWrong {
        what: what.to_owned(),
    };
    leaves::append(transaction, now, &act).map(drop)
}

/// An error with its causes, on one line.
fn told(error: &Error) -> String {
    let mut what = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        what = format!("{what}: {error}");
        cause = error.source();
    }
    what
}

/// Whether an error says that a file is not what was written, and not that it is not known.
fn is_of_files(error: &Error) -> bool {
    match error {
        Error::Log { .. } | Error::Storage(strongroom_store::Error::BadAnswer { .. }) => true,
        Error::Local { source, .. } => {
            Errno::from_io_error(source).is_some_and(|errno| OF_FILES.contains(&errno))
        }
        _ => false,
    }
}

/// What the ledger says of a file; where storage did not hand it over, what storage says.
fn of_files(error: LogError) -> Error {
    match error {
        LogError::Read { file, source } => match source.downcast::<Error>() {
            Ok(error) => error,
            Err(source) => of_log(LogError::Read { file, source }),
        },
        error => of_log(error),
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
