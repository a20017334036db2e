//! Receipts that say anew what a snapshot needs, as after a prune that has moved it to other packs:
//! one takes the place of the older ones of its snapshot, so that what only these name may go.
//!
//! **Security:** whoever took production over signs receipts as well, and names too little in them,
//! so that what a snapshot really needs is held back by nothing any more. So a receipt takes the place
//! of others only when
//! - it is of the same client and source: nobody can speak for another's key;
//! - the token that brought it was not hidden from then on: who finds a theft ends what was said by it;
//! - it has been here as long as anything is kept at least, the longer one of retention and grace, and
//!   until then the older ones count as before;
//! - its snapshot is seen, and the packs and index files that it names are stored and sound, one of each
//!   at least, and a key that opens beside them;
//! - the clock is not doubted, and no purge of the repository is held.
//!
//! Nothing goes by that alone: what is not held back any more has to be a tombstone whose own time is
//! over. It is a leaf of its own. So whoever wants to rob a snapshot by a lie waits for as long as he
//! would if he had the snapshot deleted, and is in the log with each step of it.
//!
//! What can go wrong: what a new receipt names rots when it has taken the place, or is asked to be
//! deleted at that moment. The older ones do not come back for it: a rotten file is told, and healed by
//! the next sync; and what a receipt names that counts is not purged. So that is looked at before the
//! transaction, one receipt at a time, since whoever names very much makes it take long.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::Result;
use crate::database::Transaction;
use crate::records::clock;
use crate::records::leaves::{self, Act};
use crate::records::receipts::{self, Receipt};
use crate::records::repositories::{self, Repository};
use crate::rules::purge;
use crate::vault::jobs::Held;
use crate::vault::{Vault, no_answer, wholeness};

/// How many are looked at in one run of the purge, the newest first. The next one goes on behind them,
/// so that whoever has very many wait keeps the others waiting, but not for ever.
const MOST: u64 = 100;

/// Of each repository the receipt that was the last to be looked at, where there are more behind it.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<HashMap<i64, Receipt>>);

impl Waiting {
    fn last(&self, repository: i64) -> Option<Receipt> {
        self.0.lock().get(&repository).cloned()
    }

    fn set_last(&self, repository: i64, receipt: Receipt) {
        self.0.lock().insert(repository, receipt);
    }

    fn begin_again(&self, repository: i64) {
        self.0.lock().remove(&repository);
    }
}

impl Vault {
    /// Has receipts take the places of older ones, where their time has come.
    pub(super) fn replace_receipts(&self, repository: &Repository, held: &Held<'_>) -> Result<()> {
        let waiting = &self.shared.waiting;
        let last = waiting.last(repository.id);
        let mut found = self.in_time(repository, last.as_ref())?;
        if found.is_empty() && last.is_some() {
            found = self.in_time(repository, None)?;
        }
        let mut is_end = (found.len() as u64) < MOST;
        let mut ready = Vec::new();
        for newer in found {
            if !held.goes_on() {
                is_end = false;
                break;
            }
            held.keep()?;
            // One that takes longer to look at than the lease lasts must not stand before the rest.
            waiting.set_last(repository.id, newer.clone());
            let is_restorable = |transaction: &mut dyn Transaction| {
                wholeness::is_restorable(transaction, repository, &newer)
            };
            if self.read(is_restorable)? {
                ready.push(newer);
            }
        }
        if is_end {
            waiting.begin_again(repository.id);
        }
        if ready.is_empty() {
            return Ok(());
        }
        held.keep()?;
        let (now, lease, path) = (self.now(), held.lease(), repository.path.clone());
        self.shared.commits.commit(move |transaction| {
            lease.require(transaction)?;
            let Some(repository) = repositories::get(transaction, &path)? else {
                return Ok(());
            };
            // Decided anew, on what the database holds by now.
            let Some(until_ms) = until_ms(transaction, &repository)? else {
                return Ok(());
            };
            for newer in ready.iter().filter(|newer| newer.arrived_ms <= until_ms) {
                let replaced = receipts::replace(transaction, newer)?;
                if replaced == 0 {
                    continue;
                }
                let act = Act::ReceiptReplaces {
                    repository: path.clone(),
                    snapshot: newer.snapshot,
                    receipt: newer.id,
                    replaced,
                };
                leaves::append(transaction, now, &act)?;
            }
            Ok(())
        })
    }

    /// The receipts of a repository that may take the places of older ones by now, as far as their time
    /// says, behind the one that was looked at last.
    fn in_time(&self, repository: &Repository, last: Option<&Receipt>) -> Result<Vec<Receipt>> {
        self.read(|transaction| {
            let Some(until_ms) = until_ms(transaction, repository)? else {
                return Ok(Vec::new());
            };
            receipts::replacing(transaction, repository.id, until_ms, last, MOST)
        })
    }
}

/// Until when such a receipt must have come; `None` where none may take a place now.
fn until_ms(transaction: &mut dyn Transaction, repository: &Repository) -> Result<Option<i64>> {
    let clock = clock::read(transaction)?.ok_or_else(no_answer)?;
    let is_held = clock.is_doubted || repository.purge_held_ms.is_some();
    let until_ms = purge::said_anew_until_ms(repository.keeping, clock.purge_ms());
    Ok(Some(until_ms).filter(|_| !is_held))
}
