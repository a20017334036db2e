//! What can stop the engine. What stops only one copy or one file is not an error but part of a
//! report: partial failure goes on, is counted, and makes the exit status.

use strongroom_model::Id;
use strongroom_model::shell::quoted;

use crate::recover::RecoverError;
use crate::session::LOCKED_HINT;

/// The result of the engine's operations.
pub type Result<T> = std::result::Result<T, Error>;

/// An error that ends a whole operation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The repository cannot be opened or read.
    #[error(transparent)]
    Repo(strongroom_repo::Error),
    /// A store failed where no other copy could stand in.
    #[error(transparent)]
    Store(strongroom_store::Error),
    /// Not one copy can be used.
    #[error("No copy can be used: {}", .reasons.join("; "))]
    NoCopy {
        /// For each copy its name and what is wrong with it.
        reasons: Vec<String>,
    },
    /// A repository would be made while a copy that may hold one cannot be seen.
    #[error("No repository is made while a copy is in doubt: {}", .reasons.join("; "))]
    UnseenCopies {
        /// For each such copy its name and what is wrong with it.
        reasons: Vec<String>,
    },
    /// Every usable copy is locked by somebody else.
    #[error("{copy} is locked: {lock}")]
    Locked {
        /// The copy.
        copy: String,
        /// Whose lock it is.
        lock: String,
    },
    /// Another drill of this machine attacks a copy.
    #[error("Another drill of this machine attacks {copy}")]
    BeingDrilled {
        /// The copy.
        copy: String,
    },
    /// Two copies hold different repositories.
    #[error("{first} and {second} hold different repositories")]
    DifferentRepositories {
        /// A copy.
        first: String,
        /// Another one.
        second: String,
    },
    /// A source cannot be read at all.
    #[error("The source {source_name} cannot be backed up: {reason}")]
    Source {
        /// The source.
        source_name: String,
        /// Why.
        reason: String,
    },
    /// A copy that lies inside a source by a path that only the system knows.
    #[error(
        "Copy {copy} lies inside source {source_name} ({}) and would back itself up",
        .path.display()
    )]
    CopyInSource {
        /// The copy.
        copy: String,
        /// The source.
        source_name: String,
        /// Where the source meets it.
        path: std::path::PathBuf,
    },
    /// A snapshot that is asked for does not exist.
    #[error("There is no snapshot {wanted}")]
    NoSnapshot {
        /// What was asked for.
        wanted: String,
    },
    /// An id prefix that fits several snapshots.
    #[error("{prefix} fits several snapshots: {}", .ids.iter().map(Id::short).collect::<Vec<_>>().join(", "))]
    AmbiguousSnapshot {
        /// What was asked for.
        prefix: String,
        /// The snapshots.
        ids: Vec<Id>,
    },
    /// A snapshot that is to be removed and that somebody holds.
    #[error("Snapshot {} is held{}", .id.short(), said(.why))]
    Held {
        /// The snapshot.
        id: Id,
        /// Why, in the words of whoever held it.
        why: String,
    },
    /// A key that is asked for does not exist.
    #[error("There is no key {wanted}")]
    NoKey {
        /// What was asked for.
        wanted: String,
    },
    /// The key under which this run opened the repository, or the only one.
    #[error("The key {} is in use: this run opened the repository with it", .id.short())]
    KeyInUse {
        /// The key.
        id: Id,
    },
    /// A record of a removal that is asked for does not exist.
    #[error("There is no record {wanted} of a removal")]
    NoRecord {
        /// What was asked for.
        wanted: String,
    },
    /// The first digits of a record, which may mean another one, too.
    #[error("{wanted} may mean several removals: {fits}")]
    AmbiguousRecord {
        /// What was asked for.
        wanted: String,
        /// What it may mean.
        fits: String,
    },
    /// Records or holds that this version cannot read, or another repository that was there before.
    #[error("Nothing may be removed: {reason}")]
    NothingRemoved {
        /// What is in the way.
        reason: String,
        /// The next step.
        hint: String,
    },
    /// The list of what is held is there and cannot be read.
    #[error("What is held cannot be read, so nothing may be removed: {}", .path.display())]
    HoldsUnreadable {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: Box<Error>,
    },
    /// A path that is not in the snapshot.
    #[error("There is no {path} in snapshot {}", .snapshot.short())]
    NoPath {
        /// The path.
        path: String,
        /// The snapshot.
        snapshot: Id,
    },
    /// A path of a snapshot that has no content to write.
    #[error("{path} is not a file but a {kind}")]
    NotAFile {
        /// The path.
        path: String,
        /// What it is.
        kind: String,
    },
    /// The target of a restore holds something already.
    #[error("{path} is not empty")]
    TargetNotEmpty {
        /// The folder.
        path: String,
    },
    /// What would be restored has no room where it is to go.
    #[error("There is no room in {}: {reason}", .path.display())]
    NoRoom {
        /// The folder.
        path: std::path::PathBuf,
        /// What is needed and what is free, in words.
        reason: String,
    },
    /// A snapshot that names more than can be meant.
    #[error("The snapshot is not restored: it names more than {most} files and folders")]
    TooManyNames {
        /// How many it may name.
        most: u64,
    },
    /// A receipt or a record of the state folder that cannot be used.
    #[error(transparent)]
    Record(#[from] strongroom_model::Error),
    /// A secret file that not only its owner can read.
    #[error("{} is open to others", .path.display())]
    OpenToOthers {
        /// The file.
        path: std::path::PathBuf,
    },
    /// Something on this machine, not in a store.
    #[error("Cannot {action}")]
    Local {
        /// What was tried, as a verb phrase.
        action: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Nothing can be recovered from a copy, or to where it should be.
    #[error(transparent)]
    Recover(Box<RecoverError>),
    /// Something is in the way of a prune: it is not known what is needed, or not all of that is there.
    #[error("Nothing is pruned: {}", .reasons.join("; "))]
    NotPruned {
        /// What.
        reasons: Vec<String>,
        /// The next step.
        hint: String,
    },
    /// Something new is on a copy that is under our exclusive lock, so that nothing is removed.
    #[error("Somebody wrote to {copy} meanwhile, nothing is removed: {file} is new")]
    WrittenMeanwhile {
        /// The copy.
        copy: String,
        /// What is new.
        file: strongroom_model::FileName,
        /// The removal record that was published already, and still counts.
        record: Option<Id>,
        /// The removal records that were published already, and were annulled again.
        annulled: Vec<Id>,
    },
    /// The user interrupted.
    #[error("Interrupted")]
    Interrupted,
}

/// A store that was interrupted while it waited is the user's interruption, not a failure.
impl From<strongroom_store::Error> for Error {
    fn from(error: strongroom_store::Error) -> Self {
        match error {
            strongroom_store::Error::Cancelled { .. } => Self::Interrupted,
            error => Self::Store(error),
        }
    }
}

impl From<RecoverError> for Error {
    fn from(error: RecoverError) -> Self {
        Self::Recover(Box::new(error))
    }
}

impl From<strongroom_repo::Error> for Error {
    fn from(error: strongroom_repo::Error) -> Self {
        match error {
            strongroom_repo::Error::Store(strongroom_store::Error::Cancelled { .. }) => {
                Self::Interrupted
            }
            error => Self::Repo(error),
        }
    }
}

impl Error {
    /// The next step for a person, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Repo(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Record(error) => error.hint(),
            Self::Recover(error) => error.hint(),
            Self::OpenToOthers { path } => Some(format!("chmod 600 {}", quoted(path))),
            Self::Locked { .. } => Some(LOCKED_HINT.to_owned()),
            Self::BeingDrilled { .. } => Some(
                "wait until it has ended: each drill takes away what canaries it finds".to_owned(),
            ),
            Self::DifferentRepositories { .. } => Some(
                "all copies hold the same repository: check the addresses in strongroom.toml"
                    .to_owned(),
            ),
            Self::UnseenCopies { .. } => Some(
                "make every copy reachable for this once, so that no second repository is made; or \
                 take it out of strongroom.toml until it is"
                    .to_owned(),
            ),
            Self::NotPruned { hint, .. } | Self::NothingRemoved { hint, .. } => Some(hint.clone()),
            Self::WrittenMeanwhile {
                record: None,
                annulled,
                ..
            } => {
                let next = "find out who writes there without heeding locks; then prune again";
                Some(match annulled.as_slice() {
                    [] => next.to_owned(),
                    annulled => {
                        let ids: Vec<String> = annulled.iter().map(Id::short).collect();
                        format!(
                            "removal record {} was on record already, and was annulled again: \
                             nothing that it names goes; {next}",
                            ids.join(", ")
                        )
                    }
                })
            }
            Self::WrittenMeanwhile {
                record: Some(record),
                ..
            } => Some(format!(
                "what is new may need what record {0} names: `strongroom forget --annul {0}` \
                 takes it back; find out who writes there without heeding locks, then prune again",
                record.short()
            )),
            Self::NoKey { .. } => Some("`strongroom key list` lists them".to_owned()),
            Self::KeyInUse { .. } => Some(
                "add another with `strongroom key add`, use its password, then remove this one"
                    .to_owned(),
            ),
            Self::NoRecord { .. } => {
                Some("`strongroom removals` lists those of other machines".to_owned())
            }
            Self::AmbiguousRecord { .. } => Some(
                "see which is meant: `strongroom removals`; then name it by its whole id".to_owned(),
            ),
            Self::HoldsUnreadable { path, .. } => Some(format!(
                "use the version of strongroom that wrote it; where it is damaged: \
                 mv {0} {0}.damaged, and what the copies hold counts alone",
                quoted(path)
            )),
            Self::NoSnapshot { .. } | Self::AmbiguousSnapshot { .. } => {
                Some("`strongroom snapshots` lists them".to_owned())
            }
            Self::Held { id, .. } => Some(format!(
                "if it may go all the same: strongroom release {}",
                id.short()
            )),
            Self::CopyInSource { path, .. } => Some(format!(
                "move the copy, or write exclude = [{:?}] in the source",
                path.display().to_string()
            )),
            Self::TargetNotEmpty { .. } => {
                Some("choose an empty folder, or say --overwrite".to_owned())
            }
            Self::NoRoom { .. } => Some(
                "say where there is more: --into FOLDER; or take a part of the files: --share 10%"
                    .to_owned(),
            ),
            Self::NoPath { snapshot, .. } => Some(format!(
                "`strongroom ls {}` lists its paths",
                snapshot.short()
            )),
            _ => None,
        }
    }

    /// Wraps what the operating system says, for `map_err`.
    pub fn local(action: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let action = action.into();
        move |source| Self::Local { action, source }
    }
}

/// Why something is so, behind what is said of it.
fn said(why: &str) -> String {
    match why.is_empty() {
        true => String::new(),
        false => format!(": {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_was_interrupted_is_an_interruption_however_deep() {
        let cancelled = || strongroom_store::Error::Cancelled {
            location: "rest:http://h/".to_owned(),
        };
        assert!(matches!(cancelled().into(), Error::Interrupted));
        let deep = strongroom_repo::Error::Store(cancelled());
        assert!(matches!(deep.into(), Error::Interrupted));
        let deep = strongroom_repo::Error::Store(strongroom_store::Error::Full {
            location: String::new(),
        });
        assert!(matches!(
            deep.into(),
            Error::Repo(strongroom_repo::Error::Store(_))
        ));
    }
}
