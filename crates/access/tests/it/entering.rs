//! How operators come in: set-up, the folder, links, and a recovery code in place of a lost factor.

use strongroom_access::{
    Act, Link, Refusal, Right, Roles, Rule, Seal, Setup, Shown, Standing, permit,
};

use crate::scene::{DELAY_MS, Scene, id, keep};

#[test]
fn in_set_up_only_a_passkey_invites() {
    let mut scene = Scene::with(1);
    scene.setup = Setup::UnderWay {
        since_ms: scene.now_ms,
        first: id(0),
    };
    for (shown, may) in [
        (Shown::Passkey, true),
        (Shown::PasskeyBefore, false),
        (Shown::PasswordAndTotp, false),
        (Shown::Elsewhere, false),
        (Shown::RecoveryCode, false),
    ] {
        let invite = Act::AddOperator {
            name: "second".parse().unwrap(),
            roles: Roles::ALL,
        };
        let invited = permit::at_once(&scene.world(), (id(0), shown), invite, scene.now_ms);
        assert_eq!(invited.is_ok(), may, "{shown:?}");
    }
}

#[test]
fn a_recovery_code_replaces_a_factor_and_a_passkey_replaces_none() {
    let scene = Scene::with(1);
    let enrol = |shown, in_place_of| {
        let operator = id(0);
        let act = Act::Enrol {
            operator,
            in_place_of,
        };
        permit::at_once(&scene.world(), (operator, shown), act, scene.now_ms)
    };
    assert!(enrol(Shown::RecoveryCode, Some(1)).is_ok());
    let adds = enrol(Shown::RecoveryCode, None);
    assert!(matches!(adds, Err(Refusal::NotShown { .. })));
    assert!(enrol(Shown::Passkey, None).is_ok());
    let replaces = enrol(Shown::Passkey, Some(1));
    assert_eq!(replaces, Err(Refusal::NeedsApproval));
}

#[test]
fn a_link_lets_in_who_is_invited_until_it_lapses_and_under_a_seal_only_the_first() {
    let mut scene = Scene::with(2);
    let by =
        |scene: &Scene, who, link| permit::by_link(&scene.world(), (id(who), link), scene.now_ms);
    let refused = by(&scene, 1, Link::Invitation);
    assert_eq!(refused, Err(Refusal::NoOperator), "he is one already");
    scene.operators[1].standing = Standing::invited_at(scene.now_ms);
    assert!(by(&scene, 1, Link::Invitation).is_ok());
    assert!(by(&scene, 0, Link::Invitation).is_err());
    scene.at_once(0, Act::Seal).unwrap();
    assert_eq!(by(&scene, 1, Link::Invitation), Err(Refusal::Sealed));
    assert!(by(&scene, 1, Link::First).is_ok());
    scene.pass(DELAY_MS);
    assert_eq!(by(&scene, 1, Link::First), Err(Refusal::NoOperator));
}

#[test]
fn in_set_up_one_invites_alone_and_nothing_is_lowered() {
    let mut scene = Scene::with(1);
    scene.setup = Setup::UnderWay {
        since_ms: scene.now_ms,
        first: id(0),
    };
    let invite = Act::AddOperator {
        name: "second".parse().unwrap(),
        roles: Roles::ALL,
    };
    scene.at_once(0, invite.clone()).unwrap();
    assert_eq!(scene.at_once(0, keep(60, 30)), Err(Refusal::InSetUp));
    assert_eq!(scene.ask(0, keep(60, 30)), Err(Refusal::InSetUp));
    scene.pass(DELAY_MS);
    assert_eq!(scene.at_once(0, invite), Err(Refusal::NeedsApproval));
}

#[test]
fn in_set_up_whoever_was_invited_invites_nobody() {
    let mut scene = Scene::with(2);
    scene.setup = Setup::UnderWay {
        since_ms: scene.now_ms,
        first: id(0),
    };
    let invite = Act::AddOperator {
        name: "accomplice".parse().unwrap(),
        roles: Roles::ALL,
    };
    assert_eq!(scene.at_once(1, invite.clone()), Err(Refusal::NotFirst));
    assert_eq!(scene.ask(1, invite.clone()), Err(Refusal::InSetUp));
    scene.at_once(0, invite).unwrap();
}

#[test]
fn whoever_has_the_folder_does_nothing_any_more_once_there_are_operators() {
    let mut scene = Scene::with(1);
    let token = Act::RevokeToken {
        token: "abc".to_owned(),
    };
    let refused = permit::by_folder(&scene.world(), token.clone(), scene.now_ms);
    assert_eq!(refused, Err(Refusal::NoOperator));
    scene.setup = Setup::Unclaimed;
    assert!(permit::by_folder(&scene.world(), token, scene.now_ms).is_ok());
    let enrol = Act::Enrol {
        operator: id(0),
        in_place_of: None,
    };
    let enrolled = permit::by_folder(&scene.world(), enrol, scene.now_ms);
    assert_eq!(enrolled, Err(Refusal::NoOperator));
    let lowered = permit::by_folder(&scene.world(), keep(60, 30), scene.now_ms);
    assert_eq!(lowered, Err(Refusal::NeedsApproval));
    // Nobody else is there yet, and a vault has to go on.
    let maintain = Act::MakeToken {
        right: Right::Maintain,
        prefix: "acme".parse().unwrap(),
        expires_in_ms: None,
        in_place_of: None,
    };
    let agree = Act::AgreeToPurge {
        repository: "acme".parse().unwrap(),
        tombstones: 1,
        newest: None,
    };
    let clock = Act::ConfirmClock { leaf: 0 };
    for act in [keep(60, 3_000), maintain, agree, clock] {
        assert!(permit::by_folder(&scene.world(), act, scene.now_ms).is_ok());
    }
    for act in [
        Act::RemoveRepository {
            repository: "acme".parse().unwrap(),
        },
        Act::SetRule {
            rule: Rule::default(),
        },
        Act::AddOperator {
            name: "mallory".parse().unwrap(),
            roles: Roles::ALL,
        },
    ] {
        let refused = permit::by_folder(&scene.world(), act, scene.now_ms);
        assert_eq!(refused, Err(Refusal::NeedsApproval));
    }
    // Under the seal it makes no token, whatever it is said to replace, and shows nothing again.
    scene.seal = Seal::Sealed {
        since_ms: 0,
        leaf: 1,
    };
    let (prefix, token) = ("acme".parse().unwrap(), || "abc".to_owned());
    let replace = Act::MakeToken {
        right: Right::Append,
        prefix,
        expires_in_ms: None,
        in_place_of: Some(token()),
    };
    for act in [replace, Act::Unhide { token: token() }] {
        let done = permit::by_folder(&scene.world(), act, scene.now_ms);
        assert_eq!(done, Err(Refusal::NeedsApproval));
    }
}
