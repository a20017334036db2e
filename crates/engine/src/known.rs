//! What this machine knows to have been on the copies, whatever they list now.
//!
//! Copies that are compared with each other alone agree about everything that was removed from all
//! of them, and whoever holds production's credentials can do that. Three records of the state
//! folder know better: receipts, what each copy was seen to hold, and what the newest snapshots
//! need. What they name and no copy lists is lost, until a person says that it was meant.
//!
//! What can go wrong: a copy that lists junk, so that its disappearance looks like a loss. So what
//! only one of several copies was ever seen to hold counts for nothing, as long as no receipt
//! names it.

mod lost;
mod unseen;

use std::collections::{BTreeMap, BTreeSet};

use strongroom_model::{FileName, FileType, Id};

use crate::Listing;
use crate::receipts::Receipts;
use crate::session::CopyStore;
use crate::state::RepositoryState;

pub use lost::Lost;
pub use unseen::UnseenSnapshot;

/// The records of one repository.
#[derive(Debug, Clone, Copy)]
pub struct Records<'a> {
    memory: &'a RepositoryState,
    /// What this client signed; `None` where it has no key.
    receipts: Option<Receipts<'a>>,
    copies: &'a [CopyStore],
}

impl<'a> Records<'a> {
    /// What is remembered of these copies; all of the configuration.
    pub const fn new(
        memory: &'a RepositoryState,
        receipts: Option<Receipts<'a>>,
        copies: &'a [CopyStore],
    ) -> Self {
        Self {
            memory,
            receipts,
            copies,
        }
    }

    /// Every file that a record names: reads all receipts.
    pub fn files(&self) -> BTreeSet<FileName> {
        let mut files = self.noted_files();
        if let Some(receipts) = self.receipts {
            receipts.each(|receipt| {
                let needs = &receipt.needs;
                files.insert(FileName::new(FileType::Snapshots, receipt.snapshot));
                files.extend(named(FileType::Data, &needs.packs_added));
                files.extend(named(FileType::Index, &needs.index_added));
            });
        }
        self.without_accepted(files)
    }

    /// The files that a record names and none of these listings has.
    ///
    /// Of receipts it reads those alone whose snapshots are not listed. So a pack that only older
    /// snapshots need is not missed here; that is left to [`Records::files`].
    pub fn unlisted_files(&self, listings: &[&Listing]) -> BTreeSet<FileName> {
        let mut files = self.noted_files();
        let unlisted = self.unlisted_receipts(|id| {
            let mut listings = listings.iter();
            listings.any(|listing| listing.snapshots.contains(id))
        });
        if let Some(receipts) = self.receipts.filter(|_| !unlisted.is_empty()) {
            let told = receipts.of(&unlisted);
            let snapshots = told.iter().map(|told| told.receipt().snapshot);
            files.extend(snapshots.map(|id| FileName::new(FileType::Snapshots, id)));
        }
        files.retain(|name| !listings.iter().any(|listing| listing.holds(*name)));
        self.without_accepted(files)
    }

    /// What is named without reading a receipt.
    fn noted_files(&self) -> BTreeSet<FileName> {
        let mut files: BTreeSet<_> = self.memory.gone().lost.iter().collect();
        for needs in self.memory.all_needs() {
            files.extend(needs.files());
        }
        // What was seen whole decrypted, whichever copy showed it.
        for copy in self.copies {
            let evidence = self.memory.evidence(copy);
            let whole = evidence.last_whole.values().map(|seen| seen.id).collect();
            files.extend(named(FileType::Snapshots, &whole));
        }
        let mut witnesses: BTreeMap<FileName, usize> = BTreeMap::new();
        for copy in self.copies {
            let seen = self.memory.seen(copy);
            let names = named(FileType::Index, &seen.index);
            for name in names.chain(named(FileType::Snapshots, &seen.snapshots)) {
                *witnesses.entry(name).or_default() += 1;
            }
        }
        let wanted = self.copies.len().min(2);
        let seen = witnesses.into_iter().filter(|(_, count)| *count >= wanted);
        files.extend(seen.map(|(name, _)| name));
        files
    }

    /// The snapshots of which there are receipts, but for those that `is_known`.
    fn unlisted_receipts(&self, is_known: impl Fn(Id) -> bool) -> BTreeSet<Id> {
        let all = self.receipts.map(|receipts| receipts.snapshots());
        let mut ids = all.unwrap_or_default();
        let gone = self.memory.gone();
        let is_accepted = |id| {
            gone.accepted
                .contains(FileName::new(FileType::Snapshots, id))
        };
        ids.retain(|id| !is_known(*id) && !is_accepted(*id));
        ids
    }

    fn without_accepted(&self, mut files: BTreeSet<FileName>) -> BTreeSet<FileName> {
        let gone = self.memory.gone();
        files.retain(|name| !gone.accepted.contains(*name));
        files
    }
}

fn named(kind: FileType, ids: &BTreeSet<Id>) -> impl Iterator<Item = FileName> + '_ {
    ids.iter().map(move |id| FileName::new(kind, *id))
}

#[cfg(test)]
mod tests;
