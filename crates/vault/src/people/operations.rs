//! Operations: asked for, agreed to, stopped.

use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;
use serde_json::value::RawValue;
use strongroom_access::operation::{self, End, State};
use strongroom_access::rule::{Needs, needs};
use strongroom_access::{Act, OperatorId, Refusal};
use strongroom_ledger::approval::challenge;

use crate::database::Transaction;
use crate::people::doing::is_built;
use crate::people::joining::tell;
use crate::people::telling::{contents, name, notify};
use crate::people::{Given, Known, People, Who, random};
use crate::records::leaves::{self, Moment};
use crate::records::people::challenges::Purpose;
use crate::records::people::factors::Kind as FactorKind;
use crate::records::people::operations::{self, Kept};
use crate::rules::notices::Kind;
use crate::{Error, Result};

/// The longest reason that an asker gives, in characters.
const LONGEST_REASON: usize = 500;

/// An operation, as it is shown.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The operation.
    pub kept: Kept,
    /// Where its life stands now.
    pub state: State,
    /// How many yeses it takes; none where nobody could agree.
    pub needs: Option<usize>,
    /// How many count that were said.
    pub yeses: usize,
    /// Until when it waits, by vault time, where it does and no seal stops it.
    pub due_ms: Option<i64>,
}

impl Listed {
    fn of(kept: Kept, known: &Known, now_ms: i64) -> Self {
        let world = known.world();
        let operation = &kept.operation;
        let needs = needs(&world, &operation.act, operation.asker);
        Self {
            state: operation.stands_at(&world, now_ms),
            needs: needs.ok().map(|Needs { yeses, .. }| yeses),
            yeses: operation.valid(&world),
            due_ms: operation.due_ms(&world).ok(),
            kept,
        }
    }
}

impl People {
    /// Asks for an operation; returns its number.
    ///
    /// # Errors
    /// [`Error::NotPermitted`], [`Error::Malformed`] where the reason is too long; those of the
    /// database.
    pub fn ask(&self, who: Who, act: &Act, reason: &str) -> Result<u64> {
        let Who::Operator(asker, shown) = who else {
            return Err(Refusal::NoOperator.into());
        };
        if !is_built(act) {
            return Err(Error::Refused {
                reason: "this version cannot do that yet, whoever agrees".to_owned(),
            });
        }
        let reason = reason.trim().to_owned();
        if reason.chars().count() > LONGEST_REASON {
            return Err(Error::Malformed {
                what: "reason",
                reason: format!("it has more than {LONGEST_REASON} characters"),
            });
        }
        let (now, nonce, act) = (self.vault.now(), random::<32>()?, act.clone());
        self.vault.commit(move |transaction| {
            let now = leaves::dated(transaction, now)?;
            let act = with_what_holds(transaction, act.clone())?;
            let known = Known::read(transaction, [&act])?;
            let all = operations::open(transaction)?;
            let of_asker = all.iter().filter(|kept| {
                kept.operation.asker == asker
                    && is_open(kept.operation.stands_at(&known.world(), now.vault_ms))
            });
            let open = of_asker.count();
            let asked = operation::ask(
                &known.world(),
                (asker, shown),
                act,
                &nonce,
                open,
                now.vault_ms,
            )?;
            let number = operations::insert(transaction, &asked, &nonce, &reason)?;
            let exactly = serde_json::to_string(&asked.act)
                .ok()
                .and_then(|text| RawValue::from_string(text).ok());
            let told = leaves::People::OperationAsked {
                operation: asked.id,
                number,
                asker,
                contents: exactly.ok_or(Error::Unfinished)?,
                nonce: BASE64URL_NOPAD.encode(&nonce),
                reason: reason.clone(),
            };
            tell(transaction, now, told)?;
            let asks = name(&known, asker);
            let body = format!(
                "{asks} asks for this{}:\n{}\nAgree or object on the page of approvals.",
                match reason.is_empty() {
                    true => String::new(),
                    false => format!(", because: {reason}"),
                },
                contents(&asked.act)
            );
            let kind = match asked.state {
                State::Waiting { .. } => Kind::Alone,
                _ => Kind::Request,
            };
            let subject = format!("Operation {number} was asked for by {asks}");
            notify(transaction, now, kind, subject, body)?;
            Ok(number)
        })
    }

    /// Asks an operator to sign his yes to an operation.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::NotPermitted`] where he has no passkey; those of the database.
    pub fn ask_for_yes(&self, who: OperatorId, number: u64) -> Result<(Given, Value)> {
        let kept = self.operation(number)?.kept;
        let id = kept.operation.id;
        self.ask_to_sign(who, Purpose::Yes, id, |nonce| {
            challenge(id.as_bytes(), who.0, nonce)
        })
    }

    /// An operator's yes, signed.
    ///
    /// # Errors
    /// [`Error::NotSigned`], [`Error::NotPermitted`], [`Error::Unknown`]; those of the database.
    pub fn say_yes(
        &self,
        who: OperatorId,
        number: u64,
        handle: &str,
        answer: &str,
    ) -> Result<Listed> {
        let challenge = self.take(handle, Purpose::Yes)?;
        let (Some(signed_id), Some(nonce)) = (challenge.subject, challenge.nonce) else {
            return Err(Error::NotSigned);
        };
        let (factor, signed) = self.signed_by(who, &challenge, answer)?;
        let FactorKind::Passkey { public_key, .. } = factor.kind else {
            return Err(Error::NotSigned);
        };
        let now = self.vault.now();
        self.vault.commit(move |transaction| {
            let now = leaves::dated(transaction, now)?;
            let mut kept = must(transaction, number)?;
            let known = Known::read(transaction, [&kept.operation.act])?;
            let shown = strongroom_access::Shown::Passkey;
            kept.operation
                .say_yes(&known.world(), (who, shown), &signed_id, now.vault_ms)?;
            operations::set(transaction, number, &kept.operation)?;
            let told = leaves::People::OperationApproved {
                operation: kept.operation.id,
                number,
                operator: who,
                nonce: BASE64URL_NOPAD.encode(&nonce),
                authenticator_data: BASE64URL_NOPAD.encode(&signed.authenticator_data),
                client_data: BASE64URL_NOPAD.encode(&signed.client_data),
                signature: BASE64URL_NOPAD.encode(&signed.signature),
                public_key: BASE64URL_NOPAD.encode(&public_key),
            };
            tell(transaction, now, told)?;
            let listed = Listed::of(kept, &known, now.vault_ms);
            let says = name(&known, who);
            let waits = match listed.state {
                State::Waiting { .. } => "It waits now, and can be stopped meanwhile.",
                _ => "It takes more yeses.",
            };
            let body = format!("{}\n{waits}", contents(&listed.kept.operation.act));
            let subject = format!("Operation {number} was approved by {says}");
            notify(transaction, now, Kind::Approval, subject, body)?;
            Ok(listed)
        })
    }

    /// Stops an operation while it waits, or withdraws it where one has asked for it.
    ///
    /// # Errors
    /// [`Error::NotPermitted`], [`Error::Unknown`]; those of the database.
    pub fn stop(&self, who: Who, number: u64) -> Result<()> {
        let Who::Operator(who, shown) = who else {
            return Err(Refusal::NoOperator.into());
        };
        let now = self.vault.now();
        self.vault.commit(move |transaction| {
            let now = leaves::dated(transaction, now)?;
            let mut kept = must(transaction, number)?;
            let known = Known::read(transaction, [&kept.operation.act])?;
            let has_stopped = operations::has_stopped(transaction, who, &kept.operation.act)?;
            kept.operation
                .stop(&known.world(), (who, shown), has_stopped, now.vault_ms)?;
            operations::set(transaction, number, &kept.operation)?;
            tell_ended(transaction, now, &kept)
        })
    }

    /// An operation, as it stands now.
    ///
    /// # Errors
    /// [`Error::Unknown`]; those of the database.
    pub fn operation(&self, number: u64) -> Result<Listed> {
        let now = self.vault.now();
        self.vault.read(|transaction| {
            let kept = must(transaction, number)?;
            let known = Known::read(transaction, [&kept.operation.act])?;
            Ok(Listed::of(kept, &known, now.vault_ms))
        })
    }

    /// A page of all operations, the newest first: those below a number, `most` at most.
    ///
    /// # Errors
    /// Those of the database.
    pub fn operations(&self, below: u64, most: u64) -> Result<Vec<Listed>> {
        let now = self.vault.now();
        self.vault.read(|transaction| {
            let page = operations::page(transaction, below, most)?;
            let known = Known::read(transaction, page.iter().map(|kept| &kept.operation.act))?;
            let listed = |kept| Listed::of(kept, &known, now.vault_ms);
            Ok(page.into_iter().map(listed).collect())
        })
    }

    /// All that wait for a yes or for their time, the oldest first.
    ///
    /// # Errors
    /// Those of the database.
    pub fn open_operations(&self) -> Result<Vec<Listed>> {
        let now = self.vault.now();
        self.vault.read(|transaction| {
            let open = operations::open(transaction)?;
            let known = Known::read(transaction, open.iter().map(|kept| &kept.operation.act))?;
            let listed = open
                .into_iter()
                .map(|kept| Listed::of(kept, &known, now.vault_ms));
            Ok(listed.filter(|listed| is_open(listed.state)).collect())
        })
    }
}

/// Whether an operation is neither done nor ended.
pub(super) const fn is_open(state: State) -> bool {
    matches!(state, State::Asked | State::Waiting { .. })
}

/// An operation that must be there.
pub(super) fn must(transaction: &mut dyn Transaction, number: u64) -> Result<Kept> {
    operations::get(transaction, number)?.ok_or_else(|| Error::Unknown {
        what: "operation",
        name: number.to_string(),
    })
}

/// Tells why an operation is not done any more.
pub(super) fn tell_ended(
    transaction: &mut dyn Transaction,
    now: Moment,
    kept: &Kept,
) -> Result<()> {
    let State::Ended(end) = kept.operation.state else {
        return Ok(());
    };
    let (why, operator) = match end {
        End::Lapsed => ("lapsed", None),
        End::Withdrawn => ("withdrawn", Some(kept.operation.asker)),
        End::Stopped(by) => ("stopped", Some(by)),
    };
    let subject = match operator {
        Some(_) => format!("Operation {} was {why}", kept.number),
        None => format!("Operation {} has lapsed", kept.number),
    };
    let body = contents(&kept.operation.act);
    notify(transaction, now, Kind::Stop, subject, body)?;
    let told = leaves::People::OperationEnded {
        operation: kept.operation.id,
        number: kept.number,
        why,
        operator,
    };
    tell(transaction, now, told)
}

/// An act on what a repository keeps, with what it keeps now: others agree to what is true.
pub(super) fn with_what_holds(transaction: &mut dyn Transaction, act: Act) -> Result<Act> {
    let Act::Keep { repository, to, .. } = act else {
        return Ok(act);
    };
    let held = super::world::held(transaction, &repository)?;
    let held = held.ok_or_else(|| crate::records::repositories::unknown(&repository))?;
    Ok(Act::Keep {
        repository,
        from: held.keeping,
        to,
        agreed: held.agreed,
        is_compliant: held.is_compliant,
    })
}
