//! All that is tried, and what is expected of it where.

use serde::{Deserialize, Serialize};

/// What kind of place a copy is in, as far as it decides what can be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlaceKind {
    /// A bucket.
    Bucket,
    /// A REST server that is a vault.
    Vault,
    /// A REST server that is none.
    Server,
    /// A folder of this machine.
    Folder,
}

/// One thing that an intruder would try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attempt {
    /// To put a canary without a lock and delete it by its version: what shows that this credential
    /// may delete at all.
    DeleteUnlocked,
    /// To put a canary as a backup puts a file, and see its lock.
    Put,
    /// To look at the locks of some real files, without touching them.
    LookAtFiles,
    /// DELETE without a version, which hides where versions are kept.
    Delete,
    /// DELETE of the version.
    DeleteVersion,
    /// The same, with the header that bypasses GOVERNANCE.
    DeleteVersionBypassing,
    /// DELETE of many at once, of which this is the only one.
    MultiDelete,
    /// The same, with the header.
    MultiDeleteBypassing,
    /// Other bytes under the same name.
    Overwrite,
    /// No bytes under the same name.
    Truncate,
    /// To write only the first bytes anew.
    WriteRange,
    /// To copy it over itself, with another lock.
    CopyOverSelf,
    /// To give it another name.
    Rename,
    /// An earlier date.
    Shorten,
    /// The same, with the header.
    ShortenBypassing,
    /// GOVERNANCE instead of COMPLIANCE.
    ChangeMode,
    /// The same, with the header.
    ChangeModeBypassing,
    /// No lock at all, with the header.
    RemoveLock,
    /// No legal hold.
    RemoveLegalHold,
    /// DELETE behind another method's name.
    OverrideMethod,
    /// DELETE by a path that means the same in a roundabout way.
    PathTrick,
    /// To suspend versioning of a probe bucket.
    SuspendVersioning,
    /// To end the default retention of a probe bucket.
    LowerBucketRetention,
    /// To take away the policy of a probe bucket, and delete by version then.
    RemovePolicy,
    /// To have a lifecycle rule remove what is in a probe bucket.
    ChangeLifecycle,
    /// To delete a probe bucket.
    DeleteBucket,
    /// To destroy the key of an account that encrypts what is there, which is never tried.
    DestroyKey,
    /// To overwrite `config` of a probe repository.
    OverwriteConfig,
    /// To delete `config` of a probe repository.
    DeleteConfig,
    /// To have a vault remove a probe repository.
    RemoveRepository,
    /// To have a vault make a token.
    MakeToken,
    /// To have a vault raise what the token itself may.
    RaiseRights,
    /// To have a vault keep things for a shorter time.
    LowerRetention,
    /// To have a vault hide what a token has put.
    Hide,
    /// To have a vault purge now.
    PurgeNow,
    /// To have a vault believe another time.
    MoveClock,
}

impl Attempt {
    /// What it is called.
    pub const fn word(self) -> &'static str {
        match self {
            Self::DeleteUnlocked => "delete what is not locked, by version",
            Self::Put => "put a canary as backups do",
            Self::LookAtFiles => "look at the locks of files",
            Self::Delete => "delete",
            Self::DeleteVersion => "delete by version",
            Self::DeleteVersionBypassing => "delete by version, bypassing",
            Self::MultiDelete => "multi-delete",
            Self::MultiDeleteBypassing => "multi-delete, bypassing",
            Self::Overwrite => "overwrite",
            Self::Truncate => "truncate",
            Self::WriteRange => "write a range",
            Self::CopyOverSelf => "copy over itself",
            Self::Rename => "rename",
            Self::Shorten => "shorten the lock",
            Self::ShortenBypassing => "shorten the lock, bypassing",
            Self::ChangeMode => "change the mode",
            Self::ChangeModeBypassing => "change the mode, bypassing",
            Self::RemoveLock => "remove the lock, bypassing",
            Self::RemoveLegalHold => "remove a legal hold",
            Self::OverrideMethod => "delete under another method",
            Self::PathTrick => "delete by a twisted path",
            Self::SuspendVersioning => "suspend versioning (probe)",
            Self::LowerBucketRetention => "end the default retention (probe)",
            Self::RemovePolicy => "remove the policy and delete (probe)",
            Self::ChangeLifecycle => "change the lifecycle (probe)",
            Self::DeleteBucket => "delete the bucket (probe)",
            Self::DestroyKey => "destroy the key of its encryption",
            Self::OverwriteConfig => "overwrite config (probe)",
            Self::DeleteConfig => "delete config (probe)",
            Self::RemoveRepository => "remove the repository (probe)",
            Self::MakeToken => "make a token",
            Self::RaiseRights => "raise its own rights",
            Self::LowerRetention => "lower retention",
            Self::Hide => "hide what a token has put",
            Self::PurgeNow => "purge now",
            Self::MoveClock => "move the clock",
        }
    }

    /// What is expected of a place that nobody can destroy; of a folder, what is true of it.
    pub const fn expected(self, place: PlaceKind) -> &'static str {
        match (place, self) {
            (_, Self::Put) => "taken, with its lock",
            (PlaceKind::Folder, _) => "done",
            (PlaceKind::Bucket, Self::DeleteUnlocked) => "done",
            (PlaceKind::Bucket, Self::LookAtFiles) => "locked",
            (
                PlaceKind::Bucket,
                Self::Delete | Self::Overwrite | Self::Truncate | Self::CopyOverSelf | Self::Rename,
            ) => "hidden, and there by version",
            (
                PlaceKind::Bucket,
                Self::RemoveLegalHold | Self::LowerBucketRetention | Self::ChangeLifecycle,
            ) => "the lock outlives it",
            (PlaceKind::Bucket, Self::DestroyKey) => "no such key",
            (PlaceKind::Vault, Self::Delete) => "refused, or kept",
            _ => "refused",
        }
    }

    /// Whether it is the one that must succeed, so that refusals of others mean anything.
    pub const fn is_control(self) -> bool {
        matches!(self, Self::DeleteUnlocked)
    }

    /// Whether it knocks at a door that must stay shut, with a request that could do nothing.
    pub const fn is_door(self) -> bool {
        matches!(
            self,
            Self::RemoveRepository
                | Self::MakeToken
                | Self::RaiseRights
                | Self::LowerRetention
                | Self::Hide
                | Self::PurgeNow
                | Self::MoveClock
        )
    }

    /// Whether an answer to it that is no clear refusal says as much as one while the canary stands:
    /// the request is written as S3 describes it, and names what is locked. Servers refuse these in
    /// codes of their own, and what stands by version and under its lock has withstood them. Of what
    /// names a source or is a verb of few servers, no such answer shows that it was understood.
    pub const fn is_plain(self) -> bool {
        matches!(
            self,
            Self::DeleteVersion
                | Self::DeleteVersionBypassing
                | Self::MultiDelete
                | Self::MultiDeleteBypassing
                | Self::Shorten
                | Self::ShortenBypassing
                | Self::ChangeMode
                | Self::ChangeModeBypassing
                | Self::RemoveLock
                | Self::SuspendVersioning
                | Self::LowerBucketRetention
                | Self::DeleteBucket
        )
    }

    /// All without which nothing is proven of such a place.
    pub const fn needed(place: PlaceKind) -> &'static [Self] {
        match place {
            PlaceKind::Bucket => &[
                Self::DeleteUnlocked,
                Self::Put,
                Self::LookAtFiles,
                Self::Delete,
                Self::DeleteVersion,
                Self::DeleteVersionBypassing,
                Self::MultiDelete,
                Self::MultiDeleteBypassing,
                Self::Overwrite,
                Self::Truncate,
                Self::CopyOverSelf,
                Self::Shorten,
                Self::ShortenBypassing,
                Self::ChangeMode,
                Self::ChangeModeBypassing,
                Self::RemoveLock,
            ],
            PlaceKind::Vault => &[
                Self::Put,
                Self::Delete,
                Self::Overwrite,
                Self::Truncate,
                Self::PathTrick,
                Self::MakeToken,
                Self::LowerRetention,
                Self::PurgeNow,
                Self::MoveClock,
            ],
            PlaceKind::Server | PlaceKind::Folder => {
                &[Self::Put, Self::Delete, Self::Overwrite, Self::Truncate]
            }
        }
    }

    /// Whether without it nothing is proven of such a place.
    pub fn is_needed(self, place: PlaceKind) -> bool {
        Self::needed(place).contains(&self)
    }
}
