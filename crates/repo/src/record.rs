//! Records: what was removed on purpose, what is held, and which removals were taken back.
//!
//! Each is one small file in `strongroom/` of a copy, sealed as snapshots are and named by the
//! SHA-256 of its stored bytes. It is written once and never changed; restic passes the folder
//! over. As JSON it is an object with `version`, 1, and one of `removal`, `holds` and `annulment`.
//! The machine that wrote it may have put its signature behind the sealed bytes.
//!
//! What can go wrong: who has the repository's key can write one. So a record never says more than
//! what whoever reads it may do with it: see the engine's `removals`. And it may be an attack on
//! memory: the number of ids in one is bounded, and so is what it may become when decompressed.

mod signed;

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strongroom_model::receipt::Signature;
use strongroom_model::{FileName, FileType, Holds, Id};

use crate::{Error, Key, Result, json, unpacked};

pub use signed::Claim;

/// The most ids that one record names: packs of 16 MiB are 32 TB then.
pub const MOST_IDS: usize = 2_000_000;

/// The most bytes of JSON of a record that names no removal.
const MOST_SMALL_BYTES: usize = 16 << 20;

/// The most bytes of a host's name; systems allow 255.
const MOST_HOST_BYTES: usize = 1 << 10;

/// The version of all records.
const VERSION: u32 = 1;

/// The version of the format in which records are sealed: compressed, in any repository.
const SEALED_AS: u32 = 2;

/// What a file in `strongroom/` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// What is removed, on every copy.
    Removal(Removal),
    /// Which snapshots are held.
    Holds(Holds),
    /// That a removal does not count any more.
    Annulment(Annulment),
}

/// Which files are removed from every copy, and what that was decided upon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// When it was decided, by the clock of the host.
    pub at: Timestamp,
    /// The host; not fit for a terminal as it is.
    pub host: String,
    /// By which command.
    pub by: RemovedBy,
    /// The snapshots that go.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub snapshots: BTreeSet<Id>,
    /// The index files that go.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub index: BTreeSet<Id>,
    /// The packs that go.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub data: BTreeSet<Id>,
    /// The snapshots that it was decided upon and that stay: none of them needs what goes.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub stays: BTreeSet<Id>,
}

/// The commands that remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RemovedBy {
    /// Snapshots, by retention or by name.
    Forget,
    /// What no snapshot needs.
    Prune,
}

/// That a removal was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Annulment {
    /// When, by the clock of the host.
    pub at: Timestamp,
    /// The host; not fit for a terminal as it is.
    pub host: String,
    /// The record of the removal.
    pub record: Id,
}

impl Record {
    /// Encrypts it; returns its name and bytes.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it names more than [`MOST_IDS`] files, or the same snapshot as
    /// going and staying; [`Error::NoRandomness`].
    pub fn seal(&self, key: &Key) -> Result<(Id, Vec<u8>)> {
        self.check().map_err(Error::Invalid)?;
        let wire = Wire::of(self.clone());
        let json = json::encode(&wire)?;
        unpacked::seal(key, SEALED_AS, &json)
    }

    /// The same, with the claim of the machine that writes it: its public key, and the signature
    /// that `sign` makes of a message.
    ///
    /// # Errors
    /// As [`Record::seal`].
    pub fn seal_signed(
        &self,
        key: &Key,
        public: &[u8; 32],
        sign: impl FnOnce(&[u8]) -> Signature,
    ) -> Result<(Id, Vec<u8>)> {
        let (_, sealed) = self.seal(key)?;
        let bytes = signed::sign(sealed, public, sign);
        Ok((Id::of(&bytes), bytes))
    }

    /// Checks, decrypts and reads the record of that name. Whose it is, [`Claim::of`] tells.
    ///
    /// # Errors
    /// [`Error::Damaged`] where the bytes do not have the name or are no record of this repository;
    /// [`Error::Unsupported`] for what a newer version wrote.
    pub fn open(name: Id, mut bytes: Vec<u8>, key: &Key) -> Result<Self> {
        let damaged = |reason: String| Error::Damaged {
            what: FileName::new(FileType::Records, name).to_string(),
            reason,
        };
        if Id::of(&bytes) != name {
            return Err(damaged("its content does not have its name".to_owned()));
        }
        bytes.truncate(signed::sealed_bytes(&bytes));
        let json = unpacked::open(key, bytes).map_err(damaged)?;
        let version = version_of(&json).map_err(damaged)?;
        if version != VERSION {
            return Err(Error::Unsupported {
                what: FileName::new(FileType::Records, name).to_string(),
                reason: format!("it has version {version}, and {VERSION} is known"),
            });
        }
        Self::parse(&json).map_err(damaged)
    }

    /// Reads the JSON of a record of the version that is known.
    ///
    /// # Errors
    /// A text that says what is wrong with it.
    pub fn parse(json: &[u8]) -> std::result::Result<Self, String> {
        let wire: Wire = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let record = wire.into_record()?;
        if json.len() > MOST_SMALL_BYTES && !matches!(record, Self::Removal(_)) {
            return Err(format!("it has more than {MOST_SMALL_BYTES} bytes"));
        }
        record.check()?;
        Ok(record)
    }

    fn check(&self) -> std::result::Result<(), String> {
        let host = match self {
            Self::Removal(removal) => {
                removal.check()?;
                &removal.host
            }
            Self::Annulment(annulment) => &annulment.host,
            Self::Holds(_) => return Ok(()),
        };
        match host.len() > MOST_HOST_BYTES {
            true => Err("the name of its host is too long".to_owned()),
            false => Ok(()),
        }
    }
}

impl Removal {
    /// Whether a file goes.
    pub fn names(&self, name: FileName) -> bool {
        let ids = match name.kind() {
            FileType::Snapshots => &self.snapshots,
            FileType::Index => &self.index,
            FileType::Data => &self.data,
            FileType::Config | FileType::Keys | FileType::Locks | FileType::Records => {
                return false;
            }
        };
        name.id().is_some_and(|id| ids.contains(&id))
    }

    /// Whether nothing goes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many files go.
    pub fn len(&self) -> usize {
        self.snapshots.len() + self.index.len() + self.data.len()
    }

    /// All that goes: snapshots, then index files, then packs.
    pub fn files(&self) -> impl Iterator<Item = FileName> + '_ {
        let kinds = [
            (FileType::Snapshots, &self.snapshots),
            (FileType::Index, &self.index),
            (FileType::Data, &self.data),
        ];
        let kinds = kinds.into_iter();
        kinds.flat_map(|(kind, ids)| ids.iter().map(move |id| FileName::new(kind, *id)))
    }

    fn check(&self) -> std::result::Result<(), String> {
        let ids = self.len().saturating_add(self.stays.len());
        if ids > MOST_IDS {
            return Err(format!(
                "it names {ids} files, and a record names {MOST_IDS} at most"
            ));
        }
        match self.stays.intersection(&self.snapshots).next() {
            Some(both) => Err(format!(
                "it says of snapshot {} that it goes and that it stays",
                both.short()
            )),
            None => Ok(()),
        }
    }
}

impl fmt::Display for RemovedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Forget => "forget",
            Self::Prune => "prune",
        })
    }
}

/// A record as it is stored. It is no tagged enum: those are read into memory twice.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    removal: Option<Removal>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    holds: Option<Holds>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    annulment: Option<Annulment>,
}

impl Wire {
    fn of(record: Record) -> Self {
        let mut wire = Self {
            version: VERSION,
            removal: None,
            holds: None,
            annulment: None,
        };
        match record {
            Record::Removal(removal) => wire.removal = Some(removal),
            Record::Holds(holds) => wire.holds = Some(holds),
            Record::Annulment(annulment) => wire.annulment = Some(annulment),
        }
        wire
    }

    fn into_record(self) -> std::result::Result<Record, String> {
        if self.version != VERSION {
            return Err(format!("it has version {}", self.version));
        }
        match (self.removal, self.holds, self.annulment) {
            (Some(removal), None, None) => Ok(Record::Removal(removal)),
            (None, Some(holds), None) => Ok(Record::Holds(holds)),
            (None, None, Some(annulment)) => Ok(Record::Annulment(annulment)),
            _ => Err("it is none of a removal, holds and an annulment, or several".to_owned()),
        }
    }
}

/// Read first, since a newer record may have other fields.
fn version_of(json: &[u8]) -> std::result::Result<u32, String> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let found: Version = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    Ok(found.version)
}

#[cfg(test)]
mod tests {
    use strongroom_model::holds::Hold;

    use super::*;

    fn id(text: &str) -> Id {
        Id::of(text.as_bytes())
    }

    fn removal() -> Removal {
        Removal {
            at: Timestamp::UNIX_EPOCH,
            host: "web-1".to_owned(),
            by: RemovedBy::Prune,
            snapshots: [id("snapshot")].into(),
            index: [id("index")].into(),
            data: [id("a"), id("b")].into(),
            stays: [id("kept")].into(),
        }
    }

    fn all() -> [Record; 3] {
        let mut holds = Holds::default();
        let since = Timestamp::UNIX_EPOCH;
        let why = "audit".to_owned();
        holds.hold(id("held"), Hold { since, why });
        let annulment = Annulment {
            at: Timestamp::UNIX_EPOCH,
            host: "web-1".to_owned(),
            record: id("record"),
        };
        [
            Record::Removal(removal()),
            Record::Holds(holds),
            Record::Annulment(annulment),
        ]
    }

    fn sealed(key: &Key, json: &[u8]) -> (Id, Vec<u8>) {
        unpacked::seal(key, SEALED_AS, json).unwrap()
    }

    #[test]
    fn every_record_comes_back_under_its_name() {
        let key = Key::generate().unwrap();
        for record in all() {
            let (name, bytes) = record.seal(&key).unwrap();
            assert_eq!(name, Id::of(&bytes));
            assert_eq!(Record::open(name, bytes, &key).unwrap(), record);
        }
    }

    #[test]
    fn a_changed_byte_another_name_and_another_key_are_seen() {
        let key = Key::generate().unwrap();
        for record in all() {
            let (name, bytes) = record.seal(&key).unwrap();
            let error = Record::open(id("other"), bytes.clone(), &key).unwrap_err();
            assert!(error.to_string().contains("does not have its name"));
            for at in [0, bytes.len() / 2, bytes.len() - 1] {
                let mut wrong = bytes.clone();
                wrong[at] ^= 1;
                assert!(Record::open(name, wrong.clone(), &key).is_err());
                // Also under the name that it has now.
                assert!(Record::open(Id::of(&wrong), wrong, &key).is_err());
            }
            assert!(Record::open(name, bytes, &Key::generate().unwrap()).is_err());
        }
    }

    #[test]
    fn what_is_sealed_by_the_key_and_no_record_is_none() {
        let key = Key::generate().unwrap();
        let opened = |json: &str| {
            let (name, bytes) = sealed(&key, json.as_bytes());
            Record::open(name, bytes, &key)
        };
        let annulment = format!(
            r#"{{"at":"2026-01-01T00:00:00Z","host":"h","record":"{}"}}"#,
            id("record")
        );
        assert!(opened(&format!(r#"{{"version":1,"annulment":{annulment}}}"#)).is_ok());
        for odd in [
            "{}",
            r#"{"version":1}"#,
            r#"{"time":"2026-01-01T00:00:00Z","tree":null,"paths":[]}"#,
            &format!(r#"{{"version":1,"annulment":{annulment},"holds":{{}}}}"#),
            &format!(r#"{{"version":1,"annulment":{annulment},"more":1}}"#),
        ] {
            let error = opened(odd).unwrap_err();
            assert!(matches!(error, Error::Damaged { .. }), "{odd}: {error}");
        }
        let newer = opened(r#"{"version":2,"anything":[]}"#).unwrap_err();
        assert!(matches!(newer, Error::Unsupported { .. }), "{newer}");
    }

    #[test]
    fn a_record_that_contradicts_itself_or_has_no_end_is_refused() {
        let key = Key::generate().unwrap();
        let mut both = removal();
        both.stays.insert(id("snapshot"));
        assert!(Record::Removal(both.clone()).seal(&key).is_err());
        let json = serde_json::to_vec(&Wire::of(Record::Removal(both))).unwrap();
        assert!(
            Record::parse(&json)
                .unwrap_err()
                .contains("and that it stays")
        );
        let long = Removal {
            host: "h".repeat(MOST_HOST_BYTES + 1),
            ..removal()
        };
        assert!(Record::Removal(long).seal(&key).is_err());
    }

    #[test]
    fn a_removal_names_what_goes_under_its_type_alone() {
        let removal = removal();
        let of = |kind, text| removal.names(FileName::new(kind, id(text)));
        assert!(of(FileType::Snapshots, "snapshot") && of(FileType::Data, "a"));
        assert!(!of(FileType::Snapshots, "kept") && !of(FileType::Index, "a"));
        assert!(!removal.names(FileName::CONFIG));
        assert_eq!((removal.len(), removal.files().count()), (4, 4));
        assert!(removal.files().all(|name| removal.names(name)));
    }
}
