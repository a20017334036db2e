//! The log as files: what was committed becomes tiles, and a signed checkpoint over them.
//!
//! The transaction of each act has numbered its leaf. Here leaves become files, in order: bundles
//! and tiles first, durably, then the checkpoint, so that a crash between leaves nothing that is
//! signed and not there. One process of those that share a database publishes.
//!
//! What can go wrong: files that were changed, cut off or taken from an older copy of the disk
//! disagree with what was signed, or with what the database says was published. They are looked at
//! before each checkpoint, and all others in turn. Then nothing is published any more until they
//! are again what they were: nothing is ever signed over. A person has to look.
//!
//! Leaves are numbered on from log to log; entry 0 of this one's files is the leaf `base`.

mod files;
mod keys;
mod look_back;
mod renewal;
mod witnesses;

pub use renewal::begin_new;
pub use witnesses::{Witness, WitnessStatus, witness_signer};

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;
use strongroom_ledger::{
    Checkpoint, Edge, Folder, KeyKind, LogFile, SignedCheckpoint, Signer, Tile,
};

use crate::database::Database;
use crate::records::leaves::{self, Head};
use crate::records::log::LogIdentity;
use crate::vault::Vault;
use crate::{Error, Result};

use files::LogFolder;

/// How many leaves are taken from the database at a time.
const CHUNK: u64 = 4_096;

/// How many leaves a bundle has.
const BUNDLE: u64 = 256;

/// The file of the key that checkpoints are verified with, in the folder of keys.
const PUBLIC_KEY: &str = "log.pub";

/// The name of the checkpoint's file.
const CHECKPOINT: &str = "checkpoint";

/// The file of the last checkpoint that a witness has cosigned, in the vault's folder; also its
/// name for those who ask for it.
const WITNESSED: &str = "witnessed";

/// Publishes the log of a vault.
#[derive(Debug)]
pub struct Publisher {
    database: Arc<dyn Database>,
    vault: Vault,
    data: LogFolder,
    folder: LogFolder,
    signer: Signer,
    log: LogIdentity,
    state: Mutex<State>,
    /// The last checkpoint that a witness has cosigned.
    witnessed: Mutex<Option<SignedCheckpoint>>,
    /// When all was published the last time, by the boot clock.
    published_ms: AtomicI64,
}

/// What the publisher keeps in mind.
#[derive(Debug, Default)]
struct State {
    /// What was published last; `None` before the files were looked at, and after a failure.
    known: Option<Known>,
    /// A bundle that was found to be wrong: nothing is published until it is right again.
    suspect: Option<u64>,
    /// The next bundle to look at.
    next: u64,
    /// Whether something was published, and nothing was wrong since.
    is_well: bool,
}

/// A log as it was published.
#[derive(Debug)]
struct Known {
    edge: Edge,
    signed: Option<SignedCheckpoint>,
    /// The file of the checkpoint, as it was written.
    note: Vec<u8>,
}

/// Reads the published log.
#[derive(Clone, Debug)]
pub struct Published {
    path: PathBuf,
    witnessed: PathBuf,
    key: String,
}

impl Publisher {
    /// Publishes into `data/log`, with the key in `data/keys`, which is made where there is none.
    /// `origin` is what the vault says that its log is called.
    ///
    /// # Errors
    /// [`Error::Local`] where folder or key cannot be had.
    pub fn open(vault: Vault, data: &Path, origin: &str) -> Result<Self> {
        let log = LogIdentity {
            origin: origin.to_owned(),
            ..vault.log().clone()
        };
        let keys = LogFolder::open(data.join("keys"))?;
        let seed = keys::open(keys.path(), &keys::log_key(log.number))?;
        let signer = Signer::from_seed(KeyKind::Log, origin, &seed).map_err(of_log)?;
        renewal::settle(data, log.number)?;
        let folder = LogFolder::open(data.join("log"))?;
        let key = signer.verifier().to_string();
        keys.write(PUBLIC_KEY, format!("{key}\n").as_bytes())?;
        let data = LogFolder::open(data.to_owned())?;
        let witnessed = data.read(WITNESSED)?;
        let witnessed =
            witnessed.and_then(|note| SignedCheckpoint::open(&note, signer.verifier()).ok());
        let boot_ms = vault.boot_ms();
        Ok(Self {
            database: Arc::clone(vault.database()),
            vault,
            data,
            folder,
            signer,
            log,
            state: Mutex::default(),
            witnessed: Mutex::new(witnessed),
            published_ms: AtomicI64::new(boot_ms),
        })
    }

    /// The key that checkpoints are verified with, as text.
    pub fn key(&self) -> String {
        self.signer.verifier().to_string()
    }

    /// What reads the files.
    pub fn published(&self) -> Published {
        Published {
            path: self.folder.path().to_owned(),
            witnessed: self.data.path().join(WITNESSED),
            key: self.key(),
        }
    }

    /// For how long, in milliseconds, it has not been possible to publish all there is.
    pub fn behind_ms(&self) -> i64 {
        let published_ms = self.published_ms.load(Ordering::Relaxed);
        self.vault.boot_ms().saturating_sub(published_ms).max(0)
    }

    /// The last checkpoint that was published.
    pub fn current(&self) -> Option<SignedCheckpoint> {
        self.state.lock().known.as_ref()?.signed.clone()
    }

    /// Publishes what was committed since; returns how many leaves the log has then.
    ///
    /// # Errors
    /// [`Error::Log`] where the files are not what was published; [`Error::Local`] and those of
    /// the database.
    pub fn publish(&self) -> Result<u64> {
        let mut state = self.state.lock();
        let published = self.publish_more(&mut state);
        match &published {
            Ok(_) => {
                state.is_well = true;
                let boot_ms = self.vault.boot_ms();
                self.published_ms.store(boot_ms, Ordering::Relaxed);
            }
            Err(error) => self.note_failure(&mut state, error),
        }
        published
    }

    /// Tells the log, where it was well before, that it is not; the leaf waits with all others.
    fn note_failure(&self, state: &mut State, error: &Error) {
        state.known = None;
        if let Error::Log { reason } = error
            && std::mem::take(&mut state.is_well)
            && let Err(error) = self.vault.note_log_wrong(reason)
        {
            tracing::error!(%error, "That the log is wrong could not be noted");
        }
    }

    fn publish_more(&self, state: &mut State) -> Result<u64> {
        if let Some(bundle) = state.suspect {
            let size = self.signed_size()?;
            self.check_bundle(size, bundle)?;
            state.suspect = None;
        }
        let head = self.head()?;
        let mut known = match state.known.take() {
            Some(known) => known,
            None => self.load(head)?,
        };
        let from = known.edge.size();
        let until = head.leaves.saturating_sub(self.log.base);
        if until > from || head.published < head.leaves {
            self.check_edge(&known)?;
            while known.edge.size() < until {
                self.extend(&mut known.edge, until)?;
            }
            self.sign(&mut known)?;
        }
        let size = known.edge.size();
        state.known = Some(known);
        Ok(size)
    }

    /// Signs what is there, once it is durable.
    fn sign(&self, known: &mut Known) -> Result<()> {
        let edge = &known.edge;
        for file in edge.partial_files().map_err(of_log)? {
            self.write(&file)?;
        }
        let is_same = known
            .signed
            .as_ref()
            .is_some_and(|signed| signed.checkpoint().size() == edge.size());
        // One that is the same keeps its cosignatures.
        if !is_same {
            let checkpoint = Checkpoint::new(&self.log.origin, edge.size(), edge.root());
            let signed = SignedCheckpoint::sign(checkpoint.map_err(of_log)?, &self.signer);
            let signed = signed.map_err(of_log)?;
            known.note = signed.note().to_string().into_bytes();
            self.folder.write(CHECKPOINT, &known.note)?;
            known.signed = Some(signed);
        }
        let base = self.log.base;
        let bundled = known.edge.size() / BUNDLE * BUNDLE;
        self.vault
            .mark_published(base + known.edge.size(), base + bundled)
    }

    fn head(&self) -> Result<Head> {
        let mut head = None;
        self.database.read(&mut |transaction| {
            head = Some(leaves::head(transaction)?);
            Ok(())
        })?;
        head.ok_or_else(|| changed("the database has no head of the log"))
    }

    /// Takes up the log where its files end.
    fn load(&self, head: Head) -> Result<Known> {
        let base = self.log.base;
        let published = head.published.saturating_sub(base);
        let leaves = head.leaves.saturating_sub(base);
        if !self.folder.has(CHECKPOINT) {
            return match published {
                0 => Ok(Known {
                    edge: Edge::default(),
                    signed: None,
                    note: Vec::new(),
                }),
                published => Err(changed(&format!(
                    "{published} leaves were published, and there is no checkpoint"
                ))),
            };
        }
        let (signed, note) = self.signed()?;
        let (size, root) = (signed.checkpoint().size(), signed.checkpoint().root());
        if size < published {
            return Err(changed(&format!(
                "{published} leaves were published, and the checkpoint is over {size}"
            )));
        }
        if size > leaves {
            return Err(changed(&format!(
                "the checkpoint is over {size} leaves, and the database knows only {leaves}: it \
                 is older than the log"
            )));
        }
        let edge = self.edge(size)?;
        match edge.root() == root {
            true => Ok(Known {
                edge,
                signed: Some(signed),
                note,
            }),
            false => Err(changed("its last tiles are not those that were signed")),
        }
    }

    /// The checkpoint in the folder, which this vault must have signed.
    fn signed(&self) -> Result<(SignedCheckpoint, Vec<u8>)> {
        let note = Folder::new(self.folder.path()).checkpoint();
        let note = note.map_err(of_log)?;
        let signed = SignedCheckpoint::open(&note, self.signer.verifier());
        Ok((signed.map_err(of_log)?, note))
    }

    fn signed_size(&self) -> Result<u64> {
        let (signed, _) = self.signed()?;
        Ok(signed.checkpoint().size())
    }

    /// The right edge of a log of so many leaves, by its files.
    fn edge(&self, size: u64) -> Result<Edge> {
        let files = Folder::new(self.folder.path());
        let width = u16::try_from(size % BUNDLE).unwrap_or_default();
        let bundle = match width {
            0 => Vec::new(),
            width => files.bundle(size / BUNDLE, width).map_err(of_log)?,
        };
        Edge::load(size, &files, bundle).map_err(of_log)
    }

    /// Adds some leaves, and writes the files that became full by them.
    fn extend(&self, edge: &mut Edge, until: u64) -> Result<()> {
        let (base, first) = (self.log.base, edge.size());
        let mut entries = Vec::new();
        self.database.read(&mut |transaction| {
            entries.clear();
            let count = CHUNK.min(until - first);
            leaves::entries(transaction, base + first, count, &mut |number, entry| {
                entries.push((number, entry));
                Ok(())
            })
        })?;
        if entries.is_empty() {
            let leaf = base + first;
            return Err(changed(&format!("the database has no leaf {leaf}")));
        }
        for (number, entry) in entries {
            let expected = base + edge.size();
            if number != expected {
                return Err(changed(&format!("the database has no leaf {expected}")));
            }
            for file in edge.append(&entry).map_err(of_log)? {
                self.write(&file)?;
                self.folder.remove_partial(&file.tile.to_string());
            }
        }
        Ok(())
    }

    fn write(&self, file: &LogFile) -> Result<()> {
        self.folder.write(&file.tile.to_string(), &file.bytes)
    }
}

impl Published {
    /// The bytes of a file of the log: `checkpoint`, `witnessed`, `key` or a tile; `None` where
    /// there is none.
    ///
    /// # Errors
    /// [`Error::Local`] where it cannot be read.
    pub fn file(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let path = match name {
            "key" => return Ok(Some(format!("{}\n", self.key).into_bytes())),
            CHECKPOINT => self.path.join(name),
            WITNESSED => self.witnessed.clone(),
            _ => match name.parse::<Tile>() {
                Ok(tile) => self.path.join(tile.to_string()),
                Err(_) => return Ok(None),
            },
        };
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::local(format!("read {}", path.display()))(error)),
        }
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
