//! A whole story without a complaint, and one for each lie.

mod lies;
mod others;
mod story;

use story::{LOWER, LOWERED, Story};

use crate::approvals::{Approved, DAY_MS, HOUR_MS};

/// Three operators, of whom one asks to lower what is kept and two agree; the third day is over.
fn agreed() -> (Story, story::OperationId) {
    let mut story = Story::with(3);
    let operation = story.asks(1, LOWER);
    story.pass(HOUR_MS);
    story.yes(2, &operation);
    story.yes(3, &operation);
    story.pass(3 * DAY_MS);
    (story, operation)
}

#[test]
fn a_good_story_is_told_without_a_complaint() {
    let (mut story, operation) = agreed();
    story.does(&operation, "retention", LOWERED, "2,3");
    let stopped = story.asks(3, r#"{"act":"remove-operator","operator":1}"#);
    story.yes(2, &stopped);
    story.ended(&stopped);
    story.asks(2, r#"{"act":"set-rule","rule":3}"#);
    let found = story.found();
    let expected = Approved {
        asked: 3,
        approved: 2,
        done: 1,
        ended: 1,
        open: 1,
        yeses: 3,
        ..Approved::default()
    };
    assert_eq!(found, expected);
    assert!(found.is_sound());
}

#[test]
fn the_delay_is_counted_from_the_yes_that_it_takes_and_a_further_one_moves_it_nowhere() {
    let mut story = Story::with(4);
    let operation = story.asks(1, LOWER);
    story.yes(2, &operation);
    story.pass(DAY_MS);
    story.yes(3, &operation);
    story.pass(DAY_MS);
    story.yes(4, &operation);
    story.yes(2, &operation);
    story.pass(2 * DAY_MS);
    story.does(&operation, "retention", LOWERED, "2,3,4");
    assert_eq!(story.found().complaints, []);
}

/// Three operators lower what is kept; one seals and is suspended; the other two open it again.
fn whole() -> Story {
    let (mut story, operation) = agreed();
    story.does(&operation, "retention", LOWERED, "2,3");
    let stopped = story.asks(3, r#"{"act":"comply","repository":"acme"}"#);
    story.ended(&stopped);
    let seal = story.number();
    story.tell("sealed", r#""by":{"operator":3}"#);
    let suspend = story.asks(1, r#"{"act":"suspend","operator":3}"#);
    story.yes(2, &suspend);
    let suspended = r#""operator":3,"standing":"suspended""#;
    story.does(&suspend, "operator-stands", suspended, "2");
    let unseal = story.asks(1, &format!(r#"{{"act":"unseal","leaf":{seal}}}"#));
    story.yes(2, &unseal);
    story.pass(DAY_MS);
    story.does(&unseal, "unsealed", &format!(r#""seal":{seal}"#), "2");
    story
}

/// What others are tested with that link no passkey in software: `testdata/approvals/story.jsonl`. With
/// `STRONGROOM_WRITE_STORY` in the environment it is written anew.
#[test]
fn the_story_that_others_read_is_the_one_that_is_told_here() {
    let story = whole();
    let mut lines = story.leaves.join(&b'\n');
    lines.push(b'\n');
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../testdata/approvals/story.jsonl"
    );
    if std::env::var_os("STRONGROOM_WRITE_STORY").is_some() {
        std::fs::write(path, &lines).unwrap();
    }
    assert_eq!(std::fs::read(path).unwrap(), lines);
    let found = story.found();
    assert_eq!(found.complaints, []);
    assert_eq!((found.asked, found.done, found.yeses), (4, 3, 4));
}

#[test]
fn no_byte_of_a_yes_is_changed_unseen() {
    let story = whole();
    let is_yes = |leaf: &Vec<u8>| String::from_utf8_lossy(leaf).contains("operation-approved");
    let place = story.leaves.iter().position(is_yes).unwrap();
    let leaf = String::from_utf8(story.leaves[place].clone()).unwrap();
    let number = r#""number":1,"#;
    let (from, without) = (
        leaf.find(r#""operation":"#).unwrap(),
        leaf.find(number).unwrap(),
    );
    for byte in (from..leaf.len()).filter(|at| !(without..without + number.len()).contains(at)) {
        let mut changed = story.clone();
        changed.leaves[place][byte] ^= 1;
        let found = changed.found();
        assert!(!found.is_sound(), "byte {byte} of {leaf}");
    }
}

#[test]
fn whatever_byte_of_a_story_is_changed_the_rest_is_read() {
    let story = whole();
    let lengths = story.leaves.iter().map(Vec::len).sum::<usize>();
    // A step that has no divisor in common with most lengths, so that all kinds of places come.
    for at in (0..lengths).step_by(37) {
        let (mut changed, mut byte) = (story.clone(), at);
        for leaf in &mut changed.leaves {
            match leaf.get_mut(byte) {
                Some(found) => {
                    *found = b"\"{}[]:,\\0a\xff\n"[at % 12];
                    break;
                }
                None => byte -= leaf.len(),
            }
        }
        let found = changed.found();
        assert!(found.complaints.len() as u64 <= found.complaint_count);
        assert!(found.asked >= 3, "{at}");
    }
}
