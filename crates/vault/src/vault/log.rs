//! The vault's side of its log: which one it is, and how another one begins.

use strongroom_ledger::Checkpoint;

use crate::Result;
use crate::database::Transaction;
use crate::records::cosigned::{self, WitnessState};
use crate::records::leaves::{self, Act};
use crate::records::log::{self as identities, LogIdentity};
use crate::vault::jobs::{self, Job};
use crate::vault::{Vault, no_answer};

/// How many leaves are carried into a new log at a time.
const CHUNK: u64 = 4_096;

/// The most characters of why a log was begun.
const LONGEST_WORDS: usize = 1_000;

/// The end of a log that cannot be gone on with.
#[derive(Clone, Debug, Default)]
pub struct OldLog {
    /// Its last checkpoint, as it was signed.
    pub note: Option<String>,
    /// The same, where the log's key has signed it.
    pub verified: Option<Checkpoint>,
}

/// The log that takes its place.
#[derive(Clone, Debug)]
pub struct NextLog {
    /// Which log of the vault it is.
    pub number: u64,
    /// What it is called; no log ever had that name.
    pub origin: String,
    /// Its key, as text.
    pub key: String,
    /// Why, as an operator says.
    pub because: String,
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

    /// What is known of each witness of its log.
    ///
    /// # Errors
    /// Those of the database.
    pub fn witnesses(&self) -> Result<Vec<WitnessState>> {
        self.read(|transaction| cosigned::witnesses(transaction))
    }

    /// Whether another process serves the vault, or was killed less than half a minute ago.
    ///
    /// # Errors
    /// Those of the database.
    pub fn is_served(&self) -> Result<bool> {
        self.read(|transaction| {
            for job in [Job::Clock, Job::Log] {
                let own = self.shared.leases.lease(job).holder;
                if jobs::holder(transaction, job)?.is_some_and(|holder| holder != own) {
                    return Ok(true);
                }
            }
            Ok(false)
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
    pub(crate) fn begin_new_log(&self, old: OldLog, next: NextLog) -> Result<LogIdentity> {
        let now = self.now();
        let because: String = next.because.chars().take(LONGEST_WORDS).collect();
        self.shared.commits.commit(move |transaction| {
            let before = identities::get(transaction)?.ok_or_else(no_answer)?;
            let head = leaves::head(transaction)?;
            let signed = old.verified.as_ref().map(Checkpoint::size);
            let signed = signed.map(|size| before.base.saturating_add(size));
            let base = head.leaves.max(signed.unwrap_or_default());
            let from = head.published.min(signed.unwrap_or(head.published));
            let untold = untold(transaction, from, head.leaves)?;
            let identity = LogIdentity {
                number: next.number,
                origin: next.origin.clone(),
                base,
                before: old.note.clone(),
            };
            identities::begin(transaction, &identity, &next.key)?;
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
