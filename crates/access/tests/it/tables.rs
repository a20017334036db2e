//! The tables of docs/people.md: who does what at once, what waits for how long, and what the seal
//! leaves of it.

use strongroom_access::act::{DELAY_MS, UNSEAL_DELAY_MS, Weight};
use strongroom_access::seal::UnderSeal;
use strongroom_access::{Act, Refusal, Right, Role, Roles, Rule, Seal};
use strongroom_model::Id;

use crate::scene::{DAY_MS, HOUR_MS, Scene, id, keep};

const SEALED: Seal = Seal::Sealed {
    since_ms: 0,
    leaf: 1,
};

fn token(right: Right, expires_in_ms: Option<i64>, in_place_of: Option<&str>) -> Act {
    Act::MakeToken {
        right,
        prefix: "acme".parse().unwrap(),
        expires_in_ms,
        in_place_of: in_place_of.map(str::to_owned),
    }
}

/// What one does at once: who by his role, and whether it goes on under the seal.
fn at_once() -> Vec<(Act, &'static [Role], UnderSeal)> {
    use Role::{Keeper, Restorer, Security};
    let (name, repository) = (|| "abc".to_owned(), || "acme/repos".parse().unwrap());
    let key = Id::default();
    let limits = (Some(1), Some(1));
    vec![
        (Act::Look, &Role::ALL, UnderSeal::AsEver),
        (Act::Seal, &Role::ALL, UnderSeal::AsEver),
        (
            Act::EndSessions { of: id(0) },
            &Role::ALL,
            UnderSeal::AsEver,
        ),
        (
            Act::Enrol {
                operator: id(0),
                in_place_of: None,
            },
            &Role::ALL,
            UnderSeal::Refused,
        ),
        (
            Act::EndSessions { of: id(1) },
            &[Keeper, Security],
            UnderSeal::AsEver,
        ),
        (
            Act::RevokeToken { token: name() },
            &[Keeper, Security],
            UnderSeal::AsEver,
        ),
        (
            Act::Hide {
                token: name(),
                since_ms: 0,
            },
            &[Keeper, Security],
            UnderSeal::AsEver,
        ),
        (
            token(Right::Read, Some(HOUR_MS), None),
            &[Restorer],
            UnderSeal::AsEver,
        ),
        (
            Act::Undelete {
                repository: repository(),
            },
            &[Keeper],
            UnderSeal::AsEver,
        ),
        (
            Act::Unhide { token: name() },
            &[Keeper],
            UnderSeal::WithoutDelay,
        ),
        (
            token(Right::Append, None, Some("abc")),
            &[Keeper],
            UnderSeal::WithoutDelay,
        ),
        (
            token(Right::Append, None, None),
            &[Keeper],
            UnderSeal::Refused,
        ),
        (
            token(Right::Report, None, None),
            &[Keeper],
            UnderSeal::Refused,
        ),
        (keep(60, 120), &[Keeper], UnderSeal::Refused),
        (
            Act::AdmitKey {
                repository: repository(),
                key,
            },
            &[Keeper],
            UnderSeal::Refused,
        ),
        (
            Act::ForgetClientKey { token: name() },
            &[Keeper],
            UnderSeal::Refused,
        ),
        (
            Act::AddRepository {
                repository: repository(),
            },
            &[Keeper],
            UnderSeal::Refused,
        ),
        (
            Act::Quota {
                repository: repository(),
                bytes: limits.0,
            },
            &[Keeper],
            UnderSeal::Refused,
        ),
        (
            Act::TokenDay {
                token: name(),
                bytes: limits.0,
                objects: limits.1,
            },
            &[Keeper],
            UnderSeal::Refused,
        ),
    ]
}

/// What takes approvals, and what the seal leaves of it.
fn by_approval() -> Vec<(Act, UnderSeal)> {
    let operator = id(1);
    let repository = || "acme/repos".parse().unwrap();
    let roles = Roles::NONE;
    let refused = [
        keep(60, 30),
        keep(60, 121),
        Act::Comply {
            repository: repository(),
        },
        Act::AgreeToPurge {
            repository: repository(),
            tombstones: 1,
            newest: None,
        },
        Act::ConfirmClock { leaf: 1 },
        Act::CatchUp { by_ms: 1 },
        Act::PurgeEarly {
            token: "abc".to_owned(),
            since: 0,
        },
        Act::RemoveRepository {
            repository: repository(),
        },
        token(Right::Maintain, Some(1), None),
        token(Right::Read, Some(HOUR_MS + 1), None),
        token(Right::Read, None, None),
        Act::AddOperator {
            name: "somebody".parse().unwrap(),
            roles,
        },
        Act::SetRoles { operator, roles },
        Act::RecoverOperator { operator },
        Act::RemoveFactor {
            operator,
            factor: 1,
        },
        Act::Reinstate { operator },
        Act::RemoveOperator { operator },
        Act::SetRule {
            rule: Rule::default(),
        },
        Act::Maintain {
            from_ms: 0,
            until_ms: DAY_MS,
        },
        Act::LoosenGuard {
            policy: Id::default(),
        },
    ];
    let mut all = refused.map(|act| (act, UnderSeal::Refused)).to_vec();
    all.push((Act::Unseal { leaf: 1 }, UnderSeal::AsEver));
    all.push((Act::Suspend { operator }, UnderSeal::WithoutDelay));
    all
}

#[test]
fn each_role_does_at_once_what_it_is_there_for() {
    for (act, roles, _) in at_once() {
        for role in Role::ALL {
            let mut scene = Scene::with(2);
            scene.operators[0].roles = Roles::NONE.with(role);
            let done = scene.at_once(0, act.clone());
            match roles.contains(&role) {
                true => assert_eq!(done, Ok(act.clone()), "{role}"),
                false => {
                    let wanted = matches!(done, Err(Refusal::NoRole { .. }));
                    assert!(wanted, "{role}: {act:?}: {done:?}");
                }
            }
        }
    }
}

#[test]
fn what_the_seal_leaves_to_one_goes_on_and_the_rest_does_not() {
    for (act, _, under_seal) in at_once() {
        assert_eq!(act.under_seal(), under_seal, "{act:?}");
        let mut scene = Scene::with(2);
        scene.seal = SEALED;
        let done = scene.at_once(0, act.clone());
        match under_seal {
            UnderSeal::AsEver if act == Act::Seal => {
                assert!(matches!(done, Err(Refusal::NotNow { .. })));
            }
            UnderSeal::AsEver => assert_eq!(done, Ok(act)),
            UnderSeal::WithoutDelay => assert_eq!(done, Err(Refusal::NeedsApproval), "{act:?}"),
            UnderSeal::Refused => assert_eq!(done, Err(Refusal::Sealed), "{act:?}"),
        }
    }
}

#[test]
fn what_takes_approvals_waits_as_long_as_the_table_says() {
    let open = Seal::Open { since_ms: 0 };
    for (act, under_seal) in by_approval() {
        assert_eq!(act.weight(), Weight::ByApproval, "{act:?}");
        assert_eq!(act.under_seal(), under_seal, "{act:?}");
        let (delay_ms, sealed_ms) = match (&act, under_seal) {
            (Act::Unseal { .. }, _) => (UNSEAL_DELAY_MS, UNSEAL_DELAY_MS),
            (_, UnderSeal::WithoutDelay) => (DELAY_MS, 0),
            _ => (DELAY_MS, DELAY_MS),
        };
        assert_eq!(act.delay_ms(open), delay_ms, "{act:?}");
        assert_eq!(act.delay_ms(SEALED), sealed_ms, "{act:?}");
        let mut scene = Scene::with(3);
        assert_eq!(
            scene.at_once(0, act.clone()),
            Err(Refusal::NeedsApproval),
            "{act:?}"
        );
        scene.seal = SEALED;
        let asked = scene.ask(0, act.clone());
        match under_seal {
            UnderSeal::Refused => assert_eq!(asked, Err(Refusal::Sealed), "{act:?}"),
            UnderSeal::AsEver | UnderSeal::WithoutDelay => assert!(asked.is_ok(), "{act:?}"),
        }
    }
}
