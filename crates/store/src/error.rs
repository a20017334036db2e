//! What can go wrong in a store, told so that the engine can decide and a person can act.

use std::io;

use strongroom_model::FileName;

/// The result of a store's operation.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of a store; each names the place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such file.
    #[error("There is no {name} in {location}")]
    NotFound {
        /// The file that was asked for.
        name: FileName,
        /// The store.
        location: String,
    },
    /// The file ends before the bytes that were asked for.
    #[error("{name} in {location} is shorter than expected")]
    ShortFile {
        /// The file.
        name: FileName,
        /// The store.
        location: String,
    },
    /// Other bytes lie under the name.
    #[error("{location} already holds another {name}")]
    Exists {
        /// The file.
        name: FileName,
        /// The store.
        location: String,
    },
    /// The disk or quota is full.
    #[error("{location} is full")]
    Full {
        /// The store.
        location: String,
    },
    /// The place refuses: permissions, credentials or policy.
    #[error("{location} refuses to {action}: {reason}")]
    Denied {
        /// The store.
        location: String,
        /// What was tried, as a verb phrase: "remove locks/3f…".
        action: String,
        /// What the place said.
        reason: String,
    },
    /// The place cannot be reached, after all retries.
    #[error("{location} cannot be reached: {reason}")]
    Unreachable {
        /// The store.
        location: String,
        /// What happened, without secrets.
        reason: String,
    },
    /// Anything else that the operating system says of a local file.
    #[error("Cannot {action} in {location}")]
    Io {
        /// The store.
        location: String,
        /// What was tried, as a verb phrase.
        action: String,
        /// What the system said.
        source: io::Error,
    },
    /// A store address that cannot be used.
    #[error("The store address {address} cannot be used: {reason}")]
    Address {
        /// The address without secrets.
        address: String,
        /// Why.
        reason: String,
    },
}

impl Error {
    /// The next step for a person, where there is one.
    pub fn hint(&self) -> Option<String> {
        None
    }
}
