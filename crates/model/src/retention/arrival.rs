//! When a snapshot came, and whether the time that it claims fits that.
//!
//! A claim decides nothing by itself; it can only set its own snapshot aside. The bounds are those
//! within which clocks disagree and backups take their time: an honest host does not leave them,
//! and a fake gains nothing by staying within.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::retention::{Candidate, Suspicion};

/// How far the clock of a host, or of a copy, may be ahead before it proves something.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(10);

/// How long after its end a backup may come, as from a machine without a network at night.
const LATEST: SignedDuration = SignedDuration::from_hours(24);

/// That a snapshot was there, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// When it was there, to the millisecond or worse.
    pub at: Timestamp,
    /// Who says so.
    pub by: SeenBy,
}

/// By whose clock it is known when a snapshot came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SeenBy {
    /// The vault that holds it.
    Vault,
    /// The bucket that holds it: the date of its oldest version.
    Bucket,
    /// This program, when it listed it for the first time.
    Us,
}

impl Arrival {
    /// The first of several.
    pub fn earliest(arrivals: impl IntoIterator<Item = Self>) -> Option<Self> {
        let arrivals = arrivals.into_iter();
        arrivals.min_by_key(|arrival| (arrival.at, arrival.by))
    }

    /// What is left of the word of a copy that we listed once and that did not list the snapshot
    /// then: whoever runs it could put fakes into the past otherwise.
    #[must_use]
    pub fn not_before(self, listed_without: Option<Timestamp>) -> Self {
        match listed_without {
            Some(listed) if listed > self.at => Self {
                at: listed,
                by: SeenBy::Us,
            },
            _ => self,
        }
    }
}

/// What is wrong with a snapshot, whatever others there are.
pub(super) fn doubts(candidate: &Candidate, now: Timestamp) -> Vec<Suspicion> {
    let Some(Arrival { at: arrived, .. }) = candidate.arrival else {
        return vec![Suspicion::NeverSeen];
    };
    let claimed = candidate.claimed;
    let took = candidate.duration.unwrap_or(SignedDuration::ZERO);
    let latest = took.max(SignedDuration::ZERO).saturating_add(LATEST);
    let late = arrived.duration_since(claimed);
    let mut doubts = Vec::new();
    if arrived.duration_since(now) > CLOCK_TOLERANCE {
        doubts.push(Suspicion::ArrivedAhead { arrived });
    }
    if claimed.duration_since(arrived) > CLOCK_TOLERANCE {
        doubts.push(Suspicion::ClaimedLater { claimed, arrived });
    }
    if late > latest {
        doubts.push(Suspicion::ClaimedEarlier { claimed, arrived });
    }
    doubts
}
