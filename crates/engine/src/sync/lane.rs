//! One copy during a sync: what lay there, what came, what is wrong.
//!
//! What is written becomes part of the listing only when a part of the work is settled, so that
//! nothing that refers to it goes out before.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;
use strongroom_model::{FileEntry, FileName, FileType, Id};

use crate::Listing;
use crate::session::{CopyFailure, CopyStore};
use crate::sync::SyncCopy;
use crate::sync::report::SyncedCopy;

/// A copy, as it was listed and as it became.
pub(crate) struct Lane {
    pub(crate) copy: CopyStore,
    pub(crate) config_is_right: bool,
    /// What lay there when the present part of the work began.
    pub(crate) listing: Listing,
    /// Files that were in doubt when the sync began.
    pub(crate) doubts: BTreeSet<FileName>,
    /// Whether somebody has to decide about it first.
    pub(crate) is_diverged: bool,
    pub(crate) state: Mutex<LaneState>,
}

/// What became of a copy.
#[derive(Default)]
pub(crate) struct LaneState {
    /// Why nothing more is written to it.
    pub(crate) failure: Option<CopyFailure>,
    /// Whether nothing can be read from it either.
    pub(crate) is_unreachable: bool,
    /// Files that lie there and are wrong.
    pub(crate) unsound: BTreeSet<FileName>,
    /// Those of them that could not be read to their end: they may be right.
    pub(crate) broke_off: BTreeSet<FileName>,
    /// Files that were listed and are not there any more.
    pub(crate) gone: BTreeSet<FileName>,
    /// Files that others lack and that it did not give, for whatever reason.
    pub(crate) withheld: BTreeSet<FileName>,
    /// Files that were in doubt and turned out right.
    pub(crate) proved: BTreeSet<FileName>,
    /// What tells the place since its `config` was written.
    place: Option<Id>,
    /// What was written in the present part of the work.
    landed: Vec<(FileName, u64)>,
    healed: Vec<FileName>,
    files_brought: u64,
    news_brought: u64,
    bytes_brought: u64,
}

impl Lane {
    /// A copy to which nothing happened yet.
    pub(crate) fn new(copy: SyncCopy) -> Self {
        Self {
            copy: copy.copy,
            config_is_right: copy.config_is_right,
            listing: copy.listing,
            doubts: copy.doubts,
            is_diverged: false,
            state: Mutex::default(),
        }
    }

    /// Counts what was written as listed.
    pub(crate) fn settle(&mut self) {
        let state = self.state.get_mut();
        self.listing.place = state.place.take().or(self.listing.place);
        let landed = std::mem::take(&mut state.landed);
        for kind in FileType::SYNCED {
            if let Some(files) = self.listing.of_mut(kind) {
                let of_kind = landed.iter().filter(|(name, _)| name.kind() == kind);
                files.add(of_kind.filter_map(|&(name, size_bytes)| {
                    let id = name.id()?;
                    Some(FileEntry { id, size_bytes })
                }));
            }
        }
    }

    /// Whether a file is there, not known to be wrong, and can be read.
    pub(crate) fn can_give(&self, name: FileName) -> bool {
        self.size_of(name).is_some() && !self.state.lock().is_unreachable
    }

    /// The size of a file that is there and not known to be wrong.
    pub(crate) fn size_of(&self, name: FileName) -> Option<u64> {
        if name == FileName::CONFIG {
            let is_right = self.config_is_right || self.state.lock().healed.contains(&name);
            return is_right.then_some(0);
        }
        let size = self.listing.of(name.kind())?.size_bytes(name.id()?)?;
        let state = self.state.lock();
        (!state.unsound.contains(&name) && !state.gone.contains(&name)).then_some(size)
    }

    /// Whether nothing is known against a file that it lists.
    pub(crate) fn gives(&self, name: FileName) -> bool {
        let state = self.state.lock();
        let was_given = !self.doubts.contains(&name)
            || state.proved.contains(&name)
            || state.healed.contains(&name);
        let is_wrong = [&state.unsound, &state.gone, &state.withheld]
            .iter()
            .any(|files| files.contains(&name));
        was_given && !is_wrong
    }

    /// Whether files can still be written to it.
    pub(crate) fn takes(&self) -> bool {
        self.state.lock().failure.is_none()
    }

    /// Notes what a store said that makes the copy unusable.
    pub(crate) fn fail(&self, error: &strongroom_store::Error) {
        let failure = CopyFailure::of_store(error);
        tracing::warn!(
            copy = self.copy.name,
            reason = failure.reason,
            "A copy failed"
        );
        let mut state = self.state.lock();
        state.is_unreachable |= matches!(error, strongroom_store::Error::Unreachable { .. });
        state.failure.get_or_insert(failure);
    }

    pub(crate) fn note_brought(&self, name: FileName, size_bytes: u64) {
        let mut state = self.state.lock();
        state.landed.push((name, size_bytes));
        let was_listed = state.gone.remove(&name);
        state.withheld.remove(&name);
        state.files_brought += 1;
        // A key may wait there already, and what was gone for a moment may be back.
        let is_news = !was_listed && name.kind() != FileType::Keys;
        state.news_brought += u64::from(is_news);
        state.bytes_brought += size_bytes;
    }

    pub(crate) fn note_healed(&self, name: FileName, size_bytes: u64) {
        let mut state = self.state.lock();
        state.landed.push((name, size_bytes));
        state.unsound.remove(&name);
        state.gone.remove(&name);
        state.withheld.remove(&name);
        state.healed.push(name);
    }

    /// Notes what tells the place since its `config` was healed, and what told it just before. Only
    /// where that is what was listed is it still the same place.
    pub(crate) fn note_place(&self, before: Option<Id>, now: Option<Id>) {
        let mut state = self.state.lock();
        if before == self.listing.place && state.healed.contains(&FileName::CONFIG) {
            state.place = now;
        }
    }

    pub(crate) fn into_report(self, lacking: BTreeMap<FileType, u64>) -> SyncedCopy {
        let mut state = self.state.into_inner();
        state.healed.sort_unstable();
        let mut unmended = state.unsound;
        unmended.append(&mut state.gone);
        unmended.append(&mut state.withheld);
        SyncedCopy {
            location: self.copy.store.location().to_owned(),
            name: self.copy.name,
            files_brought: state.files_brought,
            news_brought: state.news_brought,
            bytes_brought: state.bytes_brought,
            healed: state.healed,
            unmended: unmended.into_iter().collect(),
            proved: state.proved.into_iter().collect(),
            lacking,
            failure: state.failure,
            listing: self.listing,
        }
    }
}
