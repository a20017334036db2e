//! Coming by a link: the first operator, and whoever was invited or is recovered.

use strongroom_access::operator::Event;
use strongroom_access::permit::{self, Link};
use strongroom_access::setup::Recovery;
use strongroom_access::{Act, Operator, OperatorId, Roles, Setup, Standing};
use strongroom_model::Name;

use crate::database::Transaction;
use crate::people::{Given, Known, People, digest_of, random};
use crate::records::leaves::{self, By, Moment};
use crate::records::people::operators::{self, Known as KnownOperator};
use crate::records::people::regime::{self, Regime};
use crate::records::people::{factors, links};
use crate::{Error, Result};

/// Whoever comes by a link, and what he still lacks.
#[derive(Clone, Debug)]
pub enum Joining {
    /// He says how he wants to be called: the first one.
    Name,
    /// He enrols factors.
    Enrol(Box<Operator>),
}

/// What whoever has become an operator is shown once.
#[derive(Clone, Debug)]
pub struct Joined {
    /// His recovery codes.
    pub codes: Vec<Given>,
    /// The code for paper, of the first operator.
    pub paper: Option<Given>,
}

impl People {
    /// A new first link, on the vault's own terminal; what was given before ends. While nobody has
    /// ever counted, whoever has not finished may begin again.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] where there are operators; those of the database.
    pub fn first_link(&self) -> Result<Given> {
        let (now, link) = (self.vault.now(), Given::random()?);
        let digest = link.digest;
        self.vault.commit(move |transaction| {
            let known = Known::read(transaction, [])?;
            links::end(transaction, None, now.vault_ms)?;
            let first = match known.regime.setup {
                Setup::Unclaimed => None,
                Setup::UnderWay { .. } | Setup::Established => Some(unfinished(&known)?),
            };
            if let Some(first) = first {
                links::end(transaction, Some(first), now.vault_ms)?;
                let stands = Standing::invited_at(now.vault_ms);
                operators::set_standing(transaction, first, stands)?;
            }
            links::insert(transaction, &digest, first)
        })?;
        Ok(link)
    }

    /// What a link is good for now.
    ///
    /// # Errors
    /// [`Error::NotSignedIn`] where it is none, was used or has lapsed; those of the database.
    pub fn joining(&self, link: &str) -> Result<Joining> {
        let (now, digest) = (self.vault.now(), digest_of(link));
        self.vault
            .read(|transaction| match links::get(transaction, &digest)? {
                None => Err(Error::NotSignedIn),
                Some(None) => Ok(Joining::Name),
                Some(Some(who)) => {
                    let known = Known::read(transaction, [])?;
                    permit_of_link(&known, who, now.vault_ms).map(drop)?;
                    let operator = known.operator(who).ok_or(Error::NotSignedIn)?;
                    Ok(Joining::Enrol(Box::new(operator.clone())))
                }
            })
    }

    /// The first operator says his name, and set-up begins.
    ///
    /// # Errors
    /// [`Error::NotSignedIn`]; [`Error::NotPermitted`]; those of the database.
    pub fn claim(&self, link: &str, name: &Name) -> Result<()> {
        let (now, digest, name) = (self.vault.now(), digest_of(link), name.clone());
        let handle = random::<16>()?;
        self.vault.commit(move |transaction| {
            match links::get(transaction, &digest)? {
                Some(None) => {}
                Some(Some(_)) | None => return Err(Error::NotSignedIn),
            }
            check_free(transaction, &name)?;
            let now = leaves::dated(transaction, now)?;
            let known = Known::read(transaction, [])?;
            let stands = Standing::invited_at(now.vault_ms);
            let first = operators::insert(transaction, name.as_str(), Roles::ALL, stands, &handle)?;
            links::give(transaction, &digest, first)?;
            match known.regime.recovery {
                // A recovery brings a link and no set-up.
                Some(Recovery::Used) => regime::set_recovered(transaction, first)?,
                _ => {
                    let setup = known.regime.setup.claim(first, now.vault_ms)?;
                    regime::set_setup(transaction, setup)?;
                    let claimed = leaves::People::SetupClaimed { operator: first };
                    tell(transaction, now, claimed)?;
                }
            }
            let invited = leaves::People::OperatorInvited {
                operator: first,
                name: name.clone(),
                roles: Roles::ALL,
                by: By::FirstLink,
            };
            tell(transaction, now, invited)
        })
    }
}

impl People {
    /// The first operator ends set-up before its time.
    ///
    /// # Errors
    /// [`Error::NotPermitted`]; those of the database.
    pub fn close_setup(&self, who: OperatorId) -> Result<()> {
        let now = self.vault.now();
        self.vault.commit(move |transaction| {
            let now = leaves::dated(transaction, now)?;
            let setup = regime::get(transaction)?.setup.close(who, now.vault_ms)?;
            regime::set_setup(transaction, setup)?;
            tell(
                transaction,
                now,
                leaves::People::SetupClosed { operator: who },
            )
        })
    }

    /// What is known: operators, set-up, the rule, the seal.
    ///
    /// # Errors
    /// Those of the database.
    pub fn known(&self) -> Result<Known> {
        self.vault.read(|transaction| Known::read(transaction, []))
    }
}

/// The first operator who has never counted, where nobody else ever has.
fn unfinished(known: &Known) -> Result<OperatorId> {
    match known.operators.as_slice() {
        [first] if matches!(first.standing, Standing::Invited { .. }) => Ok(first.id),
        _ => Err(strongroom_access::Refusal::NotNow { what: "set-up" }.into()),
    }
}

/// Fails where somebody has a name, or had it.
pub(super) fn check_free(transaction: &mut dyn Transaction, name: &Name) -> Result<()> {
    match operators::by_name(transaction, name.as_str())? {
        None => Ok(()),
        Some(_) => Err(Error::Malformed {
            what: "name of an operator",
            reason: format!("{} is somebody already, or was", name.as_str()),
        }),
    }
}

/// Writes a leaf of people.
pub(super) fn tell(
    transaction: &mut dyn Transaction,
    now: Moment,
    what: leaves::People,
) -> Result<()> {
    leaves::append(transaction, now, &leaves::Act::People(what))?;
    Ok(())
}

/// Which kind of link somebody comes by: the first operator has his from the terminal.
fn kind_of(known: &Known, who: OperatorId, now_ms: i64) -> Link {
    if known.regime.recovered == Some(who) {
        return Link::First;
    }
    match known.regime.setup.at(now_ms) {
        Setup::UnderWay { first, .. } if first.0 == who.0 => Link::First,
        Setup::Unclaimed | Setup::UnderWay { .. } | Setup::Established => Link::Invitation,
    }
}

/// That whoever comes by a link may enrol a factor.
pub(super) fn permit_of_link(
    known: &Known,
    who: OperatorId,
    now_ms: i64,
) -> Result<strongroom_access::Permit> {
    let link = kind_of(known, who, now_ms);
    Ok(permit::by_link(&known.world(), (who, link), now_ms)?)
}

/// What becomes of whoever has enrolled a factor by a link: an operator, where he has enough.
pub(super) fn advance(
    transaction: &mut dyn Transaction,
    now: Moment,
    known: &KnownOperator,
    by: &By,
    given: &Joined,
) -> Result<bool> {
    let operator = &known.operator;
    if !operator.factors.are_enough() {
        return Ok(false);
    }
    let stands = operator
        .standing
        .transition(Event::Enrolled, now.vault_ms)?;
    operators::set_standing(transaction, operator.id, stands)?;
    links::end(transaction, Some(operator.id), now.vault_ms)?;
    let digests: Vec<_> = given.codes.iter().map(|code| code.digest).collect();
    factors::set_codes(transaction, operator.id, &digests)?;
    if let Some(paper) = &given.paper
        && is_given_paper(&regime::get(transaction)?, operator.id)
    {
        regime::set_paper(transaction, &paper.digest)?;
    }
    // His link was the only one of its kind; whatever he gets from now on, others let him have.
    regime::end_recovered(transaction, operator.id)?;
    if operator.factors.replaced_ms.is_some() {
        // The days in which he approves nothing begin when he has the new ones.
        operators::note_replaced(transaction, operator.id, now.vault_ms)?;
    }
    let stands = leaves::People::OperatorStands {
        operator: operator.id,
        standing: "active",
        by: by.clone(),
    };
    tell(transaction, now, stands)?;
    Ok(true)
}

/// Whether whoever becomes an operator gets a code for paper: the first one, and whoever has used the
/// last one up.
pub(super) fn is_given_paper(regime: &Regime, who: OperatorId) -> bool {
    regime.paper.is_none() || regime.recovered == Some(who)
}

/// The act of an enrolment, for whoever is asked about it.
pub(super) const fn enrol(operator: OperatorId) -> Act {
    Act::Enrol {
        operator,
        in_place_of: None,
    }
}
