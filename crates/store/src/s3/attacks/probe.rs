//! What acts on a whole bucket, tried on one that is made for it beside the real one, by the same
//! account.
//!
//! The probe has Object Lock, the policy of the real bucket under its own name, and one canary in it.
//! Where it may not be made, or that policy may not be read or put, none of this is tried: what such
//! a probe withstood would say nothing of the bucket.

use std::time::SystemTime;

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::{
    BucketLifecycleConfiguration, BucketLocationConstraint, BucketVersioningStatus,
    CreateBucketConfiguration, DefaultRetention, ExpirationStatus, LifecycleExpiration,
    LifecycleRule, LifecycleRuleFilter, NoncurrentVersionExpiration, ObjectLockConfiguration,
    ObjectLockEnabled, ObjectLockRetentionMode, ObjectLockRule, VersioningConfiguration,
};
use strongroom_model::attack::{Attempt, Left, Remnant, RemnantKind, Said, Tried};

use crate::attacks::{Remnants, in_one_line, random_name};
use crate::s3::attacks::FOLDER;
use crate::s3::attacks::answer::told;
use crate::s3::attacks::canary::{Canaries, Canary, reason_of};
use crate::s3::attacks::seen::borne_out_by_bucket;
use crate::s3::attacks::sweep::stem_of;
use crate::s3::fault::fault;
use crate::s3::store::S3Store;
use crate::{Error, Result};

/// How S3 says that a bucket has no policy.
const NO_POLICY: &str = "NoSuchBucketPolicy";

/// What is tried on a probe, in this order.
const ON_PROBE: [Attempt; 5] = [
    Attempt::SuspendVersioning,
    Attempt::LowerBucketRetention,
    Attempt::RemovePolicy,
    Attempt::ChangeLifecycle,
    Attempt::DeleteBucket,
];

impl S3Store {
    /// Makes a probe, attacks it, and takes it away as far as locks allow.
    pub(super) fn attack_probe(&self, end: SystemTime, remnants: &Remnants) -> Result<Vec<Tried>> {
        let none = |reason: String| -> Result<Vec<Tried>> {
            let all = ON_PROBE.into_iter();
            Ok(all.map(|attempt| Tried::not(attempt, &*reason)).collect())
        };
        if self.lock().is_none() {
            return none("the copy has no lock in its configuration".to_owned());
        }
        let Some(random) = random_name() else {
            return none("the system gives no random bytes".to_owned());
        };
        let bucket = self.bucket();
        let name = format!("{}{random}", stem_of(&bucket.name));
        let policy = match self.policy()? {
            Ok(policy) => policy.map(|policy| renamed(&policy, &bucket.name, &name)),
            Err(reason) => {
                return none(format!(
                    "a probe would not have the policy of the bucket, which cannot be read: \
                     {reason}"
                ));
            }
        };
        let mut canaries = Canaries::new(bucket, &name, FOLDER.to_owned(), Some(end), remnants);
        let probe = Remnant::new(RemnantKind::ProbeBucket, &*name);
        remnants.make(probe.clone());
        match canaries.make_bucket()? {
            Said::Done => {}
            Said::Refused(reason) | Said::Unclear(reason) | Said::NotTried(reason) => {
                remnants.strike(&probe);
                return none(format!(
                    "this account may make no bucket beside it: {reason}"
                ));
            }
            // It may be there all the same.
            Said::Failed(reason) => {
                self.remove_probe(&name, remnants)?;
                return none(format!(
                    "this account may make no bucket beside it: {reason}"
                ));
            }
        }
        let tried = match canaries.put(Some(end))? {
            Ok(canary) => match canaries.put_policy(policy.as_deref())? {
                Said::Done => {
                    let mut tried = Vec::new();
                    for attempt in ON_PROBE {
                        tried.push(match (attempt, &policy) {
                            (Attempt::RemovePolicy, None) => {
                                Tried::not(attempt, "the bucket has no policy")
                            }
                            _ => canaries.attempt_on_bucket(attempt, &canary)?,
                        });
                    }
                    tried
                }
                Said::Refused(reason)
                | Said::Unclear(reason)
                | Said::Failed(reason)
                | Said::NotTried(reason) => none(format!(
                    "the probe does not take the policy of the bucket: {reason}"
                ))?,
            },
            Err(said) => {
                let said = Tried::new(Attempt::Put, said, Left::Nothing).seen();
                none(format!("the probe takes no canary: {said}"))?
            }
        };
        self.remove_probe(&name, remnants)?;
        Ok(tried)
    }

    /// The policy of the real bucket, if it has one; or why that cannot be told.
    fn policy(&self) -> Result<std::result::Result<Option<String>, String>> {
        let bucket = self.bucket();
        let request = bucket.client.get_bucket_policy();
        let error = match bucket.answer(request.bucket(&bucket.name).send()) {
            Ok(told) => return Ok(Ok(told.policy().map(str::to_owned))),
            Err(error) if error.code() == Some(NO_POLICY) => return Ok(Ok(None)),
            Err(error) => fault(bucket.location.clone(), "tell its policy", &error),
        };
        match error {
            error @ Error::Cancelled { .. } => Err(error),
            error => Ok(Err(in_one_line(&error.to_string()))),
        }
    }
}

impl Canaries<'_> {
    fn make_bucket(&self) -> Result<Said> {
        let constraint = self.bucket.constraint.as_deref();
        let configuration = constraint.map(|constraint| {
            CreateBucketConfiguration::builder()
                .location_constraint(BucketLocationConstraint::from(constraint))
                .build()
        });
        let request = self.bucket.client.create_bucket();
        let request = request
            .bucket(&self.name)
            .object_lock_enabled_for_bucket(true)
            .set_create_bucket_configuration(configuration);
        self.said(self.bucket.answer(request.send()))
    }

    /// Gives the probe a policy, where there is one to give.
    fn put_policy(&self, policy: Option<&str>) -> Result<Said> {
        let Some(policy) = policy else {
            return Ok(Said::Done);
        };
        let request = self.bucket.client.put_bucket_policy().bucket(&self.name);
        self.said(self.bucket.answer(request.policy(policy).send()))
    }

    fn attempt_on_bucket(&self, attempt: Attempt, canary: &Canary) -> Result<Tried> {
        let said = match attempt {
            Attempt::SuspendVersioning => self.suspend_versioning()?,
            Attempt::LowerBucketRetention => self.lower_retention()?,
            Attempt::RemovePolicy => {
                let request = self.bucket.client.delete_bucket_policy();
                let answer = self.bucket.answer(request.bucket(&self.name).send());
                match self.said(answer)? {
                    Said::Done => self.delete(canary, true)?,
                    said => said,
                }
            }
            Attempt::ChangeLifecycle => self.change_lifecycle()?,
            Attempt::DeleteBucket => {
                let request = self.bucket.client.delete_bucket();
                self.said(self.bucket.answer(request.bucket(&self.name).send()))?
            }
            _ => Said::NotTried("it is none for a whole bucket".to_owned()),
        };
        let mut left = self.left(canary)?;
        if attempt == Attempt::SuspendVersioning && left == Left::Whole {
            left = self.versioning_left()?;
        }
        let said = match left {
            Left::Whole => borne_out_by_bucket(attempt, said),
            _ => said,
        };
        Ok(told(attempt, said, left))
    }

    fn suspend_versioning(&self) -> Result<Said> {
        let suspended = VersioningConfiguration::builder()
            .status(BucketVersioningStatus::Suspended)
            .build();
        let request = self.bucket.client.put_bucket_versioning();
        let request = request
            .bucket(&self.name)
            .versioning_configuration(suspended);
        self.said(self.bucket.answer(request.send()))
    }

    /// Whether the bucket still keeps versions.
    fn versioning_left(&self) -> Result<Left> {
        let request = self.bucket.client.get_bucket_versioning();
        let answer = self.bucket.answer(request.bucket(&self.name).send());
        Ok(match answer {
            Ok(told) if told.status() == Some(&BucketVersioningStatus::Enabled) => Left::Whole,
            Ok(_) => Left::Weaker("its versioning is suspended".to_owned()),
            Err(error) => Left::Unknown(reason_of(self.said::<(), _>(Err(error))?)),
        })
    }

    /// Sets a default retention, and ends it.
    fn lower_retention(&self) -> Result<Said> {
        let retention = DefaultRetention::builder()
            .mode(ObjectLockRetentionMode::Compliance)
            .days(1)
            .build();
        let rule = ObjectLockRule::builder().default_retention(retention);
        let enabled =
            || ObjectLockConfiguration::builder().object_lock_enabled(ObjectLockEnabled::Enabled);
        let mut said = Said::Done;
        for configuration in [enabled().rule(rule.build()).build(), enabled().build()] {
            let request = self.bucket.client.put_object_lock_configuration();
            let request = request
                .bucket(&self.name)
                .object_lock_configuration(configuration);
            said = self.said(self.bucket.answer(request.send()))?;
        }
        Ok(said)
    }

    fn change_lifecycle(&self) -> Result<Said> {
        let rule = LifecycleRule::builder()
            .id("drill")
            .status(ExpirationStatus::Enabled)
            .filter(LifecycleRuleFilter::builder().prefix("").build())
            .expiration(LifecycleExpiration::builder().days(1).build())
            .noncurrent_version_expiration(
                NoncurrentVersionExpiration::builder()
                    .noncurrent_days(1)
                    .build(),
            )
            .build();
        let rules =
            rule.and_then(|rule| BucketLifecycleConfiguration::builder().rules(rule).build());
        let rules = match rules {
            Ok(rules) => rules,
            Err(error) => return Ok(Said::Failed(in_one_line(&error.to_string()))),
        };
        let request = self.bucket.client.put_bucket_lifecycle_configuration();
        let request = request.bucket(&self.name).lifecycle_configuration(rules);
        self.said(self.bucket.answer(request.send()))
    }
}

/// A policy of one bucket as another one would have it: names of resources end with that of a bucket,
/// or go on with a key.
fn renamed(policy: &str, bucket: &str, probe: &str) -> String {
    let mut text = policy.to_owned();
    // Some servers write the slash of JSON as `\/`.
    for end in ["\"", "/", "\\/"] {
        text = text.replace(&format!(":{bucket}{end}"), &format!(":{probe}{end}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_renamed_where_it_names_this_very_bucket() {
        let policy = |name: &str| {
            format!(
                r#"{{"Statement":[{{"Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::{name}","arn:aws:s3:::{name}/*","arn:aws:s3::tenant:{name}\/keys","arn:aws:s3:::shop-2","arn:aws:s3:::shop-2/*"],"Sid":"shop"}}]}}"#
            )
        };
        let wanted = policy("shop-probe-1");
        assert_eq!(renamed(&policy("shop"), "shop", "shop-probe-1"), wanted);
    }
}
