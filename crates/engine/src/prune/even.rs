//! Before anything is removed: copies that lack something that stays get it from a sibling.
//!
//! A slow copy is left behind while packs are written, as in a backup, and one that was away lacks
//! what an earlier prune wrote. Were old packs removed there now, it could restore nothing alone. So
//! what it lacks is brought first, of that which stays; and where it cannot be, the copy keeps all it
//! has.

use std::collections::{BTreeMap, BTreeSet};

use strongroom_model::{FileName, FileType, Id};

use crate::listing::Files;
use crate::progress::Progress;
use crate::prune::PruneOptions;
use crate::prune::packs::Packs;
use crate::prune::plan::Plan;
use crate::prune::repack::Written;
use crate::session::{Cancel, CopyFailure, CopyFailureKind, CopyState, ReadyCopy, Session};
use crate::sync::{SyncOptions, copies_of, sync};
use crate::{Error, Result};

/// What every copy shall have before anything is removed there.
#[derive(Debug)]
pub(super) struct Staying {
    /// Packs with their sizes.
    packs: Vec<(Id, u64)>,
    index: BTreeSet<Id>,
    snapshots: BTreeSet<Id>,
}

impl Staying {
    /// What is needed by these snapshots, once all is repacked that the plan says.
    pub(super) fn of(
        packs: &Packs,
        plan: &Plan,
        written: &Written,
        snapshots: &BTreeSet<Id>,
    ) -> Self {
        let sizes: BTreeMap<Id, u64> = written.packs.iter().copied().collect();
        let usage = packs.usage();
        let needed = usage.keys().filter_map(|number| {
            let id = packs.index.pack_id(*number)?;
            let known = packs.all.get(number).map(|pack| pack.size_bytes);
            Some((id, known.or_else(|| sizes.get(&id).copied())?))
        });
        let kept = packs.files.keys().filter(|id| !plan.index.contains(*id));
        Self {
            packs: needed.collect(),
            index: kept.chain(&written.index).copied().collect(),
            snapshots: snapshots.clone(),
        }
    }

    /// Whether a copy has all of it.
    fn is_on(&self, ready: &ReadyCopy) -> bool {
        let all = |kind, ids: &BTreeSet<Id>| {
            let mut ids = ids.iter();
            ids.all(|id| ready.holds(FileName::new(kind, *id), None))
        };
        let mut packs = self.packs.iter();
        packs.all(|(id, size)| ready.holds(FileName::new(FileType::Data, *id), Some(*size)))
            && all(FileType::Index, &self.index)
            && all(FileType::Snapshots, &self.snapshots)
    }
}

/// Brings every copy that can be used what stays; a copy that does not get it is marked as failed,
/// so that nothing is removed there.
///
/// # Errors
/// [`Error::NotPruned`] where no copy has all of it; where the user interrupts.
pub(super) fn bring(
    session: &mut Session,
    staying: &Staying,
    plan: &Plan,
    options: &PruneOptions,
    progress: &Progress,
    cancel: &Cancel,
) -> Result<()> {
    if session.ready().any(|(_, ready)| !staying.is_on(ready)) {
        sync_what_stays(session, plan, options, progress, cancel);
        cancel.check()?;
    }
    let behind = session.ready().filter(|(_, ready)| !staying.is_on(ready));
    let behind: Vec<String> = behind.map(|(copy, _)| copy.name.clone()).collect();
    if behind.len() == session.ready().count() {
        return Err(Error::NotPruned {
            reasons: vec!["no copy has all that stays".to_owned()],
            hint: "see what each copy lacks: strongroom sync; then prune again".to_owned(),
        });
    }
    for name in behind {
        let failure = CopyFailure {
            reason: "it lacks something that stays, so nothing is removed there".to_owned(),
            hint: Some("see what: strongroom sync; then prune again".to_owned()),
            kind: CopyFailureKind::Other,
        };
        session.fail(&name, failure);
    }
    Ok(())
}

/// Syncs the copies as if what is to go were gone already: it would travel in vain.
fn sync_what_stays(
    session: &mut Session,
    plan: &Plan,
    options: &PruneOptions,
    progress: &Progress,
    cancel: &Cancel,
) {
    let mut copies = copies_of(session);
    for copy in &mut copies {
        for kind in [FileType::Data, FileType::Index] {
            if let Some(files) = copy.listing.of_mut(kind) {
                let stays = files
                    .iter()
                    .filter(|entry| !plan.names(FileName::new(kind, entry.id)));
                *files = Files::new(stays.collect());
            }
        }
    }
    let sync_options = SyncOptions {
        memory_bytes: options.limits.memory.bytes(),
        transfers: (options.limits.uploads_per_copy as usize).saturating_mul(copies.len()),
        ..SyncOptions::default()
    };
    let repository = &session.repository;
    let report = sync(repository, copies, &sync_options, progress, cancel);
    for synced in report.copies {
        if let Some(failure) = synced.failure {
            session.fail(&synced.name, failure);
            continue;
        }
        let copy = session.copies.iter_mut();
        let mut copy = copy.filter(|copy| copy.copy.name == synced.name);
        if let Some(CopyState::Ready(ready)) = copy.next().map(|copy| &mut copy.state) {
            for kind in [FileType::Data, FileType::Index, FileType::Snapshots] {
                let there = synced.listing.of(kind).into_iter();
                let there: Vec<_> = there.flat_map(Files::iter).collect();
                if let Some(files) = ready.listing.of_mut(kind) {
                    files.add(there);
                }
            }
        }
    }
}
