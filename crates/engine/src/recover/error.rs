//! What ends a recovery before it has begun, and what to type next.

use jiff::Timestamp;
use strongroom_store::{Error as StoreError, is_remote};

/// Why nothing is recovered at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// The place of the copy is one where removed is gone.
    #[error("{copy} has no older versions to recover from: {location} keeps none that can be seen")]
    KeepsNoVersions {
        /// The copy.
        copy: String,
        /// Where it is.
        location: String,
    },
    /// The account of the copy may not list versions.
    #[error("The versions in {copy} may not be listed: the right s3:ListBucketVersions is missing")]
    MayNotList {
        /// The copy.
        copy: String,
        /// What the place said.
        source: Box<StoreError>,
    },
    /// The account of the copy may not read versions.
    #[error("No version in {copy} may be read: the right s3:GetObjectVersion is missing")]
    MayNotRead {
        /// The copy.
        copy: String,
        /// What the place said.
        source: Box<StoreError>,
    },
    /// The place to recover to is full. Packs come before what names them, so that whoever has put packs
    /// of his own there has the rest left out.
    #[error("There is not enough room for what lies in {copy}")]
    NoRoom {
        /// The copy.
        copy: String,
        /// What the place said.
        source: Box<StoreError>,
    },
    /// There is nothing as old as was asked for.
    #[error("{location} has no version of any file that is as old as {as_of}")]
    NothingThen {
        /// Where the copy is.
        location: String,
        /// The time that was asked for.
        as_of: Timestamp,
    },
    /// The folder to recover into holds something else.
    #[error("{location} is not empty, and is no part of this repository: it holds {found}")]
    NotEmpty {
        /// The folder or copy.
        location: String,
        /// What lies there.
        found: String,
    },
    /// The place to recover into has another `config`.
    #[error("{location} holds another repository than {copy}")]
    OtherRepository {
        /// The folder or copy.
        location: String,
        /// What is recovered.
        copy: String,
    },
    /// A copy would be recovered into itself.
    #[error("{copy} cannot be recovered into itself: {into} is the same place")]
    IntoItself {
        /// The copy.
        copy: String,
        /// The copy to recover into.
        into: String,
    },
}

impl RecoverError {
    /// The next step for a person, where there is one.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::KeepsNoVersions { location, .. } if is_remote(location) => {
                "if it is a vault: strongroom vault repository undelete brings back what was asked \
                 to be deleted, and restic -r rest:https://…/asof/TIME/REPOSITORY/ reads it as it \
                 was; else bring it back from another copy: strongroom sync"
            }
            Self::KeepsNoVersions { .. } => {
                "bring back what is lost there from another copy: strongroom sync"
            }
            Self::MayNotList { .. } => {
                "let whoever rules the bucket give the account of the copy s3:ListBucketVersions on \
                 the bucket, and look whether somebody changed its policy; or name an account that \
                 has the right: access_key and secret_key_file of the copy"
            }
            Self::MayNotRead { .. } => {
                "let whoever rules the bucket give the account of the copy s3:GetObjectVersion on \
                 all of it, and look whether somebody changed its policy"
            }
            Self::NoRoom { .. } => {
                "make more, and run it again: it goes on; see how much it takes: --dry-run. Where \
                 somebody has put files of his own there, --as-of with a time before he came leaves \
                 them out"
            }
            Self::NothingThen { .. } => "say a later time: --as-of; times are in UTC",
            Self::NotEmpty { .. } => "choose an empty folder, or one that does not exist yet",
            Self::OtherRepository { .. } => {
                "choose an empty folder; or see whether the address of the copy is right"
            }
            Self::IntoItself { .. } => {
                "say --in-place instead of --into, or choose another copy, or a new folder"
            }
        };
        Some(hint.to_owned())
    }
}
