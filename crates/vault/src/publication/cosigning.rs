//! What witnesses have cosigned of this log, in the database: so that any process serves it,
//! whichever asked.
//!
//! What can go wrong: a witness lies. What it says is told and nothing else follows from it; its
//! signature counts only over the very checkpoint that this log has signed.

use strongroom_ledger::note::NoteSignature;
use strongroom_ledger::{SignedCheckpoint, Verifier};

use crate::Result;
use crate::database::Transaction;
use crate::publication::{Publisher, of_log, records};
use crate::records::cosigned::{self, Cosigned};
use crate::records::leaves::{self, Act, Moment};
use crate::rules::clock::{HOUR_MS, MINUTE_MS};
use crate::rules::witness::Trouble;
use crate::vault::{Held, log_wrong};

/// For how long a checkpoint is kept that others have cosigned less, in case they do.
const KEPT_MS: i64 = 10 * MINUTE_MS;

/// What came of asking a witness.
pub(super) struct News<'a> {
    /// Its key.
    pub(super) witness: &'a Verifier,
    /// The checkpoint that it was asked to cosign.
    pub(super) of: &'a SignedCheckpoint,
    /// Its cosignature, which was verified.
    pub(super) signature: Option<NoteSignature>,
    /// What is wrong.
    pub(super) trouble: Option<Trouble>,
}

impl Publisher {
    /// The newest checkpoint, as the database has it.
    pub(super) fn newest(&self) -> Result<Option<SignedCheckpoint>> {
        let newest = self.state()?.checkpoint;
        newest.map(|bytes| self.signed(&bytes)).transpose()
    }

    /// Forgets witnesses that are not configured any more.
    pub(super) fn keep_witnesses(&self, keys: Vec<String>, held: &Held<'_>) -> Result<()> {
        let known = self.vault.database().look(cosigned::witnesses)?;
        if known.iter().all(|known| keys.contains(&known.vkey)) {
            return Ok(());
        }
        let lease = held.lease();
        self.vault.commit(move |transaction| {
            lease.require(transaction)?;
            cosigned::keep_witnesses(transaction, &keys)
        })
    }

    /// Writes down what came of asking a witness; tells what is wrong with it once, and what it says
    /// is wrong with the log at most once an hour.
    pub(super) fn note_witness(&self, news: News<'_>, held: &Held<'_>) -> Result<()> {
        let (lease, now) = (held.lease(), self.vault.now());
        let (log, of) = (self.log.number, news.of.clone());
        let (witness, signature) = (news.witness.clone(), news.signature);
        let (trouble, key) = (news.trouble, self.signer.verifier().clone());
        let name = witness.name().to_owned();
        let words = trouble.as_ref().map(ToString::to_string);
        let is_alarm = trouble.as_ref().is_some_and(Trouble::is_alarm);
        let told = words.clone();
        let before = self.vault.commit(move |transaction| {
            lease.require(transaction)?;
            if records::state(transaction)?.log != log {
                return Ok(None);
            }
            if let Some(signature) = &signature {
                add(transaction, now, &key, &of, (signature, &witness))?;
            }
            let before = cosigned::witness(transaction, &witness.to_string())?;
            let mut after = before.clone();
            if let Some(signature) = &signature {
                let time_s = witness.verify(of.note().text(), signature);
                let time_s = time_s.map_err(of_log)?.unwrap_or_default();
                after.size = Some(of.checkpoint().size());
                after.time_s = i64::try_from(time_s).ok();
            }
            (after.trouble, after.is_alarm) = (told.clone(), is_alarm);
            let is_told = before
                .told_ms
                .is_some_and(|told_ms| now.vault_ms.saturating_sub(told_ms) < HOUR_MS);
            if let Some(reason) = told.as_ref().filter(|_| is_alarm && !is_told) {
                let what = format!("The witness {} gives alarm: {reason}", witness.name());
                log_wrong(transaction, now, &what)?;
                leaves::append(transaction, now, &Act::LogWrong { what })?;
                after.told_ms = Some(now.vault_ms);
            }
            if after != before {
                cosigned::set_witness(transaction, &after)?;
            }
            Ok(Some(before.trouble))
        })?;
        match (before, words) {
            (Some(before), Some(reason)) if before.as_ref() != Some(&reason) => match is_alarm {
                true => tracing::error!(witness = name, reason, "A witness gives alarm"),
                false => tracing::warn!(witness = name, reason, "A witness does not cosign"),
            },
            (Some(Some(_)), None) => tracing::info!(witness = name, "The witness cosigns again"),
            _ => {}
        }
        Ok(())
    }
}

/// Puts a cosignature, which is verified once more, on the checkpoint that it is for, and on the
/// newest one where that is the same.
fn add(
    transaction: &mut dyn Transaction,
    now: Moment,
    key: &Verifier,
    of: &SignedCheckpoint,
    (signature, witness): (&NoteSignature, &Verifier),
) -> Result<()> {
    let cosign = |bytes: &[u8]| -> Result<Option<SignedCheckpoint>> {
        let mut signed = SignedCheckpoint::open(bytes, key).map_err(of_log)?;
        if signed.checkpoint() != of.checkpoint() {
            return Ok(None);
        }
        let added = signed.add_cosignature(signature.clone(), witness);
        added.map_err(of_log)?;
        Ok(Some(signed))
    };
    if let Some(newest) = records::state(transaction)?.checkpoint
        && let Some(signed) = cosign(&newest)?
    {
        records::set_checkpoint(transaction, signed.note().to_string().as_bytes())?;
    }
    let size = of.checkpoint().size();
    let known = cosigned::get(transaction, size)?;
    let at_ms = known.as_ref().map_or(now.recorded_ms, |known| known.at_ms);
    let note = known.map_or_else(|| of.note().to_string().into_bytes(), |known| known.note);
    let Some(signed) = cosign(&note)? else {
        return Ok(());
    };
    let others = signed.note().signatures().len().saturating_sub(1);
    let kept = Cosigned {
        size,
        cosignatures: u64::try_from(others).unwrap_or(u64::MAX),
        note: signed.note().to_string().into_bytes(),
        at_ms,
    };
    cosigned::set(transaction, &kept, now.recorded_ms.saturating_sub(KEPT_MS))
}
