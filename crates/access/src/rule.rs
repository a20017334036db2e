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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// So many, two at least.
    pub yeses: usize,
}

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
        Self {
            yeses: FEWEST_YESES,
        }
    }
}

impl Rule {
    /// The fewest security operators under this rule. Two are let be two, and one alone: but whoever
    /// has set a number wants it kept.
    pub const fn least(self) -> usize {
        match self.yeses > FEWEST_YESES {
            true => self.yeses.saturating_add(1),
            false => 1,
        }
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
            yeses: world.rule.yeses.max(FEWEST_YESES).min(others),
            delay_ms,
        }),
    }
}
