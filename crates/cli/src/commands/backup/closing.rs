//! What the sync that ends a backup means for the backup.
//!
//! It reads old files too, and may find damage that no copy can mend. Where a new snapshot needs
//! such a file, no copy that has it wrong is whole for that snapshot, whatever its listing says.

use std::collections::{BTreeMap, BTreeSet};

use strongroom_engine::backup::report::{BackupReport, CopyOutcome};
use strongroom_engine::lead::ProblemState;
use strongroom_engine::progress::Progress;
use strongroom_engine::removals::FinishedCopy;
use strongroom_engine::sync::{SyncProblemKind, SyncReport};
use strongroom_model::{FileName, FileType, Id};

use crate::commands::sync;
use crate::context::Opened;
use crate::error::Result;
use crate::output::{Output, visible};
use crate::words::count;

/// What to do after something was healed.
pub(crate) const HEALED: &str =
    "it was healed from another copy; see whether more is damaged: strongroom verify";

/// Counts the files that new snapshots need and that stayed wrong as missing on their copies.
pub(crate) fn count_unmended(
    report: &mut BackupReport,
    synced: &SyncReport,
    needs: &BTreeMap<Id, Vec<FileName>>,
) {
    let needed: BTreeSet<_> = needs.values().flatten().copied().collect();
    let is_needed = |name: &FileName| match name.kind() {
        FileType::Config | FileType::Keys => !needs.is_empty(),
        FileType::Snapshots => name.id().is_some_and(|id| needs.contains_key(&id)),
        _ => needed.contains(name),
    };
    for copy in &mut report.copies {
        let stayed = synced
            .copies
            .iter()
            .filter(|synced| synced.name == copy.name)
            .flat_map(|synced| synced.unmended.iter());
        let nowhere = synced
            .problems
            .iter()
            .filter(|problem| match &problem.kind {
                SyncProblemKind::NowhereWhole { copies, .. } => copies.contains(&copy.name),
                _ => false,
            })
            .map(|problem| &problem.name);
        let wrong: BTreeSet<_> = stayed
            .chain(nowhere)
            .filter(|name| is_needed(name))
            .collect();
        let wrong = wrong.len() as u64;
        match &mut copy.outcome {
            CopyOutcome::Whole if wrong > 0 => copy.outcome = CopyOutcome::Behind { files: wrong },
            // A wrong file may have been counted already, by its size.
            CopyOutcome::Behind { files } => *files = wrong.max(*files),
            CopyOutcome::Whole | CopyOutcome::Failed(_) => {}
        }
    }
}

/// Notes what was found damaged by the backup and healed by the sync.
pub(crate) fn note_healed(report: &mut BackupReport, synced: &SyncReport) {
    let lead = synced.copies.iter().find(|copy| copy.name == report.lead);
    let healed = lead.map_or(&[][..], |lead| &lead.healed);
    for problem in &mut report.lead_problems {
        if healed.contains(&problem.file) {
            problem.state = ProblemState::Healed;
        }
    }
}

/// Tells what the sync healed beyond what the backup met: what was known to be damaged before, or
/// differs in size from its siblings.
pub(crate) fn tell_healed(output: &Output, report: &BackupReport, synced: &SyncReport) {
    for copy in &synced.copies {
        let is_told = |name: &&FileName| {
            let mut problems = report.lead_problems.iter();
            copy.name == report.lead && problems.any(|problem| problem.file == **name)
        };
        let healed: Vec<_> = copy.healed.iter().filter(|name| !is_told(name)).collect();
        let Some((first, more)) = healed.split_first() else {
            continue;
        };
        let more = match more.len() {
            0 => String::new(),
            more => format!(" and {}", count(more as u64, "other file", "other files")),
        };
        let verb = if healed.len() == 1 { "was" } else { "were" };
        let text = format!("{first}{more} on {} {verb} damaged", copy.name);
        output.warn(&visible(&text), Some(HEALED));
    }
}

/// Finishes what records say was removed on the copies that the sync has brought anything: those were
/// away, or behind. On the others a backup leaves it to a sync, a forget or a prune, since it takes an
/// exclusive lock, before which others who back up at that moment would do without the copy; and a place
/// that removes nothing for us would be asked by every backup.
pub(crate) fn let_go(
    opened: &Opened,
    synced: &mut SyncReport,
    progress: &Progress,
) -> Result<Vec<FinishedCopy>> {
    let brought = sync::brought(synced);
    match brought.is_empty() {
        true => Ok(Vec::new()),
        false => sync::finish_removals(opened, synced, Some(&brought), progress),
    }
}

/// Whether nothing came of it that somebody has to see to, beyond what each copy lacks; also where
/// there was none.
pub(crate) fn is_good(synced: Option<&Result<SyncReport>>) -> bool {
    match synced {
        None => true,
        Some(Ok(synced)) => {
            synced.diverged.is_empty() && synced.lost.is_empty() && !synced.was_interrupted
        }
        Some(Err(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use strongroom_engine::CopyFailure;
    use strongroom_engine::CopyFailureKind;
    use strongroom_engine::backup::report::CopyReport;
    use strongroom_engine::sync::{Diverged, SyncProblem, SyncedCopy};
    use strongroom_engine::{Error as EngineError, Listing};

    use super::*;
    use crate::error::Error;

    fn name(kind: FileType, text: &str) -> FileName {
        FileName::new(kind, Id::of(text.as_bytes()))
    }

    fn copy(name: &str, outcome: CopyOutcome) -> CopyReport {
        CopyReport {
            name: name.to_owned(),
            location: String::new(),
            outcome,
        }
    }

    fn synced(name: &str, unmended: &[FileName]) -> SyncedCopy {
        SyncedCopy {
            name: name.to_owned(),
            location: String::new(),
            files_brought: 0,
            news_brought: 0,
            bytes_brought: 0,
            healed: Vec::new(),
            unmended: unmended.to_vec(),
            proved: Vec::new(),
            lacking: BTreeMap::new(),
            failure: None,
            listing: Listing::default(),
        }
    }

    fn outcomes(unmended: &[FileName], nowhere: &[FileName]) -> Vec<CopyOutcome> {
        let failure = CopyFailure {
            reason: "away".to_owned(),
            hint: None,
            kind: CopyFailureKind::Other,
        };
        let mut report = BackupReport {
            copies: vec![
                copy("one", CopyOutcome::Whole),
                copy("two", CopyOutcome::Behind { files: 1 }),
                copy("three", CopyOutcome::Failed(failure)),
            ],
            ..BackupReport::default()
        };
        let problems = nowhere.iter().map(|name| SyncProblem {
            name: *name,
            kind: SyncProblemKind::NowhereWhole {
                copies: vec!["two".to_owned()],
                not_given: Vec::new(),
            },
        });
        let sync = SyncReport {
            copies: vec![synced("one", unmended), synced("two", &[])],
            problems: problems.collect(),
            ..SyncReport::default()
        };
        let needs = vec![name(FileType::Data, "old"), name(FileType::Data, "new")];
        let snapshot = Id::of(b"snapshot");
        count_unmended(&mut report, &sync, &[(snapshot, needs)].into());
        report.copies.into_iter().map(|copy| copy.outcome).collect()
    }

    #[test]
    fn a_copy_with_needed_files_that_stayed_wrong_is_not_whole() {
        let (old, new) = (name(FileType::Data, "old"), name(FileType::Data, "new"));
        let all = outcomes(&[old], &[old, new]);
        assert_eq!(all[0], CopyOutcome::Behind { files: 1 });
        assert_eq!(all[1], CopyOutcome::Behind { files: 2 });
        assert!(matches!(all[2], CopyOutcome::Failed(_)));
        for needed in [FileName::CONFIG, name(FileType::Snapshots, "snapshot")] {
            assert_eq!(
                outcomes(&[needed], &[])[0],
                CopyOutcome::Behind { files: 1 }
            );
        }
    }

    #[test]
    fn what_no_new_snapshot_needs_does_not_count() {
        let other = [
            name(FileType::Data, "other"),
            name(FileType::Snapshots, "other"),
        ];
        let all = outcomes(&other, &other);
        assert_eq!(all[0], CopyOutcome::Whole);
        assert_eq!(all[1], CopyOutcome::Behind { files: 1 });
    }

    #[test]
    fn a_sync_that_failed_or_ended_early_or_found_a_pruned_copy_is_not_good() {
        assert!(is_good(None));
        assert!(is_good(Some(&Ok(SyncReport::default()))));
        assert!(!is_good(Some(&Err(Error::Engine(
            EngineError::Interrupted
        )))));
        let diverged = Diverged {
            copy: "one".to_owned(),
            lacks: Vec::new(),
            has_alone: Vec::new(),
        };
        let report = SyncReport {
            diverged: vec![diverged],
            ..SyncReport::default()
        };
        assert!(!is_good(Some(&Ok(report))));
        let report = SyncReport {
            was_interrupted: true,
            ..SyncReport::default()
        };
        assert!(!is_good(Some(&Ok(report))));
    }
}
