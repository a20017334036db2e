//! What was found wrong, and what would mend it.

use super::*;

#[test]
fn damage_is_an_error_and_the_copy_does_not_count() {
    let world = good().with(|world| {
        let found = ["data/a", "data/b", "data/c", "index/d"];
        let found = found.map(|file| (file.to_owned(), "wrong".to_owned()));
        world
            .copy("here")
            .evidence
            .record_verify(verify(days_ago(1), Share::All), found);
    });
    assert_eq!(world.marks(), "- -+++-");
    world.assert_line(
        LineKind::Errors,
        "damaged on here: data/a, data/b, data/c and 1 more",
        "strongroom sync",
    );
}

#[test]
fn what_only_decoding_finds_is_healed_by_no_sync() {
    let world = |decoded: &[&str]| {
        good().with(|world| {
            let evidence = &mut world.copy("here").evidence;
            for file in ["data/a", "data/b"] {
                evidence.record_damage(days_ago(1), file.to_owned(), "wrong".to_owned());
            }
            for file in decoded {
                evidence.record_decoded(file);
            }
        })
    };
    let mends = |decoded: &[&str], mend: &str| {
        world(decoded).assert_line(LineKind::Errors, "damaged on here: data/a, data/b", mend);
    };
    mends(&["data/a"], "strongroom sync");
    mends(
        &["data/a", "data/b"],
        "nothing heals it, for it was written so; strongroom backup stores again what the sources \
         still have",
    );
}

#[test]
fn what_no_copy_has_whole_is_healed_by_no_sync() {
    let damaged_on = |copies: &[&str]| {
        good().with(|world| {
            for copy in copies {
                let evidence = &mut world.copy(copy).evidence;
                evidence.record_damage(days_ago(1), "data/a".to_owned(), "wrong".to_owned());
            }
        })
    };
    let some = "damaged on here: data/a; damaged on vault: data/a";
    damaged_on(&["here", "vault"]).assert_line(LineKind::Errors, some, "strongroom sync");
    damaged_on(&["here", "vault", "offsite"]).assert_line(
        LineKind::Errors,
        "damaged on here: data/a; damaged on vault: data/a; damaged on offsite: data/a",
        "no copy has that whole: strongroom backup stores again what the sources still have, and \
         strongroom sync says what else there is to do",
    );
}

#[test]
fn another_repository_that_was_there_before_is_an_error_before_all_others() {
    let world = good().with(|world| {
        let replaced = |number: u32| Replaced {
            reason: format!("repository {number} was there before"),
            mend: format!("bring back {number}"),
        };
        world.facts.replaced = vec![replaced(1), replaced(2)];
        world.facts.lost = Some(LostFiles {
            reason: "data/a is lost".to_owned(),
            mend: "find out".to_owned(),
            is_certain: true,
        });
    });
    assert_eq!(world.marks(), "+ ++++-");
    world.assert_line(
        LineKind::Errors,
        "repository 1 was there before; repository 2 was there before; data/a is lost",
        "bring back 1",
    );
}

#[test]
fn what_one_copy_alone_has_lost_is_an_error_though_its_newest_snapshot_is_whole() {
    let lost = |is_pruned| {
        let gone = Some(Gone {
            files: 10,
            is_pruned,
        });
        let world = good().with(|world| world.copy("vault").gone = gone);
        assert_eq!(world.marks(), "+ ++++-");
        world.line(LineKind::Errors)
    };
    let reason = "vault has lost 10 index files and snapshots that others have";
    assert_eq!(
        lost(false),
        (reason.to_owned(), Some("strongroom sync".to_owned()))
    );
    let (pruned, mend) = lost(true);
    assert_eq!(pruned, format!("{reason}, as if it was pruned by itself"));
    let heal = "strongroom sync --heal, unless that was meant";
    assert_eq!(mend.as_deref(), Some(heal));
}
