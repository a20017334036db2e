//! Who is there, as the leaves tell it: operators with what they show, the rule, set-up, the seal.

use std::collections::BTreeMap;

use crate::approvals::act::Act;
use crate::approvals::{DATED_WITHIN_MS, DAY_MS, HOUR_MS};

/// The most operators that are kept in mind, those who were removed included.
pub(super) const MOST_OPERATORS: usize = 10_000;

/// The most factors of one operator.
pub(super) const MOST_FACTORS: usize = 100;

/// So many factors make an operator.
const FEWEST_FACTORS: usize = 2;

/// The fewest yeses where there are three security operators or more.
pub(super) const FEWEST_YESES: u64 = 2;

/// How long everything takes that lowers protection where one person is alone.
const ALONE_MS: i64 = 14 * DAY_MS;

/// Set-up takes this long at most.
const SETUP_LASTS_MS: i64 = 72 * HOUR_MS;

/// So long everybody can hear of a recovery before it gives a link.
const RECOVERY_WAITS_MS: i64 = 7 * DAY_MS;

/// For so long nobody approves anything of whom a factor was replaced.
const APPROVES_AFTER_MS: i64 = 72 * HOUR_MS;

/// Who is there.
#[derive(Debug)]
pub(super) struct World {
    pub(super) operators: BTreeMap<i64, Operator>,
    pub(super) rule: u64,
    pub(super) setup: Setup,
    pub(super) seal: Seal,
    pub(super) recovery: Recovery,
}

/// Where a recovery of all operators stands, by the code on paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recovery {
    None,
    Announced {
        at_ms: i64,
    },
    /// It gave its link, by which this operator came.
    Used {
        first: Option<i64>,
    },
}

/// A person with factors.
#[derive(Debug)]
pub(super) struct Operator {
    pub(super) is_security: bool,
    pub(super) standing: Standing,
    /// By number; of a passkey the public key.
    pub(super) factors: BTreeMap<i64, Option<Vec<u8>>>,
    /// When one was last replaced, by vault time.
    pub(super) replaced_ms: Option<i64>,
}

/// Where the life of an operator stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Invited,
    Active,
    Suspended,
    Removed,
}

/// Where set-up stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setup {
    Unclaimed,
    UnderWay { since_ms: i64, first: i64 },
    Established,
}

/// Whether it is sealed, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seal {
    Open { since_ms: i64 },
    Sealed { since_ms: i64, leaf: u64 },
}

/// What an operation takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Needs {
    pub(super) yeses: usize,
    pub(super) delay_ms: i64,
}

impl Default for World {
    fn default() -> Self {
        Self {
            operators: BTreeMap::new(),
            rule: FEWEST_YESES,
            setup: Setup::Unclaimed,
            seal: Seal::Open { since_ms: i64::MIN },
            recovery: Recovery::None,
        }
    }
}

impl World {
    /// An operator who has any rights.
    pub(super) fn counting(&self, who: i64) -> Option<&Operator> {
        self.operators.get(&who).filter(|known| known.counts())
    }

    /// Where set-up stands at a moment.
    pub(super) const fn setup_at(&self, now_ms: i64) -> Setup {
        match self.setup {
            Setup::UnderWay { since_ms, .. }
                if now_ms.saturating_sub(since_ms) >= SETUP_LASTS_MS =>
            {
                Setup::Established
            }
            setup => setup,
        }
    }

    /// Whether a recovery that was announced has waited for as long as it has to.
    pub(super) const fn is_recovery_due(&self, now_ms: i64) -> bool {
        match self.recovery {
            Recovery::Announced { at_ms } => {
                let early_ms = at_ms
                    .saturating_add(RECOVERY_WAITS_MS)
                    .saturating_sub(now_ms);
                early_ms < DATED_WITHIN_MS
            }
            Recovery::None | Recovery::Used { .. } => false,
        }
    }

    /// Whether nobody has any rights.
    pub(super) fn is_empty(&self) -> bool {
        !self.operators.values().any(Operator::counts)
    }

    /// Whether an operator comes by the first link: of set-up, or of a recovery.
    pub(super) fn comes_first(&self, who: i64) -> bool {
        let in_setup = matches!(self.setup, Setup::UnderWay { first, .. } if first == who);
        in_setup || self.recovery == Recovery::Used { first: Some(who) }
    }

    /// Whether it is sealed.
    pub(super) const fn is_sealed(&self) -> bool {
        matches!(self.seal, Seal::Sealed { .. })
    }

    /// What it takes that `asker` gets an act done; `None` where nobody could agree.
    pub(super) fn needs(&self, act: &Act, asker: i64) -> Option<Needs> {
        let delay_ms = act.delay_ms(self.is_sealed());
        let security = || {
            let counting = self.operators.iter().filter(|(_, known)| known.approves());
            counting.map(|(who, _)| *who)
        };
        let others = security().filter(|who| *who != asker && Some(*who) != act.about());
        let (yeses, delay_ms) = match (security().count(), others.count()) {
            (1, 0) if security().all(|who| who == asker) => (0, delay_ms.max(ALONE_MS)),
            (_, 0) => return None,
            (1, _) => (1, delay_ms.max(ALONE_MS)),
            (2, _) => (1, delay_ms),
            (_, others) => {
                let rule = usize::try_from(self.rule).unwrap_or(usize::MAX);
                (rule.min(others), delay_ms)
            }
        };
        Some(Needs { yeses, delay_ms })
    }
}

impl Operator {
    pub(super) fn invited(roles: &[String]) -> Self {
        Self {
            is_security: is_security(roles),
            standing: Standing::Invited,
            factors: BTreeMap::new(),
            replaced_ms: None,
        }
    }

    /// Whether he has any rights.
    pub(super) fn counts(&self) -> bool {
        self.standing == Standing::Active && self.factors.len() >= FEWEST_FACTORS
    }

    /// Whether he counts among those who approve.
    pub(super) fn approves(&self) -> bool {
        self.counts() && self.is_security
    }

    /// Whether a passkey with this public key is his.
    pub(super) fn has_key(&self, public_key: &[u8]) -> bool {
        let keys = self.factors.values().flatten();
        keys.into_iter().any(|key| key == public_key)
    }

    /// Whether one of his factors was replaced a moment ago.
    pub(super) fn was_replaced_at(&self, now_ms: i64) -> bool {
        self.replaced_ms
            .is_some_and(|at_ms| now_ms.saturating_sub(at_ms) < APPROVES_AFTER_MS)
    }
}

impl Standing {
    pub(super) fn of(word: &str) -> Option<Self> {
        match word {
            "invited" => Some(Self::Invited),
            "active" => Some(Self::Active),
            "suspended" => Some(Self::Suspended),
            "removed" => Some(Self::Removed),
            _ => None,
        }
    }
}

pub(super) fn is_security(roles: &[String]) -> bool {
    roles.iter().any(|role| role == "security")
}
