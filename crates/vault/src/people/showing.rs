//! Showing a passkey anew, for one act and no other.

use serde_json::Value;
use strongroom_access::{Act, OperatorId, Shown};
use strongroom_model::Id;

use crate::passkeys::{Answer, Signed};
use crate::people::{Given, People, Who, random};
use crate::records::people::challenges::{Challenge, Purpose};
use crate::records::people::factors::{self, Factor, Kind};
use crate::{Error, Result};

impl People {
    /// Asks an operator to show a passkey for an act; returns what names the challenge, and the
    /// options for the browser.
    ///
    /// # Errors
    /// [`Error::NotSignedIn`] where he has none; those of the database.
    pub fn ask_to_show(&self, who: OperatorId, act: &Act) -> Result<(Given, Value)> {
        let subject = subject(act)?;
        self.ask_to_sign(who, Purpose::Show, subject, |nonce| {
            strongroom_ledger::approval::challenge(subject.as_bytes(), who.0, nonce)
        })
    }

    /// Who has shown it, for that act.
    ///
    /// # Errors
    /// [`Error::NotSigned`]; those of the database.
    pub fn shown(&self, who: OperatorId, act: &Act, handle: &str, answer: &str) -> Result<Who> {
        let challenge = self.take(handle, Purpose::Show)?;
        if challenge.subject != Some(subject(act)?) {
            return Err(Error::NotSigned);
        }
        self.signed_by(who, &challenge, answer)?;
        Ok(Who::Operator(who, Shown::Passkey))
    }

    /// Asks an operator to sign a challenge that is made of random bytes.
    pub(super) fn ask_to_sign(
        &self,
        who: OperatorId,
        purpose: Purpose,
        subject: Id,
        made_of: impl Fn(&[u8; 32]) -> [u8; 32],
    ) -> Result<(Given, Value)> {
        let (now, handle, nonce) = (self.vault.now(), Given::random()?, random::<32>()?);
        let factors = self
            .vault
            .read(|transaction| factors::of(transaction, who))?;
        let passkeys: Vec<String> = factors.into_iter().filter_map(passkey_of).collect();
        if passkeys.is_empty() {
            return Err(Error::NotPermitted(strongroom_access::Refusal::NotShown {
                hint: Shown::PasswordAndTotp.hint(),
            }));
        }
        let asked = self.passkeys()?.ask_to_sign(&made_of(&nonce), &passkeys)?;
        let challenge = Challenge {
            purpose,
            operator: who,
            subject: Some(subject),
            nonce: Some(nonce),
            state: asked.state,
            made_ms: now.vault_ms,
        };
        self.keep(&handle, challenge)?;
        Ok((handle, asked.options))
    }

    /// What an operator has signed, by which of his passkeys.
    pub(super) fn signed_by(
        &self,
        who: OperatorId,
        challenge: &Challenge,
        answer: &str,
    ) -> Result<(Factor, Signed)> {
        if challenge.operator != who {
            return Err(Error::NotSigned);
        }
        let answer = Answer::parse(answer)?;
        let found = self
            .vault
            .read(|transaction| factors::by_credential(transaction, answer.credential()))?;
        let factor = found.filter(|factor| factor.operator == who);
        let factor = factor.ok_or(Error::NotSigned)?;
        let Kind::Passkey { passkey, .. } = &factor.kind else {
            return Err(Error::NotSigned);
        };
        let signed = self
            .passkeys()?
            .signed(&challenge.state, &answer, passkey)?;
        self.note_shown(&factor, &signed)?;
        Ok((factor, signed))
    }

    /// Notes that a passkey was shown.
    pub(super) fn note_shown(&self, factor: &Factor, signed: &Signed) -> Result<()> {
        let (now, id, passkey) = (self.vault.now(), factor.id, signed.passkey.clone());
        self.vault.commit(move |transaction| {
            factors::note_shown(transaction, id, now.vault_ms, passkey.as_deref())
        })
    }
}

fn passkey_of(factor: Factor) -> Option<String> {
    match factor.kind {
        Kind::Passkey { passkey, .. } => Some(passkey),
        Kind::Password { .. } => None,
    }
}

/// The SHA-256 of the exact contents of an act.
fn subject(act: &Act) -> Result<Id> {
    let contents = serde_json::to_vec(act).map_err(|_| Error::Unfinished)?;
    Ok(Id::of(&contents))
}
