//! What ends the bytes of a bucket without touching them: the key that encrypts them, and an archive.
//! It is looked at only.
//!
//! A lock keeps bytes, and neither the key that opens them nor the time that it takes to have them.
//! Who rules a key of KMS destroys with it all that it encrypts, in whatever account that is; so
//! nothing is tried on it, and whoever reads the answer is told where to look. What lies in an archive
//! is there, and nobody can restore from it for hours.
//!
//! And who rules a server of one's own removes what is locked there: so it is asked whether this very
//! credential is let in where a Ceph is ruled, by requests that change nothing.

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::{ExpirationStatus, LifecycleRule, TransitionStorageClass};
use strongroom_model::attack::{Attempt, Left, Mark, RULE_ARCHIVES, RULE_TAKEN, Said, Tried};

use crate::attacks::{Remnants, in_one_line};
use crate::s3::attacks::canary::{Canaries, Found};
use crate::s3::check::BucketFlaw;
use crate::s3::fault::{Failure, fault, status};
use crate::s3::store::S3Store;
use crate::{Error, Result};

/// How S3 says that a bucket has no lifecycle.
const NO_LIFECYCLE: &str = "NoSuchLifecycleConfiguration";

/// Where those who rule a Ceph have what it knows, as if it were in a bucket of this name.
const RULED_IN: &str = "admin";

/// The lists of all buckets and of all users, and one user by his name. For each there is a right
/// (`caps`) of its own, and whoever may write by any of them gives himself the others.
const RULED_AT: [&str; 3] = ["bucket", "metadata/user", USER];

/// Where it has a user by his name.
const USER: &str = "user";

/// The code of 400 by which it asks whoever may know him which user is meant; others are refused.
const NOBODY_NAMED: &str = "InvalidArgument";

/// The most rules of a lifecycle that are told.
const MOST_RULES: usize = 10;

/// What the lifecycle of a bucket does.
#[derive(Default)]
pub(super) struct Lifecycle {
    /// Whether it moves anything into an archive.
    pub(super) archives: bool,
    /// What whoever reads the answer should know of it.
    pub(super) notes: Vec<String>,
}

impl S3Store {
    /// Looks by which key the bucket encrypts what is put there, and says what to look at where it is
    /// one of an account.
    pub(super) fn key(&self) -> Result<(Tried, Option<String>)> {
        let attempt = Attempt::DestroyKey;
        let flaws = match self.check_encryption() {
            Ok(flaws) => flaws,
            Err(error @ Error::Cancelled { .. }) => return Err(error),
            Err(error) => return Ok((Tried::not(attempt, in_one_line(&error.to_string())), None)),
        };
        let key = match flaws.into_iter().next() {
            None => {
                let reason = "no key of an account encrypts what is put there";
                return Ok((Tried::not(attempt, reason), None));
            }
            Some(BucketFlaw::KeyOfAccount { key }) => key,
            Some(flaw) => return Ok((Tried::not(attempt, flaw.to_string()), None)),
        };
        let key = key.map_or_else(
            || "the key that the provider keeps for the account".to_owned(),
            |key| in_one_line(&key),
        );
        let left = Left::Weaker("whoever rules that key ends all that it encrypts".to_owned());
        let said = Said::NotTried("it is a real key".to_owned());
        let note = format!(
            "the bucket encrypts by {key} (KMS): whoever rules that key makes all of it unreadable, \
             locked or not. Look who may end it (kms:ScheduleKeyDeletion, kms:DisableKey, \
             kms:PutKeyPolicy), or let the bucket encrypt by a key of its own (SSE-S3): what is \
             backed up is encrypted before it leaves"
        );
        Ok((Tried::new(attempt, said, left), Some(note)))
    }

    /// Whether this credential is let in where its server is ruled. Whoever is in there makes keys, and
    /// removes a bucket with all that is locked in it.
    pub(super) fn rule(&self, remnants: &Remnants) -> Result<Tried> {
        let attempt = Attempt::MakeToken;
        let elsewhere = Tried::not(
            attempt,
            "keys are made by the provider and not by a bucket: look who may (iam:CreateAccessKey)",
        );
        let bucket = self.bucket();
        if bucket.endpoint.is_none() {
            return Ok(elsewhere);
        }
        let ruled = Canaries::new(bucket, RULED_IN, String::new(), None, remnants);
        for key in RULED_AT {
            let answer = ruled.get(key, None);
            let is_asked = key == USER && answer.as_ref().is_err_and(|error| asks_for_user(error));
            let is_in = match ruled.found(answer)? {
                // Somebody's file under that name is no such list.
                Found::Bytes { bytes, .. } => bytes.trim_ascii_start().starts_with(b"["),
                Found::Nothing | Found::Unknown(_) => is_asked,
            };
            if !is_in {
                continue;
            }
            let said = Said::NotTried(format!(
                "the server lets this credential in where it is ruled (/{RULED_IN}/{key}), and \
                 whoever may write there removes what is locked: take its caps away \
                 (radosgw-admin caps rm)"
            ));
            let left = "this credential is let in where the server is ruled".to_owned();
            return Ok(Tried::new(attempt, said, Left::Weaker(left)));
        }
        Ok(elsewhere)
    }

    /// What the lifecycle of the bucket does to what lies there.
    pub(super) fn lifecycle(&self) -> Result<Lifecycle> {
        let bucket = self.bucket();
        let request = bucket.client.get_bucket_lifecycle_configuration();
        let told = match bucket.answer(request.bucket(&bucket.name).send()) {
            Ok(told) => told,
            Err(error) if error.code() == Some(NO_LIFECYCLE) => return Ok(Lifecycle::default()),
            // A server that knows none has none.
            Err(error) if matches!(status(&error), Some(405 | 501)) => {
                return Ok(Lifecycle::default());
            }
            Err(error) => {
                return match fault(bucket.location.clone(), "tell its lifecycle", &error) {
                    error @ Error::Cancelled { .. } => Err(error),
                    error => Ok(Lifecycle {
                        archives: false,
                        notes: vec![in_one_line(&format!(
                            "whether a lifecycle moves what lies there into an archive is not \
                             known: {error}"
                        ))],
                    }),
                };
            }
        };
        let is_enabled = |rule: &&LifecycleRule| *rule.status() == ExpirationStatus::Enabled;
        let enabled = || told.rules().iter().filter(is_enabled);
        Ok(Lifecycle {
            archives: enabled().any(|rule| archive_of(rule).is_some()),
            notes: enabled().flat_map(done_by).take(MOST_RULES).collect(),
        })
    }
}

/// Whether a Ceph asks which user is meant. Others say the same to a bucket or file of that name.
fn asks_for_user<E>(error: &Failure<E>) -> bool {
    let Some(answer) = error.raw_response() else {
        return false;
    };
    // What it says where it is ruled is JSON, of which Amazon's library reads no code.
    let said = String::from_utf8_lossy(answer.body().bytes().unwrap_or_default());
    answer.status().as_u16() == 400 && is_of_ceph(answer) && said.contains(NOBODY_NAMED)
}

/// Whether an answer shows that a Ceph gave it: newer ones say so, and all number their requests
/// `tx0000…-…`.
fn is_of_ceph(answer: &HttpResponse) -> bool {
    let header = |name: &str| answer.headers().get(name).unwrap_or_default();
    let digits = match header("x-amz-request-id").split_once('-') {
        Some((number, _)) => number.strip_prefix("tx").unwrap_or_default(),
        None => "",
    };
    let is_numbered = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    header("server").starts_with("Ceph") || (!digits.is_empty() && is_numbered)
}

/// What is asked of another place than the bucket, and so is not tried here, with what to look at.
pub(super) fn elsewhere() -> [Tried; 2] {
    [
        Tried::not(
            Attempt::RaiseRights,
            "not even a probe is opened to others: look who may (s3:PutBucketPolicy, \
             iam:PutUserPolicy)",
        ),
        Tried::not(Attempt::MoveClock, "a bucket takes its provider's time"),
    ]
}

/// Says of the attempt on the lifecycle that a rule moves what lies there into an archive, where one
/// does and nothing worse was seen.
pub(super) fn note_archive(tried: &mut [Tried], archives: bool) {
    let mut of_lifecycle = tried
        .iter_mut()
        .filter(|one| one.attempt == Attempt::ChangeLifecycle && one.mark() == Mark::NotTried);
    if let Some(one) = of_lifecycle.next().filter(|_| archives) {
        one.said = Said::NotTried(RULE_ARCHIVES.to_owned());
    }
}

/// What it means that a probe has taken a rule, and whoever has this credential can set one.
pub(super) fn may_archive(tried: &[Tried]) -> Option<String> {
    let is_taken = |one: &Tried| {
        one.attempt == Attempt::ChangeLifecycle && one.said == Said::NotTried(RULE_TAKEN.to_owned())
    };
    tried.iter().any(is_taken).then(|| {
        "this credential may set a lifecycle: where the provider has an archive, locked versions can \
         be moved there. Nothing is lost by it, but each file has to be brought back before anything \
         is restored, which takes hours, up to two days. Only s3:PutLifecycleConfiguration in other \
         hands ends that"
            .to_owned()
    })
}

/// What a rule does that whoever reads the answer should know.
fn done_by(rule: &LifecycleRule) -> Vec<String> {
    let id = in_one_line(rule.id().unwrap_or("without a name"));
    let mut done = Vec::new();
    if rule.expiration().is_some() || rule.noncurrent_version_expiration().is_some() {
        done.push(format!(
            "the lifecycle rule {id:?} of the bucket removes what no lock holds any more"
        ));
    }
    if let Some(class) = archive_of(rule) {
        done.push(format!(
            "the lifecycle rule {id:?} of the bucket moves what lies there into an archive \
             ({class}): it has to be brought back before anything is restored, which takes hours, \
             and no backup takes it for stored meanwhile",
            class = class.as_str()
        ));
    }
    done
}

/// The class of an archive into which a rule moves anything.
fn archive_of(rule: &LifecycleRule) -> Option<&TransitionStorageClass> {
    let current = rule.transitions().iter();
    let current = current.filter_map(|transition| transition.storage_class());
    let older = rule.noncurrent_version_transitions().iter();
    let older = older.filter_map(|transition| transition.storage_class());
    current.chain(older).find(|class| is_archive(class))
}

/// Whether what has this class cannot be read at once.
fn is_archive(class: &TransitionStorageClass) -> bool {
    matches!(
        class,
        TransitionStorageClass::Glacier | TransitionStorageClass::DeepArchive
    )
}
