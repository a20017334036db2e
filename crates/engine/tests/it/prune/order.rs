//! Copies are locked one after the other in the order of their names, whatever their order in a
//! configuration: so of two prunes one gives up, and none waits for the other.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use strongroom_engine::prune::{PruneOptions, PruneReport, prune};
use strongroom_engine::session::{self, CopyStore};
use strongroom_engine::state::StateFolder;
use strongroom_engine::{Error, Result};
use strongroom_model::FileType;
use strongroom_store::LocalStore;
use strongroom_testkit::gate::Gate;
use strongroom_testkit::{Fault, FaultyStore, Op, RecordingStore, Rule};

use crate::fixture::{Fixture, PASSWORD, environment};
use crate::prune::{ALL, assert_identical, half_needed, try_prune};

/// All copies; a fixture lists them in another order.
const BY_NAME: [&str; 3] = ["one", "three", "two"];

/// As another machine lists them, which is the other way round.
const ELSEWHERE: [&str; 3] = ["three", "two", "one"];

/// Holds whoever is about to write a lock on a copy, until its gate is opened.
fn gates(fixture: &mut Fixture) -> [Gate; 3] {
    BY_NAME.map(|copy| {
        let gate = Gate::closed();
        let waits = Rule::on(&[Op::Save], Fault::Wait(gate.clone())).of(FileType::Locks);
        fixture.wrap(copy, |store| FaultyStore::new(store).with(waits));
        gate
    })
}

/// The copies on which somebody holds a lock.
fn locked(fixture: &Fixture) -> Vec<&'static str> {
    let mut copies = BY_NAME.to_vec();
    copies.retain(|copy| !fixture.ids(copy, FileType::Locks).is_empty());
    copies
}

/// Prunes beside the test, which ends without it where something is wrong.
fn begin(fixture: &Arc<Fixture>) -> JoinHandle<Result<PruneReport>> {
    let fixture = Arc::clone(fixture);
    thread::spawn(move || try_prune(&fixture))
}

/// Prunes on another machine, by what stands there for each of its copies.
fn prune_elsewhere(
    fixture: &Fixture,
    stores: &[Arc<RecordingStore<LocalStore>>; 3],
) -> Result<PruneReport> {
    let copies = [0, 1, 2].map(|place| CopyStore {
        name: ELSEWHERE[place].to_owned(),
        store: stores[place].clone(),
        is_local: true,
    });
    let state = StateFolder::new(fixture.folder.path().join("state elsewhere"));
    let environment = environment("elsewhere");
    let (looking, now) = (&fixture.looking, (environment.clock)());
    let mut session =
        session::open_remembering(&copies, PASSWORD.as_bytes(), looking, &state, now)?;
    let memory = state.repository(session.id());
    let (options, progress) = (PruneOptions::default(), &fixture.progress);
    prune(
        &mut session,
        &memory,
        None,
        &options,
        &environment,
        progress,
    )
}

#[test]
fn every_copy_is_locked_one_after_the_other_in_the_order_of_names() {
    for is_reversed in [false, true] {
        let (mut fixture, _) = half_needed();
        let gates = gates(&mut fixture);
        if is_reversed {
            fixture.copies.reverse();
        }
        let fixture = Arc::new(fixture);
        let pruning = begin(&fixture);
        for (place, gate) in gates.iter().enumerate() {
            gate.wait_for_waiting(1);
            // Those before it are locked, and nothing was written on those behind it.
            assert_eq!(locked(&fixture), BY_NAME[..place]);
            gate.open();
        }
        let report = pruning.join().unwrap().unwrap();
        assert!(report.is_complete(), "{report:?}");
        assert_eq!(locked(&fixture), [""; 0]);
    }
}

#[test]
fn of_two_prunes_that_list_the_copies_in_other_orders_one_gives_up_at_the_first_by_name() {
    let (mut fixture, _) = half_needed();
    let [first, second, third] = gates(&mut fixture);
    first.open();
    third.open();
    let fixture = Arc::new(fixture);
    let pruning = begin(&fixture);
    second.wait_for_waiting(1);
    assert_eq!(locked(&fixture), ["one"]);

    let stores = ELSEWHERE.map(|name| {
        Arc::new(RecordingStore::new(LocalStore::new(
            fixture.copy_path(name),
        )))
    });
    let error = prune_elsewhere(&fixture, &stores).unwrap_err();
    assert!(
        matches!(&error, Error::Locked { copy, .. } if copy == "one"),
        "{error}"
    );
    assert!(error.to_string().contains("testhost"), "{error}");
    assert!(error.hint().is_some());
    assert_eq!(locked(&fixture), ["one"]);
    // The copies that it lists first are free, and it has begun with neither.
    for store in &stores[..2] {
        assert_eq!(store.written(), []);
    }

    second.open();
    let report = pruning.join().unwrap().unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(locked(&fixture), [""; 0]);
    assert_identical(&fixture, &ALL);
    fixture.check_all();
}
