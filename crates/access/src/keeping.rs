//! For how long a repository keeps things, and how far one person may raise that.

use serde::{Deserialize, Serialize};

use strongroom_model::RepositoryPath;

use crate::permit::{Permit, Way};
use crate::{Act, DAY_MS};

/// One person raises a period to this at most; more fills disks for years, and nobody can take it
/// back.
const MOST_BY_ONE_MS: i64 = 365 * DAY_MS;

/// For how long a repository keeps what arrives, and what is asked to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keeping {
    /// The least time from arrival to purge, in milliseconds.
    pub retention_ms: i64,
    /// The least time from tombstone to purge, in milliseconds.
    pub grace_ms: i64,
}

/// What it means to go from one to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It stays as it is.
    None,
    /// It is raised, as far as one person may.
    Raised,
    /// It is raised, and further than that.
    RaisedFar,
    /// Something is kept for less long.
    Lowered,
}

/// What one repository keeps now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which one.
    pub repository: RepositoryPath,
    /// For how long.
    pub keeping: Keeping,
    /// For how long several agreed last that it does, or what it was made with.
    pub agreed: Keeping,
    /// Whether that must never be lowered.
    pub is_compliant: bool,
}

impl Held {
    /// What it keeps after an act that was permitted; the same where that is about something else.
    ///
    /// **Security:** only what others agreed to counts as agreed to. What one person has raised does
    /// not: otherwise he would double it again and again.
    #[must_use]
    pub fn after(&self, permit: &Permit) -> Self {
        let mut after = self.clone();
        match permit.act() {
            Act::Keep {
                repository,
                from,
                to,
                ..
            } if *repository == self.repository => {
                after.keeping = self.keeping.moved(*from, *to);
                if let Way::Operation { .. } = permit.way() {
                    after.agreed = *to;
                }
            }
            Act::Comply { repository } if *repository == self.repository => {
                after.is_compliant = true;
            }
            _ => {}
        }
        after
    }
}

impl Keeping {
    /// What comes of going `from` one `to` another where this is kept by now: what shall be lowered is,
    /// and nothing else is kept for less long than now. So nobody lowers what others did not agree to
    /// lower, and nobody holds a lowering back by raising something meanwhile.
    #[must_use]
    pub(crate) fn moved(self, from: Self, to: Self) -> Self {
        let moved = |now_ms: i64, from_ms: i64, to_ms: i64| match to_ms < from_ms {
            true => to_ms,
            false => to_ms.max(now_ms),
        };
        Self {
            retention_ms: moved(self.retention_ms, from.retention_ms, to.retention_ms),
            grace_ms: moved(self.grace_ms, from.grace_ms, to.grace_ms),
        }
    }

    /// What a change to `other` means, where `agreed` is what several agreed to last, or what the
    /// repository was made with.
    ///
    /// **Security:** what one may is counted from there: doubling again and again would be no bound.
    pub fn change_to(self, other: Self, agreed: Self) -> Change {
        let periods = [
            (self.retention_ms, other.retention_ms, agreed.retention_ms),
            (self.grace_ms, other.grace_ms, agreed.grace_ms),
        ];
        if periods.iter().any(|(from, to, _)| to < from) {
            return Change::Lowered;
        }
        let raised = periods.iter().filter(|(from, to, _)| to > from);
        let mut change = Change::None;
        for (_, to, agreed) in raised {
            if *to > agreed.saturating_mul(2).min(MOST_BY_ONE_MS) {
                return Change::RaisedFar;
            }
            change = Change::Raised;
        }
        change
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn days(retention: i64, grace: i64) -> Keeping {
        Keeping {
            retention_ms: retention * DAY_MS,
            grace_ms: grace * DAY_MS,
        }
    }

    #[test]
    fn one_person_at_most_doubles_and_never_beyond_a_year() {
        for (from, to, change) in [
            (days(30, 30), days(30, 30), Change::None),
            (days(30, 30), days(60, 30), Change::Raised),
            (days(30, 30), days(60, 61), Change::RaisedFar),
            (days(30, 30), days(61, 30), Change::RaisedFar),
            (days(30, 30), days(90, 29), Change::Lowered),
            (days(300, 30), days(365, 30), Change::Raised),
            (days(300, 30), days(366, 30), Change::RaisedFar),
            (days(400, 30), days(400, 60), Change::Raised),
            (days(400, 30), days(401, 30), Change::RaisedFar),
            (days(30, 30), days(36_500, 30), Change::RaisedFar),
        ] {
            assert_eq!(from.change_to(to, from), change, "{from:?} to {to:?}");
        }
    }

    #[test]
    fn only_what_was_said_is_lowered_and_raising_meanwhile_holds_it_back_nowhere() {
        for (now, from, to, moved) in [
            (days(60, 30), days(60, 30), days(30, 30), days(30, 30)),
            (days(61, 30), days(60, 30), days(30, 30), days(30, 30)),
            (days(60, 31), days(60, 30), days(30, 30), days(30, 31)),
            (days(301, 30), days(30, 30), days(300, 30), days(301, 30)),
            (days(30, 30), days(60, 30), days(30, 90), days(30, 90)),
        ] {
            assert_eq!(now.moved(from, to), moved, "{now:?}: {from:?} to {to:?}");
        }
    }

    #[test]
    fn whoever_doubles_again_has_doubled_already() {
        let (made, doubled) = (days(30, 30), days(60, 30));
        assert_eq!(doubled.change_to(days(61, 30), made), Change::RaisedFar);
        assert_eq!(doubled.change_to(days(60, 60), made), Change::Raised);
        assert_eq!(doubled.change_to(days(120, 30), doubled), Change::Raised);
    }
}
