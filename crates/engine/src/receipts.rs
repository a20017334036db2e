//! Receipts: what each backup did, signed, and kept in the state folder.
//!
//! A receipt holds the difference to the one before it, so that to know what a snapshot needs is to
//! add up a chain of them. What can go wrong: a receipt that was lost, changed, or signed by a key
//! that was since replaced breaks every chain through it. Then nothing is guessed: the next receipt
//! begins a new chain, and what older snapshots need has to be read from their trees.
//!
//! Life of a receipt: a backup ends → its source's and host's last chain is added up and checked →
//! the difference is signed and written → the *head* of that source and host names it → later ones
//! build on it, until a chain has [`CHAIN_LIMIT`] links and a new one begins → a prune moves what it
//! names, and [a new one](Receipts::renew) takes its place; or, once its snapshots were removed on
//! purpose, and it is not the last one, it is pruned.

mod client_key;
mod delivery;
mod folder;
mod renewal;
mod statement;

use std::collections::BTreeSet;

use strongroom_model::receipt::{Chain, NeedsChange, VerifiedReceipt};
use strongroom_model::{Id, Needs, Receipt, SignedReceipt};

use crate::Result;
use crate::backup::report::BackupReport;
use crate::receipts::folder::Folder;
use crate::receipts::statement::Statement;
use crate::session::{Session, chain};
use crate::state::record::Head;
use crate::state::{RecordedNeeds, RepositoryState};

pub use client_key::{ClientKey, holds};
pub use delivery::{DeliveredReceipts, Delivery};
pub use renewal::Renewal;
pub use statement::trusted_keys;

/// The receipts of one repository that this client has signed.
#[derive(Debug, Clone, Copy)]
pub struct Receipts<'a> {
    state: &'a RepositoryState,
    client: &'a ClientKey,
}

/// How many receipts a chain has at most, so that it is added up quickly.
pub const CHAIN_LIMIT: usize = 64;

/// A chain from its beginning on.
struct Links {
    receipts: Vec<VerifiedReceipt>,
    sum: Chain,
}

impl<'a> Receipts<'a> {
    /// The receipts in the state folder that `client` has signed.
    pub const fn new(state: &'a RepositoryState, client: &'a ClientKey) -> Self {
        Self { state, client }
    }

    /// Signs what came of each snapshot of a backup, and remembers it; to be called when the sync
    /// that ends the backup is done. `host` is the one that the snapshots name.
    ///
    /// # Errors
    /// Where the state folder cannot be written; the backup is none the worse.
    pub fn issue(
        &self,
        session: &Session,
        report: &BackupReport,
        host: &str,
    ) -> Result<Vec<SignedReceipt>> {
        let statements = statement::statements(session, report, host)?;
        let signed = statements.iter().map(|statement| self.sign(statement));
        signed.collect()
    }

    fn sign(&self, statement: &Statement<'_>) -> Result<SignedReceipt> {
        let (source, host) = (statement.source.as_str(), statement.host);
        let lock = self.state.lock()?;
        let folder = Folder::read(self.state)?;
        let head = self.state.of_source("heads", source, host);
        let before = self
            .state
            .read_record(&head)
            .and_then(|Head { receipt }| self.links_to(&folder, receipt))
            .filter(|links| links.continues(statement))
            .unwrap_or_else(Links::none);
        let change = NeedsChange::between(before.sum.needs(), &statement.needs());
        let receipt = statement.receipt(self.client.id(), before.sum.last(), change);
        let signed = SignedReceipt::new(&receipt, |message| self.client.sign(message))?;
        folder.write(&lock, statement.snapshot, &signed)?;
        let recorded = RecordedNeeds::new(statement.snapshot, None, &statement.report.needs);
        self.state.record_needs(&lock, source, host, &recorded)?;
        let receipt = signed.id();
        self.state.write_record(&lock, &head, &Head { receipt })?;
        Ok(signed)
    }

    /// What a snapshot needs, as far as receipts tell.
    pub fn known_needs(&self, snapshot: Id) -> Option<Needs> {
        let folder = Folder::read(self.state).ok()?;
        let mut chains = folder
            .of_snapshot(snapshot)
            .filter_map(|receipt| self.links_to(&folder, receipt));
        chains.next().map(|links| links.sum.needs().clone())
    }

    /// The receipts of some snapshots, their signatures checked.
    pub fn of(&self, snapshots: &BTreeSet<Id>) -> Vec<VerifiedReceipt> {
        let Ok(folder) = Folder::read(self.state) else {
            return Vec::new();
        };
        let wanted = folder.receipts();
        wanted
            .filter(|(_, snapshot)| snapshots.contains(snapshot))
            .filter_map(|(receipt, _)| self.read(&folder, receipt))
            .collect()
    }

    /// The snapshots of which there are receipts, by the names of these: nothing is checked yet.
    pub fn snapshots(&self) -> BTreeSet<Id> {
        let folder = Folder::read(self.state).ok();
        let all = folder.iter().flat_map(Folder::receipts);
        all.map(|(_, snapshot)| snapshot).collect()
    }

    /// Shows every receipt, its signature checked.
    pub fn each(&self, mut see: impl FnMut(&Receipt)) {
        let Ok(folder) = Folder::read(self.state) else {
            return;
        };
        for (id, _) in folder.receipts() {
            if let Some(receipt) = self.read(&folder, id) {
                see(receipt.receipt());
            }
        }
    }

    /// The SHA-256 of the repository's `config`, by the newest receipt.
    pub fn config(&self) -> Option<Id> {
        let folder = Folder::read(self.state).ok()?;
        let heads = folder.heads(self.state).ok()?;
        let newest = heads
            .into_iter()
            .filter_map(|receipt| self.read(&folder, receipt))
            .max_by_key(|receipt| receipt.receipt().time);
        newest.map(|receipt| receipt.receipt().needs.config)
    }

    /// Removes the receipts of snapshots that are not in `held`, but for those on which others
    /// build and the last chain of each source and host; returns how many that were.
    ///
    /// **Security:** this is for whoever removed snapshots on purpose. That a snapshot is gone is no
    /// reason: its receipt is then the evidence that it was there.
    ///
    /// # Errors
    /// Where the state folder cannot be written.
    pub fn prune(&self, held: &BTreeSet<Id>) -> Result<usize> {
        let folder = Folder::read(self.state)?;
        if folder
            .receipts()
            .all(|(_, snapshot)| held.contains(&snapshot))
        {
            return Ok(0);
        }
        let lock = self.state.lock()?;
        let folder = Folder::read(self.state)?;
        let heads = folder.heads(self.state)?;
        folder.remove_unless(&lock, |receipt, snapshot| {
            heads.contains(&receipt) || held.contains(&snapshot)
        })
    }

    /// Reads one receipt and checks its signature.
    fn read(&self, folder: &Folder, receipt: Id) -> Option<VerifiedReceipt> {
        let signed = folder.open(receipt)?;
        let verified = signed
            .verify(|client, message, signature| self.client.holds(client, message, signature));
        match verified {
            Ok(verified) if verified.id() == receipt => Some(verified),
            Ok(_) => None,
            Err(error) => {
                // Also what a client says whose key was since replaced.
                tracing::debug!(%receipt, reason = chain(&error), "A receipt is not believed");
                None
            }
        }
    }

    /// The chain that ends with a receipt; `None` where any link of it is missing or wrong.
    fn links_to(&self, folder: &Folder, last: Id) -> Option<Links> {
        let mut receipts = Vec::new();
        let mut next = Some(last);
        while let Some(id) = next {
            if receipts.len() == CHAIN_LIMIT {
                return None;
            }
            let receipt = self.read(folder, id)?;
            next = receipt.receipt().parent;
            receipts.push(receipt);
        }
        receipts.reverse();
        match Chain::of(&receipts) {
            Ok(sum) => Some(Links { receipts, sum }),
            Err(error) => {
                tracing::warn!(reason = chain(&error), "A chain of receipts is broken");
                None
            }
        }
    }
}

impl Links {
    fn none() -> Self {
        Self {
            receipts: Vec::new(),
            sum: Chain::default(),
        }
    }

    /// Whether the next receipt may be added.
    fn continues(&self, next: &Statement<'_>) -> bool {
        let last = self.receipts.last().map(VerifiedReceipt::receipt);
        self.receipts.len() < CHAIN_LIMIT
            && last.is_some_and(|last| last.source == next.source && last.host == next.host)
    }
}

#[cfg(test)]
mod tests;
