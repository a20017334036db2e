//! The vault's side of its log: which one it is, what is published, and how another one begins.

use strongroom_ledger::Checkpoint;

use crate::Result;
use crate::database::Transaction;
use crate::records::leaves::{self, Act, Head};
use crate::records::log::{self as identities, LogIdentity};
use crate::vault::Vault;

/// How many leaves are carried into a new log at a time.
const CHUNK: u64 = 4_096;

/// The end of a log that cannot be gone on with.
#[derive(Clone, Debug, Default)]
pub struct OldLog {
    /// Its last checkpoint, as the file has it.
    pub note: Option<String>,
    /// The same, where the vault's key has signed it.
    pub verified: Option<Checkpoint>,
}

impl Vault {
    /// Which log it writes.
    pub fn log(&self) -> &LogIdentity {
        &self.shared.log
    }

    /// What its log is called.
    pub fn origin(&self) -> &str {
        &self.shared.log.origin
    }

    /// Where the head of the log stands, in numbers of leaves.
    ///
    /// # Errors
    /// Those of the database.
    pub fn log_head(&self) -> Result<Head> {
        self.read(|transaction| leaves::head(transaction))
    }

    /// Notes that leaves are in the log's files; those before `bundled` are let go of here.
    ///
    /// # Errors
    /// Those of the database.
    pub(crate) fn mark_published(&self, published: u64, bundled: u64) -> Result<()> {
        self.shared
            .commits
            .commit(move |transaction| leaves::mark_published(transaction, published, bundled))
    }

    /// Notes that the files of the log are not what was written. The leaf is published when they
    /// are again, or in the log that takes the place of this one.
    ///
    /// # Errors
    /// Those of the database.
    pub(crate) fn note_log_wrong(&self, what: &str) -> Result<()> {
        let now = self.now();
        let what: String = what.chars().take(1_000).collect();
        self.shared.commits.commit(move |transaction| {
            leaves::append(transaction, now, &Act::LogWrong { what: what.clone() })?;
            Ok(())
        })
    }

    /// Begins a new log in the database; returns which one. Its files come when it is published by
    /// a vault that is opened anew.
    ///
    /// The number of its first leaf is greater than that of every leaf that either the database or
    /// the old log's last checkpoint knows, so that no two leaves of the vault ever have the same.
    ///
    /// # Errors
    /// Those of the database.
    pub(crate) fn begin_new_log(&self, old: OldLog, because: &str) -> Result<LogIdentity> {
        let now = self.now();
        let because: String = because.chars().take(1_000).collect();
        self.shared.commits.commit(move |transaction| {
            let before = identities::get_or_name(transaction, "")?;
            let head = leaves::head(transaction)?;
            let signed = old.verified.as_ref().map(Checkpoint::size);
            let signed = signed.map(|size| before.base.saturating_add(size));
            let base = head.leaves.max(signed.unwrap_or_default());
            let from = head.published.min(signed.unwrap_or(head.published));
            let untold = untold(transaction, from, head.leaves)?;
            let identity = LogIdentity {
                number: before.number + 1,
                origin: next_origin(&before),
                base,
                before: old.note.clone(),
            };
            leaves::rebase(transaction, base)?;
            identities::set(transaction, &identity)?;
            let act = Act::NewLog {
                log: identity.number,
                origin: identity.origin.clone(),
                origin_before: before.origin,
                before: old.note.clone(),
                is_verified: old.verified.is_some(),
                because: because.clone(),
            };
            leaves::append(transaction, now, &act)?;
            for entry in untold {
                leaves::append(transaction, now, &Act::Carried { entry })?;
            }
            Ok(identity)
        })
    }
}

/// What the next log is called: as the first one, and its number.
fn next_origin(before: &LogIdentity) -> String {
    let own = format!("/{}", before.number);
    let first = match before.number {
        1 => before.origin.as_str(),
        _ => before.origin.strip_suffix(&own).unwrap_or(&before.origin),
    };
    format!("{first}/{}", before.number + 1)
}

/// The leaves that are not known to be in the old log's files.
fn untold(transaction: &mut dyn Transaction, from: u64, until: u64) -> Result<Vec<String>> {
    let mut untold = Vec::new();
    let mut next = from;
    while next < until {
        let count = CHUNK.min(until - next);
        leaves::entries(transaction, next, count, &mut |_, entry| {
            untold.push(String::from_utf8_lossy(&entry).into_owned());
            Ok(())
        })?;
        next += count;
    }
    Ok(untold)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_log_has_a_name_of_its_own() {
        let mut log = LogIdentity {
            number: 1,
            origin: "vault.example.net/strongroom".to_owned(),
            base: 0,
            before: None,
        };
        for number in 2..13 {
            log.origin = next_origin(&log);
            log.number += 1;
            assert_eq!(log.origin, format!("vault.example.net/strongroom/{number}"));
        }
    }
}
