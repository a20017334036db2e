//! restic's lock files: "I am at work here", written beside the data.
//!
//! They keep a stock `restic prune` from deleting under a running backup, and a backup from
//! starting under a running prune. Nothing else may rest on them: anybody who can write can write
//! or remove a lock.
//!
//! The race: a backup lists locks, writes its own, lists again. A prune does the same with an
//! exclusive lock. Whoever writes first is seen by the other's second look, so that at least one
//! of the two gives up. This needs a store that lists what was just written, which all of ours do.
//! Whoever renews a lock writes the new one and then removes the old: one that is listed and gone when it
//! is read has to be looked for under another name.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use strongroom_model::Id;

use crate::{Key, Result, json, unpacked};

/// A lock that was not renewed for so long belongs to a dead process; as restic has it.
pub const STALE_AFTER: SignedDuration = SignedDuration::from_mins(30);

/// How far a lock may be ahead: no machine's clock is a day off that backs up. Beyond it somebody wrote
/// a lock that was never to grow old.
pub const AHEAD_LIMIT: SignedDuration = SignedDuration::from_hours(24);

/// How often a running process renews its lock; as restic has it.
pub const RENEW_EVERY: SignedDuration = SignedDuration::from_mins(5);

/// A lock as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// When it was written or renewed, by its owner's clock.
    pub time: Timestamp,
    /// Whether nobody else may be at work.
    pub exclusive: bool,
    /// The owner's host.
    pub hostname: String,
    /// The owner's user.
    pub username: String,
    /// The owner's process.
    pub pid: u32,
    /// The user's number.
    #[serde(default, skip_serializing_if = "json::is_zero")]
    pub uid: u32,
    /// The group's number.
    #[serde(default, skip_serializing_if = "json::is_zero")]
    pub gid: u32,
}

impl Lock {
    /// Encrypts it; returns its name and bytes.
    ///
    /// # Errors
    /// [`Error::NoRandomness`](crate::Error::NoRandomness).
    pub fn seal(&self, key: &Key, repo_version: u32) -> Result<(Id, Vec<u8>)> {
        let json = json::encode(self)?;
        unpacked::seal(key, repo_version, &json)
    }

    /// Decrypts and reads a lock.
    ///
    /// # Errors
    /// A text that says what is wrong with it.
    pub fn open(key: &Key, bytes: Vec<u8>) -> std::result::Result<Self, String> {
        Self::parse(&unpacked::open(key, bytes)?)
    }

    /// Reads the JSON of a lock.
    ///
    /// # Errors
    /// A text that says what is wrong with it.
    pub fn parse(json: &[u8]) -> std::result::Result<Self, String> {
        serde_json::from_slice(json).map_err(|error| error.to_string())
    }

    /// Whether its owner did not renew it in time, or it says a time that no clock told yet.
    pub fn is_stale(&self, now: Timestamp) -> bool {
        let age = now.duration_since(self.time);
        age > STALE_AFTER || age < -AHEAD_LIMIT
    }
}

impl std::fmt::Display for Lock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = if self.exclusive {
            "an exclusive lock"
        } else {
            "a lock"
        };
        write!(
            f,
            "{kind} of process {} on {} by {}, written {}",
            self.pid, self.hostname, self.username, self.time
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock() -> Lock {
        Lock {
            time: Timestamp::UNIX_EPOCH,
            exclusive: true,
            hostname: "h".to_owned(),
            username: "u".to_owned(),
            pid: 7,
            uid: 0,
            gid: 0,
        }
    }

    #[test]
    fn a_lock_comes_back() {
        let key = Key::generate().unwrap();
        let (_, bytes) = lock().seal(&key, 2).unwrap();
        assert_eq!(Lock::open(&key, bytes).unwrap(), lock());
        assert!(Lock::open(&key, b"12345".to_vec()).is_err());
    }

    #[test]
    fn a_lock_is_stale_after_half_an_hour() {
        let at = |minutes| Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes);
        assert!(!lock().is_stale(at(30)));
        assert!(lock().is_stale(at(31)));
        assert!(!lock().is_stale(at(-100)));
        // Whoever may write would hold one for ever that he wrote once.
        assert!(!lock().is_stale(at(-24 * 60)));
        assert!(lock().is_stale(at(-24 * 60 - 1)));
        assert!(lock().is_stale(Timestamp::MIN));
    }
}
