//! The facts of the scorecard, gathered: what each copy holds, and where it really is.
//!
//! **Architecture invariant:** it writes nothing to any copy and takes no lock there; only the
//! state folder remembers what was seen.
//!
//! What can go wrong: a copy that hangs (every look has its store's time limits, copies are looked
//! at all at once, and one that once could not be reached is not asked again), a copy that lies
//! about itself (a snapshot's needs are told by receipts or by the trees, never by the copy's own
//! word that it is whole), and a prune that has repacked everything (so: what a receipt calls
//! missing is looked up in the indexes before it is believed).
//!
//! Without an open repository, receipts stand in: they tell which snapshots there are and what
//! these need. What they do not tell is then called unproven.

mod gone;
mod held;
mod locked;
mod look;
mod moved;
pub mod needs;
mod place;
mod readers;
mod snapshots;

use std::collections::{BTreeMap, BTreeSet};

use strongroom_model::attack::AttackDrill;
use strongroom_model::evidence::{Listing, SeenSnapshot};
use strongroom_model::scorecard::{
    CopyFacts, HeldSnapshot, Location, LostFiles, Replaced, Unread, Wholeness,
};
use strongroom_model::{Account, BackupCopy, Config, CopyEvidence, Facts, Id, Name, Scorecard};

use crate::Result;
use crate::known::{Lost, Records};
use crate::receipts::Receipts;
use crate::session::{CopyStore, Environment, Looking, Session, chain};
use crate::state::{RepositoryState, StateFolder};
use crate::status::gone::Losses;
use crate::status::held::Judge;
use crate::status::look::{Look, Seen};
use crate::status::snapshots::KnownSnapshots;

/// What was found, and what follows from it.
#[derive(Debug, Clone)]
pub struct Status {
    /// The plan held against the facts.
    pub scorecard: Scorecard,
    /// The facts.
    pub facts: Facts,
    /// What is wrong beside that, for people to read.
    pub problems: Vec<String>,
}

/// What was found out about the vault that holds a copy.
#[derive(Debug, Clone, Default)]
pub struct VaultFacts {
    /// The keys that it holds and does not list until an operator admits them.
    pub pending_keys: BTreeSet<Id>,
    /// What raised an alarm about its log, and was not accepted by anybody yet.
    pub alarm: Option<String>,
    /// The account of production, where it runs in that very account.
    pub in_production: Option<Account>,
    /// The account in which it runs, whoever's that is.
    pub runs_in: Option<Account>,
    /// The account of production, where its objects lie in that very account.
    pub objects_in_production: Option<Account>,
    /// The accounts in which its objects lie, as it says, whoever's those are.
    pub objects_in: Vec<Account>,
}

/// How many of the newest snapshots of a source are looked into, until one is whole.
const LOOK_BACK: usize = 4;

/// Looks at the copies and judges.
///
/// `session` is the open repository, or `None` where it could not be opened; `copies` are those of
/// the configuration, by name; `vaults` tells of each copy that a vault holds. What cannot be found
/// out does not stop it.
///
/// # Errors
/// [`Error::Interrupted`](crate::Error::Interrupted) only.
pub fn gather(
    config: &Config,
    copies: &[CopyStore],
    session: Option<&Session>,
    state: &StateFolder,
    environment: &Environment,
    vaults: &BTreeMap<String, VaultFacts>,
) -> Result<Status> {
    let cancel = &environment.cancel;
    let now = (environment.clock)();
    let mut problems = Vec::new();
    let memory = match session {
        Some(session) => Some(state.repository(session.id())),
        None => state.remembered(copies),
    };
    let client = state.find_client_key().unwrap_or_else(|error| {
        problems.push(told(&error));
        None
    });
    let receipts = memory
        .as_ref()
        .zip(client.as_ref())
        .map(|(memory, client)| Receipts::new(memory, client));
    let configured: Vec<(&BackupCopy, Option<&CopyStore>)> = config
        .copies
        .iter()
        .map(|copy| (copy, copies.iter().find(|c| c.name == copy.name.as_str())))
        .collect();
    if let Some(session) = session {
        let tellings = session.removals.told_of(session);
        problems.extend(
            tellings
                .iter()
                .map(|told| format!("{told}; {}", told.hint())),
        );
    }
    let looking = Looking::until(cancel);
    let mut looks = look::look_at_all(&configured, session, memory.as_ref(), &looking);
    cancel.check()?;
    for look in &mut looks {
        if let Seen::Ready(ready) = &mut look.seen
            && let Some(vault) = vaults.get(&look.name)
        {
            ready.pending_keys.clone_from(&vault.pending_keys);
        }
    }

    let known = KnownSnapshots::find(config, &looks, session, receipts, environment)?;
    problems.extend(known.problems.iter().cloned());
    let mut judge = Judge::new(&looks, session, memory.as_ref(), receipts, cancel);
    let losses = Losses::new(&looks, &known, session, memory.as_ref());
    let mut facts = Facts {
        sources: place::source_facts(config),
        copies: BTreeMap::new(),
        restore_drill: memory.as_ref().and_then(RepositoryState::restore_drill),
        lost: memory
            .as_ref()
            .and_then(|memory| lost(&Records::new(memory, receipts, copies), &looks, session)),
        replaced: session.map_or_else(Vec::new, replaced),
    };
    let removed = memory.as_ref().map(|memory| memory.gone().accepted);
    let removed = removed.unwrap_or_default();
    for (look, (copy, _)) in looks.iter().zip(&configured) {
        let mut held = Vec::new();
        for source in &config.sources {
            held.extend(held_of(look, &source.name, &known, &mut judge)?);
        }
        let nothing_known = held.is_empty() && session.is_none();
        let unreachable = match &look.seen {
            Seen::Failed(reason) => Some(reason.clone()),
            Seen::Ready(ready) if nothing_known && !ready.listing.snapshots.is_empty() => {
                Some("its snapshots cannot be read without the password".to_owned())
            }
            Seen::Ready(_) | Seen::Empty => None,
        };
        let mut evidence = remember(look, &held, memory.as_ref(), now, &mut problems);
        moved::excuse(&mut evidence, receipts, &removed);
        if let Seen::Ready(ready) = &look.seen {
            problems.extend(another_place(look, &mut evidence, ready.listing.place));
        }
        let others = copies.iter().filter_map(|other| {
            let at = evidence.one_place(other.store.location())?;
            Some((other.name.parse().ok()?, at))
        });
        let vault = vaults.get(&look.name);
        let locked = locked::locked(copy, look, &held, &judge, &evidence, memory.as_ref(), now);
        let attacked = evidence.attack.as_ref();
        let lock_proven = attacked.and_then(AttackDrill::proven_at);
        let found = CopyFacts {
            unreachable,
            unread: unread(look, memory.as_ref()),
            gone: losses.of(look),
            one_place: others.collect(),
            location: look.location.clone().unwrap_or(Location::of(&copy.store)),
            snapshots: held,
            lock_proven,
            locked,
            evidence,
            credential: look.holder.credential,
            accounts: look.holder.accounts.clone(),
            key: look.holder.key.clone(),
            in_production: vault.and_then(|vault| vault.in_production.clone()),
            runs_in: vault.and_then(|vault| vault.runs_in.clone()),
            objects_in_production: vault.and_then(|vault| vault.objects_in_production.clone()),
            objects_in: vault.map_or_else(Vec::new, |vault| vault.objects_in.clone()),
            alarm: vault.and_then(|vault| vault.alarm.clone()),
        };
        facts.copies.insert(copy.name.clone(), found);
    }
    problems.extend(judge.finish());
    Ok(Status {
        scorecard: Scorecard::judge(config, &facts, now),
        facts,
        problems,
    })
}

/// The newest snapshots of a source on a copy, down to the first whole one.
fn held_of(
    look: &Look<'_>,
    source: &Name,
    known: &KnownSnapshots,
    judge: &mut Judge<'_>,
) -> Result<Vec<HeldSnapshot>> {
    let Seen::Ready(ready) = &look.seen else {
        return Ok(Vec::new());
    };
    let last_whole = look.evidence.last_whole.get(source).map(|seen| seen.id);
    let on_copy = known.of_source(source).filter(|snapshot| {
        ready.listing.snapshots.contains(snapshot.id) && !known.is_damaged(&look.name, snapshot.id)
    });
    let mut held = Vec::new();
    for (place, snapshot) in on_copy.enumerate() {
        if place >= LOOK_BACK && last_whole != Some(snapshot.id) {
            continue;
        }
        let wholeness = judge.wholeness(look, snapshot)?;
        let whole = wholeness == Wholeness::Whole;
        held.push(HeldSnapshot {
            source: source.clone(),
            id: snapshot.id,
            time: snapshot.time,
            source_errors: snapshot.source_errors,
            wholeness,
        });
        if whole {
            break;
        }
    }
    Ok(held)
}

/// The repositories that were seen on the copies before the one that is there now.
fn replaced(session: &Session) -> Vec<Replaced> {
    let predecessors = session.predecessors.iter();
    let told = predecessors.map(|one| Replaced {
        reason: one.to_string(),
        mend: one.hint(),
    });
    told.collect()
}

/// What was there once and no copy lists any more, but for what a record hides.
fn lost(records: &Records<'_>, looks: &[Look<'_>], session: Option<&Session>) -> Option<LostFiles> {
    let listed = looks.iter().map(|look| match &look.seen {
        Seen::Ready(ready) => (look.name.as_str(), Some(&ready.listing)),
        Seen::Empty | Seen::Failed(_) => (look.name.as_str(), None),
    });
    let listings: Vec<_> = listed.clone().filter_map(|(_, listing)| listing).collect();
    let mut files = records.unlisted_files(&listings);
    files.retain(|name| session.is_none_or(|session| !session.removals.names(*name)));
    let lost = Lost::among(&files, listed);
    (!lost.is_empty()).then(|| LostFiles {
        reason: lost.to_string(),
        mend: lost.hint(),
        is_certain: lost.is_certain(),
    })
}

/// Lets nothing count that was shown of another place than the one that is there now, or of which
/// nobody knows whether it was; says so where anything was. The state folder keeps it: the place
/// may come back.
fn another_place(
    look: &Look<'_>,
    evidence: &mut CopyEvidence,
    place: Option<Id>,
) -> Option<String> {
    let name = &look.name;
    let is_bucket = look
        .store
        .is_some_and(|copy| copy.store.versions().is_some());
    if evidence.lacks_place(place) {
        return evidence.forget_shown().then(|| match is_bucket {
            true => format!(
                "{name}: the versions of its config are not listed, so that nothing tells whether \
                 it is the bucket that was verified: nothing of it counts as read, locked or \
                 proven meanwhile; let its account list versions (s3:ListBucketVersions)"
            ),
            false => format!(
                "{name}: its config is missing or cannot be read, so that nothing tells whether it \
                 is the place that was verified: nothing of it counts as read meanwhile; \
                 strongroom sync brings it"
            ),
        });
    }
    evidence.move_to(place).then(|| match is_bucket {
        true => format!(
            "{name}: what lies there now is not the bucket that was verified, or the first version \
             of its config was removed: nothing of it counts as read, locked or proven until the \
             next strongroom verify and strongroom drill attack"
        ),
        false => format!(
            "{name}: what lies there now is not the place that was verified, or its config was \
             written anew: nothing of it counts as read until the next strongroom verify"
        ),
    })
}

/// What came to a copy since it was read; `None` where that cannot be told.
fn unread(look: &Look<'_>, memory: Option<&RepositoryState>) -> Option<Unread> {
    let (Seen::Ready(ready), Some(store)) = (&look.seen, look.store) else {
        return None;
    };
    let read = memory?.read_files(store)?;
    Some(read.unread(&ready.listing))
}

/// Notes in the state folder what a copy holds; returns what is known of it.
fn remember(
    look: &Look<'_>,
    held: &[HeldSnapshot],
    memory: Option<&RepositoryState>,
    now: jiff::Timestamp,
    problems: &mut Vec<String>,
) -> CopyEvidence {
    let mut evidence = look.evidence.clone();
    let (Seen::Ready(ready), Some(store)) = (&look.seen, look.store) else {
        return evidence;
    };
    let (files, bytes) = ready.listing.totals();
    let change = |evidence: &mut CopyEvidence| {
        let at = now;
        evidence.listing = Some(Listing { at, files, bytes });
        evidence.adopt(ready.listing.place);
        let whole = held
            .iter()
            .filter(|held| held.wholeness == Wholeness::Whole);
        for held in whole {
            let (id, time) = (held.id, held.time);
            let seen = SeenSnapshot { id, time };
            // A copy that hides its newest snapshot must not make it forgotten.
            let known = evidence.last_whole.get(&held.source);
            if known.is_none_or(|known| known.time <= seen.time) {
                evidence.last_whole.insert(held.source.clone(), seen);
            }
        }
    };
    change(&mut evidence);
    match memory.map(|memory| memory.update_evidence(store, change)) {
        Some(Ok(evidence)) => evidence,
        Some(Err(error)) => {
            problems.push(told(&error));
            evidence
        }
        None => evidence,
    }
}

/// An error with its causes and its hint, in one line.
fn told(error: &crate::Error) -> String {
    match error.hint() {
        Some(hint) => format!("{}; {hint}", chain(error)),
        None => chain(error),
    }
}

/// The SHA-256 of the bytes of `config` as the open repository has them.
fn config_digest(session: &Session) -> Id {
    Id::of(session.repository.config_bytes())
}

#[cfg(test)]
mod tests;
