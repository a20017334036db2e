//! What a sync has shown: what each copy holds, what is gone, what was healed.

use std::collections::BTreeSet;

use strongroom_engine::state::SeenFiles;
use strongroom_engine::sync::{SyncReport, SyncedCopy};
use strongroom_engine::{CopyStore, Files};
use strongroom_model::{FileName, FileType, Id};

use crate::context::Opened;
use crate::memory::{places, told};

/// Remembers what the copies hold after a sync, and that damage was healed.
pub(crate) fn synced(opened: &Opened, report: &SyncReport) {
    let memory = opened.memory();
    places(opened);
    let copies = opened.session.copies.iter().map(|copy| &copy.copy);
    let copies: Vec<&CopyStore> = copies.collect();
    let swapped = swapped(&copies, report);
    for synced in &report.copies {
        let Some(copy) = copies.iter().find(|copy| copy.name == synced.name) else {
            continue;
        };
        remember_doubts(opened, copy, synced);
        if synced.failure.is_some() || swapped.contains(synced.name.as_str()) {
            continue;
        }
        let has_diverged = report
            .diverged
            .iter()
            .any(|diverged| diverged.copy == synced.name);
        if !has_diverged && !report.was_interrupted {
            told(memory.update_seen(copy, |seen| see(seen, synced, report)));
        }
    }
    told(memory.update_gone(|gone| {
        gone.lose(&report.lost.files);
        let doubtful = report.copies.iter().map(|copy| doubtful(copy, report));
        let doubtful: Vec<_> = doubtful.collect();
        gone.find(|name| {
            let mut copies = report.copies.iter().zip(&doubtful);
            copies.any(|(copy, doubtful)| {
                let is_shown = copy.listing.holds(name) && !doubtful.contains(&name);
                is_shown && !swapped.contains(copy.name.as_str())
            })
        });
    }));
}

/// Remembers what the copies hold after a prune, for which every index file and snapshot was read.
pub(crate) fn pruned(opened: &Opened) {
    let memory = opened.memory();
    places(opened);
    for (copy, ready) in opened.session.ready() {
        told(memory.update_seen(copy, |seen| {
            let listing = &ready.listing;
            seen.index
                .extend(listing.index.iter().map(|entry| entry.id));
            seen.snapshots
                .extend(listing.snapshots.iter().map(|entry| entry.id));
        }));
    }
}

/// The copies whose place is not the one that was listed any more, also of those that failed, as they
/// are likely to where a disk is pulled out.
pub(super) fn swapped<'r>(copies: &[&CopyStore], report: &'r SyncReport) -> BTreeSet<&'r str> {
    let is_swapped = |synced: &&SyncedCopy| {
        let copy = copies.iter().find(|copy| copy.name == synced.name);
        !synced.listing.is_empty() && copy.is_some_and(|copy| !is_still_there(copy, synced))
    };
    let swapped = report.copies.iter().filter(is_swapped);
    swapped.map(|synced| synced.name.as_str()).collect()
}

/// Whether the place is still the one that was listed: of a disk that was put in its stead meanwhile
/// nothing was seen.
fn is_still_there(copy: &CopyStore, synced: &SyncedCopy) -> bool {
    let place = copy.store.identity();
    place.is_ok_and(|now| now == synced.listing.place)
}

/// What a copy lists and nobody could read right, or what went to no other copy: its name alone says
/// nothing.
fn doubtful(synced: &SyncedCopy, report: &SyncReport) -> BTreeSet<FileName> {
    let junk = report.junk.iter().map(|junk| junk.name);
    let problems = report.problems.iter().map(|problem| problem.name);
    let unmended = synced.unmended.iter().copied();
    junk.chain(problems).chain(unmended).collect()
}

/// Adds what a copy holds to what it was seen to hold, but for what nobody could read right: junk
/// is no loss when it goes. Nothing is forgotten because it is not there.
pub(super) fn see(seen: &mut SeenFiles, synced: &SyncedCopy, report: &SyncReport) {
    let doubtful = doubtful(synced, report);
    let sound = |kind, files: &Files| {
        let ids: Vec<Id> = files.iter().map(|entry| entry.id).collect();
        let is_sound = |id: &Id| !doubtful.contains(&FileName::new(kind, *id));
        ids.into_iter().filter(is_sound).collect::<Vec<_>>()
    };
    seen.index
        .extend(sound(FileType::Index, &synced.listing.index));
    seen.snapshots
        .extend(sound(FileType::Snapshots, &synced.listing.snapshots));
}

/// Remembers what a sync found right and what it could not read right: nothing is built on that
/// until it was.
fn remember_doubts(opened: &Opened, copy: &CopyStore, synced: &SyncedCopy) {
    if synced.healed.is_empty() && synced.proved.is_empty() && synced.unmended.is_empty() {
        return;
    }
    let now = (opened.environment.clock)();
    let changed = opened.memory().update_evidence(copy, |evidence| {
        for name in synced.healed.iter().chain(&synced.proved) {
            evidence.record_healed(&name.to_string());
        }
        for name in &synced.unmended {
            let reason = "a sync could not read it right".to_owned();
            evidence.record_damage(now, name.to_string(), reason);
        }
    });
    told(changed.map(drop));
}
