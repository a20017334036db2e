//! What can go wrong in a vault, told so that a client gets the right answer and an operator the
//! next step.

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
}
