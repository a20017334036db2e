//! What a person has to know of records.

use std::fmt;

use jiff::Timestamp;
use strongroom_model::Id;

use crate::Error;
use crate::session::chain;

/// How many ids are named.
const NAMED: usize = 3;

/// What to do where a newer version wrote something.
const NEWER_HINT: &str = "use the version of strongroom that wrote it; where it is no machine's of \
    yours, trust those that are, then: strongroom removals --strangers ignore";

/// Something that records show and that somebody should see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Telling {
    /// A removal that this machine did not write hides something.
    Foreign {
        /// Its record.
        record: Id,
        /// The host that it names; not fit for a terminal as it is.
        host: String,
        /// When it says that it was written.
        at: Timestamp,
        /// How many snapshots it names.
        snapshots: usize,
        /// How many index files and packs it names.
        others: usize,
        /// From when on this machine removes what it names; `None` where it remembers nothing.
        due_from: Option<Timestamp>,
        /// Whether that is over, so that only what still lies on a copy can be brought back.
        is_due: bool,
    },
    /// A removal that this machine decided, or one that it trusts, was taken back by a stranger.
    TakenBack {
        /// Its record.
        record: Id,
        /// The host that the annulment names; not fit for a terminal as it is.
        host: String,
        /// When it says that it was written.
        at: Timestamp,
    },
    /// A removal does not count, since a snapshot of it is held.
    Held {
        /// Its record.
        record: Id,
        /// The snapshot.
        snapshot: Id,
    },
    /// Files among the records that are none.
    Junk {
        /// Their names.
        files: Vec<Id>,
    },
    /// Records that no copy could give.
    Unread {
        /// Their names.
        files: Vec<Id>,
        /// Why the first of them could not be read.
        reason: String,
    },
    /// More records than anybody writes: these are passed over.
    TooMany {
        /// How many.
        left_out: usize,
    },
    /// The clock of this machine is far ahead of that of a place, so that one of them is wrong.
    ClockAhead {
        /// The copy at that place.
        copy: String,
        /// What our clock says.
        ours: Timestamp,
        /// What that of the place says.
        theirs: Timestamp,
    },
    /// The clock of this machine is far behind that of a place, so that one of them is wrong.
    ClockBehind {
        /// The copy at that place.
        copy: String,
        /// What our clock says.
        ours: Timestamp,
        /// What that of the place says.
        theirs: Timestamp,
    },
    /// Nothing is removed, whatever records say.
    Stopped(Stop),
}

/// Why nothing is removed, and the next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// Why.
    pub reason: String,
    /// The next step.
    pub hint: String,
}

impl Stop {
    /// Where the list of this machine cannot be read.
    pub(super) fn unreadable(error: &Error) -> Self {
        Self {
            reason: chain(error),
            hint: error.hint().unwrap_or_else(|| NEWER_HINT.to_owned()),
        }
    }

    /// Where a record is of a newer version.
    pub(super) fn newer(what: &str) -> Self {
        Self {
            reason: what.to_owned(),
            hint: NEWER_HINT.to_owned(),
        }
    }
}

impl Telling {
    /// The next step for a person.
    pub fn hint(&self) -> String {
        match self {
            Self::Foreign {
                record,
                due_from,
                is_due,
                ..
            } => {
                let record = record.short();
                let until = match (due_from, is_due) {
                    (None, _) => String::new(),
                    (Some(from), false) => {
                        format!("; what it names is removed from here on {from} at the earliest")
                    }
                    (Some(from), true) => format!(
                        ", which brings back what still lies on a copy; it is removed from here \
                         since {from}"
                    ),
                };
                let accept = match is_due {
                    false => format!("; if it was: strongroom removals --accept {record}"),
                    true => String::new(),
                };
                format!("if it was none of you: strongroom forget --annul {record}{accept}{until}")
            }
            Self::TakenBack { record, .. } => format!(
                "if that was right: strongroom forget --annul {0}; if what it names shall go: \
                 strongroom removals --accept {0}",
                record.short()
            ),
            Self::Held { record, snapshot } => format!(
                "strongroom release {}, or strongroom forget --annul {}",
                snapshot.short(),
                record.short()
            ),
            Self::Junk { .. } => {
                "somebody who can write to a copy put them there, into its folder strongroom/"
                    .to_owned()
            }
            Self::Unread { files, .. } if files.is_empty() => {
                "let its folder strongroom/ be read, then: strongroom sync".to_owned()
            }
            Self::Unread { .. } => {
                "strongroom sync, when every copy is there; what is still damaged then: remove it by \
                 hand from the folders strongroom/ of the copies, then on each machine that shares \
                 them: strongroom sync"
                    .to_owned()
            }
            Self::TooMany { .. } => {
                "somebody who has the repository's key wrote them, into the folders strongroom/ of \
                 the copies: trust the machines that are yours, then strongroom removals \
                 --strangers ignore"
                    .to_owned()
            }
            Self::ClockAhead { .. } => {
                "see which of them is wrong: timedatectl; until then what other machines decided is \
                 removed from here by the one that is behind"
                    .to_owned()
            }
            Self::ClockBehind { .. } => {
                "see which of them is wrong: timedatectl; until then what is new of other machines \
                 counts as first seen by the one that is ahead, and waits here for longer than 7 days"
                    .to_owned()
            }
            Self::Stopped(Stop { hint, .. }) => {
                format!("{hint}; until then what is to be removed costs only space")
            }
        }
    }
}

impl fmt::Display for Telling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign {
                record,
                host,
                at,
                snapshots,
                others,
                ..
            } => write!(
                f,
                "Record {record} hides {} as removed; {host} wrote it on {at}, and not this machine",
                hidden(*snapshots, *others)
            ),
            Self::TakenBack { record, host, at } => write!(
                f,
                "Record {record} of a removal by this machine, or one that it trusts, does not \
                 count: {host} took it back on {at}, and not this machine"
            ),
            Self::Held { record, snapshot } => write!(
                f,
                "Record {} of a removal does not count: snapshot {} is held",
                record.short(),
                snapshot.short()
            ),
            Self::Junk { files } => write!(
                f,
                "{}: no record of this repository, and counts for nothing",
                several(files)
            ),
            Self::Unread { files, reason } => {
                write!(f, "{} cannot be read: {reason}", several(files))
            }
            Self::TooMany { left_out } => write!(
                f,
                "There are more records than anybody writes: {left_out} are passed over"
            ),
            Self::ClockAhead { copy, ours, theirs } => write!(
                f,
                "The clock of this machine, at {ours:.0}, is more than ten minutes ahead of that \
                 of {copy}, at {theirs:.0}"
            ),
            Self::ClockBehind { copy, ours, theirs } => write!(
                f,
                "The clock of this machine, at {ours:.0}, is more than ten minutes behind that of \
                 {copy}, at {theirs:.0}"
            ),
            Self::Stopped(Stop { reason, .. }) => write!(f, "Nothing is removed: {reason}"),
        }
    }
}

/// "4 snapshots, 1 index file or pack": what a removal names; of what there is none nothing is said.
fn hidden(snapshots: usize, others: usize) -> String {
    let counted = |number: usize, one: &str, several: &str| match number {
        0 => None,
        1 => Some(format!("1 {one}")),
        _ => Some(format!("{number} {several}")),
    };
    let kinds = [
        counted(snapshots, "snapshot", "snapshots"),
        counted(others, "index file or pack", "index files and packs"),
    ];
    let named: Vec<String> = kinds.into_iter().flatten().collect();
    match named.is_empty() {
        true => "nothing".to_owned(),
        false => named.join(", "),
    }
}

/// Files by their first digits; of many the first and how many more.
fn several(files: &[Id]) -> String {
    let first: Vec<String> = files.iter().take(NAMED).map(Id::short).collect();
    let first = format!("strongroom/{}", first.join(", strongroom/"));
    match files.len().saturating_sub(NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_a_removal_does_not_name_nothing_is_said() {
        assert_eq!(hidden(1, 0), "1 snapshot");
        assert_eq!(hidden(0, 12), "12 index files and packs");
        assert_eq!(hidden(4, 1), "4 snapshots, 1 index file or pack");
        assert_eq!(hidden(0, 0), "nothing");
    }
}
