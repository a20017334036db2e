//! The commands by which whoever rules a bucket makes it right, for Amazon's program.
//!
//! They are typed as they stand: so what is in them is quoted, and each is one line. The policy lets
//! production do what a copy asks for and nothing else, and caps the days for which anybody may lock,
//! since a lock for a century is an attack too: nobody could take it back, and the owner would pay.
//! That cap is Amazon's: a Ceph takes it, and caps nothing.
//! Who production is, only whoever rules the bucket can tell: a variable of his shell has it, and
//! without it nothing is set.

use std::time::Duration;

use strongroom_model::shell::quoted;

use crate::s3::check::BucketFlaw;
use crate::s3::client::FIRST_REGION;

/// A day, in seconds.
const DAY_S: u64 = 86_400;

/// Stands for production in a policy; no bucket or prefix has such letters.
const PRINCIPAL: &str = "<production>";

/// What a copy does with its files.
const ON_FILES: [&str; 7] = [
    "s3:GetObject",
    "s3:GetObjectVersion",
    "s3:GetObjectRetention",
    "s3:PutObject",
    "s3:PutObjectRetention",
    "s3:DeleteObject",
    "s3:AbortMultipartUpload",
];

/// What a copy removes for good, where nothing of a backup lies.
const COMES_AND_GOES: [&str; 2] = ["locks/*", "strongroom/drill/*"];

/// What a copy asks of its bucket, but for how that encrypts.
const ON_BUCKET: [&str; 7] = [
    "s3:ListBucket",
    "s3:ListBucketVersions",
    "s3:ListBucketMultipartUploads",
    "s3:GetBucketObjectLockConfiguration",
    "s3:GetBucketVersioning",
    "s3:GetBucketAcl",
    "s3:GetLifecycleConfiguration",
];

/// What the commands are about.
pub(super) struct Commands<'a> {
    pub(super) bucket: &'a str,
    /// What keys begin with, with the slash behind it.
    pub(super) folder: &'a str,
    /// The region, at Amazon.
    pub(super) region: Option<&'a str>,
    /// The server, where it is not Amazon's.
    pub(super) endpoint: Option<&'a str>,
    /// The least time for which every file is to stay locked.
    pub(super) least: Duration,
}

impl Commands<'_> {
    /// The commands that make a bucket right which has these flaws.
    ///
    /// Object Lock can be had later at Amazon alone; elsewhere a bucket has it from the beginning
    /// or never, and another one is made beside it.
    pub(super) fn against(&self, flaws: &[BucketFlaw]) -> Vec<String> {
        let has = |flaw: &BucketFlaw| flaws.contains(flaw);
        let mut commands = Vec::new();
        let is_new =
            has(&BucketFlaw::Missing) || has(&BucketFlaw::NoObjectLock) && self.endpoint.is_some();
        let other = format!("{}-locked", self.bucket);
        let bucket = match has(&BucketFlaw::NoObjectLock) && is_new {
            true => other.as_str(),
            false => self.bucket,
        };
        let mut say = |what: &str| commands.push(self.command(bucket, what));
        if is_new {
            // The first one is meant where none is said.
            let region = self.region.filter(|region| *region != FIRST_REGION);
            let region = region.map_or_else(String::new, |region| {
                format!(" --create-bucket-configuration LocationConstraint={region}")
            });
            say(&format!(
                "create-bucket --object-lock-enabled-for-bucket{region}"
            ));
            say(&self.policy(bucket));
            return commands;
        }
        let is_unlocked = has(&BucketFlaw::NoObjectLock);
        if is_unlocked || has(&BucketFlaw::NoVersioning) {
            say("put-bucket-versioning --versioning-configuration Status=Enabled");
        }
        let locks_by_itself = flaws
            .iter()
            .any(|flaw| matches!(flaw, BucketFlaw::DefaultRetention { .. }));
        if is_unlocked || locks_by_itself {
            say("put-object-lock-configuration --object-lock-configuration \
                 ObjectLockEnabled=Enabled");
        }
        if flaws
            .iter()
            .any(|flaw| matches!(flaw, BucketFlaw::KeyOfAccount { .. }))
        {
            let rules =
                r#"{"Rules":[{"ApplyServerSideEncryptionByDefault":{"SSEAlgorithm":"AES256"}}]}"#;
            say(&format!(
                "put-bucket-encryption --server-side-encryption-configuration {}",
                quoted(rules)
            ));
        }
        // What could not be seen is not shown to be wrong; with these rights it can be seen.
        if !flaws.is_empty() {
            say(&self.policy(bucket));
        }
        commands
    }

    /// One command on a bucket; `what` is its name and all that is its own.
    fn command(&self, bucket: &str, what: &str) -> String {
        let (name, rest) = what.split_once(' ').unwrap_or((what, ""));
        let mut command = format!("aws s3api {name} --bucket {bucket}");
        if !rest.is_empty() {
            command.push(' ');
            command.push_str(rest);
        }
        if let Some(region) = self.region {
            command.push_str(&format!(" --region {region}"));
        }
        if let Some(endpoint) = self.endpoint {
            command.push_str(&format!(" --endpoint-url {endpoint}"));
        }
        command
    }

    /// The command that caps the days for which anybody may lock, and gives production its rights.
    fn policy(&self, bucket: &str) -> String {
        let cap = format!(
            r#"{{"Sid":"CapRetention","Effect":"Deny","Principal":"*","Action":["s3:PutObject","s3:PutObjectRetention"],"Resource":"arn:aws:s3:::{bucket}/*","Condition":{{"NumericGreaterThan":{{"s3:object-lock-remaining-retention-days":"{}"}}}}}}"#,
            self.most_days()
        );
        let place = format!("arn:aws:s3:::{bucket}");
        let files = format!("{place}/{}", self.folder);
        // Servers refuse a policy with a name that they do not know. A Ceph calls this one
        // `s3:GetBucketEncryption`, and an older one does not know it; with it come the rights to see
        // where the bucket is, and whom it notifies.
        let encryption = match self.endpoint {
            None => "s3:GetEncryptionConfiguration",
            Some(_) => "s3:GetBucket*tion",
        };
        let statements = [
            cap,
            allow("Files", &ON_FILES, &[format!("{files}*")]),
            allow(
                "ComesAndGoes",
                &["s3:DeleteObjectVersion"],
                &COMES_AND_GOES.map(|below| format!("{files}{below}")),
            ),
            allow(
                "Bucket",
                &[ON_BUCKET.as_slice(), &[encryption]].concat(),
                &[place],
            ),
        ];
        let policy = format!(
            r#"{{"Version":"2012-10-17","Statement":[{}]}}"#,
            statements.join(",")
        );
        let words: Vec<_> = policy.split(PRINCIPAL).map(quoted).collect();
        let policy = words.join(r#""${PRODUCTION:?}""#);
        format!("put-bucket-policy --policy {policy}")
    }

    /// The most days that anybody needs: twice the lock, and one for the rounding.
    fn most_days(&self) -> u64 {
        self.least
            .as_secs()
            .saturating_mul(2)
            .div_ceil(DAY_S)
            .saturating_add(1)
    }
}

/// A statement that lets production do this there.
fn allow(name: &str, actions: &[&str], resources: &[String]) -> String {
    let (actions, resources) = (actions.join(r#"",""#), resources.join(r#"",""#));
    format!(
        r#"{{"Sid":"{name}","Effect":"Allow","Principal":{{"AWS":"{PRINCIPAL}"}},"Action":["{actions}"],"Resource":["{resources}"]}}"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const AMAZON: Commands<'_> = Commands {
        bucket: "acme",
        folder: "repos/",
        region: Some("eu-central-1"),
        endpoint: None,
        least: Duration::from_secs(30 * DAY_S),
    };
    const OWN: Commands<'_> = Commands {
        region: None,
        endpoint: Some("https://s3.example"),
        ..AMAZON
    };

    /// The command that caps the days and lets production in.
    fn policy(bucket: &str, rest: &str) -> String {
        let encryption = match rest.contains("--endpoint-url") {
            false => "s3:GetEncryptionConfiguration",
            true => "s3:GetBucket*tion",
        };
        let production = r#""Effect":"Allow","Principal":{"AWS":"'"${PRODUCTION:?}"'"}"#;
        format!(
            "aws s3api put-bucket-policy --bucket {bucket} --policy \
             '{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Sid\":\"CapRetention\",\
             \"Effect\":\"Deny\",\"Principal\":\"*\",\
             \"Action\":[\"s3:PutObject\",\"s3:PutObjectRetention\"],\
             \"Resource\":\"arn:aws:s3:::{bucket}/*\",\
             \"Condition\":{{\"NumericGreaterThan\":\
             {{\"s3:object-lock-remaining-retention-days\":\"61\"}}}}}},\
             {{\"Sid\":\"Files\",{production},\
             \"Action\":[\"s3:GetObject\",\"s3:GetObjectVersion\",\"s3:GetObjectRetention\",\
             \"s3:PutObject\",\"s3:PutObjectRetention\",\"s3:DeleteObject\",\
             \"s3:AbortMultipartUpload\"],\"Resource\":[\"arn:aws:s3:::{bucket}/repos/*\"]}},\
             {{\"Sid\":\"ComesAndGoes\",{production},\
             \"Action\":[\"s3:DeleteObjectVersion\"],\
             \"Resource\":[\"arn:aws:s3:::{bucket}/repos/locks/*\",\
             \"arn:aws:s3:::{bucket}/repos/strongroom/drill/*\"]}},\
             {{\"Sid\":\"Bucket\",{production},\
             \"Action\":[\"s3:ListBucket\",\"s3:ListBucketVersions\",\
             \"s3:ListBucketMultipartUploads\",\"s3:GetBucketObjectLockConfiguration\",\
             \"s3:GetBucketVersioning\",\"s3:GetBucketAcl\",\"s3:GetLifecycleConfiguration\",\
             \"{encryption}\"],\"Resource\":[\"arn:aws:s3:::{bucket}\"]}}]}}'{rest}"
        )
    }

    #[test]
    fn a_bucket_that_is_right_needs_none() {
        assert_eq!(AMAZON.against(&[]), [""; 0]);
    }

    #[test]
    fn a_new_bucket_is_made_where_there_is_none() {
        assert_eq!(
            AMAZON.against(&[BucketFlaw::Missing]),
            [
                "aws s3api create-bucket --bucket acme --object-lock-enabled-for-bucket \
                 --create-bucket-configuration LocationConstraint=eu-central-1 \
                 --region eu-central-1"
                    .to_owned(),
                policy("acme", " --region eu-central-1"),
            ]
        );
        let first = Commands {
            region: Some(FIRST_REGION),
            ..AMAZON
        };
        assert_eq!(
            first.against(&[BucketFlaw::Missing])[0],
            "aws s3api create-bucket --bucket acme --object-lock-enabled-for-bucket \
             --region us-east-1"
        );
        assert_eq!(
            OWN.against(&[BucketFlaw::Missing]),
            [
                "aws s3api create-bucket --bucket acme --object-lock-enabled-for-bucket \
                 --endpoint-url https://s3.example"
                    .to_owned(),
                policy("acme", " --endpoint-url https://s3.example"),
            ]
        );
    }

    #[test]
    fn object_lock_is_added_at_amazon_and_elsewhere_another_bucket_is_made() {
        let flaws = [BucketFlaw::NoObjectLock, BucketFlaw::NoVersioning];
        let region = " --region eu-central-1";
        assert_eq!(
            AMAZON.against(&flaws),
            [
                format!(
                    "aws s3api put-bucket-versioning --bucket acme --versioning-configuration \
                     Status=Enabled{region}"
                ),
                format!(
                    "aws s3api put-object-lock-configuration --bucket acme \
                     --object-lock-configuration ObjectLockEnabled=Enabled{region}"
                ),
                policy("acme", region),
            ]
        );
        let elsewhere = OWN.against(&flaws);
        assert!(elsewhere[0].contains("create-bucket --bucket acme-locked "));
        assert!(elsewhere[1].contains("arn:aws:s3:::acme-locked/*"));
        assert_eq!(elsewhere.len(), 2);
    }

    #[test]
    fn each_other_flaw_is_mended_where_it_is() {
        let commands = |flaw: BucketFlaw| {
            let commands = AMAZON.against(&[flaw]);
            let names = commands.iter().map(|command| command.split(' ').nth(2));
            names
                .map(|name| name.unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        let what = "COMPLIANCE for 1 days".to_owned();
        for (flaw, name) in [
            (BucketFlaw::NoVersioning, "put-bucket-versioning"),
            (
                BucketFlaw::DefaultRetention { what },
                "put-object-lock-configuration",
            ),
            (
                BucketFlaw::KeyOfAccount { key: None },
                "put-bucket-encryption",
            ),
        ] {
            assert_eq!(commands(flaw), [name, "put-bucket-policy"]);
        }
        let unseen = BucketFlaw::NotShown {
            what: "versioning",
            right: "s3:GetBucketVersioning",
        };
        assert_eq!(commands(unseen), ["put-bucket-policy"]);
    }

    #[test]
    fn days_are_capped_at_twice_the_lock() {
        let days = |seconds| {
            let least = Duration::from_secs(seconds);
            Commands { least, ..AMAZON }.most_days()
        };
        assert_eq!(days(DAY_S), 3);
        assert_eq!(days(30 * DAY_S), 61);
        assert_eq!(days(36 * 3600), 4);
    }
}
