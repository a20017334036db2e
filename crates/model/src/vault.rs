//! What a vault tells its clients, as JSON: written by the one, read by the other.
//!
//! To a client it comes from outside: who asks bounds its size, and shows none of its texts to a
//! terminal as they are. Fields that a newer vault adds are passed over, and what an older one does
//! not tell has a default; so a field is never taken away.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

use crate::account::Account;
use crate::id::Id;

/// How many accounts a vault may name as those in which its objects lie: one has a few names.
pub const MOST_OBJECT_ACCOUNTS: usize = 8;

/// The answer to `GET /v1/vault`: that it is a vault, and which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultInfo {
    /// The version of its program.
    pub version: String,
    /// The name of its log.
    pub origin: String,
    /// The key that signs its log, as C2SP writes it.
    pub log_key: String,
    /// Whose account it runs in; `None` where nobody knows.
    #[serde(default)]
    pub runs_in: Option<RunsIn>,
    /// The accounts at providers in which its objects lie, by all names that its storage tells of
    /// them; none where that tells nothing, as a folder. What is no account is passed over, and
    /// whatever stands behind the first [`MOST_OBJECT_ACCOUNTS`].
    #[serde(default, deserialize_with = "few_accounts")]
    pub objects_in: Vec<Account>,
    /// What its clocks show.
    pub time: VaultTime,
    /// Whether it is sealed.
    #[serde(default)]
    pub sealed: bool,
    /// Where it began a new log because it was restored from an older state of itself.
    #[serde(default)]
    pub new_log: Option<NewLog>,
}

/// Reads the first accounts of a list; a name that only a newer version knows is no reason to take
/// a vault for none.
fn few_accounts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Account>, D::Error> {
    let told = Vec::<String>::deserialize(deserializer)?;
    let accounts = told.iter().filter_map(|text| text.parse::<Account>().ok());
    Ok(accounts.take(MOST_OBJECT_ACCOUNTS).collect())
}

/// Whose account a vault runs in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunsIn {
    /// The account.
    pub account: Account,
    /// How the vault knows.
    pub by: KnownBy,
}

/// How it is known where a machine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KnownBy {
    /// The provider says so, by its instance metadata.
    Metadata,
    /// Somebody has written so.
    Declared,
}

/// What the clocks of a vault show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultTime {
    /// The wall clock.
    pub wall: Timestamp,
    /// The slow clock that alone decides when anything may go.
    pub vault: Timestamp,
    /// Whether the wall clock has jumped, and nobody has confirmed it.
    pub doubted: bool,
}

/// A log that was begun anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewLog {
    /// The last checkpoint of the log before, as a signed note.
    pub before: String,
}

/// The answer to `GET /v1/log/consistency?old=N`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consistency {
    /// The newest checkpoint, as a signed note.
    pub checkpoint: String,
    /// The hashes that lead from the old size to that of the checkpoint, in base64.
    pub proof: Vec<String>,
    /// The checkpoint that most witnesses have cosigned.
    #[serde(default)]
    pub witnessed: Option<Witnessed>,
}

/// A checkpoint that witnesses have cosigned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witnessed {
    /// The checkpoint, as a signed note with the cosignatures.
    pub checkpoint: String,
    /// The hashes that lead from it to the newest one, in base64.
    pub proof: Vec<String>,
}

/// The answer to `GET /v1/repositories/PATH`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryInfo {
    /// Its path.
    pub repository: String,
    /// How many objects it holds, seen or not.
    pub objects: u64,
    /// How many bytes these have.
    pub bytes: u64,
    /// The most that it may hold.
    #[serde(default)]
    pub quota_bytes: Option<u64>,
    /// For how long what arrives is kept, in seconds.
    pub retention_s: u64,
    /// For how long what was asked to be deleted is kept, in seconds.
    pub grace_s: u64,
    /// Objects that were asked to be deleted and are still kept.
    #[serde(default)]
    pub tombstones: u64,
    /// The leaf of the newest of these deletions.
    #[serde(default)]
    pub newest_tombstone: Option<u64>,
    /// Objects that an operator has hidden.
    #[serde(default)]
    pub hidden: u64,
    /// Keys that are stored, and not listed until an operator admits them.
    #[serde(default)]
    pub pending_keys: Vec<Id>,
    /// Why nothing is purged, where purging is held.
    #[serde(default)]
    pub purge_held: Option<String>,
    /// What the vault found when it read its own objects.
    #[serde(default)]
    pub scrub: Option<Scrub>,
}

/// What a vault found when it read its own objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scrub {
    /// When the last full round began: every object that it held then was read since.
    #[serde(default)]
    pub all_read: Option<Timestamp>,
    /// How many objects were read.
    #[serde(default)]
    pub objects_read: u64,
    /// How many objects are rotten, and not healed yet.
    #[serde(default)]
    pub rotten: u64,
}

/// The answer to a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptAnswer {
    /// The receipt.
    pub receipt: Id,
    /// The snapshot that it is of.
    pub snapshot: Id,
    /// Whether the vault holds the snapshot and all that it needs; `None` where it cannot tell.
    pub whole: Option<bool>,
    /// How many files it lacks.
    #[serde(default)]
    pub missing: u64,
}

/// The answer to the statement of a drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillAnswer {
    /// The SHA-256 of what was signed, which is in the log now.
    pub drill: Id,
}

/// The answer to `GET /v1/repositories/PATH/snapshots`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotList {
    /// Each snapshot of which there is a receipt.
    pub snapshots: Vec<SnapshotInfo>,
}

/// The answer to `GET /v1/repositories/PATH/rotten`: a page of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RottenList {
    /// Files whose bytes are not what they were.
    pub rotten: Vec<RottenFile>,
    /// Behind which file the next page begins; `None` where this is the last.
    #[serde(default)]
    pub next: Option<String>,
}

/// A file whose bytes are not what they were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RottenFile {
    /// The file, as `data/3f…`.
    pub file: String,
    /// What is wrong with it, in one word.
    #[serde(default)]
    pub why: String,
}

/// The answer to `GET /v1/repositories/PATH/arrivals`: a page of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrivalList {
    /// Snapshots that are seen, by id.
    pub arrivals: Vec<SnapshotArrival>,
    /// Behind which snapshot the next page begins; `None` where this is the last.
    #[serde(default)]
    pub next: Option<Id>,
}

/// When a snapshot came to a vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotArrival {
    /// The snapshot.
    pub snapshot: Id,
    /// When it was put, by the recorded time of the vault, which follows its wall clock.
    pub arrived: Timestamp,
}

/// A snapshot, as its receipt claims and as the vault found it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotInfo {
    /// Its file.
    pub snapshot: Id,
    /// The receipt.
    pub receipt: Id,
    /// The source, as claimed.
    pub source: String,
    /// The host, as claimed.
    pub host: String,
    /// Its time, as claimed.
    pub time: Timestamp,
    /// The client that signed the receipt.
    pub client: Id,
    /// The token that brought it.
    pub token: String,
    /// Always true: source, host and time are what a client says.
    #[serde(default)]
    pub claimed: bool,
    /// Whether the snapshot and all that it needs are there; `None` where the vault cannot tell.
    pub whole: Option<bool>,
    /// The first of the files that are missing or rotten.
    #[serde(default)]
    pub missing: Vec<String>,
    /// How many there are.
    #[serde(default)]
    pub missing_files: u64,
}

/// An error, as a vault tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultError {
    /// What is wrong, as a person reads it.
    pub error: String,
    /// The next step.
    #[serde(default)]
    pub hint: Option<String>,
    /// The receipt that has to come first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<Id>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In which accounts a vault's objects lie that tells this beside what every vault does.
    fn objects_in(told: &str) -> Vec<String> {
        let text = format!(
            r#"{{"version": "1", "origin": "o", "log_key": "k", "time": {{"wall":
            "2026-11-20T10:00:00Z", "vault": "2026-11-20T09:00:00Z", "doubted": false}}{told}}}"#
        );
        let info: VaultInfo = serde_json::from_str(&text).unwrap();
        info.objects_in.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn of_the_accounts_of_its_objects_the_first_that_are_accounts_are_read() {
        assert!(objects_in("").is_empty());
        let told = r#", "objects_in": ["", "aws:123456789012", "a\u001b[2J", "aws-owner:aa"]"#;
        assert_eq!(objects_in(told), ["aws:123456789012", "aws-owner:aa"]);
        let many = (0..1000).map(|number| format!("\"aws:{number}\""));
        let many = many.collect::<Vec<_>>().join(",");
        let told = format!(", \"objects_in\": [{many}]");
        assert_eq!(objects_in(&told).len(), MOST_OBJECT_ACCOUNTS);
    }

    #[test]
    fn an_error_names_a_receipt_only_where_one_has_to_come_first() {
        let mut error = VaultError {
            error: "No such page".to_owned(),
            ..VaultError::default()
        };
        let text = serde_json::to_string(&error).unwrap();
        assert_eq!(text, r#"{"error":"No such page","hint":null}"#);
        assert_eq!(serde_json::from_str::<VaultError>(&text).unwrap(), error);
        error.needs = Some(Id::of(b"a receipt"));
        let text = serde_json::to_string(&error).unwrap();
        assert_eq!(serde_json::from_str::<VaultError>(&text).unwrap(), error);
    }
}
