//! From attempts to an answer.
//!
//! The rules stand in the order in which they apply; the first that fits decides.
//!
//! | what was seen | answer |
//! |---|---|
//! | a folder, whatever was seen | destroyable, by whoever is root here |
//! | a canary is gone, or a door was open | destroyable, by this credential |
//! | something could not be found out | not proven, and not certain |
//! | a bucket where this credential may not delete what is not locked | denied, lock not proven |
//! | a REST server that is no vault | denied, lock not proven |
//! | a lock that gave way, is not shown, or is not what backups get | not proven |
//! | what has to be tried was not | not proven |
//! | a vault that was not believed | not proven |
//! | all else | proven |

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::attack::{Attempt, Left, Mark, PlaceKind, Said, Tried};

/// What a drill has shown of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Verdict {
    /// Production's credential failed at everything, though it has the rights to succeed where
    /// nothing is locked.
    Proven {
        /// Until when what is put on that day is locked, for whoever rules the place too; `None`
        /// where it is no lock by date but somebody else who keeps it, as a vault.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// It failed, and that may come from a missing permission alone.
    DeniedNotProven,
    /// It did not destroy anything, and a lock was not shown either.
    NotProven,
    /// It destroyed the canary.
    Destroyable,
}

/// An answer and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The answer.
    pub verdict: Verdict,
    /// Why, in one line.
    pub reason: String,
    /// Whether everything that it rests on was found out.
    pub is_certain: bool,
}

impl Verdict {
    /// Whether it is a proof.
    pub const fn is_proven(self) -> bool {
        matches!(self, Self::Proven { .. })
    }

    /// Whether whoever rules the place cannot destroy it either, as under a lock by date.
    pub const fn binds_everyone(self) -> bool {
        matches!(self, Self::Proven { until: Some(_) })
    }

    /// The words for it.
    pub const fn spoken(self) -> &'static str {
        match self {
            Self::Proven { .. } => "proven",
            Self::DeniedNotProven => "denied, lock not proven",
            Self::NotProven => "not proven",
            Self::Destroyable => "not proven: destroyable",
        }
    }
}

impl fmt::Display for Judged {
    /// The answer and why, in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.verdict {
            // The reason says by whom.
            Verdict::Destroyable => Verdict::NotProven.spoken(),
            verdict => verdict.spoken(),
        };
        write!(f, "{word}: {}", self.reason)
    }
}

impl Judged {
    fn certain(verdict: Verdict, reason: impl Into<String>) -> Self {
        Self {
            verdict,
            reason: reason.into(),
            is_certain: true,
        }
    }
}

/// What follows from all attempts on a copy. `until` is the date until which a backup of this day
/// locks, where it locks; `is_believed` says of a vault that its log was checked in this contact
/// and no alarm stands, and that it keeps what is deleted.
pub fn judge(
    place: PlaceKind,
    tried: &[Tried],
    until: Option<Timestamp>,
    is_believed: bool,
) -> Judged {
    let words = |mark: Mark| -> Vec<&str> {
        let marked = tried.iter().filter(|one| one.mark() == mark);
        marked.map(|one| one.attempt.word()).collect()
    };
    if place == PlaceKind::Folder {
        let reason = match words(Mark::Fell).is_empty() {
            true => "this user was refused; destroyable by whoever is root here",
            false => "destroyable by whoever is root here",
        };
        return Judged::certain(Verdict::Destroyable, reason);
    }
    let lost: Vec<&str> = tried
        .iter()
        .filter(|one| one.mark() == Mark::Fell)
        .filter(|one| one.left == Left::Lost || one.attempt.is_door())
        .map(|one| one.attempt.word())
        .collect();
    if !lost.is_empty() {
        let reason = format!("destroyable by this credential: {}", lost.join(", "));
        return Judged::certain(Verdict::Destroyable, reason);
    }
    let open = words(Mark::Open);
    if !open.is_empty() {
        return Judged {
            verdict: Verdict::NotProven,
            reason: format!("it could not be found out: {}", open.join(", ")),
            is_certain: false,
        };
    }
    let of = |attempt: Attempt| tried.iter().find(|one| one.attempt == attempt);
    let missing = tried.iter().find(|one| {
        one.mark() == Mark::NotTried && one.attempt.is_needed(place) && !one.attempt.is_control()
    });
    match place {
        PlaceKind::Bucket => match of(Attempt::DeleteUnlocked).map(|one| (&one.said, &one.left)) {
            Some((Said::Refused(reason), _)) => {
                let reason = format!(
                    "this credential may not delete even what is not locked ({reason}), so that \
                     its failing shows no lock"
                );
                return Judged::certain(Verdict::DeniedNotProven, reason);
            }
            Some((Said::Done, Left::Lost)) => {}
            Some((Said::Done, _)) => {
                let reason = "it says that it deletes what is not locked, and does not";
                return Judged::certain(Verdict::NotProven, reason);
            }
            Some((Said::NotTried(reason), _)) => {
                let reason = format!("nothing shows that this credential may delete: {reason}");
                return Judged::certain(Verdict::NotProven, reason);
            }
            Some((Said::Unclear(_) | Said::Failed(_), _)) | None => {
                let reason = "nothing shows that this credential may delete";
                return Judged::certain(Verdict::NotProven, reason);
            }
        },
        PlaceKind::Server => {
            let reason = "the server refused; whoever rules it can let it happen";
            return match missing {
                None => Judged::certain(Verdict::DeniedNotProven, reason),
                Some(one) => not_tried(one),
            };
        }
        PlaceKind::Vault | PlaceKind::Folder => {}
    }
    let weak = tried.iter().find_map(|one| match &one.left {
        Left::Weaker(seen) => Some((one.attempt, seen)),
        _ => None,
    });
    if let Some((attempt, seen)) = weak {
        let reason = format!("{}: {seen}", attempt.word());
        return Judged::certain(Verdict::NotProven, reason);
    }
    if let Some(one) = missing {
        return not_tried(one);
    }
    if let Some(Said::Refused(reason)) = of(Attempt::Put).map(|one| &one.said) {
        let reason = format!("no canary is taken as backups put files: {reason}");
        return Judged::certain(Verdict::NotProven, reason);
    }
    let needed = Attempt::needed(place).iter();
    if needed.copied().any(|attempt| of(attempt).is_none()) {
        return Judged::certain(Verdict::NotProven, "not all was tried that has to be");
    }
    match (place, until) {
        (PlaceKind::Vault, _) if !is_believed => Judged::certain(
            Verdict::NotProven,
            "all was refused, but its log was not checked in this contact, or it does not say that \
             it keeps what is deleted",
        ),
        (PlaceKind::Vault, _) => Judged::certain(
            Verdict::Proven { until: None },
            "withstood production's token; whoever rules the vault was not tried",
        ),
        (_, None) => Judged::certain(Verdict::NotProven, "backups put files there without a lock"),
        (_, until) => {
            let withstood = "withstood a credential that deletes what is not locked";
            let reason = match tried.iter().find_map(Tried::archive) {
                None => withstood.to_owned(),
                Some(archive) => format!("{withstood}; {archive}"),
            };
            Judged::certain(Verdict::Proven { until }, reason)
        }
    }
}

/// That something which has to be tried was not.
fn not_tried(one: &Tried) -> Judged {
    let reason = match &one.said {
        Said::NotTried(reason) => format!("not tried: {} ({reason})", one.attempt.word()),
        _ => format!("not tried: {}", one.attempt.word()),
    };
    Judged::certain(Verdict::NotProven, reason)
}
