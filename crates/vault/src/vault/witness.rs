//! Cosigning the logs of others: this vault remembers how far each of them was, and signs only what
//! goes on from there. So none of them can show two different pasts.
//!
//! What can go wrong: this vault's own database is set back, and with it what it remembers. Then it
//! may cosign another future of a log than before; which is why a log has several witnesses.

use strongroom_ledger::witness::{AddCheckpoint, Answer};
use strongroom_ledger::{Checkpoint, Hash, SignedCheckpoint, Signer, Verifier, verify_consistency};

use crate::database::Transaction;
use crate::records::leaves::{self, Act, Moment};
use crate::records::witnessed::{self, Witnessed};
use crate::rules::clock::HOUR_MS;
use crate::vault::{Vault, notices};
use crate::{Error, Result};

impl Vault {
    /// Answers a log that asks to be cosigned; `log` is its key, `signer` this vault's. What is
    /// cosigned is remembered durably before this returns.
    ///
    /// # Errors
    /// Those of the database; nothing was cosigned then.
    pub fn cosign(
        &self,
        log: &Verifier,
        signer: &Signer,
        request: AddCheckpoint,
    ) -> Result<Answer> {
        use strongroom_ledger::Error as LedgerError;
        let AddCheckpoint {
            old_size,
            proof,
            checkpoint,
        } = request;
        let signed = match SignedCheckpoint::verify(checkpoint, log) {
            Ok(signed) => signed,
            Err(LedgerError::NotSigned { .. } | LedgerError::WrongSignature { .. }) => {
                return Ok(Answer::Forbidden);
            }
            Err(LedgerError::OtherLog { .. }) => return Ok(Answer::UnknownLog),
            Err(_) => return Ok(Answer::BadRequest),
        };
        let new = signed.checkpoint().clone();
        if old_size > new.size() {
            return Ok(Answer::BadRequest);
        }
        let now = self.now();
        // Checkpoints are public: whoever sends one again must not make the vault write.
        let known = self.read(|transaction| witnessed::get(transaction, new.origin()))?;
        let known_size = known.as_ref().map_or(0, |known| known.size);
        if old_size != known_size {
            return Ok(Answer::Conflict { size: known_size });
        }
        let is_remembered = known
            .is_some_and(|known| known.size == new.size() && known.root == *new.root().as_bytes());
        if !is_remembered {
            let refused = self
                .shared
                .commits
                .commit(move |transaction| remember(transaction, now, old_size, &proof, &new))?;
            if let Some(answer) = refused {
                return Ok(answer);
            }
        }
        let time_s = u64::try_from(now.recorded_ms / 1000).unwrap_or_default();
        let signature = signer.cosign(signed.note().text(), time_s);
        let signature = signature.map_err(|error| Error::Log {
            reason: error.to_string(),
        })?;
        Ok(Answer::Cosigned(vec![signature]))
    }

    /// The logs that were cosigned here, and how far each was.
    ///
    /// # Errors
    /// Those of the database.
    pub fn witnessed(&self) -> Result<Vec<Witnessed>> {
        self.read(|transaction| witnessed::list(transaction))
    }
}

/// Remembers a checkpoint, or says why not.
fn remember(
    transaction: &mut dyn Transaction,
    now: Moment,
    old_size: u64,
    proof: &[Hash],
    new: &Checkpoint,
) -> Result<Option<Answer>> {
    let known = witnessed::get(transaction, new.origin())?;
    let (known_size, known_root) = match &known {
        Some(known) => (known.size, Hash::from_bytes(known.root)),
        None => (0, Hash::empty()),
    };
    if old_size != known_size {
        return Ok(Some(Answer::Conflict { size: known_size }));
    }
    let refused = if new.size() == known_size && new.root() != known_root {
        let what = "of one size it signed two different roots";
        Some((Answer::Conflict { size: known_size }, what))
    } else if verify_consistency(known_size, new.size(), proof, &known_root, &new.root()).is_err() {
        Some((Answer::BadProof, "it does not go on from what was cosigned"))
    } else {
        None
    };
    if let Some((answer, what)) = refused {
        tell(transaction, now, known, new, what)?;
        return Ok(Some(answer));
    }
    let alarm_ms = known.and_then(|known| known.alarm_ms);
    let known = Witnessed {
        origin: new.origin().to_owned(),
        size: new.size(),
        root: *new.root().as_bytes(),
        cosigned_at_ms: now.recorded_ms,
        alarm_ms,
    };
    witnessed::set(transaction, &known)?;
    Ok(None)
}

/// Tells in this vault's own log that another one was rewritten; once an hour for each.
fn tell(
    transaction: &mut dyn Transaction,
    now: Moment,
    known: Option<Witnessed>,
    new: &Checkpoint,
    what: &'static str,
) -> Result<()> {
    let Some(mut known) = known else {
        return Ok(());
    };
    let is_told = known
        .alarm_ms
        .is_some_and(|alarm_ms| now.vault_ms.saturating_sub(alarm_ms) < HOUR_MS);
    if is_told {
        return Ok(());
    }
    let act = Act::WitnessAlarm {
        log: known.origin.clone(),
        old_size: known.size,
        size: new.size(),
        what,
    };
    leaves::append(transaction, now, &act)?;
    notices::witness_alarm(transaction, now, &known.origin, what)?;
    known.alarm_ms = Some(now.vault_ms);
    witnessed::set(transaction, &known)
}
