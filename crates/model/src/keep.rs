//! What stays of the snapshots of a source: the owner's plan for letting go.
//!
//! Where anything is in doubt, everything stays: no count can be zero, and a source without a
//! [`Keep`], or with one that names nothing, keeps all. How snapshots come to take the places is
//! told by [`crate::retention`].

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use crate::period::Period;

/// Which snapshots of a source stay; what none of these names may go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// So many of the newest.
    pub last: Option<NonZeroU32>,
    /// One for each of so many hours, of those in which any arrived.
    pub hourly: Option<NonZeroU32>,
    /// One for each of so many days.
    pub daily: Option<NonZeroU32>,
    /// One for each of so many weeks, which begin on Mondays.
    pub weekly: Option<NonZeroU32>,
    /// One for each of so many months.
    pub monthly: Option<NonZeroU32>,
    /// One for each of so many years.
    pub yearly: Option<NonZeroU32>,
    /// All that arrived within this time before the newest.
    pub within: Option<Period>,
    /// All with one of these tags.
    pub tags: BTreeSet<String>,
}

impl Keep {
    /// Whether it names nothing: then it lets nothing go.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
