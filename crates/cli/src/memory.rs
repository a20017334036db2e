//! What is remembered of a run: evidence, receipts, and what each copy held.
//!
//! **Architecture invariant:** nothing here can fail a backup, a sync or a verify; where the state
//! folder cannot be written, the scorecard will call unproven what was not remembered.

mod after_sync;
mod after_verify;
mod damage;
mod readings;

use std::collections::BTreeSet;

use jiff::Timestamp;
use strongroom_engine::backup::report::BackupReport;
use strongroom_engine::known::{Lost, Records, UnseenSnapshot};
use strongroom_engine::receipts::{ClientKey, Receipts};
use strongroom_engine::session::{ReadyCopy, chain};
use strongroom_engine::snapshots::Snapshots;
use strongroom_engine::state::{RepositoryState, StateFolder};
use strongroom_engine::{CopyStore, Session};
use strongroom_model::{FileName, FileType, Id};

use crate::context::Opened;

pub(crate) use after_sync::{pruned, synced};
pub(crate) use after_verify::verified;
pub(crate) use damage::{damage_on_lead, damaged, doubt, rotten, try_keys};
pub(crate) use readings::{before_heal, before_sync, made_anew, written_anew};

/// The key files that receipts name, but for those that were removed since; read only where copies
/// disagree, since there is a receipt for each snapshot.
pub(crate) fn known_keys(opened: &Opened) -> BTreeSet<Id> {
    let mut ready = opened.session.ready().map(|(_, ready)| ready);
    let first = ready.next();
    let agrees =
        |other: &ReadyCopy| first.is_some_and(|first| first.listing.keys == other.listing.keys);
    if ready.all(agrees) {
        return BTreeSet::new();
    }
    let Ok(Some(client)) = opened.state.find_client_key() else {
        return BTreeSet::new();
    };
    let listings = opened
        .session
        .ready()
        .map(|(_, ready)| &ready.listing.snapshots);
    let snapshots: BTreeSet<Id> = listings
        .flat_map(|files| files.iter())
        .map(|entry| entry.id)
        .collect();
    let memory = opened.memory();
    let receipts = Receipts::new(&memory, &client).of(&snapshots);
    let keys = receipts
        .iter()
        .flat_map(|receipt| receipt.receipt().needs.keys.iter().copied());
    let removed = memory.removed_keys();
    keys.filter(|key| !removed.contains(key)).collect()
}

/// The key that signs receipts here. One that cannot be used signs nothing that counts; backups tell
/// of it.
pub(crate) fn signer(state: &StateFolder) -> Option<ClientKey> {
    state.find_client_key().ok().flatten()
}

/// Shows the records of what the copies once held to `ask`.
pub(crate) fn records<T>(
    state: &StateFolder,
    memory: &RepositoryState,
    copies: &[CopyStore],
    ask: impl FnOnce(&Records<'_>) -> T,
) -> T {
    let client = signer(state);
    let receipts = client.as_ref().map(|client| Receipts::new(memory, client));
    ask(&Records::new(memory, receipts, copies))
}

/// Shows the records of an open repository to `ask`.
pub(crate) fn records_of<T>(opened: &Opened, ask: impl FnOnce(&Records<'_>) -> T) -> T {
    let copies = opened.session.copies.iter();
    let copies: Vec<_> = copies.map(|copy| copy.copy.clone()).collect();
    records(&opened.state, &opened.memory(), &copies, ask)
}

/// The snapshots that were made and that no copy shows now, and which of them somebody else's record
/// hides.
pub(crate) fn unseen_snapshots(opened: &Opened, found: &Snapshots) -> Vec<UnseenSnapshot> {
    let mut unseen = records_of(opened, |records| records.unseen_snapshots(found));
    for one in &mut unseen {
        let name = FileName::new(FileType::Snapshots, one.id);
        one.hidden_by = opened.session.removals.hidden_by(name);
    }
    unseen
}

/// Takes note that what is lost was removed on purpose.
pub(crate) fn accept_removed(opened: &Opened, lost: &Lost) -> strongroom_engine::Result<()> {
    let memory = opened.memory();
    memory.update_gone(|gone| gone.accept(&lost.files))?;
    // Nor is it missed on one copy when another has it again.
    let accepted = memory.gone().accepted;
    for copy in &opened.session.copies {
        memory.update_seen(&copy.copy, |seen| {
            *seen = std::mem::take(seen).without(&accepted);
        })?;
    }
    if let Some(client) = opened.state.find_client_key()? {
        let listings = opened.session.ready().map(|(_, ready)| &ready.listing);
        let listed = listings.flat_map(|listing| listing.snapshots.iter());
        let held = listed.map(|entry| entry.id).collect();
        Receipts::new(&memory, &client).prune(&held)?;
    }
    Ok(())
}

/// The digest of `config` that the newest receipt names.
pub(crate) fn config(state: &StateFolder, memory: &RepositoryState) -> Option<Id> {
    let client = state.find_client_key().ok()??;
    Receipts::new(memory, &client).config()
}

/// Remembers that a key was removed on purpose, so that no copy that was away brings it back.
pub(crate) fn key_removed(opened: &Opened, key: Id) {
    let memory = opened.memory();
    told(memory.update_removed_keys(|removed| {
        removed.insert(key);
    }));
}

/// The keys that were removed on purpose, but for those that are `admitted` from now on.
pub(crate) fn removed_keys(opened: &Opened, admitted: &BTreeSet<Id>) -> BTreeSet<Id> {
    let memory = opened.memory();
    if !admitted.is_empty() {
        told(memory.update_removed_keys(|removed| removed.retain(|key| !admitted.contains(key))));
    }
    let removed = memory.removed_keys();
    removed.difference(admitted).copied().collect()
}

/// Signs what came of a backup.
pub(crate) fn backed_up(opened: &Opened, report: &BackupReport) {
    let memory = opened.memory();
    places(opened);
    let issued = opened.state.client_key().and_then(|client| {
        let receipts = Receipts::new(&memory, &client);
        receipts.issue(&opened.session, report, &opened.environment.hostname)
    });
    if let Err(error) = issued {
        tracing::warn!(error = chain(&error), "There is no receipt of this backup");
    }
}

/// Remembers which snapshots the copies list that they did not list before: they came by now.
/// `began` is when they were listed.
pub(crate) fn sighted(
    session: &Session,
    memory: &RepositoryState,
    began: Timestamp,
    now: Timestamp,
) {
    told(strongroom_engine::retain::note(session, memory, began, now));
}

/// Remembers which copies are one place under two addresses.
fn places(opened: &Opened) {
    let session = &opened.session;
    let copies: Vec<&CopyStore> = session.copies.iter().map(|copy| &copy.copy).collect();
    let now = (opened.environment.clock)();
    told(session.places.remember(&copies, &opened.memory(), now));
}

/// Reads what the display of a file name writes.
pub(crate) fn file_name(text: &str) -> Option<FileName> {
    if text == FileType::Config.folder() {
        return Some(FileName::CONFIG);
    }
    let (folder, id) = text.split_once('/')?;
    let kind = FileType::STORED
        .into_iter()
        .find(|kind| kind.folder() == folder)?;
    Some(FileName::new(kind, id.parse().ok()?))
}

fn told(outcome: strongroom_engine::Result<()>) {
    if let Err(error) = outcome {
        tracing::warn!(error = chain(&error), "What was found is not remembered");
    }
}

#[cfg(test)]
mod tests;
