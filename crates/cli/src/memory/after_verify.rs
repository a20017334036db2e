//! What a verify has read and found.

use std::collections::BTreeSet;

use jiff::Timestamp;
use strongroom_engine::CopyStore;
use strongroom_engine::state::RepositoryState;
use strongroom_engine::verify::{Problem, ProblemKind, VerifiedCopy, VerifyReport};
use strongroom_model::evidence::{Share, Verify};
use strongroom_model::{CopyEvidence, FileName};

use crate::memory::{file_name, told};

/// Remembers which copies were read until now, and what is wrong with them.
pub(crate) fn verified(
    memory: &RepositoryState,
    copies: &[CopyStore],
    report: &VerifyReport,
    verify: &Verify,
    now: Timestamp,
) {
    told(memory.update_gone(|gone| gone.lose(&report.lost.files)));
    for read in &report.copies {
        let Some(copy) = copies.iter().find(|copy| copy.name == read.name) else {
            continue;
        };
        let is_all = verify.share == Share::All && read.covered;
        // Of one that could not even be listed, what was read of it stays read.
        let is_there = !is_unlisted(read) && is_still_there(memory, copy, read, verify.at);
        if is_there {
            told(memory.update_read_files(copy, |known| {
                known.add(&read.sound, &read.listing, is_all, verify.at);
                known.keep_until(now);
            }));
        }
        let change = |evidence: &mut CopyEvidence| record(evidence, report, read, verify, is_there);
        told(memory.update_evidence(copy, change).map(drop));
    }
}

/// Whether the place is still the one that was listed: where another was put in its stead meanwhile,
/// nobody knows what was read of which. A sync beside the verify may have healed `config`.
fn is_still_there(
    memory: &RepositoryState,
    copy: &CopyStore,
    read: &VerifiedCopy,
    began: Timestamp,
) -> bool {
    let now = copy.store.identity();
    let place = memory.evidence(copy).place_of(read.listing.place, began);
    now.is_ok_and(|now| now == place)
}

/// Records what a verify found on one copy, which may not be there any more.
fn record(
    evidence: &mut CopyEvidence,
    report: &VerifyReport,
    read: &VerifiedCopy,
    verify: &Verify,
    is_there: bool,
) {
    let of_copy = || {
        let problems = report.problems.iter();
        problems.filter(move |problem| problem.copy == read.name)
    };
    // Where nothing tells which place it was, what was read vouches for nothing, and takes nothing
    // from what was read before.
    let place = evidence.place_of(read.listing.place, verify.at);
    let is_placed = is_there && !evidence.lacks_place(place);
    if is_there {
        evidence.move_to(place);
    }
    let lasting = || of_copy().filter(|problem| is_lasting(problem));
    let found = lasting().map(|problem| (problem.name.to_string(), problem.kind.to_string()));
    let is_unread = |problem: &Problem| match problem.kind {
        ProblemKind::Unreadable { .. } => true,
        // It was listed when the reading began, and not given.
        ProblemKind::Missing { .. } => read.listing.holds(problem.name),
        _ => false,
    };
    // What is read of a share does not cover the copy; all of the share was read all the same.
    let is_whole_share = is_placed
        && read.failure.is_none()
        && (read.covered || verify.share != Share::All && !of_copy().any(is_unread));
    if is_whole_share {
        let is_somewhere = |name: FileName| {
            let mut copies = report.copies.iter();
            copies.any(|copy| is_unlisted(copy) || copy.listing.holds(name))
        };
        let sound: BTreeSet<FileName> = read.sound.iter().copied().collect();
        let mut damage = Vec::new();
        if verify.share == Share::All {
            evidence.forget_decoded(|file| file_name(file).is_some_and(is_somewhere));
            // What it did not give this time is no better than it was; `config` was compared.
            let is_open = |name: FileName| {
                name != FileName::CONFIG && is_somewhere(name) && !sound.contains(&name)
            };
            let known = evidence.damage().iter();
            let open = known.filter(|(file, _)| file_name(file).is_some_and(is_open));
            damage.extend(open.map(|(file, damage)| (file.clone(), damage.reason.clone())));
        }
        damage.extend(found);
        evidence.record_verify(verify.clone(), damage);
    } else {
        for (file, reason) in found {
            evidence.record_damage(verify.at, file, reason);
        }
    }
    for problem in lasting().filter(|problem| problem.kind.is_in_right_bytes()) {
        evidence.record_decoded(&problem.name.to_string());
    }
}

/// Whether it is not known what the copy holds.
fn is_unlisted(read: &VerifiedCopy) -> bool {
    read.failure.is_some() && read.listing.is_empty()
}

/// Whether it stays until somebody heals it. What is missing is told by the next listing, and junk
/// is nothing that a snapshot needs.
const fn is_lasting(problem: &Problem) -> bool {
    problem.kind.is_damage()
        || problem.kind.is_in_right_bytes()
        || matches!(problem.kind, ProblemKind::ConfigDiffers { .. })
}
