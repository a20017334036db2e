//! The log as files: what was committed becomes tiles, and a signed checkpoint over them.
//!
//! The transaction of each act has numbered its leaf. Here leaves become files, in order: bundles
//! and tiles first, durably, then the checkpoint, so that a crash between leaves nothing that is
//! signed and not there. One process of those that share a database publishes.
//!
//! What can go wrong: files that were changed, cut off or taken from an older copy of the disk
//! disagree with what was signed, or with what the database says was published. Then nothing is
//! published any more: a person has to look.

mod files;
mod keys;
mod proofs;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_ledger::{
    Checkpoint, Edge, Folder, KeyKind, LogFile, SignedCheckpoint, Signer, Tile,
};

use crate::database::Database;
use crate::records::leaves::{self, Head};
use crate::vault::Vault;
use crate::{Error, Result};

pub use proofs::{Consistency, Inclusion};

use files::LogFolder;

/// How many leaves are taken from the database at a time.
const CHUNK: u64 = 4_096;

/// How many leaves a bundle has.
const BUNDLE: u64 = 256;

/// The file of the key that checkpoints are verified with, in the folder of keys.
const PUBLIC_KEY: &str = "log.pub";

/// The name of the checkpoint's file.
const CHECKPOINT: &str = "checkpoint";

/// Publishes the log of a vault.
#[derive(Debug)]
pub struct Publisher {
    database: Arc<dyn Database>,
    vault: Vault,
    folder: LogFolder,
    signer: Signer,
    origin: String,
    /// What was published last; `None` before the files were looked at.
    edge: Mutex<Option<Edge>>,
}

/// Reads the published log.
#[derive(Clone, Debug)]
pub struct Published {
    path: PathBuf,
    key: String,
}

impl Publisher {
    /// Publishes into `data/log`, with the key in `data/keys`, which is made where there is none.
    ///
    /// # Errors
    /// [`Error::Local`] where folder or key cannot be had.
    pub fn open(vault: Vault, data: &Path, origin: &str) -> Result<Self> {
        let keys = LogFolder::open(data.join("keys"))?;
        let seed = keys::open(keys.path())?;
        let signer = Signer::from_seed(KeyKind::Log, origin, &seed).map_err(of_log)?;
        let folder = LogFolder::open(data.join("log"))?;
        let key = signer.verifier().to_string();
        keys.write(PUBLIC_KEY, format!("{key}\n").as_bytes())?;
        Ok(Self {
            database: Arc::clone(vault.database()),
            vault,
            folder,
            signer,
            origin: origin.to_owned(),
            edge: Mutex::default(),
        })
    }

    /// The key that checkpoints are verified with, as text.
    pub fn key(&self) -> String {
        self.signer.verifier().to_string()
    }

    /// Publishes where that is needed for what was committed before this call to be published.
    /// However many ask at a time, they do not write one after another what one has written for
    /// all.
    ///
    /// # Errors
    /// As [`Publisher::publish`].
    pub fn catch_up(&self) -> Result<u64> {
        let wanted = self.head()?.leaves;
        let size = self.edge.lock().as_ref().map_or(0, Edge::size);
        match size >= wanted {
            true => Ok(size),
            false => self.publish(),
        }
    }

    /// What reads the files.
    pub fn published(&self) -> Published {
        Published {
            path: self.folder.path().to_owned(),
            key: self.key(),
        }
    }

    /// Publishes what was committed since; returns how many leaves are published then.
    ///
    /// # Errors
    /// [`Error::Log`] where the files are not what was published; [`Error::Local`] and those of
    /// the database.
    pub fn publish(&self) -> Result<u64> {
        let mut kept = self.edge.lock();
        let head = self.head()?;
        let mut edge = match kept.take() {
            Some(edge) => edge,
            None => self.load(head)?,
        };
        let from = edge.size();
        while edge.size() < head.leaves {
            self.extend(&mut edge, head.leaves)?;
        }
        if edge.size() > from || head.published < head.leaves {
            for file in edge.partial_files().map_err(of_log)? {
                self.write(&file)?;
            }
            let checkpoint = Checkpoint::new(&self.origin, edge.size(), edge.root());
            let signed = SignedCheckpoint::sign(checkpoint.map_err(of_log)?, &self.signer);
            let note = signed.map_err(of_log)?.note().to_string();
            self.folder.write(CHECKPOINT, note.as_bytes())?;
            self.vault
                .mark_published(edge.size(), edge.size() / BUNDLE * BUNDLE)?;
        }
        let size = edge.size();
        *kept = Some(edge);
        Ok(size)
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
    fn load(&self, head: Head) -> Result<Edge> {
        let files = Folder::new(self.folder.path());
        if !self.folder.has(CHECKPOINT) {
            return match head.published {
                0 => Ok(Edge::default()),
                published => Err(changed(&format!(
                    "{published} leaves were published, and there is no checkpoint"
                ))),
            };
        }
        let bytes = files.checkpoint().map_err(of_log)?;
        let signed = SignedCheckpoint::open(&bytes, self.signer.verifier()).map_err(of_log)?;
        let (size, root) = (signed.checkpoint().size(), signed.checkpoint().root());
        if size < head.published {
            return Err(changed(&format!(
                "{} leaves were published, and the checkpoint is over {size}",
                head.published
            )));
        }
        if size > head.leaves {
            return Err(changed(&format!(
                "the checkpoint is over {size} leaves, and the database knows only {}: it is \
                 older than the log",
                head.leaves
            )));
        }
        let width = u16::try_from(size % BUNDLE).unwrap_or_default();
        let bundle = match width {
            0 => Vec::new(),
            width => files.bundle(size / BUNDLE, width).map_err(of_log)?,
        };
        let edge = Edge::load(size, &files, bundle).map_err(of_log)?;
        match edge.root() == root {
            true => Ok(edge),
            false => Err(changed("its last tiles are not those that were signed")),
        }
    }

    /// Adds some leaves, and writes the files that became full by them.
    fn extend(&self, edge: &mut Edge, until: u64) -> Result<()> {
        let first = edge.size();
        let mut entries = Vec::new();
        self.database.read(&mut |transaction| {
            entries.clear();
            let count = CHUNK.min(until - first);
            leaves::entries(transaction, first, count, &mut |number, entry| {
                entries.push((number, entry));
                Ok(())
            })
        })?;
        if entries.is_empty() {
            return Err(changed(&format!("the database has no leaf {first}")));
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
    /// The bytes of a file of the log: `checkpoint`, `key` or a tile; `None` where there is none.
    ///
    /// # Errors
    /// [`Error::Local`] where it cannot be read.
    pub fn file(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let path = match name {
            "key" => return Ok(Some(format!("{}\n", self.key).into_bytes())),
            CHECKPOINT => self.path.join(name),
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
