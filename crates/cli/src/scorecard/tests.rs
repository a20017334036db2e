//! The face, letter by letter.

use jiff::SignedDuration;
use strongroom_model::Id;
use strongroom_model::attack::{AttackDrill, Verdict};
use strongroom_model::evidence::{Listing, RestoreDrill, SeenSnapshot, Share, Verify};
use strongroom_model::scorecard::{
    CopyFacts, DeviceId, Facts, HeldSnapshot, Location, LockedFiles, SourceFacts, Wholeness,
};

use super::*;
use crate::exit::Exit;

const CONFIG: &str = r#"
[[source]]
name = "repos"
path = "/srv/git"

[[source]]
name = "shop-db"
command = ["pg_dump", "shop"]
as = "shop.dump"

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
lock = "30d"

[[copy]]
name = "offsite"
store = "rest:https://offsite.example.org/acme/"
medium = "object"
site = "eu-central-1"
domain = "offsite-account"
lock = "30d"
"#;

fn now() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

fn ago_hours(hours: i64) -> Timestamp {
    now() - SignedDuration::from_hours(hours)
}

/// The state of the world in which everything is met.
fn good(config: &Config) -> Facts {
    let mut facts = Facts::default();
    for source in &config.sources {
        let devices = [DeviceId(1)].into();
        facts
            .sources
            .insert(source.name.clone(), SourceFacts { devices });
    }
    for copy in &config.copies {
        let mut found = CopyFacts::of(copy);
        match &mut found.location {
            Location::Folder { devices, .. } => *devices = [DeviceId(2)].into(),
            Location::Server { here, .. } => *here = Some(false),
        }
        let snapshots = config.sources.iter().map(|source| HeldSnapshot {
            source: source.name.clone(),
            id: Id::of(source.name.as_str().as_bytes()),
            time: now() - SignedDuration::from_mins(12),
            source_errors: 0,
            wholeness: Wholeness::Whole,
        });
        found.snapshots = snapshots.collect();
        let verify = Verify {
            at: ago_hours(3),
            by: match copy.name.as_str() {
                "vault" => Verifier::Vault,
                _ => Verifier::Us,
            },
            share: Share::All,
            decoded: false,
        };
        found.unread = Some(Default::default());
        found.evidence.record_verify(verify, []);
        found.evidence.listing = Some(Listing {
            at: now(),
            files: 7,
            bytes: 41_000_000_000,
        });
        for source in &config.sources {
            found.evidence.record_restore(RestoreDrill {
                at: ago_hours(12 * 24),
                source: source.name.clone(),
                bytes: 41_000_000_000,
                seconds: 540,
                matched: true,
                copy: Some(copy.name.clone()),
                snapshot: None,
                share: Share::All,
                restic: None,
                check: None,
            });
        }
        found.evidence.attack = copy.lock.map(|_| attacked(Verdict::Proven { until: None }));
        found.lock_proven = copy.lock.map(|_| ago_hours(50));
        facts.copies.insert(copy.name.clone(), found);
    }
    facts
}

fn attacked(verdict: Verdict) -> AttackDrill {
    AttackDrill {
        at: ago_hours(50),
        verdict,
        principal: None,
        credential: None,
        receipt: None,
    }
}

fn plain(facts: &Facts, config: &Config) -> String {
    let card = Scorecard::judge(config, facts, now());
    anstream::adapter::strip_str(&render(&card, config)).to_string()
}

fn config() -> Config {
    Config::parse(CONFIG, &|_| None).unwrap()
}

#[test]
fn where_all_is_met_the_face_says_so_and_no_more() {
    let config = config();
    let expected = "\
repos    last good 12 min ago (at most 24 h)  ok
shop-db  last good 12 min ago (at most 24 h)  ok

copy     medium  site          domain           newest      bytes
here     disk    fra-1         production       12 min ago  41 GB
vault    disk    ams-2         vault-team       12 min ago  41 GB
offsite  object  eu-central-1  offsite-account  12 min ago  41 GB

copy     whole  verified           lock          attack drill  restore drill
here     yes    3 h ago, by us     none          never         12 d ago
vault    yes    3 h ago, by vault  30 d, proven  2 d ago       12 d ago
offsite  yes    3 h ago, by us     30 d, proven  2 d ago       12 d ago

3 copies     met  3 whole and independent: here, vault, offsite
2 media      met  disk, object
1 offsite    met  vault, offsite
1 immutable  met  vault, offsite withstood production's credentials
0 errors     met  every byte read within 7 d; restore drill 12 d ago: 41 GB in 9 min
Whoever holds production destroys 1 of 3 copies. No single domain destroys all.
";
    let squeezed = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let shown = plain(&good(&config), &config);
    for (shown, expected) in squeezed(&shown).iter().zip(squeezed(expected)) {
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words(shown), words(&expected));
    }
    assert_eq!(shown.lines().count(), expected.lines().count());
}

#[test]
fn only_a_plan_that_is_met_ends_with_0_and_what_is_only_unproven_with_3() {
    let config = config();
    let exit = |change: &dyn Fn(&mut Facts)| {
        let mut facts = good(&config);
        change(&mut facts);
        Exit::of_plan(Scorecard::judge(&config, &facts, now()).met).code()
    };
    let vault = |facts: &mut Facts, change: &dyn Fn(&mut CopyFacts)| {
        change(facts.copies.get_mut("vault").unwrap());
    };
    assert_eq!(exit(&|_| {}), 0);
    // One line is unproven, and none is missed.
    let never_drilled = |copy: &mut CopyFacts| {
        let verified = copy.evidence.last_verify.clone().unwrap();
        copy.evidence.forget_readings();
        copy.evidence.record_verify(verified, []);
    };
    assert_eq!(exit(&|facts| vault(facts, &never_drilled)), 3);
    let away = |copy: &mut CopyFacts| {
        copy.unreachable = Some("it does not answer".to_owned());
        copy.evidence.last_whole = copy
            .snapshots
            .drain(..)
            .map(|held| {
                let (id, time) = (held.id, held.time);
                (held.source, SeenSnapshot { id, time })
            })
            .collect();
    };
    assert_eq!(exit(&|facts| vault(facts, &away)), 3);
    // What is missed is worse than what is unproven, whichever comes first.
    assert_eq!(
        exit(&|facts| vault(facts, &|copy| copy.snapshots.clear())),
        1
    );
    let both = |facts: &mut Facts| {
        vault(facts, &never_drilled);
        vault(facts, &|copy| copy.snapshots.clear());
    };
    assert_eq!(exit(&both), 1);
}

#[test]
fn a_copy_that_lags_is_told_with_the_step_that_mends_it() {
    let config = config();
    let mut facts = good(&config);
    let vault = facts.copies.get_mut("vault").unwrap();
    vault.snapshots.clear();
    vault.lock_proven = None;
    let shown = plain(&facts, &config);
    assert!(
        shown.contains("\nvault    no     3 h ago, by vault  30 d, claimed  "),
        "{shown}"
    );
    assert!(shown.contains("\n3 copies     missed  "), "{shown}");
    let (_, mends) = shown.split_once("\nWhat would mend it\n").unwrap();
    assert!(mends.contains("3 copies"), "{shown}");
    assert!(mends.contains("strongroom sync"), "{shown}");
}

#[test]
fn a_lock_is_told_with_the_day_on_which_it_ends_and_too_little_of_it_is_an_alarm() {
    let config = config();
    let mut facts = good(&config);
    let locked = |short, unlocked| {
        Some(LockedFiles {
            until: "2026-12-29T10:00:00Z".parse().unwrap(),
            since: None,
            short,
            unlocked,
        })
    };
    let exit = |facts: &Facts| Exit::of_plan(Scorecard::judge(&config, facts, now()).met).code();
    facts.copies.get_mut("offsite").unwrap().locked = locked(0, 0);
    let shown = plain(&facts, &config);
    assert!(
        shown.contains("  to 2026-12-29, proven  2 d ago  "),
        "{shown}"
    );
    assert_eq!(exit(&facts), 0);

    let alarm = "ALARM offsite: less than 30 d is left of 12 files: strongroom lock extend";
    facts.copies.get_mut("offsite").unwrap().locked = locked(12, 0);
    let shown = plain(&facts, &config);
    assert!(shown.contains(alarm), "{shown}");
    assert_eq!(exit(&facts), 3);

    facts.copies.get_mut("offsite").unwrap().locked = locked(0, 1);
    let shown = plain(&facts, &config);
    assert!(shown.contains("  not on 1 file  "), "{shown}");

    let offsite = facts.copies.get_mut("offsite").unwrap();
    (offsite.locked, offsite.lock_proven) = (locked(0, 0), None);
    let shown = plain(&facts, &config);
    assert!(shown.contains("  to 2026-12-29, claimed  "), "{shown}");
}

#[test]
fn each_row_says_when_the_copy_was_drilled_and_fits_a_page() {
    let config = config();
    let mut facts = good(&config);
    let offsite = facts.copies.get_mut("offsite").unwrap();
    offsite.evidence.attack = Some(attacked(Verdict::DeniedNotProven));
    let source = &config.sources[0].name;
    let mut wrong = offsite.evidence.restore(source).unwrap().clone();
    (wrong.matched, wrong.at) = (false, ago_hours(20 * 24));
    offsite.evidence.record_restore(wrong);
    let vault = facts.copies.get_mut("vault").unwrap();
    (vault.evidence.attack, vault.lock_proven) = (None, None);
    let shown = plain(&facts, &config);
    let rows = [
        "\noffsite  yes    3 h ago, by us     30 d, denied, lock not proven  2 d ago       20 d ago, FAILED\n",
        "\nvault    yes    3 h ago, by vault  30 d, claimed                  never         12 d ago\n",
    ];
    for row in rows {
        assert!(shown.contains(row), "{shown}");
        assert!(row.trim().len() <= 100, "{row}");
    }
    // A source of which no restore was ever rehearsed there.
    let here = facts.copies.get_mut("here").unwrap();
    let kept = here.evidence.restore(source).unwrap().clone();
    here.evidence.forget_readings();
    here.evidence.record_restore(kept);
    let shown = plain(&facts, &config);
    assert!(
        shown.contains("never         12 d ago, not all\n"),
        "{shown}"
    );
}

#[test]
fn whoever_holds_every_copy_is_named() {
    let text = CONFIG
        .replace("vault-team", "production")
        .replace("offsite-account", "production");
    let config = Config::parse(&text, &|_| None).unwrap();
    let mut facts = good(&config);
    for copy in facts.copies.values_mut() {
        copy.lock_proven = None;
    }
    let shown = plain(&facts, &config);
    let expected = "Whoever holds production destroys 3 of 3 copies. \
                    A single domain destroys all: production.";
    assert!(shown.contains(expected), "{shown}");
}
