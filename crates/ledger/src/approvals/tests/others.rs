//! The seal, few people, set-up, other logs, and junk.

use super::agreed;
use super::story::{LOWER, LOWERED, Story};
use crate::approvals::{Approvals, DAY_MS, HOUR_MS, Problem};

const SUSPEND: &str = r#"{"act":"suspend","operator":3}"#;
const SUSPENDED: &str = r#""operator":3,"standing":"suspended""#;

#[test]
fn under_the_seal_what_waits_stands_still_and_waits_anew_from_its_end() {
    let (mut story, operation) = agreed();
    story.pass(-DAY_MS);
    let seal = story.number();
    story.tell("sealed", r#""by":{"operator":3}"#);
    let mut early = story.clone();
    early.pass(2 * DAY_MS);
    early.does(&operation, "retention", LOWERED, "2,3");
    let why = "the vault is sealed";
    assert_eq!(early.problems(), [Problem::NotDone { why }]);
    let unseal = story.asks(1, &format!(r#"{{"act":"unseal","leaf":{seal}}}"#));
    story.yes(2, &unseal);
    story.yes(3, &unseal);
    let rest = format!(r#""seal":{seal}"#);
    let mut early = story.clone();
    early.pass(DAY_MS - 5_000);
    early.does(&unseal, "unsealed", &rest, "2,3");
    assert_eq!(early.problems(), [Problem::TooEarly { early_ms: 5_000 }]);
    story.pass(DAY_MS);
    story.does(&unseal, "unsealed", &rest, "2,3");
    story.pass(3 * DAY_MS - 2_000);
    let mut early = story.clone();
    early.does(&operation, "retention", LOWERED, "2,3");
    assert_eq!(early.problems(), [Problem::TooEarly { early_ms: 2_000 }]);
    story.pass(2_000);
    story.does(&operation, "retention", LOWERED, "2,3");
    assert_eq!(story.problems(), []);
}

#[test]
fn an_operator_is_suspended_under_the_seal_without_a_delay_and_at_no_other_time() {
    let mut story = Story::with(3);
    let mut open = story.clone();
    story.tell("sealed", r#""by":"folder""#);
    for (story, problems) in [
        (&mut story, vec![]),
        (
            &mut open,
            vec![Problem::TooEarly {
                early_ms: 3 * DAY_MS,
            }],
        ),
    ] {
        let operation = story.asks(1, SUSPEND);
        story.yes(2, &operation);
        story.does(&operation, "operator-stands", SUSPENDED, "2");
        assert_eq!(story.problems(), problems);
    }
    // Whoever is suspended says yes to nothing, and a token takes others under the seal.
    let operation = story.asks(1, r#"{"act":"suspend","operator":2}"#);
    story.yes(3, &operation);
    story.tell(
        "token-made",
        r#""token":"a","right":"append","prefix":"acme""#,
    );
    let problems = story.problems();
    assert!(
        matches!(
            problems.as_slice(),
            [
                Problem::NotAsked { asker: 1, .. },
                Problem::NoYes { operator: 3, .. },
                Problem::Alone { .. }
            ]
        ),
        "{problems:?}"
    );
}

#[test]
fn one_person_waits_for_two_weeks_and_of_two_the_other_one_agrees() {
    let mut one = Story::with(1);
    let operation = one.asks(1, LOWER);
    one.pass(14 * DAY_MS - 1_000);
    let mut early = one.clone();
    early.does(&operation, "retention", LOWERED, "");
    assert_eq!(early.problems(), [Problem::TooEarly { early_ms: 1_000 }]);
    one.pass(1_000);
    one.does(&operation, "retention", LOWERED, "");
    let found = one.found();
    assert_eq!((found.complaints, found.approved), (vec![], 1));
    let mut two = Story::with(2);
    let operation = two.asks(1, LOWER);
    two.pass(2 * DAY_MS);
    two.yes(2, &operation);
    two.pass(3 * DAY_MS);
    two.does(&operation, "retention", LOWERED, "2");
    assert_eq!(two.problems(), []);
}

#[test]
fn what_lapsed_is_neither_agreed_to_nor_done() {
    let mut story = Story::with(3);
    let operation = story.asks(1, LOWER);
    story.pass(7 * DAY_MS);
    story.yes(2, &operation);
    let why = "the operation had lapsed";
    assert_eq!(story.problems(), [Problem::NoYes { operator: 2, why }]);
    let (mut story, operation) = agreed();
    story.pass(7 * DAY_MS);
    story.does(&operation, "retention", LOWERED, "2,3");
    let why = "it had lapsed";
    assert_eq!(story.problems(), [Problem::NotDone { why }]);
}

#[test]
fn a_rule_of_three_takes_three_from_then_on() {
    let mut story = Story::with(4);
    let operation = story.asks(1, r#"{"act":"set-rule","rule":3}"#);
    story.yes(2, &operation);
    story.yes(3, &operation);
    story.pass(3 * DAY_MS);
    // It is itself agreed to by as many as the rule before says.
    story.does(&operation, "rule", r#""yeses":3"#, "2,3");
    let operation = story.asks(1, LOWER);
    story.yes(2, &operation);
    story.yes(3, &operation);
    story.pass(3 * DAY_MS);
    assert_eq!(story.problems(), []);
    story.does(&operation, "retention", LOWERED, "2,3");
    let few = Problem::TooFew {
        yeses: 2,
        needed: 3,
    };
    assert_eq!(story.problems(), [few]);
}

#[test]
fn whoever_was_recovered_approves_nothing_for_three_days() {
    let mut story = Story::with(3);
    let operation = story.asks(1, r#"{"act":"recover-operator","operator":3}"#);
    story.yes(2, &operation);
    story.pass(3 * DAY_MS);
    let rest = r#""operator":3,"standing":"invited""#;
    story.does(&operation, "operator-stands", rest, "2");
    let lower = story.asks(1, LOWER);
    story.yes(3, &lower);
    for (factor, kind) in [(32, "passkey"), (33, "password")] {
        let key = super::story::key(32);
        match kind {
            "passkey" => story.enrols(3, factor, &key, r#""invitation""#),
            _ => story.tell(
                "factor-enrolled",
                &format!(r#""operator":3,"factor":{factor},"kind":"{kind}","by":"invitation""#),
            ),
        }
    }
    let rest = r#""operator":3,"standing":"active","by":"invitation""#;
    story.tell("operator-stands", rest);
    for wait_ms in [0, 3 * DAY_MS] {
        story.pass(wait_ms);
        let mut yes = story.signed(3, &lower);
        yes.key = super::story::key(32);
        story.says(&yes);
    }
    let whys: Vec<_> = story
        .problems()
        .into_iter()
        .map(|it| match it {
            Problem::NoYes { operator: 3, why } => why,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        whys,
        [
            "there is no such operator, or he has no rights then",
            "a factor of his was replaced within three days, which approves nothing yet"
        ]
    );
}

/// All three operators are suspended by whoever has the folder, and a link is given.
fn recovers(story: &mut Story) {
    for operator in 1..=3 {
        let rest = format!(r#""operator":{operator},"standing":"suspended","by":"folder""#);
        story.tell("operator-stands", &rest);
    }
    story.tell("recovery-used", "");
}

#[test]
fn a_recovery_waits_for_a_week_suspends_all_and_lets_one_in() {
    let mut story = Story::with(3);
    story.tell("recovery-announced", "");
    story.pass(7 * DAY_MS - 1_000);
    let mut early = story.clone();
    recovers(&mut early);
    let problems = early.problems();
    assert!(
        matches!(
            problems.as_slice(),
            [
                Problem::Alone { .. },
                Problem::Alone { .. },
                Problem::Alone { .. },
                Problem::Never { .. }
            ]
        ),
        "{problems:?}"
    );
    story.pass(1_000);
    let mut stopped = story.clone();
    stopped.tell("recovery-stopped", r#""operator":2"#);
    recovers(&mut stopped);
    assert_eq!(stopped.found().complaint_count, 4);
    // One of those who were there is left: then it is another thing.
    let mut some = story.clone();
    some.tell("recovery-used", "");
    assert_eq!(some.found().complaint_count, 1);
    recovers(&mut story);
    story.joins(4, r#""first-link""#, r#""first-link""#);
    let operation = story.asks(4, r#"{"act":"reinstate","operator":1}"#);
    story.pass(14 * DAY_MS);
    let rest = r#""operator":1,"standing":"active""#;
    story.does(&operation, "operator-stands", rest, "");
    assert_eq!(story.problems(), []);
    // The link is used up by that.
    story.joins(5, r#""first-link""#, r#""first-link""#);
    assert!(!story.found().is_sound());
}

#[test]
fn before_set_up_the_folder_raises_and_goes_on_and_lowers_nothing() {
    let mut story = Story::made();
    let years = r#""repository":"acme","retention_s":259200000,"grace_s":2592000"#;
    story.tell("retention", years);
    story.tell("clock-confirmed", "");
    story.tell("clock-caught-up", r#""by_ms":1000"#);
    story.tell("purge-agreed", r#""repository":"acme","tombstones":9"#);
    story.tell(
        "token-made",
        r#""token":"a","right":"append","prefix":"acme""#,
    );
    story.tell(
        "token-made",
        r#""token":"b","right":"maintain","prefix":"acme""#,
    );
    story.tell(
        "token-made",
        r#""token":"c","right":"read","prefix":"acme""#,
    );
    assert_eq!(story.problems(), []);
    story.tell("retention", LOWERED);
    story.tell("compliant", r#""repository":"acme","by":"folder""#);
    let problems = story.problems();
    assert_eq!(problems.len(), 2, "{problems:?}");
    // Nor does it do any of that under the seal.
    let mut story = Story::made();
    story.tell("sealed", r#""by":"folder""#);
    story.tell(
        "token-made",
        r#""token":"b","right":"maintain","prefix":"acme""#,
    );
    story.tell("clock-confirmed", "");
    story.tell("retention", years);
    assert_eq!(story.found().complaint_count, 3);
    // And nothing is asked for while it is set up.
    let mut story = Story::made();
    story.tell("setup-claimed", r#""operator":1"#);
    story.joins(1, r#""first-link""#, r#""first-link""#);
    story.pass(72 * HOUR_MS - 1);
    story.asks(1, LOWER);
    let why = "the vault is still set up";
    assert_eq!(story.problems(), [Problem::NotAsked { asker: 1, why }]);
    story.pass(1);
    story.asks(1, LOWER);
    assert_eq!(story.found().complaint_count, 1);
}

#[test]
fn an_act_that_is_not_known_here_is_passed_over() {
    let mut story = Story::with(3);
    story.tell("teleported", r#""operation":7,"operator":"nobody""#);
    let operation = story.asks(1, r#"{"act":"teleport","to":"the moon"}"#);
    story.yes(2, &operation);
    story.done(&operation, "2");
    assert_eq!(story.problems(), []);
}

#[test]
fn what_is_no_leaf_is_a_complaint_and_the_rest_is_read() {
    for junk in [
        &b""[..],
        b"null",
        b"[]",
        br#"[20,"2027-01-15T08:00:00Z","start"]"#,
        b"{",
        b"{}",
        b"\xff\xfe",
        br#"{"n":20,"vault":"2027-01-15T08:00:00Z"}"#,
        br#"{"n":20,"vault":"yesterday","act":"start"}"#,
        br#"{"n":20,"n":20,"vault":"2027-01-15T08:00:00Z","act":"start"}"#,
        br#"{"n":-1,"vault":"2027-01-15T08:00:00Z","act":"start"}"#,
        br#"{"n":0,"vault":"2027-01-15T08:00:00Z","act":"operation-asked"}"#,
    ] {
        let mut story = Story::with(3);
        story.leaves.push(junk.to_vec());
        let operation = story.asks(1, LOWER);
        story.yes(2, &operation);
        let found = story.found();
        assert!(
            found.complaint_count >= 1,
            "{}",
            String::from_utf8_lossy(junk)
        );
        assert_eq!(found.yeses, 1);
    }
    let mut story = Story::with(1);
    for _ in 0..1_000 {
        story.leaves.push(b"junk".to_vec());
    }
    let found = story.found();
    assert_eq!(
        (found.complaints.len(), found.complaint_count),
        (100, 1_000)
    );
}

#[test]
fn leaves_that_are_missing_and_time_that_goes_back_are_told() {
    let story = Story::with(3);
    let mut approvals = Approvals::default();
    for (place, leaf) in (0..).zip(&story.leaves).filter(|(place, _)| *place != 3) {
        approvals.read(leaf, place);
    }
    let found = approvals.found();
    assert_eq!(found.complaints[0].problem, Problem::Missing { leaves: 1 });
    let mut story = story;
    story.pass(-1);
    story.tell("arrival", "");
    assert_eq!(story.problems(), [Problem::TimeWentBack]);
}

#[test]
fn a_new_log_is_read_behind_the_one_that_it_goes_on_from() {
    let (mut before, operation) = agreed();
    let (size, lost) = (before.leaves.len(), before.leaves.last().unwrap().clone());
    let text = |leaf: &[u8]| serde_json::to_string(&String::from_utf8_lossy(leaf)).unwrap();
    let mut later = Story::new();
    later.base = before.number();
    later.now_ms = before.now_ms;
    later.tell("new-log", r#""log":2,"origin_before":"vault.example/log""#);
    // One that the old files have after all, and is not read again.
    later.tell("carried", &format!(r#""entry":{}"#, text(&lost)));
    before.tell("arrival", "");
    let carried = text(before.leaves.last().unwrap());
    later.tell("carried", &format!(r#""entry":{carried}"#));
    before.leaves.truncate(size);
    later.does(&operation, "retention", LOWERED, "2,3");
    let mut approvals = Approvals::default();
    before.read_by(&mut approvals);
    later.read_by(&mut approvals);
    let found = approvals.found();
    assert_eq!((found.complaints, found.done), (vec![], 1));
    // Without it nothing is known of who was there.
    let origin_before = "vault.example/log".to_owned();
    assert_eq!(later.problems(), [Problem::Earlier { origin_before }]);
}
