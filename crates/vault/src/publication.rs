//! The log as files: what was committed becomes tiles, and a signed checkpoint over them.
//!
//! The transaction of each act has numbered its leaf. Here leaves become files, in order: bundles
//! and tiles first, durably; then the checkpoint, in the database, from where clients get it; last
//! a copy of it as a file, for who reads the files without us. So a crash between leaves nothing
//! that is signed and not there.
//!
//! Several processes may publish at once, though one of them does it as a rule (lease `log`): a
//! file but the checkpoint has the same bytes whoever writes it, and the checkpoint in the database
//! only ever moves forward. One that was asleep and overwrites the copy with an older one is mended
//! by [`Publisher::mend`].
//!
//! What can go wrong: files that were changed, cut off or taken from an older copy of the disk
//! disagree with what was signed, or with what the database says was published. Then nothing is
//! published any more: a person has to look.

mod files;
mod keys;
mod lag;
mod proofs;
mod tiles;

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_ledger::{Checkpoint, Edge, Hash, LogFile, SignedCheckpoint, Signer, Tile};

use crate::database::Database;
use crate::records::leaves;
use crate::records::publication::{self as records, State};
use crate::vault::Vault;
use crate::{Error, Result};

use lag::Lag;

pub use files::{LogFiles, LogFolder};
pub use proofs::{Consistency, Inclusion};
pub use tiles::Tiles;

/// How many leaves are taken from the database at a time.
const CHUNK: u64 = 4_096;

/// How many leaves a bundle has.
const BUNDLE: u64 = 256;

/// How often publishing begins anew because another process was faster.
const ATTEMPTS: usize = 5;

/// The file of the key that checkpoints are verified with, in the folder of keys.
const PUBLIC_KEY: &str = "log.pub";

/// The name of the checkpoint's file.
const CHECKPOINT: &str = "checkpoint";

/// Publishes the log of a vault.
#[derive(Debug)]
pub struct Publisher {
    vault: Vault,
    files: Arc<dyn LogFiles>,
    signer: Signer,
    /// What this process published last; `None` before the files were looked at.
    edge: Mutex<Option<Edge>>,
    lag: Mutex<Lag>,
}

/// Reads the published log.
#[derive(Clone, Debug)]
pub struct Published {
    database: Arc<dyn Database>,
    files: Arc<dyn LogFiles>,
    key: String,
}

/// How an attempt to publish ended.
enum Attempt {
    /// With so many leaves published.
    Done(Edge),
    /// Another process has published what was wanted from the database.
    Overtaken,
}

impl Publisher {
    /// Publishes into `files`, with the key in the folder `keys`, which is made where the log has
    /// none yet.
    ///
    /// # Errors
    /// [`Error::OtherKey`] where the log is signed with another; [`Error::Local`] and those of the
    /// database.
    pub fn open(vault: Vault, files: Arc<dyn LogFiles>, keys: &Path) -> Result<Self> {
        let signer = keys::signer(&vault, keys)?;
        let key = format!("{}\n", signer.verifier());
        LogFolder::open(keys.to_owned())?.write(PUBLIC_KEY, key.as_bytes())?;
        let lag = Mutex::new(Lag::new(vault.boot_ms()));
        Ok(Self {
            vault,
            files,
            signer,
            edge: Mutex::default(),
            lag,
        })
    }

    /// The key that checkpoints are verified with, as text.
    pub fn key(&self) -> String {
        self.signer.verifier().to_string()
    }

    /// For how long, in milliseconds, some process has not published all there is; to be asked every
    /// few seconds. Where the database cannot be asked, the time goes on.
    pub fn behind_ms(&self) -> i64 {
        let state = self.state();
        let now_ms = self.vault.boot_ms();
        let mut lag = self.lag.lock();
        if let Ok(state) = state {
            lag.note(state.leaves, state.published, now_ms);
        }
        lag.behind_ms(now_ms)
    }

    /// Publishes where that is needed for what was committed before this call to be published.
    /// However many ask at a time, they do not write one after another what one has written for
    /// all.
    ///
    /// # Errors
    /// As [`Publisher::publish`].
    pub fn catch_up(&self) -> Result<u64> {
        let mut wanted = 0;
        self.vault.database().read(&mut |transaction| {
            wanted = leaves::head(transaction)?.leaves;
            Ok(())
        })?;
        let size = self.edge.lock().as_ref().map_or(0, Edge::size);
        match size >= wanted {
            true => Ok(size),
            false => self.publish(),
        }
    }

    /// What reads the files.
    pub fn published(&self) -> Published {
        Published {
            database: Arc::clone(self.vault.database()),
            files: Arc::clone(&self.files),
            key: self.key(),
        }
    }

    /// Publishes what was committed since; returns how many leaves are published then. Any process
    /// may do so at any time.
    ///
    /// # Errors
    /// [`Error::Log`] where the files are not what was published; [`Error::Local`] and those of
    /// the database and the storage.
    pub fn publish(&self) -> Result<u64> {
        let mut kept = self.edge.lock();
        let wanted = self.state()?.leaves;
        for attempt in 0..ATTEMPTS {
            let mut state = self.state()?;
            if attempt > 0 && state.published >= wanted {
                return Ok(state.published);
            }
            let edge = match kept.take() {
                Some(edge) if edge.size() > state.published => {
                    let size = edge.size();
                    *kept = Some(edge);
                    return Err(changed(&format!(
                        "{size} leaves were published, and the database knows only of {}: it was \
                         set back",
                        state.published
                    )));
                }
                Some(edge) if edge.size() == state.published => edge,
                _ => {
                    let edge = self.load()?;
                    state = self.state()?;
                    edge
                }
            };
            if let Attempt::Done(edge) = self.publish_from(edge, &state)? {
                let size = edge.size();
                *kept = Some(edge);
                return Ok(size);
            }
        }
        Err(changed("other processes publish all the time"))
    }

    /// Writes the newest checkpoint once more where its file is an older one.
    ///
    /// # Errors
    /// As [`Publisher::publish`].
    pub fn mend(&self) -> Result<()> {
        let Some(newest) = self.state()?.checkpoint else {
            return Ok(());
        };
        match self.files.read(CHECKPOINT)? {
            Some(bytes) if self.verify(&bytes)?.0 >= self.verify(&newest)?.0 => Ok(()),
            _ => self.files.write(CHECKPOINT, &newest),
        }
    }

    /// Adds the leaves that are new to an edge, and publishes it.
    fn publish_from(&self, mut edge: Edge, state: &State) -> Result<Attempt> {
        let from = edge.size();
        while edge.size() < state.leaves {
            if !self.extend(&mut edge, state.leaves)? {
                return Ok(Attempt::Overtaken);
            }
        }
        if edge.size() == from && state.checkpoint.is_some() {
            return Ok(Attempt::Done(edge));
        }
        for file in edge.partial_files().map_err(of_log)? {
            self.write(&file)?;
        }
        let origin = self.vault.origin();
        let checkpoint = Checkpoint::new(origin, edge.size(), edge.root()).map_err(of_log)?;
        let signed = SignedCheckpoint::sign(checkpoint, &self.signer).map_err(of_log)?;
        let note = signed.note().to_string().into_bytes();
        let (size, copy) = (edge.size(), note.clone());
        let is_news = self.vault.commit(move |transaction| {
            records::mark(transaction, size, size / BUNDLE * BUNDLE, &copy)
        })?;
        if !is_news {
            return Ok(Attempt::Overtaken);
        }
        self.files.write(CHECKPOINT, &note)?;
        Ok(Attempt::Done(edge))
    }

    /// Takes up the log where it was published last, by whichever process.
    fn load(&self) -> Result<Edge> {
        // The file first: its leaves are in the database by then, however fast others publish.
        let file = self.files.read(CHECKPOINT)?;
        let file = file.map(|bytes| self.verify(&bytes)).transpose()?;
        let state = self.state()?;
        let known = state.checkpoint.as_deref();
        let known = known.map(|bytes| self.verify(bytes)).transpose()?;
        let location = self.files.location();
        let (size, root) = match (known, file) {
            (Some(known), _) => known,
            // Published by a version that kept it as a file alone.
            (None, Some(file)) if file.0 >= state.published => file,
            (None, None) if state.published == 0 => (0, Hash::empty()),
            (None, None) => {
                return Err(changed(&format!(
                    "{} leaves were published, and there is no checkpoint in {location}",
                    state.published
                )));
            }
            (None, Some(file)) => {
                return Err(changed(&format!(
                    "{} leaves were published, and the checkpoint in {location} is over {}",
                    state.published, file.0
                )));
            }
        };
        let told = file.map_or(size, |file| file.0.max(size));
        if told > state.leaves {
            return Err(changed(&format!(
                "the checkpoint in {location} is over {told} leaves, and the database knows only \
                 {}: it is older than the log",
                state.leaves
            )));
        }
        let tiles = Tiles(&*self.files);
        let edge = tiles.edge(size).map_err(|error| self.elsewhere(error))?;
        if edge.root() != root {
            return Err(changed("its last tiles are not those that were signed"));
        }
        self.check_file(&edge, file)?;
        Ok(edge)
    }

    /// Fails where the checkpoint's file is of another history than what is published: of one that
    /// the database has forgotten, or never had.
    fn check_file(&self, edge: &Edge, file: Option<(u64, Hash)>) -> Result<()> {
        let Some((told, signed)) = file else {
            return Ok(());
        };
        let found = match told > edge.size() {
            false => Tiles(&*self.files)
                .root(edge.size(), told)
                .map_err(of_log)?,
            true => {
                let mut ahead = edge.clone();
                let known = |first| entries(&**self.vault.database(), first, told);
                while ahead.size() < told {
                    let entries = known(ahead.size())?;
                    if entries.is_empty() {
                        return Err(changed(&format!(
                            "the database has no leaf {}",
                            ahead.size()
                        )));
                    }
                    for (_, entry) in entries {
                        ahead.append(&entry).map_err(of_log)?;
                    }
                }
                ahead.root()
            }
        };
        match found == signed {
            true => Ok(()),
            false => Err(changed(&format!(
                "the checkpoint in {} is of another history than the database: one of them was \
                 set back",
                self.files.location()
            ))),
        }
    }

    /// Size and root of a checkpoint of this log.
    fn verify(&self, bytes: &[u8]) -> Result<(u64, Hash)> {
        let signed = SignedCheckpoint::open(bytes, self.signer.verifier()).map_err(of_log)?;
        Ok((signed.checkpoint().size(), signed.checkpoint().root()))
    }

    /// What it means that files are missing which were published.
    fn elsewhere(&self, error: strongroom_ledger::Error) -> Error {
        match error {
            strongroom_ledger::Error::Missing { file } => changed(&format!(
                "{file} is missing in {}, where all processes of the vault must have their storage",
                self.files.location()
            )),
            error => of_log(error),
        }
    }

    fn state(&self) -> Result<State> {
        state(&**self.vault.database())
    }

    /// Adds some leaves, and writes the files that became full by them; false where another
    /// process has published them, and they are in the database no more.
    fn extend(&self, edge: &mut Edge, until: u64) -> Result<bool> {
        let first = edge.size();
        let entries = entries(&**self.vault.database(), first, until)?;
        if entries.first().is_none_or(|(number, _)| *number != first) {
            return match self.state()?.published > first {
                true => Ok(false),
                false => Err(changed(&format!("the database has no leaf {first}"))),
            };
        }
        for (number, entry) in entries {
            if number != edge.size() {
                return Err(changed(&format!(
                    "the database has no leaf {}",
                    edge.size()
                )));
            }
            for file in edge.append(&entry).map_err(of_log)? {
                self.write(&file)?;
                self.files.remove_partial(&file.tile.to_string());
            }
        }
        Ok(true)
    }

    fn write(&self, file: &LogFile) -> Result<()> {
        self.files.write(&file.tile.to_string(), &file.bytes)
    }
}

impl Published {
    /// The bytes of a file of the log: `checkpoint`, `key` or a tile; `None` where there is none.
    ///
    /// # Errors
    /// [`Error::Local`] where it cannot be read; those of the database and the storage.
    pub fn file(&self, name: &str) -> Result<Option<Vec<u8>>> {
        match name {
            "key" => Ok(Some(format!("{}\n", self.key).into_bytes())),
            CHECKPOINT => Ok(state(&*self.database)?.checkpoint),
            _ => match name.parse::<Tile>() {
                Ok(tile) => self.files.read(&tile.to_string()),
                Err(_) => Ok(None),
            },
        }
    }

    /// The tiles, to prove something of the log.
    pub fn tiles(&self) -> Tiles<'_> {
        Tiles(&*self.files)
    }
}

fn state(database: &dyn Database) -> Result<State> {
    let mut state = State::default();
    database.read(&mut |transaction| {
        state = records::state(transaction)?;
        Ok(())
    })?;
    Ok(state)
}

/// Some leaves of the database, from `first` on and before `until`.
fn entries(database: &dyn Database, first: u64, until: u64) -> Result<Vec<(u64, Vec<u8>)>> {
    let mut entries = Vec::new();
    database.read(&mut |transaction| {
        entries.clear();
        let count = CHUNK.min(until.saturating_sub(first));
        leaves::entries(transaction, first, count, &mut |number, entry| {
            entries.push((number, entry));
            Ok(())
        })
    })?;
    Ok(entries)
}

fn of_log(error: strongroom_ledger::Error) -> Error {
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        reason = format!("{reason}: {cause}");
        source = cause.source();
    }
    Error::Log { reason }
}

fn changed(reason: &str) -> Error {
    Error::Log {
        reason: reason.to_owned(),
    }
}
