//! C2SP signed notes: a text, an empty line, and who signed it.
//!
//! A note that was parsed is not yet believed: its text may come from anybody. It is read as text
//! only behind [`Note::verify`], or to find out which key to ask.

use std::fmt;
use std::str::FromStr;

use crate::key::{Verifier, check_name};
use crate::{Error, Result, base64};

/// The longest note. Sixteen signatures must fit, also of the long kinds that come.
pub const NOTE_LIMIT_BYTES: usize = 128 << 10;

/// The most signatures that a note has.
pub const SIGNATURES_LIMIT: usize = 64;

/// What a signature line begins with: an em dash and a space.
const MARK: &str = "— ";

/// A text with signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl Note {
    /// A note of one signature.
    ///
    /// # Errors
    /// Fails where the text is no note's.
    pub fn new(text: String, signature: NoteSignature) -> Result<Self> {
        check_text(&text)?;
        Ok(Self {
            text,
            signatures: vec![signature],
        })
    }

    /// Reads a note; nothing is verified.
    ///
    /// # Errors
    /// Fails where it is not in the format, or exceeds a limit.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let limit_bytes = NOTE_LIMIT_BYTES;
        if bytes.len() > limit_bytes {
            let what = "note";
            return Err(Error::TooLong { what, limit_bytes });
        }
        let malformed = |reason| Error::malformed("note", reason);
        let note = std::str::from_utf8(bytes).map_err(|_| malformed("it is not UTF-8"))?;
        let end = note
            .rfind("\n\n")
            .ok_or(malformed("no empty line stands before its signatures"))?;
        let (text, signatures) = note
            .split_at_checked(end + 1)
            .ok_or(malformed("no empty line stands before its signatures"))?;
        check_text(text)?;
        let signatures = signatures.strip_prefix('\n').unwrap_or(signatures);
        Ok(Self {
            text: text.to_owned(),
            signatures: parse_signatures(signatures)?,
        })
    }

    /// What was signed, with the newline at its end. **Not to be believed** before
    /// [`Note::verify`].
    pub fn text(&self) -> &str {
        &self.text
    }

    /// All signatures, by whomever.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Checks that this key signed the text; for a witness's, when: in seconds since 1970, and the
    /// latest time where it did so several times.
    ///
    /// Signatures by other keys are passed over.
    ///
    /// # Errors
    /// Fails where no signature is by the key, and where any claims to be and is not.
    pub fn verify(&self, key: &Verifier) -> Result<Option<u64>> {
        let mut found = None;
        for signature in &self.signatures {
            if key.is_named_by(signature) {
                found = found.max(Some(key.verify(&self.text, signature)?));
            }
        }
        found.ok_or_else(|| Error::NotSigned { key: key.label() })
    }

    /// Adds a signature, in place of an earlier one by the same key.
    ///
    /// # Errors
    /// Fails where there are too many already.
    pub fn add(&mut self, signature: NoteSignature) -> Result<()> {
        self.signatures
            .retain(|known| (&known.name, known.key_id) != (&signature.name, signature.key_id));
        if self.signatures.len() >= SIGNATURES_LIMIT {
            return Err(Error::malformed("note", "it has too many signatures"));
        }
        self.signatures.push(signature);
        Ok(())
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures
            .iter()
            .try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

/// A signature with the name and id of the key that is said to have made it.
///
/// Its text is a signature line without the newline.
#[derive(Clone, PartialEq, Eq)]
pub struct NoteSignature {
    name: String,
    key_id: [u8; 4],
    bytes: Vec<u8>,
}

impl NoteSignature {
    pub(crate) fn new(name: &str, key_id: [u8; 4], bytes: Vec<u8>) -> Result<Self> {
        check_name(name)?;
        if bytes.is_empty() {
            return Err(Error::malformed("signature", "it is empty"));
        }
        Ok(Self {
            name: name.to_owned(),
            key_id,
            bytes,
        })
    }

    /// The name of the key.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id of the key.
    pub const fn key_id(&self) -> [u8; 4] {
        self.key_id
    }

    /// What the key made: for a log's 64 bytes, for a witness's a time before them.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.key_id.as_slice(), &self.bytes].concat();
        write!(f, "{MARK}{} {}", self.name, base64::encode(&bytes))
    }
}

impl fmt::Debug for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoteSignature({self})")
    }
}

impl FromStr for NoteSignature {
    type Err = Error;

    fn from_str(line: &str) -> Result<Self> {
        let malformed = |reason| Error::malformed("signature", reason);
        let (name, text) = line
            .strip_prefix(MARK)
            .and_then(|rest| rest.split_once(' '))
            .ok_or(malformed("its line is not a dash, a name and base64"))?;
        let bytes = base64::decode(text).ok_or(malformed("it is not base64"))?;
        let (key_id, bytes) = bytes
            .split_first_chunk()
            .ok_or(malformed("it has no key id"))?;
        Self::new(name, *key_id, bytes.to_vec())
    }
}

/// Reads signature lines, at least one, each with a newline at its end.
pub(crate) fn parse_signatures(lines: &str) -> Result<Vec<NoteSignature>> {
    let malformed = |reason| Error::malformed("note", reason);
    let lines = lines
        .strip_suffix('\n')
        .ok_or(malformed("it does not end with a signature and a newline"))?;
    let mut signatures = Vec::new();
    for line in lines.split('\n') {
        if signatures.len() >= SIGNATURES_LIMIT {
            return Err(malformed("it has too many signatures"));
        }
        signatures.push(line.parse()?);
    }
    Ok(signatures)
}

fn check_text(text: &str) -> Result<()> {
    let malformed = |reason| Error::malformed("note", reason);
    if !text.ends_with('\n') {
        return Err(malformed("its text does not end with a newline"));
    }
    if text.contains(|c: char| c < ' ' && c != '\n') {
        return Err(malformed("it has a control character"));
    }
    Ok(())
}
