//! Met, missed or unproven: the only three answers.

use serde::{Serialize, Serializer};

/// Whether a demand is met; as JSON `true`, `false` and `null`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It was shown that it is not met.
    Missed,
    /// It could be met, and was not shown to be.
    Unproven,
    /// It was shown to be met.
    Met,
}

/// A standing and its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Whether it is met.
    pub met: Standing,
    /// Why or why not, in one line that names the copies.
    pub reason: String,
}

impl Standing {
    /// Met where both are met, missed where either is missed.
    pub fn and(self, other: Self) -> Self {
        self.min(other)
    }

    /// What follows when so many were shown, and so many could be at best.
    pub(super) fn of_counts(shown: usize, possible: usize, wanted: u32) -> Self {
        let reaches = |count: usize| u32::try_from(count).is_ok_and(|count| count >= wanted);
        if reaches(shown) {
            Self::Met
        } else if reaches(possible) {
            Self::Unproven
        } else {
            Self::Missed
        }
    }

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "missed",
            Self::Unproven => "unproven",
        }
    }
}

impl Serialize for Standing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Met => serializer.serialize_bool(true),
            Self::Missed => serializer.serialize_bool(false),
            Self::Unproven => serializer.serialize_none(),
        }
    }
}

impl Finding {
    pub(super) fn met(reason: impl Into<String>) -> Self {
        Self::new(Standing::Met, reason)
    }

    pub(super) fn missed(reason: impl Into<String>) -> Self {
        Self::new(Standing::Missed, reason)
    }

    pub(super) fn unproven(reason: impl Into<String>) -> Self {
        Self::new(Standing::Unproven, reason)
    }

    pub(super) fn new(met: Standing, reason: impl Into<String>) -> Self {
        Self {
            met,
            reason: reason.into(),
        }
    }
}
