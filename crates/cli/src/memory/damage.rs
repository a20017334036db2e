//! What is known to be wrong on a copy, so that nothing is built on it and a sync heals it.

use jiff::Timestamp;
use strongroom_engine::CopyStore;
use strongroom_engine::backup::report::BackupReport;
use strongroom_engine::lead::ProblemState;
use strongroom_engine::session::{KeyNotGiven, Session, TriedKeys};
use strongroom_engine::state::RepositoryState;
use strongroom_model::evidence::Damage;
use strongroom_model::{CopyEvidence, FileName, FileType};

use crate::context::Opened;
use crate::memory::{file_name, told};
use crate::output::{Output, visible};

/// Tells the session which files were found wrong on each copy and not healed since. What decoding
/// found in an index file is no doubt of the file: its bytes are right on every copy, and a snapshot
/// that needs it would come to none of them.
pub(crate) fn doubt(session: &mut Session, memory: &RepositoryState) {
    let copies: Vec<_> = session.ready().map(|(copy, _)| copy.clone()).collect();
    for copy in copies {
        let evidence = memory.evidence(&copy);
        let named = |(name, damage): (&String, &Damage)| {
            let is_right =
                |name: &FileName| damage.is_as_written() && name.kind() == FileType::Index;
            file_name(name).filter(|name| !is_right(name))
        };
        let doubts = evidence.damage().iter().filter_map(named).collect();
        session.doubt(&copy.name, doubts);
    }
}

/// Fetches a key from each copy, and remembers as damaged what a copy lists and does not give, so
/// that a sync reads it again, until it gives it. To be done once in a run.
pub(crate) fn try_keys(opened: &mut Opened, output: &Output) {
    let now = (opened.environment.clock)();
    let memory = opened.memory();
    let TriedKeys { given, not_given } = opened.session.try_keys();
    let was_doubted = |(copy, key): &(CopyStore, FileName)| {
        let evidence = memory.evidence(copy);
        evidence.damage().contains_key(&key.to_string())
    };
    let proved: Vec<_> = given.into_iter().filter(was_doubted).collect();
    if proved.is_empty() && not_given.is_empty() {
        return;
    }
    for (copy, key) in proved {
        let change = |evidence: &mut CopyEvidence| evidence.record_healed(&key.to_string());
        told(memory.update_evidence(&copy, change).map(drop));
    }
    for KeyNotGiven { copy, key, reason } in not_given {
        let text = format!("{} lists {key} and does not give it: {reason}", copy.name);
        let hint = "without a key that it gives nobody opens the copy; strongroom sync tries again";
        output.warn(&visible(&text), Some(hint));
        told(
            memory
                .update_evidence(&copy, |evidence| {
                    evidence.record_damage(now, key.to_string(), reason);
                })
                .map(drop),
        );
    }
    doubt(&mut opened.session, &memory);
}

/// Remembers as damaged what vaults say is rotten, so that a sync reads it again and heals it.
pub(crate) fn rotten(opened: &Opened) {
    let now = (opened.environment.clock)();
    for (copy, files) in opened.vaults.rotten(&opened.session) {
        let mut copies = opened.session.copies.iter().map(|copy| &copy.copy);
        let Some(copy) = copies.find(|known| known.name == copy) else {
            continue;
        };
        // All at once: there may be very many.
        let change = |evidence: &mut CopyEvidence| {
            for file in files {
                let reason = "its vault says that it is rotten".to_owned();
                evidence.record_damage(now, file.to_string(), reason);
            }
        };
        told(opened.memory().update_evidence(copy, change).map(drop));
    }
}

/// Remembers what a backup found damaged on its lead, so that a sync heals it.
pub(crate) fn damage_on_lead(opened: &Opened, report: &BackupReport) {
    let now = (opened.environment.clock)();
    for problem in &report.lead_problems {
        if problem.state == ProblemState::Damaged {
            damaged(opened, &report.lead, &problem.file, &problem.text, now);
        }
    }
}

/// Remembers damage that was met while reading.
pub(crate) fn damaged(opened: &Opened, copy: &str, file: &FileName, reason: &str, at: Timestamp) {
    let copies = opened.session.copies.iter().map(|copy| &copy.copy);
    if let Some(copy) = copies.into_iter().find(|known| known.name == copy) {
        let memory = opened.memory();
        let (file, reason) = (file.to_string(), reason.to_owned());
        let change = |evidence: &mut CopyEvidence| {
            evidence.record_damage(at, file, reason);
        };
        told(memory.update_evidence(copy, change).map(drop));
    }
}
