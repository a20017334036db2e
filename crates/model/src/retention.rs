//! Which snapshots stay and which may go, decided once for all copies.
//!
//! **The attack.** Whoever holds production's credentials and the repository's key can add any
//! snapshot: of any source, host and paths, with any tags and any time, a thousand in a minute or
//! one a day for a year. Where the newest push out the oldest, the owner's own forget then removes
//! what was real. The one thing that an intruder cannot choose is *when* a snapshot comes: a vault
//! or a bucket tells that by its own clock, and nothing comes in the past.
//!
//! **The rules**
//! 1. What counts is a snapshot's earliest arrival on any copy. One whose claimed time does not fit
//!    is set aside: [`Suspicion`]. So a copy that lies about the arrival of a real one moves it by
//!    the time that the backup took, and a day, at most. None is believed that a snapshot was there
//!    when we listed that copy without it: [`Arrival::not_before`].
//! 2. Each [`Group`] (source, host and paths) has places of its own: invented ones take none of
//!    another's, and a source that saves less than before does not push out what it saved before.
//! 3. Of an hour, day, week, month or year the snapshot that came *first* has the place, and all
//!    where several came at once. No later one takes it. The newest of a group stays besides.
//! 4. What came today stays and takes no place: a day is judged when it is over.
//! 5. A day or a week in which more came than ever in the group's first four weeks is *crowded*:
//!    nobody can tell which of its snapshots are real. They take no place and none goes, until
//!    somebody admits those that are his. So a flood holds everything as it was before it. All
//!    stays until something comes after those four weeks.
//! 6. Our own clock frees nothing but the day: `within` counts back from the newest snapshot that
//!    takes a place, the four weeks are over by what comes, and a source that has stopped loses
//!    nothing by the time that passes. One that is ahead judges a day before it is over.
//!
//! **Why that is enough.** Taking any snapshots out of those that take places lets none of the
//! others go: fewer came later, fewer came first, fewer hours and days are filled. So where no fake
//! takes a place nothing real is lost, whatever comes, and a fake takes none on a day and in a week
//! in which as many real ones came as usual: with it there are more.
//!
//! **What remains.** Where fewer real ones came than usual, as many fakes as are missing pass for
//! real ones; no rule can tell them apart. Each takes at most one place in each line of a [`Keep`]:
//! - Of what came *before* him he pushes out nothing before the plan's time. What came first in its
//!   day stays for as many days as `daily` says, and so on; what came within `within` stays; `last`
//!   covers at least as many days as it holds the usual number of a day. He who stops the real
//!   backups and sends fakes in their stead needs all that time, in which restore drills and
//!   `max_age` can find him.
//! - Of a day on which his came first and a real one was missing, another real one loses the place
//!   of that day (week, month, year), and goes when it has no finer one.
//! - He who is there in the first four weeks of a group has a say in what is usual of it.
//! - Whoever can have a source's `keep`, or the program that forgets, changed needs none of this.
//!
//! Fakes cost space until somebody removes them by name; rather too much stays than too little.
//!
//! **Architecture invariant:** what is not given here gets no decision, and who removes by
//! decisions removes nothing else. So hosts that are nobody's business are left out by the caller.

mod arrival;
mod crowd;
mod fate;
mod memory;
mod places;
mod unit;

pub use arrival::{Arrival, SeenBy};
pub use fate::{Decision, Fate, Rule, Suspicion};
pub use memory::needed;
pub use unit::Unit;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::id::Id;
use crate::keep::Keep;
use crate::name::Name;
use crowd::{Seen, Usual};
use places::Places;

/// All that a decision rests on.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Every snapshot that may go, each once.
    pub snapshots: &'a [Candidate],
    /// Those that came once and are gone, by whatever hand. They tell what is usual, and where more
    /// came. Needed are those of the first four weeks of a group, those that somebody has admitted,
    /// those of this week, and those of each week of which any is still there: a week that is
    /// crowded would not be any more where what went of it is forgotten. [`needed`] tells which.
    /// What was doubted by itself while it was there is none of them.
    pub past: &'a [Past],
    /// What the plan says of each source; of a source that is not named everything stays.
    pub keeps: &'a BTreeMap<Name, Keep>,
}

/// A snapshot, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The id of its file.
    pub id: Id,
    /// Whose place it would take.
    pub group: Group,
    /// The time that it claims.
    pub claimed: Timestamp,
    /// How long the backup took, as it claims.
    pub duration: Option<SignedDuration>,
    /// Its tags.
    pub tags: BTreeSet<String>,
    /// When it came to any copy for the first time; `None` where nobody knows.
    pub arrival: Option<Arrival>,
    /// Whether somebody holds it: [`crate::holds`].
    pub is_held: bool,
    /// Whether somebody has said of it that it is his own, though its day is crowded.
    pub is_admitted: bool,
}

/// A snapshot that came once and is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// Whose place it had.
    pub group: Group,
    /// When it came.
    pub arrived: Timestamp,
    /// As of a [`Candidate`].
    pub is_admitted: bool,
}

/// Snapshots that follow each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Group {
    /// The source; `None` where it is none that could be in a configuration.
    pub source: Option<Name>,
    /// The host.
    pub host: String,
    /// What was saved, in whatever order.
    pub paths: BTreeSet<String>,
}

/// A candidate and what is wrong with it.
struct Judged<'a> {
    candidate: &'a Candidate,
    doubts: Vec<Suspicion>,
}

impl Known<'_> {
    /// What the plan says of a group; `None` where everything stays.
    fn keep(&self, group: &Group) -> Option<&Keep> {
        let keep = self.keeps.get(group.source.as_ref()?)?;
        (!keep.is_empty()).then_some(keep)
    }
}

impl Candidate {
    /// Whether something is wrong with it by itself, whatever others there are: then it counts
    /// nowhere, neither now nor when it is gone.
    pub fn is_doubted(&self, now: Timestamp) -> bool {
        !arrival::doubts(self, now).is_empty()
    }
}

impl Judged<'_> {
    /// When it came, where nothing is wrong with it.
    fn arrived(&self) -> Option<Timestamp> {
        let arrival = self.candidate.arrival?;
        self.doubts.is_empty().then_some(arrival.at)
    }
}

/// Decides of every snapshot whether it stays, and tells why; in the order in which they are given.
pub fn decide(known: &Known<'_>, now: Timestamp) -> Vec<Decision> {
    let mut judged: Vec<Judged<'_>> = known
        .snapshots
        .iter()
        .map(|candidate| Judged {
            candidate,
            doubts: arrival::doubts(candidate, now),
        })
        .collect();
    let usual = usual(known, &judged);
    for one in &mut judged {
        let candidate = one.candidate;
        if let (Some(arrived), Some(usual)) = (one.arrived(), usual.get(&candidate.group)) {
            one.doubts = usual.crowds(arrived, candidate.is_admitted);
        }
    }
    let today = Unit::Day.of(now);
    let is_over = |arrived: Timestamp| Unit::Day.of(arrived) < today;
    let mut takers: BTreeMap<&Group, Vec<Timestamp>> = BTreeMap::new();
    for one in &judged {
        let group = &one.candidate.group;
        if let Some(arrived) = one.arrived().filter(|arrived| is_over(*arrived)) {
            takers.entry(group).or_default().push(arrived);
        }
    }
    let places: BTreeMap<&Group, Places<'_>> = takers
        .into_iter()
        .filter_map(|(group, arrived)| Some((group, Places::of(known.keep(group)?, arrived))))
        .collect();
    let fate = |one: Judged<'_>| {
        let candidate = one.candidate;
        if candidate.is_held {
            return Fate::Held;
        }
        let Some(keep) = known.keep(&candidate.group) else {
            let rules = vec![Rule::Unplanned];
            return Fate::Kept { rules };
        };
        let Some(arrived) = one.arrived() else {
            return Fate::Suspicious { why: one.doubts };
        };
        let mut rules = Vec::new();
        let usual = usual.get(&candidate.group);
        if usual.is_some_and(Usual::is_learning) {
            rules.push(Rule::New);
        }
        match (is_over(arrived), places.get(&candidate.group)) {
            (false, _) => rules.push(Rule::Today),
            (true, Some(places)) => rules.extend(places.rules(arrived)),
            (true, None) => {}
        }
        let tags = keep.tags.intersection(&candidate.tags);
        rules.extend(tags.cloned().map(Rule::Tag));
        match rules.is_empty() {
            true => Fate::Goes,
            false => Fate::Kept { rules },
        }
    };
    judged
        .into_iter()
        .map(|one| Decision {
            id: one.candidate.id,
            fate: fate(one),
        })
        .collect()
}

/// What is usual of each group, by all that ever came.
fn usual<'a>(known: &Known<'a>, judged: &[Judged<'a>]) -> BTreeMap<&'a Group, Usual> {
    let past = known.past.iter();
    let past = past.map(|past| (&past.group, past.arrived, past.is_admitted));
    let there = judged.iter().filter_map(|one| {
        let candidate = one.candidate;
        Some((&candidate.group, one.arrived()?, candidate.is_admitted))
    });
    let mut seen: BTreeMap<&Group, Vec<Seen>> = BTreeMap::new();
    for (group, arrived, is_admitted) in past.chain(there) {
        let one = Seen {
            arrived,
            is_admitted,
        };
        seen.entry(group).or_default().push(one);
    }
    let groups = seen.into_iter();
    groups
        .map(|(group, seen)| (group, Usual::of(&seen)))
        .collect()
}

#[cfg(test)]
mod tests;
