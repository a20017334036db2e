//! What is told as JSON, by the API and by the program's `--json`; docs/vault-api.md and
//! `openapi.json` describe it.
//!
//! A field is never taken away, and one that is added may be missed by older clients.

use jiff::Timestamp;
use serde::Serialize;
use strongroom_model::vault::RunsIn;
use strongroom_model::{FileName, Id, Name, RepositoryPath};

use crate::Result;
use crate::records::leaves::timestamp;
use crate::records::scrub::Scrub;
use crate::records::tokens::Token;
use crate::rules::clock::Shown;
use crate::rules::purge::Hold;
use crate::rules::scrub::{Why, Work};
use crate::vault::{Accepted, Finding, Overview, Standing};

/// Which vault it is.
#[derive(Clone, Debug, Serialize)]
pub struct VaultInfo {
    /// The version of its program.
    pub version: &'static str,
    /// The name of its log.
    pub origin: String,
    /// The key that signs its log.
    pub log_key: String,
    /// Whose account it runs in.
    pub runs_in: Option<RunsIn>,
    /// What its clocks show.
    pub time: VaultTime,
    /// Whether it is sealed.
    pub sealed: bool,
    /// Where it began a new log.
    pub new_log: Option<NewLog>,
}

/// What the clocks of a vault show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct VaultTime {
    /// The wall clock.
    pub wall: Timestamp,
    /// Vault time.
    pub vault: Timestamp,
    /// Whether the wall clock has jumped, and nobody has confirmed it.
    pub doubted: bool,
}

/// A log that was begun anew.
#[derive(Clone, Debug, Serialize)]
pub struct NewLog {
    /// The last checkpoint of the log before, as a signed note.
    pub before: String,
}

/// That the log goes on.
#[derive(Clone, Debug, Serialize)]
pub struct ConsistencyInfo {
    /// The newest checkpoint, as a signed note.
    pub checkpoint: String,
    /// The hashes of the proof, in base64.
    pub proof: Vec<String>,
    /// The checkpoint that most witnesses have cosigned.
    pub witnessed: Option<WitnessedInfo>,
}

/// A checkpoint that witnesses have cosigned, and that it is a beginning of the newest one.
#[derive(Clone, Debug, Serialize)]
pub struct WitnessedInfo {
    /// The checkpoint, as a signed note with the cosignatures.
    pub checkpoint: String,
    /// The hashes of the proof from there to the newest one, in base64.
    pub proof: Vec<String>,
}

/// That a leaf is in the log.
#[derive(Clone, Debug, Serialize)]
pub struct InclusionInfo {
    /// The newest checkpoint, as a signed note.
    pub checkpoint: String,
    /// The leaf, in base64.
    pub entry: String,
    /// The hashes of the proof, in base64.
    pub proof: Vec<String>,
}

/// What the vault makes of a receipt.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ReceiptInfo {
    /// The receipt.
    pub receipt: Id,
    /// The snapshot that it is of.
    pub snapshot: Id,
    /// Whether everything is here that it names.
    pub whole: Option<bool>,
    /// How many files are not.
    pub missing: u64,
}

/// A repository.
#[derive(Clone, Debug, Serialize)]
pub struct RepositoryInfo {
    /// Its path.
    pub repository: RepositoryPath,
    /// How many objects it holds, seen or not.
    pub objects: u64,
    /// How many bytes these have.
    pub bytes: u64,
    /// The most bytes that it may hold.
    pub quota_bytes: Option<u64>,
    /// For how long what arrives is kept.
    pub retention_s: i64,
    /// For how long what was asked to be deleted is kept.
    pub grace_s: i64,
    /// How many objects were asked to be deleted and are kept.
    pub tombstones: u64,
    /// The leaf of the newest of these deletions.
    pub newest_tombstone: Option<u64>,
    /// How many an operator has taken out of sight.
    pub hidden: u64,
    /// The keys that wait for an operator.
    pub pending_keys: Vec<Id>,
    /// Why nothing is purged.
    pub purge_held: Option<&'static str>,
    /// What the vault found when it read its own objects.
    pub scrub: Option<ScrubInfo>,
}

/// What the vault found when it read its own objects.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ScrubInfo {
    /// When the last full round began.
    pub all_read: Option<Timestamp>,
    /// How many objects were read.
    pub objects_read: u64,
    /// How many are rotten.
    pub rotten: u64,
}

/// Some objects of a repository whose bytes are not what they were.
#[derive(Clone, Debug, Serialize)]
pub struct RottenList {
    /// The objects, by type and name.
    pub rotten: Vec<RottenInfo>,
    /// Behind which file the next page begins; `None` where this is the last.
    pub next: Option<String>,
}

/// An object whose bytes are not what they were.
#[derive(Clone, Debug, Serialize)]
pub struct RottenInfo {
    /// The file.
    pub file: String,
    /// What is wrong with its bytes, in one word.
    pub why: &'static str,
}

/// A snapshot, as its receipt claims and as the vault finds it.
#[derive(Clone, Debug, Serialize)]
pub struct SnapshotInfo {
    /// Its file.
    pub snapshot: Id,
    /// The receipt.
    pub receipt: Id,
    /// The source, as claimed.
    pub source: Name,
    /// The host, as claimed.
    pub host: String,
    /// Its time, as claimed.
    pub time: Timestamp,
    /// The client that signed the receipt.
    pub client: Id,
    /// The token that brought it.
    pub token: String,
    /// Always true.
    pub claimed: bool,
    /// Whether everything is here that the receipt names.
    pub whole: Option<bool>,
    /// The first of the files that are not.
    pub missing: Vec<String>,
    /// How many there are.
    pub missing_files: u64,
}

/// A token, without its secret.
#[derive(Clone, Debug, Serialize)]
pub struct TokenInfo {
    /// Its name.
    pub name: String,
    /// What it may do.
    pub right: &'static str,
    /// With which repository, or those in which folder.
    pub repository: RepositoryPath,
    /// When it was made, by vault time.
    pub made: Timestamp,
    /// When it was last used.
    pub used: Option<Timestamp>,
    /// Until when it counts.
    pub expires: Option<Timestamp>,
    /// Since when it does not count any more.
    pub revoked: Option<Timestamp>,
    /// Whether it counts, by vault time: `counts`, `expired` or `revoked`.
    pub state: &'static str,
    /// The most bytes that it may put in a day.
    pub daily_bytes: Option<u64>,
    /// The most objects that it may put and ask to be deleted in a day.
    pub daily_objects: Option<u64>,
    /// The client whose key is bound to it.
    pub client: Option<Id>,
}

/// A token that was just made: the only time that its secret is told.
#[derive(Clone, Serialize)]
pub struct NewTokenInfo {
    /// Its name.
    pub name: String,
    /// All of it: a secret.
    pub token: String,
    /// What it may do.
    pub right: &'static str,
    /// With which repository, or those in which folder.
    pub repository: RepositoryPath,
}

/// Something to look at.
#[derive(Clone, Debug, Serialize)]
pub struct FindingInfo {
    /// What was looked at, in one word.
    pub check: &'static str,
    /// Whether it is broken, and not only to be seen to.
    pub broken: bool,
    /// What it is about.
    pub about: String,
    /// What is to be seen.
    pub problem: String,
    /// The next step.
    pub hint: Option<String>,
}

/// An error.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorInfo {
    /// What is wrong, as a person reads it.
    pub error: String,
    /// The next step.
    pub hint: Option<String>,
    /// The receipt that has to come first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs: Option<Id>,
}

impl VaultTime {
    /// What a clock shows.
    ///
    /// # Errors
    /// Where it shows no time.
    pub fn of(clock: &Shown) -> Result<Self> {
        Ok(Self {
            wall: timestamp(clock.recorded_ms)?,
            vault: timestamp(clock.vault_ms)?,
            doubted: clock.is_doubted,
        })
    }
}

impl ScrubInfo {
    /// What is told of the reading of a repository: the last full round, or else the first one,
    /// which is under way.
    fn of(scrub: &Scrub) -> Self {
        let read = match (&scrub.last, &scrub.round) {
            (Some(last), _) => last.read,
            (None, Some(round)) => round.progress.done,
            (None, None) => Work::default(),
        };
        let last = scrub.last.as_ref();
        Self {
            all_read: last.and_then(|last| timestamp(last.began_at_ms).ok()),
            objects_read: read.objects,
            rotten: scrub.rotten,
        }
    }
}

impl RottenList {
    /// What is told of rotten objects.
    pub fn of(found: &[(FileName, Why)], is_all: bool) -> Self {
        let info = |(name, why): &(FileName, Why)| RottenInfo {
            file: name.to_string(),
            why: why.word(),
        };
        let last = found.last().filter(|_| !is_all);
        Self {
            rotten: found.iter().map(info).collect(),
            next: last.map(|(name, _)| name.to_string()),
        }
    }
}

impl RepositoryInfo {
    /// What is told of a repository.
    pub fn of(overview: &Overview) -> Self {
        let repository = &overview.repository;
        let keys = overview.pending_keys.iter();
        Self {
            repository: repository.path.clone(),
            objects: repository.objects,
            bytes: repository.bytes,
            quota_bytes: repository.quota_bytes,
            retention_s: repository.keeping.retention_ms / 1000,
            grace_s: repository.keeping.grace_ms / 1000,
            tombstones: overview.tombstones.count,
            newest_tombstone: overview.tombstones.newest,
            hidden: overview.hidden,
            pending_keys: keys.filter_map(|name| name.id()).collect(),
            purge_held: overview.hold.map(Hold::words),
            scrub: Some(ScrubInfo::of(&overview.scrub)),
        }
    }
}

impl ReceiptInfo {
    /// The answer to a receipt.
    pub fn of(accepted: &Accepted) -> Self {
        Self {
            receipt: accepted.receipt,
            snapshot: accepted.snapshot,
            whole: Some(accepted.missing == 0),
            missing: accepted.missing,
        }
    }
}

impl SnapshotInfo {
    /// What is told of a snapshot.
    pub fn of(standing: &Standing) -> Self {
        let receipt = &standing.receipt;
        Self {
            snapshot: receipt.snapshot,
            receipt: receipt.id,
            source: standing.source.clone(),
            host: receipt.host.clone(),
            time: receipt.time,
            client: standing.client,
            token: standing.token.clone(),
            claimed: true,
            whole: Some(standing.missing_files == 0),
            missing: standing.missing.iter().map(ToString::to_string).collect(),
            missing_files: standing.missing_files,
        }
    }
}

impl TokenInfo {
    /// What is told of a token at a moment of vault time.
    ///
    /// # Errors
    /// Where one of its times is none.
    pub fn of(token: &Token, client: Option<Id>, now_ms: i64) -> Result<Self> {
        let time = |ms: Option<i64>| ms.map(timestamp).transpose();
        Ok(Self {
            name: token.name.clone(),
            right: token.right.word(),
            repository: token.prefix.clone(),
            made: timestamp(token.made_ms)?,
            used: time(token.used_ms)?,
            expires: time(token.expires_ms)?,
            revoked: time(token.revoked_ms)?,
            state: match (token.revoked_ms, token.counts_at(now_ms)) {
                (Some(_), _) => "revoked",
                (None, false) => "expired",
                (None, true) => "counts",
            },
            daily_bytes: token.daily_bytes,
            daily_objects: token.daily_objects,
            client,
        })
    }
}

impl FindingInfo {
    /// What is told of a finding.
    pub fn of(finding: Finding) -> Self {
        Self {
            check: finding.check,
            broken: finding.is_broken,
            about: finding.about,
            problem: finding.problem,
            hint: finding.hint,
        }
    }
}
