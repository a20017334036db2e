//! What is told as JSON, by the API and by the program's `--json`; docs/vault-api.md and
//! `openapi.json` describe it.
//!
//! A field is never taken away, and one that is added may be missed by older clients. What our own
//! client reads is declared with it, in [`strongroom_model::vault`].

use jiff::Timestamp;
use serde::Serialize;
use strongroom_model::vault::{
    ArrivalList, ReceiptAnswer, RepositoryInfo, RottenFile, RottenList, SnapshotArrival,
    SnapshotInfo, VaultTime,
};
use strongroom_model::{FileName, Id, RepositoryPath};

use crate::Result;
use crate::records::arrivals::Page as Arrivals;
use crate::records::leaves::timestamp;
use crate::records::scrub::Scrub;
use crate::records::tokens::Token;
use crate::rules::clock::Shown;
use crate::rules::scrub::{Why, Work};
use crate::vault::{Accepted, Finding, Hiding, Overview, Standing};

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

/// What came of hiding what a token has put, or of showing it again.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct HidingInfo {
    /// How many objects went out of sight, or are seen again.
    pub objects: u64,
    /// What else was changed.
    pub others: u64,
    /// Whether there was anything to act on.
    pub found: bool,
}

/// What a clock shows.
///
/// # Errors
/// Where it shows no time.
pub fn time(clock: &Shown) -> Result<VaultTime> {
    Ok(VaultTime {
        wall: timestamp(clock.recorded_ms)?,
        vault: timestamp(clock.vault_ms)?,
        doubted: clock.is_doubted,
    })
}

/// What is told of a repository.
pub fn repository(overview: &Overview) -> RepositoryInfo {
    let repository = &overview.repository;
    let keys = overview.pending_keys.iter();
    let seconds = |ms: i64| u64::try_from(ms / 1000).unwrap_or_default();
    RepositoryInfo {
        repository: repository.path.to_string(),
        objects: repository.objects,
        bytes: repository.bytes,
        quota_bytes: repository.quota_bytes,
        retention_s: seconds(repository.keeping.retention_ms),
        grace_s: seconds(repository.keeping.grace_ms),
        tombstones: overview.tombstones.count,
        newest_tombstone: overview.tombstones.newest,
        hidden: overview.hidden,
        pending_keys: keys.filter_map(|name| name.id()).collect(),
        purge_held: overview.hold.map(|hold| hold.words().to_owned()),
        scrub: Some(scrub(&overview.scrub)),
    }
}

/// What is told of the reading of a repository: the last full round, or else the first one, which
/// is under way.
fn scrub(scrub: &Scrub) -> strongroom_model::vault::Scrub {
    let read = match (&scrub.last, &scrub.round) {
        (Some(last), _) => last.read,
        (None, Some(round)) => round.progress.done,
        (None, None) => Work::default(),
    };
    let last = scrub.last.as_ref();
    strongroom_model::vault::Scrub {
        all_read: last.and_then(|last| timestamp(last.began_at_ms).ok()),
        objects_read: read.objects,
        rotten: scrub.rotten,
    }
}

/// What is told of rotten objects.
pub fn rotten(found: &[(FileName, Why)], is_all: bool) -> RottenList {
    let info = |(name, why): &(FileName, Why)| RottenFile {
        file: name.to_string(),
        why: why.word().to_owned(),
    };
    let last = found.last().filter(|_| !is_all);
    RottenList {
        rotten: found.iter().map(info).collect(),
        next: last.map(|(name, _)| name.to_string()),
    }
}

/// What is told of when snapshots came.
///
/// # Errors
/// Where one of the times is none.
pub fn arrivals(page: &Arrivals) -> Result<ArrivalList> {
    let info = |(snapshot, arrived_ms): &(Id, i64)| -> Result<SnapshotArrival> {
        Ok(SnapshotArrival {
            snapshot: *snapshot,
            arrived: timestamp(*arrived_ms)?,
        })
    };
    Ok(ArrivalList {
        arrivals: page.arrivals.iter().map(info).collect::<Result<_>>()?,
        next: page.next,
    })
}

/// The answer to a receipt.
pub fn receipt(accepted: &Accepted) -> ReceiptAnswer {
    ReceiptAnswer {
        receipt: accepted.receipt,
        snapshot: accepted.snapshot,
        whole: Some(accepted.missing == 0),
        missing: accepted.missing,
    }
}

/// What is told of a snapshot.
pub fn snapshot(standing: &Standing) -> SnapshotInfo {
    let receipt = &standing.receipt;
    SnapshotInfo {
        snapshot: receipt.snapshot,
        receipt: receipt.id,
        source: standing.source.to_string(),
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

impl HidingInfo {
    /// What is told of it.
    pub fn of(hiding: Hiding) -> Self {
        Self {
            objects: hiding.objects,
            others: hiding.others,
            found: hiding.found,
        }
    }
}
