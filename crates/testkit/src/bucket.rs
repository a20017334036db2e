//! A bucket past every store: as whoever rules it sees it, and as an intruder does who holds
//! production's credentials. What is refused, where nothing is said of that, ends the test.

mod attack;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
};
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata};
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{
    BucketVersioningStatus, DefaultRetention, ObjectLockConfiguration, ObjectLockEnabled,
    ObjectLockRetentionMode, ObjectLockRule, VersioningConfiguration,
};
use aws_smithy_http_client::Builder;
use tokio::runtime::Runtime;

pub use crate::bucket::attack::Tried;
use crate::ceph::{Ceph, CephAccount};

/// A bucket of a gateway, asked with one account's credentials.
#[derive(Debug)]
pub struct Bucket {
    name: String,
    client: Client,
    runtime: Runtime,
}

/// One version in it, or a marker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BucketVersion {
    /// The key.
    pub key: String,
    /// The name of the version.
    pub id: String,
    /// Whether it only hides what was before.
    pub is_marker: bool,
}

impl Bucket {
    /// Names a bucket; nothing is asked yet.
    pub fn new(ceph: &Ceph, account: &CephAccount, name: &str) -> Self {
        let credentials = Credentials::new(
            &account.access_key,
            &account.secret_key,
            None,
            None,
            "testkit",
        );
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(Builder::new().build_http())
            .region(Region::new("us-east-1"))
            .endpoint_url(ceph.endpoint())
            .credentials_provider(credentials)
            .force_path_style(true)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .build();
        Self {
            name: name.to_owned(),
            client: Client::from_conf(config),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes it, without anything.
    pub fn create(&self) {
        let request = self.client.create_bucket().bucket(&self.name);
        self.done(request.send());
    }

    /// Makes it with Object Lock, and so with versions.
    pub fn create_locked(&self) {
        let request = self.client.create_bucket().bucket(&self.name);
        self.done(request.object_lock_enabled_for_bucket(true).send());
    }

    /// Lets it keep versions.
    pub fn keep_versions(&self) {
        let versions = VersioningConfiguration::builder()
            .status(BucketVersioningStatus::Enabled)
            .build();
        let request = self.client.put_bucket_versioning().bucket(&self.name);
        self.done(request.versioning_configuration(versions).send());
    }

    /// Lets it lock by itself whatever comes, for a day.
    pub fn lock_by_itself(&self) {
        let retention = DefaultRetention::builder()
            .mode(ObjectLockRetentionMode::Governance)
            .days(1)
            .build();
        let rule = ObjectLockRule::builder().default_retention(retention);
        let configuration = ObjectLockConfiguration::builder()
            .object_lock_enabled(ObjectLockEnabled::Enabled)
            .rule(rule.build())
            .build();
        let request = self.client.put_object_lock_configuration();
        let request = request.bucket(&self.name);
        self.done(request.object_lock_configuration(configuration).send());
    }

    /// Lets nobody delete anything in it, by a policy and nothing else.
    pub fn deny_deletion(&self) {
        let name = &self.name;
        let policy = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Deny","Principal":"*","Action":["s3:DeleteObject","s3:DeleteObjectVersion"],"Resource":["arn:aws:s3:::{name}","arn:aws:s3:::{name}/*"]}}]}}"#
        );
        let request = self.client.put_bucket_policy().bucket(name);
        self.done(request.policy(policy).send());
    }

    /// Puts any bytes under a key.
    pub fn put(&self, key: &str, bytes: &[u8]) {
        let request = self.client.put_object().bucket(&self.name).key(key);
        self.done(request.body(ByteStream::from(bytes.to_vec())).send());
    }

    /// All keys that are listed and begin so, sorted; as many as one page has.
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        let request = self.client.list_objects_v2().bucket(&self.name);
        let page = self.done(request.prefix(prefix).send());
        let keys = page.contents().iter().filter_map(|object| object.key());
        keys.map(str::to_owned).collect()
    }

    /// All versions and markers of keys that begin so, sorted; as many as one page has.
    pub fn versions(&self, prefix: &str) -> Vec<BucketVersion> {
        let request = self.client.list_object_versions().bucket(&self.name);
        let page = self.done(request.prefix(prefix).send());
        let found = |key: Option<&str>, id: Option<&str>, is_marker| BucketVersion {
            key: key.unwrap().to_owned(),
            id: id.unwrap().to_owned(),
            is_marker,
        };
        let versions = page.versions().iter();
        let versions = versions.map(|one| found(one.key(), one.version_id(), false));
        let markers = page.delete_markers().iter();
        let markers = markers.map(|one| found(one.key(), one.version_id(), true));
        let mut all: Vec<_> = versions.chain(markers).collect();
        all.sort();
        all
    }

    /// Begins an upload, and never ends it.
    pub fn begin_upload(&self, key: &str) {
        let request = self.client.create_multipart_upload();
        self.done(request.bucket(&self.name).key(key).send());
    }

    /// How many uploads were begun and not ended.
    pub fn uploads(&self) -> usize {
        let request = self.client.list_multipart_uploads().bucket(&self.name);
        self.done(request.send()).uploads().len()
    }

    /// Removes everything that is listed, as an intruder does who knows of no versions.
    pub fn hide_all(&self) {
        for key in self.keys("") {
            let request = self.client.delete_object().bucket(&self.name).key(key);
            self.done(request.send());
        }
    }

    /// Removes a version, or says by which code that was refused.
    ///
    /// # Errors
    /// The code of the refusal.
    pub fn remove_version(&self, version: &BucketVersion) -> Result<(), String> {
        let request = self.client.delete_object().bucket(&self.name);
        let request = request.key(&version.key).version_id(&version.id);
        let request = request.bypass_governance_retention(true);
        match self.runtime.block_on(request.send()) {
            Ok(_) => Ok(()),
            Err(error) => Err(error.code().unwrap_or_default().to_owned()),
        }
    }

    /// The mode in which a version is locked, where it is.
    pub fn mode_of(&self, version: &BucketVersion) -> Option<String> {
        let request = self.client.head_object().bucket(&self.name);
        let request = request.key(&version.key).version_id(&version.id);
        let told = self.done(request.send());
        told.object_lock_mode().map(|mode| mode.as_str().to_owned())
    }

    /// Removes it with all that is in it; as much as one page has.
    pub fn remove(&self) {
        for version in self.versions("") {
            self.remove_version(&version).unwrap();
        }
        let request = self.client.delete_bucket().bucket(&self.name);
        self.done(request.send());
    }

    /// Until when a version is locked, in seconds since 1970, where it is.
    pub fn locked_until_s(&self, version: &BucketVersion) -> Option<i64> {
        let request = self.client.head_object().bucket(&self.name);
        let request = request.key(&version.key).version_id(&version.id);
        let told = self.done(request.send());
        told.object_lock_retain_until_date().map(DateTime::secs)
    }

    /// Waits for what must succeed.
    fn done<T, E, R>(
        &self,
        request: impl Future<Output = Result<T, aws_sdk_s3::error::SdkError<E, R>>>,
    ) -> T
    where
        E: std::error::Error + 'static,
        R: std::fmt::Debug,
    {
        match self.runtime.block_on(request) {
            Ok(answer) => answer,
            Err(error) => panic!("{}: {}", self.name, DisplayErrorContext(&error)),
        }
    }
}
