//! Canaries: put, attacked, looked at.

use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::operation::get_object::{GetObjectError, GetObjectOutput};
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::ObjectLockMode;
use strongroom_model::attack::{Attempt, Left, Remnant, RemnantKind, Said, Tried};
use tokio::time::timeout;

use crate::attacks::{CANARY_BYTES, MOST_CANARIES, Remnants, in_one_line, random_name};
use crate::s3::attacks::answer::{NOT_VALID, said_by, told};
use crate::s3::client::Bucket;
use crate::s3::fault::{Failure, fault, status};
use crate::s3::lock::{away, in_words, shown};
use crate::s3::store::NO_VERSION;
use crate::s3::sum::Sum;
use crate::{Error, Result, ShownLock};

/// A file that is there to be attacked.
#[derive(Clone, Debug)]
pub(super) struct Canary {
    pub(super) key: String,
    /// `None` where the bucket keeps none.
    pub(super) version: Option<String>,
    /// What was seen of its lock when it was put.
    pub(super) lock: ShownLock,
    /// Why its bytes cannot be had for as long as they are there, where that is so.
    away: Option<String>,
    pub(super) bytes: Vec<u8>,
}

/// What lies under a key.
pub(super) enum Found {
    /// These bytes, as far as a canary has any, in this version.
    Bytes {
        bytes: Vec<u8>,
        version: Option<String>,
    },
    /// Nothing that is shown.
    Nothing,
    /// That was not told, and why.
    Unknown(String),
}

/// The answer to a GET.
pub(super) type Gotten = Result<GetObjectOutput, Box<Failure<GetObjectError>>>;

/// The canaries of one bucket.
pub(super) struct Canaries<'b> {
    pub(super) bucket: &'b Arc<Bucket>,
    /// The bucket that they lie in: that of the copy, or a probe.
    pub(super) name: String,
    folder: String,
    /// Until when they are locked; `None` where backups lock nothing.
    until: Option<SystemTime>,
    /// The one that is attacked next, as long as it stands.
    current: Option<Canary>,
    /// Those that stood when they were looked at last, by key.
    standing: Vec<Canary>,
    /// The keys of all that were put.
    keys: BTreeSet<String>,
    /// All that was made, until it is gone.
    remnants: &'b Remnants,
}

impl<'b> Canaries<'b> {
    pub(super) fn new(
        bucket: &'b Arc<Bucket>,
        name: &str,
        folder: String,
        until: Option<SystemTime>,
        remnants: &'b Remnants,
    ) -> Self {
        Self {
            bucket,
            name: name.to_owned(),
            folder,
            until,
            current: None,
            standing: Vec::new(),
            keys: BTreeSet::new(),
            remnants,
        }
    }

    /// Notes that a version, or a marker, was made under a key, so that it is taken away again.
    pub(super) fn note(&self, key: &str, version: Option<&str>) {
        let version = version.filter(|version| *version != NO_VERSION);
        self.remnants.note(remnant_of(&self.name, key, version));
    }

    /// Notes that something is about to be put under a key.
    pub(super) fn announce(&self, key: &str) {
        self.remnants.make(remnant_of(&self.name, key, None));
    }

    /// Puts a canary that nothing locks, and deletes it by its version.
    pub(super) fn control(&mut self) -> Result<Tried> {
        let attempt = Attempt::DeleteUnlocked;
        let canary = match self.put(None)? {
            Ok(canary) => canary,
            Err(Said::Refused(reason)) => {
                return Err(Error::Denied {
                    location: self.bucket.location.clone(),
                    action: "take a canary".to_owned(),
                    reason,
                });
            }
            Err(said) => return Ok(Tried::new(attempt, said, Left::Nothing)),
        };
        let bypassing = match canary.lock {
            ShownLock::NotShown => false,
            // The bucket locks by itself, and whoever may bypass that may delete.
            ShownLock::Governance { .. } => true,
            ShownLock::Compliance { .. } => {
                let reason = "the bucket locks by itself whatever is put there";
                return Ok(Tried::not(attempt, reason));
            }
        };
        let said = self.delete(&canary, bypassing)?;
        let left = self.left(&canary)?;
        self.standing.retain(|other| other.key != canary.key);
        Ok(told(attempt, said, left))
    }

    /// Puts the first canary as a backup puts a file; where that is not taken, without a lock, so
    /// that there is something to attack.
    pub(super) fn put_first(&mut self) -> Result<Tried> {
        let attempt = Attempt::Put;
        let canary = match self.put(self.until)? {
            Ok(canary) => canary,
            // Each of these is how some server says that the bucket has no Object Lock.
            Err(said @ (Said::Refused(_) | Said::Unclear(_) | Said::NotTried(_)))
                if self.until.is_some() =>
            {
                self.until = None;
                self.current = self.put(None)?.ok();
                let left = Left::Weaker("nothing is taken under a lock".to_owned());
                return Ok(told(attempt, said, left));
            }
            Err(said) => return Ok(Tried::new(attempt, said, Left::Nothing)),
        };
        let left = match (&canary.away, canary.lock, self.until) {
            (Some(away), ..) => Left::Weaker(away.clone()),
            (None, lock @ ShownLock::Compliance { .. }, Some(until)) if lock.holds(until) => {
                self.left(&canary)?
            }
            // A default of the bucket's, which backups did not ask for.
            (None, ShownLock::Compliance { .. }, None) => self.left(&canary)?,
            (None, lock, _) => Left::Weaker(in_words(lock)),
        };
        self.current = Some(canary);
        Ok(Tried::new(attempt, Said::Done, left))
    }

    /// Tries one thing on a canary that stands, and looks at what is left.
    pub(super) fn attempt(&mut self, attempt: Attempt) -> Result<Tried> {
        let canary = match self.current.take() {
            Some(canary) => canary,
            None => match self.put(self.until)? {
                Ok(canary) => canary,
                Err(
                    Said::Refused(reason)
                    | Said::Unclear(reason)
                    | Said::Failed(reason)
                    | Said::NotTried(reason),
                ) => {
                    let reason = format!("no further canary could be put: {reason}");
                    return Ok(Tried::not(attempt, reason));
                }
                Err(Said::Done) => return Ok(Tried::not(attempt, "no canary could be put")),
            },
        };
        if let Some(reason) = pointless(attempt, &canary) {
            self.current = Some(canary);
            return Ok(Tried::not(attempt, reason));
        }
        let said = self.ask(attempt, &canary)?;
        let mut left = self.left(&canary)?;
        let said = match left {
            Left::Whole => self.borne_out(attempt, said, &canary)?,
            _ => said,
        };
        if matches!(left, Left::Weaker(_)) {
            // A lock that gave way is as good as none where one request more ends it.
            self.delete(&canary, true)?;
            if self.left(&canary)? == Left::Lost {
                left = Left::Lost;
            }
        }
        if left == Left::Whole {
            self.current = Some(canary);
        } else {
            self.standing.retain(|other| other.key != canary.key);
        }
        Ok(told(attempt, said, left))
    }

    /// Reads all canaries again that stood; tells what is left of the first that does not any more.
    pub(super) fn left_at_the_end(&self) -> Result<Option<Left>> {
        for canary in &self.standing {
            let left = self.left(canary)?;
            if left != Left::Whole {
                return Ok(Some(left));
            }
        }
        Ok(None)
    }

    /// Puts a canary, locked until then, and sees its lock; or what was said instead.
    pub(super) fn put(&mut self, until: Option<SystemTime>) -> Result<Result<Canary, Said>> {
        if self.keys.len() >= MOST_CANARIES {
            let reason = "as many canaries were put as a drill may put".to_owned();
            return Ok(Err(Said::NotTried(reason)));
        }
        let name = random_name().ok_or_else(|| Error::Io {
            location: self.bucket.location.clone(),
            action: "name a canary".to_owned(),
            source: io::Error::other("the system gives no random bytes"),
        })?;
        let key = format!("{}{name}", self.folder);
        let mut bytes = format!("strongroom drill: a canary, {name}\n").into_bytes();
        bytes.truncate(CANARY_BYTES);
        let request = self.bucket.client.put_object();
        let request = request
            .bucket(&self.name)
            .key(&key)
            .content_md5(Sum::of(&bytes).header())
            .set_object_lock_mode(until.map(|_| ObjectLockMode::Compliance))
            .set_object_lock_retain_until_date(until.map(DateTime::from))
            .body(ByteStream::from(bytes.clone()));
        self.keys.insert(key.clone());
        self.announce(&key);
        let stored = match self.bucket.answer(request.send()) {
            Ok(stored) => stored,
            Err(error) => {
                let said = match until {
                    Some(_) => self.said_of_lock::<(), _>(Err(error))?,
                    None => self.said_of(&error)?,
                };
                if !matches!(said, Said::Failed(_)) {
                    self.remnants.strike(&remnant_of(&self.name, &key, None));
                }
                return Ok(Err(said));
            }
        };
        let version = stored.version_id.filter(|version| version != NO_VERSION);
        if version.is_some() {
            self.note(&key, version.as_deref());
            self.remnants.strike(&remnant_of(&self.name, &key, None));
        }
        let mut canary = Canary {
            key,
            version,
            lock: ShownLock::NotShown,
            away: None,
            bytes,
        };
        match self.look_at(&canary)? {
            Ok(told) => (canary.lock, canary.away) = (shown(&told), away(&told)),
            Err(said) => return Ok(Err(said)),
        }
        self.standing.push(canary.clone());
        Ok(Ok(canary))
    }

    /// What is left of a canary: its bytes by version, and its lock.
    pub(super) fn left(&self, canary: &Canary) -> Result<Left> {
        match self.fetch(&canary.key, canary.version.as_deref())? {
            Found::Bytes { bytes, .. } if bytes == canary.bytes => {}
            Found::Bytes { .. } | Found::Nothing => return Ok(Left::Lost),
            Found::Unknown(reason) => return Ok(Left::Unknown(reason)),
        }
        if canary.lock == ShownLock::NotShown {
            return Ok(Left::Whole);
        }
        Ok(match self.look_at(canary)? {
            Ok(told) if is_as_strong(canary.lock, shown(&told)) => Left::Whole,
            Ok(told) => Left::Weaker(in_words(shown(&told))),
            Err(said) => Left::Unknown(reason_of(said)),
        })
    }

    /// Reads what lies under a key, or in a version of it, as far as a canary has bytes.
    pub(super) fn fetch(&self, key: &str, version: Option<&str>) -> Result<Found> {
        self.found(self.get(key, version))
    }

    /// Asks for what lies under a key, or in a version of it.
    pub(super) fn get(&self, key: &str, version: Option<&str>) -> Gotten {
        let request = self.bucket.client.get_object();
        let request = request
            .bucket(&self.name)
            .key(key)
            .set_version_id(version.map(str::to_owned));
        self.bucket.answer(request.send())
    }

    /// What such an answer says, and its bytes, as far as a canary has any.
    pub(super) fn found(&self, answer: Gotten) -> Result<Found> {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) if status(&error) == Some(404) => return Ok(Found::Nothing),
            Err(error) => return Ok(Found::Unknown(reason_of(self.said_of(&error)?))),
        };
        let (version, body) = (answer.version_id, answer.body);
        let version = version.filter(|version| version != NO_VERSION);
        let patience = self.bucket.timeouts.answer;
        let reading = async { timeout(patience, read(body)).await };
        match self.bucket.wait_unless_interrupted(reading) {
            None => Err(Error::Cancelled {
                location: self.bucket.location.clone(),
            }),
            Some(Ok(Some(bytes))) => Ok(Found::Bytes { bytes, version }),
            Some(Ok(None) | Err(_)) => Ok(Found::Unknown("its bytes break off".to_owned())),
        }
    }

    /// What is told of a canary, its lock among it, or what was said instead.
    fn look_at(&self, canary: &Canary) -> Result<Result<HeadObjectOutput, Said>> {
        let request = self.bucket.client.head_object();
        let request = request
            .bucket(&self.name)
            .key(&canary.key)
            .set_version_id(canary.version.clone());
        match self.bucket.answer(request.send()) {
            Ok(answer) => Ok(Ok(answer)),
            Err(error) => Ok(Err(self.said_of(&error)?)),
        }
    }

    /// What an answer says.
    pub(super) fn said<T, E>(&self, answer: Result<T, Box<Failure<E>>>) -> Result<Said>
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        match answer {
            Ok(_) => Ok(Said::Done),
            Err(error) => self.said_of(&error),
        }
    }

    /// What an answer says to a request about a lock, which some servers refuse as not valid.
    pub(super) fn said_of_lock<T, E>(&self, answer: Result<T, Box<Failure<E>>>) -> Result<Said>
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let is_invalid = match &answer {
            Ok(_) => false,
            Err(error) => error.code() == Some(NOT_VALID),
        };
        Ok(match self.said(answer)? {
            Said::Unclear(reason) if is_invalid => Said::Refused(reason),
            said => said,
        })
    }

    /// What a failed request says.
    fn said_of<E>(&self, error: &Failure<E>) -> Result<Said>
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let Some(status) = status(error) else {
            return match fault(self.bucket.location.clone(), "answer", error) {
                error @ Error::Cancelled { .. } => Err(error),
                error => Ok(Said::Failed(in_one_line(&error.to_string()))),
            };
        };
        Ok(said_by(status, error.code().unwrap_or_default()))
    }
}

/// A version, or whatever lies under a key, as it is noted.
pub(super) fn remnant_of(bucket: &str, key: &str, version: Option<&str>) -> Remnant {
    let remnant = Remnant::new(RemnantKind::Canary, format!("{bucket}/{key}"));
    remnant.in_version(version.map(str::to_owned))
}

/// Why an attempt makes no sense on a canary.
fn pointless(attempt: Attempt, canary: &Canary) -> Option<&'static str> {
    let has_no_lock = canary.lock == ShownLock::NotShown;
    let has_no_version = canary.version.is_none();
    match attempt {
        Attempt::Shorten
        | Attempt::ShortenBypassing
        | Attempt::ChangeMode
        | Attempt::ChangeModeBypassing
        | Attempt::RemoveLock
        | Attempt::RemoveLegalHold
            if has_no_lock =>
        {
            Some("the canary has no lock")
        }
        Attempt::DeleteVersion
        | Attempt::DeleteVersionBypassing
        | Attempt::MultiDeleteBypassing
            if has_no_version =>
        {
            Some("the bucket keeps no versions")
        }
        _ => None,
    }
}

/// Whether a lock is no weaker than it was.
fn is_as_strong(before: ShownLock, now: ShownLock) -> bool {
    match (before, now) {
        (ShownLock::NotShown, _) => true,
        (ShownLock::Compliance { until }, now) => now.holds(until),
        (
            ShownLock::Governance { until: before },
            ShownLock::Governance { until } | ShownLock::Compliance { until },
        ) => until >= before,
        (ShownLock::Governance { .. }, ShownLock::NotShown) => false,
    }
}

/// Why nothing was told.
pub(super) fn reason_of(said: Said) -> String {
    match said {
        Said::Refused(reason)
        | Said::Unclear(reason)
        | Said::Failed(reason)
        | Said::NotTried(reason) => reason,
        Said::Done => "its answer makes no sense".to_owned(),
    }
}

/// All bytes of a body, but no more than a canary has and one; `None` where it breaks off.
async fn read(mut body: ByteStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while bytes.len() <= CANARY_BYTES {
        match body.try_next().await {
            Ok(Some(chunk)) => {
                let room = (CANARY_BYTES + 1).saturating_sub(bytes.len());
                bytes.extend(chunk.iter().take(room));
            }
            Ok(None) => return Some(bytes),
            Err(_) => return None,
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_lock_is_weaker_where_its_date_is_earlier_or_its_mode_can_be_bypassed() {
        let compliance = |until| ShownLock::Compliance { until: at(until) };
        let governance = |until| ShownLock::Governance { until: at(until) };
        for (before, now, expected) in [
            (compliance(5), compliance(5), true),
            (compliance(5), compliance(6), true),
            (compliance(5), compliance(4), false),
            (compliance(5), governance(9), false),
            (compliance(5), ShownLock::NotShown, false),
            (governance(5), governance(5), true),
            (governance(5), compliance(5), true),
            (governance(5), governance(4), false),
            (governance(5), ShownLock::NotShown, false),
            (ShownLock::NotShown, ShownLock::NotShown, true),
        ] {
            assert_eq!(is_as_strong(before, now), expected, "{before:?} {now:?}");
        }
    }
}
