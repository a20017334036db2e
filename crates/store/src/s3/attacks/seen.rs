//! What is to be seen of an attempt of which the server says that it is done.
//!
//! A yes is worth nothing by itself: a server may take a verb that it does not know for another one,
//! pass over the header that makes it one, or do nothing at all. So a yes counts only where what was
//! asked for can be seen afterwards; else nobody knows whether it was understood.

use strongroom_model::attack::{Attempt, RULE_TAKEN, Said};

use crate::Result;
use crate::s3::attacks::canary::{Canaries, Canary, Found};
use crate::s3::attacks::requests::{JUNK, renamed};

/// What is said of a yes that shows nowhere.
const NOT_SEEN: &str = "it says that it is done, and nothing of it is to be seen";

impl Canaries<'_> {
    /// What was said of an attempt that has left the canary whole, held against what is there now.
    pub(super) fn borne_out(&self, attempt: Attempt, said: Said, canary: &Canary) -> Result<Said> {
        if said != Said::Done {
            return Ok(said);
        }
        let newest = |key: &str| self.fetch(key, None);
        let is_seen = match attempt {
            Attempt::Delete => shows(newest(&canary.key)?, |found| {
                matches!(found, Found::Nothing)
            }),
            Attempt::Overwrite => shows(newest(&canary.key)?, |found| has(found, JUNK)),
            Attempt::Truncate => shows(newest(&canary.key)?, |found| has(found, b"")),
            // A copy of it, and not the canary itself.
            Attempt::CopyOverSelf => shows(newest(&canary.key)?, |found| {
                let is_another = match found {
                    Found::Bytes { version, .. } => *version != canary.version,
                    Found::Nothing | Found::Unknown(_) => false,
                };
                (is_another || canary.version.is_none()) && has(found, &canary.bytes)
            }),
            Attempt::Rename => shows(newest(&renamed(canary))?, |found| has(found, &canary.bytes)),
            // None of them holds it, and nothing is there that could be gone.
            Attempt::RemoveLegalHold => Ok(true),
            // The version is whole, and under its lock.
            _ => Ok(false),
        };
        Ok(match is_seen {
            Ok(true) => Said::Done,
            Ok(false) => Said::Unclear(NOT_SEEN.to_owned()),
            Err(reason) => Said::Unclear(format!("{NOT_SEEN}: {reason}")),
        })
    }
}

/// What was said of an attempt on a whole bucket that has left its canary whole.
pub(super) fn borne_out_by_bucket(attempt: Attempt, said: Said) -> Said {
    match (attempt, said) {
        (Attempt::ChangeLifecycle, Said::Done) => Said::Unclear(RULE_TAKEN.to_owned()),
        // A canary with a lock of its own has lost nothing by it.
        (Attempt::LowerBucketRetention, said) => said,
        (_, Said::Done) => Said::Unclear(NOT_SEEN.to_owned()),
        (_, said) => said,
    }
}

/// Whether what was found shows it, or why that is not known.
fn shows(found: Found, is_it: impl Fn(&Found) -> bool) -> std::result::Result<bool, String> {
    match found {
        Found::Unknown(reason) => Err(reason),
        found => Ok(is_it(&found)),
    }
}

fn has(found: &Found, expected: &[u8]) -> bool {
    matches!(found, Found::Bytes { bytes, .. } if bytes == expected)
}
