//! Sealing, and the codes that do nothing else.
//!
//! ```text
//!          anybody who counts, or a seal code
//!   Open ──────────────────────────────────────▶ Sealed
//!     ▲                                             │
//!     └─────────── an operation, after a day ───────┘
//! ```

use strongroom_access::{Act, Operation, Permit, Refusal, Seal, Way, permit, seal};
use strongroom_model::Name;

use crate::database::Transaction;
use crate::people::joining::tell;
use crate::people::operations::tell_ended;
use crate::people::telling::{name, notify};
use crate::people::world::permitted;
use crate::people::{Given, Known, People, Who, code, digest_of, plain};
use crate::records::leaves::{self, By, Moment};
use crate::records::people::{operations, seals};
use crate::rules::notices::Kind;
use crate::{Error, Result};

impl People {
    /// Seals.
    ///
    /// # Errors
    /// [`Error::NotPermitted`], also where it is sealed; those of the database.
    pub fn seal(&self, who: Who) -> Result<()> {
        let now = self.vault.now();
        self.vault.commit(move |transaction| {
            let now = leaves::dated(transaction, now)?;
            let permit = permitted(transaction, now, who, Act::Seal)?;
            close(transaction, now, permit)
        })
    }

    /// Seals by a code, which is used up by that.
    ///
    /// # Errors
    /// [`Error::NotSignedIn`] where it is none or was used; [`Error::NotPermitted`] where it is
    /// sealed, and the code stays; those of the database.
    pub fn seal_by_code(&self, text: &str) -> Result<()> {
        let (now, digest) = (self.vault.now(), digest_of(&plain(text)));
        self.vault.commit(move |transaction| {
            let now = leaves::dated(transaction, now)?;
            let holder = seals::holder(transaction, &digest)?.ok_or(Error::NotSignedIn)?;
            let known = Known::read(transaction, [])?;
            let permit = permit::by_seal_code(&known.world(), holder)?;
            seals::use_code(transaction, &digest)?;
            close(transaction, now, permit)
        })
    }

    /// Gives somebody a seal code, in place of the one that he had.
    ///
    /// # Errors
    /// [`Error::NotPermitted`]; those of the database.
    pub fn give_seal_code(&self, who: Who, holder: &Name) -> Result<Given> {
        let (now, holder, code) = (self.vault.now(), holder.clone(), code()?);
        let digest = code.digest;
        self.vault.commit(move |transaction| {
            // Whoever may seal may have others seal; under the seal there is nothing left to close.
            let permit = permitted(transaction, now, who, Act::Seal)?;
            seals::give_code(transaction, &holder, &digest, now.vault_ms)?;
            let told = leaves::People::SealCode {
                holder: holder.clone(),
                by: By::from(permit.way()),
            };
            tell(transaction, now, told)
        })?;
        Ok(code)
    }
}

/// Closes the seal that a permit is for.
fn close(transaction: &mut dyn Transaction, now: Moment, permit: Permit) -> Result<()> {
    let by = match permit.way() {
        Way::Operator(who) => name(&Known::read(transaction, [])?, *who),
        Way::SealCode { holder } => format!("the seal code of {}", holder.as_str()),
        _ => "whoever has the vault's folder".to_owned(),
    };
    let sealed = leaves::People::Sealed {
        by: By::from(permit.way()),
    };
    let leaf = leaves::append(transaction, now, &leaves::Act::People(sealed))?;
    settled(transaction, now, |known, open| {
        seal::close(permit, &known.world(), open, leaf, now.vault_ms)
    })?;
    seals::close(transaction, leaf, now.vault_ms)?;
    let subject = format!("The vault was sealed by {by}");
    let body =
        "Nothing is destroyed, loosened or newly trusted from now on; uploads and restores go \
                on. Opening it takes the approval of others, and a day."
            .to_owned();
    notify(transaction, now, Kind::Seal, subject, body)
}

/// Opens the seal that a permit is for.
pub(super) fn open(transaction: &mut dyn Transaction, now: Moment, permit: Permit) -> Result<()> {
    let Act::Unseal { leaf } = *permit.act() else {
        return Err(Refusal::NotNow { what: "the seal" }.into());
    };
    let unsealed = leaves::People::Unsealed {
        seal: leaf,
        by: By::from(permit.way()),
    };
    settled(transaction, now, |known, open| {
        seal::open(permit, &known.world(), open, now.vault_ms)
    })?;
    let opened = leaves::append(transaction, now, &leaves::Act::People(unsealed))?;
    seals::open(transaction, opened, now.vault_ms)?;
    let subject = "The seal was opened".to_owned();
    let body = format!("It was closed by leaf {leaf} of the log.");
    notify(transaction, now, Kind::Unseal, subject, body)
}

/// Closes or opens it, and writes down what has lapsed by then.
fn settled(
    transaction: &mut dyn Transaction,
    now: Moment,
    change: impl FnOnce(&Known, &mut [Operation]) -> Result<Seal, Refusal>,
) -> Result<()> {
    let kept = operations::open(transaction)?;
    let known = Known::read(transaction, kept.iter().map(|kept| &kept.operation.act))?;
    let mut open: Vec<Operation> = kept.iter().map(|kept| kept.operation.clone()).collect();
    change(&known, &mut open)?;
    for (mut kept, operation) in kept.into_iter().zip(open) {
        if kept.operation != operation {
            kept.operation = operation;
            operations::set(transaction, kept.number, &kept.operation)?;
            tell_ended(transaction, now, &kept)?;
        }
    }
    Ok(())
}
