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
//! disagree with what was signed, or with what the database says was published. A process that
//! starts on such files publishes nothing, and one that runs signs what it has in mind and never
//! what it finds: nothing is signed over. A person has to look; [`look_back`] finds what was changed
//! deeper in the log, and [`renewal`] begins another log where this one cannot be gone on with.
//!
//! Leaves are numbered on from log to log; entry 0 of this one's files is the leaf `base`.

mod catching_up;
mod cosigning;
mod files;
mod keys;
mod lag;
mod look_back;
mod newest;
mod proofs;
mod renewal;
mod taking_up;
mod tiles;
mod witnesses;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use strongroom_ledger::{Checkpoint, Edge, Hash, LogFile, SignedCheckpoint, Signer, Tile};

use crate::database::Database;
use crate::records::log::LogIdentity;
use crate::records::publication::{self as records, Mark, State};
use crate::records::{cosigned, leaves};
use crate::vault::Vault;
use crate::{Error, Result};

use lag::Lag;

pub use catching_up::CaughtUp;
pub use files::{LogFiles, LogFolder};
pub use keys::witness_signer;
pub use newest::NewestLeaves;
pub use proofs::{Consistency, Inclusion, Witnessed};
pub use renewal::begin_new;
pub use tiles::Tiles;
pub use witnesses::Witnesses;
pub(crate) use witnesses::tls;

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

/// What those call it who ask for the checkpoint that most witnesses have cosigned. It is no file.
const WITNESSED: &str = "witnessed";

/// Publishes the log of a vault.
#[derive(Debug)]
pub struct Publisher {
    vault: Vault,
    files: Arc<dyn LogFiles>,
    signer: Signer,
    log: LogIdentity,
    /// What this process published last; `None` before the files were looked at.
    edge: Mutex<Option<Edge>>,
    /// When this process last published something.
    published_at: Mutex<Option<Instant>>,
    lag: Mutex<Lag>,
}

/// Reads the published log.
#[derive(Clone, Debug)]
pub struct Published {
    vault: Vault,
    files: Arc<dyn LogFiles>,
    /// Which log it is.
    log: u64,
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
    /// Publishes into `files`, which are those of the vault's log, with its key in the folder `keys`,
    /// which is made where the log has none yet.
    ///
    /// # Errors
    /// [`Error::OtherKey`] where the log is signed with another; [`Error::Log`] where there is the key
    /// of a later log; [`Error::Local`] and those of the database.
    pub fn open(vault: Vault, files: Arc<dyn LogFiles>, keys: &Path) -> Result<Self> {
        let signer = keys::signer(&vault, keys)?;
        let key = format!("{}\n", signer.verifier());
        LogFolder::open(keys.to_owned())?.write(PUBLIC_KEY, key.as_bytes())?;
        let lag = Mutex::new(Lag::new(vault.boot_ms()));
        Ok(Self {
            log: vault.log().clone(),
            vault,
            files,
            signer,
            edge: Mutex::default(),
            published_at: Mutex::default(),
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

    /// How many leaves there are that no process has published yet.
    ///
    /// # Errors
    /// [`Error::OtherLog`]; those of the database.
    pub fn unpublished(&self) -> Result<u64> {
        let state = self.state()?;
        Ok(state.leaves.saturating_sub(state.published))
    }

    /// What reads the files.
    pub fn published(&self) -> Published {
        Published {
            vault: self.vault.clone(),
            files: Arc::clone(&self.files),
            log: self.log.number,
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
        let before = kept.as_ref().map_or(0, Edge::size);
        let size = self.publish_on(&mut kept)?;
        if size > before {
            *self.published_at.lock() = Some(Instant::now());
        }
        Ok(size)
    }

    /// The same, by whoever holds what was published last.
    fn publish_on(&self, kept: &mut Option<Edge>) -> Result<u64> {
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
                    // The log of the vault lies there, and so do its bodies.
                    self.vault.believe_storage();
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

    /// Writes the newest checkpoint once more where its file is an older one, has fewer cosignatures,
    /// or is damaged.
    ///
    /// # Errors
    /// As [`Publisher::publish`]; [`Error::Log`] where it is of another log.
    pub fn mend(&self) -> Result<()> {
        let file = self.files.read(CHECKPOINT)?;
        let Some(newest) = self.state()?.checkpoint else {
            return Ok(());
        };
        let is_sound = match &file {
            None => false,
            Some(bytes) if *bytes == newest => true,
            Some(bytes) => match self.readable(bytes)? {
                Some((size, _)) => size > self.verify(&newest)?.0,
                None => false,
            },
        };
        match is_sound {
            true => Ok(()),
            false => self.files.write(CHECKPOINT, &newest),
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
        let origin = &self.log.origin;
        let checkpoint = Checkpoint::new(origin, edge.size(), edge.root()).map_err(of_log)?;
        let signed = SignedCheckpoint::sign(checkpoint, &self.signer).map_err(of_log)?;
        let note = signed.note().to_string().into_bytes();
        let (size, copy) = (edge.size(), note.clone());
        let (log, base) = (self.log.number, self.log.base);
        let is_news = self.vault.commit(move |transaction| {
            let mark = Mark {
                log,
                published: base.saturating_add(size),
                bundled: base.saturating_add(size / BUNDLE * BUNDLE),
                checkpoint: &copy,
            };
            records::mark(transaction, mark)
        })?;
        if !is_news {
            return Ok(Attempt::Overtaken);
        }
        self.files.write(CHECKPOINT, &note)?;
        Ok(Attempt::Done(edge))
    }

    /// Size and root of a checkpoint of this log.
    fn verify(&self, bytes: &[u8]) -> Result<(u64, Hash)> {
        let signed = self.signed(bytes)?;
        Ok((signed.checkpoint().size(), signed.checkpoint().root()))
    }

    fn signed(&self, bytes: &[u8]) -> Result<SignedCheckpoint> {
        SignedCheckpoint::open(bytes, self.signer.verifier()).map_err(of_log)
    }

    fn state(&self) -> Result<State> {
        state(&**self.vault.database(), self.log.number)
    }

    /// Some leaves of this log in the database, from `first` on and before `until`, by their place
    /// in it.
    fn entries(&self, first: u64, until: u64) -> Result<Vec<(u64, Vec<u8>)>> {
        let base = self.log.base;
        self.vault.database().look(|transaction| {
            let mut entries = Vec::new();
            let count = CHUNK.min(until.saturating_sub(first));
            let first = base.saturating_add(first);
            leaves::entries(transaction, first, count, &mut |number, entry| {
                entries.push((number.saturating_sub(base), entry));
                Ok(())
            })?;
            Ok(entries)
        })
    }

    /// Adds some leaves, and writes the files that became full by them; false where another
    /// process has published them, and they are in the database no more.
    fn extend(&self, edge: &mut Edge, until: u64) -> Result<bool> {
        let first = edge.size();
        let entries = self.entries(first, until)?;
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
    /// The bytes of a file of the log: `checkpoint`, `witnessed` (the checkpoint that most witnesses
    /// have cosigned), `key` or a tile; `None` where there is none.
    ///
    /// # Errors
    /// [`Error::StorageInDoubt`] for a tile, which may be one of another vault's; [`Error::Local`]
    /// where it cannot be read; those of the database and the storage.
    pub fn file(&self, name: &str) -> Result<Option<Vec<u8>>> {
        match name {
            "key" => Ok(Some(format!("{}\n", self.key).into_bytes())),
            CHECKPOINT => Ok(state(&**self.vault.database(), self.log)?.checkpoint),
            WITNESSED => self.best(),
            _ => match name.parse::<Tile>() {
                Ok(tile) => self.files()?.read(&tile.to_string()),
                Err(_) => Ok(None),
            },
        }
    }

    /// The checkpoint that most witnesses have cosigned.
    fn best(&self) -> Result<Option<Vec<u8>>> {
        let best = self.vault.database().look(cosigned::best)?;
        Ok(best.map(|best| best.note))
    }

    /// The tiles, to prove something of the log.
    ///
    /// # Errors
    /// [`Error::StorageInDoubt`].
    pub fn tiles(&self) -> Result<Tiles<'_>> {
        self.files().map(Tiles)
    }

    /// The files, where they are known to be those of the vault's log.
    fn files(&self) -> Result<&dyn LogFiles> {
        self.vault.check_storage_is_known()?;
        Ok(&*self.files)
    }
}

/// What is published of a log, which must be the vault's.
fn state(database: &dyn Database, log: u64) -> Result<State> {
    let state = database.look(records::state)?;
    match state.log == log {
        true => Ok(state),
        false => Err(Error::OtherLog { log: state.log }),
    }
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
