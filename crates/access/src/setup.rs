//! The first days, which come once, and the way back in where all operators are gone.
//!
//! ```text
//!              first link used               72 h, or closed
//!   Unclaimed ────────────────▶ Under way ───────────────────▶ Established
//! ```

use crate::operator::OperatorId;
use crate::world::World;
use crate::{DAY_MS, HOUR_MS, Refusal};

/// Set-up takes this long at most.
pub const LASTS_MS: i64 = 72 * HOUR_MS;

/// So long everybody can hear of a recovery before it gives a link.
pub const RECOVERY_WAITS_MS: i64 = 7 * DAY_MS;

/// Where the set-up of a vault stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// Nobody has used the first link.
    Unclaimed,
    /// The first operator invites alone.
    UnderWay {
        /// Since when, by vault time.
        since_ms: i64,
        /// Who is the first: nobody whom he invites invites others.
        first: OperatorId,
    },
    /// It is over, for ever.
    Established,
}

/// A recovery of the operators, asked for on the vault's own host with the code on paper.
///
/// ```text
///              7 d, link taken
///   Announced ─────────────────▶ Used
///       │ stopped by any operator
///       ▼
///    Stopped
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// It was asked for.
    Announced {
        /// When, by vault time.
        at_ms: i64,
    },
    /// An operator has stopped it.
    Stopped,
    /// It gave its link.
    Used,
}

impl Setup {
    /// Where it stands at a moment.
    #[must_use]
    pub const fn at(self, now_ms: i64) -> Self {
        match self {
            Self::UnderWay { since_ms, .. } if now_ms.saturating_sub(since_ms) >= LASTS_MS => {
                Self::Established
            }
            other => other,
        }
    }

    /// The first link is used, by `first`.
    ///
    /// # Errors
    /// [`Refusal::NotNow`] where it was before.
    pub const fn claim(self, first: OperatorId, now_ms: i64) -> Result<Self, Refusal> {
        match self {
            Self::Unclaimed => Ok(Self::UnderWay {
                since_ms: now_ms,
                first,
            }),
            Self::UnderWay { .. } | Self::Established => Err(Refusal::NotNow { what: "set-up" }),
        }
    }

    /// The first operator ends it before its time.
    ///
    /// # Errors
    /// [`Refusal::NotFirst`] where somebody else would, [`Refusal::NotNow`] where it is not under way.
    pub const fn close(self, who: OperatorId, now_ms: i64) -> Result<Self, Refusal> {
        match self.at(now_ms) {
            Self::UnderWay { first, .. } if first.0 == who.0 => Ok(Self::Established),
            Self::UnderWay { .. } => Err(Refusal::NotFirst),
            Self::Unclaimed | Self::Established => Err(Refusal::NotNow { what: "set-up" }),
        }
    }
}

impl Recovery {
    /// Any operator stops it.
    ///
    /// # Errors
    /// [`Refusal::NotNow`] where it has ended, [`Refusal::NoOperator`] where whoever would counts not.
    pub fn stop(self, world: &World<'_>, who: OperatorId) -> Result<Self, Refusal> {
        world.operator(who).ok_or(Refusal::NoOperator)?;
        match self {
            Self::Announced { .. } => Ok(Self::Stopped),
            Self::Stopped | Self::Used => Err(Refusal::NotNow { what: "a recovery" }),
        }
    }

    /// It gives its link, once, and says who is suspended by that: all who counted until then, and had
    /// a week to stop it. Where they stayed, whoever comes by the link could do nothing without them.
    ///
    /// # Errors
    /// [`Refusal::Waits`] before its time, [`Refusal::NotNow`] where it has ended.
    pub fn take_link(
        self,
        world: &World<'_>,
        now_ms: i64,
    ) -> Result<(Self, Vec<OperatorId>), Refusal> {
        match self {
            Self::Announced { at_ms } => {
                let due_ms = at_ms.saturating_add(RECOVERY_WAITS_MS);
                if now_ms < due_ms {
                    return Err(Refusal::Waits { due_ms });
                }
                let counting = world.operators.iter().filter(|who| who.counts());
                Ok((Self::Used, counting.map(|who| who.id).collect()))
            }
            Self::Stopped | Self::Used => Err(Refusal::NotNow { what: "a recovery" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Factors, Operator, Roles, Rule, Seal, Standing};

    #[test]
    fn set_up_comes_once_and_ends_by_itself() {
        let (first, second) = (OperatorId(1), OperatorId(2));
        let under_way = Setup::Unclaimed.at(i64::MAX).claim(first, 10).unwrap();
        assert_eq!(under_way.at(10 + LASTS_MS - 1), under_way);
        assert_eq!(under_way.at(10 + LASTS_MS), Setup::Established);
        assert!(under_way.claim(second, 11).is_err());
        assert_eq!(under_way.close(second, 11), Err(Refusal::NotFirst));
        assert_eq!(under_way.close(first, 11), Ok(Setup::Established));
        assert!(under_way.close(first, 10 + LASTS_MS).is_err());
        assert!(Setup::Established.claim(first, 12).is_err());
    }

    #[test]
    fn a_recovery_waits_a_week_gives_one_link_and_none_where_it_was_stopped() {
        let operators = [1, 2].map(|number| Operator {
            id: OperatorId(number),
            name: "somebody".parse().unwrap(),
            roles: Roles::ALL,
            standing: Standing::Active,
            factors: Factors {
                passkeys: u32::try_from(number).unwrap(),
                ..Factors::default()
            },
        });
        let world = World {
            operators: &operators,
            rule: Rule::default(),
            setup: Setup::Established,
            seal: Seal::Open { since_ms: 0 },
            held: &[],
            revoked: &[],
        };
        let announced = Recovery::Announced { at_ms: 5 };
        let due_ms = 5 + RECOVERY_WAITS_MS;
        let early = announced.take_link(&world, due_ms - 1);
        assert_eq!(early, Err(Refusal::Waits { due_ms }));
        // The first has one factor, and does not count.
        let (without_rights, counting) = (OperatorId(1), OperatorId(2));
        let (used, suspended) = announced.take_link(&world, due_ms).unwrap();
        assert_eq!(suspended, [counting]);
        assert!(used.take_link(&world, due_ms).is_err());
        assert!(used.stop(&world, counting).is_err());
        let refused = announced.stop(&world, without_rights);
        assert_eq!(refused, Err(Refusal::NoOperator));
        let stopped = announced.stop(&world, counting).unwrap();
        assert!(stopped.take_link(&world, due_ms).is_err());
    }
}
