//! What is kept, and what tokens and the clock have to do with that.

use crate::approvals::act::Act;
use crate::approvals::effect::{Effect, Keeping};
use crate::approvals::time::milliseconds;
use crate::approvals::{Approvals, DAY_MS, HOUR_MS, leaf};

/// The most repositories that are kept in mind.
const MOST_REPOSITORIES: usize = 100_000;

/// The longest path of one, in bytes.
const LONGEST_PATH_BYTES: usize = 1 << 10;

/// One person raises a period to this at most, and to twice what several agreed to.
const MOST_BY_ONE_S: i64 = 365 * DAY_MS / 1_000;

/// What one repository keeps.
#[derive(Debug)]
pub(super) struct Repository {
    keeping: Keeping,
    /// What several agreed to last, or what it was made with.
    agreed: Keeping,
    is_compliant: bool,
}

/// What it means to go from one to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Raised,
    RaisedFar,
    Lowered,
}

impl Keeping {
    fn change_to(self, other: Self, agreed: Self) -> Change {
        let periods = [
            (self.retention_s, other.retention_s, agreed.retention_s),
            (self.grace_s, other.grace_s, agreed.grace_s),
        ];
        if periods.iter().any(|(from, to, _)| to < from) {
            return Change::Lowered;
        }
        // Leaves have whole seconds: what was cut from a period may be doubled as well.
        let is_far = |(from, to, agreed): &(i64, i64, i64)| {
            let most_s = agreed
                .saturating_add(1)
                .saturating_mul(2)
                .min(MOST_BY_ONE_S);
            to > from && *to > most_s
        };
        match periods.iter().any(is_far) {
            true => Change::RaisedFar,
            false => Change::Raised,
        }
    }
}

impl leaf::Repository {
    const fn keeping(&self) -> Keeping {
        Keeping {
            retention_s: self.retention_s,
            grace_s: self.grace_s,
        }
    }
}

impl Approvals {
    pub(super) fn repository(&mut self, leaf: leaf::Repository) {
        if self.repositories.contains_key(&leaf.repository) {
            self.never("To make a repository", "there is one of that path");
            return;
        }
        let is_long = leaf.repository.len() > LONGEST_PATH_BYTES;
        if is_long || self.repositories.len() >= MOST_REPOSITORIES {
            self.too_many("repositories", MOST_REPOSITORIES);
            return;
        }
        let made = Repository {
            keeping: leaf.keeping(),
            agreed: leaf.keeping(),
            is_compliant: false,
        };
        self.repositories.insert(leaf.repository, made);
    }

    pub(super) fn retention(&mut self, leaf: &leaf::Repository) {
        let after = leaf.keeping();
        let known = self.repositories.get_mut(&leaf.repository);
        let before = known.as_ref().map(|known| known.keeping);
        let change = known
            .as_ref()
            .map(|known| known.keeping.change_to(after, known.agreed));
        let is_compliant = known.as_ref().is_some_and(|known| known.is_compliant);
        if let Some(known) = known {
            known.keeping = after;
        }
        let effect = Effect::Keeping {
            repository: &leaf.repository,
            before,
            after,
        };
        let Some(change) = change else {
            self.never(effect.what(), "no leaf tells of such a repository");
            return;
        };
        if change == Change::Lowered && is_compliant {
            self.never(
                effect.what(),
                "the repository is compliant, and never kept for less",
            );
        }
        let may = match change {
            Change::Lowered => false,
            Change::RaisedFar => self.is_folder_alone(),
            Change::Raised => !self.world.is_sealed(),
        };
        self.judge(leaf.by.as_ref(), &effect, may);
    }

    /// Notes what several have agreed to, once it is done.
    pub(super) fn keep_agreed(&mut self, act: &Act) {
        if let Act::Keep { repository, to, .. } = act
            && let Some(known) = self.repositories.get_mut(repository)
        {
            known.agreed = to.seconds();
        }
    }

    pub(super) fn compliant(&mut self, leaf: &leaf::Compliant) {
        let repository = &leaf.repository;
        self.judge(Some(&leaf.by), &Effect::Compliant { repository }, false);
        if let Some(known) = self.repositories.get_mut(repository) {
            known.is_compliant = true;
        }
    }

    pub(super) fn token_made(&mut self, leaf: &leaf::TokenMade) -> Result<(), &'static str> {
        let expires_ms = match &leaf.expires {
            Some(text) => Some(milliseconds(text).ok_or("the end of its token is no time")?),
            None => None,
        };
        let lasts_ms = expires_ms.map(|ms| ms.saturating_sub(self.now_ms));
        let may = match leaf.right.as_str() {
            "maintain" => self.is_folder_alone(),
            "read" => lasts_ms.is_some_and(|ms| ms <= HOUR_MS) || self.is_folder_alone(),
            _ => !self.world.is_sealed(),
        };
        let effect = Effect::Token {
            right: &leaf.right,
            prefix: &leaf.prefix,
            lasts_ms,
        };
        self.judge(leaf.by.as_ref(), &effect, may);
        Ok(())
    }

    pub(super) fn purge_agreed(&mut self, leaf: &leaf::PurgeAgreed) {
        let effect = Effect::PurgeAgreed {
            repository: &leaf.repository,
            tombstones: leaf.tombstones,
            newest: leaf.newest_tombstone,
        };
        self.judge(leaf.by.as_ref(), &effect, self.is_folder_alone());
    }

    pub(super) fn clock_confirmed(&mut self, leaf: &leaf::Clock) {
        let may = self.is_folder_alone();
        self.judge(leaf.by.as_ref(), &Effect::ClockConfirmed, may);
    }

    pub(super) fn clock_caught_up(&mut self, leaf: &leaf::Clock) -> Result<(), &'static str> {
        let by_ms = leaf.by_ms.ok_or("it does not say by how much")?;
        let may = self.is_folder_alone();
        self.judge(leaf.by.as_ref(), &Effect::ClockCaughtUp { by_ms }, may);
        Ok(())
    }
}
