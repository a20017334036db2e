//! Who has cosigned the log of a vault: by what is remembered of it, and by the checkpoint that the
//! vault shows for it, both of which are of one log.

use jiff::Timestamp;
use serde::Serialize;
use strongroom_ledger::{NoteSignature, Remembered, SignedCheckpoint, Verifier};

use crate::vaults::Met;

/// Who has signed a checkpoint beside its log.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Witness {
    /// The name of its key.
    pub(crate) name: String,
    /// The name and the id of its key.
    pub(crate) key: String,
    /// When, as the signature says.
    pub(crate) at: Option<Timestamp>,
    /// Over how many leaves.
    pub(crate) size: Option<u64>,
    /// Whether the signature was verified, with a key that somebody here has named.
    pub(crate) verified: bool,
    /// Whether it must have signed.
    #[serde(skip)]
    pub(crate) is_asked: bool,
}

/// All that have signed, and those that should have.
pub(crate) fn cosigned(checkpoints: &[&SignedCheckpoint], asked: &[Verifier]) -> Vec<Witness> {
    let mut witnesses: Vec<Witness> = asked.iter().map(|key| of_key(checkpoints, key)).collect();
    for signed in checkpoints {
        let origin = signed.checkpoint().origin();
        for signature in signed.note().signatures() {
            let is_asked = asked.iter().any(|key| key.is_named_by(signature));
            let key = label(signature);
            let is_known = witnesses.iter().any(|witness| witness.key == key);
            if signature.name() == origin || is_asked || is_known {
                continue;
            }
            witnesses.push(Witness {
                name: signature.name().to_owned(),
                key,
                at: claimed(signature),
                size: Some(signed.checkpoint().size()),
                verified: false,
                is_asked: false,
            });
        }
    }
    witnesses
}

/// What a witness that was asked for has signed: the larger one of the checkpoints.
fn of_key(checkpoints: &[&SignedCheckpoint], key: &Verifier) -> Witness {
    let signed = checkpoints.iter().filter_map(|signed| {
        let time_s = signed.witnessed_at(key).ok()?;
        Some((signed.checkpoint().size(), time_s))
    });
    let last = signed.max();
    Witness {
        name: key.name().to_owned(),
        key: key.label(),
        at: last.and_then(|(_, time_s)| time(time_s)),
        size: last.map(|(size, _)| size),
        verified: last.is_some(),
        is_asked: true,
    }
}

impl Met {
    /// The checkpoints of its log that were seen in this run, or are remembered.
    pub(crate) fn checkpoints<'a>(
        &'a self,
        remembered: Option<&'a SignedCheckpoint>,
    ) -> Vec<&'a SignedCheckpoint> {
        let seen = self.log.remembered().map(Remembered::last);
        let seen = self.witnessed.iter().chain(seen);
        seen.chain(remembered).collect()
    }

    /// How many of those that must have cosigned its log have, and how many these are; `None` where
    /// nobody must.
    pub(crate) fn cosigned(&self) -> Option<(usize, usize)> {
        if self.log_witnesses.is_empty() {
            return None;
        }
        let last = self.log.remembered().map(|log| log.last());
        let witnesses = cosigned(&self.checkpoints(last), &self.log_witnesses);
        let verified = witnesses.iter().filter(|witness| witness.verified);
        Some((verified.count(), self.log_witnesses.len()))
    }
}

fn label(signature: &NoteSignature) -> String {
    let [a, b, c, d] = signature.key_id();
    format!("{}+{a:02x}{b:02x}{c:02x}{d:02x}", signature.name())
}

/// The time that a cosignature carries; whether it is one is not known.
fn claimed(signature: &NoteSignature) -> Option<Timestamp> {
    let (seconds, rest) = signature.bytes().split_first_chunk()?;
    (rest.len() == 64).then(|| time(u64::from_be_bytes(*seconds)))?
}

fn time(seconds: u64) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(seconds).ok()?).ok()
}
