//! What the word of a vault counts for, and what raises or refutes it.

use super::*;
use crate::evidence::{SaidWhole, VaultWord};
use crate::vault::Scrub;

/// A world in which the copy `vault` was read by its vault alone, an hour ago.
fn scrubbed() -> World {
    good().with(|world| {
        let vault = world.copy("vault");
        vault.evidence = Default::default();
        vault.evidence.record_restore(rehearsed(12));
        vault.unread = None;
        let mut word = VaultWord::asked(minutes_ago(0));
        word.scrub = Some(Scrub {
            all_read: Some(minutes_ago(60)),
            objects_read: 41,
            rotten: 0,
        });
        vault.evidence.by_vault = Some(word);
    })
}

fn word(world: &mut World) -> &mut VaultWord {
    world.copy("vault").evidence.by_vault.as_mut().unwrap()
}

#[test]
fn a_vault_that_reads_its_own_disk_is_named_and_claims_nothing_of_what_came_since() {
    let world = scrubbed();
    assert_eq!(world.marks(), "+ +++++");
    let row = &world.card().copies[1];
    assert_eq!(row.last_verify, Some(minutes_ago(60)));
    assert_eq!(row.verified_by, Some(Verifier::Vault));
    assert_eq!(
        world.line(LineKind::Errors).0,
        "every byte read within 7 d (on vault by the vault itself, and but for what came there \
         since); restore drill 12 d ago: 41 GB in 9 min"
    );
    let old = scrubbed().with(|world| {
        word(world).scrub.as_mut().unwrap().all_read = Some(days_ago(8));
    });
    assert_eq!(old.marks(), "+ ++++?");
    let never = scrubbed().with(|world| word(world).scrub.as_mut().unwrap().all_read = None);
    assert_eq!(never.marks(), "+ ++++?");
    assert_eq!(never.card().copies[1].verified_by, None);
}

#[test]
fn rot_that_a_vault_finds_makes_its_copy_no_copy() {
    let world = scrubbed().with(|world| word(world).scrub.as_mut().unwrap().rotten = 2);
    assert_eq!(world.marks(), "- -+++-");
    assert_eq!(
        world.card().copies[1].whole.reason,
        "holds 2 rotten files, as its vault says"
    );
    let (reason, mend) = world.line(LineKind::Errors);
    assert!(
        reason.starts_with("the vault of vault has found 2 rotten files"),
        "{reason}"
    );
    assert_eq!(
        mend.as_deref(),
        Some("strongroom verify, then: strongroom sync")
    );
}

#[test]
fn a_vault_can_refute_that_it_is_whole_and_its_yes_adds_nothing() {
    let said = |whole, missing| SaidWhole {
        at: minutes_ago(1),
        snapshot: held("repos", 12, Wholeness::Whole).id,
        whole,
        missing,
    };
    let with = |said: SaidWhole| {
        scrubbed().with(|world| {
            word(world).snapshots.insert(name("repos"), said);
        })
    };
    assert_eq!(with(said(Some(true), 0)).marks(), "+ +++++");
    assert_eq!(with(said(None, 0)).marks(), "+ +++++");
    let refuted = with(said(Some(false), 3));
    assert_eq!(refuted.marks(), "- -++++");
    assert_eq!(
        refuted.card().copies[1].whole.reason,
        "lacks 3 files of repos, as its vault says"
    );
    let lagging = with(said(Some(true), 0)).with(|world| {
        world.copy("vault").snapshots = vec![held("repos", 12, Wholeness::Behind { files: 1 })];
    });
    assert_eq!(lagging.marks(), "- -++++");
}

#[test]
fn after_an_alarm_a_vault_vouches_for_nothing_until_somebody_accepts() {
    let world = scrubbed().with(|world| {
        world.copy("vault").alarm = Some("The log vault.example/log was rewritten".to_owned());
    });
    assert_eq!(world.marks(), "+ ++++-");
    let card = world.card();
    assert_eq!(card.met, Standing::Missed);
    assert!(card.copies[1].alarm.is_some());
    assert_eq!(card.copies[1].verified_by, None);
    let (reason, mend) = world.line(LineKind::Errors);
    assert!(
        reason.starts_with("alarm about the vault of vault: The log vault.example/log was rewr"),
        "{reason}"
    );
    assert!(
        mend.unwrap()
            .ends_with("only then: strongroom vault accept-log vault")
    );
}

#[test]
fn a_vault_in_productions_account_is_production_whatever_it_is_called() {
    let world = good().with(|world| {
        for copy in ["vault", "offsite"] {
            world.copy(copy).in_production = Some("aws:123456789012".parse().unwrap());
        }
    });
    assert_eq!(world.marks(), "- ++-++");
    let row = &world.card().copies[1];
    assert_eq!(row.domain, name("production"));
    assert_eq!(
        row.domain_reason.as_deref(),
        Some(
            "configured as vault-team; its vault runs in production's own account, \
             aws:123456789012"
        )
    );
    assert_eq!(
        row.offsite.reason,
        "is in production's own account, aws:123456789012, whatever it is called"
    );
    let here = &world.card().copies[0];
    assert_eq!(
        (&here.domain, &here.domain_reason),
        (&name("production"), &None)
    );
}

#[test]
fn a_vault_whose_objects_lie_in_productions_account_is_production_wherever_it_runs() {
    let world = good().with(|world| {
        for copy in ["vault", "offsite"] {
            let copy = world.copy(copy);
            copy.runs_in = Some("aws:999999999999".parse().unwrap());
            copy.objects_in = vec!["aws:123456789012".parse().unwrap()];
            copy.objects_in_production = Some("aws:123456789012".parse().unwrap());
        }
    });
    assert_eq!(world.marks(), "- ++-++");
    let row = &world.card().copies[1];
    assert_eq!(row.domain, name("production"));
    assert_eq!(
        row.domain_reason.as_deref(),
        Some(
            "configured as vault-team; its objects lie in production's own account, \
             aws:123456789012"
        )
    );
    assert_eq!(
        row.offsite.reason,
        "keeps its objects in production's own account, aws:123456789012"
    );
}
