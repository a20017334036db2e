//! What an intruder tries on a bucket who holds production's credentials and wants that nothing of it
//! can ever be restored.
//!
//! Every call is noted with what came of it: most are let through, and destroy nothing.

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{
    BucketLifecycleConfiguration, BucketVersioningStatus, Delete, ExpirationStatus, LifecycleRule,
    LifecycleRuleFilter, NoncurrentVersionExpiration, ObjectIdentifier, ObjectLockRetention,
    ObjectLockRetentionMode, VersioningConfiguration,
};

use crate::bucket::{Bucket, BucketVersion};

/// How many versions of junk one file gets: more than a page of a listing has.
const FLOOD: usize = 1_100;

/// A call, and by which code it was refused; `None` where it was let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// What was tried.
    pub what: &'static str,
    /// The code of the refusal.
    pub refused: Option<String>,
}

impl Bucket {
    /// Hides every file whose key begins so, once more where it is hidden already.
    pub fn hide(&self, prefix: &str) {
        let versions = self.versions(prefix).into_iter();
        let mut keys: Vec<_> = versions.map(|one| one.key).collect();
        keys.dedup();
        for key in keys {
            let request = self.client.delete_object().bucket(&self.name).key(key);
            self.done(request.send());
        }
    }

    /// Tries everything on the files whose keys begin so, and on the bucket, but for its policy.
    ///
    /// There must be less than a page of versions of them.
    pub fn attack(&self, prefix: &str) -> Vec<Tried> {
        let mut versions = self.versions(prefix);
        // A marker has no bytes, and no lock that could be shortened.
        versions.retain(|version| !version.is_marker);
        let mut tried = Vec::new();
        self.hide(prefix);
        for version in &versions {
            let refused = self.remove_version(version).err();
            tried.push(note("remove a version", refused));
            tried.push(note("shorten a lock", self.shorten(version)));
            tried.push(note("change the mode of a lock", self.change_mode(version)));
        }
        tried.push(note(
            "remove all versions at once",
            self.remove_all(&versions),
        ));
        for junk in [&b"junk"[..], b"more junk", b"still more junk"] {
            for version in &versions {
                self.put(&version.key, junk);
            }
        }
        self.hide(&format!("{prefix}/snapshots/"));
        self.put(&format!("{prefix}/snapshots/readme.txt"), b"pay");
        self.put(&format!("{prefix}/data/junk"), b"junk");
        let id = "ab".repeat(32);
        self.put(&format!("{prefix}/data/ab/{id}"), b"not its name");
        let buried = versions.iter().find(|one| one.key.contains("/snapshots/"));
        if let Some(buried) = buried {
            for number in 0..FLOOD {
                self.put(&buried.key, &number.to_le_bytes());
            }
        }
        for key in versions.iter().map(|version| &version.key) {
            let copy = self.client.copy_object().bucket(&self.name).key(key);
            let copy = copy.copy_source(format!("{}/{prefix}/data/junk", self.name));
            tried.push(note(
                "copy something else over it",
                self.refusal(copy.send()),
            ));
        }
        tried.push(note("suspend versioning", self.suspend_versions()));
        tried.push(note("let old versions expire", self.expire_versions()));
        let delete = self.client.delete_bucket().bucket(&self.name);
        tried.push(note("delete the bucket", self.refusal(delete.send())));
        tried
    }

    /// Forbids everybody to read or list anything; or says by which code that was refused.
    ///
    /// # Errors
    /// The code of the refusal.
    pub fn forbid_reading(&self) -> Result<(), String> {
        let name = &self.name;
        let policy = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Deny","Principal":"*","Action":["s3:GetObject","s3:GetObjectVersion","s3:ListBucket","s3:ListBucketVersions"],"Resource":["arn:aws:s3:::{name}","arn:aws:s3:::{name}/*"]}}]}}"#
        );
        let request = self.client.put_bucket_policy().bucket(name);
        let refusal = self.refusal(request.policy(policy).send());
        refusal.map_or(Ok(()), Err)
    }

    /// Takes the policy away, as whoever rules the bucket.
    pub fn remove_policy(&self) {
        let request = self.client.delete_bucket_policy().bucket(&self.name);
        self.done(request.send());
    }

    /// When the newest version of what begins so was made, by the clock of the server, in whole
    /// seconds since 1970; as far as one page tells.
    ///
    /// # Panics
    /// Where there is none.
    pub fn newest_s(&self, prefix: &str) -> i64 {
        let request = self.client.list_object_versions().bucket(&self.name);
        let page = self.done(request.prefix(prefix).send());
        let made = page.versions().iter().filter_map(|one| one.last_modified());
        made.map(DateTime::secs).max().expect("there is a version")
    }

    fn shorten(&self, version: &BucketVersion) -> Option<String> {
        let request = self.client.head_object().bucket(&self.name);
        let request = request.key(&version.key).version_id(&version.id);
        let told = self.done(request.send());
        let until = told.object_lock_retain_until_date()?;
        let earlier = DateTime::from_secs(until.secs() - 86_400);
        self.set_lock(version, ObjectLockRetentionMode::Compliance, earlier)
    }

    fn change_mode(&self, version: &BucketVersion) -> Option<String> {
        let request = self.client.head_object().bucket(&self.name);
        let request = request.key(&version.key).version_id(&version.id);
        let until = *self.done(request.send()).object_lock_retain_until_date()?;
        self.set_lock(version, ObjectLockRetentionMode::Governance, until)
    }

    fn set_lock(
        &self,
        version: &BucketVersion,
        mode: ObjectLockRetentionMode,
        until: DateTime,
    ) -> Option<String> {
        let retention = ObjectLockRetention::builder()
            .mode(mode)
            .retain_until_date(until)
            .build();
        let request = self.client.put_object_retention().bucket(&self.name);
        let request = request.key(&version.key).version_id(&version.id);
        let request = request.bypass_governance_retention(true);
        self.refusal(request.retention(retention).send())
    }

    /// The answer is 200 whatever came of it: its body says what was refused.
    fn remove_all(&self, versions: &[BucketVersion]) -> Option<String> {
        let named = versions.iter().map(|version| {
            let object = ObjectIdentifier::builder().key(&version.key);
            let object = object.version_id(&version.id).build();
            object.expect("it has a key")
        });
        let delete = Delete::builder().set_objects(Some(named.collect()));
        let request = self.client.delete_objects().bucket(&self.name);
        let request = request.bypass_governance_retention(true);
        let request = request.delete(delete.build().expect("it names objects"));
        match self.runtime.block_on(request.send()) {
            Ok(answer) => {
                let first = answer.errors().first()?;
                Some(first.code().unwrap_or_default().to_owned())
            }
            Err(error) => Some(error.code().unwrap_or_default().to_owned()),
        }
    }

    fn suspend_versions(&self) -> Option<String> {
        let suspended = VersioningConfiguration::builder()
            .status(BucketVersioningStatus::Suspended)
            .build();
        let request = self.client.put_bucket_versioning().bucket(&self.name);
        self.refusal(request.versioning_configuration(suspended).send())
    }

    /// Lets a rule called "gone" remove what is not current; or says by which code that was refused.
    ///
    /// # Panics
    /// Where the SDK does not build the rule.
    pub fn expire_versions(&self) -> Option<String> {
        let expiration = NoncurrentVersionExpiration::builder().noncurrent_days(1);
        let rule = LifecycleRule::builder()
            .id("gone")
            .status(ExpirationStatus::Enabled)
            .filter(LifecycleRuleFilter::builder().prefix("").build())
            .noncurrent_version_expiration(expiration.build())
            .build();
        let rules = BucketLifecycleConfiguration::builder().rules(rule.expect("it has a status"));
        let request = self.client.put_bucket_lifecycle_configuration();
        let request = request.bucket(&self.name);
        let request = request.lifecycle_configuration(rules.build().expect("it has a rule"));
        self.refusal(request.send())
    }

    /// By which code a request is refused, where it is.
    fn refusal<T, E, R>(
        &self,
        request: impl Future<Output = Result<T, SdkError<E, R>>>,
    ) -> Option<String>
    where
        E: ProvideErrorMetadata,
    {
        let error = self.runtime.block_on(request).err()?;
        Some(error.code().unwrap_or_default().to_owned())
    }
}

const fn note(what: &'static str, refused: Option<String>) -> Tried {
    Tried { what, refused }
}
