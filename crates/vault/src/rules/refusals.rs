//! Which refusals become leaves: for one token and reason at most one a minute, which says how many
//! went before it.
//!
//! A leaf names the repository of the first of them, and says where others were of another one: who
//! is refused a thousand times at one door and once at the next cannot choose which is told.
//!
//! So every refusal is counted in the log, and nobody can flood it: how many leaves there can be
//! depends on how many tokens there are, and not on how often they ask.

use std::collections::BTreeMap;

use strongroom_model::RepositoryPath;

use crate::rules::clock::MINUTE_MS;

/// The most tokens and reasons that are kept apart; all others are counted together.
const KINDS: usize = 1_024;

/// Why something was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The token may not do this, or not there.
    Forbidden,
    /// The token may not ask for deletion.
    Deletion,
    /// The bytes are not what their name says, or no file of their type.
    BadBytes,
    /// The file is larger than is taken.
    TooLarge,
    /// A quota, the limit of a day or the disk is used up.
    NoRoom,
    /// An operator has hidden the file.
    Hidden,
    /// There is another `config`.
    OtherConfig,
    /// Several people would have to agree, or more than what was agreed to.
    NeedsApproval,
    /// What administers the vault, asked for from elsewhere or with another token.
    Administrator,
    /// A receipt by another client than the one that the token is bound to.
    OtherClient,
    /// A receipt or a request that makes no sense, or is forged.
    Malformed,
    /// There is no token, or none that is known.
    UnknownToken,
    /// The token has the name of one that is known, and another secret.
    WrongSecret,
    /// The token has expired.
    Expired,
    /// The token was revoked.
    Revoked,
    /// Too many different ones to keep apart.
    Many,
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The name of the token, where it is known.
    pub token: Option<String>,
    /// Why.
    pub reason: Reason,
    /// In which repository.
    pub repository: Option<RepositoryPath>,
}

/// What a leaf tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The first refusal of its kind, or the first that was of a repository.
    pub refusal: Refusal,
    /// Whether some of those that it tells were of other repositories.
    pub are_elsewhere: bool,
    /// How many of the same token and reason went before it that no leaf tells.
    pub before: u64,
}

/// Refusals that no leaf tells yet.
#[derive(Debug, Default)]
pub struct Refusals {
    kinds: BTreeMap<(Option<String>, Reason), Kind>,
}

#[derive(Debug, Default)]
struct Kind {
    /// When the last leaf told of it.
    told_ms: Option<i64>,
    untold: u64,
    /// Of the first one that was of a repository.
    repository: Option<RepositoryPath>,
    are_elsewhere: bool,
}

impl Kind {
    /// Takes in that one was of a repository.
    fn note(&mut self, repository: Option<RepositoryPath>) {
        match (&self.repository, repository) {
            (None, repository) => self.repository = repository,
            (Some(first), Some(other)) => self.are_elsewhere |= *first != other,
            (Some(_), None) => {}
        }
    }
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 16] = [
        Self::Forbidden,
        Self::Deletion,
        Self::BadBytes,
        Self::TooLarge,
        Self::NoRoom,
        Self::Hidden,
        Self::OtherConfig,
        Self::NeedsApproval,
        Self::Administrator,
        Self::OtherClient,
        Self::Malformed,
        Self::UnknownToken,
        Self::WrongSecret,
        Self::Expired,
        Self::Revoked,
        Self::Many,
    ];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden",
            Self::Deletion => "deletion",
            Self::BadBytes => "bad-bytes",
            Self::TooLarge => "too-large",
            Self::NoRoom => "no-room",
            Self::Hidden => "hidden",
            Self::OtherConfig => "other-config",
            Self::NeedsApproval => "needs-approval",
            Self::Administrator => "administrator",
            Self::OtherClient => "other-client",
            Self::Malformed => "malformed",
            Self::UnknownToken => "unknown-token",
            Self::WrongSecret => "wrong-secret",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Many => "many",
        }
    }
}

impl Refusals {
    /// Takes a refusal in.
    pub fn note(&mut self, refusal: Refusal) {
        let Refusal {
            token,
            reason,
            repository,
        } = refusal;
        let mut key = (token, reason);
        let mut repository = repository;
        if self.kinds.len() >= KINDS && !self.kinds.contains_key(&key) {
            key = (None, Reason::Many);
            repository = None;
        }
        let kind = self.kinds.entry(key).or_default();
        kind.untold = kind.untold.saturating_add(1);
        kind.note(repository);
    }

    /// What is to be told now, at most so many; it counts as told. Times are of any clock that
    /// does not run backward.
    pub fn due(&mut self, now_ms: i64, most: usize) -> Vec<Told> {
        let is_long_ago = |told_ms: Option<i64>| {
            told_ms.is_none_or(|told_ms| now_ms.saturating_sub(told_ms) >= MINUTE_MS)
        };
        self.kinds
            .retain(|_, kind| kind.untold > 0 || !is_long_ago(kind.told_ms));
        let mut due = Vec::new();
        for ((token, reason), kind) in &mut self.kinds {
            if due.len() >= most {
                break;
            }
            if kind.untold == 0 || !is_long_ago(kind.told_ms) {
                continue;
            }
            due.push(Told {
                refusal: Refusal {
                    token: token.clone(),
                    reason: *reason,
                    repository: kind.repository.take(),
                },
                are_elsewhere: std::mem::take(&mut kind.are_elsewhere),
                before: kind.untold - 1,
            });
            kind.untold = 0;
            kind.told_ms = Some(now_ms);
        }
        due
    }

    /// Takes back what could not be told.
    pub fn give_back(&mut self, told: Vec<Told>) {
        for told in told {
            let Told {
                refusal,
                are_elsewhere,
                before,
            } = told;
            let key = (refusal.token, refusal.reason);
            let kind = self.kinds.entry(key).or_default();
            kind.untold = kind.untold.saturating_add(before).saturating_add(1);
            kind.told_ms = None;
            // They came before those that were noted since.
            let since = std::mem::replace(&mut kind.repository, refusal.repository);
            kind.are_elsewhere |= are_elsewhere;
            kind.note(since);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::clock::SECOND_MS;

    fn refusal(token: &str, reason: Reason) -> Refusal {
        Refusal {
            token: Some(token.to_owned()),
            reason,
            repository: "acme/repos".parse().ok(),
        }
    }

    fn befores(refusals: &mut Refusals, now_ms: i64) -> Vec<u64> {
        let due = refusals.due(now_ms, 100);
        due.into_iter().map(|told| told.before).collect()
    }

    #[test]
    fn the_first_is_told_at_once_and_the_others_a_minute_later() {
        let mut refusals = Refusals::default();
        refusals.note(refusal("a", Reason::Deletion));
        assert_eq!(befores(&mut refusals, 0), [0]);
        for _ in 0..100 {
            refusals.note(refusal("a", Reason::Deletion));
        }
        assert!(befores(&mut refusals, MINUTE_MS - 1).is_empty());
        assert_eq!(befores(&mut refusals, MINUTE_MS), [99]);
        assert!(befores(&mut refusals, 10 * MINUTE_MS).is_empty());
        assert!(refusals.kinds.is_empty());
    }

    #[test]
    fn tokens_and_reasons_are_kept_apart() {
        let mut refusals = Refusals::default();
        refusals.note(refusal("a", Reason::Deletion));
        refusals.note(refusal("a", Reason::BadBytes));
        refusals.note(refusal("b", Reason::BadBytes));
        let due = refusals.due(0, 100);
        assert_eq!(due.len(), 3);
        assert!(due.iter().all(|told| told.refusal.repository.is_some()));
    }

    #[test]
    fn the_first_repository_is_told_and_that_there_were_others() {
        let of = |repository: Option<&str>| Refusal {
            repository: repository.and_then(|path| path.parse().ok()),
            ..refusal("a", Reason::Deletion)
        };
        let told = |refusals: &mut Refusals, now_ms| {
            let due = refusals.due(now_ms, 100);
            let told = due.first().unwrap();
            let path = told.refusal.repository.as_ref().map(ToString::to_string);
            (path, told.are_elsewhere, told.before)
        };
        let mut refusals = Refusals::default();
        refusals.note(of(None));
        for _ in 0..1_000 {
            refusals.note(of(Some("acme/vital")));
        }
        let vital = Some("acme/vital".to_owned());
        assert_eq!(told(&mut refusals, 0), (vital.clone(), false, 1_000));
        refusals.note(of(Some("acme/vital")));
        refusals.note(of(Some("acme/other")));
        refusals.note(of(None));
        assert_eq!(told(&mut refusals, MINUTE_MS), (vital.clone(), true, 2));
        // What could not be told stays before what came since.
        refusals.note(of(Some("acme/vital")));
        let due = refusals.due(2 * MINUTE_MS, 100);
        refusals.note(of(Some("acme/other")));
        refusals.give_back(due);
        assert_eq!(told(&mut refusals, 2 * MINUTE_MS), (vital, true, 1));
    }

    #[test]
    fn what_could_not_be_told_is_not_lost() {
        let mut refusals = Refusals::default();
        for _ in 0..5 {
            refusals.note(refusal("a", Reason::NoRoom));
        }
        let due = refusals.due(0, 100);
        refusals.note(refusal("a", Reason::NoRoom));
        refusals.give_back(due);
        assert_eq!(befores(&mut refusals, 1), [5]);
    }

    #[test]
    fn a_million_names_do_not_fill_the_memory() {
        let mut refusals = Refusals::default();
        for number in 0..100_000 {
            refusals.note(refusal(&number.to_string(), Reason::WrongSecret));
        }
        assert!(refusals.kinds.len() <= KINDS + 1);
        let all = refusals.due(0, usize::MAX);
        let told: u64 = all.iter().map(|told| told.before + 1).sum();
        assert_eq!(told, 100_000);
    }

    proptest! {
        #[test]
        fn every_refusal_is_counted_once_and_leaves_are_few(
            seconds in prop::collection::vec((0_i64..20, 0_u8..3), 1..300),
        ) {
            let mut refusals = Refusals::default();
            let (mut now_ms, mut told, mut leaves) = (0, 0, 0);
            for (passed, token) in &seconds {
                now_ms += passed * SECOND_MS;
                refusals.note(refusal(&token.to_string(), Reason::Forbidden));
                for before in befores(&mut refusals, now_ms) {
                    told += before + 1;
                    leaves += 1;
                }
            }
            for before in befores(&mut refusals, i64::MAX) {
                told += before + 1;
            }
            prop_assert_eq!(told, seconds.len() as u64);
            prop_assert!(leaves <= 3 * (now_ms / MINUTE_MS + 1), "{}", leaves);
        }
    }
}
