//! The attacks of docs/people.md, by name.

use strongroom_access::operation::{self, End, LAPSES_MS, MOST_ASKED, State};
use strongroom_access::rule::ALONE_MS;
use strongroom_access::{Act, Factors, Refusal, Role, Roles, Rule, Shown, Standing, permit};
use strongroom_model::Id;

use crate::scene::{DAY_MS, DELAY_MS, HOUR_MS, Scene, id, keep, keeping};

fn himself(verb: &'static str, reason: &'static str) -> Refusal {
    Refusal::Himself { verb, reason }
}

#[test]
fn lowering_takes_two_others_and_three_days() {
    let mut scene = Scene::with(3);
    let lower = keep(60, 30);
    assert_eq!(scene.at_once(0, lower.clone()), Err(Refusal::NeedsApproval));
    let asked = scene.ask(0, lower.clone()).unwrap();
    scene.say_yes(1, asked).unwrap();
    assert_eq!(scene.operations[asked].state, State::Asked);
    scene.pass(HOUR_MS);
    scene.say_yes(2, asked).unwrap();
    let due_ms = scene.now_ms + DELAY_MS;
    scene.pass(DELAY_MS - 1);
    assert_eq!(scene.perform(asked), Err(Refusal::Waits { due_ms }));
    scene.pass(1);
    assert_eq!(scene.perform(asked), Ok(lower));
    assert!(scene.perform(asked).is_err(), "it is done once");
}

#[test]
fn nobody_approves_his_own_request_nor_twice() {
    let mut scene = Scene::with(4);
    let asked = scene.ask(0, keep(60, 30)).unwrap();
    let own = himself("approves", "he has asked for");
    assert_eq!(scene.say_yes(0, asked), Err(own));
    scene.say_yes(1, asked).unwrap();
    scene.say_yes(1, asked).unwrap();
    assert_eq!(scene.operations[asked].state, State::Asked);
}

#[test]
fn a_yes_is_to_one_operation_and_no_other() {
    let mut scene = Scene::with(3);
    let harmless = scene.ask(0, keep(60, 59)).unwrap();
    let harmful = scene.ask(0, keep(60, 1)).unwrap();
    let again = scene.ask(0, keep(60, 59)).unwrap();
    let signed = scene.operations[harmless].id;
    for other in [harmful, again] {
        assert_eq!(scene.say_yes_to(1, other, &signed), Err(Refusal::Changed));
    }
    assert_eq!(
        scene.say_yes_to(1, harmless, &Id::default()),
        Err(Refusal::Changed)
    );
    scene.say_yes_to(1, harmless, &signed).unwrap();
}

#[test]
fn only_a_passkey_approves_and_only_for_whoever_is_there_for_it() {
    let mut scene = Scene::with(3);
    scene.operators[2].roles = Roles::NONE.with(Role::Keeper);
    let asked = scene.ask(0, keep(60, 30)).unwrap();
    let role = Role::Security;
    assert_eq!(scene.say_yes(2, asked), Err(Refusal::NoRole { role }));
    let signed = scene.operations[asked].id;
    for shown in [
        Shown::PasskeyBefore,
        Shown::PasswordAndTotp,
        Shown::Elsewhere,
        Shown::RecoveryCode,
    ] {
        let mut operation = scene.operations[asked].clone();
        let said = operation.say_yes(&scene.world(), (id(1), shown), &signed, scene.now_ms);
        assert!(matches!(said, Err(Refusal::NotShown { .. })), "{shown:?}");
    }
    // A recovery code replaced a factor an hour ago.
    scene.operators[1].factors.replaced_ms = Some(scene.now_ms - HOUR_MS);
    let said = scene.say_yes(1, asked);
    assert!(matches!(said, Err(Refusal::NotShown { .. })));
    scene.pass(DELAY_MS);
    scene.say_yes(1, asked).unwrap();
}

#[test]
fn what_nobody_else_approves_and_an_unsealing_are_asked_for_with_a_passkey() {
    let mut alone = Scene::with(1);
    let mut three = Scene::with(3);
    three.at_once(0, Act::Seal).unwrap();
    let leaf = three.seal_leaf().unwrap();
    for shown in [
        Shown::PasskeyBefore,
        Shown::PasswordAndTotp,
        Shown::Elsewhere,
    ] {
        let by = (id(0), shown);
        for (scene, act) in [(&alone, keep(60, 30)), (&three, Act::Unseal { leaf })] {
            let asked = operation::ask(&scene.world(), by, act, &[0; 32], 0, scene.now_ms);
            assert!(matches!(asked, Err(Refusal::NotShown { .. })), "{shown:?}");
        }
    }
    alone.ask(0, keep(60, 30)).unwrap();
    three.ask(0, Act::Unseal { leaf }).unwrap();
}

#[test]
fn a_stolen_session_neither_approves_nor_enrols() {
    let scene = Scene::with(3);
    let enrol = Act::Enrol {
        operator: id(0),
        in_place_of: None,
    };
    for (shown, may) in [
        (Shown::Passkey, true),
        (Shown::PasskeyBefore, false),
        (Shown::PasswordAndTotp, false),
        (Shown::Elsewhere, false),
    ] {
        let by = (id(0), shown);
        let enrolled = permit::at_once(&scene.world(), by, enrol.clone(), scene.now_ms);
        assert_eq!(enrolled.is_ok(), may, "{shown:?}");
    }
}

#[test]
fn whoever_is_to_go_neither_approves_nor_stops_that() {
    let mut scene = Scene::with(3);
    let remove = Act::RemoveOperator { operator: id(2) };
    let asked = scene.ask(0, remove).unwrap();
    let about = himself("approves", "is about himself");
    assert_eq!(scene.say_yes(2, asked), Err(about));
    scene.say_yes(1, asked).unwrap();
    let about = himself("stops", "is about himself");
    assert_eq!(scene.stop(2, asked), Err(about));
    scene.pass(DELAY_MS);
    scene.perform(asked).unwrap();
    assert!(!scene.counts(2));
}

#[test]
fn one_person_stops_the_same_once() {
    let mut scene = Scene::with(3);
    scene.at_once(2, Act::Seal).unwrap();
    let leaf = scene.seal_leaf().unwrap();
    let unseal = |scene: &mut Scene| {
        let asked = scene.ask(0, Act::Unseal { leaf }).unwrap();
        scene.say_yes(1, asked).unwrap();
        let early = scene.stop(2, asked);
        let not_yet = Refusal::NotNow {
            what: "that operation",
        };
        assert_eq!(early, Err(not_yet), "nothing waits that could be stopped");
        scene.say_yes(2, asked).unwrap();
        asked
    };
    let first = unseal(&mut scene);
    scene.stop(2, first).unwrap();
    assert_eq!(
        scene.operations[first].state,
        State::Ended(End::Stopped(id(2)))
    );
    let second = unseal(&mut scene);
    assert_eq!(scene.stop(2, second), Err(Refusal::StoppedBefore));
    scene.pass(DAY_MS);
    scene.perform(second).unwrap();
    assert_eq!(scene.seal_leaf(), None);
}

#[test]
fn what_nobody_else_approves_is_stopped_each_time() {
    let mut scene = Scene::with(2);
    scene.operators[1].roles = Roles::NONE.with(Role::Keeper);
    for _ in 0..3 {
        let asked = scene.ask(0, keep(60, 30)).unwrap();
        scene.pass(DAY_MS);
        scene.stop(1, asked).unwrap();
    }
}

#[test]
fn raising_a_little_gives_nobody_another_turn_to_stop_a_lowering() {
    let mut scene = Scene::with(3);
    let first = scene.ask(0, keep(60, 30)).unwrap();
    scene.say_yes(1, first).unwrap();
    scene.say_yes(2, first).unwrap();
    scene.stop(2, first).unwrap();
    scene.at_once(2, keep(60, 61)).unwrap();
    let lower = |to_days| Act::Keep {
        repository: "acme/repos".parse().unwrap(),
        from: keeping(61),
        to: keeping(to_days),
        agreed: keeping(60),
        is_compliant: false,
    };
    let second = scene.ask(0, lower(30)).unwrap();
    scene.say_yes(1, second).unwrap();
    scene.say_yes(2, second).unwrap();
    assert_eq!(scene.stop(2, second), Err(Refusal::StoppedBefore));
    let other = scene.ask(0, lower(29)).unwrap();
    scene.say_yes(1, other).unwrap();
    scene.say_yes(2, other).unwrap();
    scene.stop(2, other).unwrap();
}

#[test]
fn the_last_security_operator_stays() {
    let mut scene = Scene::with(1);
    for act in [
        Act::RemoveOperator { operator: id(0) },
        Act::Suspend { operator: id(0) },
        Act::SetRoles {
            operator: id(0),
            roles: Roles::NONE,
        },
        Act::RecoverOperator { operator: id(0) },
    ] {
        assert_eq!(scene.ask(0, act), Err(Refusal::TooFewLeft { least: 1 }));
    }
    // Nor the last two at once, each by the other's leave.
    let mut scene = Scene::with(3);
    let first = scene
        .ask(0, Act::RemoveOperator { operator: id(1) })
        .unwrap();
    scene.say_yes(2, first).unwrap();
    let second = scene
        .ask(2, Act::RemoveOperator { operator: id(0) })
        .unwrap();
    scene.say_yes(1, second).unwrap();
    scene.pass(DELAY_MS);
    scene.perform(first).unwrap();
    assert_eq!(scene.perform(second), Err(Refusal::NobodyApproves));
    assert!(scene.counts(0) && scene.counts(2));
}

#[test]
fn a_rule_of_more_yeses_keeps_as_many_people() {
    let mut scene = Scene::with(4);
    let rule = Rule::new(3).unwrap();
    let least = rule.least();
    let asked = scene.ask(0, Act::SetRule { rule }).unwrap();
    scene.say_yes(1, asked).unwrap();
    scene.say_yes(2, asked).unwrap();
    scene.pass(DELAY_MS);
    scene.perform(asked).unwrap();
    let remove = Act::RemoveOperator { operator: id(3) };
    assert_eq!(scene.ask(0, remove), Err(Refusal::TooFewLeft { least }));
    let five = Act::SetRule {
        rule: Rule::new(4).unwrap(),
    };
    assert_eq!(scene.ask(0, five), Err(Refusal::TooFewLeft { least: 5 }));
    let lower = scene.ask(0, keep(60, 30)).unwrap();
    scene.say_yes(1, lower).unwrap();
    scene.say_yes(2, lower).unwrap();
    assert_eq!(scene.operations[lower].state, State::Asked);
}

#[test]
fn a_rule_that_no_number_of_people_could_keep_is_refused() {
    let mut scene = Scene::with(3);
    let rule = Rule::new(usize::MAX).unwrap();
    let least = usize::MAX;
    let refused = scene.ask(0, Act::SetRule { rule });
    assert_eq!(refused, Err(Refusal::TooFewLeft { least }));
}

#[test]
fn a_stolen_factor_goes_where_enough_are_left() {
    let remove = |who| Act::RemoveFactor {
        operator: id(who),
        factor: 1,
    };
    let mut alone = Scene::with(1);
    let asked = alone.ask(0, remove(0)).unwrap();
    alone.pass(ALONE_MS);
    alone.perform(asked).unwrap();
    let least = 1;
    assert_eq!(alone.ask(0, remove(0)), Err(Refusal::TooFewLeft { least }));

    let mut scene = Scene::with(4);
    scene.rule = Rule::new(3).unwrap();
    let least = scene.rule.least();
    let asked = scene.ask(0, remove(3)).unwrap();
    scene.say_yes(1, asked).unwrap();
    scene.say_yes(2, asked).unwrap();
    scene.pass(DELAY_MS);
    scene.perform(asked).unwrap();
    assert_eq!(scene.ask(0, remove(3)), Err(Refusal::TooFewLeft { least }));
}

#[test]
fn who_is_alone_waits_two_weeks_and_of_two_the_other_decides() {
    let mut alone = Scene::with(1);
    assert!(alone.world().is_one_person());
    let asked = alone.ask(0, keep(60, 30)).unwrap();
    alone.pass(ALONE_MS - 1);
    assert!(matches!(alone.perform(asked), Err(Refusal::Waits { .. })));
    alone.pass(1);
    alone.perform(asked).unwrap();

    // A keeper beside him needs his yes, and the two weeks.
    let mut with_keeper = Scene::with(2);
    with_keeper.operators[1].roles = Roles::NONE.with(Role::Keeper);
    let asked = with_keeper.ask(1, keep(60, 30)).unwrap();
    with_keeper.pass(DAY_MS);
    assert!(with_keeper.perform(asked).is_err());
    with_keeper.say_yes(0, asked).unwrap();
    with_keeper.pass(ALONE_MS - 1);
    assert!(with_keeper.perform(asked).is_err());
    with_keeper.pass(1);
    with_keeper.perform(asked).unwrap();

    let mut two = Scene::with(2);
    let asked = two.ask(0, keep(60, 30)).unwrap();
    two.say_yes(1, asked).unwrap();
    two.pass(DELAY_MS);
    two.perform(asked).unwrap();
    // Neither gets rid of the other by himself.
    let remove = Act::RemoveOperator { operator: id(1) };
    assert_eq!(two.ask(0, remove), Err(Refusal::NobodyApproves));
}

#[test]
fn a_yes_counts_no_more_than_whoever_gave_it() {
    let mut scene = Scene::with(4);
    let lower = scene.ask(0, keep(60, 30)).unwrap();
    scene.say_yes(1, lower).unwrap();
    scene.say_yes(2, lower).unwrap();
    let suspend = scene.ask(0, Act::Suspend { operator: id(2) }).unwrap();
    scene.say_yes(1, suspend).unwrap();
    scene.say_yes(3, suspend).unwrap();
    scene.pass(DELAY_MS);
    scene.perform(suspend).unwrap();
    assert_eq!(scene.perform(lower), Err(Refusal::NeedsApproval));
    assert_eq!(scene.operations[lower].state, State::Asked);
    scene.say_yes(3, lower).unwrap();
    scene.pass(DELAY_MS - 1);
    assert!(matches!(scene.perform(lower), Err(Refusal::Waits { .. })));
    scene.pass(1);
    scene.perform(lower).unwrap();
}

#[test]
fn what_was_said_before_a_factor_was_replaced_does_not_count() {
    let mut scene = Scene::with(3);
    let lower = scene.ask(0, keep(60, 30)).unwrap();
    scene.say_yes(1, lower).unwrap();
    scene.say_yes(2, lower).unwrap();
    scene.pass(HOUR_MS);
    scene.operators[2].factors.replaced_ms = Some(scene.now_ms);
    scene.pass(DELAY_MS);
    assert_eq!(scene.perform(lower), Err(Refusal::NeedsApproval));
    scene.say_yes(2, lower).unwrap();
    scene.pass(DELAY_MS);
    scene.perform(lower).unwrap();
}

#[test]
fn a_yes_in_place_of_one_that_counts_no_more_begins_the_delay_anew() {
    let mut scene = Scene::with(5);
    let lower = scene.ask(0, keep(60, 30)).unwrap();
    scene.say_yes(1, lower).unwrap();
    scene.say_yes(2, lower).unwrap();
    scene.pass(DELAY_MS);
    scene.operators[2].standing = Standing::Suspended;
    scene.say_yes(3, lower).unwrap();
    let due_ms = scene.now_ms + DELAY_MS;
    assert_eq!(scene.perform(lower), Err(Refusal::Waits { due_ms }));
    // One more than it takes changes nothing.
    scene.pass(HOUR_MS);
    scene.say_yes(4, lower).unwrap();
    assert_eq!(scene.perform(lower), Err(Refusal::Waits { due_ms }));
}

#[test]
fn whoever_has_withdrawn_his_own_request_has_not_used_up_his_stop() {
    let mut scene = Scene::with(3);
    let own = scene.ask(2, keep(60, 30)).unwrap();
    scene.stop(2, own).unwrap();
    assert_eq!(scene.operations[own].state, State::Ended(End::Withdrawn));
    let asked = scene.ask(0, keep(60, 30)).unwrap();
    scene.say_yes(1, asked).unwrap();
    scene.say_yes(2, asked).unwrap();
    scene.stop(2, asked).unwrap();
}

#[test]
fn what_somebody_asked_for_who_is_suspended_is_not_done() {
    let mut scene = Scene::with(4);
    let lower = scene.ask(0, keep(60, 30)).unwrap();
    scene.say_yes(1, lower).unwrap();
    scene.say_yes(2, lower).unwrap();
    let suspend = scene.ask(3, Act::Suspend { operator: id(0) }).unwrap();
    scene.say_yes(1, suspend).unwrap();
    scene.say_yes(2, suspend).unwrap();
    scene.pass(DELAY_MS);
    scene.perform(suspend).unwrap();
    assert_eq!(scene.perform(lower), Err(Refusal::NoOperator));
}

#[test]
fn a_hundred_years_are_not_set_by_one() {
    let mut scene = Scene::with(3);
    for days in [121, 366, 36_500] {
        let raise = keep(60, days);
        assert_eq!(scene.at_once(0, raise), Err(Refusal::NeedsApproval));
    }
    scene.at_once(0, keep(60, 120)).unwrap();
    // He doubles what holds and was agreed to, and not what he says that is.
    assert_eq!(scene.at_once(0, keep(120, 240)), Err(Refusal::Changed));
    assert_eq!(scene.ask(0, keep(120, 300)), Err(Refusal::Changed));
    assert_eq!(scene.held.keeping, keeping(120));
    assert_eq!(scene.held.agreed, keeping(60));
}

#[test]
fn what_others_agreed_to_is_what_one_may_double_from_then_on() {
    let mut scene = Scene::with(3);
    let far = scene.ask(0, keep(60, 150)).unwrap();
    scene.say_yes(1, far).unwrap();
    scene.say_yes(2, far).unwrap();
    scene.pass(DELAY_MS);
    scene.perform(far).unwrap();
    assert_eq!(scene.held.agreed, keeping(150));
    scene.at_once(0, keep(150, 300)).unwrap();
}

#[test]
fn what_was_agreed_to_is_not_done_where_it_has_come_to_mean_another_thing() {
    let mut scene = Scene::with(3);
    let lower = scene.ask(0, keep(60, 30)).unwrap();
    scene.say_yes(1, lower).unwrap();
    scene.say_yes(2, lower).unwrap();
    scene.pass(DELAY_MS);
    scene.held.is_compliant = true;
    let refused = scene.perform(lower);
    assert!(matches!(refused, Err(Refusal::Never { .. })));
    scene.held.is_compliant = false;
    scene.held.keeping = keeping(61);
    scene.perform(lower).unwrap();
    assert_eq!(scene.held.keeping, keeping(30), "nobody vetoes by raising");
}

#[test]
fn an_act_on_a_repository_that_nobody_knows_is_refused() {
    let mut scene = Scene::with(3);
    scene.held.repository = "acme/other".parse().unwrap();
    assert_eq!(scene.at_once(0, keep(60, 61)), Err(Refusal::Changed));
    assert_eq!(scene.ask(0, keep(60, 30)), Err(Refusal::Changed));
}

#[test]
fn one_factor_is_no_operator() {
    let mut scene = Scene::with(3);
    scene.operators[0].factors = Factors {
        passkeys: 1,
        ..Factors::default()
    };
    assert_eq!(scene.at_once(0, Act::Look), Err(Refusal::NoOperator));
    assert_eq!(scene.ask(0, keep(60, 30)), Err(Refusal::NoOperator));
}

#[test]
fn what_nobody_does_lapses_and_nobody_asks_without_end() {
    let mut scene = Scene::with(3);
    let asked = scene.ask(0, keep(60, 30)).unwrap();
    scene.pass(LAPSES_MS);
    assert!(scene.say_yes(1, asked).is_err());
    for _ in 0..MOST_ASKED {
        scene.ask(0, keep(60, 30)).unwrap();
    }
    let most = MOST_ASKED;
    assert_eq!(
        scene.ask(0, keep(60, 30)),
        Err(Refusal::TooManyAsked { most })
    );
    scene.stop(0, 1).unwrap();
    let late = scene.ask(0, keep(60, 30)).unwrap();
    scene.say_yes(1, late).unwrap();
    scene.say_yes(2, late).unwrap();
    scene.pass(DELAY_MS + LAPSES_MS);
    assert!(scene.perform(late).is_err());
    assert_eq!(scene.operations[late].state, State::Ended(End::Lapsed));
}
