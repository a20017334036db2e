//! What can be agreed to, as far as an audit has to know it.
//!
//! The contents of an operation are JSON, of which each byte goes into its id. An act of a newer vault
//! is [`Act::Other`]: who agreed to it is checked, and not how long it had to wait.

use serde::Deserialize;

use crate::approvals::effect::{Effect, Keeping};
use crate::approvals::{DAY_MS, HOUR_MS};

/// How long an operation waits after the yeses, where nothing else is said.
const DELAY_MS: i64 = 72 * HOUR_MS;

/// How long the seal holds after it was agreed to open it.
const UNSEAL_DELAY_MS: i64 = DAY_MS;

/// What shall be done.
#[derive(Debug, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
pub(super) enum Act {
    Unseal {
        leaf: u64,
    },
    Keep {
        repository: String,
        from: KeepingMs,
        to: KeepingMs,
    },
    Comply {
        repository: String,
    },
    AgreeToPurge {
        repository: String,
        tombstones: u64,
        newest: Option<u64>,
    },
    ConfirmClock,
    CatchUp {
        by_ms: i64,
    },
    PurgeEarly,
    RemoveRepository,
    MakeToken {
        right: String,
        prefix: String,
        expires_in_ms: Option<i64>,
        in_place_of: Option<String>,
    },
    Unhide,
    AddOperator {
        name: String,
        roles: Vec<String>,
    },
    SetRoles {
        operator: i64,
        roles: Vec<String>,
    },
    RecoverOperator {
        operator: i64,
    },
    RemoveFactor {
        operator: i64,
        factor: i64,
    },
    Suspend {
        operator: i64,
    },
    Reinstate {
        operator: i64,
    },
    RemoveOperator {
        operator: i64,
    },
    SetRule {
        rule: u64,
    },
    Maintain,
    LoosenGuard,
    /// One that others never agree to, or of a newer vault.
    #[serde(other)]
    Other,
}

/// For how long something is kept, in milliseconds.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct KeepingMs {
    retention_ms: i64,
    grace_ms: i64,
}

/// What the seal makes of an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnderSeal {
    AsEver,
    WithoutDelay,
    Refused,
}

impl KeepingMs {
    pub(super) const fn seconds(self) -> Keeping {
        Keeping {
            retention_s: self.retention_ms / 1_000,
            grace_s: self.grace_ms / 1_000,
        }
    }
}

impl Act {
    /// Whether this version knows what it takes.
    pub(super) const fn is_known(&self) -> bool {
        !matches!(self, Self::Other)
    }

    /// What the seal makes of it.
    pub(super) fn under_seal(&self) -> UnderSeal {
        match self {
            Self::Unseal { .. } => UnderSeal::AsEver,
            Self::Unhide | Self::Suspend { .. } => UnderSeal::WithoutDelay,
            Self::MakeToken {
                right, in_place_of, ..
            } if right == "append" && in_place_of.is_some() => UnderSeal::WithoutDelay,
            _ => UnderSeal::Refused,
        }
    }

    /// How long it waits once it is agreed to, in milliseconds.
    pub(super) fn delay_ms(&self, is_sealed: bool) -> i64 {
        match (self, self.under_seal()) {
            (Self::Unseal { .. }, _) => UNSEAL_DELAY_MS,
            (_, UnderSeal::WithoutDelay) if is_sealed => 0,
            _ => DELAY_MS,
        }
    }

    /// Which operator it is about.
    pub(super) const fn about(&self) -> Option<i64> {
        match self {
            Self::SetRoles { operator, .. }
            | Self::RecoverOperator { operator }
            | Self::RemoveFactor { operator, .. }
            | Self::Suspend { operator }
            | Self::Reinstate { operator }
            | Self::RemoveOperator { operator } => Some(*operator),
            _ => None,
        }
    }

    /// Whether something that was done is what this asks for.
    pub(super) fn is_done_by(&self, effect: &Effect<'_>) -> bool {
        match (self, effect) {
            (
                Self::Keep {
                    repository,
                    from,
                    to,
                },
                Effect::Keeping {
                    repository: of,
                    before,
                    after,
                },
            ) => repository == of && before.is_none_or(|now| moved(now, *from, *to) == *after),
            (Self::Comply { repository }, Effect::Compliant { repository: of }) => repository == of,
            (
                Self::AgreeToPurge {
                    repository,
                    tombstones,
                    newest,
                },
                Effect::PurgeAgreed {
                    repository: of,
                    tombstones: agreed,
                    newest: newest_agreed,
                },
            ) => (repository.as_str(), tombstones, newest) == (of, agreed, newest_agreed),
            (Self::ConfirmClock, Effect::ClockConfirmed) => true,
            (Self::CatchUp { .. }, Effect::ClockConfirmed) => true,
            (Self::CatchUp { by_ms }, Effect::ClockCaughtUp { by_ms: by }) => by_ms == by,
            (
                Self::MakeToken {
                    right,
                    prefix,
                    expires_in_ms,
                    ..
                },
                Effect::Token {
                    right: made,
                    prefix: of,
                    lasts_ms,
                },
            ) => {
                let is_no_longer = match (expires_in_ms, lasts_ms) {
                    (None, _) => true,
                    (Some(most_ms), Some(lasts_ms)) => lasts_ms <= most_ms,
                    (Some(_), None) => false,
                };
                is_no_longer && (right.as_str(), prefix.as_str()) == (*made, *of)
            }
            (
                Self::AddOperator { name, roles },
                Effect::Invited {
                    name: who,
                    roles: his,
                },
            ) => name == who && roles == his,
            (
                Self::SetRoles { operator, roles },
                Effect::Roles {
                    operator: who,
                    roles: his,
                },
            ) => operator == who && roles == his,
            (
                Self::RemoveFactor { operator, factor },
                Effect::FactorRemoved {
                    operator: who,
                    factor: gone,
                },
            ) => (operator, factor) == (who, gone),
            (Self::SetRule { rule }, Effect::Rule { yeses }) => rule == yeses,
            (Self::Unseal { leaf }, Effect::Unsealed { seal }) => leaf == seal,
            (_, Effect::SessionsEnded { operator }) => self.about() == Some(*operator),
            (_, Effect::Stands { operator, standing }) => {
                self.about() == Some(*operator) && self.standing() == Some(standing)
            }
            _ => false,
        }
    }

    /// How whom it is about stands once it is done.
    const fn standing(&self) -> Option<&'static str> {
        match self {
            Self::RecoverOperator { .. } => Some("invited"),
            Self::Suspend { .. } => Some("suspended"),
            Self::Reinstate { .. } => Some("active"),
            Self::RemoveOperator { .. } => Some("removed"),
            _ => None,
        }
    }
}

/// What is kept after going `from` one `to` another where something else is kept by `now`: what shall
/// be lowered is, and nothing else is kept for less long.
fn moved(now: Keeping, from: KeepingMs, to: KeepingMs) -> Keeping {
    let moved = |now_s: i64, from_ms: i64, to_ms: i64| match to_ms < from_ms {
        true => to_ms / 1_000,
        false => now_s.max(to_ms / 1_000),
    };
    Keeping {
        retention_s: moved(now.retention_s, from.retention_ms, to.retention_ms),
        grace_s: moved(now.grace_s, from.grace_ms, to.grace_ms),
    }
}
