//! Doing what a permit is for.

use strongroom_access::operator::Event;
use strongroom_access::{Act, Held, OperatorId, Permit, Refusal, Shown, Standing};

use crate::database::Transaction;
use crate::people::joining::{check_free, tell};
use crate::people::operations::{must, tell_ended};
use crate::people::telling::{contents, notify};
use crate::people::world::allow;
use crate::people::{Given, Known, People, Who, random, sealing, sessions};
use crate::records::leaves::{self, By, Moment};
use crate::records::people::{factors, links, operations, operators, regime};
use crate::records::{repositories, tokens};
use crate::rules::notices::Kind;
use crate::rules::purge::{Keeping, Tombstones};
use crate::vault::{
    FreshToken, NewToken, Seen, TokenText, agree_to_purge, confirm_clock_in, insert_token,
};
use crate::{Error, Result};

/// What came of an act.
#[derive(Debug)]
pub enum Done {
    /// It is done, and there is nothing to show.
    Done,
    /// A token, which is shown once.
    Token(TokenText),
    /// A link, which whoever asked for it hands over.
    Link(Given),
}

/// What came of doing an operation.
#[derive(Debug)]
pub enum Performed {
    /// It was done.
    Done(Done),
    /// It is not done, or not yet.
    Not(Refusal),
}

/// What is made before a transaction begins, since that may be done more than once.
#[derive(Debug, Clone)]
struct Fresh {
    link: Given,
    handle: [u8; 16],
    token: FreshToken,
}

impl Fresh {
    fn new() -> Result<Self> {
        Ok(Self {
            link: Given::random()?,
            handle: random::<16>()?,
            token: FreshToken::random()?,
        })
    }
}

impl People {
    /// Does an act at once, of those that are decided here.
    ///
    /// # Errors
    /// [`Error::NotPermitted`], also where it takes the approval of others; those of the database.
    pub fn act(&self, who: Who, act: &Act) -> Result<Done> {
        let (now, fresh, act) = (self.vault.now(), Fresh::new()?, act.clone());
        self.vault.commit(move |transaction| {
            let now = leaves::dated(transaction, now)?;
            let act = super::operations::with_what_holds(transaction, act.clone())?;
            let permit = allow(transaction, now, who, act)?;
            perform(transaction, now, permit, &fresh)
        })
    }

    /// Does an operation that is due; `by` is who asks for that, and gets what is shown once.
    ///
    /// **Security:** what shows something is done for its asker alone, who shows a passkey for it: a
    /// stolen session would else take the link by which somebody becomes an operator.
    ///
    /// # Errors
    /// [`Error::Unknown`]; those of the database.
    pub fn perform(&self, number: u64, by: Option<Who>) -> Result<Performed> {
        let (now, fresh) = (self.vault.now(), Fresh::new()?);
        let performed = self.vault.commit(move |transaction| {
            let now = leaves::dated(transaction, now)?;
            let mut kept = must(transaction, number)?;
            let before = kept.operation.clone();
            let asker = kept.operation.asker;
            if shows_something(&kept.operation.act) && !has_shown(by, asker) {
                let refusal = Refusal::NotShown {
                    hint: "whoever asked for it does it, and shows a passkey for that",
                };
                return Ok(Performed::Not(refusal));
            }
            let known = Known::read(transaction, [&kept.operation.act])?;
            let yeses: Vec<OperatorId> = kept.operation.yeses.keys().copied().collect();
            let outcome = kept.operation.perform(&known.world(), now.vault_ms);
            if kept.operation != before {
                operations::set(transaction, number, &kept.operation)?;
                tell_ended(transaction, now, &kept)?;
            }
            let permit = match outcome {
                Ok(permit) => permit,
                Err(refusal) => return Ok(Performed::Not(refusal)),
            };
            let done = perform(transaction, now, permit, &fresh)?;
            let told = leaves::People::OperationDone {
                operation: kept.operation.id,
                number,
                yeses,
            };
            tell(transaction, now, told)?;
            let body = contents(&kept.operation.act);
            let subject = format!("Operation {number} was done");
            notify(transaction, now, Kind::Done, subject, body)?;
            Ok(Performed::Done(done))
        })?;
        // Where it was about the clock, this process looks at it.
        self.vault.tick()?;
        Ok(performed)
    }

    /// Does all operations that are due and show nothing; returns how many it was. To be called every
    /// few seconds. One that fails keeps no other from being done.
    ///
    /// # Errors
    /// The first one, after all others.
    pub fn perform_due(&self) -> Result<u64> {
        let now = self.vault.now();
        let open = self
            .vault
            .read(|transaction| operations::open(transaction))?;
        let (mut done, mut first_error) = (0, None);
        for kept in open {
            if shows_something(&kept.operation.act) {
                continue;
            }
            let listed = self.operation(kept.number)?;
            let is_due = listed.due_ms.is_some_and(|due_ms| due_ms <= now.vault_ms);
            let is_over = !super::operations::is_open(listed.state);
            if !is_due && !is_over {
                continue;
            }
            match self.perform(kept.number, None) {
                Ok(Performed::Done(_)) => done += 1,
                Ok(Performed::Not(_)) => {}
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        first_error.map_or(Ok(done), Err)
    }
}

/// Whether somebody is who asked, and has shown a passkey for just that.
fn has_shown(by: Option<Who>, asker: OperatorId) -> bool {
    matches!(by, Some(Who::Operator(who, Shown::Passkey)) if who == asker)
}

/// Whether an act can be done once it is agreed to, in this version.
pub(super) const fn is_built(act: &Act) -> bool {
    !matches!(
        act,
        Act::PurgeEarly { .. }
            | Act::RemoveRepository { .. }
            | Act::Maintain { .. }
            | Act::LoosenGuard { .. }
            | Act::Unhide { .. }
    )
}

/// Whether what comes of an act is shown to whoever asked for it.
pub(crate) const fn shows_something(act: &Act) -> bool {
    matches!(
        act,
        Act::MakeToken { .. } | Act::AddOperator { .. } | Act::RecoverOperator { .. }
    )
}

/// Does what a permit is for.
fn perform(
    transaction: &mut dyn Transaction,
    now: Moment,
    permit: Permit,
    fresh: &Fresh,
) -> Result<Done> {
    let by = By::from(permit.way());
    match permit.act().clone() {
        Act::Unseal { .. } => sealing::open(transaction, now, permit)?,
        Act::Keep { repository, .. } | Act::Comply { repository } => {
            let known = Known::read(transaction, [permit.act()])?;
            let held = known.held_in(&repository);
            let held = held.ok_or_else(|| repositories::unknown(&repository))?;
            keep(transaction, now, &permit, held).map(drop)?;
        }
        Act::AgreeToPurge {
            repository,
            tombstones,
            newest,
        } => {
            let agreed = Tombstones {
                count: tombstones,
                newest,
            };
            let by = By::operation(permit.way());
            agree_to_purge(transaction, now, &repository, agreed, by)?;
        }
        Act::MakeToken {
            right,
            prefix,
            expires_in_ms,
            in_place_of,
        } => {
            let new = NewToken {
                right,
                prefix,
                expires_in_ms,
                daily_bytes: None,
                daily_objects: None,
            };
            let by = By::operation(permit.way());
            let made = insert_token(transaction, now, &new, &fresh.token, by)?;
            if let Some(old) = in_place_of {
                tokens::replace(transaction, &old, &made.name)?;
            }
            return Ok(Done::Token(made));
        }
        Act::AddOperator { name, roles } => {
            check_free(transaction, &name)?;
            let stands = Standing::invited_at(now.vault_ms);
            let handle = &fresh.handle;
            let operator = operators::insert(transaction, name.as_str(), roles, stands, handle)?;
            links::insert(transaction, &fresh.link.digest, Some(operator))?;
            let invited = leaves::People::OperatorInvited {
                operator,
                name,
                roles,
                by,
            };
            tell(transaction, now, invited)?;
            return Ok(Done::Link(fresh.link.clone()));
        }
        Act::RecoverOperator { operator } => {
            stand(transaction, now, operator, Event::Recovered, &by)?;
            for factor in factors::of(transaction, operator)? {
                factors::remove(transaction, operator, factor.id, now.vault_ms).map(drop)?;
            }
            factors::set_codes(transaction, operator, &[])?;
            operators::note_replaced(transaction, operator, now.vault_ms)?;
            links::end(transaction, Some(operator), now.vault_ms)?;
            links::insert(transaction, &fresh.link.digest, Some(operator))?;
            return Ok(Done::Link(fresh.link.clone()));
        }
        Act::SetRoles { operator, roles } => {
            operators::set_roles(transaction, operator, roles)?;
            let told = leaves::People::OperatorRoles {
                operator,
                roles,
                by,
            };
            tell(transaction, now, told)?;
        }
        Act::RemoveFactor { operator, factor } => {
            if !factors::remove(transaction, operator, factor, now.vault_ms)? {
                return Err(Error::Unknown {
                    what: "factor",
                    name: factor.to_string(),
                });
            }
            // What was said by it before counts no more.
            operators::note_replaced(transaction, operator, now.vault_ms)?;
            sessions::end_all(transaction, now, operator, &by)?;
            let told = leaves::People::FactorRemoved {
                operator,
                factor,
                by,
            };
            tell(transaction, now, told)?;
        }
        Act::Suspend { operator } => stand(transaction, now, operator, Event::Suspended, &by)?,
        Act::Reinstate { operator } => stand(transaction, now, operator, Event::Reinstated, &by)?,
        Act::RemoveOperator { operator } => {
            stand(transaction, now, operator, Event::Removed, &by)?;
            links::end(transaction, Some(operator), now.vault_ms)?;
        }
        Act::ConfirmClock { .. } => {
            let by = By::operation(permit.way());
            confirm_clock_in(transaction, Seen::default(), by).map(drop)?;
        }
        Act::CatchUp { by_ms } => {
            let seen = Seen {
                catch_up_ms: Some(by_ms),
                ..Seen::default()
            };
            let by = By::operation(permit.way());
            confirm_clock_in(transaction, seen, by).map(drop)?;
        }
        Act::SetRule { rule } => {
            regime::set_rule(transaction, rule)?;
            let told = leaves::People::Rule {
                yeses: rule.yeses(),
                by,
            };
            tell(transaction, now, told)?;
        }
        _ => {
            return Err(Error::Refused {
                reason: "this version cannot do that yet".to_owned(),
            });
        }
    }
    Ok(Done::Done)
}

/// Has a repository keep what a permit says; returns for how long it does then.
pub(crate) fn keep(
    transaction: &mut dyn Transaction,
    now: Moment,
    permit: &Permit,
    held: &Held,
) -> Result<Keeping> {
    let after = held.after(permit);
    let found = repositories::must(transaction, &held.repository)?;
    if after.keeping != held.keeping {
        repositories::set_keeping(transaction, found.id, after.keeping, found.quota_bytes)?;
        let told = leaves::Act::Retention {
            repository: held.repository.clone(),
            retention_s: after.keeping.retention_ms / 1000,
            grace_s: after.keeping.grace_ms / 1000,
            by: By::operation(permit.way()),
        };
        leaves::append(transaction, now, &told)?;
    }
    if (after.agreed, after.is_compliant) != (held.agreed, held.is_compliant) {
        repositories::set_agreed(transaction, found.id, after.agreed, after.is_compliant)?;
    }
    if after.is_compliant && !held.is_compliant {
        let told = leaves::People::Compliant {
            repository: held.repository.clone(),
            by: By::from(permit.way()),
        };
        tell(transaction, now, told)?;
    }
    Ok(after.keeping)
}

/// Lets something happen to an operator; whoever does not count from then on is signed in nowhere.
pub(super) fn stand(
    transaction: &mut dyn Transaction,
    now: Moment,
    operator: OperatorId,
    event: Event,
    by: &By,
) -> Result<()> {
    let known = operators::get(transaction, operator)?;
    let known = known.ok_or(Refusal::NoOperator)?;
    let stands = known.operator.standing.transition(event, now.vault_ms)?;
    operators::set_standing(transaction, operator, stands)?;
    sessions::end_all(transaction, now, operator, by)?;
    let told = leaves::People::OperatorStands {
        operator,
        standing: match stands {
            Standing::Invited { .. } => "invited",
            Standing::Active => "active",
            Standing::Suspended => "suspended",
            Standing::Removed => "removed",
        },
        by: by.clone(),
    };
    tell(transaction, now, told)
}
