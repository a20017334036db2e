//! The decision: what stays of the snapshots that the copies list, and why.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use strongroom_model::retention::{Arrival, Candidate, Fate, Group, Known, Past, decide, needed};
use strongroom_model::{Holds, Id, Keep, Name};
use strongroom_repo::Snapshot;

use crate::Result;
use crate::retain::told::{self, Told};
use crate::session::{CopyFailure, Session};
use crate::snapshots::{FoundSnapshot, Snapshots};
use crate::state::{RepositoryState, Sightings};

/// What is asked.
#[derive(Debug)]
pub struct Question<'a> {
    /// What the copies of the session show.
    pub snapshots: &'a Snapshots,
    /// What people have said of single ones.
    pub holds: &'a Holds,
    /// What the plan says of each source.
    pub keeps: &'a BTreeMap<Name, Keep>,
    /// Whose snapshots are decided upon.
    pub hosts: &'a Hosts,
    /// For each copy on a vault, by name, what the vault says of when its snapshots came.
    pub vaults: &'a BTreeMap<String, Told>,
}

/// Whose snapshots are decided upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hosts {
    /// Everybody's.
    All,
    /// Those of these hosts; the rest is nobody's business here.
    These(BTreeSet<String>),
}

/// What was decided.
#[derive(Debug)]
pub struct Plan {
    /// By group, and what came first in it first.
    pub decided: Vec<Decided>,
    /// The copies that have clocks of their own and did not say when their snapshots came, by name,
    /// and why. Where there is any, nothing goes.
    pub unasked: Vec<(String, CopyFailure)>,
    /// How many snapshots are of other hosts.
    pub of_others: usize,
    /// Everything that was found, whoever's.
    candidates: Vec<Candidate>,
    /// Whether all that lies on any copy was found.
    is_whole: bool,
    holds: Holds,
    keeps: BTreeMap<Name, Keep>,
}

/// What was decided of a snapshot.
#[derive(Debug, Clone)]
pub struct Decided {
    /// The snapshot.
    pub id: Id,
    /// Whose place it would take.
    pub group: Group,
    /// The time that it claims.
    pub claimed: Timestamp,
    /// When it came.
    pub arrival: Option<Arrival>,
    /// The copies that list it.
    pub copies: Vec<String>,
    /// What becomes of it.
    pub fate: Fate,
}

/// Decides what stays; changes nothing anywhere.
///
/// # Errors
/// Where the state folder cannot be read; the user interrupts.
pub fn plan(
    session: &Session,
    state: &RepositoryState,
    question: &Question<'_>,
    now: Timestamp,
) -> Result<Plan> {
    let remembered = state.arrivals()?;
    let told = told::by_copies(session, question.vaults);
    session.looking.cancel.check()?;
    let mut sightings: BTreeMap<&str, Sightings> = BTreeMap::new();
    for (copy, _) in session.ready() {
        sightings.insert(&copy.name, state.sightings(copy)?);
    }
    let known = remembered.by_id();
    let arrival = |found: &FoundSnapshot| {
        let id = found.id;
        let by_copies = found.copies.iter().filter_map(|name| {
            let told = match told.get(name) {
                Some(Told::Arrivals(all)) => all.get(&id).copied(),
                _ => None,
            };
            let sightings = sightings.get(name.as_str())?;
            Some(sightings.arrival(id, told, now))
        });
        Arrival::earliest(by_copies.chain(known.get(&id).copied()))
    };
    let all = &question.snapshots.all;
    let candidates: Vec<Candidate> = all
        .iter()
        .map(|found| candidate(found, arrival(found), question.holds))
        .collect();
    let there = candidates.iter().map(|one| one.id).collect();
    let past = remembered.past(&there, question.holds);
    let past: Vec<Past> = past.into_iter().map(|(_, past)| past).collect();
    let wanted = candidates.iter().filter(|one| question.hosts.has(one));
    let wanted: Vec<Candidate> = wanted.cloned().collect();
    let decisions = decide(
        &Known {
            snapshots: &wanted,
            past: &past,
            keeps: question.keeps,
        },
        now,
    );
    let copies: BTreeMap<Id, &[String]> = all
        .iter()
        .map(|found| (found.id, found.copies.as_slice()))
        .collect();
    let of_others = candidates.len() - wanted.len();
    let decided = wanted.into_iter().zip(decisions);
    let decided = decided.map(|(one, decision)| Decided {
        id: one.id,
        group: one.group,
        claimed: one.claimed,
        arrival: one.arrival,
        copies: copies
            .get(&one.id)
            .map(|names| names.to_vec())
            .unwrap_or_default(),
        fate: decision.fate,
    });
    let mut decided: Vec<Decided> = decided.collect();
    decided.sort_by(|a, b| {
        let place = |one: &Decided| (one.arrival.map(|arrival| arrival.at), one.claimed, one.id);
        a.group.cmp(&b.group).then_with(|| place(a).cmp(&place(b)))
    });
    let unasked = told.into_iter().filter_map(|(name, told)| match told {
        Told::Withheld(failure) => Some((name, failure)),
        Told::Nothing | Told::Arrivals(_) => None,
    });
    let is_listed = session.ready().count() == session.copies.len();
    Ok(Plan {
        decided,
        unasked: unasked.collect(),
        of_others,
        candidates,
        is_whole: is_listed && question.snapshots.problems.is_empty(),
        holds: question.holds.clone(),
        keeps: question.keeps.clone(),
    })
}

impl Plan {
    /// What goes.
    pub fn going(&self) -> BTreeSet<Id> {
        if !self.unasked.is_empty() {
            return BTreeSet::new();
        }
        let going = self.decided.iter().filter(|one| one.fate.goes());
        going.map(|one| one.id).collect()
    }

    /// Keeps for later decisions when all that is there came, whoever's; to be done before anything
    /// of it is removed. Of the past it forgets what none of them needs, where all copies were at
    /// hand: what is still there is not known otherwise.
    ///
    /// # Errors
    /// Where it cannot be written: then nothing may be removed.
    pub fn remember(&self, state: &RepositoryState, now: Timestamp) -> Result<()> {
        state.update_arrivals(|arrivals| {
            arrivals.note(&self.candidates, now);
            if !self.is_whole {
                return;
            }
            let mut kept: BTreeSet<Id> = self.candidates.iter().map(|one| one.id).collect();
            let gone = arrivals.past(&kept, &self.holds);
            let (ids, past): (Vec<Id>, Vec<Past>) = gone.into_iter().unzip();
            let known = Known {
                snapshots: &self.candidates,
                past: &past,
                keeps: &self.keeps,
            };
            let needed = ids.into_iter().zip(needed(&known, now));
            kept.extend(needed.filter_map(|(id, is_needed)| is_needed.then_some(id)));
            arrivals.keep(&kept);
        })
    }
}

impl Hosts {
    fn has(&self, one: &Candidate) -> bool {
        match self {
            Self::All => true,
            Self::These(hosts) => hosts.contains(&one.group.host),
        }
    }
}

fn candidate(found: &FoundSnapshot, arrival: Option<Arrival>, holds: &Holds) -> Candidate {
    let snapshot = &found.snapshot;
    Candidate {
        id: found.id,
        group: Group {
            source: snapshot.source().and_then(|source| source.parse().ok()),
            host: snapshot.hostname.clone(),
            paths: snapshot.paths.iter().cloned().collect(),
        },
        claimed: snapshot.time,
        duration: duration(snapshot),
        tags: snapshot.tags.iter().cloned().collect(),
        arrival,
        is_held: holds.held(found.id).is_some(),
        is_admitted: holds.is_admitted(found.id),
    }
}

/// How long the backup took, as it claims.
fn duration(snapshot: &Snapshot) -> Option<SignedDuration> {
    let summary = snapshot.summary.as_ref()?;
    Some(summary.backup_end.duration_since(summary.backup_start))
}
