//! Whether a bucket can keep what is promised of it: looked at before anything is put there.
//!
//! What can go wrong: a bucket that takes locks today and lets them be lost tomorrow, or keeps what
//! it should not. So Object Lock and versioning must be on; no default retention may lock the files
//! in `locks/`, which come and go; and no key of the account may encrypt what is there, for whoever
//! destroys the key destroys it, locked or not. What may not be seen is not shown to be right.

use std::error::Error as StdError;
use std::fmt;

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::{
    BucketVersioningStatus, DefaultRetention, ObjectLockEnabled, ObjectLockRetentionMode,
    ServerSideEncryption,
};

use crate::Result;
use crate::s3::commands::Commands;
use crate::s3::fault::{Failure, fault, status};
use crate::s3::store::S3Store;

/// What was found of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketCheck {
    /// What keeps it from holding copies that nobody can destroy; nothing where it can.
    pub flaws: Vec<BucketFlaw>,
    /// The commands that make a right one, or mend this one, in their order: to be typed as they
    /// stand, by whoever rules the bucket.
    pub commands: Vec<String>,
}

/// What keeps a bucket from holding copies that nobody can destroy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BucketFlaw {
    /// There is none.
    Missing,
    /// It has no Object Lock.
    NoObjectLock,
    /// It keeps no older versions, so that an overwrite or a removal is final.
    NoVersioning,
    /// It locks whatever is put there, also what must come and go.
    DefaultRetention {
        /// For how long, as the bucket says it: "GOVERNANCE for 30 days".
        what: String,
    },
    /// It encrypts by a key of the account, whose end is the end of all that is there.
    KeyOfAccount {
        /// Which, where the bucket says so.
        key: Option<String>,
    },
    /// It may not be seen whether it is right.
    NotShown {
        /// What may not be seen, as a noun.
        what: &'static str,
        /// The right that is missing.
        right: &'static str,
    },
}

impl fmt::Display for BucketFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("there is no such bucket"),
            Self::NoObjectLock => f.write_str("it has no Object Lock"),
            Self::NoVersioning => f.write_str("it keeps no versions"),
            Self::DefaultRetention { what } => write!(
                f,
                "it locks by itself whatever is put there ({what}), also what must come and go"
            ),
            Self::KeyOfAccount { key } => {
                f.write_str("it encrypts by a key of the account, and is lost with that")?;
                match key {
                    Some(key) => write!(f, ": {key:?}"),
                    None => Ok(()),
                }
            }
            Self::NotShown { what, right } => {
                write!(f, "its {what} may not be seen: {right} is missing")
            }
        }
    }
}

impl S3Store {
    /// Looks at the bucket, and says what would make it right.
    pub(super) fn check_bucket(&self) -> Result<BucketCheck> {
        let mut flaws = Vec::new();
        for looked in [
            self.check_object_lock()?,
            self.check_versioning()?,
            self.check_encryption()?,
        ] {
            flaws.extend(looked);
        }
        if flaws.contains(&BucketFlaw::Missing) {
            flaws = vec![BucketFlaw::Missing];
        }
        let bucket = self.bucket();
        let folder = bucket.folder();
        let commands = Commands {
            bucket: &bucket.name,
            folder: &folder,
            region: bucket.region.as_deref(),
            endpoint: bucket.endpoint.as_deref(),
            least: self.lock().map(|lock| lock.least).unwrap_or_default(),
        };
        Ok(BucketCheck {
            commands: commands.against(&flaws),
            flaws,
        })
    }

    fn check_object_lock(&self) -> Result<Vec<BucketFlaw>> {
        let bucket = self.bucket();
        let request = bucket.client.get_object_lock_configuration();
        let answer = bucket.answer(request.bucket(&bucket.name).send());
        let seen = ("Object Lock", "s3:GetBucketObjectLockConfiguration");
        let configuration = match self.told(answer, "ObjectLockConfigurationNotFoundError", seen)? {
            Ok(told) => told.and_then(|told| told.object_lock_configuration),
            Err(flaw) => return Ok(vec![flaw]),
        };
        let enabled = configuration
            .as_ref()
            .and_then(|configuration| configuration.object_lock_enabled());
        if enabled != Some(&ObjectLockEnabled::Enabled) {
            return Ok(vec![BucketFlaw::NoObjectLock]);
        }
        let default = configuration
            .and_then(|configuration| configuration.rule)
            .and_then(|rule| rule.default_retention);
        let flaw = default.map(|default| BucketFlaw::DefaultRetention {
            what: in_words(&default),
        });
        Ok(flaw.into_iter().collect())
    }

    fn check_versioning(&self) -> Result<Vec<BucketFlaw>> {
        let bucket = self.bucket();
        let request = bucket.client.get_bucket_versioning();
        let answer = bucket.answer(request.bucket(&bucket.name).send());
        let seen = ("versioning", "s3:GetBucketVersioning");
        let status = match self.told(answer, "", seen)? {
            Ok(told) => told.and_then(|told| told.status),
            Err(flaw) => return Ok(vec![flaw]),
        };
        Ok(match status {
            Some(BucketVersioningStatus::Enabled) => Vec::new(),
            _ => vec![BucketFlaw::NoVersioning],
        })
    }

    /// Whether it encrypts by a key of an account, or may not be seen to.
    pub(super) fn check_encryption(&self) -> Result<Vec<BucketFlaw>> {
        let bucket = self.bucket();
        let request = bucket.client.get_bucket_encryption();
        let answer = bucket.answer(request.bucket(&bucket.name).send());
        let none = "ServerSideEncryptionConfigurationNotFoundError";
        let seen = ("default encryption", "s3:GetEncryptionConfiguration");
        let rules = match self.told(answer, none, seen)? {
            Ok(told) => told.and_then(|told| told.server_side_encryption_configuration),
            Err(flaw) => return Ok(vec![flaw]),
        };
        let rules = rules.map(|rules| rules.rules).unwrap_or_default();
        let defaults = rules
            .into_iter()
            .filter_map(|rule| rule.apply_server_side_encryption_by_default);
        let by_key = defaults.filter(|by| by.sse_algorithm != ServerSideEncryption::Aes256);
        Ok(by_key
            .map(|by| BucketFlaw::KeyOfAccount {
                key: by.kms_master_key_id,
            })
            .collect())
    }

    /// What a bucket has told of a setting, `what`, which is seen with a `right`; or why it has not.
    /// Nothing is told where nothing of the kind is set, which the server says by `none`, or where it
    /// knows nothing of the kind.
    fn told<T, E>(
        &self,
        answer: Result<T, Box<Failure<E>>>,
        none: &str,
        (what, right): (&'static str, &'static str),
    ) -> Result<Result<Option<T>, BucketFlaw>>
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let error = match answer {
            Ok(told) => return Ok(Ok(Some(told))),
            Err(error) => error,
        };
        match (status(&error), error.code()) {
            (_, Some("NoSuchBucket")) => Ok(Err(BucketFlaw::Missing)),
            (_, Some(code)) if code == none => Ok(Ok(None)),
            // Ceph answers a question that it does not know as another one: with the list of all
            // that is in the bucket.
            (Some(200..=299 | 405 | 501), _) => Ok(Ok(None)),
            (Some(401 | 403), Some("AccessDenied")) => {
                Ok(Err(BucketFlaw::NotShown { what, right }))
            }
            _ => {
                let location = self.bucket().location.clone();
                Err(fault(location, "look at the bucket", &error))
            }
        }
    }
}

/// A default retention as people say it.
fn in_words(default: &DefaultRetention) -> String {
    // Nothing that the server makes up stands beside commands that are to be typed.
    let mode = match default.mode() {
        Some(ObjectLockRetentionMode::Compliance) => "COMPLIANCE",
        Some(ObjectLockRetentionMode::Governance) => "GOVERNANCE",
        _ => "a mode of its own",
    };
    let (days, years) = (default.days(), default.years());
    match (days.filter(|days| *days > 0), years) {
        (Some(days), _) => format!("{mode} for {days} days"),
        (None, Some(years)) => format!("{mode} for {years} years"),
        (None, None) => mode.to_owned(),
    }
}
