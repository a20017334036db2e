//! What a vault might tell that is not so.

use super::agreed;
use super::story::{LOWER, LOWERED, Story, URL, key};
use crate::approvals::{DAY_MS, HOUR_MS, Problem};

/// Why the only yes of a story is none, where the operation was not done.
fn refused(story: &Story) -> (i64, &'static str) {
    match story.problems().as_slice() {
        [Problem::NoYes { operator, why }] => (*operator, why),
        other => panic!("{other:?}"),
    }
}

fn alone(story: &Story) -> bool {
    matches!(story.problems().as_slice(), [Problem::Alone { .. }])
}

const NOT_HIS: &str = "its passkey is none that he has enrolled, and that was not removed";

#[test]
fn a_yes_by_a_key_that_was_never_enrolled_is_none() {
    let mut story = Story::with(3);
    let operation = story.asks(1, LOWER);
    let mut yes = story.signed(2, &operation);
    yes.key = key(99);
    story.says(&yes);
    assert_eq!(refused(&story), (2, NOT_HIS));
    // Nor is one by the key of somebody else.
    let mut yes = story.signed(2, &operation);
    yes.key = key(3);
    story.says(&yes);
    assert_eq!(story.found().complaint_count, 2);
}

#[test]
fn a_yes_by_a_key_that_was_removed_is_none() {
    let mut story = Story::with(3);
    story.enrols(2, 25, &key(25), r#"{"operator":2}"#);
    let mut before = story.clone();
    let remove = r#"{"act":"remove-factor","operator":2,"factor":25}"#;
    let operation = story.asks(1, remove);
    story.yes(3, &operation);
    story.pass(3 * DAY_MS);
    story.does(
        &operation,
        "factor-removed",
        r#""operator":2,"factor":25"#,
        "3",
    );
    for (story, problems) in [(&mut before, 0), (&mut story, 1)] {
        let operation = story.asks(1, LOWER);
        let mut yes = story.signed(2, &operation);
        yes.key = key(25);
        story.says(&yes);
        assert_eq!(story.found().complaint_count, problems);
    }
    assert_eq!(refused(&story), (2, NOT_HIS));
}

#[test]
fn a_yes_to_another_operation_is_none() {
    let mut story = Story::with(3);
    let other = story.asks(1, r#"{"act":"comply","repository":"acme"}"#);
    let operation = story.asks(1, LOWER);
    let mut yes = story.signed(2, &operation);
    yes.signed_operation = other;
    story.says(&yes);
    let why = "it is to another operation, or by another operator";
    assert_eq!(refused(&story), (2, why));
}

#[test]
fn a_yes_by_whoever_asked_is_none() {
    let mut story = Story::with(3);
    let operation = story.asks(1, LOWER);
    story.yes(1, &operation);
    assert_eq!(refused(&story), (1, "he has asked for it himself"));
}

#[test]
fn a_yes_by_whom_it_is_about_is_none() {
    let mut story = Story::with(3);
    let operation = story.asks(1, r#"{"act":"suspend","operator":2}"#);
    story.yes(2, &operation);
    assert_eq!(refused(&story), (2, "it is about himself"));
}

#[test]
fn a_yes_by_somebody_without_the_role_is_none() {
    let mut story = Story::with(3);
    let operation = story.asks(1, r#"{"act":"set-roles","operator":3,"roles":["keeper"]}"#);
    story.yes(2, &operation);
    story.pass(3 * DAY_MS);
    let rest = r#""operator":3,"roles":["keeper"]"#;
    story.does(&operation, "operator-roles", rest, "2");
    let operation = story.asks(1, LOWER);
    story.yes(3, &operation);
    assert_eq!(refused(&story), (3, "he has not the role security"));
}

#[test]
fn two_yeses_by_one_person_are_one() {
    let mut story = Story::with(3);
    let operation = story.asks(1, LOWER);
    story.yes(2, &operation);
    story.yes(2, &operation);
    story.pass(3 * DAY_MS);
    story.does(&operation, "retention", LOWERED, "2");
    let few = Problem::TooFew {
        yeses: 1,
        needed: 2,
    };
    assert_eq!(story.problems(), [few]);
}

#[test]
fn what_was_done_a_second_too_early_was_done_too_early() {
    let (mut story, operation) = agreed();
    story.pass(-999);
    let mut soon = story.clone();
    soon.does(&operation, "retention", LOWERED, "2,3");
    assert_eq!(soon.problems(), []);
    story.pass(-1);
    story.does(&operation, "retention", LOWERED, "2,3");
    assert_eq!(story.problems(), [Problem::TooEarly { early_ms: 1_000 }]);
}

#[test]
fn what_was_done_with_too_few_yeses_was_not_agreed_to() {
    let mut story = Story::with(3);
    let operation = story.asks(1, LOWER);
    story.yes(2, &operation);
    story.pass(3 * DAY_MS);
    story.does(&operation, "retention", LOWERED, "2");
    let few = Problem::TooFew {
        yeses: 1,
        needed: 2,
    };
    assert_eq!(story.problems(), [few]);
    // A yes that no leaf has counts for nothing, whatever the last leaf says.
    let (mut story, operation) = agreed();
    story.does(&operation, "retention", LOWERED, "2,3,4");
    let why = "no leaf has it, or it was none";
    assert_eq!(refused(&story), (4, why));
}

#[test]
fn contents_that_were_changed_after_the_yeses_are_not_what_was_agreed_to() {
    let (mut story, operation) = agreed();
    let text = |leaf: &[u8]| String::from_utf8(leaf.to_vec()).unwrap();
    let mut changed = story.clone();
    for leaf in &mut changed.leaves {
        *leaf = text(leaf).replace("86400000", "86400").into_bytes();
    }
    assert_eq!(changed.problems().first(), Some(&Problem::WrongId));
    // Nor is something else done by what was agreed to.
    let what = "What a repository keeps from here on";
    let hour = LOWERED.replace("86400", "3600");
    let mut other = story.clone();
    other.does(&operation, "retention", &hour, "2,3");
    assert_eq!(other.problems(), [Problem::Otherwise { what }]);
    story.effect(&operation, "rule", r#""yeses":2"#);
    story.done(&operation, "2,3");
    let what = "To set how many have to agree";
    assert_eq!(story.problems(), [Problem::Otherwise { what }]);
}

#[test]
fn random_bytes_are_used_once() {
    let mut story = Story::with(3);
    let nonce = story.nonce();
    let operation = story.asks_with(1, LOWER, &nonce);
    let yes = story.signed(2, &operation);
    story.says(&yes);
    story.says(&yes);
    assert_eq!(story.problems(), [Problem::NonceAgain]);
    // Asked for once more under the same id, the old yes would be one to it.
    story.ended(&operation);
    story.asks_with(1, LOWER, &nonce);
    assert_eq!(story.problems(), [Problem::NonceAgain, Problem::NonceAgain]);
}

#[test]
fn whatever_takes_others_and_names_no_operation_is_told() {
    let stands = |word| format!(r#""operator":3,"standing":"{word}","by":{{"operator":1}}"#);
    for (act, rest) in [
        ("retention", LOWERED.to_owned()),
        ("rule", r#""yeses":2,"by":{"operator":1}"#.to_owned()),
        (
            "operator-roles",
            r#""operator":3,"roles":["viewer"],"by":"folder""#.to_owned(),
        ),
        ("operator-stands", stands("suspended")),
        ("operator-stands", stands("removed")),
        ("operator-stands", stands("active")),
        ("operator-stands", stands("invited")),
        (
            "operator-invited",
            r#""operator":4,"name":"eve","roles":["security"],"by":{"operator":1}"#.to_owned(),
        ),
        (
            "factor-removed",
            r#""operator":3,"factor":30,"by":{"operator":3}"#.to_owned(),
        ),
        (
            "token-made",
            r#""token":"a","right":"maintain","prefix":"acme""#.to_owned(),
        ),
        (
            "token-made",
            r#""token":"a","right":"read","prefix":"acme""#.to_owned(),
        ),
        (
            "token-made",
            r#""token":"a","right":"read","prefix":"acme","expires":"2027-01-15T09:00:01Z""#
                .to_owned(),
        ),
        (
            "compliant",
            r#""repository":"acme","by":{"operator":1}"#.to_owned(),
        ),
        (
            "purge-agreed",
            r#""repository":"acme","tombstones":9"#.to_owned(),
        ),
        ("clock-caught-up", r#""by_ms":1000"#.to_owned()),
        ("clock-confirmed", String::new()),
        ("unsealed", r#""seal":3,"by":"folder""#.to_owned()),
    ] {
        let mut story = Story::with(3);
        story.tell(act, &rest);
        assert!(alone(&story), "{act} {rest}: {:?}", story.problems());
        let last = story.leaves.len() as u64 - 1;
        assert_eq!(story.found().complaints[0].leaf, last);
    }
}

#[test]
fn what_one_person_may_is_no_complaint() {
    let mut story = Story::with(3);
    let doubled = r#""repository":"acme","retention_s":5184000,"grace_s":2592000"#;
    story.tell("retention", doubled);
    let hour = r#""token":"a","right":"read","prefix":"acme","expires":"2027-01-15T09:00:00Z""#;
    story.tell("token-made", hour);
    story.tell(
        "token-made",
        r#""token":"b","right":"append","prefix":"acme""#,
    );
    story.tell(
        "sessions-ended",
        r#""operator":3,"sessions":1,"by":{"operator":1}"#,
    );
    story.enrols(2, 25, &key(25), r#"{"operator":2}"#);
    assert_eq!(story.problems(), []);
    // Not further, and not again and again.
    let further = r#""repository":"acme","retention_s":5184000,"grace_s":5270400"#;
    story.tell("retention", further);
    assert!(alone(&story));
}

#[test]
fn a_yes_of_a_page_elsewhere_is_none() {
    let mut story = Story::with(3);
    let operation = story.asks(1, LOWER);
    let mut yes = story.signed(2, &operation);
    yes.origin = "https://vault.example.org";
    story.says(&yes);
    assert_eq!(refused(&story), (2, "it was given on another page"));
    // The vault has moved since: what counts is where it says last that it is.
    let mut story = Story::with(3);
    let operation = story.asks(1, LOWER);
    story.tell("start", r#""public_url":"https://vault.example.org""#);
    story.yes(2, &operation);
    assert_eq!(refused(&story), (2, "it was given on another page"));
    story.tell("start", r#""version":"0.1.0""#);
    story.yes(3, &operation);
    story.tell("start", &format!(r#""public_url":"{URL}""#));
    story.yes(3, &operation);
    assert_eq!(story.found().complaint_count, 2);
}

#[test]
fn an_operation_is_done_once() {
    let (mut story, operation) = agreed();
    story.does(&operation, "retention", LOWERED, "2,3");
    story.done(&operation, "2,3");
    assert!(matches!(
        story.problems().as_slice(),
        [Problem::NotOpen { .. }]
    ));
    let mut story = Story::with(3);
    let token = r#"{"act":"make-token","right":"maintain","prefix":"acme","expires_in_ms":null}"#;
    let operation = story.asks(1, token);
    story.yes(2, &operation);
    story.yes(3, &operation);
    story.pass(3 * DAY_MS);
    let made = r#""token":"a","right":"maintain","prefix":"acme""#;
    story.effect(&operation, "token-made", made);
    assert_eq!(story.problems(), []);
    story.does(&operation, "token-made", made, "2,3");
    let what = "To make such a token";
    assert_eq!(story.problems(), [Problem::Otherwise { what }]);
}

#[test]
fn what_an_operation_did_is_followed_by_that_it_was_done() {
    let (mut story, operation) = agreed();
    story.effect(&operation, "retention", LOWERED);
    assert_eq!(story.problems(), []);
    let first = story.leaves.len() as u64 - 1;
    for _ in 0..20 {
        story.tell("arrival", r#""file":"data/3f""#);
    }
    let complaints = story.found().complaints;
    let [complaint] = complaints.as_slice() else {
        panic!("{complaints:?}");
    };
    assert_eq!(complaint.leaf, first);
    assert!(matches!(complaint.problem, Problem::Unfinished { .. }));
}

#[test]
fn a_link_makes_an_operator_once_and_no_key_comes_to_one_who_is_there() {
    let mut story = Story::with(3);
    story.enrols(2, 66, &key(66), r#""invitation""#);
    story.enrols(2, 67, &key(67), r#"{"operator":1}"#);
    story.enrols(7, 68, &key(68), r#""first-link""#);
    let problems = story.problems();
    let is_never = |it: &Problem| matches!(it, Problem::Never { .. });
    assert!(
        problems.len() == 3 && problems.iter().all(is_never),
        "{problems:?}"
    );
    let mut story = Story::with(1);
    story.tell("setup-claimed", r#""operator":2"#);
    story.joins(2, r#""first-link""#, r#""first-link""#);
    assert!(story.found().complaint_count >= 3);
}

#[test]
fn a_compliant_repository_is_lowered_by_nobody() {
    let mut story = Story::with(3);
    let operation = story.asks(1, r#"{"act":"comply","repository":"acme"}"#);
    story.yes(2, &operation);
    story.yes(3, &operation);
    story.pass(3 * DAY_MS);
    story.does(&operation, "compliant", r#""repository":"acme""#, "2,3");
    let operation = story.asks(1, LOWER);
    story.yes(2, &operation);
    story.yes(3, &operation);
    story.pass(3 * DAY_MS + HOUR_MS);
    assert_eq!(story.problems(), []);
    story.does(&operation, "retention", LOWERED, "2,3");
    assert!(matches!(
        story.problems().as_slice(),
        [Problem::Never { .. }]
    ));
}
