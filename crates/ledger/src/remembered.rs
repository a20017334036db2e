//! What a client remembers of a log, and what it makes of the log's next checkpoint.
//!
//! This is what makes rewriting a log visible: whoever rewrites it cannot prove to those who
//! remember that it still begins with what they saw. So the memory is worth as much as the place
//! where it is kept, which must not be the log's. Nothing is fetched or stored here.

use std::fmt;

use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::key::Verifier;
use crate::proof::verify_consistency;
use crate::{Error, Hash, Result};

/// The first line of a stored memory, with the version of its format.
const HEADER: &str = "strongroom-log 1";

/// The last checkpoint of a log that was accepted, and the key that signs them.
///
/// Its text is a line `strongroom-log 1`, a line with the key, and the signed note as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    key: Verifier,
    last: SignedCheckpoint,
}

/// What a new checkpoint means beside the remembered one; its text tells an operator.
#[derive(Debug)]
pub enum Verdict {
    /// Nothing was added.
    Same,
    /// The log went on, which the proof shows: this is to be remembered from now on.
    Grown(Box<Remembered>),
    /// An alarm: the log is shorter, though what it has is what it had. Its vault was set back to
    /// an earlier state, or somebody sends old answers.
    Behind {
        /// The remembered state.
        old: Box<Checkpoint>,
        /// The new one.
        new: Box<Checkpoint>,
    },
    /// An alarm: the log is shorter, and nothing shows that what it has is what it had.
    Shrunk {
        /// The remembered state.
        old: Box<Checkpoint>,
        /// The new one.
        new: Box<Checkpoint>,
    },
    /// An alarm: two checkpoints of one size and with different roots. Both are signed, and
    /// together they prove that the log was rewritten or shows different faces.
    Forked {
        /// The remembered state.
        old: Box<Checkpoint>,
        /// The new one.
        new: Box<Checkpoint>,
    },
    /// An alarm: nothing shows that the longer log goes on from the remembered one.
    Unproven {
        /// The remembered state.
        old: Box<Checkpoint>,
        /// The new one.
        new: Box<Checkpoint>,
    },
    /// An alarm: the log has the name, and not the key.
    OtherKey {
        /// The key that was expected.
        key: Box<Verifier>,
    },
    /// An alarm: it is another log.
    OtherLog {
        /// The origin that was expected.
        expected: String,
        /// The one that came.
        found: String,
    },
    /// An alarm: what came is not a checkpoint, from a log that had one.
    Unreadable(Error),
}

impl Remembered {
    /// Begins to remember: trust on first use, or after an operator accepted a new log.
    ///
    /// # Errors
    /// Fails where the note is not a checkpoint that this key signed.
    pub fn first(key: Verifier, note: &[u8]) -> Result<Self> {
        let last = SignedCheckpoint::open(note, &key)?;
        Ok(Self { key, last })
    }

    /// The key of the log, whose name is the log's origin.
    pub const fn key(&self) -> &Verifier {
        &self.key
    }

    /// The last checkpoint that was accepted.
    pub const fn last(&self) -> &SignedCheckpoint {
        &self.last
    }

    /// Judges a new checkpoint with the consistency proof that came with it: from the remembered
    /// size to the new one, or from the new one to the remembered where the new one is smaller.
    ///
    /// Only what comes with [`Verdict::Grown`] may be remembered in place of this.
    pub fn check(&self, note: &[u8], proof: &[Hash]) -> Verdict {
        let new = match SignedCheckpoint::open(note, &self.key) {
            Ok(new) => new,
            Err(Error::OtherLog { expected, found }) => {
                return Verdict::OtherLog { expected, found };
            }
            Err(Error::NotSigned { .. } | Error::WrongSignature { .. }) => {
                let key = Box::new(self.key.clone());
                return Verdict::OtherKey { key };
            }
            Err(error) => return Verdict::Unreadable(error),
        };
        let (old_state, new_state) = (self.last.checkpoint(), new.checkpoint());
        let goes_on = |from: &Checkpoint, to: &Checkpoint| {
            verify_consistency(from.size(), to.size(), proof, &from.root(), &to.root()).is_ok()
        };
        let states = || (Box::new(old_state.clone()), Box::new(new_state.clone()));
        let (old, new_size) = (old_state.size(), new_state.size());
        if new_size == old {
            if new_state.root() == old_state.root() {
                return Verdict::Same;
            }
            let (old, new) = states();
            return Verdict::Forked { old, new };
        }
        if new_size < old {
            let is_old = goes_on(new_state, old_state);
            let (old, new) = states();
            return match is_old {
                true => Verdict::Behind { old, new },
                false => Verdict::Shrunk { old, new },
            };
        }
        if !goes_on(old_state, new_state) {
            let (old, new) = states();
            return Verdict::Unproven { old, new };
        }
        Verdict::Grown(Box::new(Self {
            key: self.key.clone(),
            last: new,
        }))
    }

    /// Reads a stored memory. The signature is verified again, so that who can write the file but
    /// has not the log's key cannot invent a memory.
    ///
    /// # Errors
    /// Fails where it is malformed, or the note is not signed by the key.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let malformed = |reason| Error::malformed("memory of a log", reason);
        let after = |bytes: &[u8]| bytes.iter().position(|byte| *byte == b'\n');
        let split = |bytes| {
            let end = after(bytes).ok_or(malformed("it ends too early"))?;
            let (line, rest) = bytes.split_at(end);
            let line = std::str::from_utf8(line).map_err(|_| malformed("it is not UTF-8"))?;
            Ok((line, rest.strip_prefix(b"\n").unwrap_or(rest)))
        };
        let (header, rest) = split(bytes)?;
        if header != HEADER {
            return Err(malformed("it is of another version"));
        }
        let (key, note) = split(rest)?;
        Self::first(key.parse()?, note)
    }
}

impl fmt::Display for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{HEADER}\n{}\n{}", self.key, self.last.note())
    }
}

impl Verdict {
    /// The next step for a person: there is one for each alarm, and for nothing else.
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Same | Self::Grown(_) => None,
            Self::Unreadable(_) => {
                Some("ask who runs the vault why it shows no checkpoint of its log any more")
            }
            Self::Behind { .. } | Self::OtherLog { .. } | Self::OtherKey { .. } => Some(
                "ask who runs the vault whether it was set up anew or restored from a backup of \
                 itself; unless that is so, somebody else answers in its place",
            ),
            Self::Shrunk { .. } | Self::Forked { .. } | Self::Unproven { .. } => Some(
                "take the vault for taken over until somebody has explained it: seal what can be \
                 sealed, and keep both checkpoints, they are the evidence",
            ),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same => f.write_str("Nothing was added to the log"),
            Self::Grown(new) => {
                let size = new.last.checkpoint().size();
                write!(f, "The log went on, and has {size} leaves")
            }
            Self::Behind { old, new } => write!(
                f,
                "The log {} went back: it had {} leaves, now it has the first {} of them",
                old.origin(),
                old.size(),
                new.size()
            ),
            Self::Shrunk { old, new } => write!(
                f,
                "The log {} was rewritten or cut: it had {} leaves, now it has {}, and does not \
                 prove that they are the same",
                old.origin(),
                old.size(),
                new.size()
            ),
            Self::Forked { old, new } => write!(
                f,
                "The log {} was rewritten: of {} leaves it signed the root {}, and now {}",
                old.origin(),
                old.size(),
                old.root(),
                new.root()
            ),
            Self::Unproven { old, new } => write!(
                f,
                "The log {} does not prove that its {} leaves begin with the {} that it had: they \
                 may have been rewritten",
                old.origin(),
                new.size(),
                old.size()
            ),
            Self::OtherKey { key } => write!(
                f,
                "The log {} is not signed by the key that signed it before, {}",
                key.name(),
                key.label()
            ),
            Self::OtherLog { expected, found } => {
                write!(f, "The log {found:?} answers in place of {expected:?}")
            }
            Self::Unreadable(error) => write!(f, "What came as a checkpoint is none: {error}"),
        }
    }
}
