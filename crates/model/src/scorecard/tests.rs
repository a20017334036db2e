//! The truth table: one fact is changed in a world where everything is met, and the lines that
//! depend on it change.

mod attack;
mod blast;
mod damage;
mod drills;
mod place;
mod vault;

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::*;
use crate::evidence::tests::verify;
use crate::evidence::{RestoreDrill, SeenSnapshot, Share, Verifier};
use crate::id::Id;
use crate::name::Name;

const CONFIG: &str = r#"
[[source]]
name = "repos"
path = "/srv/git"

[[copy]]
name = "here"
store = "/var/backups/strongroom"
medium = "disk"
site = "fra-1"
domain = "production"

[[copy]]
name = "vault"
store = "rest:https://vault.example.net/acme/"
medium = "disk"
site = "ams-2"
domain = "vault-team"

[[copy]]
name = "offsite"
store = "rest:https://offsite.example.org/acme/"
medium = "object"
site = "eu-central-1"
domain = "offsite-account"
lock = "30d"
"#;

const GB: u64 = 1_000_000_000;

struct World {
    config: Config,
    facts: Facts,
}

fn now() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

fn minutes_ago(minutes: i64) -> Timestamp {
    now() - SignedDuration::from_mins(minutes)
}

fn days_ago(days: i64) -> Timestamp {
    now() - SignedDuration::from_hours(24 * days)
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn held(source: &str, minutes: i64, wholeness: Wholeness) -> HeldSnapshot {
    HeldSnapshot {
        source: name(source),
        id: Id::of(format!("{source} {minutes}").as_bytes()),
        time: minutes_ago(minutes),
        source_errors: 0,
        wholeness,
    }
}

/// A world in which every line is met.
fn good() -> World {
    let config = Config::parse(CONFIG, &|_| None).unwrap();
    let mut facts = Facts::default();
    let devices = [DeviceId(1)].into();
    facts.sources.insert(name("repos"), SourceFacts { devices });
    for copy in &config.copies {
        let mut found = CopyFacts::of(copy);
        match &mut found.location {
            Location::Folder { devices, .. } => *devices = [DeviceId(2)].into(),
            Location::Server { here, .. } => *here = Some(false),
        }
        found.unread = Some(Unread::default());
        found.snapshots = vec![held("repos", 12, Wholeness::Whole)];
        found
            .evidence
            .record_verify(verify(days_ago(6), Share::All), []);
        found.evidence.record_restore(rehearsed(12));
        facts.copies.insert(copy.name.clone(), found);
    }
    facts.copies.get_mut("offsite").unwrap().lock_proven = Some(days_ago(2));
    World { config, facts }
}

/// A restore drill so many days ago, which found nothing wrong.
fn rehearsed(days: i64) -> RestoreDrill {
    RestoreDrill {
        at: days_ago(days),
        source: name("repos"),
        bytes: 41 * GB,
        seconds: 540,
        matched: true,
        copy: None,
        snapshot: None,
        share: Share::All,
        restic: None,
        check: None,
    }
}

impl World {
    fn of(text: &str) -> Self {
        Self {
            config: Config::parse(text, &|_| None).unwrap(),
            ..good()
        }
    }

    fn copy(&mut self, name: &str) -> &mut CopyFacts {
        self.facts.copies.get_mut(name).unwrap()
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn card(&self) -> Scorecard {
        Scorecard::judge(&self.config, &self.facts, now())
    }

    /// Whether the source and the five lines are met, as in "+ +++?-".
    fn marks(&self) -> String {
        let card = self.card();
        let mark = |met| match met {
            Standing::Met => '+',
            Standing::Missed => '-',
            Standing::Unproven => '?',
        };
        let sources = card.sources.iter().map(|row| mark(row.finding.met));
        let lines = card.lines.iter().map(|line| mark(line.finding.met));
        sources.chain([' ']).chain(lines).collect()
    }

    fn line(&self, kind: LineKind) -> (String, Option<String>) {
        let card = self.card();
        let line = card.line(kind).unwrap();
        (line.finding.reason.clone(), line.mend.clone())
    }

    fn assert_line(&self, kind: LineKind, reason: &str, mend: &str) {
        assert_eq!(self.line(kind), (reason.to_owned(), Some(mend.to_owned())));
    }
}

#[test]
fn a_plan_that_is_met_says_so_in_five_lines() {
    let world = good();
    let card = world.card();
    assert_eq!(world.marks(), "+ +++++");
    assert_eq!(card.met, Standing::Met);
    assert_eq!(
        card.sources[0].finding.reason,
        "last good 12 min ago (at most 24 h)"
    );
    let said: Vec<String> = card
        .lines
        .iter()
        .map(|line| {
            format!(
                "{} {}: {}",
                line.title,
                line.finding.met.word(),
                line.finding.reason
            )
        })
        .collect();
    assert_eq!(
        said,
        [
            "3 copies met: 3 whole and independent: here, vault, offsite",
            "2 media met: disk, object",
            "1 offsite met: vault, offsite",
            "1 immutable met: offsite withstood production's credentials",
            "0 errors met: every byte read within 7 d; restore drill 12 d ago: 41 GB in 9 min",
        ],
    );
    assert!(card.lines.iter().all(|line| line.mend.is_none()));
}

#[test]
fn a_copy_that_lacks_files_does_not_count() {
    let world = good().with(|world| {
        world.copy("offsite").snapshots = vec![held("repos", 12, Wholeness::Behind { files: 12 })];
    });
    assert_eq!(world.marks(), "- --+-+");
    world.assert_line(
        LineKind::Copies,
        "2 of 3 whole and independent: here, vault; offsite lacks 12 files of repos",
        "strongroom sync",
    );
    world.assert_line(
        LineKind::Media,
        "all whole and independent copies are on disk",
        "strongroom sync",
    );
    world.assert_line(
        LineKind::Immutable,
        "offsite lacks 12 files of repos",
        "strongroom sync",
    );
}

#[test]
fn a_copy_without_the_newest_snapshot_is_not_whole_but_its_older_one_is_still_good() {
    let world = good().with(|world| {
        world.copy("vault").snapshots = vec![held("repos", 600, Wholeness::Whole)];
    });
    assert_eq!(world.marks(), "+ -++++");
    assert_eq!(world.card().sources[0].last_good, Some(minutes_ago(600)));
    assert_eq!(world.card().sources[0].last_backup, Some(minutes_ago(12)));
    let (reason, _) = world.line(LineKind::Copies);
    assert!(
        reason.ends_with("vault lacks the newest snapshot of repos"),
        "{reason}"
    );
}

#[test]
fn a_copy_that_cannot_be_reached_is_unproven_and_not_missed() {
    let world = good().with(|world| {
        let vault = world.copy("vault");
        vault.unreachable = Some("connection refused".to_owned());
        let last = vault.snapshots.remove(0);
        let seen = SeenSnapshot {
            id: last.id,
            time: last.time,
        };
        vault.evidence.last_whole.insert(last.source, seen);
    });
    assert_eq!(world.marks(), "? ?++++");
    assert_eq!(world.card().met, Standing::Unproven);
    world.assert_line(
        LineKind::Copies,
        "2 of 3 whole and independent: here, offsite; vault cannot be reached: connection refused",
        "make vault reachable, then: strongroom sync",
    );
}

#[test]
fn what_was_not_looked_at_is_unproven() {
    let world = good().with(|world| world.facts = Facts::default());
    assert_eq!(world.marks(), "- ?????");
    let world = good().with(|world| {
        let reason = "its index cannot be read".to_owned();
        world.copy("vault").snapshots = vec![held("repos", 12, Wholeness::Unknown { reason })];
    });
    assert_eq!(world.marks(), "? ?++++");
}

#[test]
fn a_lock_counts_only_when_it_was_tried_of_late() {
    let locked =
        |proven: Option<Timestamp>| good().with(|world| world.copy("offsite").lock_proven = proven);
    assert_eq!(locked(Some(days_ago(30))).marks(), "+ +++++");
    assert_eq!(locked(Some(days_ago(31))).marks(), "+ +++?+");
    assert_eq!(locked(None).marks(), "+ +++?+");
    locked(None).assert_line(
        LineKind::Immutable,
        "offsite claims a lock of 30 d, never tried",
        "strongroom drill attack",
    );
    let never = World::of(&CONFIG.replace("lock = \"30d\"", ""));
    let never = never.with(|world| world.copy("offsite").lock_proven = None);
    assert_eq!(never.marks(), "+ +++-+");
    assert_eq!(
        never.line(LineKind::Immutable).0,
        "no copy withstands production's credentials",
    );
}

#[test]
fn a_proof_holds_for_files_that_are_locked_and_too_little_left_of_them_is_no_plan_that_is_met() {
    let locked = |short, unlocked| {
        good().with(|world| {
            world.copy("offsite").locked = Some(LockedFiles {
                until: now() + SignedDuration::from_hours(24 * 36),
                since: Some(days_ago(3)),
                short,
                unlocked,
            });
        })
    };
    assert_eq!(locked(0, 0).marks(), "+ +++++");
    assert_eq!(locked(0, 2).marks(), "+ +++?+");
    locked(0, 2).assert_line(
        LineKind::Immutable,
        "offsite has no lock that is known on 2 files that its snapshots need",
        "strongroom lock extend",
    );
    let short = locked(1, 0);
    assert_eq!(short.marks(), "+ +++++");
    assert_eq!(short.card().met, Standing::Unproven);
    let row = short.card().copies.into_iter();
    let alarms: Vec<_> = row.filter_map(|row| row.lock_alarm).collect();
    assert_eq!(
        alarms,
        ["less than 30 d is left of 1 file: strongroom lock extend"]
    );
}

#[test]
fn what_was_not_read_within_the_time_is_unproven() {
    let read = |days, share| {
        good().with(|world| {
            let evidence = &mut world.copy("vault").evidence;
            *evidence = Default::default();
            evidence.record_restore(rehearsed(12));
            evidence.record_verify(verify(days_ago(days), share), []);
        })
    };
    assert_eq!(read(7, Share::All).marks(), "+ +++++");
    assert_eq!(read(8, Share::All).marks(), "+ ++++?");
    assert_eq!(read(-1, Share::All).marks(), "+ ++++?");
    assert_eq!(read(0, Share::Percent(50)).marks(), "+ ++++?");
    read(8, Share::All).assert_line(
        LineKind::Errors,
        "vault was last read in full 8 d ago",
        "strongroom verify",
    );
    read(1, Share::Slice { number: 1, of: 2 }).assert_line(
        LineKind::Errors,
        "vault was never read in full",
        "strongroom verify",
    );
}

#[test]
fn unread_source_files_of_the_last_backup_are_an_error() {
    let world = good().with(|world| {
        for copy in world.facts.copies.values_mut() {
            copy.snapshots[0].source_errors = 4;
        }
    });
    assert_eq!(world.marks(), "+ ++++-");
    world.assert_line(
        LineKind::Errors,
        "the last backup of repos could not read 4 files",
        "mend what it named, then: strongroom backup repos",
    );
}

#[test]
fn an_old_backup_misses_the_greatest_age() {
    let aged = |minutes| {
        good().with(|world| {
            for copy in world.facts.copies.values_mut() {
                copy.snapshots = vec![held("repos", minutes, Wholeness::Whole)];
            }
        })
    };
    assert_eq!(aged(24 * 60).marks(), "+ +++++");
    assert_eq!(aged(24 * 60 + 1).marks(), "- +++++");
    let card = aged(50 * 60).card();
    let row = &card.sources[0];
    assert_eq!(row.finding.reason, "last good 2 d ago (at most 24 h)");
    assert_eq!(row.mend.as_deref(), Some("strongroom backup repos"));
}

#[test]
fn a_snapshot_that_claims_to_come_from_the_future_makes_nothing_fresh() {
    let world = good().with(|world| {
        for copy in world.facts.copies.values_mut() {
            copy.snapshots = vec![held("repos", -600, Wholeness::Whole)];
        }
    });
    assert_eq!(world.marks(), "- +++++");
    assert_eq!(
        world.card().sources[0].finding.reason,
        "no backup but one that claims to be 10 h ahead of this clock",
    );
}

#[test]
fn before_the_first_backup_everything_about_copies_is_missed() {
    let world = good().with(|world| {
        for copy in world.facts.copies.values_mut() {
            copy.snapshots.clear();
            copy.evidence = Default::default();
            copy.lock_proven = None;
        }
    });
    assert_eq!(world.marks(), "- ----?");
    let card = world.card();
    assert_eq!(
        card.sources[0].finding.reason,
        "never backed up (at most 24 h)"
    );
    world.assert_line(
        LineKind::Copies,
        "none of 3 is whole and independent; here holds no backup yet; vault holds no backup yet; \
         offsite holds no backup yet",
        "strongroom backup",
    );
}

#[test]
fn too_few_configured_copies_are_said_to_be_too_few() {
    let text = CONFIG.split("[[copy]]\nname = \"vault\"").next().unwrap();
    let world = World::of(text);
    assert_eq!(world.marks(), "- ----+");
    world.assert_line(
        LineKind::Copies,
        "1 of 3 whole and independent: here; 2 more are not configured",
        "add a [[copy]] on a device or server of its own to strongroom.toml",
    );
    let one = World::of(&format!("[plan]\ncopies = 1\n{text}"));
    assert_eq!(one.card().lines[0].title, "1 copy");
    assert_eq!(one.card().lines[0].finding.met, Standing::Met);
}

#[test]
fn one_source_that_is_old_keeps_the_whole_from_being_met() {
    let text = format!("[[source]]\nname = \"db\"\ncommand = [\"dump\"]\nas = \"db\"\n{CONFIG}");
    let world = World::of(&text);
    assert_eq!(world.marks(), "-+ +++++");
    assert_eq!(world.card().met, Standing::Missed);
}

#[test]
fn the_json_says_true_false_and_null() {
    let world = good().with(|world| {
        world.copy("offsite").lock_proven = None;
        world.copy("here").snapshots.clear();
    });
    let json = serde_json::to_value(world.card()).unwrap();
    assert_eq!(json["version"], 1);
    assert_eq!(json["met"], false);
    assert_eq!(json["lines"][0]["line"], "copies");
    assert_eq!(json["lines"][0]["met"], false);
    assert_eq!(json["lines"][3]["met"], serde_json::Value::Null);
    assert_eq!(json["lines"][4]["met"], true);
    assert_eq!(json["lines"][4]["mend"], serde_json::Value::Null);
    assert_eq!(json["copies"][1]["whole"]["met"], true);
    assert_eq!(json["copies"][2]["lock"]["state"], "claimed");
    assert_eq!(
        json["copies"][1]["store"],
        "rest:https://vault.example.net/acme/"
    );
    let keys: BTreeMap<String, serde_json::Value> =
        serde_json::from_value(json["sources"][0].clone()).unwrap();
    let keys: Vec<&str> = keys.keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "last_backup",
            "last_good",
            "max_age",
            "mend",
            "met",
            "name",
            "reason"
        ]
    );
}

#[test]
fn three_folders_beside_the_source_are_honestly_not_three_two_one() {
    let text = CONFIG
        .replace("rest:https://vault.example.net/acme/", "/b")
        .replace("rest:https://offsite.example.org/acme/", "/c")
        .replace("lock = \"30d\"", "");
    let world = World::of(&text).with(|world| {
        for copy in world.facts.copies.values_mut() {
            let devices = [DeviceId(1)].into();
            copy.location = Location::Folder {
                devices,
                in_memory: false,
            };
            copy.lock_proven = None;
            copy.evidence.forget_readings();
            copy.evidence
                .record_verify(verify(days_ago(6), Share::All), []);
        }
    });
    assert_eq!(world.marks(), "- ----?");
    let card = world.card();
    let row = &card.sources[0];
    let source = (row.finding.reason.as_str(), row.mend.as_deref());
    let lines = card.lines.iter();
    let lines = lines.map(|line| (line.finding.reason.as_str(), line.mend.as_deref()));
    let said: Vec<(&str, &str)> = [source]
        .into_iter()
        .chain(lines)
        .map(|(reason, mend)| (reason, mend.unwrap_or_default()))
        .collect();
    assert_eq!(
        said,
        [
            (
                "never good (at most 24 h); last backup 12 min ago",
                "what the lines below say: good means 3 copies, 2 media, 1 offsite",
            ),
            (
                "1 of 3 whole and independent: here; vault is on the device of here; offsite is on \
                 the device of here",
                "add a [[copy]] on a device or server of its own to strongroom.toml",
            ),
            (
                "all whole and independent copies are on disk",
                "add a [[copy]] with another medium than \"disk\" to strongroom.toml",
            ),
            (
                "here is on the device of source repos; vault is on the device of source repos; \
                 offsite is on the device of source repos",
                "add a [[copy]] on a server at another site and under another domain to \
                 strongroom.toml",
            ),
            (
                "no copy withstands production's credentials",
                "keep a copy where production's credentials cannot delete, and write its lock = \
                 \"30d\" in strongroom.toml",
            ),
            ("no restore drill yet", "strongroom drill restore"),
        ],
    );
}

#[test]
fn what_came_since_a_copy_was_read_is_told_and_is_not_called_read() {
    let unread = |files, bytes| Some(Unread { files, bytes });
    let said = |world: &World| world.line(LineKind::Errors).0;
    let same = good().with(|world| {
        for copy in ["here", "vault", "offsite"] {
            world.copy(copy).unread = unread(12, 3 * GB);
        }
    });
    assert_eq!(same.marks(), "+ +++++");
    assert!(
        said(&same).starts_with(
            "every byte read within 7 d but for 12 files (3 GB) a copy that came since; "
        ),
        "{}",
        said(&same)
    );
    let one = good().with(|world| world.copy("vault").unread = unread(1, GB));
    assert!(said(&one).starts_with(
        "every byte read within 7 d but for up to 1 file (1 GB) a copy that came since; "
    ));
    // Once it could be older than the plan allows, the rule for what was never read holds.
    let old = same.with(|world| {
        let evidence = &mut world.copy("vault").evidence;
        *evidence = Default::default();
        evidence.record_restore(rehearsed(12));
        evidence.record_verify(verify(days_ago(8), Share::All), []);
    });
    assert_eq!(old.marks(), "+ ++++?");
    assert_eq!(said(&old), "vault was last read in full 8 d ago");
    let unknown = good().with(|world| world.copy("vault").unread = None);
    unknown.assert_line(
        LineKind::Errors,
        "it is not known what came to vault since it was read",
        "strongroom verify",
    );
    assert_eq!(unknown.marks(), "+ ++++?");
}
