//! What rehearsed restores count for, copy by copy, and which drills are due.

use super::*;
use crate::evidence::CopyEvidence;

fn with_drill(copy: &str, drill: RestoreDrill) -> World {
    good().with(|world| world.copy(copy).evidence.record_restore(drill))
}

#[test]
fn a_restore_must_be_rehearsed_of_late_from_each_copy_and_match() {
    assert_eq!(with_drill("vault", rehearsed(30)).marks(), "+ +++++");
    let late = with_drill("vault", rehearsed(31));
    assert_eq!(late.marks(), "+ ++++?");
    late.assert_line(
        LineKind::Errors,
        "last restore drill of vault 31 d ago",
        "strongroom drill restore --copy vault",
    );
    let wrong = RestoreDrill {
        matched: false,
        ..rehearsed(1)
    };
    let wrong = with_drill("vault", wrong);
    assert_eq!(wrong.marks(), "+ ++++-");
    wrong.assert_line(
        LineKind::Errors,
        "the restore drill of vault 24 h ago did not match",
        "strongroom verify, then: strongroom sync, then: strongroom drill restore --copy vault",
    );
    let never = good().with(|world| {
        for copy in world.facts.copies.values_mut() {
            let mut evidence = CopyEvidence::default();
            evidence.record_verify(verify(days_ago(6), Share::All), []);
            copy.evidence = evidence;
        }
    });
    assert_eq!(never.marks(), "+ ++++?");
    never.assert_line(
        LineKind::Errors,
        "no restore drill yet",
        "strongroom drill restore",
    );
    let others = never.with(|world| world.copy("here").evidence.record_restore(rehearsed(40)));
    others.assert_line(
        LineKind::Errors,
        "last restore drill of here 40 d ago; no restore drill of vault, offsite yet",
        "strongroom drill restore",
    );
}

#[test]
fn what_restic_or_a_check_found_wrong_is_missed_too() {
    let restic = RestoreDrill {
        restic: Some(false),
        ..rehearsed(1)
    };
    let restic = with_drill("here", restic);
    assert_eq!(restic.marks(), "+ ++++-");
    restic.assert_line(
        LineKind::Errors,
        "the restore drill of here 24 h ago was not matched by stock restic",
        "strongroom drill restore --copy here",
    );
    let check = RestoreDrill {
        check: Some(false),
        ..rehearsed(1)
    };
    assert_eq!(with_drill("here", check).marks(), "+ ++++-");
}

#[test]
fn the_drill_that_is_the_longest_ago_is_the_one_that_is_told() {
    let part = RestoreDrill {
        share: Share::Slice { number: 3, of: 20 },
        ..rehearsed(20)
    };
    let said = with_drill("offsite", part).line(LineKind::Errors).0;
    assert!(
        said.ends_with("; restore drill 20 d ago: 41 GB in 9 min, part 3 of 20"),
        "{said}"
    );
}

#[test]
fn a_source_without_a_snapshot_is_not_due_and_one_with_some_is() {
    let text = format!("[[source]]\nname = \"db\"\ncommand = [\"dump\"]\nas = \"db\"\n{CONFIG}");
    let none = World::of(&text);
    assert_eq!(none.line(LineKind::Errors).1, None);
    let some = none.with(|world| {
        let held = held("db", 12, Wholeness::Whole);
        world.copy("offsite").snapshots.push(held);
    });
    some.assert_line(
        LineKind::Errors,
        "no restore drill of here (db), vault (db), offsite (db) yet",
        "strongroom drill restore",
    );
}

#[test]
fn a_copy_that_is_away_is_to_be_made_reachable_before_its_drill() {
    let away = with_drill("vault", rehearsed(31)).with(|world| {
        let vault = world.copy("vault");
        vault.unreachable = Some("connection refused".to_owned());
    });
    away.assert_line(
        LineKind::Errors,
        "last restore drill of vault 31 d ago",
        "make vault reachable, then: strongroom drill restore --copy vault",
    );
}

#[test]
fn what_an_earlier_version_noted_of_no_copy_proves_none_and_may_refute() {
    let noted = |matched| {
        good().with(|world| {
            world.copy("vault").evidence.forget_readings();
            let vault = &mut world.copy("vault").evidence;
            vault.record_verify(verify(days_ago(6), Share::All), []);
            world.facts.restore_drill = Some(RestoreDrill {
                matched,
                ..rehearsed(1)
            });
        })
    };
    noted(true).assert_line(
        LineKind::Errors,
        "no restore drill of vault yet",
        "strongroom drill restore --copy vault",
    );
    let refuted = noted(false);
    assert_eq!(refuted.marks(), "+ ++++-");
    assert!(
        refuted
            .line(LineKind::Errors)
            .0
            .starts_with("the restore drill 24 h ago did not match; ")
    );
}

#[test]
fn a_lock_that_is_due_to_be_tried_is_told_beside_one_that_was() {
    let world = good().with(|world| world.copy("vault").lock_proven = Some(days_ago(31)));
    assert_eq!(world.marks(), "+ +++++");
    assert_eq!(
        world.line(LineKind::Immutable).0,
        "offsite withstood production's credentials; vault was last tried 31 d ago: strongroom \
         drill attack --copy vault"
    );
}
