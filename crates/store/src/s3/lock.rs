//! Locks in a bucket: COMPLIANCE until a date, which is believed when it was seen.
//!
//! A HEAD that shows no lock may only lack the right to see it: that is *not shown*, and never
//! *locked*. Some servers take the parts of an upload and forget the lock that was asked for at its
//! beginning, and a file may have been put before there was a lock: then it is set on the version
//! that is there, and looked at once more. And a lock keeps the bytes and not what opens them: what a
//! key of the account encrypts, or an archive holds, does not count as locked.
//!
//! What a save has seen is kept until somebody takes it ([`Saved`]), so that a record of dates costs
//! no requests.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{
    ObjectLockMode, ObjectLockRetention, ObjectLockRetentionMode, ServerSideEncryption,
    StorageClass,
};
use parking_lot::Mutex;
use strongroom_model::FileName;

use crate::clock::are_apart;
use crate::s3::check::BucketCheck;
use crate::s3::dates::date;
use crate::s3::fault::{fault, status};
use crate::s3::object::Object;
use crate::s3::store::{S3Lock, S3Store};
use crate::{Error, Locks, Result, SavedLock, SeenVersion, ShownLock, VersionId};

/// The most locks that are kept of what was saved: as many as 16 TB of packs, some 150 bytes each.
const MOST_SAVED: usize = 1_000_000;

/// What saves have seen of locks, until somebody takes it.
#[derive(Debug, Default)]
pub(super) struct Saved(Mutex<Vec<SavedLock>>);

impl Saved {
    /// Takes note of a version and when its lock ends; of one without a name nothing can be kept.
    pub(super) fn note(&self, name: FileName, version: Option<&str>, until: SystemTime) {
        let Some(version) = version.map(VersionId::new) else {
            return;
        };
        let mut saved = self.0.lock();
        if saved.len() < MOST_SAVED {
            saved.push(SavedLock {
                name,
                version,
                until,
            });
        }
    }

    fn take(&self) -> Vec<SavedLock> {
        std::mem::take(&mut *self.0.lock())
    }
}

impl S3Store {
    /// Until when what is stored now is locked, in whole seconds.
    pub(super) fn next_date(&self, lock: &S3Lock) -> Result<SystemTime> {
        let (server, ours) = (self.server_time()?, (lock.clock)());
        if are_apart(server, ours) && !self.has_told_clocks.swap(true, Ordering::Relaxed) {
            let location = self.bucket().location.as_str();
            tracing::warn!(
                location,
                "The clocks of this machine and of the server are more than ten minutes apart; for \
                 locks the later one counts"
            );
        }
        Ok(in_seconds(date(lock.least, server, ours)))
    }

    /// What time it is there; asked, where no answer has told it yet.
    pub(super) fn server_time(&self) -> Result<SystemTime> {
        let bucket = self.bucket();
        if let Some(now) = bucket.clock.now() {
            return Ok(now);
        }
        let action = "tell what time it is";
        let request = bucket.client.head_bucket().bucket(&bucket.name);
        match bucket.answer(request.send()) {
            // Whatever it says, it says when.
            Err(error) if status(&error).is_none() => {
                Err(fault(bucket.location.clone(), action, &error))
            }
            _ => bucket.clock.now().ok_or_else(|| Error::BadAnswer {
                location: bucket.location.clone(),
                action: action.to_owned(),
                reason: "its answers have no date".to_owned(),
            }),
        }
    }

    /// Sees to it that a version that was there already is locked for as long as it must at least;
    /// returns until when it is.
    pub(super) fn hold(
        &self,
        object: &Object,
        told: &HeadObjectOutput,
        lock: &S3Lock,
    ) -> Result<SystemTime> {
        let next = self.next_date(lock)?;
        let least = next.checked_sub(lock.least / 2).unwrap_or(next);
        match end_where_held(shown(told), least) {
            Some(end) => Ok(end),
            None => self.see_locked(object, told, next),
        }
    }

    /// Sees to it that a version is locked until then at least, as far as was told of it; returns
    /// until when it is.
    pub(super) fn see_locked(
        &self,
        object: &Object,
        told: &HeadObjectOutput,
        until: SystemTime,
    ) -> Result<SystemTime> {
        let before = shown(told);
        if let Some(end) = end_where_held(before, until) {
            return Ok(end);
        }
        match self.set_lock(object, until) {
            Ok(()) => self.see_set(object, until, None),
            Err(Error::Denied { reason, .. } | Error::BadAnswer { reason, .. }) => {
                Err(self.refused(object.name, until, before, &reason))
            }
            Err(error) => Err(error),
        }
    }

    /// Asks for a lock until then.
    fn set_lock(&self, object: &Object, until: SystemTime) -> Result<()> {
        let retention = ObjectLockRetention::builder()
            .mode(ObjectLockRetentionMode::Compliance)
            .retain_until_date(DateTime::from(until))
            .build();
        let bucket = self.bucket();
        let request = bucket.client.put_object_retention();
        let request = request
            .bucket(&bucket.name)
            .key(&object.source.key)
            .set_version_id(object.source.version.clone())
            .retention(retention);
        match bucket.answer(request.send()) {
            Ok(_) => Ok(()),
            Err(error) => Err(object.fault("lock", &error)),
        }
    }

    /// Looks whether a lock is there that was asked for; where it was refused, it may be there all
    /// the same, and be one that lasts longer.
    fn see_set(
        &self,
        object: &Object,
        until: SystemTime,
        refusal: Option<String>,
    ) -> Result<SystemTime> {
        let after = shown(&self.told_at_hand(object)?);
        end_where_held(after, until).ok_or_else(|| match refusal {
            Some(reason) => self.refused(object.name, until, after, &reason),
            None => {
                let (asked, seen) = (asked(until), in_words(after));
                self.not_locked(object.name, format!("{asked}, it shows {seen}"))
            }
        })
    }

    /// What is told of a file, which must be there and at hand.
    fn told_at_hand(&self, object: &Object) -> Result<HeadObjectOutput> {
        let told = object.look()?.ok_or_else(|| object.absent())?;
        self.check_at_hand(object.name, &told)?;
        Ok(told)
    }

    /// Fails where a version cannot be read for as long as it is locked.
    pub(super) fn check_at_hand(&self, name: FileName, told: &HeadObjectOutput) -> Result<()> {
        match away(told) {
            None => Ok(()),
            Some(reason) => Err(self.not_locked(name, reason)),
        }
    }

    fn refused(&self, name: FileName, until: SystemTime, shown: ShownLock, reason: &str) -> Error {
        let (asked, seen) = (asked(until), in_words(shown));
        self.not_locked(
            name,
            format!("{asked}, it shows {seen}, and refuses it: {reason}"),
        )
    }

    pub(super) fn not_locked(&self, name: FileName, reason: String) -> Error {
        Error::NotLocked {
            name,
            location: self.bucket().location.clone(),
            reason,
        }
    }

    /// A file in a version, where one is named.
    fn version_of(&self, name: FileName, version: Option<&VersionId>) -> Object {
        let version = version.map(|version| version.as_str().to_owned());
        self.object(name).in_version(version)
    }
}

impl Locks for S3Store {
    fn least(&self) -> Duration {
        self.lock().map_or(Duration::ZERO, |lock| lock.least)
    }

    fn date(&self) -> Result<SystemTime> {
        match self.lock() {
            Some(lock) => self.next_date(lock),
            None => self.server_time(),
        }
    }

    fn now(&self) -> Result<SystemTime> {
        self.server_time()
    }

    fn seen(&self, name: FileName) -> Result<SeenVersion> {
        let object = self.object(name);
        let told = self.told_at_hand(&object)?;
        let version = told.version_id().ok_or_else(|| object.absent())?;
        Ok(SeenVersion {
            version: VersionId::new(version),
            size_bytes: object.size_in(&told)?,
            lock: shown(&told),
        })
    }

    fn lock_of(&self, name: FileName, version: Option<&VersionId>) -> Result<ShownLock> {
        let told = self.told_at_hand(&self.version_of(name, version))?;
        Ok(shown(&told))
    }

    fn lock_until(
        &self,
        name: FileName,
        version: Option<&VersionId>,
        until: SystemTime,
    ) -> Result<SystemTime> {
        let (object, until) = (self.version_of(name, version), in_seconds(until));
        if version.is_none() {
            let told = self.told_at_hand(&object)?;
            // What is locked is what was looked at, whatever somebody puts there in between.
            let object = object.in_version(told.version_id().map(str::to_owned));
            return self.see_locked(&object, &told, until);
        }
        let refusal = match self.set_lock(&object, until) {
            Ok(()) => None,
            Err(Error::Denied { reason, .. } | Error::BadAnswer { reason, .. }) => Some(reason),
            Err(error) => return Err(error),
        };
        self.see_set(&object, until, refusal)
    }

    fn take_saved(&self) -> Vec<SavedLock> {
        self.saved().take()
    }

    fn check(&self) -> Result<BucketCheck> {
        self.check_bucket()
    }
}

/// What an answer shows of a lock.
pub(super) fn shown(told: &HeadObjectOutput) -> ShownLock {
    let until = told.object_lock_retain_until_date();
    let until = until.and_then(|until| SystemTime::try_from(*until).ok());
    match (told.object_lock_mode(), until) {
        (Some(ObjectLockMode::Compliance), Some(until)) => ShownLock::Compliance { until },
        (Some(ObjectLockMode::Governance), Some(until)) => ShownLock::Governance { until },
        _ => ShownLock::NotShown,
    }
}

/// When a lock ends, where it holds until then.
fn end_where_held(lock: ShownLock, until: SystemTime) -> Option<SystemTime> {
    match lock {
        ShownLock::Compliance { until: end } if lock.holds(until) => Some(end),
        _ => None,
    }
}

/// What was asked for, as errors tell it.
fn asked(until: SystemTime) -> String {
    format!("asked for COMPLIANCE until {}", DateTime::from(until))
}

pub(super) fn in_words(lock: ShownLock) -> String {
    match lock {
        ShownLock::Compliance { until } => format!("COMPLIANCE until {}", DateTime::from(until)),
        ShownLock::Governance { until } => format!("GOVERNANCE until {}", DateTime::from(until)),
        ShownLock::NotShown => "no lock, or none that may be seen".to_owned(),
    }
}

/// Why a version cannot be read at any time for as long as it is there, by whoever has this bucket;
/// `None` where it can.
///
/// **Security:** a lock keeps the bytes and not the key of an account that encrypts them. Who holds
/// production's credentials may name a key of his own with a PUT of the same bytes, or as the
/// bucket's default, and destroy it when he likes.
pub(super) fn away(told: &HeadObjectOutput) -> Option<String> {
    let is_by_key = |by: &ServerSideEncryption| *by != ServerSideEncryption::Aes256;
    if told.server_side_encryption().is_some_and(is_by_key) {
        return Some("a key of an account encrypts it (KMS), and is its end".to_owned());
    }
    let is_archive =
        |class: &&StorageClass| matches!(class, StorageClass::Glacier | StorageClass::DeepArchive);
    let class = told.storage_class().filter(is_archive);
    let class = class.map(StorageClass::as_str);
    let class = class.or(told.archive_status().map(|_| "INTELLIGENT_TIERING"))?;
    Some(format!(
        "it lies in an archive ({class}), from where it takes hours to bring it back"
    ))
}

/// A date in whole seconds, rounded up: servers know no others.
pub(super) fn in_seconds(date: SystemTime) -> SystemTime {
    let since = date.duration_since(SystemTime::UNIX_EPOCH);
    let since = since.unwrap_or_default();
    let seconds = since.as_secs() + u64::from(since.subsec_nanos() > 0);
    let rounded = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    rounded.unwrap_or(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn only_a_lock_that_nobody_can_take_back_holds() {
        let until = at(100);
        assert!(ShownLock::Compliance { until }.holds(at(100)));
        assert!(!ShownLock::Compliance { until }.holds(at(101)));
        assert!(!ShownLock::Governance { until }.holds(at(1)));
        assert!(!ShownLock::NotShown.holds(at(0)));
    }

    #[test]
    fn a_mode_without_a_date_is_no_lock() {
        let told = HeadObjectOutput::builder();
        let told = told.object_lock_mode(ObjectLockMode::Compliance).build();
        assert_eq!(shown(&told), ShownLock::NotShown);
    }

    #[test]
    fn dates_are_rounded_up_to_whole_seconds() {
        assert_eq!(in_seconds(at(5)), at(5));
        assert_eq!(in_seconds(at(5) + Duration::from_nanos(1)), at(6));
    }
}
