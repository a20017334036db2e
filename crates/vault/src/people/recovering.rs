//! The way back in where all operators are gone: with the code on paper, on the vault's own host.
//!
//! ```text
//!              7 d, link taken
//!   Announced ─────────────────▶ Used
//!       │ stopped by any operator
//!       ▼
//!    Stopped
//! ```
//! **Security:** whoever has stolen host and paper waits for a week in which everybody hears of it, and
//! any operator stops him. Who counted until then is suspended by the link, and a seal stays.

use strongroom_access::operator::Event;
use strongroom_access::setup::{RECOVERY_WAITS_MS, Recovery};
use strongroom_access::{Operator, OperatorId, Refusal, Standing};
use strongroom_model::Secret;
use subtle::ConstantTimeEq;

use crate::database::Transaction;
use crate::people::doing::stand;
use crate::people::joining::tell;
use crate::people::telling::{name, notify};
use crate::people::{Given, Known, People, digest_of, plain};
use crate::records::leaves::{self, By, Moment};
use crate::records::people::{links, operators, regime};
use crate::rules::notices::Kind;
use crate::{Error, Result};

/// What came of asking for a recovery.
#[derive(Debug)]
pub enum Recovering {
    /// It waits until a moment of vault time, and can be stopped until then.
    Waits {
        /// Until when.
        due_ms: i64,
    },
    /// A first link; all who counted are suspended.
    Link(Given),
}

impl People {
    /// Announces a recovery of the operators, and gives a link once its time has come.
    ///
    /// # Errors
    /// [`Error::NotSignedIn`] where that is not the code on paper; those of the database.
    pub fn recover(&self, paper: &Secret) -> Result<Recovering> {
        let (now, link) = (self.vault.now(), Given::random()?);
        let (shown, given) = (digest_of(&plain(paper.expose())), link.digest);
        let due_ms = self.vault.commit(move |transaction| {
            let now = leaves::dated(transaction, now)?;
            let known = Known::read(transaction, [])?;
            let is_right = known
                .regime
                .paper
                .is_some_and(|kept| kept.ct_eq(&shown).into());
            if !is_right {
                return Err(Error::NotSignedIn);
            }
            if known.regime.recovery == Some(Recovery::Used) && nobody_counts(&known) {
                // Whoever has lost the link, or let it lapse, gets another one: there is nobody else.
                again(transaction, now, &known, &given)?;
                return Ok(None);
            }
            let Some(announced @ Recovery::Announced { .. }) = known.regime.recovery else {
                let announced = Recovery::Announced {
                    at_ms: now.vault_ms,
                };
                regime::set_recovery(transaction, announced)?;
                tell(transaction, now, leaves::People::RecoveryAnnounced)?;
                let subject =
                    "All operators are to be recovered, with the code on paper".to_owned();
                let body =
                    "In seven days whoever asked for it on the vault's own host gets a link, and \
                            all operators are suspended. Any operator stops it, on the page of \
                            operators."
                        .to_owned();
                notify(transaction, now, Kind::Recovery, subject, body)?;
                return Ok(Some(now.vault_ms.saturating_add(RECOVERY_WAITS_MS)));
            };
            let taken = announced.take_link(&known.world(), now.vault_ms);
            let (used, suspended) = match taken {
                Ok(taken) => taken,
                Err(Refusal::Waits { due_ms }) => return Ok(Some(due_ms)),
                Err(refusal) => return Err(refusal.into()),
            };
            regime::set_recovery(transaction, used)?;
            // Before what comes of it, so that whoever reads the log knows why.
            tell(transaction, now, leaves::People::RecoveryUsed)?;
            for who in suspended {
                stand(transaction, now, who, Event::Suspended, &By::Folder)?;
            }
            links::end(transaction, None, now.vault_ms)?;
            links::insert(transaction, &given, None)?;
            let subject = "The operators were recovered, with the code on paper".to_owned();
            let body = "All who counted until now are suspended.".to_owned();
            notify(transaction, now, Kind::Recovery, subject, body)?;
            Ok(None)
        })?;
        Ok(match due_ms {
            Some(due_ms) => Recovering::Waits { due_ms },
            None => Recovering::Link(link),
        })
    }

    /// An operator stops it.
    ///
    /// # Errors
    /// [`Error::NotPermitted`]; those of the database.
    pub fn stop_recovery(&self, who: OperatorId) -> Result<()> {
        let now = self.vault.now();
        self.vault.commit(move |transaction| {
            let now = leaves::dated(transaction, now)?;
            let known = Known::read(transaction, [])?;
            let recovery = known
                .regime
                .recovery
                .ok_or(Refusal::NotNow { what: "a recovery" })?;
            regime::set_recovery(transaction, recovery.stop(&known.world(), who)?)?;
            tell(
                transaction,
                now,
                leaves::People::RecoveryStopped { operator: who },
            )?;
            let subject = format!("{} has stopped the recovery", name(&known, who));
            let body =
                "Whoever asked for it has the vault's own host and the code on paper.".to_owned();
            notify(transaction, now, Kind::Recovery, subject, body)
        })
    }
}

fn nobody_counts(known: &Known) -> bool {
    !known.operators.iter().any(Operator::counts)
}

/// Gives another link of a recovery: for whoever has said his name already, else for nobody yet.
fn again(
    transaction: &mut dyn Transaction,
    now: Moment,
    known: &Known,
    given: &[u8; 32],
) -> Result<()> {
    let begun = known.regime.recovered.and_then(|who| known.operator(who));
    let begun = begun.filter(|one| matches!(one.standing, Standing::Invited { .. }));
    links::end(transaction, None, now.vault_ms)?;
    if let Some(begun) = begun {
        links::end(transaction, Some(begun.id), now.vault_ms)?;
        let stands = Standing::invited_at(now.vault_ms);
        operators::set_standing(transaction, begun.id, stands)?;
    }
    links::insert(transaction, given, begun.map(|one| one.id))
}
