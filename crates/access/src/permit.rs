//! Permits: the proof that an act may happen now.
//!
//! **Architecture invariant:** a permit has no public constructor. Whoever has one holds what this
//! crate has decided, and nothing else makes a vault act.

use strongroom_model::{Id, Name};

use crate::Refusal;
use crate::act::{Act, By, Weight};
use crate::factor::{Shown, Want};
use crate::operator::{Operator, OperatorId, Standing};
use crate::role::Role;
use crate::seal::UnderSeal;
use crate::setup::Setup;
use crate::world::World;

/// That an act may happen now. It is used up by the act.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Permit {
    act: Act,
    way: Way,
}

/// By which way an act came to be permitted; the log tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// An operator does it at once.
    Operator(OperatorId),
    /// Several have agreed.
    Operation {
        /// To which operation.
        id: Id,
        /// Who asked for it.
        asker: OperatorId,
    },
    /// Whoever has the vault's own folder does it, before there is any operator.
    Folder,
    /// Whoever has few factors, or none, comes by a link.
    Link(Link),
    /// Somebody holds a seal code.
    SealCode {
        /// Who it was given to.
        holder: Name,
    },
}

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// The first operator comes by it, from the vault's own terminal.
    First,
    /// Who was invited, or is recovered, comes by it.
    Invitation,
}

impl Permit {
    pub(crate) const fn new(act: Act, way: Way) -> Self {
        Self { act, way }
    }

    /// What may happen.
    pub const fn act(&self) -> &Act {
        &self.act
    }

    /// By which way.
    pub const fn way(&self) -> &Way {
        &self.way
    }
}

/// Whether an operator may do an act at once.
///
/// # Errors
/// [`Refusal::NeedsApproval`] where others have to agree; [`Refusal::NoOperator`],
/// [`Refusal::NoRole`], [`Refusal::NotShown`], [`Refusal::Sealed`], [`Refusal::InSetUp`],
/// [`Refusal::NotFirst`], [`Refusal::NotNow`] of sealing what is sealed, [`Refusal::Changed`] where
/// the act says what does not hold, [`Refusal::Never`].
pub fn at_once(
    world: &World<'_>,
    (who, shown): (OperatorId, Shown),
    act: Act,
    now_ms: i64,
) -> Result<Permit, Refusal> {
    let operator = world.operator(who).ok_or(Refusal::NoOperator)?;
    let weight = act.weight();
    let (by, want) = match weight {
        Weight::AtOnce(by, want) => (by, want),
        Weight::Never(why) => return Err(Refusal::Never { why }),
        Weight::ByApproval => match world.setup.at(now_ms) {
            Setup::UnderWay { first, .. } => {
                return in_set_up(world, (operator, shown), first, act);
            }
            Setup::Unclaimed | Setup::Established => return Err(Refusal::NeedsApproval),
        },
    };
    check_seal(world, &act)?;
    check_by(operator, by)?;
    if !shown.is_enough_for(want) {
        return Err(Refusal::NotShown { hint: shown.hint() });
    }
    check_replaces(shown, &act)?;
    act.check_says_true(world)?;
    Ok(Permit::new(act, Way::Operator(who)))
}

/// Whether whoever has the vault's own folder may do an act: until somebody uses the first link. Of
/// what would take approvals he may raise, make tokens, believe the clock, and agree to deletions that
/// he has looked at: nobody else is there yet, and without that such a vault would stand still.
///
/// # Errors
/// [`Refusal::NeedsApproval`], [`Refusal::NoOperator`], [`Refusal::Sealed`], [`Refusal::NotNow`],
/// [`Refusal::Changed`], [`Refusal::Never`].
pub fn by_folder(world: &World<'_>, act: Act, now_ms: i64) -> Result<Permit, Refusal> {
    if world.setup.at(now_ms) != Setup::Unclaimed {
        return Err(Refusal::NoOperator);
    }
    match act.weight() {
        // A folder is nobody, and has no factors and no sessions.
        Weight::AtOnce(By::HimselfOr(..), _) => Err(Refusal::NoOperator),
        Weight::AtOnce(..) => {
            check_seal(world, &act)?;
            act.check_says_true(world)?;
            Ok(Permit::new(act, Way::Folder))
        }
        Weight::ByApproval if goes_on_without_people(&act) => {
            check_seal(world, &act)?;
            act.check_says_true(world)?;
            Ok(Permit::new(act, Way::Folder))
        }
        Weight::ByApproval => Err(Refusal::NeedsApproval),
        Weight::Never(why) => Err(Refusal::Never { why }),
    }
}

/// Whether a vault in which there is nobody yet could not go on without an act.
fn goes_on_without_people(act: &Act) -> bool {
    match act {
        Act::AgreeToPurge { .. } | Act::ConfirmClock { .. } | Act::CatchUp { .. } => true,
        Act::MakeToken { in_place_of, .. } => in_place_of.is_none(),
        Act::Keep { from, to, .. } => {
            to.retention_ms >= from.retention_ms && to.grace_ms >= from.grace_ms
        }
        _ => false,
    }
}

/// Whether `who` enrols a factor by a link that was right: who was invited, or is recovered, until the
/// link lapses and as long as he has too few.
///
/// A seal stops that, but not who comes by the first link: otherwise nobody might be left to open it.
///
/// # Errors
/// [`Refusal::NoOperator`] where he is not invited, or no longer; [`Refusal::Sealed`].
pub fn by_link(
    world: &World<'_>,
    (who, link): (OperatorId, Link),
    now_ms: i64,
) -> Result<Permit, Refusal> {
    let is_invited = |operator: &Operator| match operator.standing {
        Standing::Invited { until_ms } => operator.id == who && now_ms < until_ms,
        Standing::Active | Standing::Suspended | Standing::Removed => false,
    };
    if !world.operators.iter().any(is_invited) {
        return Err(Refusal::NoOperator);
    }
    let enrol = Act::Enrol {
        operator: who,
        in_place_of: None,
    };
    match link {
        Link::First => {}
        Link::Invitation => check_seal(world, &enrol)?,
    }
    Ok(Permit::new(enrol, Way::Link(link)))
}

/// That a seal code, which was right and is used up, seals; `holder` is whom it was given to.
///
/// # Errors
/// [`Refusal::NotNow`] where it is sealed.
pub fn by_seal_code(world: &World<'_>, holder: Name) -> Result<Permit, Refusal> {
    check_seal(world, &Act::Seal)?;
    Ok(Permit::new(Act::Seal, Way::SealCode { holder }))
}

/// A recovery code replaces a factor and adds none; a passkey adds one and removes none, which takes
/// others.
fn check_replaces(shown: Shown, act: &Act) -> Result<(), Refusal> {
    let Act::Enrol { in_place_of, .. } = act else {
        return Ok(());
    };
    match (shown, in_place_of) {
        (Shown::RecoveryCode, None) => Err(Refusal::NotShown { hint: shown.hint() }),
        (Shown::RecoveryCode, Some(_)) | (_, None) => Ok(()),
        (_, Some(_)) => Err(Refusal::NeedsApproval),
    }
}

/// Whether the seal lets one do at once what one does at once at other times.
fn check_seal(world: &World<'_>, act: &Act) -> Result<(), Refusal> {
    match (world.seal.is_closed(), act.under_seal()) {
        (true, _) if *act == Act::Seal => Err(Refusal::NotNow {
            what: "a seal that is closed",
        }),
        (false, _) | (true, UnderSeal::AsEver) => Ok(()),
        (true, UnderSeal::WithoutDelay) => Err(Refusal::NeedsApproval),
        (true, UnderSeal::Refused) => Err(Refusal::Sealed),
    }
}

/// In set-up the first operator invites alone, and nothing else that takes approvals is done.
fn in_set_up(
    world: &World<'_>,
    (operator, shown): (&Operator, Shown),
    first: OperatorId,
    act: Act,
) -> Result<Permit, Refusal> {
    if !matches!(act, Act::AddOperator { .. }) {
        return Err(Refusal::InSetUp);
    }
    if world.seal.is_closed() {
        return Err(Refusal::Sealed);
    }
    // Otherwise one who was invited and is stolen would invite as many as the rule asks for.
    if operator.id != first {
        return Err(Refusal::NotFirst);
    }
    if !operator.is(Role::Security) {
        return Err(Refusal::NoRole {
            role: Role::Security,
        });
    }
    // Whoever invites has shown more than a password: he makes those who will approve.
    match shown.is_enough_for(Want::Approve) {
        true => Ok(Permit::new(act, Way::Operator(operator.id))),
        false => Err(Refusal::NotShown { hint: shown.hint() }),
    }
}

fn check_by(operator: &Operator, by: By) -> Result<(), Refusal> {
    let roles = match by {
        By::Anybody => return Ok(()),
        By::HimselfOr(himself, _) if operator.id == himself => return Ok(()),
        By::HimselfOr(_, roles) | By::One(roles) => roles,
    };
    if roles.iter().any(|role| operator.is(role)) {
        return Ok(());
    }
    match roles.iter().next() {
        Some(role) => Err(Refusal::NoRole { role }),
        None => Err(Refusal::NoOperator),
    }
}
