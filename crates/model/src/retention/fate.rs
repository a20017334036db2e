//! What is decided of a snapshot, and why.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::ago::lasting;
use crate::id::Id;
use crate::retention::Unit;

/// What is decided of one snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// The snapshot.
    pub id: Id,
    /// What becomes of it.
    #[serde(flatten)]
    pub fate: Fate,
}

/// What becomes of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "fate", rename_all = "lowercase")]
pub enum Fate {
    /// It stays.
    Kept {
        /// All rules that name it.
        rules: Vec<Rule>,
    },
    /// It stays until somebody releases it, whatever else there is to say of it.
    Held,
    /// It stays, takes no place, and is to be named to a person.
    Suspicious {
        /// All that is wrong with it.
        why: Vec<Suspicion>,
    },
    /// Nothing names it: it may be removed.
    Goes,
}

/// Why a snapshot stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// The plan says nothing of its source.
    Unplanned,
    /// Nothing of its group came after the first four weeks yet.
    New,
    /// It came today.
    Today,
    /// None came later.
    Newest,
    /// `last`.
    Last,
    /// `hourly`.
    Hourly,
    /// `daily`.
    Daily,
    /// `weekly`.
    Weekly,
    /// `monthly`.
    Monthly,
    /// `yearly`.
    Yearly,
    /// `within`.
    Within,
    /// `tags`, by this one.
    Tag(String),
}

/// What is wrong with a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Suspicion {
    /// Nobody knows when it came.
    NeverSeen,
    /// It came at a time that is still to come, as its copy says, or our clock is behind.
    ArrivedAhead {
        /// When it came.
        arrived: Timestamp,
    },
    /// It claims to be of a time at which it was there already.
    ClaimedLater {
        /// The time that it claims.
        claimed: Timestamp,
        /// When it came.
        arrived: Timestamp,
    },
    /// It claims to be of a time long before it came.
    ClaimedEarlier {
        /// The time that it claims.
        claimed: Timestamp,
        /// When it came.
        arrived: Timestamp,
    },
    /// It came together with more others of its group than is usual.
    Crowded {
        /// A day, or a week.
        unit: Unit,
        /// How many came in it.
        came: u64,
        /// How many are usual.
        usual: u64,
    },
}

impl Fate {
    /// Whether the snapshot may be removed.
    pub const fn goes(&self) -> bool {
        matches!(self, Self::Goes)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self {
            Self::Unplanned => "no keep of its source",
            Self::New => "its source is new",
            Self::Today => "came today",
            Self::Newest => "the newest",
            Self::Last => "last",
            Self::Hourly => "hourly",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Yearly => "yearly",
            Self::Within => "within",
            Self::Tag(tag) => return write!(f, "tag {tag}"),
        };
        f.write_str(word)
    }
}

impl fmt::Display for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverSeen => f.write_str("nobody knows when it came"),
            Self::ArrivedAhead { arrived } => {
                write!(f, "it came at {arrived}, which is still to come")
            }
            Self::ClaimedLater { claimed, arrived } => {
                let later = lasting(claimed.duration_since(*arrived));
                write!(f, "it claims to be {later} younger than its arrival")
            }
            Self::ClaimedEarlier { claimed, arrived } => {
                let earlier = lasting(arrived.duration_since(*claimed));
                write!(f, "it claims to be {earlier} older than its arrival")
            }
            Self::Crowded { unit, came, usual } => {
                let unit = unit.word();
                write!(f, "{came} came in its {unit}, more than the usual {usual}")
            }
        }
    }
}
