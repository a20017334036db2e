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
fn a_lock_by_date_binds_whoever_rules_the_place_and_a_vault_does_not() {
    let until = Some(days_ago(-45));
    let held = [name("offsite-account")].into();
    let by_date = drilled(2, Verdict::Proven { until }).card().blast;
    assert!(by_date.outcome(held).destroyed.is_empty());
    let held = [name("offsite-account")].into();
    let by_vault = drilled(2, Verdict::Proven { until: None }).card().blast;
    assert_eq!(by_vault.outcome(held).destroyed, [name("offsite")]);
}

#[test]
fn the_json_of_a_copy_tells_what_was_shown() {
    let json = serde_json::to_value(drilled(2, Verdict::DeniedNotProven).card()).unwrap();
    let lock = &json["copies"][2]["lock"];
    assert_eq!(lock["state"], "refuted");
    assert_eq!(lock["verdict"]["answer"], "denied-not-proven");
}
