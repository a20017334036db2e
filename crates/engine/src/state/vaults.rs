//! What is remembered of each vault: the last state of its log, and an alarm that nobody has
//! answered yet.
//!
//! A vault is known by the root of its address, so that all its copies share one memory. What the
//! log's state means is understood by whoever asks; here its text is kept, whole or not at all.
//! **Security:** an alarm stays, whatever the vault shows afterwards, until a person accepts the log
//! as it is; a state that is older than the remembered one never takes its place.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strongroom_model::Id;

use crate::state::disk::{self, Lock};
use crate::state::record;
use crate::{Error, Result};

/// What is remembered of one vault.
#[derive(Debug, Clone)]
pub struct VaultMemory {
    root: PathBuf,
    log: PathBuf,
    alarm: PathBuf,
    accepted: PathBuf,
    withheld: PathBuf,
}

/// That the log of a vault does not go on from what was remembered of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultAlarm {
    /// When it was found first.
    pub found: Timestamp,
    /// The vault, by the root of its address.
    pub vault: String,
    /// What is wrong, in one line.
    pub text: String,
    /// The next step for a person.
    pub hint: String,
    /// The remembered state of the log, as it was kept; evidence.
    pub remembered: String,
    /// The checkpoint that came, as it came; evidence too.
    pub came: Option<String>,
}

/// That a vault was met and did not show that its log goes on, and how often in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withheld {
    /// When it did not for the first time.
    pub since: Timestamp,
    /// At how many contacts since then, none of which saw a proof.
    pub contacts: u32,
    /// Whether it was asked after files were put there: then only a log that has grown is a proof,
    /// and one that is as it was is none.
    #[serde(default)]
    pub after_writing: bool,
}

impl VaultMemory {
    pub(super) fn new(root: &Path, vault: &str) -> Self {
        let folder = root.join("vaults");
        let id = Id::of(vault.as_bytes());
        let file = |end: &str| folder.join(format!("{id}.{end}"));
        Self {
            root: root.to_owned(),
            log: file("log"),
            alarm: file("alarm.json"),
            accepted: file("accepted.json"),
            withheld: file("withheld.json"),
        }
    }

    /// The remembered state of its log; `None` where the vault was never met.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn log(&self) -> Result<Option<Vec<u8>>> {
        disk::read(&self.log)
    }

    /// Replaces the remembered state by what `next` makes of it, if anything, whatever other
    /// processes do meanwhile. While an alarm stands, nothing is replaced.
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub fn go_on(&self, next: impl FnOnce(Option<&[u8]>) -> Option<Vec<u8>>) -> Result<()> {
        let lock = self.lock()?;
        if self.alarm()?.is_some() {
            return Ok(());
        }
        let before = disk::read(&self.log)?;
        match next(before.as_deref()) {
            Some(after) => disk::write(&lock, &self.log, &after),
            None => Ok(()),
        }
    }

    /// The alarm that nobody has answered yet.
    ///
    /// # Errors
    /// Where there is one that cannot be read: it is no less an alarm.
    pub fn alarm(&self) -> Result<Option<VaultAlarm>> {
        match disk::read(&self.alarm)? {
            Some(bytes) => Ok(Some(record::decode(&bytes)?)),
            None => Ok(None),
        }
    }

    /// Remembers an alarm; one that stands already is kept, as the first is the evidence.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn raise(&self, alarm: &VaultAlarm) -> Result<()> {
        let lock = self.lock()?;
        if disk::read(&self.alarm)?.is_some() {
            return Ok(());
        }
        disk::write(&lock, &self.alarm, &record::encode(alarm)?)
    }

    /// Counts a contact at which the vault was there and showed no proof; `after_writing`, where
    /// files had just been put there.
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub fn withhold(&self, now: Timestamp, after_writing: bool) -> Result<Withheld> {
        let lock = self.lock()?;
        let before = disk::read(&self.withheld)?;
        // What cannot be read is begun anew: it can only make an alarm come later.
        let before = before.and_then(|bytes| record::decode::<Withheld>(&bytes).ok());
        let withheld = match before {
            Some(before) => Withheld {
                // A clock that ran ahead and was put right must not hold the alarm back.
                since: before.since.min(now),
                contacts: before.contacts.saturating_add(1),
                after_writing: before.after_writing || after_writing,
            },
            None => Withheld {
                since: now,
                contacts: 1,
                after_writing,
            },
        };
        disk::write(&lock, &self.withheld, &record::encode(&withheld)?)?;
        Ok(withheld)
    }

    /// Takes note that the vault has shown its proof, and whether its log had grown: one that stays
    /// as it is does not make up for what it did not show of files that were put there.
    ///
    /// # Errors
    /// Where that cannot be written.
    pub fn shown(&self, has_grown: bool) -> Result<()> {
        // Nearly always there is nothing to forget, and nothing to be locked for it.
        let Some(before) = disk::read(&self.withheld)? else {
            return Ok(());
        };
        let before = record::decode::<Withheld>(&before).ok();
        if !has_grown && before.is_some_and(|before| before.after_writing) {
            return Ok(());
        }
        let lock = self.lock()?;
        disk::remove(&lock, &self.withheld)
    }

    /// Begins to remember anew, because a person has said so; `None` forgets the log, as of a
    /// server that is no vault any more. The alarm is put beside, for whoever asks later.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn accept(&self, log: Option<&[u8]>) -> Result<()> {
        let lock = self.lock()?;
        match log {
            Some(log) => disk::write(&lock, &self.log, log)?,
            None => disk::remove(&lock, &self.log)?,
        }
        disk::remove(&lock, &self.withheld)?;
        match std::fs::rename(&self.alarm, &self.accepted) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let action = format!("put aside {}", self.alarm.display());
                Err(Error::local(action)(error))
            }
            _ => Ok(()),
        }
    }

    fn lock(&self) -> Result<Lock> {
        Lock::take(&self.root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::StateFolder;

    fn memory() -> (tempfile::TempDir, VaultMemory) {
        let folder = tempfile::tempdir().unwrap();
        let state = StateFolder::new(folder.path());
        let memory = state.vault("https://vault.example.net/");
        (folder, memory)
    }

    fn alarm(text: &str) -> VaultAlarm {
        VaultAlarm {
            found: Timestamp::UNIX_EPOCH,
            vault: "https://vault.example.net/".to_owned(),
            text: text.to_owned(),
            hint: "ask".to_owned(),
            remembered: "old".to_owned(),
            came: Some("new".to_owned()),
        }
    }

    #[test]
    fn a_log_goes_on_from_what_is_remembered_at_that_moment() {
        let (_folder, memory) = memory();
        assert_eq!(memory.log().unwrap(), None);
        memory
            .go_on(|before| {
                assert_eq!(before, None);
                Some(b"1".to_vec())
            })
            .unwrap();
        memory
            .go_on(|before| {
                assert_eq!(before, Some(&b"1"[..]));
                None
            })
            .unwrap();
        assert_eq!(memory.log().unwrap().unwrap(), b"1");
    }

    #[test]
    fn an_alarm_stands_and_freezes_the_memory_until_somebody_accepts() {
        let (folder, memory) = memory();
        memory.go_on(|_| Some(b"1".to_vec())).unwrap();
        memory.raise(&alarm("first")).unwrap();
        memory.raise(&alarm("second")).unwrap();
        assert_eq!(memory.alarm().unwrap(), Some(alarm("first")));
        memory.go_on(|_| Some(b"2".to_vec())).unwrap();
        assert_eq!(memory.log().unwrap().unwrap(), b"1");
        memory.accept(Some(b"3")).unwrap();
        assert_eq!(memory.alarm().unwrap(), None);
        assert_eq!(memory.log().unwrap().unwrap(), b"3");
        let kept = std::fs::read_dir(folder.path().join("vaults")).unwrap();
        let names: Vec<_> = kept.map(|entry| entry.unwrap().file_name()).collect();
        let is_kept = |name: &std::ffi::OsString| name.to_string_lossy().ends_with("accepted.json");
        assert!(names.iter().any(is_kept), "{names:?}");
        memory.accept(None).unwrap();
        assert_eq!(memory.log().unwrap(), None);
    }

    #[test]
    fn an_alarm_that_cannot_be_read_is_one_all_the_same() {
        let (_folder, memory) = memory();
        memory.raise(&alarm("first")).unwrap();
        std::fs::write(&memory.alarm, "{").unwrap();
        assert!(memory.alarm().is_err());
        assert!(memory.go_on(|_| Some(b"2".to_vec())).is_err());
        memory.accept(Some(b"3")).unwrap();
        assert_eq!(memory.alarm().unwrap(), None);
    }

    #[test]
    fn contacts_without_a_proof_are_counted_until_one_is_shown() {
        let (_folder, memory) = memory();
        let at = |second| Timestamp::from_second(second).unwrap();
        let counted = |second| {
            let withheld = memory.withhold(at(second), false).unwrap();
            (withheld.since.as_second(), withheld.contacts)
        };
        memory.shown(true).unwrap();
        assert_eq!(counted(100), (100, 1));
        assert_eq!(counted(200), (100, 2));
        assert_eq!(counted(50), (50, 3), "the clock ran ahead");
        std::fs::write(&memory.withheld, "{").unwrap();
        assert_eq!(counted(300), (300, 1));
        memory.shown(false).unwrap();
        assert_eq!(counted(400), (400, 1));
        memory.accept(None).unwrap();
        assert_eq!(counted(500), (500, 1));
        // Files were put there: a log that stays as it is does not begin the count anew.
        assert_eq!(memory.withhold(at(600), true).unwrap().contacts, 2);
        memory.shown(false).unwrap();
        assert_eq!(counted(700), (500, 3));
        memory.shown(true).unwrap();
        assert_eq!(counted(800), (800, 1));
    }

    #[test]
    fn each_vault_is_remembered_by_itself() {
        let (folder, memory) = memory();
        let other = StateFolder::new(folder.path()).vault("https://other.example.net/");
        memory.raise(&alarm("first")).unwrap();
        assert_eq!(other.alarm().unwrap(), None);
    }
}
