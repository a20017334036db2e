//! What is done in an emergency, or every minute, reads no more than what it is about.

use strongroom_model::{FileName, FileType, Id};
use strongroom_vault::Result;
use strongroom_vault::database::{Transaction, Value, migrate};
use strongroom_vault::records::listing::{self, List};
use strongroom_vault::records::objects::{self, Key, View};
use strongroom_vault::records::under_way::{Deed, UnderWay};
use strongroom_vault::records::{
    SCHEMA, hiding, hours, needs, notices, purging, shown, tally, tokens, tombstones,
};
use strongroom_vault::rules::life::{Delete, Object, State};

use crate::database::{Scene, Telling, both};

both! {
    hiding_reads_what_the_token_has_put_and_nothing_else
    hours_of_a_month_are_kept_and_older_ones_go
    one_life_of_many_is_found_by_one_look
    pages_read_what_they_show_and_nothing_else
    purges_that_have_begun_are_found_without_reading_the_rest
    what_a_receipt_needs_is_found_without_reading_what_others_name
    what_is_to_be_sent_is_found_without_reading_what_was_told_before
}

/// How a statement would be run.
fn explain(
    transaction: &mut dyn Transaction,
    is_sqlite: bool,
    statement: &str,
    values: &[Value<'_>],
) -> Result<String> {
    let (explain, column) = match is_sqlite {
        true => ("EXPLAIN QUERY PLAN", 3),
        false => ("EXPLAIN", 0),
    };
    let mut plan = String::new();
    let explained = format!("{explain} {statement}");
    transaction.query(&explained, values, &mut |row| {
        plan.push_str(&row.text(column)?);
        plan.push('\n');
        Ok(())
    })?;
    Ok(plan)
}

/// How the statements of some work are run, where nothing is known of how much there is.
fn plans(
    scene: &Scene,
    work: impl Fn(&mut dyn Transaction) -> Result<()>,
) -> Vec<(String, String)> {
    let database = scene.open_bare();
    migrate(&*database, SCHEMA).unwrap();
    let is_sqlite = matches!(scene, Scene::Sqlite(_));
    let mut plans = Vec::new();
    let key = |content: &[u8]| Key::new(1, FileName::new(FileType::Data, Id::of(content)));
    let object = Object {
        generation: 1,
        bytes: 10,
        state: State::Live,
        token: 1,
        began: 0,
        ended: None,
        arrived_ms: 0,
        tombstoned_ms: None,
    };
    database
        .write(&mut |transaction| {
            objects::insert(transaction, &key(b"his own"), &object)?;
            objects::insert(transaction, &key(b"of both"), &object)?;
            objects::add_putter(transaction, &key(b"of both"), 2)?;
            if !is_sqlite {
                // Of a table of two rows it would read both.
                transaction.define("SET LOCAL enable_seqscan = off")?;
            }
            plans.clear();
            work(&mut Telling::new(
                transaction,
                |asked, statement, values| {
                    let plan = explain(asked, is_sqlite, statement, values)?;
                    plans.push((statement.to_owned(), plan));
                    Ok(())
                },
            ))
        })
        .unwrap();
    plans
}

fn hiding_reads_what_the_token_has_put_and_nothing_else(scene: &Scene) {
    let plans = plans(scene, |transaction| {
        let act = |deed| UnderWay::of_token(deed, (1, "thief"), 0, 100);
        let hidden = hiding::hide(transaction, &act(Deed::Hide), 9)?;
        assert_eq!((hidden.objects, hidden.others, hidden.next), (1, 1, None));
        assert!(hiding::is_any_hidden(transaction, 1, 0)?);
        let shown = hiding::unhide(transaction, &act(Deed::Unhide), 10)?;
        assert_eq!((shown.objects, shown.next), (1, None));
        Ok(())
    });
    let of_token: Vec<_> = plans
        .iter()
        .filter(|(statement, _)| statement.contains("token = $1"))
        .collect();
    assert!(of_token.len() > 8, "{plans:?}");
    for (statement, plan) in of_token {
        let is_narrow = plan.contains("_of_token") || plan.contains("object_hidden");
        assert!(is_narrow, "{statement}\n{plan}");
    }
    let deletes = plans
        .iter()
        .filter(|(statement, _)| statement.starts_with("DELETE FROM putter"));
    for (statement, plan) in deletes {
        let is_wide = plan.contains("SCAN putter") || plan.contains("Seq Scan on putter");
        assert!(!is_wide, "{statement}\n{plan}");
    }
}

fn one_life_of_many_is_found_by_one_look(scene: &Scene) {
    let plans = plans(scene, |transaction| {
        let list = List {
            repository: 1,
            kind: FileType::Data,
            leaves: 5,
        };
        listing::page(transaction, list, None, 10)?;
        let key = Key::new(1, FileName::new(FileType::Data, Id::of(b"his own")));
        tombstones::make(transaction, &key, Delete::Ends, 7, 0, 1)?;
        let before_all = View::AsOf(0);
        assert_eq!(objects::seen(transaction, &key, before_all)?, None);
        Ok(())
    });
    let of_past: Vec<_> = plans
        .iter()
        .filter(|(statement, _)| statement.contains("FROM past"))
        .collect();
    assert_eq!(of_past.len(), 2, "{plans:?}");
    for (statement, plan) in of_past {
        assert!(plan.contains("past_by_end"), "{statement}\n{plan}");
    }
}

fn purges_that_have_begun_are_found_without_reading_the_rest(scene: &Scene) {
    let plans = plans(scene, |transaction| {
        assert_eq!(purging::begun(transaction, 1, 10)?, []);
        Ok(())
    });
    let [(_, plan)] = plans.as_slice() else {
        panic!("{plans:?}");
    };
    assert!(plan.contains("object_purging"), "{plan}");
}

fn what_a_receipt_needs_is_found_without_reading_what_others_name(scene: &Scene) {
    let plans = plans(scene, |transaction| {
        for kind in [FileType::Data, FileType::Index] {
            assert!(!needs::is_any_needed(transaction, 1, 7, kind)?);
        }
        assert!(!needs::is_any_gone(transaction, 1, 7)?);
        assert_eq!(needs::count_lacking(transaction, 1, 7)?, 0);
        Ok(())
    });
    assert_eq!(plans.len(), 7, "{plans:?}");
    for (statement, plan) in plans {
        let is_wide = plan.contains("need_of_lineage") || plan.contains("need_lacking ");
        assert!(plan.contains("_by_end") && !is_wide, "{statement}\n{plan}");
        // Each look is for one type, and begins where the receipt does.
        let mut looks = plan.lines().filter(|line| line.contains("(lineage"));
        let is_narrow = |look: &str| look.contains("kind") && look.contains("ended");
        assert!(looks.all(is_narrow), "{statement}\n{plan}");
    }
}

fn what_is_to_be_sent_is_found_without_reading_what_was_told_before(scene: &Scene) {
    let plans = plans(scene, |transaction| {
        assert!(!notices::is_any_new(transaction)?);
        assert_eq!(notices::due(transaction, "mail", 9, 10)?, []);
        assert_eq!(notices::failing(transaction)?, []);
        assert_eq!(notices::count_unseen(transaction)?, 0);
        notices::tidy(transaction, &[], 9)
    });
    let [new, due, failing, unseen, rest @ ..] = plans.as_slice() else {
        panic!("{plans:?}");
    };
    for ((statement, plan), index) in [
        (new, "notice_new"),
        (due, "delivery_due"),
        (failing, "delivery_failing"),
        (unseen, "notice_waiting"),
    ] {
        assert!(plan.contains(index), "{statement}\n{plan}");
    }
    assert_eq!(rest.len(), 4, "{rest:?}");
    for (statement, plan) in rest {
        let is_narrow = plan.contains("delivery_") || plan.contains("notice_done");
        assert!(is_narrow, "{statement}\n{plan}");
    }
}

fn pages_read_what_they_show_and_nothing_else(scene: &Scene) {
    let plans = plans(scene, |transaction| {
        shown::snapshots(transaction, 1, 100, 25)?;
        shown::tombstones(transaction, 1, 100, 25)?;
        tokens::page(transaction, i64::MAX, 25)?;
        hours::since(transaction, 1, 0)?;
        hours::noted(transaction, 1)?;
        tally::of(transaction, 1)?;
        Ok(())
    });
    let plan_of = |part: &str| {
        let found = plans.iter().find(|(statement, _)| statement.contains(part));
        &found.unwrap().1
    };
    for (part, index) in [
        ("kind = 4 AND put < $2", "object_snapshot"),
        ("COALESCE(tombstone, ended) < $2", "object_tombstone"),
        ("WHERE hour = $1", "repository_hour_noted"),
    ] {
        let plan = plan_of(part);
        assert!(plan.contains(index), "{part}\n{plan}");
        let is_sorted =
            plan.contains("TEMP B-TREE FOR ORDER BY") || plan.contains("Sort Key: object");
        assert!(!is_sorted, "{part}\n{plan}");
    }
    for (statement, plan) in &plans {
        for table in ["object", "token", "repository_hour", "tally"] {
            let is_all = plan.contains(&format!("SCAN {table}\n"))
                || plan.contains(&format!("Seq Scan on {table}"));
            assert!(!is_all, "{statement}\n{plan}");
        }
    }
}

fn hours_of_a_month_are_kept_and_older_ones_go(scene: &Scene) {
    let database = scene.open_bare();
    migrate(&*database, SCHEMA).unwrap();
    let last = hours::KEPT + 50;
    let kept = database
        .write(&mut |transaction| {
            for hour in 0..=last {
                hours::note(transaction, 1, hour, tally::Tally::one(5))?;
            }
            hours::add_tombstone(transaction, 1, last, 7)
        })
        .and_then(|()| database.look(|transaction| hours::since(transaction, 1, 0)))
        .unwrap();
    assert_eq!(kept.first().unwrap().hour, last - hours::KEPT);
    assert_eq!(kept.len(), hours::KEPT as usize + 1);
    let newest = kept.last().unwrap();
    assert_eq!(newest.live, Some(tally::Tally::one(5)));
    assert_eq!(newest.deleted, tally::Tally::one(7));
}
