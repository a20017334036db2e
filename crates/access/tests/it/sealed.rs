//! What goes on under the seal, and what waits behind it.

use strongroom_access::operation::{End, LAPSES_MS, State};
use strongroom_access::{Act, Refusal, Right, Seal, Shown, permit, seal};

use crate::scene::{DAY_MS, DELAY_MS, Scene, id, keep};

#[test]
fn under_the_seal_waiting_stands_still_and_begins_anew_behind_it() {
    let mut scene = Scene::with(3);
    let lower = scene.ask(0, keep(60, 30)).unwrap();
    scene.say_yes(1, lower).unwrap();
    scene.say_yes(2, lower).unwrap();
    scene.pass(DELAY_MS - 1);
    scene.at_once(1, Act::Seal).unwrap();
    scene.pass(1);
    assert_eq!(scene.perform(lower), Err(Refusal::Sealed));
    assert_eq!(scene.ask(0, keep(60, 29)), Err(Refusal::Sealed));
    assert_eq!(scene.at_once(0, keep(60, 90)), Err(Refusal::Sealed));
    let leaf = scene.seal_leaf().unwrap();
    let unseal = scene.ask(0, Act::Unseal { leaf }).unwrap();
    scene.say_yes(1, unseal).unwrap();
    scene.say_yes(2, unseal).unwrap();
    scene.pass(DAY_MS - 1);
    assert!(matches!(scene.perform(unseal), Err(Refusal::Waits { .. })));
    scene.pass(1);
    scene.perform(unseal).unwrap();
    assert!(matches!(scene.perform(lower), Err(Refusal::Waits { .. })));
    scene.pass(DELAY_MS);
    scene.perform(lower).unwrap();
}

#[test]
fn a_seal_brings_back_nothing_that_has_lapsed() {
    let mut scene = Scene::with(3);
    let lower = scene.ask(0, keep(60, 30)).unwrap();
    scene.say_yes(1, lower).unwrap();
    scene.say_yes(2, lower).unwrap();
    scene.pass(DELAY_MS + LAPSES_MS);
    assert!(scene.stop(1, lower).is_err(), "there is nothing to stop");
    scene.at_once(0, Act::Seal).unwrap();
    scene.unseal();
    scene.pass(DELAY_MS);
    assert!(scene.perform(lower).is_err());
    assert_eq!(scene.operations[lower].state, State::Ended(End::Lapsed));
}

#[test]
fn what_lapses_under_a_seal_does_not_come_back_when_it_is_opened() {
    let mut scene = Scene::with(4);
    let suspend = scene.ask(0, Act::Suspend { operator: id(3) }).unwrap();
    scene.say_yes(1, suspend).unwrap();
    scene.say_yes(2, suspend).unwrap();
    scene.pass(8 * DAY_MS);
    scene.at_once(0, Act::Seal).unwrap();
    let due_ms = scene.now_ms;
    assert_eq!(
        scene.operations[suspend].due_ms(&scene.world()),
        Ok(due_ms),
        "it had not lapsed, and the seal leaves it its time"
    );
    scene.pass(LAPSES_MS);
    scene.unseal();
    scene.pass(DELAY_MS);
    assert!(scene.perform(suspend).is_err());
    assert!(scene.counts(3));
}

#[test]
fn a_seal_is_closed_and_opened_only_by_the_permit_for_that() {
    let mut scene = Scene::with(3);
    let by = (id(0), Shown::Passkey);
    let look = || permit::at_once(&scene.world(), by, Act::Look, scene.now_ms).unwrap();
    let refused = Err(Refusal::NotNow { what: "the seal" });
    let closed = seal::close(look(), &scene.world(), &mut [], 1, scene.now_ms);
    assert_eq!(closed, refused);
    let opened = seal::open(look(), &scene.world(), &mut [], scene.now_ms);
    assert_eq!(opened, refused);
    scene.at_once(0, Act::Seal).unwrap();
    let again = scene.at_once(1, Act::Seal);
    assert!(matches!(again, Err(Refusal::NotNow { .. })), "it holds");
}

#[test]
fn under_the_seal_access_is_taken_away_at_once() {
    let mut scene = Scene::with(3);
    scene.at_once(0, Act::Seal).unwrap();
    let revoke = Act::RevokeToken {
        token: "abc".to_owned(),
    };
    scene.at_once(1, revoke).unwrap();
    scene.at_once(1, Act::EndSessions { of: id(2) }).unwrap();
    let suspend = Act::Suspend { operator: id(2) };
    assert_eq!(
        scene.at_once(1, suspend.clone()),
        Err(Refusal::NeedsApproval)
    );
    let asked = scene.ask(0, suspend).unwrap();
    scene.say_yes(1, asked).unwrap();
    scene.perform(asked).unwrap();
    assert!(!scene.counts(2));
    let replace = Act::MakeToken {
        right: Right::Append,
        prefix: "acme".parse().unwrap(),
        expires_in_ms: None,
        in_place_of: Some("abc".to_owned()),
    };
    assert_eq!(
        scene.at_once(0, replace.clone()),
        Err(Refusal::NeedsApproval)
    );
    let other = Act::MakeToken {
        right: Right::Append,
        prefix: "acme/repos".parse().unwrap(),
        expires_in_ms: None,
        in_place_of: Some("abc".to_owned()),
    };
    assert_eq!(scene.ask(0, other), Err(Refusal::Changed));
    let asked = scene.ask(0, replace.clone()).unwrap();
    let again = scene.ask(0, replace).unwrap();
    for number in [asked, again] {
        scene.say_yes(1, number).unwrap();
    }
    scene.perform(asked).unwrap();
    let replaced = scene.perform(again);
    assert_eq!(replaced, Err(Refusal::Changed), "it is replaced once");
}

#[test]
fn a_seal_code_seals_and_nothing_else() {
    let mut scene = Scene::with(1);
    let permit = permit::by_seal_code(&scene.world(), "monitoring".parse().unwrap()).unwrap();
    assert_eq!(permit.act(), &Act::Seal);
    scene.seal = Seal::Sealed {
        since_ms: 0,
        leaf: 1,
    };
    assert!(permit::by_seal_code(&scene.world(), "monitoring".parse().unwrap()).is_err());
}
