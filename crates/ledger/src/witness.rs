//! Asking a witness to cosign, as C2SP tlog-witness: the bodies of `POST add-checkpoint`.
//!
//! Both sides are here, without any network. Both read what strangers send: bodies are limited,
//! and a request's checkpoint is only a [`Note`] until the witness has verified it.

use crate::checkpoint::parse_size;
use crate::note::{NOTE_LIMIT_BYTES, Note, NoteSignature, parse_signatures};
use crate::{Error, Hash, Result};

/// The most hashes of a proof in a request.
pub const PROOF_LINES_LIMIT: usize = 63;

/// The longest body of a request: a size, a proof, and a note.
pub const REQUEST_LIMIT_BYTES: usize = NOTE_LIMIT_BYTES + 4096;

/// The longest body of an answer.
pub const ANSWER_LIMIT_BYTES: usize = NOTE_LIMIT_BYTES;

/// The content type of the answer that tells a size.
pub const SIZE_CONTENT_TYPE: &str = "text/x.tlog.size";

/// A request to cosign a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size of the checkpoint that the witness cosigned last, as far as the log knows.
    pub old_size: u64,
    /// The consistency proof from there; empty where `old_size` is 0.
    pub proof: Vec<Hash>,
    /// The new checkpoint, which the witness has to verify.
    pub checkpoint: Note,
}

impl AddCheckpoint {
    /// The body of the request.
    ///
    /// # Errors
    /// Fails where the proof is longer than any.
    pub fn encode(&self) -> Result<String> {
        if self.proof.len() > PROOF_LINES_LIMIT {
            return Err(Error::malformed("proof", "it has more than 63 hashes"));
        }
        let mut body = format!("old {}\n", self.old_size);
        for hash in &self.proof {
            body.push_str(&format!("{hash}\n"));
        }
        Ok(format!("{body}\n{}", self.checkpoint))
    }

    /// Reads a body.
    ///
    /// # Errors
    /// Fails where it is malformed or exceeds a limit: status 400.
    pub fn decode(body: &[u8]) -> Result<Self> {
        let limit_bytes = REQUEST_LIMIT_BYTES;
        if body.len() > limit_bytes {
            let what = "request";
            return Err(Error::TooLong { what, limit_bytes });
        }
        let malformed = |reason| Error::malformed("request", reason);
        let body = std::str::from_utf8(body).map_err(|_| malformed("it is not UTF-8"))?;
        let (head, note) = body
            .split_once("\n\n")
            .ok_or(malformed("no empty line stands before the checkpoint"))?;
        let mut lines = head.split('\n');
        let old_size = lines
            .next()
            .and_then(|line| line.strip_prefix("old "))
            .ok_or(malformed("it does not begin with the old size"))?;
        let mut proof = Vec::new();
        for line in lines {
            if proof.len() >= PROOF_LINES_LIMIT {
                return Err(malformed("its proof has more than 63 hashes"));
            }
            proof.push(line.parse()?);
        }
        Ok(Self {
            old_size: parse_size(old_size)?,
            proof,
            checkpoint: Note::parse(note.as_bytes())?,
        })
    }
}

/// What a witness answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 200: it cosigned. The signatures are still to be verified:
    /// [`crate::SignedCheckpoint::add_cosignature`].
    Cosigned(Vec<NoteSignature>),
    /// 400: the request is malformed, or its old size is larger than its checkpoint.
    BadRequest,
    /// 403: no key that it knows of this log signed the checkpoint.
    Forbidden,
    /// 404: it does not know the log.
    UnknownLog,
    /// 409: it last cosigned another size, this one; or, where it is the same, another root.
    Conflict {
        /// The size that it cosigned last.
        size: u64,
    },
    /// 422: the proof does not show that the checkpoint goes on from the old one.
    BadProof,
}

impl Answer {
    /// Its HTTP status.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Cosigned(_) => 200,
            Self::BadRequest => 400,
            Self::Forbidden => 403,
            Self::UnknownLog => 404,
            Self::Conflict { .. } => 409,
            Self::BadProof => 422,
        }
    }

    /// Its body; that of a conflict is sent as [`SIZE_CONTENT_TYPE`].
    pub fn body(&self) -> String {
        match self {
            Self::Cosigned(signatures) => {
                let lines = signatures.iter().map(|signature| format!("{signature}\n"));
                lines.collect()
            }
            Self::Conflict { size } => format!("{size}\n"),
            _ => String::new(),
        }
    }

    /// Reads an answer by its status and body.
    ///
    /// # Errors
    /// Fails where the status is not of the protocol, or the body not of the status.
    pub fn decode(status: u16, body: &[u8]) -> Result<Self> {
        let (what, limit_bytes) = ("answer", ANSWER_LIMIT_BYTES);
        if body.len() > limit_bytes {
            return Err(Error::TooLong { what, limit_bytes });
        }
        let malformed = |reason| Error::malformed(what, reason);
        let text = || std::str::from_utf8(body).map_err(|_| malformed("it is not UTF-8"));
        match status {
            200 => Ok(Self::Cosigned(parse_signatures(text()?)?)),
            400 => Ok(Self::BadRequest),
            403 => Ok(Self::Forbidden),
            404 => Ok(Self::UnknownLog),
            409 => {
                let size = text()?.strip_suffix('\n');
                let size = size.ok_or(malformed("it does not end with a newline"))?;
                let size = parse_size(size)?;
                Ok(Self::Conflict { size })
            }
            422 => Ok(Self::BadProof),
            status => Err(Error::UnknownStatus { status }),
        }
    }
}
