//! Finishing by itself, as a sync does: under exclusive locks on those copies alone on which
//! something can go now, so that nobody is kept out for what has to wait anyway.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;
use strongroom_model::{FileName, FileType};

use crate::progress::Progress;
use crate::removals::finish::finish_part;
use crate::removals::locked::{Hold, Locked};
use crate::removals::{FinishedCopy, KINDS, Removals};
use crate::session::{
    CopyFailure, CopyFailureKind, CopyState, CopyStore, Environment, Locks, ReadyCopy, RemovedFile,
    Session, chain,
};
use crate::{Error, Result};

/// How many files of a locked copy are looked at before nothing of it can go now: others each hour,
/// since whoever may make the locks of some longer would keep all the others there with them.
const LOOKED_AT: usize = 100;

/// As [`finish()`](crate::removals::finish()), where the caller holds no locks: copies on which
/// something can go are locked for that. Where somebody else is at work, it waits for the next time,
/// and that is told. Nothing goes while [`Session::check_removal`] says so. Only `on` these copies, where
/// it is said.
///
/// # Errors
/// Where the user interrupts.
pub fn finish_alone(
    session: &Session,
    on: Option<&BTreeSet<String>>,
    environment: &Environment,
    progress: &Progress,
) -> Result<Vec<FinishedCopy>> {
    let removals = &session.removals;
    let mut waiting = Vec::new();
    let mut now = BTreeSet::new();
    let is_stopped = removals.stop().is_some() || session.check_removal().is_err();
    let is_meant = |copy: &CopyStore| on.is_none_or(|on| on.contains(&copy.name));
    for (copy, ready) in session.ready().filter(|(copy, _)| is_meant(copy)) {
        environment.cancel.check()?;
        let keeps_packs = removals.has_waiting_snapshots(ready);
        let is_kept = |name: FileName| keeps_packs && name.kind() != FileType::Snapshots;
        let due: Vec<&RemovedFile> = ready
            .removed
            .iter()
            .filter(|file| removals.may_go(file.name) && !is_kept(file.name))
            .collect();
        let going = match is_stopped {
            false => going(removals, copy, &due, (environment.clock)()),
            true => Going::Later(None),
        };
        match going {
            Going::Now => {
                now.insert(copy.name.clone());
            }
            Going::Later(until) if !ready.removed.is_empty() => {
                waiting.push(waits(removals, copy, ready, until));
            }
            Going::Later(_) => {}
        }
    }
    let mut finished = waiting;
    if now.is_empty() {
        return Ok(finished);
    }
    let mut part = part_of(session, &now);
    match Locks::acquire(&mut part, environment, true) {
        Ok(mut locks) => {
            let (removals, cancel) = (Arc::clone(&part.removals), &environment.cancel);
            finished.extend(finish_part(session, &part, &removals, progress, cancel));
            locks.release();
        }
        Err(Error::Interrupted) => return Err(Error::Interrupted),
        // Each copy says why.
        Err(error) => tracing::info!(reason = chain(&error), "A removal waits"),
    }
    for copy in &part.copies {
        let CopyState::Failed(failure) = &copy.state else {
            continue;
        };
        let mut before = session.ready();
        let Some((store, ready)) = before.find(|(store, _)| store.name == copy.copy.name) else {
            continue;
        };
        let (in_use, failure) = match failure.kind {
            CopyFailureKind::Locked => (Some(in_use(removals, ready, failure)), None),
            _ => (None, Some(failure.clone())),
        };
        finished.push(FinishedCopy {
            in_use,
            failure,
            ..waits(removals, store, ready, None)
        });
    }
    Ok(finished)
}

/// Whether something can go from a copy.
enum Going {
    Now,
    /// Until then nothing does, as far as is known.
    Later(Option<SystemTime>),
}

/// Whether something can go from a copy now; of a locked one some files are looked at.
fn going(removals: &Removals, copy: &CopyStore, due: &[&RemovedFile], at: Timestamp) -> Going {
    let of_kind = |kind: FileType| {
        let of_kind = due.iter().filter(move |file| file.name.kind() == kind);
        of_kind.map(|file| file.name).collect::<Vec<FileName>>()
    };
    let store = copy.store.as_ref();
    let mut left = BTreeSet::new();
    let mut latest: Option<SystemTime> = None;
    for kind in KINDS {
        let mut names = of_kind(kind);
        // What waits for files of a type before is not looked at.
        let held_up = removals.held_up(names.iter().copied(), &left);
        names.retain(|name| !held_up.contains(name));
        left.extend(held_up);
        if names.is_empty() {
            continue;
        }
        let wanted = turn(&names, at);
        let locked = match Locked::list(store, kind, |name| wanted.contains(&name)) {
            Ok(None) => return Going::Now,
            Ok(Some(locked)) => locked,
            Err(error) => {
                tracing::info!(copy = copy.name, reason = chain(&error), "A removal waits");
                return Going::Later(None);
            }
        };
        let decided = removals.decided(&wanted);
        for name in &wanted {
            match locked.hold(*name, decided.get(name).copied()) {
                Ok(Hold::Nothing) => return Going::Now,
                // It is hidden, and what waits for it goes on.
                Ok(Hold::Somebody(_)) if kind != FileType::Data => return Going::Now,
                Ok(Hold::Somebody(until)) => latest = latest.max(until),
                Ok(Hold::Lock(until)) => latest = latest.max(Some(until)),
                Err(_) => {}
            }
        }
        left.extend(names);
    }
    Going::Later(latest)
}

/// The files whose turn it is to be looked at: a row of them that begins elsewhere each hour, also
/// for whoever comes at the same hour every day.
fn turn(names: &[FileName], at: Timestamp) -> BTreeSet<FileName> {
    // 2^64 by the golden ratio: its multiples spread evenly.
    const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
    let hours = at.as_second().unsigned_abs() / 3600;
    let first = (hours.wrapping_mul(SPREAD) >> 32) % (names.len().max(1) as u64);
    let first = usize::try_from(first).unwrap_or_default();
    let from_there = names.iter().cycle().skip(first);
    from_there.take(LOOKED_AT).copied().collect()
}

/// What is told of a copy on which somebody else is at work, by his lock: whoever renews that for ever
/// keeps what was to go, and nothing else would say so.
fn in_use(removals: &Removals, ready: &ReadyCopy, lock: &CopyFailure) -> CopyFailure {
    let names = ready.removed.iter().map(|file| file.name);
    let due: BTreeSet<FileName> = names.filter(|name| removals.may_go(*name)).collect();
    let since = removals.decided(&due).into_values().min();
    let since = since.and_then(|since| Timestamp::try_from(since).ok());
    let since = since.map_or_else(String::new, |since| format!(" since {since:.0}"));
    CopyFailure {
        reason: format!(
            "what was to go{since} stays as long as somebody is at work there: {}",
            lock.reason
        ),
        ..lock.clone()
    }
}

/// A copy of which nothing goes for now; `locked` tells until when its locks hold what was looked at.
fn waits(
    removals: &Removals,
    copy: &CopyStore,
    ready: &ReadyCopy,
    locked: Option<SystemTime>,
) -> FinishedCopy {
    let until = removals.waits_until(&ready.removed).into_values().max();
    let until = until.and_then(|until| SystemTime::try_from(until).ok());
    let sizes = ready.removed.iter().map(|file| file.size_bytes);
    FinishedCopy {
        name: copy.name.clone(),
        waiting: ready.removed.len() as u64,
        waiting_bytes: sizes.fold(0, u64::saturating_add),
        waits_until: until.max(locked),
        ..FinishedCopy::default()
    }
}

/// A session of some copies of another.
fn part_of(session: &Session, names: &BTreeSet<String>) -> Session {
    let copies = session.copies.iter();
    let copies = copies.filter(|copy| names.contains(&copy.copy.name));
    let repository = session.repository.clone();
    let looking = session.looking.clone();
    let mut part = Session::new(repository, copies.cloned().collect(), looking);
    part.lock_times = session.lock_times.clone();
    part.removals = Arc::clone(&session.removals);
    part.keeper.clone_from(&session.keeper);
    part.own_locks = session.own_locks.clone();
    part
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use strongroom_model::Id;

    use super::*;

    #[test]
    fn every_file_has_its_turn_also_in_a_sync_at_the_same_hour_each_day() {
        let name = |number: u32| FileName::new(FileType::Data, Id::of(&number.to_le_bytes()));
        let names: Vec<FileName> = (0..2400).map(name).collect();
        let begin: Timestamp = "2026-06-01T12:00:00Z".parse().unwrap();
        let mut seen = BTreeSet::new();
        for day in 0..120 {
            let looked = turn(&names, begin + SignedDuration::from_hours(24 * day));
            assert_eq!(looked.len(), LOOKED_AT);
            seen.extend(looked);
        }
        assert_eq!(seen.len(), names.len());
        assert_eq!(turn(&names[..3], begin).len(), 3);
        assert!(turn(&[], begin).is_empty());
    }
}
