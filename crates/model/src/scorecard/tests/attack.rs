//! What a drill has shown, as the scorecard takes it.

use super::*;
use crate::attack::{AttackDrill, Verdict};

fn drilled(days: i64, verdict: Verdict) -> World {
    tried(good(), days, verdict)
}

/// A world after a drill of the copy `offsite` so many days ago.
pub(super) fn tried(world: World, days: i64, verdict: Verdict) -> World {
    world.with(|world| {
        let offsite = world.copy("offsite");
        let drill = AttackDrill {
            at: days_ago(days),
            verdict,
            principal: None,
            credential: None,
            receipt: None,
        };
        offsite.lock_proven = drill.proven_at();
        offsite.evidence.attack = Some(drill);
    })
}

#[test]
fn a_copy_that_was_tried_and_fell_is_no_longer_a_claim() {
    for (verdict, said) in [
        (Verdict::Destroyable, "not proven: destroyable"),
        (Verdict::DeniedNotProven, "denied, lock not proven"),
        (Verdict::NotProven, "not proven"),
    ] {
        let world = drilled(2, verdict);
        assert_eq!(world.marks(), "+ +++-+", "{verdict:?}");
        let reason = world.line(LineKind::Immutable).0;
        assert_eq!(reason, format!("offsite was tried 2 d ago: {said}"));
        // Later it is what the configuration claims, until somebody tries again.
        assert_eq!(drilled(31, verdict).marks(), "+ +++?+", "{verdict:?}");
    }
    assert_eq!(
        drilled(2, Verdict::Proven { until: None }).marks(),
        "+ +++++"
    );
    assert_eq!(
        drilled(31, Verdict::Proven { until: None }).marks(),
        "+ +++?+"
    );
}

#[test]
fn what_one_credential_has_shown_says_nothing_of_another() {
    let text = CONFIG.replace("https://offsite", "https://u:hunter2@offsite");
    let tried_with = |password: &str| {
        let world = tried(World::of(&text), 2, Verdict::Proven { until: None });
        world.with(|world| {
            let used = crate::blast::Exposure::credential_of("u", password);
            let drill = world.copy("offsite").evidence.attack.as_mut();
            drill.unwrap().credential = Some(used);
        })
    };
    let lock = |world: &World| world.card().copies[2].lock;
    assert!(matches!(
        lock(&tried_with("hunter2")),
        LockState::Proven { .. }
    ));
    let other = tried_with("hunter3");
    assert!(matches!(lock(&other), LockState::Stale { .. }));
    // What it is made of is in no report.
    let used = crate::blast::Exposure::credential_of("u", "hunter3");
    let json = serde_json::to_string(&other.card()).unwrap();
    assert!(!json.contains(&used.to_string()), "{json}");
}

#[test]
fn what_was_proven_of_a_server_does_not_bind_whoever_has_its_disks() {
    // Whatever is said of dates: a cloud's lock is looked at beside the buckets.
    for until in [Some(days_ago(-45)), None] {
        let blast = drilled(2, Verdict::Proven { until }).card().blast;
        let held = [name("offsite-account")].into();
        assert_eq!(blast.outcome(held).destroyed, [name("offsite")]);
        let held = [name("production")].into();
        assert!(blast.outcome(held).surviving.contains(&name("offsite")));
    }
}

#[test]
fn the_json_of_a_copy_tells_what_was_shown() {
    let json = serde_json::to_value(drilled(2, Verdict::DeniedNotProven).card()).unwrap();
    let lock = &json["copies"][2]["lock"];
    assert_eq!(lock["state"], "refuted");
    assert_eq!(lock["verdict"]["answer"], "denied-not-proven");
}
