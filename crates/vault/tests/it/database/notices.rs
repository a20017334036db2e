//! What somebody is to be told, on both databases.

use std::sync::Arc;

use strongroom_vault::database::{Database, Transaction, migrate};
use strongroom_vault::records::leaves::Moment;
use strongroom_vault::records::notices::{self, Failing, Notice, NoticeRow, Sent};
use strongroom_vault::records::{SCHEMA, notices::LONGEST_BODY, notices::LONGEST_SUBJECT};
use strongroom_vault::rules::clock::{DAY_MS, MINUTE_MS};
use strongroom_vault::rules::notices::{KEPT_FOR_MS, Kind, Level, MOST_KEPT, Wants};
use strongroom_vault::{Error, Result};

use crate::database::{Scene, both};

both! {
    a_notice_goes_to_the_channels_that_want_it_and_is_then_done_with
    a_critical_one_stays_until_somebody_has_seen_it
    equal_ones_within_a_minute_are_one_with_a_count
    of_very_many_the_oldest_go_and_what_is_critical_stays
    there_is_none_of_an_act_that_was_not_done
    a_channel_that_fails_is_named_until_it_hears_again
    what_is_old_and_done_with_goes_and_what_a_removed_channel_lacks_is_forgotten
    texts_are_cut_and_have_no_control_characters
}

const NONE: [i64; 0] = [];

const MADE_MS: i64 = 1_800_000_000_000;

const ALL: Wants = Wants {
    critical_only: false,
    escalation_only: false,
};
const CRITICAL: Wants = Wants {
    critical_only: true,
    escalation_only: false,
};
const ESCALATION: Wants = Wants {
    critical_only: false,
    escalation_only: true,
};
const CHANNELS: [(&str, Wants); 3] = [("boss", ESCALATION), ("mail", ALL), ("page", CRITICAL)];

fn open(scene: &Scene) -> Arc<dyn Database> {
    let database = scene.open_bare();
    migrate(&*database, SCHEMA).unwrap();
    database
}

fn at(vault_ms: i64) -> Moment {
    Moment {
        recorded_ms: vault_ms + 7,
        vault_ms,
    }
}

fn notice(level: Level, subject: &str) -> Notice {
    Notice {
        kind: Kind::Verdict,
        level,
        subject: subject.to_owned(),
        body: "what there is to be done".to_owned(),
    }
}

fn write<T>(database: &dyn Database, mut work: impl FnMut(&mut dyn Transaction) -> Result<T>) -> T {
    let mut done = None;
    database
        .write(&mut |transaction| {
            done = Some(work(transaction)?);
            Ok(())
        })
        .unwrap();
    done.unwrap()
}

fn due(transaction: &mut dyn Transaction, channel: &str, now_ms: i64) -> Result<Vec<i64>> {
    let due = notices::due(transaction, channel, now_ms, 100)?;
    Ok(due.into_iter().map(|due| due.row.id).collect())
}

fn sent(notice: i64, channel: &str, next_ms: Option<i64>) -> Sent<'_> {
    Sent {
        notice,
        channel,
        at_ms: MADE_MS + 1,
        next_ms,
        error: None,
    }
}

fn waiting(transaction: &mut dyn Transaction) -> Result<i64> {
    let statement = "SELECT COUNT(*) FROM notice WHERE state < 2";
    Ok(transaction
        .first(statement, &[], |row| row.int(0))?
        .unwrap())
}

fn a_notice_goes_to_the_channels_that_want_it_and_is_then_done_with(scene: &Scene) {
    let database = open(scene);
    write(&*database, |transaction| {
        let told = notice(Level::Ordinary, "a quiet thing");
        notices::tell(transaction, at(MADE_MS), &told)?;
        assert!(notices::is_any_new(transaction)?);
        assert_eq!(due(transaction, "mail", MADE_MS)?, NONE);
        assert_eq!(notices::route(transaction, &CHANNELS)?, 1);
        assert!(!notices::is_any_new(transaction)?);
        assert_eq!(due(transaction, "mail", MADE_MS - 1)?, NONE);
        assert_eq!(due(transaction, "mail", MADE_MS)?, [1]);
        for channel in ["page", "boss"] {
            assert_eq!(due(transaction, channel, MADE_MS + DAY_MS)?, NONE);
        }
        assert_eq!(waiting(transaction)?, 1);
        notices::note_sent(transaction, &sent(1, "mail", None))?;
        assert_eq!(waiting(transaction)?, 0);
        assert_eq!(due(transaction, "mail", i64::MAX)?, NONE);
        let expected = NoticeRow {
            id: 1,
            notice: told,
            made_ms: MADE_MS,
            made_at_ms: MADE_MS + 7,
            repeated: 0,
            acknowledged_ms: None,
            acknowledged_by: None,
        };
        assert_eq!(
            notices::page(transaction, None, 10)?,
            std::slice::from_ref(&expected)
        );
        assert_eq!(notices::page(transaction, Some(1), 10)?, []);
        assert_eq!(notices::get(transaction, 1)?, Some(expected));
        // Where nobody wants it, it waits for nobody.
        notices::tell(transaction, at(MADE_MS), &notice(Level::Ordinary, "b"))?;
        notices::route(transaction, &[("page", CRITICAL)])?;
        assert_eq!(waiting(transaction)?, 0);
        Ok(())
    });
}

fn a_critical_one_stays_until_somebody_has_seen_it(scene: &Scene) {
    let database = open(scene);
    write(&*database, |transaction| {
        notices::tell(transaction, at(MADE_MS), &notice(Level::Critical, "fire"))?;
        notices::route(transaction, &CHANNELS)?;
        let quarter_ms = MADE_MS + 15 * MINUTE_MS;
        assert_eq!(due(transaction, "page", MADE_MS)?, [1]);
        assert_eq!(due(transaction, "boss", quarter_ms - 1)?, NONE);
        assert_eq!(due(transaction, "boss", quarter_ms)?, [1]);
        let again_ms = MADE_MS + 5 * MINUTE_MS;
        notices::note_sent(transaction, &sent(1, "page", Some(again_ms)))?;
        assert_eq!(due(transaction, "page", again_ms - 1)?, NONE);
        assert_eq!(due(transaction, "page", again_ms)?, [1]);
        assert_eq!(notices::count_unseen(transaction)?, 1);

        let acknowledge = |transaction: &mut dyn Transaction, id| {
            notices::acknowledge(transaction, id, again_ms, Some(3))
        };
        assert_eq!(acknowledge(transaction, 1)?, Some(true));
        assert_eq!(acknowledge(transaction, 1)?, Some(false));
        assert_eq!(acknowledge(transaction, 2)?, None);
        // Also what was under way when it was acknowledged sends it no more.
        notices::note_sent(transaction, &sent(1, "mail", Some(again_ms)))?;
        for (channel, _) in CHANNELS {
            assert_eq!(due(transaction, channel, i64::MAX)?, NONE);
        }
        assert_eq!(notices::count_unseen(transaction)?, 0);
        let row = notices::get(transaction, 1)?.unwrap();
        assert_eq!(row.acknowledged_ms, Some(again_ms));
        assert_eq!(row.acknowledged_by, Some(3));
        Ok(())
    });
}

fn equal_ones_within_a_minute_are_one_with_a_count(scene: &Scene) {
    let database = open(scene);
    write(&*database, |transaction| {
        let same = notice(Level::Critical, "the same");
        for ms in [0, 1, MINUTE_MS - 1] {
            notices::tell(transaction, at(MADE_MS + ms), &same)?;
        }
        let other = notice(Level::Ordinary, "the same");
        notices::tell(transaction, at(MADE_MS), &other)?;
        let counts = |transaction: &mut dyn Transaction| -> Result<Vec<_>> {
            let rows = notices::page(transaction, None, 10)?;
            Ok(rows.iter().map(|row| (row.id, row.repeated)).collect())
        };
        assert_eq!(counts(transaction)?, [(2, 0), (1, 2)]);
        notices::tell(transaction, at(MADE_MS + MINUTE_MS), &same)?;
        assert_eq!(counts(transaction)?, [(3, 0), (2, 0), (1, 2)]);
        // What somebody has seen is not what happens now.
        notices::acknowledge(transaction, 3, MADE_MS + MINUTE_MS, None)?;
        notices::tell(transaction, at(MADE_MS + MINUTE_MS + 1), &same)?;
        assert_eq!(counts(transaction)?.len(), 4);
        Ok(())
    });
}

fn of_very_many_the_oldest_go_and_what_is_critical_stays(scene: &Scene) {
    let database = open(scene);
    write(&*database, |transaction| {
        notices::tell(transaction, at(MADE_MS), &notice(Level::Critical, "fire"))?;
        notices::tell(transaction, at(MADE_MS), &notice(Level::Ordinary, "first"))?;
        notices::route(transaction, &CHANNELS)?;
        // What was told before, without telling each.
        let statement = format!(
            "WITH RECURSIVE many (id) AS (SELECT 3 UNION ALL SELECT id + 1 FROM many \
             WHERE id < {MOST_KEPT}) INSERT INTO notice (id, kind, level, subject, body, digest, \
             made_ms, made_at_ms, repeated, state) \
             SELECT m.id, n.kind, n.level, n.subject, n.body, n.digest, 0, 0, 0, 1 \
             FROM many m CROSS JOIN notice n WHERE n.id = 2"
        );
        transaction.execute(&statement, &[])?;
        let statement = format!("UPDATE notice_id SET last = {MOST_KEPT}");
        transaction.execute(&statement, &[])?;
        assert_eq!(waiting(transaction)?, MOST_KEPT as i64);
        for subject in ["a", "b"] {
            notices::tell(transaction, at(MADE_MS), &notice(Level::Ordinary, subject))?;
        }
        assert_eq!(waiting(transaction)?, MOST_KEPT as i64);
        for (id, is_there) in [(1, true), (2, false), (3, false), (4, true)] {
            assert_eq!(notices::get(transaction, id)?.is_some(), is_there, "{id}");
        }
        assert_eq!(due(transaction, "mail", MADE_MS)?, [1]);
        // What was sent of one that has gone is nobody's any more.
        notices::note_sent(transaction, &sent(2, "mail", Some(MADE_MS)))?;
        assert_eq!(due(transaction, "mail", MADE_MS)?, [1]);
        Ok(())
    });
}

fn there_is_none_of_an_act_that_was_not_done(scene: &Scene) {
    let database = open(scene);
    let failed = database.write(&mut |transaction| {
        notices::tell(transaction, at(MADE_MS), &notice(Level::Critical, "never"))?;
        assert!(notices::is_any_new(transaction)?);
        Err(Error::Unfinished)
    });
    assert!(matches!(failed, Err(Error::Unfinished)));
    write(&*database, |transaction| {
        assert_eq!(notices::page(transaction, None, 10)?, []);
        Ok(())
    });
}

fn a_channel_that_fails_is_named_until_it_hears_again(scene: &Scene) {
    let database = open(scene);
    write(&*database, |transaction| {
        for subject in ["a", "b", "c"] {
            notices::tell(transaction, at(MADE_MS), &notice(Level::Ordinary, subject))?;
        }
        notices::route(transaction, &CHANNELS)?;
        let later_ms = MADE_MS + DAY_MS;
        for (id, at_ms, next_ms) in [
            (1, MADE_MS + 5, Some(MADE_MS + 9)),
            (1, MADE_MS + 9, Some(later_ms)),
            (2, MADE_MS + 8, None),
        ] {
            let error = "no\nway";
            let failed = Sent {
                at_ms,
                error: Some(error),
                ..sent(id, "mail", next_ms)
            };
            notices::note_sent(transaction, &failed)?;
        }
        let expected = Failing {
            channel: "mail".to_owned(),
            since_ms: MADE_MS + 5,
            notices: 2,
            error: "no way".to_owned(),
        };
        assert_eq!(notices::failing(transaction)?, [expected]);
        assert_eq!(due(transaction, "mail", MADE_MS + 9)?, [3]);
        assert_eq!(waiting(transaction)?, 2, "one was given up");
        let attempts = notices::due(transaction, "mail", later_ms, 10)?;
        let attempts: Vec<_> = attempts.iter().map(|due| due.attempts).collect();
        assert_eq!(attempts, [2, 0]);

        notices::note_sent(transaction, &sent(3, "mail", None))?;
        assert_eq!(
            due(transaction, "mail", MADE_MS + 1)?,
            [1],
            "it need not wait"
        );
        notices::note_sent(transaction, &sent(1, "mail", None))?;
        assert_eq!(notices::failing(transaction)?, []);
        assert_eq!(waiting(transaction)?, 0);
        Ok(())
    });
}

fn what_is_old_and_done_with_goes_and_what_a_removed_channel_lacks_is_forgotten(scene: &Scene) {
    let database = open(scene);
    write(&*database, |transaction| {
        for subject in ["sent", "waits", "given up"] {
            notices::tell(transaction, at(MADE_MS), &notice(Level::Ordinary, subject))?;
        }
        notices::route(transaction, &[("mail", ALL)])?;
        notices::note_sent(transaction, &sent(1, "mail", None))?;
        let given_up = Sent {
            error: Some("away"),
            ..sent(3, "mail", None)
        };
        notices::note_sent(transaction, &given_up)?;
        let old_ms = MADE_MS + KEPT_FOR_MS;
        let ids = |transaction: &mut dyn Transaction| -> Result<Vec<_>> {
            let rows = notices::page(transaction, None, 10)?;
            Ok(rows.iter().map(|row| row.id).collect())
        };
        notices::tidy(transaction, &["mail"], old_ms)?;
        assert_eq!(ids(transaction)?, [3, 2, 1]);
        notices::tidy(transaction, &["mail"], old_ms + 1)?;
        assert_eq!(ids(transaction)?, [2], "it is still to be sent");
        notices::tidy(transaction, &["other"], MADE_MS)?;
        assert_eq!(waiting(transaction)?, 0);
        assert_eq!(notices::failing(transaction)?, []);
        notices::tidy(transaction, &["other"], old_ms + 1)?;
        assert_eq!(ids(transaction)?, NONE);
        // A number is never used again.
        notices::tell(transaction, at(old_ms), &notice(Level::Ordinary, "new"))?;
        assert_eq!(ids(transaction)?, [4]);
        Ok(())
    });
}

fn texts_are_cut_and_have_no_control_characters(scene: &Scene) {
    let database = open(scene);
    write(&*database, |transaction| {
        let told = Notice {
            subject: format!("a\r\nBcc: x\0{}", "ü".repeat(500)),
            body: format!("one\r\ntwo\0\u{1b}{}", "ü".repeat(5_000)),
            ..notice(Level::Ordinary, "")
        };
        notices::tell(transaction, at(MADE_MS), &told)?;
        let row = notices::get(transaction, 1)?.unwrap();
        assert!(row.notice.subject.starts_with("a  Bcc: x ü"));
        assert_eq!(row.notice.subject.chars().count(), LONGEST_SUBJECT);
        assert!(row.notice.body.starts_with("one\ntwoü"));
        assert_eq!(row.notice.body.chars().count(), LONGEST_BODY);
        Ok(())
    });
}
