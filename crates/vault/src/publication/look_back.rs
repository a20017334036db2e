//! Looking back: are the files of the log still what was written?
//!
//! The right edge is read at each look, and compared with what was signed and with the leaves that
//! the database still has; all that is full is gone through in turn: each bundle against its tile,
//! each tile against the one above, up to the edge. A round takes a day; one process at a time looks
//! (lease `look-back`), and where it is and what it has found is in the database, for all to tell.
//!
//! What can go wrong:
//! - files are read while others publish. So the checkpoint's file is read first, then what the
//!   database says of it, then the tiles: those that it is over are there by then;
//! - somebody changes one file that can never be put right, so that nothing else is looked at and
//!   he may change the rest. So a look goes on behind what is wrong, and keeps the first files of it;
//! - a bucket that is away is no sign that somebody changed it; of a folder, what cannot be read is.

use rustix::io::Errno;
use strongroom_ledger::tile::width_in_tree;
use strongroom_ledger::{Edge, Error as LogError, Hash, TileSource, bundle};

use crate::database::Transaction;
use crate::publication::{BUNDLE, CHECKPOINT, Publisher, Tiles, changed, of_log};
use crate::records::leaves::{self, Act, Moment};
use crate::records::look_back::{self as records, LookBack, MOST_WRONG, Wrong};
use crate::vault::{Held, Job, log_wrong};
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

/// What a look has found, the first of it: of which bundle, or the edge, and what.
#[derive(Debug, Default)]
struct Faults(Vec<(Option<u64>, String)>);

impl Faults {
    /// Takes note of a fault that is not known yet, where there is one, and room for it.
    fn note(&mut self, bundle: Option<u64>, fault: Option<String>) {
        let is_known = self.0.iter().any(|(known, _)| *known == bundle);
        if let Some(what) = fault
            && !is_known
            && self.0.len() < MOST_WRONG
        {
            self.0.push((bundle, what));
        }
    }
}

impl Publisher {
    /// Looks at the edge, and at a share of all that is full, where no other process does; to be
    /// called every ten seconds. What is wrong is told in the log, and kept in the database until a
    /// look finds it right again. Returns what was found wrong first, and `None` too where another
    /// process looks.
    ///
    /// # Errors
    /// Those of the database and of a storage that is away: nothing is known of the files then.
    pub fn look_back(&self) -> Result<Option<Wrong>> {
        if self.vault.is_storage_doubted() {
            return Ok(None);
        }
        let looked = self.vault.run_job(Job::LookBack, |held| {
            let before = self.vault.database().look(records::get)?;
            let mut after = before.clone();
            let faults = self.look_at_share(&mut after, held)?;
            after.wrong = self.known(faults, &before);
            if after != before {
                self.keep(&before, &after, held)?;
            }
            Ok(after.wrong)
        })?;
        Ok(looked.and_then(|wrong| wrong.into_iter().next()))
    }

    /// What is wrong, each since when it was found first.
    fn known(&self, faults: Faults, before: &LookBack) -> Vec<Wrong> {
        let now_ms = self.vault.now().recorded_ms;
        let known = |bundle: Option<u64>| {
            let mut known = before.wrong.iter();
            known.find(|known| known.bundle == bundle)
        };
        let faults = faults.0.into_iter();
        let wrong = faults.map(|(bundle, what)| Wrong {
            what: what.chars().take(LONGEST_WORDS).collect(),
            bundle,
            found_at_ms: known(bundle).map_or(now_ms, |known| known.found_at_ms),
        });
        wrong.collect()
    }

    /// Writes down how far the look back is, and tells of what is wrong when it is found.
    fn keep(&self, before: &LookBack, after: &LookBack, held: &Held<'_>) -> Result<()> {
        let is_news = |wrong: &&Wrong| {
            let mut known = before.wrong.iter();
            !known.any(|known| known.bundle == wrong.bundle)
        };
        let told: Vec<String> = after
            .wrong
            .iter()
            .filter(is_news)
            .map(|wrong| wrong.what.clone())
            .collect();
        for what in &told {
            tracing::error!(
                location = self.files.location(),
                reason = what,
                "The files of the log are not what was written"
            );
        }
        if after.wrong.is_empty() && !before.wrong.is_empty() {
            tracing::warn!(
                location = self.files.location(),
                "The files of the log are again what was written"
            );
        }
        let (lease, after, now) = (held.lease(), after.clone(), self.vault.now());
        self.vault.commit(move |transaction| {
            lease.require(transaction)?;
            records::set(transaction, &after)?;
            for what in &told {
                tell(transaction, now, what)?;
            }
            Ok(())
        })
    }

    /// Looks, and moves on, behind what is wrong too. An error where it is not known what is in the
    /// files.
    fn look_at_share(&self, look_back: &mut LookBack, held: &Held<'_>) -> Result<Faults> {
        let mut faults = Faults::default();
        let looked = self.look_at_edge();
        let size = match &looked {
            Ok(size) => *size,
            // What is full can be compared all the same, up to the edge that was signed.
            Err(_) => self.signed_size().ok().flatten(),
        };
        let edge = fault_in(looked.map(drop))?;
        let bundles = size.unwrap_or_default() / BUNDLE;
        let bundle = |index| fault_in(self.look_at_bundle(size.unwrap_or_default(), index));
        // What was wrong is looked at until it is right again, and stands before what is new.
        for wrong in &look_back.wrong {
            match wrong.bundle {
                None => faults.note(None, edge.clone()),
                Some(suspect) if suspect < bundles => faults.note(Some(suspect), bundle(suspect)?),
                Some(_) => {}
            }
        }
        faults.note(None, edge);
        for _ in 0..bundles.div_ceil(SHARES).min(MOST_BUNDLES) {
            held.keep()?;
            if look_back.next_bundle >= bundles {
                look_back.next_bundle = 0;
            }
            if look_back.next_bundle == 0 {
                look_back.last_began_at_ms = look_back.began_at_ms;
                look_back.began_at_ms = Some(self.vault.now().recorded_ms);
            }
            let next = look_back.next_bundle;
            faults.note(Some(next), bundle(next)?);
            look_back.next_bundle += 1;
        }
        Ok(faults)
    }

    /// Over how many leaves the newest checkpoint in the database is; `None` before the first one.
    fn signed_size(&self) -> Result<Option<u64>> {
        let Some(newest) = self.state()?.checkpoint else {
            return Ok(None);
        };
        Ok(Some(self.verify(&newest)?.0))
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
    leaves::append(transaction, now, &act)?;
    log_wrong(transaction, now, what)
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

/// What is wrong by a look at files, if anything; an error where that is not known.
fn fault_in(looked: Result<()>) -> Result<Option<String>> {
    match looked {
        Ok(()) => Ok(None),
        Err(error) if !is_of_files(&error) => Err(error),
        Err(Error::Log { reason }) => Ok(Some(reason)),
        Err(error) => Ok(Some(told(&error))),
    }
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
pub(super) fn of_files(error: LogError) -> Error {
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
