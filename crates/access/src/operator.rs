//! Operators: people with factors, from the link that invites them to their removal.

use std::fmt;

use serde::{Deserialize, Serialize};
use strongroom_model::Name;

use crate::factor::Factors;
use crate::role::{Role, Roles};
use crate::{HOUR_MS, Refusal};

/// For so long a link lets somebody in who was invited, and he has to have his factors by then.
const INVITED_FOR_MS: i64 = 72 * HOUR_MS;

/// The number of an operator, never used for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperatorId(pub i64);

/// Where the life of an operator stands.
///
/// ```text
///           enrolled              suspended
///          ──────────▶           ──────────▶
///  Invited              Active               Suspended
///     │    ◀──────────    │      ◀──────────       │
///     │     recovered     │      reinstated        │
///     │ lapsed, removed   │ removed                │ removed
///     ▼                   ▼                        ▼
///  Removed ◀──────────────┴────────────────────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Was invited, or is recovered, and has not enough factors yet.
    Invited {
        /// Until when, by vault time.
        until_ms: i64,
    },
    /// Counts, as long as he has enough factors.
    Active,
    /// Has no rights until he is reinstated.
    Suspended,
    /// Is none any more, for ever.
    Removed,
}

/// What happens to an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// He has enough factors.
    Enrolled,
    /// His link has lapsed.
    Lapsed,
    /// Others let him enrol anew, since he has lost his factors.
    Recovered,
    /// He was suspended.
    Suspended,
    /// He was reinstated.
    Reinstated,
    /// He was removed.
    Removed,
}

/// A person with factors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// His number.
    pub id: OperatorId,
    /// His name.
    pub name: Name,
    /// What he is there for.
    pub roles: Roles,
    /// Where his life stands.
    pub standing: Standing,
    /// What he can show.
    pub factors: Factors,
}

impl Standing {
    /// Where it stands of whoever is invited at a moment of vault time.
    pub const fn invited_at(now_ms: i64) -> Self {
        Self::Invited {
            until_ms: now_ms.saturating_add(INVITED_FOR_MS),
        }
    }

    /// Where it stands after something happened.
    ///
    /// # Errors
    /// [`Refusal::NotNow`] where that cannot happen.
    pub fn transition(self, event: Event, now_ms: i64) -> Result<Self, Refusal> {
        match (self, event) {
            (Self::Invited { until_ms }, Event::Enrolled) if now_ms < until_ms => Ok(Self::Active),
            (Self::Invited { until_ms }, Event::Lapsed) if now_ms >= until_ms => Ok(Self::Removed),
            (Self::Active, Event::Recovered) => Ok(Self::invited_at(now_ms)),
            (Self::Active, Event::Suspended) => Ok(Self::Suspended),
            (Self::Suspended, Event::Reinstated) => Ok(Self::Active),
            (Self::Invited { .. } | Self::Active | Self::Suspended, Event::Removed) => {
                Ok(Self::Removed)
            }
            _ => Err(Refusal::NotNow {
                what: "that operator",
            }),
        }
    }
}

impl Operator {
    /// Whether he has any rights at all.
    pub fn counts(&self) -> bool {
        self.standing == Standing::Active && self.factors.are_enough()
    }

    /// Whether he counts and has a role.
    pub fn is(&self, role: Role) -> bool {
        self.counts() && self.roles.has(role)
    }

    /// Whether he may approve at a moment.
    pub fn approves_at(&self, now_ms: i64) -> bool {
        self.is(Role::Security) && self.factors.approve_at(now_ms)
    }
}

impl fmt::Display for OperatorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_removed_never_comes_back_and_a_link_lapses() {
        let invited = Standing::Invited { until_ms: 100 };
        assert_eq!(
            invited.transition(Event::Enrolled, 99),
            Ok(Standing::Active)
        );
        assert!(invited.transition(Event::Enrolled, 100).is_err());
        assert_eq!(
            invited.transition(Event::Lapsed, 100),
            Ok(Standing::Removed)
        );
        for event in [
            Event::Enrolled,
            Event::Lapsed,
            Event::Recovered,
            Event::Suspended,
            Event::Reinstated,
            Event::Removed,
        ] {
            assert!(Standing::Removed.transition(event, 0).is_err(), "{event:?}");
        }
        assert!(Standing::Suspended.transition(Event::Enrolled, 0).is_err());
        assert!(Standing::Suspended.transition(Event::Recovered, 0).is_err());
        let recovered = Standing::Active.transition(Event::Recovered, 5);
        assert_eq!(recovered, Ok(Standing::invited_at(5)));
    }
}
