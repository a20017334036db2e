//! The parent: the snapshot that a source is compared with.

use parking_lot::Mutex;
use strongroom_model::config::Source;
use strongroom_model::{FileEntry, FileName, FileType, Id};
use strongroom_repo::{Repository, Snapshot};

use crate::Result;
use crate::lead::{Lead, Patience, READERS, WRONG_CONTENT};
use crate::parallel::for_each;
use crate::session::Environment;

/// A snapshot on the lead.
#[derive(Debug, Clone)]
pub(crate) struct Parent {
    pub(crate) id: Id,
    pub(crate) snapshot: Snapshot,
}

impl Parent {
    /// Files and bytes that it has, where it says so.
    pub(crate) fn expected(&self) -> Option<(u64, u64)> {
        let summary = self.snapshot.summary.as_ref()?;
        Some((summary.total_files_processed, summary.total_bytes_processed))
    }
}

/// Finds the newest snapshot of a source and host: one that is tagged with the source, else one of
/// the same paths, as another tool would have made.
///
/// A snapshot from the future is not taken: whoever can invent one must not decide what is read.
/// A lead that lists snapshots without end and gives none is not asked for more: then files are
/// read as if they were new.
///
/// # Errors
/// Where the user interrupts.
pub(crate) fn find(
    source: &Source,
    repository: &Repository,
    lead: &Lead,
    environment: &Environment,
) -> Result<Option<Parent>> {
    let mut paths: Vec<_> = source
        .paths()
        .iter()
        .map(|p| p.display().to_string())
        .collect();
    paths.sort_unstable();
    let now = (environment.clock)();
    let best: Mutex<Option<(bool, Parent)>> = Mutex::default();
    let patience = Patience::default();
    let store = lead.copy.store.as_ref();
    let entries: Vec<_> = lead.listing.snapshots.iter().collect();
    for_each(&entries, READERS, |entry| {
        environment.cancel.check()?;
        if patience.is_over(store) {
            return Ok(());
        }
        let Some(snapshot) = read(*entry, repository, lead) else {
            patience.note_failure(store);
            return Ok(());
        };
        let is_ours = snapshot.source() == Some(source.name.as_str());
        let same_paths = {
            let mut theirs = snapshot.paths.clone();
            theirs.sort_unstable();
            theirs == paths && snapshot.source().is_none()
        };
        if snapshot.hostname != environment.hostname
            || snapshot.time > now
            || !(is_ours || same_paths)
        {
            return Ok(());
        }
        let rank = |is_ours: bool, snapshot: &Snapshot, id: Id| (is_ours, snapshot.time, id);
        let mut best = best.lock();
        let is_better = best.as_ref().is_none_or(|(ours, parent)| {
            rank(is_ours, &snapshot, entry.id) > rank(*ours, &parent.snapshot, parent.id)
        });
        if is_better {
            let id = entry.id;
            *best = Some((is_ours, Parent { id, snapshot }));
        }
        Ok(())
    })?;
    Ok(best.into_inner().map(|(_, parent)| parent))
}

/// Reads a snapshot; junk is passed over, for a junk snapshot must not stop a backup. A damaged one
/// is noted.
fn read(entry: FileEntry, repository: &Repository, lead: &Lead) -> Option<Snapshot> {
    let name = FileName::new(FileType::Snapshots, entry.id);
    let opened = match lead.copy.store.read(name) {
        Ok(bytes) if Id::of(&bytes) != entry.id => {
            let location = lead.copy.store.location();
            let text = format!("{name} in {location} cannot be used: {WRONG_CONTENT}");
            lead.problems.note_damage(name, text);
            return None;
        }
        Ok(bytes) => Snapshot::open(repository.key(), bytes),
        Err(error) => Err(crate::session::chain(&error)),
    };
    opened
        .inspect_err(|reason| tracing::warn!(%name, reason, "A snapshot is passed over"))
        .ok()
}
