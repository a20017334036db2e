//! What one operator can do whose factors were all stolen: nothing that lowers protection, and
//! nothing that locks the others out.

use proptest::prelude::*;
use strongroom_access::act::Weight;
use strongroom_access::operation::State;
use strongroom_access::{Act, Right, Roles, Rule};

use crate::scene::{DAY_MS, HOUR_MS, Scene, id, keep};

/// The one who is stolen.
const STOLEN: usize = 0;

/// What the thief does next.
#[derive(Clone, Debug)]
enum Move {
    /// Asks for something, or does it at once where he can.
    Act(Act),
    /// Says yes to an operation.
    Yes(usize),
    /// Stops one.
    Stop(usize),
    /// Has one done, which anybody may.
    Perform(usize),
    /// Waits.
    Wait(i64),
}

fn some_act(operators: usize) -> impl Strategy<Value = Act> {
    let whom = (0..operators).prop_map(id);
    let token = || "abc".to_owned();
    prop_oneof![
        Just(Act::Seal),
        (0..9_u64).prop_map(|leaf| Act::Unseal { leaf }),
        (
            prop_oneof![Just(60), 1..400_i64],
            prop_oneof![1..130_i64, 1..40_000_i64]
        )
            .prop_map(|(from, to)| keep(from, to)),
        Just(Act::PurgeEarly {
            token: token(),
            since: 0,
        }),
        Just(Act::RemoveRepository {
            repository: "acme/repos".parse().unwrap(),
        }),
        Just(Act::CatchUp {
            by_ms: 365 * DAY_MS
        }),
        Just(Act::RevokeToken { token: token() }),
        prop::sample::select(Right::ALL.to_vec()).prop_map(|right| Act::MakeToken {
            right,
            prefix: "acme".parse().unwrap(),
            expires_in_ms: None,
            in_place_of: Some("abc".to_owned()),
        }),
        Just(Act::AddOperator {
            name: "accomplice".parse().unwrap(),
            roles: Roles::ALL,
        }),
        (2..5_usize).prop_map(|yeses| Act::SetRule {
            rule: Rule::new(yeses).unwrap(),
        }),
        whom.prop_flat_map(|operator| {
            prop::sample::select(vec![
                Act::Suspend { operator },
                Act::Reinstate { operator },
                Act::RemoveOperator { operator },
                Act::RecoverOperator { operator },
                Act::RemoveFactor {
                    operator,
                    factor: 1,
                },
                Act::EndSessions { of: operator },
                Act::SetRoles {
                    operator,
                    roles: Roles::NONE,
                },
            ])
        }),
    ]
}

fn some_move(operators: usize) -> impl Strategy<Value = Move> {
    prop_oneof![
        4 => some_act(operators).prop_map(Move::Act),
        3 => (0..40_usize).prop_map(Move::Yes),
        2 => (0..40_usize).prop_map(Move::Stop),
        3 => (0..40_usize).prop_map(Move::Perform),
        2 => (1..200_i64).prop_map(|hours| Move::Wait(hours * HOUR_MS)),
    ]
}

/// Lets the thief make a move; tells what happened by it that takes approvals.
fn steal(scene: &mut Scene, next: &Move) -> Option<Act> {
    let number = |number: usize, scene: &Scene| number.checked_rem(scene.operations.len());
    match next {
        Move::Act(act) => {
            if let Ok(done) = scene.at_once(STOLEN, act.clone()) {
                return (done.weight() == Weight::ByApproval).then_some(done);
            }
            let _ = scene.ask(STOLEN, act.clone());
        }
        Move::Yes(to) => {
            if let Some(to) = number(*to, scene) {
                let _ = scene.say_yes(STOLEN, to);
            }
        }
        Move::Stop(which) => {
            if let Some(which) = number(*which, scene) {
                let _ = scene.stop(STOLEN, which);
            }
        }
        Move::Perform(which) => {
            if let Some(which) = number(*which, scene) {
                return scene.perform(which).ok();
            }
        }
        Move::Wait(ms) => scene.pass(*ms),
    }
    None
}

fn operators_and_moves(most: usize) -> impl Strategy<Value = (usize, Vec<Move>)> {
    (2..=5_usize).prop_flat_map(move |operators| {
        let moves = prop::collection::vec(some_move(operators), 0..most);
        (Just(operators), moves)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn one_who_is_stolen_lowers_nothing((operators, moves) in operators_and_moves(60)) {
        let mut scene = Scene::with(operators);
        for next in &moves {
            let happened = steal(&mut scene, next);
            prop_assert_eq!(happened, None, "by {:?}", next);
            let kept = scene.held.keeping.retention_ms;
            prop_assert!((60 * DAY_MS..=120 * DAY_MS).contains(&kept), "by {:?}", next);
            for other in 1..operators {
                prop_assert!(scene.counts(other), "{} is locked out by {:?}", other, next);
            }
        }
    }

    #[test]
    fn the_others_get_rid_of_one_who_is_stolen_and_open_the_seal(
        (operators, moves) in operators_and_moves(80)
            .prop_filter("of two neither can say which is stolen", |(operators, _)| *operators > 2)
    ) {
        let mut scene = Scene::with(operators);
        let mut moves = moves.iter();
        let mut thieve = |scene: &mut Scene| {
            let quick = |next: &&Move| !matches!(next, Move::Wait(_));
            for next in moves.by_ref().filter(quick).take(7) {
                steal(scene, next);
            }
        };
        thieve(&mut scene);
        // Seal before evicting.
        if scene.seal_leaf().is_none() {
            scene.at_once(1, Act::Seal).unwrap();
        }
        let agreed = |scene: &mut Scene, act: Act, thieve: &mut dyn FnMut(&mut Scene)| {
            let asked = scene.ask(1, act).unwrap();
            for other in 2..operators {
                thieve(scene);
                // He may have it done himself as soon as it is due.
                if scene.operations[asked].state != State::Done {
                    scene.say_yes(other, asked).unwrap();
                }
            }
            asked
        };
        let suspend = Act::Suspend { operator: id(STOLEN) };
        let asked = agreed(&mut scene, suspend, &mut thieve);
        thieve(&mut scene);
        if scene.counts(STOLEN) {
            scene.perform(asked).unwrap();
        }
        prop_assert!(!scene.counts(STOLEN));
        let leaf = scene.seal_leaf().unwrap();
        let asked = agreed(&mut scene, Act::Unseal { leaf }, &mut thieve);
        scene.pass(DAY_MS);
        thieve(&mut scene);
        if scene.seal_leaf().is_some() {
            scene.perform(asked).unwrap();
        }
        prop_assert_eq!(scene.seal_leaf(), None);
        for other in 1..operators {
            prop_assert!(scene.counts(other));
        }
    }
}
