//! Proofs from the published files: that the log goes on from an earlier state of it, and that a
//! leaf is in it.
//!
//! Nothing here is believed by whoever asks: he checks it against what he remembers.

use strongroom_ledger::bundle::entries;
use strongroom_ledger::{Hash, SignedCheckpoint, Verifier, consistency_proof, inclusion_proof};

use crate::publication::{BUNDLE, CHECKPOINT, Published, WITNESSED, changed, of_log};
use crate::{Error, Result};

/// That the log goes on from an earlier state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consistency {
    /// The newest checkpoint, as a signed note.
    pub checkpoint: String,
    /// From the earlier size to that of the checkpoint; empty where the earlier one is 0, the
    /// same, or larger than the log.
    pub proof: Vec<Hash>,
    /// The checkpoint that most witnesses have cosigned, and how it leads to the newest one.
    pub witnessed: Option<Witnessed>,
}

/// A checkpoint that witnesses have cosigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witnessed {
    /// The signed note, with the cosignatures.
    pub checkpoint: String,
    /// From its size to that of the newest checkpoint.
    pub proof: Vec<Hash>,
}

/// That a leaf is in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inclusion {
    /// The newest checkpoint, as a signed note.
    pub checkpoint: String,
    /// The leaf.
    pub entry: Vec<u8>,
    /// From the leaf to the root of the checkpoint.
    pub proof: Vec<Hash>,
}

impl Published {
    /// The proof from the first `old` leaves to the newest checkpoint.
    ///
    /// # Errors
    /// [`Error::Log`] where the files are not what was published; [`Error::StorageInDoubt`];
    /// [`Error::Local`].
    pub fn consistency(&self, old: u64) -> Result<Consistency> {
        // First the one that is older, or the same.
        let witnessed = self.file(WITNESSED)?;
        let (checkpoint, size) = self.checkpoint()?;
        let proof = match old > size {
            true => Vec::new(),
            false => consistency_proof(self.tiles()?, old, size).map_err(of_log)?,
        };
        Ok(Consistency {
            checkpoint,
            proof,
            witnessed: witnessed.and_then(|note| self.witnessed_within(&note, size)),
        })
    }

    /// A checkpoint with cosignatures, and the proof from it to the newest one over `size` leaves;
    /// `None` where there is none that can be shown: the proof that was asked for must not fail by
    /// it.
    fn witnessed_within(&self, note: &[u8], size: u64) -> Option<Witnessed> {
        let key: Verifier = self.key.parse().ok()?;
        let signed = SignedCheckpoint::open(note, &key).ok()?;
        let witnessed = signed.checkpoint().size();
        if witnessed > size {
            return None;
        }
        Some(Witnessed {
            checkpoint: signed.note().to_string(),
            proof: consistency_proof(self.tiles().ok()?, witnessed, size).ok()?,
        })
    }

    /// The proof of a leaf, by its place in the log, within the newest checkpoint.
    ///
    /// # Errors
    /// [`Error::Unknown`] where there is no such leaf; as [`Published::consistency`].
    pub fn inclusion(&self, leaf: u64) -> Result<Inclusion> {
        let (checkpoint, size) = self.checkpoint()?;
        if leaf >= size {
            return Err(Error::Unknown {
                what: "leaf",
                name: leaf.to_string(),
            });
        }
        let first = leaf / BUNDLE * BUNDLE;
        let width = u16::try_from((size - first).min(BUNDLE)).unwrap_or_default();
        let bundle = self.tiles()?.bundle(leaf / BUNDLE, width).map_err(of_log)?;
        let place = usize::try_from(leaf - first).unwrap_or_default();
        let entry = entries(&bundle, width)
            .ok()
            .and_then(|entries| entries.get(place).map(|entry| entry.to_vec()));
        Ok(Inclusion {
            checkpoint,
            entry: entry.ok_or_else(|| changed("a bundle has another number of leaves"))?,
            proof: inclusion_proof(self.tiles()?, leaf, size).map_err(of_log)?,
        })
    }

    /// The newest checkpoint, and how many leaves it is over.
    pub(super) fn checkpoint(&self) -> Result<(String, u64)> {
        let bytes = self.file(CHECKPOINT)?;
        let bytes = bytes.ok_or_else(|| changed("there is no checkpoint"))?;
        let key: Verifier = self.key.parse().map_err(of_log)?;
        let signed = SignedCheckpoint::open(&bytes, &key).map_err(of_log)?;
        Ok((signed.note().to_string(), signed.checkpoint().size()))
    }
}
