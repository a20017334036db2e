//! Why nothing is pruned: collected, so that one run tells all of it.

use std::collections::BTreeSet;

use parking_lot::Mutex;

use crate::{Error, Result};

/// What is in the way; each is told once.
#[derive(Debug, Default)]
pub(super) struct Obstacles(Mutex<BTreeSet<String>>);

/// How many are named.
const NAMED: usize = 10;

/// How many are kept at most.
const KEPT: usize = 100_000;

/// What to do where it is not known what is needed.
pub(super) const UNREADABLE_HINT: &str = "see what is wrong: strongroom verify; another copy may \
    have it whole: strongroom sync. What is no file of this repository can be removed by hand";

/// What to do where something is needed that is not there.
pub(super) const MISSING_HINT: &str = "see what is wrong: strongroom verify; bring back a copy \
    that has it, then: strongroom sync. If it is lost for good, let go of the snapshots that need \
    it: strongroom forget SNAPSHOT";

impl Obstacles {
    /// Notes what is in the way.
    pub(super) fn note(&self, reason: String) {
        tracing::debug!(reason, "Nothing can be pruned");
        let mut reasons = self.0.lock();
        if reasons.len() < KEPT {
            reasons.insert(reason);
        }
    }

    /// Fails where anything is in the way.
    ///
    /// # Errors
    /// [`Error::NotPruned`].
    pub(super) fn check(&self, hint: &str) -> Result<()> {
        let reasons = self.0.lock();
        if reasons.is_empty() {
            return Ok(());
        }
        let mut told: Vec<String> = reasons.iter().take(NAMED).cloned().collect();
        let more = reasons.len().saturating_sub(told.len());
        if more > 0 {
            told.push(format!("and {more} more"));
        }
        Err(Error::NotPruned {
            reasons: told,
            hint: hint.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_way_is_told_once_and_not_without_end() {
        let obstacles = Obstacles::default();
        obstacles.check("hint").unwrap();
        for number in 0..15 {
            obstacles.note(format!("reason {:02}", number % 12));
        }
        let error = obstacles.check("do this").unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("Nothing is pruned: reason 00; reason 01; "),
            "{text}"
        );
        assert!(text.ends_with("reason 09; and 2 more"), "{text}");
        assert_eq!(error.hint().as_deref(), Some("do this"));
    }
}
