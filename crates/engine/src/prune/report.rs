//! What a prune found to go, what it wrote anew, and what became of it on each copy.

use std::collections::BTreeMap;

use strongroom_model::{FileName, FileType, Id};

use crate::prune::packs::Packs;
use crate::prune::plan::Plan;
use crate::prune::repack::Written;
use crate::receipts::Renewal;
use crate::removals::{FinishedCopy, is_told};
use crate::session::{CopyFailure, CopyState, ReadyCopy, Session};

/// What came of a prune, or would come of it.
#[derive(Debug, Clone, Default)]
pub struct PruneReport {
    /// Whether nothing was done.
    pub dry_run: bool,
    /// How many snapshots there are, whose needs stay.
    pub snapshots: u64,
    /// Packs of which nothing is needed.
    pub unused: Amount,
    /// Packs that no index file names: what killed runs have left.
    pub unindexed: Amount,
    /// Packs that index files name, that no copy has as they tell, and that nothing needs.
    pub absent: Amount,
    /// Packs that are needed in part, and go since that part is written anew.
    pub repacked: Amount,
    /// Index files that go.
    pub index: Amount,
    /// Packs that were written anew; in a dry run about how many bytes they would have.
    pub packs_written: Amount,
    /// Index files that were written anew; not known in a dry run.
    pub index_written: Amount,
    /// Packs that do not give what index files say that they hold, and why: nothing was kept there
    /// that another pack has too.
    pub wrong: BTreeMap<Id, String>,
    /// How many bytes of waste stay in packs that are needed in part.
    pub waste_left_bytes: u64,
    /// What was signed anew of what snapshots need, since it is in other packs by now.
    pub renewal: Renewal,
    /// The removal records that name what goes; more than one where it is very much.
    pub records: Vec<Id>,
    /// Copies that could not take a record, by name; they are told by their siblings' at last.
    pub not_on: Vec<(String, CopyFailure)>,
    /// Whether the user interrupted while files were removed: what is left waits for the next run.
    pub was_interrupted: bool,
    /// The copies, by name, that could not be used when it began.
    pub away: Vec<String>,
    /// What became of each copy, in the order of the configuration.
    pub copies: Vec<PrunedCopy>,
}

/// Files and their bytes, each counted once, however many copies have it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// How many.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What became of a copy.
#[derive(Debug, Clone)]
pub struct PrunedCopy {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub location: String,
    /// What became of it.
    pub outcome: PrunedOutcome,
}

impl PrunedCopy {
    /// What was removed and what waits there; `None` of a dry run, and where nothing was done.
    pub const fn finished(&self) -> Option<&FinishedCopy> {
        match &self.outcome {
            PrunedOutcome::Pruned(finished) => Some(finished),
            PrunedOutcome::Would(_) | PrunedOutcome::Failed(_) => None,
        }
    }

    /// The same, to add to it.
    pub const fn finished_mut(&mut self) -> Option<&mut FinishedCopy> {
        match &mut self.outcome {
            PrunedOutcome::Pruned(finished) => Some(finished),
            PrunedOutcome::Would(_) | PrunedOutcome::Failed(_) => None,
        }
    }
}

/// What becomes of a copy.
#[derive(Debug, Clone)]
pub enum PrunedOutcome {
    /// So much of what goes is there; of a dry run.
    Would(Amount),
    /// So much was removed, and so much waits.
    Pruned(FinishedCopy),
    /// Nothing was done there; it finishes what the record names when it is back.
    Failed(CopyFailure),
}

impl PruneReport {
    /// What a plan comes to.
    pub(super) fn planned(session: &Session, plan: &Plan, packs: &Packs, snapshots: usize) -> Self {
        let index = plan.index.iter().filter_map(|id| packs.files.get(id));
        let unused = Amount::of(plan.unused.values().copied());
        Self {
            snapshots: snapshots as u64,
            unused,
            unindexed: Amount::of(plan.unindexed.values().copied()),
            absent: Amount {
                bytes: listed_bytes(session, plan.absent.keys().copied()),
                files: plan.absent.len() as u64,
            },
            repacked: Amount::of(plan.repacked.values().copied()),
            index: Amount::of(index.map(|file| file.size_bytes)),
            waste_left_bytes: plan.waste_left_bytes,
            away: away(session),
            ..Self::default()
        }
    }

    /// Says of each copy how much would go there, and about how much would be written.
    pub(super) fn would_remove(&mut self, session: &Session, plan: &Plan) {
        self.dry_run = true;
        self.packs_written.bytes = plan.moved_bytes;
        let of_copy = |ready: &ReadyCopy| {
            let entries = [FileType::Data, FileType::Index]
                .into_iter()
                .flat_map(|kind| {
                    let files = ready.listing.of(kind).into_iter();
                    let entries = files.flat_map(crate::Files::iter);
                    entries.filter(move |entry| plan.names(FileName::new(kind, entry.id)))
                });
            let waiting = ready.removed.iter().map(|file| file.size_bytes);
            Amount::of(entries.map(|entry| entry.size_bytes).chain(waiting))
        };
        self.copies = pruned(session, |_, ready| PrunedOutcome::Would(of_copy(ready)));
    }

    /// Notes what was written anew.
    pub(super) fn note_written(&mut self, session: &Session, written: &Written) {
        self.packs_written = Amount::of(written.packs.iter().map(|(_, bytes)| *bytes));
        let index = written.index.iter().map(|id| {
            let mut ready = session.ready();
            let size = ready.find_map(|(_, ready)| ready.listing.index.size_bytes(*id));
            size.unwrap_or(0)
        });
        self.index_written = Amount::of(index);
    }

    /// Notes what was removed on which copy.
    pub(super) fn note_finished(&mut self, session: &Session, finished: Vec<FinishedCopy>) {
        self.copies = pruned(session, |name, _| {
            let of_copy = finished.iter().find(|copy| copy.name == name);
            let nothing = || FinishedCopy {
                name: name.to_owned(),
                ..FinishedCopy::default()
            };
            PrunedOutcome::Pruned(of_copy.cloned().unwrap_or_else(nothing))
        });
    }

    /// Everything that goes.
    pub fn goes(&self) -> Amount {
        let kinds = [
            self.unused,
            self.unindexed,
            self.absent,
            self.repacked,
            self.index,
        ];
        kinds.into_iter().fold(Amount::default(), Amount::and)
    }

    /// How many bytes one copy that has all of it has less in the end.
    pub fn frees_bytes(&self) -> u64 {
        let written = self.packs_written.and(self.index_written);
        self.goes().bytes.saturating_sub(written.bytes)
    }

    /// Whether every copy has done all that it can do by now, and has the records where it has a
    /// place for them, and no pack was wrong: what waits behind a lock is no lack.
    pub fn is_complete(&self) -> bool {
        let is_done = |copy: &PrunedCopy| match &copy.outcome {
            PrunedOutcome::Would(_) => true,
            PrunedOutcome::Pruned(finished) => finished.failure.is_none(),
            PrunedOutcome::Failed(_) => false,
        };
        let is_right = !self.was_interrupted && self.wrong.is_empty();
        is_right && is_told(&self.not_on) && self.copies.iter().all(is_done)
    }
}

impl Amount {
    /// The sum of files of these sizes.
    fn of(sizes: impl Iterator<Item = u64>) -> Self {
        let one = |bytes| Self { files: 1, bytes };
        sizes.map(one).fold(Self::default(), Self::and)
    }

    fn and(self, other: Self) -> Self {
        Self {
            files: self.files + other.files,
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }
}

/// The copies that cannot be used, by name.
pub(super) fn away(session: &Session) -> Vec<String> {
    let copies = session.copies.iter();
    let failed = copies.filter(|copy| matches!(copy.state, CopyState::Failed(_)));
    failed.map(|copy| copy.copy.name.clone()).collect()
}

/// What becomes of every copy; `of_ready` says it of those that can be used.
fn pruned(
    session: &Session,
    of_ready: impl Fn(&str, &ReadyCopy) -> PrunedOutcome,
) -> Vec<PrunedCopy> {
    let copies = session.copies.iter().map(|copy| PrunedCopy {
        name: copy.copy.name.clone(),
        location: copy.copy.store.location().to_owned(),
        outcome: match &copy.state {
            CopyState::Failed(failure) => PrunedOutcome::Failed(failure.clone()),
            CopyState::Ready(ready) => of_ready(&copy.copy.name, ready),
        },
    });
    copies.collect()
}

/// The bytes that the first copy lists which has a pack, of each.
fn listed_bytes(session: &Session, packs: impl Iterator<Item = Id>) -> u64 {
    let size = |id: Id| {
        let mut ready = session.ready();
        ready.find_map(|(_, ready)| ready.listing.data.size_bytes(id))
    };
    packs.filter_map(size).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::CopyFailureKind;

    #[test]
    fn a_copy_without_the_record_leaves_a_prune_incomplete() {
        let not_on = |kind| PruneReport {
            not_on: vec![(
                "two".to_owned(),
                CopyFailure {
                    kind,
                    ..CopyFailure::other("it says no".to_owned())
                },
            )],
            ..PruneReport::default()
        };
        assert!(PruneReport::default().is_complete());
        assert!(not_on(CopyFailureKind::NoPlace).is_complete());
        assert!(!not_on(CopyFailureKind::Other).is_complete());
    }

    #[test]
    fn what_is_written_anew_is_not_freed() {
        let amount = |files, bytes| Amount { files, bytes };
        let report = PruneReport {
            unused: amount(2, 100),
            repacked: amount(1, 50),
            index: amount(1, 7),
            packs_written: amount(1, 20),
            index_written: amount(1, 5),
            ..PruneReport::default()
        };
        assert_eq!(report.goes(), amount(4, 157));
        assert_eq!(report.frees_bytes(), 132);
    }
}
