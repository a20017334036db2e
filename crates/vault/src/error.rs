//! What can go wrong in a vault, told so that a client gets the right answer and an operator the
//! next step.

use strongroom_model::{FileName, RepositoryPath};

/// The result of a vault's operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a vault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The database failed, or cannot be reached; nothing was changed.
    #[error("The database failed to {action}: {reason}")]
    Database {
        /// What was tried, as `commit`.
        action: String,
        /// What the driver says, without secrets.
        reason: String,
    },
    /// The database was written by a newer version of this program.
    #[error("The database has schema {found}, and this program knows only up to {known}")]
    NewerSchema {
        /// The schema that was found.
        found: i64,
        /// The newest schema that this program knows.
        known: i64,
    },
    /// The storage of bodies failed.
    #[error(transparent)]
    Storage(#[from] strongroom_store::Error),
    /// No token, one that is not known, or one that does not count any more.
    #[error("The token is not known here, or it has expired or was revoked")]
    Unauthorized,
    /// A token that may not do this.
    #[error("The token {token} may not {action}")]
    Forbidden {
        /// The name of the token.
        token: String,
        /// What was asked for.
        action: String,
    },
    /// There is no such file, as far as the asker may see.
    #[error("There is no {name} in {repository}")]
    NotFound {
        /// The repository.
        repository: RepositoryPath,
        /// The file.
        name: FileName,
    },
    /// There is no such repository, token or other record.
    #[error("There is no {what} {name:?}")]
    Unknown {
        /// What was looked for, as `repository`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// `config` is there already, with other bytes.
    #[error("{repository} has another config already; it is written once")]
    ConfigIsThere {
        /// The repository.
        repository: RepositoryPath,
    },
    /// An operator has hidden the file.
    #[error("{name} of {repository} was hidden by an operator, who alone brings it back")]
    Hidden {
        /// The repository.
        repository: RepositoryPath,
        /// The file.
        name: FileName,
    },
    /// Bytes that are not what their name says, or no file of their type.
    #[error("The bytes sent as {name} are refused: {reason}")]
    BadBytes {
        /// The file.
        name: FileName,
        /// Why.
        reason: String,
    },
    /// A file larger than is taken.
    #[error("{name} is larger than the {limit_bytes} bytes that a file of its type may have")]
    TooLarge {
        /// The file.
        name: FileName,
        /// The limit.
        limit_bytes: u64,
    },
    /// There is no room, or a quota is used up.
    #[error("There is no room: {reason}")]
    Full {
        /// Which bound was met.
        reason: String,
    },
    /// Somebody else is at work on the same file; the client shall ask again.
    #[error("{name} of {repository} is being purged; ask again")]
    Busy {
        /// The repository.
        repository: RepositoryPath,
        /// The file.
        name: FileName,
    },
    /// The vault is sealed, or several people would have to agree.
    #[error("This is refused: {reason}")]
    Refused {
        /// Why, and what would be needed.
        reason: String,
    },
}

impl Error {
    /// What to do next, where the user can do something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NewerSchema { .. } => Some(
                "start the version of strongroom-vault that wrote it, or a newer one".to_owned(),
            ),
            Self::Hidden { .. } => Some("strongroom-vault unhide --help".to_owned()),
            _ => None,
        }
    }
}
