//! What is asked of a canary, attempt by attempt.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{
    Delete, MetadataDirective, ObjectIdentifier, ObjectLockLegalHold, ObjectLockLegalHoldStatus,
    ObjectLockMode, ObjectLockRetention, ObjectLockRetentionMode,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use strongroom_model::attack::{Attempt, Said};

use crate::attacks::in_one_line;
use crate::s3::attacks::answer::said_in_list;
use crate::s3::attacks::canary::{Canaries, Canary};
use crate::{Result, ShownLock};

/// By how much a lock is to be shortened: half of what a canary has.
const EARLIER: Duration = Duration::from_secs(1800);

/// What an intruder puts in the stead of a file.
pub(super) const JUNK: &[u8] = b"junk";

/// What the key of a canary ends with that was renamed.
pub(super) const RENAMED: &str = "-renamed";

/// What goes in percent signs in a header that names a source: all but what is plain in a path.
const IN_SOURCE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

impl Canaries<'_> {
    /// Tries one thing on a canary, and tells what was said.
    pub(super) fn ask(&self, attempt: Attempt, canary: &Canary) -> Result<Said> {
        match attempt {
            Attempt::Delete => self.hide(canary),
            Attempt::DeleteVersion => self.delete(canary, false),
            Attempt::DeleteVersionBypassing => self.delete(canary, true),
            Attempt::MultiDelete => self.multi_delete(canary, false),
            Attempt::MultiDeleteBypassing => self.multi_delete(canary, true),
            Attempt::Overwrite => self.overwrite(canary, JUNK),
            Attempt::Truncate => self.overwrite(canary, b""),
            Attempt::CopyOverSelf => self.copy_over(canary),
            Attempt::Rename => self.rename(canary),
            Attempt::Shorten => self.shorten(canary, false),
            Attempt::ShortenBypassing => self.shorten(canary, true),
            Attempt::ChangeMode => self.change_mode(canary, false),
            Attempt::ChangeModeBypassing => self.change_mode(canary, true),
            Attempt::RemoveLock => {
                let none = ObjectLockRetention::builder().build();
                self.retain(canary, none, true)
            }
            Attempt::RemoveLegalHold => self.release(canary),
            _ => Ok(Said::NotTried(
                "it is none for a file of a bucket".to_owned(),
            )),
        }
    }

    /// Deletes without saying which version.
    fn hide(&self, canary: &Canary) -> Result<Said> {
        let request = self.bucket.client.delete_object();
        let request = request.bucket(&self.name).key(&canary.key);
        let answer = self.bucket.answer(request.send());
        if let Ok(marker) = &answer
            && marker.delete_marker() == Some(true)
        {
            self.note(&canary.key, marker.version_id());
        }
        self.said(answer)
    }

    /// Deletes the version; where there are none, what lies under the key.
    pub(super) fn delete(&self, canary: &Canary, bypassing: bool) -> Result<Said> {
        let request = self.bucket.client.delete_object();
        let request = request
            .bucket(&self.name)
            .key(&canary.key)
            .set_version_id(canary.version.clone())
            .set_bypass_governance_retention(bypassing.then_some(true));
        self.said(self.bucket.answer(request.send()))
    }

    /// Deletes the version in a list of one. The answer is 200, whatever comes of it: what was
    /// refused stands in its body.
    fn multi_delete(&self, canary: &Canary, bypassing: bool) -> Result<Said> {
        let object = ObjectIdentifier::builder()
            .key(&canary.key)
            .set_version_id(canary.version.clone())
            .build();
        let list = object.and_then(|object| Delete::builder().objects(object).build());
        let list = match list {
            Ok(list) => list,
            Err(error) => return Ok(Said::Failed(in_one_line(&error.to_string()))),
        };
        let request = self.bucket.client.delete_objects();
        let request = request
            .bucket(&self.name)
            .delete(list)
            .set_bypass_governance_retention(bypassing.then_some(true));
        let answer = match self.bucket.answer(request.send()) {
            Ok(answer) => answer,
            Err(error) => return self.said::<(), _>(Err(error)),
        };
        if let Some(error) = answer.errors().first() {
            return Ok(said_in_list(error.code().unwrap_or("no code")));
        }
        let is_named = |key: Option<&str>| key == Some(canary.key.as_str());
        match answer.deleted().iter().any(|one| is_named(one.key())) {
            true => Ok(Said::Done),
            false => Ok(Said::Failed(
                "200, and nothing of the file in it".to_owned(),
            )),
        }
    }

    fn overwrite(&self, canary: &Canary, bytes: &'static [u8]) -> Result<Said> {
        let request = self.bucket.client.put_object();
        let request = request
            .bucket(&self.name)
            .key(&canary.key)
            .body(ByteStream::from_static(bytes));
        let answer = self.bucket.answer(request.send());
        if let Ok(stored) = &answer {
            self.note(&canary.key, stored.version_id());
        }
        self.said(answer)
    }

    /// Copies the version over its own key, with other metadata and, where it is locked, a lock
    /// that ends earlier and can be bypassed.
    fn copy_over(&self, canary: &Canary) -> Result<Said> {
        let source = source_of(&self.name, &canary.key, canary.version.as_deref());
        let end = end_of(canary).and_then(|end| end.checked_sub(EARLIER));
        let request = self.bucket.client.copy_object();
        let request = request
            .bucket(&self.name)
            .key(&canary.key)
            .copy_source(source)
            .metadata_directive(MetadataDirective::Replace)
            .metadata("drill", "attack")
            .set_object_lock_mode(end.map(|_| ObjectLockMode::Governance))
            .set_object_lock_retain_until_date(end.map(DateTime::from));
        let answer = self.bucket.answer(request.send());
        if let Ok(stored) = &answer {
            self.note(&canary.key, stored.version_id());
        }
        self.said(answer)
    }

    /// Gives it another name, by the verb that some kinds of buckets have. Others take it for a PUT
    /// of nothing under that name, which is swept with the canaries.
    fn rename(&self, canary: &Canary) -> Result<Said> {
        let other = renamed(canary);
        self.announce(&other);
        let request = self.bucket.client.rename_object();
        let request = request
            .bucket(&self.name)
            .key(other)
            .rename_source(format!("/{}", source_of(&self.name, &canary.key, None)));
        self.said(self.bucket.answer(request.send()))
    }

    fn shorten(&self, canary: &Canary, bypassing: bool) -> Result<Said> {
        let mode = match canary.lock {
            ShownLock::Governance { .. } => ObjectLockRetentionMode::Governance,
            ShownLock::Compliance { .. } | ShownLock::NotShown => {
                ObjectLockRetentionMode::Compliance
            }
        };
        let earlier = end_of(canary).and_then(|end| end.checked_sub(EARLIER));
        let retention = ObjectLockRetention::builder()
            .mode(mode)
            .set_retain_until_date(earlier.map(DateTime::from))
            .build();
        self.retain(canary, retention, bypassing)
    }

    fn change_mode(&self, canary: &Canary, bypassing: bool) -> Result<Said> {
        let retention = ObjectLockRetention::builder()
            .mode(ObjectLockRetentionMode::Governance)
            .set_retain_until_date(end_of(canary).map(DateTime::from))
            .build();
        self.retain(canary, retention, bypassing)
    }

    fn retain(
        &self,
        canary: &Canary,
        retention: ObjectLockRetention,
        bypassing: bool,
    ) -> Result<Said> {
        let request = self.bucket.client.put_object_retention();
        let request = request
            .bucket(&self.name)
            .key(&canary.key)
            .set_version_id(canary.version.clone())
            .retention(retention)
            .set_bypass_governance_retention(bypassing.then_some(true));
        self.said_of_lock(self.bucket.answer(request.send()))
    }

    fn release(&self, canary: &Canary) -> Result<Said> {
        let none = ObjectLockLegalHold::builder()
            .status(ObjectLockLegalHoldStatus::Off)
            .build();
        let request = self.bucket.client.put_object_legal_hold();
        let request = request
            .bucket(&self.name)
            .key(&canary.key)
            .set_version_id(canary.version.clone())
            .legal_hold(none);
        self.said_of_lock(self.bucket.answer(request.send()))
    }
}

/// The key that a canary gets by a rename.
pub(super) fn renamed(canary: &Canary) -> String {
    format!("{}{RENAMED}", canary.key)
}

/// A file, and where there are any its version, as headers name a source: a key that goes there as
/// it is may be refused for its letters alone, or be taken for another one.
fn source_of(bucket: &str, key: &str, version: Option<&str>) -> String {
    let key = utf8_percent_encode(key, IN_SOURCE);
    let source = format!("{bucket}/{key}");
    match version {
        Some(version) => {
            let version = utf8_percent_encode(version, NON_ALPHANUMERIC);
            format!("{source}?versionId={version}")
        }
        None => source,
    }
}

/// When the lock of a canary ends.
const fn end_of(canary: &Canary) -> Option<SystemTime> {
    match canary.lock {
        ShownLock::Compliance { until } | ShownLock::Governance { until } => Some(until),
        ShownLock::NotShown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_named_in_percent_signs_and_its_folders_stay() {
        let named = |key| source_of("acme-backup", key, None);
        let plain = "acme/repos/strongroom/drill/0123456789abcdef";
        assert_eq!(named(plain), format!("acme-backup/{plain}"));
        assert_eq!(named("a b+c/ü?x%"), "acme-backup/a%20b%2Bc/%C3%BC%3Fx%25");
        let version = source_of("b", "k-1_2.~", Some("a.b/c=="));
        assert_eq!(version, "b/k-1_2.~?versionId=a%2Eb%2Fc%3D%3D");
    }
}
