//! What the owner demands: the plan that the scorecard holds against evidence.

use serde::Serialize;

use crate::period::Period;

/// How many copies, on how many media, how many of them offsite and immutable, and how fresh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Whole and independent copies.
    pub copies: u32,
    /// Different kinds of storage among them.
    pub media: u32,
    /// Copies at another site and under other credentials than the sources.
    pub offsite: u32,
    /// Copies that were shown to withstand production's credentials.
    pub immutable: u32,
    /// The greatest age of the last good backup of each source.
    pub max_age: Period,
    /// Within which every stored byte of every copy is read and checked.
    pub verify_every: Period,
    /// Within which a restore is rehearsed.
    pub drill_every: Period,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            copies: 3,
            media: 2,
            offsite: 1,
            immutable: 1,
            max_age: Period::hours(24),
            verify_every: Period::days(7),
            drill_every: Period::days(30),
        }
    }
}
