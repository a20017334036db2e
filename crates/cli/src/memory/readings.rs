//! What no longer counts as read.
//!
//! A verify vouches for the bytes that it read. What can go wrong: other bytes take their place, as
//! when a sync writes a file anew or a repository is made on a new disk, and the old reading goes on
//! vouching for them. That a folder is another one is told by its listing, without any of this.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use strongroom_engine::session::Clock;
use strongroom_engine::state::RepositoryState;
use strongroom_engine::sync::{BeforeHeal, SyncReport};
use strongroom_engine::{CopyStore, Files, Listing};
use strongroom_model::evidence::Rebound;
use strongroom_model::{CopyEvidence, FileName, FileType, Id};

use crate::context::Opened;
use crate::memory::{file_name, told};

/// Forgets that files were read which a copy does not list, or which are known to be wrong there;
/// to be done before a sync brings or heals them: it may die when it has written some of them anew.
pub(crate) fn before_sync(opened: &Opened) {
    let memory = opened.memory();
    for (copy, ready) in opened.session.ready() {
        not_there(&memory, copy, &ready.listing);
    }
}

/// The same, of one copy. Nothing is written yet: a verify under way may find it right.
pub(super) fn not_there(memory: &RepositoryState, copy: &CopyStore, listing: &Listing) {
    let evidence = memory.evidence(copy);
    let damage = evidence.damage().iter();
    let wrong = damage.filter(|(_, damage)| !damage.is_as_written());
    let wrong: BTreeSet<Id> = wrong
        .filter_map(|(name, _)| file_name(name)?.id())
        .collect();
    told(memory.update_read_files(copy, |known| {
        known.keep_listed(listing);
        known.files.retain(|id| !wrong.contains(id));
    }));
}

/// Forgets that a file was read before a sync replaces it, which it may have learned only then. A
/// verify that is under way has not read it either.
pub(crate) fn before_heal(
    memory: RepositoryState,
    copies: Vec<CopyStore>,
    clock: Clock,
) -> BeforeHeal {
    BeforeHeal(Arc::new(move |copy: &str, name: FileName| {
        let mut copies = copies.iter();
        let copy = copies.find(|known| known.name == copy);
        if let (Some(copy), Some(id)) = (copy, name.id()) {
            let written = BTreeSet::from([id]);
            told(memory.update_read_files(copy, |known| known.forget(&written, clock())));
        }
    }))
}

/// Forgets that files were read which a sync has written anew; to be done while the session still
/// tells what the copies held before.
pub(crate) fn written_anew(opened: &Opened, report: &SyncReport) {
    let memory = opened.memory();
    for (copy, before) in opened.session.ready() {
        let mut copies = report.copies.iter();
        let Some(synced) = copies.find(|synced| synced.name == copy.name) else {
            continue;
        };
        if synced.files_brought == 0 && synced.healed.is_empty() {
            continue;
        }
        let mut written: BTreeSet<Id> = synced.healed.iter().filter_map(FileName::id).collect();
        for kind in FileType::SYNCED {
            let files = synced.listing.of(kind).into_iter().flat_map(Files::iter);
            let is_new = |id: &Id| !before.listing.holds(FileName::new(kind, *id));
            written.extend(files.map(|entry| entry.id).filter(is_new));
        }
        let now = (opened.environment.clock)();
        told(memory.update_read_files(copy, |known| known.forget(&written, now)));
        if synced.healed.contains(&FileName::CONFIG) {
            let (before, after) = (before.listing.place, synced.listing.place);
            healed_config(&memory, copy, (before, after), now);
        }
    }
}

/// Binds what was read of a copy to the `config` that a sync has put there, where it was read at the
/// place that was there before, also what a verify reads just now. Where that is not known, as when
/// `config` was missing or another disk was put there before it was healed, it stays unproven.
pub(super) fn healed_config(
    memory: &RepositoryState,
    copy: &CopyStore,
    (before, now): (Option<Id>, Option<Id>),
    at: Timestamp,
) {
    let (Some(before), Some(now)) = (before, now) else {
        return;
    };
    if before == now {
        return;
    }
    let rebound = Rebound { before, now, at };
    let rebind = |evidence: &mut CopyEvidence| evidence.rebind(rebound);
    told(memory.update_evidence(copy, rebind).map(drop));
    told(memory.update_read_files(copy, |known| known.rebind(rebound)));
}

/// Forgets that anything was read of a copy on which the repository is made, before anything is given
/// to it. Of the very place that was read, as one that has lost its keys and nothing else, that is
/// only what is not there.
pub(crate) fn made_anew(memory: &RepositoryState, copy: &CopyStore) {
    let evidence = memory.evidence(copy);
    let place = copy.store.identity().ok().flatten();
    if evidence.is_at(place)
        && let Ok(listing) = Listing::read(copy.store.as_ref())
    {
        return not_there(memory, copy, &listing);
    }
    if evidence.was_read() {
        let forget = |evidence: &mut CopyEvidence| {
            evidence.forget_readings();
        };
        told(memory.update_evidence(copy, forget).map(drop));
    }
    told(memory.update_read_files(copy, |known| known.files.clear()));
}
