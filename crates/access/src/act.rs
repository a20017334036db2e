//! What can be asked of those who administer a vault, each act with its exact contents, and what it
//! weighs: whether one person does it at once, or several have to agree and wait.

use serde::{Deserialize, Serialize};
use strongroom_model::{Id, Name, RepositoryPath};

use crate::factor::Want;
use crate::keeping::{Change, Keeping};
use crate::operator::OperatorId;
use crate::right::Right;
use crate::role::{Role, Roles};
use crate::rule::Rule;
use crate::seal::{Seal, UnderSeal};
use crate::world::World;
use crate::{DAY_MS, HOUR_MS, Refusal};

/// How long an operation waits after the yeses, where nothing else is said.
pub const DELAY_MS: i64 = 72 * HOUR_MS;

/// How long the seal holds after it was agreed to open it.
pub const UNSEAL_DELAY_MS: i64 = DAY_MS;

/// For how long a token may read that one restorer makes.
pub const RESTORE_MS: i64 = HOUR_MS;

/// An act. Its JSON is what others agree to: a field that is added must be left out where it says
/// nothing, so that the contents of older acts stay what they were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
pub enum Act {
    /// To look at whatever the pages show.
    Look,
    /// To seal.
    Seal,
    /// To open the seal of which a leaf tells.
    Unseal {
        /// The leaf.
        leaf: u64,
    },
    /// To take back deletions in a repository.
    Undelete {
        /// Which one.
        repository: RepositoryPath,
    },
    /// To take out of sight what a token has put.
    Hide {
        /// Its name.
        token: String,
        /// From when on, by the wall time of the log in milliseconds.
        since_ms: i64,
    },
    /// To show it again.
    Unhide {
        /// Its name.
        token: String,
    },
    /// To let a key in.
    AdmitKey {
        /// Into which repository.
        repository: RepositoryPath,
        /// The key.
        key: Id,
    },
    /// To let the key of a client go that is bound to a token.
    ForgetClientKey {
        /// The token's name.
        token: String,
    },
    /// To make a repository.
    AddRepository {
        /// Its path.
        repository: RepositoryPath,
    },
    /// To bound what a repository may hold.
    Quota {
        /// Which one.
        repository: RepositoryPath,
        /// The most bytes; none for no bound.
        bytes: Option<u64>,
    },
    /// To keep things for longer, or for less long.
    Keep {
        /// In which repository.
        repository: RepositoryPath,
        /// For how long they are kept.
        from: Keeping,
        /// For how long they shall be.
        to: Keeping,
        /// For how long several agreed last that they are, or what the repository was made with.
        agreed: Keeping,
        /// Whether that must never be lowered.
        is_compliant: bool,
    },
    /// To have it never lowered, and that never undone.
    Comply {
        /// In which repository.
        repository: RepositoryPath,
    },
    /// To agree to many deletions, so that purging goes on.
    AgreeToPurge {
        /// In which repository.
        repository: RepositoryPath,
        /// How many there are.
        tombstones: u64,
        /// The leaf of the newest one.
        newest: Option<u64>,
    },
    /// To believe the wall clock after a jump, so that purging goes on.
    ConfirmClock {
        /// The leaf that tells of the jump.
        leaf: u64,
    },
    /// To let vault time catch up what the vault was off.
    CatchUp {
        /// By so many milliseconds.
        by_ms: i64,
    },
    /// To purge before its time what a revoked token has put.
    PurgeEarly {
        /// Its name.
        token: String,
        /// From which leaf on.
        since: u64,
    },
    /// To remove a repository.
    RemoveRepository {
        /// Which one.
        repository: RepositoryPath,
    },
    /// To make a token.
    MakeToken {
        /// What it may do.
        right: Right,
        /// With which repository, or those in which folder.
        prefix: RepositoryPath,
        /// For how long, in milliseconds.
        expires_in_ms: Option<i64>,
        /// The revoked token in whose place it is, with the same right for the same repositories.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        in_place_of: Option<String>,
    },
    /// To set what a token may do in a day.
    TokenDay {
        /// Its name.
        token: String,
        /// The most bytes that it may put.
        bytes: Option<u64>,
        /// The most objects that it may put and ask to be deleted.
        objects: Option<u64>,
    },
    /// To end a token.
    RevokeToken {
        /// Its name.
        token: String,
    },
    /// To end the sessions of an operator.
    EndSessions {
        /// Of whom.
        of: OperatorId,
    },
    /// To enrol a factor of his own.
    Enrol {
        /// Who.
        operator: OperatorId,
        /// The number of the lost one that it replaces, which goes; only by a recovery code. Then he
        /// has replaced one in the sense of [`Factors`](crate::Factors).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        in_place_of: Option<i64>,
    },
    /// To invite somebody.
    AddOperator {
        /// His name.
        name: Name,
        /// What he shall be there for.
        roles: Roles,
    },
    /// To give an operator new roles.
    SetRoles {
        /// Whom.
        operator: OperatorId,
        /// All that he shall have.
        roles: Roles,
    },
    /// To let an operator enrol factors anew who has lost his.
    RecoverOperator {
        /// Whom.
        operator: OperatorId,
    },
    /// To remove a factor of an operator.
    RemoveFactor {
        /// Whose.
        operator: OperatorId,
        /// Its number.
        factor: i64,
    },
    /// To take all rights from an operator until he is reinstated.
    Suspend {
        /// Whom.
        operator: OperatorId,
    },
    /// To give them back.
    Reinstate {
        /// To whom.
        operator: OperatorId,
    },
    /// To remove an operator.
    RemoveOperator {
        /// Whom.
        operator: OperatorId,
    },
    /// To set how many have to agree.
    SetRule {
        /// How many.
        rule: Rule,
    },
    /// To have verdicts not acted upon for a while.
    Maintain {
        /// From when, by vault time in milliseconds.
        from_ms: i64,
        /// Until when.
        until_ms: i64,
    },
    /// To have the guard look less closely.
    LoosenGuard {
        /// The SHA-256 of what it shall go by.
        policy: Id,
    },
}

/// Who does it at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Whoever counts.
    Anybody,
    /// Whoever has one of these roles.
    One(Roles),
    /// The operator himself, and for others whoever has one of these roles.
    HimselfOr(OperatorId, Roles),
}

/// What an act weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// One person does it at once.
    AtOnce(By, Want),
    /// Several have to agree, and then it waits.
    ByApproval,
    /// It is never done.
    Never(&'static str),
}

/// Why it is never lowered what is compliant.
const COMPLIANT: &str = "the repository is compliant, so that it is never kept for less";

const fn one(role: Role) -> By {
    By::One(Roles::NONE.with(role))
}

/// Who takes access away.
const GUARDIANS: Roles = Roles::NONE.with(Role::Keeper).with(Role::Security);

impl Act {
    /// What it weighs.
    pub fn weight(&self) -> Weight {
        match self {
            Self::Look => Weight::AtOnce(By::Anybody, Want::Look),
            Self::Seal => Weight::AtOnce(By::Anybody, Want::TakeAway),
            Self::RevokeToken { .. } | Self::Hide { .. } => {
                Weight::AtOnce(By::One(GUARDIANS), Want::TakeAway)
            }
            Self::EndSessions { of } => {
                Weight::AtOnce(By::HimselfOr(*of, GUARDIANS), Want::TakeAway)
            }
            Self::Enrol { operator, .. } => {
                Weight::AtOnce(By::HimselfOr(*operator, Roles::NONE), Want::Enrol)
            }
            Self::Undelete { .. }
            | Self::Unhide { .. }
            | Self::AdmitKey { .. }
            | Self::ForgetClientKey { .. }
            | Self::AddRepository { .. }
            | Self::Quota { .. }
            | Self::TokenDay { .. } => Weight::AtOnce(one(Role::Keeper), Want::Change),
            Self::Keep {
                from,
                to,
                agreed,
                is_compliant,
                ..
            } => match from.change_to(*to, *agreed) {
                Change::None | Change::Raised => Weight::AtOnce(one(Role::Keeper), Want::Change),
                Change::Lowered if *is_compliant => Weight::Never(COMPLIANT),
                Change::RaisedFar | Change::Lowered => Weight::ByApproval,
            },
            Self::MakeToken {
                right,
                expires_in_ms,
                ..
            } => match right {
                Right::Append | Right::Report => Weight::AtOnce(one(Role::Keeper), Want::Change),
                Right::Read if expires_in_ms.is_some_and(|ms| ms <= RESTORE_MS) => {
                    Weight::AtOnce(one(Role::Restorer), Want::Restore)
                }
                Right::Read | Right::Maintain => Weight::ByApproval,
            },
            Self::Unseal { .. }
            | Self::Comply { .. }
            | Self::AgreeToPurge { .. }
            | Self::ConfirmClock { .. }
            | Self::CatchUp { .. }
            | Self::PurgeEarly { .. }
            | Self::RemoveRepository { .. }
            | Self::AddOperator { .. }
            | Self::SetRoles { .. }
            | Self::RecoverOperator { .. }
            | Self::RemoveFactor { .. }
            | Self::Suspend { .. }
            | Self::Reinstate { .. }
            | Self::RemoveOperator { .. }
            | Self::SetRule { .. }
            | Self::Maintain { .. }
            | Self::LoosenGuard { .. } => Weight::ByApproval,
        }
    }

    /// Whether what it says of what there is holds: as it is asked for, or done at once. So others
    /// agree to what is true, and one person raises what holds and nothing else.
    ///
    /// # Errors
    /// [`Refusal::Changed`].
    pub(crate) fn check_says_true(&self, world: &World<'_>) -> Result<(), Refusal> {
        let is_true = match self {
            Self::Keep {
                repository,
                from,
                agreed,
                is_compliant,
                ..
            } => world.held_in(repository).is_some_and(|held| {
                (held.keeping, held.agreed, held.is_compliant) == (*from, *agreed, *is_compliant)
            }),
            Self::MakeToken {
                right,
                prefix,
                in_place_of: Some(token),
                ..
            } => world.revoked.iter().any(|revoked| {
                revoked.token == *token && revoked.right == *right && revoked.prefix == *prefix
            }),
            _ => true,
        };
        match is_true {
            true => Ok(()),
            false => Err(Refusal::Changed),
        }
    }

    /// Whether what was asked for can still be done: what has become compliant meanwhile stays, and a
    /// token is replaced once. What was approved as lowering stays that, so that nobody holds it back
    /// by raising a little; what comes of it, [`Held::after`](crate::keeping::Held::after) says.
    ///
    /// # Errors
    /// [`Refusal::Changed`], [`Refusal::Never`].
    pub(crate) fn check_still_means(&self, world: &World<'_>) -> Result<(), Refusal> {
        let Self::Keep {
            repository,
            from,
            to,
            ..
        } = self
        else {
            return self.check_says_true(world);
        };
        let held = world.held_in(repository).ok_or(Refusal::Changed)?;
        let moved = held.keeping.moved(*from, *to);
        match held.is_compliant && held.keeping.change_to(moved, held.agreed) == Change::Lowered {
            true => Err(Refusal::Never { why: COMPLIANT }),
            false => Ok(()),
        }
    }

    /// What the seal makes of it.
    pub fn under_seal(&self) -> UnderSeal {
        match self {
            Self::Look
            | Self::Seal
            | Self::Unseal { .. }
            | Self::Undelete { .. }
            | Self::Hide { .. }
            | Self::RevokeToken { .. }
            | Self::EndSessions { .. } => UnderSeal::AsEver,
            Self::MakeToken {
                right: Right::Read,
                expires_in_ms,
                ..
            } if expires_in_ms.is_some_and(|ms| ms <= RESTORE_MS) => UnderSeal::AsEver,
            Self::MakeToken {
                right: Right::Append,
                in_place_of: Some(_),
                ..
            }
            | Self::Unhide { .. }
            | Self::Suspend { .. } => UnderSeal::WithoutDelay,
            _ => UnderSeal::Refused,
        }
    }

    /// How long it waits once it is agreed to, in milliseconds.
    pub fn delay_ms(&self, seal: Seal) -> i64 {
        match (self, self.under_seal()) {
            (Self::Unseal { .. }, _) => UNSEAL_DELAY_MS,
            (_, UnderSeal::WithoutDelay) if seal.is_closed() => 0,
            _ => DELAY_MS,
        }
    }

    /// Which operator it is about: he neither approves nor stops it.
    pub const fn about(&self) -> Option<OperatorId> {
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

    /// Of which operator it may make one who does not approve: `None` where of nobody.
    pub(crate) fn unmakes(&self) -> Option<OperatorId> {
        match self {
            Self::SetRoles { operator, roles } if !roles.has(Role::Security) => Some(*operator),
            Self::Suspend { operator } | Self::RemoveOperator { operator } => Some(*operator),
            Self::RecoverOperator { operator } | Self::RemoveFactor { operator, .. } => {
                Some(*operator)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(right: Right, expires_in_ms: Option<i64>) -> Act {
        Act::MakeToken {
            right,
            prefix: "acme/repos".parse().unwrap(),
            expires_in_ms,
            in_place_of: None,
        }
    }

    #[test]
    fn tokens_weigh_what_they_can_do() {
        for (right, expires_in_ms, is_at_once) in [
            (Right::Append, None, true),
            (Right::Report, None, true),
            (Right::Read, Some(RESTORE_MS), true),
            (Right::Read, Some(RESTORE_MS + 1), false),
            (Right::Read, None, false),
            (Right::Maintain, Some(1), false),
        ] {
            let weight = token(right, expires_in_ms).weight();
            assert_eq!(weight != Weight::ByApproval, is_at_once, "{right}");
        }
    }

    #[test]
    fn under_the_seal_only_a_revoked_token_is_replaced_and_one_restores_for_an_hour() {
        assert_eq!(token(Right::Append, None).under_seal(), UnderSeal::Refused);
        let replaced = Act::MakeToken {
            right: Right::Append,
            prefix: "acme".parse().unwrap(),
            expires_in_ms: None,
            in_place_of: Some("abc".to_owned()),
        };
        assert_eq!(replaced.under_seal(), UnderSeal::WithoutDelay);
        let restores = token(Right::Read, Some(RESTORE_MS));
        assert_eq!(restores.under_seal(), UnderSeal::AsEver);
        assert_eq!(token(Right::Read, None).under_seal(), UnderSeal::Refused);
    }

    #[test]
    fn the_contents_are_told_in_json_that_stays_what_it_was() {
        let json = |act: &Act| serde_json::to_string(act).unwrap();
        assert_eq!(
            json(&Act::Unseal { leaf: 7 }),
            r#"{"act":"unseal","leaf":7}"#
        );
        assert_eq!(
            json(&token(Right::Maintain, None)),
            r#"{"act":"make-token","right":"maintain","prefix":"acme/repos","expires_in_ms":null}"#
        );
        let act = token(Right::Read, Some(5));
        assert_eq!(serde_json::from_str::<Act>(&json(&act)).unwrap(), act);
    }

    #[test]
    fn a_compliant_repository_is_never_kept_for_less() {
        let keep = |to: i64, is_compliant: bool| Act::Keep {
            repository: "acme".parse().unwrap(),
            from: Keeping {
                retention_ms: 10,
                grace_ms: 10,
            },
            to: Keeping {
                retention_ms: to,
                grace_ms: 10,
            },
            agreed: Keeping {
                retention_ms: 10,
                grace_ms: 10,
            },
            is_compliant,
        };
        assert!(matches!(keep(9, true).weight(), Weight::Never(_)));
        assert_eq!(keep(9, false).weight(), Weight::ByApproval);
        assert_eq!(keep(21, true).weight(), Weight::ByApproval);
        assert!(matches!(keep(20, true).weight(), Weight::AtOnce(..)));
    }
}
