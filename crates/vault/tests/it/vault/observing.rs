//! What is counted is what is there, whatever becomes of objects.

use std::sync::{Arc, mpsc};
use std::thread;

use hyper::StatusCode;
use parking_lot::Mutex;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use strongroom_model::{FileName, FileType};
use strongroom_vault::http::VaultState;
use strongroom_vault::http::metrics::Metrics;
use strongroom_vault::people::Who;
use strongroom_vault::records::leaves;
use strongroom_vault::records::tally::Tally;
use strongroom_vault::records::tokens::Standing;
use strongroom_vault::rules::clock::{DAY_MS, HOUR_MS, MINUTE_MS};
use strongroom_vault::rules::life::State;
use strongroom_vault::rules::purge::Hold;
use strongroom_vault::rules::right::Right;
use strongroom_vault::vault::{Demands, Observed, Seen, TokensObserved};

use super::asked::AskedBodies;
use super::scene::{START_MS, Scene, key_file, on_sqlite, repository, within};

fn observed(scene: &Scene) -> Observed {
    scene.vault.observe().unwrap().repositories.remove(0)
}

fn counts(scene: &Scene) -> [u64; 5] {
    State::ALL.map(|state| observed(scene).tally(state).objects)
}

#[test]
fn objects_are_counted_by_state() {
    let scene = Scene::new();
    let (append, thief) = (scene.token(Right::Append), scene.token(Right::Append));
    let maintain = scene.token(Right::Maintain);
    scene.init(&append);
    let packs = scene.put_packs(&append, 4, 100);
    scene.put(&thief, FileType::Data, b"junk").unwrap();
    scene.put(&append, FileType::Keys, &key_file(9)).unwrap();
    assert_eq!(counts(&scene), [7, 0, 0, 1, 0]);
    scene
        .vault
        .remove(&maintain, &repository(), packs[0])
        .unwrap();
    scene
        .vault
        .remove(&maintain, &repository(), packs[1])
        .unwrap();
    scene.vault.hide(Who::Folder, &thief.name, 0).unwrap();
    assert_eq!(counts(&scene), [4, 2, 1, 1, 0]);
    let tombstones = Tally {
        objects: 2,
        bytes: 200,
    };
    assert_eq!(observed(&scene).tally(State::Tombstoned), tombstones);
    scene
        .vault
        .undelete_one(Who::Folder, &repository(), packs[0])
        .unwrap();
    scene.vault.unhide(Who::Folder, &thief.name).unwrap();
    let waiting = scene.vault.pending_keys(&repository()).unwrap()[0];
    scene
        .vault
        .admit_key(Who::Folder, &repository(), waiting)
        .unwrap();
    assert_eq!(counts(&scene), [7, 1, 0, 0, 0]);
    assert_eq!(observed(&scene).held, Some(Hold::ManyTombstones));
    assert_eq!(observed(&scene).due, 0);
    scene.pass(4 * HOUR_MS);
    assert_eq!(observed(&scene).due, 1);
    scene.agree().unwrap();
    scene.vault.purge().unwrap();
    assert_eq!(counts(&scene), [7, 0, 0, 0, 0]);
    assert_eq!(scene.vault.observe().unwrap().purged, (1, 100));
    assert!(scene.vault.tallies_agree().unwrap());
}

#[test]
fn silence_free_room_clock_and_tokens_are_seen() {
    let scene = Scene::with(|settings| settings.reserve_bytes = 1);
    let append = scene.token(Right::Append);
    scene.init(&append);
    scene.pass(MINUTE_MS);
    scene.put(&append, FileType::Data, b"a pack").unwrap();
    let at_ms = scene.vault.now().recorded_ms;
    assert_eq!(at_ms, START_MS + MINUTE_MS);
    scene.pass(10 * MINUTE_MS);
    // That it is there already is no arrival.
    scene.put(&append, FileType::Data, b"a pack").unwrap();
    assert_eq!(observed(&scene).repository.arrived_at_ms, Some(at_ms));
    scene.vault.revoke_token(Who::Folder, &append.name).unwrap();
    let all = scene.vault.observe().unwrap();
    let revoked = TokensObserved {
        right: Right::Append,
        standing: Standing::Revoked,
        count: 1,
    };
    assert_eq!(all.tokens, [revoked]);
    assert_eq!(all.wall_ms - all.vault_ms, 0);
    assert!(!all.is_clock_doubted);
    assert!(all.free_bytes.unwrap() > 0);
    assert_eq!(all.reserve_bytes, 1);
    assert!(all.head.leaves > 5);
    scene.vault.check_storage().unwrap();
    scene.clocks.lock().wall_ms += HOUR_MS;
    scene.vault.tick().unwrap();
    assert!(scene.vault.observe().unwrap().is_clock_doubted);
}

#[test]
fn until_when_a_leap_of_the_clock_holds_purging_is_told() {
    let scene = Scene::new();
    let told = |scene: &Scene| {
        let demands = Demands {
            verify_every_ms: 365 * DAY_MS,
            behind_ms: None,
            channels: None,
        };
        let found = scene.vault.findings(demands).unwrap();
        let of_clock = found.into_iter().filter(|finding| finding.check == "clock");
        of_clock
            .map(|finding| finding.problem)
            .filter(|problem| problem.contains("not purged before"))
            .collect::<Vec<_>>()
    };
    {
        let mut clocks = scene.clocks.lock();
        clocks.boot = "two".to_owned();
        clocks.boottime_ms = 1;
        clocks.wall_ms += 20 * DAY_MS;
    }
    let scene = scene.reopened();
    let catch_up = |by_ms| Seen {
        wall_ms: Some(scene.clocks.lock().wall_ms),
        catch_up_ms: Some(by_ms),
    };
    scene
        .vault
        .confirm_clock(Who::Folder, catch_up(DAY_MS / 2))
        .unwrap();
    assert_eq!(scene.vault.observe().unwrap().leap_holds_until_ms, None);
    assert_eq!(told(&scene), [""; 0]);
    scene
        .vault
        .confirm_clock(Who::Folder, catch_up(10 * DAY_MS))
        .unwrap();
    let until_ms = scene.vault.now().vault_ms + DAY_MS;
    let until = scene.vault.observe().unwrap().leap_holds_until_ms;
    assert_eq!(until, Some(until_ms));
    let told_until = leaves::timestamp(until_ms).unwrap().to_string();
    let problems = told(&scene);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains(&told_until), "{problems:?}");
    scene.pass(DAY_MS);
    assert_eq!(told(&scene), [""; 0]);
}

#[test]
fn a_storage_that_is_full_or_away_is_not_ready() {
    let scene = Scene::with(|settings| settings.reserve_bytes = u64::MAX);
    assert!(scene.vault.check_storage().is_err());
    let scene = Scene::new();
    let storage = scene.folder.path().join("repositories");
    std::fs::rename(&storage, scene.folder.path().join("away")).unwrap();
    assert!(scene.vault.check_storage().is_err());
}

/// What somebody does, with which of a few objects.
#[derive(Clone, Debug)]
enum Deed {
    Put(u8, u8),
    Remove(u8),
    UndeleteOne(u8),
    Undelete,
    Hide(u8),
    Unhide(u8),
    Admit(u8),
    Pass,
    Purge,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => (0..2_u8, 0..8_u8).prop_map(|(who, what)| Deed::Put(who, what)),
        2 => (0..8_u8).prop_map(Deed::Remove),
        1 => (0..8_u8).prop_map(Deed::UndeleteOne),
        1 => Just(Deed::Undelete),
        1 => (0..2_u8).prop_map(Deed::Hide),
        1 => (0..2_u8).prop_map(Deed::Unhide),
        1 => (0..8_u8).prop_map(Deed::Admit),
        1 => Just(Deed::Pass),
        1 => Just(Deed::Purge),
    ]
}

#[test]
fn counts_are_right_whatever_is_done() {
    let mut runner = TestRunner::new(Config {
        cases: 12,
        ..Config::default()
    });
    let deeds = prop::collection::vec(deed(), 1..40);
    let run = runner.run(&deeds, |deeds| {
        // What is asked to be deleted is due at once.
        let scene = Scene::with(|settings| {
            settings.keeping.retention_ms = 0;
            settings.keeping.grace_ms = 0;
        });
        let putters = [scene.token(Right::Append), scene.token(Right::Append)];
        let maintain = scene.token(Right::Maintain);
        scene.init(&putters[0]);
        // Half of them are keys, which wait for an operator.
        let content = |what: u8| match what < 4 {
            true => (FileType::Keys, key_file(100 + what)),
            false => (FileType::Data, vec![what; 10]),
        };
        let name = |what: u8| {
            let (kind, content) = content(what);
            FileName::new(kind, strongroom_model::Id::of(&content))
        };
        for deed in deeds {
            // Much of it is refused, and changes nothing then.
            match deed {
                Deed::Put(who, what) => {
                    let (kind, content) = content(what);
                    let _ = scene.put(&putters[usize::from(who)], kind, &content);
                }
                Deed::Remove(what) => {
                    let _ = scene.vault.remove(&maintain, &repository(), name(what));
                }
                Deed::UndeleteOne(what) => {
                    let _ = scene
                        .vault
                        .undelete_one(Who::Folder, &repository(), name(what));
                }
                Deed::Undelete => {
                    scene
                        .vault
                        .undelete(Who::Folder, &repository(), None, None, None)
                        .unwrap();
                }
                Deed::Hide(who) => {
                    scene
                        .vault
                        .hide(Who::Folder, &putters[usize::from(who)].name, 0)
                        .unwrap();
                }
                Deed::Unhide(who) => {
                    scene
                        .vault
                        .unhide(Who::Folder, &putters[usize::from(who)].name)
                        .unwrap();
                }
                Deed::Admit(what) => {
                    let _ = scene
                        .vault
                        .admit_key(Who::Folder, &repository(), name(what));
                }
                Deed::Pass => scene.pass(MINUTE_MS),
                Deed::Purge => {
                    scene.agree().unwrap();
                    scene.vault.purge().unwrap();
                }
            }
        }
        prop_assert!(scene.vault.tallies_agree().unwrap());
        let all: u64 = counts(&scene).iter().sum();
        prop_assert_eq!(all, observed(&scene).repository.objects);
        Ok(())
    });
    run.unwrap();
}

#[test]
fn a_vault_that_nobody_looks_at_is_dead_after_a_minute() {
    let scene = Scene::new();
    let metrics = Metrics::new();
    let state = VaultState::new(&metrics);
    assert!(!state.is_alive(&scene.vault), "nobody has looked yet");
    let later = |ms: i64| scene.clocks.lock().boottime_ms += ms;
    for _ in 0..3 {
        state.look(&scene.vault, &metrics, 0);
        later(MINUTE_MS);
        assert!(state.is_alive(&scene.vault));
    }
    later(1);
    assert!(!state.is_alive(&scene.vault));
    // What is seen does not matter: that somebody looks does.
    state.look(&scene.vault, &metrics, i64::MAX);
    assert!(state.is_alive(&scene.vault));
}

#[test]
fn a_storage_that_says_nothing_is_told_and_waited_for_by_nobody() {
    let (let_it_say, says) = mpsc::channel();
    let says = Arc::new(Mutex::new(says));
    let looks = thread::current().id();
    let pair = on_sqlite(move |folder| {
        let says = Arc::clone(&says);
        Arc::new(AskedBodies {
            before_probe: Box::new(move || says.lock().recv().unwrap()),
            before_free: Box::new(move || {
                assert_ne!(thread::current().id(), looks, "who looks may hang there");
            }),
            ..AskedBodies::new(folder)
        })
    });
    within(&pair, || {
        let scene = Scene::new();
        let metrics = Metrics::new();
        let state = Arc::new(VaultState::new(&metrics));
        let (trying, vault) = (Arc::clone(&state), scene.vault.clone());
        let trying = thread::spawn(move || trying.try_storage(&vault));
        let is_ready = || state.readyz(&scene.vault).status() == StatusCode::OK;
        scene.vault.tick().unwrap();
        state.look(&scene.vault, &metrics, 0);
        assert!(state.is_alive(&scene.vault));
        assert!(!is_ready(), "it has said nothing yet");
        let_it_say.send(()).unwrap();
        trying.join().unwrap();
        assert!(is_ready());
        // Its last word is not believed for ever.
        scene.clocks.lock().boottime_ms += MINUTE_MS + 1;
        state.look(&scene.vault, &metrics, 0);
        assert!(state.is_alive(&scene.vault));
        assert!(!is_ready(), "it has said nothing for a minute");
    });
}
