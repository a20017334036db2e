//! Checkpoints, as C2SP tlog-checkpoint: what a log signs of itself.
//!
//! What can go wrong: a checkpoint is believed that was signed for another log with the same key.
//! So here a log's origin is the name of its key, which goes into the key's id.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use crate::key::{KeyKind, NAME_LIMIT_BYTES, Signer, Verifier};
use crate::note::{NOTE_LIMIT_BYTES, Note, NoteSignature};
use crate::tile::SIZE_LIMIT;
use crate::{Error, Hash, Result};

/// The state of a log: its name, its size and the root over all its leaves.
///
/// Its text is the body of the note that a log signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: Hash,
    extensions: Vec<String>,
}

impl Checkpoint {
    /// The state of a log.
    ///
    /// # Errors
    /// Fails where the origin cannot stand in a note, or the size is that of no log.
    pub fn new(origin: &str, size: u64, root: Hash) -> Result<Self> {
        let malformed = |reason| Error::malformed("checkpoint", reason);
        if origin.is_empty() || origin.len() > NAME_LIMIT_BYTES || origin.contains(char::is_control)
        {
            return Err(malformed("its origin is empty, too long or not plain text"));
        }
        if size >= SIZE_LIMIT {
            return Err(malformed("its size is that of no log"));
        }
        Ok(Self {
            origin: origin.to_owned(),
            size,
            root,
            extensions: Vec::new(),
        })
    }

    /// Which log it is.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// How many leaves it has.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root over all leaves.
    pub const fn root(&self) -> Hash {
        self.root
    }

    /// Lines behind the root, which mean nothing here and are signed with it.
    pub fn extensions(&self) -> &[String] {
        &self.extensions
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, self.root)?;
        self.extensions
            .iter()
            .try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl FromStr for Checkpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let malformed = |reason| Error::malformed("checkpoint", reason);
        let text = text
            .strip_suffix('\n')
            .ok_or(malformed("it does not end with a newline"))?;
        let mut lines = text.split('\n');
        let mut next = || {
            lines
                .next()
                .ok_or(malformed("it has fewer than three lines"))
        };
        let (origin, size, root) = (next()?, next()?, next()?);
        let mut checkpoint = Self::new(origin, parse_size(size)?, root.parse()?)?;
        for line in lines {
            if line.is_empty() || line.contains(char::is_control) {
                return Err(malformed("an extension line is empty or not plain text"));
            }
            checkpoint.extensions.push(line.to_owned());
        }
        Ok(checkpoint)
    }
}

/// Reads a size: decimal digits without leading zeros.
pub(crate) fn parse_size(text: &str) -> Result<u64> {
    let size: Option<u64> = text.parse().ok();
    size.filter(|size| size.to_string() == text)
        .ok_or(Error::malformed("size", "it is not a plain decimal number"))
}

/// A checkpoint with the signature of its log, which was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Note,
}

impl SignedCheckpoint {
    /// Signs a checkpoint.
    ///
    /// **Whoever signs** has written every tile and bundle of it before, durably, and has never
    /// signed one that this one does not go on from.
    ///
    /// # Errors
    /// Fails where the key is not that of this log.
    pub fn sign(checkpoint: Checkpoint, signer: &Signer) -> Result<Self> {
        check_origin(&checkpoint, signer.verifier())?;
        let text = checkpoint.to_string();
        let signature = signer.sign(&text)?;
        Ok(Self {
            checkpoint,
            note: Note::new(text, signature)?,
        })
    }

    /// Reads a checkpoint that must be signed by this log's key.
    ///
    /// # Errors
    /// Fails where it is malformed, of another log, or not signed by the key.
    pub fn open(bytes: &[u8], key: &Verifier) -> Result<Self> {
        Self::verify(Note::parse(bytes)?, key)
    }

    /// Reads a checkpoint that somebody kept in a file of its own, which must be signed by this log's
    /// key; no more is read than a note has.
    ///
    /// # Errors
    /// [`Error::Read`] where the file cannot be read; else as [`SignedCheckpoint::open`].
    pub fn kept(path: &Path, key: &Verifier) -> Result<Self> {
        let mut note = Vec::new();
        // One byte more than is taken, so that what is too long is refused.
        let limit_bytes = NOTE_LIMIT_BYTES as u64 + 1;
        File::open(path)
            .and_then(|file| file.take(limit_bytes).read_to_end(&mut note))
            .map_err(|source| Error::Read {
                file: path.display().to_string(),
                source,
            })?;
        Self::open(&note, key)
    }

    /// Verifies a note as a checkpoint of this log's key.
    ///
    /// # Errors
    /// Fails where it is malformed, of another log, or not signed by the key.
    pub fn verify(note: Note, key: &Verifier) -> Result<Self> {
        key.needs(KeyKind::Log)?;
        let checkpoint: Checkpoint = note.text().parse()?;
        check_origin(&checkpoint, key)?;
        note.verify(key)?;
        Ok(Self { checkpoint, note })
    }

    /// The state of the log.
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note, with all signatures. Its text is what is written to the file `checkpoint`.
    pub const fn note(&self) -> &Note {
        &self.note
    }

    /// When a witness saw it, in seconds since 1970.
    ///
    /// # Errors
    /// Fails where the witness did not sign it.
    pub fn witnessed_at(&self, witness: &Verifier) -> Result<u64> {
        witness.needs(KeyKind::Witness)?;
        let time_s = self.note.verify(witness)?;
        time_s.ok_or_else(|| Error::NotSigned {
            key: witness.label(),
        })
    }

    /// Adds a witness's signature, once it is verified, in place of an earlier one.
    ///
    /// # Errors
    /// Fails where it is not by this witness, or not over this checkpoint.
    pub fn add_cosignature(&mut self, signature: NoteSignature, witness: &Verifier) -> Result<()> {
        witness.needs(KeyKind::Witness)?;
        if !witness.is_named_by(&signature) {
            let key = witness.label();
            return Err(Error::NotSigned { key });
        }
        witness.verify(self.note.text(), &signature)?;
        self.note.add(signature)
    }
}

fn check_origin(checkpoint: &Checkpoint, key: &Verifier) -> Result<()> {
    if checkpoint.origin() == key.name() {
        return Ok(());
    }
    Err(Error::OtherLog {
        expected: key.name().to_owned(),
        found: checkpoint.origin().to_owned(),
    })
}
