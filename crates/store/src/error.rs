//! What can go wrong in a store, told so that the engine can decide and a person can act.
//!
//! The variants are the decisions: an absent file may be fetched from a sibling, a full or
//! unreachable place leaves its copy behind, a refusal has to be mended by a person.

use std::io;

use strongroom_model::{FileName, Fingerprint};

/// The result of a store's operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

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
    /// The file, or the range asked for, is larger than any sound one and is not read into memory.
    #[error("{name} in {location} is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The file.
        name: FileName,
        /// The store.
        location: String,
        /// The most that is read of a file of this type.
        limit_bytes: u64,
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
    /// Our own lock on the place stands no more, so that nothing is done there that needs one.
    #[error("Our lock on {location} does not let us {action}: {reason}")]
    LockLost {
        /// The store.
        location: String,
        /// What is not done, as a verb phrase.
        action: String,
        /// What became of the lock.
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
    /// The place answers, but not as a store does.
    #[error("{location} gave a wrong answer when asked to {action}: {reason}")]
    BadAnswer {
        /// The store.
        location: String,
        /// What was tried, as a verb phrase.
        action: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The server shows another certificate than the one that it is known by.
    #[error(
        "{location} does not show the certificate that it is known by: {shown} in place of {pinned}"
    )]
    OtherCertificate {
        /// The store.
        location: String,
        /// The fingerprint of the certificate that is expected.
        pinned: Fingerprint,
        /// The fingerprint of the one that was shown.
        shown: Fingerprint,
    },
    /// A version that does not show the lock that it was given.
    #[error("{name} in {location} is not locked as it should be: {reason}")]
    NotLocked {
        /// The file.
        name: FileName,
        /// The store.
        location: String,
        /// What was asked for and what was seen.
        reason: String,
    },
    /// A vault says no, and why.
    #[error("{location} refuses to {action}: {reason}")]
    Vault {
        /// The vault.
        location: String,
        /// What was tried, as a verb phrase.
        action: String,
        /// The status of its answer.
        status: u16,
        /// What it says, without control characters.
        reason: String,
        /// The next step that it names; small, since every result has room for an error.
        hint: Option<Box<str>>,
    },
    /// The run was interrupted while the store waited.
    #[error("Interrupted while waiting for {location}")]
    Cancelled {
        /// The store.
        location: String,
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
    /// What a stream of `name` from `location` has failed with.
    pub fn of_stream(location: &str, name: FileName, error: io::Error) -> Self {
        error.downcast().unwrap_or_else(|source| Self::Io {
            location: location.to_owned(),
            action: format!("read {name}"),
            source,
        })
    }

    /// Whether that says nothing of the file that was asked for.
    pub const fn is_silence(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::OtherCertificate { .. } | Self::Cancelled { .. }
        )
    }

    /// What to type or change next, where a person can mend this.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Full { location } if is_remote(location) => Some(format!(
                "Raise the quota of {location}, or free space on its disk"
            )),
            Self::Full { location } => Some(format!("See what is left: df -h '{location}'")),
            Self::Denied { location, .. } if is_bucket(location) => Some(
                "Check the credentials, and what the policies of the account and the bucket let \
                 them do"
                    .to_owned(),
            ),
            Self::Denied { location, .. } if is_remote(location) => Some(
                "Check the user and password in the store address, and what the server lets them do"
                    .to_owned(),
            ),
            Self::Denied { location, .. } => Some(format!(
                "See whose it is and how it is mounted: ls -ld '{location}'; findmnt -T '{location}'"
            )),
            Self::LockLost { .. } => Some(
                "This machine was away for too long, or somebody removed its lock: run it again"
                    .to_owned(),
            ),
            Self::Unreachable { location, .. } if !is_remote(location) => Some(
                "See what is mounted there and what the kernel says of it: findmnt; dmesg | tail"
                    .to_owned(),
            ),
            Self::Unreachable { location, .. } if is_bucket(location) => {
                let url = location.strip_prefix("s3:").unwrap_or(location);
                Some(format!("See whether it answers at all: curl -I '{url}'"))
            }
            Self::Unreachable { location, .. } => {
                let url = location.strip_prefix("rest:").unwrap_or(location);
                Some(format!("See whether it answers at all: curl -I '{url}config'"))
            }
            Self::BadAnswer { location, .. } if !is_remote(location) => Some(format!(
                "See what fills it, and move away what is no part of the repository: ls -lt '{location}'"
            )),
            Self::BadAnswer { location, .. } if is_bucket(location) => Some(
                "Check the endpoint, the region and the name of the bucket, and whether it is there"
                    .to_owned(),
            ),
            Self::BadAnswer { .. } => Some(
                "Check that the address leads to a restic REST server and to the right repository"
                    .to_owned(),
            ),
            Self::OtherCertificate { shown, .. } => Some(format!(
                "Somebody may stand in between. Only if those who run the server say that they \
                 changed its certificate, and that this is the new one: fingerprint = \"{shown}\""
            )),
            Self::NotLocked { .. } => Some(
                "See whether the bucket can keep locks, with strongroom init, and give its account \
                 s3:PutObjectRetention and s3:GetObjectRetention"
                    .to_owned(),
            ),
            Self::Vault { hint, .. } => hint.as_deref().map(str::to_owned),
            Self::Io { source, .. }
                if matches!(
                    source.raw_os_error().map(rustix::io::Errno::from_raw_os_error),
                    Some(rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR)
                ) =>
            {
                Some(
                    "Links inside a repository are not followed; put the store address where the \
                     files really are"
                        .to_owned(),
                )
            }
            _ => None,
        }
    }
}

/// Whether the [location](crate::Store::location) of a store is behind a network protocol rather than
/// a path.
pub fn is_remote(location: &str) -> bool {
    location.starts_with("rest:") || is_bucket(location)
}

/// Whether a location is a bucket.
fn is_bucket(location: &str) -> bool {
    location.starts_with("s3:")
}
