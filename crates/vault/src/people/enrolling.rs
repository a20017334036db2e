//! Enrolling factors: a passkey, or a password with TOTP.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde_json::Value;
use serde_json::value::RawValue;
use strongroom_access::factor::RECOVERY_CODES;
use strongroom_access::{OperatorId, Permit, Way};
use strongroom_model::Secret;

use crate::database::Transaction;
use crate::passwords::SALT_BYTES;
use crate::people::joining::{advance, enrol, is_given_paper, permit_of_link, tell};
use crate::people::world::permitted;
use crate::people::{
    ANSWERED_WITHIN_MS, Given, Joined, Known, People, Who, code, digest_of, random,
};
use crate::records::leaves::{self, By, Moment};
use crate::records::people::challenges::{self, Challenge, Purpose};
use crate::records::people::factors::{self, Kind};
use crate::records::people::{links, operators, regime};
use crate::{Error, Result};

/// The most characters of what somebody calls a factor.
const LONGEST_LABEL: usize = 64;

/// Who enrols, and by what right.
#[derive(Clone, Copy, Debug)]
pub enum Enrolling<'a> {
    /// Whoever comes by a link.
    Link(&'a str),
    /// An operator, who has shown a passkey for this.
    Operator(Who),
}

/// What is enrolled.
#[derive(Debug)]
pub enum NewFactor<'a> {
    /// What a browser has answered for a new passkey.
    Passkey(&'a str),
    /// A password, and the code that an application shows for it.
    Password(&'a Secret, &'a str),
}

/// Who enrols, as a transaction finds him.
#[derive(Clone, Copy, Debug)]
enum Right {
    Link([u8; 32]),
    Operator(Who),
}

impl From<Enrolling<'_>> for Right {
    fn from(enrolling: Enrolling<'_>) -> Self {
        match enrolling {
            Enrolling::Link(link) => Self::Link(digest_of(link)),
            Enrolling::Operator(who) => Self::Operator(who),
        }
    }
}

impl Right {
    /// Whose factor it will be.
    fn operator(self, transaction: &mut dyn Transaction) -> Result<OperatorId> {
        match self {
            Self::Link(digest) => match links::get(transaction, &digest)? {
                Some(Some(who)) => Ok(who),
                Some(None) | None => Err(Error::NotSignedIn),
            },
            Self::Operator(Who::Operator(who, _)) => Ok(who),
            Self::Operator(Who::Folder) => Err(Error::NotSignedIn),
        }
    }

    fn permit(self, transaction: &mut dyn Transaction, now: Moment) -> Result<Permit> {
        let operator = self.operator(transaction)?;
        match self {
            Self::Link(_) => {
                let known = Known::read(transaction, [])?;
                permit_of_link(&known, operator, now.vault_ms)
            }
            Self::Operator(who) => permitted(transaction, now, who, enrol(operator)),
        }
    }
}

impl People {
    /// Asks a browser for a new passkey; returns what names the challenge, and the options.
    ///
    /// # Errors
    /// [`Error::NotSignedIn`], [`Error::NotPermitted`]; those of the database.
    pub fn ask_for_passkey(&self, enrolling: Enrolling<'_>) -> Result<(Given, Value)> {
        let (now, handle, right) = (self.vault.now(), Given::random()?, Right::from(enrolling));
        let (operator, has) = self.vault.read(|transaction| {
            right.permit(transaction, now).map(drop)?;
            let operator = right.operator(transaction)?;
            let known = operators::get(transaction, operator)?.ok_or(Error::NotSignedIn)?;
            let has = factors::of(transaction, operator)?;
            Ok((known, has))
        })?;
        let has: Vec<Vec<u8>> = has
            .into_iter()
            .filter_map(|factor| match factor.kind {
                Kind::Passkey { credential, .. } => Some(credential),
                Kind::Password { .. } => None,
            })
            .collect();
        let name = operator.operator.name.as_str();
        let asked = self.passkeys()?.ask_to_enrol(operator.handle, name, &has)?;
        let challenge = Challenge {
            purpose: Purpose::Enrol,
            operator: operator.operator.id,
            subject: None,
            nonce: None,
            state: asked.state,
            made_ms: now.vault_ms,
        };
        self.keep(&handle, challenge)?;
        Ok((handle, asked.options))
    }

    /// Prepares a password with TOTP; returns what names the preparation, and what an application for
    /// codes is given: the secret in base32, and the address that says all.
    ///
    /// # Errors
    /// As of [`People::ask_for_passkey`].
    pub fn prepare_password(&self, enrolling: Enrolling<'_>) -> Result<(Given, Secret, Secret)> {
        let (now, handle, right) = (self.vault.now(), Given::random()?, Right::from(enrolling));
        let salt = random::<SALT_BYTES>()?;
        let known = self.vault.read(|transaction| {
            right.permit(transaction, now).map(drop)?;
            let operator = right.operator(transaction)?;
            operators::get(transaction, operator)?.ok_or(Error::NotSignedIn)
        })?;
        let challenge = Challenge {
            purpose: Purpose::Enrol,
            operator: known.operator.id,
            subject: None,
            nonce: None,
            state: HEXLOWER.encode(&salt),
            made_ms: now.vault_ms,
        };
        self.keep(&handle, challenge)?;
        let vault = self.vault.origin();
        let name = known.operator.name.as_str();
        let (secret, address) = self.passwords.for_application(&salt, vault, name);
        Ok((handle, secret, address))
    }

    /// Enrols a factor; where whoever came by a link has enough of them by that, returns what he is
    /// shown once.
    ///
    /// # Errors
    /// [`Error::NotSigned`], [`Error::NotSignedIn`] where a code is wrong, [`Error::Malformed`],
    /// [`Error::NotPermitted`]; those of the database.
    pub fn enrol(
        &self,
        enrolling: Enrolling<'_>,
        handle: &str,
        new: &NewFactor<'_>,
        label: &str,
    ) -> Result<Option<Joined>> {
        let (now, right) = (self.vault.now(), Right::from(enrolling));
        let challenge = self.take(handle, Purpose::Enrol)?;
        let label = label_of(label)?;
        let (kind, step) = self.new_kind(&challenge, new)?;
        let given = Joined {
            codes: (0..RECOVERY_CODES).map(|_| code()).collect::<Result<_>>()?,
            paper: Some(code()?),
        };
        let kept = given.clone();
        let (is_active, has_paper) = self.vault.commit(move |transaction| {
            let operator = right.operator(transaction)?;
            if challenge.operator != operator {
                return Err(Error::NotSigned);
            }
            let permit = right.permit(transaction, now)?;
            add(transaction, now, &permit, operator, &kind, &label, step)?;
            let known = operators::get(transaction, operator)?.ok_or(Error::NotSignedIn)?;
            match permit.way() {
                Way::Link(_) => {
                    let has_paper = !is_given_paper(&regime::get(transaction)?, operator);
                    let by = By::from(permit.way());
                    let is_active = advance(transaction, now, &known, &by, &kept)?;
                    Ok((is_active, has_paper))
                }
                _ => Ok((false, true)),
            }
        })?;
        Ok(is_active.then_some(Joined {
            paper: given.paper.filter(|_| !has_paper),
            ..given
        }))
    }

    /// What is kept of a new factor, and the step of the code that was shown for it.
    fn new_kind(&self, challenge: &Challenge, new: &NewFactor<'_>) -> Result<(Kind, Option<u64>)> {
        match new {
            NewFactor::Passkey(answer) => {
                let enrolled = self.passkeys()?.enrolled(&challenge.state, answer)?;
                let kind = Kind::Passkey {
                    credential: enrolled.credential,
                    passkey: enrolled.passkey,
                    public_key: enrolled.public_key,
                    attestation: enrolled.attestation,
                };
                Ok((kind, None))
            }
            NewFactor::Password(password, code) => {
                let salt = HEXLOWER
                    .decode(challenge.state.as_bytes())
                    .ok()
                    .and_then(|salt| <[u8; SALT_BYTES]>::try_from(salt).ok());
                let salt = salt.ok_or(Error::NotSigned)?;
                let wall_ms = self.vault.wall_ms();
                let step = self.passwords.step_of(code, &salt, wall_ms)?;
                let step = step.ok_or(Error::NotSignedIn)?;
                let password = self.passwords.hash(password, &random::<SALT_BYTES>()?)?;
                let kind = Kind::Password {
                    password,
                    salt: salt.to_vec(),
                    step: None,
                };
                Ok((kind, Some(step)))
            }
        }
    }

    /// Keeps a challenge until it is answered.
    pub(super) fn keep(&self, handle: &Given, challenge: Challenge) -> Result<()> {
        let digest = handle.digest;
        self.vault
            .commit(move |transaction| challenges::insert(transaction, &digest, &challenge))
    }

    /// Takes a challenge away, whatever comes of it.
    pub(super) fn take(&self, handle: &str, purpose: Purpose) -> Result<Challenge> {
        let (now, digest) = (self.vault.now(), digest_of(handle));
        let taken = self
            .vault
            .commit(move |transaction| challenges::take(transaction, &digest))?;
        let is_good = |challenge: &Challenge| {
            let age_ms = now.vault_ms.saturating_sub(challenge.made_ms);
            challenge.purpose == purpose && age_ms < ANSWERED_WITHIN_MS
        };
        taken.filter(is_good).ok_or(Error::NotSigned)
    }
}

/// Adds a factor that a permit is for.
fn add(
    transaction: &mut dyn Transaction,
    now: Moment,
    permit: &Permit,
    operator: OperatorId,
    kind: &Kind,
    label: &str,
    step: Option<u64>,
) -> Result<()> {
    if let Kind::Passkey { credential, .. } = kind
        && factors::by_credential(transaction, credential)?.is_some()
    {
        return Err(Error::NotSigned);
    }
    let is_second = matches!(kind, Kind::Password { .. })
        && factors::of(transaction, operator)?
            .iter()
            .any(|factor| matches!(factor.kind, Kind::Password { .. }));
    if is_second {
        return Err(Error::Malformed {
            what: "factor",
            reason: "there is a password already".to_owned(),
        });
    }
    let factor = factors::insert(transaction, operator, label, now.vault_ms, kind)?;
    if let Some(step) = step {
        factors::take_step(transaction, factor, step, now.vault_ms)?;
    }
    let (public_key, attestation) = match kind {
        Kind::Passkey {
            public_key,
            attestation,
            ..
        } => {
            let attestation = RawValue::from_string(attestation.clone());
            (Some(BASE64URL_NOPAD.encode(public_key)), attestation.ok())
        }
        Kind::Password { .. } => (None, None),
    };
    let enrolled = leaves::People::FactorEnrolled {
        operator,
        factor,
        kind: kind.word(),
        public_key,
        attestation,
        in_place_of: None,
        by: By::from(permit.way()),
    };
    tell(transaction, now, enrolled)
}

fn label_of(text: &str) -> Result<String> {
    let label: String = text.trim().chars().filter(|c| !c.is_control()).collect();
    match label.chars().count() {
        1..=LONGEST_LABEL => Ok(label),
        _ => Err(Error::Malformed {
            what: "name of a factor",
            reason: format!("it has 1 to {LONGEST_LABEL} characters"),
        }),
    }
}
