//! How many have to agree.

use serde::{Deserialize, Serialize};

use crate::act::Act;
use crate::operator::OperatorId;
use crate::role::Role;
use crate::world::World;
use crate::{DAY_MS, Refusal};

/// The fewest yeses of others where there are three security operators or more.
pub const FEWEST_YESES: usize = 2;

/// How long everything takes that lowers protection where one person is alone.
pub const ALONE_MS: i64 = 14 * DAY_MS;

/// How many of the others have to agree, where there are three security operators or more.
/// Two at least; as JSON the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "usize", into = "usize")]
pub struct Rule(usize);

/// What one operation takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// So many yeses of others; none where somebody is alone.
    pub yeses: usize,
    /// And then so long, in milliseconds.
    pub delay_ms: i64,
}

impl Default for Rule {
    fn default() -> Self {
        Self(FEWEST_YESES)
    }
}

impl Rule {
    /// So many yeses; `None` where that is fewer than [`FEWEST_YESES`].
    pub const fn new(yeses: usize) -> Option<Self> {
        match yeses >= FEWEST_YESES {
            true => Some(Self(yeses)),
            false => None,
        }
    }

    /// So many yeses.
    pub const fn yeses(self) -> usize {
        self.0
    }

    /// The fewest security operators under this rule. Two are let be two, and one alone: but whoever
    /// has set a number wants it kept.
    pub const fn least(self) -> usize {
        match self.0 > FEWEST_YESES {
            true => self.0.saturating_add(1),
            false => 1,
        }
    }
}

impl TryFrom<usize> for Rule {
    type Error = String;

    fn try_from(yeses: usize) -> Result<Self, Self::Error> {
        Self::new(yeses)
            .ok_or_else(|| format!("{yeses} is no rule: {FEWEST_YESES} have to agree at least"))
    }
}

impl From<Rule> for usize {
    fn from(rule: Rule) -> Self {
        rule.0
    }
}

/// What it takes that `asker` gets an act done.
///
/// Whoever asks is not counted, nor is whom it is about: so with three, where one of them is to go,
/// the third decides. Where nobody is left who could agree it is refused, but to whoever is the only
/// security operator there is.
///
/// # Errors
/// [`Refusal::NobodyApproves`].
pub fn needs(world: &World<'_>, act: &Act, asker: OperatorId) -> Result<Needs, Refusal> {
    let delay_ms = act.delay_ms(world.seal);
    let security = || world.operators.iter().filter(|who| who.is(Role::Security));
    let others = security()
        .filter(|who| who.id != asker && Some(who.id) != act.about())
        .count();
    match (security().count(), others) {
        (1, 0) if security().all(|who| who.id == asker) => Ok(Needs {
            yeses: 0,
            delay_ms: delay_ms.max(ALONE_MS),
        }),
        (_, 0) => Err(Refusal::NobodyApproves),
        (1, _) => Ok(Needs {
            yeses: 1,
            delay_ms: delay_ms.max(ALONE_MS),
        }),
        (2, _) => Ok(Needs { yeses: 1, delay_ms }),
        (_, others) => Ok(Needs {
            yeses: world.rule.yeses().min(others),
            delay_ms,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_rule_is_content_with_fewer_than_two_whoever_writes_it_down() {
        assert_eq!(Rule::default().yeses(), FEWEST_YESES);
        assert_eq!(serde_json::from_str::<Rule>("3").unwrap(), Rule(3));
        assert_eq!(serde_json::to_string(&Rule(3)).unwrap(), "3");
        for few in ["0", "1"] {
            let refused = serde_json::from_str::<Rule>(few).unwrap_err();
            assert!(refused.to_string().contains("2 have to agree"), "{refused}");
        }
    }
}
