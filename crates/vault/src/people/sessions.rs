//! Sessions: what a cookie stands for, and its end.

use std::time::Duration;

use strongroom_access::session::{Place, Session, may_end_again};
use strongroom_access::{Act, Operator, OperatorId, Shown};

use crate::database::Transaction;
use crate::people::joining::tell;
use crate::people::telling::{name, notify};
use crate::people::world::permitted;
use crate::people::{Given, Known, People, Who, digest_of};
use crate::records::leaves::{self, By, Moment};
use crate::records::people::factors::{self, Factor};
use crate::records::people::{operators, sessions};
use crate::rules::clock::{DAY_MS, MINUTE_MS};
use crate::rules::notices::Kind;
use crate::{Error, Result};

/// Where somebody signs in from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Browser {
    /// The address.
    pub address: String,
    /// The program, as it says itself; told to people and believed by nobody.
    pub program: String,
    /// The cookie that says that somebody was signed in here before.
    pub cookie: Option<String>,
    /// For how long its address is asked to wait, because it has failed too often.
    pub pause: Option<Duration>,
}

/// The longest name of a program that is kept.
pub(super) const LONGEST_PROGRAM: usize = 256;

/// Who is signed in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// Who.
    pub operator: Operator,
    /// What he shows by that.
    pub shown: Shown,
    /// The session.
    pub session: sessions::Kept,
}

impl SignedIn {
    /// Who acts.
    pub const fn who(&self) -> Who {
        Who::Operator(self.operator.id, self.shown)
    }
}

impl People {
    /// Who a session belongs to; `None` where it does not count, or its operator has no rights.
    ///
    /// # Errors
    /// Those of the database.
    pub fn session(&self, cookie: &str) -> Result<Option<SignedIn>> {
        let (now, digest) = (self.vault.now(), digest_of(cookie));
        let found = self.vault.read(|transaction| {
            let Some(kept) = sessions::get(transaction, &digest)? else {
                return Ok(None);
            };
            let operator = operators::get(transaction, kept.session.operator)?;
            Ok(operator.map(|known| (kept, known.operator)))
        })?;
        let Some((kept, operator)) = found else {
            return Ok(None);
        };
        let Some(shown) = kept.session.shown_at(now.vault_ms) else {
            return Ok(None);
        };
        if !operator.counts() {
            return Ok(None);
        }
        if now.vault_ms.saturating_sub(kept.session.used_ms) >= MINUTE_MS {
            let number = kept.number;
            self.vault
                .commit(move |transaction| sessions::note_use(transaction, number, now.vault_ms))?;
        }
        Ok(Some(SignedIn {
            operator,
            shown,
            session: kept,
        }))
    }

    /// The sessions of an operator that count, the newest first.
    ///
    /// # Errors
    /// Those of the database.
    pub fn sessions(&self, of: OperatorId) -> Result<Vec<sessions::Kept>> {
        let now = self.vault.now();
        let all = self
            .vault
            .read(|transaction| sessions::of(transaction, of))?;
        let counts = |kept: &sessions::Kept| kept.session.counts_at(now.vault_ms);
        Ok(all.into_iter().filter(counts).collect())
    }

    /// The factors of an operator, the oldest first.
    ///
    /// # Errors
    /// Those of the database.
    pub fn factors(&self, of: OperatorId) -> Result<Vec<Factor>> {
        self.vault.read(|transaction| factors::of(transaction, of))
    }

    /// How many recovery codes of an operator are left.
    ///
    /// # Errors
    /// Those of the database.
    pub fn codes_left(&self, of: OperatorId) -> Result<u64> {
        self.vault
            .read(|transaction| factors::codes_left(transaction, of))
    }

    /// Ends one session of an operator, as he asks for.
    ///
    /// # Errors
    /// Those of the database.
    pub fn sign_out(&self, of: OperatorId, number: i64) -> Result<()> {
        self.vault.commit(move |transaction| {
            sessions::end(transaction, of, number)?;
            Ok(())
        })
    }

    /// Ends all sessions of an operator; returns how many there were.
    ///
    /// # Errors
    /// [`Error::NotPermitted`]; those of the database.
    pub fn end_sessions(&self, who: Who, of: OperatorId) -> Result<u64> {
        let now = self.vault.now();
        self.vault.commit(move |transaction| {
            let permit = permitted(transaction, now, who, Act::EndSessions { of })?;
            let known = operators::get(transaction, of)?;
            let known = known.ok_or(Error::NotPermitted(strongroom_access::Refusal::NoOperator))?;
            let is_his = matches!(who, Who::Operator(himself, _) if himself == of);
            if !is_his {
                if !may_end_again(known.ended_ms, now.vault_ms) {
                    let refusal = strongroom_access::Refusal::NotNow {
                        what: "sessions that others ended within the hour",
                    };
                    return Err(refusal.into());
                }
                operators::note_ended(transaction, of, now.vault_ms)?;
            }
            end_all(transaction, now, of, &By::from(permit.way()))
        })
    }

    /// Removes what counts no more.
    ///
    /// # Errors
    /// Those of the database.
    pub fn sweep(&self) -> Result<()> {
        let now = self.vault.now();
        self.vault.commit(move |transaction| {
            sessions::sweep(transaction, now.vault_ms.saturating_sub(DAY_MS))?;
            let before_ms = now.vault_ms.saturating_sub(10 * MINUTE_MS);
            crate::records::people::challenges::sweep(transaction, before_ms)?;
            crate::records::people::host_codes::sweep(transaction, before_ms)?;
            Ok(())
        })
    }
}

/// Ends all sessions of an operator, as somebody who is no more what he was when he signed in.
pub(super) fn end_all(
    transaction: &mut dyn Transaction,
    now: Moment,
    of: OperatorId,
    by: &By,
) -> Result<u64> {
    let sessions = sessions::end_all(transaction, of)?;
    if sessions > 0 {
        let ended = leaves::People::SessionsEnded {
            operator: of,
            sessions,
            by: by.clone(),
        };
        tell(transaction, now, ended)?;
    }
    Ok(sessions)
}

/// Begins a session; whatever cookie came along, it is a new one.
pub(super) fn begin(
    transaction: &mut dyn Transaction,
    now: Moment,
    (operator, shown): (OperatorId, Shown),
    place: Place,
    browser: &Browser,
    (cookie, is_new_place): (&Given, bool),
) -> Result<()> {
    // What he has shown is looked at in the transaction that lets him in.
    let known = Known::read(transaction, [])?;
    known.world().operator(operator).ok_or(Error::NotSignedIn)?;
    let session = Session {
        operator,
        place,
        shown,
        shown_ms: now.vault_ms,
        began_ms: now.vault_ms,
        used_ms: now.vault_ms,
    };
    let program: String = browser.program.chars().take(LONGEST_PROGRAM).collect();
    sessions::insert(
        transaction,
        &cookie.digest,
        &session,
        (&browser.address, &program),
        None,
    )?;
    let signed_in = leaves::People::SignedIn {
        operator,
        shown: match shown {
            Shown::Passkey | Shown::PasskeyBefore => "passkey",
            Shown::PasswordAndTotp => "password",
            Shown::RecoveryCode | Shown::Elsewhere => "elsewhere",
        },
        address: browser.address.clone(),
        is_new_place,
    };
    tell(transaction, now, signed_in)?;
    if is_new_place {
        let who = name(&known, operator);
        let subject = format!("{who} has signed in from a new place");
        let body = format!(
            "Address {}, program {program}. Whoever it was not ends that session on the page of \
             operators.",
            browser.address
        );
        notify(transaction, now, Kind::NewPlace, subject, body)?;
    }
    Ok(())
}
