//! Work that reads from several places which may hang, on one thread.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use strongroom_model::{FileName, FileType, Id};
use strongroom_store::patient::{GivenUp, together, within};
use strongroom_store::{Error, PatientStore, Pulse, Store};
use strongroom_testkit::{Fault, FaultyStore, Gate, MemoryStore, Op, Rule};

const LIMIT: Duration = Duration::from_millis(200);

fn name() -> FileName {
    FileName::new(FileType::Data, Id::of(b"bytes"))
}

fn place(rule: Option<Rule>) -> Arc<dyn Store> {
    let memory = MemoryStore::new("m");
    memory.save(name(), b"bytes").unwrap();
    let faulty = rule
        .into_iter()
        .fold(FaultyStore::new(memory), FaultyStore::with);
    Arc::new(PatientStore::new(Arc::new(faulty), Pulse::default(), LIMIT))
}

fn hanging() -> Arc<dyn Store> {
    let rule = Rule::on(&Op::READS, Fault::Wait(Gate::closed()));
    place(Some(rule))
}

/// Reads the file of each place by turns; tells how many bytes came.
fn read_all(stores: &[Arc<dyn Store>]) -> Result<usize, GivenUp> {
    let (first, others) = stores.split_first().unwrap();
    together(first, others, |places| {
        let read = |(number, store): (usize, &dyn Store)| {
            places.turn(number);
            store.read(name()).unwrap().len()
        };
        let first = read((0, places.first()));
        first + places.others().map(read).sum::<usize>()
    })
}

fn assert_given_up(read: Result<usize, GivenUp>, expected: usize) {
    let GivenUp { place, error } = read.unwrap_err();
    assert_eq!(place, expected);
    assert_eq!(
        error.to_string(),
        "memory:m cannot be reached: it has not answered for 200 ms"
    );
}

#[test]
fn a_place_that_hangs_is_named_and_the_others_can_be_read() {
    let sound = place(None);
    for number in 0..3 {
        let mut stores = vec![Arc::clone(&sound), Arc::clone(&sound)];
        stores.insert(number, hanging());
        assert_given_up(read_all(&stores), number);
        assert!(matches!(
            stores[number].read(name()),
            Err(Error::Unreachable { .. })
        ));
        stores.remove(number);
        assert_eq!(read_all(&stores).unwrap(), 10);
    }
}

#[test]
fn a_place_that_was_given_up_is_not_asked_again() {
    let gate = Gate::closed();
    let rule = Rule::on(&[Op::List], Fault::Wait(gate.clone()));
    let hung = place(Some(rule));
    assert!(hung.list(FileType::Data).is_err());
    gate.open();
    assert_given_up(read_all(&[place(None), hung]), 1);
}

#[test]
fn places_that_take_their_turns_are_waited_for() {
    let turns = together(&place(None), &[place(None)], |places| {
        // Several limits long.
        for turn in 0..40 {
            places.turn(turn % 2);
            let never = Gate::closed();
            assert_eq!(within(LIMIT / 10, move || never.pass()), None);
        }
        40
    });
    assert_eq!(turns.unwrap(), 40);
}

#[test]
fn whoever_waits_for_himself_does_it_himself() {
    let impatient: Arc<dyn Store> = Arc::new(MemoryStore::new("n"));
    let here = thread::current().id();
    let thread = |_: &_| thread::current().id();
    assert_eq!(together(&place(None), &[impatient], thread).unwrap(), here);
    assert_ne!(together(&place(None), &[], thread).unwrap(), here);
}

#[test]
fn work_that_dies_is_an_error_and_no_hang() {
    let died = together(&place(None), &[place(None)], |places| {
        places.turn(1);
        assert!(places.first().size(name()).is_err(), "on purpose");
    });
    let GivenUp { place, error } = died.unwrap_err();
    assert_eq!(place, 1);
    assert!(error.to_string().contains("died"), "{error}");
}
