//! Operations: acts that several have to agree to, from the asking to the doing.
//!
//! ```text
//!            enough yeses            due, done
//!   Asked ────────────────▶ Waiting ───────────▶ Done
//!     │  ◀────────────────     │
//!     │      too few left      │ stopped, withdrawn,
//!     │ 7 d, withdrawn         │ or not done for 7 d
//!     ▼                        ▼
//!   Ended                    Ended
//! ```
//! A yes counts as long as whoever gave it counts, and none of his factors was replaced since. Where
//! too few are left when it is due, or when another one says yes, it is asked for again: the delay is
//! counted from the last yes that it takes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strongroom_model::Id;

use crate::act::{Act, Weight};
use crate::factor::{FEWEST, Shown, Want};
use crate::operator::{Operator, OperatorId};
use crate::permit::{Permit, Way};
use crate::role::Role;
use crate::rule::{Needs, needs};
use crate::seal::{Seal, UnderSeal};
use crate::setup::Setup;
use crate::world::World;
use crate::{DAY_MS, Refusal};

/// For so long an operation may be asked for, and for so long after its delay it may be done.
pub const LAPSES_MS: i64 = 7 * DAY_MS;

/// The most operations that one operator has open.
pub const MOST_ASKED: usize = 20;

/// An operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its id: the SHA-256 of its contents, of who asks and of random bytes. This is what a yes is to.
    pub id: Id,
    /// What shall be done.
    pub act: Act,
    /// Who asks.
    pub asker: OperatorId,
    /// Since when it is asked for, by vault time: where too few yeses were left, since that was seen.
    pub asked_ms: i64,
    /// Who has said yes, and when.
    pub yeses: BTreeMap<OperatorId, i64>,
    /// Where its life stands.
    pub state: State,
}

/// Where the life of an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It waits for yeses.
    Asked,
    /// It has enough, and waits.
    Waiting {
        /// Since when, by vault time.
        since_ms: i64,
    },
    /// It was done.
    Done,
    /// It is not done any more.
    Ended(End),
}

/// Why an operation is not done any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// Nobody did it in time.
    Lapsed,
    /// Whoever asked for it wants it no more.
    Withdrawn,
    /// Somebody stopped it.
    Stopped(OperatorId),
}

/// The SHA-256 of the exact contents of an act.
fn contents(act: &Act) -> Id {
    // Such an act has nothing in it that JSON could not hold.
    Id::of(&serde_json::to_vec(act).unwrap_or_default())
}

/// The subject of an act, by which it is known who has stopped the same before. What is asked for
/// twice has the same.
///
/// **Security:** what a repository keeps now is not in it. One person raises that at once, and with
/// each time he could stop the same once more.
pub fn subject(act: &Act) -> Id {
    match act {
        Act::Keep { repository, to, .. } => contents(&Act::Keep {
            repository: repository.clone(),
            from: *to,
            to: *to,
            agreed: *to,
            is_compliant: false,
        }),
        other => contents(other),
    }
}

/// Asks for an operation; `nonce` is random, and makes its id one that nobody has signed before.
/// `open` is how many the asker has open.
///
/// # Errors
/// [`Refusal`] where it could come to nothing, or takes nobody's approval.
pub fn ask(
    world: &World<'_>,
    (asker, shown): (OperatorId, Shown),
    act: Act,
    nonce: &[u8; 32],
    open: usize,
    now_ms: i64,
) -> Result<Operation, Refusal> {
    world.operator(asker).ok_or(Refusal::NoOperator)?;
    if !shown.is_enough_for(Want::Ask) {
        return Err(Refusal::NotShown { hint: shown.hint() });
    }
    match act.weight() {
        Weight::ByApproval => {}
        // Under the seal what one does at other times may take others.
        Weight::AtOnce(..) if is_agreed_to(world, &act) => {}
        Weight::AtOnce(..) => return Err(Refusal::NeedsNoApproval),
        Weight::Never(why) => return Err(Refusal::Never { why }),
    }
    if open >= MOST_ASKED {
        return Err(Refusal::TooManyAsked { most: MOST_ASKED });
    }
    check(world, &act, now_ms)?;
    act.check_says_true(world)?;
    let Needs { yeses, .. } = needs(world, &act, asker)?;
    // What nobody else approves is as good as approved by asking, and a seal takes a passkey to open.
    let takes_passkey = yeses == 0 || matches!(act, Act::Unseal { .. });
    if takes_passkey && !shown.is_enough_for(Want::Approve) {
        return Err(Refusal::NotShown { hint: shown.hint() });
    }
    let mut seed = contents(&act).as_bytes().to_vec();
    seed.extend_from_slice(&asker.0.to_le_bytes());
    seed.extend_from_slice(nonce);
    Ok(Operation {
        id: Id::of(&seed),
        act,
        asker,
        asked_ms: now_ms,
        yeses: BTreeMap::new(),
        state: match yeses {
            0 => State::Waiting { since_ms: now_ms },
            _ => State::Asked,
        },
    })
}

impl Operation {
    /// Where its life stands at a moment: what nobody did in time has lapsed.
    pub fn state_at(&self, now_ms: i64) -> State {
        let is_over = |since_ms: i64, most_ms: i64| now_ms.saturating_sub(since_ms) >= most_ms;
        match self.state {
            State::Asked if is_over(self.asked_ms, LAPSES_MS) => State::Ended(End::Lapsed),
            state => state,
        }
    }

    /// Where its life stands at a moment in a vault: what was not done for a while after it was due has
    /// lapsed too. Under the seal that stands still.
    pub fn stands_at(&self, world: &World<'_>, now_ms: i64) -> State {
        match (self.state_at(now_ms), self.due_ms(world)) {
            (State::Waiting { .. }, Ok(due_ms)) if now_ms.saturating_sub(due_ms) >= LAPSES_MS => {
                State::Ended(End::Lapsed)
            }
            (state, _) => state,
        }
    }

    /// Writes down what has lapsed. Whatever is done with an operation does that first, and so do
    /// [`seal::close`](crate::seal::close) and [`seal::open`](crate::seal::open).
    pub fn settle(&mut self, world: &World<'_>, now_ms: i64) {
        self.state = self.stands_at(world, now_ms);
    }

    /// Somebody says yes, by a passkey that has signed `signed`.
    ///
    /// # Errors
    /// [`Refusal::Changed`] where that is another operation; [`Refusal::Himself`],
    /// [`Refusal::NoRole`], [`Refusal::NotShown`], [`Refusal::NotNow`], and [`Refusal`] as of [`ask`].
    pub fn say_yes(
        &mut self,
        world: &World<'_>,
        (who, shown): (OperatorId, Shown),
        signed: &Id,
        now_ms: i64,
    ) -> Result<(), Refusal> {
        let operator = world.operator(who).ok_or(Refusal::NoOperator)?;
        if signed != &self.id {
            return Err(Refusal::Changed);
        }
        if !operator.is(Role::Security) {
            return Err(Refusal::NoRole {
                role: Role::Security,
            });
        }
        if !shown.is_enough_for(Want::Approve) {
            return Err(Refusal::NotShown { hint: shown.hint() });
        }
        if !operator.approves_at(now_ms) {
            return Err(Refusal::NotShown {
                hint: "a factor of yours was replaced within three days, which approves nothing yet",
            });
        }
        self.check_other(who, "approves")?;
        self.settle(world, now_ms);
        let (State::Asked | State::Waiting { .. }) = self.state else {
            return Err(Refusal::NotNow {
                what: "that operation",
            });
        };
        check(world, &self.act, now_ms)?;
        let Needs { yeses, .. } = needs(world, &self.act, self.asker)?;
        let is_waiting = matches!(self.state, State::Waiting { .. });
        if is_waiting && self.valid(world) < yeses {
            self.ask_again(now_ms);
        }
        match self.yeses.get(&who) {
            Some(said_ms) if self.counts(world, who, *said_ms) => {}
            _ => {
                self.yeses.insert(who, now_ms);
            }
        }
        if self.state == State::Asked && self.valid(world) >= yeses {
            self.state = State::Waiting { since_ms: now_ms };
        }
        Ok(())
    }

    /// Somebody stops it while it waits; `has_stopped` where he has stopped the same subject before,
    /// which others may outvote, and nobody alone.
    /// Whoever asked for it withdraws it.
    ///
    /// # Errors
    /// [`Refusal::Himself`], [`Refusal::StoppedBefore`], [`Refusal::NotNow`], [`Refusal::NotShown`].
    pub fn stop(
        &mut self,
        world: &World<'_>,
        (who, shown): (OperatorId, Shown),
        has_stopped: bool,
        now_ms: i64,
    ) -> Result<(), Refusal> {
        world.operator(who).ok_or(Refusal::NoOperator)?;
        if !shown.is_enough_for(Want::Ask) {
            return Err(Refusal::NotShown { hint: shown.hint() });
        }
        let end = match self.stands_at(world, now_ms) {
            State::Asked | State::Waiting { .. } if who == self.asker => End::Withdrawn,
            State::Waiting { .. } => End::Stopped(who),
            _ => {
                return Err(Refusal::NotNow {
                    what: "that operation",
                });
            }
        };
        if self.act.about() == Some(who) && end != End::Withdrawn {
            return Err(Refusal::Himself {
                verb: "stops",
                reason: "is about himself",
            });
        }
        // Where others have not approved it again, as where one person is alone, each stop counts.
        if has_stopped && end != End::Withdrawn && self.valid(world) > 0 {
            return Err(Refusal::StoppedBefore);
        }
        self.state = State::Ended(end);
        Ok(())
    }

    /// Until when it waits, by vault time; what waited under the seal waits anew from its end, and what
    /// takes no delay under it is due no earlier than it holds.
    ///
    /// # Errors
    /// [`Refusal::NotNow`] where it does not wait; [`Refusal::Sealed`] where that stands still;
    /// [`Refusal::NobodyApproves`].
    pub fn due_ms(&self, world: &World<'_>) -> Result<i64, Refusal> {
        let State::Waiting { since_ms } = self.state else {
            return Err(Refusal::NotNow {
                what: "that operation",
            });
        };
        let changed_ms = match world.seal {
            Seal::Sealed { .. } if self.act.under_seal() == UnderSeal::Refused => {
                return Err(Refusal::Sealed);
            }
            Seal::Open { since_ms } | Seal::Sealed { since_ms, .. } => since_ms,
        };
        let Needs { delay_ms, .. } = needs(world, &self.act, self.asker)?;
        Ok(since_ms.max(changed_ms).saturating_add(delay_ms))
    }

    /// Does it, where it is due: the permit is for its act, and the operation is done from then on.
    /// Its row is written where this is refused as well: it may have lapsed, or be asked for again.
    ///
    /// # Errors
    /// [`Refusal::Waits`] before its time; [`Refusal::NeedsApproval`] where too few yeses are left,
    /// after which it is asked for again; [`Refusal`] as of [`ask`].
    pub fn perform(&mut self, world: &World<'_>, now_ms: i64) -> Result<Permit, Refusal> {
        self.settle(world, now_ms);
        let due_ms = self.due_ms(world)?;
        if now_ms < due_ms {
            return Err(Refusal::Waits { due_ms });
        }
        check(world, &self.act, now_ms)?;
        // What somebody has asked for who has no rights any more is not done in his name.
        world.operator(self.asker).ok_or(Refusal::NoOperator)?;
        let Needs { yeses, .. } = needs(world, &self.act, self.asker)?;
        if self.valid(world) < yeses {
            self.ask_again(now_ms);
            return Err(Refusal::NeedsApproval);
        }
        self.state = State::Done;
        Ok(Permit::new(
            self.act.clone(),
            Way::Operation {
                id: self.id,
                asker: self.asker,
            },
        ))
    }

    fn ask_again(&mut self, now_ms: i64) {
        self.state = State::Asked;
        self.asked_ms = now_ms;
    }

    /// How many yeses count.
    pub fn valid(&self, world: &World<'_>) -> usize {
        let counts = |(who, said_ms): &(&OperatorId, &i64)| self.counts(world, **who, **said_ms);
        self.yeses.iter().filter(counts).count()
    }

    /// Whether a yes counts. Where a factor was replaced since, it may have been said by whoever has
    /// the lost one.
    fn counts(&self, world: &World<'_>, who: OperatorId, said_ms: i64) -> bool {
        let is_his = |operator: &Operator| {
            let replaced_ms = operator.factors.replaced_ms;
            operator.is(Role::Security) && replaced_ms.is_none_or(|at_ms| at_ms < said_ms)
        };
        world.operator(who).is_some_and(is_his) && self.check_other(who, "approves").is_ok()
    }

    fn check_other(&self, who: OperatorId, verb: &'static str) -> Result<(), Refusal> {
        let reason = match (self.asker == who, self.act.about() == Some(who)) {
            (true, _) => "he has asked for",
            (_, true) => "is about himself",
            (false, false) => return Ok(()),
        };
        Err(Refusal::Himself { verb, reason })
    }
}

/// Whether one person must not do an act at once that he does at other times, but others may agree.
fn is_agreed_to(world: &World<'_>, act: &Act) -> bool {
    world.seal.is_closed() && act.under_seal() == UnderSeal::WithoutDelay
}

/// Whether an act leaves an operator enough factors.
fn has_to_spare(operator: &Operator, act: &Act) -> bool {
    matches!(act, Act::RemoveFactor { .. }) && operator.factors.count() > FEWEST
}

/// What must hold of the vault, whoever agrees: when it is asked for, at each yes, and when it is
/// done.
fn check(world: &World<'_>, act: &Act, now_ms: i64) -> Result<(), Refusal> {
    match world.setup.at(now_ms) {
        Setup::Established => {}
        Setup::UnderWay { .. } | Setup::Unclaimed => return Err(Refusal::InSetUp),
    }
    if world.seal.is_closed() && act.under_seal() == UnderSeal::Refused {
        return Err(Refusal::Sealed);
    }
    let security = world.security();
    if let Some(operator) = act.unmakes()
        && world
            .operator(operator)
            .is_some_and(|operator| operator.is(Role::Security) && !has_to_spare(operator, act))
    {
        let least = match act {
            // Whoever is suspended comes back, and it has to be quick.
            Act::Suspend { .. } => 1,
            _ => world.rule.least(),
        };
        if security <= least {
            return Err(Refusal::TooFewLeft { least });
        }
    }
    match act {
        Act::SetRule { rule } if security < rule.least() => Err(Refusal::TooFewLeft {
            least: rule.least(),
        }),
        Act::Unseal { leaf } => world.seal.open(*leaf, now_ms).map(drop),
        _ => act.check_still_means(world),
    }
}
