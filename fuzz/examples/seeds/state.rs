//! Records of the state folder: as this program writes them, and damaged in ways of their own.

use std::time::{Duration, SystemTime};

use anyhow::Result;
use jiff::Timestamp;
use strongroom_engine::state::record::{Head, OwnLocks, RemovedKeys, encode};
use strongroom_engine::state::{GoneFiles, LockDates, OwnLock, SeenFiles};
use strongroom_model::evidence::{RestoreDrill, Share};
use strongroom_model::holds::Hold;
use strongroom_model::{FileName, FileType, Holds, Id};
use strongroom_store::{SavedLock, VersionId};

use crate::Seed;

/// Every target that reads a record.
pub(crate) const TARGETS: &[&str] = &[
    "gone_files",
    "head",
    "holds",
    "needs",
    "own_locks",
    "removed_keys",
    "restore_drill",
    "seen",
];

/// Good and bad records; `%` stands for an id.
const TEXTS: &[(&str, &str, &str)] = &[
    (
        "needs",
        "of_a_backup",
        r#"{"version":1,"snapshot":"%","packs":[["%",7]],"index_files":["%"]}"#,
    ),
    (
        "needs",
        "of_a_look",
        r#"{"version":1,"snapshot":"%","index_set":"%","packs":[["%",18446744073709551615],["%",18446744073709551615]],"index_files":[]}"#,
    ),
    (
        "needs",
        "negative_size",
        r#"{"version":1,"snapshot":"%","packs":[["%",-1]],"index_files":[]}"#,
    ),
    (
        "needs",
        "half_a_pair",
        r#"{"version":1,"snapshot":"%","packs":[["%"]],"index_files":[]}"#,
    ),
    ("seen", "minimal", r#"{"version":1}"#),
    (
        "seen",
        "twice",
        r#"{"version":1,"index":["%","%"],"index":[]}"#,
    ),
    ("seen", "null", r#"{"version":1,"index":null}"#),
    ("seen", "short_id", r#"{"version":1,"snapshots":["e3b0"]}"#),
    (
        "head",
        "two_versions",
        r#"{"version":1,"version":2,"receipt":"%"}"#,
    ),
    (
        "head",
        "unknown_field",
        r#"{"version":1,"receipt":"%","future":{"a":[1.5]}}"#,
    ),
    (
        "gone_files",
        "unknown_kind",
        r#"{"version":1,"lost":{"keys":["%"]},"accepted":{}}"#,
    ),
    ("gone_files", "no_object", r#"{"version":1,"lost":["%"]}"#),
    (
        "holds",
        "no_reason",
        r#"{"version":1,"held":{"%":{"since":"1970-01-01T00:00:00Z"}}}"#,
    ),
    ("holds", "no_time", r#"{"version":1,"admitted":{"%":""}}"#),
    (
        "own_locks",
        "no_numbering",
        r#"{"version":1,"locks":[{"lock":"%"}]}"#,
    ),
    ("removed_keys", "no_array", r#"{"version":1,"keys":"%"}"#),
    (
        "restore_drill",
        "odd_name",
        r#"{"version":1,"at":"1970-01-01T00:00:00Z","source":"../x","bytes":1,"seconds":2,"matched":true}"#,
    ),
    (
        "restore_drill",
        "far_time",
        r#"{"version":1,"at":"-009999-01-01T00:00:00Z","source":"x","bytes":1,"seconds":2,"matched":false}"#,
    ),
];

pub(crate) fn seeds(id: Id) -> Result<Vec<Seed>> {
    let text_id = id.to_string();
    let mut seeds: Vec<Seed> = TEXTS
        .iter()
        .map(|(target, name, text)| Seed::new(target, *name, text.replace('%', &text_id)))
        .collect();
    for target in TARGETS {
        seeds.push(Seed::new(target, "newer", r#"{"version":2,"keys":7}"#));
    }
    let drill = RestoreDrill {
        at: Timestamp::UNIX_EPOCH,
        source: "repos".parse()?,
        bytes: u64::MAX,
        seconds: 2,
        matched: true,
        copy: Some("vault".parse()?),
        snapshot: Some(id),
        share: Share::Slice { number: 3, of: 20 },
        restic: Some(true),
        check: Some(false),
    };
    let seen = SeenFiles {
        index: [id].into(),
        snapshots: [id, Id::of(b"other")].into(),
    };
    let keys = RemovedKeys { keys: [id].into() };
    let mut gone = GoneFiles::default();
    let name = |kind| FileName::new(kind, id);
    gone.lose(&[name(FileType::Data), name(FileType::Snapshots)].into());
    gone.accept(&[name(FileType::Index)].into());
    let mut holds = Holds::default();
    for held in [id, Id::of(b"other")] {
        let (since, why) = (Timestamp::UNIX_EPOCH, "audit".to_owned());
        holds.hold(held, Hold { since, why });
    }
    holds.release(Id::of(b"other"), Timestamp::UNIX_EPOCH);
    holds.admit(id, Timestamp::UNIX_EPOCH);
    let locks = vec![OwnLock {
        lock: id,
        numbering: "0b6ba4e9 pid:[4026531836]".to_owned(),
    }];
    let mut dates = LockDates::default();
    dates.note([SavedLock {
        name: name(FileType::Data),
        version: VersionId::new("PzLDgDtgC3kTKW9yVh4FvYHrVvVlkjb0"),
        until: SystemTime::UNIX_EPOCH + Duration::from_secs(1_780_000_000),
    }]);
    dates.cover([id].into());
    let mut rotten = dates.encode()?;
    rotten.pop();
    seeds.extend([
        Seed::new("lock_dates", "ours", dates.encode()?),
        Seed::new("lock_dates", "rotten", rotten),
        Seed::new("gone_files", "ours", encode(&gone)?),
        Seed::new("own_locks", "ours", encode(&OwnLocks { locks })?),
        Seed::new("holds", "ours", encode(&holds)?),
        Seed::new("head", "ours", encode(&Head { receipt: id })?),
        Seed::new("removed_keys", "ours", encode(&keys)?),
        Seed::new("restore_drill", "ours", encode(&drill)?),
        Seed::new("seen", "ours", encode(&seen)?),
    ]);
    Ok(seeds)
}
