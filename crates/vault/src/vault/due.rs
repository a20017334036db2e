//! What may be purged now: tombstones whose time has come and that no receipt holds back.
//!
//! What a receipt names for a snapshot that is stored stays, due or not. Which of the due objects
//! that is true of is asked of each alone, by two looks into an index. A count for every object
//! that is needed would cost a row for each snapshot and pack, and one that was ever wrong would
//! lose data.

use std::collections::HashMap;

use parking_lot::Mutex;
use strongroom_model::FileName;

use crate::Result;
use crate::records::clock;
use crate::records::needs;
use crate::records::objects::Key;
use crate::records::repositories::Repository;
use crate::records::tombstones::{self, Tombstone};
use crate::vault::{Vault, no_answer};

/// How many objects of a repository one run removes, where nothing else is said.
pub const PURGE_SHARE: u64 = 1_000;

/// How many times as many one run looks at, where receipts hold them back; the next run goes on
/// behind them. So whoever has receipts hold back much cannot keep the rest from going.
const LOOKS: usize = 10;

/// A share of what may go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Due {
    /// The files.
    pub(super) names: Vec<FileName>,
    /// How many others were looked at that stay, because a receipt names them.
    pub(super) held_back: u64,
}

/// Where the next run begins to look, for each repository in which it does not begin in front.
#[derive(Debug, Default)]
pub(super) struct Looked(Mutex<HashMap<i64, Tombstone>>);

impl Vault {
    /// Finds what may go, `share` of it at most. Only reads: what is found has to be asked of again
    /// in the transaction that begins the purge.
    ///
    /// # Errors
    /// Those of the database.
    pub(super) fn due(&self, repository: &Repository, share: u64) -> Result<Due> {
        let mut due = Due::default();
        let looked = &self.shared.looked.0;
        let mut from = looked.lock().remove(&repository.id).unwrap_or_default();
        for _ in 0..LOOKS {
            let most = share.saturating_sub(due.names.len() as u64);
            let found = self.look(repository, &from, most)?;
            let is_end = (found.len() as u64) < most;
            for (tombstone, name, is_held) in found {
                from = tombstone;
                match is_held {
                    true => due.held_back += 1,
                    false => due.names.push(name),
                }
            }
            if is_end {
                return Ok(due);
            }
            if due.names.len() as u64 >= share {
                break;
            }
        }
        looked.lock().insert(repository.id, from);
        Ok(due)
    }

    /// The next tombstones whose time has come, and whether a receipt holds each back.
    fn look(
        &self,
        repository: &Repository,
        from: &Tombstone,
        most: u64,
    ) -> Result<Vec<(Tombstone, FileName, bool)>> {
        let (id, keeping) = (repository.id, repository.keeping);
        self.read(|transaction| {
            let clock = clock::read(transaction)?.ok_or_else(no_answer)?;
            let tombstoned_ms = clock.purge_ms().saturating_sub(keeping.grace_ms);
            let arrived_ms = clock.purge_ms().saturating_sub(keeping.retention_ms);
            let due = tombstones::due(transaction, id, from, tombstoned_ms, arrived_ms, most)?;
            let mut found = Vec::new();
            for (name, object) in due {
                let tombstone = Tombstone {
                    tombstoned_ms: object.tombstoned_ms.unwrap_or_default(),
                    name: Some(name),
                };
                let is_held = needs::is_held(transaction, &Key::new(id, name))?;
                found.push((tombstone, name, is_held));
            }
            Ok(found)
        })
    }
}
