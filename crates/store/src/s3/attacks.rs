//! Attacks on a bucket: whether its locks hold against the very account that writes there.
//!
//! ```text
//! sweep ──▶ a canary without a lock, deleted by version ──▶ a canary as backups put files
//!       ──▶ each attempt, and each time a look at what is left; a canary that fell is replaced
//!       ──▶ a probe bucket beside it, for what acts on a whole bucket ──▶ sweep
//! ```
//!
//! Canaries lie below `strongroom/drill/` of the prefix, under random names; no listing of ours
//! shows them. What is locked of them stays for an hour, and goes with the next drill.
//!
//! What can go wrong: a server that says one thing and does another (so: after each attempt the
//! bytes are read by version, and the lock is looked at), or that takes a verb for another one (so:
//! a yes counts where what was asked for is to be seen); a multi-delete, which answers 200 and
//! tells refusals in its body; a drill so slow that its canaries' locks end meanwhile, so that
//! deleting them would be no attack (so: the server's time is looked at once more at the end); and
//! a bucket whose canary is locked and whose files are not (so: some of them are looked at too).

mod answer;
mod around;
mod canary;
mod probe;
mod requests;
mod seen;
mod sweep;

use std::time::{Duration, SystemTime};

use strongroom_model::FileName;
use strongroom_model::attack::{Attempt, Left, PlaceKind, Said, Tried};

use crate::attacks::{Attacked, Attacks, CANARY_LOCK, Remnants};
use crate::s3::attacks::canary::Canaries;
use crate::s3::lock::{away, in_seconds, in_words, shown};
use crate::s3::store::S3Store;
use crate::{Error, Result, ShownLock};

/// How much of its canaries' lock must be left when a drill ends.
const MARGIN: Duration = Duration::from_secs(60);

/// What is tried on canaries in the bucket itself, in this order.
const ON_CANARIES: [Attempt; 15] = [
    Attempt::Delete,
    Attempt::DeleteVersion,
    Attempt::DeleteVersionBypassing,
    Attempt::MultiDelete,
    Attempt::MultiDeleteBypassing,
    Attempt::Overwrite,
    Attempt::Truncate,
    Attempt::CopyOverSelf,
    Attempt::Rename,
    Attempt::Shorten,
    Attempt::ShortenBypassing,
    Attempt::ChangeMode,
    Attempt::ChangeModeBypassing,
    Attempt::RemoveLock,
    Attempt::RemoveLegalHold,
];

impl Attacks for S3Store {
    fn attack(&self, files: &[FileName], remnants: &Remnants) -> Result<Attacked> {
        let bucket = self.bucket();
        let mut attacked = Attacked::new(PlaceKind::Bucket);
        let folder = format!("{}{FOLDER}", bucket.folder());
        let (owner, others) = self.owner_and_probes()?;
        attacked.principal = owner;
        self.sweep_probes(&others, remnants)?;
        self.sweep(&bucket.name, &folder, remnants)?;

        attacked.until = self.lock().map(|lock| self.next_date(lock)).transpose()?;
        let end = self.canary_end()?;
        let until = self.lock().map(|_| end);
        let mut canaries = Canaries::new(bucket, &bucket.name, folder.clone(), until, remnants);
        let tried = &mut attacked.tried;
        tried.push(canaries.control()?);
        tried.push(canaries.put_first()?);
        tried.push(self.look_at(files)?);
        for attempt in ON_CANARIES {
            tried.push(canaries.attempt(attempt)?);
        }
        // Once more, when all is done.
        if let Some(left) = canaries.left_at_the_end()? {
            note_end(tried, left);
        }
        tried.extend(self.attack_probe(end, remnants)?);
        let (key, note) = self.key()?;
        tried.push(key);
        tried.push(self.rule(remnants)?);
        tried.extend(around::elsewhere());
        attacked.notes.extend(note);
        let is_in_time = end
            .checked_sub(MARGIN)
            .is_some_and(|end| self.server_time().is_ok_and(|now| now < end));
        if !is_in_time {
            let reason = "the drill took so long that the locks of its canaries may have ended";
            note_end(tried, Left::Unknown(reason.to_owned()));
        }
        let lifecycle = self.lifecycle()?;
        around::note_archive(&mut attacked.tried, lifecycle.archives);
        attacked.notes.extend(lifecycle.notes);
        attacked.notes.extend(around::may_archive(&attacked.tried));
        self.sweep(&bucket.name, &folder, remnants)?;
        Ok(attacked)
    }
}

/// Where canaries lie, behind the prefix.
const FOLDER: &str = "strongroom/drill/";

impl S3Store {
    /// Until when the canaries of a drill that begins now are locked.
    fn canary_end(&self) -> Result<SystemTime> {
        let now = self.server_time()?;
        let end = now.checked_add(CANARY_LOCK);
        Ok(in_seconds(end.unwrap_or(now)))
    }

    /// Looks at the locks of some real files: a canary that is locked says nothing of what was put
    /// before there was a lock.
    fn look_at(&self, files: &[FileName]) -> Result<Tried> {
        let attempt = Attempt::LookAtFiles;
        if self.lock().is_none() {
            return Ok(Tried::not(
                attempt,
                "the copy has no lock in its configuration",
            ));
        }
        let now = self.server_time()?;
        for name in files {
            let left = match self.object(*name).look() {
                // It went in between, or is behind a marker; a listing tells of that.
                Ok(None) => continue,
                Ok(Some(told)) => match (shown(&told), away(&told)) {
                    (_, Some(away)) => Left::Weaker(format!("{name}: {away}")),
                    (ShownLock::Compliance { until }, None) if until > now => continue,
                    (lock, None) => Left::Weaker(format!("{name}: {}", in_words(lock))),
                },
                Err(error @ Error::Cancelled { .. }) => return Err(error),
                Err(error) => Left::Unknown(error.to_string()),
            };
            return Ok(Tried::new(attempt, Said::Done, left));
        }
        Ok(Tried::new(attempt, Said::Done, Left::Whole))
    }
}

/// Takes what was seen at the very end for what is left, where it is worse than at the time.
fn note_end(tried: &mut [Tried], left: Left) {
    if let Some(put) = tried.iter_mut().find(|one| one.attempt == Attempt::Put)
        && put.left == Left::Whole
    {
        put.left = left;
    }
}
